"""SSFT, the deep spatial-spectral fusion transformer.

M. Ma, Y. Jiang, M. Zhao, X. Ma, W. Zhang, S. Song, "Deep spatial-spectral fusion transformer for
remote sensing pansharpening", Information Fusion, 2025, doi:10.1016/j.inffus.2025.102980.

Independent implementation after the published description. From the paper: the three blocks and
their jobs (a Fourier-guided spectral reconstruction, FGSR, that rebuilds the amplitude from PAN
and MS with a complex feature interaction; a top-k spatial reconstruction, TKSR, that picks regions
from PAN alone; a fusion, SSF, that re-weights the value matrix). Ours: everything inside them,
all sizes, the windowed Fourier transform and the masked window shift, which together make the
output independent of how a scene is cut into tiles. No published score is claimed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pansharp.errors import OptionError
from pansharp.models.layers.attention import Windows, attend, sparse_softmax
from pansharp.models.layers.fusion import ResidualNetwork, zero_init
from pansharp.models.layers.spectral import (
    ComplexMix,
    Spectrum,
    TileFourier,
    WindowedFourier,
    modulus,
    reflect_to_multiple,
    scale,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FGSR", "SSF", "SSFT", "TKSR"]

#: Fractions of the keys that ``topk="mix"`` combines.
MIX_FRACTIONS = (1 / 2, 2 / 3, 3 / 4, 4 / 5)
#: Side from which training recomputes each stage in the backward pass instead of keeping it.
CHECKPOINT_ABOVE = 128


def _lean(block: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Apply `block` to two spectra; in training keep its inputs only and compute it again later.

    Windows overlap, so a spectrum holds at least four times the pixels, and a few operations on
    spectra would take most of the memory of a training step for a tenth of its time.
    """
    if not torch.is_grad_enabled():
        return block(a, b)
    result: Tensor = checkpoint(block, a, b, use_reentrant=False, preserve_rng_state=False)
    return result


def _with_amplitude(phase: Spectrum, amplitude: Spectrum) -> Spectrum:
    """Return the phase of one spectrum with the amplitude of the other."""
    return scale(phase, modulus(amplitude) / modulus(phase))


class FGSR(nn.Module):
    """Fourier-guided spectral reconstruction: a new amplitude for the MS features.

    Amplitude from a complex interaction of both spectra, phase kept from the MS features, so that
    this path changes spectral statistics only. Starts as the identity.

    Parameters
    ----------
    width : int
        Feature channels D.
    """

    identity: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ComplexMix(2 * width, 2 * width)
        self.second = ComplexMix(2 * width, width)
        self.amplitude = nn.Linear(2 * width, width)
        zero_init(self.amplitude)
        self.register_buffer("identity", torch.eye(width), persistent=False)

    def forward(self, zm: Spectrum, zp: Spectrum) -> Spectrum:
        """Return the spectrum of s from those of m and p, all (N, 2D, ...)."""
        shape, zm, zp = zm.shape, zm.flatten(2), zp.flatten(2)
        with torch.autocast(zm.device.type, enabled=False):
            q = self.second(F.leaky_relu(self.first(zm, zp), 0.2, inplace=True))
            before = modulus(zm)
            of_q, of_m = self.amplitude.weight.chunk(2, dim=1)
            # |Zm| + Wo [|Q|; |Zm|]: the identity joins the weights instead of a pass over the data.
            after = torch.matmul(of_m + self.identity, before)
            after = after.baddbmm_(of_q.expand(shape[0], -1, -1), modulus(q))
            after = F.relu(after.add_(self.amplitude.bias[:, None]))
            return scale(zm, after / before).view(shape)


