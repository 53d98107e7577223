"""Whether a scene is orthorectified by its RPC, and with which cameras and heights."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import (
    AlignmentWarning,
    GridMismatchError,
    MissingSidecarError,
    OptionError,
    ReaderError,
)
from pansharp.geometry.grids import Alignment
from pansharp.geometry.ortho import (
    GEOGRAPHIC,
    HeightSource,
    Ortho,
    RpcImage,
    gdal_errors,
    nested_grid,
)
from pansharp.readers._preflight import check_not_empty
from pansharp.readers._rpc import IN_SENSOR_GEOMETRY, LAID_BY_RPC, LAID_BY_SIZE, misfit, ms_on_pan
from pansharp.registry import nearest
from pansharp.scratch import holder
from pansharp.source import (
    RasterSource,
    ScreenedSource,
    StackSource,
    Warp,
    WarpedSource,
    open_raster,
    orthorectified,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pansharp.scene import Scene
    from pansharp.source import Source

__all__ = ["ORTHO", "orthorectify"]

ORTHO = ("auto", "rpc", "none")
#: Heights that the ground has, metres.
_LOWEST, _HIGHEST = -1000.0, 10_000.0
#: Families whose PAN and MS leave one ground system with cameras modelled apart.
_MODELLED_APART = ("gaofen",)
#: MS pixels within which the two cameras must agree for the one to stand for the other.
_AGREE = 0.5
#: Pixels along a side at which the range of a height model is looked up.
_LOOKUPS = 512
#: Share of its range by which the height model may go beyond what was looked up.
_BEYOND = 0.05


#: Beginnings of notes on how raw images were cut to each other.
_OF_THE_CUT = (
    *("product cut from", "only the part of the", "no georeference: took"),
    "MS resampled (cubic) to",
)


@dataclass(frozen=True)
class _Side:
    """One image of the scene: its whole file, and what places it."""

    role: str
    label: str
    shape: tuple[int, int]
    rpc: Mapping[str, str] | None
    placed: bool

    @property
    def image(self) -> RpcImage:
        assert self.rpc is not None
        return RpcImage(self.rpc, self.shape, self.label)


def orthorectify(
    scene: Scene,
    *,
    ortho: str = "auto",
    dem: str | os.PathLike[str] | None = None,
    height: float | None = None,
    ratio: float | None = None,
) -> Scene:
    """Project both images of a scene to nested map grids by their RPC, where that is wanted.

    Parameters
    ----------
    scene : Scene
        As its reader opened it; whole, or cut.
    ortho : {"auto", "rpc", "none"}
        ``auto``: where an image has RPC and no map projection; ``rpc``: also where it has one;
        ``none``: never.
    dem : path, optional
        File of a height model, metres above the ellipsoid.
    height : float, optional
        Height of the ground above the ellipsoid, metres; with `dem` it is added to that.
    ratio : float, optional
        MS pixel over PAN pixel, instead of that of the raw pixels.

    Returns
    -------
    Scene
        With `Scene.ortho` set, or as it was.

    Raises
    ------
    OptionError
        Options that contradict each other.
    MissingSidecarError
        ``rpc`` without RPC.
    GridMismatchError
        The RPC do not see common ground, or ``none`` would have to guess.
    ReaderError
        The height model cannot be used.
    """
    if ortho not in ORTHO:
        raise OptionError(f"--ortho is '{ortho}'; {nearest(ortho, list(ORTHO))}")
    if height is not None and not _LOWEST <= height <= _HIGHEST:
        raise OptionError(
            f"--height is {height:g}; give metres above the ellipsoid, {_LOWEST:g} to {_HIGHEST:g}"
        )
    heights_given = [o for o, v in (("--dem", dem), ("--height", height)) if v is not None]
    mixed = scene.delivery is not None and scene.delivery.geometry == "mixed"
    if ortho == "none":
        if heights_given:
            raise OptionError(f"{heights_given[0]} has no use with --ortho none; leave one off")
        return _left(scene, ortho, ratio)
    pan, ms = _sides(scene)
    both = pan.rpc is not None and ms.rpc is not None
    if ortho == "rpc" and not both:
        bare = pan if pan.rpc is None else ms
        raise MissingSidecarError(
            f"the {bare.role} {bare.label} has no RPC coefficients; put the file with them next to "
            "it, or leave off --ortho rpc"
        )
    wrong = [side for side in (pan, ms) if side.rpc and misfit(side.rpc, side.shape)]
    if mixed and ortho != "rpc":
        return _left(scene, ortho, ratio)
    if ortho == "rpc" or (both and not wrong and not (pan.placed and ms.placed)):
        return _projected(scene, pan, ms, dem, height, ratio)
    if heights_given:
        why = "has no RPC" if not both else "has a map projection already"
        if wrong:
            why = "has RPC that do not fit it"
        raise OptionError(
            f"{heights_given[0]} has no use for '{scene.name}': it {why}"
            + ("; --ortho rpc uses the RPC all the same" if both else "; leave it off")
        )
    return _left(scene, ortho, ratio)


def _left(scene: Scene, ortho: str, ratio: float | None) -> Scene:
    """The scene as it is, after refusing what nobody knows and saying what it lacks."""
    if scene.delivery is not None and scene.delivery.geometry == "mixed":
        sides = _sides(scene)
        bare, other = sides if not sides[0].placed else sides[::-1]
        raise GridMismatchError(
            f"the {other.role} has a projection, the {bare.role} {bare.label} only RPC; use "
            "--ortho rpc with --dem or --height"
        )
    for note in scene.notes:
        if note.startswith(LAID_BY_SIZE) and ortho == "none" and ratio is None:
            raise GridMismatchError(
                f"the RPC do not tell how the MS of '{scene.name}' lies on its PAN, and --ortho "
                "none does not guess; give --ratio if both begin at the same ground"
            )
        if note.startswith(IN_SENSOR_GEOMETRY):
            warnings.warn(note, AlignmentWarning, stacklevel=4)
    return scene


def _sides(scene: Scene) -> tuple[_Side, _Side]:
    """What places the two images; of plain rasters what GDAL finds."""
    sides = []
    facts = (None, None) if scene.delivery is None else (scene.delivery.pan, scene.delivery.ms)
    for role, source, known in zip(
        ("PAN", "MS"), (scene.pan_source, scene.ms_source), facts, strict=True
    ):
        raw = _raster(source)
        if raw is None:
            sides.append(_Side(role, f"'{scene.name}'", (source.height, source.width), None, True))
            continue
        dataset = raw.dataset()
        shape = (int(dataset.height), int(dataset.width))
        if known is not None:
            rpc, placed = known.rpc, known.placed
        else:
            tags = {str(k): str(v) for k, v in dataset.tags(ns="RPC").items()}
            rpc, placed = tags or None, dataset.crs is not None
        sides.append(_Side(role, _name_of(raw), shape, rpc, placed))
    return sides[0], sides[1]


def _raster(source: Source) -> RasterSource | None:
    """The first file of a source; None where it is no raster file."""
    if isinstance(source, ScreenedSource):
        return _raster(source.source)
    if isinstance(source, StackSource):
        return _raster(source.sources[0])
    if isinstance(source, WarpedSource):
        return source.raw
    return source if isinstance(source, RasterSource) else None


def _name_of(source: RasterSource) -> str:
    """Path for messages; of a file out of an archive its name alone."""
    path = source.label.strip("'")
    return f"'{Path(path).name if holder(path) is not None else path}'"


def _projected(
    scene: Scene,
    pan: _Side,
    ms: _Side,
    dem: str | os.PathLike[str] | None,
    height: float | None,
    ratio: float | None,
) -> Scene:
    heights, said = _heights(pan, ms, dem, height)
    camera, derived = ms.rpc, None
    if scene.delivery is not None and scene.delivery.family in _MODELLED_APART:
        derived = _derived(pan, ms, heights)
        if derived is not None:
            camera, ms = derived[0], replace(ms, rpc=derived[0])
            said += (derived[1],)
    grid = nested_grid(pan.image, ms.image, heights, ratio)
    assert pan.rpc is not None
    assert camera is not None
    high = orthorectified(
        scene.pan_source, Warp(pan.rpc, heights, grid.crs, grid.transform(), grid.pan_shape)
    )
    low = orthorectified(
        scene.ms_source, Warp(camera, heights, grid.crs, grid.transform(ms=True), grid.ms_shape)
    )
    for source, role in ((high, "PAN"), (low, "MS")):
        check_not_empty(source, role)
    said = (
        f"orthorectified by RPC (cubic) to {grid.pan_shape[0]} x {grid.pan_shape[1]} PAN pixels of "
        f"{grid.pixel:g} m in {grid.zone}, ratio {grid.ratio:.6g}, at {heights}",
        *said,
    )
    kept = tuple(
        note
        for note in scene.notes
        if not note.startswith((IN_SENSOR_GEOMETRY, LAID_BY_RPC, *_OF_THE_CUT))
    )
    stored = scene.nodata
    if stored is None:
        stored = math.nan if low.dtype.kind == "f" else 0.0
    delivery = scene.delivery
    return replace(
        scene,
        pan_source=high,
        ms_source=low,
        alignment=Alignment.corner(grid.ratio),
        crs=grid.crs,
        transform=grid.transform(),
        nodata=stored,
        notes=(*said, *kept),
        delivery=None if delivery is None else replace(delivery, geometry="ortho"),
        ortho=Ortho(grid, heights, derived is not None),
    )


def _heights(
    pan: _Side, ms: _Side, dem: str | os.PathLike[str] | None, height: float | None
) -> tuple[HeightSource, tuple[str, ...]]:
    """The one source of heights for both images."""
    assert pan.rpc is not None
    offset = float(pan.rpc["HEIGHT_OFF"])
    if dem is None:
        if height is not None:
            return HeightSource(float(height)), ()
        text = (
            f"No DEM given, using a constant height of {offset:g} m (RPC height offset): pass "
            "--dem FILE or --height M for places that shall be right on the map"
        )
        warnings.warn(text, AlignmentWarning, stacklevel=5)
        return HeightSource(offset, given=False), (text,)
    path = os.fspath(dem)
    added = float(height or 0.0)
    limits, note = _dem_range(path, (pan.image, ms.image), offset)
    if note:
        warnings.warn(note, AlignmentWarning, stacklevel=5)
    low, high = limits[0] + added, limits[1] + added
    return HeightSource(added, path, limits=(low, high)), (note,) if note else ()


def _dem_range(
    path: str, images: tuple[RpcImage, RpcImage], height: float
) -> tuple[tuple[float, float], str]:
    """Lowest and highest ground of a height model below the images; a note on what it lacks."""
    import numpy as np
    from rasterio.errors import RasterioError
    from rasterio.warp import transform
    from rasterio.windows import Window, from_bounds

    with open_raster(path) as model:
        if model.crs is None:
            raise ReaderError(f"the DEM '{path}' has no coordinate system; give one that has")
        if model.count != 1:
            raise ReaderError(f"the DEM '{path}' has {model.count} bands; give one of heights")
        lon, lat = (
            np.concatenate(v) for v in zip(*(i.outline(height) for i in images), strict=True)
        )
        try:
            found = transform(GEOGRAPHIC, model.crs, lon.tolist(), lat.tolist())
        except gdal_errors():
            found = ([math.inf], [math.inf])
        x, y = (np.asarray(values) for values in found)
        outside = ReaderError(
            f"the DEM '{path}' does not cover the scene, which lies near longitude "
            f"{lon.mean():.5g}, latitude {lat.mean():.5g}; give one that does, or --height"
        )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise outside
        box = from_bounds(x.min(), y.min(), x.max(), y.max(), model.transform)
        # One pixel more on each side, as bilinear heights need them.
        box = Window(box.col_off - 1, box.row_off - 1, box.width + 2, box.height + 2)
        whole = Window(0, 0, model.width, model.height)
        left, top = max(0.0, box.col_off), max(0.0, box.row_off)
        right = min(whole.width, box.col_off + box.width)
        bottom = min(whole.height, box.row_off + box.height)
        if right <= left or bottom <= top:
            raise outside
        part = Window(left, top, right - left, bottom - top)
        shape = tuple(max(1, min(_LOOKUPS, math.ceil(n))) for n in (part.height, part.width))
        try:
            seen = model.read(1, window=part, out_shape=shape, masked=True)
        except RasterioError as problem:
            raise ReaderError(
                f"the DEM '{path}' cannot be read; it looks incomplete, copy or download it again"
            ) from problem
        values = np.ma.masked_invalid(seen.astype(np.float64))
    if values.count() == 0:
        raise outside
    low, high = float(values.min()), float(values.max())
    if not (low >= _LOWEST and high <= _HIGHEST):
        raise ReaderError(
            f"the DEM '{path}' holds heights from {low:g} to {high:g} m; check its units and nodata"
        )
    spare = _BEYOND * (high - low)
    cut = part.width * part.height < 0.999 * (box.width - 2) * (box.height - 2)
    note = ""
    if cut or values.count() < values.size:
        note = f"the DEM '{path}' does not cover the whole scene: no data where it has none"
    return (low - spare, high + spare), note


def _derived(pan: _Side, ms: _Side, heights: HeightSource) -> tuple[dict[str, str], str] | None:
    """Camera of the MS from that of the PAN, where the raw frames show the same ground.

    The two RPC of such products are fitted apart and differ by a few PAN pixels, more than the raw
    frames do (Wang et al., Spacecraft Recovery & Remote Sensing 36(4), 2015: matching raw images).
    """
    ratio = round(pan.shape[0] / ms.shape[0])
    if ratio < 2 or pan.shape != (ratio * ms.shape[0], ratio * ms.shape[1]):
        return None
    assert pan.rpc is not None
    assert ms.rpc is not None
    level = sum(heights.span) / 2
    (a, b, c, d, e, f), _ = ms_on_pan(pan.rpc, ms.rpc, ms.shape, level)
    corners = [(col, row) for col in (0, ms.shape[1]) for row in (0, ms.shape[0])]
    apart = max(
        math.hypot(a * col + b * row + c - ratio * col, d * col + e * row + f - ratio * row)
        for col, row in corners
    )
    if apart > _AGREE * ratio:
        return None
    camera = dict(pan.rpc)
    for axis in ("LINE", "SAMP"):
        camera[f"{axis}_OFF"] = repr((float(pan.rpc[f"{axis}_OFF"]) + 0.5) / ratio - 0.5)
        camera[f"{axis}_SCALE"] = repr(float(pan.rpc[f"{axis}_SCALE"]) / ratio)
    return camera, (
        f"camera of the MS derived from the PAN's: the raw frames agree by their RPC within "
        f"{apart / ratio:.2g} MS pixels"
    )
