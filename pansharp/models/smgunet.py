"""SMGU-Net, an unfolding network in which the two images guide each other.

*Spatial-spectral unfolding network with mutual guidance for multispectral and hyperspectral image
fusion*, Pattern Recognition, 2025; code: github.com/yansql/SMGU-Net (the model alone, without
training, weights or licence).

Written independently; ``faithful=True`` is the authors' network number for number and takes their
state dict (:mod:`pansharp.models.smgunet_official`). The default form departs from it so that
products do not hang on how a scene is cut, and so that any ratio works:

- Images are resampled between pixel centres. The authors sample between corner pixels, which
  shifts an image by up to 1.4 pixels and depends on the size of the tile.
- The authors' network reads the low-resolution cube itself; here it is the mean of `up` over
  blocks of `factor` pixels on a lattice that begins at the tile's origin, and H0 is `up`.
- One convolution that starts at zero follows the last fusion, and its result is added to `up`. The
  authors' network has no such layer and predicts the image itself.
- The step lengths mu and rho start at 1/2 instead of 1: from 1 the first updates overshoot the
  minimum that they go to.
- S1 and S2 depend on nothing that the iterations change, so they are made once. This holds for the
  faithful form too and changes no bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import ModelError, OptionError
from pansharp.models.layers.fusion import ResidualNetwork, zero_init
from pansharp.models.layers.spectral import reflect_to_multiple

__all__ = [
    "DenseBlock",
    "Enhancement",
    "Fusion",
    "Prior",
    "SMGUNet",
    "SpatialGuidance",
    "SpatialLift",
    "SpectralGuidance",
    "SpectralLift",
]

#: The spectral pyramid halves twice.
PYRAMID = 4
#: Ratio of the authors' network.
OFFICIAL_RATIO = 4


def _conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect")


def _leaky(x: Tensor) -> Tensor:
    # In place: only ever applied to what a convolution has just made.
    return F.leaky_relu(x, 0.2, inplace=True)


class SpectralLift(nn.Module):
    """Guide to as many bands as the cube, M = SpeUB(HRMS): lift, project back, lift what is left.

    Parameters
    ----------
    bands, guides : int
        Bands C of the cube and m of the guide.
    """

    def __init__(self, bands: int, guides: int) -> None:
        super().__init__()
        self.lift = _conv(guides, bands)
        self.back = nn.Conv2d(bands, guides, 1)
        self.again = _conv(guides, bands)

    def forward(self, guide: Tensor) -> Tensor:
        """Return M (N, C, H, W) of the guide (N, m, H, W)."""
        first = _leaky(self.lift(guide))
        return first + _leaky(self.again(guide - _leaky(self.back(first))))


class SpatialLift(nn.Module):
    """Cube to the grid of the guide, L = SpaUB(LRHS), by the same scheme.

    Kernels are as wide as their stride, so each low-resolution pixel makes a block of its own.

    Parameters
    ----------
    bands : int
        Bands C.
    factor : int
        Side of a block r.
    """

    def __init__(self, bands: int, factor: int) -> None:
        super().__init__()
        self.lift = nn.ConvTranspose2d(bands, bands, factor, stride=factor)
        self.back = nn.Conv2d(bands, bands, factor, stride=factor)
        self.again = nn.ConvTranspose2d(bands, bands, factor, stride=factor)

    def forward(self, low: Tensor) -> Tensor:
        """Return L (N, C, r h, r w) of the cube (N, C, h, w)."""
        first = _leaky(self.lift(low))
        rest = low - _leaky(self.back(first))
        return first + _leaky(self.again(rest))


class Prior(nn.Module):
    """Learned prior A of the estimate H: H plus a mixture of 1x1, 3x3 and 5x5 convolutions.

    Parameters
    ----------
    bands : int
        Bands C.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(bands, bands, 1)
        self.three = _conv(bands, bands, 3)
        self.five = _conv(bands, bands, 5)
        self.merge = nn.Conv2d(3 * bands, bands, 1)

    def forward(self, h: Tensor) -> Tensor:
        """Return A (N, C, H, W)."""
        branches = torch.cat((self.one(h), self.three(h), self.five(h)), 1)
        out: Tensor = h + self.merge(_leaky(branches))
        return out


