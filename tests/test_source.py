from __future__ import annotations

import gc
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from pansharp.errors import (
    BandMismatchError,
    GridMismatchError,
    ReaderError,
    SceneError,
)
from pansharp.geometry.grids import Window
from pansharp.source import (
    UNSET,
    ArraySource,
    RasterSource,
    Source,
    SourceView,
    StackSource,
    WarpedSource,
    fill_invalid,
    read_padded,
)

if TYPE_CHECKING:
    from pathlib import Path

PLACE = {"crs": "EPSG:32633", "transform": Affine(2, 0, 500_000, 0, -2, 5_800_000)}


def write(path: Path, data: np.ndarray, **profile: object) -> Path:
    count, height, width = data.shape
    shape = {"count": count, "height": height, "width": width, "dtype": data.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **{**PLACE, **profile}) as target:
        target.write(data)
    return path


@pytest.fixture
def counts(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(1, 2000, (3, 50, 60)).astype(np.uint16)


def test_raster_source_reads_the_window_as_stored(tmp_path: Path, counts: np.ndarray) -> None:
    source = RasterSource(write(tmp_path / "a.tif", counts))
    assert isinstance(source, Source)
    assert (source.bands, source.height, source.width, source.dtype) == (3, 50, 60, np.uint16)
    np.testing.assert_array_equal(source.read(Window(3, 5, 7, 9)), counts[:, 3:10, 5:14])
    assert source.read(Window(3, 5, 0, 9)).shape == (3, 0, 9)


def test_bands_windows_cuts_and_selections_compose(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "a.tif", counts)
    direct = RasterSource(path, bands=(2, 0), window=Window(10, 20, 30, 30))
    stepwise = (
        RasterSource(path).cut(Window(5, 5, 40, 50)).select([2, 0]).cut(Window(5, 15, 30, 30))
    )
    expected = counts[[2, 0], 12:16, 23:26]
    np.testing.assert_array_equal(direct.read(Window(2, 3, 4, 3)), expected)
    np.testing.assert_array_equal(stepwise.read(Window(2, 3, 4, 3)), expected)
    assert stepwise.window == direct.window


def test_reading_outside_is_an_error(tmp_path: Path, counts: np.ndarray) -> None:
    source = RasterSource(write(tmp_path / "a.tif", counts))
    with pytest.raises(SceneError, match=r"rows 45:55, columns 0:5 lie outside .*a\.tif"):
        source.read(Window(45, 0, 10, 5))


def test_sources_survive_pickling_threads_and_closing(tmp_path: Path, counts: np.ndarray) -> None:
    source = RasterSource(write(tmp_path / "a.tif", counts))
    copy = pickle.loads(pickle.dumps(source))
    windows = [Window(row, 0, 10, 60) for row in range(0, 50, 10)] * 4
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(copy.read, windows))
    np.testing.assert_array_equal(np.concatenate(parts[:5], axis=1), counts)
    copy.close()
    np.testing.assert_array_equal(copy.read(copy.full), counts)


def test_unset_stays_itself_through_pickling() -> None:
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET


def test_integers_without_nodata_are_valid_without_a_look(
    tmp_path: Path, counts: np.ndarray
) -> None:
    source = RasterSource(write(tmp_path / "a.tif", counts))
    assert not source.may_be_invalid
    assert source.valid(source.full) is None


def test_nodata_counts_only_where_all_bands_have_it(tmp_path: Path, counts: np.ndarray) -> None:
    counts[:, 4, 4] = 0
    counts[0, 8, 8] = 0
    path = write(tmp_path / "a.tif", counts, nodata=0)
    valid = RasterSource(path).valid(Window(0, 0, 50, 60))
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[4, 4]]
    assert RasterSource(path).valid(Window(6, 6, 20, 20)) is None
    assert RasterSource(path, nodata=None).valid(Window(0, 0, 50, 60)) is None
    one = RasterSource(path, bands=(0,)).valid(Window(0, 0, 50, 60))
    assert one is not None
    assert np.argwhere(~one).tolist() == [[4, 4], [8, 8]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_band_that_is_not_finite_makes_a_pixel_invalid(tmp_path: Path, bad: float) -> None:
    data = np.ones((2, 9, 9), dtype=np.float32)
    data[1, 2, 3] = bad
    source = RasterSource(write(tmp_path / "a.tif", data))
    valid = source.valid(source.full)
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[2, 3]]


def test_values_too_large_for_float32_are_invalid() -> None:
    data = np.ones((1, 4, 4))
    data[0, 1, 1] = -1.7976931348623157e308
    filled, valid = read_padded(ArraySource(data), Window(0, 0, 4, 4))
    assert valid is not None
    assert not valid[1, 1]
    assert (filled == 1).all()


