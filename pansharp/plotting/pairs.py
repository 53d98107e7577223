"""Two images of one grid, read piece by piece: masks, maps reduced to the size of a view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import BandMismatchError, GridMismatchError
from pansharp.geometry.grids import Window
from pansharp.source import SourceView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pansharp.plotting.layers import Layer
    from pansharp.plotting.places import Frame
    from pansharp.source import Source

    Floats = NDArray[np.float64]

__all__ = ["Pair", "ValidView", "mask_of", "pair_of", "spread_windows"]

#: Values of one image that are read at a time.
_PIECE = 1 << 22
#: Pixels up to which a mask is read at once.
_WHOLE_MASK = 1 << 22
#: Pixels by which two grids may differ and still be one.
_SAME = 0.01


class ValidView:
    """Where all of some sources are valid, as a mask that is read by windows.

    Parameters
    ----------
    sources : sequence of Source
        Of one size.
    """

    ndim = 2

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)
        self.shape = sources[0].height, sources[0].width
        self.dtype = np.dtype(bool)

    def __getitem__(self, key: Any) -> NDArray[np.bool_]:
        rows, cols = (
            range(*item.indices(size)) for item, size in zip(key, self.shape, strict=True)
        )
        window = Window(rows.start, cols.start, len(rows), len(cols))
        mask = np.ones(window.shape, dtype=bool)
        for source in self._sources:
            valid = source.valid(window)
            if valid is not None:
                mask &= valid
        return mask


@dataclass(frozen=True)
class Pair:
    """A reference and a product on the same window.

    Parameters
    ----------
    first, second : Source
        Reference and product, cut to the window.
    window : Window
        Pixels of the reference.
    """

    first: Source
    second: Source
    window: Window

    @property
    def images(self) -> tuple[SourceView, SourceView]:
        """Both as arrays that are read by windows."""
        return SourceView(self.first), SourceView(self.second)

    @property
    def mask(self) -> ValidView | NDArray[np.bool_] | None:
        """Where both are valid; None where that is everywhere."""
        return mask_of([self.first, self.second])

    def pieces(self, step: int = 1) -> Iterator[tuple[Window, NDArray[Any], NDArray[Any]]]:
        """Windows with the pixels of both, float32, NaN where either is invalid.

        They begin at multiples of `step`.
        """
        bands, height, width = self.first.bands, self.first.height, self.first.width
        side = max(1, math.isqrt(_PIECE // bands) // step) * step
        for row in range(0, height, side):
            for col in range(0, width, side):
                part = Window(row, col, min(side, height - row), min(side, width - col))
                data = []
                hole = np.zeros(part.shape, dtype=bool)
                for source in (self.first, self.second):
                    stored = source.read(part)
                    valid = source.valid(part, stored)
                    if valid is not None:
                        hole |= ~valid
                    data.append(stored.astype(np.float32))
                for pixels in data:
                    pixels[:, hole] = np.nan
                yield part, data[0], data[1]

    def reduced(
        self, step: int, function: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
    ) -> Floats:
        """A map of both images, averaged over squares of `step` pixels.

        Parameters
        ----------
        step : int
            Side of the squares.
        function : callable
            From reference and product, (band, y, x) float32, to values (y, x) at full resolution;
            NaN where undefined.

        Returns
        -------
        ndarray, shape (ceil(y / step), ceil(x / step)), float64
            Means of the defined values; NaN where there are none.
        """
        shape = math.ceil(self.first.height / step), math.ceil(self.first.width / step)
        sums, counts = np.zeros(shape), np.zeros(shape)
        for part, first, second in self.pieces(step):
            values = np.asarray(function(first, second), dtype=np.float64)
            known = np.isfinite(values)
            place = (
                slice(part.row // step, -(-part.row_end // step)),
                slice(part.col // step, -(-part.col_end // step)),
            )
            for target, plane in ((sums, np.where(known, values, 0.0)), (counts, known * 1.0)):
                down = np.add.reduceat(plane, np.arange(0, part.height, step), axis=0)
                target[place] = np.add.reduceat(down, np.arange(0, part.width, step), axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts > 0, sums / counts, np.nan)


def mask_of(sources: Sequence[Source]) -> ValidView | NDArray[np.bool_] | None:
    """Where all sources are valid; None where that is everywhere, as far as is known.

    Of small images the mask is read at once, so that scores of images without a hole do not count
    as masked.
    """
    if not any(getattr(source, "may_be_invalid", True) for source in sources):
        return None
    view = ValidView(sources)
    height, width = view.shape
    if height * width > _WHOLE_MASK:
        return view
    mask = view[0:height, 0:width]
    return None if mask.all() else mask


def pair_of(frame: Frame, reference: Layer, fused: Layer, window: Window) -> Pair:
    """The same window of a reference and a product.

    Parameters
    ----------
    frame : Frame
        Their common ground.
    reference, fused : Layer
        Images of one grid and the same number of bands; one may cover more ground.
    window : Window
        Pixels of the frame's base, cut to what both cover.

    Returns
    -------
    Pair

    Raises
    ------
    GridMismatchError
        Pixels differ in size, or lie apart by part of a pixel.
    BandMismatchError
        Numbers of bands differ.
    """
    if reference.bands != fused.bands:
        raise BandMismatchError(
            f"{reference.label} has {reference.bands} bands and {fused.label} {fused.bands}; "
            "select the same bands of both"
        )
    offsets = []
    for layer in (reference, fused):
        a, _, c, _, e, f = frame.to_base(layer)
        sizes = abs(a - 1) * layer.source.width, abs(e - 1) * layer.source.height
        row, col = round(f), round(c)
        if max(*sizes, abs(f - row), abs(c - col)) > _SAME:
            raise GridMismatchError(
                f"{layer.label} does not lie on the pixel grid of {frame.base.label}; "
                "maps and scores need images of one grid"
            )
        offsets.append((row, col))
    for layer, (row, col) in zip((reference, fused), offsets, strict=True):
        window = window.intersect(Window(row, col, layer.source.height, layer.source.width))
    if 0 in window.shape:
        raise GridMismatchError(f"{reference.label} and {fused.label} do not overlap there")
    first, second = (
        layer.source.cut(Window(window.row - row, window.col - col, *window.shape))
        for layer, (row, col) in zip((reference, fused), offsets, strict=True)
    )
    return Pair(first, second, window)


def spread_windows(window: Window, side: int, count: int) -> list[Window]:
    """At most `count` squares of `side` pixels, spread evenly over a window, none overlapping.

    Where the window is smaller than a square, the window itself.
    """
    high, wide = min(side, window.height), min(side, window.width)
    down, across = window.height // high, window.width // wide
    rows = min(down, max(1, math.isqrt(count * down // max(across, 1)) or 1))
    cols = min(across, max(1, count // rows))

    def starts(first: int, size: int, length: int, number: int) -> list[int]:
        free = size - length
        if number == 1:
            return [first + free // 2]
        return [first + free * i // (number - 1) for i in range(number)]

    return [
        Window(row, col, high, wide)
        for row in starts(window.row, window.height, high, rows)
        for col in starts(window.col, window.width, wide, cols)
    ]
