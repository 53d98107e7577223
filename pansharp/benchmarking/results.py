"""What a benchmark found: rows, tables of means, and files."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pansharp.benchmarking.html import html_tables, html_text
from pansharp.benchmarking.summary import LABELS, summarize
from pansharp.benchmarking.tables import (
    COLUMNS,
    csv_text,
    failures,
    markdown_text,
    preamble,
    remarks_of,
    skipped,
    tex_text,
)
from pansharp.errors import WriteError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from pansharp.benchmarking.conventions import Conventions
    from pansharp.benchmarking.summary import Cell, Table

__all__ = ["Benchmark"]


@dataclass(frozen=True)
class Benchmark:
    """Scores of several methods on several scenes.

    Parameters
    ----------
    rows : tuple of dict
        One a scene, method and protocol; keys as in docs/benchmark.md.
    conventions : Conventions
        How they were scored.
    mode : str
        Arithmetic of the classical methods.
    output : Path or None
        Folder of the files.
    """

    rows: tuple[dict[str, Any], ...]
    conventions: Conventions
    mode: str = "default"
    output: Path | None = None

    @cached_property
    def tables(self) -> list[Table]:
        """Means over the scenes, one table a protocol."""
        return summarize(self.rows)

    @property
    def failures(self) -> list[str]:
        """One line for each method that gave no scores on a scene."""
        return failures(self.rows)

    @property
    def skipped(self) -> list[str]:
        """One line for each method, not asked for by name, that is not made for a scene."""
        return skipped(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """One row a scene, method and protocol, with the columns of ``results.csv``."""
        import pandas as pd

        return pd.DataFrame([{key: row.get(key) for key in COLUMNS} for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """Everything in JSON types; numbers that are not finite become None."""
        return {
            "output": None if self.output is None else str(self.output),
            "conventions": asdict(self.conventions),
            "mode": self.mode,
            "tables": {table.protocol: _table(table) for table in self.tables},
            "rows": [{key: _finite(value) for key, value in row.items()} for row in self.rows],
            "failures": self.failures,
            "skipped": self.skipped,
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """JSON text of :meth:`to_dict`."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def write(self, folder: Path) -> list[Path]:
        """Write ``results.csv``, ``.md``, ``.html`` and ``.tex``, each at once or not at all.

        Raises
        ------
        WriteError
            A file cannot be written.
        """
        head = self._head()
        texts = {
            "results.csv": csv_text(self.rows),
            "results.md": markdown_text(self.tables, self.rows, head),
            "results.html": html_text(self.tables, self.rows, head),
            "results.tex": tex_text(self.tables, head),
        }
        paths = []
        for name, text in texts.items():
            target = folder / name
            part = folder / f"{name}.part{os.getpid()}"
            try:
                part.write_text(text, encoding="utf-8")
                os.replace(part, target)
            except OSError as problem:
                raise WriteError(f"cannot write '{target}': {problem.strerror}") from problem
            finally:
                part.unlink(missing_ok=True)
            paths.append(target)
        return paths

    def _head(self) -> list[str]:
        from pansharp import __version__

        return preamble(self.conventions, __version__, self.mode)

    def __str__(self) -> str:
        return "\n\n".join(_text(table) for table in self.tables)

    def _repr_html_(self) -> str:
        return html_tables(self.tables)


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(table: Table) -> dict[str, Any]:
    return {
        "rules": list(table.rules),
        "methods": [
            {
                "method": line.method,
                "n": line.n,
                "scenes": line.of,
                "seconds": line.seconds,
                "peak_mib": line.peak_mib,
                "backprojections": line.backprojections,
                "indices": {name: _cell(cell) for name, cell in line.cells.items()},
            }
            for line in table.lines
        ],
    }


def _cell(cell: Cell) -> dict[str, object]:
    rank = {1: "best", 2: "second"}.get(cell.rank)
    return {"mean": _finite(cell.mean), "sd": _finite(cell.sd), "n": cell.n, "rank": rank}


def _text(table: Table) -> str:
    """A table for terminals: best with a star, second with a plus."""
    heads = ["method", "n", *(LABELS[name] for name in table.indices), "time (s)", "MiB"]
    body = [
        [
            line.method,
            str(line.n),
            *(_mark(line.cells.get(name)) for name in table.indices),
            f"{line.seconds:.2f}",
            f"{line.peak_mib:.0f}",
        ]
        for line in table.lines
    ]
    widths = [max(len(row[i]) for row in [heads, *body]) for i in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *body]
    ]
    return "\n".join([f"{table.title} (* best, + second)", *lines, *remarks_of(table)])


def _mark(cell: Cell | None) -> str:
    return "" if cell is None else cell.text + {1: "*", 2: "+"}.get(cell.rank, "")
