"""Training a network on one scene at reduced resolution."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from pansharp.adaptation.anchored import Inputs, predict
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from pansharp.models.networks import AdaptationRecipe

__all__ = ["FitPlan", "FitResult", "Ground", "fit", "predict_ground"]

#: First look at the choosing blocks, and the distance between looks, in steps.
_FIRST_LOOK, _LOOK_EVERY = 100, 50
#: Looks without an improvement of this share end the training.
_PATIENCE, _IMPROVEMENT = 3, 0.005


@dataclass(frozen=True)
class Ground:
    """One reduced scene made ready for training.

    Parameters
    ----------
    inputs : Inputs
        Network inputs of the whole window.
    reference : ndarray, shape (band, y, x), float32
        Native MS, counts.
    mask : ndarray, shape (y, x), bool
        Pixels the loss may use.
    blocks : tuple of Window
        Held-out blocks that may choose among states.
    valid : ndarray, shape (y, x), bool
        Real data.
    """

    inputs: Inputs
    reference: NDArray[np.float32]
    mask: NDArray[np.bool_]
    blocks: tuple[Window, ...]
    valid: NDArray[np.bool_]


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
        Wall time.
    curve : list of tuple
        (step, error on the choosing blocks).
    """

    steps: int = 0
    best_step: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)


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


