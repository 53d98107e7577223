"""Linear hypersharpening: GLP-HS, GSA-HS and SFIM-HS, with statistics of the whole scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.hyperspectral.operators import (
    GROUP,
    Psf,
    add_detail,
    inner_pixels,
    low_guide,
    psf_of,
    pyramid_halo,
)
from pansharp.models.hyperspectral.statistics import MeasuresPair, PairStatistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["DetailFuser", "Linear", "RatioFuser", "glp_hs", "gsa_hs", "sfim_hs"]

#: Where the low-pass of the synthetic band falls below this share of its mean, no ratio is taken.
_DARK = 0.02
#: Largest ratio of a synthetic band to its low-pass.
_BRIGHT = 4.0


@dataclass(frozen=True)
class DetailFuser:
    """``y = H~ + W (M - U D M)``.

    Parameters
    ----------
    weights : ndarray, shape (band, guide), float64
        HSI counts per guide count.
    psf : Psf
        Blur of the HSI.
    halo : int
        Guide pixels of context.
    inside : tuple of int or None
        Limits of :func:`inner_pixels`.
    """

    weights: NDArray[np.float64]
    psf: Psf
    halo: int
    inside: tuple[int, int, int, int] | None = None

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        add_detail(fused, self.weights, chip.guide() - low_guide(chip, self.psf, self.inside))
        return fused


@dataclass(frozen=True)
class RatioFuser:
    """``y_b = H~_b P_b / P_L,b`` with ``P_b = w_b M + c_b`` and ``P_L,b = w_b U D M + c_b``.

    Where ``P_L,b`` is below 2 % of the mean of the band, H~_b is kept; the ratio stays between 0
    and 4.

    Parameters
    ----------
    weights : ndarray, shape (band, guide), float64
        HSI counts per guide count.
    offsets : ndarray, shape (band,), float64
        c_b.
    dark : ndarray, shape (band,), float64
        Level of P_L,b below which no ratio is taken.
    psf : Psf
        Blur of the HSI.
    halo : int
        Guide pixels of context.
    inside : tuple of int or None
        Limits of :func:`inner_pixels`.
    """

    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]
    dark: NDArray[np.float64]
    psf: Psf
    halo: int
    inside: tuple[int, int, int, int] | None = None

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        sharp = chip.guide().reshape(len(chip.pan), -1)
        low = low_guide(chip, self.psf, self.inside).reshape(len(chip.pan), -1)
        out = fused.reshape(len(fused), -1)
        for start in range(0, len(out), GROUP):
            part = slice(start, start + GROUP)
            weights = self.weights[part].astype(np.float32)
            offset = self.offsets[part, None].astype(np.float32)
            below = weights @ low + offset
            above = weights @ sharp + offset
            fine = below > self.dark[part, None].astype(np.float32)
            ratio = np.divide(above, below, out=np.ones_like(above), where=fine)
            out[part] *= np.clip(ratio, 0.0, _BRIGHT, out=ratio)
        return fused


@dataclass(frozen=True, slots=True)
class Linear(MeasuresPair):
    """A method whose only statistics are the covariances on the HSI grid.

    Parameters
    ----------
    spec : ModelSpec
        Facts; the name decides the formula.
    ridge : float
        Of the regression on the guide, relative to the mean eigenvalue of its correlations.
    """

    spec: ModelSpec
    ridge: float

    def finish(self, moments: Moments | None, facts: SceneFacts) -> DetailFuser | RatioFuser:
        """Regress the HSI bands on the guide."""
        assert moments is not None
        bands = len(facts.ms_gains)
        pair = PairStatistics.of(moments, bands)
        psf = psf_of(facts)
        halo = pyramid_halo(facts.alignment.ratio, psf)
        inside = inner_pixels(facts)
        if self.spec.name == "glp-hs":
            return DetailFuser(_single(pair), psf, halo, inside)
        weights = pair.on_guide(self.ridge)
        if self.spec.name == "gsa-hs":
            return DetailFuser(weights, psf, halo, inside)
        level = pair.means[:bands]
        offsets = level - weights @ pair.means[bands:]
        return RatioFuser(weights, offsets, _DARK * np.abs(level), psf, halo, inside)


def _single(pair: PairStatistics) -> NDArray[np.float64]:
    """Gain on the one guide band that correlates best, 0 elsewhere, (band, guide)."""
    spread = pair.guide_spread
    cross = pair.cov[: pair.bands, pair.bands :]
    safe = np.where(spread > 0, spread, 1.0)
    strength = np.where(spread > 0, np.abs(cross) / safe, -1.0)
    best = strength.argmax(axis=1)
    rows = np.arange(pair.bands)
    weights = np.zeros_like(cross)
    weights[rows, best] = np.where(spread[best] > 0, cross[rows, best] / safe[best] ** 2, 0.0)
    return np.asarray(weights)


def _spec(name: str, reference: str, summary: str) -> ModelSpec:
    return ModelSpec(name, "classical", reference, summary, tasks=("hsi",))


@register_model("glp-hs")
def glp_hs() -> Linear:
    """GLP hypersharpening: every HSI band takes its detail from the guide band that fits it best.

    Source: Selva, Aiazzi, Butera, Chiarantini, Baronti, IEEE JSTARS 8(6), 2015,
    doi 10.1109/JSTARS.2015.2440092.
    """
    spec = _spec(
        "glp-hs",
        "Selva, Aiazzi, Butera, Chiarantini, Baronti, IEEE JSTARS 8(6), 2015",
        "detail of the guide band that correlates best, regression gain",
    )
    return Linear(spec, 0.0)


@register_model("gsa-hs")
def gsa_hs(ridge: float = 1e-3) -> Linear:
    """GSA hypersharpening: every HSI band regressed on all guide bands.

    Source: Aiazzi, Baronti, Selva, IEEE TGRS 45(10), 2007; Selva et al., IEEE JSTARS 8(6), 2015.

    Parameters
    ----------
    ridge : float
        Damping of the regression; 1e-3 spares collinear guide bands.
    """
    spec = _spec(
        "gsa-hs",
        "Aiazzi, Baronti, Selva, IEEE TGRS 45(10), 2007; Selva et al., IEEE JSTARS 8(6), 2015",
        "detail of all guide bands, ridge regression of every HSI band",
    )
    return Linear(spec, ridge)


@register_model("sfim-hs")
def sfim_hs(ridge: float = 1e-3) -> Linear:
    """SFIM hypersharpening: the ratio of a synthetic band to its low-pass.

    Source: Liu, Int. J. Remote Sensing 21(18), 2000; Selva et al., IEEE JSTARS 8(6), 2015.

    Parameters
    ----------
    ridge : float
        Damping of the regression that makes the synthetic band.
    """
    spec = _spec(
        "sfim-hs",
        "Liu, Int. J. Remote Sensing 21(18), 2000; Selva et al., IEEE JSTARS 8(6), 2015",
        "ratio of a band synthesised from the guide to its low-pass",
    )
    return Linear(spec, ridge)
