"""Pyramids of single methods: Indusion's wavelet filters, and the morphological half gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.filters.lowpass import correlate_replicate
from pansharp.filters.resample import as_floating, check_image, imresize
from pansharp.geometry.kernels import TAPS7, TAPS9

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating]

__all__ = ["box_lp", "half_gradient", "half_gradient_lp", "indusion_lp", "interp7"]


def levels_of(ratio: float) -> int:
    """Number of halvings that make `ratio`.

    Raises
    ------
    OptionError
        `ratio` is not 2, 4, 8, ...
    """
    levels = int(ratio).bit_length() - 1
    if ratio < 2 or 2**levels != ratio:
        raise OptionError(f"ratio {ratio:g} is not a power of two, as a pyramid of halvings needs")
    return levels


def box_lp(pan: ArrayLike, size: int) -> Floats:
    """Mean over ``size x size`` pixels, edge pixels repeated outside.

    Parameters
    ----------
    pan : array_like
        Shape (y, x) or (band, y, x), any unit.
    size : int
        Odd.

    Returns
    -------
    ndarray
        Shape of `pan`.
    """
    return correlate_replicate(pan, np.full((size, size), 1.0 / size**2))


def indusion_lp(pan: ArrayLike, ratio: int) -> Floats:
    """PAN at MS resolution by the 9-tap filter of Indusion, halved log2(ratio) times.

    As in the reference the first halving keeps odd samples and the others even ones.

    Parameters
    ----------
    pan : array_like
        Shape (y, x), counts.
    ratio : int
        A power of two.

    Returns
    -------
    ndarray, shape (y / ratio, x / ratio)

    References
    ----------
    Khan et al., "Indusion: fusion of multispectral and panchromatic images using the induction
    scaling technique", IEEE GRSL 5(1), 2008.
    """
    image = as_floating(pan)
    check_image(image, "pan")
    kernel = np.outer(TAPS9, TAPS9)
    for level in range(levels_of(ratio)):
        start = 1 if level == 0 else 0
        image = correlate_replicate(image, kernel)[..., start::2, start::2]
    return image


def interp7(ms: ArrayLike, ratio: int) -> Floats:
    """Interpolate by the 7-tap filter of Indusion, circular, samples placed as by `interp23`.

    Parameters
    ----------
    ms : array_like
        Shape (band, y, x) or (y, x), counts.
    ratio : int
        A power of two.

    Returns
    -------
    ndarray, shape (..., y * ratio, x * ratio)
    """
    image = as_floating(ms)
    check_image(image, "ms")
    for level in range(levels_of(ratio)):
        start = 1 if level == 0 else 0
        for axis in (image.ndim - 2, image.ndim - 1):
            lines = np.moveaxis(image, axis, 0)
            wide = np.zeros((2 * lines.shape[0], *lines.shape[1:]), dtype=image.dtype)
            wide[start::2] = lines
            total = np.zeros_like(wide)
            for step, tap in zip(range(-3, 4), TAPS7, strict=True):
                total += wide.dtype.type(tap) * np.roll(wide, step, axis=0)
            image = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(image)


def half_gradient(image: Floats) -> Floats:
    """Smooth by morphological half gradients: ``P - ((P - erosion) - (dilation - P)) / 2``.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        Counts.

    Returns
    -------
    ndarray, shape (y, x)
        With a cross of 3 x 3 pixels; pixels outside the image are ignored.
    """
    padded = np.pad(image, 1, mode="edge")
    parts = (
        *(padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1]),
        *(padded[1:-1, :-2], padded[1:-1, 2:]),
    )
    low, high = parts[0].copy(), parts[0].copy()
    for part in parts[1:]:
        np.minimum(low, part, out=low)
        np.maximum(high, part, out=high)
    return np.asarray(image - 0.5 * ((image - low) - (high - image)))


def half_gradient_lp(pan: ArrayLike, ratio: int) -> Floats:
    """Low-pass of MF-HG: half-gradient pyramid, brought back bilinearly, same size.

    Parameters
    ----------
    pan : array_like
        Shape (y, x), counts; sides multiples of `ratio`.
    ratio : int
        A power of two.

    Returns
    -------
    ndarray, shape (y, x)

    References
    ----------
    Restaino et al., "Fusion of multispectral and panchromatic images based on morphological
    operators", IEEE TIP 25(6), 2016.
    """
    image = as_floating(pan)
    check_image(image, "pan")
    levels = levels_of(ratio)
    for level in range(levels):
        start = 1 if level == 0 else 0
        image = half_gradient(image)[start::2, start::2]
    for _ in range(levels):
        image = imresize(image, 2, method="bilinear")
    return image
