"""From one argument to a reader and a path it opens: the order in which guesses are tried.

1. A reader that the user named.
2. Folders: scenes of vendors' deliveries below it, each found by its own reader; one is opened,
   several are listed. Without any, plain pairs of the folder; without those, its one archive.
3. Files and addresses: the reader that is surest of the name and the first bytes.

Where the user names both halves, only the family whose files both are is looked for.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import AmbiguousReaderError, ReaderError, UnknownFormatError
from pansharp.readers._archive import archive_stem
from pansharp.readers._base import FileOpener, Finder, Found, only_scene, readers
from pansharp.readers._scan import files_below, folders_below, is_store, remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pansharp.readers._base import Reader
    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["INSIDE", "choose", "find_scenes", "open_known"]

#: Between the name of an archive and that of a file in it.
INSIDE = "!/"


def choose(path: str, name: str | None = None) -> tuple[Reader, str]:
    """Find the reader for a path, and what it should open.

    Parameters
    ----------
    path : str
        What the user gave.
    name : str, optional
        Reader that the user named.

    Returns
    -------
    reader : Reader
        Reader.
    path : str
        The path itself, or the one scene of the folder that it names.

    Raises
    ------
    ReaderError
        The path does not exist.
    UnknownFormatError
        No reader understands it, or no reader has that name.
    AmbiguousReaderError
        A folder holds several scenes, or two readers are equally sure.
    """
    if name is not None:
        return readers.get(name), path
    local = "://" not in path and not path.startswith("/vsi")
    outside = path.partition(INSIDE)[0] if INSIDE in path else path
    if local and not Path(outside).exists():
        raise ReaderError(f"'{path}' does not exist; check the path")
    if local and Path(path).is_dir() and not is_store(path):
        with remembered():
            scene = _scene_of(path)
        return (readers.get("pair"), path) if scene is None else _opened(scene)
    return _surest(path), path


def _opened(scene: Found) -> tuple[Reader, str]:
    return readers.get(scene.reader), scene.path


def _surest(path: str) -> Reader:
    scores = {key: readers.get(key).matches(path) for key in readers.names()}
    best = max(scores.values(), default=0.0)
    fitting = [key for key, score in scores.items() if score == best]
    if best <= 0:
        raise UnknownFormatError(
            f"no reader understands '{path}'; 'pansharp readers' lists what is known"
        )
    if len(fitting) > 1:
        raise AmbiguousReaderError(
            f"readers {', '.join(fitting)} fit '{path}' equally well; choose with --reader"
        )
    return readers.get(fitting[0])


def _scene_of(folder: str) -> Found | None:
    """The one delivery of a folder; None where only plain rasters may make a pair."""
    from pansharp.readers._siblings import find_pairs

    found = _deliveries(folder, depth=4)
    archives = _archives(folder, found, depth=0)
    if found or (archives and not find_pairs(folder)):
        return only_scene([*found, *archives], folder)
    surest = _surest(folder)
    own = next(key for key in readers.names() if readers.get(key) is surest)
    return None if own == "pair" else Found(folder, Path(folder).name, own)


def _deliveries(path: str, *, depth: int) -> list[Found]:
    """Scenes that readers of deliveries know below a folder, archives left out."""
    found: dict[str, Found] = {}
    for key in readers.names():
        reader = readers.get(key)
        if key != "archive" and isinstance(reader, Finder):
            for scene in reader.find(path, depth=depth):
                found.setdefault(scene.path, scene)
    return [found[path] for path in sorted(found)]


def _archives(folder: str, unpacked: list[Found], *, depth: int) -> list[Found]:
    """Archives below a folder, but for those that lie there unpacked as well."""
    reader = readers.get("archive")
    if not isinstance(reader, Finder):
        return []
    names = {part.lower() for scene in unpacked for part in Path(scene.path).parts}
    names |= {Path(part).stem for part in names}
    return [
        scene
        for scene in reader.find(folder, depth=depth)
        if (archive_stem(scene.path) or "").lower() not in names
    ]


def open_known(
    pan: str,
    ms: Sequence[str],
    *,
    sensor: SensorProfile | None = None,
    nodata: float | None = None,
    ratio: float | None = None,
) -> Scene | None:
    """Open a pair that the user named through the reader whose family both belong to.

    Returns
    -------
    Scene or None
        None where no family knows them: they are plain rasters.
    """
    for key in readers.names():
        reader = readers.get(key)
        if isinstance(reader, FileOpener):
            scene = reader.open_files(pan, ms, sensor=sensor, nodata=nodata, ratio=ratio)
            if scene is not None:
                return scene
    return None


def find_scenes(path: str | os.PathLike[str], *, depth: int = 8) -> list[Found]:
    """All scenes at a path, found and not opened.

    Parameters
    ----------
    path : path
        Folder, whose whole tree is looked through; archive; or a file of one scene.
    depth : int
        Levels of folders below it.

    Returns
    -------
    list of Found
        Sorted by path; `open_scene` opens ``found.path``. Empty when there is none.

    Raises
    ------
    ReaderError
        The path does not exist, or is an archive that is damaged.
    """
    given = str(path)
    if not Path(given).exists():
        raise ReaderError(f"'{given}' does not exist; check the path")
    if not Path(given).is_dir() or is_store(given):
        reader = _surest(given)
        own = next(key for key in readers.names() if readers.get(key) is reader)
        if isinstance(reader, Finder):
            return reader.find(given)
        return [Found(given, Path(given).stem, own, (given,))]
    with remembered():
        return _all_below(given, depth)


def _all_below(given: str, depth: int) -> list[Found]:
    from pansharp.readers._siblings import find_pairs

    real = cache(os.path.realpath)
    found = _deliveries(given, depth=depth)
    found += _archives(given, found, depth=depth)
    claimed = {real(os.path.dirname(file) or ".") for scene in found for file in scene.files}
    for folder in folders_below(given, depth=depth):
        if real(str(folder)) in claimed or _only_holds(folder, claimed, real):
            continue
        for pair in find_pairs(str(folder)):
            files = (pair.pan, *pair.ms)
            if not any(real(os.path.dirname(file) or ".") in claimed for file in files):
                name = Path(pair.pan).stem
                found.append(Found(pair.pan, name, "pair", files, "PAN and MS beside each other"))
    return sorted({scene.path: scene for scene in found}.values(), key=lambda scene: scene.path)


def _only_holds(folder: Path, claimed: set[str], real: Callable[[str], str]) -> bool:
    """Whether a folder has no files, and nothing but folders of deliveries (PAN beside MUL)."""
    children = folders_below(folder, depth=1)[1:]
    if not children or files_below(folder, depth=0):
        return False
    return all(real(str(child)) in claimed for child in children)
