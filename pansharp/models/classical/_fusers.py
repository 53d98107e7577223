"""The three shapes that nearly all classical products have, as fusers.

Substitution: one detail image for all bands. Detail: PAN minus a low-pass of it, scaled per band.
Modulation: the band times PAN over its low-pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.classical._lowpass import Lowpass

__all__ = [
    "EPS",
    "FLOOR",
    "LIMIT",
    "DetailFuser",
    "ModulationFuser",
    "SubstitutionFuser",
    "weighted_sum",
]

#: What the toolbox adds to denominators.
EPS = float(np.finfo(np.float64).eps)
#: Smallest denominator of a quotient in default mode, as a share of its scene mean: below it the
#: detail is added as in a pixel of that brightness, instead of growing without bound.
FLOOR = 0.02
#: Largest factor, of either sign, that a quotient may give a pixel in default mode.
LIMIT = 8.0
#: Pixels of a plane worked on at once.
_STRIP = 1 << 15


def weighted_sum(planes: NDArray[np.float32], weights: tuple[float, ...]) -> NDArray[np.float32]:
    """``sum_k w_k planes_k`` of (band, y, x) planes, band after band: the same bits in any tile."""
    kind = planes.dtype.type
    total: NDArray[np.float32] = planes[0] * kind(weights[0])
    scratch = np.empty_like(total)
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        np.multiply(plane, kind(weight), out=scratch)
        total += scratch
    return total


@dataclass(frozen=True, slots=True)
class SubstitutionFuser:
    """``y_b = M~_b + g_b (a P - offset - sum_k w_k M~_k)``.

    Parameters
    ----------
    weights, gains : tuple of float
        Intensity weights and injection gains, one a band.
    offset : float
        Brings the injected detail to mean 0.
    pan_gain : float
        Match of the PAN to the intensity.
    """

    weights: tuple[float, ...]
    gains: tuple[float, ...]
    offset: float
    pan_gain: float = 1.0
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        kind = fused.dtype.type
        pan = chip.guide()[0]
        if self.pan_gain != 1.0:
            pan = pan * kind(self.pan_gain)
        detail = pan - kind(self.offset)
        scratch = np.empty_like(detail)
        for plane, weight in zip(fused, self.weights, strict=True):
            np.multiply(plane, kind(weight), out=scratch)
            detail -= scratch
        for plane, gain in zip(fused, self.gains, strict=True):
            np.multiply(detail, kind(gain), out=scratch)
            plane += scratch
        return fused


@dataclass(frozen=True, slots=True)
class DetailFuser:
    """``y_b = M~_b + g_b (P - low_b) + offset_b (1 - low(1))``.

    Parameters
    ----------
    lowpass : Lowpass
        Makes the low-pass PAN, of all bands or of each.
    gains : tuple of float
        Injection gains.
    halo : int
        PAN pixels of context.
    offsets : tuple of float
        Constant that went through the low-pass with the PAN; empty for none.
    """

    lowpass: Lowpass
    gains: tuple[float, ...]
    halo: int
    offsets: tuple[float, ...] = ()

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        pan = chip.guide()[0]
        kind = fused.dtype.type
        low = self.lowpass.planes(chip)
        level = self.lowpass.level(chip) if self.offsets else None
        for rows in strips(pan):
            detail = pan[rows] - low[0, rows]
            scratch = np.empty_like(detail)
            for band, plane in enumerate(fused[:, rows]):
                if band and not self.lowpass.shared:
                    np.subtract(pan[rows], low[band, rows], out=detail)
                np.multiply(detail, kind(self.gains[band]), out=scratch)
                plane += scratch
                if level is not None:
                    # One number a band, or in reference mode a plane of them.
                    one = level[band] if level.shape[1] == 1 else level[band, rows]
                    plane += kind(self.offsets[band]) * (kind(1.0) - one)
        return fused


@dataclass(frozen=True, slots=True)
class ModulationFuser:
    """``y_b = (M~_b - h_b) (a_b P + c_b) / (a_b low_b + d_b) + h_b``.

    In default mode both sides of the quotient are scaled so that the denominator has mean 1, and
    the product is ``(M~_b - h_b) (1 + (num - den) / max(den, 0.02)) + h_b`` with the factor kept
    between -8 and 8: the same wherever the denominator is sound, and bounded where it is not.

    Parameters
    ----------
    lowpass : Lowpass
        Makes the low-pass PAN.
    scale, above, below : tuple of float
        a, c and d of each band.
    halo : int
        PAN pixels of context.
    filtered : bool
        Whether d went through the low-pass with the PAN.
    haze : tuple of float
        h of each band; empty for none.
    mode : {"default", "reference"}
        ``reference`` adds eps to the denominator as the toolbox does.
    """

    lowpass: Lowpass
    scale: tuple[float, ...]
    above: tuple[float, ...]
    below: tuple[float, ...]
    halo: int
    filtered: bool = False
    haze: tuple[float, ...] = ()
    mode: str = "default"

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        pan = chip.guide()[0]
        kind = fused.dtype.type
        low = self.lowpass.planes(chip)
        level = self.lowpass.level(chip) if self.filtered else None
        for rows in strips(pan):
            for band, plane in enumerate(fused[:, rows]):
                scale = kind(self.scale[band])
                num = pan[rows] * scale
                num += kind(self.above[band])
                den = low[0 if self.lowpass.shared else band, rows] * scale
                if level is None:
                    den += kind(self.below[band])
                else:
                    one = level[band] if level.shape[1] == 1 else level[band, rows]
                    den += kind(self.below[band]) * one
                if self.haze:
                    plane -= kind(self.haze[band])
                plane *= quotient(num, den, self.mode)
                if self.haze:
                    plane += kind(self.haze[band])
        return fused


def strips(plane: NDArray[np.float32]) -> list[slice]:
    """Rows to work on at once, so that the planes of a strip stay in the cache of a core."""
    step = max(1, _STRIP // max(1, plane.shape[1]))
    return [slice(row, row + step) for row in range(0, plane.shape[0], step)]


def quotient(num: NDArray[np.float32], den: NDArray[np.float32], mode: str) -> NDArray[np.float32]:
    """``num / den`` for a denominator of mean 1, bounded in default mode (in place).

    Parameters
    ----------
    num, den : ndarray, shape (y, x)
        Overwritten.
    mode : {"default", "reference"}
        See :class:`ModulationFuser`.
    """
    if mode == "reference":
        return np.asarray(num / (den + EPS))
    num -= den
    np.maximum(den, den.dtype.type(FLOOR), out=den)
    num /= den
    num += num.dtype.type(1.0)
    np.clip(num, -LIMIT, LIMIT, out=num)
    return num
