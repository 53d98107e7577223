"""Zarr stores as xarray and rioxarray write them, around a known ground."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from deliveries.ground import Ground
from deliveries.rasters import on_map

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

CORNER, CRS = (500_000.0, 5_000_000.0), "EPSG:32632"


def ground_of() -> Ground:
    """Four bands that differ, two metres across."""
    return Ground(4, 2.0, origin=CORNER, seed=11)


def raster(side: int, pixel: float, *, bands: int = 4, name: str = "ms") -> xr.DataArray:
    """The ground as rioxarray keeps it: a grid mapping with WKT and GeoTransform; counts."""
    import xarray as xr
    from rasterio.crs import CRS as System

    counts = np.rint(on_map(ground_of(), CORNER, (side, side), pixel))
    counts = counts.mean(axis=0, keepdims=True) if bands == 1 else counts[:bands]
    steps = pixel * (np.arange(side) + 0.5)
    array = xr.DataArray(
        np.rint(counts).astype("uint16"),
        dims=("band", "y", "x"),
        coords={
            "band": np.arange(bands) + 1,
            "y": CORNER[1] - steps,
            "x": CORNER[0] + steps,
            "spatial_ref": 0,
        },
        name=name,
    )
    wkt = System.from_user_input(CRS).to_wkt()
    array.spatial_ref.attrs.update(
        crs_wkt=wkt,
        spatial_ref=wkt,
        GeoTransform=f"{CORNER[0]} {pixel} 0 {CORNER[1]} 0 -{pixel}",
    )
    array.encoding["grid_mapping"] = "spatial_ref"
    return array


def save(data: xr.DataArray | xr.Dataset, path: Path, **options: Any) -> Path:
    """Write a store; what xarray and zarr think of their own formats is not the point here."""
    import xarray as xr

    whole = data if isinstance(data, xr.Dataset) else data.to_dataset(name=data.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole.to_zarr(path, **options)
    return path


def scene(path: Path, *, version: int = 3, side: int = 64, consolidated: bool = False) -> Path:
    """One store with the groups ``pan`` and ``ms``, ratio 4."""
    pan, ms = raster(4 * side, 0.5, bands=1, name="pan"), raster(side, 2.0)
    options = {"zarr_format": version, "consolidated": consolidated}
    save(pan, path, group="pan", encoding={"pan": {"chunks": (1, 50, 60)}}, **options)
    return save(ms, path, group="ms", mode="a", encoding={"ms": {"chunks": (3, 20, 17)}}, **options)
