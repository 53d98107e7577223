"""Finding MS images whose every pixel was repeated to look finer than it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.source import ThinnedSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pansharp.source import BaseSource

__all__ = ["repetition", "thin"]

#: Largest number of repetitions that is looked for.
_MOST = 16
#: Share of the block borders at which neighbours must differ: flat images prove nothing.
_TEXTURE = 0.5
#: Side of the windows of the full check, pixels.
_SWEEP = 1024


def thin(source: BaseSource, alignment: Alignment) -> tuple[BaseSource, Alignment, str | None]:
    """Take one pixel of each block where an image holds every pixel several times.

    Some deliveries, and many processing chains, repeat the pixels of the MS to bring it nearer to
    the PAN. Nothing is lost by undoing it, and much is won: the ratio and the MTF are then those
    of the sensor.

    Parameters
    ----------
    source : BaseSource
        MS image.
    alignment : Alignment
        Map between its pixels and those of the PAN.

    Returns
    -------
    source : BaseSource
        The image at its true spacing, or `source` itself.
    alignment : Alignment
        The map that belongs to it.
    note : str or None
        What was found.
    """
    found = repetition(source)
    if found is None:
        return source, alignment, None
    step, row, col = found
    thinned = ThinnedSource(source, step, row, col)
    true = Alignment(_coarse(alignment.y, step, row), _coarse(alignment.x, step, col))
    note = (
        f"the MS holds every pixel {step} x {step} times: it is read at its true size of "
        f"{thinned.height} x {thinned.width}, and the ratio is {true.ratio:.6g} instead of "
        f"{alignment.ratio:.6g} (a ratio that is given keeps it as it is)"
    )
    return thinned, true, note


def _coarse(axis: AxisMap, step: int, start: int) -> AxisMap:
    middle = start + (step - 1) / 2.0
    return AxisMap(axis.scale * step, axis.to_pan(middle))


def repetition(source: BaseSource) -> tuple[int, int, int] | None:
    """Repetitions and first whole block (row, column); None for ordinary images."""
    if min(source.height, source.width) < 4 * _MOST:
        return None
    changes: tuple[set[int], set[int]] = (set(), set())
    seen: tuple[set[int], set[int]] = (set(), set())
    for window in _samples(source):
        for axis in (0, 1):
            start = (window.row, window.col)[axis]
            differs = _changes(source.read(window), axis, source.nodata)
            changes[axis].update(int(i) + start for i in np.flatnonzero(differs))
            seen[axis].update(range(start, start + differs.size))
    fits = [_period(c, s) for c, s in zip(changes, seen, strict=True)]
    if fits[0] is None or fits[1] is None or fits[0][0] != fits[1][0]:
        return None
    (step, row), (_, col) = fits[0], fits[1]
    return (step, row, col) if _everywhere(source, step, row, col) else None


def _changes(data: NDArray[np.generic], axis: int, nodata: float | None) -> NDArray[np.bool_]:
    """Whether any pixel of line i differs from its neighbour in line i + 1."""
    lines = np.moveaxis(data, 1 + axis, 0)
    differs = (lines[1:] != lines[:-1]).any(axis=1)
    # Footprints are often cut after the pixels were repeated: the rim of the data proves nothing.
    blank = (lines == 0).all(axis=1) | (lines != lines).any(axis=1)
    if nodata is not None:
        blank |= (lines == nodata).all(axis=1)
    return np.asarray((differs & ~blank[1:] & ~blank[:-1]).any(axis=1))


def _period(changes: set[int], seen: set[int]) -> tuple[int, int] | None:
    """Largest step, and the start, that explain where neighbouring lines differ."""
    for step in range(_MOST, 1, -1):
        starts = {(i + 1) % step for i in changes}
        if len(starts) != 1:
            continue
        start = starts.pop()
        borders = sum((i + 1) % step == start for i in seen)
        if len(changes) >= _TEXTURE * borders:
            return step, start
    return None


def _samples(source: BaseSource) -> Iterator[Window]:
    side = 4 * _MOST
    for down in (1, 3, 5):
        for across in (1, 3, 5):
            row = (source.height - side) * down // 6
            col = (source.width - side) * across // 6
            yield Window(row, col, side, side)


def _everywhere(source: BaseSource, step: int, row: int, col: int) -> bool:
    """Whether what the samples say holds for every pixel: thinning must lose nothing."""
    side = _SWEEP // step * step
    for top in range(0, source.height, side):
        for left in range(0, source.width, side):
            window = Window(top, left, side + 1, side + 1).intersect(source.full)
            data = source.read(window)
            for axis, start, first in ((0, top, row), (1, left, col)):
                at = np.flatnonzero(_changes(data, axis, source.nodata)) + start + 1
                if (at % step != first).any():
                    return False
    return True
