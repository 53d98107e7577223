from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from pansharp.errors import OptionError, WriteError
from pansharp.writers import register_stream, stream, write
from pansharp.writers.tiff import TiffWriter
from pansharp.writers.zarr import ZarrWriter

if TYPE_CHECKING:
    from pathlib import Path

xr = pytest.importorskip("xarray")
da = pytest.importorskip("dask.array")

Make = Callable[..., NDArray[Any]]
TRANSFORM = (0.5, 0.0, 1000.0, 0.0, -0.5, 2000.0)


def product(data: Any, **attrs: Any) -> Any:
    count, height, width = data.shape
    return xr.DataArray(
        data,
        dims=("band", "y", "x"),
        coords={
            "band": [f"b{k}" for k in range(count)],
            "y": 2000.0 - 0.5 * (np.arange(height) + 0.5),
            "x": 1000.0 + 0.5 * (np.arange(width) + 0.5),
        },
        attrs={"crs": "EPSG:32633", "transform": TRANSFORM, "model": "gsa"} | attrs,
    )


def test_numpy_product(make_image: Make, tmp_path: Path) -> None:
    image = make_image(3, 70, 90, "uint16", nodata=0)
    path = write(product(image, nodata=0), tmp_path / "a.tif", block=32)
    with rasterio.open(path) as source:
        assert np.array_equal(source.read(), image)
        assert tuple(source.transform)[:6] == TRANSFORM
        assert source.crs.to_epsg() == 32633
        assert source.nodata == 0
        assert source.descriptions == ("b0", "b1", "b2")
        assert source.tags()["model"] == "gsa"
        assert source.overviews(1)


@pytest.mark.parametrize("chunks", [(3, 64, 64), (1, 50, 37), (2, 10, 200)])
@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_lazy_product_each_chunk_once(
    make_image: Make, tmp_path: Path, chunks: tuple[int, int, int], name: str
) -> None:
    image = make_image(3, 150, 170, "float32")
    seen: list[int] = []

    def count(block: NDArray[Any]) -> NDArray[Any]:
        seen.append(1)
        return block

    lazy = da.from_array(image, chunks=chunks).map_blocks(
        count, dtype=image.dtype, meta=np.empty((0, 0, 0), np.float32)
    )
    path = write(product(lazy), tmp_path / name, block=64, dtype="uint16", workers=2)
    assert len(seen) == lazy.npartitions
    expected = np.floor(image + 0.5).astype(np.uint16)
    if name == "a.tif":
        with rasterio.open(path) as source:
            got = source.read()
    else:
        with xr.open_zarr(path, consolidated=False, mask_and_scale=False) as store:
            got = store["fused"].values
    assert np.array_equal(got, expected)


def test_a_cut_product_keeps_its_place(make_image: Make, tmp_path: Path) -> None:
    whole = product(make_image(1, 70, 90, "uint8"))
    with rasterio.open(write(whole[:, 10:50, 20:80], tmp_path / "cut.tif")) as source:
        assert tuple(source.transform)[:6] == (0.5, 0.0, 1010.0, 0.0, -0.5, 1995.0)
    with rasterio.open(write(whole[:, ::2, ::2], tmp_path / "half.tif")) as source:
        assert source.transform.a == 1.0
        assert source.bounds.left == pytest.approx(999.75)
    with rasterio.open(write(whole[:, ::-1], tmp_path / "flip.tif")) as source:
        assert source.transform.e == 0.5
        assert source.transform.f == 1965.0


def test_missing_values_become_nodata(tmp_path: Path) -> None:
    image = np.full((1, 40, 40), 7.6, np.float32)
    image[0, 0, 0] = np.nan
    path = write(product(image, nodata=8), tmp_path / "a.tif", dtype="int16")
    with rasterio.open(path) as source:
        got = source.read(1)
    assert got[0, 0] == 8
    assert got[1, 1] == 9


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_plain_two_dimensional_array(tmp_path: Path) -> None:
    image = xr.DataArray(np.ones((30, 40), np.uint8), dims=("y", "x"))
    with rasterio.open(write(image.T, tmp_path / "a.tif", format="gtiff")) as source:
        assert source.shape == (30, 40)
        assert source.crs is None


def test_untouched_product_takes_the_registered_stream(tmp_path: Path) -> None:
    fused = product(da.zeros((1, 40, 40), chunks=(1, 20, 20), dtype=np.uint8))
    calls: list[tuple[Any, ...]] = []

    def run(array: Any, path: Path, **options: object) -> None:
        calls.append((array, path, options))

    register_stream(fused.data.name, run)
    path = tmp_path / "a.tif"
    assert write(fused, path, compress="deflate", dtype="uint16") == path
    assert calls == [(fused, path, {"format": "cog", "compress": "deflate", "dtype": "uint16"})]
    write(fused + 1, path)
    assert len(calls) == 1
    assert path.exists()


def test_registered_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_STREAMS", stream._STREAMS.__class__())
    for k in range(stream._KEPT + 5):
        register_stream(f"name-{k}", lambda *_, **__: None)
    assert len(stream._STREAMS) == stream._KEPT
    assert "name-0" not in stream._STREAMS


def test_errors(tmp_path: Path) -> None:
    fused = product(np.ones((1, 40, 40), np.uint8))
    with pytest.raises(OptionError, match=r"suffix of 'a.png' names no format"):
        write(fused, tmp_path / "a.png")
    with pytest.raises(OptionError, match="dimensions band, time, x; expected band, y, x"):
        write(fused.rename(y="time"), tmp_path / "a.tif")
    with pytest.raises(OptionError, match="type 'int8' cannot be written"):
        write(fused, tmp_path / "a.tif", dtype="int8")
    with pytest.raises(OptionError, match="expected 6"):
        write(product(np.ones((1, 40, 40), np.uint8), transform=(1, 2)), tmp_path / "a.tif")
    with pytest.raises(OptionError, match="unknown option 'compres'; did you mean 'compress'"):
        write(fused, tmp_path / "a.tif", compres="zstd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
@pytest.mark.parametrize("compress", ["zstd", "none"])
def test_failing_append_waits_for_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, compress: str
) -> None:
    def fail(*_: object) -> None:
        raise WriteError("no room for this")

    for writer in (TiffWriter, ZarrWriter):
        slow = writer._encode
        monkeypatch.setattr(writer, "_append", fail)
        monkeypatch.setattr(
            writer, "_encode", lambda *a, slow=slow: (time.sleep(0.01), slow(*a))[1]
        )
    fused = product(da.zeros((1, 256, 64), chunks=(1, 32, 32), dtype=np.uint8))
    with pytest.raises(WriteError, match="no room for this"):
        write(fused, tmp_path / name, block=32, workers=3, compress=compress)
    time.sleep(0.03)
    assert list(tmp_path.iterdir()) == []


def test_failing_chunk_leaves_nothing(tmp_path: Path) -> None:
    def fail(block: NDArray[Any]) -> NDArray[Any]:
        raise WriteError("no pixels today")

    lazy = da.zeros((1, 40, 40), chunks=(1, 20, 20)).map_blocks(
        fail, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )
    with pytest.raises(WriteError, match="no pixels today"):
        write(product(lazy), tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []
