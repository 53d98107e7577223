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
from pansharp.adaptation.fit import FitResult, Ground, fit, predict_ground
from pansharp.adaptation.level import BORDER
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window
from pansharp.models.classical.glp import GlpFuser
from pansharp.models.networks import build_network, get_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.adaptation.guard import BlockScores
    from pansharp.adaptation.trial import Trial
    from pansharp.models.base import Fuser

__all__ = ["Adapted", "adapt", "pixel_budget"]

#: MS pixels up to which the network is trained once more on everything after it was judged.
_RETRAIN_BELOW = 250 * 250
#: R2 of the registered pair from which flips are sound.
_FLIP_R2 = 0.95
#: With fewer held-out blocks nothing is selected: a fixed number of steps, no early stop.
_SELECT_BLOCKS = 8
_UNSELECTED_STEPS = 150


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


def pixel_budget(name: str) -> int:
    """MS pixels of a scene that a network is trained and judged on.

    The heavier the network, the fewer: its predictions there are a good part of the cost.
    """
    if name.startswith("rescnn"):
        return 400_000
    return 210_000 if name == "ssft-small" else 110_000


def adapt(
    name: str,
    trial: Trial,
    *,
    steps: int | None,
    seed: int,
    r2: float,
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
    r2 : float
        R2 of the registration, decides on flips.
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
    grounds = [
        Ground(
            network_inputs(chip, 0, anchor, scaling),
            reduced.reference,
            split.train,
            split.choose,
            reduced.valid,
        )
        for chip, reduced, split in zip(trial.chips, trial.reduced, trial.splits, strict=True)
    ]
    select = trial.choose_count + trial.score_count >= _SELECT_BLOCKS and trial.choose_count > 0
    wanted = steps or (recipe.steps if select else min(recipe.steps, _UNSELECTED_STEPS))
    small = sum(g.mask.size for g in grounds) <= _RETRAIN_BELOW and len(grounds) == 1
    options = {
        "seed": seed,
        "flips": r2 >= _FLIP_R2,
        "tile": spec.tile,
        "context": spec.practical_halo,
        "multiple": spec.multiple_of,
        "device": device,
        "progress": progress,
    }
    torch.set_num_threads(threads)
    network = _fresh(name, trial, seed)
    result = fit(
        network, grounds, scale, recipe, steps=wanted, choose=select, label="adapting", **options
    )
    begin = time.perf_counter()
    products = _predict(network, grounds, scale, spec.tile, spec.practical_halo,
                        spec.multiple_of, device)
    scores = trial.score_passes(products)
    judged = time.perf_counter() - begin
    final = network
    if small:
        everything = [
            replace(g, mask=_inner(g.valid), blocks=()) for g in grounds
        ]
        final = _fresh(name, trial, seed)
        fit(
            final, everything, scale, recipe, steps=wanted, choose=False,
            label="adapting on all blocks", **options,
        )
    return Adapted(final, scaling, scores, _facts(name, network, result, trial, small, options,
                                                 judged, wanted))


def _facts(
    name: str,
    network: torch.nn.Module,
    result: FitResult,
    trial: Trial,
    small: bool,
    options: dict[str, object],
    judged: float,
    wanted: int,
) -> dict[str, object]:
    total = sum(s.train.size for s in trial.splits)
    return {
        "name": name,
        "weights": "adapted",
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": result.steps,
        "steps_planned": wanted,
        "best_step": result.best_step,
        "seconds": round(result.seconds, 2),
        "judging_seconds": round(judged, 2),
        "seed": options["seed"],
        "flips": options["flips"],
        "retrained_on_all": small,
        "training_pixels": trial.train_pixels,
        "held_out_fraction": round(1.0 - trial.train_pixels / max(total, 1), 4),
        "curve": [[step, round(error, 6)] for step, error in result.curve],
    }


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
    ms = [r.reference[:, s.train] for r, s in zip(trial.reduced, trial.splits, strict=True)]
    pan = [c.guide()[0][s.train] for c, s in zip(trial.chips, trial.splits, strict=True)]
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


def _predict(
    network: torch.nn.Module,
    grounds: list[Ground],
    scale: NDArray[np.float32],
    tile: int,
    context: int,
    multiple: int,
    device: str,
) -> list[NDArray[np.float32]]:
    return [
        predict_ground(
            network,
            ground,
            scale,
            Window(0, 0, *ground.mask.shape),
            tile=max(tile, 128),
            context=context,
            multiple=multiple,
            device=device,
        )
        for ground in grounds
    ]


def anchored(name: str, adapted: Adapted, anchor: Fuser, ratio: float, device: str,
             precision: str) -> AnchoredNetwork:
    """The adapted network as a fuser of the full-resolution scene."""
    assert isinstance(anchor, GlpFuser)
    spec = get_network(name)
    return AnchoredNetwork(
        adapted.network, anchor, adapted.scaling, spec.practical_halo, ratio, device, precision
    )


