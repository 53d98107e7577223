"""Scores on blocks and the verdict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp import evaluation as ev
from pansharp.adaptation.guard import MIN_BLOCKS, BlockScores, compare, score_blocks
from pansharp.adaptation.level import ReducedScene
from pansharp.adaptation.split import Split
from pansharp.geometry.grids import Window
from pansharp.scene import Scene


def _scores(errors: np.ndarray | list[float], bands: int = 3, mean: float = 100.0) -> BlockScores:
    """Blocks of 256 pixels with the given squared errors a pixel."""
    each = np.asarray(errors, dtype=np.float64)
    count = len(each)
    return BlockScores(
        squared=np.repeat(each[:, None], bands, axis=1) * 256,
        counts=np.full(count, 256.0),
        sums=np.full((count, bands), 256 * mean),
        angles=np.ones(count),
        quality=np.full(count, 0.9),
        ratio=4.0,
    )


def test_identical_products_are_not_better() -> None:
    one = _scores(np.linspace(1, 5, 12))
    verdict = compare(one, one)
    assert (verdict.rho, verdict.low, verdict.high, verdict.wins) == (1.0, 1.0, 1.0, 0.0)
    assert verdict.word == "worse"
    assert verdict.blocks == 12


def test_a_clear_gain_is_better() -> None:
    base = np.linspace(1, 5, 12)
    verdict = compare(_scores(0.25 * base), _scores(base))
    assert verdict.word == "better"
    assert verdict.rho == pytest.approx(0.5)
    assert verdict.high == pytest.approx(0.5)
    assert verdict.wins == 1.0


def test_fewer_than_eight_blocks_prove_nothing() -> None:
    assert MIN_BLOCKS == 8
    for count, word in ((7, "equal"), (8, "better")):
        base = np.linspace(1, 5, count)
        assert compare(_scores(0.25 * base), _scores(base)).word == word
        assert compare(_scores(4 * base), _scores(base)).word == "worse"


def test_a_gain_on_few_blocks_is_not_significant() -> None:
    base = np.ones(12)
    ours = base * 1.02
    ours[0] = 0.2
    verdict = compare(_scores(ours), _scores(base))
    assert verdict.rho < 1.0 < verdict.high
    assert verdict.word == "equal"
    assert verdict.wins == pytest.approx(1 / 12)


def test_rho_is_a_ratio_of_ergas() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = _scores(rng.uniform(1, 4, 20)), _scores(rng.uniform(1, 4, 20))
    assert compare(ours, theirs).rho == pytest.approx(ours.ergas / theirs.ergas, rel=1e-12)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40), st.integers(0, 1000))
def test_the_interval_holds_rho_and_repeats(errors: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = np.asarray(errors)
    ours, theirs = _scores(base * rng.uniform(0.5, 1.5, len(base))), _scores(base)
    verdict = compare(ours, theirs, seed)
    assert verdict == compare(ours, theirs, seed)
    assert verdict.low <= verdict.high
    # The bounds are quantiles of draws of blocks: between the extreme blocks.
    each = np.sqrt(ours.relative / theirs.relative)
    assert each.min() - 1e-9 <= verdict.low
    assert verdict.high <= each.max() + 1e-9
    assert each.min() - 1e-9 <= verdict.rho <= each.max() + 1e-9
    if len(base) >= 20 and each.std() > 0 and base.max() < 5 * base.min():
        assert verdict.low <= verdict.rho <= verdict.high


@pytest.mark.parametrize("seed", range(6))
def test_the_interval_contains_rho(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.uniform(1, 4, 24)
    verdict = compare(_scores(base * rng.uniform(0.4, 1.4, 24)), _scores(base), seed)
    assert verdict.low < verdict.rho < verdict.high


def test_perfect_products_have_a_ratio_too() -> None:
    zero, one = _scores(np.zeros(9)), _scores(np.ones(9))
    assert compare(zero, zero).rho == 1.0
    assert compare(zero, one).rho == 0.0
    hopeless = compare(one, zero)
    assert hopeless.word == "worse"
    assert 1e5 < hopeless.rho == hopeless.high < np.inf


def test_merge_joins_blocks() -> None:
    one, two = _scores([1.0, 2.0]), _scores([3.0])
    both = BlockScores.merge([one, two])
    np.testing.assert_array_equal(both.squared, _scores([1.0, 2.0, 3.0]).squared)
    assert both.ergas == pytest.approx(_scores([1.0, 2.0, 3.0]).ergas)


def _scene(valid: np.ndarray | None = None) -> tuple[ReducedScene, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.uniform(200, 900, (3, 48, 48)).astype(np.float32)
    fused = truth + rng.normal(0, 20, truth.shape).astype(np.float32)
    scene = Scene.from_arrays(np.ones((48, 48)), np.ones((3, 12, 12)))
    return ReducedScene(scene, truth, np.ones((48, 48), bool) if valid is None else valid), fused


def test_scores_are_those_of_the_evaluation_module() -> None:
    reduced, fused = _scene()
    split = Split(16, np.ones((48, 48), bool), (), (Window(8, 8, 16, 16), Window(24, 8, 16, 16)))
    scores = score_blocks([reduced], [split], lambda _, w: fused[:, *w.slices], 4.0)
    union = (slice(None), slice(8, 40), slice(8, 24))
    truth = reduced.reference[union].astype(float)
    found = scores.as_dict()
    assert found["ergas"] == pytest.approx(ev.ergas(truth, fused[union]), rel=1e-9)
    assert found["sam"] == pytest.approx(ev.sam(truth, fused[union].astype(float)), rel=1e-9)
    assert found["q2n"] == pytest.approx(
        ev.q2n(truth, fused[union], block_size=16, shift=16), rel=1e-9
    )


def test_invalid_pixels_have_no_score() -> None:
    valid = np.ones((48, 48), bool)
    valid[10:14, 10:20] = False
    reduced, fused = _scene(valid)
    split = Split(16, valid, (), (Window(8, 8, 16, 16),))
    spoiled = fused.copy()
    spoiled[:, ~valid] = 5000.0

    def score(image: np.ndarray) -> BlockScores:
        return score_blocks([reduced], [split], lambda _, w: image[:, *w.slices], 4.0)

    one, two = score(fused), score(spoiled)
    assert one.as_dict() == pytest.approx(two.as_dict())
    assert one.counts[0] == 16 * 16 - 40


def test_bands_around_zero_do_not_divide_by_zero() -> None:
    scores = _scores([1.0, 2.0], mean=0.0)
    assert np.isfinite(scores.ergas)
    assert np.isfinite(compare(scores, scores).rho)
