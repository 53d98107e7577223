"""The table of recipes in docs/training.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pansharp.models.networks import get_network, list_networks

if TYPE_CHECKING:
    from pansharp.models.facts import TrainingRecipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def row(name: str, recipe: TrainingRecipe) -> str:
    optimiser = f"{recipe.optimiser} {recipe.rate:g}"
    if recipe.weight_decay:
        optimiser += f", decay {recipe.weight_decay:g}"
    every, unit = recipe.every_epochs or recipe.every_steps, "steps"
    if recipe.every_epochs:
        unit = "epochs"
    schedule = {"cosine": f"cosine to {recipe.final_rate:g}", "onecycle": "one cycle"}.get(
        recipe.schedule, f"x {recipe.gamma:g} every {every} {unit}"
    )
    if recipe.drops == 1:
        schedule = f"x {recipe.gamma:g} after {every} {unit}, once"
    length = f"{recipe.epochs} epochs" if recipe.epochs else f"{recipe.steps} steps"
    if recipe.epoch_patches:
        length += f" of {recipe.epoch_patches} patches"
    more = [
        text
        for wanted, text in (
            (recipe.clip, f"clip {recipe.clip or 0:g}"),
            (recipe.ema, f"average {recipe.ema}"),
            (recipe.flips, "flips"),
            (recipe.noise_db, f"noise at {recipe.noise_db or 0:g} dB"),
            (recipe.gate_offset, "gate offset " + " to ".join(map(str, recipe.gate_offset or ()))),
        )
        if wanted
    ]
    cells = [
        f"`{name}`", f"`{recipe.loss}`", optimiser, schedule, f"{recipe.batch}, {recipe.patch}",
        length, ", ".join(more), recipe.source,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


@pytest.mark.parametrize("name", sorted({name.split("-")[0] for name in list_networks()}))
def test_recipes_are_in_the_page(name: str) -> None:
    recipe = get_network(name).training
    assert recipe is not None
    assert row(name, recipe) in PAGE.read_text("utf-8").splitlines()
    for variant in list_networks():
        if variant.split("-")[0] == name:
            assert get_network(variant).training == recipe
