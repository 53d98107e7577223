"""SSIM, the structural similarity of Wang et al. as their 2004 code computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import MetricError
from pansharp.evaluation import _views as views
from pansharp.evaluation.windowed import WindowPieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Mask, Raster, Rect, View

    Floats = NDArray[np.float64]

__all__ = ["ssim", "ssim_bands"]


class _AverageView(views.View):
    """Every `factor`-th sample of an image averaged over ``factor x factor``, mirrored border."""

    def __init__(self, base: View, factor: int, *, mask: bool = False) -> None:
        super().__init__(base.bands, -(-base.height // factor), -(-base.width // factor))
        self._base = base
        self._factor = factor
        self._mask = mask

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Averages; of a mask, whether every pixel is valid."""
        factor = self._factor
        before = (factor - 1) // 2
        r0, r1, c0, c1 = (side * factor - before for side in rect)
        fine = self._base.read((r0, r1, c0, c1), "mirror")
        shape = (fine.shape[0], rect[1] - rect[0], factor, rect[3] - rect[2], factor)
        cells = fine.reshape(shape)
        if self._mask:
            return np.asarray(cells.astype(bool).all(axis=(2, 4)))
        return np.asarray(cells.astype(np.float64).mean(axis=(2, 4)))


_OFFSET = np.arange(-5, 6)
_GAUSS = np.exp(-(_OFFSET**2) / (2 * 1.5**2))
_GAUSS /= _GAUSS.sum()


def _gauss11(image: Floats) -> Floats:
    """Valid correlation with the separable 11x11 Gaussian of sigma 1.5."""
    rows = image.shape[0] - 10
    down = _GAUSS[5] * image[5 : 5 + rows]
    for step in range(5):
        down += _GAUSS[step] * (image[step : step + rows] + image[10 - step : 10 - step + rows])
    cols = image.shape[1] - 10
    out: Floats = _GAUSS[5] * down[:, 5 : 5 + cols]
    for step in range(5):
        out += _GAUSS[step] * (down[:, step : step + cols] + down[:, 10 - step : 10 - step + cols])
    return out


def _ssim(x: Floats, y: Floats, c1: float, c2: float, weight: Floats | None) -> Floats:
    parts = [_gauss11(x), _gauss11(y), _gauss11(x * x + y * y), _gauss11(x * y)]
    if weight is not None:
        parts = [part / weight for part in parts]
    m1, m2, squares, product = parts
    m11, m22, m12 = m1 * m1, m2 * m2, m1 * m2
    covariance = product - m12
    variances = squares - m11 - m22
    return np.asarray(
        (2.0 * m12 + c1) * (2.0 * covariance + c2) / ((m11 + m22 + c1) * (variances + c2))
    )


def ssim_bands(
    reference: Raster, fused: Raster, *, data_range: float, mask: Mask | None = None
) -> Floats:
    """Structural similarity of every band; see `ssim`.

    Returns
    -------
    ndarray
        Shape (band,), float64.
    """
    if not data_range > 0:
        raise MetricError(
            f"data_range {data_range:g} must be positive, for example 2047 for 11 bits"
        )
    first: View
    second: View
    first, second = views.pair(reference, fused)
    validity = views.mask_view(mask, first.size)
    factor = int(min(first.size) / 256 + 0.5)
    if factor > 1:
        if validity is not None:
            first, second = _Filled(first, validity), _Filled(second, validity)
            validity = _AverageView(validity, factor, mask=True)
        first, second = _AverageView(first, factor), _AverageView(second, factor)
    height, width = first.height - 10, first.width - 10
    if height < 1 or width < 1:
        raise MetricError(
            f"image of {first.height}x{first.width} pixels is smaller than the window of SSIM, "
            "11x11; use a larger image"
        )
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    total = np.zeros(first.bands)
    windows = 0
    for x, y, valid in WindowPieces(first, second, validity, 11).tiles((height, width)):
        weight: Floats | None = None
        kept = np.ones((x.shape[1] - 10, x.shape[2] - 10), dtype=bool)
        if valid is not None:
            weight = _gauss11(valid.astype(np.float64))
            # A hair below one half, so that rounding cannot drop a window that is half valid.
            kept = weight >= 0.5 - 1e-12
            weight = np.where(kept, weight, 1.0)
        windows += int(np.count_nonzero(kept))
        for band in range(first.bands):
            values = _ssim(x[band], y[band], c1, c2, weight)
            total[band] += values.sum() if valid is None else values[kept].sum()
    if windows == 0:
        raise MetricError("no window is at least half valid; check the mask (True means valid)")
    return total / windows


class _Filled(views.View):
    """An image with 0 in its invalid pixels, so that averages of cells stay finite."""

    def __init__(self, base: View, mask: View) -> None:
        super().__init__(base.bands, base.height, base.width)
        self._base = base
        self._mask = mask

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Pixels of a window that lies inside the image."""
        return views.clean(
            self._base.inside(rect), self._mask.inside(rect)[0].astype(bool), "image"
        )


def ssim(reference: Raster, fused: Raster, *, data_range: float, mask: Mask | None = None) -> float:
    """Structural similarity of each band, averaged over bands; ideal 1.

    Wang's 2004 code: 11x11 Gaussian window of sigma 1.5 inside the image, K = (0.01, 0.03).
    Images whose smaller side is about f * 256 with f > 1 are first averaged over f x f pixels
    and sub-sampled.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), counts.
    data_range : float
        Largest value possible, 2^bits - 1 (2047 for 11 bits).
    mask : array or view, optional
        Shape (y, x), True where valid. A window uses its valid pixels only, weights made to sum
        to 1 again; windows with less than half of the weight valid are dropped.

    Returns
    -------
    float
        -1 to 1.

    Raises
    ------
    MetricError
        Shapes differ, image too small, `data_range` not positive, no window left.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (2, 40, 40))
    >>> round(ssim(image, image, data_range=2047), 12)
    1.0
    """
    return float(ssim_bands(reference, fused, data_range=data_range, mask=mask).mean())
