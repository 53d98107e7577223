"""GSA: Gram-Schmidt with an intensity that is fitted to the low-pass PAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._moments import covariance, gram, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Gsa", "GsaFuser", "gsa"]


@dataclass(frozen=True, slots=True)
class GsaFuser:
    """``y_b = M~_b + g_b (P - mean P - (sum_k w_k M~_k - c))``.

    Parameters
    ----------
    weights, gains : tuple of float
        Intensity weights and injection gains, one a band.
    offset : float
        ``mean P - mean I``, so that the injected detail has mean 0.
    """

    weights: tuple[float, ...]
    gains: tuple[float, ...]
    offset: float
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        kind = fused.dtype.type
        detail = chip.guide()[0] - kind(self.offset)
        scratch = np.empty_like(detail)
        for plane, weight in zip(fused, self.weights, strict=True):
            np.multiply(plane, kind(weight), out=scratch)
            detail -= scratch
        for plane, gain in zip(fused, self.gains, strict=True):
            np.multiply(detail, kind(gain), out=scratch)
            plane += scratch
        return fused


@dataclass(frozen=True, slots=True)
class Gsa:
    """Adaptive Gram-Schmidt.

    Source: Aiazzi, Baronti, Selva, IEEE TGRS 45(10), 2007, doi 10.1109/TGRS.2007.901007.
    """

    mode: str = "default"
    spec = ModelSpec(
        "gsa",
        "classical",
        "Aiazzi, Baronti, Selva, IEEE TGRS 45(10), 2007",
        "component substitution, intensity regressed on the low-pass PAN",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 32

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums of the low-pass PAN and MS at MS pixels, and of PAN and M~ at PAN pixels."""
        own = chip.own_ms()
        return {
            "low": gram([chip.atrous_at_ms(own), *chip.ms_pixels(own)], chip.ms_mask(own)),
            "high": gram([chip.guide()[0], *chip.up()], chip.valid),
        }

    def finish(self, moments: Moments | None, facts: SceneFacts) -> GsaFuser:
        """Regress the intensity and derive the gains."""
        assert moments is not None
        low = covariance(moments["low"])
        # Removing means first makes the constant column drop out of the regression.
        weights = np.linalg.lstsq(low[1:, 1:], low[1:, 0], rcond=1e-12)[0]
        high = covariance(moments["high"])
        means = mean(moments["high"])
        cross = high[1:, 1:] @ weights
        variance = float(weights @ cross)
        gains = cross / variance if variance > 0 else np.zeros_like(cross)
        offset = float(means[0] - weights @ means[1:])
        return GsaFuser(tuple(map(float, weights)), tuple(map(float, gains)), offset)


@register_model("gsa")
def gsa(mode: str = "default") -> Gsa:
    """Adaptive Gram-Schmidt.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    return Gsa(mode)
