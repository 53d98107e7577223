"""Chips: windows, margins, masks and the planes that methods regress."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp import filters
from pansharp.chips import read_chip, valid_pixels
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.kernels import Cubic, glp_halo
from pansharp.geometry.resample import axis_matrix
from pansharp.scene import Scene
from pansharp.tiling import TileGrid

GAINS = (0.3, 0.3, 0.22)


def _scene(scale: float = 4.0, shape: tuple[int, int] = (150, 131), **masks: np.ndarray) -> Scene:
    rng = np.random.default_rng(3)
    high, wide = (int(np.ceil(n / scale)) + 1 for n in shape)
    return Scene.from_arrays(
        rng.uniform(100, 900, shape).astype(np.float32),
        rng.uniform(100, 900, (3, high, wide)).astype(np.float32),
        alignment=Alignment(AxisMap.corner(scale).shifted(0.5), AxisMap.corner(scale)),
        **masks,
    )


def test_pan_and_ms_are_the_pixels_of_the_scene() -> None:
    scene = _scene()
    chip = read_chip(scene, Window(40, 36, 32, 48), 8)
    pan = scene.pan_source.read(Window(32, 28, 48, 64))
    np.testing.assert_array_equal(chip.pan, pan)
    np.testing.assert_array_equal(chip.guide(), pan[:, 8:-8, 8:-8])
    np.testing.assert_array_equal(chip.guide(8), pan)
    assert chip.guide(3).shape == (1, 38, 54)
    inside = Window(12, 12, 3, 4)
    np.testing.assert_array_equal(chip.ms_pixels(inside), scene.ms_source.read(inside))
    assert chip.bands == 3
    assert chip.valid is None


def test_edges_are_replicated() -> None:
    scene = _scene()
    chip = read_chip(scene, Window(0, 0, 8, 8), 5)
    whole = scene.pan_source.read(Window(0, 0, 13, 13))
    np.testing.assert_array_equal(chip.pan, np.pad(whole, ((0, 0), (5, 0), (5, 0)), mode="edge"))


@given(
    st.sampled_from([1.5, 2.0, 2.7, 4.0, 30 / 3.6, 9.0]),
    st.floats(-3, 3),
    st.integers(64, 256).map(lambda n: n // 8 * 8),
)
def test_every_ms_pixel_belongs_to_one_chip(scale: float, offset: float, tile: int) -> None:
    alignment = Alignment(AxisMap(scale, offset), AxisMap.corner(scale))
    shape = (300, 271)
    ms = tuple(int(np.ceil(n / scale)) + 4 for n in shape)
    scene = Scene.from_arrays(
        np.zeros(shape, np.float32), np.zeros((1, *ms), np.float32), alignment=alignment
    )
    count = np.zeros((ms[0] + 20, ms[1] + 20), dtype=int)
    for item in TileGrid(shape, tile=tile):
        own = read_chip(scene, item.core, 0).own_ms()
        assert min(own.row, own.col) >= -10
        count[own.row + 10 : own.row_end + 10, own.col + 10 : own.col_end + 10] += 1
    assert count.max() == 1
    rows, cols = np.flatnonzero(count.any(axis=1)) - 10, np.flatnonzero(count.any(axis=0)) - 10
    assert count.sum() == rows.size * cols.size
    assert (np.diff(rows) == 1).all()
    # Exactly those whose centres lie on the scene.
    for index, axis, size in ((rows, alignment.y, shape[0]), (cols, alignment.x, shape[1])):
        inside = [i for i in range(-9, 230) if -0.5 <= axis.to_pan(i) + 1e-9 < size - 0.5]
        assert list(index) == inside


def test_grown_sees_the_same_pixels() -> None:
    chip = read_chip(_scene(), Window(40, 36, 32, 48), 20)
    grown = chip.grown(12)
    assert grown.window == Window(28, 24, 56, 72)
    assert grown.halo == 8
    np.testing.assert_array_equal(grown.guide(), chip.guide(12))
    np.testing.assert_allclose(grown.up(), chip.up(12), rtol=0, atol=1e-3)


@pytest.mark.parametrize("scale", [4.0, 2.7])
def test_up_does_not_depend_on_the_window(scale: float) -> None:
    scene = _scene(scale)
    whole = read_chip(scene, Window(0, 0, 150, 131), 0).up()
    part = read_chip(scene, Window(64, 0, 64, 131), 0).up()
    np.testing.assert_array_equal(part, whole[:, 64:128])


def test_glp_is_blur_decimate_interpolate() -> None:
    rng = np.random.default_rng(5)
    pan = rng.uniform(100, 900, (192, 192))
    scene = Scene.from_arrays(
        pan.astype(np.float32), np.ones((3, 48, 48), np.float32), alignment=Alignment.toolbox(4)
    )
    window = Window(72, 72, 48, 48)
    chip = read_chip(scene, window, glp_halo(4, GAINS))
    ours = chip.glp(GAINS)
    for band, gain in enumerate(GAINS):
        blurred = filters.correlate_replicate(pan, filters.mtf_kernel_from_gain(gain, 4))
        low = filters.interp23(filters.decimate(blurred, 4), 4)
        np.testing.assert_allclose(ours[band], low[window.slices], rtol=0, atol=0.03)
    np.testing.assert_array_equal(ours[0], ours[1])
    assert np.abs(ours[2] - ours[0]).max() > 1.0
    wide = chip.glp((0.3, 0.3), 0)
    np.testing.assert_array_equal(wide[0], ours[0])


@pytest.mark.parametrize("offset", [1.5, 2.0])
def test_bdsd_planes_are_shrink_and_blur(offset: float) -> None:
    rng = np.random.default_rng(7)
    pan, ms = rng.uniform(100, 900, (256, 256)), rng.uniform(100, 900, (3, 64, 64))
    scene = Scene.from_arrays(
        pan.astype(np.float32),
        ms.astype(np.float32),
        alignment=Alignment(AxisMap(4.0, offset), AxisMap(4.0, offset)),
    )
    chip = read_chip(scene, Window(0, 0, 256, 256), 4 * 32)
    fine, low, pan_low = chip.bdsd_planes(GAINS, 0.15)
    own = chip.own_ms()
    assert own == Window(0, 0, 64, 64)
    # At the MS centres, 4 i + 1.5, on grids that share corners; on its own grid, where they are
    # 4 i + 2, the toolbox takes it at 4 i + 1.5 as well.
    shrink = axis_matrix(AxisMap(4.0, 1.5), "down", Cubic(4), (12, 52), (0, 256))
    expected = shrink @ chip.up().astype(float) @ shrink.T
    np.testing.assert_allclose(fine[:, 12:52, 12:52], expected, rtol=0, atol=0.01)
    if offset == 2.0:
        blurred = filters.correlate_replicate(pan, filters.mtf_kernel_from_gain(0.15, 4))
        expected = filters.decimate(blurred, 4)
        np.testing.assert_allclose(pan_low[8:-8, 8:-8], expected[8:-8, 8:-8], rtol=0, atol=0.03)
    for band, gain in enumerate(GAINS):
        again = filters.correlate_replicate(fine[band], filters.mtf_kernel_from_gain(gain, 4))
        np.testing.assert_allclose(
            low[band, 22:-22, 22:-22], again[22:-22, 22:-22], rtol=0, atol=0.03
        )


def test_valid_needs_both_images() -> None:
    pan_mask, ms_mask = np.ones((150, 131), bool), np.ones((39, 34), bool)
    pan_mask[10, 20] = False
    ms_mask[5, 6] = False
    scene = _scene(pan_mask=pan_mask, ms_mask=ms_mask)
    chip = read_chip(scene, Window(0, 0, 64, 64), 4)
    assert chip.valid is not None
    rows, cols = np.nonzero(~chip.valid)
    assert not chip.valid[10, 20]
    # The MS is moved down by half a pixel: rows 20.5 ... 24.5, columns 23.5 ... 27.5.
    under = sorted((r, c) for r, c in zip(rows, cols, strict=True) if (r, c) != (10, 20))
    assert {c for _, c in under} == {24, 25, 26, 27}
    assert len({r for r, _ in under}) == 4
    assert chip.ms_mask(Window(5, 6, 1, 1)) is not None
    assert not chip.ms_mask(Window(5, 6, 1, 1)).any()


def test_valid_pixels_without_masks() -> None:
    window, alignment = Window(0, 0, 8, 8), Alignment.corner(4)
    assert valid_pixels(None, None, window, Window(0, 0, 2, 2), alignment) is None
    mask = np.eye(8, dtype=bool)
    same = valid_pixels(mask, None, window, Window(0, 0, 2, 2), alignment)
    np.testing.assert_array_equal(same, mask)
    coarse = np.array([[True, False], [False, True]])
    ours = valid_pixels(None, coarse, window, Window(0, 0, 2, 2), alignment)
    np.testing.assert_array_equal(ours, np.kron(coarse, np.ones((4, 4))).astype(bool))
