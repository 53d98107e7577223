"""What the commands print: log lines, progress, tables, JSON."""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
from dataclasses import asdict, is_dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, TextIO

import click

from pansharp.errors import PansharpWarning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.progress import Progress, TaskID

__all__ = [
    "ProgressDisplay",
    "configure_logging",
    "print_json",
    "show_warning",
    "span",
    "table",
]

log = logging.getLogger(__name__)


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is at that moment, so that tests and pagers may replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def configure_logging(verbosity: int) -> None:
    """Show the library's log on stderr: errors (-1), warnings (0), info (1), debug (2)."""
    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(
        max(-1, min(verbosity, 2)), logging.DEBUG
    )
    logger = logging.getLogger("pansharp")
    logger.setLevel(level)
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Replacement of `warnings.showwarning`: ours as one line, those of others with -v only."""
    if issubclass(category, PansharpWarning):
        log.warning("warning: %s", " ".join(str(message).split()))
    else:
        log.info("%s: %s (%s:%d)", category.__name__, message, filename, lineno)


class ProgressDisplay:
    """Progress callback ``(done, total, label)``: a bar on a terminal, else log lines with -v.

    Use it as a context manager; the bar is closed when the block ends, also by an error.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._logged: dict[str, int] = {}

    def __enter__(self) -> ProgressDisplay:
        wanted = logging.getLogger("pansharp").isEnabledFor(logging.WARNING)
        if wanted and sys.stderr.isatty():
            # Late: rich costs a tenth of a second that only a terminal needs.
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, done: float, total: float, label: str) -> None:
        """Take note that `done` of `total` units of the work called `label` are done."""
        if self._bar is not None:
            if label not in self._tasks:
                self._tasks[label] = self._bar.add_task(label, total=total)
            self._bar.update(self._tasks[label], completed=done, total=total)
            return
        tenth = 10 if total <= 0 else int(10 * min(done / total, 1.0))
        if tenth > self._logged.get(label, -1):
            self._logged[label] = tenth
            log.info("%s: %d %%", label, 10 * tenth)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces; on a terminal a table by rich, whose cells wrap.

    Files and pipes get plain lines, one a row.

    Parameters
    ----------
    headers : sequence of str
        Column titles.
    rows : sequence of sequences of str
        Cells, as many per row as there are headers.

    Returns
    -------
    str
        Lines without a final line break.
    """
    if sys.stdout.isatty():
        return _terminal_table(headers, rows)
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers) - 1)]
    lines = []
    for row in [headers, *rows]:
        start = "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
        lines.append((start + row[-1]).rstrip())
    return "\n".join(lines)


def _terminal_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for people: a rule below the titles, colours, wrapped cells."""
    # Late: rich costs a tenth of a second that only a terminal needs.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    last = len(headers) - 1
    for index, header in enumerate(headers):
        # The first column names the row and is never cut; the last one takes what is left.
        grid.add_column(
            Text(header), no_wrap=index == 0, overflow="fold", ratio=index // last or None
        )
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console = Console(width=shutil.get_terminal_size().columns, highlight=False)
    with console.capture() as capture:
        console.print(grid)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(line for line in lines if line)


def span(limits: tuple[float, float | None] | None) -> str:
    """Smallest and largest allowed number as text: ``any``, ``4``, ``2-8``, ``3 or more``."""
    if limits is None:
        return "any"
    low, high = limits
    if high is None:
        return f"{low:g} or more"
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def _plain(value: object) -> object:
    """Reduce `value` to what JSON knows; numbers that are not finite become null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    # NumPy arrays and scalars, without importing NumPy for commands that have none.
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return str(value)


def print_json(document: object) -> None:
    """Print one JSON document on stdout: mappings, sequences, dataclasses; NaN becomes null."""
    click.echo(json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False))
