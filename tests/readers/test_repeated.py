"""Repeated pixels are found where they are the whole truth, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from pansharp.geometry.grids import Alignment, Window
from pansharp.readers import open_scene
from pansharp.readers._repeated import thin
from pansharp.source import ArraySource, ThinnedSource

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import WriteRaster


def _image(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2000, (3, rows, cols)).astype(np.uint16)


def _repeat(image: np.ndarray, step: int) -> np.ndarray:
    return image.repeat(step, axis=1).repeat(step, axis=2)


@given(
    step=st.integers(2, 8),
    row=st.integers(0, 7),
    col=st.integers(0, 7),
    tail=st.integers(0, 7),
    seed=st.integers(0, 99),
)
def test_the_image_before_repetition_comes_back(
    step: int, row: int, col: int, tail: int, seed: int
) -> None:
    image = _image(50, 60, seed)
    row, col, tail = row % step, col % step, tail % step
    big = _repeat(image, step)[:, row:, col : 60 * step - tail]
    source, alignment, note = thin(ArraySource(big), Alignment.corner(2.0))
    assert note is not None
    assert f"{step} x {step} times" in note
    # A block that the rim cuts on its first side is left off.
    first_row, first_col = -(-row // step), -(-col // step)
    kept = image[:, first_row:, first_col:]
    assert (source.height, source.width) == kept.shape[1:]
    np.testing.assert_array_equal(source.read(Window(0, 0, *kept.shape[1:])), kept)
    part = Window(3, 5, 20, 17)
    np.testing.assert_array_equal(source.read(part), kept[:, *part.slices])
    np.testing.assert_array_equal(
        source.cut(part).read(Window(0, 0, 20, 17)), kept[:, *part.slices]
    )
    np.testing.assert_array_equal(source.select([2]).read(part), kept[2:, *part.slices])
    # The centre of the first whole pixel: middle of its block, in PAN pixels of half its size.
    middle = (first_row * step - row + (step - 1) / 2) * 2.0 + 0.5
    assert alignment.y.offset == pytest.approx(middle)
    assert alignment.ratio == pytest.approx(2.0 * step)


@pytest.mark.parametrize("spoil", [(10, 11), (-1, -1), (63, 190)])
def test_one_odd_pixel_forbids_thinning(spoil: tuple[int, int]) -> None:
    big = _repeat(_image(90, 100), 2)
    big[1, *spoil] += 1
    source = ArraySource(big)
    found, alignment, note = thin(source, Alignment.corner(2.0))
    assert found is source
    assert note is None
    assert alignment == Alignment.corner(2.0)


@pytest.mark.parametrize(
    "image",
    [
        _image(128, 128),
        np.full((2, 128, 128), 7, np.uint16),
        _image(128, 128).repeat(2, axis=1),
        _repeat(_image(15, 15), 2),
        # Repeated in the north, ordinary in the south.
        np.concatenate([_repeat(_image(100, 70), 2), _image(200, 140)], axis=1),
    ],
    ids=["ordinary", "flat", "one axis", "small", "half"],
)
def test_other_images_are_left_alone(image: np.ndarray) -> None:
    source = ArraySource(image)
    assert thin(source, Alignment.corner(4.0))[0] is source


@pytest.mark.parametrize("hole", ["zero", "nodata", "nan"])
def test_a_footprint_cut_after_repeating_is_no_obstacle(hole: str) -> None:
    big = _repeat(_image(80, 80), 2).astype(np.float32)
    y, x = np.mgrid[:160, :160]
    outside = y + 2 * x < 101
    value = {"zero": 0.0, "nodata": -1.0, "nan": np.nan}[hole]
    big[:, outside] = value
    source, _, note = thin(ArraySource(big, nodata=-1.0), Alignment.corner(2.0))
    assert note is not None
    valid = source.valid(Window(0, 0, 80, 80))
    if hole == "zero":
        assert valid is None
    else:
        np.testing.assert_array_equal(valid, ~outside[::2, ::2])


def test_a_pair_is_opened_at_its_true_ratio(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 400, 400))
    ms = write_raster("ms.tif", (3, 200, 200), pixel=2.0)
    with rasterio.open(ms, "r+") as file:
        image = _image(100, 100)
        file.write(_repeat(image, 2))
    scene = open_scene(pan=pan, ms=ms)
    assert scene.ratio == pytest.approx(4.0)
    assert scene.alignment.y.offset == pytest.approx(1.5)
    assert any("every pixel 2 x 2 times" in note for note in scene.notes)
    np.testing.assert_array_equal(scene.ms_source.read(Window(0, 0, 100, 100)), image)
    assert isinstance(scene.ms_source, ThinnedSource)
    kept = open_scene(pan=pan, ms=ms, ratio=2)
    assert kept.ratio == pytest.approx(2.0)
    assert not any("every pixel" in note for note in kept.notes)


def test_an_ms_brought_to_the_size_of_the_pan_is_saved(write_raster: WriteRaster) -> None:
    """Without thinning it would be refused: its pixels are no coarser than those of the PAN."""
    pan = write_raster("pan.tif", (1, 240, 240))
    ms = write_raster("ms.tif", (3, 240, 240))
    with rasterio.open(ms, "r+") as file:
        file.write(_repeat(_image(60, 60), 4))
    assert open_scene(pan=pan, ms=ms).ratio == pytest.approx(4.0)


@pytest.mark.parametrize("chip", [1, 2])
def test_rotterdam_holds_its_pixels_twice(shared_data: Path, chip: int) -> None:
    scene = open_scene(shared_data / "worldview2_rotterdam" / f"pan_{chip}.tif")
    assert scene.ratio == pytest.approx(4.0, rel=1e-3)
    assert (scene.ms_source.height, scene.ms_source.width) == (150, 150)
