"""Named image stacks in HDF5 and MATLAB files, read one item at a time."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Stack", "is_container", "open_stacks"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MAT5 = b"MATLAB 5.0 MAT-file"
#: MATLAB writes its own header of 512 bytes in front of the HDF5 signature.
_USER_BLOCK = 512
_SUFFIXES = (".h5", ".hdf5", ".mat")


@dataclass(frozen=True)
class Stack:
    """One variable of a file: an image, or a stack of images of one shape.

    Parameters
    ----------
    name : str
        As in the file.
    data : array
        Slowest axis first: ``([item,] [band,] y, x)``, the last two exchanged when `turned`.
    turned : bool
        Whether columns come before rows, as in files that MATLAB wrote.
    """

    name: str
    data: Any
    turned: bool

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.data.shape)

    def count(self) -> int:
        """Items when the variable has four axes, else 1."""
        return int(self.data.shape[0]) if self.ndim == 4 else 1

    def shape(self, *, stacked: bool) -> tuple[int, int, int]:
        """Bands, rows and columns of one item; `stacked`: the first of three axes counts items."""
        sizes = tuple(int(size) for size in self.data.shape)
        bands = sizes[-3] if len(sizes) == 4 or (len(sizes) == 3 and not stacked) else 1
        rows, cols = sizes[-2:]
        return (bands, cols, rows) if self.turned else (bands, rows, cols)

    def read(self, index: int, *, stacked: bool) -> NDArray[np.generic]:
        """One item, (band, y, x), in the file's number type."""
        whole = self.ndim == 2 or (self.ndim == 3 and not stacked)
        part = np.asarray(self.data[...] if whole else self.data[index])
        part = part if part.ndim == 3 else part[None]
        part = part.swapaxes(1, 2) if self.turned else part
        # Files of the other byte order are legal; rasterio and torch want the native one.
        return np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("="))


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_USER_BLOCK + len(_HDF5))
    except OSError as problem:
        raise ReaderError(f"'{path}' cannot be read: {problem.strerror}") from problem


def _is_hdf5(head: bytes) -> bool:
    return head.startswith(_HDF5) or head[_USER_BLOCK:].startswith(_HDF5)


def is_container(path: str) -> bool:
    """Whether name and first bytes are those of an HDF5 or MATLAB file."""
    if Path(path).suffix.lower() not in _SUFFIXES or not Path(path).is_file():
        return False
    head = _head(path)
    return _is_hdf5(head) or head.startswith(_MAT5)


@contextmanager
def open_stacks(path: str) -> Iterator[tuple[dict[str, Stack], dict[str, str]]]:
    """Open a file and list its numeric variables; pixels are read later, item by item.

    Parameters
    ----------
    path : str
        HDF5 (``.h5``, MATLAB v7.3) or MATLAB v5 file.

    Yields
    ------
    tuple of dict
        Variables of two to four axes by name, and short texts (such as ``sensor``) by name.

    Raises
    ------
    ReaderError
        The file is missing, damaged, something else, or needs h5py.
    """
    if not Path(path).is_file():
        raise ReaderError(f"'{path}' does not exist; check the path")
    head = _head(path)
    if _is_hdf5(head):
        with _open_hdf5(path) as file:
            # MATLAB stores columns first and marks its files by a header before the signature.
            yield _hdf5_stacks(file, path, turned=not head.startswith(_HDF5)), {}
    elif head.startswith(_MAT5):
        yield _mat_stacks(path)
    else:
        raise ReaderError(
            f"'{path}' is neither an HDF5 nor a MATLAB file; check how it was downloaded"
        )


@contextmanager
def _open_hdf5(path: str) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise ReaderError(
            f"'{path}' is an HDF5 file and h5py is not installed; "
            "run: pip install pansharp[research]"
        ) from None
    try:
        file = h5py.File(path, "r")
    except OSError as problem:
        raise ReaderError(_damaged(path, problem)) from problem
    with file:
        yield file


def _damaged(path: str, problem: Exception) -> str:
    reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    return f"'{path}' is incomplete or damaged ({reason}); copy or download it again"


def _hdf5_stacks(file: Any, path: str, *, turned: bool) -> dict[str, Stack]:
    stacks = {}
    try:
        for name in file:
            data = file[name]
            # Groups and tables have no plain number type.
            kind = getattr(getattr(data, "dtype", None), "kind", "none")
            if kind in ("i", "u", "f") and 2 <= len(data.shape) <= 4:
                stacks[name] = Stack(name, data, turned)
    except (OSError, KeyError, RuntimeError) as problem:
        raise ReaderError(_damaged(path, problem)) from problem
    return stacks


def _mat_stacks(path: str) -> tuple[dict[str, Stack], dict[str, str]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except (MatReadError, ValueError, TypeError, KeyError, OSError, zlib.error) as problem:
        raise ReaderError(_damaged(path, problem)) from problem
    stacks, texts = {}, {}
    for name, value in content.items():
        array = np.asarray(value)
        if array.dtype.kind == "U" and array.size == 1:
            texts[name] = str(array.item())
        elif array.dtype.kind in "iuf" and 2 <= array.ndim <= 4:
            # Transposed, an (y, x, band, item) array has the axes of the HDF5 form.
            stacks[name] = Stack(name, array.T, turned=True)
    return stacks, texts
