"""CNMF: coupled non-negative factorisation of cube and guide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.resample import sample
from pansharp.models import register_model
from pansharp.models.base import ModelSpec, NextPass
from pansharp.models.hyperspectral.operators import add_detail, blocks, own_mask, psf_of
from pansharp.models.hyperspectral.response import fit_response
from pansharp.models.hyperspectral.statistics import PairStatistics, measure_pair, pair_halo
from pansharp.models.hyperspectral.unmixing import (
    factorize,
    gather_pixels,
    gathered,
    update_abundances,
    update_spectra,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Cnmf", "CnmfFuser", "CnmfSpectra", "cnmf"]

#: Rounds of the factorisation of the cube, and the relative change at which it stops.
_ROUNDS, _STOP = 200, 1e-5
#: Updates of the abundances on the HSI grid and on the guide's grid (as in the public port with a
#: guide of several bands, and with a PAN).
_LOW_STEPS, _STEPS, _PAN_STEPS = 300, 200, 75
#: Value of the row of ones, relative to the root mean square of a pixel: of the cube, the guide.
_SUM_LOW, _SUM = 0.1, 0.3


@dataclass(frozen=True)
class CnmfFuser:
    """``y = W H``, H interpolated from the cube, then fitted to the guide.

    Parameters
    ----------
    spectra : ndarray, shape (band, member), float64
        W, counts.
    seen : ndarray, shape (guide, member), float64
        The guide's view of W, in units of the guide's level.
    offsets, unit : ndarray, shape (guide,), float64
        What is taken off the guide, and what it is then multiplied by: each band weighs the same.
    low_weight, weight : float
        Rows of ones that hold the abundances near a sum of one.
    steps : int
        Updates on the guide's grid.
    """

    spectra: NDArray[np.float64]
    seen: NDArray[np.float64]
    offsets: NDArray[np.float64]
    unit: NDArray[np.float64]
    low_weight: float
    weight: float
    steps: int
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = np.zeros((chip.bands, *chip.window.shape), dtype=np.float32)
        for part in blocks(chip, 0):
            rows, cols = part.window.relative_to(chip.window).slices
            add_detail(fused[:, rows, cols], self.spectra, self.abundances(part, 0))
        return fused

    def abundances(self, chip: Chip, halo: int) -> NDArray[np.float32]:
        """Abundances of the window grown by `halo`: (member, y, x), float32, not negative."""
        members = self.spectra.shape[1]
        ones = np.ones((1, members), dtype=np.float32)
        reach = chip.up_window(halo)
        low = np.maximum(chip.ms_pixels(reach).reshape(chip.bands, -1), 0.0)
        data = _with_row(low, self.low_weight)
        full = np.vstack([self.spectra.astype(np.float32), self.low_weight * ones])
        start = np.full((members, low.shape[1]), 1.0 / members, dtype=np.float32)
        coarse = update_abundances(data, full, start, _LOW_STEPS)
        cube = coarse.reshape(members, *reach.shape).astype(np.float32)
        wide = chip.up_from(cube, (reach.row, reach.col), halo)
        shape = wide.shape
        # An abundance of 0 could never grow again.
        start = np.maximum(wide.reshape(members, -1), np.float32(1e-5))
        guide = chip.guide(halo).reshape(len(chip.pan), -1)
        above = np.maximum(guide - self.offsets[:, None].astype(np.float32), 0.0)
        above *= self.unit[:, None].astype(np.float32)
        full = np.vstack([self.seen.astype(np.float32), self.weight * ones])
        fine = update_abundances(_with_row(above, self.weight), full, start, self.steps)
        return np.asarray(fine.reshape(shape), dtype=np.float32)


def _with_row(data: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    return np.vstack([data, np.full((1, data.shape[1]), weight, dtype=np.float32)])


@dataclass(frozen=True)
class CnmfSpectra:
    """Second pass: the spectra that fit the blurred abundances of the guide.

    Parameters
    ----------
    first : CnmfFuser
        What the cube alone gave.
    response : ndarray, shape (guide, band)
        Response of the guide, in units of its level.
    spec : ModelSpec
        Facts.
    """

    first: CnmfFuser
    response: NDArray[np.float64]
    spec: ModelSpec

    def measure_halo(self, facts: SceneFacts) -> int:
        """Guide pixels around a chip that :meth:`measure` reads."""
        return pair_halo(facts)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of the cube with the blurred abundances, and of these."""
        parts = [self._measure(part, facts) for part in blocks(chip, chip.halo)]
        return {key: np.sum([part[key] for part in parts], axis=0) for key in parts[0]}

    def _measure(self, chip: Chip, facts: SceneFacts) -> Moments:
        own = chip.own_ms()
        members = self.first.spectra.shape[1]
        if own.height <= 0 or own.width <= 0:
            return {"cross": np.zeros((chip.bands, members)), "inner": np.zeros((members,) * 2)}
        psf = psf_of(facts)
        shares = self.first.abundances(chip, chip.halo)
        start = chip.window.expand(chip.halo)
        low = sample(shares, (start.row, start.col), own, chip.alignment, "down", psf)
        mask = own_mask(chip, own)
        cube = np.maximum(chip.ms_pixels(own), 0.0).astype(np.float64)
        flat = low.astype(np.float64)
        if mask is None:
            cube, flat = cube.reshape(chip.bands, -1), flat.reshape(members, -1)
        else:
            cube, flat = cube[:, mask], flat[:, mask]
        return {"cross": cube @ flat.T, "inner": flat @ flat.T}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> CnmfFuser:
        """Update the spectra."""
        assert moments is not None
        first = self.first
        spectra = update_spectra(moments["cross"], moments["inner"], first.spectra, _ROUNDS)
        return CnmfFuser(
            spectra,
            self.response @ spectra,
            first.offsets,
            first.unit,
            first.low_weight,
            first.weight,
            first.steps,
        )


