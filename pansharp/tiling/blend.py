"""Joining the predictions of tiles into finished pieces, and re-cutting pieces into blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import TilingError
from pansharp.geometry.grids import Window
from pansharp.tiling.windows import check_kind, ramp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from pansharp.tiling.grid import Tile, TileGrid

__all__ = ["Blender", "recut"]

Piece = tuple[Window, "NDArray[np.float32]"]


def _lerp(
    before: NDArray[np.float32], after: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``before + weight * (after - before)``: exact where both agree, unlike a weighted sum."""
    out = np.subtract(after, before)
    out *= weight
    out += before
    return out


class Blender:
    """Turns predictions, handed in row-major order, into finished pieces of the raster.

    Between neighbours the result is ``a + w (b - a)``, along x inside a row of tiles and then
    along y between rows: always in that order, so the result does not depend on timing, and where
    two (finite) predictions agree it equals them to the last bit. Only the shared strips are kept:
    ``overlap`` rows of the raster and ``overlap`` columns of a tile.

    Parameters
    ----------
    grid : TileGrid
        The tiles.
    bands : int
        Bands of the predictions.
    kind : {"crop", "linear", "hann"}
        How to go over from one tile to the next; ``"crop"`` takes each tile's core.
    first : int
        Tile that comes first, one that starts a row of tiles. Unless it is the very first of a
        blended grid, the pieces of its row lack what the row above shares with it: drop them.

    Raises
    ------
    TilingError
        For an unknown kind.
    """

    def __init__(self, grid: TileGrid, bands: int, kind: str = "hann", *, first: int = 0) -> None:
        check_kind(kind)
        if bands < 1:
            raise TilingError(f"predictions with {bands} bands cannot be joined")
        self.grid = grid
        self.bands = bands
        self.kind = kind
        if first % len(grid.cols):
            raise TilingError(f"tile {first} does not start a row of tiles")
        self._next = first
        self._crop = kind == "crop" or grid.overlap == 0
        if not self._crop:
            weights = ramp(kind, grid.overlap).astype(np.float32)
            self._weight_x = weights
            self._weight_y = weights[:, np.newaxis]
            self._right = np.empty((bands, 0, 0), np.float32)
            rows = grid.overlap if len(grid.rows) > 1 else 0
            self._bottom = np.zeros((bands, rows, grid.shape[1]), np.float32)

    def add(self, tile: Tile, array: NDArray[np.float32]) -> list[Piece]:
        """Hand in the prediction of the next tile and receive what it finishes.

        Parameters
        ----------
        tile : Tile
            The next tile of the grid.
        array : ndarray, shape (band, y, x), float32
            Its prediction for ``tile.window``. It is never written to.

        Returns
        -------
        list of (Window, ndarray (band, y, x) float32)
            Finished pieces. Over all calls they partition the raster: row bands from top to
            bottom, from left to right inside a band. With ``"crop"`` they are views of `array`.

        Raises
        ------
        TilingError
            If the tile is not the next one, or the array has another shape than its window.
        """
        if tile.index != self._next:
            raise TilingError(
                f"tile {tile.index} was handed in where tile {self._next} is due; "
                "predictions must come in row-major order"
            )
        expected = (self.bands, *tile.window.shape)
        if array.shape != expected:
            raise TilingError(f"{tile} has the shape {array.shape}, expected {expected}")
        self._next += 1
        if self._crop:
            rows, cols = tile.core.relative_to(tile.window).slices
            return [(tile.core, array[:, rows, cols])]
        return [self._blend(tile, array)]

    def finish(self) -> None:
        """Check that every tile has come in.

        Raises
        ------
        TilingError
            If predictions are missing.
        """
        if self._next != len(self.grid):
            raise TilingError(
                f"only {self._next} of {len(self.grid)} tiles were handed to the blender"
            )

    def _blend(self, tile: Tile, array: NDArray[np.float32]) -> Piece:
        rows, cols = self.grid.rows, self.grid.cols
        i, j = tile.row_index, tile.col_index
        x0 = 0 if j == 0 else cols.ramp_start(j - 1)
        x1 = cols.ramp_start(j)
        y0 = 0 if i == 0 else rows.ramp_start(i - 1)
        y1 = rows.ramp_start(i)
        last_row = i == len(rows) - 1
        stop = y1 if last_row else y1 + rows.overlap
        top, left = tile.window.row, tile.window.col
        # Rows y0..stop of the tile: those to emit, then those to keep for the next row of tiles.
        own = array[:, y0 - top : stop - top]
        out = own[:, :, x0 - left : x1 - left].astype(np.float32, copy=True)
        if j > 0:
            shared = cols.overlap
            out[:, :, :shared] = _lerp(self._right, out[:, :, :shared], self._weight_x)
        if x1 < cols.size:
            self._right = own[:, :, x1 - left : x1 - left + cols.overlap].astype(
                np.float32, copy=True
            )
        if i > 0:
            shared = rows.overlap
            before = self._bottom[:, :, x0:x1]
            out[:, :shared] = _lerp(before, out[:, :shared], self._weight_y)
        if not last_row:
            self._bottom[:, :, x0:x1] = out[:, y1 - y0 :]
        return Window(y0, x0, y1 - y0, x1 - x0), out[:, : y1 - y0]


