"""Which HSI pixels a fit looks at: all of them, or random blocks of a large scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.models.hyperspectral.operators import inner_pixels, own_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import SceneFacts

__all__ = ["Lattice", "guide_window"]

#: Side of a block, HSI pixels.
_SIDE = 8


@dataclass(frozen=True)
class Lattice:
    """Blocks of 8 x 8 HSI pixels over a scene, and those that were drawn.

    Parameters
    ----------
    inside : tuple of int
        First row, row end, first column, column end of the HSI pixels of the scene.
    drawn : ndarray, shape (block,), bool, or None
        None: all of them.
    """

    inside: tuple[int, int, int, int]
    drawn: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, facts: SceneFacts) -> Lattice | None:
        """The lattice of a scene; None where its size is not known."""
        inside = inner_pixels(facts)
        return None if inside is None else cls(inside)

    @property
    def _across(self) -> int:
        return -(-(self.inside[3] - self.inside[2]) // _SIDE)

    @property
    def _count(self) -> int:
        return -(-(self.inside[1] - self.inside[0]) // _SIDE) * self._across

    def count(self, chip: Chip) -> NDArray[np.float64]:
        """Valid HSI pixels of a chip in each block; chips add up."""
        counts = np.zeros(self._count)
        own = chip.own_ms()
        if own.height > 0 and own.width > 0:
            mask = own_mask(chip, own)
            kept = np.ones(own.shape) if mask is None else mask.astype(np.float64)
            np.add.at(counts, self._blocks(own), kept)
        return counts

    def _blocks(self, own: Window) -> NDArray[np.intp]:
        """Number of the block that each HSI pixel of a window lies in, (y, x)."""
        row, row_end, col, col_end = self.inside
        rows = np.clip(np.arange(own.row, own.row_end), row, row_end - 1) - row
        cols = np.clip(np.arange(own.col, own.col_end), col, col_end - 1) - col
        return np.asarray((rows // _SIDE)[:, None] * self._across + cols // _SIDE)

    def draw(self, counts: NDArray[np.float64], most: int, seed: int) -> Lattice:
        """Draw blocks until they hold about `most` valid pixels.

        Parameters
        ----------
        counts : ndarray, shape (block,), float64
            Of the whole scene.
        most : int
            HSI pixels.
        seed : int
            Of the draw.

        Returns
        -------
        Lattice
            With every block where the scene has no more than `most` pixels.
        """
        if counts.sum() <= most:
            return Lattice(self.inside)
        order = np.random.default_rng([seed, len(counts)]).permutation(len(counts))
        filled = np.cumsum(counts[order])
        drawn = np.zeros(len(counts), dtype=bool)
        drawn[order[: max(1, int((filled <= most).sum()))]] = True
        return Lattice(self.inside, drawn)

    def windows(self, chip: Chip) -> list[Window]:
        """Windows of HSI pixels that a chip owns and that were drawn."""
        own = chip.own_ms()
        row, _, col, _ = self.inside
        # All blocks: larger windows share more of their surroundings.
        side = _SIDE if self.drawn is not None else 4 * _SIDE
        found = []
        for top, end in _cuts(own.row, own.row_end, row, side):
            for left, right in _cuts(own.col, own.col_end, col, side):
                window = Window(top, left, end - top, right - left)
                if self.drawn is None or self.drawn[self._blocks(window)].any():
                    found.append(window)
        return found

    def index(self, window: Window) -> NDArray[np.float64]:
        """A number for each HSI pixel of a window that orders those of the scene, (y, x)."""
        row, _, col, col_end = self.inside
        wide = col_end - col + 2
        rows, cols = np.arange(window.row, window.row_end), np.arange(window.col, window.col_end)
        return np.asarray((rows - row)[:, None] * wide + (cols - col), dtype=np.float64)


def _cuts(start: int, stop: int, origin: int, side: int) -> list[tuple[int, int]]:
    cuts = []
    while start < stop:
        end = min(stop, origin + ((start - origin) // side + 1) * side)
        cuts.append((start, end))
        start = end
    return cuts


def guide_window(chip: Chip, window: Window) -> Window:
    """Guide pixels of a chip that lie over a window of HSI pixels which it owns."""
    y, x = chip.alignment.y, chip.alignment.x
    row, col = math.ceil(y.to_pan(window.row - 0.5)), math.ceil(x.to_pan(window.col - 0.5))
    row_end = math.ceil(y.to_pan(window.row_end - 0.5))
    col_end = math.ceil(x.to_pan(window.col_end - 0.5))
    return Window(row, col, row_end - row, col_end - col).intersect(chip.window)
