"""Any two rasters that GDAL reads: one high-resolution, one with the bands."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import (
    AlignmentWarning,
    BandMismatchError,
    GridMismatchError,
    NodataWarning,
    PansharpWarning,
)
from pansharp.geometry.grids import Window
from pansharp.readers import _metadata as metadata
from pansharp.readers._base import readers
from pansharp.readers._grids import (
    MIN_RATIO,
    Grid,
    covered,
    overlap,
    place,
    same_crs,
    warp_grid,
)
from pansharp.readers._preflight import check_complete, check_not_empty, has_fill
from pansharp.readers._repeated import thin
from pansharp.readers._siblings import find_pair
from pansharp.scene import MS_MARGIN, Scene
from pansharp.source import (
    UNSET,
    RasterSource,
    ScreenedSource,
    StackSource,
    WarpedSource,
    empty_bands,
)
from pansharp.source.base import as_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.geometry.grids import Alignment
    from pansharp.sensors import SensorProfile
    from pansharp.source import BaseSource, Unset

__all__ = ["PairReader", "open_pair"]

log = logging.getLogger(__name__)

#: Coordinate system lent to two grids that have none, so that the warper can turn one.
_FLAT = "EPSG:3857"


class PairReader:
    """Finds the partner of a PAN or MS file, or the one pair of a folder."""

    summary = "PAN and MS rasters of any GDAL format, found by name or by their grids"

    def matches(self, path: str) -> float:
        """Half sure of every file or folder: special readers come first."""
        return 0.1 if Path(path).exists() or "://" in path or path.startswith("/vsi") else 0.0

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open the pair that a file or folder belongs to (errors: :func:`open_pair`)."""
        pair = find_pair(path)
        return open_pair(
            pair.pan, pair.ms, guide=pair.guide, sensor=sensor, nodata=nodata, ratio=ratio
        )


readers.register("pair")(PairReader())


def open_pair(
    pan: str,
    ms: Sequence[str],
    *,
    guide: bool = False,
    cube: bool = False,
    sensor: SensorProfile | None = None,
    nodata: float | None = None,
    ratio: float | None = None,
) -> Scene:
    """Open two rasters as a scene, after checking that they can be fused.

    Parameters
    ----------
    pan : str
        High-resolution file.
    ms : sequence of str
        Low-resolution file, or several files of one grid whose bands are stacked.
    guide : bool
        Whether the high-resolution file may have several bands (an MSI).
    cube : bool
        Whether the low-resolution files are hyperspectral: bands that hold no data anywhere or
        that the file flags as bad are set aside (:class:`pansharp.source.ScreenedSource`).
    sensor : SensorProfile, optional
        Sensor; default: what tags and file names say for certain.
    nodata : float, optional
        Value of pixels without data in both, instead of the files' own.
    ratio : float, optional
        MS pixel size over PAN pixel size, instead of what the grids say. The first corner of
        the MS stays where the files put it, and repeated pixels are not thinned out.

    Returns
    -------
    Scene
        Cut to the PAN pixels at least half of which lie on the MS.

    Raises
    ------
    ReaderError
        When a file is missing, is no raster, or is incomplete.
    BandMismatchError
        When the PAN has several bands and `guide` is False.
    GridMismatchError
        When the grids do not fit, do not overlap, or look swapped.
    SceneError
        When an image holds no data.
    """
    value: float | Unset = UNSET if nodata is None else nodata
    high = RasterSource(pan, nodata=value)
    low = [RasterSource(path, nodata=value) for path in ms]
    for source in (high, *low):
        check_complete(source)
    high, low, notes_of_fill = _declare_fill(high, low)
    if notes_of_fill:
        value = 0.0
    pan_grid = Grid.of(high.dataset())
    grids = [Grid.of(source.dataset()) for source in low]
    _check_stack(grids)
    if not guide:
        _check_pan_bands(high, low)
    alignment, notes = place(pan_grid, grids[0], ratio)
    if ratio is not None:
        notes += (f"ratio {ratio:g} as given, whatever the files say",)
    ms_source: BaseSource = StackSource(low) if len(low) > 1 else low[0]
    if alignment is None:
        warped, alignment, note = _warped(pan_grid, grids[0], low, value, ratio)
        ms_source = StackSource(warped) if len(warped) > 1 else warped[0]
        notes += (note,)
    elif ratio is None:
        ms_source, alignment, found = thin(ms_source, alignment)
        notes += () if found is None else (found,)
    notes += notes_of_fill
    _check_ratio(alignment, pan_grid, grids[0])
    if cube:
        ms_source, aside = _screened(low, ms_source)
        notes += aside
    check_not_empty(high, "PAN")
    check_not_empty(ms_source, "MS")
    files = {"pan": (pan,), "ms": tuple(ms)}
    scene = _describe(high, low, ms_source, alignment, files, sensor)
    crs = pan_grid.crs or grids[0].crs
    return _finish(scene, notes, pan_grid, None if crs is None else str(crs.to_wkt()))


