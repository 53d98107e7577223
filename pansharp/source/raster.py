"""Sources that read raster files through rasterio, which is imported on first use."""

from __future__ import annotations

import copy
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast
from weakref import WeakSet

import numpy as np

from pansharp.errors import ReaderError
from pansharp.geometry.grids import Window
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
    from pathlib import Path

    from rasterio.io import DatasetReader

    from pansharp.source.base import Array, Mask

__all__ = [
    "DatasetSource",
    "RasterSource",
    "WarpedSource",
    "band_texts",
    "keep_cached",
    "open_raster",
]

#: Bytes of GDAL's block cache for the process; its own default is 5 % of the memory.
_CACHE_BYTES = 64 * 2**20
_OPENING = threading.Lock()
_cache_limit: list[int] = []


class DatasetSource(BaseSource):
    """A rasterio dataset, opened once per thread and process."""

    def __init__(
        self,
        path: str | Path,
        *,
        bands: Sequence[int] | None,
        nodata: float | Unset | None,
        window: Window | None,
        label: str | None = None,
    ) -> None:
        self.path = str(path)
        self._label = label or f"'{path}'"
        self._keep = holder(self.path)
        self._forget()
        dataset = self.dataset()
        self.alpha = self._alpha_of(dataset)
        names = band_texts(dataset)
        colour = [i for i in range(dataset.count) if i + 1 != self.alpha]
        self.bands, self.height, self.width = len(colour), dataset.height, dataset.width
        if bands is not None:
            colour = [colour[band] for band in self._checked(bands)]
            self.bands = len(colour)
        self._indexes = [index + 1 for index in colour]
        self._row = self._col = 0
        self.dtype = np.result_type(*(np.dtype(dataset.dtypes[i]) for i in colour))
        given = [dataset.nodatavals[i] if isinstance(nodata, Unset) else nodata for i in colour]
        self.nodata = given[0]
        self._blank_values = tuple(as_dtype(value, self.dtype) for value in given)
        named = [name for i in colour if (name := names[i])]
        self.band_names = tuple(named) if len(named) == len(colour) else ()
        self._masked = self.alpha is None and _has_mask(dataset, self._indexes[0])
        if window is not None:
            self._check(window)
            self._row, self._col = window.row, window.col
            self.height, self.width = window.height, window.width

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return self._label

    @property
    def window(self) -> Window:
        """The pixels of the file that this source covers."""
        return Window(self._row, self._col, self.height, self.width)

    @property
    def may_be_invalid(self) -> bool:
        """Whether any pixel can be invalid at all."""
        masked = self._masked or self.alpha is not None
        return masked or self.dtype.kind == "f" or None not in self._blank_values

    @property
    def indexes(self) -> tuple[int, ...]:
        """Bands of the file that are read, counted from 1."""
        return tuple(self._indexes)

    @property
    def blank_values(self) -> tuple[np.generic | None, ...]:
        """Per band: value of pixels without data, or None."""
        return self._blank_values

    def _alpha_of(self, dataset: DatasetReader) -> int | None:
        return _alpha_band(dataset)

    def _open(self) -> DatasetReader:
        return open_raster(self.path)

    def dataset(self) -> DatasetReader:
        """Give this thread's rasterio dataset; it stays open, :meth:`close` closes it."""
        local = self._local
        if getattr(local, "pid", None) != os.getpid() or local.dataset.closed:
            # A file handle that came through fork shares its position with the parent.
            local.dataset = self._open()
            local.pid = os.getpid()
            with _OPENING:
                self._opened.add(local.dataset)
        return local.dataset

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x) in the file's dtype, caller's to change."""
        return self._read(self._indexes, window)

    def _read(self, indexes: Sequence[int] | int, window: Window, *, masks: bool = False) -> Array:
        self._check(window)
        if window.height <= 0 or window.width <= 0:
            return np.empty((self.bands, window.height, window.width), dtype=self.dtype)
        row, col = window.row + self._row, window.col + self._col
        place = ((row, row + window.height), (col, col + window.width))
        dataset = self.dataset()
        from rasterio.errors import RasterioError

        try:
            if masks:
                return cast("Array", dataset.read_masks(indexes, window=place))
            return cast("Array", dataset.read(indexes, window=place))
        except RasterioError as problem:
            raise ReaderError(
                f"{self.label} cannot be read at rows {place[0][0]}:{place[0][1]}, columns "
                f"{place[1][0]}:{place[1][1]}; it looks incomplete, copy or download it again"
            ) from problem

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell blank pixels (nodata in all bands) and broken ones (masked, or not finite)."""
        blank, broken = blank_pixels(data, self._blank_values), broken_pixels(data)
        if self.alpha is not None or self._masked:
            if self.alpha is not None:
                mask = self._read(self.alpha, window) == 0
            else:
                mask = self._read(self._indexes[0], window, masks=True) == 0
            broken = cast("Mask", mask if broken is None else broken | mask)
        return blank, broken

    def cut(self, window: Window) -> DatasetSource:
        """Give the source of a window; it shares the open files with this one."""
        self._check(window)
        part = copy.copy(self)
        part._row, part._col = self._row + window.row, self._col + window.col
        part.height, part.width = window.height, window.width
        return part

    def select(self, bands: Sequence[int]) -> DatasetSource:
        """Give the source of some bands, counted from 0; it shares the open files."""
        chosen = self._checked(bands)
        part = copy.copy(self)
        part.bands = len(chosen)
        part._indexes = [self._indexes[band] for band in chosen]
        part._blank_values = tuple(self._blank_values[band] for band in chosen)
        part.band_names = self._names_of(chosen)
        return part

    def close(self) -> None:
        """Close the files that any thread has opened."""
        with _OPENING:
            for dataset in list(self._opened):
                dataset.close()

    def _forget(self) -> None:
        self._local = threading.local()
        # Weak, so that the files of a thread that has ended close by themselves.
        self._opened: WeakSet[_Closable] = WeakSet()

    def __copy__(self) -> DatasetSource:
        # Not through the state for pickling, which leaves the open files out.
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        return part

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        del state["_local"], state["_opened"]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._forget()


