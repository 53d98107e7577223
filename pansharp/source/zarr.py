"""Rasters in Zarr stores, read window by window through the zarr package, imported on first use."""

from __future__ import annotations

import copy
import os
import threading
import warnings
import zlib
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import ReaderError
from pansharp.scratch import holder
from pansharp.source.base import (
    UNSET,
    BaseSource,
    Unset,
    as_dtype,
    blank_pixels,
    broken_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pansharp.geometry.grids import Window
    from pansharp.source.base import Array, Mask

__all__ = ["ZARR_PROBLEMS", "ZarrRaster", "ZarrSource", "open_array", "quiet_zarr"]

#: Bytes of decoded chunks that an image keeps, and that one chunk may have.
_CACHE_BYTES = 64 * 2**20
_LARGEST_CHUNK = 512 * 2**20
#: What the zarr package and its codecs raise for damaged stores.
ZARR_PROBLEMS: tuple[type[Exception], ...] = (
    *(OSError, LookupError, RuntimeError, ValueError, TypeError, ArithmeticError),
    *(AttributeError, AssertionError, EOFError, MemoryError, ImportError, zlib.error),
)
_QUIET = threading.Lock()


@contextmanager
def quiet_zarr() -> Iterator[None]:
    """Keep zarr from warning of formats that may change: nothing that a user could do."""
    # catch_warnings swaps a list of the whole process: one thread at a time.
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_array(path: str) -> Any:
    """Open an array of a store for reading.

    Parameters
    ----------
    path : str
        Folder of the array.

    Returns
    -------
    zarr.Array
        Regular chunks, each of which fits the memory.

    Raises
    ------
    ReaderError
        It is missing or damaged, or its chunks are too large to read windows of it.
    """
    import zarr

    try:
        with quiet_zarr():
            array = zarr.open_array(path, mode="r")
            size = int(np.prod(array.chunks, dtype=np.float64)) * array.dtype.itemsize
    except ZARR_PROBLEMS as problem:
        raise ReaderError(damaged(path, problem)) from problem
    if size > _LARGEST_CHUNK:
        raise ReaderError(
            f"'{path}' is stored in chunks of {size / 2**20:.0f} MiB ({array.chunks}), of which "
            "none can be read in part; write it again in smaller chunks, such as 512 x 512 pixels"
        )
    return array


def damaged(path: str, problem: Exception) -> str:
    """Line for a store that cannot be read."""
    words = " ".join(str(problem).split())
    reason = "".join(c if c.isprintable() else "?" for c in words)[:200] or type(problem).__name__
    return f"'{path}' is an incomplete or damaged Zarr store ({reason}); copy it again"


@dataclass(frozen=True)
class ZarrRaster:
    """An array of a store understood as a raster.

    Parameters
    ----------
    path : str
        Folder of the array.
    axes : tuple of int or None
        Axes of the array that are band, row and column; None without a band axis. All other
        axes have one item.
    shape : tuple of int
        Bands, rows, columns.
    dtype : str
        Number type.
    rising : bool
        Whether rows go from south to north: they are read the other way round.
    transform : tuple of float or None
        a b c d e f of the raster as it is read, None without georeference.
    crs : str or None
        Coordinate system, WKT.
    nodata : float or None
        Value of pixels without data.
    names : tuple of str
        Names of the bands, or empty.
    scales, offsets : tuple of float
        One a band, from counts to values.
    tags : dict
        Metadata, texts.
    band_tags : tuple of dict
        One a band.
    notes : tuple of str
        What was decided while it was understood.
    """

    path: str
    axes: tuple[int | None, int, int]
    shape: tuple[int, int, int]
    dtype: str
    rising: bool = False
    transform: tuple[float, float, float, float, float, float] | None = None
    crs: str | None = None
    nodata: float | None = None
    names: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    band_tags: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class _Facts:
    """What rasterio's datasets tell, of a raster in a store: readers ask both alike."""

    driver = "Zarr"

    def __init__(self, raster: ZarrRaster, blocks: tuple[int, int]) -> None:
        from rasterio.crs import CRS
        from rasterio.transform import Affine

        count, self.height, self.width = raster.shape
        self.name, self.count, self.shape = raster.path, count, (self.height, self.width)
        self.transform = Affine(*(raster.transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)))
        self.crs = None if raster.crs is None else CRS.from_wkt(raster.crs)
        self.dtypes = (raster.dtype,) * count
        self.nodatavals = (raster.nodata,) * count
        self.descriptions = raster.names or (None,) * count
        self.scales = raster.scales or (1.0,) * count
        self.offsets = raster.offsets or (0.0,) * count
        self.block_shapes = [blocks] * count
        self.notes = raster.notes
        self._tags, self._band_tags = raster.tags, raster.band_tags

    def tags(self, bidx: int = 0, ns: str | None = None) -> dict[str, str]:
        """Metadata of the raster, or of a band counted from 1."""
        if ns is not None:
            return {}
        if bidx == 0:
            return dict(self._tags)
        return dict(self._band_tags[bidx - 1]) if self._band_tags else {}


