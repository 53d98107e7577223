"""Trained weights on a scene: warm, frozen, in both forms; time and threads; no leak."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pansharp.adaptation import trainings
from pansharp.adaptation.adapt import adapt
from pansharp.adaptation.settings import AdaptSettings, Start
from pansharp.adaptation.split import GUARD
from pansharp.adaptation.trial import Trial
from pansharp.engine import facts_of
from pansharp.geometry.grids import Window
from pansharp.models.networks import build_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.scene import Scene

FEW = AdaptSettings(steps=6)


@pytest.fixture(scope="module")
def trial(make_scene: Callable[..., Scene]) -> Trial:
    scene = make_scene(96)
    return Trial(scene, facts_of(scene), 400_000)


def _weights(adapted) -> list[torch.Tensor]:
    return [p.detach().clone() for p in adapted.network.parameters()]


def _same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def _start(adapted, **changes: object) -> Start:
    state = {k: v.clone() for k, v in adapted.network.state_dict().items()}
    return replace(Start("earlier", {}, state), **changes)


def test_noise_on_the_printed_blocks_changes_no_weight(
    make_scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene((146, 150))
    trial = Trial(scene, facts_of(scene), 400_000)
    assert trial.selects
    # The whole way, scaling and anchor included; without the last training on everything.
    monkeypatch.setattr(trainings, "_RETRAIN_BELOW", 0)
    plain = adapt("rescnn-tiny", trial, FEW)
    assert not plain.facts["retrained_on_all"]
    rng = np.random.default_rng(0)
    reference = trial.reduced[0].reference.copy()
    for block in trial.folds[0][0].score:
        area = block.expand(GUARD).intersect(Window(0, 0, *reference.shape[1:])).slices
        reference[:, *area] = rng.uniform(0, 5000, reference[:, *area].shape)
    clean = trial.reduced[0]
    trial.reduced[0] = replace(clean, reference=reference)
    noisy = adapt("rescnn-tiny", trial, FEW)
    assert _same(_weights(plain), _weights(noisy))
    assert noisy.scores[0].ergas > plain.scores[0].ergas


def test_trainings_side_by_side_give_the_same_bits(trial: Trial) -> None:
    one = adapt("rescnn-tiny", trial, replace(FEW, threads=1))
    two = adapt("rescnn-tiny", trial, replace(FEW, threads=2))
    assert one.facts["retrained_on_all"]
    assert _same(_weights(one), _weights(two))
    assert one.scores[0].ergas == two.scores[0].ergas


def test_warm_weights_go_on_where_they_were(trial: Trial) -> None:
    first = adapt("rescnn-tiny", trial, replace(FEW, steps=60))
    frozen = adapt("rescnn-tiny", trial, AdaptSettings(start=_start(first), frozen=True))
    assert _same(_weights(first), _weights(frozen))
    assert frozen.facts["weights"] == "earlier"
    assert (frozen.facts["steps"], frozen.facts["adapted"]) == (0, False)
    fresh = adapt("rescnn-tiny", trial, FEW)
    warm = adapt("rescnn-tiny", trial, replace(FEW, start=_start(first)))
    assert warm.scores[0].ergas < fresh.scores[0].ergas
    assert warm.facts["peak_rate"] == pytest.approx(0.5 * fresh.facts["peak_rate"])


def test_the_published_form_corrects_the_interpolated_ms(trial: Trial) -> None:
    torch.manual_seed(0)
    network = build_network("rescnn-tiny", ms_bands=3, pan_bands=1, ratio=4)
    start = Start("published", {}, network.state_dict(), value_scale=1000.0)
    frozen = adapt("rescnn-tiny", trial, AdaptSettings(start=start, frozen=True))
    # Fresh weights add nothing: the product is an interpolation, if another one than `exp`.
    assert frozen.scores[0].ergas == pytest.approx(trial.classical("exp", 0).ergas, rel=0.1)
    fitted = adapt("rescnn-tiny", trial, AdaptSettings(steps=60, start=start))
    assert fitted.scores[0].ergas < frozen.scores[0].ergas
    assert fitted.form.name == "published"


def test_time_cuts_the_steps_and_says_so(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "seconds_per_step", lambda *_: 0.5)
    # Two folds and a training on everything: 45 s are 30 steps of each, one after the other.
    short = adapt("rescnn-tiny", trial, AdaptSettings(minutes=0.75))
    assert short.facts["steps"] == 30
    assert any("0.75 minutes admit 30 of 200 steps" in text for text in short.warnings)
    least = adapt("rescnn-tiny", trial, AdaptSettings(minutes=0.01))
    assert least.facts["steps"] == 25
    monkeypatch.setattr(trainings, "seconds_per_step", lambda *_: 1e-4)
    enough = adapt("rescnn-tiny", trial, AdaptSettings(minutes=0.5, steps=6))
    assert (enough.facts["steps"], enough.warnings) == (6, [])


def test_a_time_that_does_not_bind_changes_nothing(trial: Trial) -> None:
    plain = adapt("rescnn-tiny", trial, FEW)
    timed = adapt("rescnn-tiny", trial, replace(FEW, minutes=30.0))
    assert _same(_weights(plain), _weights(timed))
