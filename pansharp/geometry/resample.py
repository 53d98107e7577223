"""Separable sampling: any kernel, any ratio, any sub-pixel offset, as blocked banded products.

One axis map and one kernel give a banded weight matrix. It is cut into blocks of 64 outputs that
are anchored at output index 0 of the scene, each a small dense float32 matrix, so that a pixel has
the same value whatever window it is computed in. Figures: docs/engine.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.geometry.grids import AxisMap, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.geometry.grids import Alignment
    from pansharp.geometry.kernels import Kernel

__all__ = ["BLOCK", "Direction", "axis_matrix", "input_range", "input_window", "sample"]

#: Outputs per weight block; windows that start at multiples of it are bit-reproducible.
BLOCK = 64
#: Products are made this many columns wide at least: BLAS adds the columns beyond its last whole
#: vector in another order, so the same pixel would depend on the width of the window.
_VECTOR = 16

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class _Line:
    """Positions ``start + step * j`` of outputs j, in input pixels."""

    step: float
    start: float

    @classmethod
    def of(cls, axis: AxisMap, direction: Direction) -> _Line:
        if direction == "up":
            return cls(1.0 / axis.scale, -axis.offset / axis.scale)
        return cls(axis.scale, axis.offset)

    def at(self, index: float) -> float:
        return self.start + self.step * index


def input_range(
    axis: AxisMap, direction: Direction, kernel: Kernel, start: int, stop: int
) -> tuple[int, int]:
    """Half-open range of input pixels that outputs [start, stop) need.

    Parameters
    ----------
    axis : AxisMap
        PAN/MS map of the axis.
    direction : {"up", "down"}
        From MS to PAN positions, or from PAN to MS positions.
    kernel : Kernel
        Sampling kernel.
    start, stop : int
        Outputs.

    Returns
    -------
    tuple of int
        First input index and one past the last.
    """
    line = _Line.of(axis, direction)
    # A hair of slack absorbs the rounding of positions that fall on whole pixels.
    first = math.floor(line.at(start) - kernel.radius + 1e-6)
    last = math.ceil(line.at(stop - 1) + kernel.radius - 1e-6)
    return first, last + 1


def input_window(
    alignment: Alignment, direction: Direction, kernel: Kernel, window: Window
) -> Window:
    """Input window (may reach outside the raster) that an output window needs."""
    row, row_end = input_range(alignment.y, direction, kernel, window.row, window.row_end)
    col, col_end = input_range(alignment.x, direction, kernel, window.col, window.col_end)
    return Window(row, col, row_end - row, col_end - col)


def _period(axis: AxisMap, direction: Direction, start: int) -> tuple[int, int]:
    """The first output with the same phase as `start`, and how many inputs lie between them.

    With a whole ratio all blocks of an axis have one of a few phases: their weights are computed
    once, not once for every place in the scene.
    """
    whole = round(axis.scale)
    if axis.scale != whole:
        return start, 0
    if direction == "down":
        return 0, start * whole
    return start % whole, start // whole


@lru_cache(maxsize=2048)
def _block(
    axis: AxisMap, direction: Direction, kernel: Kernel, start: int, stop: int
) -> tuple[int, NDArray[np.float32], NDArray[np.float32]]:
    """First input index and dense weights of outputs [start, stop), as they are and transposed.

    The transposed table has columns of zeros up to a whole number of vectors.
    """
    first, last = input_range(axis, direction, kernel, start, stop)
    weights = _weights(axis, direction, kernel, start, stop, first, last)
    table = weights.astype(np.float32)
    # BLAS is twice as fast on a transposed copy as on a transposed view of so small a matrix.
    flipped = np.zeros((last - first, -(-(stop - start) // _VECTOR) * _VECTOR), dtype=np.float32)
    flipped[:, : stop - start] = table.T
    for weights_of in (table, flipped):
        weights_of.setflags(write=False)
    return first, table, flipped


def _weights(
    axis: AxisMap,
    direction: Direction,
    kernel: Kernel,
    start: int,
    stop: int,
    first: int,
    last: int,
) -> NDArray[np.float64]:
    line = _Line.of(axis, direction)
    positions = line.start + line.step * np.arange(start, stop, dtype=np.float64)
    # Split off the whole part so that equal phases give equal weights far from the origin too.
    whole = np.floor(positions)
    phase = np.round(positions - whole, 9)
    inputs = np.arange(first, last, dtype=np.float64)
    weights = kernel((inputs[None, :] - whole[:, None]) - phase[:, None])
    if kernel.normalize:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return weights


def axis_matrix(
    axis: AxisMap,
    direction: Direction,
    kernel: Kernel,
    outputs: tuple[int, int],
    inputs: tuple[int, int],
    *,
    border: Literal["edge", "zero"] = "zero",
) -> NDArray[np.float64]:
    """Dense weight matrix in float64, for small arrays, composition and tests.

    Parameters
    ----------
    axis : AxisMap
        PAN/MS map of the axis.
    direction : {"up", "down"}
        Sampling direction.
    kernel : Kernel
        Sampling kernel.
    outputs, inputs : tuple of int
        Half-open index ranges of rows and columns.
    border : {"edge", "zero"}
        ``edge`` adds the weights of inputs outside `inputs` to the nearest one (replication);
        ``zero`` drops them.

    Returns
    -------
    ndarray, shape (outputs, inputs), float64
    """
    first, last = input_range(axis, direction, kernel, *outputs)
    first, last = min(first, inputs[0]), max(last, inputs[1])
    full = _weights(axis, direction, kernel, outputs[0], outputs[1], first, last)
    lead, tail = inputs[0] - first, last - inputs[1]
    core = full[:, lead : full.shape[1] - tail].copy()
    if border == "edge":
        core[:, 0] += full[:, :lead].sum(axis=1)
        core[:, -1] += full[:, full.shape[1] - tail :].sum(axis=1)
    return core


def sample(
    image: NDArray[np.float32],
    origin: tuple[int, int],
    window: Window,
    alignment: Alignment,
    direction: Direction,
    kernel: Kernel,
) -> NDArray[np.float32]:
    """Sample an image at the pixel centres of the other grid.

    Parameters
    ----------
    image : ndarray, shape (band, y, x), float32
        Input pixels; must hold at least ``input_window(...)``.
    origin : tuple of int
        Row and column, on the input grid, of ``image[:, 0, 0]``.
    window : Window
        Output pixels.
    alignment : Alignment
        PAN/MS map.
    direction : {"up", "down"}
        ``up``: `image` is on the MS grid and `window` on the PAN grid; ``down``: the reverse.
    kernel : Kernel
        Sampling kernel, its distances in input pixels.

    Returns
    -------
    ndarray, shape (band, window.height, window.width), float32
    """
    bands = image.shape[0]
    x_blocks = _blocks(alignment.x, direction, kernel, window.col, window.col_end)
    y_blocks = _blocks(alignment.y, direction, kernel, window.row, window.row_end)
    if direction == "up":
        # Rows are few on the coarse side: widen them first.
        row, row_end = input_range(alignment.y, direction, kernel, window.row, window.row_end)
        part = image[:, row - origin[0] : row_end - origin[0]]
        wide = np.zeros((bands, part.shape[1], _padded(x_blocks)), dtype=np.float32)
        for start, first, table, flipped in x_blocks:
            cols = slice(first - origin[1], first - origin[1] + table.shape[1])
            np.matmul(part[:, :, cols], flipped, out=wide[:, :, start : start + flipped.shape[1]])
        out = np.empty((bands, window.height, wide.shape[2]), dtype=np.float32)
        for start, first, table, _ in y_blocks:
            rows = slice(first - row, first - row + table.shape[1])
            np.matmul(table, wide[:, rows], out=out[:, start : start + len(table)])
        return np.ascontiguousarray(out[:, :, : window.width])
    col, col_end = input_range(alignment.x, direction, kernel, window.col, window.col_end)
    width = -(-(col_end - col) // _VECTOR) * _VECTOR
    cut = image[:, :, col - origin[1] : col - origin[1] + width]
    if cut.shape[2] < width:
        cut = np.pad(cut, ((0, 0), (0, 0), (0, width - cut.shape[2])))
    flat = np.empty((bands, window.height, width), dtype=np.float32)
    for start, first, table, _ in y_blocks:
        rows = slice(first - origin[0], first - origin[0] + table.shape[1])
        np.matmul(table, cut[:, rows], out=flat[:, start : start + len(table)])
    out = np.empty((bands, window.height, _padded(x_blocks)), dtype=np.float32)
    for start, first, table, flipped in x_blocks:
        cols = slice(first - col, first - col + table.shape[1])
        np.matmul(flat[:, :, cols], flipped, out=out[:, :, start : start + flipped.shape[1]])
    return np.ascontiguousarray(out[:, :, : window.width])


def _padded(blocks: list[tuple[int, int, NDArray[np.float32], NDArray[np.float32]]]) -> int:
    """Columns that the blocks fill, whole vectors included; each spill is overwritten in turn."""
    return blocks[-1][0] + int(blocks[-1][3].shape[1])


def _blocks(
    axis: AxisMap, direction: Direction, kernel: Kernel, start: int, stop: int
) -> list[tuple[int, int, NDArray[np.float32], NDArray[np.float32]]]:
    """Blocks of outputs [start, stop): position in the output, first input, weights both ways."""
    # Shrinking reads many inputs an output: smaller blocks hold fewer zeros.
    size = BLOCK if direction == "up" or axis.scale == 1.0 else BLOCK // 4
    result = []
    at = start
    while at < stop:
        end = min(stop, (at // size + 1) * size)
        near, moved = _period(axis, direction, at)
        first, table, flipped = _block(axis, direction, kernel, near, near + end - at)
        result.append((at - start, first + moved, table, flipped))
        at = end
    return result