class _Handle:
    """An open array and its decoded chunks, shared by all windows and bands of an image."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.pid = -1
        self.array: Any = None
        self.blocks: OrderedDict[tuple[int, int, int], Array] = OrderedDict()
        self.bytes = 0

    def __reduce__(self) -> tuple[type[_Handle], tuple[()]]:
        return _Handle, ()


class ZarrSource(BaseSource):
    """Bands of one array of a Zarr store, version 2 or 3.

    Parameters
    ----------
    raster : ZarrRaster
        The array.
    nodata : float or None, optional
        Value of pixels without data, instead of the store's own; None for no such value.

    Raises
    ------
    ReaderError
        The array is missing or damaged, or its chunks are too large.
    """

    def __init__(self, raster: ZarrRaster, *, nodata: float | Unset | None = UNSET) -> None:
        self.raster = raster
        self.path = raster.path
        self._keep = holder(raster.path)
        self._handle = _Handle()
        self.bands, self.height, self.width = raster.shape
        self.dtype = np.dtype(raster.dtype)
        self.nodata = raster.nodata if isinstance(nodata, Unset) else nodata
        self.band_names = raster.names
        self._bands = tuple(range(self.bands))
        self._row = self._col = 0
        self._blank = (as_dtype(self.nodata, self.dtype),) * self.bands
        self._opened()

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return f"'{self.path}'"

    def dataset(self) -> Any:
        """What a rasterio dataset tells of a file: grid, tags, names."""
        _, rows, cols = self._chunks()
        return _Facts(self.raster, (rows, cols))

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x), caller's to change."""
        self._check(window)
        out = np.empty((self.bands, window.height, window.width), dtype=self.dtype)
        if 0 in out.shape:
            return out
        deep, tall, wide = self._chunks()
        top, left = self._row + window.row, self._col + window.col
        if self.raster.rising:  # rows of the store count from the other end
            top = self.raster.shape[1] - top - window.height
        groups: dict[int, list[int]] = {}
        for place, band in enumerate(self._bands):
            groups.setdefault(band // deep, []).append(place)
        view = out[:, ::-1] if self.raster.rising else out
        for row in range(top // tall, -(-(top + window.height) // tall)):
            for col in range(left // wide, -(-(left + window.width) // wide)):
                rows = _overlap(row * tall, tall, top, window.height)
                cols = _overlap(col * wide, wide, left, window.width)
                for layer, places in groups.items():
                    block = self._block((layer, row, col))
                    chosen = [self._bands[place] - layer * deep for place in places]
                    view[places, rows[1], cols[1]] = block[chosen, rows[0], cols[0]]
        return out

    def _block(self, key: tuple[int, int, int]) -> Array:
        """One decoded chunk, (band, y, x) of the store; it must not be changed."""
        handle = self._handle
        with handle.guard:
            known = handle.blocks.get(key)
            if known is not None:
                handle.blocks.move_to_end(key)
                return known
        array = self._opened()
        sizes, chunks = self.raster.shape, self._chunks()
        where: list[slice | int] = [0] * array.ndim
        for axis, index, size, chunk in zip(self.raster.axes, key, sizes, chunks, strict=True):
            if axis is not None:
                where[axis] = slice(index * chunk, min(size, (index + 1) * chunk))
        kept = [axis for axis in self.raster.axes if axis is not None]
        try:
            data = np.asarray(array[tuple(where)])
            # Whole numbers dropped their axes: those that are left keep their order.
            data = data.transpose([sorted(kept).index(axis) for axis in kept])
            block = np.ascontiguousarray(data if data.ndim == 3 else data[None], dtype=self.dtype)
        except ZARR_PROBLEMS as problem:
            raise ReaderError(damaged(self.path, problem)) from problem
        if block.nbytes <= _CACHE_BYTES:
            with handle.guard:
                if key not in handle.blocks:
                    handle.blocks[key] = block
                    handle.bytes += block.nbytes
                while handle.bytes > _CACHE_BYTES:
                    handle.bytes -= handle.blocks.popitem(last=False)[1].nbytes
        return block

    def _chunks(self) -> tuple[int, int, int]:
        """Bands, rows and columns of a chunk."""
        chunks = self._opened().chunks
        deep, tall, wide = (1 if axis is None else int(chunks[axis]) for axis in self.raster.axes)
        return deep, tall, wide

    def _opened(self) -> Any:
        """The array, opened once a process: what came through fork is opened again."""
        handle = self._handle
        with handle.guard:
            if handle.array is None or handle.pid != os.getpid():
                array = open_array(self.path)
                shape = tuple(int(size) for size in array.shape)
                deep, *plane = (1 if a is None else shape[a] for a in self.raster.axes)
                if (deep, *plane) != self.raster.shape or array.dtype != self.dtype:
                    raise ReaderError(f"'{self.path}' has changed since it was opened; try again")
                handle.array, handle.pid = array, os.getpid()
                handle.blocks.clear()
                handle.bytes = 0
            return handle.array

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell blank pixels (nodata in all bands) and broken ones (not finite)."""
        return blank_pixels(data, self._blank), broken_pixels(data)

    def cut(self, window: Window) -> ZarrSource:
        """Give the source of a window; it shares the open array with this one."""
        self._check(window)
        part = copy.copy(self)
        part._row, part._col = self._row + window.row, self._col + window.col
        part.height, part.width = window.height, window.width
        return part

    def select(self, bands: Sequence[int]) -> ZarrSource:
        """Give the source of some bands, counted from 0; it shares the open array."""
        chosen = self._checked(bands)
        part = copy.copy(self)
        part.bands = len(chosen)
        part._bands = tuple(self._bands[band] for band in chosen)
        part._blank = (self._blank[0],) * len(chosen)
        part.band_names = self._names_of(chosen)
        return part

    def __copy__(self) -> ZarrSource:
        # Not through the state for pickling, which leaves the open array out.
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        return part

    def close(self) -> None:
        """Forget the open array and its chunks; the next read opens it again."""
        with self._handle.guard:
            self._handle.array = None
            self._handle.blocks.clear()
            self._handle.bytes = 0


def _overlap(start: int, size: int, first: int, count: int) -> tuple[slice, slice]:
    """Part of a chunk that lies in a window, and part of the window that it fills."""
    low, high = max(start, first), min(start + size, first + count)
    return slice(low - start, high - start), slice(low - first, high - first)
