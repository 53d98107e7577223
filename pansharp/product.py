"""A written product as a lazy array."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.attach import attach
from pansharp.card import card_path
from pansharp.errors import ReaderError
from pansharp.pictures.files import FILE_PREFIX
from pansharp.scene import IDENTITY, default_names

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_product"]

#: Side and bytes that one dask chunk does not exceed.
_CHUNK_SIDE = 2048
_CHUNK_BYTES = 32 * 2**20


def open_product(path: str | os.PathLike[str]) -> xr.DataArray:
    """Open a product of pansharp, or any raster, without reading its pixels.

    Parameters
    ----------
    path : path
        A GeoTIFF or another raster file, or a Zarr store of pansharp.

    Returns
    -------
    xarray.DataArray
        Dims (band, y, x), the file's dtype and values, chunked by dask. Coordinates ``band``
        (names), ``x`` and ``y`` (pixel centres; not for rotated images). Attributes ``crs`` (WKT or
        None), ``transform``, ``nodata``, ``long_name``, and where they are known ``wavelengths``
        (nm), ``sensor`` and ``pansharp_card`` (the card beside the file). ``encoding["source"]`` is
        the path: pictures of the untouched array use the overviews of the file.

    Raises
    ------
    ReaderError
        There is no such file, or it is no raster, or its card is no JSON.
    """
    name = os.fspath(path)
    card = _card(Path(name))
    array = _open_zarr(name) if Path(name).is_dir() else _open_file(name)
    if card is not None:
        array.attrs["pansharp_card"] = card
        sensor = card.get("scene", {}).get("sensor")
        if sensor:
            array.attrs["sensor"] = sensor
    attach()
    return array


def _card(path: Path) -> dict[str, Any] | None:
    beside = card_path(path)
    try:
        card = json.loads(beside.read_text("utf-8")) if beside.is_file() else None
    except (OSError, ValueError) as problem:
        raise ReaderError(
            f"the card '{beside}' cannot be read ({problem}); remove it or fuse again"
        ) from problem
    if card is not None and not isinstance(card, dict):
        raise ReaderError(f"the card '{beside}' holds no object; remove it or fuse again")
    return card


def _open_file(name: str) -> xr.DataArray:
    import dask.array as da
    import xarray as xr

    from pansharp.readers._metadata import wavelengths
    from pansharp.source import RasterSource, SourceView

    source = RasterSource(name)
    dataset = source.dataset()
    side = _CHUNK_SIDE
    while side > 256 and source.bands * side * side * source.dtype.itemsize > _CHUNK_BYTES:
        side //= 2
    data = da.from_array(  # type: ignore[no-untyped-call]
        SourceView(source),
        chunks=(source.bands, min(side, source.height), min(side, source.width)),
        name=f"{FILE_PREFIX}{uuid.uuid4().hex}",
        meta=np.empty((0, 0, 0), dtype=source.dtype),
    )
    names = source.band_names or default_names(source.bands)
    transform = tuple(dataset.transform)[:6]
    coords: dict[str, object] = {"band": list(names)}
    if transform[1] == transform[3] == 0:
        coords["x"] = transform[2] + transform[0] * (np.arange(source.width) + 0.5)
        coords["y"] = transform[5] + transform[4] * (np.arange(source.height) + 0.5)
    attrs: dict[str, object] = {
        "crs": dataset.crs.to_wkt() if dataset.crs else None,
        "nodata": source.nodata,
        "long_name": list(names),
    }
    if transform != IDENTITY:
        attrs["transform"] = transform
    else:
        # The identity stands for no georeference: pixels, whose centres count from 0.
        coords = {"band": list(names)}
    waves = wavelengths(dataset, source.indexes)
    if waves:
        attrs["wavelengths"] = waves
    array = xr.DataArray(data, dims=("band", "y", "x"), coords=coords, name="fused", attrs=attrs)
    array.encoding["source"] = name
    return array


def _open_zarr(name: str) -> xr.DataArray:
    import xarray as xr

    try:
        store = xr.open_zarr(name, mask_and_scale=False, consolidated=False)
    except (OSError, ValueError, KeyError) as problem:
        raise ReaderError(f"'{name}' is not a Zarr store that can be read ({problem})") from problem
    if "fused" not in store or store["fused"].ndim != 3:
        raise ReaderError(
            f"'{name}' has no array 'fused' (band, y, x), as stores of pansharp have; "
            "open it with xarray and use the accessor .pansharp"
        )
    array: xr.DataArray = store["fused"]
    about: dict[str, Any] = store["spatial_ref"].attrs if "spatial_ref" in store else {}
    names = tuple(array.attrs.get("long_name") or default_names(array.shape[0]))
    attrs: dict[str, object] = {
        "crs": about.get("crs_wkt"),
        "nodata": array.attrs.get("_FillValue"),
        "long_name": list(names),
    }
    if "GeoTransform" in about:
        c, a, b, f, d, e = (float(number) for number in str(about["GeoTransform"]).split())
        attrs["transform"] = (a, b, c, d, e, f)
    tags = array.attrs.get("band_tags") or []
    waves = [float(tag["wavelength"]) for tag in tags if "wavelength" in tag]
    if waves and len(waves) == len(names):
        attrs["wavelengths"] = tuple(waves)
    array = array.drop_vars("spatial_ref", errors="ignore").assign_coords(band=list(names))
    array.attrs = attrs
    array.encoding["source"] = name
    return array
