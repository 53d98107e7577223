"""Sums that every global statistic is made of: counts, totals and cross products in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


__all__ = ["covariance", "deviation", "gram", "match", "mean", "quick_gram"]

#: Pixels per partial product: small enough to stay in cache, and fixed so that sums repeat.
_CHUNK = 1 << 14
#: Pixels summed in float32 by `quick_gram`, and rows of them worked on at a time.
_ROW = 1024
_STRIP = 32
#: Share of the mean square below which a variance is what float32 makes of a constant.
_ROUNDING = 1e-12
#: Up to this many planes, cross products are taken one by one.
_FEW = 8


def gram(
    planes: Sequence[NDArray[np.floating]], valid: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Cross products of image planes with a constant plane of ones put first.

    Parameters
    ----------
    planes : sequence of ndarray, each shape (y, x)
        Image planes, counts.
    valid : ndarray, shape (y, x), bool, or None
        Pixels to count.

    Returns
    -------
    ndarray, shape (1 + planes, 1 + planes), float64
        Entry (0, 0) is the number of pixels, row 0 the sums, the rest the cross products.
    """
    flat = [np.ravel(p) if valid is None else p[valid] for p in planes]
    size = flat[0].size
    total = np.zeros((len(flat) + 1, len(flat) + 1))
    buffer = np.ones((len(flat) + 1, min(size, _CHUNK)))
    for start in range(0, size, _CHUNK):
        stop = min(size, start + _CHUNK)
        block = buffer[:, : stop - start]
        for row, plane in enumerate(flat, 1):
            block[row] = plane[start:stop]
        if len(flat) > _FEW:
            total += block @ block.T
            continue
        # Single dot products beat a matrix product of a few long rows threefold.
        for i in range(len(block)):
            for j in range(i, len(block)):
                value = block[i] @ block[j]
                total[i, j] += value
                if i != j:
                    total[j, i] += value
    return total


def quick_gram(
    planes: Sequence[NDArray[np.float32]],
    valid: NDArray[np.bool_] | None,
    *,
    cross: bool = False,
) -> NDArray[np.float64]:
    """The sums of :func:`gram`, several times faster where every pixel is valid.

    Rows of 1024 pixels are summed in float32 as differences from a level near the plane's mean,
    and the rows in float64, so that the error stays small beside the variance too (1e-7).

    Parameters
    ----------
    planes, valid
        As in :func:`gram`, which takes over where pixels are invalid.
    cross : bool
        Whether the products of different planes are wanted.

    Returns
    -------
    ndarray, shape (1 + planes, 1 + planes), float64
        As :func:`gram`; without `cross` the entries off the diagonal and the first row and column
        are left 0.
    """
    size = planes[0].size
    if valid is not None or size % _ROW or any(p.dtype != np.float32 for p in planes):
        return gram(planes, valid)
    count = len(planes)
    rows = [np.ascontiguousarray(plane).reshape(-1, _ROW) for plane in planes]
    length = len(rows[0])
    levels = np.array([r[:: max(1, length // 16)].mean(dtype=np.float64) for r in rows])
    levels = levels.astype(np.float32)
    first = np.zeros(count)
    second = np.zeros((count, count))
    ones = np.ones(_ROW, dtype=np.float32)
    scratch = np.empty((count, min(length, _STRIP), _ROW), dtype=np.float32)
    for start in range(0, length, _STRIP):
        part = scratch[:, : min(_STRIP, length - start)]
        for out, plane, level in zip(part, rows, levels, strict=True):
            np.subtract(plane[start : start + _STRIP], level, out=out)
        first += (part @ ones).sum(axis=1, dtype=np.float64)
        for i in range(count):
            for j in range(i, count if cross else i + 1):
                second[i, j] += np.vecdot(part[i], part[j]).sum(dtype=np.float64)
    second = np.triu(second) + np.triu(second, 1).T
    base = levels.astype(np.float64)
    total = np.zeros((count + 1, count + 1))
    total[0, 0] = size
    total[0, 1:] = total[1:, 0] = first + size * base
    mixed = np.outer(base, first)
    whole = second + mixed + mixed.T + size * np.outer(base, base)
    total[1:, 1:] = whole if cross else np.diag(np.diag(whole))
    return total


def mean(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of the planes of a :func:`gram` total."""
    return np.asarray(total[0, 1:] / total[0, 0])


def covariance(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance matrix (divisor n-1) of the planes of a :func:`gram` total.

    Entries that are rounding errors beside the squares they are differences of are 0, so that a
    constant plane has variance 0 and no regression finds a slope in it.
    """
    count = total[0, 0]
    sums = total[0, 1:]
    squares = np.sqrt(np.maximum(np.diag(total)[1:], 0.0))
    spread = total[1:, 1:] - np.outer(sums, sums) / count
    spread[np.abs(spread) <= _ROUNDING * np.outer(squares, squares)] = 0.0
    return np.asarray(spread / (count - 1.0))


def deviation(weights: NDArray[np.float64], table: NDArray[np.float64]) -> float:
    """Standard deviation of a weighted sum of planes with covariance `table`."""
    return math.sqrt(max(float(weights @ table @ weights), 0.0))


def match(
    total: NDArray[np.float64], *, spread_of: int = 0, first: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """``P_b = scale_b P + shift_b`` that gives plane 0, the PAN, mean and deviation of each band.

    Parameters
    ----------
    total : ndarray
        From :func:`gram` or :func:`quick_gram`.
    spread_of : int
        Plane whose deviation stands for that of the PAN (a low-pass of it, or itself).
    first : int
        First plane that is a band.

    Returns
    -------
    scale, shift : tuple of float
        Scale 0 where that plane is flat.
    """
    means = mean(total)
    spread = np.sqrt(np.maximum(np.diag(covariance(total)), 0.0))
    flat = not spread[spread_of] > 1e-9 * max(1.0, abs(float(means[0])))
    scale = np.zeros(len(spread) - first) if flat else spread[first:] / spread[spread_of]
    shift = means[first:] - scale * means[0]
    return tuple(scale.tolist()), tuple(shift.tolist())
