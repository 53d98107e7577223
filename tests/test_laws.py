"""Laws that hold for whole methods, whatever the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pansharp.chips import read_chip
from pansharp.engine import facts_of, fuse_array, prepare
from pansharp.geometry.grids import Alignment, Window
from pansharp.models import create_model, list_models
from pansharp.models.classical._fusers import SubstitutionFuser
from pansharp.models.classical.brovey import BroveyFuser
from pansharp.pipeline import fuse_arrays
from pansharp.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

METHODS = tuple(list_models("classical", "pan"))
SHAPES = st.tuples(st.integers(41, 110), st.integers(41, 110))


def _scene(
    seed: int = 0, shape: tuple[int, int] = (96, 104), ratio: float = 4, bands: int = 4
) -> Scene:
    rng = np.random.default_rng(seed)
    high, wide = (int(np.ceil(n / ratio)) for n in shape)
    ms = rng.uniform(200, 900, (bands, high, wide))
    fine = np.kron(ms.mean(axis=0), np.ones((int(np.ceil(ratio)),) * 2))[: shape[0], : shape[1]]
    pan = fine[: shape[0], : shape[1]] + rng.normal(0, 40, fine.shape)
    pan = np.pad(pan, ((0, shape[0] - pan.shape[0]), (0, shape[1] - pan.shape[1])), mode="edge")
    return Scene.from_arrays(pan.astype(np.float32), ms.astype(np.float32), ratio=ratio)


def _pixels(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    pan = scene.pan_source.read(Window(0, 0, *scene.shape[1:]))
    ms = scene.ms_source.read(Window(0, 0, scene.ms_source.height, scene.ms_source.width))
    return pan, ms


def _fuse(scene: Scene, name: str) -> np.ndarray:
    return fuse_array(scene, prepare(create_model(name), scene, facts_of(scene)))[0]


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=8)
@given(SHAPES, st.sampled_from([2.0, 2.7, 4.0, 30 / 3.6]), st.integers(1, 5), st.integers(0, 99))
def test_every_scene_has_a_finite_product(
    name: str, shape: tuple[int, int], ratio: float, bands: int, seed: int
) -> None:
    scene = _scene(seed, shape, ratio, bands)
    fused = _fuse(scene, name)
    assert fused.shape == (bands, *shape)
    assert fused.dtype == np.float32
    assert np.isfinite(fused).all()


@pytest.mark.parametrize("name", METHODS)
def test_bands_may_be_permuted(name: str) -> None:
    scene = _scene()
    pan, ms = _pixels(scene)
    order = [2, 0, 3, 1]
    names = ["blue", "green", "red", "nir"]
    named = Scene.from_arrays(pan, ms, ratio=4, band_names=names)
    other = Scene.from_arrays(pan, ms[order], ratio=4, band_names=[names[i] for i in order])
    np.testing.assert_allclose(_fuse(other, name), _fuse(named, name)[order], rtol=0, atol=0.05)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"tv"}))
@pytest.mark.parametrize("ratio", [4.0, 2.7])
def test_a_constant_ms_stays_constant(name: str, ratio: float) -> None:
    pan, ms = _pixels(_scene(ratio=ratio))
    flat = np.broadcast_to(np.float32([300, 500, 700, 40])[:, None, None], ms.shape).copy()
    fused = _fuse(Scene.from_arrays(pan, flat, ratio=ratio), name)
    # The toolbox's MTF kernels sum to 0.9988: a trace of detail.
    slack = {"mtf-glp": 2e-3, "mtf-glp-hpm": 2e-3, "bdsd": 5e-3, "bdsd-pc": 5e-3}.get(name, 1e-5)
    np.testing.assert_allclose(fused, flat[:, :1, :1] * np.ones_like(fused), rtol=slack)
    np.testing.assert_allclose(fused.mean(axis=(1, 2)), flat[:, 0, 0], rtol=min(slack, 2e-3))


@pytest.mark.parametrize("name", METHODS)
def test_a_flat_pan_adds_nothing(name: str) -> None:
    pan, ms = _pixels(_scene())
    scene = Scene.from_arrays(np.full_like(pan, 512.0), ms, ratio=4)
    fused, plain = _fuse(scene, name), _fuse(scene, "exp")
    if name == "bdsd-pc":
        # It has no intercept, so a flat PAN can only shift a band.
        gap = fused - plain
        assert np.abs(gap - gap.mean(axis=(1, 2), keepdims=True)).mean() < 0.2 * plain.std()
    elif name in ("brovey", "wbrovey"):
        # Intensity becomes flat: the ratios between bands stay.
        spread = (fused / fused.sum(axis=0)) - (plain / plain.sum(axis=0))
        assert np.abs(spread).max() < 1e-5
    elif name in ("gsa", "cgsa", "bth", "tv", "bdsd"):
        assert np.isfinite(fused).all()
    elif name == "indusion":
        # Its interpolation is another one.
        assert np.corrcoef(fused.ravel(), plain.ravel())[0, 1] > 0.95
    elif name in ("mtf-glp", "mtf-glp-hpm"):
        np.testing.assert_allclose(fused, plain, rtol=2.5e-3, atol=1.0)
    else:
        np.testing.assert_allclose(fused, plain, atol=0.01)


@pytest.mark.parametrize(
    ("name", "gain", "shift"),
    [
        ("exp", 0.01, 900.0),
        ("brovey", 7.0, -300.0),
        ("gsa", 7.0, -300.0),
        ("gsa", 0.01, 5.0),
        ("wbrovey", 3.0, 0.0),
        ("mtf-glp-fs", 7.0, 0.0),
        ("mtf-glp-fs", 0.01, 0.0),
        ("bdsd-pc", 7.0, 0.0),
    ],
)
def test_units_of_the_pan_do_not_matter(name: str, gain: float, shift: float) -> None:
    scene = _scene()
    pan, ms = _pixels(scene)
    other = Scene.from_arrays(np.float32(gain) * pan + np.float32(shift), ms, ratio=4)
    np.testing.assert_allclose(_fuse(other, name), _fuse(scene, name), rtol=0, atol=0.05)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"tv"}))
def test_units_of_the_ms_scale_the_product(name: str) -> None:
    scene = _scene()
    pan, ms = _pixels(scene)
    other = Scene.from_arrays(pan, 0.25 * ms, ratio=4)
    np.testing.assert_allclose(_fuse(other, name), 0.25 * _fuse(scene, name), rtol=0, atol=0.02)


@pytest.mark.parametrize("name", ["brovey", "gsa"])
def test_the_own_intensity_as_pan_returns_the_interpolated_ms(name: str) -> None:
    scene = _scene()
    pan, ms = _pixels(scene)
    weights = (0.1, 0.2, 0.3, 0.4)
    up = _fuse(scene, "exp")
    own = np.tensordot(weights, up, 1)[None].astype(np.float32)
    chip = read_chip(Scene.from_arrays(own, ms, ratio=4), Window(0, 0, *pan.shape[1:]), 0)
    fuser = (
        BroveyFuser(weights, 1.0, 0.0)
        if name == "brovey"
        else SubstitutionFuser(weights, (0.7, 1.2, 0.9, 2.0), 0.0)
    )
    np.testing.assert_allclose(fuser(chip), up, rtol=0, atol=0.01)
    other = read_chip(scene, Window(0, 0, *pan.shape[1:]), 0)
    assert np.abs(fuser(other) - up).max() > 10.0


def test_brovey_with_its_mean_as_pan_is_the_interpolated_ms_end_to_end() -> None:
    _, ms = _pixels(_scene())
    up = _fuse(_scene(), "exp")
    scene = Scene.from_arrays(up.mean(axis=0), ms, ratio=4)
    np.testing.assert_allclose(_fuse(scene, "brovey"), up, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", METHODS)
def test_products_keep_the_means(name: str) -> None:
    scene = _scene()
    means = _fuse(scene, "exp").mean(axis=(1, 2))
    # Gains that differ between segments, and quotients, are no linear maps of the detail.
    slack = {"cgsa": 0.05, "mtf-glp-hpm": 0.1}.get(name, 0.02)
    np.testing.assert_allclose(_fuse(scene, name).mean(axis=(1, 2)), means, rtol=slack)


def _calm(shape: tuple[int, int], bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Texture that fades to one constant at the border: there all border rules agree."""
    rng = np.random.default_rng(12)
    high, wide = shape
    y, x = (np.abs(np.linspace(-1, 1, n)) for n in (4 * high, 4 * wide))
    fade = np.clip(1.0 - (np.maximum(y[:, None], x[None]) - 0.35) / 0.15, 0.0, 1.0)
    smooth = np.kron(rng.normal(0, 1, (bands, high, wide)), np.ones((4, 4)))
    fine = rng.normal(0, 0.6, (4 * high, 4 * wide))
    truth = 500 + 120 * fade * (smooth + fine)
    ms = truth.reshape(bands, high, 4, wide, 4).mean(axis=(2, 4))
    return truth.mean(axis=0), ms


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"tv"}))
def test_default_and_reference_agree_where_borders_do_not_matter(name: str) -> None:
    pan, ms = _calm((64, 72), 4)
    ours = fuse_arrays(pan, ms, name)
    theirs = fuse_arrays(pan, ms, name, mode="reference", dtype="float64")
    # 1e-4 is what is promised; the worst, with a histogram for the darkest pixels, has 1.6e-5.
    assert np.abs(ours - theirs).max() <= 3e-5 * np.abs(theirs).max()
    assert np.abs(theirs - fuse_arrays(pan, ms, "exp")).max() > 20 or name == "exp"


