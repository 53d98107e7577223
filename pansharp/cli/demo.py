"""`pansharp demo`: the main job on a small real cube, scored against the truth."""

from __future__ import annotations

import click

from pansharp.cli._output import ProgressDisplay, print_json
from pansharp.cli.options import json_option, verbosity_options

__all__ = ["command"]


@click.command(
    name="demo",
    epilog="""\b
Examples:
  pansharp demo
  pansharp demo -o demo-out --json
""",
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default="pansharp-demo",
    show_default=True,
    help="Folder for the rasters, score cards and the picture; created if need be.",
)
@json_option
@verbosity_options
def command(output: str, as_json: bool) -> None:  # fmt: skip
    """Simulate a PAN/MS pair from a real cube, fuse it, and score the result against the truth.

    Needs the packages of the extra `demo` (tensorly, which carries the cube, and matplotlib);
    downloads nothing.
    """
    from pansharp.cli import _allocator
    from pansharp.demo import describe, run_demo

    _allocator.tune_process()

    with ProgressDisplay() as progress:
        result = run_demo(output, progress=progress)
    if as_json:
        print_json(result)
    else:
        click.echo(describe(result))
