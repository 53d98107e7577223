"""Where the tiles of a product lie: integer arithmetic, no arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from pansharp.errors import TilingError
from pansharp.geometry.grids import Window

__all__ = ["AxisTiles", "Tile", "TileGrid"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a grid.

    Parameters
    ----------
    index : int
        Position in row-major order.
    row_index, col_index : int
        Row and column of the tile in the grid of tiles.
    window : Window
        Pixels to predict; may reach beyond the lower and right border of the raster.
    core : Window
        Pixels that the tile owns; the cores of a grid partition the raster.
    """

    index: int
    row_index: int
    col_index: int
    window: Window
    core: Window

    def __str__(self) -> str:
        w = self.window
        return f"tile {self.index} (rows {w.row}-{w.row_end - 1}, columns {w.col}-{w.col_end - 1})"


@dataclass(frozen=True, slots=True)
class AxisTiles:
    """The tiles along one axis.

    Parameters
    ----------
    size : int
        Length of the raster.
    overlap : int
        Length of the ramp between neighbours.
    spans : tuple of (int, int)
        Start and length of every tile.
    """

    size: int
    overlap: int
    spans: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.spans)

    def ramp_start(self, index: int) -> int:
        """First pixel shared with the next tile by blending; the raster size for the last tile.

        The ramp always covers the last `overlap` pixels of a tile. A last tile that was moved
        inward begins before the ramp: what it predicts there is not used.
        """
        if index == len(self.spans) - 1:
            return self.size
        start, length = self.spans[index]
        return start + length - self.overlap

    def core(self, index: int) -> tuple[int, int]:
        """Start and end of what tile `index` owns: borders lie in the middle of the ramps."""
        first = 0 if index == 0 else self.ramp_start(index - 1) + self.overlap // 2
        if index == len(self.spans) - 1:
            return first, self.size
        return first, self.ramp_start(index) + self.overlap // 2


def _ceil_to(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _axis(size: int, tile: int, overlap: int, multiple: int) -> AxisTiles:
    if size <= tile:
        return AxisTiles(size, 0, ((0, _ceil_to(size, multiple)),))
    if overlap == 0:
        spans = [
            (start, min(tile, _ceil_to(size - start, multiple))) for start in range(0, size, tile)
        ]
        return AxisTiles(size, 0, tuple(spans))
    step = tile - overlap
    starts = list(range(0, size - tile, step))
    # The last tile ends as close behind the border as the required multiple allows.
    starts.append(_ceil_to(size - tile, multiple))
    return AxisTiles(size, overlap, tuple((start, tile) for start in starts))


class TileGrid(Sequence[Tile]):
    """Tiles over a raster, in row-major order, anchored to its first pixel.

    With an overlap all tiles have one shape, the last one is moved inward instead of being cut
    short, and at most two tiles are blended at any pixel of an axis. Without overlap the tiles
    abut and the last one may be short, so that cores stay aligned to blocks of a file. Starts,
    steps and sizes are multiples of `multiple_of`; a tile that would end inside the raster's last
    incomplete multiple reaches beyond the border.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the product, in PAN pixels.
    tile : int
        Edge of a tile in pixels; a raster smaller than that gets a smaller tile.
    overlap : int
        Pixels that neighbours share, at most half a tile.
    multiple_of : int
        What starts and sizes must be divisible by.

    Raises
    ------
    TilingError
        If the sizes do not make a grid.
    """

    def __init__(
        self, shape: tuple[int, int], *, tile: int, overlap: int = 0, multiple_of: int = 1
    ) -> None:
        height, width = shape
        if height < 1 or width < 1:
            raise TilingError(f"a raster of {height}x{width} pixels has nothing to tile")
        if multiple_of < 1:
            raise TilingError(f"tiles cannot be a multiple of {multiple_of}; use 1 or more")
        if tile < 1:
            raise TilingError(f"a tile of {tile} pixels is impossible; use 1 or more")
        if not 0 <= overlap <= tile // 2:
            raise TilingError(
                f"an overlap of {overlap} does not fit tiles of {tile} pixels; use 0 to {tile // 2}"
            )
        for name, value in (("tile", tile), ("overlap", overlap)):
            if value % multiple_of:
                below, above = value // multiple_of * multiple_of, _ceil_to(value, multiple_of)
                choice = f"{below} or {above}" if below or name == "overlap" else str(above)
                raise TilingError(
                    f"{name} is {value} pixels, but must be a multiple of {multiple_of}; "
                    f"use {choice}"
                )
        self.shape = (height, width)
        self.tile = tile
        self.overlap = overlap
        self.multiple_of = multiple_of
        self.rows = _axis(height, tile, overlap, multiple_of)
        self.cols = _axis(width, tile, overlap, multiple_of)

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def __repr__(self) -> str:
        return (
            f"TileGrid({self.shape}, tile={self.tile}, overlap={self.overlap}, "
            f"multiple_of={self.multiple_of}): {len(self.rows)}x{len(self.cols)} tiles"
        )

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tile]: ...
    def __getitem__(self, index: int | slice) -> Tile | Sequence[Tile]:
        """Tile `index`, made on demand: a grid of any size costs no memory."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"tile {index} of a grid of {len(self)}")
        i, j = divmod(position, len(self.cols))
        row, height = self.rows.spans[i]
        col, width = self.cols.spans[j]
        top, bottom = self.rows.core(i)
        left, right = self.cols.core(j)
        return Tile(
            position,
            i,
            j,
            Window(row, col, height, width),
            Window(top, left, bottom - top, right - left),
        )
