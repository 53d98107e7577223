"""MTF-GLP with high-pass modulation: the band times PAN over its low-pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.kernels import glp_halo
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._fusers import ModulationFuser
from pansharp.models.classical._haze import haze_moments, haze_of
from pansharp.models.classical._lowpass import Glp
from pansharp.models.classical._moments import covariance, gram, match, mean, quick_gram
from pansharp.models.classical.glp import pan_ms_low, regressed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts
    from pansharp.models.classical._lowpass import Lowpass

__all__ = [
    "MtfGlpHpm",
    "MtfGlpHpmH",
    "MtfGlpHpmR",
    "modulation",
    "mtf_glp_hpm",
    "mtf_glp_hpm_h",
    "mtf_glp_hpm_r",
]


def modulation(
    lowpass: Lowpass,
    halo: int,
    mode: str,
    scale: Sequence[float],
    above: Sequence[float],
    below: Sequence[float],
    level: Sequence[float],
    haze: tuple[float, ...] = (),
    *,
    filtered: bool = False,
) -> ModulationFuser:
    """A modulation whose denominator has mean 1 in default mode.

    Parameters
    ----------
    lowpass : Lowpass
        Makes the low-pass PAN.
    halo : int
        PAN pixels of context.
    mode : {"default", "reference"}
        ``reference`` leaves the denominator as the toolbox has it.
    scale, above, below : sequence of float
        The factors of ``(scale P + above) / (scale P_L + below)``.
    level : sequence of float
        Scene mean of each denominator.
    haze : tuple of float
        Subtracted from the band before and added after.
    filtered : bool
        Whether `below` went through the low-pass with the PAN.

    Returns
    -------
    ModulationFuser
        A band whose denominator has mean 0 keeps the interpolated MS.
    """
    if mode == "reference":
        return ModulationFuser(
            lowpass, tuple(scale), tuple(above), tuple(below), halo, filtered, haze, mode
        )
    rows = []
    for a, c, d, mean_low in zip(scale, above, below, level, strict=True):
        sound = abs(mean_low) > 1e-5 * max(abs(c), abs(d))
        rows.append((a / mean_low, c / mean_low, d / mean_low) if sound else (0.0, 1.0, 1.0))
    first, second, third = (tuple(float(r[i]) for r in rows) for i in range(3))
    return ModulationFuser(lowpass, first, second, third, halo, filtered, haze, mode)


@dataclass(frozen=True, slots=True)
class MtfGlpHpm:
    """MTF-GLP-HPM: ``y_b = M~_b P_b / low(P_b)`` with the PAN matched to the band.

    Source: Aiazzi et al., "MTF-tailored multiscale fusion", PE&RS 72(5), 2006; Vivone et al., 2015.
    """

    mode: str = "default"
    spec = ModelSpec(
        "mtf-glp-hpm",
        "classical",
        "Aiazzi et al., PE&RS 72(5), 2006",
        "bands modulated by matched PAN over its MTF-matched low-pass",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return glp_halo(facts.alignment.ratio, facts.ms_gains)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums and squares of P, its Gaussian low-pass, and M~."""
        return {"matched": quick_gram([chip.guide()[0], chip.gauss(), *chip.up()], chip.valid)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> ModulationFuser:
        """Match the PAN to each band."""
        assert moments is not None
        scale, shift = match(moments["matched"], spread_of=1, first=2)
        lowpass = Glp(facts.ms_gains)
        halo = lowpass.halo(facts.alignment.ratio)
        # The matched PAN has the mean of its band.
        means = mean(moments["matched"])[2:].tolist()
        return modulation(lowpass, halo, self.mode, scale, shift, shift, means, filtered=True)


@dataclass(frozen=True, slots=True)
class MtfGlpHpmR:
    """MTF-GLP-HPM-R: modulation by a PAN that is regressed on the band.

    Source: Vivone et al., "A regression-based high-pass modulation pansharpening approach",
    IEEE TGRS 56(2), 2018.
    """

    mode: str = "default"
    spec = ModelSpec(
        "mtf-glp-hpm-r",
        "classical",
        "Vivone, Restaino, Chanussot, IEEE TGRS 56(2), 2018",
        "high-pass modulation by a PAN regressed on each band",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return glp_halo(facts.alignment.ratio, facts.ms_gains)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of P, M~_b and P_L,b."""
        return pan_ms_low(chip, facts)

    def finish(self, moments: Moments | None, facts: SceneFacts) -> ModulationFuser:
        """Regress ``M~_b = g P_L + g c``; the PAN becomes ``P + c``."""
        assert moments is not None
        rows = []
        for total in moments["pan_ms_low"]:
            means = mean(total)
            gain = regressed(covariance(total), full_scale=False)
            # A band that the PAN does not explain is not modulated at all.
            offset = means[1] / gain - means[0] if gain else 0.0
            rows.append((1.0 if gain else 0.0, offset if gain else 1.0, means[2] + offset))
        scale, shift, level = zip(*rows, strict=True)
        lowpass = Glp(facts.ms_gains)
        halo = lowpass.halo(facts.alignment.ratio)
        return modulation(lowpass, halo, self.mode, scale, shift, shift, level)


@dataclass(frozen=True, slots=True)
class MtfGlpHpmH:
    """MTF-GLP-HPM-H: modulation after the haze of MS and PAN was taken off.

    Source: Lolli et al., "Haze correction for contrast-based multispectral pansharpening",
    IEEE GRSL 14(12), 2017.
    """

    mode: str = "default"
    spec = ModelSpec(
        "mtf-glp-hpm-h",
        "classical",
        "Lolli et al., IEEE GRSL 14(12), 2017",
        "high-pass modulation without path radiance",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return glp_halo(facts.alignment.ratio, facts.ms_gains)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of the Gaussian low-pass PAN and M~, and the darkest pixels."""
        up = chip.up()
        return {
            "low": gram([chip.gauss(), *up], chip.valid),
            **haze_moments(up, chip.valid, self.mode),
        }

    def finish(self, moments: Moments | None, facts: SceneFacts) -> ModulationFuser:
        """Haze of the PAN: what the regression makes of the haze of the bands."""
        assert moments is not None
        haze = haze_of(moments, facts)
        means, table = mean(moments["low"]), covariance(moments["low"])
        weights = np.linalg.lstsq(table[1:, 1:], table[1:, 0], rcond=1e-12)[0]
        constant = float(means[0] - weights @ means[1:])
        pan_haze = constant + float(weights @ np.asarray(haze))
        lowpass = Glp(facts.ms_gains)
        count = len(haze)
        return modulation(
            lowpass,
            lowpass.halo(facts.alignment.ratio),
            self.mode,
            [1.0] * count,
            [-pan_haze] * count,
            [-pan_haze] * count,
            [float(means[0]) - pan_haze] * count,
            haze,
        )


@register_model("mtf-glp-hpm")
def mtf_glp_hpm(mode: str = "default") -> MtfGlpHpm:
    """MTF-GLP with high-pass modulation.

    Parameters
    ----------
    mode : {"default", "reference"}
        ``default`` bounds the quotient where the denominator is below 2 % of its mean.
    """
    return MtfGlpHpm(mode)


@register_model("mtf-glp-hpm-r")
def mtf_glp_hpm_r(mode: str = "default") -> MtfGlpHpmR:
    """High-pass modulation with regression.

    Parameters
    ----------
    mode : {"default", "reference"}
        See :func:`mtf_glp_hpm`.
    """
    return MtfGlpHpmR(mode)


@register_model("mtf-glp-hpm-h")
def mtf_glp_hpm_h(mode: str = "default") -> MtfGlpHpmH:
    """High-pass modulation with haze correction.

    Parameters
    ----------
    mode : {"default", "reference"}
        See :func:`mtf_glp_hpm`; the percentiles of the default come from a histogram.
    """
    return MtfGlpHpmH(mode)
