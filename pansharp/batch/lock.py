"""One batch at a time in a folder: a lock that dies with its process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from pansharp.errors import BatchError, WriteError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["FolderLock"]

#: Seconds between signs of life, and after which a batch on another host counts as dead.
BEAT, SILENCE = 20.0, 120.0


class FolderLock:
    """Keeps a second batch out of a folder for as long as this process lives.

    The kernel's lock (``flock``) ends with the process, however it ends. On network file systems
    whose locks do not reach other hosts the file's time is a second witness: while the batch of
    another host gives signs of life, the folder is taken.

    Parameters
    ----------
    path : Path
        The file to lock; it is made, and stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._beaten = 0.0

    def __enter__(self) -> FolderLock:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as problem:
            raise WriteError(f"cannot write '{self.path}': {problem.strerror}") from problem
        try:
            holder = _read(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BatchError(self._taken(holder)) from None
            except OSError as problem:
                raise WriteError(
                    f"'{self.path.parent}' cannot be locked ({problem.strerror}); use a folder on "
                    "a file system with locks"
                ) from problem
            holder = _read(descriptor)
            silent = time.time() - os.fstat(descriptor).st_mtime
            if holder and holder.get("host") != socket.gethostname() and silent < SILENCE:
                raise BatchError(
                    f"{self._taken(holder)}; its last sign of life is {silent:.0f} s old, after "
                    f"{SILENCE:.0f} s without one it counts as dead"
                )
            self._descriptor = descriptor
            self._write({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()})
        except BaseException:
            os.close(descriptor)
            self._descriptor = None
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            # Emptied: the next host need not wait for signs of life.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def beat(self) -> None:
        """Give a sign of life, now and then."""
        now = time.monotonic()
        if self._descriptor is not None and now - self._beaten > BEAT:
            self._beaten = now
            with contextlib.suppress(OSError):
                os.utime(self._descriptor)

    def _taken(self, holder: dict[str, Any]) -> str:
        who = f" (process {holder.get('pid')} on {holder.get('host')})" if holder else ""
        return (
            f"another batch works in '{self.path.parent.parent}'{who}; wait for it, or choose "
            "another -o"
        )

    def _write(self, holder: dict[str, Any]) -> None:
        assert self._descriptor is not None
        # A full disk must not keep a batch from saying so: the lock itself holds without text.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)
        self._beaten = time.monotonic()


def _read(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
