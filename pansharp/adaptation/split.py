"""Checkerboard blocks: which pixels train, which choose, which are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GUARD", "Split", "make_split"]

#: Pixels around a held-out block that are not trained on.
GUARD = 4
#: A block counts when at least this share of its pixels is valid.
_SHARE = 0.5


@dataclass(frozen=True)
class Split:
    """Blocks of one reduced scene.

    Parameters
    ----------
    size : int
        Side of a block, MS pixels.
    train : ndarray, shape (y, x), bool
        Pixels that the loss may use.
    choose, score : tuple of Window
        Held-out blocks for decisions (stopping) and for the card; disjoint.
    """

    size: int
    train: NDArray[np.bool_]
    choose: tuple[Window, ...]
    score: tuple[Window, ...]


def make_split(valid: NDArray[np.bool_], *, border: int, start: int = 0) -> Split:
    """Divide a reduced scene into training pixels and held-out blocks.

    Blocks of 32 pixels (16 on scenes below 250 pixels a side) tile the scene inside its border;
    those with odd row and odd column index are held out, a quarter of the area. The rule knows
    nothing of methods or seeds, so everybody is compared on the same blocks.

    Parameters
    ----------
    valid : ndarray, shape (y, x), bool
        Real data.
    border : int
        Pixels at each side that are never used.
    start : int
        Number of held-out blocks in scenes before this one: blocks alternate between choosing and
        scoring across windows too.

    Returns
    -------
    Split
    """
    height, width = valid.shape
    size = 32 if min(height, width) >= 250 else 16
    inner = np.zeros_like(valid)
    inner[border : height - border, border : width - border] = True
    inner &= valid
    blocked = np.zeros_like(valid)
    held: list[Window] = []
    for i, row in enumerate(range(border, height - border, size)):
        for j, col in enumerate(range(border, width - border, size)):
            if i % 2 == 0 or j % 2 == 0:
                continue
            block = Window(row, col, size, size).intersect(
                Window(border, border, height - 2 * border, width - 2 * border)
            )
            reach = block.expand(GUARD).intersect(Window(0, 0, height, width))
            blocked[reach.slices] = True
            full = block.height == size and block.width == size
            if full and valid[block.slices].mean() >= _SHARE:
                held.append(block)
    numbered = list(enumerate(held, start))
    return Split(
        size,
        inner & ~blocked,
        tuple(block for number, block in numbered if number % 2 == 1),
        tuple(block for number, block in numbered if number % 2 == 0),
    )
