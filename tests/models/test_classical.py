"""The classical methods: formulas against plain NumPy, guards, options."""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import nnls

from pansharp.chips import read_chip
from pansharp.engine import facts_of, fuse_array, prepare
from pansharp.errors import BandMismatchError, ModelError, OptionError, UnknownModelError
from pansharp.geometry.grids import Window
from pansharp.models import create_model, get_spec, list_models
from pansharp.models.classical._moments import covariance, gram, mean, quick_gram
from pansharp.pipeline import fuse_arrays
from pansharp.scene import Scene
from pansharp.sensors import get_sensor

if TYPE_CHECKING:
    from pansharp.models.base import Fuser

METHODS = tuple(list_models("classical", "pan"))
SHAPE = (128, 144)


@pytest.fixture(scope="module")
def scene() -> Scene:
    rng = np.random.default_rng(5)
    truth = np.kron(rng.uniform(200, 900, (3, 16, 18)), np.ones((8, 8)))
    truth = truth + rng.normal(0, 30, (3, *SHAPE)) + rng.normal(0, 30, SHAPE)
    ms = truth.reshape(3, 32, 4, 36, 4).mean(axis=(2, 4))
    pan = np.tensordot([0.2, 0.5, 0.3], truth, 1)
    return Scene.from_arrays(pan.astype(np.float32), ms.astype(np.float32), ratio=4)


def _prepared(scene: Scene, name: str, **options: object) -> Fuser:
    return prepare(create_model(name, **options), scene, facts_of(scene))


def _up(scene: Scene) -> np.ndarray:
    return fuse_array(scene, _prepared(scene, "exp"))[0].astype(np.float64)


def _pan(scene: Scene) -> np.ndarray:
    return scene.pan_source.read(Window(0, 0, *scene.shape[1:]))[0].astype(np.float64)


def test_brovey_is_its_formula(scene: Scene) -> None:
    up, pan = _up(scene), _pan(scene)
    low = up.mean(axis=0)
    matched = (pan - pan.mean()) * low.std() / pan.std() + low.mean()
    fused, _ = fuse_array(scene, _prepared(scene, "brovey"))
    np.testing.assert_allclose(fused, up * matched / low, rtol=1e-4)


def test_given_weights_are_used(scene: Scene) -> None:
    up, pan = _up(scene), _pan(scene)
    low = np.tensordot([0.5, 0.25, 0.25], up, 1)
    matched = (pan - pan.mean()) * low.std() / pan.std() + low.mean()
    fused, _ = fuse_array(scene, _prepared(scene, "wbrovey", weights=[2, 1, 1]))
    np.testing.assert_allclose(fused, up * matched / low, rtol=1e-4)


def test_fitted_weights_are_those_of_the_pan(scene: Scene) -> None:
    fuser = _prepared(scene, "wbrovey")
    assert sum(fuser.weights) == pytest.approx(1.0)
    assert min(fuser.weights) >= 0
    np.testing.assert_allclose(fuser.weights, [0.2, 0.5, 0.3], atol=0.06)


def test_a_band_that_the_pan_does_not_see_gets_no_weight(scene: Scene) -> None:
    rng = np.random.default_rng(1)
    ms = scene.ms_source.read(Window(0, 0, 32, 36))
    against = 2000 - ms.mean(axis=0) + rng.normal(0, 9, (32, 36)).astype(np.float32)
    more = Scene.from_arrays(_pan(scene), np.concatenate([ms, against[None]]), ratio=4)
    assert _prepared(more, "wbrovey").weights[3] == pytest.approx(0.0, abs=0.15)
    assert min(_prepared(more, "wbrovey").weights) >= 0.0


def _named(scene: Scene, *names: str, sensor: str | None = None) -> Scene:
    ms = scene.ms_source.read(Window(0, 0, 32, 36))
    profile = None if sensor is None else get_sensor(sensor)
    return Scene.from_arrays(_pan(scene), ms, ratio=4, band_names=names, sensor=profile)


