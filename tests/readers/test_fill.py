"""Squares of 0 that no header declares are nodata; dark ground is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from pansharp.geometry.grids import Window
from pansharp.readers import open_scene
from pansharp.readers._preflight import has_fill
from pansharp.source import ArraySource

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import WriteRaster


def _empty(path: Path, rows: slice, cols: slice) -> Path:
    with rasterio.open(path, "r+") as file:
        data = file.read()
        data[:, rows, cols] = 0
        file.write(data)
    return path


@pytest.mark.parametrize("part", [(slice(0, 40), slice(0, 40)), (slice(60, 128), slice(None))])
def test_empty_parts_become_nodata(write_raster: WriteRaster, part: tuple[slice, slice]) -> None:
    ms = _empty(write_raster("ms.tif", (3, 128, 128), pixel=4.0), *part)
    pan = write_raster("pan.tif", (1, 512, 512))
    scene = open_scene(pan=pan, ms=ms)
    assert scene.nodata == 0
    assert any("hold 0 in every band" in note for note in scene.notes)
    valid = scene.ms_source.valid(Window(0, 0, 128, 128))
    assert valid is not None
    expected = np.ones((128, 128), dtype=bool)
    expected[part] = False
    np.testing.assert_array_equal(valid, expected)


def test_the_pan_alone_may_have_fill(write_raster: WriteRaster) -> None:
    pan = _empty(write_raster("pan.tif", (1, 512, 512)), slice(0, 100), slice(412, 512))
    scene = open_scene(pan=pan, ms=write_raster("ms.tif", (3, 128, 128), pixel=4.0))
    assert scene.nodata == 0
    assert scene.pan_source.valid(Window(0, 500, 10, 10)) is not None
    assert not scene.pan_source.valid(Window(0, 500, 10, 10)).any()
    assert scene.ms_source.nodata is None


def test_what_is_declared_or_dark_is_left_alone(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 512, 512))
    declared = write_raster("a.tif", (3, 128, 128), pixel=4.0, nodata=7)
    assert open_scene(pan=pan, ms=_empty(declared, slice(0, 40), slice(0, 40))).nodata == 7
    dark = write_raster("b.tif", (3, 128, 128), pixel=4.0)
    with rasterio.open(dark, "r+") as file:
        data = file.read()
        # Black in two bands of three, and single black pixels.
        data[:2, :40, :40] = 0
        data[:, ::5, ::5] = 0
        file.write(data)
    assert open_scene(pan=pan, ms=dark).nodata is None
    assert not has_fill(ArraySource(np.zeros((1, 64, 64), np.float32)))
