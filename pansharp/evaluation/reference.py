"""Pixel-wise indices against a reference: ERGAS, SAM, RMSE, CC, PSNR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.evaluation import _views as views
from pansharp.evaluation.sums import reference_sums

if TYPE_CHECKING:
    from pansharp.evaluation._views import Mask, Raster
    from pansharp.evaluation.sums import ReferenceSums

__all__ = ["cc", "ergas", "psnr", "rmse", "sam"]


def _sums(
    reference: Raster, fused: Raster, mask: Mask | None, *, angles: bool, scatter: bool
) -> ReferenceSums:
    first, second = views.pair(reference, fused)
    validity = views.mask_view(mask, first.size)
    return reference_sums(first, second, validity, with_angles=angles, scatter=scatter)


def ergas(reference: Raster, fused: Raster, *, ratio: float = 4, mask: Mask | None = None) -> float:
    """ERGAS, the relative dimensionless global error in synthesis; ideal 0.

    ``100 / ratio * sqrt(mean over bands of MSE_b / mean(reference_b)^2)``.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), counts, any real type.
    ratio : float
        MS pixel size over PAN pixel size, at least 1 (4, not 0.25).
    mask : array or view, optional
        Shape (y, x), True where valid; other pixels are left out.

    Returns
    -------
    float
        0 for equal images, unbounded above.

    Raises
    ------
    MetricError
        Shapes differ, ratio below 1, no valid pixel, a reference band with mean 0, or a value
        that is not finite outside the mask.

    References
    ----------
    Wald, "Quality of high resolution synthesised images: is there a simple criterion?", 2000.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.full((2, 8, 8), 100.0)
    >>> ergas(image, image + 1.0, ratio=4)
    0.25
    """
    views.check_ratio(ratio)
    return _sums(reference, fused, mask, angles=False, scatter=False).ergas(ratio)


def sam(reference: Raster, fused: Raster, *, mask: Mask | None = None) -> float:
    """Spectral angle mapper: mean angle between the spectra, in degrees; ideal 0.

    Pixels where either spectrum is all zero are left out of the mean; the cosine is limited to
    -1 ... 1. Blind to a common scale of a pixel's bands; 0 for a single band.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), any unit and real type; computed in float64.
    mask : array or view, optional
        Shape (y, x), True where valid.

    Returns
    -------
    float
        0 to 180 degrees.

    Raises
    ------
    MetricError
        Shapes differ, no pixel with a spectrum, values not finite outside the mask.

    References
    ----------
    Yuhas, Goetz, Boardman, JPL Airborne Geoscience Workshop, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    >>> first[0] = second[1] = 5.0
    >>> sam(first, second)
    90.0
    """
    return _sums(reference, fused, mask, angles=True, scatter=False).sam()


def rmse(reference: Raster, fused: Raster, *, mask: Mask | None = None) -> float:
    """Root mean squared error over all valid pixels and all bands; ideal 0.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), counts.
    mask : array or view, optional
        Shape (y, x), True where valid.

    Returns
    -------
    float
        In the images' unit.

    Raises
    ------
    MetricError
        Shapes differ, no valid pixel, values not finite outside the mask.

    Examples
    --------
    >>> import numpy as np
    >>> rmse(np.zeros((1, 4, 4)), np.full((1, 4, 4), 3.0))
    3.0
    """
    return _sums(reference, fused, mask, angles=False, scatter=False).rmse()


def cc(reference: Raster, fused: Raster, *, mask: Mask | None = None) -> float:
    """Pearson correlation per band, averaged over bands; ideal 1.

    Blind to gain and offset of a band.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), any unit.
    mask : array or view, optional
        Shape (y, x), True where valid.

    Returns
    -------
    float
        -1 to 1.

    Raises
    ------
    MetricError
        Shapes differ, no valid pixel, a constant band, values not finite outside the mask.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(32.0).reshape(2, 4, 4)
    >>> round(cc(image, 2 * image + 1), 12)
    1.0
    """
    return _sums(reference, fused, mask, angles=False, scatter=True).cc()


def psnr(
    reference: Raster,
    fused: Raster,
    *,
    data_range: float,
    pooled: bool = True,
    mask: Mask | None = None,
) -> float:
    """Peak signal-to-noise ratio ``10 log10(data_range^2 / MSE)`` in dB; ideal infinite.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), counts.
    data_range : float
        Largest value possible, 2^bits - 1 (2047 for 11 bits).
    pooled : bool
        One MSE over all bands (default), or the mean of the bands' ratios.
    mask : array or view, optional
        Shape (y, x), True where valid.

    Returns
    -------
    float
        Decibels; infinite for equal images.

    Raises
    ------
    MetricError
        Shapes differ, `data_range` not positive, no valid pixel, values not finite.

    Examples
    --------
    >>> import numpy as np
    >>> psnr(np.zeros((1, 4, 4)), np.full((1, 4, 4), 10.0), data_range=1000)
    40.0
    """
    sums = _sums(reference, fused, mask, angles=False, scatter=False)
    return sums.psnr(data_range, pooled=pooled)