@pytest.mark.parametrize("name", ["wbrovey", "tv"])
def test_weights_by_name_follow_the_bands_whatever_their_order(scene: Scene, name: str) -> None:
    weights = {"NIR": 0.5, "blue": 0.2, "red": 0.3}
    fuser = _prepared(_named(scene, "red", "nir", "blue"), name, weights=weights)
    found = fuser.weights if name == "wbrovey" else fuser.constants.weights
    assert found == pytest.approx((0.3, 0.5, 0.2))
    plain = _prepared(_named(scene, "red", "nir", "blue"), name, weights=[0.3, 0.5, 0.2])
    a, b = (fuse_array(scene, f)[0] for f in (fuser, plain))
    np.testing.assert_array_equal(a, b)


def test_weights_may_use_the_codes_of_the_sensor(scene: Scene) -> None:
    named = _named(scene, "coastal", "blue", "nir2", sensor="wv3")
    codes = {"C": 1.0, "NIR2": 2.0, "blue": 5.0}
    assert _prepared(named, "wbrovey", weights=codes).weights == pytest.approx(
        (1 / 8, 5 / 8, 2 / 8)
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"red": 1, "nir": 1, "gren": 1}, "'gren', which is no band of this scene .*'green'"),
        ({"red": 1, "nir": 1}, "2 weights for 3 bands \\(red, nir, green\\)"),
        ({"red": 1, "nir": 1, "NIR": 1}, "two weights for the band 'nir'"),
    ],
)
def test_weights_that_are_not_those_of_the_bands(
    scene: Scene, weights: dict[str, float], message: str
) -> None:
    with pytest.raises(BandMismatchError, match=message):
        _prepared(_named(scene, "red", "nir", "green"), "wbrovey", weights=weights)


def test_weights_by_name_need_names() -> None:
    pan, ms = np.ones((16, 16)), np.ones((2, 4, 4))
    with pytest.raises(BandMismatchError, match="have no names"):
        fuse_arrays(pan, ms, "wbrovey", weights={"red": 1.0, "blue": 1.0})


@pytest.mark.parametrize(
    "weights",
    [
        *([-1, 1, 1], [0, 0, 0], [np.nan, 1, 1], [[1, 2, 3]], [np.inf, 1, 1]),
        *({"red": -1, "blue": 2}, {"red": "much", "blue": 1}),
    ],
)
def test_impossible_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(BandMismatchError, match="weights"):
        create_model("wbrovey", weights=weights)


def test_weights_must_be_one_a_band(scene: Scene) -> None:
    with pytest.raises(BandMismatchError, match="2 weights for 3 bands"):
        _prepared(scene, "wbrovey", weights=[1, 1])


def test_tv_sharpens_bands_that_least_squares_leaves_out() -> None:
    rng = np.random.default_rng(4)
    base = np.kron(rng.uniform(200, 900, (16, 18)), np.ones((8, 8)))
    truth = np.stack([base * s + rng.normal(0, 8, SHAPE) for s in (1.0, 0.8, 0.9)])
    ms = truth.reshape(3, 32, 4, 36, 4).mean(axis=(2, 4)).astype(np.float32)
    pan = (0.5 * truth[0] + 0.5 * truth[2] + 40.0 - 0.1 * truth[1]).astype(np.float32)
    odd = Scene.from_arrays(pan, ms, ratio=4)
    assert _prepared(odd, "wbrovey").weights[1] < 0.02
    constants = _prepared(odd, "tv").constants
    assert sum(constants.weights) == pytest.approx(1.0)
    assert min(constants.weights) > 0.2
    # The PAN is brought to the level of what the weights make of the bands.
    level = constants.pan_gain * pan.mean() + constants.pan_offset
    assert level == pytest.approx(np.dot(constants.weights, ms.mean(axis=(1, 2))), rel=1e-3)


def test_a_pan_against_all_bands_has_no_weights(scene: Scene) -> None:
    ms = scene.ms_source.read(Window(0, 0, 32, 36))
    odd = Scene.from_arrays(-np.ones(SHAPE) - _pan(scene), ms, ratio=4)
    with pytest.raises(BandMismatchError, match="not related"):
        _prepared(odd, "wbrovey")


