"""Cells, what is held out, and the patches of a step."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pansharp.errors import OptionError, SceneError
from pansharp.geometry.grids import Window
from pansharp.models.facts import TrainingRecipe
from pansharp.training.data import Collection, Sampler, lay_out
from pansharp.training.examples import lattice
from pansharp.training.memo import Memo
from pansharp.training.sources import Opening, agreed, open_sites

RECIPE = TrainingRecipe(source="", loss="l1", rate=1e-3, batch=4, patch=16, steps=10)


@given(
    st.integers(1, 200), st.integers(1, 200), st.integers(8, 80), st.sampled_from([1, 2, 3, 4, 8])
)
def test_lattice_covers_and_does_not_overlap(high: int, wide: int, side: int, grain: int) -> None:
    area = Window(5, 7, high, wide)
    count = np.zeros((high, wide), int)
    for window in lattice(area, side, grain):
        assert (window.row - 5) % grain == (window.col - 7) % grain == 0
        assert window.height % grain == window.width % grain == 0
        count[window.relative_to(area).slices] += 1
    whole = (high // grain * grain, wide // grain * grain)
    assert (count[: whole[0], : whole[1]] == 1).all()
    assert count.sum() == whole[0] * whole[1]


def test_memo_makes_everything_once_and_forgets() -> None:
    made: list[int] = []

    def make(key: int) -> int:
        time.sleep(0.01)
        made.append(key)
        return key

    memo: Memo[int, int] = Memo(make, lambda value: 10, 25)
    threads = [threading.Thread(target=lambda: memo[1]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert [memo[k] for k in (2, 1, 3)] == [2, 1, 3]
    # Of three only two fit: the one that was not asked for longest went.
    assert made == [1, 2, 3]
    memo[1]
    assert made == [1, 2, 3]
    memo[2]
    assert made == [1, 2, 3, 2]


def test_memo_passes_errors_on_and_tries_again() -> None:
    tries = []

    def make(key: int) -> int:
        tries.append(key)
        if len(tries) == 1:
            raise SceneError("no")
        return key

    memo: Memo[int, int] = Memo(make, lambda value: 1, 10)
    with pytest.raises(SceneError):
        memo[7]
    assert memo[7] == 7


@pytest.fixture
def opened(small_set: Any) -> Any:
    with ExitStack() as closing:

        def make(**options: Any) -> Any:
            return open_sites([str(small_set(**options))], Opening(), closing)

        yield make


def sampler(sites: Any, recipe: TrainingRecipe = RECIPE, **options: Any) -> Sampler:
    layout = lay_out(sites, agreed(sites), recipe.patch, hold_out=True)
    collection = Collection(sites, layout.train, "published", 2047.0)
    given = {"seed": 3, "flips": False, **options}
    return Sampler(collection, recipe, layout.patch, **given)


def test_one_cell_in_ten_is_held_out(opened: Any) -> None:
    sites = opened(items=23)
    layout = lay_out(sites, agreed(sites), 64, hold_out=True)
    assert [p.site for p in layout.held] == [9, 19]
    assert not {p.site for p in layout.held} & {p.site for p in layout.train}
    assert len(layout.train) == 21
    every = lay_out(sites, agreed(sites), 64, hold_out=False)
    assert (len(every.train), every.held) == (23, ())


def test_a_single_item_is_divided(opened: Any) -> None:
    sites = opened(items=1, side=128)
    layout = lay_out(sites, agreed(sites), 32, hold_out=True)
    assert len(layout.held) == 1
    assert len(layout.train) >= 8
    with pytest.raises(OptionError, match="nothing can be held out"):
        lay_out(sites, agreed(sites), 128, hold_out=True)
    assert lay_out(sites, agreed(sites), 200, hold_out=False).patch == 128
    with pytest.raises(OptionError, match="a patch of 4 pixels is too small at ratio 4"):
        lay_out(sites, agreed(sites), 4, hold_out=False)


def test_a_batch_follows_from_seed_and_step_alone(opened: Any) -> None:
    sites = opened(items=12)
    first, second = sampler(sites), sampler(sites)
    late = second.batch(9)
    for step in range(9):
        first.batch(step)
    again = first.batch(9)
    for a, b in zip(vars(late).values(), vars(again).values(), strict=True):
        assert a is b is None or torch.equal(a, b)
    other = sampler(sites, seed=4).batch(9)
    assert not torch.equal(other.target, late.target)


def test_processes_share_a_batch(opened: Any) -> None:
    sites = opened(items=12)
    drawn = sampler(sites)
    whole = drawn.batch(5)
    halves = [drawn.batch(5, rank, 2) for rank in range(2)]
    assert torch.equal(whole.target[0::2], halves[0].target)
    assert torch.equal(whole.image[1::2], halves[1].image)


def test_an_epoch_visits_every_patch_once(opened: Any) -> None:
    sites = opened(items=11)
    drawn = sampler(sites, replace(RECIPE, patch=64, batch=5))
    assert drawn.steps_per_epoch == 2
    order = drawn._order(0)
    assert sorted(order) == list(range(10))
    assert list(order) != list(drawn._order(1))
    longer = sampler(sites, replace(RECIPE, patch=64, batch=5, epoch_patches=100))
    assert longer.steps_per_epoch == 20
    counts = np.bincount(longer._order(0))
    assert counts.min() == counts.max() == 10


def test_patches_are_the_pixels_of_the_file(make_research: Any, write_h5: Any) -> None:
    images = make_research(items=3)
    path = write_h5("train_qb.h5", images)
    with ExitStack() as closing:
        sites = open_sites([str(path)], Opening(), closing)
        collection = Collection(
            sites, lay_out(sites, agreed(sites), 16, hold_out=False).train, "published", 2047.0
        )
        drawn = Sampler(collection, RECIPE, 16, 0, flips=False)
        batch = drawn.batch(0)
    for guide, image, target in zip(batch.guide, batch.image, batch.target, strict=True):
        counts = np.rint(guide[0].numpy() * 2047)
        (found,) = [
            (item, row, col)
            for item in range(3)
            for row in range(0, 49, 4)
            for col in range(0, 49, 4)
            if np.array_equal(images.pan[item, 0, row : row + 16, col : col + 16], counts)
        ]
        item, row, col = found
        truth = images.gt[item, :, row : row + 16, col : col + 16]
        low = images.ms[item, :, row // 4 : row // 4 + 4, col // 4 : col // 4 + 4]
        np.testing.assert_allclose(target.numpy() * 2047, truth, rtol=1e-5)
        np.testing.assert_allclose(image.numpy() * 2047, low, rtol=1e-5)


def test_flips_turn_all_planes_together(opened: Any) -> None:
    drawn = sampler(opened(items=12), replace(RECIPE, batch=8), flips=True)
    batch = drawn.batch(0)
    # The PAN of this ground is the mean of the bands, however it is turned.
    torch.testing.assert_close(batch.guide[:, 0], batch.target.mean(1), atol=1e-3, rtol=0)
    plain = sampler(opened(items=12, name="again_qb.h5"), replace(RECIPE, batch=8)).batch(0)
    assert not torch.equal(plain.guide, batch.guide)
    pairs = zip(plain.guide, batch.guide, strict=True)
    assert all(torch.equal(a.flatten().sort()[0], b.flatten().sort()[0]) for a, b in pairs)


def test_noise_has_the_level_asked_for(opened: Any) -> None:
    sites = opened(items=12)
    plain = sampler(sites, replace(RECIPE, patch=64)).batch(0)
    noisy = sampler(sites, replace(RECIPE, patch=64, noise_db=20.0)).batch(0)
    assert torch.equal(plain.guide, noisy.guide)
    power = plain.image.square().mean((2, 3))
    noise = (noisy.image - plain.image).square().mean((2, 3))
    assert float((noise / power).mean()) == pytest.approx(0.01, rel=0.2)


def test_empty_cells_are_passed_over(opened: Any) -> None:
    sites = opened(items=12)
    drawn = sampler(sites)
    collection = drawn.collection
    empty = collection.cell(3)
    blank = replace(empty, valid=np.zeros(empty.shape, bool))
    make = collection._cells._make
    collection._cells = Memo(lambda n: blank if n == 3 else make(n), lambda c: c.nbytes, 1 << 30)
    assert collection.filled(3, 0.1) == 4
    assert all(drawn.batch(step).valid is None for step in range(4))
    collection._cells = Memo(lambda n: blank, lambda c: c.nbytes, 1 << 30)
    with pytest.raises(SceneError, match="valid pixels enough"):
        collection.filled(0, 0.1)