@pytest.mark.parametrize("nodata", [-9999, 70000, 0.5, float("nan")])
def test_nodata_that_the_dtype_cannot_hold_is_ignored(nodata: float) -> None:
    source = ArraySource(np.zeros((1, 4, 4), dtype=np.uint16), nodata=nodata)
    assert source.valid(Window(0, 0, 4, 4)) is None


def test_float32_nodata_is_compared_as_stored() -> None:
    data = np.ones((1, 4, 4), dtype=np.float32)
    data[0, 0, 0] = -0.1
    valid = ArraySource(data, nodata=-0.1).valid(Window(0, 0, 4, 4))
    assert valid is not None
    assert not valid[0, 0]


def test_mask_of_the_file_is_used(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    mask = np.full((50, 60), 255, dtype=np.uint8)
    mask[10:12] = 0
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", count=3, height=50, width=60, dtype="uint16", **PLACE
        ) as target,
    ):
        target.write(counts)
        target.write_mask(mask)
    valid = RasterSource(path).cut(Window(5, 0, 20, 60)).valid(Window(0, 0, 20, 60))
    assert valid is not None
    np.testing.assert_array_equal(valid, mask[5:25] > 0)


def test_alpha_band_is_a_mask_and_no_band(tmp_path: Path, counts: np.ndarray) -> None:
    alpha = np.full((1, 50, 60), 65535, dtype=np.uint16)
    alpha[0, :7] = 0
    path = write(
        tmp_path / "a.tif", np.concatenate([counts, alpha]), photometric="RGB", alpha="YES"
    )
    source = RasterSource(path)
    valid = source.valid(source.full)
    assert source.bands == 3
    assert valid is not None
    np.testing.assert_array_equal(valid, alpha[0] > 0)


def test_near_infrared_that_gdal_labels_alpha_stays_a_band(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write(tmp_path / "a.tif", rng.integers(0, 255, (4, 50, 60)).astype(np.uint8))
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3] == ColorInterp.alpha
    source = RasterSource(path)
    assert source.bands == 4
    assert source.valid(source.full) is None


def test_bad_files_and_bands_have_one_line_each(tmp_path: Path, counts: np.ndarray) -> None:
    text = tmp_path / "a.txt"
    text.write_text("no raster")
    for path, finding in ((tmp_path / "no.tif", "does not exist"), (text, "is not a raster")):
        with pytest.raises(ReaderError, match=finding) as caught:
            RasterSource(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ReaderError, match="folder"):
        RasterSource(tmp_path)
    with pytest.raises(BandMismatchError, match="choose from 0 to 2"):
        RasterSource(write(tmp_path / "b.tif", counts), bands=(3,))


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.ones((1, 8, 8), dtype=np.complex64))
    with pytest.raises(ReaderError, match="complex"):
        RasterSource(path)


def test_block_cache_is_bounded(tmp_path: Path, counts: np.ndarray) -> None:
    from rasterio.env import get_gdal_config

    RasterSource(write(tmp_path / "a.tif", counts)).close()
    assert 0 < int(get_gdal_config("GDAL_CACHEMAX")) <= 512 * 2**20


def test_stack_joins_files_and_their_validity(tmp_path: Path, counts: np.ndarray) -> None:
    counts[:, 1, 1] = 0
    counts[2, 5, 5] = 0
    paths = [write(tmp_path / f"{i}.tif", counts[i : i + 1], nodata=0) for i in range(3)]
    stack = StackSource([RasterSource(path) for path in paths])
    window = Window(0, 0, 20, 20)
    valid = stack.valid(window)
    np.testing.assert_array_equal(stack.read(window), counts[:, :20, :20])
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[1, 1]]
    part = pickle.loads(pickle.dumps(stack)).select([2, 1]).cut(Window(5, 5, 5, 5))
    np.testing.assert_array_equal(part.read(Window(0, 0, 2, 2)), counts[[2, 1], 5:7, 5:7])
    with pytest.raises(GridMismatchError, match="50 x 60"):
        StackSource([RasterSource(paths[0]), RasterSource(paths[1]).cut(window)])


def test_array_source_slices_lazily_and_returns_copies() -> None:
    import dask.array as da

    lazy = da.arange(60, chunks=7).reshape(1, 6, 10).astype("int16")
    source = ArraySource(lazy, nodata=13)
    data = source.read(Window(1, 2, 2, 3))
    assert data.tolist() == [[[12, 13, 14], [22, 23, 24]]]
    valid = source.cut(Window(1, 2, 2, 3)).valid(Window(0, 0, 2, 3))
    assert valid is not None
    assert valid.tolist() == [[True, False, True], [True, True, True]]
    array = np.zeros((4, 5), dtype=np.uint8)
    ArraySource(array).read(Window(0, 0, 4, 5))[:] = 9
    assert not array.any()


