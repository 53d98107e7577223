"""Results as one self-contained HTML page, light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pansharp.benchmarking.summary import INDICES, LABELS
from pansharp.benchmarking.tables import failures, remarks, remarks_of, skipped
from pansharp.report.pages import Cell, Section, fragment, page
from pansharp.report.pages import Table as HtmlTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.benchmarking.summary import Cell as Mean
    from pansharp.benchmarking.summary import Table

__all__ = ["html_tables", "html_text"]


def _cell(item: Mean | None) -> Cell:
    if item is None:
        return Cell("")
    return Cell(item.text, small=f"± {item.spread}" if item.spread else "", rank=item.rank)


def _means(table: Table) -> Section:
    """A table of means with its rules."""
    heads = ["method", "n", *(LABELS[name] for name in table.indices)]
    rows: list[list[Cell | str]] = [
        [
            line.method,
            str(line.n),
            *(_cell(line.cells.get(name)) for name in table.indices),
            line.backprojections,
            f"{line.seconds:.2f}",
            f"{line.peak_mib:.0f}",
        ]
        for line in table.lines
    ]
    whole = HtmlTable([*heads, "bp", "time (s)", "memory (MiB)"], rows)
    return Section(table.title, remarks_of(table), whole)


def html_tables(tables: Sequence[Table]) -> str:
    """The tables of means alone, as notebooks show them."""
    return fragment([_means(table) for table in tables])


def _scenes(rows: Sequence[dict[str, Any]]) -> Section:
    """Every row, folded away."""
    done = [row for row in rows if row["status"] == "ok"]
    present = [name for name, *_ in INDICES if any(name in row for row in done)]
    decimals = {name: places for name, _, places in INDICES}
    body = [
        [
            *(str(row[key]) for key in ("scene", "method", "protocol")),
            *(f"{row[name]:.{decimals[name]}f}" if name in row else "" for name in present),
            f"{row['seconds']:.2f}",
            f"{row['peak_mib']:.0f}",
        ]
        for row in done
    ]
    heads = ["scene", "method", "protocol", *(LABELS[name] for name in present)]
    table = HtmlTable([*heads, "time (s)", "memory (MiB)"], body)
    return Section("Every scene", table=table, folded=True)


def html_text(tables: Sequence[Table], rows: Sequence[dict[str, Any]], head: Sequence[str]) -> str:
    """The whole page; it loads nothing from elsewhere."""
    more = {"Failed": failures(rows), "Skipped": skipped(rows), "Notes": remarks(rows)}
    return page(
        "Benchmark",
        lead=head,
        sections=[
            *(_means(table) for table in tables),
            _scenes(rows),
            *(Section(title, texts) for title, texts in more.items() if texts),
        ],
    )