def recut(
    pieces: Iterable[tuple[Window, NDArray[np.generic]]],
    width: int,
    height: int,
    block: int,
    bands: int,
) -> Iterator[tuple[Window, NDArray[np.generic]]]:
    """Cut finished pieces anew, along the blocks of a file.

    Parameters
    ----------
    pieces : iterable of (Window, ndarray (band, y, x))
        A partition of the raster in row bands, from left to right inside a band, any sizes.
    width, height : int
        Size of the raster in pixels.
    block : int
        Edge of a block.
    bands : int
        Number of bands.

    Yields
    ------
    (Window, ndarray (band, y, x))
        A partition of the raster in row-major order whose windows start at multiples of `block`
        and end there or at the border; up to 2048 pixels wide (or one block). At most one row of
        blocks and one window are held. A piece that is aligned already passes through uncopied.

    Raises
    ------
    TilingError
        If the pieces do not partition the raster in that order.
    """
    wide = max(block, 2048 // block * block)
    carry: NDArray[np.generic] | None = None  # rows from `done` on, for which no block is full yet
    done = 0
    band_start = band_end = col = 0
    # The output window being filled: rows done..cut, columns from out_col on.
    out: NDArray[np.generic] | None = None
    out_col = cut = 0
    for window, array in pieces:
        if col == 0:
            band_start, band_end = window.row, window.row_end
            cut = height if band_end == height else max(done, band_end // block * block)
            out_col = 0
        expected = Window(band_start, col, band_end - band_start, window.width)
        if (
            window != expected
            or window.col_end > width
            or band_end > height
            or array.shape != (bands, *window.shape)
        ):
            raise TilingError(
                f"a piece at row {window.row}, column {window.col} of {array.shape} "
                f"does not follow on row {band_start}, column {col}"
            )
        first, col = col, window.col_end
        aligned = first % block == 0 and (col % block == 0 or col == width)
        if aligned and out is None and done == band_start and cut == band_end:
            yield window, array
            out_col = col
        else:
            if carry is None and (done < band_start or cut < band_end):
                carry = np.empty((bands, block, width), array.dtype)
            at = first
            while at < col and cut > done:
                end = min(width, out_col + wide)
                if out is None:
                    out = np.empty((bands, cut - done, end - out_col), array.dtype)
                stop = min(col, end)
                target = out[:, :, at - out_col : stop - out_col]
                old = band_start - done
                if carry is not None and old:
                    target[:, :old] = carry[:, :old, at:stop]
                target[:, old:] = array[:, : cut - band_start, at - first : stop - first]
                if stop == end:
                    yield Window(done, out_col, cut - done, end - out_col), out
                    out, out_col = None, end
                at = stop
            if carry is not None and band_end > cut:
                top = max(cut, band_start)
                carry[:, top - cut : band_end - cut, first:col] = array[:, top - band_start :]
        if col == width:
            done, col = cut, 0
    if done != height or col:
        raise TilingError(f"the pieces end at row {band_end} of {height}, column {col} of {width}")