def test_array_source_checks_its_parts() -> None:
    with pytest.raises(SceneError, match="dimensions"):
        ArraySource(np.zeros(4))
    with pytest.raises(SceneError, match="complex"):
        ArraySource(np.zeros((4, 4), dtype=complex))
    with pytest.raises(SceneError, match="no pixels"):
        ArraySource(np.zeros((0, 4, 4)))
    with pytest.raises(GridMismatchError, match="mask"):
        ArraySource(np.zeros((2, 4, 4)), mask=np.ones((4, 5), dtype=bool))
    with pytest.raises(BandMismatchError, match="3 band names"):
        ArraySource(np.zeros((2, 4, 4)), band_names=("a", "b", "c"))


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:],
        np.s_[:, 3:9, 4:20],
        np.s_[1, 3:9, -5:],
        np.s_[..., 4],
        np.s_[0:2, 7, 8],
        np.s_[:, ::3, 30:10:-2],
        np.s_[:, 5:5, :],
        np.s_[-1],
        np.s_[[0, 2], :4, :4],
    ],
)
def test_view_slices_like_the_array(counts: np.ndarray, key: object) -> None:
    view = SourceView(ArraySource(counts))
    assert view.shape == counts.shape
    assert view.dtype == counts.dtype
    np.testing.assert_array_equal(view[key], counts[key])


def test_view_becomes_an_array_and_checks_its_indices(counts: np.ndarray) -> None:
    view = SourceView(ArraySource(counts))
    np.testing.assert_array_equal(np.asarray(view), counts)
    with pytest.raises(IndexError, match="60 pixels"):
        view[:, 0, 60]


def ramp(height: int, width: int) -> np.ndarray:
    return np.add.outer(np.arange(height) * 3.0, np.arange(width) * 2.0)[None]


def test_warped_source_puts_a_turned_raster_on_the_grid(tmp_path: Path) -> None:
    turned = Affine.translation(500_000, 5_800_000) * Affine.rotation(20) * Affine.scale(2, -2)
    cols, rows = np.meshgrid(np.arange(80) + 0.5, np.arange(80) + 0.5)
    east, north = turned * (cols, rows)
    data = ((east - 499_900) + 2 * (5_800_300 - north))[None].astype(np.float32)
    path = write(tmp_path / "a.tif", data, transform=turned)
    grid = (2.0, 0.0, 499_990.0, 0.0, -2.0, 5_800_050.0)
    source = WarpedSource(path, crs="EPSG:32633", transform=grid, shape=(110, 120))
    valid = source.valid(source.full)
    assert source.bands == 1
    assert valid is not None
    assert 0.3 < valid.mean() < 0.7
    x = 499_990 + 2 * (np.arange(120) + 0.5)
    y = 5_800_050 - 2 * (np.arange(110) + 0.5)
    truth = np.add.outer(2 * (5_800_300 - y), x - 499_900)
    inner = read_padded(ArraySource(valid.astype(np.uint8)), source.full)[0][0] > 0
    for step in (-3, 3):  # cubic support at the rim sees fewer pixels
        inner &= np.roll(valid, step, 0) & np.roll(valid, step, 1)
    np.testing.assert_allclose(source.read(source.full)[0][inner], truth[inner], atol=0.05)
    copy = pickle.loads(pickle.dumps(source)).cut(Window(40, 40, 9, 9))
    np.testing.assert_array_equal(copy.read(Window(0, 0, 9, 9)), source.read(Window(40, 40, 9, 9)))


def test_warped_source_leaves_out_nodata(tmp_path: Path) -> None:
    data = np.full((2, 40, 40), 100, dtype=np.int16)
    data[:, 10:16, 10:16] = -99
    path = write(tmp_path / "a.tif", data, nodata=-99)
    grid = (2.0, 0.0, 500_001.0, 0.0, -2.0, 5_799_999.0)
    source = WarpedSource(path, crs="EPSG:32633", transform=grid, shape=(39, 39))
    valid = source.valid(source.full)
    assert valid is not None
    assert not valid[11:14, 11:14].any()
    assert valid[20:, 20:].all()
    assert set(np.unique(source.read(source.full)[:, valid])) == {100}


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_warped_source_keeps_a_band_that_is_only_labelled_alpha(
    tmp_path: Path, rng: np.random.Generator, kind: str
) -> None:
    data = rng.integers(1, 250, (4, 40, 40)).astype(kind)
    path = write(tmp_path / "a&b.tif", data, photometric="RGB", alpha="YES", nodata=0)
    grid = (2.0, 0.0, 500_000.0, 0.0, -2.0, 5_800_000.0)
    source = WarpedSource(path, crs="EPSG:32633", transform=grid, shape=(50, 40))
    valid = source.valid(source.full)
    assert source.bands == 4
    assert valid is not None
    assert valid[:40].all()
    assert not valid[40:].any()
    np.testing.assert_array_equal(source.read(Window(0, 0, 40, 40)), data)


