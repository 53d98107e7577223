"""Files below a folder, with limits that no delivery reaches."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pansharp.errors import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["files_below", "folders_below", "is_store", "remembered", "stores_below"]


#: What marks the folder of a Zarr group or array; below it lie chunks, not deliveries.
_STORE_MARKS = ("zarr.json", ".zgroup", ".zarray")
#: Entries after which a folder is an archive of archives, not a delivery.
_MOST = 200_000


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a Zarr group or array."""
    return any(os.path.isfile(os.path.join(folder, mark)) for mark in _STORE_MARKS)


def files_below(folder: str | Path, *, depth: int) -> list[Path]:
    """Files of a folder and of those below it, sorted by path; links to folders are not followed.

    Parameters
    ----------
    folder : path
        Folder.
    depth : int
        Levels below it; 0 for its own files alone.

    Returns
    -------
    list of Path
        Without hidden files, and without those of Zarr stores.

    Raises
    ------
    ReaderError
        There are too many entries, or the folder itself cannot be listed.
    """
    return [f for place in folders_below(folder, depth=depth) for f in _listing(place).files]


def stores_below(folder: str | Path, *, depth: int) -> list[Path]:
    """Zarr stores below a folder, sorted by path (parameters: :func:`files_below`)."""
    return [place for place in folders_below(folder, depth=depth) if _listing(place).store]


def folders_below(folder: str | Path, *, depth: int) -> list[Path]:
    """A folder and those below it, sorted by path (parameters: :func:`files_below`)."""
    root = Path(folder)
    if not os.access(root, os.R_OK | os.X_OK):
        raise ReaderError(f"the folder '{folder}' cannot be read; check its permissions")
    found, level = [root], [root]
    for _ in range(depth):
        level = [child for parent in level for child in _listing(parent).folders]
        found += level
        if len(found) > _MOST:
            raise ReaderError(f"'{folder}' holds more than {_MOST} folders; name a smaller one")
    return sorted(found)


class _Listing(NamedTuple):
    folders: list[Path]
    files: list[Path]
    store: bool


#: Listings of one search, which many readers make in the same tree.
_known: ContextVar[dict[str, _Listing] | None] = ContextVar("listings", default=None)


@contextmanager
def remembered() -> Iterator[None]:
    """Look at each folder once until the end: for a search that several readers make in turn."""
    if _known.get() is not None:
        yield
        return
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def _listing(folder: Path) -> _Listing:
    """Folders and files of a folder, sorted; none of a Zarr store's."""
    known = _known.get()
    if known is not None and (listing := known.get(str(folder))) is not None:
        return listing
    listing = _listed(folder)
    if known is not None:
        known[str(folder)] = listing
    return listing


def _listed(folder: Path) -> _Listing:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return _Listing([], [], store=False)  # one without permission must not hide the others
    if any(entry.name in _STORE_MARKS for entry in found):
        return _Listing([], [], store=True)
    seen = [entry for entry in found if not entry.name.startswith(".")]
    return _Listing(
        [Path(e.path) for e in seen if e.is_dir(follow_symlinks=False)],
        [Path(e.path) for e in seen if e.is_file()],
        store=False,
    )
