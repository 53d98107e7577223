"""Resampling with the conventions of the reference toolbox: `interp23`, `imresize`, `decimate`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating]

__all__ = [
    "INTERP23_MARGIN",
    "AxisWeights",
    "decimate",
    "imresize",
    "interp23",
    "resize_weights",
]

INTERP23_MARGIN = 12
"""Low-resolution pixels on each side that `interp23` can reach, whatever the ratio."""

# Half-band filter at offsets 1, 3, ..., 11; the centre tap is 1 and even offsets are 0.
_TAPS23 = (
    2 * 0.305334091185,
    -2 * 0.072698593239,
    2 * 0.021809577942,
    -2 * 0.005192756653,
    2 * 0.000807762146,
    -2 * 0.000060081482,
)


def as_floating(image: ArrayLike) -> Floats:
    """float32 as it is, everything else as float64."""
    array = np.asarray(image)
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def check_image(array: Floats, name: str) -> None:
    """Refuse what is neither ``(y, x)`` nor ``(band, y, x)`` with pixels in it."""
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise OptionError(
            f"{name} has shape {array.shape}; give a non-empty (y, x) or (band, y, x) array"
        )


_STRIP = 1 << 15
"""Samples worked on at a time, so that the partial sums stay in the processor's cache."""


def _gaps(padded: Floats, count: int, origin: int, axis: int) -> Floats:
    """`count` values between samples along `axis`; the first lies left of sample `origin`."""
    total: Floats | None = None
    for step, tap in enumerate(_TAPS23):
        right, left = origin + step, origin - 1 - step
        if axis == 0:
            pair = padded[right : right + count] + padded[left : left + count]
        else:
            pair = padded[:, right : right + count] + padded[:, left : left + count]
        pair *= padded.dtype.type(tap)
        if total is None:
            total = pair
        else:
            total += pair
    assert total is not None
    return total


