"""`pansharp evaluate`: score a product, or fuse and score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import click

from pansharp.cli import _allocator, options
from pansharp.cli._output import ProgressDisplay, print_json
from pansharp.errors import GridMismatchError, OptionError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.cli._scored import ScoredFile
    from pansharp.evaluation import Report
    from pansharp.source import RasterSource, Source

__all__ = ["command"]

_PROTOCOLS = ("reduced", "full")
#: Threads unless told otherwise: each works on 180 MiB, and all together should not pass 1 GiB.
_THREADS = 4


def _size(source: Source) -> str:
    return f"{source.bands} bands of {source.height} x {source.width}"


@dataclass(frozen=True)
class _Files:
    """What both forms with files share."""

    fused: str
    ratio: float | None
    sensor: str | None
    nodata: float | None
    block_size: int
    workers: int
    maps: str | None
    overwrite: bool

    def score(self, product: ScoredFile, names: tuple[str, ...], images: dict[str, Any]) -> Report:
        """Score, and write maps if they are wanted."""
        from pansharp.evaluation import evaluate

        known = {**images, "fused": product, "block_size": self.block_size, "workers": self.workers}
        if self.maps is None:
            return evaluate(**known)
        from pansharp.blockmaps import BlockMapFiles

        dataset = cast("RasterSource", product.file).dataset()
        with BlockMapFiles(
            self.maps,
            names,
            product.shape[1:],
            block=self.block_size,
            crs=None if dataset.crs is None else str(dataset.crs.to_wkt()),
            transform=tuple(dataset.transform)[:6],
            overwrite=self.overwrite,
        ) as maps:
            return evaluate(**known, maps=maps)

    def with_reference(self, reference: str, data_range: float | None) -> Report:
        """Compare with a true image."""
        from pansharp.blockmaps import REFERENCE_MAPS
        from pansharp.cli._scored import ScoredFile, validity

        truth, product = _open(reference, self.nodata), _open(self.fused, self.nodata)
        if (truth.bands, truth.height, truth.width) != (
            product.bands,
            product.height,
            product.width,
        ):
            raise GridMismatchError(
                f"the reference '{reference}' has {_size(truth)} pixels and '{self.fused}' has "
                f"{_size(product)}; cut or reorder one of them so that they agree"
            )
        first, second = ScoredFile(truth), ScoredFile(product)
        return self.score(
            second,
            REFERENCE_MAPS,
            {
                "reference": first,
                "ratio": 4 if self.ratio is None else self.ratio,
                "mask": validity(first, second),
                "data_range": data_range,
            },
        )

    def without_reference(self, pan: str, ms: Sequence[str]) -> Report:
        """Compare with the PAN and the MS."""
        from pansharp.blockmaps import FULL_MAPS
        from pansharp.cli._scored import ScoredFile, validity
        from pansharp.source import SourceView, StackSource

        product, guide = _open(self.fused, self.nodata), _open(pan, self.nodata)
        layers = [_open(name, self.nodata) for name in ms]
        low = StackSource(layers) if len(layers) > 1 else layers[0]
        if (guide.height, guide.width) != (product.height, product.width):
            raise GridMismatchError(
                f"'{self.fused}' has {_size(product)} pixels and the PAN '{pan}' {guide.height} x "
                f"{guide.width}; give the PAN on the product's grid"
            )
        if low.bands != product.bands:
            raise GridMismatchError(
                f"'{self.fused}' has {product.bands} bands and the MS {low.bands}; "
                "give the same bands"
            )
        whole = round(product.height / low.height)
        if (low.height * whole, low.width * whole) != (product.height, product.width):
            raise GridMismatchError(
                f"'{self.fused}' is {product.height} x {product.width} and the MS {low.height} x "
                f"{low.width}: no whole ratio; "
                "use `pansharp evaluate SCENE -m MODEL --protocol full`"
            )
        if self.ratio is not None and self.ratio != whole:
            raise OptionError(f"--ratio is {self.ratio:g}, but the files have the ratio {whole}")
        scored, panchromatic = ScoredFile(product), ScoredFile(guide)
        return self.score(
            scored,
            FULL_MAPS,
            {
                "pan": panchromatic,
                "ms": SourceView(low),
                "ratio": whole,
                "sensor": self.sensor,
                "mask": validity(scored, panchromatic),
            },
        )


def _open(path: str, nodata: float | None) -> RasterSource:
    from pansharp.source import UNSET, RasterSource

    return RasterSource(path, nodata=UNSET if nodata is None else nodata)


def _range(given: float | None, values: dict[str, Any]) -> float | None:
    """Largest possible value: as given, else the sensor's; None leaves PSNR and SSIM out."""
    if given is not None or values["sensor"] is None:
        return given
    from pansharp.sensors import get_sensor

    return get_sensor(values["sensor"]).max_dn


