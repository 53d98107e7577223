"""Low-pass filters and Wald's degradation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import GridMismatchError, OptionError
from pansharp.filters.kernels import gaussian_kernel, mtf_kernels
from pansharp.filters.resample import as_floating, check_image, decimate, imresize

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pansharp.sensors import SensorProfile

    Floats = NDArray[np.floating]

__all__ = ["atrous_lp", "correlate_replicate", "correlate_valid", "degrade", "gauss_lp"]

_TILE = 280
_B3 = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def correlate_valid(padded: Floats, kernel: NDArray[np.float64]) -> Floats:
    """2-D correlation of one plane at the positions where the kernel fits inside.

    Overlap-save with the fast Fourier transform, tile by tile, so the work memory does not grow
    with the plane.
    """
    # Late, because a classical fusion in default mode does without SciPy.
    from scipy import fft

    height, width = kernel.shape
    rows, cols = padded.shape[0] - height + 1, padded.shape[1] - width + 1
    tile_rows, tile_cols = min(rows, _TILE), min(cols, _TILE)
    size = (
        fft.next_fast_len(tile_rows + height - 1, real=True),
        fft.next_fast_len(tile_cols + width - 1, real=True),
    )
    flipped = kernel[::-1, ::-1].astype(padded.dtype)
    spectrum = fft.rfft2(flipped, size)
    out = np.empty((rows, cols), dtype=padded.dtype)
    for row in range(0, rows, tile_rows):
        for col in range(0, cols, tile_cols):
            tile = padded[row : row + tile_rows + height - 1, col : col + tile_cols + width - 1]
            product = fft.rfft2(tile, size)
            product *= spectrum
            filtered = fft.irfft2(product, size)
            here = out[row : row + tile_rows, col : col + tile_cols]
            here[...] = filtered[
                height - 1 : height - 1 + here.shape[0], width - 1 : width - 1 + here.shape[1]
            ]
    return out


def correlate_replicate(image: ArrayLike, kernel: ArrayLike) -> Floats:
    """2-D correlation of the same size with the edge pixels repeated outside.

    Parameters
    ----------
    image : array_like
        Shape (band, y, x) or (y, x), finite, any unit.
    kernel : array_like
        Odd sides; shape (ky, kx) for every band, or (band, ky, kx) with one kernel per band.

    Returns
    -------
    ndarray
        Shape of `image`; float32 for float32 input, else float64.

    Raises
    ------
    OptionError
        Even kernel sides, or as many kernels as bands are not given.

    Examples
    --------
    >>> import numpy as np
    >>> box = np.full((3, 3), 1 / 9)
    >>> correlate_replicate(np.ones((4, 5)), box).round(12).sum().item()
    20.0
    """
    array = as_floating(image)
    check_image(array, "image")
    taps = np.asarray(kernel, dtype=np.float64)
    planes = array if array.ndim == 3 else array[None]
    if taps.ndim == 2:
        taps = np.broadcast_to(taps, (planes.shape[0], *taps.shape))
    if taps.ndim != 3 or taps.shape[0] != planes.shape[0]:
        raise OptionError(
            f"{taps.shape[0]} kernels for {planes.shape[0]} bands; give one kernel or one per band"
        )
    height, width = taps.shape[1:]
    if height % 2 == 0 or width % 2 == 0:
        raise OptionError(f"kernel of {height}x{width} has no centre; give odd sides")
    out = np.empty_like(planes)
    margin = ((height // 2, height // 2), (width // 2, width // 2))
    for number, plane in enumerate(planes):
        out[number] = correlate_valid(np.pad(plane, margin, mode="edge"), taps[number])
    return out if array.ndim == 3 else out[0]


def gauss_lp(pan: ArrayLike, ratio: float) -> Floats:
    """Low-pass the PAN with the toolbox's Gaussian (gain 0.3, legacy width), same size.

    Parameters
    ----------
    pan : array_like
        Shape (y, x) or (band, y, x), any unit.
    ratio : float
        MS pixel over PAN pixel.

    Returns
    -------
    ndarray
        Shape of `pan`; the sum of the kernel is slightly below 1 and is kept so.
    """
    return correlate_replicate(pan, gaussian_kernel(ratio))


def _slide5(image: Floats, axis: int) -> Floats:
    """Valid convolution with the B3 spline along `axis`: 4 samples fewer."""
    count = image.shape[axis] - 4
    line = np.moveaxis(image, axis, 0)
    out = np.zeros((count, *line.shape[1:]), dtype=image.dtype)
    for step, tap in enumerate(_B3):
        out += image.dtype.type(tap) * line[step : step + count]
    return np.moveaxis(out, 0, axis)


def atrous_lp(pan: ArrayLike, ratio: int) -> Floats:
    """Low-pass the PAN with the toolbox's undecimated B3-spline transform, same size.

    log2(ratio) levels of analysis and synthesis with all detail planes dropped. As in the
    reference the 5-tap filter is *not* dilated between levels; each analysis level extends the
    image symmetrically by 4 pixels and keeps the enlarged result.

    Parameters
    ----------
    pan : array_like
        Shape (y, x) or (band, y, x), any unit.
    ratio : int
        A power of two.

    Returns
    -------
    ndarray
        Shape of `pan`; float32 for float32 input, else float64.

    Raises
    ------
    OptionError
        `ratio` is not a power of two.
    """
    levels = int(ratio).bit_length() - 1
    if ratio < 2 or 2**levels != ratio:
        raise OptionError(f"ratio {ratio:g} is not a power of two, as the transform needs")
    image = as_floating(pan)
    check_image(image, "pan")
    for axis in (image.ndim - 2, image.ndim - 1):
        margin = [(0, 0)] * image.ndim
        margin[axis] = (4, 4)
        for _ in range(levels):
            image = _slide5(np.pad(image, margin, mode="symmetric"), axis)
        for _ in range(levels):
            image = _slide5(image, axis)
    return image


def degrade(
    ms: ArrayLike, pan: ArrayLike, *, ratio: int, sensor: str | SensorProfile | float
) -> tuple[Floats, Floats]:
    """Shrink MS and PAN by `ratio` for a reduced-resolution experiment (Wald's protocol).

    The MS is low-passed with the sensor's MTF kernels (edge repeated) and decimated at samples
    ratio // 2, ratio // 2 + ratio, ...; the PAN is shrunk with the antialiased bicubic kernel,
    not with its MTF. Nothing is rounded.

    Parameters
    ----------
    ms : array_like
        Shape (band, y, x), sensor counts; becomes the reference of the experiment.
    pan : array_like
        Shape (y * ratio, x * ratio), sensor counts; a leading axis of length 1 is kept. A
        simulated PAN on the grid of `ms` itself, (y, x), is shrunk just the same.
    ratio : int
        MS pixel over PAN pixel, also the factor of degradation.
    sensor : str, SensorProfile or float
        Sensor name, profile, or one gain at Nyquist for every band.

    Returns
    -------
    ms_lr : ndarray
        Shape (band, y / ratio, x / ratio).
    pan_lr : ndarray
        PAN shrunk by `ratio`, with as many dimensions as `pan`.

    Raises
    ------
    GridMismatchError
        PAN is neither `ratio` times the MS nor on its grid.
    OptionError
        MS sides are not multiples of `ratio`.

    References
    ----------
    Wald, Ranchin, Mangolini, PE&RS 63(6), 1997; Vivone et al., IEEE TGRS 53(5), 2015.
    """
    low, high = as_floating(ms), as_floating(pan)
    if low.ndim != 3:
        raise OptionError(f"ms has shape {low.shape}; give (band, y, x)")
    rows, cols = low.shape[1:]
    if high.shape[-2:] not in ((rows * ratio, cols * ratio), (rows, cols)):
        raise GridMismatchError(
            f"pan is {high.shape[-2]}x{high.shape[-1]} and ms {rows}x{cols}; at ratio {ratio} "
            f"pan must be {rows * ratio}x{cols * ratio}"
        )
    decimate(low, ratio)
    blurred = correlate_replicate(low, mtf_kernels(sensor, ratio, low.shape[0]))
    return as_floating(np.ascontiguousarray(decimate(blurred, ratio))), imresize(high, 1.0 / ratio)
