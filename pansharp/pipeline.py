"""The conductor: scene to product, to array, or to report."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.card import build_card, card_path, card_tags, card_text, summary, write_card
from pansharp.engine import CLASSICAL_TILE, default_workers, fuse_array, fuse_tiles, prepare
from pansharp.errors import OptionError
from pansharp.geometry.grids import Alignment, Window
from pansharp.models import create_model, get_spec
from pansharp.models.base import SceneFacts
from pansharp.options import FuseOptions
from pansharp.outcome import Outcome, decide
from pansharp.scene import IDENTITY
from pansharp.source import ScreenedSource
from pansharp.writers import RasterProfile, open_writer, quantize, register_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from pansharp.evaluation import Report
    from pansharp.scene import Scene
    from pansharp.writers.base import Writer
    from pansharp.writers.stream import Stream

__all__ = [
    "FuseOptions",
    "Product",
    "evaluate_scene",
    "fuse",
    "fuse_arrays",
    "fuse_to_file",
    "plain_card",
    "product_block",
    "product_profile",
    "work_tile",
]

#: Statistics of the source are taken from this many row bands and pixels: QGIS and its like only
#: need them for a first stretch.
_STATISTICS_BANDS = 8
_STATISTICS_PIXELS = 1_000_000
#: Samples (pixels times bands) of a work tile: 64 MiB of float32.
_TILE_SAMPLES = 1 << 24


@dataclass(frozen=True)
class Product:
    """A written product.

    Parameters
    ----------
    path : Path
        The raster.
    card : dict
        Its score card.
    card_path : Path or None
        The card's file, None with ``card=False``.
    """

    path: Path
    card: dict[str, object]
    card_path: Path | None

    def summary(self) -> str:
        """The verdict in one line."""
        return summary(self.card)


def fuse_to_file(
    scene: Scene,
    path: str | Path,
    options: FuseOptions | None = None,
    *,
    progress: Callable[[float, float, str], None] | None = None,
) -> Product:
    """Fuse a scene and write product and card; nothing appears unless everything succeeded.

    Parameters
    ----------
    scene : Scene
        From :func:`pansharp.open_scene`.
    path : str or Path
        The product.
    options : FuseOptions, optional
        What to do.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Product

    Raises
    ------
    PansharpError
        The scene does not fit the model, or the product cannot be written.
    """
    options = options or FuseOptions()
    target = Path(path)
    profile = product_profile(scene, options)
    begin = time.perf_counter()
    with open_writer(
        target,
        profile,
        format=options.format,
        compress=options.compress,
        overwrite=options.overwrite,
        block=product_block(profile),
    ) as writer:
        outcome = decide(scene, options, folder=target.parent, progress=progress)
        try:
            started = time.perf_counter()
            _write(outcome, writer, profile, options, progress)
            outcome.timings["writing"] = time.perf_counter() - started
            outcome.timings["total"] = time.perf_counter() - begin
        finally:
            outcome.close()
        card = build_card(outcome) if options.card else plain_card(outcome)
        writer.set_tags(card_tags(card))
        # Before the product appears: a card that cannot be written must not leave it alone.
        text = card_text(card)
    saved = None
    if options.card:
        saved = card_path(target)
        write_card(text, saved)
    return Product(target, card, saved)


def plain_card(outcome: Outcome) -> dict[str, object]:
    """What the tags say of a product that was not scored; no file is digested."""
    from pansharp import __version__

    return {
        "pansharp": __version__,
        "model": {
            "name": outcome.asked,
            "used": outcome.used,
            "backprojections": outcome.passes,
        },
        "verdict": outcome.verdict.word if outcome.verdict else None,
        "reduced": {},
        "full": {},
    }


def product_profile(scene: Scene, options: FuseOptions) -> RasterProfile:
    """What the product of a scene contains, and what its file says of it.

    Raises
    ------
    OptionError
        Physical values would be rounded to whole numbers.
    """
    dtype = str(scene.dtype) if options.dtype == "source" else options.dtype
    if dtype == "float64":
        dtype = "float32"
    if scene.radiometry is not None and np.dtype(dtype).kind != "f":
        raise OptionError(
            f"--dtype {dtype} would round {scene.radiometry.kind} to whole numbers; leave it off"
        )
    count, height, width = scene.shape
    nodata = scene.nodata
    if nodata is not None and np.dtype(dtype).kind != "f":
        info = np.iinfo(dtype)
        if not (float(nodata).is_integer() and info.min <= nodata <= info.max):
            nodata = 0.0
    return RasterProfile(
        height=height,
        width=width,
        count=count,
        dtype=dtype,
        crs=scene.crs,
        transform=None if scene.transform == IDENTITY else scene.transform,
        nodata=nodata,
        band_names=scene.band_names,
        scales=() if set(scene.scales) == {1.0} else scene.scales,
        offsets=() if set(scene.offsets) == {0.0} else scene.offsets,
        colors=_colors(scene.band_names),
        band_tags=_band_tags(scene),
        tags={"PANSHARP_SCENE": scene.name},
    )


def product_block(profile: RasterProfile) -> int:
    """Edge of the file's blocks: a block of all bands must fit a work tile."""
    return 512 if profile.count <= _TILE_SAMPLES // 512**2 else 256