def _declare_fill(
    high: RasterSource, low: list[RasterSource]
) -> tuple[RasterSource, list[RasterSource], tuple[str, ...]]:
    """Take squares of 0 in an image without nodata value for what they are."""
    empty = [name for name, group in (("PAN", [high]), ("MS", low)) if all(map(has_fill, group))]
    if not empty:
        return high, low, ()
    if "PAN" in empty:
        high = RasterSource(high.path, nodata=0)
    if "MS" in empty:
        low = [RasterSource(source.path, nodata=0) for source in low]
    note = (
        f"parts of the {' and the '.join(empty)} hold 0 in every band without declaring it: "
        "0 is taken as nodata there"
    )
    return high, low, (note,)


def _screened(
    low: Sequence[RasterSource], source: BaseSource
) -> tuple[ScreenedSource, tuple[str, ...]]:
    """Set the bands aside that hold nothing or are flagged as bad."""
    stack: BaseSource = StackSource(low) if len(low) > 1 else low[0]
    empty = set(empty_bands(stack))
    flagged: set[int] = set()
    start = 0
    for part in low:
        flagged |= {start + i for i in metadata.flagged_bands(part.dataset()) if i < part.bands}
        start += part.bands
    notes = []
    for bands, why in ((empty, "hold no data anywhere"), (flagged - empty, "are flagged as bad")):
        if bands:
            numbers = ", ".join(str(band + 1) for band in sorted(bands))
            notes.append(
                f"{len(bands)} bands of the hyperspectral image {why} and are set aside: {numbers}"
            )
    return ScreenedSource(source, sorted(empty | flagged)), tuple(notes)


def _check_stack(grids: Sequence[Grid]) -> None:
    first = grids[0]
    for other in grids[1:]:
        same = other.shape == first.shape and all(
            abs(p - q) <= 1e-6 * max(first.pixel, 1e-12)
            for p, q in zip(other.transform, first.transform, strict=True)
        )
        if first.crs is not None and other.crs is not None:
            same = same and same_crs(first.crs, other.crs)
        if not same:
            raise GridMismatchError(
                f"'{other.label}' ({other.shape[0]} x {other.shape[1]} pixels of {other.pixel:g}) "
                f"and '{first.label}' ({first.shape[0]} x {first.shape[1]} pixels of "
                f"{first.pixel:g}) do not share one grid; stack only bands that do"
            )


def _check_pan_bands(high: RasterSource, low: Sequence[RasterSource]) -> None:
    if high.bands == 1:
        return
    swapped = " (maybe PAN and MS are swapped)" if sum(s.bands for s in low) == 1 else ""
    raise BandMismatchError(
        f"The PAN image '{high.path}' has {high.bands} bands{swapped}; "
        "give a one-band image with --pan FILE, or a multispectral guide with --msi FILE"
    )


