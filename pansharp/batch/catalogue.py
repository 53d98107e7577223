"""STAC catalogues: their links to items, followed on this file system only."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pansharp.errors import ReaderError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_catalogue", "items_of"]

_LIMIT = 64 * 2**20
_DEEPEST = 16
_MOST = 1_000_000


def is_catalogue(file: Path) -> bool:
    """Whether a file is a STAC catalogue or collection."""
    if file.suffix.lower() not in (".json", ".geojson") or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            head = stream.read(2**20)
    except OSError:
        return False
    if b'"stac_version"' not in head:
        return False
    try:
        return _read(file).get("type") in ("Catalog", "Collection")
    except ReaderError:
        # Damaged, but STAC: opening it tells what is wrong.
        return b'"Catalog"' in head or b'"Collection"' in head


def items_of(catalogue: Path) -> list[Path]:
    """Items of a catalogue, of its collections and of their collections.

    Parameters
    ----------
    catalogue : Path
        Catalogue or collection.

    Returns
    -------
    list of Path
        In the order of the links, each once; they need not exist.

    Raises
    ------
    ReaderError
        A catalogue is damaged or missing, or links lead to other machines.
    """
    items: dict[Path, None] = {}
    seen: set[Path] = set()
    stack = [(catalogue.absolute(), 0)]
    while stack:
        file, depth = stack.pop()
        real = file.resolve()
        if real in seen:  # links in a circle
            continue
        seen.add(real)
        children = []
        for relation, target in _links(file):
            if relation == "item":
                items[target] = None
            else:
                children.append((target, depth + 1))
        if depth >= _DEEPEST and children:
            raise ReaderError(f"the catalogue '{file}' lies {_DEEPEST} levels deep; name it itself")
        if len(items) + len(seen) > _MOST:
            raise ReaderError(f"the catalogue '{catalogue}' has more than {_MOST} items; name less")
        stack += reversed(children)
    return list(items)


def _links(file: Path) -> list[tuple[str, Path]]:
    links = _read(file).get("links")
    if not isinstance(links, list):
        raise ReaderError(f"the catalogue '{file}' has no links; it is damaged")
    found = []
    for link in links:
        if not isinstance(link, dict) or link.get("rel") not in ("item", "child"):
            continue
        found.append((str(link["rel"]), _target(file, link.get("href"))))
    return found


def _target(file: Path, href: object) -> Path:
    if not isinstance(href, str) or not href:
        raise ReaderError(f"the catalogue '{file}' has a link without an address; it is damaged")
    parts = urlsplit(href)
    if parts.scheme not in ("", "file"):
        raise ReaderError(
            f"the catalogue '{file}' links to '{href[:100]}'; only catalogues of local files are "
            "read: download it first"
        )
    path = unquote(parts.path) if parts.scheme == "file" else href
    return file.parent / os.path.normpath(file.parent / path)


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _LIMIT:
            raise ReaderError(f"'{file}' is too large for a STAC catalogue")
        found = json.loads(file.read_text(encoding="utf-8"))
    except ReaderError:
        raise
    except OSError as problem:
        raise ReaderError(f"'{file}' cannot be read: {problem.strerror}") from problem
    except (ValueError, RecursionError) as problem:
        raise ReaderError(f"'{file}' is damaged JSON; copy or download it again") from problem
    if not isinstance(found, dict):
        raise ReaderError(f"'{file}' is no STAC catalogue")
    return found
