from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pansharp.errors import OptionError, WriteError
from pansharp.geometry.grids import Window
from pansharp.writers import RasterProfile, open_writer

xr = pytest.importorskip("xarray")
zarr = pytest.importorskip("zarr")

Save = Callable[..., Path]
Make = Callable[..., NDArray[Any]]


def open_store(path: Path, **options: Any) -> Any:
    return xr.open_zarr(path, consolidated=False, **options)


@pytest.mark.parametrize("compress", ["zstd", "deflate", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_round_trip(make_image: Make, save: Save, compress: str, dtype: str) -> None:
    image = make_image(3, 70, 90, dtype)
    path = save(image, "out.zarr", format="zarr", compress=compress, block=32)
    with open_store(path, mask_and_scale=False) as store:
        assert store["fused"].dims == ("band", "y", "x")
        assert store["fused"].dtype == dtype
        assert np.array_equal(store["fused"].values, image)


def test_coordinates_and_labels(make_image: Make, save: Save) -> None:
    path = save(
        make_image(2, 40, 50, "uint16", nodata=0),
        "out.zarr",
        format="zarr",
        facts={"nodata": 0, "band_names": ("red", "nir"), "tags": {"PANSHARP_MODEL": "gsa"}},
        late={"PANSHARP_ERGAS": "2.5"},
    )
    with open_store(path) as store:
        np.testing.assert_allclose(store["x"][:2], [5e5 + 0.25, 5e5 + 0.75])
        np.testing.assert_allclose(store["y"][:2], [5e6 - 0.25, 5e6 - 0.75])
        assert store["band"].values.tolist() == [1, 2]
        assert store["fused"].attrs["long_name"] == ["red", "nir"]
        assert "UTM zone 33N" in store["spatial_ref"].attrs["crs_wkt"]
        assert store.attrs["PANSHARP_MODEL"] == "gsa"
        assert store.attrs["PANSHARP_ERGAS"] == "2.5"
        assert store.attrs["pansharp_complete"] is True
        assert np.isnan(store["fused"].values[:, 0, 0]).all()


def test_rioxarray_finds_the_georeference(make_image: Make, save: Save) -> None:
    pytest.importorskip("rioxarray")
    path = save(make_image(1, 40, 50, "uint16"), "out.zarr", format="zarr")
    with open_store(path, decode_coords="all") as store:
        assert store["fused"].rio.crs.to_epsg() == 32633
        assert tuple(store["fused"].rio.transform())[:6] == (0.5, 0.0, 5e5, 0.0, -0.5, 5e6)


def test_chunks_stay_below_four_mebibytes(tmp_path: Path) -> None:
    for count, bands in ((4, 4), (200, 8)):
        path = tmp_path / f"{count}.zarr"
        writer = open_writer(path, RasterProfile(600, 600, count, "uint16"), format="zarr")
        store = zarr.open_group(tmp_path / f"{count}.zarr.part")
        assert store["fused"].chunks == (bands, 512, 512)
        writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_overwrite_and_leftovers(make_image: Make, save: Save, tmp_path: Path) -> None:
    first, second = (make_image(1, 40, 50, "uint8", seed=seed) for seed in (1, 2))
    (tmp_path / "out.zarr.part").mkdir()
    save(first, "out.zarr", format="zarr")
    with pytest.raises(WriteError, match=r"out\.zarr exists"):
        save(second, "out.zarr", format="zarr")
    path = save(second, "out.zarr", format="zarr", overwrite=True)
    with open_store(path, mask_and_scale=False) as store:
        assert np.array_equal(store["fused"].values, second)


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"

    def work() -> None:
        with open_writer(path, RasterProfile(64, 64, 1, "uint8"), format="zarr", block=32) as w:
            w.append(w.encode(Window(0, 0, 32, 64), np.ones((1, 32, 64), np.uint8)))
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        work()
    assert list(tmp_path.iterdir()) == []


def test_errors(tmp_path: Path) -> None:
    profile = RasterProfile(64, 64, 1, "uint8")
    path = tmp_path / "a.zarr"
    with pytest.raises(OptionError, match="no compression 'lzw'; choose one of: deflate, none"):
        open_writer(path, profile, format="zarr", compress="lzw")
    with pytest.raises(OptionError, match="no compression level 20; use 1 to 9"):
        open_writer(path, profile, format="zarr", level=20)
    with pytest.raises(OptionError, match="no overviews"):
        open_writer(path, profile, format="zarr", overviews=True)
    path.write_bytes(b"")
    with pytest.raises(WriteError, match="it is a file, a Zarr store is a folder"):
        open_writer(path, profile, format="zarr", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
