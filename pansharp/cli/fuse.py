"""`pansharp fuse`: one scene to one product."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pansharp.cli import _allocator, options
from pansharp.cli._output import ProgressDisplay, print_json
from pansharp.errors import OptionError, WriteError

if TYPE_CHECKING:
    from pansharp.pipeline import FuseOptions
    from pansharp.scene import Scene

__all__ = ["command"]

_SUFFIXES = {"zarr": ".zarr"}


def output_path(scene: Scene, output: str | None, chosen: FuseOptions) -> Path:
    """Where the product goes: `output`, or ``<scene>_<model>`` in that folder or in this one.

    Raises
    ------
    WriteError
        If the folder does not exist or the product already does, before any work is done.
    """
    target = Path(output) if output is not None else Path()
    if target.is_dir() and target.suffix.lower() != ".zarr":
        target /= f"{scene.name}_{chosen.model}{_SUFFIXES.get(chosen.format, '.tif')}"
    if not target.parent.is_dir():
        raise WriteError(f"the folder '{target.parent}' does not exist; create it or change -o")
    if target.exists() and not chosen.overwrite:
        raise WriteError(f"'{target}' exists already; pass --overwrite to replace it")
    return target


def _format(output: str | None, given: str | None) -> str | None:
    """The container: as given, else by the ending of the output."""
    zarr = output is not None and output.lower().endswith(".zarr")
    if given is None:
        return "zarr" if zarr else None
    if zarr and given.lower() != "zarr":
        raise OptionError(f"--format {given} does not fit the ending of '{output}'; drop one")
    return given


def _picture(quicklook: str | None, product: Path, chosen: FuseOptions) -> Path | None:
    """Where the picture goes, checked before any work; None without one."""
    if quicklook is None:
        return None
    from pansharp.quicklook import check_target

    if product.suffix.lower() == ".zarr":
        raise OptionError("--quicklook reads the product again, which Zarr does not offer; drop it")
    target = quicklook or product.with_name(f"{product.stem}.quicklook.png")
    return check_target(target, overwrite=chosen.overwrite)


@click.command(
    name="fuse",
    epilog="""\b
Examples:
  pansharp fuse 012345678910_01_P001_MUL/ -m rescnn -o fused.tif
  pansharp fuse --pan pan.tif --ms ms.tif -m mtf-glp-fs
  pansharp fuse --pan b8.tif --ms b2.tif --ms b3.tif --ms b4.tif --format zarr
""",
)
@click.argument("scene", required=False)
@click.option("-o", "--output", metavar="OUT", help="Product. [<scene>_<model>.tif here]")
@options.quicklook_option
@options.fuse_options
@options.scene_options
@options.output_options
@options.config_option
@options.json_option
@options.verbosity_options
def command(
    scene: str | None, output: str | None, quicklook: str | None, as_json: bool, **values: Any
) -> None:
    """Fuse SCENE and write the product with its score card beside it.

    SCENE is a PAN, an MS, or a delivery folder; or give --pan and --ms. Prints the path of the
    product and the verdict: how the method did on blocks that it had not seen.
    """
    quicklook, scene = options.picture_target(quicklook, scene)
    scene_values, rest = options.split_values(scene, values)
    rest["format"] = _format(output, rest["format"])
    chosen = options.checked_options(rest)
    opened = options.open_input(scene, scene_values)
    target = output_path(opened, output, chosen)
    picture = _picture(quicklook, target, chosen)
    _allocator.tune_process()
    from pansharp.pipeline import fuse_to_file

    with ProgressDisplay() as progress:
        product = fuse_to_file(opened, target, chosen, progress=progress)
    if picture is not None:
        from pansharp.quicklook import write_quicklook

        write_quicklook(opened, picture, product.path, overwrite=chosen.overwrite)
    if as_json:
        look = {} if picture is None else {"quicklook": str(picture)}
        print_json({"product": str(product.path), **look, **product.card})
    else:
        click.echo(str(product.path))
        if picture is not None:
            click.echo(str(picture))
        click.echo(product.summary())