@dataclass(frozen=True, slots=True)
class Cnmf:
    """Coupled non-negative matrix factorisation with one outer round.

    Source: Yokoya, Yairi, Iwasaki, IEEE TGRS 50(2), 2012, doi 10.1109/TGRS.2011.2161320. Pure
    spectra start from successive projection instead of VCA, so that results repeat.

    Parameters
    ----------
    members : int
        Number of pure spectra, at most; never more than bands or pixels allow.
    """

    members: int = 20
    spec = ModelSpec(
        "cnmf",
        "classical",
        "Yokoya, Yairi, Iwasaki, IEEE TGRS 50(2), 2012",
        "coupled non-negative factorisation: spectra from the cube, abundances from the guide",
        tasks=("hsi",),
        note="counts must not be negative; what is below 0 counts as 0",
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """Guide pixels around a chip that :meth:`measure` reads."""
        return pair_halo(facts)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of HSI and blurred guide, and a sample of spectra."""
        return measure_pair(chip, facts) | gather_pixels(chip, facts)

    def finish(self, moments: Moments | None, facts: SceneFacts) -> NextPass:
        """Factorise the sample; the spectra are refined in another pass."""
        assert moments is not None
        pair = PairStatistics.of(moments, len(facts.ms_gains))
        response = fit_response(pair, facts)
        pixels = np.maximum(gathered(moments), 0.0)
        scale = math.sqrt(float((pixels**2).sum(axis=0).mean())) or 1.0
        spectra = factorize(pixels, self.members, _SUM_LOW * scale, steps=_ROUNDS, stop=_STOP)
        seen = response.weights @ spectra
        guides = len(response.offsets)
        level = pair.means[pair.bands :] - response.offsets
        # Bands that the spectra do not explain say nothing: weight 0.
        use = (pair.guide_spread > 0) & (level > 0)
        unit = np.where(use, 1.0 / np.where(use, level, 1.0), 0.0)
        first = CnmfFuser(
            spectra,
            seen * unit[:, None],
            response.offsets,
            unit,
            _SUM_LOW * scale,
            _SUM * math.sqrt(max(int(use.sum()), 1)),
            _STEPS if guides > 1 else _PAN_STEPS,
        )
        return NextPass(CnmfSpectra(first, response.weights * unit[:, None], self.spec))


@register_model("cnmf")
def cnmf(members: int = 20) -> Cnmf:
    """Coupled non-negative matrix factorisation.

    Parameters
    ----------
    members : int
        Number of pure spectra, at most.

    Raises
    ------
    OptionError
        Fewer than 2 members.
    """
    if members < 2:
        raise OptionError(f"members is {members}; give 2 or more")
    return Cnmf(members)
