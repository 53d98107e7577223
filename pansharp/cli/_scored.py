"""Files as `evaluate` reads them: pixels and validity of a window out of one read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.source import SourceView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.source import BaseSource, Source

__all__ = ["ScoredFile", "Validity", "validity"]


class ScoredFile(SourceView):
    """A source that slices like an array and remembers each thread's last window.

    Its mask asks for the very window that was just read for its pixels.
    """

    def __init__(self, source: BaseSource) -> None:
        super().__init__(cast("Source", _Remembered(source)))
        self.file = source


class _Remembered:
    def __init__(self, source: BaseSource) -> None:
        self._source = source
        self.bands, self.height, self.width = source.bands, source.height, source.width
        self.dtype, self.nodata = source.dtype, source.nodata
        self._last = threading.local()

    def read(self, window: Window) -> NDArray[np.generic]:
        if not self._source.may_be_invalid:
            return self._source.read(window)
        if getattr(self._last, "window", None) != window:
            self._last.data = self._source.read(window)
            self._last.window = window
        data: NDArray[np.generic] = self._last.data
        return data

    def valid(self, window: Window) -> NDArray[np.bool_] | None:
        return self._source.valid(window, self.read(window))


class Validity:
    """Where all of several files of one size are valid, as an array (y, x) read on demand."""

    ndim = 2

    def __init__(self, files: Sequence[ScoredFile]) -> None:
        self._files = files
        self.shape = files[0].shape[1:]

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        """Bool."""
        return np.dtype(bool)

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[np.bool_]:
        (row, row_end, _), (col, col_end, _) = (
            part.indices(size) for part, size in zip(key, self.shape, strict=True)
        )
        window = Window(row, col, row_end - row, col_end - col)
        valid = np.ones(window.shape, dtype=bool)
        for file in self._files:
            mask = file.source.valid(window)
            if mask is not None:
                valid &= mask
        return valid


def validity(*files: ScoredFile) -> Validity | None:
    """Validity of all, or None when none of them can have invalid pixels."""
    doubtful = [file for file in files if file.file.may_be_invalid]
    return Validity(doubtful) if doubtful else None
