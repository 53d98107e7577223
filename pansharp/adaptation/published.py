"""A network of the published form on a scene whose grids lie anywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from pansharp.errors import ModelError, WeightsError
from pansharp.models.networks import get_network

if TYPE_CHECKING:
    from torch import Tensor

    from pansharp.models.networks import NetworkSpec

__all__ = ["GRIDS", "PublishedNetwork", "published_spec", "whole_ratio"]

#: Where MS pixel 0 lies among PAN pixels: on pixel ratio / 2, or centred on the first `ratio`.
GRIDS = ("toolbox", "corner")
#: Cubic convolution half-way between pixels; on an image that was interpolated `ratio` times it
#: loses below 1 % at the finest detail that the MS can hold.
_HALFWAY = (-1 / 16, 9 / 16, 9 / 16, -1 / 16)


def whole_ratio(ratio: float) -> int:
    """The ratio as a whole number.

    Raises
    ------
    WeightsError
        It is none: the published form knows whole ratios only.
    """
    nearest = round(ratio)
    if nearest < 2 or abs(ratio - nearest) > 0.02 * ratio:
        raise WeightsError(
            f"weights of the published form need a whole ratio of pixel sizes, the scene has "
            f"{ratio:.4g}; use weights of the anchored form, or none"
        )
    return nearest


def published_spec(name: str, ratio: int) -> NetworkSpec:
    """Facts of a network whose tiles lie on whole MS pixels.

    Its context is two MS pixels wider than that of the anchored form: it interpolates by itself.
    """
    spec = get_network(name)
    multiple = math.lcm(spec.multiple_of, ratio)
    halo = -(-(spec.practical_halo + 2 * ratio) // multiple) * multiple
    core = max(multiple, (spec.tile - 2 * spec.practical_halo) // multiple * multiple)
    return replace(spec, multiple_of=multiple, practical_halo=halo, tile=core + 2 * halo)


class PublishedNetwork(nn.Module):
    """``residual(guide, up) = forward(guide, low) - up``, with `low` taken from `up`.

    Papers feed the MS itself, on a grid that lies in one certain way under the PAN. Here the MS has
    been interpolated to its true place; sampling that at the places of the training's grid gives
    back the very MS pixels where the scene lies like the training set, and pixels moved by a part
    of a pixel where it does not.

    Parameters
    ----------
    network : torch.nn.Module
        With ``forward(guide, low)``.
    ratio : int
        MS pixel over PAN pixel.
    grid : {"toolbox", "corner"}
        How the grids of the training lay.

    Raises
    ------
    ModelError
        Unknown grid.
    """

    def __init__(self, network: nn.Module, ratio: int, grid: str = "toolbox") -> None:
        super().__init__()
        if grid not in GRIDS:
            raise ModelError(f"grid '{grid}': choose {' or '.join(GRIDS)}")
        self.network = network
        self.ratio, self.grid = ratio, grid

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what the network adds to the interpolated MS.

        Parameters
        ----------
        guide : Tensor, shape (N, 1, H, W), float32
            PAN over the value scale.
        up : Tensor, shape (N, band, H, W), float32
            MS at PAN pixels over the value scale.

        Returns
        -------
        Tensor, shape (N, band, H, W), float32
        """
        height, width = guide.shape[-2:]
        edge = (0, -width % self.ratio, 0, -height % self.ratio)
        wide = F.pad(up, edge, mode="replicate")
        fused = self.network(F.pad(guide, edge, mode="replicate"), self.low(wide))
        return torch.as_tensor(fused)[..., :height, :width] - up

    def low(self, up: Tensor) -> Tensor:
        """MS pixels of the training's grid: (N, band, H, W) to (N, band, H / ratio, W / ratio)."""
        step, middle = self.ratio, self.ratio // 2
        if self.grid == "toolbox" or step % 2:
            return up[..., middle::step, middle::step]
        for axis in (-2, -1):
            size = up.shape[axis]
            at = torch.arange(middle, size, step, device=up.device)
            # The middle lies between pixels `middle - 1` and `middle`.
            taps = [(at + k).clamp(0, size - 1) for k in (-2, -1, 0, 1)]
            parts = (
                weight * up.index_select(axis, tap)
                for weight, tap in zip(_HALFWAY, taps, strict=True)
            )
            up = sum(parts, torch.zeros((), device=up.device))
        return up
