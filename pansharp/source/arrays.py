"""Sources over arrays and over other sources, and a source that slices like an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from pansharp.errors import BandMismatchError, GridMismatchError, SceneError
from pansharp.geometry.grids import Window
from pansharp.source.base import BaseSource, as_dtype, blank_pixels, broken_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike

    from pansharp.source.base import Array, Mask, Source

__all__ = ["ArraySource", "SourceView", "StackSource"]


class StackSource(BaseSource):
    """Several sources on one grid as the bands of one image.

    Parameters
    ----------
    sources : sequence of BaseSource
        At least one; their bands follow each other.

    Raises
    ------
    GridMismatchError
        When sizes differ.
    """

    def __init__(self, sources: Sequence[BaseSource]) -> None:
        self.sources = tuple(sources)
        if not self.sources:
            raise BandMismatchError("no bands to stack; name at least one file")
        first = self.sources[0]
        for other in self.sources[1:]:
            if (other.height, other.width) != (first.height, first.width):
                raise GridMismatchError(
                    f"{other.label} has {other.height} x {other.width} pixels, {first.label} "
                    f"{first.height} x {first.width}; stack bands of one size"
                )
        self.bands = sum(source.bands for source in self.sources)
        self.height, self.width = first.height, first.width
        self.dtype = np.result_type(*(source.dtype for source in self.sources))
        self.nodata = first.nodata
        named = all(source.band_names for source in self.sources)
        names = [name for source in self.sources for name in source.band_names]
        self.band_names = tuple(names) if named else ()

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return f"{self.sources[0].label} and {len(self.sources) - 1} more"

    @property
    def may_be_invalid(self) -> bool:
        """Whether any pixel can be invalid at all."""
        return any(source.may_be_invalid for source in self.sources)

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x), caller's to change."""
        out = np.empty((self.bands, window.height, window.width), dtype=self.dtype)
        start = 0
        for source in self.sources:
            out[start : start + source.bands] = source.read(window)
            start += source.bands
        return out

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell blank pixels (nodata in all files) and broken ones (in any file)."""
        blank: Mask | None = None
        broken: Mask | None = None
        everywhere = True
        start = 0
        for source in self.sources:
            part = data[start : start + source.bands].astype(source.dtype, copy=False)
            start += source.bands
            empty, bad = source.holes(window, part)
            if bad is not None:
                broken = bad if broken is None else broken | bad
            everywhere = everywhere and empty is not None
            if everywhere and empty is not None:
                blank = empty if blank is None else blank & empty
        return (blank if everywhere else None), broken

    def cut(self, window: Window) -> StackSource:
        """Give the source of a window inside the raster."""
        return StackSource([source.cut(window) for source in self.sources])

    def select(self, bands: Sequence[int]) -> StackSource:
        """Give the source of some bands, counted from 0, in that order."""
        owner = [(s, i) for s in self.sources for i in range(s.bands)]
        return StackSource([owner[b][0].select([owner[b][1]]) for b in self._checked(bands)])

    def close(self) -> None:
        """Close the files of all members."""
        for source in self.sources:
            source.close()


class ArraySource(BaseSource):
    """An array in memory, or anything that slices like one (dask, xarray, zarr).

    Parameters
    ----------
    array : array, shape (band, y, x) or (y, x)
        Pixels.
    nodata : float, optional
        Value of pixels without data.
    mask : ndarray, shape (y, x), bool, optional
        True where a pixel is valid.
    band_names : sequence of str, optional
        One name per band.
    label : str
        What messages call it.
    """

    def __init__(
        self,
        array: ArrayLike,
        *,
        nodata: float | None = None,
        mask: ArrayLike | None = None,
        band_names: Sequence[str] = (),
        label: str = "the array",
    ) -> None:
        sliced = array if hasattr(array, "ndim") and hasattr(array, "dtype") else np.asarray(array)
        self._array = cast("Array", sliced)
        if self._array.ndim not in (2, 3):
            raise SceneError(
                f"{label} has {self._array.ndim} dimensions; give (band, y, x) or (y, x)"
            )
        self._label = label
        self.dtype = np.dtype(self._array.dtype)
        if self.dtype.kind not in "iufb":
            raise SceneError(f"{label} holds {self.dtype}; give integers or floats")
        self.bands = int(self._array.shape[0]) if self._array.ndim == 3 else 1
        self.height, self.width = (int(size) for size in self._array.shape[-2:])
        if min(self.bands, self.height, self.width) == 0:
            raise SceneError(f"{label} of shape {tuple(self._array.shape)} has no pixels")
        self.nodata = nodata
        self._blank_values = (as_dtype(nodata, self.dtype),) * self.bands
        self.band_names = tuple(band_names)
        if self.band_names and len(self.band_names) != self.bands:
            raise BandMismatchError(
                f"{len(self.band_names)} band names for {label} of {self.bands} bands"
            )
        self._mask = None if mask is None else np.asarray(mask, dtype=bool)
        if self._mask is not None and self._mask.shape != (self.height, self.width):
            raise GridMismatchError(
                f"the mask of {label} has shape {self._mask.shape}, "
                f"the image {(self.height, self.width)}"
            )

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return self._label

    @property
    def may_be_invalid(self) -> bool:
        """Whether any pixel can be invalid at all."""
        blank = self._blank_values[0] is not None
        return blank or self._mask is not None or self.dtype.kind == "f"

    @property
    def chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Sizes of the rows and columns of chunks that are computed at a time; None in memory."""
        found = getattr(self._array, "chunks", None)
        if not found or not isinstance(found[-1], tuple):
            return None
        return tuple(found[-2]), tuple(found[-1])

    def read(self, window: Window) -> Array:
        """Copy a window inside the array: (band, y, x)."""
        self._check(window)
        data = np.array(self._array[(..., *window.slices)])
        return data if data.ndim == 3 else data[None]

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell blank pixels (nodata in all bands) and broken ones (masked, or not finite)."""
        blank, broken = blank_pixels(data, self._blank_values), broken_pixels(data)
        if self._mask is not None:
            mask = ~self._mask[window.slices]
            broken = mask if broken is None else broken | mask
        return blank, broken

    def cut(self, window: Window) -> ArraySource:
        """Give the source of a window; the pixels are not copied."""
        self._check(window)
        mask = None if self._mask is None else self._mask[window.slices]
        return self._like(self._array[(..., *window.slices)], mask, self.band_names)

    def select(self, bands: Sequence[int]) -> ArraySource:
        """Give the source of some bands, counted from 0, in that order."""
        chosen = self._checked(bands)
        array = self._array[list(chosen)] if self._array.ndim == 3 else self._array
        return self._like(array, self._mask, self._names_of(chosen))

    def _like(self, array: Array, mask: Mask | None, names: Iterable[str]) -> ArraySource:
        return ArraySource(
            array, nodata=self.nodata, mask=mask, band_names=tuple(names), label=self._label
        )


class SourceView:
    """A source that slices like an array of shape (band, y, x): only what is asked is read.

    Parameters
    ----------
    source : Source
        Pixels.
    """

    ndim = 3
    #: What the source is part of, such as a scene; stays here when the view travels.
    owner: object | None = None

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape = (source.bands, source.height, source.width)
        self.dtype = source.dtype

    def __getitem__(self, key: object) -> Array:
        items = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in items:
            place = items.index(Ellipsis)
            items[place : place + 1] = [slice(None)] * (4 - len(items))
        items += [slice(None)] * (3 - len(items))
        rows, row_rest = _span(items[1], self.shape[1])
        cols, col_rest = _span(items[2], self.shape[2])
        window = Window(rows.start, cols.start, len(rows), len(cols))
        data = self.source.read(window)
        # Columns last: an integer drops its axis, which must not move the ones before it.
        return data[:, :, col_rest][:, row_rest][cast(slice, items[0])]

    def __array__(
        self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None
    ) -> Array:
        data = self[:]
        return data if dtype is None else data.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "owner"}


def _span(item: object, size: int) -> tuple[range, slice | int]:
    """The rows to read for a slice or an index, and what to take of them."""
    if isinstance(item, slice):
        if item.step not in (None, 1):
            wanted = range(*item.indices(size))
            if len(wanted) == 0:
                return range(0), slice(None)
            low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
            return range(low, high + 1), slice(None, None, item.step)
        start, stop, _ = item.indices(size)
        return range(start, max(start, stop)), slice(None)
    index = int(cast(int, item))
    if not -size <= index < size:
        raise IndexError(f"index {index} is outside an axis of {size} pixels")
    index %= size
    return range(index, index + 1), 0
