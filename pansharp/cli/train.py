"""`pansharp train`: a network on your own data."""

from __future__ import annotations

import os
from typing import Any

import click

from pansharp.cli import options
from pansharp.cli._output import ProgressDisplay, print_json
from pansharp.errors import PansharpError

__all__ = ["command"]

#: Words that are meant as yes and no in an architecture argument.
_TRUTH = {"true": True, "false": False}


@click.command(
    name="train",
    epilog="""\b
Examples:
  pansharp train -m rescnn --data train_wv3.h5 --validation valid_wv3.h5 -o wv3/
  pansharp train -m ssft-small --data scenes/ --sensor wv2 --preset quick -o wv2/
  pansharp train -m hyfusion-tiny --data cube.tif --guide worldview2 -o cube/ --epochs 50
  pansharp train -o wv3/ --resume
  torchrun --nproc-per-node 4 -m pansharp train -m bugpan --data train_wv3.h5 -o wv3/
""",
)
@click.option("-m", "--model", metavar="NAME", help="Network; see `pansharp models`.")
@click.option(
    "--data",
    metavar="PATH",
    multiple=True,
    help="PanCollection .h5, toolbox .mat, scenes (file, delivery, folder, TOML list) or cubes; "
    "may be repeated.",
)
@click.option(
    "--validation",
    metavar="PATH",
    multiple=True,
    help="What to judge on. [one cell in ten of --data]",
)
@click.option(
    "-o", "--output", metavar="DIR", required=True, help="Folder of the weights and logs."
)
@click.option(
    "--form",
    metavar="published|anchored",
    help="Values over one scale into forward(), or as in adaptation: what MTF-GLP-FS lacks. "
    "[published]",
)
@click.option(
    "--preset",
    metavar="published|quick",
    help="Recipe: the network's published one, or a short one. [published]",
)
@click.option("--epochs", type=options.Whole(), metavar="N", help="Length in epochs.")
@click.option("--steps", type=options.Whole(), metavar="N", help="Length in steps.")
@click.option("--batch", type=options.Whole(), metavar="N", help="Patches a step, all processes.")
@click.option("--patch", type=options.Whole(), metavar="N", help="Side of a patch in PAN pixels.")
@click.option("--rate", type=options.Number(), metavar="X", help="Learning rate (peak).")
@click.option("--seed", type=options.Whole(), metavar="N", help="Seed of everything random. [0]")
@click.option("--device", metavar="auto|cpu|cuda[:N]", help="Where to compute. [auto]")
@click.option("--precision", metavar="float32|bf16|fp16", help="Of the network. [float32]")
@click.option(
    "--workers", type=options.Whole(), metavar="N", help="Threads that prepare patches. [2]"
)
@click.option("--sensor", metavar="NAME", help="Sensor; see `pansharp sensors`.")
@click.option(
    "--scale",
    type=options.Number(),
    metavar="X",
    help="Counts that are 1 to the network. [largest number of the sensor, else from the data]",
)
@click.option(
    "--guide",
    metavar="SENSOR[:pan]",
    help="Whose bands (or PAN) see a cube as its guide. [worldview3]",
)
@click.option(
    "--ratio",
    type=options.Number(),
    metavar="N",
    help="Ratio to simulate from cubes, or that of scenes whose files do not say it. [4]",
)
@click.option("--coregister", metavar="auto|off|DX,DY", help="Shift of scenes. [auto]")
@click.option("--mtf", metavar="auto|table|GAIN", help="MTF gain of scenes and cubes. [auto]")
@click.option("--nodata", type=options.Number(), metavar="N", help="Value without data.")
@click.option(
    "-O",
    "--arch",
    "arch",
    type=options.Setting(),
    metavar="KEY=VALUE",
    multiple=True,
    help="Architecture argument of the network, as in -O width=16.",
)
@click.option("--terms", metavar="TEXT", help="Licence of the data, for the weights' card.")
@click.option(
    "--save-every",
    type=options.Number(),
    metavar="SECONDS",
    help="Time between saved states. [60]",
)
@click.option("--resume", is_flag=True, help="Go on where the run in -o stopped.")
@click.option("--overwrite", is_flag=True, help="Begin anew in a folder that holds a training.")
@options.config_option
@options.json_option
@options.verbosity_options
def command(
    output: str,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    arch: tuple[tuple[str, Any], ...],
    **values: Any,
) -> int:
    """Train a network on a collection and write its weights.

    Writes best.safetensors and last.safetensors with a card of what they are for, log.csv and
    curves.png below -o. A killed run goes on with --resume, to the same weights bit by bit. With
    torchrun several GPUs share every step.
    """
    if not resume and not (values.get("model") and values.get("data")):
        raise click.UsageError("give a network with -m and data with --data, or --resume a run")
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite contradict each other")
    given = {key: value for key, value in values.items() if value not in (None, ())}
    if arch:
        given["arch"] = {key: _plain(value) for key, value in arch}
    from pansharp.training import train

    # Of several processes the first speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    try:
        with ProgressDisplay() as progress:
            result = train(
                output=output,
                resume=resume,
                overwrite=overwrite,
                progress=progress,
                **given,
            )
    except PansharpError:
        if first:
            raise
        return 1
    if not first:
        return 0
    if as_json:
        print_json(result.to_dict())
    else:
        click.echo(result.summary())
    return 0


def _plain(value: object) -> object:
    """Architecture arguments are Python values: yes and no, tuples for lists."""
    if isinstance(value, list):
        return tuple(value)
    return _TRUTH.get(value.lower(), value) if isinstance(value, str) else value