def _files(
    fused: str, values: dict[str, Any], block_size: int | None, maps: str | None, overwrite: bool
) -> _Files:
    from pansharp.engine import default_workers

    _allocator.tune_process()
    return _Files(
        fused,
        values["ratio"],
        values["sensor"],
        values["nodata"],
        32 if block_size is None else block_size,
        values["workers"] or min(default_workers(), _THREADS),
        maps,
        overwrite,
    )


def _of_scene(scene: str | None, values: dict[str, Any], protocol: str | None) -> Report:
    if protocol is None:
        raise click.UsageError("give --protocol reduced or --protocol full")
    if protocol.lower() not in _PROTOCOLS:
        raise OptionError(f"--protocol is '{protocol}'; {nearest(protocol, list(_PROTOCOLS))}")
    scene_values, rest = options.split_values(scene, values)
    chosen = options.checked_options(rest)
    _allocator.tune_process()
    opened = options.open_input(scene, scene_values)
    from pansharp.pipeline import evaluate_scene

    with ProgressDisplay() as progress:
        return evaluate_scene(opened, chosen, protocol=protocol.lower(), progress=progress)


@click.command(
    name="evaluate",
    epilog="""\b
Examples:
  pansharp evaluate --reference truth.tif --fused fused.tif --ratio 4 --maps maps/
  pansharp evaluate --fused fused.tif --pan pan.tif --ms ms.tif --sensor wv3
  pansharp evaluate delivery/ -m rescnn --protocol reduced --json
""",
)
@click.argument("scene", required=False)
@click.option("--reference", metavar="FILE", help="The true image, on the product's grid.")
@click.option("--fused", metavar="FILE", help="The product to score.")
@click.option("--protocol", metavar="reduced|full", help="How to score a SCENE.")
@click.option(
    "--data-range",
    type=options.Number(),
    metavar="N",
    help="Largest possible value, for PSNR and SSIM. [that of --sensor]",
)
@click.option(
    "--block-size", type=options.Whole(), metavar="N", help="Side of the blocks, pixels. [32]"
)
@click.option(
    "--maps",
    metavar="DIR",
    help="With --fused: write the scores of all blocks as GeoTIFFs into DIR.",
)
@click.option("--overwrite", is_flag=True, help="Replace maps that exist.")
@options.fuse_options
@options.scene_options
@options.config_option
@options.json_option
@options.verbosity_options
def command(
    scene: str | None,
    reference: str | None,
    fused: str | None,
    protocol: str | None,
    data_range: float | None,
    block_size: int | None,
    maps: str | None,
    overwrite: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Score a product against a reference, or against its PAN and MS, or fuse SCENE and score.

    With --reference and --fused: ERGAS, SAM, Q2n and others. With --fused, --pan and --ms: the
    indices without reference (QNR, HQNR). With SCENE: --protocol reduced fuses at reduced
    resolution, where the MS itself is the reference; --protocol full has no reference.
    """
    if fused is None and reference is not None:
        raise click.UsageError("--reference needs --fused")
    if fused is None:
        if maps is not None:
            raise click.UsageError("--maps goes with --fused")
        report = _of_scene(scene, values, protocol)
    elif scene is not None or protocol is not None:
        raise click.UsageError("--fused goes with --reference, or with --pan and --ms")
    elif reference is not None:
        files = _files(fused, values, block_size, maps, overwrite)
        report = files.with_reference(reference, _range(data_range, values))
    elif values["pan"] and values["ms"]:
        files = _files(fused, values, block_size, maps, overwrite)
        report = files.without_reference(values["pan"], values["ms"])
    else:
        raise click.UsageError("--fused needs --reference, or --pan and --ms")
    if as_json:
        print_json(json.loads(report.to_json()))
    else:
        click.echo(str(report))
