"""The reduced level: the same problem one ratio coarser, with a true answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp import filters
from pansharp.adaptation.level import (
    blur_to_ms,
    pan_window,
    reduce_window,
    sample_windows,
)
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

GAINS = (0.3, 0.3, 0.3)


@pytest.mark.parametrize("ratio", [4, 2, 3])
def test_the_native_ms_is_the_answer(make_scene: Callable[..., Scene], ratio: int) -> None:
    scene = make_scene((41, 37), ratio=ratio)
    reduced = reduce_window(scene, Window(0, 0, 41, 37), GAINS)
    ms = scene.ms_source.read(Window(0, 0, 41, 37))
    np.testing.assert_array_equal(reduced.reference, ms)
    assert reduced.scene.shape == (3, 41, 37)
    assert reduced.valid.all()
    assert reduced.scene.ratio == ratio
    # Coarse pixels are means over their own ground, so both levels have one geometry.
    assert reduced.scene.alignment == Alignment.corner(ratio)


def test_pan_is_an_antialiased_shrink(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(32)
    reduced = reduce_window(scene, Window(0, 0, 32, 32), GAINS)
    pan = scene.pan_source.read(Window(0, 0, 128, 128)).astype(float)
    expected = filters.imresize(pan, 0.25)
    ours = reduced.scene.pan_source.read(Window(0, 0, 32, 32))
    np.testing.assert_allclose(ours[:, 3:-3, 3:-3], expected[:, 3:-3, 3:-3], atol=0.01)


def test_ms_is_blurred_by_its_mtf(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(64)
    reduced = reduce_window(scene, Window(0, 0, 64, 64), GAINS)
    ms = scene.ms_source.read(Window(0, 0, 64, 64)).astype(float)
    coarse = reduced.scene.ms_source.read(Window(0, 0, 16, 16))
    # Coarse centres lie between fine pixels: the same blur of an image interpolated there.
    taps = MtfGaussian(4, 0.3)(np.arange(-19.5, 20.0))
    taps /= taps.sum()
    middle = ms[:, 5 * 4 + 2 - 20 : 5 * 4 + 2 + 20, 6 * 4 + 2 - 20 : 6 * 4 + 2 + 20]
    expected = np.einsum("y,x,byx->b", taps, taps, middle)
    np.testing.assert_allclose(coarse[:, 5, 6], expected, rtol=1e-5)
    assert coarse.std() < ms.std()
    np.testing.assert_allclose(coarse.mean(axis=(1, 2)), ms.mean(axis=(1, 2)), rtol=0.02)


def test_blur_keeps_constants_for_any_gains() -> None:
    image = np.full((3, 60, 60), 700.0, np.float32)
    low = blur_to_ms(image, (0, 0), Window(6, 6, 3, 3), Alignment.corner(4), (0.2, 0.3, 0.35))
    np.testing.assert_allclose(low, 700.0, rtol=1e-6)


def test_bands_are_blurred_by_their_own_gain(make_scene: Callable[..., Scene]) -> None:
    image = make_scene(80).ms_source.read(Window(0, 0, 80, 80))[:1].repeat(3, axis=0)
    window = Window(18, 18, 1, 1)
    low = blur_to_ms(image, (0, 0), window, Alignment.corner(2), (0.2, 0.3, 0.2))
    assert low[0] == low[2] != low[1]


def test_nodata_is_neither_trained_on_nor_scored(make_scene: Callable[..., Scene]) -> None:
    plain = make_scene(40)
    pan = plain.pan_source.read(Window(0, 0, 160, 160))
    ms = plain.ms_source.read(Window(0, 0, 40, 40))
    pan_mask, ms_mask = np.ones((160, 160), bool), np.ones((40, 40), bool)
    pan_mask[40:48, 80:88] = False
    ms_mask[30, 4] = False
    scene = Scene.from_arrays(pan, ms, ratio=4, pan_mask=pan_mask, ms_mask=ms_mask)
    reduced = reduce_window(scene, Window(0, 0, 40, 40), GAINS)
    assert sorted(map(tuple, np.argwhere(~reduced.valid))) == [
        (10, 20),
        (10, 21),
        (11, 20),
        (11, 21),
        (30, 4),
    ]


@pytest.mark.parametrize("scale", [4.0, 2.7, 30 / 3.6])
def test_pan_window_is_the_ground_of_an_ms_window(scale: float) -> None:
    axis = AxisMap.corner(scale)
    scene = Scene.from_arrays(
        np.zeros((200, 200)), np.zeros((1, 80, 80)), alignment=Alignment(axis, axis)
    )
    window = pan_window(scene, Window(2, 3, 10, 11))
    assert window.row == pytest.approx(2 * scale, abs=0.51)
    assert window.row_end == pytest.approx(12 * scale, abs=0.51)
    assert window.col_end == pytest.approx(14 * scale, abs=0.51)
    whole = pan_window(scene, Window(-5, -5, 500, 500))
    assert whole == Window(0, 0, 200, 200)


def test_small_scenes_are_taken_whole(make_scene: Callable[..., Scene]) -> None:
    assert sample_windows(make_scene((40, 30)), 1200) == [Window(0, 0, 40, 30)]


@pytest.mark.parametrize(("high", "wide", "budget"), [(900, 900, 110_000), (2000, 300, 100_000)])
def test_large_scenes_are_sampled_evenly(high: int, wide: int, budget: int) -> None:
    pan = np.broadcast_to(np.float32(0), (high * 4, wide * 4))
    scene = Scene.from_arrays(pan, np.broadcast_to(np.float32(0), (2, high, wide)))
    windows = sample_windows(scene, budget)
    taken = np.zeros((high, wide), int)
    for window in windows:
        assert window.intersect(Window(0, 0, high, wide)) == window
        taken[window.slices] += 1
    assert taken.max() == 1
    assert 0.3 * budget <= taken.sum() <= budget
    centre = np.argwhere(taken).mean(axis=0)
    np.testing.assert_allclose(centre, [(high - 1) / 2, (wide - 1) / 2], atol=20)
    assert windows == sample_windows(scene, budget)


def test_ms_beyond_the_pan_is_left_out() -> None:
    axis = AxisMap(4.0, 1.5 - 16.0)
    scene = Scene.from_arrays(
        np.zeros((64, 64)), np.zeros((1, 40, 40)), alignment=Alignment(axis, axis)
    )
    assert sample_windows(scene, 10**6) == [Window(4, 4, 16, 16)]