class DenseBlock(nn.Module):
    """1x1 convolution of both lifted images, then 3x3 convolutions of all that came before.

    Parameters
    ----------
    bands : int
        Bands C.
    depth : int
        Number of 3x3 convolutions, 5 in the authors' network.
    """

    def __init__(self, bands: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(2 * bands, bands, 1)
        self.layers = nn.ModuleList(_conv((i + 1) * bands, bands) for i in range(depth))

    def forward(self, both: Tensor) -> Tensor:
        """Return (N, C, H, W) of L and M stacked (N, 2C, H, W)."""
        first = found = _leaky(self.enter(both))
        *inner, last = self.layers
        for layer in inner:
            found = torch.cat((found, _leaky(layer(found))), 1)
        out: Tensor = last(found) + first
        return out


class Enhancement(nn.Module):
    """The features of one image, gated by what the other one knows.

    Parameters
    ----------
    bands : int
        Bands C.
    gate_first : bool
        Order in which the last convolution finds gate and value.
    """

    def __init__(self, bands: int, *, gate_first: bool) -> None:
        super().__init__()
        self.gate = _conv(bands, bands)
        self.value = _conv(bands, bands)
        self.merge = _conv(3 * bands, bands)
        self.gate_first = gate_first

    def forward(self, guiding: Tensor, guided: Tensor) -> Tensor:
        """Return (N, C, H, W) of the image that makes the gate and the one that passes it."""
        gate = self.gate(guiding).sigmoid_()
        value = self.value(guided)
        first, last = (gate, value) if self.gate_first else (value, gate)
        out: Tensor = self.merge(torch.cat((first, gate * value, last), 1))
        return out


class SpatialGuidance(nn.Module):
    """S1 = SpaIGM(L, M): the detail that the lifted cube lacks, guided by M.

    Parameters
    ----------
    bands, width, depth : int
        Bands C, width of the encoder (its second layer has twice as many channels), depth of the
        dense block.
    """

    def __init__(self, bands: int, width: int, depth: int) -> None:
        super().__init__()
        self.encode_first = _conv(bands, width)
        self.encode_second = _conv(width, 2 * width)
        self.decode_first = _conv(3 * width, width)
        self.decode_second = _conv(bands + width, bands)
        self.enhance = Enhancement(bands, gate_first=False)
        self.dense = DenseBlock(bands, depth)

    def forward(self, lifted: Tensor, spectral: Tensor, both: Tensor) -> Tensor:
        """Return S1 (N, C, H, W) of L, M and the two stacked."""
        out: Tensor = self.enhance(self._decoded(spectral), lifted) + self.dense(both)
        return out

    def _decoded(self, spectral: Tensor) -> Tensor:
        # A method of its own: its wide planes, most of the memory, end with it.
        first = _leaky(self.encode_first(spectral))
        deep = torch.cat((_leaky(self.encode_second(first)), first), 1)
        del first
        deep = _leaky(self.decode_first(deep))
        out: Tensor = _leaky(self.decode_second(torch.cat((spectral, deep), 1)))
        return out


class SpectralGuidance(nn.Module):
    """S2 = SpeIGM(L, M): the spectra that the lifted guide lacks, guided by a pyramid of L.

    Parameters
    ----------
    bands, depth : int
        Bands C, depth of the dense block.
    align_corners : bool
        Resample between corner pixels as the authors do.
    """

    def __init__(self, bands: int, depth: int, align_corners: bool) -> None:
        super().__init__()
        self.decode = _conv(3 * bands, bands)
        self.enhance = Enhancement(bands, gate_first=True)
        self.dense = DenseBlock(bands, depth)
        self.align_corners = align_corners

    def forward(self, lifted: Tensor, spectral: Tensor, both: Tensor) -> Tensor:
        """Return S2 (N, C, H, W) of L, M and the two stacked; sides are multiples of 4."""
        half = F.avg_pool2d(lifted, 2)
        coarse = torch.cat((half, self._double(F.avg_pool2d(half, 2))), 1)
        pyramid = torch.cat((lifted, self._double(coarse)), 1)
        enhanced = self.enhance(_leaky(self.decode(pyramid)), spectral)
        out: Tensor = enhanced + self.dense(both)
        return out

    def _double(self, x: Tensor) -> Tensor:
        return _resample(x, 2, self.align_corners)


def _resample(x: Tensor, factor: int, align_corners: bool) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bicubic", align_corners=align_corners)


class Fusion(nn.Module):
    """Both updates, each weighted by what the other one says, and added.

    Parameters
    ----------
    bands : int
        Bands C.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.spatial_first = _conv(bands, 2 * bands)
        self.spatial_second = _conv(2 * bands, bands)
        self.spectral_first = _conv(bands, 2 * bands)
        self.spectral_second = _conv(2 * bands, bands)

    def forward(self, f1: Tensor, f2: Tensor) -> Tensor:
        """Return the next H (N, C, H, W): F1 (1 + w2) + F2 (1 + w1)."""
        w1 = self.spatial_second(_leaky(self.spatial_first(f1))).sigmoid_()
        w2 = self.spectral_second(_leaky(self.spectral_first(f2))).sigmoid_()
        return torch.addcmul(f1, f1, w2) + torch.addcmul(f2, f2, w1)


class SMGUNet(ResidualNetwork):
    """The network.

    With L and M the two images lifted to the same grid and bands, S1 and S2 what each lacks and A
    a learned prior of the estimate H, an iteration takes one gradient step on
    ``|H - L - S1|^2 / 2 + alpha |H - A|^2 / 2`` (length mu) and one on
    ``|H - M - S2|^2 / 2 + beta |H - A|^2 / 2`` (length rho) and fuses the two.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands C of the cube and m of the guide. Parameters and time grow with C squared: some
        550 C^2 weights, 10 million at 128 bands.
    ratio : float
        Nominal ratio; with ``faithful`` it must be 4.
    niter : int
        Iterations; they share all weights.
    width : int
        Channels of the spatial encoder's first layer; its second has twice as many.
    dense_depth : int
        3x3 convolutions in each dense block.
    factor : int or None
        Pixels of the guide along the side of a block that the spatial lift makes of one
        low-resolution pixel. None: 4 from a ratio of 3.5 on, else 2, so that the lattice of tiles
        is the same for every scene. ``multiple_of`` is the least common multiple with 4.
    align_corners : bool or None
        Resample between corner pixels, which makes the result depend on the whole tile. None: as
        `faithful`.
    faithful : bool
        The authors' network: takes the low-resolution cube itself, predicts the image, ratio 4.

    Raises
    ------
    OptionError
        If a size does not fit, with the value that was given.
    """

    def __init__(
        self,
        *,
        ms_bands: int,
        pan_bands: int = 1,
        ratio: float = 4,
        niter: int = 2,
        width: int = 64,
        dense_depth: int = 5,
        factor: int | None = None,
        align_corners: bool | None = None,
        faithful: bool = False,
    ) -> None:
        super().__init__(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio)
        _check(ratio, niter, width, dense_depth, factor, faithful)
        if factor is None:
            factor = 4 if ratio >= 3.5 else 2
        self.niter = niter
        self.factor = factor
        self.multiple_of = math.lcm(factor, PYRAMID)
        self.faithful = faithful
        self.align_corners = faithful if align_corners is None else align_corners
        self.spectral_lift = SpectralLift(ms_bands, pan_bands)
        self.spatial_lift = SpatialLift(ms_bands, factor)
        self.prior = Prior(ms_bands)
        self.spatial_guidance = SpatialGuidance(ms_bands, width, dense_depth)
        self.spectral_guidance = SpectralGuidance(ms_bands, dense_depth, self.align_corners)
        self.fusion = Fusion(ms_bands)
        step = 1.0 if faithful else 0.5
        self.alpha = nn.Parameter(torch.ones(1))
        self.beta = nn.Parameter(torch.ones(1))
        self.mu = nn.Parameter(torch.full((1,), step))
        self.rho = nn.Parameter(torch.full((1,), step))
        if not faithful:
            self.tail = _conv(ms_bands, ms_bands)
            zero_init(self.tail)
        self.to_fastest_layout()

    def forward(self, guide: Tensor, low: Tensor) -> Tensor:
        """Fuse as :meth:`ResidualNetwork.forward` says.

        With ``faithful`` the guide must be exactly four times as large as `low`.

        Raises
        ------
        BandMismatchError
            If either input has other bands than the network was built for.
        ModelError
            If the sizes do not fit.
        """
        if not self.faithful:
            return super().forward(guide, low)
        self.check_inputs(guide, low)
        if any(g != self.factor * n for g, n in zip(guide.shape[2:], low.shape[2:], strict=True)):
            raise ModelError(
                f"the guide has {guide.shape[2]}x{guide.shape[3]} pixels and the low-resolution "
                f"cube {low.shape[2]}x{low.shape[3]}: the authors' network needs a ratio of "
                f"exactly {self.factor}; resample one of them, or build it without faithful"
            )
        guide, low = _channels_last(guide), _channels_last(low)
        start = _resample(low, self.factor, self.align_corners)
        return self._unfold(guide, low, start)

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`.

        Sides that are no multiple of ``multiple_of`` are mirrored below and to the right and
        cropped again.

        Raises
        ------
        ModelError
            If the network is the authors' own, which has no residual.
        """
        if self.faithful:
            raise ModelError(
                "smgunet with faithful=True has no residual: it predicts the image from the "
                "low-resolution cube; call forward(guide, low), or build it without faithful"
            )
        height, width = up.shape[-2], up.shape[-1]
        guide, up = reflect_to_multiple(self.multiple_of, guide, up)
        guide, up = _channels_last(guide), _channels_last(up)
        fused = self._unfold(guide, F.avg_pool2d(up, self.factor), up)
        out: Tensor = self.tail(fused)
        return out[..., :height, :width]

    def _unfold(self, guide: Tensor, low: Tensor, h: Tensor) -> Tensor:
        """Return the last H from the guide, the low-resolution cube and H0."""
        spatial, spectral = self._observations(guide, low)
        for _ in range(self.niter):
            a = self.prior(h)
            f1 = _gradient_step(h, spatial, a, self.mu, self.alpha)
            f2 = _gradient_step(h, spectral, a, self.rho, self.beta)
            h = self.fusion(f1, f2)
        return h

    def _observations(self, guide: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        """Return L + S1 and M + S2, which no iteration changes."""
        lifted, spectral = self.spatial_lift(low), self.spectral_lift(guide)
        both = torch.cat((lifted, spectral), 1)
        return (
            lifted + self.spatial_guidance(lifted, spectral, both),
            spectral + self.spectral_guidance(lifted, spectral, both),
        )


def _gradient_step(h: Tensor, seen: Tensor, a: Tensor, step: Tensor, weight: Tensor) -> Tensor:
    """H - step [(1 + weight) H - seen - weight A], sorted by what it is applied to."""
    return (1 - step * (1 + weight)) * h + step * seen + step * weight * a


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _check(
    ratio: float, niter: int, width: int, dense_depth: int, factor: int | None, faithful: bool
) -> None:
    """Raise OptionError for sizes that make no network."""
    for name, value in (("niter", niter), ("width", width), ("dense_depth", dense_depth)):
        if value < 1:
            raise OptionError(f"{name}={value}: must be at least 1")
    if factor is not None and (factor < 2 or int(factor) != factor):
        raise OptionError(f"factor={factor}: must be a whole number of at least 2")
    if faithful and (ratio != OFFICIAL_RATIO or factor not in (None, OFFICIAL_RATIO)):
        raise OptionError(
            f"ratio={ratio}, factor={factor} with faithful=True: the authors' network is made for "
            f"a ratio of {OFFICIAL_RATIO}; build it without faithful"
        )
