"""What a Zarr store holds: which arrays are rasters, and where they lie (docs/deliveries.md)."""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import AmbiguousReaderError, ReaderError, UnknownFormatError
from pansharp.readers._scan import is_store
from pansharp.readers._sidecar import printable
from pansharp.source.zarr import ZARR_PROBLEMS, ZarrRaster, damaged, open_array, quiet_zarr

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["halves_in", "in_store", "is_product", "is_store", "rasters_in", "read_raster"]

_ROWS = ("y", "lat", "latitude", "northing", "north", "row", "rows", "line", "lines")
_COLS = ("x", "lon", "longitude", "easting", "east", "col", "cols", "column", "columns", "sample")
_HIGH, _LOW = ("pan", "panchromatic", "msi", "guide"), ("ms", "multispectral", "mul", "hsi", "hs")
#: Members of a group that are looked at, items of a coordinate that are read, names in a message.
_MOST_MEMBERS, _MOST_ITEMS, _SHOWN = 200, 2**24, 6
#: Share of a pixel by which coordinates may leave a straight line, or the stated transform.
_STRAIGHT = 0.05


def in_store(path: str) -> bool:
    """Whether a path is a store, or an array or group in one."""
    return os.path.isdir(path) and is_store(path)


def _open(path: str) -> Any:
    import zarr

    try:
        with quiet_zarr():
            return zarr.open(path, mode="r")
    except ZARR_PROBLEMS as problem:
        raise ReaderError(damaged(path, problem)) from problem


def _members(group: Any, path: str) -> dict[str, Any]:
    """Arrays and groups of a group by name; the metadata of each is read, no pixel is."""
    try:
        with quiet_zarr():
            names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
            names = [name for name in names if is_store(os.path.join(path, name))]
            return {name: group[name] for name in names[:_MOST_MEMBERS]}
    except ZARR_PROBLEMS as problem:
        raise ReaderError(damaged(path, problem)) from problem


def _is_array(member: Any) -> bool:
    return hasattr(member, "chunks")


def _attrs(member: Any, path: str) -> dict[str, Any]:
    try:
        return dict(member.attrs)
    except ZARR_PROBLEMS as problem:
        raise ReaderError(damaged(path, problem)) from problem


def is_product(path: str) -> bool:
    """Whether pansharp itself wrote the store: products are no inputs."""
    try:
        return "PANSHARP_SOFTWARE" in _attrs(_open(path), path)
    except ReaderError:
        return False


def rasters_in(path: str) -> dict[str, str]:
    """Rasters of a store: name to path of their array.

    A raster is a numeric array with rows and columns that is no coordinate of another; it is one
    of the store's arrays, or the only one in a group of the store.

    Raises
    ------
    ReaderError
        The store is damaged.
    """
    top = _open(path)
    if _is_array(top):
        return {Path(path).name: path}
    members = _members(top, path)
    found = {name: os.path.join(path, name) for name in _images(members, path)}
    for name, member in members.items():
        if not _is_array(member):
            below = os.path.join(path, name)
            inside = _images(_members(member, below), below)
            if len(inside) == 1:
                found[name] = os.path.join(below, inside[0])
    return found


def _images(members: Mapping[str, Any], path: str) -> list[str]:
    arrays = {name: member for name, member in members.items() if _is_array(member)}
    about = {name: _attrs(array, path) for name, array in arrays.items()}
    helpers: set[str] = set()
    for name, array in arrays.items():
        helpers.update(_dimensions(array, about[name]))
        for key in ("grid_mapping", "coordinates"):
            helpers.update(str(about[name].get(key, "")).split())
    return [
        name
        for name, array in arrays.items()
        if name not in helpers
        and len([size for size in array.shape if size != 1]) >= 2
        and np.dtype(array.dtype).kind in "iuf"
    ]


