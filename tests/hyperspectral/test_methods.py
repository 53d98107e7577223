"""What every hyperspectral method promises: invariants, tiles, ratios, bad pixels."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.chips import read_chip
from pansharp.engine import fuse_array, prepare
from pansharp.errors import ModelError, OptionError
from pansharp.evaluation import ergas
from pansharp.geometry.grids import Window
from pansharp.models import create_model, get_spec, list_models
from pansharp.models.classical.interpolate import Exp
from pansharp.models.hyperspectral.operators import gain_of_sigma, sigma_of_gain
from pansharp.scene import Scene

if TYPE_CHECKING:
    from pansharp.models.base import SceneFacts

#: Method: largest share of the error of interpolation that is left on the synthetic cube, and
#: largest difference between tiles of 32 and one tile, relative to the spread of the band.
METHODS = {
    "glp-hs": (0.75, 1e-5),
    "gsa-hs": (0.40, 1e-5),
    "sfim-hs": (0.40, 1e-5),
    "loc-hs": (0.40, 1e-5),
    "gfpca": (1.02, 1e-5),
    "fuse-sylvester": (0.30, 0.01),
    "cnmf": (0.40, 1e-3),
    "hysure": (0.35, 0.02),
    "rfridge": (0.40, 1e-4),
}


def fused(scene: Scene, facts: SceneFacts, name: str, **options: object) -> np.ndarray:
    fuser = prepare(create_model(name, **options), scene, facts)
    return fuse_array(scene, fuser)[0].astype(np.float64)


def interpolated(scene: Scene) -> np.ndarray:
    return fuse_array(scene, Exp())[0].astype(np.float64)


@pytest.mark.parametrize("name", METHODS)
def test_specs(name: str) -> None:
    spec = get_spec(name)
    assert name in list_models()
    assert (spec.kind, spec.tasks) == ("classical", ("hsi",))
    assert spec.reference
    assert spec.summary


@pytest.mark.parametrize("name", METHODS)
def test_nearer_to_the_truth_than_interpolation(name: str, cube) -> None:
    plain = ergas(cube.truth, interpolated(cube.scene), ratio=4)
    out = fused(cube.scene, cube.facts, name)
    assert ergas(cube.truth, out, ratio=4) < METHODS[name][0] * plain


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("ratio", [2.0, 3.3, 8.333, 16.0])
def test_any_ratio(name: str, ratio: float, new_cube) -> None:
    made = new_cube(ratio=ratio, size=12 if ratio > 4 else 20, bands=16, offset=0.3)
    out = fused(made.scene, made.facts, name)
    high = made.scene.shape[1]
    truth = made.truth[:, :high, :high]
    plain = ergas(truth, interpolated(made.scene), ratio=ratio)
    limit = 1.15 if name == "gfpca" else 0.9
    assert ergas(truth, out, ratio=ratio) < limit * plain


@pytest.mark.parametrize("name", METHODS)
def test_one_guide_band(name: str, new_cube) -> None:
    made = new_cube(guides=1)
    plain = ergas(made.truth, interpolated(made.scene), ratio=4)
    out = fused(made.scene, made.facts, name)
    # One band cannot tell four materials apart: unmixing gains little on this scene.
    limit = {"gfpca": 1.3, "cnmf": 1.05}.get(name, 0.95)
    assert ergas(made.truth, out, ratio=4) < limit * plain


@pytest.mark.parametrize("name", METHODS)
def test_tiles_do_not_matter(name: str, new_cube) -> None:
    made = new_cube(ratio=3.7, size=30, bands=12)
    fuser = prepare(create_model(name), made.scene, made.facts)
    whole, _ = fuse_array(made.scene, fuser)
    tiled, _ = fuse_array(made.scene, fuser, tile=32)
    spread = whole.std(axis=(1, 2), keepdims=True)
    assert np.abs((tiled - whole) / spread).max() < METHODS[name][1]


@pytest.mark.parametrize("name", METHODS)
def test_fusers_are_picklable(name: str, cube) -> None:
    fuser = prepare(create_model(name), cube.scene, cube.facts)
    chip = read_chip(cube.scene, Window(16, 16, 32, 32), fuser.halo)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fuser))(chip), fuser(chip))


@pytest.mark.parametrize("name", ["glp-hs", "gsa-hs", "sfim-hs", "loc-hs", "gfpca"])
def test_a_flat_guide_gives_interpolation(name: str, cube) -> None:
    source = cube.scene.ms_source.read(Window(0, 0, 24, 24))
    flat = Scene.from_arrays(np.full((4, 96, 96), 500.0, np.float32), source, ratio=4)
    out = fused(flat, replace(cube.facts, alignment=flat.alignment), name)
    np.testing.assert_allclose(out, interpolated(flat), rtol=1e-4)


@pytest.mark.parametrize("name", ["fuse-sylvester", "cnmf", "hysure"])
def test_a_flat_guide_does_no_harm(name: str, cube) -> None:
    # These methods undo the blur of the cube as far as they can without a guide.
    source = cube.scene.ms_source.read(Window(0, 0, 24, 24))
    flat = Scene.from_arrays(np.full((4, 96, 96), 500.0, np.float32), source, ratio=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = fused(flat, replace(cube.facts, alignment=flat.alignment), name)
    plain = ergas(cube.truth, interpolated(flat), ratio=4)
    assert ergas(cube.truth, out, ratio=4) < 1.05 * plain


@pytest.mark.parametrize("name", METHODS)
def test_a_constant_scene_stays_constant(name: str, cube) -> None:
    levels = np.arange(1, 31, dtype=np.float32)[:, None, None] * 20
    guide = np.broadcast_to(np.float32([100, 200, 300, 400])[:, None, None], (4, 96, 96))
    scene = Scene.from_arrays(guide, np.broadcast_to(levels, (30, 24, 24)), ratio=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = fused(scene, replace(cube.facts, alignment=scene.alignment), name)
    np.testing.assert_allclose(out, np.broadcast_to(levels, out.shape), rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_units_of_the_guide_do_not_matter(name: str, cube) -> None:
    # float32 counts and, for cnmf, a response that is itself fitted.
    limit = {"cnmf": 0.1, "hysure": 0.01, "fuse-sylvester": 0.01}.get(name, 5e-3)
    guide = cube.scene.pan_source.read(Window(0, 0, 96, 96))
    other = guide * np.float32([2, 0.5, 3, 10])[:, None, None] + 100
    source = cube.scene.ms_source.read(Window(0, 0, 24, 24))
    moved = Scene.from_arrays(other, source, alignment=cube.scene.alignment)
    first, second = fused(cube.scene, cube.facts, name), fused(moved, cube.facts, name)
    spread = first.std(axis=(1, 2), keepdims=True)
    assert np.abs((first - second) / spread).max() < limit


@pytest.mark.parametrize("name", METHODS)
def test_holes_do_not_spread(name: str, cube) -> None:
    source = cube.scene.ms_source.read(Window(0, 0, 24, 24)).copy()
    guide = cube.scene.pan_source.read(Window(0, 0, 96, 96)).copy()
    source[:, 4:7, 10:13] = np.nan
    guide[:, 60:70, 20:30] = np.nan
    scene = Scene.from_arrays(guide, source, alignment=cube.scene.alignment)
    fuser = prepare(create_model(name), scene, cube.facts)
    out, valid = fuse_array(scene, fuser)
    assert valid is not None
    assert np.isfinite(out[:, valid]).all()
    assert not valid[20, 44]
    assert not valid[65, 25]
    far = np.zeros_like(valid)
    far[:, 76:] = True
    clean = fused(cube.scene, cube.facts, name)
    spread = clean.std(axis=(1, 2), keepdims=True)
    assert np.abs((out - clean) / spread)[:, far].mean() < 0.05


def test_too_few_pixels_are_refused(cube) -> None:
    source = cube.scene.ms_source.read(Window(0, 0, 24, 24)).copy()
    source[:, 1:] = np.nan
    source[:, 0, 3:] = np.nan
    guide = cube.scene.pan_source.read(Window(0, 0, 96, 96))
    scene = Scene.from_arrays(guide, source, alignment=cube.scene.alignment)
    with pytest.raises(ModelError, match="only 3 HSI pixels are valid"):
        fused(scene, cube.facts, "gsa-hs")


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("loc-hs", {"window": 4}, "odd number"),
        ("loc-hs", {"shrink": 0.0}, "above 0"),
        ("gfpca", {"radius": 0}, "radius 0"),
    ],
)
def test_impossible_options(name: str, options: dict, match: str) -> None:
    with pytest.raises(OptionError, match=match):
        create_model(name, **options)


def test_gain_and_width_are_one_thing() -> None:
    assert gain_of_sigma(0.5) == pytest.approx(0.2912, abs=1e-3)
    assert sigma_of_gain(gain_of_sigma(0.37)) == pytest.approx(0.37)


def test_gsa_is_its_formula(new_cube) -> None:
    made = new_cube(members=8)
    fuser = prepare(create_model("gsa-hs", ridge=0.0), made.scene, made.facts)
    own = Window(0, 0, 24, 24)
    chip = read_chip(made.scene, Window(0, 0, 96, 96), 40)
    low = chip.down(fuser.psf, own).reshape(4, -1).astype(np.float64)
    source = made.scene.ms_source.read(own).reshape(30, -1).astype(np.float64)
    design = np.vstack([np.ones(low.shape[1]), low]).T
    exact = np.linalg.lstsq(design, source.T, rcond=None)[0][1:].T
    np.testing.assert_allclose(fuser.weights, exact, rtol=1e-3, atol=1e-4)


def test_statistics_do_not_depend_on_the_cut(cube, monkeypatch: pytest.MonkeyPatch) -> None:
    from pansharp import engine

    whole = prepare(create_model("gsa-hs"), cube.scene, cube.facts)
    monkeypatch.setattr(engine, "_MEASURE_TILE", 40)
    parts = prepare(create_model("gsa-hs"), cube.scene, cube.facts, workers=2)
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-6, atol=1e-9)
