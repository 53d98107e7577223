"""`pansharp benchmark`: many methods on many scenes."""

from __future__ import annotations

from typing import Any

import click

from pansharp.cli import options
from pansharp.cli._output import ProgressDisplay, print_json
from pansharp.errors import PansharpError

__all__ = ["command"]

_SOME_FAILED = 3


@click.command(
    name="benchmark",
    epilog="""\b
Examples:
  pansharp benchmark scenes/ -o results/                        all classical methods
  pansharp benchmark a.tif b.tif -m gsa -m mtf-glp-fs --sensor wv3 -o results/
  pansharp benchmark test_wv3_multiExm1.h5 --conventions pancollection -o results/
  pansharp benchmark scenes/ -m exp -m gsa -m rescnn -o results/
""",
)
@click.argument("scenes", nargs=-1, metavar="SCENE...")
@click.option("-o", "--output", metavar="DIR", required=True, help="Folder of the tables.")
@click.option(
    "--protocol",
    metavar="both|reduced|full",
    default="both",
    help="With a truth one scale below, without any at full resolution, or both. [both]",
)
@click.option(
    "--conventions",
    metavar="NAME",
    default="toolbox2021",
    help="Rules of scoring: toolbox2021, dlpan2022, pancollection, toolbox2015, paper-qnr, plain. "
    "[toolbox2021]",
)
@click.option(
    "--cut",
    type=options.Whole(),
    metavar="N",
    help="Border left out at reduced resolution. [that of the conventions: 21]",
)
@click.option(
    "--bits",
    type=options.Whole(),
    metavar="N",
    help="Limit products to 0 ... 2^N; range of PSNR and SSIM. [no limit, the sensor's range]",
)
@click.option(
    "--mode",
    metavar="default|reference",
    default="default",
    help="Classical methods exactly as the toolboxes compute them. [default]",
)
@click.option("--overwrite", is_flag=True, help="Begin anew instead of going on.")
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    multiple=True,
    help="Method, repeated for several; see `pansharp models`. [all classical ones]",
)
@options.run_options
@options.scene_options
@options.config_option
@options.json_option
@options.verbosity_options
def command(scenes: tuple[str, ...], as_json: bool, model: tuple[str, ...], **values: Any) -> int:
    """Run methods on scenes and write tables of their scores, time and memory.

    SCENE is a file, a folder (every scene in it), or a research set (.h5, .mat: every item); or
    give --pan and --ms. Without -m: all classical methods. Writes results.csv, .md, .html and .tex
    below -o, and goes on where an earlier run stopped. Exit code 3: some methods failed.
    """
    if not scenes and not any(values.get(key) for key in ("pan", "ms", "hsi", "msi")):
        raise click.UsageError("give SCENE arguments, or the files with --pan and --ms")
    given = {key: value for key, value in values.items() if value not in (None, ())}
    if "ms" in given and len(given["ms"]) == 1:
        given["ms"] = given["ms"][0]
    from pansharp.benchmarking import benchmark

    with ProgressDisplay() as progress:
        found = benchmark(scenes, model, progress=progress, **given)
    if as_json and found.tables:
        print_json(found.to_dict())
    elif found.tables:
        click.echo(str(found))
        click.echo(str(found.output))
    if not found.tables:
        raise PansharpError(
            f"no method gave scores on any scene; {[*found.failures, *found.skipped][0]}"
        )
    for line in found.failures:
        click.echo(f"failed: {line}", err=True)
    return _SOME_FAILED if found.failures else 0
