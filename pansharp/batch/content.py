"""Digests of inputs and products; a size and a time that did not change vouch for the rest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["product_facts", "same_files", "same_product", "stamps", "with_digests"]

_PIECE = 1 << 20

Stamp = list[Any]


def stamps(files: Iterable[str]) -> dict[str, Stamp]:
    """Size, time (ns) and no digest yet of files; those that are gone are left out."""
    found: dict[str, Stamp] = {}
    for file in files:
        try:
            told = os.stat(file)
        except OSError:
            continue
        found[file] = [told.st_size, told.st_mtime_ns, None]
    return found


def with_digests(known: Mapping[str, Stamp]) -> dict[str, Stamp]:
    """The same with digests: of the whole file, or of three pieces of a large one."""
    from pansharp.card import digest

    found = {}
    for file, (size, time, _) in known.items():
        told = digest(Path(file))
        found[file] = [size, time, told.get("sha256") or told.get("sha256_of_parts")]
    return found


def same_files(old: Mapping[str, Stamp], new: Mapping[str, Stamp]) -> dict[str, Stamp] | None:
    """Stamps of today with the digests of then, or None when a file's content is another.

    Content is read only of files whose size or time changed.
    """
    if old.keys() != new.keys():
        return None
    found: dict[str, Stamp] = {}
    for file, (size, time, _) in new.items():
        if old[file][:2] == [size, time]:
            found[file] = list(old[file])
            continue
        if old[file][0] != size or old[file][2] is None:
            return None
        fresh = with_digests({file: [size, time, None]})[file]
        if fresh[2] != old[file][2]:
            return None
        found[file] = fresh
    return found


def product_facts(path: Path, relative: str) -> dict[str, Any]:
    """Name, size, time and SHA-256 of a product: a file, or a Zarr store.

    Raises
    ------
    OSError
        It cannot be read.
    """
    size, time = _measured(path)
    return {"name": relative, "size": size, "mtime_ns": time, "sha256": _digest(path)}


def same_product(folder: Path, known: Mapping[str, Any], *, read: bool = False) -> bool:
    """Whether a product is what was written; its content is read only when there is doubt."""
    path = folder / known["name"]
    try:
        measured = _measured(path)
        if measured[0] != known["size"]:
            return False
        if measured[1] == known["mtime_ns"] and not read:
            return True
        return bool(_digest(path) == known["sha256"])
    except OSError:
        return False


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _measured(path: Path) -> tuple[int, int]:
    told = [file.stat() for file in _files(path)]
    if not told:
        raise FileNotFoundError(str(path))
    return sum(t.st_size for t in told), max(t.st_mtime_ns for t in told)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(path):
        if file != path:
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()
