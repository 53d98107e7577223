"""Files below a folder, with limits that no delivery reaches."""

from __future__ import annotations

import os
from pathlib import Path

from pansharp.errors import ReaderError

__all__ = ["files_below", "folders_below", "is_store"]

__all__ = ["files_below", "folders_below"]

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
    return [file for place in folders_below(folder, depth=depth) for file in _files(place)]


def folders_below(folder: str | Path, *, depth: int) -> list[Path]:
    """A folder and those below it, sorted by path (parameters: :func:`files_below`)."""
    root = Path(folder)
    if not os.access(root, os.R_OK | os.X_OK):
        raise ReaderError(f"the folder '{folder}' cannot be read; check its permissions")
    found, level = [root], [root]
    for _ in range(depth):
        level = [child for parent in level for child in _folders(parent)]
        found += level
        if len(found) > _MOST:
            raise ReaderError(f"'{folder}' holds more than {_MOST} folders; name a smaller one")
    return sorted(found)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return []  # one folder without permission must not hide the others
    if any(entry.name in _STORE_MARKS for entry in found):
        return []
    return [entry for entry in found if not entry.name.startswith(".")]


def _folders(folder: Path) -> list[Path]:
    return [Path(e.path) for e in _entries(folder) if e.is_dir(follow_symlinks=False)]


def _files(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in _entries(folder) if entry.is_file())
