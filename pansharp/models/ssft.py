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

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that PyTorch users expect
from torch.utils.checkpoint import checkpoint

from pansharp.errors import OptionError
from pansharp.models.layers.fusion import ResidualNetwork, zero_init

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FGSR", "SSF", "SSFT", "TKSR", "TileFourier", "WindowedFourier", "reflect_pad"]

#: Fractions of the keys that ``topk="mix"`` combines.
MIX_FRACTIONS = (1 / 2, 2 / 3, 3 / 4, 4 / 5)
#: Side from which training recomputes each stage in the backward pass instead of keeping it.
CHECKPOINT_ABOVE = 128
_EPSILON = 1e-8

#: Real and imaginary part stacked along the channels: (N, 2C, window row, window column, ky, kx).
Spectrum = Tensor


def reflect_pad(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Mirror `x` (..., H, W) at its border without repeating the edge, however wide the margin.

    Margins as wide as the image, which torch's own padding refuses, mirror again and again.
    """
    height, width = x.shape[-2], x.shape[-1]
    if max(top, bottom) < height and max(left, right) < width:
        return F.pad(x, (left, right, top, bottom), mode="reflect")

    def mirrored(n: int, before: int, after: int) -> Tensor:
        i = torch.arange(-before, n + after, device=x.device)
        period = max(2 * (n - 1), 1)
        i = i.remainder(period)
        return torch.minimum(i, (period - i).remainder(period) if n > 1 else i)

    rows = mirrored(height, top, bottom)
    columns = mirrored(width, left, right)
    return x.index_select(-2, rows).index_select(-1, columns)


def _modulus(z: Tensor) -> Tensor:
    """Return sqrt(re^2 + im^2 + 1e-8) of stacked parts (N, 2C, ...): (N, C, ...)."""
    real, imag = z.chunk(2, dim=1)
    return torch.addcmul(real.square(), imag, imag).add_(_EPSILON).sqrt()


def _scale(z: Tensor, gain: Tensor) -> Tensor:
    """Multiply stacked parts (N, 2C, ...) by real factors (N, C, ...)."""
    n, channels = gain.shape[:2]
    return (z.view(n, 2, channels, *gain.shape[2:]) * gain.unsqueeze(1)).view_as(z)


class WindowedFourier(nn.Module):
    """Overlapping windows to spectra and back (weighted overlap-add).

    Windows of `size` pixels start every ``size / 2`` pixels, anchored at the tensor's origin and
    weighted by the square root of the periodic Hann window both ways; the squares add up to one.

    Parameters
    ----------
    size : int
        Side of a window in pixels, a multiple of 4.
    chunk_values : int
        Spectra are handed out in groups of window rows of about this many values. Small groups
        stay in the processor's cache; the result does not depend on it.
    """

    window: Tensor

    def __init__(self, size: int, chunk_values: int = 1 << 20) -> None:
        super().__init__()
        self.size = size
        self.hop = size // 2
        self.chunk_values = chunk_values
        edge = torch.sin(math.pi * torch.arange(size, dtype=torch.float64) / size)
        self.register_buffer("window", torch.outer(edge, edge).float(), persistent=False)

    def spectra(self, x: Tensor) -> list[Spectrum]:
        """Return the spectra of `x` (N, C, H, W), sides multiples of the hop, by window rows."""
        n, channels, height, width = x.shape
        hop, size = self.hop, self.size
        padded = reflect_pad(x.float(), hop, hop, hop, hop)
        if not padded.is_contiguous():
            padded = padded.contiguous()
        rows, columns = height // hop + 1, width // hop + 1
        per_row = n * 2 * channels * columns * size * (hop + 1)
        step = max(1, self.chunk_values // per_row)
        out = []
        for first in range(0, rows, step):
            last = min(first + step, rows)
            strip = padded[:, :, first * hop : (last + 1) * hop]
            tiles = strip.unfold(2, size, hop).unfold(3, size, hop).contiguous()
            out.append(_stack(torch.fft.rfft2(tiles.mul_(self.window), norm="ortho")))
        return out

    def image(self, spectra: list[Spectrum]) -> Tensor:
        """Return the image (N, C, H, W) of the groups that :meth:`spectra` made, in their order."""
        hop, size = self.hop, self.size
        strips: list[Tensor] = []
        below: Tensor | None = None
        for group in spectra:
            tiles = torch.fft.irfft2(_unstack(group), s=(size, size), norm="ortho")
            tiles = tiles.mul_(self.window)
            # First overlap-add along x: (N, C, row, column - 1, size, hop).
            tiles = tiles[..., 1:, :, :hop] + tiles[..., :-1, :, hop:]
            upper, lower = tiles[..., :hop, :], tiles[..., hop:, :]
            if below is not None:
                strips.append(upper[:, :, :1] + below)
            strips.append(upper[:, :, 1:] + lower[:, :, :-1])
            below = lower[:, :, -1:]
        blocks = torch.cat(strips, dim=2)
        n, channels, rows, columns = blocks.shape[:4]
        return blocks.transpose(3, 4).reshape(n, channels, rows * hop, columns * hop)


class TileFourier(nn.Module):
    """One plain transform of the whole tile: every output then depends on the tile's extent."""

    def spectra(self, x: Tensor) -> list[Spectrum]:
        """Return the spectrum of `x` (N, C, H, W) as a list of one, a single window."""
        z = _stack(torch.fft.rfft2(x.float(), norm="ortho"))
        return [z[:, :, None, None]]

    def image(self, spectra: list[Spectrum]) -> Tensor:
        """Return the image (N, C, H, W) of what :meth:`spectra` made; W is even."""
        (z,) = spectra
        size = (z.shape[-2], 2 * (z.shape[-1] - 1))
        return torch.fft.irfft2(_unstack(z)[:, :, 0, 0], s=size, norm="ortho")


def _stack(z: Tensor) -> Spectrum:
    return torch.cat((z.real, z.imag), dim=1)


def _unstack(z: Spectrum) -> Tensor:
    real, imag = z.chunk(2, dim=1)
    return torch.complex(real, imag)


class ComplexMix(nn.Module):
    """Complex 1x1 convolution on stacked real and imaginary parts, as one real product.

    (R + iJ)(x + iy) = (Rx - Jy) + i(Ry + Jx), so the real matrix is [[R, -J], [J, R]].

    Parameters
    ----------
    inputs, outputs : int
        Complex channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # Glorot for complex numbers: the variance is shared by the two parts.
        bound = math.sqrt(3 / (2 * inputs))
        self.real = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.imag = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(2 * outputs))

    def matrix(self, *parts: int) -> list[Tensor]:
        """Return the real matrix cut into column groups, one for each of the stacked inputs."""
        groups = zip(self.real.split(parts, 1), self.imag.split(parts, 1), strict=True)
        return [torch.cat((torch.cat((r, -j), 1), torch.cat((j, r), 1)), 0) for r, j in groups]

    def forward(self, *stacked: Tensor) -> Tensor:
        """Mix inputs (N, 2 C_i, L), whose complex channels are taken together, to (N, 2 out, L)."""
        matrices = self.matrix(*(x.shape[1] // 2 for x in stacked))
        out = torch.matmul(matrices[0], stacked[0])
        for matrix, x in zip(matrices[1:], stacked[1:], strict=True):
            out = out.baddbmm_(matrix.expand(x.shape[0], -1, -1), x)
        return out.add_(self.bias[:, None])


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
            modulus = _modulus(zm)
            of_q, of_m = self.amplitude.weight.chunk(2, dim=1)
            # |Zm| + Wo [|Q|; |Zm|]: the identity joins the weights instead of a pass over the data.
            amplitude = torch.matmul(of_m + self.identity, modulus)
            amplitude = amplitude.baddbmm_(of_q.expand(shape[0], -1, -1), _modulus(q))
            amplitude = F.relu(amplitude.add_(self.amplitude.bias[:, None]))
            return _scale(zm, amplitude / modulus).view(shape)


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
    if scores.device.type == "cpu":
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


def _sparse_softmax(scores: Tensor, keep: int) -> Tensor:
    """Softmax over the `keep` largest scores of each row (and what ties with the last of them)."""
    if keep >= scores.shape[-1]:
        return scores.softmax(-1)
    # A common shift leaves the softmax as it is, and after it one cheap pass drops what is below
    # zero; comparing and filling through a boolean mask takes ten times as long.
    above = scores - _threshold(scores, keep)
    return F.threshold(above, -torch.finfo(above.dtype).tiny, -torch.inf).softmax(-1)


def _attend(attention: Tensor, v: Tensor, out: nn.Linear) -> Tensor:
    """Apply maps (windows * heads, queries, keys) to v (windows * heads, d, keys), then `out`.

    Returns tokens (windows, queries, D).
    """
    mixed = torch.bmm(v.to(attention.dtype), attention.transpose(1, 2))
    mixed = mixed.view(-1, out.in_features, mixed.shape[-1]).transpose(1, 2)
    return torch.baddbmm(out.bias, mixed, out.weight.t().expand(mixed.shape[0], -1, -1))


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
                scores = (scores.unflatten(0, (-1, self.heads)) + outside[part]).flatten(0, 1)
            attention = self._attention(scores)
            maps.append(attention)
            done.append(_attend(attention, v, self.out))
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
            parts = (_sparse_softmax(scores, round(f * keys)) for f in MIX_FRACTIONS)
            mixed = torch.stack([w * part for w, part in zip(weights, parts, strict=True)])
            return mixed.sum(0)
        return _sparse_softmax(scores, max(1, round(float(self.topk) * keys)))


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
        joined = [_scale(b, _modulus(a) / _modulus(b)) for a, b in zip(zs, zp, strict=True)]
        f = self.fourier.image(joined)
        s, p = s.permute(0, 2, 3, 1), p.permute(0, 2, 3, 1)
        v = self.value(self.norm(self.merge(torch.cat((f.permute(0, 2, 3, 1), s, p), -1))))
        v = v * (2 * torch.sigmoid(self.gate(torch.cat((s, p), -1))))
        tokens = self.windows.cut(v.permute(0, 3, 1, 2))
        done = []
        for part, attention in zip(self.windows.slices(tokens), maps, strict=True):
            heads = tokens[part].transpose(1, 2).reshape(attention.shape[0], -1, tokens.shape[1])
            done.append(_attend(attention, heads, self.out))
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
        s = self.fourier.image([self.fgsr(a, b) for a, b in zip(zm, zp, strict=True)])
        p, maps = self.tksr(p)
        spectra = self.fourier.spectra(p)
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
        self.to_fastest_layout()

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`.

        Sides that are no multiple of ``multiple_of`` are mirrored below and to the right and
        cropped again.
        """
        height, width = up.shape[-2], up.shape[-1]
        down, right = -height % self.multiple_of, -width % self.multiple_of
        if down or right:
            guide = reflect_pad(guide, 0, down, 0, right)
            up = reflect_pad(up, 0, down, 0, right)
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
