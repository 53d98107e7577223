from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pansharp.errors import TilingError
from pansharp.geometry.grids import Window
from pansharp.tiling import TileGrid


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    multiple = draw(st.sampled_from([1, 2, 4, 8]))
    tile = draw(st.integers(1, 8)) * multiple
    overlap = draw(st.integers(0, tile // 2 // multiple)) * multiple
    shape = draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    return TileGrid(shape, tile=tile, overlap=overlap, multiple_of=multiple)


@given(grids())
def test_cores_partition_the_raster(grid: TileGrid) -> None:
    owners = np.zeros(grid.shape, int)
    for tile in grid:
        owners[tile.core.slices] += 1
        assert tile.core.height > 0
        assert tile.core.width > 0
    assert (owners == 1).all()


@given(grids())
def test_cores_lie_in_their_windows(grid: TileGrid) -> None:
    for tile in grid:
        assert tile.window.intersect(tile.core) == tile.core


@given(grids())
def test_starts_and_sizes_are_multiples(grid: TileGrid) -> None:
    for tile in grid:
        w = tile.window
        assert all(value % grid.multiple_of == 0 for value in (w.row, w.col, w.height, w.width))
        assert w.row >= 0
        assert w.col >= 0
        assert w.row_end < grid.shape[0] + grid.multiple_of
        assert w.col_end < grid.shape[1] + grid.multiple_of


@given(grids())
def test_tiles_have_one_shape_where_they_overlap(grid: TileGrid) -> None:
    assume(grid.overlap > 0)
    assert len({tile.window.shape for tile in grid}) == 1


@given(grids())
def test_neighbours_share_the_whole_ramp_and_ramps_never_meet(grid: TileGrid) -> None:
    for axis in (grid.rows, grid.cols):
        ends = [0]
        for i in range(len(axis) - 1):
            ramp = axis.ramp_start(i)
            assert axis.spans[i + 1][0] <= ramp
            assert ramp + axis.overlap == sum(axis.spans[i])
            assert ramp >= ends[-1]
            ends.append(ramp + axis.overlap)


@given(grids())
def test_sequence(grid: TileGrid) -> None:
    tiles = list(grid)
    assert len(tiles) == len(grid)
    assert [tile.index for tile in tiles] == list(range(len(grid)))
    assert grid[-1] == tiles[-1]
    assert grid[1:3] == tiles[1:3]
    with pytest.raises(IndexError):
        grid[len(grid)]


def test_last_tile_moves_inward() -> None:
    grid = TileGrid((100, 100), tile=40, overlap=10)
    assert list(grid.rows.spans) == [(0, 40), (30, 40), (60, 40)]
    grid = TileGrid((90, 95), tile=40, overlap=8, multiple_of=8)
    assert grid.rows.spans[-1] == (56, 40)  # 50 rounded up: ends 6 pixels beyond the border


def test_without_overlap_the_last_tile_is_short() -> None:
    grid = TileGrid((1000, 1300), tile=512)
    assert grid[-1].window == Window(512, 1024, 488, 276)
    assert all(tile.window == tile.core for tile in grid)


def test_small_raster_shrinks_the_tile() -> None:
    grid = TileGrid((30, 21), tile=512, overlap=64, multiple_of=4)
    assert len(grid) == 1
    assert grid[0].window == Window(0, 0, 32, 24)
    assert grid[0].core == Window(0, 0, 30, 21)


def test_grid_is_anchored_to_the_origin() -> None:
    small = TileGrid((200, 200), tile=64, overlap=16)
    large = TileGrid((400, 400), tile=64, overlap=16)
    assert small.rows.spans[:3] == large.rows.spans[:3]
    assert len(small.rows) == 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"tile": 0}, "a tile of 0 pixels"),
        ({"tile": 64, "overlap": 33}, "an overlap of 33 does not fit tiles of 64 pixels; use 0 to"),
        ({"tile": 64, "overlap": -1}, "an overlap of -1"),
        ({"tile": 60, "multiple_of": 8}, "tile is 60 pixels, but must be a multiple of 8; use 56"),
        ({"tile": 64, "overlap": 4, "multiple_of": 8}, "overlap is 4 .* use 0 or 8"),
        ({"tile": 64, "multiple_of": 0}, "multiple of 0"),
    ],
)
def test_impossible_sizes(arguments: dict[str, int], text: str) -> None:
    with pytest.raises(TilingError, match=text):
        TileGrid((100, 100), **arguments)


def test_empty_raster() -> None:
    with pytest.raises(TilingError, match="0x10"):
        TileGrid((0, 10), tile=4)
