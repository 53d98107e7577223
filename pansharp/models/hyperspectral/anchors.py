"""Classical images that a learned correction starts from: GSA and LOC in the subspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.models.hyperspectral.local import Local, LocalFuser
from pansharp.models.hyperspectral.operators import Psf, low_guide, replicated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts
    from pansharp.models.hyperspectral.statistics import PairStatistics, Subspace

__all__ = ["ANCHORS", "AnchorPlanes", "Anchors", "Scales"]

#: Names of the anchors.
ANCHORS = ("gsa", "loc")
#: Weights of the inputs: details are small beside the values that they belong to.
_GUIDE_DETAIL, _ANCHOR_DETAIL = 2.0, 0.5


@dataclass(frozen=True)
class AnchorPlanes:
    """What a map from pixel to spectrum may look at, on the grid of the guide.

    Parameters
    ----------
    start : ndarray, shape (component, y, x), float32
        Interpolated components ``U X``.
    guide, detail : ndarray, shape (guide, y, x), float32
        ``M`` and ``M - U D M``, counts.
    anchors : dict of str to ndarray, shape (component, y, x), float32
        Anchors by name.
    """

    start: NDArray[np.float32]
    guide: NDArray[np.float32]
    detail: NDArray[np.float32]
    anchors: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Scales:
    """What the inputs of a map are divided by.

    Parameters
    ----------
    components : ndarray, shape (component,), float64
        Spread of the components of the HSI.
    level, guide : ndarray, shape (guide,), float64
        Mean and spread of the blurred guide, counts.
    details : dict of str to ndarray, shape (component,), float64
        Spread of what each anchor adds to the interpolated components.
    """

    components: NDArray[np.float64]
    level: NDArray[np.float64]
    guide: NDArray[np.float64]
    details: dict[str, NDArray[np.float64]]

    def inputs(self, planes: AnchorPlanes, name: str) -> NDArray[np.float32]:
        """Inputs of one anchor, all about N(0, 1).

        Parameters
        ----------
        planes : AnchorPlanes
            Of a window.
        name : {"gsa", "loc"}
            Anchor.

        Returns
        -------
        ndarray, shape (2 component + 2 guide, y, x), float32
            Anchor, guide, twice the guide's detail, half of what the anchor adds.
        """
        anchor = planes.anchors[name]
        size, guides = len(anchor), len(planes.guide)
        out = np.empty((2 * (size + guides), *anchor.shape[1:]), dtype=np.float32)
        own, sharp, fine, added = np.split(out, np.cumsum([size, guides, guides]))
        np.multiply(anchor, _inverse(self.components), out=own)
        np.subtract(planes.guide, self.level[:, None, None].astype(np.float32), out=sharp)
        sharp *= _inverse(self.guide)
        np.multiply(planes.detail, _inverse(self.guide, _GUIDE_DETAIL), out=fine)
        np.subtract(anchor, planes.start, out=added)
        added *= _inverse(self.details[name], _ANCHOR_DETAIL)
        return out


def _inverse(spread: NDArray[np.float64], factor: float = 1.0) -> NDArray[np.float32]:
    """``factor / spread`` as planes, 0 where nothing varies."""
    safe = np.where(spread > 0, spread, 1.0)
    flat: NDArray[np.float64] = np.where(spread > 0, factor / safe, 0.0)
    return flat[:, None, None].astype(np.float32)


@dataclass(frozen=True)
class Anchors:
    """GSA and LOC of a scene, as components of its spectra.

    Parameters
    ----------
    local : LocalFuser
        Regression in windows; also holds subspace, guide statistics and blur.
    weights : ndarray, shape (component, guide), float64
        Regression of the whole scene, per guide count.
    shape : tuple of int or None
        Rows and columns of the scene.
    """

    local: LocalFuser
    weights: NDArray[np.float64]
    shape: tuple[int, int] | None

    @classmethod
    def of(
        cls, moments: Moments, pair: PairStatistics, facts: SceneFacts, shrink: float
    ) -> Anchors:
        """From the statistics of a pair.

        Parameters
        ----------
        moments : dict
            Of :func:`pansharp.models.hyperspectral.statistics.measure_pair`.
        pair : PairStatistics
            The same.
        facts : SceneFacts
            Ratio, blur, size of the scene.
        shrink : float
            Weight of the covariances of the scene in the windows of LOC.
        """
        local = Local(shrink=shrink).finish(moments, facts)
        space = local.space
        weights = (space.basis / space.scale[:, None]).T @ pair.on_guide()
        return cls(local, weights, facts.shape)

    @property
    def space(self) -> Subspace:
        """Components of the spectra."""
        return self.local.space

    @property
    def psf(self) -> Psf:
        """Blur of the HSI."""
        return self.local.psf

    @property
    def halo(self) -> int:
        """Guide pixels around a window that :meth:`planes` reads."""
        return self.local.halo

    def planes(self, chip: Chip, names: tuple[str, ...] = ANCHORS) -> AnchorPlanes:
        """Anchors of a chip's window, replicated beyond the border of the scene.

        Parameters
        ----------
        chip : Chip
            With :attr:`halo` guide pixels of context.
        names : tuple of str
            Anchors that are wanted.

        Returns
        -------
        AnchorPlanes
        """
        reach = chip.up_window()
        coded = self.space.project(chip.ms_pixels(reach)).astype(np.float32)
        start = chip.up_from(coded, (reach.row, reach.col))
        guide = chip.guide()
        detail = guide - low_guide(chip, self.psf, self.local.inside)
        anchors = {}
        for name in names:
            if name == "gsa":
                flat = detail.reshape(len(detail), -1)
                added = (self.weights.astype(np.float32) @ flat).reshape(start.shape)
            else:
                added = self.local.coded(chip, detail)
            anchors[name] = start + added

        def edge(planes: NDArray[np.float32]) -> NDArray[np.float32]:
            return replicated(planes, chip.window, self.shape)

        return AnchorPlanes(
            edge(start), edge(guide), edge(detail), {k: edge(v) for k, v in anchors.items()}
        )

    def scales(self, details: dict[str, NDArray[np.float64]]) -> Scales:
        """Divisors of the inputs, given the spread of what the anchors add."""
        local = self.local
        return Scales(np.sqrt(self.space.variances), local.level, local.spread, details)
