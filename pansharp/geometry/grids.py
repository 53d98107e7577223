"""Pixel windows and the map between PAN and MS pixel indices: pure arithmetic, no arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["Alignment", "AxisMap", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels, rows first; may reach outside its raster.

    Parameters
    ----------
    row, col : int
        First row and column.
    height, width : int
        Size in pixels.
    """

    row: int
    col: int
    height: int
    width: int

    @property
    def row_end(self) -> int:
        """One past the last row."""
        return self.row + self.height

    @property
    def col_end(self) -> int:
        """One past the last column."""
        return self.col + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices into the full raster."""
        return slice(self.row, self.row_end), slice(self.col, self.col_end)

    def expand(self, margin: int) -> Window:
        """Grow by `margin` pixels on every side (shrink when negative)."""
        return Window(
            self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin
        )

    def intersect(self, other: Window) -> Window:
        """Common part; height and width 0 where there is none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        return Window(
            row,
            col,
            max(0, min(self.row_end, other.row_end) - row),
            max(0, min(self.col_end, other.col_end) - col),
        )

    def relative_to(self, other: Window) -> Window:
        """The same pixels, counted from the first pixel of `other`."""
        return Window(self.row - other.row, self.col - other.col, self.height, self.width)


@dataclass(frozen=True, slots=True)
class AxisMap:
    """Where MS pixels lie on the PAN grid, along one axis.

    The centre of MS pixel ``i`` lies at PAN index ``scale * i + offset`` (indices count pixel
    centres: 0 is the centre of the first pixel). Grids whose corners agree have
    ``offset = (scale - 1) / 2``; the MATLAB toolbox convention has ``offset = scale // 2``.

    Parameters
    ----------
    scale : float
        MS pixel size in PAN pixels (the ratio), need not be whole.
    offset : float
        PAN index of the centre of MS pixel 0.
    """

    scale: float
    offset: float

    @classmethod
    def corner(cls, scale: float) -> AxisMap:
        """Map of two grids that share their first corner."""
        return cls(scale, (scale - 1.0) / 2.0)

    @classmethod
    def toolbox(cls, ratio: int) -> AxisMap:
        """Map of the MATLAB toolbox: MS pixel i sits on PAN pixel ``ratio * i + ratio // 2``."""
        return cls(float(ratio), float(ratio // 2))

    def to_pan(self, index: float) -> float:
        """PAN index of the centre of MS pixel `index`."""
        return self.scale * index + self.offset

    def to_ms(self, index: float) -> float:
        """MS index (fractional) under the centre of PAN pixel `index`."""
        return (index - self.offset) / self.scale

    def shifted(self, pixels: float) -> AxisMap:
        """The same map with the MS moved by `pixels` PAN pixels."""
        return replace(self, offset=self.offset + pixels)

    def from_window(self, pan_start: int, ms_start: int) -> AxisMap:
        """The map between sub-rasters that begin at `pan_start` and `ms_start`."""
        return replace(self, offset=self.scale * ms_start + self.offset - pan_start)

    def ms_range(self, pan_start: int, pan_stop: int, margin: float = 0.0) -> tuple[int, int]:
        """Half-open range of MS pixels within `margin` MS pixels of PAN pixels [start, stop)."""
        first = math.floor(self.to_ms(pan_start) - margin)
        last = math.ceil(self.to_ms(pan_stop - 1) + margin)
        return first, last + 1

    def nearest_ms(self, pan_index: float) -> int:
        """MS pixel whose area holds the centre of PAN pixel `pan_index`."""
        return math.floor(self.to_ms(pan_index) + 0.5)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The two axis maps of a PAN/MS pair.

    Parameters
    ----------
    y, x : AxisMap
        Rows and columns.
    """

    y: AxisMap
    x: AxisMap

    @classmethod
    def corner(cls, ratio: float) -> Alignment:
        """Both grids share their upper-left corner."""
        return cls(AxisMap.corner(ratio), AxisMap.corner(ratio))

    @classmethod
    def toolbox(cls, ratio: int) -> Alignment:
        """The MATLAB toolbox convention on both axes."""
        return cls(AxisMap.toolbox(ratio), AxisMap.toolbox(ratio))

    @property
    def ratio(self) -> float:
        """MS pixel size over PAN pixel size (mean of the two axes)."""
        return (self.y.scale + self.x.scale) / 2.0

    @property
    def integer_ratio(self) -> int | None:
        """The ratio as a whole number, or None when it is none within 1e-3."""
        whole = round(self.ratio)
        near = max(abs(self.y.scale - whole), abs(self.x.scale - whole)) <= 1e-3 * whole
        return whole if near else None

    def shifted(self, rows: float, cols: float) -> Alignment:
        """The MS moved by (rows, cols) PAN pixels against the PAN."""
        return Alignment(self.y.shifted(rows), self.x.shifted(cols))

    def from_windows(self, pan: Window, ms: Window) -> Alignment:
        """Alignment between two windows cut out of the two rasters."""
        return Alignment(self.y.from_window(pan.row, ms.row), self.x.from_window(pan.col, ms.col))

    def ms_window(self, pan: Window, margin: float = 0.0) -> Window:
        """MS window that covers a PAN window plus `margin` MS pixels."""
        row, row_end = self.y.ms_range(pan.row, pan.row_end, margin)
        col, col_end = self.x.ms_range(pan.col, pan.col_end, margin)
        return Window(row, col, row_end - row, col_end - col)
