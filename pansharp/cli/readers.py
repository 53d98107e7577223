"""`pansharp readers`: what can be opened."""

from __future__ import annotations

import click

from pansharp.cli._output import print_json, table
from pansharp.cli.options import json_option, verbosity_options

__all__ = ["command"]


@click.command(
    name="readers",
    epilog="""\b
Examples:
  pansharp readers
  pansharp readers --json
""",
)
@json_option
@verbosity_options
def command(as_json: bool) -> None:
    """List the formats that can be read."""
    from pansharp.readers import list_readers, readers

    found = [(name, readers.get(name).summary) for name in list_readers()]
    if as_json:
        print_json([{"name": name, "summary": summary} for name, summary in found])
    else:
        click.echo(table(("name", "reads"), found))
