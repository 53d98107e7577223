"""Results as CSV, Markdown and LaTeX text."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

from pansharp.benchmarking.summary import INDICES, LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.benchmarking.conventions import Conventions
    from pansharp.benchmarking.summary import Cell, Line, Table

__all__ = [
    "COLUMNS",
    "csv_text",
    "failures",
    "markdown_text",
    "preamble",
    "remarks",
    "remarks_of",
    "skipped",
    "tex_text",
]

#: Columns of results.csv.
COLUMNS = (
    *("scene", "method", "protocol", "status", "used"),
    *(name for name, *_ in INDICES),
    *("seconds", "peak_mib", "backprojections"),
    *("sensor", "ratio", "ms_gains", "gains_source", "shift_rows", "shift_cols"),
    *("degradation", "interpolator", "cut", "blocks", "block_size", "windows", "data_range"),
    *("conventions", "bits", "mode", "pansharp", "reason", "notes"),
)


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """One line a scene, method and protocol; empty where something does not apply."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_plain(row.get(name)) for name in COLUMNS])
    return text.getvalue()


def _plain(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, list):
        return " | ".join(str(item) for item in value)
    return value


def preamble(rules: Conventions, version: str, mode: str) -> list[str]:
    """What holds for all tables, one sentence each."""
    source = f" ({rules.reference})" if rules.reference else ""
    lines = [
        f"pansharp {version}; conventions `{rules.name}`, those of {rules.table}{source}.",
        f"SCC {rules.scc}; D_lambda {rules.d_lambda}, D_s {rules.d_s}; blocks of Q2n, D_lambda and "
        "D_s 32 x 32 without overlap; "
        + (
            "nothing is clipped."
            if rules.bits is None
            else f"fused images limited to 0 ... {2**rules.bits}."
        ),
        "Mean over scenes ± standard deviation (N - 1). Best bold, second underlined. Time: making "
        "the product, mean; memory: peak of the process while doing so, largest.",
    ]
    if rules.note:
        lines.append(f"{rules.note[0].upper()}{rules.note[1:]}.")
    if mode == "reference":
        lines.append("Methods computed exactly as the toolboxes do (reference mode).")
    return lines


def failures(rows: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each method that gave no scores on a scene."""
    return [
        f"{row['method']} on {row['scene']} ({row['protocol']}): {row['reason']}"
        for row in rows
        if row["status"] == "failed"
    ]


def skipped(rows: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each method that is not made for a scene and was not asked for by name."""
    found = {
        (row["method"], row["scene"]): row["reason"] for row in rows if row["status"] == "skipped"
    }
    return [f"{method} on {scene}: {reason}" for (method, scene), reason in found.items()]


def remarks(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Notes of all rows, each once, with how many rows have it."""
    counts: dict[str, int] = {}
    for row in rows:
        for note in row.get("notes", []):
            counts[note] = counts.get(note, 0) + 1
    return [f"{note} ({count} of {len(rows)} rows)" for note, count in counts.items()]


def _uneven(table: Table) -> list[str]:
    """What a reader must know before comparing the methods of a table."""
    lines = []
    short = [f"{line.method} {line.n} of {line.of}" for line in table.lines if line.n < line.of]
    if short:
        lines.append(f"Not ranked, as scenes are missing: {', '.join(short)}.")
    passes = {line.backprojections for line in table.lines}
    if len(passes) > 1:
        lines.append(
            "The methods have different numbers of back-projections (column bp); --backproject N "
            "gives all the same."
        )
    return lines


def remarks_of(table: Table) -> list[str]:
    """Rules of scoring and warnings, one sentence each."""
    return [*(f"{rule[0].upper()}{rule[1:]}." for rule in table.rules), *_uneven(table)]


def _heads(table: Table) -> list[str]:
    heads = ["method", "n", *(LABELS[name] for name in table.indices)]
    return [*heads, "bp", "time (s)", "memory (MiB)"]


def _tail(line: Line) -> list[str]:
    return [line.backprojections, f"{line.seconds:.2f}", f"{line.peak_mib:.0f}"]


def _pipe(text: str) -> str:
    return text.replace("|", "\\|")


def markdown_text(
    tables: Sequence[Table], rows: Sequence[dict[str, Any]], head: Sequence[str]
) -> str:
    """The tables in Markdown: best in bold, second underlined (HTML `u`)."""

    def cell(item: Cell | None) -> str:
        if item is None:
            return ""
        value = {1: f"**{item.text}**", 2: f"<u>{item.text}</u>"}.get(item.rank, item.text)
        return f"{value} ± {item.spread}" if item.spread else value

    lines = ["# Benchmark", "", *(f"- {text}" for text in head), ""]
    for table in tables:
        heads = _heads(table)
        lines += [f"## {table.title}", "", *(f"- {text}" for text in remarks_of(table)), ""]
        lines += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
        for line in table.lines:
            cells = [cell(line.cells.get(name)) for name in table.indices]
            row = [_pipe(line.method), str(line.n), *cells, *_tail(line)]
            lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    lines += _list("Failed", failures(rows)) + _list("Skipped", skipped(rows))
    lines += _list("Notes", remarks(rows))
    return "\n".join(lines).rstrip() + "\n"


def _list(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "`": "",
}
_TEX_HEADS = {
    "d_lambda": r"$D_\lambda$",
    "d_s": r"$D_S$",
    "d_lambda_k": r"$D_\lambda^K$",
    "q2n": r"$Q2^n$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def tex_text(tables: Sequence[Table], head: Sequence[str]) -> str:
    """The tables in LaTeX (package booktabs): best in bold, second underlined."""

    def cell(item: Cell | None) -> str:
        if item is None:
            return "--"
        if math.isinf(item.mean):
            return r"$\infty$"
        form = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(item.rank, "%s")
        spread = f" $\\pm$ {item.spread}" if item.spread else ""
        return form % item.text + spread

    lines = ["% Needs \\usepackage{booktabs}.", *(f"% {text}" for text in head)]
    for table in tables:
        names = [_TEX_HEADS.get(name, _tex(LABELS[name])) for name in table.indices]
        heads = ["Method", "$n$", *names, "Time (s)", "Memory (MiB)"]
        lines += [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_tex(table.title + '. ' + ' '.join(remarks_of(table)))}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            "\\toprule",
            " & ".join(heads) + r" \\",
            "\\midrule",
        ]
        for line in table.lines:
            cells = [cell(line.cells.get(name)) for name in table.indices]
            row = [_tex(line.method), str(line.n), *cells, *_tail(line)[1:]]
            lines.append(" & ".join(row) + r" \\")
        lines += ["\\bottomrule", "\\end{tabular}", "\\end{table}", ""]
    return "\n".join(lines)
