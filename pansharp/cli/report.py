"""`pansharp report`: the HTML page of a product."""

from __future__ import annotations

from typing import Any

import click

from pansharp.cli import _allocator, options
from pansharp.cli._output import ProgressDisplay, print_json

__all__ = ["command"]


@click.command(
    name="report",
    epilog="""\b
Examples:
  pansharp report fused.tif
  pansharp report fused.tif delivery/ -o fused.html
  pansharp report fused.tif --pan pan.tif --ms ms.tif --classical brovey
""",
)
@click.argument("product")
@click.argument("scene", required=False)
@click.option("-o", "--output", metavar="OUT.html", help="The page. [<product>.report.html]")
@click.option(
    "--classical",
    metavar="NAME|FILE",
    help="Compare with this method or file. [the best classical one of the card]",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing page.")
@options.scene_options
@options.json_option
@options.verbosity_options
def command(
    product: str,
    scene: str | None,
    output: str | None,
    classical: str | None,
    overwrite: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Write one HTML file about PRODUCT: pictures, verdict, spectra, maps, provenance.

    The page loads nothing from elsewhere and can be sent by mail. The files of the scene are found
    through the card when they lie beside the product or in the working folder; else give SCENE (a
    delivery), or --pan and --ms.
    """
    given = {key: value for key, value in values.items() if value not in (None, ())}
    if "ms" in given:
        files = list(given["ms"])
        given["ms"] = files[0] if len(files) == 1 else files
    _allocator.tune_process()
    from pansharp.report import product_report

    with ProgressDisplay() as progress:
        path = product_report(
            product,
            output,
            scene=scene,
            classical=classical,
            overwrite=overwrite,
            progress=progress,
            **given,
        )
    if as_json:
        print_json({"report": str(path)})
    else:
        click.echo(str(path))
