"""Images in HDF5 files, read window by window through h5py, which is imported on first use."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import ReaderError
from pansharp.geometry.grids import Window
from pansharp.scratch import holder
from pansharp.source.base import BaseSource, as_dtype, blank_pixels, broken_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pansharp.source.base import Array, Mask

__all__ = ["Hdf5Source", "image_dataset", "open_hdf5"]

#: Bytes of decoded chunks that a file keeps; h5py's own default thrashes on wide chunks.
_CACHE_BYTES = 32 * 2**20
_PROBLEMS = (OSError, KeyError, RuntimeError, ValueError, TypeError)


def open_hdf5(path: str) -> Any:
    """Open an HDF5 file for reading.

    Raises
    ------
    ReaderError
        h5py is not installed, or the file is missing, damaged, or no HDF5 file.
    """
    try:
        import h5py
    except ImportError:
        raise ReaderError(
            f"'{path}' is an HDF5 file and h5py is not installed; run: pip install pansharp[prisma]"
        ) from None
    if not os.path.exists(path):
        raise ReaderError(f"'{path}' does not exist; check the path")
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES, rdcc_nslots=10_007)
    except _PROBLEMS as problem:
        raise ReaderError(_damaged(path, problem)) from problem


def image_dataset(file: Any, name: str, path: str) -> Any | None:
    """An image of an open file by its path in it; None where there is none.

    Raises
    ------
    ReaderError
        Its pixels lie in another file (which a hostile file could use to read any), or it holds
        no plain numbers.
    """
    import h5py

    try:
        steps = name.split("/")
        for stop in range(1, len(steps) + 1):
            link = file.get("/".join(steps[:stop]), getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ReaderError(_outside(path, name))
        data = file.get(name)
        if data is None or not isinstance(data, h5py.Dataset):
            return None
        if data.is_virtual or data.external is not None or data.file.id != file.id:
            raise ReaderError(_outside(path, name))
        if data.dtype.kind not in "iuf" or 0 in data.shape:
            raise ReaderError(f"'{name}' of '{path}' holds no image of numbers")
    except ReaderError:
        raise
    except _PROBLEMS as problem:
        raise ReaderError(_damaged(path, problem)) from problem
    return data


def _outside(path: str, name: str) -> str:
    return f"'{name}' of '{path}' lies in another file; it is not read"


def _damaged(path: str, problem: Exception) -> str:
    reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    return f"'{path}' is incomplete or damaged ({reason}); copy or download it again"


class Hdf5Source(BaseSource):
    """Bands of one or several datasets of one HDF5 file.

    Parameters
    ----------
    path : str
        File.
    datasets : sequence of str
        Paths of the datasets in the file: all (y, band, x), or one (y, x).
    bands : sequence of (int, int), optional
        Dataset and band in it, both counted from 0, for every band; default all in order.
    nodata : float, optional
        Value of pixels without data.
    window : Window, optional
        Pixels to cover; default all.
    band_names : sequence of str
        Names of the bands, or empty.

    Raises
    ------
    ReaderError
        h5py is missing; the file or a dataset is missing or damaged; datasets differ in size.
    BandMismatchError
        A band does not exist.
    """

    #: Process, file and datasets, once they are open.
    _handle: tuple[int, Any, list[Any]] | None

    def __init__(
        self,
        path: str,
        datasets: Sequence[str],
        *,
        bands: Sequence[tuple[int, int]] | None = None,
        nodata: float | None = None,
        window: Window | None = None,
        band_names: Sequence[str] = (),
    ) -> None:
        self.path, self.datasets = str(path), tuple(datasets)
        self._keep = holder(self.path)
        self._forget()
        opened = self._opened()
        shapes = [tuple(int(size) for size in data.shape) for data in opened]
        sizes = {(shape[0], shape[-1]) for shape in shapes}
        flat = len(shapes) == 1 and len(shapes[0]) == 2
        if len(sizes) != 1 or not (flat or all(len(shape) == 3 for shape in shapes)):
            raise ReaderError(
                f"the images {', '.join(map(repr, self.datasets))} of '{path}' have the shapes "
                f"{shapes}: they are no cube"
            )
        self._flat = flat
        counts = [1 if flat else shape[1] for shape in shapes]
        everything = [(part, band) for part, count in enumerate(counts) for band in range(count)]
        self.bands = len(everything)
        self._bands = tuple(everything if bands is None else bands)
        known = set(everything)
        self._checked([everything.index(b) if b in known else -1 for b in self._bands])
        self.bands = len(self._bands)
        self._row, self._col = (0, 0) if window is None else (window.row, window.col)
        self.height, self.width = next(iter(sizes)) if window is None else window.shape
        self.dtype = np.result_type(*(data.dtype.newbyteorder("=") for data in opened))
        self.nodata = nodata
        self.band_names = tuple(band_names)
        self._blank = (as_dtype(nodata, self.dtype),) * self.bands

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return f"'{self.path}'"

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x), caller's to change."""
        self._check(window)
        rows = slice(self._row + window.row, self._row + window.row_end)
        cols = slice(self._col + window.col, self._col + window.col_end)
        out = np.empty((self.bands, window.height, window.width), dtype=self.dtype)
        try:
            for data, places, chosen in self._slabs():
                if self._flat:
                    out[0] = data[rows, cols]
                    continue
                first = min(chosen)
                # One read of neighbouring bands is far quicker than one a band.
                slab = data[rows, first : max(chosen) + 1, cols].transpose(1, 0, 2)
                out[places] = slab[[band - first for band in chosen]]
        except _PROBLEMS as problem:
            raise ReaderError(_damaged(self.path, problem)) from problem
        return out

    def _slabs(self) -> Iterator[tuple[Any, list[int], list[int]]]:
        for part, data in enumerate(self._opened()):
            places = [place for place, (own, _) in enumerate(self._bands) if own == part]
            if places:
                yield data, places, [self._bands[place][1] for place in places]

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell blank pixels (nodata in all bands) and broken ones (not finite)."""
        return blank_pixels(data, self._blank), broken_pixels(data)

    def cut(self, window: Window) -> Hdf5Source:
        """Give the source of a window inside the raster."""
        self._check(window)
        moved = Window(self._row + window.row, self._col + window.col, *window.shape)
        return self._like(self._bands, moved, self.band_names)

    def select(self, bands: Sequence[int]) -> Hdf5Source:
        """Give the source of some bands, counted from 0, in that order."""
        chosen = self._checked(bands)
        window = Window(self._row, self._col, self.height, self.width)
        return self._like([self._bands[b] for b in chosen], window, self._names_of(chosen))

    def _like(
        self, bands: Sequence[tuple[int, int]], window: Window, names: Sequence[str]
    ) -> Hdf5Source:
        return Hdf5Source(
            self.path,
            self.datasets,
            bands=bands,
            nodata=self.nodata,
            window=window,
            band_names=names,
        )

    def _opened(self) -> list[Any]:
        """The datasets, opened once a process: a handle that came through fork is not used."""
        with self._guard:
            if self._handle is None or self._handle[0] != os.getpid():
                file = open_hdf5(self.path)
                found = [image_dataset(file, name, self.path) for name in self.datasets]
                missing = [n for n, d in zip(self.datasets, found, strict=True) if d is None]
                if missing:
                    file.close()
                    raise ReaderError(f"'{self.path}' holds no image '{missing[0]}'")
                self._handle = (os.getpid(), file, found)
            return list(self._handle[2])

    def _forget(self) -> None:
        self._guard = threading.Lock()
        self._handle = None

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        with self._guard:
            if self._handle is not None and self._handle[0] == os.getpid():
                self._handle[1].close()
            self._handle = None

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        del state["_guard"], state["_handle"]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._forget()