def _double(plane: Floats, first: bool) -> Floats:
    """Twice the rows and columns of one plane, circular; samples on odd (first) or even places."""
    reach = len(_TAPS23)
    # On odd places gap i lies between samples i - 1 and i, on even ones between i and i + 1.
    origin = reach if first else reach + 1
    gap_at, sample_at = (0, 1) if first else (1, 0)

    rows, cols = plane.shape
    padded = plane[np.arange(-reach, rows + reach) % rows]
    tall = np.empty((2 * rows, cols), dtype=plane.dtype)
    tall[sample_at::2] = plane
    strip = max(1, _STRIP // cols)
    for row in range(0, rows, strip):
        count = min(strip, rows - row)
        tall[gap_at + 2 * row : gap_at + 2 * (row + count) : 2] = _gaps(
            padded[row : row + count + 2 * reach], count, origin, 0
        )

    out = np.empty((2 * rows, 2 * cols), dtype=plane.dtype)
    wrapped = np.arange(-reach, cols + reach) % cols
    for row in range(0, 2 * rows, strip):
        part = tall[row : row + strip]
        here = out[row : row + strip]
        here[:, sample_at::2] = part
        here[:, gap_at::2] = _gaps(part[:, wrapped], cols, origin, 1)
    return out


def interp23(ms: ArrayLike, ratio: int) -> Floats:
    """Interpolate to `ratio` times the size with the toolbox's 23-tap half-band filter.

    For each doubling the samples are put on a grid of double size (odd 0-based positions in the
    first doubling, even ones in the later) and rows and columns are filtered with a circular
    border. At ratio 4 the low pixel (i, j) lands unchanged on (4i + 2, 4j + 2). The circular
    border makes the outer 11 to 22 pixels unreliable.

    Parameters
    ----------
    ms : array_like
        Shape (band, y, x) or (y, x), any unit.
    ratio : int
        A power of two (1 returns a copy).

    Returns
    -------
    ndarray
        Shape (band, y * ratio, x * ratio) or (y * ratio, x * ratio); float32 for float32 input,
        else float64.

    Raises
    ------
    OptionError
        `ratio` is not a power of two, or the array is not an image.

    References
    ----------
    Aiazzi et al., "Context-driven fusion of high spatial and spectral resolution images based
    on oversampled multiresolution analysis", IEEE TGRS 40(10), 2002.

    Examples
    --------
    >>> import numpy as np
    >>> low = np.arange(256.0).reshape(16, 16)
    >>> bool((interp23(low, 4)[2::4, 2::4] == low).all())
    True
    """
    levels = round(math.log2(ratio)) if ratio >= 1 else -1
    if levels < 0 or 2**levels != ratio:
        raise OptionError(
            f"interp23 doubles the image, so ratio {ratio:g} is impossible; "
            "give a power of two (2, 4, 8) or another interpolator"
        )
    image = as_floating(ms)
    check_image(image, "ms")
    if levels == 0:
        return image.copy()
    planes = image if image.ndim == 3 else image[None]
    out = np.empty(
        (planes.shape[0], planes.shape[1] * ratio, planes.shape[2] * ratio), dtype=image.dtype
    )
    # Band by band, so that the work arrays stay small.
    for number, plane in enumerate(planes):
        for level in range(levels):
            plane = _double(plane, level == 0)
        out[number] = plane
    return out if image.ndim == 3 else out[0]


def decimate(image: ArrayLike, ratio: int) -> NDArray[np.generic]:
    """Keep samples ratio // 2, ratio // 2 + ratio, ... of rows and columns (ratio 4: 2, 6, 10).

    Parameters
    ----------
    image : array_like
        Shape (band, y, x) or (y, x).
    ratio : int
        Decimation factor, at least 1.

    Returns
    -------
    ndarray
        A view of the input with y // ratio rows and x // ratio columns.

    Raises
    ------
    OptionError
        The sides are not multiples of `ratio`.

    Examples
    --------
    >>> import numpy as np
    >>> decimate(np.arange(64).reshape(8, 8), 4)
    array([[18, 22],
           [50, 54]])
    """
    array = np.asarray(image)
    step = int(ratio)
    if step < 1 or step != ratio:
        raise OptionError(f"ratio {ratio:g} is not a whole number of at least 1")
    rows, cols = array.shape[-2:]
    if rows % step or cols % step:
        raise OptionError(
            f"image of {rows}x{cols} pixels is not a multiple of ratio {step}; crop it to "
            f"{rows - rows % step}x{cols - cols % step}"
        )
    return array[..., step // 2 :: step, step // 2 :: step]


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1.0, near, np.where(x <= 2.0, far, 0.0))


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


_METHODS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "bicubic": (_cubic, 4.0),
    "bilinear": (_triangle, 2.0),
    "nearest": (_box, 1.0),
}


@dataclass(frozen=True)
class AxisWeights:
    """Which input samples make each output sample along one axis, and with what weight.

    Attributes
    ----------
    index : ndarray of int
        Shape (out, taps); symmetric border already applied.
    weight : ndarray of float64
        Shape (out, taps); every row sums to 1.
    """

    index: NDArray[np.intp]
    weight: NDArray[np.float64]

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """First and one-past-last input sample that outputs ``start:stop`` need."""
        part = self.index[start:stop]
        return int(part.min()), int(part.max()) + 1

    def apply(self, image: Floats, axis: int, start: int, stop: int, origin: int) -> Floats:
        """Outputs ``start:stop`` along `axis` from an image whose first sample is `origin`."""
        index = self.index[start:stop] - origin
        weight = self.weight[start:stop].astype(image.dtype)
        shape = [1] * image.ndim
        shape[axis] = stop - start
        out = np.take(image, index[:, 0], axis=axis) * weight[:, 0].reshape(shape)
        for tap in range(1, index.shape[1]):
            part = np.take(image, index[:, tap], axis=axis)
            part *= weight[:, tap].reshape(shape)
            out += part
        return out


