"""Back-projection brings the product to the MS it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.adaptation.backproject import (
    BackProjected,
    back_project,
    backprojection_halo,
    consistency,
)
from pansharp.adaptation.level import blur_to_ms
from pansharp.chips import read_chip
from pansharp.engine import FromSource, facts_of, fuse_array, prepare
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.models import create_model
from pansharp.scene import Scene
from pansharp.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Callable

GAINS = (0.3, 0.34, 0.25)


def _image(scene: Scene, seed: int = 0) -> np.ndarray:
    """Some product: interpolated MS with a wrong gain and noise."""
    up, _ = fuse_array(scene, prepare(create_model("exp"), scene, facts_of(scene)))
    noise = np.random.default_rng(seed).normal(0, 12, up.shape)
    return (1.05 * up + noise).astype(np.float32)


def _project(scene: Scene, image: np.ndarray, passes: int) -> np.ndarray:
    fuser = BackProjected(FromSource(ArraySource(image)), GAINS, passes, scene.ratio)
    return fuse_array(scene, fuser)[0]


def _gap(scene: Scene, image: np.ndarray) -> float:
    """RMSE between the degraded product and the MS, away from the border."""
    chip = read_chip(scene, Window(0, 0, *scene.shape[1:]), 0)
    count, square, _ = consistency(image, chip, GAINS)
    return float(np.sqrt(square.sum() / count.sum()))


@pytest.mark.parametrize("scale", [4.0, 2.0, 2.7])
def test_two_passes_are_two_single_passes(make_scene: Callable[..., Scene], scale: float) -> None:
    scene = make_scene(56, ratio=4)
    axis = AxisMap.corner(scale).shifted(0.4)
    if scale != 4.0:
        pan = scene.pan_source.read(Window(0, 0, 150, 150))
        ms = scene.ms_source.read(Window(0, 0, 56, 56))
        scene = Scene.from_arrays(pan, ms, alignment=Alignment(axis, axis))
    image = _image(scene)
    once = _project(scene, _project(scene, image, 1), 1)
    twice = _project(scene, image, 2)
    # Beyond the border the two replicate different images.
    edge = 2 * backprojection_halo(scale, GAINS, 1) - int(9 * scale)
    cut = (slice(None), slice(edge, -edge), slice(edge, -edge))
    if once[cut].size == 0:
        edge = once.shape[1] // 2 - 4
        cut = (slice(None), slice(edge, -edge), slice(edge, -edge))
    assert np.abs(twice - once)[cut].max() <= 1e-4 * np.abs(once).max()
    assert np.abs(twice - image)[cut].max() > 5.0


@pytest.mark.parametrize("scale", [4.0, 3.0])
def test_each_pass_brings_the_product_closer(
    make_scene: Callable[..., Scene], scale: float
) -> None:
    scene = make_scene(40, ratio=scale)
    image = _image(scene)
    gaps = [_gap(scene, image), *(_gap(scene, _project(scene, image, k)) for k in (1, 2))]
    assert gaps[1] < 0.5 * gaps[0]
    assert gaps[2] < 0.75 * gaps[1]


def test_a_consistent_product_is_left_alone(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(40)
    image = _image(scene)
    padded = np.pad(image, ((0, 0), (60, 60), (60, 60)), mode="edge")
    window = Window(0, 0, 40, 40)
    ms = blur_to_ms(padded, (-60, -60), window, scene.alignment, GAINS)
    own = Scene.from_arrays(scene.pan_source.read(Window(0, 0, 160, 160)), ms, ratio=4)
    np.testing.assert_allclose(
        _project(own, image, 1)[:, 48:-48, 48:-48], image[:, 48:-48, 48:-48], atol=2e-3
    )


def test_no_pass_changes_nothing(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(24)
    image = _image(scene)
    chip = read_chip(scene, Window(0, 0, *scene.shape[1:]), 0)
    assert back_project(image, chip, GAINS, 0) is image


def test_holes_in_the_ms_do_not_pull(make_scene: Callable[..., Scene]) -> None:
    plain = make_scene(40)
    pan = plain.pan_source.read(Window(0, 0, 160, 160))
    ms = plain.ms_source.read(Window(0, 0, 40, 40))
    mask = np.ones((40, 40), bool)
    mask[18:22, 18:22] = False
    image = _image(plain)
    fused = []
    for fill in (0.0, 9000.0):
        here = ms.copy()
        here[:, ~mask] = fill
        fused.append(_project(Scene.from_arrays(pan, here, ratio=4, ms_mask=mask), image, 2))
    np.testing.assert_array_equal(fused[0], fused[1])


@pytest.mark.parametrize("passes", [1, 2])
def test_in_a_hole_there_is_nothing_to_correct_by(
    make_scene: Callable[..., Scene], passes: int
) -> None:
    plain = make_scene(40)
    pan = plain.pan_source.read(Window(0, 0, 160, 160))
    ms = plain.ms_source.read(Window(0, 0, 40, 40))
    mask = np.ones((40, 40), bool)
    mask[14:26, 14:26] = False
    holed = Scene.from_arrays(pan, ms, ratio=4, ms_mask=mask)
    image = _image(plain)
    bump = image.copy()
    bump[:, 74:86, 74:86] += 200.0
    moved = [np.abs(_project(s, bump, passes) - _project(s, image, passes)) for s in (plain, holed)]
    centre = (slice(None), 80, 80)
    # Where the MS is known the bump is taken for an error, in the hole it stays.
    assert moved[0][centre].max() < 120.0
    assert moved[1][centre].min() > 180.0


def test_halo_grows_with_the_passes() -> None:
    inner = FromSource(ArraySource(np.zeros((3, 8, 8), np.float32)))
    one, two = (BackProjected(inner, GAINS, k, 4.0).halo for k in (1, 2))
    assert two == 2 * one == backprojection_halo(4.0, GAINS, 2)


def test_consistency_counts_valid_pixels(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(40)
    chip = read_chip(scene, Window(0, 0, *scene.shape[1:]), 0)
    count, square, total = consistency(_image(scene), chip, GAINS)
    side = round(float(count[0]) ** 0.5)
    assert side**2 == count[0]
    assert 20 < side < 40
    assert (square > 0).all()
    assert total[0] / count[0] == pytest.approx(600, rel=0.3)
    tiny = read_chip(scene, Window(0, 0, 8, 8), 0)
    assert not consistency(np.zeros((3, 8, 8), np.float32), tiny, GAINS).any()
