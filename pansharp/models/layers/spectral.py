"""Fourier transforms of feature maps by overlapping windows, and arithmetic on their spectra.

A spectrum is held as real numbers, real parts stacked above imaginary parts along the channels,
so that a complex 1x1 convolution is one real matrix product.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "ComplexMix",
    "Spectrum",
    "TileFourier",
    "WindowedFourier",
    "modulus",
    "reflect_pad",
    "reflect_to_multiple",
    "scale",
]

#: (N, 2C, window rows, window columns, ky, kx), kx from 0 to the Nyquist frequency.
Spectrum = Tensor

_EPSILON = 1e-8


def reflect_pad(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Mirror `x` (..., H, W) at its border without repeating the edge, however wide the margin.

    Margins as wide as the image, which torch's own padding refuses, mirror again and again.
    """
    height, width = x.shape[-2], x.shape[-1]
    if max(top, bottom) < height and max(left, right) < width:
        return F.pad(x, (left, right, top, bottom), mode="reflect")

    def mirrored(n: int, before: int, after: int) -> Tensor:
        i = torch.arange(-before, n + after, device=x.device).remainder(max(2 * n - 2, 1))
        return torch.minimum(i, (2 * n - 2 - i).abs())

    rows = mirrored(height, top, bottom)
    return x.index_select(-2, rows).index_select(-1, mirrored(width, left, right))


def reflect_to_multiple(multiple: int, *images: Tensor) -> tuple[Tensor, ...]:
    """Mirror images of one size below and to the right until their sides are multiples.

    Parameters
    ----------
    multiple : int
        Of which rows and columns shall be whole multiples.
    *images : Tensor, shape (..., H, W)
        Any values.

    Returns
    -------
    tuple of Tensor
        Images that fit already are returned as they are.
    """
    height, width = images[0].shape[-2], images[0].shape[-1]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return images
    return tuple(reflect_pad(x, 0, down, 0, right) for x in images)


def modulus(z: Tensor) -> Tensor:
    """Return sqrt(re^2 + im^2 + 1e-8), shape (N, C, ...), of stacked parts (N, 2C, ...).

    The small constant keeps the gradient finite where a coefficient is zero.
    """
    real, imag = z.chunk(2, dim=1)
    return torch.addcmul(real.square(), imag, imag).add_(_EPSILON).sqrt()


def scale(z: Tensor, gain: Tensor) -> Tensor:
    """Multiply stacked parts (N, 2C, ...) by real factors (N, C, ...)."""
    n, channels = gain.shape[:2]
    return (z.view(n, 2, channels, *gain.shape[2:]) * gain.unsqueeze(1)).view_as(z)


def _stack(z: Tensor) -> Spectrum:
    return torch.cat((z.real, z.imag), dim=1)


def _unstack(z: Spectrum) -> Tensor:
    real, imag = z.chunk(2, dim=1)
    return torch.complex(real, imag)


def _half_weights(columns: int, inner: float, like: Tensor) -> Tensor:
    """One for the first and last of `columns` (DC and Nyquist), `inner` between them."""
    weights = torch.full((columns,), inner, dtype=like.dtype, device=like.device)
    weights[0] = weights[-1] = 1.0
    return weights


