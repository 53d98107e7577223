"""HyFusion: two coupled branches of densely connected shifted-window attention.

C.-M. Lee, Y.-F. Lin, Y.-H. Ho, L.-W. Kang, C.-C. Hsu, "HyFusion: Enhanced Reception Field
Transformer for Hyperspectral Image Fusion", IGARSS 2025, arXiv:2501.04665.

Reimplementation: the authors have published no network, and the method section was not available.
From the abstract and their figures: two sub-networks that each see both inputs on one grid, 3x3
convolution and LeakyReLU, six ERFBs and a long skip in each, the two upsampling steps of the lower
one, concatenation, and a convolution - ERFB - convolution at the end. The inside of an ERFB (dense
connections, growth, the scale 0.2, alternating shifts) follows the block of the same name in the
code of the authors' next network (HSSDCT, arXiv:2602.00490) and their DRCT (arXiv:2404.00722); the
five layers are those of an earlier figure of HyFusion's own repository. Ours: all widths, heads
and what follows.

Deviations: the product is what the network adds to the bicubic cube, so the last convolution starts
at zero (``global_residual=False`` is the figure's layout without that sum). The cube of the lower
branch is the mean of `up` over squares of 2 or 4 pixels, so that any ratio works and tiles need no
second input. Its guide is reduced with anti-aliasing (``legacy_resize=True``: without). Shifted
windows never join opposite borders. No published score is claimed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pansharp.errors import ModelError, OptionError
from pansharp.models.hyfusion_erfb import ERFB, MLP_RATIOS, SLOPE, initialise
from pansharp.models.layers.fusion import ResidualNetwork, zero_init
from pansharp.models.layers.spectral import reflect_to_multiple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HyFusion", "alignment", "two_steps"]

#: Factors between which the ratio chooses if none is given; both fit tiles of 16 pixels.
_FACTORS = (2, 4)
#: Side from which training recomputes each ERFB in the backward pass: one of 96/32 channels keeps
#: about 50 kB a pixel.
CHECKPOINT_ABOVE = 96


def two_steps(factor: int) -> tuple[int, int]:
    """Split the enlargement of the lower branch into the steps before and after its blocks.

    The first is the largest divisor not above the root, for primes the factor itself: 2 = 2 x 1,
    3 = 3 x 1, 4 = 2 x 2, 6 = 2 x 3, 8 = 2 x 4, 16 = 4 x 4.
    """
    first = max((d for d in range(2, math.isqrt(factor) + 1) if factor % d == 0), default=factor)
    return first, factor // first


def alignment(factor: int, steps: tuple[int, int], window: int) -> int:
    """Return the smallest side that is whole windows on the full grid and in the lower branch."""
    return math.lcm(factor, window * steps[1])


class HyFusion(ResidualNetwork):
    """The network.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands of the cube and of the high-resolution guide.
    ratio : float
        Nominal ratio of the pixel sizes; chooses `factor` if that is not given.
    width, growth, heads : int
        Channels C of the features, g that each layer of a block adds, attention heads.
    blocks : int
        ERFBs of each branch.
    window : int
        Side of the attention windows in pixels, even.
    mlp_ratios : sequence of float
        Hidden over outer channels of the MLPs in a block; as many layers as there are numbers.
    hr_width, lr_width : int or None
        Channels of the upper and the lower branch; None: `width`.
    skip : {"concat", "add"}
        How a long skip meets its branch, and the branches one another.
    up_mode : {"nearest", "bilinear"}
        Upsampling of the lower branch.
    factor : int or None
        Pixels of `up` that make one pixel of the lower branch, at least 2. None: 2 for ratios below
        3, else 4, which tiles of 16 pixels fit; others change ``multiple_of``.
    steps : tuple of int or None
        Enlargement before and after the blocks of the lower branch, product `factor`; None:
        :func:`two_steps`.
    gain : float or None
        See :class:`ERFB`.
    global_residual : bool
        Add the network to the bicubic cube; False: its output is the product, as in the figure,
        and it is not bicubic when fresh.
    legacy_resize : bool
        Reduce the guide of the lower branch by PyTorch's bicubic without anti-aliasing.
    legacy_heads : bool
        See :class:`ERFB`.
    window_batch : int or None
        Windows handled at a time. Changes memory and speed, not the result.

    Raises
    ------
    OptionError
        If an argument does not fit, with the value that was given.
    """

    def __init__(
        self,
        *,
        ms_bands: int,
        pan_bands: int = 1,
        ratio: float = 4,
        width: int = 96,
        growth: int = 32,
        heads: int = 4,
        blocks: int = 6,
        window: int = 8,
        mlp_ratios: Sequence[float] = MLP_RATIOS,
        hr_width: int | None = None,
        lr_width: int | None = None,
        skip: str = "concat",
        up_mode: str = "nearest",
        factor: int | None = None,
        steps: tuple[int, int] | None = None,
        gain: float | None = None,
        global_residual: bool = True,
        legacy_resize: bool = False,
        legacy_heads: bool = False,
        window_batch: int | None = None,
    ) -> None:
        super().__init__(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio)
        sizes = {"width": width, "growth": growth, "heads": heads, "blocks": blocks}
        sizes["hr_width"] = width if hr_width is None else hr_width
        sizes["lr_width"] = width if lr_width is None else lr_width
        _check(sizes, window, mlp_ratios, skip, up_mode, window_batch)
        self.factor = _FACTORS[ratio >= 3] if factor is None else factor
        self.steps = two_steps(max(self.factor, 1)) if steps is None else steps
        if self.factor < 2 or min(self.steps) < 1 or math.prod(self.steps) != self.factor:
            raise OptionError(
                f"factor={self.factor}, steps={self.steps}: the factor must be 2 or more and the "
                "product of two steps"
            )
        every = _FACTORS if factor is None and steps is None else (self.factor,)
        used = {f: self.steps if f == self.factor else two_steps(f) for f in every}
        self.multiple_of = math.lcm(*(alignment(f, s, window) for f, s in used.items()))
        self.up_mode = up_mode
        self.add_skips = skip == "add"
        self.global_residual = global_residual
        self.legacy_resize = legacy_resize

        def block(channels: int) -> ERFB:
            return ERFB(
                channels, growth, heads, window, mlp_ratios, gain, legacy_heads, window_batch
            )

        both = 1 if self.add_skips else 2
        hr, lr = sizes["hr_width"], sizes["lr_width"]
        self.hr_stem = nn.Conv2d(ms_bands + pan_bands, hr, 3, padding=1)
        self.lr_stem = nn.Conv2d(ms_bands + pan_bands, lr, 3, padding=1)
        self.hr_body = nn.ModuleList(block(hr) for _ in range(blocks))
        self.lr_body = nn.ModuleList(block(lr) for _ in range(blocks))
        self.hr_out = nn.Conv2d(both * hr, width, 3, padding=1)
        self.lr_out = nn.Conv2d(both * lr, width, 3, padding=1)
        self.fuse_in = nn.Conv2d(both * width, width, 3, padding=1)
        self.fuse_block = block(width)
        self.head = nn.Conv2d(width, ms_bands, 3, padding=1)
        initialise(self)
        if global_residual:
            zero_init(self.head)
        self.to_fastest_layout()

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`.

        Sides that are no multiple of ``multiple_of`` are mirrored below and to the right and
        cropped again. With ``global_residual=False`` it is the product minus `up`.
        """
        height, width = up.shape[-2], up.shape[-1]
        guide, x = reflect_to_multiple(self.multiple_of, guide, up)
        out = self._fuse(guide, x, F.avg_pool2d(x, self.factor))[..., :height, :width]
        return out if self.global_residual else out - up

    def forward(self, guide: Tensor, low: Tensor) -> Tensor:
        """Fuse; see :meth:`ResidualNetwork.forward`.

        With ``global_residual=False`` the lower branch sees `low` itself and the upper one its
        bilinear enlargement.

        Raises
        ------
        ModelError
            With ``global_residual=False``, if the guide is not exactly `factor` times as large.
        """
        if self.global_residual:
            return super().forward(guide, low)
        self.check_inputs(guide, low)
        height, width = guide.shape[-2], guide.shape[-1]
        if (height, width) != (low.shape[-2] * self.factor, low.shape[-1] * self.factor):
            raise ModelError(
                f"the guide has {height}x{width} pixels and the low-resolution image "
                f"{low.shape[-2]}x{low.shape[-1]}: without the global residual the guide must be "
                f"exactly {self.factor} times as large; crop it, or build with factor= that ratio"
            )
        (guide,) = reflect_to_multiple(self.multiple_of, guide)
        (low,) = reflect_to_multiple(self.multiple_of // self.factor, low)
        up = F.interpolate(low, size=guide.shape[-2:], mode="bilinear", align_corners=False)
        return self._fuse(guide, up, low)[..., :height, :width]

    def _fuse(self, guide: Tensor, up: Tensor, low: Tensor) -> Tensor:
        """Return Y (N, ms_bands, H, W) from the cube on both grids; sides are aligned."""
        small = F.interpolate(
            guide,
            size=low.shape[-2:],
            mode="bicubic",
            align_corners=False,
            antialias=not self.legacy_resize,
        )
        start = self._enlarge(_leaky(self.lr_stem(_join(low, small))), self.steps[0])
        both = self._skip(_run(self.lr_body, start), start)
        of_lr = self.lr_out(_leaky(self._enlarge(both, self.steps[1])))
        start = _leaky(self.hr_stem(_join(up, guide)))
        of_hr = self.hr_out(_leaky(self._skip(_run(self.hr_body, start), start)))
        # What is done with is let go: at 1024 x 1024 pixels a map of 96 channels is 400 MB.
        del start, both
        fused = self.fuse_in(self._skip(of_hr, of_lr))
        del of_hr, of_lr
        out: Tensor = self.head(_run([self.fuse_block], fused))
        return out

    def _skip(self, deep: Tensor, shallow: Tensor) -> Tensor:
        return deep + shallow if self.add_skips else _join(deep, shallow)

    def _enlarge(self, x: Tensor, step: int) -> Tensor:
        if step == 1:
            return x
        centres = None if self.up_mode == "nearest" else False
        return F.interpolate(x, scale_factor=step, mode=self.up_mode, align_corners=centres)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def _join(a: Tensor, b: Tensor) -> Tensor:
    """Concatenate channels, stored channels last as windows and convolutions want them."""
    return torch.cat((a, b), dim=1).contiguous(memory_format=torch.channels_last)


def _run(blocks: Sequence[nn.Module] | nn.ModuleList, x: Tensor) -> Tensor:
    recompute = torch.is_grad_enabled() and max(x.shape[-2:]) > CHECKPOINT_ABOVE
    for block in blocks:
        x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
    return x


def _check(
    sizes: dict[str, int],
    window: int,
    mlp_ratios: Sequence[float],
    skip: str,
    up_mode: str,
    window_batch: int | None,
) -> None:
    """Raise OptionError for sizes that make no network."""
    for name, value in sizes.items():
        if value < 1:
            raise OptionError(f"{name}={value}: must be at least 1")
    if window < 2 or window % 2:
        raise OptionError(f"window={window}: must be even, so that half of it can be the shift")
    if not mlp_ratios or min(mlp_ratios) <= 0:
        raise OptionError(f"mlp_ratios={tuple(mlp_ratios)}: give one number above 0 for each layer")
    if skip not in ("concat", "add"):
        raise OptionError(f"skip='{skip}': choose 'concat' or 'add'")
    if up_mode not in ("nearest", "bilinear"):
        raise OptionError(f"up_mode='{up_mode}': choose 'nearest' or 'bilinear'")
    if window_batch is not None and window_batch < 1:
        raise OptionError(f"window_batch={window_batch}: must be at least 1")