class FeedForward(nn.Module):
    """1x1 to twice the width, depth-wise 3x3, GELU, 1x1 back; normalised first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.spread = nn.Conv2d(
            2 * width, 2 * width, 3, padding=1, groups=2 * width, padding_mode="reflect"
        )
        self.reduce = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added to `x` (N, D, H, W)."""
        y = self.expand(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        y = F.gelu(self.spread(y)).permute(0, 2, 3, 1)
        out: Tensor = self.reduce(y).permute(0, 3, 1, 2)
        return out


class TKSR(nn.Module):
    """Top-k spatial reconstruction: sparse attention of the PAN features on themselves.

    Parameters
    ----------
    width, heads : int
        Channels and attention heads.
    windows : Windows
        The grid of this stage.
    topk : float, "mix" or None
        Fraction of the keys that each query keeps; a learned mixture of 1/2, 2/3, 3/4 and 4/5; or
        all.
    """

    def __init__(self, width: int, heads: int, windows: Windows, topk: float | str | None) -> None:
        super().__init__()
        self.heads = heads
        self.windows = windows
        self.topk = topk
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = FeedForward(width)
        if topk == "mix":
            self.mixture = nn.Parameter(torch.zeros(len(MIX_FRACTIONS)))

    def forward(self, p: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the new p (N, D, H, W) and the attention maps, one per batch of windows.

        Maps have the shape (windows * heads, queries, keys).
        """
        tokens = self.windows.cut(self.norm(p.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        outside = self.windows.outside(p)
        done, maps = [], []
        for part in self.windows.slices(tokens):
            q, k, v = self._heads(tokens[part])
            scores = torch.bmm((q * q.shape[1] ** -0.5).transpose(1, 2), k).float()
            if outside is not None:
                by_window = scores.view(-1, self.heads, *scores.shape[1:])
                scores = (by_window + outside[part]).flatten(0, 1)
            attention = self._attention(scores)
            maps.append(attention)
            done.append(attend(attention, v, self.out))
        p = p + self.windows.join(torch.cat(done), p.shape)
        return p + self.feed(p), maps

    def _heads(self, tokens: Tensor) -> list[Tensor]:
        """Tokens (windows, size^2, D) to queries, keys, values (windows * heads, d, size^2)."""
        # Channels first: then no operand of the products that follow needs to be copied.
        count, across = tokens.shape[0], tokens.transpose(1, 2)
        parts = zip(self.qkv.weight.chunk(3), self.qkv.bias.chunk(3), strict=True)
        made = (torch.baddbmm(b[:, None], w.expand(count, -1, -1), across) for w, b in parts)
        return [x.reshape(count * self.heads, -1, x.shape[-1]) for x in made]

    def _attention(self, scores: Tensor) -> Tensor:
        keys = scores.shape[-1]
        if self.topk is None:
            return scores.softmax(-1)
        if self.topk == "mix":
            weights = self.mixture.softmax(0)
            parts = (sparse_softmax(scores, round(f * keys)) for f in MIX_FRACTIONS)
            mixed = torch.stack([w * part for w, part in zip(weights, parts, strict=True)])
            return mixed.sum(0)
        return sparse_softmax(scores, max(1, round(float(self.topk) * keys)))


class SSF(nn.Module):
    """Spatial-spectral fusion: re-weighted values under the attention map of the PAN features.

    Parameters
    ----------
    width : int
        Channels.
    windows : Windows
        The grid that the attention maps were made on.
    fourier : WindowedFourier or TileFourier
        Transform.
    """

    def __init__(
        self, width: int, windows: Windows, fourier: WindowedFourier | TileFourier
    ) -> None:
        super().__init__()
        self.windows = windows
        self.fourier = fourier
        self.merge = nn.Linear(3 * width, width)
        self.norm = nn.LayerNorm(width)
        self.value = nn.Linear(width, width)
        self.gate = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, width)
        zero_init(self.gate)

    def forward(self, s: Tensor, p: Tensor, zp: list[Spectrum], maps: list[Tensor]) -> Tensor:
        """Return what is added to m from s, p (N, D, H, W), the spectra of p and the maps."""
        zs = self.fourier.spectra(s)
        f = self.fourier.image(_lean(_with_amplitude, b, a) for a, b in zip(zs, zp, strict=True))
        s, p = s.permute(0, 2, 3, 1), p.permute(0, 2, 3, 1)
        v = self.value(self.norm(self.merge(torch.cat((f.permute(0, 2, 3, 1), s, p), -1))))
        v = v * (2 * torch.sigmoid(self.gate(torch.cat((s, p), -1))))
        tokens = self.windows.cut(v.permute(0, 3, 1, 2))
        done = []
        for part, attention in zip(self.windows.slices(tokens), maps, strict=True):
            heads = tokens[part].transpose(1, 2).reshape(attention.shape[0], -1, tokens.shape[1])
            done.append(attend(attention, heads, self.out))
        return self.windows.join(torch.cat(done), f.shape)


class _Stage(nn.Module):
    """s = FGSR(m, p); p, A = TKSR(p); m = m + SSF(s, p, A); m = m + FFN(m)."""

    def __init__(
        self,
        width: int,
        heads: int,
        windows: Windows,
        fourier: WindowedFourier | TileFourier,
        topk: float | str | None,
    ) -> None:
        super().__init__()
        self.fourier = fourier
        self.fgsr = FGSR(width)
        self.tksr = TKSR(width, heads, windows, topk)
        self.ssf = SSF(width, windows, fourier)
        self.feed = FeedForward(width)

    def forward(self, m: Tensor, p: Tensor, *zp: Spectrum) -> tuple[Tensor | Spectrum, ...]:
        """Return the new m and p, then the spectra of the new p for the stage that follows."""
        zm = self.fourier.spectra(m)
        s = self.fourier.image(_lean(self.fgsr, a, b) for a, b in zip(zm, zp, strict=True))
        p, maps = self.tksr(p)
        spectra = list(self.fourier.spectra(p))
        m = m + self.ssf(s, p, spectra, maps)
        return m + self.feed(m), p, *spectra


class SSFT(ResidualNetwork):
    """The network.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands of the low-resolution image and of the guide.
    ratio : float
        Nominal ratio (not used by the layers).
    width : int
        Feature channels D, a multiple of `heads`.
    stages : int
        Stages S.
    heads : int
        Attention heads.
    fft_window : int
        Side of the Fourier windows in pixels, a multiple of 4.
    attention_window : int
        Side of the attention windows in pixels, even.
    topk : float, "mix" or None
        Fraction of the keys kept, in (0, 1]; ``"mix"``: learned mixture of 1/2, 2/3, 3/4, 4/5;
        None: dense attention.
    fft_scope : {"window", "tile"}
        ``"tile"`` transforms the whole tile at once, presumably as in the paper; results then
        depend on the tile.
    window_batch : int or None
        Attention windows handled at a time; None: 64 on a CPU, else 1024. Changes memory and
        speed, not the result.

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
        width: int = 32,
        stages: int = 4,
        heads: int = 4,
        fft_window: int = 32,
        attention_window: int = 8,
        topk: float | str | None = 0.25,
        fft_scope: str = "window",
        window_batch: int | None = None,
    ) -> None:
        super().__init__(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio)
        _check(width, stages, heads, fft_window, attention_window, topk, fft_scope, window_batch)
        self.multiple_of = attention_window
        if fft_scope == "window":
            self.multiple_of = math.lcm(attention_window, fft_window // 2)
        self.pan_stem = nn.Conv2d(pan_bands, width, 3, padding=1, padding_mode="reflect")
        self.ms_stem = nn.Conv2d(ms_bands, width, 3, padding=1, padding_mode="reflect")
        self.fourier = WindowedFourier(fft_window) if fft_scope == "window" else TileFourier()
        self.stages = nn.ModuleList(
            _Stage(
                width,
                heads,
                Windows(attention_window, attention_window // 2 * (i % 2), window_batch),
                self.fourier,
                topk,
            )
            for i in range(stages)
        )
        self.head = nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect")
        self.tail = nn.Conv2d(width, ms_bands, 3, padding=1, padding_mode="reflect")
        zero_init(self.tail)
        with torch.no_grad():
            # Begin as a high-pass: features carry a large constant part, which would otherwise be
            # the first thing that the tail learns from. Measured: 3 % less error after 250 steps.
            self.head.weight -= self.head.weight.mean(dim=(2, 3), keepdim=True)
            assert self.head.bias is not None
            self.head.bias.zero_()
        self.to_fastest_layout()

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`.

        Sides that are no multiple of ``multiple_of`` are mirrored below and to the right and
        cropped again.
        """
        height, width = up.shape[-2], up.shape[-1]
        guide, up = reflect_to_multiple(self.multiple_of, guide, up)
        p, m = self.pan_stem(guide), self.ms_stem(up)
        spectra = tuple(self.fourier.spectra(p))
        recompute = torch.is_grad_enabled() and max(m.shape[-2:]) > CHECKPOINT_ABOVE
        for stage in self.stages:
            run: Callable[..., tuple[Tensor, ...]] = stage
            if recompute:
                m, p, *rest = checkpoint(run, m, p, *spectra, use_reentrant=False)
            else:
                m, p, *rest = run(m, p, *spectra)
            spectra = tuple(rest)
        out: Tensor = self.tail(F.gelu(self.head(m)))
        return out[..., :height, :width]


def _check(
    width: int,
    stages: int,
    heads: int,
    fft_window: int,
    attention_window: int,
    topk: float | str | None,
    fft_scope: str,
    window_batch: int | None,
) -> None:
    """Raise OptionError for sizes that make no network."""
    if stages < 1 or heads < 1 or width < 1 or width % heads:
        raise OptionError(
            f"width={width}, stages={stages}, heads={heads}: all must be at least 1 and the width "
            "a multiple of the heads"
        )
    if fft_window < 4 or fft_window % 4:
        raise OptionError(f"fft_window={fft_window}: must be a multiple of 4")
    if attention_window < 2 or attention_window % 2:
        raise OptionError(f"attention_window={attention_window}: must be even")
    if fft_scope not in ("window", "tile"):
        raise OptionError(f"fft_scope='{fft_scope}': choose 'window' or 'tile'")
    if window_batch is not None and window_batch < 1:
        raise OptionError(f"window_batch={window_batch}: must be at least 1")
    if isinstance(topk, str):
        if topk != "mix":
            raise OptionError(f"topk='{topk}': give a fraction in (0, 1], 'mix' or None")
    elif topk is not None and not 0 < topk <= 1:
        raise OptionError(f"topk={topk}: give a fraction in (0, 1], 'mix' or None")