@pytest.mark.parametrize("name", ["brovey", "wbrovey"])
def test_dark_pixels_keep_the_interpolated_ms(name: str, scene: Scene) -> None:
    ms = scene.ms_source.read(Window(0, 0, 32, 36)).copy()
    ms[:, 10:20, 10:20] = 0.0
    dark = Scene.from_arrays(_pan(scene), ms, ratio=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fuser = _prepared(dark, name)
        fused, _ = fuse_array(dark, fuser)
    assert np.isfinite(fused).all()
    up = _up(dark)
    hidden = np.tensordot(fuser.weights, up.astype(np.float32), 1) < -1e-3
    assert hidden.any()
    np.testing.assert_allclose(fused[:, hidden], up[:, hidden], atol=0.01)


def test_gsa_is_its_formula(scene: Scene) -> None:
    fuser = _prepared(scene, "gsa")
    up, pan = _up(scene), _pan(scene)
    chip = read_chip(scene, Window(0, 0, *SHAPE), 40)
    own = chip.own_ms()
    low = chip.atrous_at_ms(own).ravel().astype(np.float64)
    ms = chip.ms_pixels(own).reshape(3, -1).astype(np.float64)
    design = np.column_stack([ms.T, np.ones(low.size)])
    weights = np.linalg.lstsq(design, low, rcond=None)[0][:3]
    np.testing.assert_allclose(fuser.weights, weights, rtol=1e-5)
    intensity = np.tensordot(weights, up, 1)
    flat = intensity.ravel()
    gains = [np.cov(flat, b.ravel())[0, 1] / flat.var(ddof=1) for b in up]
    detail = (pan - pan.mean()) - (intensity - intensity.mean())
    fused, _ = fuse_array(scene, fuser)
    expected = up + np.asarray(gains)[:, None, None] * detail
    np.testing.assert_allclose(fused, expected, rtol=0, atol=0.02)


def test_glp_gains_are_full_scale_regressions(scene: Scene) -> None:
    fuser = _prepared(scene, "mtf-glp-fs")
    up, pan = _up(scene), _pan(scene)
    low = read_chip(scene, Window(0, 0, *SHAPE), fuser.halo).glp((0.3,) * 3).astype(np.float64)
    gains = [
        np.cov(up[b].ravel(), pan.ravel())[0, 1] / np.cov(low[b].ravel(), pan.ravel())[0, 1]
        for b in range(3)
    ]
    np.testing.assert_allclose(fuser.gains, gains, rtol=1e-5)
    fused, _ = fuse_array(scene, fuser)
    expected = up + np.asarray(gains)[:, None, None] * (pan - low)
    np.testing.assert_allclose(fused, expected, rtol=0, atol=0.02)


def test_bdsd_solves_the_constrained_regression(scene: Scene) -> None:
    model, facts = create_model("bdsd-pc"), facts_of(scene)
    fuser = prepare(model, scene, facts)
    chip = read_chip(scene, Window(0, 0, *SHAPE), model.measure_halo(facts))
    fine, low, pan = chip.bdsd_planes(facts.ms_gains, facts.pan_gain)
    columns = np.column_stack([pan.ravel(), *(-p.ravel() for p in low)]).astype(np.float64)
    for band, row in enumerate(fuser.gamma):
        assert row[0] >= 0
        assert max(row[1:]) <= 0
        target = (fine - low)[band].ravel().astype(np.float64)
        exact, _ = nnls(columns, target)
        np.testing.assert_allclose(
            np.asarray(row) * [1, -1, -1, -1], exact, atol=1e-4 * np.abs(exact).max()
        )
    fused, _ = fuse_array(scene, fuser)
    up = _up(scene)
    gamma = np.asarray(fuser.gamma)
    expected = up + gamma[:, :1, None] * _pan(scene) + np.tensordot(gamma[:, 1:], up, 1)
    np.testing.assert_allclose(fused, expected, rtol=0, atol=0.02)


def test_methods_win_over_interpolation_on_a_fair_scene() -> None:
    rng = np.random.default_rng(5)
    f = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1])[None])
    fall = 1.0 / np.maximum(f, 1.0 / 40) ** 1.3
    wave = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(4, *SHAPE))) * fall, s=SHAPE)
    wave /= wave.std(axis=(1, 2), keepdims=True)
    truth = 600 + 20 * wave[1:] + 100 * wave[0] * np.array([0.8, 1.0, 1.3])[:, None, None]
    ms = truth.reshape(3, 32, 4, 36, 4).mean(axis=(2, 4))
    scene = Scene.from_arrays(truth.mean(axis=0), ms, ratio=4)
    plain = np.abs(_up(scene) - truth).mean()
    for name in set(METHODS) - {"exp"}:
        fused, _ = fuse_array(scene, _prepared(scene, name))
        assert np.abs(fused - truth).mean() < 0.9 * plain, name