def halves_in(path: str) -> tuple[str, str, bool, bool]:
    """The two images of a store that holds a scene.

    Parameters
    ----------
    path : str
        Store.

    Returns
    -------
    high, low : str
        Paths of the arrays.
    guide, cube : bool
        Whether names say that they are a multispectral guide and a hyperspectral cube.

    Raises
    ------
    UnknownFormatError
        It holds no two images of which names or sizes say which is which.
    """
    found = rasters_in(path)
    low_case = {name.lower(): name for name in found}
    high = next((low_case[word] for word in _HIGH if word in low_case), None)
    low = next((low_case[word] for word in _LOW if word in low_case), None)
    if (high is None or low is None) and len(found) == 2:
        shapes = {name: read_raster(array).shape for name, array in found.items()}
        first, second = sorted(shapes, key=lambda name: -shapes[name][1] * shapes[name][2])
        one_and_many = shapes[first][0] == 1 and shapes[second][0] >= 3
        if one_and_many and (high or first) == first and (low or second) == second:
            high, low = first, second
    if high is None or low is None:
        names = ", ".join(f"'{name}'" for name in list(found)[:_SHOWN]) or "none"
        missing = "no panchromatic" if high is None else "no multispectral"
        raise UnknownFormatError(
            f"the Zarr store '{path}' holds {missing} image (images there: {printable(names)}): a "
            "scene has arrays or groups 'pan' and 'ms' (or 'msi' and 'hsi'); give the other image "
            f"with {'--pan' if high is None else '--ms'} FILE"
        )
    cube = low.lower() in ("hsi", "hs")
    return found[high], found[low], high.lower() in ("msi", "guide"), cube


def read_raster(path: str) -> ZarrRaster:
    """Understand the raster that a path names.

    Parameters
    ----------
    path : str
        Array, or a group or store with one raster.

    Returns
    -------
    ZarrRaster

    Raises
    ------
    ReaderError
        It is damaged, holds several rasters, or none.
    """
    member = _open(path)
    if not _is_array(member):
        found = rasters_in(path)
        if len(found) > 1:
            names = ", ".join(f"'{path}/{name}'" for name in list(found)[:_SHOWN])
            raise AmbiguousReaderError(
                f"the Zarr store '{path}' holds {len(found)} images: {printable(names)}; name one"
            )
        if not found:
            raise UnknownFormatError(f"the Zarr store '{path}' holds no image of numbers")
        path = next(iter(found.values()))
    array = open_array(path)
    try:
        return _understood(path, array)
    except ZARR_PROBLEMS as problem:
        if isinstance(problem, ReaderError):
            raise
        raise ReaderError(damaged(path, problem)) from problem


def _understood(path: str, array: Any) -> ZarrRaster:
    about = dict(array.attrs)
    folder = os.path.dirname(os.path.abspath(path))
    siblings: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    if is_store(folder):
        group = _open(folder)
        if not _is_array(group):
            siblings, shared = _members(group, folder), _attrs(group, folder)
    axes, names = _axes(path, array, about)
    band, row, col = axes
    shape = (1 if band is None else array.shape[band], array.shape[row], array.shape[col])
    kind = np.dtype(array.dtype)
    if kind.kind not in "iuf" or min(shape) == 0:
        raise ReaderError(f"'{path}' holds no image of numbers ({kind}, {tuple(array.shape)})")
    transform, crs, rising, notes = _place(path, about, shared, siblings, names, shape)
    labels = () if band is None else _labels(siblings.get(names[0]), shape[0])
    band_tags = _band_tags(about, siblings, names[0], shape[0])
    tags = {**_texts(shared), **_texts(about)}
    return ZarrRaster(
        path=path,
        axes=axes,
        shape=shape,
        dtype=kind.newbyteorder("=").name,
        rising=rising,
        transform=transform,
        crs=crs,
        nodata=_nodata(array, about),
        names=_listed_texts(about.get("long_name"), shape[0]) or labels,
        scales=_numbers(about.get("band_scales", about.get("scale_factor")), shape[0]),
        offsets=_numbers(about.get("band_offsets", about.get("add_offset")), shape[0]),
        tags=tags,
        band_tags=band_tags,
        notes=notes,
    )


