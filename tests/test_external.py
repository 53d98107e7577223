"""GDAL's weighted Brovey as a yardstick: same grid, same formula, honest refusals."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pansharp.engine import FromSource, fuse_array
from pansharp.errors import BandMismatchError, ModelError, OptionError, PansharpWarning, ReaderError
from pansharp.external import gdal_brovey
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import Cubic
from pansharp.geometry.resample import input_window, sample
from pansharp.options import FuseOptions
from pansharp.outcome import decide
from pansharp.pipeline import fuse_to_file
from pansharp.readers import open_scene
from pansharp.scene import Scene
from pansharp.source import RasterSource, read_padded
from pansharp.source.pansharpened import PansharpenedSource

if TYPE_CHECKING:
    from pathlib import Path


def _expected(scene: Scene, weights: tuple[float, ...] | None = None) -> np.ndarray:
    """The formula with our own cubic interpolation, in float32, not rounded."""
    window = Window(0, 0, *scene.shape[1:])
    below = input_window(scene.alignment, "up", Cubic(), window)
    ms, _ = read_padded(scene.ms_source, below)
    up = sample(ms, (below.row, below.col), window, scene.alignment, "up", Cubic())
    pan = read_padded(scene.pan_source, window)[0][0]
    shares = np.asarray(weights or (1 / scene.bands,) * scene.bands, dtype=np.float32)
    intensity = np.einsum("b,byx->yx", shares, up)
    return up * np.where(intensity > 0, pan / np.maximum(intensity, 1), 0)


def _product(scene: Scene, **options: Any) -> np.ndarray:
    return fuse_array(scene, gdal_brovey(scene, **options), tile=64)[0]


def _inside(image: np.ndarray) -> np.ndarray:
    # At the border of the MS GDAL leaves missing pixels out, we repeat the last one.
    return image[:, 10:-10, 10:-10]


def test_it_is_the_formula_on_the_grid_of_the_scene(make_pair: Any) -> None:
    scene = open_scene(**make_pair()._asdict())
    fused = _product(scene)
    assert fused.shape == scene.shape
    difference = np.abs(fused - _expected(scene))
    # GDAL rounds twice: the interpolated MS and the product.
    assert _inside(difference).max() < 3
    assert difference.mean() < 0.5
    assert np.array_equal(fused, np.rint(fused))


@pytest.mark.filterwarnings("ignore:the ratio of pixel sizes is 3.5")
@pytest.mark.parametrize("offset", [(1.0, -1.0), (-3.5, 2.25)])
@pytest.mark.parametrize("ratio", [2, 3.5])
def test_odd_offsets_and_ratios(make_pair: Any, ratio: float, offset: tuple[float, float]) -> None:
    scene = open_scene(**make_pair(ratio=ratio, offset=offset, shape=(91, 83))._asdict())
    fused = _inside(_product(scene))
    error = np.abs(fused - _inside(_expected(scene))).mean()
    assert error < 0.5
    for moved in (scene.shifted(0.5, 0.0), scene.shifted(0.0, -0.5)):
        assert np.abs(fused - _inside(_expected(moved))).mean() > 2 * error


def test_it_follows_a_shift_of_the_scene(make_pair: Any) -> None:
    scene = open_scene(**make_pair()._asdict()).shifted(0.75, -1.25)
    error = np.abs(_inside(_product(scene) - _expected(scene)))
    assert error.mean() < 0.5


def test_pan_beyond_the_ms_moves_no_pixel(make_pair: Any) -> None:
    whole = open_scene(**make_pair(offset=(1.0, 1.0))._asdict())
    # 2.5 PAN pixels of the product lie outside the MS, once before it, once behind it.
    for shift in ((2.5, 2.5), (-2.5, -2.5)):
        scene = whole.shifted(*shift)
        fuser = gdal_brovey(scene)
        at_once = fuser.source.read(Window(0, 0, *scene.shape[1:])).astype(float)
        assert np.abs(_inside(at_once - _expected(scene))).mean() < 0.5
        rows = [fuser.source.read(Window(r, 0, 8, scene.shape[2])) for r in range(0, 88, 8)]
        assert np.abs(np.concatenate(rows, axis=1) - at_once[:, :88]).max() <= 1


@pytest.mark.parametrize("name", ["landsat8_gulf_coast", "ikonos_grip"])
def test_real_pairs(shared_data: Path, name: str) -> None:
    folder = shared_data / name
    scene = open_scene(pan=folder / "pan.tif", ms=folder / "ms.tif").crop(
        Window(301, 250, 257, 300)
    )
    fused, expected = _product(scene), _expected(scene)
    assert fused.shape == expected.shape
    for ours, theirs in zip(expected, fused, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    assert np.percentile(np.abs(_inside(fused - expected)), 99) < 3


def test_weights(make_pair: Any) -> None:
    scene = open_scene(**make_pair()._asdict())
    weights = (0.1, 0.2, 0.3, 0.4)
    fused = _product(scene, weights=weights)
    assert np.abs(_inside(fused - _expected(scene, weights))).mean() < 0.5
    # Not scaled to a sum of 1: twice the weights, half the product.
    doubled = _product(scene, weights=[2 * w for w in weights])
    assert np.abs(2 * doubled - fused).max() <= 2


def test_bands_in_files_of_their_own(make_pair: Any, tmp_path: Path) -> None:
    import rasterio

    pair = make_pair()
    with rasterio.open(pair.ms) as stack:
        profile = {**stack.profile, "count": 1}
        paths = [tmp_path / f"b{i}.tif" for i in stack.indexes]
        for index, path in enumerate(paths, start=1):
            with rasterio.open(path, "w", **profile) as single:
                single.write(stack.read(index), 1)
    one, many = open_scene(pan=pair.pan, ms=pair.ms), open_scene(pan=pair.pan, ms=paths)
    assert np.array_equal(_product(one), _product(many))
    two = one.select_bands([2, 0])
    assert np.array_equal(_product(two), _product(many.select_bands([2, 0])))


def test_file_names_with_the_letters_of_xml(make_pair: Any) -> None:
    plain = open_scene(**make_pair()._asdict())
    odd = open_scene(**make_pair(folder="a & <b> 'c' \"d\" ]]> ü")._asdict())
    assert np.array_equal(_product(odd), _product(plain))


def test_files_without_georeference(make_pair: Any) -> None:
    placed = open_scene(**make_pair()._asdict())
    bare = open_scene(**make_pair(crs=None, folder="bare")._asdict(), ratio=4)
    assert np.array_equal(_product(bare), _product(placed))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_number_types(make_pair: Any, dtype: str) -> None:
    scene = open_scene(**make_pair(dtype="uint16")._asdict())
    pair = make_pair(dtype=dtype, folder=dtype)
    source = gdal_brovey(open_scene(**pair._asdict())).source
    assert source.dtype == dtype
    fused = source.read(Window(0, 0, 96, 96)).astype(float)
    expected = _expected(open_scene(**pair._asdict()))
    if dtype == "uint8":
        expected = np.minimum(expected, 255)
    assert np.abs(_inside(fused - expected)).mean() < 0.6
    assert fused.shape == scene.shape


def test_nodata_stays_nodata(make_pair: Any) -> None:
    scene = open_scene(**make_pair(nodata=0)._asdict())
    source = gdal_brovey(scene).source
    full = Window(0, 0, *scene.shape[1:])
    pixels = source.read(full)
    assert not pixels[:, :20, :20].any()
    valid = source.valid(full)
    assert valid is not None
    assert not valid[:20, :20].any()
    assert valid[40:, 40:].all()
    assert np.abs(_inside((pixels - _expected(scene))[:, 40:, 40:])).max() < 3


def test_threads_and_pickles_read_the_same(make_pair: Any) -> None:
    scene = open_scene(**make_pair()._asdict())
    fuser = gdal_brovey(scene)
    copy = pickle.loads(pickle.dumps(fuser))
    assert isinstance(copy, FromSource)
    alone = fuse_array(scene, fuser, tile=64)[0]
    assert np.array_equal(fuse_array(scene, copy, tile=64, workers=3)[0], alone)
    windows = [Window(r, c, 32, 32) for r in (0, 32, 64) for c in (0, 32, 64)]
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(fuser.source.read, windows))
    for window, part in zip(windows, parts, strict=True):
        assert np.array_equal(part, alone[(slice(None), *window.slices)])
    fuser.source.close()
    assert np.array_equal(fuser.source.read(windows[0]), parts[0])


def test_refusals(make_pair: Any) -> None:
    pair = make_pair()
    scene = open_scene(**pair._asdict())
    arrays = Scene.from_arrays(np.ones((32, 32)), np.ones((2, 8, 8)))
    with pytest.raises(
        ModelError, match=r"PAN of scene 'scene' is an array; write it to a GeoTIFF"
    ):
        gdal_brovey(arrays)
    with pytest.raises(ModelError, match=r"resampled to the grid of the PAN.*gdalwarp"):
        gdal_brovey(_warped(pair, scene))
    with pytest.raises(BandMismatchError, match=r"one PAN band, .* has 4"):
        gdal_brovey(_swapped(scene))
    with pytest.raises(BandMismatchError, match="2 weights for 4 bands"):
        gdal_brovey(scene, weights=[0.5, 0.5])
    for wrong in ([1, 1, 1, -1], [0, 0, 0, 0], [1, 1, 1, float("nan")]):
        with pytest.raises(OptionError, match="positive sum"):
            gdal_brovey(scene, weights=wrong)
    assert isinstance(scene.pan_source, RasterSource)
    assert isinstance(scene.ms_source, RasterSource)
    with pytest.raises(OptionError, match="resampling is 'sinc'"):
        PansharpenedSource(scene.pan_source, scene.ms_source, scene.alignment, resampling="sinc")


def test_files_that_fail_are_named_in_one_line(make_pair: Any) -> None:
    pair = make_pair()
    source = gdal_brovey(open_scene(**pair._asdict())).source
    pair.ms.unlink()
    with pytest.raises(ReaderError, match=r"pansharpening of .*ms\.tif' cannot be read") as gone:
        source.read(Window(0, 0, 8, 8))
    assert isinstance(source, PansharpenedSource)
    source.path = source.path.replace("WeightedBrovey", "NoSuchMethod")
    source.close()
    with pytest.raises(ReaderError, match=r"pansharpening of .* failed: .*wbrovey") as broken:
        source.read(Window(0, 0, 8, 8))
    for problem in (gone, broken):
        assert "\n" not in str(problem.value)
        assert "<VRT" not in str(problem.value)


def _warped(pair: Any, scene: Scene) -> Scene:
    from dataclasses import replace

    from pansharp.source import WarpedSource

    source = WarpedSource(pair.ms, crs=str(scene.crs), transform=scene.ms_transform, shape=(24, 24))
    return replace(scene, ms_source=source)


def _swapped(scene: Scene) -> Scene:
    from dataclasses import replace

    return replace(scene, pan_source=scene.ms_source)


def test_the_command_gets_a_card_without_reduced_scores(make_pair: Any, tmp_path: Path) -> None:
    scene = open_scene(**make_pair()._asdict())
    options = FuseOptions.checked(model="gdal-brovey", format="gtiff")
    with pytest.warns(PansharpWarning, match="no reduced scores and no verdict"):
        product = fuse_to_file(scene, tmp_path / "fused.tif", options)
    assert product.card["reduced"] == {}
    assert product.card["verdict"] is None
    full = product.card["full"]
    assert isinstance(full, dict)
    assert 0 < full["HQNR"] <= 1
    import rasterio

    with rasterio.open(product.path) as file:
        assert np.array_equal(file.read(), _product(scene))
        assert file.tags()["PANSHARP_MODEL"] == "gdal-brovey"


def test_options_that_gdal_cannot_follow(make_pair: Any) -> None:
    scene = open_scene(**make_pair()._asdict())
    for wrong, word in (({"backproject": 1}, "--backproject 1"), ({"adapt": "always"}, "--adapt")):
        options = FuseOptions.checked(model="gdal-brovey", **wrong)
        with pytest.raises(ModelError, match=word):
            decide(scene, options, folder=None)
    moved = decide(
        scene,
        FuseOptions.checked(model="gdal-brovey", coregister="-1.25,0.75", card=False),
        folder=None,
    )
    assert moved.shift_applied == (0.75, -1.25)
    assert moved.full == {}
    expected = _product(scene.shifted(0.75, -1.25))
    assert np.array_equal(fuse_array(moved.scene, moved.fuser, tile=64)[0], expected)