def _colors(names: tuple[str, ...]) -> tuple[str, ...]:
    known = {"blue": "blue", "green": "green", "red": "red", "b": "blue", "g": "green", "r": "red"}
    return tuple(known.get(name.lower(), "undefined") for name in names)


def _band_tags(scene: Scene) -> tuple[dict[str, str], ...]:
    """Statistics of the MS, whose radiometry the product shares, and wavelengths."""
    tags: tuple[dict[str, str], ...] = source_statistics(scene) or ({},) * scene.bands
    if scene.wavelengths:
        wavelengths = [
            {"wavelength": f"{value:g}", "wavelength_units": "nm"} for value in scene.wavelengths
        ]
        tags = tuple({**one, **other} for one, other in zip(tags, wavelengths, strict=True))
    if scene.radiometry is not None:
        told = scene.radiometry.band_tags()
        tags = tuple({**one, **other} for one, other in zip(tags, told, strict=True))
    if scene.widths:
        widths = [{"fwhm": f"{value:g}"} for value in scene.widths]
        tags = tuple({**one, **other} for one, other in zip(tags, widths, strict=True))
    return tags


def source_statistics(scene: Scene) -> tuple[dict[str, str], ...]:
    """GDAL's statistics items of the MS bands, from row bands spread over the image.

    Parameters
    ----------
    scene : Scene
        The scene.

    Returns
    -------
    tuple of dict
        One a band, marked approximate (a sample of the coarser image); empty without data, and
        for bands that are set aside.
    """
    source = scene.ms_source
    aside = source.unusable if isinstance(source, ScreenedSource) else ()
    seen = count = 0
    sums = np.zeros((2, source.bands))
    low, high = np.full(source.bands, np.inf), np.full(source.bands, -np.inf)
    rows = max(1, _STATISTICS_PIXELS // (_STATISTICS_BANDS * source.width))
    step = max(rows, source.height // _STATISTICS_BANDS)
    for row in range(0, source.height, step):
        window = Window(row, 0, min(rows, source.height - row), source.width)
        data = source.read(window)
        valid = source.valid(window, data)
        seen += window.height * window.width
        pixels = data.reshape(source.bands, -1) if valid is None else data[:, valid]
        if not pixels.shape[1]:
            continue
        count += pixels.shape[1]
        low = np.minimum(low, pixels.min(axis=1))
        high = np.maximum(high, pixels.max(axis=1))
        for band, values in enumerate(pixels):
            wide = values.astype(np.float64)
            sums[:, band] += wide.sum(), wide @ wide
    if not count:
        return ()
    mean = sums[0] / count
    spread = np.sqrt(np.maximum(sums[1] / count - mean**2, 0.0))
    share = 100.0 * count / seen
    return tuple(
        {}
        if band in aside
        else {
            "STATISTICS_APPROXIMATE": "YES",
            "STATISTICS_MINIMUM": f"{low[band]:.10g}",
            "STATISTICS_MAXIMUM": f"{high[band]:.10g}",
            "STATISTICS_MEAN": f"{mean[band]:.10g}",
            "STATISTICS_STDDEV": f"{spread[band]:.10g}",
            "STATISTICS_VALID_PERCENT": f"{share:.4g}",
        }
        for band in range(source.bands)
    )


def work_tile(outcome: Outcome, options: FuseOptions, block: int) -> int:
    """Side of the tiles that a product is made in, PAN pixels: a multiple of the file's blocks."""
    # Without context a small tile stays in cache; with it, a large one reads less twice.
    usual = CLASSICAL_TILE if outcome.fuser.halo else block
    # Cubes: a tile of all bands must stay small, whatever their number.
    limit = math.isqrt(_TILE_SAMPLES // outcome.scene.bands)
    return max(block, min(options.tile or usual, limit) // block * block)


def _write(
    outcome: Outcome,
    writer: Writer,
    profile: RasterProfile,
    options: FuseOptions,
    progress: Callable[[float, float, str], None] | None,
) -> None:
    dtype = np.dtype(profile.dtype)
    tile = work_tile(outcome, options, writer.block)

    def finish(
        window: Window, fused: NDArray[np.float32], valid: NDArray[np.bool_] | None
    ) -> object:
        return writer.encode(window, quantize(fused, dtype, valid=valid, nodata=profile.nodata))

    scene = outcome.scene
    rows = -(-scene.shape[1] // tile)
    total = rows * -(-scene.shape[2] // tile)
    stream = fuse_tiles(
        scene, outcome.fuser, finish, tile=tile, workers=options.workers or default_workers()
    )
    # Closed first on an error, so that no worker writes after the writer has cleaned up.
    with closing(stream):
        for done, encoded in enumerate(stream, 1):
            writer.append(encoded)
            if progress:
                progress(done, total, "writing")


def fuse(
    scene: Scene | str | Path,
    model: str = "auto",
    *,
    progress: Callable[[float, float, str], None] | None = None,
    **options: Any,
) -> xr.DataArray:
    """Fuse a scene to a lazy array.

    Global statistics are gathered, and networks fitted and judged, at the call; the pixels are
    computed chunk by chunk when they are read or written.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or what :func:`pansharp.open_scene` takes.
    model : str
        Name of a model.
    progress : callable, optional
        Called with (done, total, label).
    **options
        Fields of :class:`pansharp.options.FuseOptions`.

    Returns
    -------
    xarray.DataArray
        Dims (band, y, x), float32 counts, NaN where there is no data; attributes carry ``crs``,
        ``transform``, ``nodata`` and the score card (``pansharp_card``).
    """
    from pansharp.lazy import lazy_product

    chosen = FuseOptions.checked(model=model, **options)
    if not hasattr(scene, "pan_source"):
        from pansharp.readers import open_scene

        scene = open_scene(scene)
    outcome = decide(scene, chosen, folder=None, progress=progress)  # type: ignore[arg-type]
    card = build_card(outcome) if chosen.card else plain_card(outcome)
    product = lazy_product(outcome, card)
    register_stream(product.data.name, _stream(outcome, card, chosen))
    return product


def _stream(outcome: Outcome, card: dict[str, object], options: FuseOptions) -> Stream:
    """How an untouched lazy product is written: by the tile engine, not by its graph."""

    def stream(fused: xr.DataArray, path: Path, **given: Any) -> None:
        mine = {key: given.pop(key) for key in ("dtype", "workers") if key in given}
        chosen = replace(options, **mine)
        profile = product_profile(outcome.scene, chosen)
        with open_writer(path, profile, block=product_block(profile), **given) as writer:
            _write(outcome, writer, profile, chosen, None)
            writer.set_tags(card_tags(card))

    return stream


def fuse_arrays(
    pan: NDArray[np.generic],
    ms: NDArray[np.generic],
    model: str,
    *,
    ratio: int = 4,
    sensor: str | None = None,
    dtype: str = "float32",
    mode: str = "default",
    **options: Any,
) -> NDArray[np.floating]:
    """Fuse plain arrays in memory with a classical method, on the toolbox's grid.

    MS pixel (i, j) sits on PAN pixel (ratio i + ratio // 2, ratio j + ratio // 2), the convention
    of the MATLAB toolboxes and of all published test sets.

    Parameters
    ----------
    pan : ndarray, shape (y, x) or (1, y, x)
        PAN counts; hyperspectral methods take guides (guide, y, x) of any number of bands.
    ms : ndarray, shape (band, y / ratio, x / ratio)
        MS counts.
    model : str
        Name of a classical method.
    ratio : int
        MS pixel over PAN pixel.
    sensor : str, optional
        Sensor for MTF gains; 0.30 (MS) and 0.15 (PAN) without.
    dtype : {"float32", "float64"}
        Type of the result. Reference mode computes in float64.
    mode : {"default", "reference"}
        ``reference`` equals the toolboxes, circular borders included; ``default`` is what scenes
        get: replicated borders, guarded divisions, float32.
    **options
        Options of the method.

    Returns
    -------
    ndarray, shape (band, y, x)
        Counts, not rounded and not clipped.

    Raises
    ------
    OptionError
        Unknown `dtype` or `mode`.
    ModelError
        Shapes or ratio that do not fit.
    """
    if dtype not in ("float32", "float64"):
        raise OptionError(f"dtype is '{dtype}'; choose float32 or float64")
    if mode not in ("default", "reference"):
        raise OptionError(f"mode is '{mode}'; choose default or reference")
    from pansharp.scene import Scene
    from pansharp.sensors import ASSUMED_MS_GAIN, get_sensor, mtf_gains

    plane = np.asarray(pan)
    plane = plane[0] if plane.ndim == 3 and plane.shape[0] == 1 else plane
    cube = np.asarray(ms)
    hyperspectral = "hsi" in get_spec(model).tasks
    if plane.ndim not in ((2, 3) if hyperspectral else (2,)) or cube.ndim != 3:
        raise OptionError(
            f"pan has shape {np.shape(pan)} and ms {np.shape(ms)}; give (y, x) and (band, y, x)"
        )
    profile = get_sensor(sensor) if sensor else None
    if hyperspectral:
        from pansharp.outcome.cube_fusers import complete

        if mode == "reference":
            raise OptionError(f"'{model}' has no reference mode; leave mode at default")
        scene = Scene.from_arrays(plane, cube, alignment=Alignment.toolbox(ratio))
        facts = SceneFacts(
            scene.alignment, (ASSUMED_MS_GAIN,) * len(cube), 0.15, shape=scene.shape[1:]
        )
        fuser = prepare(create_model(model, **options), scene, facts, workers=1)
        # What a method that was fitted to the scene needs to be whole.
        fuser = complete(facts, fuser, getattr(fuser, "passes", 0))
        return fuse_array(scene, fuser)[0].astype(dtype)
    method = create_model(model, mode=mode, **options)
    if mode == "reference":
        from pansharp.models.classical.reference import fuse_reference

        gains, _ = mtf_gains(profile, None, len(cube))
        pan_gain = profile.pan_gain[0] if profile else 0.15
        facts = SceneFacts(Alignment.toolbox(ratio), gains, pan_gain, profile)
        return fuse_reference(method, plane, cube, facts, ratio).astype(dtype)
    scene = Scene.from_arrays(plane, cube, alignment=Alignment.toolbox(ratio), sensor=profile)
    gains, _ = mtf_gains(profile, None, len(cube))
    facts = SceneFacts(scene.alignment, gains, profile.pan_gain[0] if profile else 0.15, profile)
    fuser = prepare(method, scene, facts, workers=1)
    return fuse_array(scene, fuser)[0].astype(dtype)


def evaluate_scene(
    scene: Scene,
    options: FuseOptions | None = None,
    *,
    protocol: str = "reduced",
    progress: Callable[[float, float, str], None] | None = None,
) -> Report:
    """Fuse a scene and score the result.

    Parameters
    ----------
    scene : Scene
        The scene.
    options : FuseOptions, optional
        Model and its options.
    protocol : {"reduced", "full"}
        ``reduced``: ERGAS, SAM, Q2n on blocks that nothing was fitted to; ``full``: D_lambda, D_s,
        QNR, D_lambda_K, HQNR. Both tell ratio, gains and their source, the rule for the PAN, and
        how far the product, degraded to the MS grid, is from the MS.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Report
    """
    if protocol not in ("reduced", "full"):
        raise OptionError(f"--protocol is '{protocol}'; choose reduced or full")
    from pansharp.evaluation import Report

    outcome = decide(scene, options or FuseOptions(), folder=None, progress=progress)
    try:
        card = build_card(outcome)
    finally:
        outcome.close()
    part = card[protocol]
    assert isinstance(part, dict)
    if protocol == "reduced":
        scores = dict(part.get("model", {}))
        if "rho" in part:
            scores["rho"] = part["rho"]
    else:
        scores = {k: v for k, v in part.items() if isinstance(v, float)}
    return Report(
        scores=scores,
        protocol=protocol,
        sensor=scene.sensor.name if scene.sensor else None,
        conventions=_protocol(scene, protocol, card),
        notes=tuple(outcome.warnings),
    )


def _protocol(scene: Scene, protocol: str, card: dict[str, object]) -> dict[str, object]:
    """What a reader must know to compare these scores with others."""
    conventions = card["conventions"]
    full = card["full"]
    assert isinstance(conventions, dict)
    assert isinstance(full, dict)
    if protocol == "reduced":
        rules = {
            "ms_rule": "blurred by the Gaussian of the MTF gains, sampled on the coarser grid",
            "pan_rule": "shrunk to the MS grid with the antialiased cubic, not with its MTF",
            "reference": "the native MS, on blocks that no adaptation saw",
        }
    else:
        rules = {
            "ms_rule": "interpolated to the PAN grid at true sub-pixel positions",
            "pan_rule": "D_s: shrunk with the antialiased cubic and interpolated again",
        }
    told = {"ratio": scene.ratio, **rules, **conventions}
    if "rmse_to_ms_percent" in full:
        # Wald's first property: the product, degraded, should be the MS.
        told["consistency_rmse_percent"] = full["rmse_to_ms_percent"]
    return told
