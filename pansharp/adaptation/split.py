"""Checkerboard blocks: which pixels train, which choose, which are printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GUARD", "Split", "make_split", "share_blocks"]

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


def make_split(valid: NDArray[np.bool_], *, border: int, phase: int = 1) -> Split:
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
    phase : {1, 0}
        Hold out blocks with odd (1) or even (0) indices: the second fold of a small scene.

    Returns
    -------
    Split
        All held-out blocks are in `score`; :func:`share_blocks` gives half of them to choosing.
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
            if i % 2 != phase or j % 2 != phase:
                continue
            block = Window(row, col, size, size).intersect(
                Window(border, border, height - 2 * border, width - 2 * border)
            )
            reach = block.expand(GUARD).intersect(Window(0, 0, height, width))
            blocked[reach.slices] = True
            full = block.height == size and block.width == size
            if full and valid[block.slices].mean() >= _SHARE:
                held.append(block)
    return Split(size, inner & ~blocked, (), tuple(held))


def share_blocks(splits: Sequence[Split]) -> list[Split]:
    """Let every second held-out block choose among states instead of being printed.

    Parameters
    ----------
    splits : sequence of Split
        Of all windows of a scene; blocks are numbered through.

    Returns
    -------
    list of Split
    """
    result, number = [], 0
    for split in splits:
        numbered = list(enumerate(split.score, number))
        number += len(numbered)
        result.append(
            replace(
                split,
                choose=tuple(block for n, block in numbered if n % 2 == 1),
                score=tuple(block for n, block in numbered if n % 2 == 0),
            )
        )
    return result
