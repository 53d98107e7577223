"""`pansharp doctor`: whether this installation is fit to fuse."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pansharp.cli._output import ProgressDisplay, print_json
from pansharp.cli.options import json_option, verbosity_options

if TYPE_CHECKING:
    from pansharp.doctor import Examination

__all__ = ["command"]

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "broken": ("BROKEN", "bold red")}
#: Without a terminal there is no width to keep to: a log or an issue wants whole lines.
_WIDE = 10_000


def _print(found: Examination) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("state", "name", "value"):
        table.add_column(title, no_wrap=title != "value", overflow="fold")
    group = ""
    for finding in found.findings:
        if finding.group != group:
            if group:
                table.add_row()
            group = finding.group
            table.add_row("", Text(group, style="bold"), "")
        word, style = _MARKS[finding.state]
        value = Text(finding.value)
        if finding.advice:
            value.append(f" -> {finding.advice}", style="cyan")
        table.add_row(Text(word, style=style), Text(finding.name), value)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


@click.command(
    name="doctor",
    epilog="""\b
Examples:
  pansharp doctor
  pansharp doctor --json > doctor.json       what to put into a bug report
  pansharp doctor --no-self-test
""",
)
@click.option(
    "--self-test/--no-self-test", "self_test", default=True, show_default=True,
    help="Fuse a small generated scene, write and read the products (under 20 s).",
)  # fmt: skip
@json_option
@verbosity_options
def command(self_test: bool, as_json: bool) -> int:
    """Check the installation: what is there, what is missing, and whether a fusion works.

    'note' marks what is optional, with the command that adds it. Exit code 1, and one line on
    stderr, when something is broken.
    """
    from pansharp.doctor import examine

    with ProgressDisplay() as progress:
        found = examine(self_test=self_test, progress=progress)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
        if not found.broken:
            click.echo(f"\n{found.summary()}")
    if found.broken:
        click.echo(f"error: {found.summary()}", err=True)
        return 1
    return 0
