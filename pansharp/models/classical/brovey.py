"""Brovey and weighted Brovey: each band times matched PAN over intensity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import BandMismatchError
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._moments import gram, mean, quick_gram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Brovey", "BroveyFuser", "brovey", "wbrovey"]

_EPS = np.finfo(np.float64).eps


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
        intensity is not positive as they are in the interpolated MS.
    """

    weights: tuple[float, ...]
    gain: float
    offset: float
    mode: str = "default"
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        intensity = _combine(fused, self.weights)
        ratio = chip.guide()[0] * fused.dtype.type(self.gain)
        ratio += fused.dtype.type(self.offset)
        if self.mode == "reference":
            ratio /= intensity + _EPS
        else:
            dark = intensity <= 0
            if dark.any():
                intensity[dark] = 1.0
                ratio[dark] = 1.0
            ratio /= intensity
        fused *= ratio
        return fused


@dataclass(frozen=True, slots=True)
class Brovey:
    """Brovey transform with global mean and standard deviation matching.

    Source: Gillespie et al., Remote Sens. Environ. 22, 1987; matching as in Vivone et al. 2015.

    Parameters
    ----------
    weights : tuple of float, ``"equal"`` or ``"fit"``
        Intensity weights; ``fit`` regresses the low-pass PAN on the MS bands with weights >= 0.
    """

    weights: tuple[float, ...] | str = "equal"
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
            low = _combine(chip.ms, weights)[None]
            return {"high": quick_gram([pan, chip.up(ms=low)[0]], chip.valid)}
        own = chip.own_ms()
        return {
            "high": gram([pan, *chip.up()], chip.valid),
            "low": gram([chip.atrous_at_ms(own), *chip.ms_pixels(own)], chip.ms_mask(own)),
        }

    def finish(self, moments: Moments | None, facts: SceneFacts) -> BroveyFuser:
        """Match the PAN to the intensity of the whole scene."""
        assert moments is not None
        high = moments["high"]
        if self.weights == "fit":
            weights = tuple(float(w) for w in _non_negative(moments["low"]))
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
        if isinstance(self.weights, str):
            return (1.0 / bands,) * bands
        if len(self.weights) != bands:
            raise BandMismatchError(
                f"{self.name} got {len(self.weights)} weights for {bands} bands; give one a band"
            )
        return self.weights


def _combine(planes: NDArray[np.float32], weights: Sequence[float]) -> NDArray[np.float32]:
    """Weighted sum of planes (band, y, x) to (y, x), without a stack of temporaries."""
    total: NDArray[np.float32] = planes[0] * planes.dtype.type(weights[0])
    scratch = np.empty_like(total)
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        np.multiply(plane, planes.dtype.type(weight), out=scratch)
        total += scratch
    return total


def _non_negative(low: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative least squares of plane 0 on the others through their cross products."""
    from scipy.optimize import nnls

    cross = low[2:, 2:]
    target = low[2:, 1]
    # The normal equations of NNLS: any square root of the Gram matrix has the same solution.
    values, vectors = np.linalg.eigh(cross)
    keep = values > 1e-12 * values[-1]
    root = (vectors[:, keep] * np.sqrt(values[keep])).T
    right = (vectors[:, keep] / np.sqrt(values[keep])).T @ target
    weights, _ = nnls(root, right)
    if weights.sum() <= 0:
        raise BandMismatchError(
            "wbrovey cannot fit non-negative weights: the PAN is not related to any MS band; "
            "give weights or use another method"
        )
    return np.asarray(weights / weights.sum())


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
def wbrovey(weights: Sequence[float] | None = None, mode: str = "default") -> Brovey:
    """Brovey transform with intensity weights.

    Parameters
    ----------
    weights : sequence of float, optional
        One a band, scaled to sum 1; fitted on the scene by non-negative least squares when absent.
    mode : {"default", "reference"}
        See :func:`brovey`.

    Raises
    ------
    BandMismatchError
        Weights that are negative, not finite, or sum to 0.
    """
    if weights is None:
        return Brovey("fit", mode, "wbrovey")
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.sum():
        raise BandMismatchError(f"weights {list(weights)} must be >= 0 with a positive sum")
    return Brovey(tuple(float(w) for w in values / values.sum()), mode, "wbrovey")
