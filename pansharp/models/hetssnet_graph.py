"""Graphs over a grid of patches: nearest neighbours, relation patterns, weighted sums over edges.

An edge joins two positions of the grid at most `radius` steps apart. It is held as an entry of a
small matrix, queries of one block of positions against the candidates around the block, so a
search or a sum over edges is a matrix product of fixed shape: no list of edges whose length hangs
on the data, nothing that grows faster than the number of positions, and the same sums in the same
order for a block wherever its tile begins.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pansharp.errors import ModelError

__all__ = ["Blocks", "Whole", "pattern_counts", "pattern_weights", "select_nearest"]

#: Positions up to which candidates may be the whole tile: matrices then grow as their square.
WHOLE_LIMIT = 4096


class _Windows(torch.autograd.Function):
    """Overlapping square windows of a grid; the backward pass adds slices.

    Autograd's own scatters window by window, which takes longer than the matrix products.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, padded: Tensor, size: int, hop: int
    ) -> Tensor:
        ctx.size, ctx.hop, ctx.shape = size, hop, padded.shape  # type: ignore[attr-defined]
        planes, width = padded.shape[3:]
        cut = padded.unfold(1, size, hop).unfold(2, size, hop).permute(0, 1, 2, 3, 5, 6, 4)
        return cut.reshape(-1, planes, size * size, width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor, None, None]:
        size, hop = ctx.size, ctx.hop  # type: ignore[attr-defined]
        batch, height, across, planes, width = ctx.shape  # type: ignore[attr-defined]
        rows, columns = (height - size) // hop + 1, (across - size) // hop + 1
        cut = gradient.reshape(batch, rows, columns, planes, size, size, width)
        more = -(-size // hop) - 1
        shape = (batch, rows + more, hop, columns + more, hop, planes, width)
        out = gradient.new_zeros(shape)
        for i in range(more + 1):
            for j in range(more + 1):
                part = cut[..., i * hop : (i + 1) * hop, j * hop : (j + 1) * hop, :]
                part = part.permute(0, 1, 4, 2, 5, 3, 6)
                place = out[:, i : i + rows, : part.shape[2], j : j + columns, : part.shape[4]]
                place += part
        out = out.view(batch, (rows + more) * hop, (columns + more) * hop, planes, width)
        return out[:, :height, :across], None, None


class Blocks:
    """Square blocks of positions, each with the candidates within `radius` of it.

    Parameters
    ----------
    grid : tuple of int
        Rows and columns of positions, multiples of `block`.
    radius : int
        Chebyshev distance up to which a position is a candidate.
    block : int
        Side of a block. Changes speed and rounding, not the graph.

    Notes
    -----
    Node tensors are (N, rows, columns, planes, d). Of a strip of block rows there are
    ``M = N * block rows * block columns`` blocks; :meth:`queries` gives (M, planes, block^2, d),
    :meth:`candidates` (M, planes, window^2, d) with ``window = block + 2 * radius`` and zeros off
    the grid, and a matrix over edges is (M, planes, block^2, window^2).
    """

    def __init__(self, grid: tuple[int, int], radius: int, block: int) -> None:
        self.grid = grid
        self.radius = radius
        self.block = block
        self.window = block + 2 * radius
        self.side = 2 * radius + 1

    def strips(self, values: int, batch: int, planes: int, width: int) -> list[slice]:
        """Cut the block rows into strips that need about `values` values each."""
        rows, columns = self.grid[0] // self.block, self.grid[1] // self.block
        block = planes * self.window**2 * (3 * self.block**2 + width)
        step = max(1, min(rows, values // max(1, batch * columns * block)))
        return [slice(i, min(i + step, rows)) for i in range(0, rows, step)]

    def pad(self, nodes: Tensor) -> Tensor:
        """Surround nodes with zeros, as :meth:`candidates` needs them."""
        return F.pad(nodes, (0, 0, 0, 0) + (self.radius,) * 4)

    def queries(self, nodes: Tensor, strip: slice) -> Tensor:
        """Return the nodes of each block of a strip."""
        b = self.block
        rows = nodes[:, strip.start * b : strip.stop * b]
        n, height, across, planes, width = rows.shape
        cut = rows.reshape(n, height // b, b, across // b, b, planes, width)
        return cut.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, planes, b * b, width)

    def candidates(self, padded: Tensor, strip: slice) -> Tensor:
        """Return the nodes around each block of a strip, from what :meth:`pad` returned."""
        b = self.block
        rows = padded[:, strip.start * b : strip.stop * b + 2 * self.radius]
        cut: Tensor = _Windows.apply(rows, self.window, b)  # type: ignore[no-untyped-call]
        return cut

    def join(self, cut: Tensor, batch: int) -> Tensor:
        """Put blocks (M, planes, block^2, d) of a strip together: (N, rows, columns, planes, d)."""
        b, columns = self.block, self.grid[1] // self.block
        planes, width = cut.shape[1], cut.shape[3]
        x = cut.reshape(batch, -1, columns, planes, b, b, width).permute(0, 1, 4, 2, 5, 3, 6)
        return x.reshape(batch, -1, columns * b, planes, width)

    def nearest(self, similarity: Tensor, strip: slice, k: int) -> Tensor:
        """Choose the k nearest candidates of every position, itself excluded.

        Parameters
        ----------
        similarity : Tensor, shape (M, planes, block^2, window^2), float32
            Of the blocks of a strip.
        strip : slice
            Which strip.
        k : int
            Neighbours; where the grid has fewer within the radius, all of them.

        Returns
        -------
        Tensor, shape (M, planes, block^2, side^2), bool
            By offset, row by row from (-radius, -radius); :meth:`symmetric` goes on from here.
        """
        m, planes = similarity.shape[:2]
        near = self._by_offset(similarity)
        barred = self._barred(strip, similarity.device)
        blocks = barred.shape[0]
        near = near.view(m // blocks, blocks, planes, *barred.shape[2:])
        near = near.masked_fill(barred, -torch.inf)
        return select_nearest(near, k).view(m, planes, *barred.shape[2:])

    def symmetric(self, chosen: Tensor) -> Tensor:
        """Join i and j if either chose the other.

        Parameters
        ----------
        chosen : Tensor, shape (N, rows, columns, planes, side^2), bool
            Directed choices of the whole grid, by offset.

        Returns
        -------
        Tensor
            The same shape.
        """
        # The choice of the one at an offset for the one at the opposite offset has an address that
        # is linear in position and offset, so it is a view, not a gather.
        side, planes = self.side, chosen.shape[3]
        padded = self.pad(chosen.movedim(3, 1).flatten(0, 1).unsqueeze(3)).contiguous()
        n, height, across, _, offsets = padded.shape
        rows, columns = self.grid
        row, column = across * offsets, offsets
        back = padded.as_strided(
            (n, rows, columns, side, side),
            (height * row, row, column, row - side, column - 1),
            offsets - 1,
        )
        back = back.reshape(-1, planes, rows, columns, offsets).movedim(1, 3)
        return chosen | back

    def itself(self, device: torch.device) -> Tensor:
        """Return (side^2,), bool: the offset that is the position itself."""
        return torch.arange(self.side**2, device=device) == self.side**2 // 2

    def spread(self, values: Tensor, strip: slice) -> Tensor:
        """Values by offset (N, rows, columns, planes, side^2) to matrices of a strip, 0 elsewhere.

        Returns (M, planes, block^2, window^2).
        """
        b, w, side = self.block, self.window, self.side
        cut = self.queries(values, strip)
        m, planes = cut.shape[:2]
        out = cut.new_zeros(m * planes, b * b, w * w)
        out.as_strided((m * planes, b, b, side, side), self._strides()).copy_(
            cut.reshape(m * planes, b, b, side, side)
        )
        return out.view(m, planes, b * b, w * w)

    def _strides(self) -> tuple[int, ...]:
        """Strides of the view by offset on matrices: the window moves with the query."""
        b, w = self.block, self.window
        return (b * b * w * w, b * w * w + w, w * w + 1, w, 1)

    def _by_offset(self, matrices: Tensor) -> Tensor:
        m, planes = matrices.shape[:2]
        b, side = self.block, self.side
        view = matrices.contiguous().as_strided((m * planes, b, b, side, side), self._strides())
        return view.reshape(m, planes, b * b, side * side)

    def _barred(self, strip: slice, device: torch.device) -> Tensor:
        """(blocks of the strip, 1, block^2, side^2): the position itself and what is off the grid.

        True where there is no candidate.
        """
        rows, columns = self.grid
        steps = torch.arange(-self.radius, self.radius + 1, device=device)
        first = strip.start * self.block
        y = torch.arange(first, strip.stop * self.block, device=device)[:, None] + steps
        x = torch.arange(columns, device=device)[:, None] + steps
        off_y, off_x = (y < 0) | (y >= rows), (x < 0) | (x >= columns)
        off = off_y[:, None, :, None] | off_x[None, :, None, :]
        off = off.flatten(2).clone()
        off[..., self.side**2 // 2] = True
        b = self.block
        cut = off.view(off.shape[0] // b, b, columns // b, b, 1, -1)
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, 1, b * b, self.side**2)


class Whole:
    """The whole grid as one block: every position is a candidate of every other.

    The interface is that of :class:`Blocks`; matrices are (N, planes, positions, positions).

    Parameters
    ----------
    grid : tuple of int
        Rows and columns of positions.

    Raises
    ------
    ModelError
        More than 4096 positions.
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        if grid[0] * grid[1] > WHOLE_LIMIT:
            raise ModelError(
                f"R=None compares every patch with all {grid[0] * grid[1]} of the tile, possible "
                f"up to {WHOLE_LIMIT}; use smaller tiles or give a radius R"
            )
        self.grid = grid

    def strips(self, values: int, batch: int, planes: int, width: int) -> list[slice]:
        """Return one strip: symmetry needs all rows together."""
        return [slice(0, 1)]

    def pad(self, nodes: Tensor) -> Tensor:
        """Return the nodes; nothing is off the grid."""
        return nodes

    def queries(self, nodes: Tensor, strip: slice) -> Tensor:
        """(N, rows, columns, planes, d) to (N, planes, positions, d)."""
        return nodes.flatten(1, 2).transpose(1, 2)

    def candidates(self, padded: Tensor, strip: slice) -> Tensor:
        """Return the same as :meth:`queries`."""
        return self.queries(padded, strip)

    def join(self, cut: Tensor, batch: int) -> Tensor:
        """(N, planes, positions, d) to (N, rows, columns, planes, d)."""
        x = cut.transpose(1, 2)
        return x.reshape(x.shape[0], *self.grid, *x.shape[2:])

    def nearest(self, similarity: Tensor, strip: slice, k: int) -> Tensor:
        """Choose the k nearest of every position, (N, planes, positions, positions)."""
        positions = similarity.shape[-1]
        itself = torch.eye(positions, dtype=torch.bool, device=similarity.device)
        return select_nearest(similarity.masked_fill(itself, -torch.inf), k)

    def symmetric(self, chosen: Tensor) -> Tensor:
        """Join i and j if either chose the other, (N, rows, columns, planes, positions)."""
        matrix = self.queries(chosen, slice(0, 1))
        return self.join(matrix | matrix.transpose(2, 3), chosen.shape[0])

    def itself(self, device: torch.device) -> Tensor:
        """Return (rows, columns, 1, positions), bool: the candidate that is the position itself."""
        rows, columns = self.grid
        positions = rows * columns
        unit = torch.eye(positions, dtype=torch.bool, device=device)
        return unit.view(rows, columns, 1, positions)

    def spread(self, values: Tensor, strip: slice) -> Tensor:
        """Return the matrices (N, planes, positions, positions)."""
        return self.queries(values, strip)


def select_nearest(similarity: Tensor, k: int) -> Tensor:
    """Mark the k largest of each row (last axis); of equal ones those that come first.

    Parameters
    ----------
    similarity : Tensor, shape (..., candidates), float32
        -inf is never chosen.
    k : int
        How many.

    Returns
    -------
    Tensor, shape (..., candidates), bool
    """
    last = _kth_largest(similarity, min(k, similarity.shape[-1]))
    above = similarity > last
    level = similarity == last
    # A row where the k-th and the next are equal takes the first of them, so that flat ground has
    # the same graph wherever the tile begins.
    room = k - above.sum(-1, keepdim=True)
    level &= level.cumsum(-1) <= room
    return (above | level) & (similarity > -torch.inf)


def _kth_largest(values: Tensor, k: int) -> Tensor:
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
        # NumPy selects with vector instructions, several times as fast as torch.topk.
        rank = values.shape[-1] - k
        found = np.partition(values.detach().numpy(), rank, axis=-1)[..., rank : rank + 1]
        return torch.from_numpy(np.ascontiguousarray(found))
    return values.topk(k, dim=-1).values[..., -1:]


class _Lookup(torch.autograd.Function):
    """table[code]; the backward pass is one histogram instead of scattered additions."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, table: Tensor, code: Tensor) -> Tensor:
        ctx.save_for_backward(code)
        ctx.entries = table.shape[0]  # type: ignore[attr-defined]
        return table.index_select(0, code.flatten().int()).view(code.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        (code,) = ctx.saved_tensors  # type: ignore[attr-defined]
        entries: int = ctx.entries  # type: ignore[attr-defined]
        if gradient.device.type == "cpu":
            # In float64: single precision loses the last digits over millions of edges.
            found = torch.bincount(code.flatten().int(), gradient.flatten().double(), entries)
            return found.to(gradient.dtype), None
        # On CUDA the histogram adds in any order; eight masked sums always add in the same.
        sums = [(gradient * (code == entry)).sum() for entry in range(entries)]
        return torch.stack(sums), None


def pattern_weights(alpha: Tensor, code: Tensor) -> Tensor:
    """Weight of each edge by the pattern of relations it belongs to.

    Parameters
    ----------
    alpha : Tensor, shape (7,), float32
        Weight of the patterns 1 to 7.
    code : Tensor, any shape, uint8
        ``b1 + 2 b2 + 4 b3`` of the relations that join the pair; 0: no edge.

    Returns
    -------
    Tensor, shape of `code`, float32
        ``alpha[code - 1]``, and 0 where there is no edge.
    """
    table = torch.cat((alpha.new_zeros(1), alpha))
    weights: Tensor = _Lookup.apply(table, code)  # type: ignore[no-untyped-call]
    return weights


def pattern_counts(code: Tensor) -> Tensor:
    """Count the edges of each pattern in each row, the row sums of the pattern matrices.

    Parameters
    ----------
    code : Tensor, shape (..., candidates), uint8
        As in :func:`pattern_weights`.

    Returns
    -------
    Tensor, shape (..., 7), float32
    """
    return torch.stack([(code == m).sum(-1) for m in range(1, 8)], dim=-1).float()
