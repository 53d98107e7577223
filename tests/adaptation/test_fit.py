"""Training: what it may see, when it stops, and what a bad loss does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pansharp.adaptation.adapt import adapt, resolve_device
from pansharp.adaptation.anchored import Scaling, guide_bands, network_inputs
from pansharp.adaptation.fit import FitPlan, fit
from pansharp.adaptation.ground import Ground, predict_ground
from pansharp.adaptation.level import BORDER
from pansharp.adaptation.settings import AdaptSettings
from pansharp.adaptation.split import GUARD
from pansharp.adaptation.trial import Trial
from pansharp.engine import facts_of
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window
from pansharp.models.networks import AdaptationRecipe, build_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.scene import Scene

RECIPE = AdaptationRecipe(steps=6, patch=16, batch=2)
PLAN = FitPlan(RECIPE, steps=6, seed=3, flips=True, tile=64, context=10, multiple=1)


@pytest.fixture(scope="module")
def trial(make_scene: Callable[..., Scene]) -> Trial:
    scene = make_scene(96)
    return Trial(scene, facts_of(scene), 400_000)


@pytest.fixture(scope="module")
def scale(trial: Trial) -> np.ndarray:
    return np.asarray(_scaling(trial).bands, dtype=np.float32)


def _scaling(trial: Trial) -> Scaling:
    reduced = trial.reduced[0]
    return Scaling.of(reduced.reference.reshape(3, -1), trial.chips[0].guide()[0].ravel())


def _ground(trial: Trial, fold: int = 0) -> Ground:
    reduced, split = trial.reduced[0], trial.folds[fold][0]
    anchor = trial.fuser("mtf-glp-fs")
    inputs = network_inputs(trial.chips[0], 0, anchor, _scaling(trial))
    return Ground(inputs, reduced.reference, split.train, split.choose, reduced.valid)


def _network() -> torch.nn.Module:
    torch.manual_seed(1)
    return build_network("rescnn-tiny", ms_bands=3, pan_bands=guide_bands(), ratio=4)


def _trained(ground: Ground, scale: np.ndarray, plan: FitPlan = PLAN) -> list[torch.Tensor]:
    network = _network()
    fit(network, [ground], scale, plan)
    return [p.detach().clone() for p in network.parameters()]


def _same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_weights_never_see_the_printed_blocks(trial: Trial, scale: np.ndarray) -> None:
    ground = _ground(trial)
    plain = _trained(ground, scale)
    noisy = ground.reference.copy()
    rng = np.random.default_rng(0)
    whole = Window(0, 0, *ground.mask.shape)
    assert trial.folds[0][0].score
    for block in trial.folds[0][0].score:
        # The guard band around a block is as unseen as the block.
        area = block.expand(GUARD).intersect(whole).slices
        noisy[:, *area] = rng.uniform(0, 5000, noisy[:, *area].shape)
    assert _same(plain, _trained(replace(ground, reference=noisy), scale))


def test_weights_never_see_the_border(trial: Trial, scale: np.ndarray) -> None:
    ground = _ground(trial)
    noisy = ground.reference.copy()
    noisy[:, :BORDER] = 0.0
    noisy[:, :, -BORDER:] = 9000.0
    assert _same(_trained(ground, scale), _trained(replace(ground, reference=noisy), scale))


def test_weights_do_see_the_training_pixels(trial: Trial, scale: np.ndarray) -> None:
    ground = _ground(trial)
    noisy = ground.reference.copy()
    noisy[:, ground.mask] *= 1.05
    assert not _same(_trained(ground, scale), _trained(replace(ground, reference=noisy), scale))


def test_training_repeats_with_its_seed(trial: Trial, scale: np.ndarray) -> None:
    ground = _ground(trial)
    plain = _trained(ground, scale)
    assert _same(plain, _trained(ground, scale))
    assert not _same(plain, _trained(ground, scale, replace(PLAN, seed=4)))
    assert not _same(plain, _trained(ground, scale, replace(PLAN, flips=False)))


def test_training_lowers_the_error(trial: Trial, scale: np.ndarray) -> None:
    ground = _ground(trial)
    network = _network()
    keep = ground.mask

    def error() -> float:
        fused = predict_ground(network, ground, scale, Window(0, 0, *keep.shape), PLAN)
        return float(np.abs(fused - ground.reference)[:, keep].mean())

    before = error()
    assert before == pytest.approx(
        float(np.abs(ground.inputs.anchor - ground.reference)[:, keep].mean()), rel=1e-6
    )
    fit(network, [ground], scale, replace(PLAN, steps=80))
    assert error() < 0.95 * before


def test_prediction_in_tiles_is_the_prediction(trial: Trial, scale: np.ndarray) -> None:
    ground = _ground(trial)
    network = _network()
    fit(network, [ground], scale, PLAN)
    whole = Window(0, 0, *ground.mask.shape)
    one = predict_ground(network, ground, scale, whole, replace(PLAN, tile=500))
    many = predict_ground(network, ground, scale, whole, replace(PLAN, tile=40))
    np.testing.assert_allclose(many, one, rtol=0, atol=1e-2)
    part = Window(24, 40, 16, 16)
    block = predict_ground(network, ground, scale, part, PLAN)
    np.testing.assert_allclose(block, one[:, *part.slices], rtol=0, atol=1e-2)


class _Sick(torch.nn.Module):
    """Gives NaN while the rate is above a limit, like a training that diverges."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.limit = limit
        self.moves: list[float] = []

    def residual(self, guide: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        moved = abs(float(self.weight.detach()))
        self.moves.append(moved)
        out = up * 0.0 + self.weight
        return out * float("nan") if moved > self.limit else out


def test_a_bad_loss_halves_the_rate_once(
    trial: Trial, scale: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    plain = torch.optim.AdamW

    def watched(parameters, lr: float, **rest):
        rates.append(lr)
        return plain(parameters, lr=lr, **rest)

    monkeypatch.setattr(torch.optim, "AdamW", watched)
    ground = _ground(trial)
    shifted = replace(ground, reference=ground.reference + 200.0)
    # AdamW moves a weight by about its rate: the sum tells how far each training gets.
    free = _Sick(np.inf)
    fit(free, [shifted], scale, PLAN)
    assert rates == [RECIPE.peak_lr]
    far = max(free.moves)
    rates.clear()
    once = _Sick(0.75 * far)
    result = fit(once, [shifted], scale, PLAN)
    assert rates == [RECIPE.peak_lr, RECIPE.peak_lr / 2]
    assert result.steps == PLAN.steps
    assert np.isfinite(float(once.weight.detach()))
    rates.clear()
    with pytest.raises(ModelError, match="NaN at two learning rates"):
        fit(_Sick(-1.0), [shifted], scale, PLAN)
    assert rates == [RECIPE.peak_lr, RECIPE.peak_lr / 2]


def test_nothing_to_train_on_is_an_error(trial: Trial, scale: np.ndarray) -> None:
    ground = _ground(trial)
    empty = replace(ground, mask=np.zeros_like(ground.mask))
    with pytest.raises(ModelError, match="no valid pixel"):
        fit(_network(), [empty], scale, PLAN)


def test_choosing_blocks_stop_a_training_that_gains_nothing(
    trial: Trial, scale: np.ndarray
) -> None:
    """A network that cannot move stops after three looks of the second half, at step 300."""

    class Still(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def residual(self, guide: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
            return up * 0.0 + 0.0 * self.weight

    ground = _ground(trial)
    valid = np.ones_like(ground.mask)
    ground = replace(ground, blocks=(Window(24, 24, 16, 16),), valid=valid)
    plan = replace(PLAN, steps=400, choose=True, recipe=replace(RECIPE, batch=1, patch=8))
    result = fit(Still(), [ground], scale, plan)
    assert [step for step, _ in result.curve] == [100, 150, 200, 250, 300]
    assert result.steps == 300
    assert result.best_step == 100


def test_scaling_is_the_mean_or_the_spread() -> None:
    rng = np.random.default_rng(0)
    ms = np.stack([np.full(500, 40.0), rng.normal(0, 3, 500), np.zeros(500)]).astype(np.float32)
    scaling = Scaling.of(ms, np.full(9, 7.0, np.float32))
    assert scaling.bands[0] == pytest.approx(40.0)
    assert scaling.bands[1] == pytest.approx(3.0, rel=0.1)
    assert scaling.bands[2] > 0
    assert scaling.pan == pytest.approx(7.0)


def test_steps_must_be_positive(trial: Trial) -> None:
    with pytest.raises(ModelError, match="adapt-steps is 0"):
        adapt("rescnn", trial, AdaptSettings(steps=0))


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "mps"])
def test_unknown_devices_are_named(name: str) -> None:
    with pytest.raises(ModelError, match="choose auto, cpu, cuda"):
        resolve_device(name)


def test_devices() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="there is none"):
            resolve_device("cuda")
