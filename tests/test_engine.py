"""The engine: the product depends on no tile, no worker, and on no pixel that is not valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.adaptation.backproject import BackProjected
from pansharp.engine import blend_tiles, default_workers, facts_of, fuse_array, prepare
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.models import create_model, list_models
from pansharp.scene import Scene

if TYPE_CHECKING:
    from pansharp.models.base import Fuser

METHODS = tuple(list_models("classical", "pan"))
SHAPE = (587, 533)


def _textured(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    coarse = rng.uniform(200, 900, (*shape[:-2], shape[-2] // 8 + 1, shape[-1] // 8 + 1))
    blocks = np.kron(coarse, np.ones((8, 8)))[..., : shape[-2], : shape[-1]]
    return (blocks + rng.normal(0, 25, shape)).astype(np.float32)


def odd_scene(scale: float, shape: tuple[int, int] = SHAPE, *, holes: bool = True) -> Scene:
    """Odd size, ratio that need not be whole, half-pixel offset, holes in both images."""
    rng = np.random.default_rng(8)
    high, wide = (int(np.ceil(n / scale)) + 1 for n in shape)
    pan, ms = _textured(rng, shape), _textured(rng, (3, high, wide))
    if holes:
        # Across the borders of tiles, one wider than any halo, and infinities.
        pan[180:280, 220:275] = np.nan
        pan[shape[0] - 20, 60:70] = np.inf
        ms[:, 3:6, 4:8] = np.nan
        ms[1, -3:, -2:] = -np.inf
    alignment = Alignment(AxisMap.corner(scale).shifted(0.5), AxisMap.corner(scale).shifted(-0.5))
    return Scene.from_arrays(pan, ms, alignment=alignment)


def _fuser(scene: Scene, name: str, passes: int = 0, workers: int = 1) -> Fuser:
    facts = facts_of(scene)
    fuser = prepare(create_model(name), scene, facts, workers=workers)
    if passes:
        return BackProjected(fuser, facts.ms_gains, passes, scene.ratio)
    return fuser


@pytest.mark.parametrize("scale", [30 / 3.6, 2.7])
@pytest.mark.parametrize(("name", "passes"), [*((m, 0) for m in METHODS), ("gsa", 1), ("gsa", 2)])
def test_tiles_and_workers_leave_no_trace(scale: float, name: str, passes: int) -> None:
    scene = odd_scene(scale)
    fuser = _fuser(scene, name, passes)
    whole, valid = fuse_array(scene, fuser, tile=1024)
    assert valid is not None
    assert 0.8 < valid.mean() < 1.0
    assert np.isfinite(whole).all()
    # One tiling is enough for the slow one.
    for tile, workers in ((512, 1), (256, 3), (256, 2))[: 1 if name == "tv" else 3]:
        tiled, mask = fuse_array(scene, fuser, tile=tile, workers=workers)
        if name == "tv":
            # An iteration over the tile and its context: what lies beyond is felt in the last bits.
            np.testing.assert_allclose(tiled[:, mask], whole[:, valid], rtol=0, atol=2e-3)
        else:
            np.testing.assert_array_equal(tiled, whole)
        np.testing.assert_array_equal(mask, valid)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("bdsd", {"block_size": 64}),
        ("bdsd", {"block_size": 100}),
        ("mtf-glp-cbd", {"window": 55}),
        ("cgsa", {"segments": 3}),
        ("cgsa", {"segments": np.indices((331, 301)).sum(axis=0) // 100 % 4}),
        ("wbrovey", {"weights": [1, 2, 1]}),
    ],
)
def test_local_forms_leave_no_trace(name: str, given: dict[str, object]) -> None:
    scene = odd_scene(4.0, (331, 301))
    model = create_model(name, **given)
    fuser = prepare(model, scene, facts_of(scene))
    whole, _ = fuse_array(scene, fuser, tile=1024)
    assert np.isfinite(whole).all()
    assert np.abs(whole - fuse_array(scene, _fuser(scene, "exp"))[0]).max() > 10
    for tile in (128, 256):
        np.testing.assert_array_equal(fuse_array(scene, fuser, tile=tile, workers=2)[0], whole)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("scale", [4.0, 2.0])
def test_back_projected_glp_leaves_no_trace_either(scale: float, passes: int) -> None:
    scene = odd_scene(scale, (300, 291))
    fuser = _fuser(scene, "mtf-glp-fs", passes)
    whole, _ = fuse_array(scene, fuser, tile=1024)
    for tile in (128, 256):
        np.testing.assert_array_equal(fuse_array(scene, fuser, tile=tile)[0], whole)


@pytest.mark.parametrize("name", METHODS)
def test_statistics_do_not_depend_on_workers(name: str) -> None:
    scene = odd_scene(4.0, (1100, 140))
    one = _fuser(scene, name, workers=1)
    assert one == _fuser(scene, name, workers=2)
    assert one == _fuser(scene, name, workers=3)


def test_statistics_are_those_of_the_whole_scene() -> None:
    """Two measuring tiles must add up to the one sum over all pixels."""
    scene = odd_scene(4.0, (1100, 140), holes=False)
    pan = scene.pan_source.read(Window(0, 0, 1100, 140))[0].astype(np.float64)
    fuser = _fuser(scene, "brovey")
    up, _ = fuse_array(scene, _fuser(scene, "exp"))
    low = up.astype(np.float64).mean(axis=0)
    assert fuser.gain == pytest.approx(low.std() / pan.std(), rel=1e-5)
    assert fuser.offset == pytest.approx(low.mean() - fuser.gain * pan.mean(), rel=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_part_of_a_scene_is_the_scene_there(name: str) -> None:
    """With the statistics given, cutting the sources changes nothing away from the cut."""
    scene = odd_scene(4.0, (300, 320), holes=False)
    fuser = _fuser(scene, name)
    whole, _ = fuse_array(scene, fuser)
    part, _ = fuse_array(scene.crop(Window(64, 64, 192, 192)), fuser)
    inner = slice(64, -64)
    expected = whole[:, 64:256, 64:256][:, inner, inner]
    # Positions are rebuilt from the cut's origin, so weights may differ in the last bit.
    np.testing.assert_allclose(part[:, inner, inner], expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 30_000.0])
@pytest.mark.parametrize("name", METHODS)
def test_what_lies_in_a_hole_does_not_matter(name: str, value: float) -> None:
    """The product is the same whatever invalid pixels hold, statistics included."""
    base = odd_scene(4.0, (300, 291), holes=False)
    pan = base.pan_source.read(Window(0, 0, 300, 291))
    ms = base.ms_source.read(Window(0, 0, *(base.ms_source.height, base.ms_source.width)))
    pan_mask, ms_mask = np.ones(pan.shape[1:], bool), np.ones(ms.shape[1:], bool)
    pan_mask[100:140, 90:150] = False
    ms_mask[50:56, 20:30] = False
    results = []
    for fill in (500.0, value):
        here, there = pan.copy(), ms.copy()
        here[:, ~pan_mask] = fill
        there[:, ~ms_mask] = fill
        scene = Scene.from_arrays(
            here, there, alignment=base.alignment, pan_mask=pan_mask, ms_mask=ms_mask
        )
        results.append(fuse_array(scene, _fuser(scene, name, 1)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert np.isfinite(results[1][0]).all()
    invalid = ~results[0][1]
    assert invalid[100:140, 90:150].all()
    assert invalid.sum() == pytest.approx(40 * 60 + 6 * 10 * 16, rel=0.05)


def test_a_hole_is_not_felt_far_away() -> None:
    """Beyond the reach of the filters a scene with a hole is the scene without it."""
    scene = odd_scene(4.0, (300, 291), holes=False)
    fuser = _fuser(scene, "mtf-glp-fs", 1)
    whole, _ = fuse_array(scene, fuser)
    pan_mask = np.ones((300, 291), bool)
    pan_mask[140:150, 140:150] = False
    pan = scene.pan_source.read(Window(0, 0, 300, 291))
    ms = scene.ms_source.read(Window(0, 0, scene.ms_source.height, scene.ms_source.width))
    holed = Scene.from_arrays(pan, ms, alignment=scene.alignment, pan_mask=pan_mask)
    fused, valid = fuse_array(holed, fuser)
    changed = np.argwhere((fused != whole).any(axis=0))
    assert valid is not None
    assert changed.size
    reach = fuser.halo
    assert changed.min() >= 140 - reach
    assert changed.max() <= 149 + reach


def test_blending_pieces_cover_the_scene_once() -> None:
    scene = odd_scene(4.0, (300, 291), holes=False)
    fuser = _fuser(scene, "mtf-glp-fs")
    whole, _ = fuse_array(scene, fuser)
    for kind, overlap in (("crop", 0), ("hann", 32), ("linear", 64)):
        out = np.full_like(whole, np.nan)
        seen = np.zeros(whole.shape[1:], int)
        pieces = blend_tiles(scene, fuser, tile=128, overlap=overlap, kind=kind, workers=2)
        for window, piece in pieces:
            out[:, *window.slices] = piece
            seen[window.slices] += 1
        assert (seen == 1).all()
        # Where tiles agree, blending returns their value.
        np.testing.assert_allclose(out, whole, rtol=1e-6)


def test_progress_is_told() -> None:
    scene = odd_scene(4.0, (1100, 140), holes=False)
    told: list[tuple[float, float, str]] = []
    prepare(create_model("gsa"), scene, facts_of(scene), progress=lambda *step: told.append(step))
    assert told == [(1, 2, "statistics"), (2, 2, "statistics")]


def test_facts_come_from_the_sensor() -> None:
    pan, ms = np.ones((64, 64)), np.ones((8, 16, 16))
    known = facts_of(Scene.from_arrays(pan, ms, sensor="WV3"))
    assert known.ms_gains == (0.325, 0.355, 0.360, 0.350, 0.365, 0.360, 0.335, 0.315)
    assert known.pan_gain == 0.14
    assert known.extra == {"gains_assumed": False, "pan_gain_assumed": False}
    unknown = facts_of(Scene.from_arrays(pan, ms))
    assert unknown.ms_gains == (0.30,) * 8
    assert unknown.extra["gains_assumed"] is True


def test_there_is_a_worker() -> None:
    assert default_workers() >= 1
