"""LOC-HS: hypersharpening with regressions that follow the ground, shrunk to the global one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.hyperspectral.operators import (
    Psf,
    add_detail,
    inner_pixels,
    low_guide,
    psf_of,
    pyramid_halo,
)
from pansharp.models.hyperspectral.statistics import (
    MeasuresPair,
    PairStatistics,
    Subspace,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.geometry.grids import Window
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Local", "LocalFuser", "loc_hs", "window_sums"]

#: Weight of the scene's covariances in a window: a single band says little of the ground, and
#: regressions on it must lean on the scene (docs/hyperspectral.md).
_SHRINK, _SHRINK_PAN = 0.1, 1.0


def window_sums(planes: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Sums over square windows, whole ones only.

    Parameters
    ----------
    planes : ndarray, shape (plane, y, x), float64
        Input.
    radius : int
        Half side of the window.

    Returns
    -------
    ndarray, shape (plane, y - 2 radius, x - 2 radius), float64
        Added in one fixed order, so that a pixel does not depend on the array around it.
    """
    size = 2 * radius + 1
    rows = planes.shape[1] - size + 1
    cols = planes.shape[2] - size + 1
    tall = sum((planes[:, i : i + rows] for i in range(1, size)), planes[:, :rows].copy())
    wide = sum((tall[:, :, i : i + cols] for i in range(1, size)), tall[:, :, :cols].copy())
    return np.asarray(wide)


