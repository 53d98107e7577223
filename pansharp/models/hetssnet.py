"""HetSSNet, the spatial-spectral heterogeneous graph learning network.

M. Ma, Y. Jiang, M. Zhao, J. Li, W. Zhang, "HetSSNet: Spatial-Spectral Heterogeneous Graph Learning
Network for Panchromatic and Multispectral Images Fusion", ICML 2025, arXiv:2502.04623.

Independent implementation after the paper; the authors' code was not found. From the paper: PAN
and MS patches as nodes, each band its own; three relations from nearest neighbours, with cosines
on the edges; patterns of relations; a local branch over weighted patterns and a global one over
nodes with similar counts of patterns; the contrastive term. The paper is silent about, and ours
are: patch, encoder, decoder, k, the window of the search, how relations combine (in the paper's
own words no pair of nodes has two of them), every normalisation, and the code that tells bands
apart. Left out by default: the global branch, whose sums over a tile would show in the product
where tiles meet. No published score is claimed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import ModelError, OptionError
from pansharp.models.hetssnet_branches import (
    CHUNK_VALUES,
    GlobalBranch,
    LocalBranch,
    Nodes,
    Surroundings,
    contrastive_loss,
    find_codes,
)
from pansharp.models.hetssnet_graph import Blocks, Whole
from pansharp.models.layers.fusion import ResidualNetwork, zero_init
from pansharp.models.layers.spectral import reflect_pad, reflect_to_multiple

__all__ = ["Decoder", "Encoder", "HetSSNet", "contrastive_loss"]

#: Values of the code of a band.
BAND_CODE = 16


def band_codes(bands: int) -> Tensor:
    """Sines and cosines of the band number, (bands, 16): the same for a band however many follow.

    The usual code of places in a sequence (A. Vaswani et al., "Attention is all you need", NeurIPS
    2017, section 3.5).
    """
    rates = 10000.0 ** (-torch.arange(BAND_CODE // 2) / (BAND_CODE // 2))
    angles = torch.arange(bands)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), 1)


class Encoder(nn.Module):
    """Overlapping patches to nodes: two 3x3 convolutions, then one of the size of a patch.

    Parameters
    ----------
    planes : int
        Input channels.
    stem, width : int
        Channels of the 3x3 convolutions and of a node.
    patch : int
        Side of a patch; neighbours start half a side apart.
    coded : bool
        Whether images come with the code of their band, added before the non-linearity.
    """

    def __init__(self, planes: int, stem: int, width: int, patch: int, coded: bool) -> None:
        super().__init__()
        self.margin = patch // 4
        self.first = nn.Conv2d(planes, stem, 3, padding=1, padding_mode="reflect")
        self.code = nn.Linear(BAND_CODE, stem, bias=False) if coded else None
        self.second = nn.Conv2d(stem, stem, 3, padding=1, padding_mode="reflect")
        self.embed = nn.Conv2d(stem, width, patch, stride=patch // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor, codes: Tensor | None = None) -> Tensor:
        """(M, planes, H, W) and codes (M, 16) to nodes (M, H / stride, W / stride, d), float32."""
        # Neighbours are chosen by these features, and in half precision others would be chosen.
        with torch.autocast(image.device.type, enabled=False):
            x = self.first(image.float())
            if self.code is not None and codes is not None:
                x = x + self.code(codes)[:, :, None, None]
            x = self.second(F.leaky_relu(x, 0.2))
            x = reflect_pad(x, *(self.margin,) * 4)
            nodes: Tensor = self.norm(self.embed(x).permute(0, 2, 3, 1))
            return nodes


class Decoder(nn.Module):
    """Nodes to patches of the residual, joined by overlap-add.

    An MLP sees the PAN node and the band's node of a position. Its patch is weighted by
    ``sin^2(pi (n + 1/2) / patch)`` along each axis; neighbours half a patch apart sum to one.
    Starts at zero.

    Parameters
    ----------
    width, patch : int
        Channels of a node, side of a patch.
    coded : bool
        Whether hidden channels are scaled and shifted by the code of the band.

    Notes
    -----
    Nodes that are alike would repeat one learnt patch, a grid in flat ground. So from each patch
    goes the grid that it would leave if all were like it, averaged over the 3 x 3 patches around:
    alike nodes give a flat image, and over an image the mean of what is added does not hang on the
    place within a patch. To take that part from the last layer's weights instead costs quality,
    because patches that differ need it.
    """

    window: Tensor

    def __init__(self, width: int, patch: int, coded: bool) -> None:
        super().__init__()
        self.patch = patch
        self.pan = nn.Linear(width, 2 * width)
        self.ms = nn.Linear(width, 2 * width, bias=False)
        self.code = nn.Linear(BAND_CODE, 4 * width, bias=False) if coded else None
        if self.code is not None:
            zero_init(self.code)
        self.out = nn.Linear(2 * width, patch * patch)
        zero_init(self.out)
        window = torch.sin(math.pi * (torch.arange(patch, dtype=torch.float64) + 0.5) / patch) ** 2
        self.register_buffer("window", window.float(), persistent=False)

    def forward(self, nodes: Nodes, codes: Tensor) -> Tensor:
        """PAN and MS nodes and the codes (C, 16) of the bands to an image (N, C, H, W)."""
        of_pan, ms = self.pan(nodes[0]), nodes[1]
        step = ms.shape[3]
        if not torch.is_grad_enabled():
            step = max(1, CHUNK_VALUES // of_pan.numel())
        parts = []
        for part, code in zip(torch.split(ms, step, 3), torch.split(codes, step), strict=True):
            hidden = of_pan + self.ms(part)
            if self.code is not None:
                gain, shift = self.code(code).chunk(2, 1)
                hidden = hidden * (1 + gain) + shift
            parts.append(self._image(self.out(F.gelu(hidden)).float()))
        return torch.cat(parts, dim=1)

    def _grid(self, patches: Tensor) -> Tensor:
        """Return the grid that windowed patches would add up to, mean of 3 x 3, as patches."""
        n, rows, columns, bands, _ = patches.shape
        s = self.patch // 2
        quarters = patches.view(n, rows, columns, bands, 2, s, 2, s)
        cell = quarters.sum((4, 6)).flatten(4)
        cell = cell - cell.mean(-1, keepdim=True)
        planes = cell.permute(0, 3, 4, 1, 2).flatten(0, 1)
        planes = F.avg_pool2d(planes, 3, 1, 1, count_include_pad=False)
        cell = planes.view(n, bands, s, s, rows, columns).permute(0, 4, 5, 1, 2, 3)
        return cell.repeat(1, 1, 1, 1, 2, 2).flatten(4)

    def _image(self, patches: Tensor) -> Tensor:
        n, rows, columns, bands, _ = patches.shape
        p = self.patch
        s = p // 2
        window = torch.outer(self.window, self.window).flatten()
        patches = patches * window
        # The windows of the four patches over a pixel sum to one, so it goes exactly.
        patches = patches - self._grid(patches) * window
        stacked = patches.permute(0, 3, 4, 1, 2).reshape(n * bands, p * p, rows * columns)
        height, width = rows * s, columns * s
        image = F.fold(stacked, (height + s, width + s), p, stride=s)
        image = image[..., s // 2 : s // 2 + height, s // 2 : s // 2 + width]
        image = image / (self._cover(height)[:, None] * self._cover(width))
        return image.view(n, bands, height, width)

    def _cover(self, length: int) -> Tensor:
        """Sum of the windows along an axis: one but at the border, where one patch is alone."""
        s = self.patch // 2
        inner = self.window.new_ones(length - s)
        return torch.cat((self.window[s // 2 : s], inner, self.window[s : s + s // 2]))


class HetSSNet(ResidualNetwork):
    """The network.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands of the low-resolution image and of the guide. No weight hangs on `ms_bands`: a state
        dict fits any.
    ratio : float
        Nominal ratio (not used by the layers).
    stem, width : int
        Channels of the encoders' 3x3 convolutions and of a node.
    patch : int
        Side of a patch in pixels, a multiple of 4, at least 8; patches start half a side apart.
    k : int
        Nearest neighbours of a node.
    R : int or None
        Distance in patches (Chebyshev) up to which neighbours are looked for; None: the whole
        tile, presumably as in the paper; results then depend on the tile, which is limited to
        4096 patches.
    layers : int
        Layers l of each branch.
    use_global : bool
        With the branch over all patches of the tile; results then depend on the tile.
    pattern_mode : {"lifted", "literal"}
        ``"lifted"``: relations join positions, so that they combine; ``"literal"``: they join
        nodes as the paper writes, and only three of the seven patterns can occur.
    cosine_gradient : bool
        Whether gradients flow through the cosines on the edges too.
    band_code : bool
        Tell bands apart by their number. Without, bands in another order give the same result in
        that order, and what differs from band to band cannot be learnt (docs/networks/hetssnet.md
        has the cost).
    block : int
        Patches of one block side; changes speed, alignment and rounding, not the graph.

    Raises
    ------
    OptionError
        If a size does not fit, with the value that was given.
    """

    codes: Tensor

    def __init__(
        self,
        *,
        ms_bands: int,
        pan_bands: int = 1,
        ratio: float = 4,
        stem: int = 16,
        width: int = 96,
        patch: int = 8,
        k: int = 8,
        R: int | None = 6,
        layers: int = 2,
        use_global: bool = False,
        pattern_mode: str = "lifted",
        cosine_gradient: bool = False,
        band_code: bool = True,
        block: int = 4,
    ) -> None:
        super().__init__(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio)
        _check(stem, width, patch, k, R, layers, pattern_mode, block)
        self.k, self.radius, self.block = k, R, block
        self.literal = pattern_mode == "literal"
        self.cosine_gradient = cosine_gradient
        self.multiple_of = patch // 2 * (1 if R is None else block)
        self.pan_encoder = Encoder(pan_bands, stem, width, patch, coded=False)
        self.ms_encoder = Encoder(1, stem, width, patch, band_code)
        self.local_branch = LocalBranch(width, layers, self.literal)
        self.global_branch = GlobalBranch(width, layers, k) if use_global else None
        self.decoder = Decoder(width, patch, band_code)
        self.register_buffer("codes", band_codes(ms_bands), persistent=False)
        self.to_fastest_layout()

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`.

        Sides that are no multiple of ``multiple_of`` are mirrored below and to the right and
        cropped again.
        """
        height, width = up.shape[-2], up.shape[-1]
        guide, up = reflect_to_multiple(self.multiple_of, guide, up)
        nodes, of_tile = self.views(guide, up)
        if of_tile is not None:
            nodes = (nodes[0] + of_tile[0]) / 2, (nodes[1] + of_tile[1]) / 2
        image: Tensor = self.decoder(nodes, self.codes)
        return image[..., :height, :width]

    def views(self, guide: Tensor, up: Tensor) -> tuple[Nodes, Nodes | None]:
        """Return H_loc and H_glob.

        Parameters
        ----------
        guide, up : Tensor
            As in :meth:`residual`, sides multiples of ``multiple_of``.

        Returns
        -------
        local, of_tile : tuple of Tensor
            PAN nodes (N, rows, columns, 1, d) and MS nodes (N, rows, columns, C, d) each; the
            second is None without the global branch.
        """
        nodes = self.pan_encoder(guide).unsqueeze(3), self._bands(up)
        compared = nodes if self.cosine_gradient else (nodes[0].detach(), nodes[1].detach())
        grid = (nodes[0].shape[1], nodes[0].shape[2])
        graph = Whole(grid) if self.radius is None else Blocks(grid, self.radius, self.block)
        around = Surroundings(graph, compared)
        codes = find_codes(around, self.k, self.literal)
        local = self.local_branch(around, codes, nodes)
        if self.global_branch is None:
            return local, None
        return local, self.global_branch(codes, nodes, self.literal)

    def contrastive_loss(
        self,
        guide: Tensor,
        up: Tensor,
        *,
        temperature: float = 0.2,
        samples: int = 512,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the paper's term L_cl, to be added to the loss with the weight 0.01 (its gamma).

        The paper trains on the mean absolute error plus this; per-scene adaptation does without.

        Parameters
        ----------
        guide, up : Tensor
            As in :meth:`residual`, sides multiples of ``multiple_of``.
        temperature, samples, generator
            As in :func:`contrastive_loss`.

        Raises
        ------
        ModelError
            The network has no global branch, so there is no second view.
        """
        local, of_tile = self.views(guide, up)
        if of_tile is None:
            raise ModelError(
                "the contrastive loss compares the local and the global branch and this network "
                "has no global one; build it with use_global=True"
            )
        first, second = (torch.cat(view, 3).flatten(1, 3) for view in (local, of_tile))
        return contrastive_loss(
            first, second, temperature=temperature, samples=samples, generator=generator
        )

    def _bands(self, up: Tensor) -> Tensor:
        """Nodes of the bands, some at a time outside training: (N, rows, columns, C, d)."""
        n, bands, height, width = up.shape
        images = up.reshape(n * bands, 1, height, width)
        codes = self.codes.repeat(n, 1)
        step = n * bands
        if not torch.is_grad_enabled():
            step = max(1, CHUNK_VALUES // (self.ms_encoder.first.out_channels * height * width))
        pairs = zip(torch.split(images, step), torch.split(codes, step), strict=True)
        nodes = torch.cat([self.ms_encoder(part, code) for part, code in pairs])
        by_image = nodes.view(n, bands, *nodes.shape[1:])
        return by_image.permute(0, 2, 3, 1, 4).contiguous()


def _check(
    stem: int,
    width: int,
    patch: int,
    k: int,
    radius: int | None,
    layers: int,
    pattern_mode: str,
    block: int,
) -> None:
    """Raise OptionError for sizes that make no network."""
    if min(stem, width, layers, block, k) < 1:
        raise OptionError(
            f"stem={stem}, width={width}, layers={layers}, block={block}, k={k}: all must be at "
            "least 1"
        )
    if patch < 8 or patch % 4:
        raise OptionError(f"patch={patch}: must be a multiple of 4, at least 8")
    if radius is not None and not (radius >= 1 and k < (2 * radius + 1) ** 2):
        raise OptionError(
            f"R={radius} with k={k}: R must be at least 1 and (2 R + 1)^2 more than k; R=None "
            "looks at the whole tile"
        )
    if pattern_mode not in ("lifted", "literal"):
        raise OptionError(f"pattern_mode='{pattern_mode}': choose 'lifted' or 'literal'")
