"""Path radiance per band, estimated from the darkest pixels of the interpolated MS.

The rule of BT-H and MTF-GLP-HPM-H: with four bands (blue, green, red, near infrared) a share of the
1 % percentile, with any other number the minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.models.base import Moments, SceneFacts

__all__ = ["haze_moments", "haze_of"]

#: Share of the 1 % percentile of blue, green, red and near infrared.
_SHARES = {"blue": 0.95, "green": 0.45, "red": 0.40, "nir": 0.05}
_WORDS = {"b": "blue", "g": "green", "r": "red", "n": "nir", "nir1": "nir"}
_PERCENT = 0.01
#: float32 numbers are counted by their upper 21 bits: 12 bits of mantissa, bins of 0.024 % at most
#: with straight lines inside. Exponents from -30 to 29 have bins; what is smaller counts as 0.
_SHIFT = 11
_SMALL = (127 - 30) << 12
_SIDE = 60 << 12


def haze_moments(up: NDArray[np.floating], valid: NDArray[np.bool_] | None, mode: str) -> Moments:
    """What :func:`haze_of` needs of a part of the scene.

    Parameters
    ----------
    up : ndarray, shape (band, y, x)
        Interpolated MS, counts.
    valid : ndarray, shape (y, x), bool, or None
        Pixels to count.
    mode : {"default", "reference"}
        ``reference`` sees the whole image at once and keeps exact percentiles.
    """
    flat = up.reshape(len(up), -1) if valid is None else up[:, valid]
    if len(up) != 4:
        return {"min:haze": flat.min(axis=1, initial=np.inf).astype(np.float64)}
    if mode == "reference":
        return {"haze_percentile": np.array([_percentile(band) for band in flat])}
    return {"haze_counts": np.stack([_counts(band) for band in flat])}


def haze_of(moments: Moments, facts: SceneFacts) -> tuple[float, ...]:
    """Haze of every band from the moments of the whole scene, counts."""
    if "min:haze" in moments:
        low = moments["min:haze"]
        return tuple(float(v) if np.isfinite(v) else 0.0 for v in low)
    if "haze_percentile" in moments:
        percentiles = moments["haze_percentile"]
    else:
        percentiles = np.array([_from_counts(row) for row in moments["haze_counts"]])
    return tuple(float(p * s) for p, s in zip(percentiles, _shares(facts), strict=True))


def _shares(facts: SceneFacts) -> tuple[float, ...]:
    """Shares by band name where all four are known, else in the order blue, green, red, nir."""
    names = [_WORDS.get(name.lower(), name.lower()) for name in facts.band_names]
    if sorted(names) == sorted(_SHARES):
        return tuple(_SHARES[name] for name in names)
    return tuple(_SHARES.values())


def _percentile(values: NDArray[np.floating]) -> float:
    """MATLAB's prctile: sample k of n stands at (k - 1/2) / n, straight lines between."""
    value: np.float64 = np.quantile(values.astype(np.float64), _PERCENT, method="hazen")
    return float(value)


def _counts(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Histogram over the ordered bit patterns of float32."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)
    # Negative numbers count backwards from zero.
    order = np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF)) >> _SHIFT
    order = np.where(order >= 0, np.maximum(order - _SMALL, 0), np.minimum(order + _SMALL, -1))
    order = np.clip(order, -_SIDE, _SIDE - 1) + _SIDE
    return np.bincount(order, minlength=2 * _SIDE).astype(np.float64)


def _from_counts(counts: NDArray[np.float64]) -> float:
    total = counts.sum()
    if not total:
        return 0.0
    wanted = _PERCENT * total
    reached = np.cumsum(counts)
    index = int(np.searchsorted(reached, wanted))
    inside = float((wanted - (reached[index] - counts[index])) / counts[index])
    low, high = _edge(index), _edge(index + 1)
    return low + inside * (high - low)


def _edge(index: int) -> float:
    """Lower edge of a bin of :func:`_counts`."""
    if index == _SIDE:
        return 0.0
    bits = np.array([(abs(index - _SIDE) + _SMALL) << _SHIFT], dtype=np.int32)
    value = float(bits.view(np.float32)[0])
    return value if index > _SIDE else -value
