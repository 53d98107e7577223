"""The blocked sampler against a dense float64 evaluation, and against the toolbox filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp import filters
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.kernels import UP, Binomial, Cubic, Kernel, MtfGaussian
from pansharp.geometry.resample import axis_matrix, input_range, input_window, sample

RATIOS = st.one_of(st.floats(1.5, 9.0), st.sampled_from([2.0, 2.7, 4.0, 4.0003, 30 / 3.6]))
OFFSETS = st.floats(-6.0, 6.0)
STARTS = st.integers(-200, 5000)
SIDES = st.integers(1, 90)


def _dense(
    image: np.ndarray,
    origin: tuple[int, int],
    window: Window,
    alignment: Alignment,
    direction: str,
    kernel: Kernel,
) -> np.ndarray:
    """The same sum in float64, one matrix an axis, no blocks."""
    rows = axis_matrix(
        alignment.y,
        direction,
        kernel,
        (window.row, window.row_end),
        (origin[0], origin[0] + image.shape[1]),
    )
    cols = axis_matrix(
        alignment.x,
        direction,
        kernel,
        (window.col, window.col_end),
        (origin[1], origin[1] + image.shape[2]),
    )
    return rows @ image.astype(np.float64) @ cols.T


def _image(window: Window, seed: int, bands: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 2000, (bands, *window.shape)).astype(np.float32)


def _compare(
    alignment: Alignment, direction: str, kernel: Kernel, window: Window, seed: int
) -> None:
    needed = input_window(alignment, direction, kernel, window)
    image = _image(needed, seed)
    origin = (needed.row, needed.col)
    ours = sample(image, origin, window, alignment, direction, kernel)
    assert ours.dtype == np.float32
    assert ours.shape == (2, *window.shape)
    expected = _dense(image, origin, window, alignment, direction, kernel)
    assert np.abs(ours - expected).max() <= 1.5e-6 * 2000


@given(RATIOS, RATIOS, OFFSETS, OFFSETS, STARTS, STARTS, SIDES, SIDES, st.integers(0, 9))
def test_up_equals_the_dense_sum(
    sy: float, sx: float, oy: float, ox: float, row: int, col: int, high: int, wide: int, seed: int
) -> None:
    alignment = Alignment(AxisMap(sy, oy), AxisMap(sx, ox))
    for kernel in (UP, Cubic()):
        _compare(alignment, "up", kernel, Window(row, col, high, wide), seed)


@given(RATIOS, OFFSETS, OFFSETS, STARTS, STARTS, st.integers(1, 40), st.floats(0.1, 0.5))
def test_down_equals_the_dense_sum(
    scale: float, oy: float, ox: float, row: int, col: int, side: int, gain: float
) -> None:
    alignment = Alignment(AxisMap(scale, oy), AxisMap(scale, ox))
    kernels = (
        Cubic(scale),
        MtfGaussian(scale, gain),
        MtfGaussian(scale, gain, normalize=True),
        Binomial.for_ratio(scale),
    )
    for kernel in kernels:
        _compare(alignment, "down", kernel, Window(row, col, side, side + 3), 3)


@given(RATIOS, OFFSETS, STARTS, SIDES, st.integers(0, 60), st.integers(0, 60))
def test_a_pixel_is_the_same_in_any_window(
    scale: float, offset: float, start: int, side: int, before: int, after: int
) -> None:
    alignment = Alignment(AxisMap(scale, offset), AxisMap(scale, -offset))
    small = Window(start, start // 2, side, side)
    large = Window(start - before, start // 2 - after, side + before + after, side + before + after)
    needed = input_window(alignment, "up", UP, large)
    image = _image(needed, 5)
    origin = (needed.row, needed.col)
    whole = sample(image, origin, large, alignment, "up", UP)
    part = sample(image, origin, small, alignment, "up", UP)
    rows, cols = small.relative_to(large).slices
    # A block that is cut by the window has fewer weights: the last bit may round differently.
    np.testing.assert_allclose(part, whole[:, rows, cols], rtol=0, atol=1.5e-6 * 2000)


@pytest.mark.parametrize("scale", [2.7, 4.0, 30 / 3.6])
@pytest.mark.parametrize("tile", [64, 128, 256])
def test_windows_on_blocks_are_bit_equal(scale: float, tile: int) -> None:
    alignment = Alignment(AxisMap(scale, 0.8), AxisMap(scale, 1.35))
    whole = Window(0, 0, 327, 405)
    needed = input_window(alignment, "up", UP, whole)
    image = _image(needed, 8)
    origin = (needed.row, needed.col)
    full = sample(image, origin, whole, alignment, "up", UP)
    for row in range(0, 327, tile):
        for col in range(0, 405, tile):
            window = Window(row, col, tile, tile).intersect(whole)
            part = sample(image, origin, window, alignment, "up", UP)
            np.testing.assert_array_equal(part, full[:, *window.slices])


@given(RATIOS, OFFSETS, STARTS, SIDES)
def test_input_range_holds_every_weight(
    scale: float, offset: float, start: int, count: int
) -> None:
    axis = AxisMap(scale, offset)
    for direction, kernel in (("up", UP), ("down", MtfGaussian(scale, 0.3))):
        first, last = input_range(axis, direction, kernel, start, start + count)
        wide = axis_matrix(axis, direction, kernel, (start, start + count), (first - 9, last + 9))
        assert np.abs(wide[:, :9]).max() <= 1e-7
        assert np.abs(wide[:, -9:]).max() <= 1e-7


@given(RATIOS, OFFSETS, STARTS)
def test_constants_pass_through(scale: float, offset: float, start: int) -> None:
    alignment = Alignment(AxisMap(scale, offset), AxisMap(scale, offset))
    window = Window(start, start, 20, 30)
    for direction, kernel in (
        ("up", UP),
        ("down", Cubic(scale)),
        ("down", MtfGaussian(scale, 0.3, normalize=True)),
        ("down", Binomial.for_ratio(scale)),
    ):
        needed = input_window(alignment, direction, kernel, window)
        image = np.full((1, *needed.shape), 1000.0, dtype=np.float32)
        out = sample(image, (needed.row, needed.col), window, alignment, direction, kernel)
        np.testing.assert_allclose(out, 1000.0, rtol=2e-6)


@given(RATIOS, OFFSETS)
def test_up_keeps_planes(scale: float, offset: float) -> None:
    """Geometry: a plane over MS positions comes out at the positions of the PAN pixels."""
    alignment = Alignment(AxisMap(scale, offset), AxisMap(scale, offset + 0.5))
    window = Window(10, 20, 24, 24)
    needed = input_window(alignment, "up", UP, window)
    y = alignment.y.scale * np.arange(needed.row, needed.row_end) + alignment.y.offset
    x = alignment.x.scale * np.arange(needed.col, needed.col_end) + alignment.x.offset
    plane = (3 * y[:, None] + 2 * x[None])[None].astype(np.float32)
    out = sample(plane, (needed.row, needed.col), window, alignment, "up", UP)
    expected = 3 * np.arange(10, 34)[:, None] + 2 * np.arange(20, 44)[None]
    np.testing.assert_allclose(out[0], expected, atol=2e-3)


@pytest.mark.parametrize("ratio", [2, 4])
def test_interp23_inside_equals_the_toolbox(ratio: int) -> None:
    image = np.random.default_rng(1).uniform(0, 2000, (2, 40, 44))
    alignment = Alignment.toolbox(ratio)
    margin = 12 * ratio
    window = Window(margin, margin, 40 * ratio - 2 * margin, 44 * ratio - 2 * margin)
    ours = sample(image.astype(np.float32), (0, 0), window, alignment, "up", UP)
    expected = filters.interp23(image, ratio)[:, *window.slices]
    assert np.abs(ours - expected).max() <= 1.5e-6 * 2000


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_cubic_inside_equals_imresize(ratio: int) -> None:
    image = np.random.default_rng(2).uniform(0, 2000, (1, 24 * ratio, 26 * ratio))
    window = Window(3, 3, 18, 20)
    ours = sample(
        image.astype(np.float32), (0, 0), window, Alignment.corner(ratio), "down", Cubic(ratio)
    )
    expected = filters.imresize(image, 1 / ratio)[:, *window.slices]
    assert np.abs(ours - expected).max() <= 1.5e-6 * 2000


@pytest.mark.parametrize("ratio", [2, 4])
def test_mtf_low_pass_inside_equals_the_toolbox(ratio: int) -> None:
    image = np.random.default_rng(3).uniform(0, 2000, (160, 168))
    kernel = filters.mtf_kernel_from_gain(0.3, ratio)
    blurred = filters.decimate(filters.correlate_replicate(image, kernel), ratio)
    edge = -(-20 // ratio) + 1
    window = Window(edge, edge, 160 // ratio - 2 * edge, 168 // ratio - 2 * edge)
    ours = sample(
        image.astype(np.float32)[None],
        (0, 0),
        window,
        Alignment.toolbox(ratio),
        "down",
        MtfGaussian(ratio, 0.3),
    )
    # The rotated window of the toolbox is not separable.
    assert np.abs(ours[0] - blurred[window.slices]).max() <= 2e-5 * 2000


@pytest.mark.parametrize("ratio", [2, 4])
def test_binomial_inside_equals_atrous(ratio: int) -> None:
    image = np.random.default_rng(4).uniform(0, 2000, (96, 80))
    low = filters.decimate(filters.atrous_lp(image, ratio), ratio)
    window = Window(6, 6, 96 // ratio - 12, 80 // ratio - 12)
    ours = sample(
        image.astype(np.float32)[None],
        (0, 0),
        window,
        Alignment.toolbox(ratio),
        "down",
        Binomial.for_ratio(ratio),
    )
    assert np.abs(ours[0] - low[window.slices]).max() <= 1.5e-6 * 2000


def test_edge_border_adds_to_the_last_pixels() -> None:
    axis = AxisMap.corner(4)
    image = np.random.default_rng(6).uniform(0, 9, 12)
    padded = np.pad(image, 15, mode="edge")
    wide = axis_matrix(axis, "up", UP, (0, 48), (-15, 27)) @ padded
    folded = axis_matrix(axis, "up", UP, (0, 48), (0, 12), border="edge") @ image
    np.testing.assert_allclose(folded, wide, atol=1e-12)
    dropped = axis_matrix(axis, "up", UP, (0, 48), (0, 12)) @ image
    assert np.abs(dropped - wide).max() > 0.01
