"""Point-spread function and shift of a cube against its guide, measured on the pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.register import Shift
from pansharp.geometry.resample import sample
from pansharp.models.hyperspectral.operators import Psf, own_mask
from pansharp.models.hyperspectral.statistics import PairStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.chips import Chip

__all__ = ["SIGMAS", "CubeScan", "Found", "scan_halo", "scan_reach"]

#: Widths that are tried, HSI pixels.
SIGMAS = tuple(round(0.30 + 0.05 * i, 2) for i in range(7))
#: Components of the cube that must explain the guide.
_COMPONENTS = 10
#: A rise of R2 below this is noise.
_NOISE = 1e-3


def scan_reach(ratio: float) -> int:
    """Largest shift that is looked for, guide pixels: half an HSI pixel, 4 at least."""
    return max(4, math.ceil(ratio / 2))


def scan_halo(ratio: float) -> int:
    """Guide pixels around a window that the scan reads."""
    return int(Psf(SIGMAS[-1] * ratio).radius) + scan_reach(ratio) + 2


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a scan.

    Parameters
    ----------
    sigma : float
        Width of the point-spread function, HSI pixels.
    rows, cols : float
        How far the HSI must move on the guide's grid, guide pixels.
    r2_before, r2_after : float
        Variance of the blurred guide that the HSI explains, mean of the guide bands: with the
        sigma of 0.5 and no shift, and as found.
    edge : bool
        Whether the width lies at the end of the range that was tried.
    """

    sigma: float
    rows: float
    cols: float
    r2_before: float
    r2_after: float
    edge: bool

    def as_shift(self) -> Shift:
        """The shift alone."""
        return Shift(self.rows, self.cols, self.r2_before, self.r2_after)


class CubeScan:
    """How well the cube explains the blurred guide, as a function of blur and shift.

    Parameters
    ----------
    chips : sequence of Chip
        With :func:`scan_halo` pixels of context.
    """

    def __init__(self, chips: Sequence[Chip]) -> None:
        self._chips = chips
        self._masks = [own_mask(chip, chip.own_ms()) for chip in chips]
        cubes = [
            _flat(chip.ms_pixels(chip.own_ms()), mask)
            for chip, mask in zip(chips, self._masks, strict=True)
        ]
        pixels = np.concatenate(cubes, axis=1)
        one = np.vstack([np.ones((1, pixels.shape[1])), pixels])
        space = PairStatistics.of({"pair": one @ one.T}, len(pixels)).subspace(_COMPONENTS)
        coded = space.project(pixels[:, None].astype(np.float32))[:, 0]
        self._design = np.vstack([np.ones((1, pixels.shape[1])), coded])
        self._inverse = np.linalg.pinv(self._design @ self._design.T, rcond=1e-10)
        self._seen: dict[tuple[float, float, float], float] = {}

    @property
    def pixels(self) -> int:
        """HSI pixels that enter."""
        return int(self._design.shape[1])

    def r2(self, sigma: float, rows: float, cols: float) -> float:
        """Explained variance of the guide blurred with `sigma` HSI pixels, shifted."""
        key = (sigma, rows, cols)
        if key not in self._seen:
            self._seen[key] = self._r2(*key)
        return self._seen[key]

    def find(self, *, psf: bool, shift: bool, sigma: float = 0.5) -> Found:
        """Find width, then shift by steps of 1, 1/2 and 1/4 guide pixel, then width again.

        Parameters
        ----------
        psf, shift : bool
            What to look for.
        sigma : float
            Width to start from, and to keep where `psf` is False, HSI pixels.

        Returns
        -------
        Found
            Shift (0, 0) where its rise of R2 is below 0.001; the starting width likewise.
        """
        start = sigma
        at = (0.0, 0.0)
        if psf:
            sigma = self._width(at, sigma)
        if shift:
            at = self._shift(sigma)
            if psf:
                sigma = self._width(at, sigma)
            if self.r2(sigma, *at) - self.r2(sigma, 0.0, 0.0) < _NOISE:
                at = (0.0, 0.0)
        if self.r2(sigma, *at) - self.r2(start, *at) < _NOISE:
            sigma = start
        edge = psf and sigma in (SIGMAS[0], SIGMAS[-1])
        before, after = self.r2(start, 0.0, 0.0), self.r2(sigma, *at)
        return Found(sigma, *at, before, after, edge)

    def _width(self, at: tuple[float, float], sigma: float) -> float:
        return max((sigma, *SIGMAS), key=lambda value: self.r2(value, *at))

    def _shift(self, sigma: float) -> tuple[float, float]:
        best = (0.0, 0.0)
        reach = scan_reach(self._chips[0].alignment.ratio)
        for step in (1.0, 0.5, 0.25):
            moved = True
            while moved:
                moved = False
                around = [
                    (best[0] + i * step, best[1] + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1)
                ]
                inside = [p for p in around if max(abs(p[0]), abs(p[1])) <= reach]
                top = max(inside, key=lambda p: self.r2(sigma, *p))
                if self.r2(sigma, *top) > self.r2(sigma, *best) + 1e-9:
                    best, moved = top, True
        return best

    def _r2(self, sigma: float, rows: float, cols: float) -> float:
        planes = []
        for chip, mask in zip(self._chips, self._masks, strict=True):
            alignment = chip.alignment.shifted(rows, cols)
            start = chip.window.expand(chip.halo)
            psf = Psf(round(sigma * alignment.ratio, 6))
            origin = (start.row, start.col)
            low = sample(chip.pan, origin, chip.own_ms(), alignment, "down", psf)
            planes.append(_flat(low, mask))
        guide = np.concatenate(planes, axis=1)
        cross = self._design @ guide.T
        total = (guide**2).sum(axis=1) - cross[0] ** 2 / self.pixels
        kept = (cross * (self._inverse @ cross)).sum(axis=0) - cross[0] ** 2 / self.pixels
        flat = total <= 1e-9 * (guide**2).sum(axis=1)
        if flat.all():
            return 0.0
        return float((kept[~flat] / total[~flat]).mean())


def _flat(planes: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    wide = planes.astype(np.float64)
    return wide.reshape(len(wide), -1) if mask is None else wide[:, mask]
