"""Cubes with bands that hold nothing: those are left out of the decision which pixels are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import SceneError
from pansharp.geometry.grids import Window
from pansharp.source.base import BaseSource, as_dtype, broken_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.source.base import Array, Mask, Source

__all__ = ["ScreenedSource", "empty_bands"]

#: Row bands and pixels that are looked at for empty bands.
_STRIPS, _PIXELS = 16, 500_000


def empty_bands(source: Source) -> tuple[int, ...]:
    """Bands that hold nodata (or nothing finite) wherever the other bands hold data.

    Parameters
    ----------
    source : Source
        The cube; strips of rows spread over it are read.

    Returns
    -------
    tuple of int
        Counted from 0.

    Raises
    ------
    SceneError
        When no band holds data.
    """
    value = as_dtype(source.nodata, source.dtype)
    if value is None and source.dtype.kind != "f":
        return ()
    filled = np.zeros(source.bands, dtype=bool)
    rows = max(1, _PIXELS // (_STRIPS * source.width))
    step = max(rows, source.height // _STRIPS)
    for row in range(0, source.height, step):
        window = Window(row, 0, min(rows, source.height - row), source.width)
        data = source.read(window)
        good = np.isfinite(data)
        if value is not None:
            good &= data != value
        filled |= good.any(axis=(1, 2))
    if not filled.any():
        raise SceneError("the hyperspectral image holds no data in any band; check its nodata")
    return tuple(int(band) for band in np.flatnonzero(~filled))


class ScreenedSource(BaseSource):
    """A cube whose unusable bands do not make pixels invalid, and whose others all must hold data.

    A pixel is valid where every usable band is finite and none holds nodata; nodata 0 only counts
    where all usable bands hold it, because 0 is also a measurement. Unusable bands read as 0.

    Parameters
    ----------
    source : Source
        The cube.
    unusable : sequence of int
        Bands counted from 0.

    Raises
    ------
    SceneError
        When no band is left.
    """

    def __init__(self, source: Source, unusable: Sequence[int] = ()) -> None:
        self._source = source
        self.unusable = tuple(sorted({int(band) for band in unusable}))
        self.usable = tuple(b for b in range(source.bands) if b not in set(self.unusable))
        if not self.usable:
            raise SceneError("all bands of the hyperspectral image are empty or flagged as bad")
        self.bands, self.height, self.width = source.bands, source.height, source.width
        self.dtype, self.nodata = source.dtype, source.nodata
        self.band_names = tuple(source.band_names)
        whole = not self.unusable
        self._good = source if whole else source.select(self.usable)

    @property
    def source(self) -> Source:
        """The cube with all its bands."""
        return self._source

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return str(getattr(self._source, "label", "the hyperspectral image"))

    @property
    def may_be_invalid(self) -> bool:
        """Whether any pixel can be invalid at all."""
        return bool(getattr(self._good, "may_be_invalid", True))

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x); unusable bands hold 0."""
        data = self._source.read(window)
        if self.unusable:
            data[list(self.unusable)] = 0
        return data

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell pixels that lack data in a usable band, and broken ones."""
        good = data[list(self.usable)] if self.unusable else data
        inner = self._good.valid(window, good)
        broken = broken_pixels(good)
        value = as_dtype(self.nodata, self.dtype)
        blank: Mask | None = None if inner is None else ~inner
        if value is not None and value != 0 and not np.isnan(float(value)):
            lacking: Mask = (good == value).any(axis=0)
            blank = lacking if blank is None else blank | lacking
        return blank, broken

    def cut(self, window: Window) -> ScreenedSource:
        """Give the source of a window inside the raster."""
        return ScreenedSource(self._source.cut(window), self.unusable)

    def select(self, bands: Sequence[int]) -> ScreenedSource:
        """Give the source of some bands, counted from 0, in that order."""
        chosen = self._checked(bands)
        gone = [new for new, old in enumerate(chosen) if old in set(self.unusable)]
        return ScreenedSource(self._source.select(chosen), gone)

    def close(self) -> None:
        """Close open files; the next read opens them again."""
        self._source.close()
