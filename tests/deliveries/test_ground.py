"""The truth that deliveries are generated from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.transform import RPCTransformer
from rasterio.warp import transform as project

from deliveries.ground import Camera, Ground, flat, hills
from deliveries.maxar import CRS, write_delivery

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def camera() -> Camera:
    return Camera((40, 60), 0.31, turn=0.03)


def test_camera_inverts_itself(camera: Camera) -> None:
    rows, cols = np.mgrid[0:40:7, 0:60:11].astype(float)
    for height in (0.0, 100.0, 350.0):
        lon, lat = camera.to_ground(rows, cols, height)
        back = camera.to_pixel(lon, lat, height)
        np.testing.assert_allclose(back, (rows, cols), atol=1e-7)


def test_a_metre_of_ground_is_a_metre(camera: Camera) -> None:
    lon, lat = camera.to_ground(np.array([20.0, 20.0]), np.array([10.0, 50.0]), 100.0)
    x, _ = project("EPSG:4326", CRS, lon.tolist(), lat.tolist())
    assert x[1] - x[0] == pytest.approx(40 * 0.31, rel=0.01)


def test_written_rpc_are_the_camera(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(24, 24), level="1B", sidecars="imd")
    assert made.pan_camera is not None
    with rasterio.open(made.pan[0]) as file, RPCTransformer(
        file.rpcs, RPC_PIXEL_ERROR_THRESHOLD="0.0001"
    ) as gdal:  # fmt: skip
        lon, lat = made.pan_camera.to_ground(np.array([10.0, 70.0]), np.array([30.0, 5.0]), 250.0)
        rows, cols = gdal.rowcol(lon.tolist(), lat.tolist(), zs=[250.0, 250.0], op=lambda v: v)
    # GDAL counts from the corner of the first pixel.
    np.testing.assert_allclose(np.array(rows) - 0.5, [10.0, 70.0], atol=1e-6)
    np.testing.assert_allclose(np.array(cols) - 0.5, [30.0, 5.0], atol=1e-6)


def test_pixels_on_hills_are_found(camera: Camera) -> None:
    terrain = hills(150.0, 30.0, 400.0)
    rows, cols = np.mgrid[0:40:7, 0:60:11].astype(float)
    x, y = camera.locate(rows, cols, terrain, CRS)
    lon, lat = project(CRS, "EPSG:4326", x.ravel().tolist(), y.ravel().tolist())
    back = camera.to_pixel(np.array(lon), np.array(lat), terrain(x, y).ravel())
    np.testing.assert_allclose(back, (rows.ravel(), cols.ravel()), atol=1e-3)


def test_coarse_pixels_are_means_of_fine_ones() -> None:
    ground = Ground(3, 0.31)
    x, y = np.meshgrid(np.arange(16) * 0.31 + 500_000, 4_980_000 - np.arange(16) * 0.31)
    fine = ground.sample(x, y, 0.31).reshape(3, 4, 4, 4, 4).mean(axis=(2, 4))
    cx, cy = (v.reshape(4, 4, 4, 4).mean(axis=(1, 3)) for v in (x, y))
    np.testing.assert_allclose(fine, ground.sample(cx, cy, 4 * 0.31), rtol=1e-9)


@pytest.mark.parametrize("level", ["2A", "1B"])
def test_misregistration_is_what_was_asked(tmp_path: Path, level: str) -> None:
    shift = (4.0, -8.0)  # whole MS pixels: the images can be compared without interpolation
    right = write_delivery(tmp_path / "a", ms_shape=(24, 24), level=level)
    wrong = write_delivery(tmp_path / "b", ms_shape=(24, 24), level=level, shift=shift)
    with rasterio.open(right.ms[0]) as one, rasterio.open(wrong.ms[0]) as two:
        truth, moved = one.read().astype(int), two.read().astype(int)
    assert np.abs(moved[:, :-1, 2:] - truth[:, 1:, :-2]).max() <= 1
    assert np.array_equal(rasterio.open(right.pan[0]).read(), rasterio.open(wrong.pan[0]).read())


def test_flat_is_flat() -> None:
    assert flat(7.0)(np.zeros(3), np.zeros(3)).tolist() == [7.0] * 3
