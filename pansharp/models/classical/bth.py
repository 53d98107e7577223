"""BT-H: Brovey transform with haze removal and a regressed intensity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._fusers import EPS, FLOOR, LIMIT, weighted_sum
from pansharp.models.classical._haze import haze_moments, haze_of
from pansharp.models.classical._moments import covariance, deviation, gram, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["BtH", "BtHFuser", "bth"]


@dataclass(frozen=True, slots=True)
class BtHFuser:
    """``y_b = max(M~_b - h_b, 0) (a P + c) / I + h_b`` with ``I = sum_k w_k (M~_k - h_k)``.

    Parameters
    ----------
    weights, haze : tuple of float
        One a band.
    gain, offset : float
        Match of the PAN to the intensity.
    floor : float
        Smallest intensity to divide by, counts.
    mode : {"default", "reference"}
        ``reference`` divides by the intensity + eps everywhere.
    """

    weights: tuple[float, ...]
    haze: tuple[float, ...]
    gain: float
    offset: float
    floor: float
    mode: str = "default"
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        kind = fused.dtype.type
        for plane, haze in zip(fused, self.haze, strict=True):
            plane -= kind(haze)
        intensity = weighted_sum(fused, self.weights)
        ratio = chip.guide()[0] * kind(self.gain)
        ratio += kind(self.offset)
        if self.mode == "reference":
            ratio /= intensity + EPS
        else:
            ratio -= intensity
            np.maximum(intensity, kind(self.floor), out=intensity)
            ratio /= intensity
            ratio += kind(1.0)
            np.clip(ratio, -LIMIT, LIMIT, out=ratio)
        for plane, haze in zip(fused, self.haze, strict=True):
            np.maximum(plane, kind(0.0), out=plane)
            plane *= ratio
            plane += kind(haze)
        return fused


@dataclass(frozen=True, slots=True)
class BtH:
    """Brovey transform with haze correction.

    Source: Lolli et al., IEEE GRSL 14(12), 2017.
    """

    mode: str = "default"
    spec = ModelSpec(
        "bth",
        "classical",
        "Lolli et al., IEEE GRSL 14(12), 2017",
        "Brovey transform without path radiance, intensity regressed on the low-pass PAN",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 24

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of P, its Gaussian low-pass and M~, and the darkest pixels."""
        up = chip.up()
        return {
            "high": gram([chip.guide()[0], chip.gauss(), *up], chip.valid),
            **haze_moments(up, chip.valid, self.mode),
        }

    def finish(self, moments: Moments | None, facts: SceneFacts) -> BtHFuser:
        """Regress the intensity (no constant) and match the low-pass PAN to it."""
        assert moments is not None
        haze = haze_of(moments, facts)
        total = moments["high"]
        weights = np.linalg.lstsq(total[3:, 3:], total[3:, 2], rcond=1e-12)[0]
        means, table = mean(total), covariance(total)
        intensity = float(weights @ (means[2:] - np.asarray(haze)))
        spread = deviation(np.asarray(weights, dtype=np.float64), table[2:, 2:])
        low = float(np.sqrt(max(table[1, 1], 0.0)))
        gain = spread / low if low > 1e-9 * max(1.0, abs(float(means[1]))) else 0.0
        floor = max(FLOOR * intensity, 1e-6 * spread, 1e-30)
        return BtHFuser(
            tuple(weights.tolist()),
            haze,
            gain,
            intensity - gain * float(means[1]),
            floor,
            self.mode,
        )


@register_model("bth")
def bth(mode: str = "default") -> BtH:
    """Brovey transform with haze removal.

    Parameters
    ----------
    mode : {"default", "reference"}
        ``default`` bounds the quotient where the intensity is below 2 % of its mean; its
        percentiles come from a histogram.
    """
    return BtH(mode)
