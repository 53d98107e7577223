"""The block of HyFusion: shifted-window attention with dense connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import OptionError
from pansharp.models.layers.attention import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ERFB", "MLP_RATIOS", "SLOPE", "initialise"]

#: MLP widths of the five layers over their channels, as in DRCT.
MLP_RATIOS = (2.0, 2.0, 2.0, 1.0, 1.0)
#: Of LeakyReLU, here and in the branches.
SLOPE = 0.2


class _Attention(nn.Module):
    """Multi-head attention in windows with a learned bias of relative position."""

    index: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        row = torch.arange(window).repeat_interleave(window)
        col = torch.arange(window).repeat(window)
        apart = [x[:, None] - x[None, :] + window - 1 for x in (row, col)]
        self.register_buffer("index", apart[0] * (2 * window - 1) + apart[1], persistent=False)

    def forward(self, tokens: Tensor, outside: Tensor | None) -> Tensor:
        """(windows, size^2, C) to the same; `outside` is added to the scores of the keys."""
        count, length, width = tokens.shape
        q, k, v = self.qkv(tokens).view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)
        if outside is not None:
            bias = bias + outside
        scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-2, -1)).float() + bias
        mixed = torch.matmul(scores.softmax(-1).to(v.dtype), v)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, width))
        return out


class _Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to `x` (..., C)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _SwinLayer(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); `gain` adds the input once more, times it."""

    def __init__(
        self, width: int, heads: int, window: int, mlp_ratio: float, gain: float | None
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width, int(width * mlp_ratio))
        self.gamma = None if gain is None else nn.Parameter(torch.full((width,), gain))

    def forward(self, tokens: Tensor, outside: Tensor | None) -> Tensor:
        """(windows, size^2, C) to the same."""
        x: Tensor = tokens + self.attn(self.norm1(tokens), outside)
        x = x + self.mlp(self.norm2(x))
        return x if self.gamma is None else x + tokens * self.gamma


class ERFB(nn.Module):
    """Enhanced reception field block: window attention with dense connections.

    ``F[k+1] = LReLU(conv1x1(STL_k([F0 .. Fk])))`` with g channels, the last one with C channels and
    no activation; the block adds 0.2 times it to its input. Every second layer shifts its windows
    by half a side.

    Parameters
    ----------
    width, growth : int
        C and g.
    heads : int
        Attention heads; must divide the channels of every layer.
    window : int
        Side of the windows in pixels, even.
    mlp_ratios : sequence of float
        Hidden over outer channels of each layer's MLP; its length is the number of layers.
    gain : float or None
        Start of a learned weight a channel with which each layer adds its input once more (so in
        the authors' later code); None: no such weights.
    legacy_heads : bool
        Reduce `heads` at each layer to ``heads - channels % heads``, as DRCT does.
    window_batch : int or None
        Windows handled at a time, see :class:`~pansharp.models.layers.attention.Windows`.

    Raises
    ------
    OptionError
        If the heads do not divide the channels of a layer.
    """

    def __init__(
        self,
        width: int,
        growth: int,
        heads: int,
        window: int = 8,
        mlp_ratios: Sequence[float] = MLP_RATIOS,
        gain: float | None = None,
        legacy_heads: bool = False,
        window_batch: int | None = None,
    ) -> None:
        super().__init__()
        self.depth = len(mlp_ratios)
        self.windows = [Windows(window, shift, window_batch) for shift in (0, window // 2)]
        for k, ratio in enumerate(mlp_ratios):
            inner = width + k * growth
            used = heads - inner % heads if legacy_heads else heads
            if inner % used:
                raise OptionError(
                    f"heads={used} does not divide the {inner} channels of layer {k + 1} "
                    f"(width={width}, growth={growth}); choose heads that divide both"
                )
            out = width if k == self.depth - 1 else growth
            self.add_module(f"swin{k + 1}", _SwinLayer(inner, used, window, ratio, gain))
            self.add_module(f"adjust{k + 1}", nn.Conv2d(inner, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same; H and W are whole windows."""
        features = [x]
        for k in range(self.depth):
            windows = self.windows[k % 2]
            swin, adjust = self.get_submodule(f"swin{k + 1}"), self.get_submodule(f"adjust{k + 1}")
            assert isinstance(adjust, nn.Conv2d)
            kernel = adjust.weight.flatten(1)
            outside = windows.outside(x)
            # Layer and 1x1 convolution stay inside a window: only their g channels are kept, and
            # never the concatenation or the scores of a whole image.
            tokens = [windows.cut(feature) for feature in features]
            done = []
            for part in windows.slices(tokens[0]):
                dense = torch.cat([t[part] for t in tokens], dim=-1)
                grown = swin(dense, None if outside is None else outside[part])
                grown = F.linear(grown, kernel, adjust.bias)
                done.append(grown if k == self.depth - 1 else F.leaky_relu(grown, SLOPE))
            del tokens
            features.append(windows.join(torch.cat(done), x.shape))
        return torch.add(x, features[-1], alpha=0.2)


def initialise(network: nn.Module) -> None:
    """Draw linear layers and position biases from a truncated normal, sigma 0.02, as in DRCT."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, _Attention):
            nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)
