"""Raw images on a map grid: orthorectified by their RPC while windows are read."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pansharp.errors import SceneError
from pansharp.geometry.ortho import warped
from pansharp.source.arrays import StackSource
from pansharp.source.base import broken_pixels
from pansharp.source.raster import (
    DatasetSource,
    RasterSource,
    WarpedSource,
    keep_cached,
    open_raster,
)
from pansharp.source.screened import ScreenedSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rasterio.io import DatasetReader

    from pansharp.geometry.grids import Window
    from pansharp.geometry.ortho import HeightSource
    from pansharp.source.base import Array, Mask, Source

__all__ = ["OrthoSource", "Warp", "orthorectified"]

#: Rows of a raw image that the rows of one block of the map may come from.
_ROWS = 768


@dataclass(frozen=True)
class Warp:
    """Camera, ground and map grid of one image.

    Parameters
    ----------
    rpc : mapping of str to str
        GDAL's items for the whole raw image.
    heights : HeightSource
        Heights of the ground.
    crs : str
        Coordinate system of the grid, WKT.
    transform : tuple of float
        a b c d e f of the grid.
    shape : tuple of int
        Rows and columns of the grid.
    """

    rpc: Mapping[str, str]
    heights: HeightSource
    crs: str
    transform: tuple[float, ...]
    shape: tuple[int, int]


class OrthoSource(DatasetSource):
    """A raw raster on a map grid (cubic); invalid outside its footprint and where it holds nodata.

    Parameters
    ----------
    raw : RasterSource
        Bands of the raw image; its window does not matter, RPC belong to the whole file.
    warp : Warp
        Where to.
    """

    def __init__(self, raw: RasterSource, warp: Warp) -> None:
        self.raw_path = raw.path
        blanks = [None if value is None else value.item() for value in raw.blank_values]
        text = warped(
            raw.path,
            bands=raw.indexes,
            dtype=str(raw.dtype),
            nodata=[None if value is None else float(value) for value in blanks],
            alpha=raw.alpha,
            rpc=warp.rpc,
            heights=warp.heights,
            crs=warp.crs,
            transform=warp.transform,
            shape=warp.shape,
        )
        super().__init__(text, bands=None, nodata=None, window=None, label=raw.label)
        # Alpha alone tells: the warper itself leaves nodata pixels out.
        self._blank_values = (None,) * self.bands
        self.nodata = raw.nodata
        self.band_names = raw.band_names

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x) in the file's dtype, caller's to change."""
        # The alpha comes along: asked for later, its blocks might have to be warped again.
        assert self.alpha is not None
        if 0 in window.shape:
            return super().read(window)
        data = self._read([*self._indexes, self.alpha], window)
        self._last.alpha = (self._place(window), data[-1].copy())
        return data[:-1]

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell pixels outside the footprint or without data (broken), or not finite."""
        assert self.alpha is not None
        place, alpha = getattr(self._last, "alpha", (None, None))
        if place != self._place(window):
            alpha = self._read(self.alpha, window)
        hole = cast("Mask", alpha == 0)
        broken = broken_pixels(data)
        return None, hole if broken is None else broken | hole

    def _place(self, window: Window) -> tuple[int, ...]:
        return (window.row + self._row, window.col + self._col, *window.shape)

    def _forget(self) -> None:
        super()._forget()
        self._last = threading.local()

    def __getstate__(self) -> dict[str, object]:
        state = super().__getstate__()
        del state["_last"]
        return state

    def _alpha_of(self, dataset: DatasetReader) -> int | None:
        return int(dataset.count)

    def _open(self) -> DatasetReader:
        # Images in whole-row strips: the rows below a row of blocks are wanted again and again.
        with open_raster(self.raw_path) as raw:
            height, width = raw.block_shapes[0]
            if width == raw.width and height < raw.height:
                keep_cached(raw, _ROWS)
        return super()._open()


def orthorectified(source: Source, warp: Warp) -> DatasetSource | StackSource | ScreenedSource:
    """A source of raw files on a map grid.

    Parameters
    ----------
    source : Source
        Files, or files stacked as the bands of one image.
    warp : Warp
        Where to.

    Raises
    ------
    SceneError
        The source is no raster file.
    """
    if isinstance(source, ScreenedSource):
        return ScreenedSource(orthorectified(source.source, warp), source.unusable)
    if isinstance(source, WarpedSource):
        source = source.raw
    if isinstance(source, RasterSource):
        return OrthoSource(source, warp)
    if not isinstance(source, StackSource):
        raise SceneError(
            f"{getattr(source, 'label', 'the image')} cannot be orthorectified: it is no raster "
            "file; use --ortho none"
        )
    members = [m.raw if isinstance(m, WarpedSource) else m for m in source.sources]
    files: dict[str, RasterSource] = {}
    places: list[tuple[str, int]] = []
    for member in members:
        if not isinstance(member, RasterSource):
            raise SceneError(f"{member.label} cannot be orthorectified: it is no raster file")
        known = files.get(member.path)
        files[member.path] = member if known is None else known.joined(member)
        first = 0 if known is None else known.bands
        places += [(member.path, first + band) for band in range(member.bands)]
    # One warp a file, whatever the order of the bands: GDAL warps all bands of a block at once.
    warps = {path: OrthoSource(file, warp) for path, file in files.items()}
    runs: list[tuple[str, list[int]]] = []
    for path, band in places:
        if not runs or runs[-1][0] != path:
            runs.append((path, []))
        runs[-1][1].append(band)
    parts = [warps[path].select(bands) for path, bands in runs]
    return parts[0] if len(parts) == 1 else StackSource(parts)
