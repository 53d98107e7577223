"""Which pixels train, which choose, which are printed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.adaptation.split import GUARD, Split, make_split, share_blocks
from pansharp.geometry.grids import Window

SIDES = st.tuples(st.integers(20, 300), st.integers(20, 300))


def _paint(shape: tuple[int, int], blocks: tuple[Window, ...], margin: int = 0) -> np.ndarray:
    count = np.zeros(shape, dtype=int)
    whole = Window(0, 0, *shape)
    for block in blocks:
        count[block.expand(margin).intersect(whole).slices] += 1
    return count


@given(SIDES, st.sampled_from([0, 1]), st.integers(0, 12))
def test_blocks_are_disjoint_and_guarded(shape: tuple[int, int], phase: int, border: int) -> None:
    split = make_split(np.ones(shape, bool), border=border, phase=phase)
    assert _paint(shape, split.score).max(initial=0) <= 1
    assert not (split.train & (_paint(shape, split.score, GUARD) > 0)).any()
    inside = np.zeros(shape, bool)
    inside[border : shape[0] - border, border : shape[1] - border] = True
    assert not (split.train & ~inside).any()
    for block in split.score:
        assert block.shape == (split.size, split.size)
        assert inside[block.slices].all()


def test_guard_band_is_four_pixels_exactly() -> None:
    split = make_split(np.ones((88, 88), bool), border=8)
    block = split.score[0]
    assert GUARD == 4
    assert block == Window(24, 24, 16, 16)
    assert not split.train[block.row - 4, block.col]
    assert split.train[block.row - 5, block.col]
    assert not split.train[block.row_end + 3, block.col]
    assert split.train[block.row_end + 4, block.col]


@pytest.mark.parametrize(("side", "size"), [(249, 16), (250, 32)])
def test_block_size_follows_the_smaller_side(side: int, size: int) -> None:
    assert make_split(np.ones((side, 400), bool), border=8).size == size


def test_a_quarter_of_the_area_is_held_out() -> None:
    split = make_split(np.ones((528, 528), bool), border=8)
    held = sum(b.height * b.width for b in split.score) / 512**2
    assert held == pytest.approx(0.25, abs=0.01)


def test_the_two_folds_share_no_block() -> None:
    valid = np.ones((72, 72), bool)
    one, two = (make_split(valid, border=8, phase=p).score for p in (1, 0))
    assert len(one) == 1
    assert len(two) == 4
    assert _paint((72, 72), one + two).max() == 1


def test_blocks_of_nodata_do_not_count_but_do_not_train_either() -> None:
    valid = np.ones((88, 88), bool)
    full = make_split(valid, border=8)
    first = full.score[0]
    valid[first.row : first.row + 9, first.col : first.col_end] = False
    holed = make_split(valid, border=8)
    assert first not in holed.score
    assert holed.score == full.score[1:]
    assert not holed.train[first.slices].any()
    # With half of its pixels valid a block still counts.
    valid[first.row + 8] = True
    assert make_split(valid, border=8).score == full.score


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_choosing_and_printed_blocks_alternate(counts: list[int]) -> None:
    rng = np.random.default_rng(len(counts))
    splits = [
        Split(
            16,
            np.ones((1, 1), bool),
            (),
            tuple(Window(int(r), i, 16, 16) for i, r in enumerate(rng.integers(0, 99, n))),
        )
        for n in counts
    ]
    shared = share_blocks(splits)
    total, printed = sum(counts), sum(len(s.score) for s in shared)
    assert printed == -(-total // 2)
    for before, after in zip(splits, shared, strict=True):
        assert not set(after.choose) & set(after.score)
        assert set(after.choose) | set(after.score) == set(before.score)
        assert after.train is before.train


def test_every_second_block_chooses_across_windows() -> None:
    blocks = tuple(Window(0, 16 * i, 16, 16) for i in range(3))
    one, two = share_blocks([Split(16, np.ones((1, 1), bool), (), blocks)] * 2)
    assert (one.score, one.choose) == ((blocks[0], blocks[2]), (blocks[1],))
    assert (two.score, two.choose) == ((blocks[1],), (blocks[0], blocks[2]))
