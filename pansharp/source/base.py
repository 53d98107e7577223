"""What a source of pixels promises, and the rules for invalid pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np

from pansharp.errors import BandMismatchError, SceneError
from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.generic]
    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["UNSET", "BaseSource", "Source", "Unset", "as_dtype", "blank_pixels", "broken_pixels"]


class Unset:
    """Type of the marker for "not given", where None has a meaning of its own."""

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"  # pickles to the one instance, so that `is UNSET` holds everywhere


UNSET: Final = Unset()


@runtime_checkable
class Source(Protocol):
    """Bands on a pixel grid, read window by window; thread-safe and picklable."""

    @property
    def bands(self) -> int:
        """Number of bands."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Number type of the stored values."""
        ...

    @property
    def nodata(self) -> float | None:
        """Stored value of pixels without data, or None."""
        ...

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, or an empty tuple."""
        ...

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x) in the file's dtype, caller's to change."""
        ...

    def valid(self, window: Window, data: Array | None = None) -> Mask | None:
        """Tell the valid pixels (y, x) of a window; None when all are.

        `data` is what :meth:`read` returned for that window, to spare a second read.
        """
        ...

    def cut(self, window: Window) -> Source:
        """Give the source of a window inside the raster."""
        ...

    def select(self, bands: Sequence[int]) -> Source:
        """Give the source of some bands, counted from 0, in that order."""
        ...

    def close(self) -> None:
        """Close open files; the next read opens them again."""
        ...


class BaseSource:
    """What all sources share: window checks, and validity from blank and broken pixels."""

    bands: int
    height: int
    width: int
    dtype: np.dtype[np.generic]
    nodata: float | None = None
    band_names: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return type(self).__name__

    @property
    def full(self) -> Window:
        """The window of all pixels."""
        return Window(0, 0, self.height, self.width)

    @property
    def may_be_invalid(self) -> bool:
        """Whether any pixel can be invalid at all."""
        return self.dtype.kind == "f" or self.nodata is not None

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x) in the file's dtype, caller's to change."""
        raise NotImplementedError

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell blank pixels (nodata in all bands) and broken ones (masked, or not finite)."""
        raise NotImplementedError

    def cut(self, window: Window) -> BaseSource:
        """Give the source of a window inside the raster."""
        raise NotImplementedError

    def select(self, bands: Sequence[int]) -> BaseSource:
        """Give the source of some bands, counted from 0, in that order."""
        raise NotImplementedError

    def close(self) -> None:
        """Close open files; the next read opens them again."""

    def valid(self, window: Window, data: Array | None = None) -> Mask | None:
        """Tell the valid pixels (y, x) of a window; None when all are."""
        if not self.may_be_invalid:
            return None
        blank, broken = self.holes(window, self.read(window) if data is None else data)
        if blank is None or broken is None:
            hole = broken if blank is None else blank
        else:
            hole = blank | broken
        return ~hole if hole is not None and hole.any() else None

    def _check(self, window: Window) -> None:
        inside = min(window.row, window.col) >= 0
        if not inside or window.row_end > self.height or window.col_end > self.width:
            raise SceneError(
                f"rows {window.row}:{window.row_end}, columns {window.col}:{window.col_end} lie "
                f"outside {self.label} of {self.height} x {self.width} pixels"
            )

    def _checked(self, bands: Sequence[int]) -> tuple[int, ...]:
        chosen = tuple(int(band) for band in bands)
        wrong = [band for band in chosen if not 0 <= band < self.bands]
        if wrong or not chosen:
            raise BandMismatchError(
                f"bands {list(chosen)} cannot be chosen from {self.label}; "
                f"choose from 0 to {self.bands - 1}"
            )
        return chosen

    def _names_of(self, bands: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.band_names[band] for band in bands) if self.band_names else ()


def as_dtype(value: float | None, dtype: np.dtype[np.generic]) -> np.generic | None:
    """A nodata value as the file stores it; None when its dtype cannot hold it."""
    if value is None:
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return cast(np.generic, np.asarray(value).astype(dtype)[()])
    if dtype.kind not in "iu" or not float(value).is_integer():
        return None
    limits = np.iinfo(cast("np.dtype[np.integer]", dtype))
    return dtype.type(int(value)) if limits.min <= value <= limits.max else None


def blank_pixels(data: Array, nodata: Sequence[np.generic | None]) -> Mask | None:
    """Pixels that hold nodata in every band; None when there are none."""
    blank: Mask | None = None
    for band, value in zip(data, nodata, strict=True):
        if value is None:
            return None
        # NaN as nodata differs from itself; the test for finite values finds those pixels.
        here = cast("Mask", band == value)
        blank = here if blank is None else blank & here
        if not blank.any():
            return None
    return blank


def broken_pixels(data: Array) -> Mask | None:
    """Pixels that are not finite in float32 in any band; None when there are none."""
    if data.dtype.kind != "f" or data.size == 0:
        return None
    values = cast("NDArray[np.floating]", data)
    limit = float(np.finfo(np.float32).max)
    # NaN survives minimum and maximum, so one cheap pass tells the usual, clean case.
    if values.min() >= -limit and values.max() <= limit:
        return None
    fine = np.abs(values) <= limit
    return cast("Mask", ~fine.all(axis=0))
