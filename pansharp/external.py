"""Products of other programs as yardsticks: GDAL's weighted Brovey."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pansharp.engine import FromSource
from pansharp.errors import BandMismatchError, ModelError
from pansharp.source import RasterSource, StackSource, ThinnedSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.options import FuseOptions
    from pansharp.outcome import Outcome
    from pansharp.scene import Scene
    from pansharp.source import Source

__all__ = ["check_options", "gdal_brovey", "score"]

_NAME = "gdal-brovey"


def gdal_brovey(scene: Scene, weights: Sequence[float] | None = None) -> FromSource:
    """GDAL's weighted Brovey on a scene, as a fuser.

    GDAL reads, interpolates (cubic, a = -0.5) and multiplies by itself; only the alignment of the
    two images and the window come from the scene. Where GDAL sees nodata in a pixel that the scene
    calls valid (one band holds the nodata value, the others do not), the pixel is filled from its
    neighbours.

    Source: GDAL's ``VRTPansharpenedDataset``, algorithm ``WeightedBrovey``.

    Parameters
    ----------
    scene : Scene
        Of raster files: one PAN band, MS bands in one or more files.
    weights : sequence of float, optional
        Intensity weights, one a band, used as they are; default 1 / bands each.

    Returns
    -------
    FromSource
        Fuser with halo 0; counts (band, y, x) float32, rounded by GDAL to the type of the MS.

    Raises
    ------
    ModelError
        The scene holds arrays, or images that are resampled while they are read.
    BandMismatchError
        Several PAN bands, or weights that are not one a band.
    OptionError
        Weights that are negative or sum to 0.
    """
    pan, ms = scene.pan_source, scene.ms_source
    if not isinstance(pan, RasterSource):
        raise ModelError(_refusal(scene, "PAN", pan))
    if pan.bands != 1:
        raise BandMismatchError(
            f"{_NAME} needs one PAN band, {pan.label} has {pan.bands}; choose another model"
        )
    members = ms.sources if isinstance(ms, StackSource) else (ms,)
    for member in members:
        if not isinstance(member, RasterSource):
            raise ModelError(_refusal(scene, "MS", member))
    assert isinstance(ms, RasterSource | StackSource)
    from pansharp.source.pansharpened import PansharpenedSource

    return FromSource(
        PansharpenedSource(pan, ms, scene.alignment, weights=weights, nodata=scene.nodata)
    )


def _refusal(scene: Scene, role: str, source: Source) -> str:
    if isinstance(source, ThinnedSource):
        return (
            f"{_NAME} reads files as they are, but {source.label} holds every pixel "
            f"{source.step} x {source.step} times; give --ratio {scene.ratio / source.step:.6g} to "
            "fuse it so, or use model 'wbrovey'"
        )
    if scene.ortho is not None or scene.radiometry is not None:
        what = "orthorectified" if scene.ortho is not None else "calibrated"
        label = getattr(source, "label", role)
        return (
            f"{_NAME} reads files as they are, but {label} is {what} while it is read; use "
            "model 'wbrovey', or --ortho none and --radiometry dn"
        )
    path = getattr(source, "path", None)
    if path is None:
        return (
            f"{_NAME} reads files, but the {role} of scene '{scene.name}' is an array; write it to "
            "a GeoTIFF first, or use model 'wbrovey'"
        )
    return (
        f"{_NAME} cannot take '{path}', which is resampled to the grid of the PAN while it is "
        "read; warp it with gdalwarp first, or use model 'wbrovey'"
    )


def check_options(options: FuseOptions) -> None:
    """Refuse options that an external program cannot follow.

    Raises
    ------
    ModelError
        Adaptation or back-projection was asked for.
    """
    if options.adapt == "always":
        raise ModelError(f"'{_NAME}' is not a network: there is nothing to adapt; drop --adapt")
    if options.backproject not in ("auto", "0"):
        raise ModelError(
            f"'{_NAME}' is made by GDAL alone: --backproject {options.backproject} does not apply; "
            "drop it"
        )


def score(outcome: Outcome) -> Outcome:
    """Add what can be known of an external product: its full-resolution indices.

    Parameters
    ----------
    outcome : Outcome
        With the scene and an external fuser.

    Returns
    -------
    Outcome
        The same, with `full`, a warning that reduced-resolution scores are missing, and timings.
    """
    from pansharp.adaptation.fullscale import full_scores, full_windows
    from pansharp.models.classical.interpolate import Exp

    begin = time.perf_counter()
    windows = full_windows(outcome.scene)
    if windows:
        products = {
            "model": outcome.fuser,
            "exp": Exp(),
        }
        outcome.full = full_scores(outcome.scene, products, windows, outcome.facts)
    outcome.warn(
        f"'{outcome.used}' is computed by GDAL from the files: it cannot be run at reduced "
        "resolution, so the card has no reduced scores and no verdict"
    )
    outcome.timings["scoring"] = time.perf_counter() - begin
    return outcome
