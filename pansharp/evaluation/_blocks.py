"""Image blocks and their means and covariances, many blocks at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["block_count", "iter_blocks", "moments"]

_CHUNK = 1 << 17
"""Numbers of one image worked on at a time: what a processor's second-level cache holds."""


def block_count(length: int, block: int, shift: int) -> tuple[int, int]:
    """Blocks along one axis, and the length that they cover once the image is extended."""
    count = -(-length // shift)
    return count, (count - 1) * shift + block


def iter_blocks(
    image: NDArray[np.generic], block: int, shift: int
) -> Iterator[tuple[int, int, int, Floats]]:
    """Blocks of one block row after the other.

    Yields ``(row, first, last, values)``: block row, range of block columns and a float64 copy
    ``(block, band, pixel)`` that the caller may change.
    """
    windows = sliding_window_view(image, (block, block), axis=(1, 2))[:, ::shift, ::shift]
    bands, rows, cols = windows.shape[:3]
    chunk = max(1, _CHUNK // (bands * block * block))
    for row in range(rows):
        for first in range(0, cols, chunk):
            last = min(first + chunk, cols)
            values = np.empty((last - first, bands, block, block))
            values[...] = np.moveaxis(windows[:, row, first:last], 0, 1)
            yield row, first, last, values.reshape(last - first, bands, block * block)


def center(values: Floats, valid: NDArray[np.bool_] | None) -> tuple[Floats, Floats]:
    """Subtract each block's band means in place.

    Parameters
    ----------
    values : ndarray
        Shape (block, band, pixel), float64; becomes zero-mean, and 0 in invalid pixels.
    valid : ndarray or None
        Shape (block, pixel).

    Returns
    -------
    mean : ndarray
        Shape (block, band).
    count : ndarray
        Pixels used, shape (block,), at least 2 so that divisions are harmless.
    """
    if valid is None:
        mean = values.mean(axis=-1)
        values -= mean[:, :, None]
        return mean, np.full(values.shape[0], float(values.shape[-1]))
    count = np.maximum(np.count_nonzero(valid, axis=-1).astype(np.float64), 2.0)
    weight = valid[:, None, :].astype(np.float64)
    values *= weight
    mean = values.sum(axis=-1) / count[:, None]
    values -= mean[:, :, None]
    values *= weight
    return mean, count


def moments(values: Floats, valid: NDArray[np.bool_] | None) -> tuple[Floats, Floats]:
    """Means (block, band) and covariances (block, band, band), divided by N - 1."""
    mean, count = center(values, valid)
    gram: Floats = np.matmul(values, values.transpose(0, 2, 1))
    gram /= (count - 1.0)[:, None, None]
    return mean, gram


def blocks_of_mask(
    valid: NDArray[np.bool_] | None, block: int, shift: int
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Masks cut like the image, ``(row, col, pixel)``, and which blocks are at least half valid."""
    if valid is None:
        return None, None
    windows = sliding_window_view(valid, (block, block))[::shift, ::shift]
    flat = windows.reshape(*windows.shape[:2], block * block)
    return flat, 2 * np.count_nonzero(flat, axis=-1) >= block * block
