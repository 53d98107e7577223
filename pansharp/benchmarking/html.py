"""Results as one self-contained HTML page, light and dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from pansharp.benchmarking.summary import INDICES, LABELS
from pansharp.benchmarking.tables import failures, remarks, remarks_of, skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pansharp.benchmarking.summary import Cell, Table

__all__ = ["html_tables", "html_text"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2228; --soft: #5d6670; --line: #d5dae0;
  --ground: #ffffff; --stripe: #f5f7f9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --soft: #9aa4af; --line: #39414a;
  --ground: #15191d; --stripe: #1c2126; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
ul { color: var(--soft); padding-left: 1.2rem; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
tbody tr:nth-child(even) { background: var(--stripe); }
small { color: var(--soft); } summary { cursor: pointer; margin: 1rem 0 .5rem; }
"""


def _items(texts: Iterable[str]) -> str:
    inside = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{inside}</ul>" if inside else ""


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _grid(heads: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rows = "".join(_row("td", cells) for cells in body)
    return (
        f'<div class="wide"><table><thead>{_row("th", heads)}</thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(item: Cell | None) -> str:
    if item is None:
        return ""
    value = {1: f"<b>{item.text}</b>", 2: f"<u>{item.text}</u>"}.get(item.rank, item.text)
    return f"{value} <small>± {item.spread}</small>" if item.spread else value


def html_tables(tables: Sequence[Table]) -> str:
    """The tables of means alone, as notebooks show them."""
    parts = []
    for table in tables:
        heads = ["method", "n", *(escape(LABELS[name]) for name in table.indices)]
        body = [
            [
                escape(line.method),
                str(line.n),
                *(_cell(line.cells.get(name)) for name in table.indices),
                line.backprojections,
                f"{line.seconds:.2f}",
                f"{line.peak_mib:.0f}",
            ]
            for line in table.lines
        ]
        parts.append(
            f"<h2>{escape(table.title)}</h2>{_items(remarks_of(table))}"
            + _grid([*heads, "bp", "time (s)", "memory (MiB)"], body)
        )
    return "".join(parts)


def _scenes(rows: Sequence[dict[str, Any]]) -> str:
    """Every row, folded away."""
    done = [row for row in rows if row["status"] == "ok"]
    present = [name for name, *_ in INDICES if any(name in row for row in done)]
    decimals = {name: places for name, _, places in INDICES}
    body = [
        [
            *(escape(str(row[key])) for key in ("scene", "method", "protocol")),
            *(f"{row[name]:.{decimals[name]}f}" if name in row else "" for name in present),
            f"{row['seconds']:.2f}",
            f"{row['peak_mib']:.0f}",
        ]
        for row in done
    ]
    heads = ["scene", "method", "protocol", *(escape(LABELS[name]) for name in present)]
    grid = _grid([*heads, "time (s)", "memory (MiB)"], body)
    return f"<details><summary>Every scene</summary>{grid}</details>"


def html_text(tables: Sequence[Table], rows: Sequence[dict[str, Any]], head: Sequence[str]) -> str:
    """The whole page; it loads nothing from elsewhere."""
    more = {"Failed": failures(rows), "Skipped": skipped(rows), "Notes": remarks(rows)}
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Benchmark</title><style>{_STYLE}</style></head><body><h1>Benchmark</h1>",
        _items(head),
        html_tables(tables),
        _scenes(rows),
        *(f"<h2>{title}</h2>{_items(texts)}" for title, texts in more.items() if texts),
        "</body></html>\n",
    ]
    return "".join(parts)
