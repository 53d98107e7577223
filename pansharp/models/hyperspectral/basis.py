"""What a learned map starts from: subspace, anchors, inputs, and how noisy the HSI is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.models.base import ModelSpec, NextPass
from pansharp.models.hyperspectral.anchors import ANCHORS, Anchors, Scales
from pansharp.models.hyperspectral.operators import add_detail, part_of
from pansharp.models.hyperspectral.sampling import Lattice, guide_window
from pansharp.models.hyperspectral.statistics import PairStatistics, measure_pair, pair_halo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.geometry.grids import Window
    from pansharp.models.base import Fuser, Moments, SceneFacts
    from pansharp.models.hyperspectral.statistics import Subspace

__all__ = ["NOISY", "Basis", "GsaBasis", "MeasuresBasis", "expand"]

#: Signal-to-noise ratio of the HSI, decibel, below which it is not copied into the product.
NOISY = 35.0
#: HSI pixels of a fit.
_PIXELS = 5000
#: Weight of the scene's covariances in the windows of LOC.
_SHRINK = 0.1
#: Back-projections that complete the product of a clean scene.
_PASSES = 2


def expand(
    space: Subspace, chip: Chip, coded: NDArray[np.float32], residual: bool
) -> NDArray[np.float32]:
    """Spectra of components.

    Parameters
    ----------
    space : Subspace
        Of the scene.
    chip : Chip
        The window.
    coded : ndarray, shape (component, y, x), float32
        Components of the window.
    residual : bool
        Add what lies outside the subspace, interpolated.

    Returns
    -------
    ndarray, shape (band, y, x), float32
        Counts.
    """
    if residual:
        fused = chip.up()
        reach = chip.up_window()
        own = space.project(chip.ms_pixels(reach)).astype(np.float32)
        coded = coded - chip.up_from(own, (reach.row, reach.col))
    else:
        level = (space.scale * space.mean).astype(np.float32)[:, None, None]
        # The components count from the mean spectrum.
        fused = np.broadcast_to(level, (len(level), *coded.shape[1:])).copy()
    add_detail(fused, space.weights, coded)
    return fused


@dataclass(frozen=True)
class Basis:
    """Anchors and inputs of a scene; as a fuser, the product of the GSA anchor alone.

    Parameters
    ----------
    anchors : Anchors
        GSA and LOC.
    scales : Scales
        Of the inputs.
    lattice : Lattice or None
        HSI pixels of a fit; None: all.
    snr : float or None
        Signal-to-noise ratio of the HSI, decibel.
    """

    anchors: Anchors
    scales: Scales
    lattice: Lattice | None
    snr: float | None

    @property
    def halo(self) -> int:
        """Guide pixels of context."""
        return self.anchors.halo

    @property
    def noisy(self) -> bool:
        """Whether the HSI is too noisy to be copied: no residual, no back-projection."""
        return self.snr is not None and self.snr < NOISY

    @property
    def passes(self) -> int:
        """Back-projections that complete a product."""
        return 0 if self.noisy else _PASSES

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        return self.expand(chip, self.coded(chip))

    def coded(self, chip: Chip) -> NDArray[np.float32]:
        """Components of the GSA anchor: (component, y, x), float32."""
        return self.anchors.planes(chip, ("gsa",)).anchors["gsa"]

    def expand(self, chip: Chip, coded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Spectra of components, with the rest of the HSI where it is clean."""
        return expand(self.anchors.space, chip, coded, not self.noisy)

    def windows(self, chip: Chip) -> list[Window]:
        """Windows of HSI pixels of a chip that a fit uses."""
        own = chip.own_ms()
        if own.height <= 0 or own.width <= 0:
            return []
        return [own] if self.lattice is None else self.lattice.windows(chip)

    def index(self, window: Window) -> NDArray[np.float64]:
        """A number for each pixel of a window that orders those of the scene, (y, x)."""
        return np.zeros(window.shape) if self.lattice is None else self.lattice.index(window)

    def facts(self) -> dict[str, object]:
        """What the card says of it."""
        space = self.anchors.space
        return {
            "components": space.size,
            "variance_outside_subspace": round(space.share, 8),
            "snr_db": None if self.snr is None else round(self.snr, 2),
            "noisy": self.noisy,
        }


@dataclass(frozen=True)
class MeasuresBasis:
    """First two passes of the models that learn a correction of an anchor."""

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        raise NotImplementedError

    @property
    def sample_seed(self) -> int:
        """Seed of the sample of a large scene."""
        return 0

    def begin(self, basis: Basis, facts: SceneFacts) -> Fuser | NextPass:
        """Go on from the basis."""
        raise NotImplementedError

    def measure_halo(self, facts: SceneFacts) -> int:
        """Guide pixels around a chip that :meth:`measure` reads."""
        return pair_halo(facts)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Statistics of the pair, and where its valid pixels are."""
        lattice = Lattice.of(facts)
        counts = np.zeros(1) if lattice is None else lattice.count(chip)
        return measure_pair(chip, facts) | {"places": counts}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> NextPass:
        """Subspace and anchors; their detail is measured next."""
        assert moments is not None
        pair = PairStatistics.of(moments, len(facts.ms_gains))
        anchors = Anchors.of(moments, pair, facts, _SHRINK)
        lattice = Lattice.of(facts)
        if lattice is not None:
            lattice = lattice.draw(moments["places"], _PIXELS, self.sample_seed)
        # The scales of the details are not known yet: they are what is measured.
        basis = Basis(anchors, anchors.scales({}), lattice, pair.snr())
        return NextPass(_Details(self, basis))


@dataclass(frozen=True)
class _Details:
    """Second pass: the spread of what the anchors add."""

    plan: MeasuresBasis
    basis: Basis

    @property
    def spec(self) -> ModelSpec:
        return self.plan.spec

    def measure_halo(self, facts: SceneFacts) -> int:
        return self.basis.halo

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        anchors = self.basis.anchors
        size = anchors.space.size
        total = {name: np.zeros((2, size)) for name in ANCHORS}
        count = 0.0
        for window in self.basis.windows(chip):
            part = part_of(chip, guide_window(chip, window), anchors.halo)
            planes = anchors.planes(part)
            keep = slice(None) if part.valid is None else part.valid.ravel()
            for name in ANCHORS:
                added = (planes.anchors[name] - planes.start).reshape(size, -1)[:, keep]
                wide = added.astype(np.float64)
                total[name] += wide.sum(axis=1), (wide**2).sum(axis=1)
            count += wide.shape[1]
        return {**total, "count": np.array([count])}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> Fuser | NextPass:
        assert moments is not None
        count = max(float(moments["count"][0]), 1.0)
        details = {}
        for name in ANCHORS:
            first, second = moments[name] / count
            details[name] = np.sqrt(np.maximum(second - first**2, 0.0))
        basis = self.basis
        scales = basis.anchors.scales(details)
        return self.plan.begin(Basis(basis.anchors, scales, basis.lattice, basis.snr), facts)


@dataclass(frozen=True)
class GsaBasis(MeasuresBasis):
    """The basis itself, for networks: they learn what it lacks."""

    seed: int = 0

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return ModelSpec("basis", "classical", "", "GSA in the subspace", tasks=("hsi",))

    @property
    def sample_seed(self) -> int:
        """Seed of the sample of a large scene."""
        return self.seed

    def begin(self, basis: Basis, facts: SceneFacts) -> Basis:
        """That is all."""
        return basis
