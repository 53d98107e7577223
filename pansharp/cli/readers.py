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
    from pansharp.readers import list_readers

    found = list_readers()
    if as_json:
        print_json(found)
        return
    click.echo(table(("name", "reads"), [(str(item), "") for item in found]))
