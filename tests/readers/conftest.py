"""A writer of small rasters, for every case that a reader meets."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

if TYPE_CHECKING:
    from pathlib import Path


class WriteRaster(Protocol):
    def __call__(
        self,
        name: str,
        shape: tuple[int, int, int],
        *,
        pixel: float | None = 1.0,
        corner: tuple[float, float] = (500_000.0, 5_800_000.0),
        transform: Affine | None = None,
        crs: str | None = "EPSG:32633",
        dtype: str = "uint16",
        fill: float | None = None,
        nodata: float | None = None,
        names: tuple[str, ...] = (),
        tags: dict[str, str] | None = None,
        **profile: object,
    ) -> Path: ...


@pytest.fixture
def write_raster(tmp_path: Path) -> WriteRaster:
    """Write random counts (or a constant) below tmp_path; `pixel` None leaves off the place."""

    def write(
        name: str,
        shape: tuple[int, int, int],
        *,
        pixel: float | None = 1.0,
        corner: tuple[float, float] = (500_000.0, 5_800_000.0),
        transform: Affine | None = None,
        crs: str | None = "EPSG:32633",
        dtype: str = "uint16",
        fill: float | None = None,
        nodata: float | None = None,
        names: tuple[str, ...] = (),
        tags: dict[str, str] | None = None,
        **profile: object,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = np.random.default_rng(1).integers(1, 200, shape).astype(dtype)
        if fill is not None:
            data[:] = fill
        if transform is None and pixel is not None:
            transform = Affine(pixel, 0, corner[0], 0, -pixel, corner[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            target = rasterio.open(
                path,
                "w",
                driver=str(profile.pop("driver", "GTiff")),
                count=shape[0],
                height=shape[1],
                width=shape[2],
                dtype=dtype,
                nodata=nodata,
                crs=crs,
                transform=transform,
                **profile,
            )
        with target:
            target.write(data)
            target.update_tags(**(tags or {}))
            for index, text in enumerate(names, start=1):
                target.set_band_description(index, text)
        return path

    return write
