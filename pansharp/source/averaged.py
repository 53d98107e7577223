"""Images brought back to a coarser grid by means of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.source.base import BaseSource, as_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.source.base import Array, Mask

__all__ = ["AveragedSource"]


class AveragedSource(BaseSource):
    """Means of blocks of `step` x `step` pixels of another source, in its number type.

    A block is valid when at least half of its pixels are; only those count. Blocks that the rim
    cuts are left off.

    Parameters
    ----------
    inner : BaseSource
        Fine image.
    step : int
        Side of a block, 2 or more.
    """

    def __init__(self, inner: BaseSource, step: int) -> None:
        self.inner, self.step = inner, step
        self.bands = inner.bands
        self.height, self.width = inner.height // step, inner.width // step
        self.dtype = inner.dtype
        self.nodata = inner.nodata
        self.band_names = inner.band_names

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return self.inner.label

    @property
    def may_be_invalid(self) -> bool:
        """Whether any pixel can be invalid at all."""
        return self.inner.may_be_invalid

    def _fine(self, window: Window) -> Window:
        self._check(window)
        return Window(*(number * self.step for number in (window.row, window.col, *window.shape)))

    def _blocks(self, fine: Array) -> NDArray[np.generic]:
        step = self.step
        *lead, height, width = fine.shape
        return fine.reshape(*lead, height // step, step, width // step, step)

    def _share(self, fine: Window, data: Array) -> NDArray[np.float64] | None:
        """Share of the valid pixels in each block; None where all are valid."""
        valid = self.inner.valid(fine, data)
        return None if valid is None else self._blocks(valid).mean(axis=(1, 3))

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x), caller's to change."""
        fine = self._fine(window)
        data = self.inner.read(fine)
        valid = self.inner.valid(fine, data)
        out = np.empty((self.bands, *window.shape), dtype=self.dtype)
        weight = None if valid is None else self._blocks(valid).sum(axis=(1, 3))
        # Band by band: the float64 in which sums are exact must not be held for all of them.
        for band, plane in enumerate(data):
            values = cast("NDArray[np.float64]", plane.astype(np.float64))
            if valid is None or weight is None:
                mean = self._blocks(values).mean(axis=(1, 3))
            else:
                total = self._blocks(np.where(valid, values, 0.0)).sum(axis=(1, 3))
                mean = total / np.maximum(weight, 1)
            out[band] = np.rint(mean) if self.dtype.kind in "iu" else mean
        if weight is not None:
            blank = as_dtype(self.nodata, self.dtype)
            if blank is None:
                blank = self.dtype.type(np.nan if self.dtype.kind == "f" else 0)
            out[:, weight == 0] = blank
        return out

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell pixels of which more than half has no data."""
        fine = self._fine(window)
        share = self._share(fine, self.inner.read(fine))
        return None, None if share is None else share < 0.5

    def cut(self, window: Window) -> AveragedSource:
        """Give the source of a window inside the raster."""
        return AveragedSource(self.inner.cut(self._fine(window)), self.step)

    def select(self, bands: Sequence[int]) -> AveragedSource:
        """Give the source of some bands, counted from 0, in that order."""
        return AveragedSource(self.inner.select(self._checked(bands)), self.step)

    def close(self) -> None:
        """Close open files; the next read opens them again."""
        self.inner.close()
