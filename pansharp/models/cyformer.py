"""CYformer, cyclic cross-modality interaction for hyperspectral and multispectral fusion.

"Cyclic cross-modality interaction for hyperspectral and multispectral image fusion", IEEE
Transactions on Circuits and Systems for Video Technology, 2025; the authors' code is the GitHub
repository Tomchenshi/CYformer.

Written anew after a description of that code. With ``faithful=True`` and the same weights the
output is that of the authors' code after one of two repairs, for as published it stops with an
error: the gate that ends each block makes one map of H x W and reshapes it to C channels.
``gate_layout="repaired"`` exchanges the two gates, as member names, comments and the reshape
itself suggest; ``"literal"`` keeps their places and applies the map as a map. Which of them the
authors trained is unknown, :func:`pansharp.models.cyformer_official.import_official` sees it from
the shapes.

The default form departs from the paper in these points, each of which is an option:

* a residual on the bicubic image, the last convolution starting at zero (`faithful`);
* statistics of the channel attention and of the pooled gate over overlapping windows in place of
  the whole tile (`stats`, `stats_block`), so that the result does not depend on the tile;
* shifted attention windows masked at the border in place of a roll that joins opposite borders
  (`shift_mask`), and the same windows at any ratio (`legacy_window_rule`);
* a root-mean-square norm over channels in the gates in place of batch norm (`gate_norm`);
* mirrored borders in place of zeros (`padding`), no stochastic depth (`drop_path`).

Weights that the authors create and never read are left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import ModelError, OptionError
from pansharp.models.cyformer_blocks import Block, Gate, Stage, WindowAttention, conv3, on_maps
from pansharp.models.layers.fusion import ResidualNetwork, zero_init
from pansharp.models.layers.lattice import BlockLattice, WholeTile
from pansharp.models.layers.spectral import reflect_to_multiple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.models.cyformer_blocks import Padding

__all__ = ["CYformer", "legacy_window"]


def legacy_window(ratio: float, window: int = 8) -> tuple[int, int]:
    """Side and shift of the attention windows in the authors' code.

    It takes 64 / ratio for the size of the map and lets no window be larger.

    Parameters
    ----------
    ratio : float
        A whole number from 1 to 64.
    window : int
        Side that was asked for.

    Returns
    -------
    tuple of int
        Side, and shift of every second block.

    Raises
    ------
    OptionError
        `ratio` is not such a number.
    """
    if ratio != int(ratio) or not 1 <= ratio <= 64:
        raise OptionError(
            f"ratio={ratio}: the authors' window rule knows whole ratios from 1 to 64; "
            "set legacy_window_rule=False"
        )
    size = 64 // int(ratio)
    return (window, window // 2) if size > window else (size, 0)


class CYformer(ResidualNetwork):
    """The network.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands of the low-resolution image and of the guide.
    ratio : float
        Nominal ratio; read by `forward` and the window rule of the authors' form only.
    width : int
        Channels C, even, at least 18 and a multiple of `heads`.
    depths : sequence of int
        Blocks of each stage.
    heads : int
        Heads of both attentions.
    window : int
        Side of the attention windows in pixels, even. Every second block shifts them by half.
    faithful : bool
        The authors' network: no residual, ``forward`` with their interpolation (whole ratios,
        sides of the guide that are multiples of the window). It sets what the options below are
        when they are None.
    gate_layout : {"repaired", "literal"}
        Repair of the published code: spatial gate from the MSI and pooled gate from the HSI, or
        the other way round.
    shift_mask : bool or None
        Mask shifted windows at the border; False rolls. None: not `faithful`.
    legacy_window_rule : bool or None
        The authors' dependence of the windows on the ratio, :func:`legacy_window`. None:
        `faithful`.
    gate_norm : {"rms", "batch"} or None
        Norm inside the gates. None: ``"batch"`` if `faithful`, else ``"rms"``, which depends
        neither on the batch nor on the tile.
    stats : {"window", "tile"} or None
        Where channel attention and pooled gate take their statistics. ``"tile"``, as published,
        makes results depend on the tile. None: ``"tile"`` if `faithful`, else ``"window"``.
    stats_block : int
        Half the side of the windows of ``stats="window"``, pixels.
    padding : {"reflect", "zeros"} or None
        What 3x3 convolutions see beyond the border. None: ``"zeros"`` if `faithful`.
    drop_path : float or None
        Stochastic depth of the last block, growing from 0 in the first. None: 0.1 if `faithful`,
        else 0.
    window_batch : int or None
        Attention windows handled at a time, see :class:`Windows`.

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
        width: int = 90,
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: int = 6,
        window: int = 8,
        faithful: bool = False,
        gate_layout: str = "repaired",
        shift_mask: bool | None = None,
        legacy_window_rule: bool | None = None,
        gate_norm: str | None = None,
        stats: str | None = None,
        stats_block: int = 16,
        padding: Padding | None = None,
        drop_path: float | None = None,
        window_batch: int | None = None,
    ) -> None:
        super().__init__(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio)
        self.faithful = faithful
        masked = not faithful if shift_mask is None else shift_mask
        gate_norm = gate_norm or ("batch" if faithful else "rms")
        stats = stats or ("tile" if faithful else "window")
        padding = padding or ("zeros" if faithful else "reflect")
        if drop_path is None:
            drop_path = 0.1 if faithful else 0.0
        _check_sizes(width, depths, heads, window, stats_block, drop_path, window_batch)
        _check_choices(gate_layout=gate_layout, gate_norm=gate_norm, stats=stats, padding=padding)
        size, shift = window, window // 2
        if faithful if legacy_window_rule is None else legacy_window_rule:
            size, shift = legacy_window(ratio, window)
        self.window = size
        self.multiple_of = size if stats == "tile" else math.lcm(size, stats_block)
        statistics = WholeTile() if stats == "tile" else BlockLattice(stats_block)
        last = max(sum(depths) - 1, 1)

        def block(before: int, place: int) -> Block:
            return Block(
                width,
                heads,
                WindowAttention(width, heads, size, shift * (place % 2), masked, window_batch),
                statistics,
                literal=gate_layout == "literal",
                norm=gate_norm,
                padding=padding,
                drop=drop_path * (before + place) / last,
            )

        self.stem_hsi = conv3(ms_bands, width, padding)
        self.stem_msi = conv3(pan_bands, width, padding)
        self.mix = nn.Conv2d(2 * width, width, 1)
        self.guide_msi = conv3(width, width, padding)
        self.guide_hsi = conv3(width, width, padding)
        self.stages = nn.ModuleList(
            Stage(width, [block(sum(depths[:i]), j) for j in range(depth)], padding)
            for i, depth in enumerate(depths)
        )
        self.tail = conv3(3 * width, ms_bands, padding)
        if not faithful:
            zero_init(self.tail)
            self._quieten()
            self.to_fastest_layout()

    def _quieten(self) -> None:
        """Begin with gates near 1; two factors of 1.5 a block make features 650 times as large."""
        for module in self.modules():
            if isinstance(module, Gate):
                nn.init.constant_(module.expand.bias, -3.0)

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`.

        Sides that are no multiple of ``multiple_of`` are mirrored below and to the right and
        cropped again. Of the authors' network, which makes the whole product, `up` is subtracted.
        """
        height, width = up.shape[-2], up.shape[-1]
        whole = reflect_to_multiple(self.multiple_of, guide, up)
        out = self._body(*whole)[..., :height, :width]
        return out - up if self.faithful else out

    def forward(self, guide: Tensor, low: Tensor) -> Tensor:
        """Fuse; see :meth:`ResidualNetwork.forward`.

        Raises
        ------
        BandMismatchError
            If either input has other bands than the network was built for.
        ModelError
            If the sizes do not fit: of the authors' form, unless the guide is `ratio` times as
            large and its sides are multiples of the attention window.
        """
        if not self.faithful:
            return super().forward(guide, low)
        self.check_inputs(guide, low)
        (height, width), (h, w) = guide.shape[-2:], low.shape[-2:]
        if self.ratio != int(self.ratio) or (height, width) != (h * self.ratio, w * self.ratio):
            raise ModelError(
                f"guide {height}x{width} and low {h}x{w}: the authors' form needs the guide "
                f"{self.ratio:g} times as large, a whole number; build it with the pair's ratio"
            )
        if height % self.window or width % self.window:
            raise ModelError(
                f"guide {height}x{width}: the authors' form needs sides that are multiples of its "
                f"attention window of {self.window}; pad or crop both images"
            )
        up = F.interpolate(low, scale_factor=int(self.ratio), mode="bicubic")
        return self._body(guide, up)

    def _body(self, guide: Tensor, up: Tensor) -> Tensor:
        q, p = self.stem_hsi(up), self.stem_msi(guide)
        x, p, q = self.mix(torch.cat((q, p), 1)), self.guide_msi(p), self.guide_hsi(q)
        x, p, q = (z.permute(0, 2, 3, 1).contiguous() for z in (x, p, q))
        for stage in self.stages:
            x = stage(x, p, q)
        out: Tensor = on_maps(self.tail, torch.cat((x, p, q), -1)).permute(0, 3, 1, 2)
        return out


def _check_sizes(
    width: int,
    depths: Sequence[int],
    heads: int,
    window: int,
    stats_block: int,
    drop_path: float,
    window_batch: int | None,
) -> None:
    """Raise OptionError for sizes that make no network."""
    if width < 18 or width % 2 or heads < 1 or width % heads:
        raise OptionError(
            f"width={width}, heads={heads}: the width must be even, at least 18 and a multiple "
            "of the heads"
        )
    if not depths or min(depths) < 1:
        raise OptionError(f"depths={tuple(depths)}: give at least one stage of at least one block")
    if window < 2 or window % 2:
        raise OptionError(f"window={window}: must be even")
    if stats_block < 2:
        raise OptionError(f"stats_block={stats_block}: must be at least 2 pixels")
    if not 0 <= drop_path < 1:
        raise OptionError(f"drop_path={drop_path}: must be in [0, 1)")
    if window_batch is not None and window_batch < 1:
        raise OptionError(f"window_batch={window_batch}: must be at least 1")


def _check_choices(**given: str) -> None:
    """Raise OptionError for a word that is none of the choices."""
    choices = {
        "gate_layout": ("repaired", "literal"),
        "gate_norm": ("rms", "batch"),
        "stats": ("window", "tile"),
        "padding": ("reflect", "zeros"),
    }
    for key, value in given.items():
        if value not in choices[key]:
            raise OptionError(f"{key}='{value}': choose '{choices[key][0]}' or '{choices[key][1]}'")