def _dimensions(array: Any, about: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the axes, or an empty tuple."""
    given = getattr(array.metadata, "dimension_names", None) or about.get("_ARRAY_DIMENSIONS")
    if not isinstance(given, list | tuple) or len(given) != len(array.shape):
        return ()
    return tuple("" if name is None else str(name) for name in given)


def _axes(
    path: str, array: Any, about: Mapping[str, Any]
) -> tuple[tuple[int | None, int, int], tuple[str, str, str]]:
    """Axes that are band, row and column, and their names."""
    sizes = tuple(int(size) for size in array.shape)
    names = _dimensions(array, about) or ("",) * len(sizes)
    row, col = (_axis_called(names, words) for words in (_ROWS, _COLS))
    if row is None or col is None:
        row, col = len(sizes) - 2, len(sizes) - 1
    others = [axis for axis in range(len(sizes)) if axis not in (row, col)]
    wide = [axis for axis in others if sizes[axis] != 1]
    if len(wide) > 1 or row < 0:
        raise ReaderError(
            f"'{path}' has the shape {sizes}: it is no raster of bands, rows and columns; "
            "choose one time (or level) and write that"
        )
    band = wide[0] if wide else (others[-1] if others else None)
    return (band, row, col), ("" if band is None else names[band], names[row], names[col])


def _axis_called(names: tuple[str, ...], words: tuple[str, ...]) -> int | None:
    low = [name.lower() for name in names]
    for word in words:
        for axis, name in enumerate(low):
            if name == word or name.startswith(f"{word}_"):
                return axis
    return None


Place = tuple[
    tuple[float, float, float, float, float, float] | None, str | None, bool, tuple[str, ...]
]


def _place(
    path: str,
    about: Mapping[str, Any],
    shared: Mapping[str, Any],
    siblings: Mapping[str, Any],
    names: tuple[str, str, str],
    shape: tuple[int, int, int],
) -> Place:
    """Transform and system: by the coordinates, the grid mapping, and attributes of the array."""
    words = [about.get("grid_mapping"), *str(about.get("coordinates", "")).split()]
    mappings = [str(word) for word in (*words, "spatial_ref", "crs") if word]
    reference = next((siblings[word] for word in mappings if word in siblings), None)
    told = {} if reference is None else dict(reference.attrs)
    systems = (told.get("crs_wkt"), told.get("spatial_ref"), about.get("crs"), shared.get("crs"))
    system = next((text for text in systems if isinstance(text, str) and text.strip()), None)
    stated = _six(told.get("GeoTransform"), gdal=True) or _six(about.get("transform"), gdal=False)
    ys, xs = (
        _line(siblings.get(name), size) for name, size in zip(names[1:], shape[1:], strict=True)
    )
    for name, line in zip(names[1:], (ys, xs), strict=True):
        if line is not None and line[1] == 0:
            raise ReaderError(
                f"the coordinates '{name}' of '{path}' are not evenly spaced; a raster needs a "
                "regular grid, resample it first"
            )
    transform = stated
    notes: tuple[str, ...] = ()
    if ys is not None and xs is not None:
        (first_y, step_y), (first_x, step_x) = ys, xs
        by_line = (step_x, 0.0, first_x - step_x / 2, 0.0, step_y, first_y - step_y / 2)
        if stated is None or stated[1] or stated[3]:
            transform = by_line if stated is None else stated
        elif _apart(stated, by_line, shape[1:]) > _STRAIGHT:
            # Cutting and thinning an xarray object leaves the old transform in place.
            transform = by_line
            notes = (
                f"the transform in '{path}' is not that of its coordinates; the coordinates count",
            )
    rising = False
    if transform is not None and not transform[1] and not transform[3] and transform[4] > 0:
        a, b, c, d, e, f = transform
        rising, transform = True, (a, b, c, d, -e, f + e * shape[1])
    return transform, None if system is None else _wkt(path, system), rising, notes


def _line(array: Any, size: int) -> tuple[float, float] | None:
    """First value and step of a coordinate; step 0 where it is uneven; None without it."""
    if array is None or not _is_array(array) or tuple(array.shape) != (size,) or size < 2:
        return None
    if np.dtype(array.dtype).kind not in "iuf" or size > _MOST_ITEMS:
        return None
    values = np.asarray(array[:], dtype=np.float64)
    step = float(values[-1] - values[0]) / (size - 1)
    if not math.isfinite(step) or step == 0:
        return float(values[0]), 0.0
    off = np.abs(values - (values[0] + step * np.arange(size)))
    return float(values[0]), step if bool((off <= _STRAIGHT * abs(step)).all()) else 0.0


def _apart(one: tuple[float, ...], other: tuple[float, ...], shape: tuple[int, ...]) -> float:
    """Pixels by which two north-up transforms differ at most."""
    height, width = shape
    a, _, c, _, e, f = (p - q for p, q in zip(one, other, strict=True))
    across = max(abs(c), abs(c + a * width)) / abs(other[0])
    return max(across, max(abs(f), abs(f + e * height)) / abs(other[4]))


def _six(value: object, *, gdal: bool) -> tuple[float, float, float, float, float, float] | None:
    """Six finite numbers as a b c d e f, from GDAL's order or ours; pixels must have a size."""
    parts = value.split() if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) not in (6, 9):
        return None
    try:
        numbers = [float(part) for part in parts[:6]]
    except (TypeError, ValueError):
        return None
    if gdal:
        c, a, b, f, d, e = numbers
        numbers = [a, b, c, d, e, f]
    a, b, c, d, e, f = numbers
    fine = all(map(math.isfinite, numbers)) and a * e - b * d != 0
    return (a, b, c, d, e, f) if fine else None


