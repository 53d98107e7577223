"""A float32 image that is written tile by tile and read back by window: between two passes."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import WriteError
from pansharp.source.base import BaseSource

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pansharp.geometry.grids import Window

__all__ = ["Spool"]

#: Images up to this size stay in memory, bytes.
_IN_MEMORY = 96 * 2**20


class Spool(BaseSource):
    """Scratch image for the part of a network's product that has to be read again.

    Parameters
    ----------
    shape : tuple of int
        Bands, rows, columns.
    folder : Path or None
        Where a file may be made when the image is large; None keeps it in memory.

    Notes
    -----
    A file is unlinked as soon as it is open, so nothing is left behind however the process ends.
    """

    def __init__(self, shape: tuple[int, int, int], folder: Path | None) -> None:
        self.bands, self.height, self.width = shape
        self.dtype = np.dtype(np.float32)
        self.nodata = None
        self.band_names = ()
        self._array: NDArray[np.float32] | None = None
        self._file: int | None = None
        size = 4 * self.bands * self.height * self.width
        if folder is None or size <= _IN_MEMORY:
            self._array = np.zeros(shape, dtype=np.float32)
            return
        try:
            self._file, name = tempfile.mkstemp(prefix=".pansharp-", suffix=".spool", dir=folder)
            os.unlink(name)
            os.posix_fallocate(self._file, 0, size)
        except OSError as problem:
            self.close()
            raise WriteError(
                f"no room for {size / 2**30:.1f} GiB of scratch in '{folder}' "
                f"({problem.strerror}); "
                "free space there or write the product to another folder"
            ) from problem

    @property
    def label(self) -> str:
        """Name for messages."""
        return "the scratch image"

    @property
    def may_be_invalid(self) -> bool:
        """Validity is the scene's business, not that of its scratch image."""
        return False

    def write(self, window: Window, array: NDArray[np.float32]) -> None:
        """Store a window, (band, y, x) float32."""
        if self._array is not None:
            self._array[:, *window.slices] = array
            return
        assert self._file is not None
        data = np.ascontiguousarray(array, dtype=np.float32)
        for band in range(self.bands):
            for row in range(window.height):
                place = self._place(band, window.row + row, window.col)
                os.pwrite(self._file, data[band, row], place)

    def read(self, window: Window) -> NDArray[np.generic]:
        """Read a window, (band, y, x) float32."""
        if self._array is not None:
            return self._array[:, *window.slices].copy()
        assert self._file is not None
        out = np.empty((self.bands, window.height, window.width), dtype=np.float32)
        for band in range(self.bands):
            for row in range(window.height):
                at = self._place(band, window.row + row, window.col)
                os.preadv(self._file, [out[band, row]], at)
        return out

    def cut(self, window: Window) -> BaseSource:
        """Not offered: the scratch image belongs to one product."""
        raise TypeError("the scratch image cannot be cut")

    def close(self) -> None:
        """Release memory or file."""
        self._array = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _place(self, band: int, row: int, col: int) -> int:
        return 4 * ((band * self.height + row) * self.width + col)
