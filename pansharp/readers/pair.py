"""Any two rasters that GDAL reads: one high-resolution, one with the bands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pansharp.errors import BandMismatchError, GridMismatchError, UnknownFormatError
from pansharp.readers import _metadata as metadata
from pansharp.readers._base import readers
from pansharp.readers._compose import describe, finish
from pansharp.readers._grids import (
    MIN_RATIO,
    Grid,
    place,
    same_crs,
    warp_grid,
)
from pansharp.readers._preflight import check_complete, check_not_empty, has_fill
from pansharp.readers._repeated import thin
from pansharp.readers._siblings import find_pair
from pansharp.readers._upsampled import own_grid, same_grid, stack_halves
from pansharp.readers._virtual import Image
from pansharp.readers._zarr import in_store, read_raster
from pansharp.source import (
    UNSET,
    RasterSource,
    ScreenedSource,
    StackSource,
    WarpedSource,
    empty_bands,
)
from pansharp.source.zarr import ZarrSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.geometry.grids import Alignment
    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile
    from pansharp.source import BaseSource, Unset

    FileSource: TypeAlias = RasterSource | ZarrSource

__all__ = ["PairReader", "open_pair"]

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
        stack = stack_halves(path) if Path(path).is_file() else None
        if stack is not None:
            if ratio is None:
                raise UnknownFormatError(
                    f"'{path}' is a stack of a PAN and MS bands of one "
                    "size: the MS was upsampled before; give --ratio N, the size of an MS pixel in "
                    "PAN pixels before that"
                )
            scene = open_pair(stack[0], [stack[1]], sensor=sensor, nodata=nodata, ratio=ratio)
            return replace(scene, name=Path(path).stem)
        pair = find_pair(path)
        return open_pair(
            pair.pan, pair.ms, guide=pair.guide, sensor=sensor, nodata=nodata, ratio=ratio
        )


readers.register("pair")(PairReader())


def open_pair(
    pan: str | Image,
    ms: Sequence[str | Image],
    *,
    guide: bool = False,
    cube: bool = False,
    sensor: SensorProfile | None = None,
    nodata: float | None = None,
    ratio: float | None = None,
    fill: float | None = None,
) -> Scene:
    """Open two rasters as a scene, after checking that they can be fused.

    Parameters
    ----------
    pan : str or Image
        High-resolution image.
    ms : sequence of str or Image
        Low-resolution image, or several of one grid whose bands are stacked.
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
        the MS stays where the files put it, and repeated pixels are not thinned out. An MS on
        the very grid of the PAN was upsampled: it is brought back to its own grid.
    fill : float, optional
        Value that pixels without data have by the vendor's rule, where the files declare none.

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
    pan_image, images = Image.of(pan), [Image.of(image) for image in ms]
    high = _source(pan_image, value)
    low = [_source(image, value) for image in images]
    for image, source in zip((pan_image, *images), (high, *low), strict=True):
        for part in image.files if image.virtual else ():
            check_complete(RasterSource(part))
        check_complete(source)
    high, low, fill, notes_of_fill = _declare_fill(high, low, fill)
    if fill is not None:
        value = fill
    pan_grid = Grid.of(high.dataset(), pan_image)
    grids = [Grid.of(s.dataset(), image) for s, image in zip(low, images, strict=True)]
    _check_stack(grids)
    if not guide:
        _check_pan_bands(high, low)
    ms_source: BaseSource = StackSource(low) if len(low) > 1 else low[0]
    alignment: Alignment | None
    if ratio is not None and same_grid(pan_grid, grids[0]):
        ms_source, alignment, notes = own_grid(ms_source, ratio, images[0].name)
    else:
        alignment, notes = place(pan_grid, grids[0], ratio)
    if ratio is not None:
        notes += (f"ratio {ratio:g} as given, whatever the files say",)
    if alignment is None:
        warped, alignment, note = _warped(pan_grid, grids[0], low, value, ratio)
        ms_source = StackSource(warped) if len(warped) > 1 else warped[0]
        notes += (note,)
    elif ratio is None:
        ms_source, alignment, found = thin(ms_source, alignment)
        notes += () if found is None else (found,)
    notes += notes_of_fill
    notes += tuple(n for s in (high, *low) if isinstance(s, ZarrSource) for n in s.raster.notes)
    _check_ratio(alignment, pan_grid, grids[0])
    if cube:
        ms_source, aside = _screened(low, ms_source)
        notes += aside
    check_not_empty(high, "PAN")
    check_not_empty(ms_source, "MS")
    scene = describe(high, low, ms_source, alignment, (pan_image, images), sensor)
    crs = pan_grid.crs or grids[0].crs
    system = None if crs is None else str(crs.to_wkt())
    return finish(scene, notes, pan_grid, system, images[0].name)


def _source(image: Image, nodata: float | Unset) -> FileSource:
    if in_store(image.source):
        return ZarrSource(read_raster(image.source), nodata=nodata)
    return RasterSource(image.source, nodata=nodata, label=image.label)


def _renewed(source: FileSource, nodata: float) -> FileSource:
    if isinstance(source, ZarrSource):
        return ZarrSource(source.raster, nodata=nodata)
    return RasterSource(source.path, nodata=nodata, label=source.label)


def _declare_fill(
    high: FileSource, low: list[FileSource], fill: float | None
) -> tuple[FileSource, list[FileSource], float | None, tuple[str, ...]]:
    """Give a nodata value to images that declare none and hold fill; also return it."""
    groups = {"PAN": [high], "MS": low}
    if fill is None:
        empty = [name for name, group in groups.items() if all(map(has_fill, group))]
        value, why = 0.0, "parts of the {} hold 0 in every band without declaring it: 0 is taken"
    else:
        bare = [name for name, group in groups.items() if all(s.nodata is None for s in group)]
        empty, value, why = bare, fill, f"{fill:g} is taken in the {{}} by the vendor's rule"
    if not empty:
        return high, low, None, ()
    if "PAN" in empty:
        high = _renewed(high, value)
    if "MS" in empty:
        low = [_renewed(source, value) for source in low]
    note = f"{why.format(' and the '.join(empty))} as nodata"
    return high, low, value, (f"{note} there" if fill is None else note,)


def _screened(
    low: Sequence[FileSource], source: BaseSource
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


def _check_pan_bands(high: FileSource, low: Sequence[FileSource]) -> None:
    if high.bands == 1:
        return
    swapped = " (maybe PAN and MS are swapped)" if sum(s.bands for s in low) == 1 else ""
    raise BandMismatchError(
        f"The PAN image {high.label} has {high.bands} bands{swapped}; "
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
    low: Sequence[FileSource],
    nodata: float | Unset,
    ratio: float | None,
) -> tuple[list[WarpedSource], Alignment, str]:
    """The MS on a grid parallel to the PAN's, resampled while it is read."""
    transform, shape, alignment = warp_grid(pan, ms, ratio)
    _check_ratio(alignment, pan, ms)
    crs = pan.crs or ms.crs
    target = _FLAT if crs is None else str(crs.to_wkt())
    stores = [source.label for source in low if isinstance(source, ZarrSource)]
    if stores:
        raise GridMismatchError(
            f"the Zarr raster {stores[0]} lies in another coordinate system than '{pan.label}', or "
            "turned against it, and Zarr rasters are not resampled; write it as a GeoTIFF, or "
            "on the other's system"
        )
    sources = [
        WarpedSource(
            source.path,
            crs=target,
            transform=transform,
            shape=shape,
            nodata=nodata,
            file_crs=target if ms.crs is None else None,
            label=source.label,
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
