"""From what the user calls an archive to its scenes; damaged deliveries are scenes, too."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.batch.catalogue import is_catalogue, items_of
from pansharp.batch.records import Entry
from pansharp.errors import PansharpError, ReaderError
from pansharp.readers import find_scenes
from pansharp.readers._archive import archive_stem, is_archive
from pansharp.readers._scan import files_below, folders_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pansharp.readers._base import Found

__all__ = ["find_entries"]

_DEPTH = 8
_RASTERS = (".tif", ".tiff", ".ntf", ".jp2", ".img", ".til", ".he5", ".bsq", ".bil", ".bip")
#: Words that make a lone raster the half of a scene, and not a map that lies about.
_HALF = re.compile(r"(^|[-_. ])(pan|panchromatic|mss?|mul|mux|xs|multispectral)\d?([-_. ]|$)", re.I)
#: Files of a folder up to which all of them count as its only scene's.
_FEW = 200


def find_entries(given: Sequence[str], *, outside: Path) -> list[Entry]:
    """All scenes of folders, lists, globs, STAC catalogues, archives and files.

    Parameters
    ----------
    given : sequence of str
        What the user named.
    outside : Path
        Folder of the products, which is no part of the archive.

    Returns
    -------
    list of Entry
        Sorted by path, each once.

    Raises
    ------
    PansharpError
        Nothing is there, or a catalogue or list cannot be read.
    """
    found: dict[str, Entry] = {}
    for one in given:
        for entry in _expand(one, outside.resolve()):
            found.setdefault(entry.path, entry)
    if not found:
        shown = " ".join(f"'{one}'" for one in given)
        raise ReaderError(f"no scene found in {shown}; 'pansharp readers' lists what is known")
    return [found[path] for path in sorted(found)]


def _expand(given: str, outside: Path) -> list[Entry]:
    place = Path(given)
    if not place.exists():
        if not glob.has_magic(given):
            raise ReaderError(f"'{given}' does not exist; check the path")
        paths = sorted(glob.glob(given, recursive=True))
        if not paths:
            raise ReaderError(f"nothing matches '{given}'; check the pattern")
        return [entry for path in paths for entry in _one(path, outside)]
    if place.is_file() and place.suffix.lower() in (".txt", ".lst"):
        return _listed(place, outside)
    if is_catalogue(place):
        return [entry for item in items_of(place) for entry in _one(str(item), outside)]
    return _one(given, outside)


def _listed(file: Path, outside: Path) -> list[Entry]:
    """Scenes of a list: one path a line, from the list's own folder, ``#`` for remarks."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise ReaderError(f"the list '{file}' cannot be read as text: {problem}") from problem
    paths = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [entry for path in paths for entry in _one(str(file.parent / path), outside)]


def _one(path: str, outside: Path) -> list[Entry]:
    """Scenes of one path; what is wrong with it makes a scene that fails."""
    absolute = os.path.abspath(path)
    place = Path(absolute)
    try:
        if place.is_dir():
            return _below(place, outside)
        if place.is_file() and archive_stem(place):
            return [_archive(place)]
        found = find_scenes(absolute)
    except PansharpError as problem:
        return [Entry(absolute, _stem(place), "", _existing([absolute]), str(problem))]
    if not found:
        return [Entry(absolute, _stem(place), "", _existing([absolute]))]
    return _entries(found, outside)


def _below(root: Path, outside: Path) -> list[Entry]:
    found = [scene for scene in find_scenes(root, depth=_DEPTH) if _counts(scene, root, outside)]
    # A half without its partner may be given one of another delivery, far away: the folder of both.
    own = {file for scene in found if not Path(scene.path).is_dir() for file in scene.files}
    found = [s for s in found if not Path(s.path).is_dir() or own.isdisjoint(s.files)]
    entries = _entries(found, outside)
    known = {entry.path for entry in entries}
    for entry in (*_lone(root, found, outside), *_broken_archives(root, outside)):
        if entry.path not in known:
            known.add(entry.path)
            entries.append(entry)
    return entries


