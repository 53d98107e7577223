from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from pansharp.errors import ReaderError, SceneError
from pansharp.readers._preflight import check_complete, check_not_empty
from pansharp.source import ArraySource, RasterSource

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import WriteRaster


def header_first(path: Path, **profile: object) -> Path:
    """A copy whose header precedes the pixels: cut short, it still opens."""
    copy = path.with_name("a.tif")
    rasterio.shutil.copy(path, copy, driver="GTiff", **profile)
    return copy


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"compress": "deflate"},
        {"tiled": True, "blockxsize": 64, "blockysize": 64},
        {"interleave": "band", "tiled": True, "blockxsize": 64, "blockysize": 64},
    ],
)
def test_cut_files_are_found(
    write_raster: WriteRaster, keep: float, profile: dict[str, object]
) -> None:
    path = header_first(write_raster("first.tif", (3, 300, 200)), **profile)
    check_complete(RasterSource(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(
        ReaderError, match=r"a\.tif' is incomplete: .* (header|bytes)|a\.tif' cannot be read"
    ):
        check_complete(RasterSource(path))


def test_message_says_where_the_data_end(write_raster: WriteRaster) -> None:
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    path = header_first(write_raster("first.tif", (1, 256, 256)), **tiles)
    path.write_bytes(path.read_bytes()[:70_000])
    with pytest.raises(ReaderError, match=r"promises 256 x 256 pixels, the data end near row 128"):
        check_complete(RasterSource(path))


def test_sparse_files_are_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=512, width=512, dtype="uint16",
        tiled=True, sparse_ok=True, crs="EPSG:32633", transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    ) as target:  # fmt: skip
        target.write(np.ones((16, 16), dtype=np.uint16), 1, window=((0, 16), (0, 16)))
    assert path.stat().st_size < 512 * 512 * 2
    check_complete(RasterSource(path))


def test_other_formats_are_read_at_their_end(write_raster: WriteRaster) -> None:
    path = write_raster("a.dat", (2, 60, 50), driver="ENVI")
    check_complete(RasterSource(path))
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(ReaderError, match="incomplete"):
        check_complete(RasterSource(path))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_images_of_zeros_or_nodata_are_refused(dtype: str) -> None:
    blank = np.zeros((2, 300, 300), dtype=dtype)
    with pytest.raises(SceneError, match=r"every pixel of the MS image .* is"):
        check_not_empty(ArraySource(blank), "MS")
    with pytest.raises(SceneError, match=r"is nodata \(7"):
        check_not_empty(ArraySource(blank + np.array(7, dtype), nodata=7), "PAN")


def test_one_pixel_of_data_is_enough() -> None:
    image = np.zeros((1, 2500, 1200), dtype=np.uint16)
    image[0, 2400, 7] = 1
    check_not_empty(ArraySource(image, nodata=0), "PAN")


def test_images_of_nan_are_refused() -> None:
    with pytest.raises(SceneError, match="every pixel"):
        check_not_empty(ArraySource(np.full((1, 20, 20), np.nan)), "PAN")
