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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from pansharp.geometry.grids import Window
    from pansharp.models.networks import AdaptationRecipe

__all__ = ["FitResult", "Ground", "fit", "predict_ground"]

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


def fit(
    network: nn.Module,
    grounds: Sequence[Ground],
    scale: NDArray[np.float32],
    recipe: AdaptationRecipe,
    *,
    steps: int,
    seed: int,
    flips: bool,
    choose: bool,
    tile: int,
    context: int,
    multiple: int,
    device: str = "cpu",
    progress: Callable[[float, float, str], None] | None = None,
    label: str = "adapting",
) -> FitResult:
    """Fit the residual of a network; its weights end as the best average that was seen.

    AdamW with weight decay 0.01, one cycle with 20 % warm-up, mean absolute error on normalised
    bands, gain augmentation 0.7 to 1.4, exponential average of the weights.

    Parameters
    ----------
    network : torch.nn.Module
        Fresh or warm-started network; changed in place.
    grounds : sequence of Ground
        Training scenes.
    scale : ndarray, shape (band,), float32
        Divisor of each band.
    recipe : AdaptationRecipe
        Batch, patch, learning rate, clipping.
    steps : int
        Length of the schedule.
    seed : int
        Of patches and augmentation; the network's own weights are the caller's.
    flips : bool
        Augment by flips and quarter turns (only sound on registered pairs).
    choose : bool
        Keep the best state by the choosing blocks and stop early; otherwise keep the last.
    tile, context, multiple : int
        How to predict the choosing blocks.
    device : str
        Torch device.
    progress : callable, optional
        Called with (done, total, label).
    label : str
        For progress.

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
        result = _run(
            network, grounds, scale, recipe, steps, seed, flips, choose, tile, context,
            multiple, device, progress, label, recipe.peak_lr / attempt,
        )
        if result is not None:
            result.seconds = time.perf_counter() - begin
            return result
        network.load_state_dict(state)
    raise ModelError(
        "the training loss became NaN at two learning rates; check the scene for extreme values "
        "(nodata that is not declared: --nodata) or use --adapt never"
    )


def _run(
    network: nn.Module,
    grounds: Sequence[Ground],
    scale: NDArray[np.float32],
    recipe: AdaptationRecipe,
    steps: int,
    seed: int,
    flips: bool,
    choose: bool,
    tile: int,
    context: int,
    multiple: int,
    device: str,
    progress: Callable[[float, float, str], None] | None,
    label: str,
    peak: float,
) -> FitResult | None:
    rng = np.random.default_rng(seed)
    batches = _Sampler(grounds, scale, recipe.patch, recipe.batch, rng, flips, device)
    network.train().to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=peak, total_steps=max(steps, 5), pct_start=0.2
    )
    average = copy.deepcopy(network).eval().requires_grad_(False)
    best, best_state = math.inf, None
    result = FitResult()
    stale = 0
    for step in range(1, steps + 1):
        guide, up, target, weight = batches.draw()
        output = network.residual(guide, up)  # type: ignore[operator]
        loss = ((output - target).abs() * weight).sum() / (weight.sum() * output.shape[1])
        if not torch.isfinite(loss):
            return None
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimiser.step()
        schedule.step()
        decay = min(0.99, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, 1.0 - decay)
        result.steps = step
        look = step >= _FIRST_LOOK and step % _LOOK_EVERY == 0
        if choose and (look or step == steps):
            error = _choosing_error(average, grounds, scale, tile, context, multiple, device)
            result.curve.append((step, error))
            stale = 0 if error < best * (1.0 - _IMPROVEMENT) else stale + 1
            if error < best:
                best, result.best_step = error, step
                best_state = copy.deepcopy(average.state_dict())
            if stale >= _PATIENCE:
                break
        if progress:
            progress(step, steps, label)
    network.load_state_dict(best_state if best_state is not None else average.state_dict())
    network.eval()
    if best_state is None:
        result.best_step = result.steps
    return result


class _Sampler:
    """Random patches of the training pixels, augmented."""

    def __init__(
        self,
        grounds: Sequence[Ground],
        scale: NDArray[np.float32],
        patch: int,
        batch: int,
        rng: np.random.Generator,
        flips: bool,
        device: str,
    ) -> None:
        self.rng, self.batch, self.flips, self.device = rng, batch, flips, device
        side = min(patch, *(min(g.mask.shape) for g in grounds))
        self.side = side
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
            gain = np.float32(self.rng.uniform(0.7, 1.4))
            turn = int(self.rng.integers(0, 8)) if self.flips else 0
            planes = (
                ground.inputs.guide[:, *cut] * gain,
                ground.inputs.up[:, *cut] * gain,
                self.targets[index][:, *cut] * gain,
                mask[None].astype(np.float32),
            )
            for store, plane in zip(parts, planes, strict=True):
                store.append(_turned(plane, turn))
        guide, up, target, weight = (
            torch.from_numpy(np.stack(p)).to(self.device) for p in parts
        )
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
    *,
    tile: int,
    context: int,
    multiple: int,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Product of the network on a window of a reduced scene, counts (band, y, x) float32.

    The window is predicted in tiles whose origins are multiples of `multiple`, each with `context`
    pixels around it where the scene has them, so memory stays bounded.
    """
    height, width = ground.mask.shape
    step = max(multiple, (tile - 2 * context) // multiple * multiple)
    out = np.empty((len(scale), *window.shape), dtype=np.float32)
    first_row = window.row // multiple * multiple
    first_col = window.col // multiple * multiple
    for row in range(first_row, window.row_end, step):
        for col in range(first_col, window.col_end, step):
            top, left = (max(0, (v - context) // multiple * multiple) for v in (row, col))
            bottom = min(height, row + step + context)
            right = min(width, col + step + context)
            cut = (slice(None), slice(top, bottom), slice(left, right))
            part = Inputs(
                ground.inputs.anchor[cut], ground.inputs.up[cut], ground.inputs.guide[cut]
            )
            detail = predict(network, part, device)
            y0, y1 = max(row, window.row), min(row + step, window.row_end)
            x0, x1 = max(col, window.col), min(col + step, window.col_end)
            here = (slice(None), slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
            place = (slice(None), slice(y0 - window.row, y1 - window.row),
                     slice(x0 - window.col, x1 - window.col))
            out[place] = detail[here] * scale[:, None, None] + part.anchor[here]
    return out


def _choosing_error(
    network: nn.Module,
    grounds: Sequence[Ground],
    scale: NDArray[np.float32],
    tile: int,
    context: int,
    multiple: int,
    device: str,
) -> float:
    """Relative RMS error over the choosing blocks (ERGAS without its constant)."""
    total = np.zeros(len(scale))
    count = 0
    for ground in grounds:
        for block in ground.blocks:
            fused = predict_ground(
                network, ground, scale, block,
                tile=tile, context=context, multiple=multiple, device=device,
            )
            keep = ground.valid[block.slices]
            gap = (fused - ground.reference[:, *block.slices])[:, keep].astype(np.float64)
            total += (gap**2).sum(axis=1)
            count += int(keep.sum())
    return float(np.sqrt(np.mean(total / max(count, 1) / scale.astype(np.float64) ** 2)))