class _Closable(Protocol):
    def close(self) -> None: ...


class RasterSource(DatasetSource):
    """A raster file that GDAL reads.

    Parameters
    ----------
    path : str or Path
        File, or any name that rasterio opens: also the text of a virtual raster (VRT).
    bands : sequence of int, optional
        Bands to read, counted from 0; default all but an alpha band.
    nodata : float or None, optional
        Value of pixels without data, instead of the file's own; None for no such value.
    window : Window, optional
        Pixels of the file to cover; default all.
    label : str, optional
        What messages call it, quotes included; default the path.

    Raises
    ------
    ReaderError
        When the file is missing or is no raster.
    BandMismatchError
        When a band does not exist.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bands: Sequence[int] | None = None,
        nodata: float | Unset | None = UNSET,
        window: Window | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(path, bands=bands, nodata=nodata, window=window, label=label)

    def joined(self, other: RasterSource) -> RasterSource:
        """The source of the bands of two sources of one file."""
        part = copy.copy(self)
        part.bands = self.bands + other.bands
        part._indexes = [*self._indexes, *other._indexes]
        part._blank_values = (*self._blank_values, *other._blank_values)
        named = self.band_names and other.band_names
        part.band_names = (*self.band_names, *other.band_names) if named else ()
        return part


class WarpedSource(DatasetSource):
    """A raster resampled on the fly (cubic) to another grid; invalid outside its footprint.

    Parameters
    ----------
    path : str or Path
        File.
    crs : str
        Coordinate system of the new grid, WKT or ``"EPSG:…"``.
    transform : tuple of float
        The six affine numbers a b c d e f of the new grid.
    shape : tuple of int
        Its rows and columns.
    bands, nodata : optional
        As :class:`RasterSource`.
    file_crs : str, optional
        Coordinate system of the file, where it names none.
    label : str, optional
        As :class:`RasterSource`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        crs: str,
        transform: tuple[float, ...],
        shape: tuple[int, int],
        bands: Sequence[int] | None = None,
        nodata: float | Unset | None = UNSET,
        file_crs: str | None = None,
        label: str | None = None,
    ) -> None:
        self._grid = (crs, transform, shape)
        self._file_crs = file_crs
        self._file_nodata = nodata
        self._file_alpha: int | Unset | None = UNSET
        super().__init__(path, bands=bands, nodata=nodata, window=None, label=label)
        # The warper itself leaves out nodata pixels; alpha tells where nothing was written.
        self._blank_values = (None,) * self.bands

    @property
    def raw(self) -> RasterSource:
        """The whole file as it is, with the same bands."""
        return RasterSource(
            self.path,
            bands=[index - 1 for index in self._indexes],
            nodata=self._file_nodata,
            label=self.label,
        )

    def _open(self) -> DatasetReader:
        from rasterio.enums import Resampling
        from rasterio.transform import Affine
        from rasterio.vrt import WarpedVRT

        crs, transform, (height, width) = self._grid
        file = open_raster(self.path)
        if isinstance(self._file_alpha, Unset):
            self._file_alpha = _alpha_band(file)
        if self._file_alpha is None and _labelled_alpha(file):
            file = open_raster(_relabelled(file))
        options: dict[str, object] = {}
        if not isinstance(self._file_nodata, Unset):
            options["src_nodata"] = self._file_nodata
        if self._file_crs is not None:
            options["src_crs"] = self._file_crs
        with _OPENING:
            return WarpedVRT(
                file,
                crs=crs,
                transform=Affine(*transform),
                height=height,
                width=width,
                resampling=Resampling.cubic,
                add_alpha=self._file_alpha is None,
                **options,
            )


