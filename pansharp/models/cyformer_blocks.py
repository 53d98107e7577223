"""The blocks of CYformer, see :mod:`pansharp.models.cyformer`.

Maps are channels-last here, (N, H, W, C): then linear layers and norms over channels need no copy,
and torch's convolutions are at their fastest too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import ModelError
from pansharp.models.layers.attention import Windows, attend

if TYPE_CHECKING:
    from pansharp.models.layers.lattice import BlockLattice, WholeTile

__all__ = [
    "Block",
    "ChannelAttention",
    "FeedForward",
    "Gate",
    "Padding",
    "Stage",
    "WindowAttention",
    "conv3",
    "on_maps",
]

Padding: TypeAlias = Literal["zeros", "reflect"]


def _wide(x: Tensor) -> Tensor:
    """At least single precision, also under autocast."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def on_maps(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer for (N, C, H, W) to (N, H, W, C)."""
    across = x.permute(0, 3, 1, 2)
    if isinstance(layer, nn.Conv2d) and layer.weight.is_contiguous():
        # Left in the ordinary layout because of its smaller rounding error.
        across = across.contiguous()
    out: Tensor = layer(across).permute(0, 2, 3, 1)
    return out


def conv3(inputs: int, outputs: int, padding: Padding, groups: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size; `padding` is what it sees beyond the border."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, padding_mode=padding)


class _RootMeanSquare(nn.Module):
    """Norm over the channels of each pixel of (N, C, H, W); direction kept even for two channels.

    Of a layer norm only the sign would be left there.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        wide = _wide(x)
        size = torch.rsqrt(wide.square().mean(1, keepdim=True) + 1e-5)
        return wide * size * self.weight[:, None, None] + self.bias[:, None, None]


def _gate_norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else _RootMeanSquare(channels)


class WindowAttention(nn.Module):
    """Self-attention in square windows with a learned bias for each relative position.

    Parameters
    ----------
    width, heads : int
        Channels and attention heads.
    size, shift : int
        Side and offset of the windows in pixels.
    masked : bool
        Whether shifted windows end at the border; else the map is rolled and opposite borders
        meet in one window, as in the authors' code.
    batch : int or None
        See :class:`Windows`.
    """

    places: Tensor

    def __init__(
        self, width: int, heads: int, size: int, shift: int, masked: bool, batch: int | None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.roll = 0 if masked else shift
        self.windows = Windows(size, shift if masked else 0, batch)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.empty((2 * size - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        y, x = (i.flatten() for i in torch.meshgrid([torch.arange(size)] * 2, indexing="ij"))
        dy, dx = y[:, None] - y + size - 1, x[:, None] - x + size - 1
        self.register_buffer("places", dy * (2 * size - 1) + dx, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to the map, from its normalised form, both (N, H, W, C)."""
        if self.roll:
            x = torch.roll(x, (-self.roll, -self.roll), (1, 2))
        across = x.permute(0, 3, 1, 2)
        tokens = self.windows.cut(across)
        outside = self.windows.outside(across)
        bias = self.bias[self.places].permute(2, 0, 1)
        done = []
        for part in self.windows.slices(tokens):
            q, k, v = self._heads(tokens[part])
            scores = _wide(torch.bmm((q * q.shape[1] ** -0.5).transpose(1, 2), k))
            by_window = scores.view(-1, self.heads, *scores.shape[1:])
            by_window += bias
            if outside is not None:
                by_window += outside[part]
            done.append(attend(scores.softmax(-1), v, self.out))
        tokens = torch.cat(done)
        done.clear()
        y = self.windows.join(tokens, across.shape).permute(0, 2, 3, 1)
        return torch.roll(y, (self.roll, self.roll), (1, 2)) if self.roll else y

    def _heads(self, tokens: Tensor) -> list[Tensor]:
        """Tokens (windows, size^2, C) to queries, keys, values (windows * heads, d, size^2)."""
        # Channels first: then no operand of the products that follow needs to be copied.
        count, across = tokens.shape[0], tokens.transpose(1, 2)
        parts = zip(self.qkv.weight.chunk(3), self.qkv.bias.chunk(3), strict=True)
        made = (torch.baddbmm(b[:, None], w.expand(count, -1, -1), across) for w, b in parts)
        return [x.reshape(count * self.heads, -1, x.shape[-1]) for x in made]


class FeedForward(nn.Module):
    """Linear, GELU, one half times a depth-wise filtered other half, linear.

    Parameters
    ----------
    width : int
        Channels, even.
    padding : {"zeros", "reflect"}
        What the convolution sees beyond the border.
    """

    def __init__(self, width: int, padding: Padding) -> None:
        super().__init__()
        half = width // 2
        self.expand = nn.Linear(width, width)
        self.norm = nn.LayerNorm(half)
        self.spread = conv3(half, half, padding, half)
        self.mix = nn.Linear(half, half)
        self.reduce = nn.Linear(half, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to the map, from its normalised form, both (N, H, W, C)."""
        a, b = F.gelu(self.expand(x)).chunk(2, dim=-1)
        out: Tensor = self.reduce(a * self.mix(on_maps(self.spread, self.norm(b))))
        return out


class ChannelAttention(nn.Module):
    """Attention between channels, reversed: a query favours the least similar keys.

    ``softmax(-t cos(q_i, k_j))`` over the channels j of a head, cosines along the pixels of a
    window of `statistics`, q from the guide and k, v from the features.

    Parameters
    ----------
    width, heads : int
        Channels and attention heads.
    statistics : BlockLattice or WholeTile
        Windows that the cosines are taken over.
    """

    def __init__(self, width: int, heads: int, statistics: BlockLattice | WholeTile) -> None:
        super().__init__()
        self.heads = heads
        self.statistics = statistics
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, s: Tensor, guide: Tensor) -> Tensor:
        """Return what is added to the map, from normalised features and guide (N, H, W, C)."""
        at = self.statistics
        of_k, of_v = self.key_value.weight.chunk(2)
        sums = [self._sums(s[:, rows], guide[:, rows], of_k) for rows, _ in at.strips(s)]
        maps = at.corners(self._maps(at.at_nodes(torch.cat(sums, 1))))
        # (N, r, c, corners, heads, d, d) to (N, r, c, heads, d, corners d)
        maps = maps.permute(0, 1, 2, 4, 5, 3, 6).flatten(5)
        done = []
        for rows, blocks in at.strips(s):
            v = self._across(of_v, at.cut(s[:, rows]))
            here = maps[:, blocks].flatten(0, 3)
            shared = at.share(v.view(here.shape[0], -1, v.shape[-1])).flatten(1, 2)
            mixed = torch.bmm(here.to(shared.dtype), shared).view(v.shape)
            done.append(at.join(self.out(mixed.transpose(1, 2)), s[:, rows]))
        return torch.cat(done, 1)

    def _sums(self, s: Tensor, guide: Tensor, of_k: Tensor) -> Tensor:
        """Products q k^T and squares of q and of k of each block, (N, r, c, heads, d, d + 2)."""
        at, columns = self.statistics, self.statistics.columns(s)
        q, k = self._across(self.query.weight, at.cut(guide)), self._across(of_k, at.cut(s))
        with torch.autocast(s.device.type, enabled=False):
            q, k = (_wide(x).view(x.shape[0] * self.heads, -1, x.shape[-1]) for x in (q, k))
            squares = (x.square().sum(-1, keepdim=True) for x in (q, k))
            sums = torch.cat((torch.bmm(q, k.transpose(1, 2)), *squares), -1)
        return sums.view(s.shape[0], -1, columns, self.heads, *sums.shape[1:])

    def _maps(self, sums: Tensor) -> Tensor:
        """Attention (N, rows, columns, heads, d, d) from the sums at the nodes."""
        d = sums.shape[-2]
        products, squares = sums[..., :d], (sums[..., d : d + 1], sums[..., d + 1 :])
        # 1 / max(|q|, 1e-12), in a form whose gradient stays finite where a channel is zero.
        of_q, of_k = (x.clamp_min(1e-24).rsqrt() for x in squares)
        cosine = products * of_q * of_k.transpose(-2, -1)
        maps: Tensor = (-_wide(self.temperature) * cosine).softmax(-1)
        return maps

    @staticmethod
    def _across(weight: Tensor, tokens: Tensor) -> Tensor:
        """Apply weights (C, C) to tokens (blocks, pixels, C), channels first in the result."""
        return torch.bmm(weight.expand(tokens.shape[0], -1, -1), tokens.transpose(1, 2))


class Gate(nn.Module):
    """Bottleneck of two 1x1 convolutions and a sigmoid, from a guide (N, H, W, C).

    One map for all channels (N, H, W, 1), or, with `statistics`, one number a channel and window
    from the mean of the guide there, spread to (N, H, W, C) or to what broadcasts to it.
    """

    def __init__(
        self, width: int, norm: str, statistics: BlockLattice | WholeTile | None = None
    ) -> None:
        super().__init__()
        self.statistics = statistics
        inner = width // 18 if statistics is None else width // 8
        self.reduce = nn.Linear(width, inner)
        self.norm = _gate_norm(norm, inner)
        self.expand = nn.Linear(inner, 1 if statistics is None else width)

    def forward(self, guide: Tensor) -> Tensor:
        """Return the factor minus one, in (0, 1)."""
        at = guide if self.statistics is None else self.statistics.means(guide)
        if self.training and isinstance(self.norm, nn.BatchNorm2d) and at[..., 0].numel() == 1:
            raise ModelError(
                "batch norm of a pooled gate met a batch of 1, which has no variance; train with "
                "batches of 2 or more, or gate_norm='rms'"
            )
        gate = torch.sigmoid(self.expand(F.gelu(on_maps(self.norm, self.reduce(at)))))
        return gate if self.statistics is None else self.statistics.spread(gate)


class Block(nn.Module):
    """Interaction block: the MSI gates what the windows give, the HSI asks and gates the channels.

    Parameters
    ----------
    width, heads : int
        Channels and attention heads.
    win : WindowAttention
        Spatial attention of this block.
    statistics : BlockLattice or WholeTile
        Windows of channel attention and pooled gate.
    literal : bool
        Whether the pooled gate is that of the MSI and the map that of the HSI.
    norm : {"rms", "batch"}
        Norm of the gates.
    padding : {"zeros", "reflect"}
        What convolutions see beyond the border.
    drop : float
        Probability that a branch is left out for one sample in training.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        win: WindowAttention,
        statistics: BlockLattice | WholeTile,
        *,
        literal: bool,
        norm: str,
        padding: Padding,
        drop: float,
    ) -> None:
        super().__init__()
        self.drop = drop
        self.norm_a = nn.LayerNorm(width)
        self.norm_b = nn.LayerNorm(width)
        self.win = win
        self.ffn1 = FeedForward(width, padding)
        self.ffn2 = FeedForward(width, padding)
        self.chan = ChannelAttention(width, heads, statistics)
        self.msi_dw = conv3(width, width, padding, width)
        self.msi_norm = _gate_norm(norm, width)
        self.gate_msi = Gate(width, norm, statistics if literal else None)
        self.gate_hsi = Gate(width, norm, None if literal else statistics)

    def forward(self, x: Tensor, p: Tensor, q: Tensor) -> Tensor:
        """Return the new features from features, MSI guide and HSI guide, all (N, H, W, C)."""
        # Both norms serve twice or more: the paper's code shares them.
        x = x + self._dropped(self.win(self.norm_a(x)))
        x = x + self._dropped(self.ffn1(self.norm_b(x)))
        guide = F.gelu(on_maps(self.msi_norm, on_maps(self.msi_dw, self.norm_a(p))))
        x = torch.addcmul(x, x, self.gate_msi(guide))
        guide = self.norm_a(q)
        x = x + self._dropped(self.chan(self.norm_a(x), guide))
        x = x + self._dropped(self.ffn2(self.norm_b(x)))
        return torch.addcmul(x, x, self.gate_hsi(guide))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not (self.training and self.drop):
            return branch
        keep = torch.rand(branch.shape[0], 1, 1, 1, device=branch.device) >= self.drop
        return branch * (keep / (1 - self.drop))


class Stage(nn.Module):
    """Blocks, a 3x3 convolution, and the input added."""

    def __init__(self, width: int, blocks: list[Block], padding: Padding) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.out = conv3(width, width, padding)

    def forward(self, x: Tensor, p: Tensor, q: Tensor) -> Tensor:
        """Return the new features; see :class:`Block`."""
        y = x
        for block in self.blocks:
            y = block(y, p, q)
        return x + on_maps(self.out, y)