class _Analysis(torch.autograd.Function):
    """Windows of a strip (N, C, (rows + 1) hop, W) to stacked spectra, with a lean backward pass.

    Autograd's own chain transforms full complex planes and scatters windows one by one, which
    costs a tenth of a training step.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, strip: Tensor, window: Tensor) -> Tensor:
        ctx.save_for_backward(window)
        size = window.shape[-1]
        tiles = strip.unfold(2, size, size // 2).unfold(3, size, size // 2).contiguous()
        return _stack(torch.fft.rfft2(tiles.mul_(window), norm="ortho"))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        (window,) = ctx.saved_tensors  # type: ignore[attr-defined]
        size = window.shape[-1]
        hop = size // 2
        # irfft2 counts the inner columns twice, the adjoint of rfft2 counts them once.
        halved = gradient * _half_weights(gradient.shape[-1], 0.5, gradient)
        tiles = torch.fft.irfft2(_unstack(halved), s=(size, size), norm="ortho").mul_(window)
        n, c, rows, columns = tiles.shape[:4]
        out = gradient.new_zeros(n, c, rows + 1, hop, columns + 1, hop)
        for i in (0, 1):
            for j in (0, 1):
                part = tiles[..., i * hop : (i + 1) * hop, j * hop : (j + 1) * hop]
                out[:, :, i : i + rows, :, j : j + columns] += part.transpose(3, 4)
        return out.view(n, c, (rows + 1) * hop, (columns + 1) * hop), None


class WindowedFourier(nn.Module):
    """Overlapping windows to spectra and back (weighted overlap-add).

    Windows of `size` pixels start every ``size / 2`` pixels, anchored at the tensor's origin, and
    are weighted by the square root of the periodic Hann window both ways; the squares add up to
    one, so nothing has to be divided.

    Parameters
    ----------
    size : int
        Side of a window in pixels, even.
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

    def spectra(self, x: Tensor) -> Iterator[Spectrum]:
        """Yield the spectra of `x` (N, C, H, W), sides multiples of the hop, by window rows."""
        n, channels, height, width = x.shape
        hop, size = self.hop, self.size
        padded = reflect_pad(x.float(), hop, hop, hop, hop).contiguous()
        rows, columns = height // hop + 1, width // hop + 1
        step = max(1, self.chunk_values // (n * 2 * channels * columns * size * (hop + 1)))
        for first in range(0, rows, step):
            strip = padded[:, :, first * hop : (first + step + 1) * hop]
            yield _Analysis.apply(strip, self.window)  # type: ignore[no-untyped-call]

    def image(self, spectra: Iterable[Spectrum]) -> Tensor:
        """Return the image (N, C, H, W) of the groups that :meth:`spectra` made, in their order."""
        hop, size = self.hop, self.size
        strips: list[Tensor] = []
        below: Tensor | None = None
        for group in spectra:
            tiles = torch.fft.irfft2(_unstack(group), s=(size, size), norm="ortho")
            tiles = tiles.mul_(self.window)
            # Overlap-add along x, then along y; `below` is what the next group continues.
            tiles = tiles[..., 1:, :, :hop] + tiles[..., :-1, :, hop:]
            upper, lower = tiles[..., :hop, :], tiles[..., hop:, :]
            if below is not None:
                strips.append(upper[:, :, :1] + below)
            strips.append(upper[:, :, 1:] + lower[:, :, :-1])
            below = lower[:, :, -1:]
        blocks: Tensor = torch.cat(strips, dim=2)
        n, channels, rows, columns = blocks.shape[:4]
        return blocks.transpose(3, 4).reshape(n, channels, rows * hop, columns * hop)


class TileFourier(nn.Module):
    """One plain transform of the whole tile: every output then depends on the tile's extent."""

    def spectra(self, x: Tensor) -> Iterator[Spectrum]:
        """Yield the spectrum of `x` (N, C, H, W), a single window."""
        yield _stack(torch.fft.rfft2(x.float(), norm="ortho"))[:, :, None, None]

    def image(self, spectra: Iterable[Spectrum]) -> Tensor:
        """Return the image (N, C, H, W) of what :meth:`spectra` made; W is even."""
        (z,) = spectra
        size = (z.shape[-2], 2 * (z.shape[-1] - 1))
        image: Tensor = torch.fft.irfft2(_unstack(z)[:, :, 0, 0], s=size, norm="ortho")
        return image


class ComplexMix(nn.Module):
    """Complex 1x1 convolution on stacked parts, as one real product.

    (R + iJ)(x + iy) = (Rx - Jy) + i(Ry + Jx), so the real matrix is [[R, -J], [J, R]].

    Parameters
    ----------
    inputs, outputs : int
        Complex channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # Variance 1 / (2 inputs) for each part keeps the mean square of the result.
        bound = math.sqrt(3 / (2 * inputs))
        self.real = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.imag = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(2 * outputs))

    def forward(self, *stacked: Tensor) -> Tensor:
        """Mix inputs (N, 2 C_i, L), whose complex channels are taken together, to (N, 2 out, L)."""
        first, *others = self._matrices([x.shape[1] // 2 for x in stacked])
        out = torch.matmul(first, stacked[0])
        for matrix, x in zip(others, stacked[1:], strict=True):
            out = out.baddbmm_(matrix.expand(x.shape[0], -1, -1), x)
        return out.add_(self.bias[:, None])

    def _matrices(self, parts: list[int]) -> list[Tensor]:
        """Return the real matrix cut into column groups, one for each of the stacked inputs."""
        groups = zip(
            torch.split(self.real, parts, dim=1), torch.split(self.imag, parts, dim=1), strict=True
        )
        return [torch.cat((torch.cat((r, -j), 1), torch.cat((j, r), 1)), 0) for r, j in groups]
