"""Views, stretches, band choice and encoding."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from pansharp.errors import BandMismatchError, OptionError, ReaderError
from pansharp.geometry.grids import Window
from pansharp.pictures import Stretch, View, any_bands, as_source, band_choice, encode, look

if TYPE_CHECKING:
    from pathlib import Path


def _raster(path: Path, data: np.ndarray, *, nodata: float | None = None, ovr: bool = False) -> str:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=data.shape[0],
        height=data.shape[1],
        width=data.shape[2],
        dtype=data.dtype,
        nodata=nodata,
        tiled=True,
        crs="EPSG:32632",
        transform=from_origin(5e5, 5e6, 1, 1),
    ) as file:
        file.write(data)
    if ovr:
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2, 4], Resampling.average)
    return str(path)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.data())
def test_view_is_the_mean_of_valid_pixels(
    bands: int, height: int, width: int, size: int, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 5, (bands, height, width)).astype(np.uint16)
    image[:, rng.random((height, width)) < 0.3] = 0
    view = look(_ints(image), size=size)
    step = view.step
    assert max(view.data.shape[1:]) <= size
    assert view.data.shape[1:] == (-(-height // step), -(-width // step))
    valid = image.any(axis=0)
    for row in range(view.data.shape[1]):
        for col in range(view.data.shape[2]):
            cut = slice(row * step, (row + 1) * step), slice(col * step, (col + 1) * step)
            inside = image[:, *cut][:, valid[cut]]
            if inside.size:
                np.testing.assert_allclose(view.data[:, row, col], inside.mean(axis=1), rtol=1e-5)
            else:
                assert np.isnan(view.data[:, row, col]).all()


def _decoded(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(data) as file, file.open() as raster:
            return np.moveaxis(raster.read(), 0, 2)


def _ints(image: np.ndarray) -> object:
    from pansharp.source import ArraySource

    return ArraySource(image, nodata=0)


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(1, 99, (2, 301, 77)).astype(np.uint16)
    whole = look(image, size=50).data
    monkeypatch.setattr("pansharp.pictures.view._STRIP_BYTES", 20_000)
    np.testing.assert_array_equal(look(image, size=50).data, whole)


def test_overviews_are_used_and_agree(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(100, 200, (3, 512, 768)).astype(np.uint16)
    image[:, :64, :128] = 0
    plain = look(_raster(tmp_path / "plain.tif", image, nodata=0), size=96)
    path = _raster(tmp_path / "ovr.tif", image, nodata=0, ovr=True)
    over = look(path, size=96)
    assert plain.step == over.step == 8
    assert plain.data.shape == over.data.shape
    assert np.isnan(over.data[:, :8, :16]).all()
    np.testing.assert_allclose(over.data, plain.data, atol=1.0)  # an overview stores whole numbers
    # Proof that it is the overview that is read: the full image is spoilt and nobody notices.
    with rasterio.open(path, "r+") as file:
        file.write(np.full_like(image, 7))
    np.testing.assert_array_equal(look(path, size=96).data, over.data)
    part = look(path, bands=[2], window=Window(100, 200, 30, 40), size=64)
    assert part.step == 1
    np.testing.assert_array_equal(part.data, np.full((1, 30, 40), 7, np.float32))


def test_windows_and_errors(tmp_path: Path) -> None:
    image = np.arange(12.0, dtype=np.float32).reshape(1, 3, 4)
    view = look(image, window=Window(1, 2, 10, 10))
    assert view.window == Window(1, 2, 2, 2)
    np.testing.assert_array_equal(view.data, image[:, 1:, 2:])
    with pytest.raises(OptionError, match="outside the image of 3 x 4"):
        look(image, window=Window(5, 5, 2, 2))
    with pytest.raises(OptionError, match="size must be"):
        look(image, size=0)
    with pytest.raises(ReaderError):
        look(tmp_path / "none.tif")
    assert as_source(image[0]).bands == 1


def test_stretch_is_joint_and_keeps_holes_clear() -> None:
    window = Window(0, 0, 10, 10)
    dark = View(np.full((1, 10, 10), 10, np.float32), window, 1)
    ramp = View(np.linspace(0, 100, 100, dtype=np.float32).reshape(1, 10, 10), window, 1)
    ramp.data[0, 0, 0] = np.nan
    stretch = Stretch.joint([dark, ramp], percent=(0, 100))
    assert stretch.low == pytest.approx((1.0101,), abs=1e-3)
    assert stretch.high == (100.0,)
    picture = stretch(ramp)
    assert picture[0, 0].tolist() == [0, 0, 0, 0]
    assert picture[-1, -1].tolist() == [255, 255, 255, 255]
    assert (np.diff(picture.reshape(-1, 4)[1:, 0].astype(int)) >= 0).all()
    assert Stretch.joint([dark])(dark)[0, 0, 0] == 128
    lifted = Stretch(stretch.low, stretch.high, 2.0)(ramp)
    assert (lifted[..., 0].astype(int) >= picture[..., 0]).all()
    three = Stretch((0.0, 1.0, 2.0), (3.0, 4.0, 5.0))
    assert three.grey() == Stretch((1.0,), (4.0,))


def test_views_count_alike_in_a_stretch() -> None:
    large = View(np.full((1, 100, 100), 5, np.float32), Window(0, 0, 100, 100), 1)
    small = View(np.full((1, 4, 4), 50, np.float32), Window(0, 0, 4, 4), 1)
    assert Stretch.joint([large, small], percent=(40, 60)).high == (50.0,)


def test_stretch_without_data_and_bad_input() -> None:
    empty = View(np.full((3, 2, 2), np.nan, np.float32), Window(0, 0, 2, 2), 1)
    stretch = Stretch.joint([empty])
    assert (stretch(empty)[..., 3] == 0).all()
    for wrong in ((99, 1), (-1, 50), (5, 5)):
        with pytest.raises(OptionError, match="not in order"):
            Stretch.joint([empty], percent=wrong)
    with pytest.raises(OptionError, match="same bands"):
        Stretch.joint([])
    with pytest.raises(OptionError, match="gamma"):
        Stretch((0.0,), (1.0,), 0.0)
    with pytest.raises(OptionError, match="3 bands"):
        Stretch((0.0,), (1.0,))(empty)


def test_band_choice() -> None:
    eight = ("coastal", "blue", "green", "yellow", "red", "rededge", "nir1", "nir2")
    assert band_choice(eight) == (4, 2, 1)
    assert band_choice(eight, (), "false-colour") == (6, 4, 2)
    assert band_choice(("B", "G", "R", "N"), (), "false-colour") == (3, 2, 1)
    assert band_choice(("b1", "b2", "b3", "b4")) == (2, 1, 0)
    cube = tuple(f"band {i}" for i in range(200))
    assert band_choice(cube, tuple(400.0 + 10 * i for i in range(200))) == (25, 16, 8)
    assert band_choice(("b1",)) == (0,)
    assert band_choice(eight, (), ("NIR", 0, "Red")) == (6, 0, 4)
    landsat = ("B2 blue", "B3 green", "B4 red", "B5 nir")
    assert band_choice(landsat) == (2, 1, 0)
    assert band_choice(landsat, (), ("nir1", "red", "B3 green")) == (3, 2, 1)
    with pytest.raises(OptionError, match="no band combination 'rbg'"):
        band_choice(eight, (), "rbg")
    with pytest.raises(BandMismatchError, match="no bands for 'false-colour'"):
        band_choice(("b1", "b2", "b3"), (), "false-colour")
    with pytest.raises(BandMismatchError, match="no band 9"):
        band_choice(eight, (), (9,))
    with pytest.raises(BandMismatchError, match="no band 'swir'"):
        band_choice(eight, (), ("swir", 1, 2))
    with pytest.raises(BandMismatchError, match="2 bands"):
        band_choice(eight, (), (1, 2))


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_encoded_pictures_are_read_back(format: str) -> None:
    yy, xx = np.mgrid[0:40, 0:60]
    picture = np.stack([4 * xx, 6 * yy, 255 - 4 * xx, 0 * xx + 255], axis=2).astype(np.uint8)
    data = encode(picture, format, quality=90)
    read = _decoded(data)
    if format == "png":
        np.testing.assert_array_equal(read, picture)
    else:
        assert np.abs(read[..., :3].astype(int) - picture[..., :3]).mean() < 12


def test_jpeg_shows_holes_white_and_bad_input_is_refused() -> None:
    picture = np.zeros((16, 16, 4), np.uint8)
    assert _decoded(encode(picture, "jpeg")).min() > 250
    with pytest.raises(OptionError, match="no picture format"):
        encode(picture, "gif")
    with pytest.raises(OptionError, match="give uint8"):
        encode(picture.astype(float))  # type: ignore[arg-type]


def test_step_of_an_overview_is_a_multiple_of_its_factor(tmp_path: Path) -> None:
    """With an overview of 2 and a step of 3, pixels of the view are 4 wide, and it says so."""
    path = _raster(tmp_path / "a.tif", np.ones((1, 300, 300), np.uint16), ovr=True)
    view = look(path, size=100)
    assert view.step == 4
    assert view.data.shape == (1, 75, 75)


def test_a_stretch_suits_what_it_neither_clips_nor_flattens(tmp_path: Path) -> None:
    values = np.linspace(0, 100, 10_000, dtype=np.float32).reshape(1, 100, 100)
    view = View(values, Window(0, 0, 100, 100), 1)
    assert Stretch((0.0,), (100.0,)).suits(view)
    assert not Stretch((20.0,), (100.0,)).suits(view)
    assert not Stretch((0.0,), (80.0,)).suits(view)
    assert not Stretch((0.0,), (500.0,)).suits(view)


def test_any_bands_always_finds_some() -> None:
    assert any_bands(("blue", "green", "red", "nir")) == ((2, 1, 0), "rgb")
    assert any_bands(("nir", "red", "green")) == ((0, 1, 2), "false-colour")
    waves = [1000.0 + 10 * i for i in range(8)]
    assert any_bands([f"b{i}" for i in range(8)], waves) == ((6, 4, 2), "spread")
    assert any_bands(("b1", "b2", "b3", "b4")) == ((2, 1, 0), "assumed")
    assert any_bands(("pan",)) == ((0,), "one")
