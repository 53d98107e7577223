"""Windows that reach outside a raster, and invalid pixels filled from valid ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import SceneError
from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pansharp.source.base import Mask, Source

__all__ = ["fill_invalid", "read_padded"]


def fill_invalid(
    data: NDArray[np.float32],
    valid: Mask,
    *,
    radius: int = 16,
    fallback: float | ArrayLike = 0.0,
) -> NDArray[np.float32]:
    """Replace invalid pixels by what lies around them, ring by ring from the valid side.

    A pixel at chessboard distance d from the nearest valid one becomes the mean of those of its
    eight neighbours that are nearer. It depends on nothing farther than d, and every sum runs in
    one fixed order: two windows that both hold the pixels within `radius` agree bit for bit.

    Parameters
    ----------
    data : ndarray, shape (band, y, x), float32
        Pixels; changed in place. What invalid ones hold does not matter.
    valid : ndarray, shape (y, x), bool
        Valid pixels, kept as they are.
    radius : int
        Farthest distance from a valid pixel that is filled, pixels.
    fallback : float or array of shape (band,)
        What pixels still farther become.

    Returns
    -------
    ndarray, shape (band, y, x), float32
        `data`.
    """
    hole = ~valid
    rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if rows.size == 0:
        return data
    box = (
        slice(max(0, rows[0] - 1), rows[-1] + 2),
        slice(max(0, cols[0] - 1), cols[-1] + 2),
    )
    part = data[(slice(None), *box)]
    bands, height, width = part.shape
    # A rim of unknown zeros spares every test for the border.
    known = np.zeros((height + 2, width + 2), dtype=bool)
    known[1:-1, 1:-1] = valid[box]
    work = np.zeros((bands, height + 2, width + 2), dtype=np.float32)
    np.copyto(work[:, 1:-1, 1:-1], part, where=valid[box])
    flat, flags = work.reshape(bands, -1), known.reshape(-1)
    line = width + 2
    around = (-line - 1, -line, -line + 1, -1, 1, line - 1, line, line + 1)
    for _ in range(radius):
        front = np.flatnonzero(_rim(known))
        if front.size == 0:
            break
        total = np.zeros((bands, front.size), dtype=np.float32)
        count = np.zeros(front.size, dtype=np.float32)
        for step in around:
            total += flat[:, front + step]
            count += flags[front + step]
        flat[:, front] = total / count
        flags[front] = True
    constant = np.asarray(fallback, dtype=np.float32).reshape(-1, 1, 1)
    part[...] = np.where(known[1:-1, 1:-1], work[:, 1:-1, 1:-1], constant)
    return data


def _rim(known: Mask) -> Mask:
    """Unknown pixels that touch a known one, the outermost ring left out."""
    tall = known.copy()
    tall[1:] |= known[:-1]
    tall[:-1] |= known[1:]
    grown = tall.copy()
    grown[:, 1:] |= tall[:, :-1]
    grown[:, :-1] |= tall[:, 1:]
    grown &= ~known
    grown[0] = grown[-1] = False
    grown[:, 0] = grown[:, -1] = False
    return grown


def read_padded(
    source: Source,
    window: Window,
    *,
    fill_radius: int = 16,
    fallback: float | ArrayLike = 0.0,
) -> tuple[NDArray[np.float32], Mask | None]:
    """Read a window that may reach outside, with invalid pixels filled from their neighbours.

    Pixels outside the raster copy the nearest pixel of its edge, its validity too. The value of a
    pixel depends only on its position and on pixels within `fill_radius`, never on the window.

    Parameters
    ----------
    source : Source
        Pixels.
    window : Window
        What to read; any position and size.
    fill_radius : int
        How far from valid pixels invalid ones are filled, pixels (:func:`fill_invalid`).
    fallback : float or array of shape (band,)
        Value of invalid pixels farther than that.

    Returns
    -------
    data : ndarray, shape (band, y, x), float32
        Stored counts; finite everywhere.
    valid : ndarray, shape (y, x), bool, or None
        Valid pixels; None when all are.
    """
    full = Window(0, 0, source.height, source.width)
    row, height, above, below = _clamp(window.row, window.row_end, source.height)
    col, width, left, right = _clamp(window.col, window.col_end, source.width)
    core = Window(row, col, height, width)
    raw = source.read(core)
    valid = source.valid(core, raw)
    pads = ((above, below), (left, right))
    if valid is None:
        return _padded(raw.astype(np.float32, copy=False), pads), None
    reach = core.expand(fill_radius).intersect(full)
    all_valid: Mask | None = valid
    if reach != core:
        raw = source.read(reach)
        all_valid = source.valid(reach, raw)
    if all_valid is None:
        raise SceneError("a source called pixels invalid in one window and valid in a larger one")
    with np.errstate(over="ignore", invalid="ignore"):
        data = raw.astype(np.float32, copy=False)
    filled = fill_invalid(data, all_valid, radius=fill_radius, fallback=fallback)
    rows, cols = core.relative_to(reach).slices
    return _padded(np.ascontiguousarray(filled[:, rows, cols]), pads), np.pad(
        valid, pads, mode="edge"
    )


def _clamp(start: int, stop: int, size: int) -> tuple[int, int, int, int]:
    """First pixel and number of pixels to read on an axis, and how many to add before and after."""
    first = min(max(start, 0), size - 1)
    last = min(max(stop - 1, first), size - 1)
    length = last - first + 1
    added = stop - start - length
    before = min(max(0, first - start), added)
    return first, length, before, added - before


def _padded(
    data: NDArray[np.float32], pads: tuple[tuple[int, int], tuple[int, int]]
) -> NDArray[np.float32]:
    if pads == ((0, 0), (0, 0)):
        return data
    return np.pad(data, ((0, 0), *pads), mode="edge")
