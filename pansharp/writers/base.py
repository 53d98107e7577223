"""The contract of writers, and what they share: names of parts, clean-up, messages."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pansharp.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from pansharp.geometry.grids import Window
    from pansharp.writers.profile import RasterProfile

__all__ = ["Writer", "copy_runs", "pread", "pwrite"]


#: Bytes that are put in order at once.
_RUN = 16 << 20
#: Bytes that are moved before their place in the spool is given back.
_BATCH = 64 << 20


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


#: For systems whose files have one position only (Windows).
_POSITION = threading.Lock()


def pwrite(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`; safe to call from several threads at once."""
    view = memoryview(data).cast("B")
    while view:
        if hasattr(os, "pwrite"):
            done = os.pwrite(fd, view, offset)
        else:
            with _POSITION:
                os.lseek(fd, offset, os.SEEK_SET)
                done = os.write(fd, view)
        view, offset = view[done:], offset + done


def pread(fd: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes from `offset`."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    with _POSITION:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)


def copy_runs(
    source: int,
    target: int,
    starts: NDArray[np.uint64],
    places: NDArray[np.uint64],
    lengths: NDArray[np.uint32],
) -> None:
    """Move blocks into order, neighbours in the spool at once, two runs at a time.

    From the end of the spool to its start, cutting off what was moved: the pages of the spool then
    serve the product, instead of both being held in memory until the end.
    """
    total = len(starts)
    runs = []
    first = 0
    while first < total:
        last = first + 1
        size = int(lengths[first])
        while last < total and int(starts[last]) == int(starts[first]) + size and size < _RUN:
            size += int(lengths[last])
            last += 1
        runs.append((int(starts[first]), int(places[first]), size))
        first = last
    runs.sort()
    with ThreadPoolExecutor(2) as pool:
        while runs:
            pending, size = [], 0
            while runs and size < _BATCH:
                run = runs.pop()
                pending.append(pool.submit(_copy, source, target, *run))
                size += run[2]
            for done in pending:
                done.result()
            os.ftruncate(source, run[0])


def _copy(source: int, target: int, offset: int, place: int, size: int) -> None:
    """Copy bytes between two files, inside the kernel where it can."""
    inside = hasattr(os, "copy_file_range")
    while size:
        if inside:
            try:
                count = os.copy_file_range(source, target, size, offset, place)
            except OSError as problem:
                # Not every file system can; a full disk is not a matter of the way.
                if problem.errno == errno.ENOSPC:
                    raise
                inside = False
                continue
        else:
            data = pread(source, min(size, _RUN), offset)
            pwrite(target, data, place)
            count = len(data)
        if not count:
            raise WriteError("a part of the product was cut short by another program")
        offset, place, size = offset + count, place + count, size - count


class Writer(ABC):
    """Puts blocks of a product into a file that appears only when it is complete.

    Everything is written to ``NAME.part*`` in the target folder and removed on any error. As a
    context manager a writer aborts on an exception; leaving it normally finishes the file. Worker
    threads must have ended by then: close the map that runs `encode` first.

    Parameters
    ----------
    path : Path
        The product.
    profile : RasterProfile
        What it contains.
    overwrite : bool
        Whether an existing product may be replaced (at the end, at once).

    Attributes
    ----------
    block : int
        Windows handed in start at multiples of it and end there or at the border.
    """

    block: int

    def __init__(self, path: Path, profile: RasterProfile, *, overwrite: bool) -> None:
        self.path = path
        self.profile = profile
        self.overwrite = overwrite
        self._tags = dict(profile.tags)
        self._open = True
        self._pixels = 0
        self._parts: dict[Path, None] = {}
        folder = path.parent
        if not folder.is_dir():
            raise WriteError(f"cannot write {path}: the folder {folder} does not exist; create it")
        if not os.access(folder, os.W_OK):
            raise WriteError(f"cannot write {path}: no permission to write in {folder}")
        if path.exists() and not overwrite:
            raise WriteError(f"{path} exists; pass overwrite=True (--overwrite) or another name")

    # What a writer of a format fills in -----------------------------------------------------

    @abstractmethod
    def _encode(self, window: Window, array: NDArray[np.generic]) -> object: ...

    @abstractmethod
    def _append(self, encoded: object) -> Window: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _close(self) -> None:
        """Close the files; called once before the parts are removed or renamed."""

    # What callers use -----------------------------------------------------------------------

    def encode(self, window: Window, array: NDArray[np.generic]) -> object:
        """Turn pixels into bytes; runs in worker threads, several at a time.

        Parameters
        ----------
        window : Window
            Where the pixels lie, aligned to `block`.
        array : ndarray, shape (band, y, x), of the profile's dtype
            The pixels.

        Returns
        -------
        object
            What `append` expects.

        Raises
        ------
        WriteError
            If the window is not aligned, the array does not fit, or the disk is full.
        """
        if not self._open:
            raise WriteError(f"{self.path.name} is closed; open a new writer")
        expected = (self.profile.count, window.height, window.width)
        if array.shape != expected or array.dtype != self.profile.dtype:
            raise WriteError(
                f"pixels for {self.path.name} are {array.dtype} {array.shape}, "
                f"expected {self.profile.dtype} {expected}"
            )
        ends = (window.row_end, self.profile.height), (window.col_end, self.profile.width)
        if (
            window.row % self.block
            or window.col % self.block
            or any(end > size or (end % self.block and end != size) for end, size in ends)
        ):
            raise WriteError(
                f"{window} does not lie on the {self.block} pixel blocks of {self.path.name}"
            )
        with self._messages():
            return self._encode(window, array)

    def append(self, encoded: object) -> None:
        """Put an encoded window into the file; one thread, windows in row-major order.

        Raises
        ------
        WriteError
            If the disk is full.
        """
        with self._messages():
            window = self._append(encoded)
        self._pixels += window.height * window.width

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add metadata that became known while the product was written."""
        self._tags.update({str(key): str(value) for key, value in tags.items()})

    def finish(self) -> None:
        """Complete the file, flush it to the disk and give it its name.

        Raises
        ------
        WriteError
            If windows are missing, or the disk is full; nothing is left behind then.
        """
        total = self.profile.height * self.profile.width
        try:
            if self._pixels != total:
                raise WriteError(
                    f"{self.path.name} is incomplete: {self._pixels} of {total} pixels were written"
                )
            with self._messages():
                self._finish()
                self._close()
                self._replace()
        except BaseException:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Remove every trace; does nothing after `finish`."""
        if not self._open:
            return
        self._open = False
        self._close()
        for part in self._parts:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abort()
        elif self._open:
            self.finish()

    # Shared machinery -----------------------------------------------------------------------

    def _part(self, suffix: str = "") -> Path:
        """Name of a part; it will be removed when the product fails."""
        part = self.path.with_name(f"{self.path.name}.part{suffix}")
        self._parts[part] = None
        return part

    def _replace(self) -> None:
        os.replace(self._part(), self.path)

    def _need(self, count: int) -> None:
        """Refuse early when the disk cannot hold `count` bytes."""
        free = shutil.disk_usage(self.path.parent).free
        if free < count:
            raise WriteError(
                f"cannot write {self.path}: it needs {_size(count)}, "
                f"but only {_size(free)} are free in {self.path.parent}"
            )

    @contextmanager
    def _messages(self) -> Iterator[None]:
        """Say what an operating-system error means for this product, in one line."""
        try:
            yield
        except WriteError:
            raise
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                free = shutil.disk_usage(self.path.parent).free
                raise WriteError(
                    f"disk full while writing {self.path}: {_size(free)} free, the product needs "
                    f"up to {_size(self.profile.nbytes)}; free some space or use another folder"
                ) from problem
            if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                folder = self.path.parent.resolve()
                raise WriteError(
                    f"cannot write {self.path}: no permission to write to {folder}; choose another "
                    "folder for the product (-o)"
                ) from problem
            raise WriteError(
                f"cannot write {self.path}: {problem.strerror or problem}"
            ) from problem
