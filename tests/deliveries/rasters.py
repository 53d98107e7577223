"""Rasters of a known ground on map grids, as files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deliveries.ground import Ground


def on_map(
    ground: Ground, corner: tuple[float, float], shape: tuple[int, int], pixel: float
) -> np.ndarray:
    """The ground (band, y, x) on a north-up grid whose first outer corner is `corner`."""
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    return ground.sample(corner[0] + cols * pixel, corner[1] - rows * pixel, pixel)


def write(
    path: Path,
    array: np.ndarray,
    *,
    corner: tuple[float, float] | None = None,
    pixel: float = 1.0,
    crs: str = "EPSG:32632",
    dtype: str = "uint16",
    nodata: float | None = None,
    names: Sequence[str] = (),
    driver: str = "GTiff",
    point: bool = False,
    **profile: object,
) -> Path:
    """Write counts, rounded; without `corner` the file has no georeference.

    `point`: say that coordinates mean centres of pixels (the numbers in the file then do).
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.transform import Affine

    path.parent.mkdir(parents=True, exist_ok=True)
    place: dict[str, object] = {}
    if corner is not None:
        place = {"crs": crs, "transform": Affine(pixel, 0, corner[0], 0, -pixel, corner[1])}
    data = np.rint(array).astype(dtype) if np.dtype(dtype).kind in "iu" else array.astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver=driver,
            count=data.shape[0],
            height=data.shape[1],
            width=data.shape[2],
            dtype=dtype,
            nodata=nodata,
            **place,
            **profile,
        ) as new:
            if point:
                new.update_tags(AREA_OR_POINT="Point")
            new.write(data)
            for index, name in enumerate(names, start=1):
                new.set_band_description(index, name)
    return path


def framed(array: np.ndarray, width: int) -> np.ndarray:
    """The image with a frame of zeros, as raw products have."""
    out = np.zeros_like(array)
    inside = (..., slice(width, -width), slice(width, -width))
    out[inside] = array[inside]
    return out
