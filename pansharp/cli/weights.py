"""`pansharp weights`: list, inspect and import files of trained weights."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from pansharp.cli._output import print_json, table
from pansharp.cli.options import Number, Setting, json_option, verbosity_options
from pansharp.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from pansharp.weights import FoundWeights, WeightsCard

__all__ = ["command"]

log = logging.getLogger(__name__)

#: Entries up to which a list is shown whole.
_MANY = 12
_SWITCHES = {"true": True, "false": False}


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _wavelengths(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in _split(text))
    except ValueError:
        raise OptionError(
            f"--wavelengths is '{text}'; give nanometres, as in 480,545,660,830"
        ) from None


def _text(value: object) -> str:
    """A value of the card for people."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        if len(value) > _MANY:
            return f"{_text(value[:3])}, ..., {_text(value[-1])} ({len(value)})"
        # Sentences hold commas.
        return ("; " if any(" " in str(entry) for entry in value) else ", ").join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _details(path: Path, card: WeightsCard, count: int, values: int) -> str:
    rows = [
        ("file", str(path)),
        ("id", f"{card.id} (digest checked)"),
        ("tensors", f"{count} with {values} values, {path.stat().st_size} bytes"),
    ]
    for key, value in card.to_dict().items():
        name = key.replace("_", " ")
        parts = value.items() if isinstance(value, dict) else [("", value)]
        rows += [(f"{name} {part}".rstrip(), _text(v)) for part, v in parts if v not in ("", None)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows if text)


def _row(found: FoundWeights) -> tuple[str, ...]:
    card = found.card
    if card is None:
        return found.name, found.where, *("-",) * 6, f"BROKEN: {found.problem}"
    return (
        found.name,
        found.where,
        card.network,
        card.form,
        str(card.ms_bands),
        f"{card.ratio:g}",
        card.sensor or "-",
        card.id,
        card.terms or "not stated",
    )


def _document(found: FoundWeights) -> dict[str, object]:
    card = found.card
    return {
        "name": found.name,
        "path": found.path,
        "where": found.where,
        "digest": None if card is None else card.digest,
        "card": None if card is None else card.to_dict(),
        "problem": found.problem or None,
    }


@click.group(
    name="weights",
    epilog="""\b
Examples:
  pansharp weights list --json
  pansharp weights inspect last.safetensors
  pansharp weights import bugpan_wv3.pth -m bugpan -o bugpan-wv3.safetensors --sensor wv3
""",
)
@verbosity_options
def command() -> None:
    """List, inspect and import files of trained weights."""


@command.command(
    name="list",
    epilog="""\b
Examples:
  pansharp weights list
  pansharp weights list --json
""",
)
@json_option
@verbosity_options
def list_command(as_json: bool) -> None:
    """List the weights that come with the package and those in the cache folder.

    All files are read and their digests checked; a broken one is listed as such. The cache folder
    is $PANSHARP_CACHE/weights, or below the platform's own cache folder. Nothing is downloaded.
    """
    from pansharp.weights import cache_folder, list_weights

    found = list_weights()
    if as_json:
        print_json([_document(entry) for entry in found])
        return
    headers = ("name", "from", "network", "form", "bands", "ratio", "sensor", "id", "terms")
    click.echo(table(headers, [_row(entry) for entry in found]))
    if not found:
        log.warning("no weights are installed; put files into %s", cache_folder())


@command.command(
    name="inspect",
    epilog="""\b
Examples:
  pansharp weights inspect last.safetensors
  pansharp weights inspect rescnn-wv3 --json
""",
)
@click.argument("file", metavar="FILE|NAME")
@json_option
@verbosity_options
def inspect_command(file: str, as_json: bool) -> None:
    """Check a weights file and show its card."""
    import math

    from pansharp.weights import find_weights, verify

    path = find_weights(file)
    content = verify(path)
    if as_json:
        tensors = {
            name: {"dtype": kind, "shape": shape} for name, (kind, shape) in content.shapes.items()
        }
        card = content.card
        document = {"path": path, "digest": card.digest, "id": card.id, "card": card.to_dict()}
        print_json({**document, "bytes": len(content.blob), "tensors": tensors})
        return
    values = sum(math.prod(shape) for _, shape in content.shapes.values())
    click.echo(_details(path, content.card, len(content.shapes), values))


@command.command(
    name="import",
    epilog="""\b
Examples:
  pansharp weights import bugpan_wv3.pth -m bugpan -o bugpan-wv3.safetensors --sensor wv3
  pansharp weights import cy.pth -m cyformer -o cy.safetensors --ratio 4 --value-scale 1 --task hsi
""",
)
@click.argument("checkpoint")
@click.option("-m", "--model", metavar="NETWORK", required=True, help="Network it is for.")
@click.option("-o", "--output", metavar="FILE", required=True, help="The new .safetensors.")
@click.option("--sensor", metavar="NAME", help="Sensor it was trained on.")
@click.option(
    "--bands", metavar="NAMES",
    help="Names of the bands in the network's order: blue,green,red,nir. [the sensor's]",
)  # fmt: skip
@click.option(
    "--wavelengths", metavar="LIST", help="Their centres in nanometres. [the sensor's]"
)  # fmt: skip
@click.option("--ratio", type=Number(), metavar="N", help="Its ratio. [the sensor's]")
@click.option(
    "--value-scale", type=Number(), metavar="N",
    help="What its training divided images by. [the sensor's largest count]",
)  # fmt: skip
@click.option(
    "--task", metavar="pan|hsi", help="What it fuses. [pan if the guide has one band, else hsi]"
)
@click.option("--data", metavar="TEXT", help="What it was trained on.")
@click.option("--terms", metavar="TEXT", help="Licence of the weights and their data.")
@click.option("--entry", metavar="KEY", help="Where the state dict is, if the file holds several.")
@click.option(
    "-O", "--arch", type=Setting(), metavar="KEY=VALUE", multiple=True,
    help="Architecture argument that the tensors do not tell, as in -O niter=2.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@json_option
@verbosity_options
def import_command(checkpoint: str, model: str, output: str, as_json: bool, **values: Any) -> None:
    """Make a weights file of the authors' CHECKPOINT (.pth, .pt, .safetensors).

    Nothing that the checkpoint holds is run. It must fit the network tensor by tensor, and what
    tensors do not tell must be given: ratio and value scale, or the sensor that has them.
    """
    pairs = values.pop("arch")
    arch = {key: _SWITCHES.get(str(value).lower(), value) for key, value in pairs}
    names = _split(values.pop("bands"))
    waves = _wavelengths(values.pop("wavelengths"))
    from pansharp.weights.checkpoint import import_checkpoint

    given = {key: value for key, value in values.items() if value is not None}
    done = import_checkpoint(
        checkpoint, output, model, band_names=names, wavelengths_nm=waves, arch=arch, **given
    )
    for note in done.notes:
        log.warning("note: %s", note)
    if as_json:
        print_json(
            {
                "path": done.path,
                "digest": done.card.digest,
                "card": done.card.to_dict(),
                "notes": done.notes,
            }
        )
    else:
        click.echo(f"{done.path}: {done.card.network}, id {done.card.id}")
