"""Training a network on one scene at reduced resolution."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from pansharp.adaptation.ground import Sampler, choosing_error, predict_ground
from pansharp.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from pansharp.adaptation.ground import Ground
    from pansharp.adaptation.resume import Store
    from pansharp.geometry.grids import Window
    from pansharp.models.networks import AdaptationRecipe

    Progress = Callable[[float, float, str], None] | None

__all__ = ["FitPlan", "FitResult", "fit", "seconds_per_step"]

#: First look at the choosing blocks, and the distance between looks, in steps.
_FIRST_LOOK, _LOOK_EVERY = 100, 50
#: Looks without an improvement of this share, in the second half, end the training.
_PATIENCE, _IMPROVEMENT = 3, 0.005
#: Trained weights are moved less than fresh ones (docs/adaptation.md).
_WARM_RATE = 0.5
#: Steps between copies of a state to go back to when the loss diverges.
_KEEP_EVERY = 25
#: Steps that are timed to tell how long a training will take.
_TIMED = 3


@dataclass
class FitResult:
    """What training did.

    Parameters
    ----------
    steps : int
        Optimiser steps taken.
    best_step : int
        Step whose averaged weights were kept.
    seconds : float
        Wall time, that of an interrupted run not counted.
    curve : list of tuple
        (step, error on the choosing blocks).
    rate : float
        Peak learning rate that was used.
    diverged : bool
        The loss became NaN at both rates and the last good state was kept.
    """

    steps: int = 0
    best_step: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    rate: float = 0.0
    diverged: bool = False


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How a network is trained.

    Parameters
    ----------
    recipe : AdaptationRecipe
        Batch, patch, learning rate, clipping.
    steps : int
        Length of the schedule.
    seed : int
        Of patches and augmentation; the network's own weights are the caller's.
    flips : bool
        Augment by flips and quarter turns (only sound on registered pairs).
    tile, context, multiple : int
        How to predict: tile side, discarded context, alignment of tile origins, PAN pixels.
    device : str
        Torch device.
    choose : bool
        Keep the best state by the choosing blocks and stop early; otherwise keep the last.
    label : str
        For progress.
    bar : float or None
        Error of the best classical method on the choosing blocks, told beside the progress.
    warm : bool
        The network starts from trained weights: half the peak rate.
    means : ndarray, shape (band,), float32, or None
        What errors are relative to; default: the scale of the residual.
    """

    recipe: AdaptationRecipe
    steps: int
    seed: int
    flips: bool
    tile: int
    context: int
    multiple: int
    device: str = "cpu"
    choose: bool = False
    label: str = "adapting"
    bar: float | None = None
    warm: bool = False
    means: NDArray[np.float32] | None = None

    @property
    def rate(self) -> float:
        """Peak learning rate."""
        return self.recipe.peak_lr * (_WARM_RATE if self.warm else 1.0)


def fit(
    network: nn.Module,
    grounds: Sequence[Ground],
    scale: NDArray[np.float32],
    plan: FitPlan,
    progress: Progress = None,
    store: Store | None = None,
) -> FitResult:
    """Fit the residual of a network; its weights end as the best average that was seen.

    AdamW with weight decay 0.01, one cycle with 20 % warm-up, mean absolute error on normalised
    bands, exponential average of the weights.

    Parameters
    ----------
    network : torch.nn.Module
        Fresh or warm-started network; changed in place.
    grounds : sequence of Ground
        Training scenes.
    scale : ndarray, shape (band,), float32
        What the residual of each band is multiplied by, counts.
    plan : FitPlan
        How to train.
    progress : callable, optional
        Called with (done, total, label).
    store : Store, optional
        Keeps the state of the training, and gives back that of an interrupted one: the weights end
        as if nothing had happened.

    Returns
    -------
    FitResult
        `diverged` where the loss became NaN at the full and at half the rate; the weights are then
        those of the last good state.

    Raises
    ------
    ModelError
        No training pixel, or the loss is NaN from the start.
    """
    begin = time.perf_counter()
    saved = store.load() if store is not None else None
    first = int(saved["attempt"]) if saved else 1
    fresh = copy.deepcopy(network.state_dict())
    for attempt in range(first, 3):
        run = _Run(network, grounds, scale, plan, attempt)
        if saved and attempt == first:
            run.restore(saved)
        if run.train(progress, store) or (attempt == 2 and run.good is not None):
            if store is not None:
                store.save(run.state())
            run.finish()
            run.result.seconds = time.perf_counter() - begin
            return run.result
        network.load_state_dict(fresh)
    raise ModelError(
        "the training loss became NaN at two learning rates; check the scene for extreme values "
        "(nodata that is not declared: --nodata) or use a classical model"
    )


