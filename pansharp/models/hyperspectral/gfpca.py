"""GFPCA: the first principal components of the cube, filtered with the guide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.hyperspectral.operators import add_detail
from pansharp.models.hyperspectral.statistics import (
    PairStatistics,
    Subspace,
    measure_pair,
    pair_halo,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Gfpca", "GfpcaFuser", "gfpca", "guided_filter"]

#: Share of the variance that the filtered components hold.
_SHARE = 0.995


def guided_filter(
    guide: NDArray[np.float64], planes: NDArray[np.float64], radius: int, epsilon: float
) -> NDArray[np.float64]:
    """Guided filter with a guide of any number of bands.

    Source: He, Sun, Tang, IEEE TPAMI 35(6), 2013, doi 10.1109/TPAMI.2012.213.

    Parameters
    ----------
    guide : ndarray, shape (guide, y, x), float64
        In [0, 1].
    planes : ndarray, shape (plane, y, x), float64
        What is filtered.
    radius : int
        Half side of the window.
    epsilon : float
        Damping, in units of the guide squared.

    Returns
    -------
    ndarray, shape (plane, y - 4 radius, x - 4 radius), float64
        The part that whole windows reach.
    """
    means = _box(guide, radius)
    count = len(guide)
    inner = np.empty((count, count, *means.shape[1:]))
    for i in range(count):
        for j in range(i, count):
            both = _box((guide[i] * guide[j])[None], radius)[0] - means[i] * means[j]
            inner[i, j] = inner[j, i] = both
    inner[np.arange(count), np.arange(count)] += epsilon
    inverse = np.linalg.inv(inner.transpose(2, 3, 0, 1))
    cut = (slice(None), slice(2 * radius, -2 * radius), slice(2 * radius, -2 * radius))
    sharp = guide[cut]
    result = np.empty((len(planes), *sharp.shape[1:]))
    for plane, out in zip(planes, result, strict=True):
        mean = _box(plane[None], radius)[0]
        cross = _box(guide * plane, radius) - means * mean
        slope = np.einsum("yxij,jyx->iyx", inverse, cross)
        offset = mean - (slope * means).sum(axis=0)
        out[...] = (_box(slope, radius) * sharp).sum(axis=0) + _box(offset[None], radius)[0]
    return result


def _box(planes: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Means over square windows, whole ones only."""
    size = 2 * radius + 1
    for axis in (1, 2):
        total = np.cumsum(planes, axis=axis)
        total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis)
        length = total.shape[axis]
        planes = total.take(range(size, length), axis) - total.take(range(length - size), axis)
        planes = planes / size
    return np.asarray(planes)


@dataclass(frozen=True)
class GfpcaFuser:
    """``y = H~ + E (GF(U x) - U x)`` with x the first components and GF the guided filter.

    Parameters
    ----------
    space : Subspace
        The components that are filtered.
    low, high : ndarray, shape (guide,), float64
        Range of the guide over the scene, counts.
    radius : int
        Half side of the filter's window, guide pixels.
    epsilon : float
        Damping of the filter for a guide in [0, 1].
    """

    space: Subspace
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    radius: int
    epsilon: float

    @property
    def halo(self) -> int:
        """Guide pixels of context: two windows of the filter."""
        return 2 * self.radius

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        use = self.high > self.low
        if not use.any():
            return fused
        span = (self.high - self.low)[use, None, None]
        guide = (chip.guide(self.halo)[use] - self.low[use, None, None]) / span
        coded = self.space.project(chip.ms).astype(np.float32)
        wide = chip.up(self.halo, coded).astype(np.float64)
        cut = slice(self.halo, -self.halo)
        detail = guided_filter(guide, wide, self.radius, self.epsilon) - wide[:, cut, cut]
        add_detail(fused, self.space.weights, detail.astype(np.float32))
        return fused


@dataclass(frozen=True, slots=True)
class Gfpca:
    """Guided filter in the PCA domain.

    Source: Liao et al., Two-stage fusion of thermal hyperspectral and visible RGB image by PCA and
    guided filter, WHISPERS, Tokyo, 2015.

    Parameters
    ----------
    radius : int
        Half side of the filter's window, guide pixels.
    epsilon : float
        Damping for a guide in [0, 1].
    components : int or None
        Components to filter; default: as many as hold 99.5 % of the variance.
    """

    radius: int = 8
    epsilon: float = 1e-6
    components: int | None = None
    spec = ModelSpec(
        "gfpca",
        "classical",
        "Liao et al., WHISPERS, Tokyo, 2015",
        "principal components sharpened by a guided filter",
        tasks=("hsi",),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """Guide pixels around a chip that :meth:`measure` reads."""
        return pair_halo(facts)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of HSI and blurred guide, and the range of the guide."""
        guide = chip.guide().reshape(len(chip.pan), -1)
        if chip.valid is not None:
            guide = guide[:, chip.valid.ravel()]
        if guide.shape[1]:
            low, high = guide.min(axis=1), guide.max(axis=1)
        else:
            low, high = np.full((2, len(guide)), np.inf, dtype=np.float32)
            high = -high
        limits = {"min:low": low.astype(np.float64), "min:high": -high.astype(np.float64)}
        return measure_pair(chip, facts) | limits

    def finish(self, moments: Moments | None, facts: SceneFacts) -> GfpcaFuser:
        """Principal components."""
        assert moments is not None
        pair = PairStatistics.of(moments, len(facts.ms_gains))
        space = pair.subspace(self.components or pair.bands)
        if self.components is None:
            held = np.cumsum(space.variances) / max(float(space.variances.sum()), 1e-300)
            space = pair.subspace(int((held < _SHARE).sum()) + 1)
        low, high = moments["min:low"], -moments["min:high"]
        return GfpcaFuser(space, low, high, self.radius, self.epsilon)


@register_model("gfpca")
def gfpca(radius: int = 8, epsilon: float = 1e-6, components: int | None = None) -> Gfpca:
    """Guided filter in the PCA domain.

    Parameters
    ----------
    radius : int
        Half side of the filter's window in guide pixels, at least 1.
    epsilon : float
        Damping for a guide scaled to [0, 1], above 0.
    components : int, optional
        Components to filter.

    Raises
    ------
    OptionError
        A value out of range.
    """
    if radius < 1 or not epsilon > 0 or (components is not None and components < 1):
        raise OptionError(
            f"radius {radius}, epsilon {epsilon}, components {components}: give at least 1, above "
            "0, and at least 1"
        )
    return Gfpca(radius, epsilon, components)
