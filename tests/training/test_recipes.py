"""Recipes of the networks, and the rates that follow from them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from pansharp.errors import OptionError
from pansharp.models.facts import TrainingRecipe
from pansharp.models.networks import get_network, list_networks
from pansharp.training.losses import LOSSES
from pansharp.training.options import TrainOptions
from pansharp.training.recipes import choose_recipe
from pansharp.training.schedule import Schedule

PLAIN = TrainingRecipe(source="", loss="l1", rate=1e-3, batch=4, patch=32, steps=100)


@pytest.mark.parametrize("name", list_networks())
def test_every_network_has_recipes(name: str) -> None:
    spec = get_network(name)
    for recipe in (spec.training, spec.quick):
        assert recipe is not None
        assert recipe.loss in LOSSES
        assert (recipe.epochs is None) != (recipe.steps is None)
        assert recipe.source
        assert recipe.optimiser in ("adam", "adamw")
        assert recipe.schedule in ("decay", "cosine", "onecycle")
    assert spec.quick is not None
    assert spec.quick.steps is not None
    assert spec.quick.steps <= 3000


def test_published_figures_are_those_of_the_pages() -> None:
    bugpan = get_network("bugpan").training
    assert bugpan is not None
    assert (bugpan.rate, bugpan.batch, bugpan.patch, bugpan.epochs) == (5e-4, 32, 64, 1000)
    assert (bugpan.gamma, bugpan.every_epochs, bugpan.gate_offset) == (0.5, 250, (0.7, 0.1))
    hetssnet = get_network("hetssnet").training
    assert hetssnet is not None
    assert (hetssnet.rate, hetssnet.batch, hetssnet.patch, hetssnet.steps) == (1e-4, 4, 128, 30_000)
    assert (hetssnet.gamma, hetssnet.every_steps) == (0.85, 3000)
    cyformer = get_network("cyformer").training
    assert cyformer is not None
    assert (cyformer.rate, cyformer.batch, cyformer.epochs) == (1e-4, 32, 400)
    assert (cyformer.epoch_patches, cyformer.every_epochs, cyformer.drops) == (20_000, 150, 1)


@pytest.mark.parametrize("steps", [1, 2, 5, 6, 57])
def test_one_cycle_is_that_of_torch(steps: int) -> None:
    schedule = Schedule(replace(PLAIN, schedule="onecycle", steps=steps), steps, 5)
    if steps < 6:
        # Torch's own divides by zero; ours must only stay in its range.
        assert all(0 < schedule.rate(i) <= 1e-3 for i in range(steps))
        return
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([weight], lr=1e-3)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1e-3, total_steps=steps, pct_start=0.2
    )
    for step in range(steps):
        group = optimiser.param_groups[0]
        assert schedule.rate(step) == pytest.approx(group["lr"], rel=1e-12)
        assert schedule.momentum(step) == pytest.approx(group["betas"][0], rel=1e-12)
        optimiser.step()
        if step + 1 < steps:
            theirs.step()


def test_decays() -> None:
    stairs = Schedule(replace(PLAIN, gamma=0.5, every_epochs=2), 100, 10)
    assert [stairs.rate(s) for s in (0, 19, 20, 40)] == [1e-3, 1e-3, 5e-4, 2.5e-4]
    once = Schedule(replace(PLAIN, gamma=0.5, every_steps=10, drops=1), 100, 10)
    assert [once.rate(s) for s in (9, 10, 99)] == [1e-3, 5e-4, 5e-4]
    cosine = Schedule(replace(PLAIN, schedule="cosine", final_rate=1e-5), 101, 10)
    assert cosine.rate(0) == pytest.approx(1e-3)
    assert cosine.rate(50) == pytest.approx((1e-3 + 1e-5) / 2)
    assert cosine.rate(100) == pytest.approx(1e-5)
    assert Schedule(PLAIN, 100, 10).rate(99) == 1e-3
    assert Schedule(PLAIN, 100, 10).momentum(50) is None


def test_gates_close_over_the_first_half() -> None:
    gates = Schedule(replace(PLAIN, gate_offset=(0.7, 0.1)), 1000, 1)
    # The authors: max(0.7 (1 - e / (E - 500)), 0.1) with E = 1000 epochs.
    for epoch in (0, 100, 428, 429, 999):
        assert gates.gate_offset(epoch) == pytest.approx(max(0.7 * (1 - epoch / 500), 0.1))
    whole_epochs = Schedule(replace(PLAIN, gate_offset=(0.7, 0.1)), 100, 10)
    assert whole_epochs.gate_offset(9) == whole_epochs.gate_offset(0)
    assert Schedule(PLAIN, 100, 10).gate_offset(3) is None


def test_what_is_given_wins() -> None:
    spec = get_network("bugpan")
    options = TrainOptions.checked(
        model="bugpan", data="x.h5", steps=7, batch=3, rate=0.5, patch=16, preset="quick"
    )
    recipe = choose_recipe(spec, options)
    assert (recipe.steps, recipe.epochs, recipe.batch) == (7, None, 3)
    assert (recipe.rate, recipe.patch, recipe.loss) == (0.5, 16, "bugpan")
    epochs = choose_recipe(get_network("ssft"), TrainOptions.checked(
        model="ssft", data="x.h5", epochs=2
    ))  # fmt: skip
    assert (epochs.steps, epochs.epochs, epochs.loss) == (None, 2, "l1-fft")


def test_the_anchored_form_is_that_of_adaptation() -> None:
    spec = get_network("ssft-small")
    given = {"model": "ssft-small", "data": "x.h5", "form": "anchored"}
    recipe = choose_recipe(spec, TrainOptions.checked(**given))
    adaptation = spec.adaptation
    assert recipe.loss == "residual-l1"
    assert (recipe.rate, recipe.batch, recipe.patch, recipe.clip) == (
        adaptation.peak_lr, adaptation.batch, adaptation.patch, adaptation.clip,
    )  # fmt: skip
    assert (recipe.optimiser, recipe.weight_decay, recipe.schedule) == ("adamw", 0.01, "onecycle")
    with pytest.raises(OptionError, match="recipe for --form published"):
        choose_recipe(spec, TrainOptions.checked(**given, preset="published"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 1, "steps": 1}, "both give the length"),
        ({"rate": 0.0}, "--rate is 0.0; it must be above 0"),
        ({"batch": 0}, "--batch is 0; it must be 1 or more"),
        ({"form": "published2"}, "did you mean 'published'"),
        ({"precision": "fp8"}, "--precision is 'fp8'"),
        ({"seed": -1}, "--seed is -1"),
        ({"modle": "x"}, "unknown option 'modle'"),
        ({"data": ()}, "--data is missing"),
        ({"model": "gsa"}, "'gsa' is no network"),
        ({"model": "resnn"}, "did you mean 'rescnn'"),
    ],
)
def test_wrong_options_are_told(options: dict, text: str) -> None:
    from pansharp.errors import PansharpError

    with pytest.raises(PansharpError, match=re.escape(text)):
        TrainOptions.checked(**{"model": "rescnn", "data": "x.h5", **options})
