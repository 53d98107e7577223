"""Learning rate as a function of the step: nothing to save, nothing to lose at a resume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pansharp.models.facts import TrainingRecipe

__all__ = ["Schedule"]

#: PyTorch's one cycle: first rate, last rate and momentum.
_START, _END = 1 / 25, 1 / 25 / 1e4
_MOMENTUM = (0.95, 0.85)
_WARM = 0.2


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rates of a run.

    Parameters
    ----------
    recipe : TrainingRecipe
        Which schedule.
    steps : int
        Length of the run.
    epoch : int
        Steps of an epoch.
    """

    recipe: TrainingRecipe
    steps: int
    epoch: int

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        recipe = self.recipe
        if recipe.schedule == "cosine":
            share = step / max(1, self.steps - 1)
            return _between(recipe.rate, recipe.final_rate, share)
        if recipe.schedule == "onecycle":
            return self._cycle(step, recipe.rate * _START, recipe.rate, recipe.rate * _END)
        every = recipe.every_steps
        if recipe.every_epochs is not None:
            every = recipe.every_epochs * self.epoch
        if every is None:
            return recipe.rate
        drops = step // every
        if recipe.drops is not None:
            drops = min(drops, recipe.drops)
        return float(recipe.rate * recipe.gamma**drops)

    def momentum(self, step: int) -> float | None:
        """First beta of Adam at a step; None where it stays at its default."""
        if self.recipe.schedule != "onecycle":
            return None
        high, low = _MOMENTUM
        return self._cycle(step, high, low, high)

    def gate_offset(self, step: int) -> float | None:
        """Offset of gates in the epoch of a step; None where the recipe has none."""
        if self.recipe.gate_offset is None:
            return None
        first, last = self.recipe.gate_offset
        share = (step // self.epoch * self.epoch) / self.steps
        return max(first * (1.0 - 2.0 * share), last)

    def _cycle(self, step: int, first: float, middle: float, last: float) -> float:
        warm = _WARM * self.steps - 1.0
        if step <= warm:
            return _between(first, middle, step / warm if warm > 0 else 1.0)
        return _between(middle, last, (step - warm) / max(1e-9, self.steps - 1.0 - warm))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * min(share, 1.0)))