def open_raster(path: str | Path) -> DatasetReader:
    """Open a raster for reading, quietly where it has no georeference.

    Parameters
    ----------
    path : str or Path
        File, or any name that rasterio opens.

    Returns
    -------
    rasterio.io.DatasetReader
        Open dataset.

    Raises
    ------
    ReaderError
        When the file is missing, is no raster, or holds only sub-datasets.
    """
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    name = str(path)
    # catch_warnings swaps a list of the whole process: one thread at a time.
    with _OPENING, warnings.catch_warnings(), _undecoded_messages():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _limit_cache(_CACHE_BYTES)
        try:
            with rasterio.Env(GDAL_NUM_THREADS="1"):
                dataset = rasterio.open(name)
        except (RasterioError, UnicodeDecodeError) as problem:
            raise ReaderError(_why_not(name)) from problem
    if dataset.count == 0:
        inside = dataset.subdatasets
        dataset.close()
        first = f"; name one, such as '{inside[0]}'" if inside else ""
        raise ReaderError(f"'{name}' has no bands, but {len(inside)} sub-datasets{first}")
    if any(kind.startswith("complex") for kind in dataset.dtypes):
        dataset.close()
        raise ReaderError(f"'{name}' holds complex numbers; give intensities instead")
    _limit_cache(_block_row_bytes(dataset))
    return dataset


@contextmanager
def _undecoded_messages() -> Iterator[None]:
    """Drop what rasterio prints when GDAL quotes bytes of a file that are no text."""
    kept = sys.unraisablehook

    def hook(problem: sys.UnraisableHookArgs) -> None:
        if not isinstance(problem.exc_value, UnicodeDecodeError):
            kept(problem)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = kept


def band_texts(dataset: DatasetReader) -> tuple[str | None, ...]:
    """Descriptions of the bands; none where the file holds bytes that are no text."""
    try:
        return tuple(dataset.descriptions)
    except UnicodeDecodeError:
        return (None,) * int(dataset.count)


def _why_not(name: str) -> str:
    if name.lstrip().startswith("<"):
        return "a virtual raster cannot be opened; check that all its files are there"
    if "://" in name or name.startswith("/vsi"):
        return f"'{name}' cannot be opened as a raster; check the address and the file"
    if not os.path.exists(name):
        return f"'{name}' does not exist; check the path"
    if os.path.isdir(name):
        return f"'{name}' is a folder, not a raster; name a file in it"
    size = os.path.getsize(name)
    return f"'{name}' ({size} bytes) is not a raster that GDAL can read; it may be incomplete"


