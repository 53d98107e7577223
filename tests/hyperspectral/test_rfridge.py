"""The closed-form fit: its algebra, its laws, and what it gains where spectra are no linear map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.chips import read_chip
from pansharp.engine import fuse_array, prepare
from pansharp.errors import OptionError
from pansharp.evaluation import ergas
from pansharp.geometry.grids import Window
from pansharp.geometry.resample import sample
from pansharp.models import create_model
from pansharp.models.hyperspectral import basis as basis_module
from pansharp.models.hyperspectral.basis import GsaBasis
from pansharp.models.hyperspectral.rfridge import _activate, _blurred, random_weights
from pansharp.models.hyperspectral.ridge import WEIGHTS, gcv_ridge
from pansharp.models.hyperspectral.statistics import PairStatistics, measure_pair
from pansharp.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"features": 120, "draws": 2}


def fitted(made, scene=None, **options):
    scene = scene or made.scene
    return prepare(create_model("rfridge", **{**SMALL, **options}), scene, made.facts)


@pytest.fixture(scope="module")
def curved(new_cube):
    """Two guide bands of six materials: the spectra are no linear map of the guide."""
    return new_cube(size=32, members=6, guides=2, seed=5)


# -- the regression ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30, 80), (80, 30), (40, 40)])
def test_gcv_is_its_formula(shape: tuple[int, int], rng: np.random.Generator) -> None:
    rows, count = shape
    design = rng.normal(size=shape) * np.geomspace(1, 1e-2, count)
    targets = design @ rng.normal(size=(count, 3)) + 0.1 * rng.normal(size=(rows, 3))
    errors = []
    for relative in WEIGHTS:
        damp = relative * 0.01 * np.trace(design @ design.T)
        hat = design @ np.linalg.solve(design.T @ design + damp * np.eye(count), design.T)
        left = targets - hat @ targets
        errors.append((left**2).mean() / (np.trace(np.eye(rows) - hat) / rows) ** 2)
    fit = gcv_ridge(design, targets)
    assert fit.relative == WEIGHTS[int(np.argmin(errors))]
    assert fit.gcv == pytest.approx(min(errors), rel=1e-6)
    assert fit.ratio == pytest.approx(np.sqrt(min(errors) / (targets**2).mean()), rel=1e-6)
    inner = design.T @ design + fit.weight * np.eye(count)
    exact = np.linalg.solve(inner, design.T @ targets)
    np.testing.assert_allclose(fit.coefficients, exact, rtol=1e-5, atol=1e-7)


def test_cross_validation_guesses_the_error_on_unseen_rows(rng: np.random.Generator) -> None:
    design = rng.normal(size=(400, 60)) * np.geomspace(1, 0.05, 60)
    truth = rng.normal(size=(60, 4))
    targets = design @ truth + 0.5 * rng.normal(size=(400, 4))
    fit = gcv_ridge(design[:200], targets[:200])
    unseen = ((design[200:] @ fit.coefficients - targets[200:]) ** 2).mean()
    assert fit.gcv == pytest.approx(unseen, rel=0.15)


def test_nothing_to_explain_is_no_fit(rng: np.random.Generator) -> None:
    fit = gcv_ridge(rng.normal(size=(20, 5)), np.zeros((20, 2)))
    assert not fit.coefficients.any()
    assert fit.ratio == 1.0


def test_noise_alone_is_not_expected_to_gain(rng: np.random.Generator) -> None:
    design = np.maximum(rng.normal(size=(300, 200)), 0)
    assert gcv_ridge(design, rng.normal(size=(300, 5))).ratio > 0.97


def test_linear_features_give_gsa(new_cube) -> None:
    cube = new_cube(members=8)
    # D is linear, so regressing what the HSI sees on what it sees of the guide is GSA itself.
    chip = read_chip(cube.scene, Window(0, 0, 96, 96), 60)
    moments = measure_pair(chip, cube.facts)
    pair = PairStatistics.of(moments, 30)
    space = pair.subspace(4)
    own = Window(0, 0, 24, 24)
    psf = prepare(create_model("gsa-hs"), cube.scene, cube.facts).psf
    low = chip.down(psf, own).reshape(4, -1).astype(np.float64)
    low -= low.mean(axis=1, keepdims=True)
    coded = space.project(chip.ms_pixels(own)).reshape(space.size, -1)
    fit = gcv_ridge(low.T, coded.T, (1e-11,))
    gsa = (space.basis / space.scale[:, None]).T @ pair.on_guide(0.0)
    np.testing.assert_allclose(fit.coefficients.T, gsa, rtol=1e-3, atol=1e-7)


def test_blur_and_map_change_places(cube) -> None:
    fuser = fitted(cube, draws=1)
    anchors, half = fuser.basis.anchors, fuser.halves[0]
    own = Window(8, 6, 5, 7)
    chip = read_chip(cube.scene, Window(0, 0, 96, 96), anchors.halo)
    inputs = fuser.basis.scales.inputs(anchors.planes(chip, ("gsa",)), "gsa")

    def low(image: np.ndarray) -> np.ndarray:
        seen = sample(image, (0, 0), own, chip.alignment, "down", anchors.psf)
        return seen.reshape(len(image), -1).T

    first = _blurred(half.weights[0], inputs, low) @ half.fits[0].coefficients
    second = low(half.correction(inputs))
    np.testing.assert_allclose(first, second, atol=1e-4 * np.abs(second).max())


def test_features_are_as_stated() -> None:
    weights = random_weights(20_000, 8, (3, 1, 0))
    assert weights.dtype == np.float32
    assert weights[:, :-1].var() == pytest.approx(1 / 9, rel=0.02)
    assert weights[:, -1].var() == pytest.approx(9**0.5 / 9, rel=0.05)
    assert not np.array_equal(weights, random_weights(20_000, 8, (3, 1, 1)))
    inputs = np.float32([[1.0, -2.0]] * 8)
    hidden = _activate(weights, inputs)
    exact = np.maximum(weights @ np.vstack([inputs, np.ones((1, 2), np.float32)]), 0)
    np.testing.assert_allclose(hidden, exact, atol=1e-5)


# -- the product ---------------------------------------------------------------------------------


def test_better_than_gsa_where_the_map_is_not_linear(curved) -> None:
    fuser = fitted(curved, features=400)
    out = fuse_array(curved.scene, fuser)[0]
    linear = fuse_array(curved.scene, prepare(create_model("gsa-hs"), curved.scene, curved.facts))
    assert ergas(curved.truth, out, ratio=4) < 0.8 * ergas(curved.truth, linear[0], ratio=4)
    assert fuser.gcv_ratio < 0.8
    facts = fuser.facts()
    assert (facts["features"], facts["draws"], facts["fitted_pixels"]) == (400, 2, 1024)
    assert set(facts["anchors"]) == {"gsa", "loc"}


def test_without_corrections_the_product_is_gsa(curved) -> None:
    basis = prepare(GsaBasis(), curved.scene, curved.facts)
    out = fuse_array(curved.scene, basis)[0]
    gsa = fuse_array(curved.scene, prepare(create_model("gsa-hs"), curved.scene, curved.facts))[0]
    spread = gsa.std(axis=(1, 2), keepdims=True)
    # All that is left out is the detail outside the subspace.
    assert np.abs((out - gsa) / spread).mean() < 0.02


def test_same_seed_same_bits_and_another_seed_another_product(curved) -> None:
    one, same, other = (
        fuse_array(curved.scene, fitted(curved, seed=seed))[0] for seed in (4, 4, 5)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_fit_depends_on_no_tile_and_no_worker(curved, monkeypatch) -> None:
    from pansharp import engine

    whole = fitted(curved)
    monkeypatch.setattr(engine, "_CUBE_TILE", 40)
    parts = prepare(create_model("rfridge", **SMALL), curved.scene, curved.facts, workers=2)
    assert parts.pixels == whole.pixels
    for a, b in zip(whole.halves, parts.halves, strict=True):
        assert [f.relative for f in a.fits] == [f.relative for f in b.fits]
        assert a.ratio == pytest.approx(b.ratio, rel=1e-3)
    first, second = (fuse_array(curved.scene, fuser)[0] for fuser in (whole, parts))
    spread = first.std(axis=(1, 2), keepdims=True)
    assert np.abs((first - second) / spread).max() < 5e-3


def test_a_large_scene_is_sampled(curved, monkeypatch) -> None:
    monkeypatch.setattr(basis_module, "_PIXELS", 400)
    fuser = fitted(curved, features=200)
    assert fuser.pixels == 384
    drawn = fuser.basis.lattice.drawn
    assert drawn.sum() == 6
    assert np.array_equal(fitted(curved, features=200).basis.lattice.drawn, drawn)
    others = [fitted(curved, features=4, seed=s).basis.lattice.drawn for s in (1, 2, 3)]
    assert any(not np.array_equal(drawn, other) for other in others)
    linear = fuse_array(curved.scene, prepare(create_model("gsa-hs"), curved.scene, curved.facts))
    out = fuse_array(curved.scene, fuser)[0]
    assert ergas(curved.truth, out, ratio=4) < ergas(curved.truth, linear[0], ratio=4)


def test_masked_pixels_teach_nothing(curved) -> None:
    source = curved.scene.ms_source.read(Window(0, 0, 32, 32)).copy()
    guide = curved.scene.pan_source.read(Window(0, 0, 128, 128))
    mask = np.ones((32, 32), bool)
    mask[5:20, 7:18] = False
    products = []
    for value in (0.0, 9e3):
        source[:, ~mask] = value
        scene = Scene.from_arrays(guide, source, alignment=curved.scene.alignment, ms_mask=mask)
        fuser = fitted(curved, scene)
        assert fuser.pixels == mask.sum()
        products.append(fuse_array(scene, fuser)[0])
    assert np.array_equal(*products)


def test_noise_is_measured_and_not_copied(new_cube) -> None:
    for decibel, noisy in ((50.0, False), (30.0, True)):
        clean = new_cube(size=28, guides=4, members=6)
        cube = clean.scene.ms_source.read(Window(0, 0, 28, 28)).astype(np.float64)
        power = (cube**2).mean(axis=(1, 2), keepdims=True)
        cube += np.random.default_rng(1).normal(size=cube.shape) * np.sqrt(
            power / 10 ** (decibel / 10)
        )
        guide = clean.scene.pan_source.read(Window(0, 0, 112, 112))
        scene = Scene.from_arrays(guide, cube.astype(np.float32), alignment=clean.scene.alignment)
        fuser = fitted(clean, scene)
        assert fuser.basis.snr == pytest.approx(decibel, abs=1.0)
        assert fuser.basis.noisy is noisy
        assert fuser.basis.passes == (0 if noisy else 2)
        # What lies outside the subspace is in the product of a clean scene alone.
        chip = read_chip(scene, Window(0, 0, 112, 112), fuser.halo)
        space, out = fuser.basis.anchors.space, fuser(chip)
        scaled = (out / space.scale[:, None, None] - space.mean[:, None, None]).reshape(30, -1)
        outside = scaled - space.basis @ (space.basis.T @ scaled)
        share = (outside**2).sum() / (scaled**2).sum()
        assert (share < 1e-8) == noisy


def test_snr_needs_bands_and_pixels(cube) -> None:
    chip = read_chip(cube.scene, Window(0, 0, 96, 96), 60)
    pair = PairStatistics.of(measure_pair(chip, cube.facts), 30)
    assert pair.snr() > 60
    assert replace(pair, bands=4, means=pair.means[:8]).snr() is None
    assert replace(pair, count=8.0).snr() is None


def test_a_map_that_gains_nothing_is_dropped(curved, monkeypatch) -> None:
    from pansharp.models.hyperspectral import rfridge

    calls = []

    def judged(design, targets):
        calls.append(1)
        # Two draws on GSA come first, then two on LOC.
        return replace(gcv_ridge(design, targets), ratio=0.7 if len(calls) <= 2 else 1.1)

    monkeypatch.setattr(rfridge, "gcv_ridge", judged)
    fuser = fitted(curved)
    assert [half.anchor for half in fuser.halves] == ["gsa"]
    assert [half.anchor for half in fuser.rejected] == ["loc"]
    assert fuser.facts()["anchors"]["loc"] == {
        "gcv_ratio": 1.1,
        "ridge": [fit.relative for fit in fuser.rejected[0].fits],
        "used": False,
    }
    assert fuser.gcv_ratio == pytest.approx(0.7)
    chip = read_chip(curved.scene, Window(0, 0, 128, 128), fuser.halo)
    planes = fuser.basis.anchors.planes(chip, ("gsa",))
    own = fuser.halves[0].correction(fuser.basis.scales.inputs(planes, "gsa"))
    np.testing.assert_allclose(fuser.coded(chip), planes.anchors["gsa"] + own, rtol=1e-6)


@pytest.mark.parametrize("options", [{"features": 0}, {"draws": 0}, {"seed": -1}])
def test_impossible_options(options: dict) -> None:
    with pytest.raises(OptionError, match="is "):
        create_model("rfridge", **options)


@pytest.mark.parametrize(
    ("name", "ratio", "pan", "limit"),
    [("jasper", 4, False, 0.82), ("potsdam", 4, False, 0.96), ("chikusei", 6, True, 0.9)],
)
def test_real_cubes(
    name: str,
    ratio: float,
    pan: bool,
    limit: float,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import rfridge as benchmark

    row = (name, name, ratio, pan, None)
    scores = benchmark.score(row, shared_data, ["loc-hs", "rfridge"], None)
    assert scores[1].ergas < limit * scores[0].ergas
    assert scores[1].sam < scores[0].sam
