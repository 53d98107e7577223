"""The scene of a checked pair: metadata of its files, cut to common ground."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import AlignmentWarning, GridMismatchError, NodataWarning, PansharpWarning
from pansharp.geometry.grids import Window
from pansharp.readers import _metadata as metadata
from pansharp.readers._grids import covered, overlap
from pansharp.scene import MS_MARGIN, Scene
from pansharp.source.base import as_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.geometry.grids import Alignment
    from pansharp.readers._grids import Grid
    from pansharp.readers._virtual import Image
    from pansharp.sensors import SensorProfile
    from pansharp.source import BaseSource, RasterSource
    from pansharp.source.zarr import ZarrSource

__all__ = ["describe", "finish"]

log = logging.getLogger("pansharp.readers.pair")


def describe(
    high: RasterSource | ZarrSource,
    low: Sequence[RasterSource | ZarrSource],
    ms_source: BaseSource,
    alignment: Alignment,
    images: tuple[Image, Sequence[Image]],
    sensor: SensorProfile | None,
) -> Scene:
    """Scene of whole images (PAN, MS), with the metadata of the MS files."""
    pan_image, ms_images = images
    files = {
        "pan": pan_image.files,
        "ms": tuple(file for image in ms_images for file in image.files),
    }
    opened = [source.dataset() for source in low]
    single = len(low) > 1 and all(source.bands == 1 for source in low)
    names = metadata.unique_names(ms_source.band_names)
    if single and not names:
        names = metadata.stack_names([image.name for image in ms_images])
    indexes = [range(1, source.bands + 1) for source in low]
    waves = [metadata.wavelengths(d, i) for d, i in zip(opened, indexes, strict=True)]
    wide = [metadata.widths(d, i) for d, i in zip(opened, indexes, strict=True)]
    guide = range(1, high.bands + 1)
    paths = [path for group in files.values() for path in group]
    everything = [*opened, high.dataset()]
    return Scene(
        pan_source=high,
        ms_source=ms_source,
        alignment=alignment,
        sensor=sensor or metadata.sniff_sensor(everything, paths, ms_source.bands),
        band_names=names,
        scales=tuple(
            float(d.scales[i - 1]) for d, r in zip(opened, indexes, strict=True) for i in r
        ),
        offsets=tuple(
            float(d.offsets[i - 1]) for d, r in zip(opened, indexes, strict=True) for i in r
        ),
        name=_name(pan_image.name),
        files=files,
        acquired=metadata.acquisition(everything),
        tags={str(k): str(v) for k, v in opened[0].tags().items()},
        wavelengths=tuple(v for part in waves for v in part) if all(waves) else (),
        widths=tuple(v for part in wide for v in part) if all(wide) else (),
        guide_wavelengths=metadata.wavelengths(high.dataset(), guide),
        guide_widths=metadata.widths(high.dataset(), guide),
    )


def _name(pan: str) -> str:
    """File name without the word for PAN; the folder's name where nothing else is left."""
    path = Path(pan)
    parts = [word for word in path.stem.replace("-", "_").split("_") if word]
    kept = [word for word in parts if word.lower() not in ("pan", "panchromatic")]
    if any(not word.isdigit() for word in kept):
        return "_".join(kept)
    return "_".join([path.resolve().parent.name or path.stem, *kept])


def finish(
    scene: Scene, notes: tuple[str, ...], pan: Grid, crs: str | None, ms_label: str
) -> Scene:
    """Cut to common ground, and say what the user should know."""
    high, low = scene.pan_source, scene.ms_source
    pan_shape, ms_shape = (high.height, high.width), (low.height, low.width)
    share = overlap(scene.alignment, pan_shape, ms_shape)
    window = covered(scene.alignment, pan_shape, ms_shape)
    names = f"'{pan.label}' and '{ms_label}'"
    if 0 in window.shape or share <= 0:
        raise GridMismatchError(
            f"{names} overlap in 0 % of the MS area; check that both belong to the same acquisition"
        )
    found: list[tuple[str, type[Warning]]] = []
    if share < 0.5:
        text = f"{names} overlap in {100 * share:.3g} % of the MS area only"
        found.append((text, AlignmentWarning))
    whole = round(scene.ratio)
    if abs(scene.ratio - whole) > 0.01 * whole:
        text = f"the ratio of pixel sizes is {scene.ratio:.4g}, not whole; the true grids are used"
        found.append((text, AlignmentWarning))
    if low.dtype.itemsize == 1 and high.dtype.itemsize > 1:
        text = (
            f"the MS is 8-bit and the PAN {high.dtype.itemsize * 8}-bit: it looks stretched for "
            "display, results are for viewing only"
        )
        found.append((text, PansharpWarning))
    stored = low.nodata if low.nodata is not None else high.nodata
    if stored is not None and low.dtype.kind in "iu" and as_dtype(stored, low.dtype) is None:
        text = f"nodata value {stored:g} does not exist in {low.dtype} and is left off"
        found.append((text, NodataWarning))
        stored = None
    for text, kind in found:
        warnings.warn(text, kind, stacklevel=6)
    if window.shape != pan_shape:
        notes += (
            f"product cut from {pan_shape[0]} x {pan_shape[1]} to {window.height} x "
            f"{window.width} PAN pixels (from row {window.row}, column {window.col}): the MS "
            "covers no more",
        )
    everything = Window(0, 0, *ms_shape)
    below = scene.alignment.ms_window(window, MS_MARGIN)
    if below.intersect(everything) != everything:
        notes += (f"only the part of the {ms_shape[0]} x {ms_shape[1]} MS below the PAN is used",)
    notes += tuple(text for text, _ in found)
    scene = replace(scene, transform=pan.transform, crs=crs, nodata=stored, notes=notes)
    log.info(
        "PAN=%s MS=%s sensor=%s ratio=%.6g",
        *(",".join(scene.files[role]) for role in ("pan", "ms")),
        scene.sensor.name if scene.sensor else "unknown",
        scene.ratio,
    )
    return scene.crop(window)
