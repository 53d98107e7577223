"""Shift between PAN and MS: a coarse one by phase correlation, and what patches say one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.kernels import MtfGaussian
from pansharp.geometry.register import REACH, Scan
from pansharp.geometry.resample import sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.geometry.register import Patch

__all__ = ["MIN_PATCHES", "Consensus", "agree", "coarse_shift"]

#: Fewer good patches than this prove nothing about the scene.
MIN_PATCHES = 4
#: Patches that are asked, those of the strongest texture.
_MOST_PATCHES = 16
#: Share of the PAN's variance that the MS must explain in a patch.
_GOOD_R2 = 0.5
#: Loss of that share one MS pixel away: without it the patch has no texture to go by.
_DISTINCT = 0.02
#: MS pixels on each side in which the coarse search looks.
_FAR = 16
#: Height of a peak of the correlation over its surroundings, standard deviations.
_PEAK = 6.0


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the patches of a scene say of its shift.

    Parameters
    ----------
    rows, cols : float
        Median of the good patches, PAN pixels: how far the MS must move down and right.
    spread : float
        Scatter of the patches about it, PAN pixels: 1.4826 times the median of their distances
        from it along an axis, the larger axis.
    patches : int
        Good patches: textured, and explained by the MS.
    asked : int
        Patches that were looked at.
    """

    rows: float
    cols: float
    spread: float
    patches: int
    asked: int


def coarse_shift(patches: Sequence[Patch], gain: float) -> tuple[float, float] | None:
    """Shift to the nearest MS pixel by phase correlation, over all patches together.

    The blurred PAN and each MS band are compared on the MS grid; bands darker where the PAN is
    brighter count like the others, because the correlations are squared before they are added.

    Parameters
    ----------
    patches : sequence of Patch
        Chips of one scene.
    gain : float
        MTF gain at Nyquist of the blur.

    Returns
    -------
    tuple of float or None
        How far the MS must move down and right, PAN pixels (whole MS pixels); None without a peak
        that stands out.

    References
    ----------
    Kuglin and Hines, "The phase correlation image alignment method", Proc. IEEE Conf.
    Cybernetics and Society, 1975.
    """
    size = 2 * _FAR + 1
    total = np.zeros((size, size))
    used = 0
    for patch in patches:
        own = patch.own_ms()
        reach = min(_FAR, min(own.shape) // 4)
        if reach < 2:
            continue
        mask = patch.ms_mask(own)
        planes = np.concatenate([_low(patch, gain), patch.ms_pixels(own)]).astype(np.float64)
        if mask is not None and mask.mean() < 0.5:
            continue
        weight = np.outer(np.hanning(own.height), np.hanning(own.width))
        weight = weight if mask is None else weight * mask
        spectra = np.fft.rfft2(_centred(planes, weight) * weight)
        cross = spectra[:1] * np.conj(spectra[1:])
        # What the blur has left of the high frequencies is noise.
        v, u = np.fft.fftfreq(own.height), np.fft.rfftfreq(own.width)
        keep = np.hypot(v[:, None], u[None]) < 0.4
        phases = np.where(keep, cross / np.maximum(np.abs(cross), 1e-12), 0.0)
        surface = (np.fft.irfft2(phases, s=own.shape) ** 2).sum(axis=0)
        rolled = np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
        inner = slice(_FAR - reach, _FAR + reach + 1)
        total[inner, inner] += rolled / max(float(rolled.mean()), 1e-30)
        used += 1
    if not used:
        return None
    peak = np.unravel_index(int(total.argmax()), total.shape)
    rows, cols = int(peak[0]) - _FAR, int(peak[1]) - _FAR
    rest = total[total > 0]
    if total.max() < rest.mean() + _PEAK * rest.std():
        return None
    y, x = patches[0].alignment.y, patches[0].alignment.x
    return rows * y.scale, cols * x.scale


def _low(patch: Patch, gain: float) -> NDArray[np.float32]:
    start = patch.window.expand(patch.halo)
    kernel = MtfGaussian(patch.alignment.ratio, gain, normalize=True)
    origin = (start.row, start.col)
    return sample(patch.pan[:1], origin, patch.own_ms(), patch.alignment, "down", kernel)


def _centred(planes: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = (planes * weight).sum(axis=(1, 2)) / weight.sum()
    return np.asarray(planes - mean[:, None, None])


def agree(patches: Sequence[Patch], gain: float, start: tuple[float, float]) -> Consensus | None:
    """Ask the most textured patches one by one, around a shift that all together gave.

    Parameters
    ----------
    patches : sequence of Patch
        Chips of one scene with the halo that `Scan` needs.
    gain : float
        MTF gain at Nyquist of the blur.
    start : tuple of float
        Rows and columns, PAN pixels, within the reach of the scan.

    Returns
    -------
    Consensus or None
        None where no patch is good.
    """
    textured = sorted(patches, key=lambda patch: -_texture(patch, gain))[:_MOST_PATCHES]
    found = [shift for patch in textured if (shift := _of_patch(patch, gain, start)) is not None]
    if not found:
        return None
    shifts = np.array(found)
    middle = np.median(shifts, axis=0)
    spread = 1.4826 * np.median(np.abs(shifts - middle), axis=0)
    rows, cols = (float(value) for value in middle)
    return Consensus(rows, cols, float(spread.max()), len(found), len(textured))


def _texture(patch: Patch, gain: float) -> float:
    """Contrast of the blurred PAN between neighbouring MS pixels."""
    own = patch.own_ms()
    low = _low(patch, gain)[0].astype(np.float64)
    mask = patch.ms_mask(own)
    if mask is not None and mask.mean() < 0.5:
        return 0.0
    down, right = np.diff(low, axis=0)[:, :-1], np.diff(low, axis=1)[:-1]
    steps = np.hypot(down, right)
    if mask is not None:
        steps = steps[mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]]
    return float(steps.mean()) if steps.size else 0.0


def _of_patch(patch: Patch, gain: float, start: tuple[float, float]) -> tuple[float, float] | None:
    """Shift of one patch, refined by a parabola; None where it cannot tell."""
    scan = Scan([patch])
    best = scan.climb(gain, start, (1.0, 0.5))
    top = scan.r2(*best, gain)
    ratio = patch.alignment.ratio
    away = [
        scan.r2(best[0] + i * ratio, best[1] + j * ratio, gain)
        for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0))
        if max(abs(best[0] + i * ratio), abs(best[1] + j * ratio)) <= REACH
    ]
    if top < _GOOD_R2 or (away and top - max(away) < _DISTINCT):
        return None
    refined = []
    for axis in (0, 1):
        sides = []
        for step in (-0.5, 0.5):
            place = list(best)
            place[axis] += step
            inside = abs(place[axis]) <= REACH
            sides.append(scan.r2(place[0], place[1], gain) if inside else -math.inf)
        bend = sides[0] - 2 * top + sides[1]
        moved = 0.25 * (sides[0] - sides[1]) / bend if math.isfinite(bend) and bend < 0 else 0.0
        refined.append(best[axis] + max(-0.5, min(0.5, moved)))
    return refined[0], refined[1]
