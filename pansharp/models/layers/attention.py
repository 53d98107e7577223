"""Attention inside square windows of feature maps, shifted without wrapping, and sparse."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Windows", "attend", "sparse_softmax"]


class Windows(nn.Module):
    """Cut feature maps into square attention windows and put them together again.

    Parameters
    ----------
    size : int
        Side in pixels.
    shift : int
        Offset of the windows, 0 or half a side. A shifted grid is padded, and what lies outside
        the image is masked; a cyclic roll would join opposite borders.
    batch : int or None
        Windows handled at a time; None: 64 on a CPU, where the scores of so many stay in the
        cache, else 1024. Changes memory and speed, not the result.
    """

    def __init__(self, size: int, shift: int, batch: int | None) -> None:
        super().__init__()
        self.size = size
        self.shift = shift
        self.batch = batch

    def slices(self, tokens: Tensor) -> list[slice]:
        """Return the batches of `tokens` (windows, ...)."""
        step = self.batch or (64 if tokens.device.type == "cpu" else 1024)
        return [slice(i, i + step) for i in range(0, tokens.shape[0], step)]

    def cut(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (windows, size^2, C)."""
        x = x.permute(0, 2, 3, 1)
        if self.shift:
            x = F.pad(x, (0, 0) + (self.shift,) * 4)
        n, height, width, c = x.shape
        a = self.size
        x = x.reshape(n, height // a, a, width // a, a, c)
        return x.transpose(2, 3).reshape(-1, a * a, c)

    def join(self, tokens: Tensor, shape: torch.Size) -> Tensor:
        """(windows, size^2, C) to (N, C, H, W), rows, columns and batch taken from `shape`."""
        a, t = self.size, self.shift
        height, width = shape[-2] + 2 * t, shape[-1] + 2 * t
        x = tokens.view(shape[0], height // a, width // a, a, a, -1).transpose(2, 3)
        x = x.reshape(shape[0], height, width, -1)
        return x[:, t : height - t, t : width - t].permute(0, 3, 1, 2)

    def outside(self, x: Tensor) -> Tensor | None:
        """Return (windows, 1, 1, size^2): 0 inside the image, -inf outside; None if unshifted."""
        if not self.shift:
            return None
        inside = self.cut(x.new_ones(x.shape[0], 1, x.shape[2], x.shape[3]))
        return torch.log(inside).view(-1, 1, 1, self.size**2)


def _threshold(scores: Tensor, keep: int) -> Tensor:
    """Return the `keep`-th largest score of each row (last axis), shape (..., 1).

    Rows with fewer than `keep` finite scores give their smallest finite one.
    """
    scores = scores.detach()
    if scores.device.type == "cpu" and not torch.compiler.is_compiling():
        # NumPy sorts short rows with vector instructions, about ten times as fast as torch.topk.
        ordered = np.sort(scores.numpy(), axis=-1)
        last = torch.from_numpy(np.ascontiguousarray(ordered[..., -keep])).unsqueeze(-1)
    else:
        last = scores.topk(keep, dim=-1).values[..., -1:]
    # At most three quarters of a window lie outside the image.
    if 4 * keep <= scores.shape[-1]:
        return last
    finite = scores.masked_fill(scores.isneginf(), torch.inf).amin(-1, keepdim=True)
    return torch.maximum(last, finite)


class _SparseSoftmax(torch.autograd.Function):
    """Softmax over the largest scores; keeps only its result for the backward pass."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, scores: Tensor, keep: int) -> Tensor:
        # A common shift leaves the softmax as it is, and after it one cheap pass drops what is
        # below zero; comparing and filling through a boolean mask takes ten times as long.
        above = scores - _threshold(scores, keep)
        dropped = F.threshold(above, -torch.finfo(above.dtype).tiny, -torch.inf, inplace=True)
        result = dropped.softmax(-1)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        # Dropped scores have the weight zero, and with it the gradient zero.
        (result,) = ctx.saved_tensors  # type: ignore[attr-defined]
        weighted = gradient * result
        return torch.addcmul(weighted, result, weighted.sum(-1, keepdim=True), value=-1), None


def sparse_softmax(scores: Tensor, keep: int) -> Tensor:
    """Softmax over the `keep` largest scores of each row (and what ties with the last of them).

    Parameters
    ----------
    scores : Tensor, shape (..., keys), float32
        May hold -inf, which is never kept.
    keep : int
        Number of keys; all of them from ``keys`` on.

    Returns
    -------
    Tensor, shape (..., keys), float32
        Each row sums to one.
    """
    if keep >= scores.shape[-1]:
        return scores.softmax(-1)
    result: Tensor = _SparseSoftmax.apply(scores, keep)  # type: ignore[no-untyped-call]
    return result


def attend(attention: Tensor, v: Tensor, out: nn.Linear) -> Tensor:
    """Apply maps (windows * heads, queries, keys) to v (windows * heads, d, keys), then `out`.

    Returns tokens (windows, queries, D).
    """
    mixed = torch.bmm(v.to(attention.dtype), attention.transpose(1, 2))
    mixed = mixed.view(-1, out.in_features, mixed.shape[-1]).transpose(1, 2)
    return torch.baddbmm(out.bias, mixed, out.weight.t().expand(mixed.shape[0], -1, -1))