@pytest.mark.parametrize("name", ["exp", "brovey", "gsa", "mtf-glp-fs"])
def test_default_and_reference_agree_inside_any_scene(name: str) -> None:
    """Away from the border what is left is the border's share in the global statistics."""
    scene = _scene(3, (256, 256))
    pan, ms = _pixels(scene)
    ours = fuse_arrays(pan, ms, name)
    theirs = fuse_arrays(pan, ms, name, mode="reference", dtype="float64")
    cut = (slice(None), slice(48, -48), slice(48, -48))
    detail = np.abs(theirs - fuse_arrays(pan, ms, "exp", mode="reference", dtype="float64"))
    limit = 1e-3 if name == "exp" else 0.02 * detail[cut].max()
    assert np.abs(ours - theirs)[cut].max() <= limit
    assert np.abs(ours - theirs).max() > np.abs(ours - theirs)[cut].max()


def test_toolbox_grid_is_what_fuse_arrays_uses() -> None:
    rng = np.random.default_rng(1)
    ms = rng.uniform(0, 900, (2, 16, 16)).astype(np.float32)
    fused = fuse_arrays(np.ones((64, 64)), ms, "exp")
    np.testing.assert_allclose(fused[:, 2::4, 2::4], ms, rtol=1e-5)
    scene = Scene.from_arrays(np.ones((64, 64)), ms, alignment=Alignment.toolbox(4))
    np.testing.assert_array_equal(_fuse(scene, "exp"), fused)


