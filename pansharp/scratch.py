"""Folders for files that live only as long as somebody reads them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Scratch", "free_bytes", "holder", "remove_stale", "scratch_root"]

_PREFIX = "pansharp-"
_LOCK = ".lock"
_live: weakref.WeakSet[Scratch] = weakref.WeakSet()
_guard = threading.Lock()


def scratch_root() -> Path:
    """Where scratch folders are made: ``$PANSHARP_SCRATCH``, else the system's temporary folder."""
    return Path(os.environ.get("PANSHARP_SCRATCH") or tempfile.gettempdir())


def free_bytes(folder: Path) -> int:
    """Bytes that can be written to the disk of a folder."""
    return shutil.disk_usage(folder).free


class Scratch:
    """A folder of this process, removed when nobody holds the object any more.

    Removed at the latest when the process ends; what a process that was killed has left behind,
    the next one removes. A file beside the folder is locked for as long as the owner lives: that,
    and not a number that the system gives out again, tells who is dead.

    Raises
    ------
    ReaderError
        When no folder can be made there.
    """

    def __init__(self) -> None:
        root = scratch_root()
        try:
            remove_stale(root)
            lock, descriptor = _locked_file(root)
            self.folder = Path(lock.removesuffix(_LOCK))
            self.folder.mkdir(mode=0o700)
        except OSError as problem:
            raise ReaderError(
                f"no scratch folder can be made in '{root}' ({problem.strerror}); name another "
                "folder with the environment variable PANSHARP_SCRATCH"
            ) from problem
        self._finish = weakref.finalize(
            self, _remove, str(self.folder), lock, descriptor, os.getpid()
        )
        with _guard:
            _live.add(self)

    def close(self) -> None:
        """Remove the folder now."""
        self._finish()

    def __reduce__(self) -> tuple[type[_Guest], tuple[str]]:
        # Another process may read the files, but the folder stays this one's to remove.
        return _Guest, (str(self.folder),)


class _Guest:
    """What a scratch folder becomes in another process."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)


def holder(name: str) -> Scratch | None:
    """The scratch folder that a path lies in, or that a text (such as a VRT) names files of.

    A source keeps what this returns, so that the folder lives as long as the source.

    Parameters
    ----------
    name : str
        Path, or text with paths.

    Returns
    -------
    Scratch or None
        None when the files are the user's own.
    """
    with _guard:
        live = list(_live)
    return next((scratch for scratch in live if f"{scratch.folder}{os.sep}" in name), None)


def remove_stale(root: Path) -> int:
    """Remove the scratch folders of processes that have died.

    Parameters
    ----------
    root : Path
        Where they lie.

    Returns
    -------
    int
        How many were removed. Folders of other users and of living processes stay.
    """
    return sum(_remove_if_dead(lock) for lock in _locks(root))


def _locks(root: Path) -> Iterator[str]:
    try:
        with os.scandir(root) as entries:
            names = [
                entry.path
                for entry in entries
                if entry.name.startswith(_PREFIX)
                and entry.name.endswith(_LOCK)
                and entry.stat(follow_symlinks=False).st_uid == os.getuid()
            ]
    except OSError:
        return
    yield from names


def _remove_if_dead(lock: str) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.removesuffix(_LOCK), ignore_errors=True)
        os.unlink(lock)
    except OSError:  # held by a living process, or removed by another one at the same time
        return False
    finally:
        os.close(descriptor)
    return True


def _locked_file(root: Path) -> tuple[str, int]:
    """A new lock file and its descriptor, locked; again when a cleaner was quicker."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_LOCK, dir=root)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            if os.stat(name).st_ino == os.fstat(descriptor).st_ino:
                return name, descriptor
        os.close(descriptor)


def _remove(folder: str, lock: str, descriptor: int, owner: int) -> None:
    if os.getpid() != owner:  # a forked child leaves through the same door
        return
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(lock)
    with contextlib.suppress(OSError):
        os.close(descriptor)
