"""Trials: folds, budgets, and the classical methods on the blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.adaptation.fullscale import BLOCK, full_scores, full_windows
from pansharp.adaptation.guard import MIN_BLOCKS
from pansharp.adaptation.trial import YARDSTICKS, Trial
from pansharp.engine import facts_of, fuse_array, prepare
from pansharp.evaluation import evaluate
from pansharp.geometry.grids import Window
from pansharp.models import create_model
from pansharp.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable


def _trial(scene: Scene, budget: int = 400_000) -> Trial:
    return Trial(scene, facts_of(scene), budget)


@pytest.mark.parametrize(
    ("size", "folds", "selects"), [(88, 2, False), (120, 1, False), (176, 1, True)]
)
def test_only_small_scenes_have_a_second_fold(
    make_scene: Callable[..., Scene], size: int, folds: int, selects: bool
) -> None:
    trial = _trial(make_scene(size))
    assert len(trial.folds) == folds
    assert trial.selects is selects
    first = len(trial.folds[0][0].score) + len(trial.folds[0][0].choose)
    assert (first < MIN_BLOCKS) is (folds == 2)
    assert trial.selects is (first >= 2 * MIN_BLOCKS)
    if selects:
        assert trial.score_count == -(-first // 2)
    assert trial.score_count == sum(len(s.score) for fold in trial.folds for s in fold)


def test_training_pixels_are_counted_without_blocks(make_scene: Callable[..., Scene]) -> None:
    trial = _trial(make_scene(88))
    assert trial.pixels == 88 * 88
    assert trial.train_pixels == min(int(f[0].train.sum()) for f in trial.folds)
    assert trial.block_size == 16


def test_every_yardstick_is_scored_and_the_best_found(make_scene: Callable[..., Scene]) -> None:
    trial = _trial(make_scene(88))
    for passes in (0, 1):
        scores = {name: trial.classical(name, passes).ergas for name in YARDSTICKS}
        assert len(set(scores.values())) == len(YARDSTICKS)
        best = trial.best_classical(passes)
        assert scores[best] == min(scores.values())
    assert trial.classical("exp", 1).ergas < trial.classical("exp", 0).ergas
    assert trial.classical("exp", 0).ergas > trial.classical("mtf-glp-fs", 0).ergas


def test_classical_scores_are_those_of_the_fused_reduced_scene(
    make_scene: Callable[..., Scene],
) -> None:
    trial = _trial(make_scene(88))
    reduced = trial.reduced[0]
    facts = facts_of(reduced.scene)
    fused, _ = fuse_array(reduced.scene, prepare(create_model("gsa"), reduced.scene, facts))
    ours = trial.classical("gsa", 0)
    theirs = trial.score([fused])
    assert ours.as_dict() == pytest.approx(theirs.as_dict(), rel=1e-4)


def test_score_of_a_fold_is_part_of_the_score(make_scene: Callable[..., Scene]) -> None:
    trial = _trial(make_scene(88))
    product = trial.reduced[0].reference + 5.0
    both = trial.score([product])
    parts = [trial.score([product], fold) for fold in (0, 1)]
    assert len(both.counts) == sum(len(p.counts) for p in parts)
    np.testing.assert_allclose(both.squared, np.concatenate([p.squared for p in parts]))


def test_empty_parts_have_nothing_to_say() -> None:
    rng = np.random.default_rng(0)
    ms = rng.uniform(100, 900, (2, 520, 130)).astype(np.float32)
    pan = rng.uniform(100, 900, (1040, 260)).astype(np.float32)
    ms[:, :260], pan[:520] = np.nan, np.nan
    trial = _trial(Scene.from_arrays(pan, ms, ratio=2), 60_000)
    assert 1 <= len(trial.reduced) < 4
    assert all(r.valid.mean() > 0.25 for r in trial.reduced)


def test_full_windows_hold_whole_blocks(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene((33, 41))
    windows = full_windows(scene)
    assert sum(w.height * w.width for w in windows) == (132 // BLOCK) * (164 // BLOCK) * BLOCK**2
    small = Scene.from_arrays(np.zeros((31, 300)), np.zeros((2, 8, 75)))
    assert full_windows(small) == []
    large = Scene.from_arrays(
        np.broadcast_to(np.float32(0), (9000, 8000)),
        np.broadcast_to(np.float32(0), (2, 2250, 2000)),
    )
    spread = full_windows(large, 2_200_000)
    assert sum(w.height * w.width for w in spread) <= 2_200_000
    assert {(w.row % BLOCK, w.height % BLOCK) for w in spread} == {(0, 0)}
    assert all(w.intersect(Window(0, 0, 9000, 8000)) == w for w in spread)
    seen = np.zeros((9000, 8000), bool)
    for window in spread:
        assert not seen[window.slices].any()
        seen[window.slices] = True
    assert seen[:3000].any()
    assert seen[-3000:].any()


def test_full_scores_are_near_those_of_the_evaluation_module(
    make_scene: Callable[..., Scene],
) -> None:
    """They differ by interpolation (true positions) and borders (replicated) alone."""
    scene = make_scene(96)
    facts = facts_of(scene)
    fuser = prepare(create_model("mtf-glp-fs"), scene, facts)
    exp = create_model("exp").finish(None, facts)
    found = full_scores(scene, {"a": fuser, "exp": exp}, full_windows(scene), facts)
    assert found["exp"]["d_lambda"] == pytest.approx(0.0, abs=1e-9)
    assert found["a"]["d_lambda"] > 0
    for scores in found.values():
        assert scores["qnr"] == pytest.approx((1 - scores["d_lambda"]) * (1 - scores["d_s"]))
        assert scores["hqnr"] == pytest.approx((1 - scores["d_lambda_k"]) * (1 - scores["d_s"]))
    fused, _ = fuse_array(scene, fuser)
    toolbox = evaluate(
        fused=fused.astype(float),
        ms=scene.ms_source.read(Window(0, 0, 96, 96)).astype(float),
        pan=scene.pan_source.read(Window(0, 0, 384, 384))[0].astype(float),
        sensor=None,
    ).scores
    assert found["a"]["hqnr"] == pytest.approx(toolbox["hqnr"], abs=0.12)
