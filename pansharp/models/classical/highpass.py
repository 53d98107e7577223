"""Methods with simple low-pass filters: HPF, SFIM, ATWT, AWLP, and the morphological MF-HG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.chips import CYCLE_HALO
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._fusers import EPS, FLOOR, LIMIT, DetailFuser
from pansharp.models.classical._lowpass import Atrous, BoxMean, HalfGradient
from pansharp.models.classical._moments import covariance, match, mean, quick_gram
from pansharp.models.classical.hpm import modulation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Fuser, Moments, SceneFacts
    from pansharp.models.classical._lowpass import Lowpass

__all__ = ["Awlp", "AwlpFuser", "Matched", "atwt", "awlp", "hpf", "mf_hg", "sfim"]


@dataclass(frozen=True, slots=True)
class Matched:
    """Detail or modulation by a PAN that has mean and deviation of each band.

    Parameters
    ----------
    spec : ModelSpec
        Facts about the method.
    lowpass : Lowpass
        What is subtracted from the PAN, or divided by.
    modulates : bool
        ``M~_b P_b / low(P_b)`` instead of ``M~_b + P_b - low(P_b)``.
    mode : {"default", "reference"}
        See :class:`pansharp.models.classical._fusers.ModulationFuser`.
    """

    spec: ModelSpec
    lowpass: Lowpass
    modulates: bool
    mode: str = "default"

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums and squares of PAN and M~."""
        return {"high": quick_gram([chip.guide()[0], *chip.up()], chip.valid)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> Fuser:
        """Match the PAN to every band; the filters keep its level."""
        assert moments is not None
        scale, shift = match(moments["high"])
        means = mean(moments["high"])[1:].tolist()
        ratio = facts.alignment.ratio
        halo = self.lowpass.halo(ratio)
        if self.modulates:
            return modulation(self.lowpass, halo, self.mode, scale, shift, shift, means)
        return DetailFuser(self.lowpass, scale, halo)


@register_model("hpf")
def hpf(mode: str = "default") -> Matched:
    """High-pass filtering: PAN minus its mean over a box of about one MS pixel.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    spec = ModelSpec(
        "hpf",
        "classical",
        "Chavez, Sides, Anderson, PE&RS 57(3), 1991",
        "detail of the PAN against its box mean",
        bands=(1, None),
    )
    return Matched(spec, BoxMean(), modulates=False, mode=mode)


@register_model("sfim")
def sfim(mode: str = "default") -> Matched:
    """Smoothing-filter-based intensity modulation: bands times PAN over its box mean.

    Parameters
    ----------
    mode : {"default", "reference"}
        ``default`` bounds the quotient where the denominator is below 2 % of its mean.
    """
    spec = ModelSpec(
        "sfim",
        "classical",
        "Liu, International Journal of Remote Sensing 21(18), 2000",
        "bands modulated by the PAN over its box mean",
        bands=(1, None),
    )
    return Matched(spec, BoxMean(), modulates=True, mode=mode)


@register_model("atwt")
def atwt(mode: str = "default") -> Matched:
    """A-trous wavelet: detail planes of the PAN matched to each band.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    spec = ModelSpec(
        "atwt",
        "classical",
        "Nunez et al., IEEE TGRS 37(3), 1999; Vivone, Restaino et al., 2014",
        "undecimated B3-spline wavelet detail of a PAN matched to each band",
        bands=(1, None),
    )
    return Matched(spec, Atrous(), modulates=False, mode=mode)


@register_model("mf-hg")
def mf_hg(mode: str = "default") -> Matched:
    """Morphological half-gradient pyramid, with modulation.

    Parameters
    ----------
    mode : {"default", "reference"}
        See :func:`sfim`. The pyramid lies on the lattice of the PAN, whatever the MS does.
    """
    spec = ModelSpec(
        "mf-hg",
        "classical",
        "Restaino et al., IEEE TIP 25(6), 2016",
        "bands modulated by the PAN over its morphological pyramid",
        bands=(1, None),
        note="a pyramid of halvings: between ratios 2, 4, 8 the nearest one",
    )
    return Matched(spec, HalfGradient(), modulates=True, mode=mode)


@dataclass(frozen=True, slots=True)
class AwlpFuser:
    """``y_b = M~_b + g_b (P - atrous(P)) M~_b / mean over bands of M~``.

    Parameters
    ----------
    gains : tuple of float
        Match of the PAN to each band.
    floor : float
        Smallest mean over bands to divide by, counts.
    halo : int
        PAN pixels of context.
    mode : {"default", "reference"}
        ``reference`` divides by the mean + eps everywhere.
    """

    gains: tuple[float, ...]
    floor: float
    halo: int
    mode: str = "default"

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        kind = fused.dtype.type
        detail = chip.guide()[0] - chip.atrous()
        level = fused.mean(axis=0)
        if self.mode == "reference":
            detail /= level + EPS
        else:
            np.maximum(level, kind(self.floor), out=level)
            detail /= level
        scratch = np.empty_like(detail)
        for plane, gain in zip(fused, self.gains, strict=True):
            np.multiply(detail, kind(gain), out=scratch)
            scratch += kind(1.0)
            if self.mode == "default":
                np.clip(scratch, -LIMIT, LIMIT, out=scratch)
            plane *= scratch
        return fused


@dataclass(frozen=True, slots=True)
class Awlp:
    """Additive wavelet luminance proportional: detail shared out in proportion to the bands.

    Source: Otazu et al., IEEE TGRS 43(10), 2005; matching of the 2021 edition (Vivone et al.,
    "Fast reproducible pansharpening based on instrument and acquisition modeling: AWLP
    revisited", Remote Sensing 11(19), 2019).
    """

    mode: str = "default"
    spec = ModelSpec(
        "awlp",
        "classical",
        "Otazu et al., IEEE TGRS 43(10), 2005; Vivone et al., Remote Sensing 11(19), 2019",
        "wavelet detail in proportion to the bands, spectral angle kept",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return math.ceil(CYCLE_HALO * facts.alignment.ratio)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums and squares of the PAN after shrinking and enlarging, and of M~."""
        halo = self.measure_halo(facts)
        cycled = chip.cycle(chip.guide(halo), halo)[0]
        up = chip.up()
        return {"cycled": quick_gram([cycled, up.mean(axis=0), *up], chip.valid)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> AwlpFuser:
        """Match the PAN to the bands by the deviation of its coarse version."""
        assert moments is not None
        means = mean(moments["cycled"])
        spread = np.sqrt(np.maximum(np.diag(covariance(moments["cycled"])), 0.0))
        gains, _ = match(moments["cycled"], first=2)
        # Signed data whose bands cancel have no proportion: keep the division harmless.
        floor = max(FLOOR * float(means[1]), 1e-6 * float(spread[1]), 1e-30)
        halo = Atrous().halo(facts.alignment.ratio)
        return AwlpFuser(gains, floor, halo, self.mode)


@register_model("awlp")
def awlp(mode: str = "default") -> Awlp:
    """Additive wavelet luminance proportional.

    Parameters
    ----------
    mode : {"default", "reference"}
        ``default`` divides by 2 % of the scene's mean where the mean of the bands is below it.
    """
    return Awlp(mode)
