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
_STRIP = 64
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
    planes: Sequence[NDArray[np.float32]], valid: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Counts, sums and squares of planes, without their cross products.

    Rows of 1024 pixels are summed in float32 as differences from a level near the plane's mean,
    and the rows in float64, so that the error stays small beside the variance too; at a third of
    the cost of :func:`gram`, which takes over where pixels are invalid.

    Parameters
    ----------
    planes, valid
        As in :func:`gram`.

    Returns
    -------
    ndarray, shape (1 + planes, 1 + planes), float64
        As :func:`gram`, entries off the diagonal and the first row and column left 0.
    """
    if valid is not None or planes[0].size % _ROW or planes[0].dtype != np.float32:
        return gram(planes, valid)
    total = np.zeros((len(planes) + 1, len(planes) + 1))
    total[0, 0] = planes[0].size
    ones = np.ones(_ROW, dtype=np.float32)
    for i, plane in enumerate(planes, 1):
        rows = np.ascontiguousarray(plane).reshape(-1, _ROW)
        level = np.float32(rows[:: max(1, len(rows) // 16)].mean(dtype=np.float64))
        first = second = 0.0
        scratch = np.empty((min(len(rows), _STRIP), _ROW), dtype=np.float32)
        for start in range(0, len(rows), _STRIP):
            part = scratch[: len(rows[start : start + _STRIP])]
            np.subtract(rows[start : start + _STRIP], level, out=part)
            first += float((part @ ones).sum(dtype=np.float64))
            second += float(np.vecdot(part, part).sum(dtype=np.float64))
        offset = float(level)
        total[0, i] = total[i, 0] = first + plane.size * offset
        total[i, i] = second + 2.0 * offset * first + plane.size * offset**2
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