def _spoiled(case: str) -> Scene:
    """Scenes on which regressions are singular and quotients meet 0."""
    pan, ms = _pixels(_scene(5, (160, 168)))
    if case == "identical bands":
        ms = np.repeat(ms[:1], 4, axis=0)
    elif case == "PAN is 0 in a part":
        pan = pan.copy()
        pan[:, 40:120, 40:120] = 0.0
    elif case == "signed":
        pan, ms = pan - 600.0, ms - ms.mean(axis=(1, 2), keepdims=True)
    elif case == "all but black":
        ms = np.where(np.indices(ms.shape[1:]).sum(axis=0) % 9 == 0, ms, 0.0).astype(np.float32)
    elif case == "flat":
        pan, ms = np.full_like(pan, 300.0), np.full_like(ms, 200.0)
    return Scene.from_arrays(pan, ms, ratio=4)


SPOILED = ["identical bands", "PAN is 0 in a part", "signed", "all but black", "flat"]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("case", SPOILED)
def test_hard_scenes_give_bounded_products(name: str, case: str) -> None:
    scene = _spoiled(case)
    pan, ms = _pixels(scene)
    if case == "flat" and name in ("wbrovey", "tv"):
        # Weights of equal planes are as good as any.
        assert np.isfinite(_fuse(scene, name)).all()
        return
    fused = _fuse(scene, name)
    assert np.isfinite(fused).all()
    top = max(np.abs(ms).max(), np.abs(pan).max())
    assert np.abs(fused).max() <= 20 * top, np.abs(fused).max() / top


@pytest.mark.parametrize("name", ["mtf-glp-hpm", "mtf-glp-hpm-r", "mtf-glp-hpm-h", "sfim", "mf-hg"])
def test_quotients_are_bounded_on_the_stress_scene(golden: Path, name: str) -> None:
    """Its low-pass PAN passes near 0: the toolbox's HPM reaches 300 times the largest count."""
    with np.load(golden / "synth8.npz") as file:
        pan, ms = file["pan"].astype(np.float32), file["ms_lr"].transpose(2, 0, 1)
    fused = fuse_arrays(pan, ms, name, sensor="WV3")
    assert np.abs(fused).max() < 8 * 2047
    wild = fuse_arrays(pan, ms, "mtf-glp-hpm", sensor="WV3", mode="reference", dtype="float64")
    assert np.abs(wild).max() > 50 * 2047
