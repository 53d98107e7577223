"""Fitting one network to one scene: from fresh weights to a judged fuser."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pansharp.adaptation.anchored import (
    AnchoredNetwork,
    Scaling,
    guide_bands,
    network_inputs,
)
from pansharp.adaptation.fit import FitPlan, Ground, fit, predict_ground
from pansharp.adaptation.guard import BlockScores
from pansharp.adaptation.level import BORDER
from pansharp.adaptation.trial import PASSES
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window
from pansharp.models.classical.glp import GlpFuser
from pansharp.models.networks import build_network, get_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.adaptation.trial import Trial
    from pansharp.models.base import Fuser

__all__ = ["Adapted", "adapt", "anchored", "resolve_device", "use_threads"]

#: MS pixels up to which the network is trained once more on everything after it was judged.
_RETRAIN_BELOW = 250 * 250
#: The symmetries of the square are not used: what is left of the misregistration has a direction,
#: and a network that may learn it does better on every real pair (docs/adaptation.md).
_FLIPS = False


@dataclass
class Adapted:
    """A network fitted to a scene.

    Parameters
    ----------
    network : torch.nn.Module
        The network for the product (trained on everything where that was done).
    scaling : Scaling
        Its divisors.
    scores : dict of int to BlockScores
        Printed blocks after 0, 1 and 2 back-projections, by the network that never saw them.
    facts : dict
        What the card says of the training.
    """

    network: torch.nn.Module
    scaling: Scaling
    scores: dict[int, BlockScores]
    facts: dict[str, object]


def adapt(
    name: str,
    trial: Trial,
    *,
    steps: int | None,
    seed: int,
    device: str,
    threads: int,
    progress: Callable[[float, float, str], None] | None = None,
) -> Adapted:
    """Train a network on the reduced scenes of a trial and score it on the printed blocks.

    Parameters
    ----------
    name : str
        Network.
    trial : Trial
        Reduced scenes, splits, classical anchor.
    steps : int or None
        Optimiser steps; None takes the network's own number.
    seed : int
        Of weights, patches and augmentation.
    device : str
        Torch device.
    threads : int
        Torch threads while training.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Adapted

    Raises
    ------
    ModelError
        Nothing to train on, or the loss diverged.
    """
    spec = get_network(name)
    recipe = spec.adaptation
    if steps is not None and steps < 1:
        raise ModelError(f"--adapt-steps is {steps}; it must be 1 or more")
    anchor = trial.fuser("mtf-glp-fs")
    assert isinstance(anchor, GlpFuser)
    scaling = _scaling(trial)
    scale = np.asarray(scaling.bands, dtype=np.float32)
    whole = [
        Ground(network_inputs(chip, 0, anchor, scaling), r.reference, _inner(r.valid), (), r.valid)
        for chip, r in zip(trial.chips, trial.reduced, strict=True)
    ]
    select = trial.selects
    wanted = steps or (recipe.steps if select else recipe.steps_unselected)
    small = trial.pixels <= _RETRAIN_BELOW and len(whole) == 1
    plan = FitPlan(
        recipe=recipe,
        steps=wanted,
        seed=seed,
        flips=_FLIPS,
        tile=max(spec.tile, 4 * spec.practical_halo),
        context=spec.practical_halo,
        multiple=spec.multiple_of,
        device=device,
    )
    torch.set_num_threads(threads)
    seconds = judged = 0.0
    parts = []
    for fold, splits in enumerate(trial.folds):
        label = "adapting" if len(trial.folds) == 1 else f"adapting, fold {fold + 1}"
        network = _fresh(name, trial, seed)
        grounds = [
            replace(ground, mask=split.train, blocks=split.choose)
            for ground, split in zip(whole, splits, strict=True)
        ]
        result = fit(network, grounds, scale, replace(plan, choose=select, label=label), progress)
        seconds += result.seconds
        begin = time.perf_counter()
        products = [
            predict_ground(network, ground, scale, Window(0, 0, *ground.mask.shape), plan)
            for ground in whole
        ]
        parts.append(trial.score_passes(products, fold))
        judged += time.perf_counter() - begin
    if small or len(trial.folds) > 1:
        network = _fresh(name, trial, seed)
        last = fit(network, whole, scale, replace(plan, label="adapting on all blocks"), progress)
        seconds += last.seconds
    scores = {k: BlockScores.merge([part[k] for part in parts]) for k in PASSES}
    facts = {
        "name": name,
        "weights": "adapted",
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": result.steps,
        "steps_planned": wanted,
        "best_step": result.best_step,
        "folds": len(trial.folds),
        "seconds": round(seconds, 2),
        "judging_seconds": round(judged, 2),
        "seed": seed,
        "flips": plan.flips,
        "retrained_on_all": small or len(trial.folds) > 1,
        "training_pixels": trial.train_pixels,
        "held_out_fraction": round(1.0 - trial.train_pixels / trial.pixels, 4),
        "curve": [[step, round(error, 6)] for step, error in result.curve],
    }
    return Adapted(network, scaling, scores, facts)


def _fresh(name: str, trial: Trial, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = build_network(
        name,
        ms_bands=trial.scene.bands,
        pan_bands=guide_bands(),
        ratio=trial.scene.ratio,
    )
    if name.startswith("rescnn"):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _scaling(trial: Trial) -> Scaling:
    # One scale for all folds: a mean over the scene tells nothing of a block.
    masks = [_inner(r.valid) for r in trial.reduced]
    ms = [r.reference[:, mask] for r, mask in zip(trial.reduced, masks, strict=True)]
    pan = [c.guide()[0][mask] for c, mask in zip(trial.chips, masks, strict=True)]
    if not sum(p.size for p in pan):
        raise ModelError(
            "no valid pixel is left to train on: the scene is too small or too full of nodata; "
            "use a classical model such as mtf-glp-fs"
        )
    return Scaling.of(np.concatenate(ms, axis=1), np.concatenate(pan))


def _inner(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask = np.zeros_like(valid)
    mask[BORDER:-BORDER, BORDER:-BORDER] = valid[BORDER:-BORDER, BORDER:-BORDER]
    return mask if mask.any() else valid


def resolve_device(name: str) -> str:
    """Turn ``auto`` into what there is, and check the rest.

    Raises
    ------
    ModelError
        The device is unknown or absent.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelError(f"--device is '{name}'; choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"--device is '{name}'; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"--device {name} needs a CUDA device and there is none; use cpu")
    return name


def use_threads(count: int) -> None:
    """Set the threads inside one torch operation (1 while tiles run side by side)."""
    torch.set_num_threads(count)


def anchored(
    name: str, adapted: Adapted, anchor: Fuser, ratio: float, device: str, precision: str
) -> AnchoredNetwork:
    """The adapted network as a fuser of the full-resolution scene."""
    assert isinstance(anchor, GlpFuser)
    spec = get_network(name)
    return AnchoredNetwork(
        adapted.network, anchor, adapted.scaling, spec.practical_halo, ratio, device, precision
    )
