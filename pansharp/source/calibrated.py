"""Counts turned into physical values while windows are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import BandMismatchError
from pansharp.source.base import BaseSource, broken_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.geometry.grids import Window
    from pansharp.source.base import Array, Mask, Source

__all__ = ["CalibratedSource"]


class CalibratedSource(BaseSource):
    """``gain * count + offset`` per band, float32; pixels without data hold NaN.

    Parameters
    ----------
    inner : Source
        Counts.
    gains, offsets : sequence of float
        One per band.

    Raises
    ------
    BandMismatchError
        Their number is not that of the bands.
    """

    def __init__(self, inner: Source, gains: Sequence[float], offsets: Sequence[float]) -> None:
        self.inner = inner
        self.gains, self.offsets = tuple(gains), tuple(offsets)
        if not len(self.gains) == len(self.offsets) == inner.bands:
            raise BandMismatchError(
                f"{len(self.gains)} gains and {len(self.offsets)} offsets for {inner.bands} bands"
            )
        self.bands, self.height, self.width = inner.bands, inner.height, inner.width
        self.dtype = np.dtype(np.float32)
        self.nodata = float("nan")
        self.band_names = tuple(inner.band_names)

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return str(getattr(self.inner, "label", "the image"))

    @property
    def may_be_invalid(self) -> bool:
        """Whether any pixel can be invalid at all."""
        return bool(getattr(self.inner, "may_be_invalid", True))

    def read(self, window: Window) -> NDArray[np.float32]:
        """Read a window inside the raster: (band, y, x) float32, NaN where there is no data."""
        counts = self.inner.read(window)
        out = np.empty(counts.shape, dtype=np.float32)
        # Band by band: the float64 in which the sum is exact must not be held for all of them.
        for band, (gain, offset) in enumerate(zip(self.gains, self.offsets, strict=True)):
            out[band] = counts[band].astype(np.float64) * gain + offset
        valid = self.inner.valid(window, counts)
        if valid is not None:
            out[:, ~valid] = np.nan
        return out

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell pixels without data."""
        return None, broken_pixels(data)

    def cut(self, window: Window) -> CalibratedSource:
        """Give the source of a window inside the raster."""
        self._check(window)
        return CalibratedSource(self.inner.cut(window), self.gains, self.offsets)

    def select(self, bands: Sequence[int]) -> CalibratedSource:
        """Give the source of some bands, counted from 0, in that order."""
        chosen = self._checked(bands)
        return CalibratedSource(
            self.inner.select(chosen),
            [self.gains[band] for band in chosen],
            [self.offsets[band] for band in chosen],
        )

    def close(self) -> None:
        """Close open files; the next read opens them again."""
        self.inner.close()