def _check_ratio(alignment: Alignment, pan: Grid, ms: Grid) -> None:
    smallest = min(alignment.y.scale, alignment.x.scale)
    if smallest >= MIN_RATIO:
        return
    if smallest <= 1 / MIN_RATIO:
        raise GridMismatchError(
            f"'{ms.label}' has finer pixels than '{pan.label}' (ratio {smallest:.3g}); "
            "they look swapped, exchange --pan and --ms"
        )
    raise GridMismatchError(
        f"pixels of '{ms.label}' are {smallest:.3g} times those of '{pan.label}', fusing needs "
        f"{MIN_RATIO} at least; give the MS before it was resampled, or --ratio"
    )


def _warped(
    pan: Grid,
    ms: Grid,
    low: Sequence[RasterSource],
    nodata: float | Unset,
    ratio: float | None,
) -> tuple[list[WarpedSource], Alignment, str]:
    """The MS on a grid parallel to the PAN's, resampled while it is read."""
    transform, shape, alignment = warp_grid(pan, ms, ratio)
    _check_ratio(alignment, pan, ms)
    crs = pan.crs or ms.crs
    target = _FLAT if crs is None else str(crs.to_wkt())
    sources = [
        WarpedSource(
            source.path,
            crs=target,
            transform=transform,
            shape=shape,
            nodata=nodata,
            file_crs=target if ms.crs is None else None,
        )
        for source in low
    ]
    turned = pan.crs is None or ms.crs is None or same_crs(pan.crs, ms.crs)
    why = "its grid is turned against the PAN's" if turned else "its coordinate system differs"
    note = (
        f"MS resampled (cubic) to {shape[0]} x {shape[1]} pixels of {alignment.ratio:.6g} PAN "
        f"pixels, because {why}"
    )
    return sources, alignment, note


def _describe(
    high: RasterSource,
    low: Sequence[RasterSource],
    ms_source: BaseSource,
    alignment: Alignment,
    files: dict[str, tuple[str, ...]],
    sensor: SensorProfile | None,
) -> Scene:
    """Scene of whole images, with the metadata of the MS files."""
    opened = [source.dataset() for source in low]
    single = len(low) > 1 and all(source.bands == 1 for source in low)
    names = metadata.unique_names(ms_source.band_names)
    if single and not names:
        names = metadata.stack_names(files["ms"])
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
        name=_name(files),
        files=files,
        acquired=metadata.acquisition(everything),
        tags={str(k): str(v) for k, v in opened[0].tags().items()},
        wavelengths=tuple(v for part in waves for v in part) if all(waves) else (),
        widths=tuple(v for part in wide for v in part) if all(wide) else (),
        guide_wavelengths=metadata.wavelengths(high.dataset(), guide),
        guide_widths=metadata.widths(high.dataset(), guide),
    )


def _name(files: dict[str, tuple[str, ...]]) -> str:
    """File name without the word for PAN; the folder's name where nothing else is left."""
    path = Path(files["pan"][0])
    parts = [word for word in path.stem.replace("-", "_").split("_") if word]
    kept = [word for word in parts if word.lower() not in ("pan", "panchromatic")]
    if any(not word.isdigit() for word in kept):
        return "_".join(kept)
    return "_".join([path.resolve().parent.name or path.stem, *kept])


def _finish(scene: Scene, notes: tuple[str, ...], pan: Grid, crs: str | None) -> Scene:
    """Cut to common ground, and say what the user should know."""
    from dataclasses import replace

    high, low = scene.pan_source, scene.ms_source
    pan_shape, ms_shape = (high.height, high.width), (low.height, low.width)
    share = overlap(scene.alignment, pan_shape, ms_shape)
    window = covered(scene.alignment, pan_shape, ms_shape)
    names = f"'{scene.files['pan'][0]}' and '{scene.files['ms'][0]}'"
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
        warnings.warn(text, kind, stacklevel=5)
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
