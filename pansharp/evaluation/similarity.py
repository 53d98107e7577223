"""SSIM, the structural similarity of Wang et al. as their 2004 code computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.evaluation import _views as views
from pansharp.evaluation._walk import walk
from pansharp.evaluation.windowed import WindowPart, clip, tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Mask, Raster, Rect, View

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

__all__ = ["AveragePart", "SimilarityPart", "averaging", "ssim", "ssim_bands"]


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


class SimilarityPart(WindowPart):
    """SSIM: sums of the local index over all windows, per band."""

    def __init__(self, image: View, data_range: float) -> None:
        super().__init__(image, 11, "SSIM")
        self._constants = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2

    def over(self, first: View, second: View, mask: View | None, rect: Rect) -> tuple[Floats, int]:
        """Sum over the windows that begin in a rectangle, and their number."""
        total = np.zeros(first.bands)
        windows = 0
        for x, y, valid in tiles((first, second), mask, clip(rect, self._size), self._side):
            weight: Floats | None = None
            kept = np.ones((x.shape[1] - 10, x.shape[2] - 10), dtype=bool)
            if valid is not None:
                weight = _gauss11(valid.astype(np.float64))
                # A hair below one half, so that rounding cannot drop a half valid window.
                kept = weight >= 0.5 - 1e-12
                weight = np.where(kept, weight, 1.0)
            windows += int(np.count_nonzero(kept))
            for band in range(first.bands):
                values = _ssim(x[band], y[band], *self._constants, weight)
                total[band] += values.sum() if valid is None else values[kept].sum()
        return total, windows


def averaging(size: tuple[int, int]) -> int:
    """By how much an image is averaged and thinned before SSIM; 1 for small ones."""
    return max(1, int(min(size) / 256 + 0.5))


class AveragePart:
    """SSIM of a large image: keeps its averages, which are few, while others walk over it."""

    def __init__(self, image: View, data_range: float) -> None:
        self._factor = averaging(image.size)
        rows, cols = (-(-side // self._factor) for side in image.size)
        self.reach = ((self._factor - 1) // 2, self._factor // 2)
        self._range = data_range
        self._images = [np.empty((image.bands, rows, cols)) for _ in range(2)]
        self._mask: Bools | None = None

    def over(
        self, first: View, second: View, mask: View | None, rect: Rect
    ) -> tuple[Rect, list[NDArray[np.generic]]]:
        """Averages of the cells that begin in a rectangle, and their validity."""
        coarse = _averaged((first, second), mask, self._factor)
        top, bottom, left, right = (-(-side // self._factor) for side in rect)
        r0, r1, c0, c1 = clip((top, bottom, left, right), coarse[0].size)
        return (r0, r1, c0, c1), [
            image.inside((r0, r1, c0, c1)) for image in coarse if r1 > r0 and c1 > c0
        ]

    def take(self, sums: tuple[Rect, list[NDArray[np.generic]]]) -> dict[str, Floats]:
        """Keep the averages of the next rectangle."""
        (r0, r1, c0, c1), parts = sums
        for image, part in zip(self._images, parts, strict=False):
            image[:, r0:r1, c0:c1] = part
        if len(parts) == 3:
            if self._mask is None:
                self._mask = np.zeros(self._images[0].shape[1:], dtype=bool)
            self._mask[r0:r1, c0:c1] = parts[2][0]
        return {}

    def bands(self) -> Floats:
        """SSIM of the averages, per band."""
        first, second = views.pair(*self._images)
        part = SimilarityPart(first, self._range)
        walk(first, second, views.mask_view(self._mask, first.size), [part])
        return part.bands()


def _averaged(images: tuple[View, View], mask: View | None, factor: int) -> list[View]:
    """Both images averaged and thinned, and their mask if there is one."""
    if mask is None:
        return [_AverageView(image, factor) for image in images]
    coarse: list[View] = [_AverageView(_Filled(image, mask), factor) for image in images]
    return [*coarse, _AverageView(mask, factor, mask=True)]


def ssim_bands(
    reference: Raster, fused: Raster, *, data_range: float, mask: Mask | None = None
) -> Floats:
    """Structural similarity of every band; see `ssim`.

    Returns
    -------
    ndarray
        Shape (band,), float64.
    """
    views.check_range(data_range)
    first: View
    second: View
    first, second = views.pair(reference, fused)
    validity: View | None = views.mask_view(mask, first.size)
    factor = averaging(first.size)
    if factor > 1:
        first, second, *rest = _averaged((first, second), validity, factor)
        validity = rest[0] if rest else None
    part = SimilarityPart(first, data_range)
    walk(first, second, validity, [part])
    return part.bands()


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
