from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from pansharp.errors import (
    BandMismatchError,
    GridMismatchError,
    OptionError,
    SceneError,
    UnknownSensorError,
)
from pansharp.geometry.grids import Alignment, Window
from pansharp.scene import IDENTITY, Scene
from pansharp.source import ArraySource


@pytest.fixture
def scene(rng: np.random.Generator) -> Scene:
    pan = rng.integers(1, 2000, (200, 240)).astype(np.uint16)
    ms = rng.integers(1, 2000, (4, 50, 60)).astype(np.uint16)
    return Scene(
        pan_source=ArraySource(pan, nodata=0),
        ms_source=ArraySource(ms, nodata=0),
        alignment=Alignment.corner(4),
        crs='LOCAL_CS["site"]',
        transform=(0.5, 0.0, 1000.0, 0.0, -0.5, 2000.0),
        band_names=("B1 coastal", "B2 blue", "B3 green", "B4 blue edge"),
        nodata=0.0,
        scales=(1.0, 2.0, 3.0, 4.0),
        wavelengths=(443.0, 482.0, 561.0, 655.0),
        name="site",
        files={"pan": ("p.tif",), "ms": ("m.tif",)},
    )


def test_facts(scene: Scene) -> None:
    assert scene.shape == (4, 200, 240)
    assert scene.ratio == 4
    assert scene.dtype == np.uint16
    assert scene.bounds == (1000.0, 1900.0, 1120.0, 2000.0)
    assert scene.ms_transform == (2.0, 0.0, 1000.0, 0.0, -2.0, 2000.0)
    assert scene.offsets == (0.0,) * 4


def test_from_arrays_fills_in_defaults() -> None:
    scene = Scene.from_arrays(np.ones((40, 44)), np.ones((3, 10, 11)), sensor="worldview3")
    assert scene.shape == (3, 40, 44)
    assert scene.band_names == ("b1", "b2", "b3")
    assert scene.alignment == Alignment.corner(4)
    assert scene.transform == IDENTITY
    assert scene.sensor is not None
    assert scene.sensor.name == "worldview3"


def test_from_arrays_takes_masks_and_an_alignment() -> None:
    mask = np.ones((20, 20), dtype=bool)
    mask[0] = False
    scene = Scene.from_arrays(
        np.ones((20, 20)), np.ones((2, 10, 10)), alignment=Alignment.toolbox(2), pan_mask=mask
    )
    valid = scene.pan_source.valid(Window(0, 0, 20, 20))
    assert scene.ratio == 2
    assert valid is not None
    np.testing.assert_array_equal(valid, mask)


def test_from_arrays_errors() -> None:
    pan, ms = np.ones((8, 8)), np.ones((3, 2, 2))
    with pytest.raises(OptionError, match="positive"):
        Scene.from_arrays(pan, ms, ratio=0)
    with pytest.raises(BandMismatchError, match="2 band names"):
        Scene.from_arrays(pan, ms, band_names=("a", "b"))
    with pytest.raises(UnknownSensorError):
        Scene.from_arrays(pan, ms, sensor="worldview33x")
    with pytest.raises(SceneError, match="PAN array"):
        Scene.from_arrays(np.ones(8), ms)
    with pytest.raises(GridMismatchError, match="overlap"):
        Scene.from_arrays(pan, ms, alignment=Alignment.corner(4).shifted(500, 0))


