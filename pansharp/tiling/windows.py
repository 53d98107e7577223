"""Ramps from one tile to the next; the two sides of a ramp sum to exactly one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import TilingError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BLEND_KINDS", "profile", "ramp"]

BLEND_KINDS = ("crop", "linear", "hann")


def check_kind(kind: str) -> None:
    """Raise a `TilingError` that names near matches when `kind` is no blend."""
    if kind not in BLEND_KINDS:
        raise TilingError(f"unknown blend '{kind}'; {nearest(kind, list(BLEND_KINDS))}")


def ramp(kind: str, overlap: int) -> NDArray[np.float64]:
    """Rising weights of the later tile over the pixels that two tiles share.

    Parameters
    ----------
    kind : {"crop", "linear", "hann"}
        A step in the middle, a straight line, or ``sin^2``.
    overlap : int
        Number of shared pixels.

    Returns
    -------
    ndarray, shape (overlap,), float64
        Weights in [0, 1], sampled at half-sample positions. The second half is set to one minus
        the reversed first half, so that ``ramp + ramp[::-1] == 1`` holds exactly.

    Raises
    ------
    TilingError
        For an unknown kind or a negative overlap.
    """
    check_kind(kind)
    if overlap < 0:
        raise TilingError(f"an overlap of {overlap} pixels is impossible; use 0 or more")
    position = (np.arange(overlap) + 0.5) / max(overlap, 1)
    if kind == "crop":
        # The same border as the cores of a grid: the later tile owns from overlap // 2 on.
        return (np.arange(overlap) >= overlap // 2).astype(np.float64)
    weights = position if kind == "linear" else np.sin(np.pi / 2.0 * position) ** 2
    half = overlap // 2
    if overlap % 2:
        weights[half] = 0.5
    weights[overlap - half :] = 1.0 - weights[:half][::-1]
    return weights


def profile(kind: str, size: int, overlap: int) -> NDArray[np.float64]:
    """Weights of a tile with a neighbour on both sides, along one axis.

    Parameters
    ----------
    kind : {"crop", "linear", "hann"}
        See `ramp`.
    size : int
        Length of the tile.
    overlap : int
        Pixels shared with each neighbour, at most ``size // 2``.

    Returns
    -------
    ndarray, shape (size,), float64
        Profiles repeated every ``size - overlap`` pixels sum to one.

    Raises
    ------
    TilingError
        For an unknown kind or an overlap that does not fit.
    """
    if not 0 <= overlap <= size // 2:
        raise TilingError(
            f"an overlap of {overlap} does not fit tiles of {size} pixels; use 0 to {size // 2}"
        )
    weights = np.ones(size)
    rising = ramp(kind, overlap)
    if overlap:
        weights[:overlap] = rising
        weights[size - overlap :] = 1.0 - rising
    return weights
