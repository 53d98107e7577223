"""Component substitution with one intensity: IHS, PCA, Gram-Schmidt and its adaptive form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._fusers import SubstitutionFuser
from pansharp.models.classical._moments import covariance, deviation, gram, mean, quick_gram

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

    Solve = Callable[
        [NDArray[np.float64], NDArray[np.float64]],
        tuple[NDArray[np.float64], NDArray[np.float64], float],
    ]

__all__ = ["Gsa", "Substitution", "gs", "gsa", "ihs", "pca"]


@dataclass(frozen=True, slots=True)
class Substitution:
    """A method whose intensity follows from the statistics of M~ alone.

    Parameters
    ----------
    spec : ModelSpec
        Facts about the method.
    solve : callable
        Takes means and covariance of the bands of M~; gives intensity weights, injection gains
        and the standard deviation to which the PAN is matched.
    """

    spec: ModelSpec
    solve: Solve

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums and cross products of PAN and M~."""
        return {"high": quick_gram([chip.guide()[0], *chip.up()], chip.valid, cross=True)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> SubstitutionFuser:
        """Match the PAN to the intensity: ``P' - I = a (P - mean P) - (I - mean I)``."""
        assert moments is not None
        means, table = mean(moments["high"]), covariance(moments["high"])
        weights, gains, spread = self.solve(means[1:], table[1:, 1:])
        pan_spread = float(np.sqrt(table[0, 0]))
        # A flat PAN has nothing to inject; the intensity must not be taken out for it.
        if not pan_spread > 1e-9 * max(1.0, abs(float(means[0]))):
            gains = np.zeros_like(gains)
        scale = spread / pan_spread if pan_spread > 0 else 0.0
        offset = scale * means[0] - float(weights @ means[1:])
        return SubstitutionFuser(_floats(weights), _floats(gains), float(offset), float(scale))


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _equal(table: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(len(table), 1.0 / len(table))


def _regression(weights: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gains ``cov(I, M~_b) / var(I)``; 0 where the intensity is flat."""
    variance = float(weights @ table @ weights)
    cross = table @ weights
    return np.asarray(cross / variance if variance > 0 else np.zeros_like(cross))


def _ihs(
    means: NDArray[np.float64], table: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    weights = _equal(table)
    return weights, np.ones(len(table)), deviation(weights, table)


def _gs(
    means: NDArray[np.float64], table: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    weights = _equal(table)
    return weights, _regression(weights, table), deviation(weights, table)


def _pca(
    means: NDArray[np.float64], table: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    first = np.linalg.eigh(table)[1][:, -1]
    # PC1 is replaced by a matched PAN, so its sign matters: the largest entry is positive.
    first = first * np.sign(first[np.argmax(np.abs(first))])
    return first, first, deviation(first, table)


@register_model("ihs")
def ihs(mode: str = "default") -> Substitution:
    """Generalised intensity-hue-saturation: the detail of the mean band, the same for all bands.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    spec = ModelSpec(
        "ihs",
        "classical",
        "Tu et al., Information Fusion 2(3), 2001",
        "the mean of the bands is replaced by the matched PAN",
        bands=(1, None),
    )
    return Substitution(spec, _ihs)


@register_model("pca")
def pca(mode: str = "default") -> Substitution:
    """Principal component substitution: the first component is replaced by the matched PAN.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    spec = ModelSpec(
        "pca",
        "classical",
        "Chavez, Sides, Anderson, PE&RS 57(3), 1991",
        "the first principal component is replaced by the matched PAN",
        bands=(1, None),
    )
    return Substitution(spec, _pca)


@register_model("gs")
def gs(mode: str = "default") -> Substitution:
    """Gram-Schmidt, mode 1: the mean of the bands as low-resolution PAN.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    spec = ModelSpec(
        "gs",
        "classical",
        "Laben and Brower, US patent 6,011,875, 2000",
        "component substitution, band mean as intensity, regressed gains",
        bands=(1, None),
    )
    return Substitution(spec, _gs)


@dataclass(frozen=True, slots=True)
class Gsa:
    """Adaptive Gram-Schmidt: the intensity is regressed on the low-pass PAN.

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
            "high": quick_gram([chip.guide()[0], *chip.up()], chip.valid, cross=True),
        }

    def finish(self, moments: Moments | None, facts: SceneFacts) -> SubstitutionFuser:
        """Regress the intensity and derive the gains."""
        assert moments is not None
        low = covariance(moments["low"])
        # Removing means first makes the constant column drop out of the regression.
        weights = np.asarray(
            np.linalg.lstsq(low[1:, 1:], low[1:, 0], rcond=1e-12)[0], dtype=np.float64
        )
        high, means = covariance(moments["high"]), mean(moments["high"])
        gains = _regression(weights, high[1:, 1:])
        offset = float(means[0] - weights @ means[1:])
        return SubstitutionFuser(_floats(weights), _floats(gains), offset)


@register_model("gsa")
def gsa(mode: str = "default") -> Gsa:
    """Adaptive Gram-Schmidt.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    return Gsa(mode)