def fit(
    network: nn.Module,
    grounds: Sequence[Ground],
    scale: NDArray[np.float32],
    plan: FitPlan,
    progress: Callable[[float, float, str], None] | None = None,
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
        Divisor of each band.
    plan : FitPlan
        How to train.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    FitResult

    Raises
    ------
    ModelError
        No training pixel, or the loss became NaN twice (the rate is halved once).
    """
    begin = time.perf_counter()
    state = copy.deepcopy(network.state_dict())
    for attempt in (1, 2):
        result = _run(network, grounds, scale, plan, plan.recipe.peak_lr / attempt, progress)
        if result is not None:
            result.seconds = time.perf_counter() - begin
            return result
        network.load_state_dict(state)
    raise ModelError(
        "the training loss became NaN at two learning rates; check the scene for extreme values "
        "(nodata that is not declared: --nodata) or use a classical model"
    )


def _run(
    network: nn.Module,
    grounds: Sequence[Ground],
    scale: NDArray[np.float32],
    plan: FitPlan,
    peak: float,
    progress: Callable[[float, float, str], None] | None,
) -> FitResult | None:
    """One training; None when the loss is not finite."""
    batches = _Sampler(grounds, scale, plan)
    network.train().to(plan.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=peak, total_steps=max(plan.steps, 6), pct_start=0.2
    )
    average = copy.deepcopy(network).eval().requires_grad_(False)
    best, best_state = math.inf, None
    result = FitResult()
    stale = 0
    for step in range(1, plan.steps + 1):
        guide, up, target, weight = batches.draw()
        output = network.residual(guide, up)  # type: ignore[operator]
        loss = ((output - target).abs() * weight).sum() / (weight.sum() * output.shape[1])
        if not torch.isfinite(loss):
            return None
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if plan.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), plan.recipe.clip)
        optimiser.step()
        schedule.step()
        decay = min(0.99, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, 1.0 - decay)
        result.steps = step
        if plan.choose and _looks(step, plan.steps):
            error = _choosing_error(average, grounds, scale, plan)
            result.curve.append((step, error))
            stale = 0 if error < best * (1.0 - _IMPROVEMENT) else stale + 1
            if error < best:
                best, result.best_step = error, step
                best_state = copy.deepcopy(average.state_dict())
            if stale >= _PATIENCE:
                break
        if progress:
            progress(step, plan.steps, plan.label)
    network.load_state_dict(best_state if best_state is not None else average.state_dict())
    network.eval()
    if best_state is None:
        result.best_step = result.steps
    return result


def _looks(step: int, steps: int) -> bool:
    """Whether the choosing blocks are looked at after this step."""
    return step == steps or (step >= _FIRST_LOOK and step % _LOOK_EVERY == 0)


class _Sampler:
    """Random patches of the training pixels, augmented."""

    def __init__(
        self, grounds: Sequence[Ground], scale: NDArray[np.float32], plan: FitPlan
    ) -> None:
        self.rng = np.random.default_rng(plan.seed)
        self.batch, self.flips, self.device = plan.recipe.batch, plan.flips, plan.device
        self.side = min(plan.recipe.patch, *(min(g.mask.shape) for g in grounds))
        self.grounds = grounds
        divide = scale[:, None, None]
        self.targets = [(g.reference - g.inputs.anchor) / divide for g in grounds]
        sizes = np.array([g.mask.sum() for g in grounds], dtype=np.float64)
        if not sizes.sum():
            raise ModelError(
                "no valid pixel is left to train on: the scene is too small or too full of nodata; "
                "use a classical model such as mtf-glp-fs"
            )
        self.share = sizes / sizes.sum()

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One batch: guide, up, target residual, weight."""
        parts: list[list[NDArray[np.float32]]] = [[], [], [], []]
        while len(parts[0]) < self.batch:
            index = int(self.rng.choice(len(self.grounds), p=self.share))
            ground = self.grounds[index]
            height, width = ground.mask.shape
            row = int(self.rng.integers(0, height - self.side + 1))
            col = int(self.rng.integers(0, width - self.side + 1))
            cut = (slice(row, row + self.side), slice(col, col + self.side))
            mask = ground.mask[cut]
            if not mask.any():
                continue
            turn = int(self.rng.integers(0, 8)) if self.flips else 0
            planes = (
                ground.inputs.guide[:, *cut],
                ground.inputs.up[:, *cut],
                self.targets[index][:, *cut],
                mask[None].astype(np.float32),
            )
            for store, plane in zip(parts, planes, strict=True):
                store.append(_turned(plane, turn))
        guide, up, target, weight = (torch.from_numpy(np.stack(p)).to(self.device) for p in parts)
        return guide, up, target, weight


def _turned(plane: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """One of the eight symmetries of the square."""
    result = np.rot90(plane, turn % 4, axes=(1, 2))
    return np.ascontiguousarray(result[:, :, ::-1] if turn >= 4 else result)


def predict_ground(
    network: nn.Module,
    ground: Ground,
    scale: NDArray[np.float32],
    window: Window,
    plan: FitPlan,
) -> NDArray[np.float32]:
    """Product of the network on a window of a reduced scene, counts (band, y, x) float32.

    The window is predicted in tiles whose origins are multiples of ``plan.multiple``, each with
    ``plan.context`` pixels around it where the scene has them, so memory stays bounded.
    """
    height, width = ground.mask.shape
    multiple, context = plan.multiple, plan.context
    step = max(multiple, (plan.tile - 2 * context) // multiple * multiple)
    out = np.empty((len(scale), *window.shape), dtype=np.float32)
    for row in range(window.row // multiple * multiple, window.row_end, step):
        for col in range(window.col // multiple * multiple, window.col_end, step):
            tile = Window(row, col, step, step).intersect(window)
            top, left = (max(0, (v - context) // multiple * multiple) for v in (row, col))
            seen = Window(
                top,
                left,
                min(height, tile.row_end + context) - top,
                min(width, tile.col_end + context) - left,
            )
            cut = (slice(None), *seen.slices)
            part = Inputs(
                ground.inputs.anchor[cut], ground.inputs.up[cut], ground.inputs.guide[cut]
            )
            here = (slice(None), *tile.relative_to(seen).slices)
            detail = predict(network, part, plan.device)[here]
            place = (slice(None), *tile.relative_to(window).slices)
            out[place] = detail * scale[:, None, None] + part.anchor[here]
    return out


def _choosing_error(
    network: nn.Module, grounds: Sequence[Ground], scale: NDArray[np.float32], plan: FitPlan
) -> float:
    """Relative RMS error over the choosing blocks (ERGAS without its constant)."""
    total = np.zeros(len(scale))
    count = 0
    for ground in grounds:
        for block in ground.blocks:
            fused = predict_ground(network, ground, scale, block, plan)
            keep = ground.valid[block.slices]
            gap = (fused - ground.reference[:, *block.slices])[:, keep].astype(np.float64)
            total += (gap**2).sum(axis=1)
            count += int(keep.sum())
    return float(np.sqrt(np.mean(total / max(count, 1) / scale.astype(np.float64) ** 2)))