def _wkt(path: str, text: str) -> str:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return str(CRS.from_user_input(text).to_wkt())
    except CRSError as problem:
        raise ReaderError(
            f"the coordinate system of '{path}' cannot be understood "
            f"('{printable(text)[:40]}...'); write the right one into its spatial_ref"
        ) from problem


def _nodata(array: Any, about: Mapping[str, Any]) -> float | None:
    """Value of pixels without data; in version 2 it is the fill value of the array itself."""
    kind = np.dtype(array.dtype)
    for key in ("_FillValue", "missing_value", "nodata"):
        value = about.get(key)
        if isinstance(value, str):
            value = _packed(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    if kind.kind == "f" or getattr(array.metadata, "zarr_format", 3) != 2:
        return None  # NaN needs no declaration, and version 3 must have a fill value of some kind
    fill = array.fill_value
    return None if fill is None else float(fill)


def _packed(text: str) -> float | None:
    """A number as text; xarray packs floats into base64."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        data = base64.b64decode(text, validate=True)
        return float(struct.unpack("<d", data)[0])
    except (binascii.Error, ValueError, struct.error):
        return None


def _listed_texts(value: object, count: int) -> tuple[str, ...]:
    """`count` texts, each of its own; else empty."""
    if not isinstance(value, list | tuple) or len(value) != count:
        return ()
    texts = tuple(printable(str(item)).strip() for item in value)
    return texts if all(texts) and len(set(texts)) == count else ()


def _numbers(value: object, count: int) -> tuple[float, ...]:
    """`count` finite numbers, of a list or of one for all; else empty."""
    listed = value if isinstance(value, list | tuple) else [value] * count
    try:
        numbers = tuple(float(str(item)) for item in listed)
    except (TypeError, ValueError):
        return ()
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else ()


def _labels(array: Any, count: int) -> tuple[str, ...]:
    """Names out of the coordinate of the bands; numbers alone are none."""
    if array is None or not _is_array(array) or tuple(array.shape) != (count,):
        return ()
    if np.dtype(array.dtype).kind in "iufb" or count > _MOST_ITEMS:
        return ()
    with quiet_zarr():
        return _listed_texts([str(item) for item in np.asarray(array[:]).tolist()], count)


def _band_tags(
    about: Mapping[str, Any], siblings: Mapping[str, Any], dimension: str, count: int
) -> tuple[dict[str, str], ...]:
    """Texts of each band: as pansharp writes them, and wavelengths along the bands."""
    given = about.get("band_tags")
    tags: list[dict[str, str]] = [{} for _ in range(count)]
    if isinstance(given, list) and len(given) == count:
        tags = [_texts(item) if isinstance(item, dict) else {} for item in given]
    for key in ("wavelength", "wavelengths", "fwhm"):
        array = siblings.get(key)
        if array is None or not _is_array(array) or tuple(array.shape) != (count,):
            continue
        if np.dtype(array.dtype).kind in "iuf" and dimension in (*_dimensions(array, {}), "", key):
            values = np.asarray(array[:], dtype=np.float64).tolist()
            unit = str(dict(array.attrs).get("units", ""))
            for tag, value in zip(tags, values, strict=True):
                tag.setdefault(key.removesuffix("s"), repr(value))
                tag.setdefault("wavelength_units", unit)
    return tuple(tags) if any(tags) else ()


def _texts(values: Mapping[Any, Any]) -> dict[str, str]:
    """Attributes as short texts."""
    out = {}
    for key, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if len(text) <= 1000:
            out[str(key)] = printable(text)
    return out
