"""Text, Markdown and HTML tables of scores, and pandas where it is installed."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["aligned", "html", "number", "pandas", "plain"]

#: Colours of the surroundings, so that it reads on a light and on a dark page.
_STYLE = (
    "<style scoped>"
    ".pansharp td,.pansharp th{padding:.2em .8em;text-align:right;color:inherit;"
    "border-bottom:1px solid rgba(128,128,128,.35);background:transparent}"
    ".pansharp td:first-child,.pansharp th:first-child{text-align:left}"
    ".pansharp caption{text-align:left;font-weight:bold;color:inherit}"
    ".pansharp ul{opacity:.8;margin:.3em 0 0 1.2em;padding:0}"
    "</style>"
)


def pandas() -> ModuleType:
    """The module, or one line on how to get it."""
    try:
        import pandas
    except ImportError as problem:
        raise OptionError("a frame needs pandas; install it with: pip install pandas") from problem
    module: ModuleType = pandas
    return module


def number(value: float) -> str:
    """A score for people."""
    return f"{value:.4f}" if math.isfinite(value) else f"{value:g}"


def plain(value: object) -> str:
    """A convention for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        # A hyperspectral image has a gain for each of its many bands, mostly the same one.
        items = [plain(item) for item in value]
        return f"{items[0]} (all {len(items)})" if len({*items}) == 1 else " ".join(items)
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return str(value)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns that are aligned by spaces."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def html(
    title: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str] = (),
    *,
    marks: Sequence[Sequence[str]] | None = None,
) -> str:
    """A table; everything is escaped, and `marks` names the element around a cell's text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in headers)
    body = ""
    for index, row in enumerate(rows):
        cells = []
        for column, cell in enumerate(row):
            mark = marks[index][column] if marks else ""
            text = escape(cell)
            cells.append(f"<td><{mark}>{text}</{mark}></td>" if mark else f"<td>{text}</td>")
        body += "<tr>" + "".join(cells) + "</tr>"
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<div class="pansharp">{_STYLE}<table><caption>{escape(title)}</caption>'
        f"<tr>{head}</tr>{body}</table>" + (f"<ul>{listed}</ul>" if listed else "") + "</div>"
    )
