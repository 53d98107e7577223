"""Gated recursion of a multi-kernel residual unit, the block of BUGPan."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.models.layers.uncertainty import ElementWeight, HardGate, SampleWeight, Uncertainty

__all__ = ["RecursiveBlock"]

_KERNELS = (1, 3, 5)


def _convolution(width: int, size: int, depthwise: bool) -> nn.Module:
    if not depthwise:
        return nn.Conv2d(width, width, size, padding=size // 2)
    return nn.Sequential(
        nn.Conv2d(width, width, size, padding=size // 2, groups=width), nn.Conv2d(width, width, 1)
    )


class _Unit(nn.Module):
    """Residual unit with one kernel size: u = C ReLU C x, and two maps that weigh x and u."""

    def __init__(self, width: int, size: int, depthwise: bool) -> None:
        super().__init__()
        self.width = width
        self.first = _convolution(width, size, depthwise)
        self.second = _convolution(width, size, depthwise)
        self.squeeze = nn.Conv2d(2 * width, 2, 1)
        self.attend = nn.Conv2d(2, 2, size, padding=size // 2)

    def forward(self, x: Tensor, squeezed: Tensor) -> tuple[Tensor, Tensor]:
        """Return u (N, F, H, W) and the two maps (N, 2, H, W).

        `squeezed` (N, 2, H, W) is the part of :attr:`squeeze` that reads x, its bias included.
        """
        u = self.second(F.relu(self.first(x), inplace=True))
        both = squeezed + F.conv2d(u, self.squeeze.weight[:, self.width :])
        return u, torch.sigmoid(self.attend(F.relu(both, inplace=True)))


class _Step(nn.Module):
    """The increment of one recursion: mean of ``x s_0 + u s_1`` over three kernel sizes."""

    def __init__(self, width: int, depthwise: bool) -> None:
        super().__init__()
        self.width = width
        self.units = nn.ModuleList(_Unit(width, size, depthwise) for size in _KERNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to x (N, F, H, W)."""
        squeezes: list[nn.Conv2d] = [unit.squeeze for unit in self.units]  # type: ignore[misc]
        weight = torch.cat([layer.weight[:, : self.width] for layer in squeezes])
        bias = torch.cat([layer.bias for layer in squeezes if layer.bias is not None])
        squeezed = F.conv2d(x, weight, bias).chunk(len(squeezes), dim=1)
        own, total = None, None
        for unit, part in zip(self.units, squeezed, strict=True):
            u, maps = unit(x, part)
            own = maps[:, :1] if own is None else own + maps[:, :1]
            total = u * maps[:, 1:] if total is None else torch.addcmul(total, u, maps[:, 1:])
        assert own is not None
        assert total is not None
        return torch.addcmul(total, x, own) / len(squeezes)


class RecursiveBlock(nn.Module):
    """One scale: a shared step applied again and again, gated by the features' uncertainty.

    Parameters
    ----------
    width, bands : int
        Channels F of the features and C of the image.
    retimes : int
        Steps R.
    gate : HardGate, SampleWeight, ElementWeight or None
        What weighs all steps but the first.
    gate_input : {"all", "space", "frequency", "features"}
        Which uncertainty it reads beside the features.
    window : int or None
        Side of the gate's windows in pixels of this scale; None: the whole input.
    attached : bool
        Whether gradients pass through the gate into the features.
    seed : int
        Of the ensemble's masks.
    recursive : bool
        Whether all steps share their weights.
    depthwise : bool
        Separable convolutions inside the steps.
    """

    def __init__(
        self,
        width: int,
        bands: int,
        *,
        retimes: int,
        gate: HardGate | SampleWeight | ElementWeight | None,
        gate_input: str,
        window: int | None,
        attached: bool,
        seed: int,
        recursive: bool,
        depthwise: bool,
    ) -> None:
        super().__init__()
        self.retimes = retimes
        self.window = window
        self.attached = attached
        self.space = gate_input in ("all", "space")
        self.frequency = gate_input in ("all", "frequency")
        self.open = False
        self.head = nn.Conv2d(2 * width, width, 3, padding=1)
        self.steps = nn.ModuleList(
            _Step(width, depthwise) for _ in range(1 if recursive else retimes)
        )
        self.gate = gate
        self.uncertainty = Uncertainty(width, bands, seed=seed, robust=not attached)

    def forward(self, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (N, F, H, W) and the correction of the image (N, C, H, W)."""
        x = self.head(torch.cat((a, p), dim=1))
        for step in range(self.retimes):
            weight = self.weight(x) if step and self.gate is not None and not self.open else None
            # A closed gate leaves the features as they are and therefore closes again.
            if weight is not None and self._closed(weight):
                break
            increment = self.steps[step % len(self.steps)](x)
            x = x + increment if weight is None else torch.addcmul(x, weight.to(x.dtype), increment)
        return x, self.uncertainty.correction(x)

    def weight(self, x: Tensor) -> Tensor:
        """Return the gate's weights for features x: (N, 1 or F, H, W) or (N, 1, 1, 1)."""
        assert self.gate is not None
        with torch.autocast(x.device.type, enabled=False):
            with nullcontext() if self.attached else torch.no_grad():
                x = x if x.dtype == torch.float64 else x.float()
                maps = self.uncertainty.maps(
                    x, self.window, space=self.space, frequency=self.frequency
                )
                inputs = torch.cat((*maps, x), dim=1)
            result: Tensor = self.gate(inputs, self.window)
            return result

    def _closed(self, weight: Tensor) -> bool:
        """Whether nothing more can happen; never asked while a graph is recorded or noise drawn."""
        if self.training or torch.compiler.is_compiling() or not isinstance(self.gate, HardGate):
            return False
        return not bool(weight.any())