def seconds_per_step(
    network: nn.Module, grounds: Sequence[Ground], scale: NDArray[np.float32], plan: FitPlan
) -> float:
    """Wall time of one optimiser step, measured on a copy: neither weights nor patches change."""
    run = _Run(copy.deepcopy(network), grounds, scale, plan, 1)
    run.step()
    begin = time.perf_counter()
    for _ in range(_TIMED):
        run.step()
    return (time.perf_counter() - begin) / _TIMED


class _Run:
    """One training at one learning rate: all of its changing state."""

    def __init__(
        self,
        network: nn.Module,
        grounds: Sequence[Ground],
        scale: NDArray[np.float32],
        plan: FitPlan,
        attempt: int,
    ) -> None:
        self.network, self.grounds, self.scale, self.plan = network, grounds, scale, plan
        self.attempt = attempt
        self.means = scale if plan.means is None else plan.means
        self.batches = Sampler(grounds, scale, plan)
        network.train().to(plan.device)
        rate = plan.rate / attempt
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, max_lr=rate, total_steps=max(plan.steps, 6), pct_start=0.2
        )
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.best, self.stale = math.inf, 0
        self.kept: dict[str, Any] | None = None
        #: Averaged weights that are known to be sound.
        self.good: dict[str, Any] | None = None
        self.result = FitResult(rate=rate)

    def train(self, progress: Progress, store: Store | None) -> bool:
        """Train to the end; False when the loss is not finite."""
        plan, result = self.plan, self.result
        while result.steps < plan.steps and self.stale < _PATIENCE:
            if not self.step():
                result.diverged = True
                return False
            result.steps += 1
            self._average()
            if plan.choose and _looks(result.steps, plan.steps):
                self._look()
            if result.steps % _KEEP_EVERY == 0:
                self.good = copy.deepcopy(self.average.state_dict())
            if store is not None:
                store.offer(self.state)
            if progress:
                progress(result.steps, plan.steps, self._label())
        return True

    def step(self) -> bool:
        """One optimiser step; False, and nothing changed, when the loss is not finite."""
        guide, up, target, weight = self.batches.draw()
        output = self.network.residual(guide, up)  # type: ignore[operator]
        loss = ((output - target).abs() * weight).sum() / (weight.sum() * output.shape[1])
        if not torch.isfinite(loss):
            return False
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.plan.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.recipe.clip)
        self.optimiser.step()
        self.schedule.step()
        return True

    def _average(self) -> None:
        step = self.result.steps
        decay = min(0.99, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for kept, new in pairs:
                kept.lerp_(new, 1.0 - decay)

    def _look(self) -> None:
        def product(index: int, block: Window) -> NDArray[np.float32]:
            return predict_ground(self.average, self.grounds[index], self.scale, block, self.plan)

        error = choosing_error(product, self.grounds, self.means)
        self.result.curve.append((self.result.steps, error))
        if error < self.best * (1.0 - _IMPROVEMENT):
            self.stale = 0
        elif 2 * self.result.steps >= self.plan.steps:
            # Before, the rate is high: a standstill there says nothing of the end.
            self.stale += 1
        if error < self.best:
            self.best, self.result.best_step = error, self.result.steps
            self.kept = copy.deepcopy(self.average.state_dict())

    def _label(self) -> str:
        if self.plan.bar and self.result.curve:
            return f"{self.plan.label}, {self.best / self.plan.bar:.3f} of the best classical"
        return self.plan.label

    def finish(self) -> None:
        """Leave the best averaged weights in the network."""
        last = self.good if self.result.diverged else self.average.state_dict()
        chosen = self.kept if self.kept is not None else last
        assert chosen is not None
        self.network.load_state_dict(chosen)
        self.network.eval()
        if self.kept is None:
            steps = self.result.steps
            self.result.best_step = (
                steps // _KEEP_EVERY * _KEEP_EVERY if self.result.diverged else steps
            )

    def state(self) -> dict[str, Any]:
        """All that a continued training needs: tensors, numbers, lists and text."""
        return {
            "attempt": self.attempt,
            "planned": self.plan.steps,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "patches": self.batches.rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "best": self.best,
            "stale": self.stale,
            "kept": self.kept,
            "good": self.good,
            "steps": self.result.steps,
            "best_step": self.result.best_step,
            "curve": [list(point) for point in self.result.curve],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.batches.rng.bit_generator.state = state["patches"]
        torch.set_rng_state(state["torch"])
        self.best, self.stale = state["best"], state["stale"]
        self.kept, self.good = state["kept"], state["good"]
        self.result.steps, self.result.best_step = state["steps"], state["best_step"]
        self.result.curve = [(int(step), error) for step, error in state["curve"]]


def _looks(step: int, steps: int) -> bool:
    """Whether the choosing blocks are looked at after this step."""
    return step == steps or (step >= _FIRST_LOOK and step % _LOOK_EVERY == 0)