def _limit_cache(need: int) -> None:
    """Keep GDAL's block cache small, but let it hold `need` bytes; a user's own setting rules."""
    if "GDAL_CACHEMAX" in os.environ or (_cache_limit and need <= _cache_limit[0]):
        return
    from rasterio.env import getenv, hasenv, set_gdal_config

    if hasenv() and "GDAL_CACHEMAX" in getenv():
        return
    set_gdal_config("GDAL_CACHEMAX", need)
    _cache_limit[:] = [need]


def keep_cached(dataset: DatasetReader, rows: int) -> None:
    """Let GDAL's block cache hold whole rows of an image, up to 256 MiB; never less than now."""
    size = sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    _limit_cache(int(min(dataset.width * rows * size, 256 * 2**20)))


def _block_row_bytes(dataset: DatasetReader) -> int:
    """Twice the bytes of a row of blocks where decoding a block again costs much: strips, JP2."""
    block_height, block_width = dataset.block_shapes[0]
    if block_width < dataset.width and not dataset.driver.startswith("JP2"):
        return 0
    across = -(-dataset.width // block_width) * block_width
    size = sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    # Whole images in one strip exist; caching them twice would defeat the limit.
    return int(min(2 * across * block_height * size, 512 * 2**20))


def _alpha_band(dataset: DatasetReader) -> int | None:
    """Index (from 1) of a last band that is labelled alpha and also looks like a mask.

    GDAL calls the fourth band of any four-band 8-bit file alpha when it writes one, and near
    infrared bands carry that label in many deliveries. A mask has only two values.
    """
    last = dataset.count
    if not _labelled_alpha(dataset):
        return None
    name = band_texts(dataset)[-1]
    if name and "alpha" not in name.lower():
        return None
    if hasattr(dataset, "src_dataset"):  # a warped view: the warper has made its alpha
        return int(last)
    top = np.iinfo(dataset.dtypes[-1]).max if np.dtype(dataset.dtypes[-1]).kind in "iu" else 1
    seen: set[float] = set()
    for row, col in _probes(dataset.height, dataset.width):
        rows, cols = (row, min(row + 128, dataset.height)), (col, min(col + 128, dataset.width))
        seen |= set(np.unique(dataset.read(last, window=(rows, cols))).tolist())
        if not seen <= {0, 1, 255, top} or len(seen) > 2:
            return None
    return int(last)


def _labelled_alpha(dataset: DatasetReader) -> bool:
    from rasterio.enums import ColorInterp

    return bool(dataset.count > 1 and dataset.colorinterp[-1] == ColorInterp.alpha)


def _relabelled(dataset: DatasetReader) -> str:
    """A virtual raster (VRT text) of the same bands without colours: the warper trusts labels."""
    from xml.sax.saxutils import escape

    names = {"uint8": "Byte", "int8": "Int8"}
    bands = [
        f'<VRTRasterBand dataType="{names.get(kind, kind.capitalize().replace("Ui", "UI"))}" '
        f'band="{index}">'
        + (f"<NoDataValue>{value}</NoDataValue>" if value is not None else "")
        + f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(dataset.name)}'
        f"</SourceFilename><SourceBand>{index}</SourceBand></SimpleSource></VRTRasterBand>"
        for index, (kind, value) in enumerate(
            zip(dataset.dtypes, dataset.nodatavals, strict=True), start=1
        )
    ]
    place = ", ".join(repr(float(number)) for number in dataset.transform.to_gdal())
    system = f"<SRS>{escape(dataset.crs.to_wkt())}</SRS>" if dataset.crs else ""
    return (
        f'<VRTDataset rasterXSize="{dataset.width}" rasterYSize="{dataset.height}">{system}'
        f"<GeoTransform>{place}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )


def _probes(height: int, width: int) -> list[tuple[int, int]]:
    """First pixels of a few windows of 128 pixels: the middle and towards the corners."""
    down, across = max(0, height - 128), max(0, width - 128)
    tenths = ((5, 5), (1, 1), (1, 9), (9, 1), (9, 9))
    return [(down * y // 10, across * x // 10) for y, x in tenths]


def _has_mask(dataset: DatasetReader, index: int) -> bool:
    """Whether the file brings a mask band of its own (an alpha label does not count)."""
    from rasterio.enums import MaskFlags

    flags = dataset.mask_flag_enums[index - 1]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
