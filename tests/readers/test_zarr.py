"""Zarr stores as scenes and as single rasters."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pansharp as ps
from deliveries import cubes, rasters, stores
from deliveries.packing import pack
from pansharp.card import digest
from pansharp.errors import (
    AmbiguousReaderError,
    GridMismatchError,
    PansharpError,
    ReaderError,
    SceneError,
    UnknownFormatError,
)
from pansharp.geometry.grids import Window
from pansharp.readers import find_scenes, open_scene
from pansharp.readers._zarr import read_raster
from pansharp.source.zarr import ZarrSource

if TYPE_CHECKING:
    from pathlib import Path

zarr = pytest.importorskip("zarr")

SIDE = 32


def pixels(source: Any) -> np.ndarray:
    return np.asarray(source.read(Window(0, 0, source.height, source.width)))


def counts(side: int, pixel: float, bands: int) -> np.ndarray:
    return np.asarray(stores.raster(side, pixel, bands=bands).values)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return stores.scene(tmp_path / "site.zarr", side=SIDE)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [False, True])
def test_groups_pan_and_ms(tmp_path: Path, version: int, consolidated: bool) -> None:
    path = stores.scene(
        tmp_path / "site.zarr", version=version, side=SIDE, consolidated=consolidated
    )
    scene = open_scene(path)
    assert scene.shape == (4, 4 * SIDE, 4 * SIDE)
    assert (scene.name, scene.ratio) == ("site", 4.0)
    assert scene.transform == (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
    assert scene.crs is not None
    assert "UTM zone 32N" in scene.crs
    assert np.array_equal(pixels(scene.pan_source), counts(4 * SIDE, 0.5, 1))
    assert np.array_equal(pixels(scene.ms_source), counts(SIDE, 2.0, 4))


def test_arrays_pan_and_ms_of_one_group(scene: Path, tmp_path: Path) -> None:
    """`Scene.to_dataset`: the MS has dimensions of its own."""
    path = stores.save(open_scene(scene).to_dataset(), tmp_path / "set.zarr")
    again = open_scene(path)
    assert (again.shape, again.ratio) == ((4, 4 * SIDE, 4 * SIDE), 4.0)
    assert again.transform == (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
    assert again.crs is not None
    assert np.array_equal(pixels(again.ms_source), counts(SIDE, 2.0, 4))


def test_two_arrays_of_other_names_are_told_by_their_sizes(tmp_path: Path) -> None:
    path = tmp_path / "two.zarr"
    fine, coarse = stores.raster(4 * SIDE, 0.5, bands=1), stores.raster(SIDE, 2.0)
    stores.save(fine.rename("sharp"), path, group="a")
    stores.save(coarse.rename("colours"), path, group="b", mode="a")
    assert open_scene(path).shape == (4, 4 * SIDE, 4 * SIDE)


@pytest.mark.parametrize("asked", ["a_pan.zarr", "a_ms.zarr"])
def test_two_stores_beside_each_other(tmp_path: Path, asked: str) -> None:
    stores.save(stores.raster(4 * SIDE, 0.5, bands=1).isel(band=0), tmp_path / "a_pan.zarr")
    stores.save(stores.raster(SIDE, 2.0), tmp_path / "a_ms.zarr")
    assert open_scene(tmp_path / asked).shape == (4, 4 * SIDE, 4 * SIDE)
    assert [found.path for found in find_scenes(tmp_path)] == [str(tmp_path / "a_pan.zarr")]
    assert open_scene(tmp_path).shape == (4, 4 * SIDE, 4 * SIDE)


def test_what_pansharp_writes_is_read_back_as_one_raster(scene: Path, tmp_path: Path) -> None:
    opened = open_scene(scene)
    for name, image in (("pan", opened.pan), ("ms", opened.ms)):
        ps.write(image, tmp_path / f"{name}_of_mine.zarr")
    again = open_scene(pan=tmp_path / "pan_of_mine.zarr", ms=tmp_path / "ms_of_mine.zarr")
    assert again.transform == opened.transform
    assert np.array_equal(pixels(again.ms_source), pixels(opened.ms_source))
    with pytest.raises(SceneError, match="is a product of pansharp"):
        open_scene(ps.write(ps.fuse(opened, "exp", card=False), tmp_path / "other.zarr"))


def test_stores_and_files_mix(scene: Path, tmp_path: Path) -> None:
    ms = rasters.write(
        tmp_path / "b.tif", counts(SIDE, 2.0, 4), corner=stores.CORNER, pixel=2.0, crs=stores.CRS
    )
    assert open_scene(pan=scene / "pan", ms=ms).shape == (4, 4 * SIDE, 4 * SIDE)
    pan = rasters.write(
        tmp_path / "a.tif",
        counts(4 * SIDE, 0.5, 1),
        corner=stores.CORNER,
        pixel=0.5,
        crs=stores.CRS,
    )
    mixed = open_scene(pan=pan, ms=scene / "ms" / "ms")
    assert np.array_equal(pixels(mixed.ms_source), counts(SIDE, 2.0, 4))
    assert open_scene(scene / "ms").shape == (4, 4 * SIDE, 4 * SIDE)


def test_cubes_with_a_guide_of_a_delivery(tmp_path: Path) -> None:
    """A cube in a store, Sentinel-2 as its guide; wavelengths lie along the bands."""
    import xarray as xr

    data = cubes.cube(20, 5)
    steps = 30.0 * (np.arange(20) + 0.5)
    waves = np.array([450.0, 550.0, 650.0, 750.0, 850.0])
    array = xr.DataArray(
        np.rint(data).astype("uint16"),
        dims=("wavelength", "y", "x"),
        coords={
            "wavelength": ("wavelength", waves, {"units": "nm"}),
            "y": cubes.CORNER[1] - steps,
            "x": cubes.CORNER[0] + steps,
        },
        name="cube",
        attrs={"crs": cubes.CRS},
    )
    path = stores.save(array, tmp_path / "cube.zarr")
    scene = open_scene(hsi=path, msi=cubes.sentinel2(tmp_path))
    assert scene.shape == (5, 60, 60)
    assert scene.wavelengths == tuple(waves)
    assert scene.ratio == 3.0


@pytest.mark.parametrize("version", [2, 3])
def test_ascending_rows_are_turned(tmp_path: Path, version: int) -> None:
    turned = stores.raster(SIDE, 2.0).isel(y=slice(None, None, -1))
    turned.spatial_ref.attrs.pop("GeoTransform")
    path = stores.save(
        turned, tmp_path / "a.zarr", zarr_format=version, encoding={"ms": {"chunks": (4, 7, 9)}}
    )
    raster = read_raster(str(path))
    assert raster.transform == (2.0, 0.0, 500_000.0, 0.0, -2.0, 5_000_000.0)
    source = ZarrSource(raster)
    assert np.array_equal(pixels(source), counts(SIDE, 2.0, 4))
    part = source.cut(Window(3, 4, 20, 21)).read(Window(5, 1, 9, 12))
    assert np.array_equal(part, counts(SIDE, 2.0, 4)[:, 8:17, 5:17])


def test_any_order_of_axes_and_single_times(tmp_path: Path) -> None:
    array = stores.raster(SIDE, 2.0).expand_dims("time").transpose("y", "time", "x", "band")
    raster = read_raster(str(stores.save(array, tmp_path / "a.zarr")))
    assert raster.shape == (4, SIDE, SIDE)
    assert np.array_equal(pixels(ZarrSource(raster)), counts(SIDE, 2.0, 4))


def test_coordinates_count_where_the_transform_is_stale(tmp_path: Path) -> None:
    part = stores.raster(SIDE, 2.0).isel(y=slice(8, None), x=slice(4, None))
    raster = read_raster(str(stores.save(part, tmp_path / "a.zarr")))
    assert raster.transform == (2.0, 0.0, 500_008.0, 0.0, -2.0, 4_999_984.0)
    assert "the coordinates count" in raster.notes[0]


def test_metadata(tmp_path: Path) -> None:
    array = stores.raster(SIDE, 2.0).astype("float32")
    array.attrs.update(long_name=["blue", "green", "red", "nir"], scale_factor=0.1, add_offset=2.0)
    array.encoding["_FillValue"] = -9999.0
    source = ZarrSource(read_raster(str(stores.save(array, tmp_path / "a.zarr"))))
    assert source.band_names == ("blue", "green", "red", "nir")
    assert source.nodata == -9999.0  # xarray packs it into base64
    told = source.dataset()
    assert (told.scales[0], told.offsets[0]) == (0.1, 2.0)
    whole = stores.raster(SIDE, 2.0)
    whole.encoding["_FillValue"] = 7
    path = stores.save(whole, tmp_path / "b.zarr", zarr_format=2)
    assert read_raster(str(path)).nodata == 7  # the fill value of the array itself
    plain = stores.save(stores.raster(SIDE, 2.0), tmp_path / "c.zarr")
    assert read_raster(str(plain)).nodata is None  # version 3 always has one, which says nothing


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_windows_are_slices(scene: Path, data: st.DataObject) -> None:
    whole = counts(SIDE, 2.0, 4)
    source = ZarrSource(read_raster(str(scene / "ms")))
    row, col = (data.draw(st.integers(0, SIDE)) for _ in range(2))
    height, width = (data.draw(st.integers(0, SIDE - start)) for start in (row, col))
    bands = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    part = source.select(bands).read(Window(row, col, height, width))
    assert np.array_equal(part, whole[bands, row : row + height, col : col + width])
    part[...] = 0  # the caller's to change: what is kept for the next window is not touched
    assert np.array_equal(pixels(source), whole)


def test_chunks_are_decoded_once_and_forgotten(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pansharp.source.zarr as module

    decoded: list[Any] = []
    kept = zarr.Array.__getitem__

    def counted(self: Any, key: Any) -> Any:
        decoded.append(key)
        return kept(self, key)

    monkeypatch.setattr(zarr.Array, "__getitem__", counted)
    source = ZarrSource(read_raster(str(scene / "ms")))
    decoded.clear()
    for row in range(0, SIDE, 4):
        source.read(Window(row, 0, 4, SIDE))
    assert len(decoded) == 8  # 2 x 2 x 2 chunks, 8 windows
    monkeypatch.setattr(module, "_CACHE_BYTES", 1000)
    source.close()
    for row in range(0, SIDE, 4):
        source.read(Window(row, 0, 4, SIDE))
        assert source._handle.bytes <= 1000


def test_sources_travel_and_serve_threads(scene: Path) -> None:
    opened = open_scene(scene)
    whole = pixels(opened.ms_source)
    twin = pickle.loads(pickle.dumps(opened))
    assert np.array_equal(pixels(twin.ms_source), whole)
    windows = [Window(row, 0, 3, SIDE) for row in range(SIDE - 3)] * 4
    with ThreadPoolExecutor(6) as pool:
        parts = list(pool.map(twin.ms_source.read, windows))
    assert all(
        np.array_equal(part, whole[:, w.row : w.row_end])
        for part, w in zip(parts, windows, strict=True)
    )
    opened.close()
    assert np.array_equal(pixels(opened.ms_source), whole)


def test_digests_tell_stores_apart(scene: Path, tmp_path: Path) -> None:
    first = digest(scene / "pan")
    assert first == digest(scene / "pan")
    assert first["sha256_of_parts"] != digest(scene / "ms")["sha256_of_parts"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_packed_stores(
    scene: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path))
    (tmp_path / "packed").mkdir()
    packed = pack(scene, tmp_path / "packed" / f"order.{kind}")
    assert open_scene(packed).shape == (4, 4 * SIDE, 4 * SIDE)


def test_stores_are_leaves_of_a_tree(scene: Path, tmp_path: Path) -> None:
    (scene / "deep").mkdir()
    (scene / "deep" / "x_pan.tif").write_bytes(b"")
    (scene / "deep" / "x_ms.tif").write_bytes(b"")
    assert [found.path for found in find_scenes(tmp_path)] == [str(scene)]
    assert open_scene(tmp_path).name == "site"


class TestRefusals:
    def test_one_image_alone(self, tmp_path: Path) -> None:
        path = stores.save(stores.raster(SIDE, 2.0), tmp_path / "a.zarr")
        with pytest.raises(UnknownFormatError, match=r"no panchromatic image .*--pan FILE"):
            open_scene(path)
        assert find_scenes(tmp_path) == []

    def test_several_images_for_one(self, scene: Path) -> None:
        with pytest.raises(AmbiguousReaderError, match=r"2 images: .*/ms', .*/pan'; name one"):
            open_scene(pan=scene / "pan", ms=scene)

    def test_several_times(self, tmp_path: Path) -> None:
        array = stores.raster(SIDE, 2.0).expand_dims(time=2)
        path = stores.save(array, tmp_path / "a.zarr")
        with pytest.raises(ReaderError, match="choose one time"):
            read_raster(str(path))

    def test_uneven_coordinates(self, tmp_path: Path) -> None:
        array = stores.raster(SIDE, 2.0)
        steps = array.x.values.copy()
        steps[5:] += 3.0
        path = stores.save(array.assign_coords(x=steps), tmp_path / "a.zarr")
        with pytest.raises(ReaderError, match="not evenly spaced"):
            read_raster(str(path))

    def test_chunks_that_no_memory_holds(self, tmp_path: Path) -> None:
        shape = (1, 40_000, 40_000)
        zarr.create_array(tmp_path / "a.zarr", shape=shape, chunks=shape, dtype="uint16")
        with pytest.raises(ReaderError, match=r"chunks of 3052 MiB .*smaller chunks"):
            open_scene(pan=tmp_path / "a.zarr", ms=tmp_path / "a.zarr")

    def test_other_systems(self, scene: Path, tmp_path: Path) -> None:
        place = {"corner": (10.5, 45.2), "pixel": 1e-5, "crs": "EPSG:4326"}
        pan = rasters.write(tmp_path / "a.tif", counts(64, 0.5, 1), **place)  # type: ignore[arg-type]
        with pytest.raises(GridMismatchError, match=r"GeoTIFF|overlap"):
            open_scene(pan=pan, ms=scene / "ms")

    def test_a_system_that_nobody_knows(self, tmp_path: Path) -> None:
        array = stores.raster(SIDE, 2.0)
        array.spatial_ref.attrs.update(crs_wkt="PROJCS[nonsense")
        path = stores.save(array, tmp_path / "a.zarr")
        with pytest.raises(ReaderError, match="cannot be understood"):
            read_raster(str(path))

    def test_damaged_chunks(self, scene: Path) -> None:
        for chunk in (scene / "ms" / "ms" / "c").rglob("*"):
            if chunk.is_file():
                chunk.write_bytes(chunk.read_bytes()[:9])
        with pytest.raises(ReaderError, match="incomplete or damaged Zarr store"):
            open_scene(scene)

    def test_no_store_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "a.zarr").mkdir()
        (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
        with pytest.raises(PansharpError, match=r"holds no|damaged"):
            open_scene(tmp_path / "a.zarr")

    def test_gdal_brovey_says_what_it_cannot_take(self, scene: Path) -> None:
        with pytest.raises(PansharpError, match="gdal-brovey"):
            ps.fuse(open_scene(scene), "gdal-brovey")


def test_the_very_commands(scene: Path, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pansharp", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    told = run("info", str(scene), "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["product"]["shape"] == [4, 4 * SIDE, 4 * SIDE]
    made = run("fuse", str(scene), "-m", "exp", "--no-card")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "site_exp.tif").is_file()
    bad = run("info", str(tmp_path / "absent.zarr"))
    assert bad.returncode == 1
    assert bad.stderr.count("\n") == 1
