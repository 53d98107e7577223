"""Statistics of feature maps over overlapping windows, and what they decide spread back smoothly.

A statistic of a whole tile (a mean, a Gram matrix) makes every pixel depend on how a scene is cut.
Here sums are taken over square blocks anchored at the tensor's origin; a node of the lattice, a
corner that four blocks share, adds up those four; and between the nodes results are interpolated
bilinearly. So each pixel mixes the four overlapping windows that it lies in, with weights that add
up to one and change without a step anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BlockLattice", "WholeTile"]

#: Pixels that are cut at a time; larger parts leave the processor's cache.
_PART = 1 << 14


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class BlockLattice(nn.Module):
    """Windows of twice the block's side, half overlapping.

    Parameters
    ----------
    block : int
        Side of a block in pixels; maps must have sides that are multiples of it. Statistics are
        those of ``2 block`` x ``2 block`` pixels, fewer at the border of the map.
    """

    along: Tensor
    hats: Tensor

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block
        along = (torch.arange(block, dtype=torch.float32) + 0.5) / block
        hats = [torch.outer(y, x).flatten() for y in (1 - along, along) for x in (1 - along, along)]
        self.register_buffer("along", along, persistent=False)
        self.register_buffer("hats", torch.stack(hats)[:, None], persistent=False)

    def strips(self, x: Tensor) -> Iterator[tuple[slice, slice]]:
        """Yield rows of `x` (N, H, W, C) and the rows of blocks that they make."""
        b = self.block
        step = max(1, _PART // (x.shape[0] * x.shape[2] * b))
        for first in range(0, x.shape[1] // b, step):
            yield slice(first * b, (first + step) * b), slice(first, first + step)

    def cut(self, x: Tensor) -> Tensor:
        """Rows (N, rows, W, C) to tokens (blocks, block^2, C)."""
        n, height, width, c = x.shape
        b = self.block
        tiles = x.reshape(n, height // b, b, width // b, b, c).transpose(2, 3)
        return tiles.reshape(-1, b * b, c)

    def join(self, tokens: Tensor, like: Tensor) -> Tensor:
        """Tokens (blocks, block^2, C) to rows (N, rows, W, C)."""
        n, height, width = like.shape[:3]
        b = self.block
        tiles = tokens.reshape(n, height // b, width // b, b, b, -1).transpose(2, 3)
        return tiles.reshape(n, height, width, -1)

    def at_nodes(self, blocks: Tensor) -> Tensor:
        """Add up the blocks (N, r, c, ...) around each node: (N, r + 1, c + 1, ...)."""
        flat = blocks.flatten(3)
        flat = F.pad(flat, (0, 0, 1, 1, 1, 1))
        rows = flat[:, 1:] + flat[:, :-1]
        sums = rows[:, :, 1:] + rows[:, :, :-1]
        return sums.view(*sums.shape[:3], *blocks.shape[3:])

    def corners(self, nodes: Tensor) -> Tensor:
        """(N, r + 1, c + 1, ...) to (N, r, c, 4, ...), in the order of the weights."""
        pairs = [nodes[:, :-1], nodes[:, 1:]]
        return torch.stack([c for p in pairs for c in (p[:, :, :-1], p[:, :, 1:])], dim=3)

    def share(self, tokens: Tensor) -> Tensor:
        """Multiply tokens (m, C, block^2) by the four bilinear hats: (m, 4, C, block^2)."""
        return tokens.unsqueeze(1) * self.hats.to(tokens.dtype)

    def means(self, x: Tensor) -> Tensor:
        """Mean over the window of every node, (N, r + 1, c + 1, C), at least float32."""
        n, height, width, c = x.shape
        b = self.block
        sums = _wide(x).reshape(n, height // b, b, width // b, b, c).sum(dim=(2, 4))
        pixels = sums.new_full((1, *sums.shape[1:3], 1), float(b * b))
        return self.at_nodes(sums) / self.at_nodes(pixels)

    def columns(self, x: Tensor) -> int:
        """Blocks side by side in `x` (N, H, W, C)."""
        return x.shape[2] // self.block

    def spread(self, nodes: Tensor) -> Tensor:
        """Interpolate (N, r + 1, c + 1, C) to (N, H, W, C)."""
        nodes = _wide(nodes)
        n, rows, columns, c = nodes.shape
        t = self.along.to(nodes.dtype)[:, None]
        tall = torch.lerp(nodes[:, :-1, None], nodes[:, 1:, None], t[..., None])
        tall = tall.reshape(n, (rows - 1) * self.block, columns, c)
        wide = torch.lerp(tall[:, :, :-1, None], tall[:, :, 1:, None], t)
        return wide.reshape(n, -1, (columns - 1) * self.block, c)


class WholeTile(nn.Module):
    """One window, the tile: every output then depends on the tile's extent.

    In place of a :class:`BlockLattice`; there is one block and one node, whose weight is one.
    """

    def strips(self, x: Tensor) -> Iterator[tuple[slice, slice]]:
        """Yield all rows at once."""
        yield slice(0, x.shape[1]), slice(0, 1)

    def cut(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to (N, H W, C)."""
        return x.flatten(1, 2)

    def join(self, tokens: Tensor, like: Tensor) -> Tensor:
        """(N, H W, C) to (N, H, W, C)."""
        return tokens.reshape(*like.shape[:3], -1)

    def at_nodes(self, blocks: Tensor) -> Tensor:
        """Return the sums (N, 1, 1, ...) as they are."""
        return blocks

    def corners(self, nodes: Tensor) -> Tensor:
        """(N, 1, 1, ...) to (N, 1, 1, 1, ...)."""
        return nodes.unsqueeze(3)

    def share(self, tokens: Tensor) -> Tensor:
        """Return (m, 1, C, H W): the only window has the weight one."""
        return tokens.unsqueeze(1)

    def means(self, x: Tensor) -> Tensor:
        """Mean over the tile, (N, 1, 1, C), at least float32."""
        return _wide(x).mean(dim=(1, 2), keepdim=True)

    def columns(self, x: Tensor) -> int:
        """Return 1, the block that `x` (N, H, W, C) is."""
        return 1

    def spread(self, nodes: Tensor) -> Tensor:
        """Return (N, 1, 1, C), which broadcasts."""
        return nodes
