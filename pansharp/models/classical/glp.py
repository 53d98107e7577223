"""MTF-GLP with additive detail: matched, regressed (CBD), or regressed at full scale (FS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.kernels import glp_halo
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._fusers import DetailFuser
from pansharp.models.classical._lowpass import Glp
from pansharp.models.classical._moments import covariance, match, quick_gram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import FusionModel, Moments, SceneFacts

__all__ = [
    "GlpFuser",
    "MtfGlp",
    "MtfGlpRegressed",
    "mtf_glp",
    "mtf_glp_cbd",
    "mtf_glp_fs",
    "pan_ms_low",
]


@dataclass(frozen=True, slots=True)
class GlpFuser(DetailFuser):
    """``y_b = M~_b + g_b (P - P_L,b) + offset_b`` with the GLP low-pass: the anchor of networks."""

    @classmethod
    def of(
        cls,
        gains: tuple[float, ...],
        facts: SceneFacts,
        offsets: tuple[float, ...] = (),
    ) -> GlpFuser:
        """Fuser with the MTF gains of a scene."""
        halo = glp_halo(facts.alignment.ratio, facts.ms_gains)
        return cls(Glp(facts.ms_gains), gains, halo, offsets)

    @property
    def mtf(self) -> tuple[float, ...]:
        """MTF gains at Nyquist that shape the low-pass of each band."""
        assert isinstance(self.lowpass, Glp)
        return self.lowpass.mtf


def pan_ms_low(chip: Chip, facts: SceneFacts) -> Moments:
    """Cross products of P, M~_b and P_L,b, one table a band: key ``pan_ms_low``."""
    pan, up = chip.guide()[0], chip.up()
    low = chip.glp(facts.ms_gains)
    bands = range(len(up))
    if Glp(facts.ms_gains).shared:
        # One table for all: PAN and low-pass are multiplied once.
        total = quick_gram([pan, low[0], *up], chip.valid, cross=True)
        picks = [np.array([0, 1, 3 + band, 2]) for band in bands]
        return {"pan_ms_low": np.stack([total[np.ix_(pick, pick)] for pick in picks])}
    totals = [quick_gram([pan, up[b], low[b]], chip.valid, cross=True) for b in bands]
    return {"pan_ms_low": np.stack(totals)}


def regressed(table: NDArray[np.float64], *, full_scale: bool) -> float:
    """Injection gain from the covariance of P, M~_b and P_L,b; 0 for a PAN without contrast."""
    above = table[0, 1] if full_scale else table[2, 1]
    below = table[0, 2] if full_scale else table[2, 2]
    return float(above / below) if abs(below) > 1e-9 * table[0, 0] > 0 else 0.0


@dataclass(frozen=True, slots=True)
class MtfGlpRegressed:
    """MTF-GLP whose gains are regressions.

    Parameters
    ----------
    spec : ModelSpec
        Facts about the method.
    full_scale : bool
        ``cov(M~_b, P) / cov(P_L,b, P)`` instead of ``cov(M~_b, P_L,b) / var(P_L,b)``.
    """

    spec: ModelSpec
    full_scale: bool

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return glp_halo(facts.alignment.ratio, facts.ms_gains)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of P, M~_b and P_L,b."""
        return pan_ms_low(chip, facts)

    def finish(self, moments: Moments | None, facts: SceneFacts) -> GlpFuser:
        """Solve the regressions."""
        assert moments is not None
        tables = [covariance(total) for total in moments["pan_ms_low"]]
        gains = tuple(regressed(table, full_scale=self.full_scale) for table in tables)
        return GlpFuser.of(gains, facts)


@dataclass(frozen=True, slots=True)
class MtfGlp:
    """MTF-GLP with the PAN matched to each band.

    Source: Aiazzi et al., PE&RS 72(5), 2006; matching of the 2021 toolbox edition.
    """

    mode: str = "default"
    spec = ModelSpec(
        "mtf-glp",
        "classical",
        "Aiazzi et al., PE&RS 72(5), 2006",
        "MTF-matched multiresolution detail of a PAN matched to each band",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return glp_halo(facts.alignment.ratio, facts.ms_gains)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums and squares of P, its Gaussian low-pass, and M~."""
        return {"matched": quick_gram([chip.guide()[0], chip.gauss(), *chip.up()], chip.valid)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> GlpFuser:
        """Match by the deviation of the low-pass PAN; keep the level that the filters lose."""
        assert moments is not None
        scale, shift = match(moments["matched"], spread_of=1, first=2)
        return GlpFuser.of(scale, facts, shift)


@register_model("mtf-glp")
def mtf_glp(mode: str = "default") -> MtfGlp:
    """MTF-GLP with matched detail.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    return MtfGlp(mode)


@register_model("mtf-glp-fs")
def mtf_glp_fs(mode: str = "default") -> MtfGlpRegressed:
    """MTF-GLP with full-scale gains.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    spec = ModelSpec(
        "mtf-glp-fs",
        "classical",
        "Vivone, Restaino, Chanussot, IEEE TIP 27(7), 2018",
        "MTF-matched multiresolution detail, gains regressed at full scale",
        bands=(1, None),
    )
    return MtfGlpRegressed(spec, full_scale=True)


@register_model("mtf-glp-cbd")
def mtf_glp_cbd(mode: str = "default", window: int | None = None) -> FusionModel:
    """MTF-GLP with context-based decision: gains regressed, over the scene or in a window.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    window : int, optional
        Side of a sliding window in PAN pixels (odd; 55 in the 2015 toolbox); None regresses once
        over the whole scene.

    Raises
    ------
    OptionError
        `window` is even or below 3.
    """
    spec = ModelSpec(
        "mtf-glp-cbd",
        "classical",
        "Alparone et al., IEEE TGRS 45(10), 2007",
        "MTF-matched multiresolution detail, gains regressed over the scene or in a window",
        bands=(1, None),
    )
    if window is None:
        return MtfGlpRegressed(spec, full_scale=False)
    from pansharp.models.classical.local import MtfGlpLocal

    return MtfGlpLocal(spec, window, mode)
