"""Maxar's sidecars as one kind of tree: PVL text (IMD, RPB, TIL) and the ISD XML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pansharp.errors import ReaderError
from pansharp.readers._sidecar import Fields, clean, local_name, read_text, read_xml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree.ElementTree import Element

__all__ = ["Node", "is_isd", "read_isd", "read_pvl"]

#: Groups inside one another that no sidecar has.
_DEEPEST = 16
_STATEMENT = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*=\s*(.*?)\s*$")


@dataclass
class Node:
    """A group of fields, with the groups inside it in the order of the file.

    Parameters
    ----------
    name : str
        Name of the group, upper case; empty for the whole file.
    path : str
        File, for messages.
    values : dict of str to str
        Fields by name in lower case; of two with one name the first.
    groups : list of Node
        Groups inside.
    """

    name: str
    path: str
    values: dict[str, str] = field(default_factory=dict)
    groups: list[Node] = field(default_factory=list)

    @property
    def fields(self) -> Fields:
        """The fields of this group, with those of the list groups inside it (ISD spelling)."""
        lists = [group for group in self.groups if group.name.endswith("LIST")]
        inner = {key: value for group in lists for key, value in group.values.items()}
        return Fields(self.path, {**inner, **self.values})

    def find(self, pattern: str) -> Iterator[Node]:
        """Groups at any depth whose whole name matches a regular expression, in file order."""
        for group in self.groups:
            if re.fullmatch(pattern, group.name):
                yield group
            yield from group.find(pattern)

    def first(self, pattern: str) -> Node:
        """The first such group, or an empty one."""
        return next(self.find(pattern), Node(pattern, self.path))


def read_pvl(path: str | Path) -> Node:
    """Read a PVL sidecar; lines that are none of its forms are skipped.

    ``key = value;``, lists in parentheses over several lines, ``BEGIN_GROUP = X`` to
    ``END_GROUP = X``, ``END;``. The public PVL parser is for the planetary dialects, strict where
    these files are sloppy, and too slow for coefficient tables; GDAL's is hidden behind rasters.

    Raises
    ------
    MissingSidecarError, ReaderError
        As :func:`pansharp.readers._sidecar.read_text`; or it holds no field, or its groups are
        nested too deeply.
    """
    root = Node("", str(path))
    stack = [root]
    key, parts = "", list[str]()
    for line in read_text(path).splitlines():
        if key:
            parts.append(line)
        else:
            match = _STATEMENT.match(line)
            if match is None:
                if re.match(r"^\s*END\s*;", line, re.IGNORECASE):
                    break
                continue
            word, value = match.groups()
            if word.upper() in ("BEGIN_GROUP", "END_GROUP"):
                _move(stack, word.upper(), clean(value.rstrip("; ")), str(path))
                continue
            key, parts = word.lower(), [value]
            if not value.startswith("("):
                stack[-1].values.setdefault(key, clean(value.rstrip("; ")))
                key = ""
                continue
        # A list ends at the semicolon; a damaged one at the next group or field.
        if ";" in parts[-1]:
            stack[-1].values.setdefault(key, " ".join(parts).partition(";")[0].strip())
            key = ""
        elif len(parts) > 1 and "=" in line:
            key = ""
    if not root.values and not root.groups:
        raise ReaderError(f"'{path}' holds no 'key = value;' fields; copy or download it again")
    return root


def _move(stack: list[Node], word: str, name: str, path: str) -> None:
    if word == "END_GROUP":
        if len(stack) > 1:
            stack.pop()
        return
    if len(stack) > _DEEPEST:
        raise ReaderError(f"'{path}' has more than {_DEEPEST} groups inside one another")
    group = Node(name.upper(), path)
    stack[-1].groups.append(group)
    stack.append(group)


def read_isd(path: str | Path) -> Node:
    """Read an ISD XML; its parts are the groups ``IMD``, ``RPB``, ``TIL``.

    Raises
    ------
    MissingSidecarError, ReaderError
        As :func:`pansharp.readers._sidecar.read_xml`; or the root is not ``isd``.
    """
    root = read_xml(path)
    if local_name(root).lower() != "isd":
        raise ReaderError(f"'{path}' is no ISD: its root is <{local_name(root)[:40]}>, not <isd>")
    return _node(root, str(path))


def _node(element: Element, path: str) -> Node:
    node = Node(local_name(element).upper(), path)
    listed = node.name.endswith("LIST")
    for child in element:
        if len(child):
            node.groups.append(_node(child, path))
            continue
        key, value = local_name(child).lower(), clean(child.text)
        if listed and key in node.values:  # one element a number
            node.values[key] += f" {value}"
        else:
            node.values.setdefault(key, value)
    return node


def is_isd(path: str | Path) -> bool:
    """Whether an XML file begins as an ISD does."""
    try:
        with open(path, "rb") as file:
            head = file.read(2048)
    except OSError:
        return False
    return b"<isd" in head.replace(b"\0", b"").lower()
