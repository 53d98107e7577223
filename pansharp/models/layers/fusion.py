"""The frame of every fusion network: a bicubic start image and a learned residual."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import BandMismatchError, ModelError, OptionError

__all__ = ["ResidualNetwork", "upsample_bicubic", "zero_init"]


def upsample_bicubic(low: Tensor, size: tuple[int, int]) -> Tensor:
    """Cubic convolution with a = -0.5 between corner-aligned grids, pixel centres kept in place.

    Parameters
    ----------
    low : Tensor, shape (N, band, h, w), float32
        Low-resolution image, any units.
    size : tuple of int
        Rows and columns of the result; their ratio to (h, w) need not be whole.

    Returns
    -------
    Tensor, shape (N, band, H, W), float32
        At the border the kernel is cut off and renormalised.

    Raises
    ------
    ModelError
        If the result would be smaller than `low`.

    Notes
    -----
    R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6),
    1981, a = -1/2, which reproduces quadratics. PyTorch's bicubic has a = -3/4 unless
    ``antialias`` is set, and when enlarging that switch changes nothing but this constant.
    """
    if size[0] < low.shape[-2] or size[1] < low.shape[-1]:
        raise ModelError(
            f"the guide has {size[0]}x{size[1]} pixels and the low-resolution image "
            f"{low.shape[-2]}x{low.shape[-1]}: the guide must not be the smaller one"
        )
    if tuple(low.shape[-2:]) == tuple(size):
        return low
    return F.interpolate(low, size=size, mode="bicubic", antialias=True, align_corners=False)


def zero_init(layer: nn.Conv2d | nn.Linear) -> None:
    """Set weight and bias of `layer` to zero, so that what it adds starts as nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualNetwork(nn.Module):
    """``forward(guide, low) = bicubic(low) + residual(guide, bicubic(low))``.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands of the low-resolution image and of the guide.
    ratio : float
        Nominal ratio of the pixel sizes; the networks here read the actual one off the inputs.

    Attributes
    ----------
    arguments : dict
        The keywords that the network was built with, defaults left out: what a weights file must
        say to have it built again.
    """

    arguments: dict[str, Any]

    def __new__(cls, *_: object, **arguments: object) -> Self:
        """Take note of the keywords."""
        network = super().__new__(cls)
        # Not by nn.Module's own way of setting, which needs its __init__.
        network.__dict__["arguments"] = arguments
        return network

    def __init__(self, *, ms_bands: int, pan_bands: int = 1, ratio: float = 4) -> None:
        super().__init__()
        if ms_bands < 1 or pan_bands < 1:
            raise OptionError(
                f"ms_bands={ms_bands} and pan_bands={pan_bands}: a network needs at least one each"
            )
        if not ratio >= 1:
            raise OptionError(f"ratio={ratio}: the low-resolution pixels must be the larger ones")
        self.ms_bands = ms_bands
        self.pan_bands = pan_bands
        self.ratio = ratio

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what the network adds to `up`.

        Parameters
        ----------
        guide : Tensor, shape (N, pan_bands, H, W), float32
            High-resolution guide, about [0, 1].
        up : Tensor, shape (N, ms_bands, H, W), float32
            Low-resolution image already on the grid of the guide, about [0, 1].

        Returns
        -------
        Tensor, shape (N, ms_bands, H, W), float32
            Zero in a fresh network.
        """
        raise NotImplementedError

    def forward(self, guide: Tensor, low: Tensor) -> Tensor:
        """Fuse a guide and a low-resolution image that cover the same ground.

        Parameters
        ----------
        guide : Tensor, shape (N, pan_bands, H, W), float32
            PAN or other high-resolution bands in [0, 1].
        low : Tensor, shape (N, ms_bands, h, w), float32
            Low-resolution image in [0, 1]; H/h and W/w need not be whole.

        Returns
        -------
        Tensor, shape (N, ms_bands, H, W), float32
            Not clipped.

        Raises
        ------
        BandMismatchError
            If either input has other bands than the network was built for.
        ModelError
            If the inputs are not four-dimensional, differ in batch size, or `low` is larger.
        """
        self.check_inputs(guide, low)
        up = upsample_bicubic(low, (guide.shape[-2], guide.shape[-1]))
        return up + self.residual(guide, up)

    def check_inputs(self, guide: Tensor, low: Tensor) -> None:
        """Raise BandMismatchError or ModelError unless the inputs of `forward` fit."""
        if guide.ndim != 4 or low.ndim != 4 or guide.shape[0] != low.shape[0]:
            raise ModelError(
                f"guide {tuple(guide.shape)} and low {tuple(low.shape)}: both must be "
                "(batch, band, y, x) with the same batch"
            )
        for what, tensor, bands in (
            ("guide", guide, self.pan_bands),
            ("low-resolution image", low, self.ms_bands),
        ):
            if tensor.shape[1] != bands:
                raise BandMismatchError(
                    f"the {what} has {tensor.shape[1]} bands, this network was built for {bands}; "
                    "build it with the right ms_bands and pan_bands"
                )

    @property
    def parameter_count(self) -> int:
        """Number of trainable values."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def to_fastest_layout(self) -> ResidualNetwork:
        """Store convolution kernels channels-last, which doubles the speed on CPU; returns self."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self
