"""Brovey and weighted Brovey: each band times matched PAN over intensity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._fusers import EPS, LIMIT, weighted_sum
from pansharp.models.classical._moments import gram, mean, quick_gram
from pansharp.models.classical._weights import (
    Given,
    check_weights,
    fit_weights,
    given_weights,
    spectral_weights,
    weight_moments,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Brovey", "BroveyFuser", "brovey", "wbrovey"]


@dataclass(frozen=True, slots=True)
class BroveyFuser:
    """``y_b = M~_b (gain P + offset) / I`` with ``I = sum_b w_b M~_b``.

    Parameters
    ----------
    weights : tuple of float
        Intensity weights, one a band.
    gain, offset : float
        Histogram match of the PAN to the intensity.
    mode : {"default", "reference"}
        ``reference`` adds eps to the intensity as the toolbox does; ``default`` leaves pixels whose
        intensity is not positive as they are in the interpolated MS, and multiplies none by more
        than 8.
    """

    weights: tuple[float, ...]
    gain: float
    offset: float
    mode: str = "default"
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        intensity = weighted_sum(fused, self.weights)
        ratio = chip.guide()[0] * fused.dtype.type(self.gain)
        ratio += fused.dtype.type(self.offset)
        if self.mode == "reference":
            ratio /= intensity + EPS
        else:
            dark = intensity <= 0
            if dark.any():
                intensity[dark] = 1.0
                ratio[dark] = 1.0
            ratio /= intensity
            np.clip(ratio, -LIMIT, LIMIT, out=ratio)
        fused *= ratio
        return fused


@dataclass(frozen=True, slots=True)
class Brovey:
    """Brovey transform with global mean and standard deviation matching.

    Source: Gillespie et al., Remote Sens. Environ. 22, 1987; matching as in Vivone et al. 2015.

    Parameters
    ----------
    weights : tuple, ``"equal"``, ``"sensor"`` or ``"fit"``
        Intensity weights, as numbers or (name, number), scaled to sum 1; ``fit`` regresses the
        low-pass PAN on the MS bands with weights >= 0, ``sensor`` takes the part of the PAN's
        range that each band covers.
    """

    weights: Given | str = "equal"
    mode: str = "default"
    name: str = "brovey"

    @property
    def spec(self) -> ModelSpec:
        """Facts about the method."""
        weighted = self.name == "wbrovey"
        return ModelSpec(
            self.name,
            "classical",
            "Gillespie et al., Remote Sens. Environ. 22, 1987",
            "bands scaled by matched PAN over "
            + ("their weighted sum (weights given or fitted)" if weighted else "their mean"),
            bands=(1, None),
        )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 32 if self.weights == "fit" else 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums of PAN and intensity; of all bands and the low-pass PAN when weights are fitted."""
        pan = chip.guide()[0]
        if self.weights != "fit":
            weights = self._fixed(chip.bands, facts)
            # Interpolation is linear: one plane to interpolate in place of all bands.
            low = weighted_sum(chip.ms, weights)[None]
            return {"high": quick_gram([pan, chip.up(ms=low)[0]], chip.valid)}
        return {"high": gram([pan, *chip.up()], chip.valid), **weight_moments(chip)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> BroveyFuser:
        """Match the PAN to the intensity of the whole scene."""
        assert moments is not None
        high = moments["high"]
        if self.weights == "fit":
            weights = tuple(float(w) for w in fit_weights(moments["low"], normalize=True))
            select = np.zeros((3, high.shape[0]))
            select[0, 0] = select[1, 1] = 1.0
            select[2, 2:] = weights
            high = select @ high @ select.T
        else:
            weights = self._fixed(len(facts.ms_gains), facts)
        means = mean(high)
        count = high[0, 0]
        var_pan = high[1, 1] / count - means[0] ** 2
        var_low = max(high[2, 2] / count - means[1] ** 2, 0.0)
        # A flat PAN carries no detail: match its level only.
        gain = math.sqrt(var_low / var_pan) if var_pan > 1e-12 * max(means[0] ** 2, 1e-30) else 0.0
        return BroveyFuser(weights, gain, float(means[1] - gain * means[0]), self.mode)

    def _fixed(self, bands: int, facts: SceneFacts) -> tuple[float, ...]:
        if self.weights == "sensor":
            return spectral_weights(facts)
        if isinstance(self.weights, str):
            return (1.0 / bands,) * bands
        found = np.asarray(given_weights(self.weights, facts, self.name))
        return tuple((found / found.sum()).tolist())


@register_model("brovey")
def brovey(mode: str = "default") -> Brovey:
    """Brovey transform with the plain band mean as intensity.

    Parameters
    ----------
    mode : {"default", "reference"}
        ``reference`` divides by intensity + eps everywhere.
    """
    return Brovey("equal", mode)


@register_model("wbrovey")
def wbrovey(
    weights: Sequence[float] | Mapping[str, float] | str | None = None, mode: str = "default"
) -> Brovey:
    """Brovey transform with intensity weights.

    Parameters
    ----------
    weights : sequence of float, mapping of str to float, or ``"sensor"``, optional
        One a band, in the order of the bands or by band name, scaled to sum 1; ``"sensor"``: from
        the spectral ranges of the sensor table; fitted on the scene by non-negative least squares
        when absent.
    mode : {"default", "reference"}
        See :func:`brovey`.

    Raises
    ------
    BandMismatchError
        Weights that are negative, not finite, or sum to 0; when the scene is known also weights
        that are not those of its bands.
    """
    if weights is None or isinstance(weights, str):
        if weights not in (None, "fit", "sensor"):
            raise OptionError(f"weights is '{weights}'; give numbers, 'sensor' or 'fit'")
        return Brovey(weights or "fit", mode, "wbrovey")
    return Brovey(check_weights(weights), mode, "wbrovey")