def resize_weights(
    length: int, out_length: int, scale: float, method: str = "bicubic", antialias: bool = True
) -> AxisWeights:
    """Sampling table of `imresize` along one axis.

    Parameters
    ----------
    length, out_length : int
        Samples in and out.
    scale : float
        Out over in; pixel centres satisfy ``out + 0.5 = scale * (in + 0.5)``.
    method : str
        ``"bicubic"`` (a = -0.5), ``"bilinear"`` or ``"nearest"``.
    antialias : bool
        Stretch the kernel by 1 / scale when shrinking (never for ``"nearest"``).

    Returns
    -------
    AxisWeights
        Indices and weights, columns that are zero everywhere left out.

    Raises
    ------
    OptionError
        Unknown method or impossible size.
    """
    if method not in _METHODS:
        raise OptionError(f"method '{method}' is unknown; choose bicubic, bilinear or nearest")
    if length < 1 or out_length < 1 or not scale > 0:
        raise OptionError(f"cannot resize {length} samples to {out_length} with scale {scale:g}")
    kernel, width = _METHODS[method]
    stretch = scale if antialias and scale < 1.0 and method != "nearest" else 1.0
    width /= stretch
    # The reference counts pixels from 1; doing the same keeps its rounding at half-way points.
    centre = np.arange(1, out_length + 1) / scale + 0.5 * (1.0 - 1.0 / scale)
    left = np.floor(centre - width / 2.0)
    index = left[:, None] + np.arange(math.ceil(width) + 2)
    weight = stretch * kernel(stretch * (centre[:, None] - index))
    weight /= weight.sum(axis=1, keepdims=True)
    folded = (index.astype(np.intp) - 1) % (2 * length)
    folded = np.where(folded >= length, 2 * length - 1 - folded, folded)
    used = np.any(weight != 0.0, axis=0)
    return AxisWeights(np.ascontiguousarray(folded[:, used]), weight[:, used])


def imresize(
    image: ArrayLike,
    scale: float | tuple[int, int],
    method: str = "bicubic",
    antialias: bool = True,
) -> Floats:
    """Resize with the semantics of MATLAB's imresize.

    Separable kernels, centres aligned as ``(x + 0.5) / scale - 0.5``, border symmetric (mirror
    with the edge sample repeated), weights renormalised, kernel stretched when shrinking.

    Parameters
    ----------
    image : array_like
        Shape (band, y, x) or (y, x), any unit.
    scale : float or (int, int)
        Factor (output sides are rounded up), or the output's (rows, columns).
    method : str
        ``"bicubic"`` (a = -0.5), ``"bilinear"`` or ``"nearest"``.
    antialias : bool
        Stretch the kernel when shrinking.

    Returns
    -------
    ndarray
        float32 for float32 input, else float64; nothing is clipped or rounded.

    Raises
    ------
    OptionError
        Unknown method, impossible size, or not an image.

    Examples
    --------
    >>> import numpy as np
    >>> imresize(np.ones((8, 8)), 0.25)
    array([[1., 1.],
           [1., 1.]])
    """
    array = as_floating(image)
    check_image(array, "image")
    rows, cols = array.shape[-2:]
    if isinstance(scale, tuple):
        sizes = (int(scale[0]), int(scale[1]))
        scales = (sizes[0] / rows, sizes[1] / cols)
    else:
        if not scale > 0:
            raise OptionError(f"scale {scale:g} is not positive; give for example 0.25")
        sizes = (math.ceil(scale * rows), math.ceil(scale * cols))
        scales = (float(scale), float(scale))
    tables = [
        (axis, resize_weights(length, size, factor, method, antialias), size)
        for axis, length, size, factor in (
            (array.ndim - 2, rows, sizes[0], scales[0]),
            (array.ndim - 1, cols, sizes[1], scales[1]),
        )
    ]
    # The stronger reduction first: less work, and the reference's order.
    if scales[1] < scales[0]:
        tables.reverse()
    for axis, table, size in tables:
        array = table.apply(array, axis, 0, size, 0)
    return array
