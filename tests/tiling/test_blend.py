from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pansharp.errors import TilingError
from pansharp.geometry.grids import Window
from pansharp.tiling import BLEND_KINDS, Blender, TileGrid, profile, recut


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    multiple = draw(st.sampled_from([1, 2, 4, 8]))
    tile = draw(st.integers(1, 8)) * multiple
    overlap = draw(st.integers(0, tile // 2 // multiple)) * multiple
    shape = draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    return TileGrid(shape, tile=tile, overlap=overlap, multiple_of=multiple)


Piece = tuple[Window, NDArray[np.float32]]


def blend(grid: TileGrid, bands: int, kind: str, predict) -> list[Piece]:
    blender = Blender(grid, bands, kind)
    pieces = [piece for tile in grid for piece in blender.add(tile, predict(tile))]
    blender.finish()
    return pieces


def paste(pieces: list[Piece], shape: tuple[int, int], bands: int) -> NDArray[np.float32]:
    image = np.full((bands, *shape), np.nan, np.float32)
    for window, array in pieces:
        rows, cols = window.slices
        assert np.isnan(image[:, rows, cols]).all(), "a pixel was emitted twice"
        image[:, rows, cols] = array
    assert not np.isnan(image).any(), "a pixel was never emitted"
    return image


def padded(image: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Pixels of a window that may reach beyond the border."""
    rows = np.minimum(np.arange(window.row, window.row_end), image.shape[1] - 1)
    cols = np.minimum(np.arange(window.col, window.col_end), image.shape[2] - 1)
    return image[:, rows[:, None], cols]


@given(grids(), st.sampled_from(BLEND_KINDS), st.integers(0, 99))
def test_equal_predictions_come_out_bit_equal(grid: TileGrid, kind: str, seed: int) -> None:
    image = np.random.default_rng(seed).uniform(0, 2000, (2, *grid.shape)).astype(np.float32)
    pieces = blend(grid, 2, kind, lambda tile: padded(image, tile.window))
    assert np.array_equal(paste(pieces, grid.shape, 2), image)


@given(grids(), st.sampled_from(BLEND_KINDS))
def test_pieces_come_in_row_bands(grid: TileGrid, kind: str) -> None:
    pieces = blend(grid, 1, kind, lambda tile: np.ones((1, *tile.window.shape), np.float32))
    row = col = 0
    for window, _ in pieces:
        assert (window.row, window.col) == (row, col)
        col = window.col_end
        if col == grid.shape[1]:
            row, col = window.row_end, 0
    assert (row, col) == (grid.shape[0], 0)


@given(grids(), st.sampled_from(["linear", "hann"]), st.integers(0, 99))
def test_blend_is_the_separable_weighting(grid: TileGrid, kind: str, seed: int) -> None:
    """Against the textbook form: sum of w * prediction with w = wy wx, float64."""
    rng = np.random.default_rng(seed)
    predictions = [rng.uniform(0, 1000, (1, *t.window.shape)).astype(np.float32) for t in grid]
    got = paste(blend(grid, 1, kind, lambda t: predictions[t.index]), grid.shape, 1)

    def weights(axis, index: int) -> NDArray[np.float64]:
        start, length = axis.spans[index]
        w = np.zeros(axis.size + grid.tile + grid.multiple_of)
        w[start : start + length] = 1.0
        rising = profile(kind, 2 * axis.overlap, axis.overlap)[: axis.overlap]
        if index > 0:
            first = axis.ramp_start(index - 1)
            w[:first] = 0.0
            w[first : first + axis.overlap] = rising
        if index < len(axis) - 1:
            last = axis.ramp_start(index)
            w[last : last + axis.overlap] = 1.0 - rising
        return w[start : start + length]

    expected = np.zeros((grid.shape[0] + 80, grid.shape[1] + 80))
    for tile, prediction in zip(grid, predictions, strict=True):
        w = np.outer(weights(grid.rows, tile.row_index), weights(grid.cols, tile.col_index))
        expected[tile.window.slices] += w * prediction[0]
    expected = expected[: grid.shape[0], : grid.shape[1]]
    np.testing.assert_allclose(got[0], expected, rtol=0, atol=1e-3)


def test_ramp_goes_from_one_tile_to_the_next() -> None:
    grid = TileGrid((1, 20), tile=12, overlap=4)
    pieces = blend(grid, 1, "linear", lambda t: np.full((1, *t.window.shape), t.index, np.float32))
    line = paste(pieces, grid.shape, 1)[0, 0]
    assert line.tolist() == [0] * 8 + [0.125, 0.375, 0.625, 0.875] + [1] * 8


def test_input_is_not_changed() -> None:
    grid = TileGrid((20, 20), tile=12, overlap=4)
    array = np.ones((1, 12, 12), np.float32)
    array.flags.writeable = False
    blend(grid, 1, "hann", lambda _: array)


def test_only_ramps_are_kept() -> None:
    grid = TileGrid((600, 5000), tile=256, overlap=16)
    blender = Blender(grid, 2, "hann")
    for tile in grid:
        blender.add(tile, np.zeros((2, 256, 256), np.float32))
        kept = blender._bottom.nbytes + blender._right.nbytes
        assert kept == 2 * 4 * (16 * 5000 + (blender._right.shape[1] * 16))
        assert blender._right.base is None


def test_wrong_order_and_shape() -> None:
    grid = TileGrid((20, 20), tile=12, overlap=4)
    blender = Blender(grid, 1, "hann")
    with pytest.raises(TilingError, match="tile 1 was handed in where tile 0 is due"):
        blender.add(grid[1], np.zeros((1, 12, 12), np.float32))
    with pytest.raises(TilingError, match=r"shape \(1, 11, 12\), expected \(1, 12, 12\)"):
        blender.add(grid[0], np.zeros((1, 11, 12), np.float32))
    with pytest.raises(TilingError, match="only 0 of 4"):
        blender.finish()
    with pytest.raises(TilingError, match="unknown blend 'gauss'"):
        Blender(grid, 1, "gauss")
    with pytest.raises(TilingError, match="0 bands"):
        Blender(grid, 0, "hann")


@given(grids(), st.sampled_from([4, 8, 16, 32]), st.integers(0, 99))
def test_recut_gives_blocks_and_keeps_every_pixel(grid: TileGrid, block: int, seed: int) -> None:
    image = np.random.default_rng(seed).uniform(0, 2000, (2, *grid.shape)).astype(np.float32)
    pieces = blend(grid, 2, "hann", lambda tile: padded(image, tile.window))
    height, width = grid.shape
    cut = list(recut(pieces, width, height, block, 2))
    assert np.array_equal(paste(cut, grid.shape, 2), image)
    row = col = 0
    for window, _ in cut:
        assert (window.row, window.col) == (row, col)
        assert window.row % block == 0
        assert window.col % block == 0
        assert window.row_end % block == 0 or window.row_end == height
        assert window.col_end % block == 0 or window.col_end == width
        col = window.col_end
        if col == width:
            row, col = window.row_end, 0


def test_recut_splits_wide_pieces_and_joins_narrow_ones() -> None:
    image = np.arange(100 * 5000, dtype=np.float32).reshape(1, 100, 5000)
    pieces = [(Window(r, 0, 10, 5000), image[:, r : r + 10]) for r in range(0, 100, 10)]
    cut = list(recut(pieces, 5000, 100, 64, 1))
    assert [(w.height, w.width) for w, _ in cut[:3]] == [(64, 2048), (64, 2048), (64, 904)]
    assert np.array_equal(paste(cut, (100, 5000), 1), image)


def test_recut_passes_aligned_pieces_through() -> None:
    array = np.ones((1, 64, 64), np.float32)
    pieces = [(Window(0, 0, 64, 64), array), (Window(0, 64, 64, 30), array[:, :, :30])]
    cut = list(recut(pieces, 94, 64, 32, 1))
    assert cut[0][1] is array
    assert len(cut) == 2


def test_recut_refuses_gaps_and_missing_rows() -> None:
    array = np.ones((1, 8, 8), np.float32)
    with pytest.raises(TilingError, match="does not follow"):
        list(recut([(Window(0, 8, 8, 8), array)], 16, 8, 4, 1))
    with pytest.raises(TilingError, match="pieces end at row 8 of 16"):
        list(recut([(Window(0, 0, 8, 8), array)], 8, 16, 4, 1))
    with pytest.raises(TilingError, match="pieces end at row 8 of 8, column 8 of 16"):
        list(recut([(Window(0, 0, 8, 8), array)], 16, 8, 4, 1))
