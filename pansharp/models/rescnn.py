"""A plain residual network: the practical choice for adapting to one scene.

No paper stands behind it. Guide and upsampled image go through one 3x3 convolution, `blocks`
residual blocks (convolution, ReLU, convolution) of constant width and one 3x3 convolution back
to the bands; nothing is normalised, so its output depends on a few pixels only and tiles are
exact beyond ``2 * blocks + 2`` pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import OptionError
from pansharp.models.layers.fusion import ResidualNetwork, zero_init

__all__ = ["ResCNN"]


class _Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class ResCNN(ResidualNetwork):
    """Convolution, residual blocks, convolution.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands of the low-resolution image and of the guide.
    ratio : float
        Nominal ratio (not used by the layers).
    width : int
        Channels.
    blocks : int
        Residual blocks.

    Raises
    ------
    OptionError
        If `width` or `blocks` is below 1.
    """

    def __init__(
        self,
        *,
        ms_bands: int,
        pan_bands: int = 1,
        ratio: float = 4,
        width: int = 32,
        blocks: int = 2,
    ) -> None:
        super().__init__(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio)
        if width < 1 or blocks < 1:
            raise OptionError(f"width={width}, blocks={blocks}: both must be at least 1")
        # Zeros at the border: the engine discards the halo, and this is the fastest padding.
        self.head = nn.Conv2d(pan_bands + ms_bands, width, 3, padding=1)
        self.body = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, ms_bands, 3, padding=1)
        zero_init(self.tail)
        self.to_fastest_layout()

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`."""
        x = torch.cat((guide, up), dim=1).contiguous(memory_format=torch.channels_last)
        out: Tensor = self.tail(self.body(self.head(x)))
        return out