def _counts(scene: Found, root: Path, outside: Path) -> bool:
    """Whether a scene lies in the archive, and not among the products of the batch."""
    place = Path(scene.path)
    if _apart(place, root, outside):
        return False
    # Where archive and products share a folder, products are told by their cards.
    return not Path(f"{place}.card.json").exists() and ".pansharp" not in place.parts


def _entries(found: Iterable[Found], outside: Path) -> list[Entry]:
    scenes = list(found)
    owners: dict[Path, set[str]] = {}
    for scene in scenes:
        for file in _images(scene):
            owners.setdefault(Path(file).parent, set()).add(scene.path)
    listings: dict[Path, list[str]] = {}
    entries = []
    for scene in scenes:
        images = _images(scene)
        files = dict.fromkeys(images)
        for folder in dict.fromkeys(Path(file).parent for file in images):
            if folder not in listings:
                listings[folder] = _names(folder)
            names = listings[folder]
            whole = len(owners[folder]) == 1 and len(names) <= _FEW and folder != outside
            stems = tuple(f"{Path(file).stem}." for file in images)
            files |= dict.fromkeys(
                str(folder / name) for name in names if whole or name.startswith(stems)
            )
        if scene.reader == "archive":
            files = dict.fromkeys([scene.path.partition("!/")[0]])
        entries.append(Entry(scene.path, scene.name, scene.reader, _existing(files)))
    return entries


def _images(scene: Found) -> list[str]:
    local = [file for file in (scene.path, *scene.files) if "://" not in file]
    return [file for file in dict.fromkeys(local) if not file.startswith("/vsi")]


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_file() and not e.name.startswith("."))
    except OSError:
        return []


def _existing(files: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(file for file in files if os.path.isfile(file)))


def _lone(root: Path, found: Sequence[Found], outside: Path) -> list[Entry]:
    """Deliveries of which a half is missing: folders with images, none of them in a scene."""
    used: set[Path] = set()
    for scene in found:
        if scene.reader == "archive":
            continue
        for file in _images(scene):
            used.update({Path(file), *Path(file).parents})
    tops: dict[Path, list[Path]] = {}
    for folder in folders_below(root, depth=_DEPTH):
        if folder in used or folder.resolve() == outside or _apart(folder, root, outside):
            continue
        images = [name for name in _names(folder) if name.lower().endswith(_RASTERS)]
        if not images:
            continue
        top = folder
        while top != root and top.parent != root and top.parent not in used:
            top = top.parent
        tops.setdefault(top, []).extend(folder / name for name in images)
    entries = []
    for top, rasters in tops.items():
        halves = [scene for scene in find_scenes(top) if scene.reader != "archive"]
        if halves:
            entries += _entries(halves, outside)
        elif lone := [image for image in rasters if _HALF.search(image.stem)]:
            first = lone[0]
            name = first.stem if top == root else top.name
            entries.append(Entry(str(first), name, "pair", _existing(map(str, lone))))
    return entries


def _broken_archives(root: Path, outside: Path) -> list[Entry]:
    """Files that are called archives and are none: their first bytes are damaged."""
    return [
        _archive(file)
        for file in files_below(root, depth=_DEPTH)
        if archive_stem(file) is not None
        and not is_archive(file)
        and not _apart(file, root, outside)
    ]


def _archive(file: Path) -> Entry:
    """An archive, unread."""
    problem = None
    if not is_archive(file):
        problem = (
            f"the archive '{file}' is damaged: its first bytes are no archive's; copy or download "
            "it again"
        )
    return Entry(str(file), _stem(file), "archive", (str(file),), problem)


def _apart(place: Path, root: Path, outside: Path) -> bool:
    """Whether a path lies among the products of the batch, and these in a part of the archive."""
    if root.resolve().is_relative_to(outside):
        return False
    return place.resolve().is_relative_to(outside)


def _stem(place: Path) -> str:
    return archive_stem(place) or place.stem or "scene"
