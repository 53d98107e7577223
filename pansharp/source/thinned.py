"""Images whose pixels were repeated: one of each block of equal pixels is the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.geometry.grids import Window
from pansharp.source.base import BaseSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.source.base import Array, Mask

__all__ = ["ThinnedSource"]


class ThinnedSource(BaseSource):
    """Every `step`-th pixel of another source.

    Parameters
    ----------
    inner : BaseSource
        Source in which each pixel is repeated `step` x `step` times.
    step : int
        Repetitions along each axis, 2 or more.
    row, col : int
        Where the first whole block of equal pixels begins; what lies before is left off.
    """

    def __init__(self, inner: BaseSource, step: int, row: int = 0, col: int = 0) -> None:
        self.inner = inner
        self.step = step
        self.row, self.col = row, col
        self.bands = inner.bands
        self.height = -(-(inner.height - row) // step)
        self.width = -(-(inner.width - col) // step)
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
        # The last block may be cut by the rim of the image: its first pixel is enough.
        height, width = ((n - 1) * self.step + 1 if n else 0 for n in window.shape)
        return Window(
            self.row + window.row * self.step, self.col + window.col * self.step, height, width
        )

    def read(self, window: Window) -> Array:
        """Read a window inside the raster: (band, y, x), caller's to change."""
        return self.inner.read(self._fine(window))[:, :: self.step, :: self.step].copy()

    def holes(self, window: Window, data: Array) -> tuple[Mask | None, Mask | None]:
        """Tell blank pixels and broken ones; the file's own mask is read at its own spacing."""
        fine = self._fine(window)
        blank, broken = self.inner.holes(fine, self.inner.read(fine))
        step = self.step
        return (
            None if blank is None else blank[::step, ::step],
            None if broken is None else broken[::step, ::step],
        )

    def cut(self, window: Window) -> ThinnedSource:
        """Give the source of a window inside the raster."""
        return ThinnedSource(self.inner.cut(self._fine(window)), self.step)

    def select(self, bands: Sequence[int]) -> ThinnedSource:
        """Give the source of some bands, counted from 0, in that order."""
        return ThinnedSource(self.inner.select(self._checked(bands)), self.step, self.row, self.col)

    def close(self) -> None:
        """Close open files; the next read opens them again."""
        self.inner.close()