@pytest.mark.parametrize("name", METHODS)
def test_fusers_are_picklable(scene: Scene, name: str) -> None:
    fuser = _prepared(scene, name)
    copy = pickle.loads(pickle.dumps(fuser))
    assert copy == fuser
    chip = read_chip(scene, Window(0, 0, 32, 32), fuser.halo)
    np.testing.assert_array_equal(copy(chip), fuser(chip))


@pytest.mark.parametrize("name", METHODS)
def test_specs(name: str) -> None:
    spec = get_spec(name)
    assert name in list_models()
    assert (spec.name, spec.kind) == (name, "classical")
    assert spec.reference
    assert spec.summary


def test_creating_models_by_name() -> None:
    assert create_model("GSA").spec.name == "gsa"
    with pytest.raises(UnknownModelError, match="mtf-glp-fs"):
        create_model("mtf-glp-fx")
    with pytest.raises(OptionError, match="'gsa' has no option 'window'; it takes none"):
        create_model("gsa", window=3)
    with pytest.raises(OptionError, match="did you mean 'block_size'"):
        create_model("bdsd", blocksize=64)
    with pytest.raises(ModelError, match="build_network"):
        create_model("rescnn")
    with pytest.raises(ModelError, match="not a method of plain arrays"):
        create_model("auto")


def test_guides_of_one_band_may_have_a_band_axis() -> None:
    rng = np.random.default_rng(0)
    pan, ms = rng.uniform(1, 9, (64, 64)), rng.uniform(1, 9, (3, 16, 16))
    np.testing.assert_array_equal(fuse_arrays(pan, ms, "gsa"), fuse_arrays(pan[None], ms, "gsa"))


def test_moments() -> None:
    rng = np.random.default_rng(0)
    planes = rng.uniform(100, 900, (3, 200, 250)).astype(np.float32)
    valid = rng.uniform(size=(200, 250)) > 0.3
    total = gram(list(planes), valid)
    flat = planes[:, valid].astype(np.float64)
    assert total[0, 0] == valid.sum()
    np.testing.assert_allclose(mean(total), flat.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(covariance(total), np.cov(flat), rtol=1e-9)
    halves = [gram([p[:100] for p in planes], valid[:100])]
    halves.append(gram([p[100:] for p in planes], valid[100:]))
    np.testing.assert_allclose(halves[0] + halves[1], total, rtol=1e-12)
    empty = gram(list(planes), np.zeros((200, 250), bool))
    assert not empty.any()


def test_quick_moments_are_the_same_without_cross_products() -> None:
    planes = np.random.default_rng(1).uniform(100, 900, (2, 64, 128)).astype(np.float32)
    exact, quick = gram(list(planes), None), quick_gram(list(planes), None)
    assert quick[1, 2] == 0 != exact[1, 2]
    exact[1, 2] = exact[2, 1] = 0.0
    np.testing.assert_allclose(quick, exact, rtol=1e-7)
    holes = np.ones((64, 128), bool)
    holes[3, 4] = False
    np.testing.assert_array_equal(quick_gram(list(planes), holes), gram(list(planes), holes))
