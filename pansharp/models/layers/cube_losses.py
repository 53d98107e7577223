"""Training losses for cubes: spectral angle, stationary wavelets, band balance, and HyFusion's sum.

C.-M. Lee et al., "HyFusion", arXiv:2501.04665, names a pixel, a spectral angle and a stationary
wavelet term. Their weights come from code of the same group: the angle's cosine form from CSAKD
(arXiv:2406.19666), the wavelet term from HSSDCT (arXiv:2602.00490), where it stands unused.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "band_balance_loss",
    "hyfusion_loss",
    "sam_loss",
    "stationary_wavelet",
    "swt_loss",
]

_HAAR = (math.sqrt(0.5), math.sqrt(0.5))


def sam_loss(output: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """One minus the mean cosine of the spectral angle.

    Parameters
    ----------
    output, target : Tensor, shape (N, band, H, W), float32
        Values with a meaningful zero (not centred ones: their angles mean nothing).
    eps : float
        Smallest product of the two norms.

    Returns
    -------
    Tensor, scalar
        In [0, 2]. Unlike the angle itself its gradient is finite where the spectra agree.
    """
    dot = (output * target).sum(dim=1)
    # The root of a clamped square: the gradient of a plain norm is infinite at zero.
    square = output.square().sum(dim=1) * target.square().sum(dim=1)
    return 1 - (dot / square.clamp_min(eps**2).sqrt()).mean()


def stationary_wavelet(
    x: Tensor, lowpass: Sequence[float] = _HAAR, levels: int = 1
) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Undecimated wavelet transform with circular borders.

    Parameters
    ----------
    x : Tensor, shape (N, band, H, W), float32
        Image.
    lowpass : sequence of float
        Analysis low-pass of an orthogonal wavelet, an even number of taps; Haar by default (for
        others e.g. ``pywt.Wavelet("sym19").dec_lo``). The high-pass is its quadrature mirror.
    levels : int
        Levels; each filters the low-pass of the one before with twice the distance between taps.

    Returns
    -------
    list of (LL, LH, HL, HH)
        One for each level, each of the shape of `x`; the first letter filters along rows (x). The
        low-pass is divided by its sum, so that LL has the mean of `x`; the high-pass is not.

    Raises
    ------
    OptionError
        If the taps are odd in number, their sum is zero, or `levels` is below 1.

    Notes
    -----
    The scaling is that of HSSDCT's ``HyperspectralSWTLoss``.
    """
    total = sum(lowpass)
    if len(lowpass) % 2 or not total or levels < 1:
        raise OptionError(
            f"lowpass has {len(lowpass)} taps with the sum {total:g}, levels={levels}: give an "
            "even number of taps that do not cancel, and one level or more"
        )
    low = [tap / total for tap in lowpass]
    high = [tap if k % 2 else -tap for k, tap in enumerate(reversed(lowpass))]

    def along(image: Tensor, taps: list[float], axis: int, apart: int) -> Tensor:
        moved = [tap * image.roll(k * apart, axis) for k, tap in enumerate(taps)]
        return torch.stack(moved).sum(dim=0)

    result = []
    for level in range(levels):
        rows = [along(x, taps, -1, 2**level) for taps in (low, high)]
        ll, lh, hl, hh = (along(r, taps, -2, 2**level) for r in rows for taps in (low, high))
        result.append((ll, lh, hl, hh))
        x = ll
    return result


def swt_loss(
    output: Tensor,
    target: Tensor,
    *,
    lowpass: Sequence[float] = _HAAR,
    levels: int = 1,
    weights: Sequence[float] = (0.01, 0.01, 0.01, 0.01),
) -> Tensor:
    """Mean absolute error of stationary wavelet coefficients, summed over bands.

    Parameters
    ----------
    output, target : Tensor, shape (N, band, H, W), float32
        Product and reference.
    lowpass, levels
        See :func:`stationary_wavelet`.
    weights : sequence of float
        Of LL, LH, HL and HH at every level.

    Returns
    -------
    Tensor, scalar
        Grows with the number of bands.

    Raises
    ------
    OptionError
        See :func:`stationary_wavelet`.
    """
    # The transform is linear: one of the difference serves for both.
    parts = stationary_wavelet(output - target, lowpass, levels)
    terms = [w * p.abs().mean() for level in parts for w, p in zip(weights, level, strict=True)]
    return output.shape[1] * torch.stack(terms).sum()


def band_balance_loss(output: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 of each band over the band's mean of ``target^2 + 0.1``, mean over bands.

    The third term of CSAKD, which keeps bright bands from ruling the loss.

    Parameters
    ----------
    output, target : Tensor, shape (N, band, H, W), float32
        Product and reference.

    Returns
    -------
    Tensor, scalar
    """
    error = F.smooth_l1_loss(output, target, reduction="none").mean(dim=(2, 3))
    return (error / (target.square() + 0.1).mean(dim=(2, 3))).mean()


def hyfusion_loss(
    output: Tensor,
    target: Tensor,
    *,
    sam: float = 0.1,
    swt: float = 1.0,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> Tensor:
    """L1 + 0.1 spectral angle + stationary wavelets.

    Parameters
    ----------
    output, target : Tensor, shape (N, band, H, W), float32
        Product and reference, normalised to `value_range`.
    sam, swt : float
        Weights of :func:`sam_loss` and :func:`swt_loss`.
    value_range : (float, float)
        Values that stand for 0 and 1; the angle is taken on [0, 1].

    Returns
    -------
    Tensor, scalar
    """
    low, high = value_range
    angle = sam_loss((output - low) / (high - low), (target - low) / (high - low))
    return (output - target).abs().mean() + sam * angle + swt * swt_loss(output, target)