@dataclass(frozen=True)
class LocalFuser:
    """``y = H~ + E W_p (M - U D M)``, W_p interpolated between HSI pixels.

    Parameters
    ----------
    space : Subspace
        Components of the spectra.
    spread : ndarray, shape (guide,), float64
        Standard deviation of the blurred guide bands, counts; 0 for those that are left out.
    level : ndarray, shape (guide,), float64
        Their means.
    spreads : ndarray, shape (guide, guide), float64
        Correlations of the guide bands in use.
    start : ndarray, shape (guide, component), float64
        Global regression of the components on the guide bands in units of their spread.
    radius : int
        Half side of the window, HSI pixels.
    shrink : float
        Weight of the global covariances.
    psf : Psf
        Blur of the HSI.
    halo : int
        Guide pixels of context.
    inside : tuple of int or None
        First row, one past the last row, first column, one past the last column of the HSI pixels
        whose centre lies in the scene.
    """

    space: Subspace
    spread: NDArray[np.float64]
    level: NDArray[np.float64]
    correlations: NDArray[np.float64]
    start: NDArray[np.float64]
    radius: int
    shrink: float
    psf: Psf
    halo: int
    inside: tuple[int, int, int, int] | None = None

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        if (self.spread > 0).any():
            detail = chip.guide() - low_guide(chip, self.psf, self.inside)
            add_detail(fused, self.space.weights, self.coded(chip, detail))
        return fused

    def coded(self, chip: Chip, detail: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the detail adds to the components of the spectra.

        Parameters
        ----------
        chip : Chip
            The chip.
        detail : ndarray, shape (guide, y, x), float32
            ``M - U D M`` of its window, counts.

        Returns
        -------
        ndarray, shape (component, y, x), float32
        """
        use = np.flatnonzero(self.spread > 0)
        size, guides = self.space.size, len(use)
        if not guides:
            return np.zeros((size, *chip.window.shape), dtype=np.float32)
        scaled = detail[use] / self.spread[use, None, None].astype(np.float32)
        reach = chip.up_window()
        weights = self._weights(chip, reach, use)
        wide = chip.up_from(
            weights.reshape(guides * size, *reach.shape).astype(np.float32),
            (reach.row, reach.col),
        ).reshape(guides, size, *chip.window.shape)
        coded: NDArray[np.float32] = scaled[0] * wide[0]
        for plane, weight in zip(scaled[1:], wide[1:], strict=True):
            coded += plane * weight
        return coded

    def _weights(self, chip: Chip, reach: Window, use: NDArray[np.intp]) -> NDArray[np.float64]:
        """Regression weights at the HSI pixels of `reach`: (guide, component, y, x)."""
        outer = reach.expand(self.radius)
        coded = self.space.project(chip.ms_pixels(outer))
        guide = chip.down(self.psf, outer)[use].astype(np.float64)
        guide = (guide - self.level[use, None, None]) / self.spread[use, None, None]
        mask = chip.ms_mask(outer)
        known = np.ones(outer.shape) if mask is None else mask.astype(np.float64)
        if self.inside is not None:
            # Beyond the border HSI and guide are replicated each by itself: no pair to learn from.
            row, row_end, col, col_end = self.inside
            rows = np.arange(outer.row, outer.row_end)
            cols = np.arange(outer.col, outer.col_end)
            known *= ((rows >= row) & (rows < row_end))[:, None]
            known *= (cols >= col) & (cols < col_end)
        count = window_sums(known[None], self.radius)[0]
        safe = np.maximum(count, 1.0)
        size, guides = len(coded), len(guide)
        mean_guide = window_sums(guide * known, self.radius) / safe
        mean_coded = window_sums(coded * known, self.radius) / safe
        inner = np.empty((guides, guides, *reach.shape))
        cross = np.empty((guides, size, *reach.shape))
        for i in range(guides):
            own = guide[i] * known
            inner[i] = window_sums(guide * own, self.radius) / safe - mean_guide[i] * mean_guide
            cross[i] = window_sums(coded * own, self.radius) / safe - mean_guide[i] * mean_coded
        inner += self.shrink * self.correlations[:, :, None, None]
        cross += self.shrink * (self.correlations @ self.start)[:, :, None, None]
        solved = np.linalg.solve(inner.transpose(2, 3, 0, 1), cross.transpose(2, 3, 0, 1))
        return np.asarray(solved.transpose(2, 3, 0, 1))


@dataclass(frozen=True, slots=True)
class Local(MeasuresPair):
    """Regression in windows of the HSI, shrunk to the regression of the whole scene.

    Parameters
    ----------
    window : int
        Side of the window, HSI pixels, odd.
    shrink : float or None
        Weight of the global covariances, above 0; None takes 0.1, and 1 where the guide has one
        band.
    """

    window: int = 5
    shrink: float | None = None
    spec = ModelSpec(
        "loc-hs",
        "classical",
        "after Selva et al., IEEE JSTARS 8(6), 2015, regressions in shrunk 5 x 5 windows",
        "detail of all guide bands, local regression of the spectral components",
        tasks=("hsi",),
    )

    def finish(self, moments: Moments | None, facts: SceneFacts) -> LocalFuser:
        """Subspace and global regression."""
        assert moments is not None
        bands = len(facts.ms_gains)
        pair = PairStatistics.of(moments, bands)
        space = pair.subspace()
        spread = pair.guide_spread
        use = np.flatnonzero(spread > 0)
        inverse = 1.0 / spread[use]
        guide = pair.cov[bands:, bands:][np.ix_(use, use)] * np.outer(inverse, inverse)
        # The global regression of counts, carried into the subspace and to unit guide bands.
        start = (space.basis / space.scale[:, None]).T @ pair.on_guide()[:, use]
        psf = psf_of(facts)
        radius = self.window // 2
        ratio = facts.alignment.ratio
        return LocalFuser(
            space=space,
            spread=spread,
            level=pair.means[bands:],
            correlations=guide,
            start=(start * spread[use]).T,
            radius=radius,
            shrink=self.shrink or (_SHRINK if len(use) > 1 else _SHRINK_PAN),
            psf=psf,
            halo=pyramid_halo(ratio, psf) + math.ceil(ratio * (radius + 1)),
            inside=inner_pixels(facts),
        )


@register_model("loc-hs")
def loc_hs(window: int = 5, shrink: float | None = None) -> Local:
    """Local hypersharpening.

    Parameters
    ----------
    window : int
        Side of the regression window in HSI pixels, odd and at least 3.
    shrink : float, optional
        Weight of the scene's covariances in every window, above 0.

    Raises
    ------
    OptionError
        A window that is even or below 3, or no shrinkage.
    """
    if window < 3 or window % 2 == 0:
        raise OptionError(f"window is {window}; give an odd number of HSI pixels, 3 or more")
    if shrink is not None and not shrink > 0:
        raise OptionError(f"shrink is {shrink}; it must be above 0 (0.1 is usual)")
    return Local(window, shrink)