def test_files_of_threads_that_ended_are_closed(tmp_path: Path, counts: np.ndarray) -> None:
    source = RasterSource(write(tmp_path / "a.tif", counts))
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(source.read, [Window(0, 0, 9, 9)] * 4))
    gc.collect()
    assert len(source._opened) == 1


def test_padding_copies_the_edge(counts: np.ndarray) -> None:
    data, valid = read_padded(ArraySource(counts), Window(-3, 55, 10, 9))
    expected = np.pad(counts, ((0, 0), (3, 0), (0, 4)), mode="edge")[:, :10, 55:64]
    assert valid is None
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, expected)


@pytest.mark.parametrize("place", [(-30, 5), (70, 5), (5, -40), (60, 80)])
def test_windows_wholly_outside_copy_the_edge(counts: np.ndarray, place: tuple[int, int]) -> None:
    data, _ = read_padded(ArraySource(counts), Window(*place, 4, 6))
    rows = np.clip(np.arange(place[0], place[0] + 4), 0, 49)
    cols = np.clip(np.arange(place[1], place[1] + 6), 0, 59)
    np.testing.assert_array_equal(data, counts[:, rows][:, :, cols])


def test_padding_inherits_validity_and_fill() -> None:
    data = np.full((1, 8, 8), 5, dtype=np.uint16)
    data[0, 0, :] = 0
    filled, valid = read_padded(ArraySource(data, nodata=0), Window(-2, -2, 6, 6))
    assert valid is not None
    assert not valid[:3].any()
    assert valid[3:].all()
    assert (filled == 5).all()


@given(seed=st.integers(0, 10_000), radius=st.integers(1, 9), data=st.data())
def test_fill_does_not_depend_on_the_window(seed: int, radius: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 30, (2, 40, 37)).astype(np.float32)
    holes = rng.random((40, 37)) < rng.choice([0.02, 0.5, 0.98])
    row, col = rng.integers(0, 30, 2)
    holes[row : row + 25, col : col + 20] = True
    image[:, holes] = np.nan
    source = ArraySource(image)
    kwargs = {"fill_radius": radius, "fallback": np.array([7.0, 8.0])}
    whole, all_valid = read_padded(source, Window(-5, -5, 50, 47), **kwargs)
    top, left = data.draw(st.integers(-5, 40)), data.draw(st.integers(-5, 38))
    height, width = data.draw(st.integers(1, 45 - top)), data.draw(st.integers(1, 42 - left))
    part, valid = read_padded(source, Window(top, left, height, width), **kwargs)
    place = (slice(top + 5, top + 5 + height), slice(left + 5, left + 5 + width))
    assert np.isfinite(part).all()
    np.testing.assert_array_equal(part, whole[(slice(None), *place)])
    assert all_valid is not None
    expected = all_valid[place]
    np.testing.assert_array_equal(np.ones_like(expected) if valid is None else valid, expected)


def test_fill_keeps_valid_pixels_and_reaches_as_far_as_asked() -> None:
    data = np.full((2, 1, 12), np.nan, dtype=np.float32)
    data[:, 0, 0] = (3, 4)
    valid = np.zeros((1, 12), dtype=bool)
    valid[0, 0] = True
    filled = fill_invalid(data, valid, radius=5, fallback=np.array([-1.0, -2.0]))
    assert filled[0, 0].tolist() == [3] * 6 + [-1] * 6
    assert filled[1, 0].tolist() == [4] * 6 + [-2] * 6


def test_fill_of_an_image_without_valid_pixels_is_the_fallback() -> None:
    data, valid = read_padded(
        ArraySource(np.zeros((1, 5, 5), np.uint8), nodata=0), Window(1, 1, 3, 3), fallback=4
    )
    assert valid is not None
    assert not valid.any()
    assert (data == 4).all()


def test_fill_continues_a_smooth_image() -> None:
    image = np.broadcast_to(np.arange(30, dtype=np.float32), (1, 30, 30)).copy()
    valid = np.ones((30, 30), dtype=bool)
    valid[12:16, 12:16] = False
    truth = image.copy()
    image[:, ~valid] = 1e6
    filled = fill_invalid(image, valid)
    assert np.abs(filled - truth).max() <= 1.0  # the ramp climbs by 1 per pixel
