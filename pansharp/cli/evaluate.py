"""`pansharp evaluate`: score a product, or fuse and score."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pansharp.cli import _allocator, options
from pansharp.cli._output import ProgressDisplay, print_json
from pansharp.errors import GridMismatchError, OptionError
from pansharp.registry import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pansharp.evaluation import Report
    from pansharp.source import RasterSource, Source

__all__ = ["command"]

_PROTOCOLS = ("reduced", "full")


class _Validity:
    """Where all of several rasters of one size are valid, as an array (y, x) read on demand."""

    def __init__(self, sources: list[RasterSource]) -> None:
        self._sources = sources
        self.shape = (sources[0].height, sources[0].width)
        self.ndim = 2

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        import numpy as np

        return np.dtype(bool)

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[np.bool_]:
        import numpy as np

        from pansharp.geometry.grids import Window

        (row, row_end, _), (col, col_end, _) = (
            part.indices(size) for part, size in zip(key, self.shape, strict=True)
        )
        window = Window(row, col, row_end - row, col_end - col)
        valid = np.ones(window.shape, dtype=bool)
        for source in self._sources:
            mask = source.valid(window)
            if mask is not None:
                valid &= mask
        return valid


def _mask(*sources: RasterSource) -> _Validity | None:
    """Validity of all, or None when none of them can have invalid pixels."""
    doubtful = [source for source in sources if source.may_be_invalid]
    return _Validity(doubtful) if doubtful else None


def _size(source: Source) -> str:
    return f"{source.bands} bands of {source.height} x {source.width}"


def _with_reference(
    reference: str,
    fused: str,
    ratio: float | None,
    nodata: float | None,
    data_range: float | None,
) -> Report:
    from pansharp.evaluation import evaluate
    from pansharp.source import SourceView

    truth, product = _open(reference, nodata), _open(fused, nodata)
    if (truth.bands, truth.height, truth.width) != (product.bands, product.height, product.width):
        raise GridMismatchError(
            f"the reference '{reference}' has {_size(truth)} pixels and '{fused}' has "
            f"{_size(product)}; cut or reorder one of them so that they agree"
        )
    return evaluate(
        reference=SourceView(truth),
        fused=SourceView(product),
        ratio=4 if ratio is None else ratio,
        mask=_mask(truth, product),
        data_range=data_range,
    )


def _without_reference(
    fused: str,
    pan: str,
    ms: str | list[str],
    ratio: float | None,
    sensor: str | None,
    nodata: float | None,
) -> Report:
    from pansharp.evaluation import evaluate
    from pansharp.source import SourceView, StackSource

    product, guide = _open(fused, nodata), _open(pan, nodata)
    low = StackSource([_open(name, nodata) for name in ms]) if len(ms) > 1 else _open(ms[0], nodata)
    if (guide.height, guide.width) != (product.height, product.width):
        raise GridMismatchError(
            f"'{fused}' has {_size(product)} pixels and the PAN '{pan}' {guide.height} x "
            f"{guide.width}; give the PAN on the product's grid"
        )
    if low.bands != product.bands:
        raise GridMismatchError(
            f"'{fused}' has {product.bands} bands and the MS {low.bands}; give the same bands"
        )
    found = product.height / low.height
    whole = round(found)
    if (low.height * whole, low.width * whole) != (product.height, product.width):
        raise GridMismatchError(
            f"'{fused}' is {product.height} x {product.width} and the MS {low.height} x "
            f"{low.width}: no whole ratio; use `pansharp evaluate SCENE -m MODEL --protocol full`"
        )
    if ratio is not None and ratio != whole:
        raise OptionError(f"--ratio is {ratio:g}, but the files have the ratio {whole}")
    return evaluate(
        fused=SourceView(product),
        pan=SourceView(guide),
        ms=SourceView(low),
        ratio=whole,
        sensor=sensor,
        mask=_mask(product, guide),
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
  pansharp evaluate --reference truth.tif --fused fused.tif --ratio 4
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
        report = _of_scene(scene, values, protocol)
    elif scene is not None or protocol is not None:
        raise click.UsageError("--fused goes with --reference, or with --pan and --ms")
    elif reference is not None:
        report = _with_reference(
            reference, fused, values["ratio"], values["nodata"], _range(data_range, values)
        )
    elif values["pan"] and values["ms"]:
        report = _without_reference(
            fused, values["pan"], values["ms"], values["ratio"], values["sensor"], values["nodata"]
        )
    else:
        raise click.UsageError("--fused needs --reference, or --pan and --ms")
    if as_json:
        print_json(json.loads(report.to_json()))
    else:
        click.echo(str(report))