def test_arrays_need_no_heavy_imports() -> None:
    code = (
        "import sys, numpy as np; from pansharp.scene import Scene;"
        "s = Scene.from_arrays(np.ones((8, 8)), np.ones((3, 2, 2)));"
        "from pansharp.source import read_padded; from pansharp.geometry.grids import Window;"
        "read_padded(s.ms_source, Window(-1, -1, 4, 4)); s.describe();"
        "print([m for m in ('xarray', 'dask', 'scipy', 'torch', 'rasterio') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_crop_keeps_the_ground_and_a_margin(scene: Scene) -> None:
    part = scene.crop(Window(101, 122, 40, 30))
    assert part.shape == (4, 40, 30)
    assert part.bounds == (1061.0, 1929.5, 1076.0, 1949.5)
    # Rows 101 to 140 lie at MS indices 24.875 to 34.625: pixels 24 to 35 and 16 more on each side,
    # of which the last two do not exist.
    assert part.ms_source.height == 50 - (24 - 16)
    assert part.alignment.ratio == 4
    for index in (0, 17):
        before = scene.alignment.y.to_ms(101 + index)
        after = part.alignment.y.to_ms(index)
        first = round(before - after)
        assert before - after == pytest.approx(first, abs=1e-12)
        row = scene.ms_source.read(Window(first, 0, 1, 60))
        shift = round(scene.alignment.x.to_ms(122) - part.alignment.x.to_ms(0))
        np.testing.assert_array_equal(
            part.ms_source.read(Window(0, 0, 1, 5)), row[:, :, shift : shift + 5]
        )
    np.testing.assert_array_equal(
        part.pan_source.read(Window(0, 0, 40, 30)), scene.pan_source.read(Window(101, 122, 40, 30))
    )


def test_crop_of_everything_changes_nothing(scene: Scene) -> None:
    same = scene.crop(Window(0, 0, 200, 240))
    assert same.pan_source is scene.pan_source
    assert same.ms_source is scene.ms_source
    assert same.alignment == scene.alignment


def test_crop_twice_is_crop_once(scene: Scene) -> None:
    twice = scene.crop(Window(20, 30, 150, 170)).crop(Window(60, 60, 40, 40))
    once = scene.crop(Window(80, 90, 40, 40))
    assert twice.transform == once.transform
    assert twice.alignment == once.alignment
    np.testing.assert_array_equal(
        twice.ms_source.read(Window(0, 0, 9, 9)), once.ms_source.read(Window(0, 0, 9, 9))
    )


def test_crop_outside_names_the_numbers(scene: Scene) -> None:
    with pytest.raises(GridMismatchError, match=r"rows 300:310.*200 x 240"):
        scene.crop(Window(300, 0, 10, 10))


def test_crop_bounds_takes_pixels_by_their_centres(scene: Scene) -> None:
    part = scene.crop_bounds((1010.0, 1950.0, 1020.2, 1960.0))
    assert part.shape[1:] == (20, 20)
    assert part.bounds == (1010.0, 1950.0, 1020.0, 1960.0)
    with pytest.raises(GridMismatchError, match="1000, 1900, 1120, 2000"):
        scene.crop_bounds((0.0, 0.0, 1.0, 1.0))
    with pytest.raises(OptionError, match="no area"):
        scene.crop_bounds((5.0, 5.0, 5.0, 9.0))


def test_select_bands(scene: Scene) -> None:
    part = scene.select_bands(["coastal", 2, "B2 BLUE"])
    assert part.band_names == ("B1 coastal", "B3 green", "B2 blue")
    assert part.scales == (1.0, 3.0, 2.0)
    assert part.wavelengths == (443.0, 561.0, 482.0)
    whole = scene.ms_source.read(Window(0, 0, 5, 5))
    np.testing.assert_array_equal(part.ms_source.read(Window(0, 0, 5, 5)), whole[[0, 2, 1]])


def test_select_bands_errors(scene: Scene) -> None:
    with pytest.raises(BandMismatchError, match="no bands chosen"):
        scene.select_bands([])
    with pytest.raises(BandMismatchError, match=r"'b3 gren'; did you mean 'b3 green'"):
        scene.select_bands(["b3 gren"])
    with pytest.raises(BandMismatchError, match="no band 'blue'"):  # two bands have that word
        scene.select_bands(["blue"])
    with pytest.raises(BandMismatchError, match="no band number 5: the scene has 4"):
        scene.select_bands([4])


def test_shifted_moves_the_ms(scene: Scene) -> None:
    moved = scene.shifted(1.5, -2.0)
    assert moved.alignment.y.offset == scene.alignment.y.offset + 1.5
    assert moved.alignment.x.offset == scene.alignment.x.offset - 2.0


def test_lazy_arrays_carry_the_georeference(scene: Scene) -> None:
    pan, ms = scene.pan, scene.ms
    assert scene.pan is pan
    assert ms.dims == ("band", "y", "x")
    assert ms.chunks is not None
    assert ms.attrs["crs"] == scene.crs
    assert ms.attrs["transform"] == scene.ms_transform
    assert ms.attrs["nodata"] == 0
    assert list(ms.band.values) == list(scene.band_names)
    assert float(pan.x[0]) == 1000.25
    assert float(ms.y[-1]) == 2000 - 2 * 49.5
    np.testing.assert_array_equal(
        ms[1:3, 10:20, 5:9].values, scene.ms_source.read(Window(10, 5, 10, 4))[1:3]
    )


def test_to_dataset_keeps_both_grids(scene: Scene) -> None:
    dataset = scene.to_dataset()
    assert dict(dataset.sizes) == {
        "guide": 1, "y": 200, "x": 240, "band": 4, "y_ms": 50, "x_ms": 60
    }  # fmt: skip


def test_pickle_drops_the_lazy_arrays(scene: Scene) -> None:
    assert scene.ms.shape == (4, 50, 60)
    copy = pickle.loads(pickle.dumps(scene))
    assert "ms" not in copy.__dict__
    assert copy.ms.shape == (4, 50, 60)


def test_describe_is_json(scene: Scene) -> None:
    from dataclasses import replace

    facts = json.loads(json.dumps(replace(scene, nodata=float("nan")).describe(), allow_nan=False))
    assert facts["product"] == {"shape": [4, 200, 240], "dtype": "uint16", "nodata": "nan"}
    assert facts["alignment"]["rows"] == {"scale": 4.0, "offset": 1.5}
    assert facts["files"] == {"pan": ["p.tif"], "ms": ["m.tif"]}


def test_wrong_number_of_names_is_refused(scene: Scene) -> None:
    from dataclasses import replace

    with pytest.raises(BandMismatchError, match="2 band names for an image of 4"):
        replace(scene, band_names=("a", "b"))
