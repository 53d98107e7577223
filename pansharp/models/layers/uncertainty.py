"""Uncertainty of a masked ensemble in space and in frequency, and the gates that read it."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import OptionError

__all__ = [
    "ElementWeight",
    "HardGate",
    "SampleWeight",
    "Uncertainty",
    "draw_masks",
    "full_spectrum",
]

#: Values of all ensemble members that are held at a time; more than this leaves the cache.
_CHUNK_VALUES = 1 << 20


@cache
def draw_masks(width: int, members: int = 12, scale: float = 4.0, seed: int = 0) -> Tensor:
    """Draw the channel masks of an ensemble.

    Parameters
    ----------
    width : int
        Channels, at least 10.
    members : int
        Masks.
    scale : float
        S of the paper, in (1, 6]: about one channel in S is kept by a mask.
    seed : int
        Of a generator of its own: neither torch's nor NumPy's global state is read or changed.

    Returns
    -------
    Tensor, shape (members, width), float32
        Zeros and ones; every mask has the same number of ones, every channel is kept by one at
        least. On the CPU, also where another default device is set. Do not change it in place.

    Raises
    ------
    OptionError
        Too few channels, or a scale outside its range.

    Notes
    -----
    N. Durasov, T. Bagautdinov, P. Baque, P. Fua, "Masksembles for uncertainty estimation", CVPR
    2021, supplement: m ones are placed at random among T positions, positions that no mask uses
    are dropped, and the draw is repeated until `width` are left. T is the one whose expectation
    comes nearest.
    """
    if width < 10 or not 1 < scale <= 6:
        raise OptionError(
            f"width={width}, scale={scale}: an ensemble of masks needs 10 channels or more and a "
            "scale above 1 and up to 6"
        )
    used = 1 - (1 - 1 / scale) ** members
    ones = int(width / (scale * used))
    total = min(
        range(width, 2 * width + 1), key=lambda t: abs(t * (1 - (1 - ones / t) ** members) - width)
    )
    generator = torch.Generator(device="cpu").manual_seed(seed)
    while True:
        chance = torch.rand(members, total, generator=generator, device="cpu")
        chosen = chance.argsort(dim=1)[:, :ones]
        masks = torch.zeros(members, total, device="cpu").scatter_(1, chosen, 1.0)
        masks = masks[:, masks.any(dim=0)]
        if masks.shape[1] == width:
            return masks


def full_spectrum(half: Tensor, columns: int) -> Tensor:
    """Complete the spectrum of a real image.

    Parameters
    ----------
    half : Tensor, shape (..., H, columns // 2 + 1), complex64
        As from ``torch.fft.rfft2``.
    columns : int
        Columns of the image.

    Returns
    -------
    Tensor, shape (..., H, columns), complex64
        What ``torch.fft.fft2`` gives: Z(-ky, -kx) is the conjugate of Z(ky, kx).
    """
    mirrored = half[..., 1 : columns - half.shape[-1] + 1].flip(-2, -1).roll(1, -2)
    return torch.cat((half, mirrored.conj()), dim=-1)


class Uncertainty(nn.Module):
    """Bidomain uncertainty of features, and the image correction that the ensemble agrees on.

    Member j predicts ``z_j = W (M_j * v) + b`` from the features v. All of it is linear in v, so no
    member is computed from a masked copy: the mean is one 1x1 convolution with the mean mask, the
    spread one with the stacked deviations ``W diag(M_j - mean M)``, and the spectra of all members
    come from the spectrum of v.

    Parameters
    ----------
    width, bands : int
        Channels F of the features and C of the image.
    seed : int
        Of the masks, kept in the persistent buffer ``masks`` (members, F).
    members : int
        Ensemble members.
    robust : bool
        False: the frequency uncertainty is ``s / (Z + 1e-5)``, which explodes where the mean
        spectrum Z is near zero. True: ``s conj(Z) / (|Z|^2 + e^2)``, the same quantity kept below
        ``s / 2e``, with e the mean of ``|Z|`` over the half-spectrum of the window.
    """

    masks: Tensor

    def __init__(
        self, width: int, bands: int, *, seed: int, members: int = 12, robust: bool = True
    ) -> None:
        super().__init__()
        self.spread = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
        )
        self.out = nn.Conv2d(width, bands, 1)
        self.robust = robust
        self.register_buffer("masks", draw_masks(width, members, seed=seed).clone())

    def correction(self, x: Tensor) -> Tensor:
        """Return the mean of the members' predictions (N, C, H, W) from features (N, F, H, W)."""
        weight = self.out.weight * self.masks.mean(dim=0)[:, None, None]
        return F.conv2d(self.spread(x), weight, self.out.bias)

    def maps(self, x: Tensor, window: int | None, *, space: bool, frequency: bool) -> list[Tensor]:
        """Return what a gate may read beside the features.

        Parameters
        ----------
        x : Tensor, shape (N, F, H, W), float32
            Features.
        window : int or None
            Side of the Fourier windows, which lie edge to edge from the origin and of which H and
            W are multiples; None: one transform of the whole map, as the authors.
        space, frequency : bool
            Which of the two.

        Returns
        -------
        list of Tensor
            Frequency uncertainty (N, 2C, H, W), real above imaginary parts, each window holding
            its own frequencies at its own place; then the variance of the members (N, C, H, W).
        """
        v = self.spread(x).contiguous()
        maps = []
        if frequency:
            maps.append(self._frequency(v, window))
        if space:
            maps.append(self._variance(v.flatten(2)).view(v.shape[0], -1, *v.shape[2:]))
        return maps

    def _variance(self, v: Tensor) -> Tensor:
        """Unbiased variance over the members, (N, C, L), of a linear read-out of v (N, F, L)."""
        members = self.masks.shape[0]
        centred = (self.masks - self.masks.mean(dim=0))[:, None]
        stacked = (self.out.weight[..., 0, 0] * centred).flatten(0, 1)
        step = max(1024, _CHUNK_VALUES // (v.shape[0] * stacked.shape[0]))
        total = []
        for i in range(0, v.shape[-1], step):
            deviations = torch.matmul(stacked, v[..., i : i + step])
            deviations = deviations.view(v.shape[0], members, -1, deviations.shape[-1])
            total.append(deviations.square().sum(dim=1))
        return torch.cat(total, dim=-1) / (members - 1)

    def _frequency(self, v: Tensor, window: int | None) -> Tensor:
        n, width, rows, columns = v.shape
        height, across = (rows, columns) if window is None else (window, window)
        tiles = v.view(n, width, rows // height, height, columns // across, across)
        tiles = tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        spectrum = torch.fft.rfft2(tiles)
        real, imag = spectrum.real.flatten(2), spectrum.imag.flatten(2)
        # The variance of a complex quantity is that of its parts together.
        variance = self._variance(real) + self._variance(imag)
        weight = self.out.weight[..., 0, 0] * self.masks.mean(dim=0)
        real, imag = torch.matmul(weight, real), torch.matmul(weight, imag)
        constant = torch.zeros_like(real[0, 0])
        constant[0] = height * across
        assert self.out.bias is not None
        real = real + self.out.bias[:, None] * constant
        # Twice masked: the root of nothing has no slope, and its gradient would be inf times 0.
        some = variance > 0
        spread = torch.where(some, torch.where(some, variance, 1.0).sqrt(), 0.0)
        if self.robust:
            power = real.square() + imag.square()
            floor = (power + 1e-12).sqrt().mean(dim=-1, keepdim=True).square()
        else:
            real = real + 1e-5
            power, floor = real.square() + imag.square(), torch.zeros(())
        ratio = spread / (power + floor)
        half = torch.complex(ratio * real, -ratio * imag).view(*real.shape[:2], height, -1)
        full = full_spectrum(half, across)
        both = torch.cat((full.real, full.imag), dim=1)
        both = both.view(n, rows // height, columns // across, -1, height, across)
        return both.permute(0, 3, 1, 4, 2, 5).reshape(n, -1, rows, columns)


def _layers(sizes: list[int]) -> nn.Sequential:
    """Linear layers of these sizes with leaky rectifiers between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class _Pooled(nn.Module):
    """One decision for each window: 1x1 convolution, pooling to a grid, linear layers."""

    def __init__(self, inputs: int, hidden: int, pool: int, outputs: int) -> None:
        super().__init__()
        self.pool = pool
        self.embed = nn.Conv2d(inputs, hidden, 1)
        self.decide = _layers([hidden * pool**2, hidden, hidden, outputs])

    def logits(self, inputs: Tensor, window: int | None) -> Tensor:
        """Return (N, window rows, window columns, outputs) from (N, inputs, H, W)."""
        x = F.leaky_relu(self.embed(inputs), 0.2, inplace=True)
        if window is None:
            x = F.adaptive_avg_pool2d(x, self.pool)
        else:
            x = F.avg_pool2d(x, window // self.pool)
        s = self.pool
        x = x.reshape(*x.shape[:2], x.shape[2] // s, s, x.shape[3] // s, s)
        out: Tensor = self.decide(x.permute(0, 2, 4, 1, 3, 5).flatten(3))
        return out

    @staticmethod
    def spread_out(decisions: Tensor, window: int | None) -> Tensor:
        """Turn decisions (N, rows, columns) into weights of pixels (N, 1, H, W) or (N, 1, 1, 1).

        Linear between the centres of windows, so that no edge of a window shows in the image.
        """
        decisions = decisions[:, None]
        if window is None:
            return decisions
        size = [decisions.shape[-2] * window, decisions.shape[-1] * window]
        return F.interpolate(decisions, size=size, mode="bilinear", align_corners=False)


class HardGate(_Pooled):
    """Uncertainty-aware gate: a step is taken or skipped.

    ``(skip, go) = softmax(logits)``; it is skipped where ``skip - offset > go``, that is where
    ``skip > (1 + offset) / 2``. The gradient is that of `go` (straight through).

    Parameters
    ----------
    inputs : int
        Channels of what it reads.
    hidden : int
        Width G.
    pool : int
        Side of the pooling grid.
    noise : {"gumbel", "official", "none"}
        In training: Gumbel noise on the logits; the authors' noise, which overwrites the logits
        before they are read, so that the gate is a coin and learns nothing; none.
    offset : float
        In the persistent buffer ``offset``.
    """

    offset: Tensor

    def __init__(self, inputs: int, hidden: int, pool: int, *, noise: str, offset: float) -> None:
        super().__init__(inputs, hidden, pool, 2)
        self.noise = noise
        self.register_buffer("offset", torch.tensor(float(offset)))

    def forward(self, inputs: Tensor, window: int | None) -> Tensor:
        """Return the weights of the pixels, (N, 1, H, W) or (N, 1, 1, 1)."""
        logits = self.logits(inputs, window)
        if self.training and self.noise != "none":
            logits = self._noisy(logits)
        chance = logits.softmax(dim=-1)
        go = chance[..., 1]
        taken = (chance[..., 0] - self.offset <= go).to(go.dtype)
        if torch.is_grad_enabled() and go.requires_grad:
            taken = taken - go.detach() + go
        return self.spread_out(taken, window)

    def _noisy(self, logits: Tensor) -> Tensor:
        # Drawn on the CPU, so that a seed gives the same training on every device.
        drawn = torch.empty(logits.shape, dtype=logits.dtype, device="cpu")
        if self.noise == "gumbel":
            return logits - drawn.exponential_().log().to(logits.device)
        uniform = drawn.uniform_().to(logits.device)
        return uniform - torch.log(-torch.log(uniform + 1e-20) + 1e-20)


class SampleWeight(_Pooled):
    """One soft weight in (0, 1) for each window ("SSW"); arguments as for :class:`HardGate`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden, 1, 1)

    def forward(self, inputs: Tensor, window: int | None) -> Tensor:
        """Return the weights of the pixels, (N, 1, H, W) or (N, 1, 1, 1)."""
        return self.spread_out(self.logits(inputs, window)[..., 0].sigmoid(), window)


class ElementWeight(nn.Module):
    """One soft weight in (0, 1) for each pixel and channel ("ESW"): four 1x1 convolutions."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(inputs, hidden, 1)
        self.decide = nn.Sequential(
            nn.Conv2d(hidden, hidden, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(hidden, hidden, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(hidden, hidden, 1),
        )

    def forward(self, inputs: Tensor, window: int | None) -> Tensor:
        """Return the weights (N, hidden, H, W); `window` changes nothing."""
        del window
        out: Tensor = self.decide(F.leaky_relu(self.embed(inputs), 0.2)).sigmoid()
        return out
