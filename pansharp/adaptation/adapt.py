"""Fitting one network to one scene: from fresh or trained weights to a judged fuser."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pansharp.adaptation.anchored import AnchoredNetwork, Scaling
from pansharp.adaptation.fit import FitPlan, FitResult, fit, seconds_per_step
from pansharp.adaptation.forms import AnchoredForm, InputForm, PublishedForm
from pansharp.adaptation.ground import Ground, choosing_error, predict_ground
from pansharp.adaptation.guard import BlockScores
from pansharp.adaptation.level import BORDER
from pansharp.adaptation.resume import Store
from pansharp.adaptation.trial import PASSES
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window
from pansharp.models.classical.glp import GlpFuser
from pansharp.models.networks import build_network, get_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from pansharp.adaptation.trial import Trial
    from pansharp.models.base import Fuser

__all__ = [
    "AdaptSettings",
    "Adapted",
    "Start",
    "adapt",
    "anchored",
    "resolve_device",
    "use_threads",
]

#: MS pixels up to which the network is trained once more on everything after it was judged.
_RETRAIN_BELOW = 250 * 250
#: The symmetries of the square are not used: what is left of the misregistration has a direction,
#: and a network that may learn it does better on every real pair (docs/adaptation.md).
_FLIPS = False
#: A training that is kept to a time has at least so many steps.
_FEWEST = 25


@dataclass(frozen=True)
class Start:
    """Trained weights that a scene starts from.

    Parameters
    ----------
    label : str
        What the card calls them.
    arch : mapping
        Architecture arguments.
    state : mapping of str to Tensor
        Weights of the network.
    value_scale : float or None
        Divisor of the published form, counts; None for weights of the anchored form.
    """

    label: str
    arch: Mapping[str, object]
    state: Mapping[str, Tensor]
    value_scale: float | None = None


@dataclass(frozen=True)
class AdaptSettings:
    """How a network is brought to a scene.

    Parameters
    ----------
    steps : int or None
        Optimiser steps; None takes the network's own number.
    minutes : float or None
        Wall time that all trainings together may take; the steps are cut down to it. Steps then
        depend on the machine: the card tells their number, which repeats the product.
    seed : int
        Of weights, patches and augmentation.
    device : str
        Torch device.
    threads : int
        Torch threads while training.
    start : Start or None
        Weights to start from; None: fresh ones.
    frozen : bool
        Take the start weights as they are and only judge them.
    checkpoint : Path or None
        Folder that keeps the state of the training; a killed one goes on from there.
    """

    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    start: Start | None = None
    frozen: bool = False
    checkpoint: Path | None = None


@dataclass
class Adapted:
    """A network fitted to a scene.

    Parameters
    ----------
    network : torch.nn.Module
        The network for the product (trained on everything where that was done).
    form : InputForm
        What it sees, at reduced level.
    scores : dict of int to BlockScores
        Printed blocks after 0, 1 and 2 back-projections, by the network that never saw them.
    arch : mapping
        Architecture arguments that were given.
    chosen : float or None
        Error on the blocks that choose (see :func:`pansharp.adaptation.ground.choosing_error`);
        None where there are none.
    facts : dict
        What the card says of the training.
    warnings : list of str
        What the reader of the product must know.
    """

    network: torch.nn.Module
    form: InputForm
    scores: dict[int, BlockScores]
    arch: Mapping[str, object]
    chosen: float | None
    facts: dict[str, object]
    warnings: list[str] = field(default_factory=list)


def adapt(
    name: str,
    trial: Trial,
    settings: AdaptSettings,
    progress: Callable[[float, float, str], None] | None = None,
) -> Adapted:
    """Train a network on the reduced scenes of a trial and score it on the printed blocks.

    Parameters
    ----------
    name : str
        Network.
    trial : Trial
        Reduced scenes, splits, classical anchor.
    settings : AdaptSettings
        Steps, seed, device, start.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Adapted

    Raises
    ------
    ModelError
        Nothing to train on, the loss diverged from the start, or a checkpoint that does not fit.
    WeightsError
        The start weights are not those of this network.
    """
    if settings.steps is not None and settings.steps < 1:
        raise ModelError(f"--adapt-steps is {settings.steps}; it must be 1 or more")
    torch.set_num_threads(settings.threads)
    return _Adaptation(name, trial, settings, progress).run()


class _Adaptation:
    """The trainings of one network on one trial: a fold each, and one on everything."""

    def __init__(
        self,
        name: str,
        trial: Trial,
        settings: AdaptSettings,
        progress: Callable[[float, float, str], None] | None,
    ) -> None:
        self.name, self.trial, self.settings, self.progress = name, trial, settings, progress
        self.spec = get_network(name)
        scaling = _scaling(trial)
        self.form = _form(trial, scaling, settings.start)
        self.scale = self.form.scale
        self.whole = [
            Ground(self.form.inputs(chip, 0), r.reference, _inner(r.valid), (), r.valid)
            for chip, r in zip(trial.chips, trial.reduced, strict=True)
        ]
        self.small = trial.pixels <= _RETRAIN_BELOW and len(self.whole) == 1
        self.again = (self.small or len(trial.folds) > 1) and not settings.frozen
        recipe = self.spec.adaptation
        self.plan = FitPlan(
            recipe=recipe,
            steps=settings.steps or (recipe.steps if trial.selects else recipe.steps_unselected),
            seed=settings.seed,
            flips=_FLIPS,
            tile=max(self.spec.tile, 4 * self.spec.practical_halo),
            context=self.spec.practical_halo,
            multiple=self.spec.multiple_of,
            device=settings.device,
            warm=settings.start is not None,
            means=np.asarray(scaling.bands, dtype=np.float32),
        )
        self.warnings: list[str] = []

    def run(self) -> Adapted:
        trial, settings = self.trial, self.settings
        fits = len(trial.folds) + (1 if self.again else 0)
        if not settings.frozen:
            self._keep_to_time(fits)
        select = trial.selects
        seconds = judged = 0.0
        parts, stores = [], []
        chosen = None
        for fold, splits in enumerate(trial.folds):
            label = "adapting" if len(trial.folds) == 1 else f"adapting, fold {fold + 1}"
            network = self._fresh()
            grounds = [
                replace(ground, mask=split.train, blocks=split.choose)
                for ground, split in zip(self.whole, splits, strict=True)
            ]
            bar = self._bar(grounds) if select else None
            plan = replace(self.plan, choose=select, label=label, bar=bar)
            if settings.frozen:
                result = FitResult()
                network.to(plan.device).eval()
            else:
                stores.append(self._store(f"fold-{fold}"))
                result = self._fit(network, grounds, plan, stores[-1])
            seconds += result.seconds
            begin = time.perf_counter()
            products = [
                predict_ground(network, ground, self.scale, Window(0, 0, *ground.mask.shape), plan)
                for ground in self.whole
            ]
            parts.append(trial.score_passes(products, fold))
            if select:
                chosen = self._error(products, grounds)
            judged += time.perf_counter() - begin
        first = result
        if self.again:
            network = self._fresh()
            stores.append(self._store("all"))
            plan = replace(self.plan, label="adapting on all blocks")
            seconds += self._fit(network, self.whole, plan, stores[-1]).seconds
        for store in stores:
            if store is not None:
                store.discard()
        scores = {k: BlockScores.merge([part[k] for part in parts]) for k in PASSES}
        facts = {**self._facts(network, first), "seconds": round(seconds, 2)}
        facts["judging_seconds"] = round(judged, 2)
        arch = {} if settings.start is None else settings.start.arch
        return Adapted(network, self.form, scores, arch, chosen, facts, self.warnings)

    def _keep_to_time(self, fits: int) -> None:
        """Cut the steps down to the minutes that were given."""
        minutes = self.settings.minutes
        if minutes is None:
            return
        store = self._store("fold-0")
        saved = store.load() if store is not None else None
        if saved is not None:
            steps = int(saved["planned"])
        else:
            grounds = [
                replace(ground, mask=split.train)
                for ground, split in zip(self.whole, self.trial.folds[0], strict=True)
            ]
            pace = seconds_per_step(self._fresh(), grounds, self.scale, self.plan)
            steps = int(60.0 * minutes / (fits * pace))
            if steps < self.plan.steps:
                self.warnings.append(
                    f"{minutes:g} minutes admit {max(steps, _FEWEST)} of {self.plan.steps} steps; "
                    "--adapt-minutes gives more"
                )
        steps = max(_FEWEST, min(steps, self.plan.steps))
        self.plan = replace(self.plan, steps=steps)

    def _fit(
        self, network: torch.nn.Module, grounds: list[Ground], plan: FitPlan, store: Store | None
    ) -> FitResult:
        result = fit(network, grounds, self.scale, plan, self.progress, store)
        if result.diverged:
            self.warnings.append(
                f"the training loss became NaN at two learning rates: the weights are those of "
                f"step {result.best_step}"
            )
        return result

    def _fresh(self) -> torch.nn.Module:
        torch.manual_seed(self.settings.seed)
        start, scene = self.settings.start, self.trial.scene
        network = build_network(
            self.name,
            ms_bands=scene.bands,
            pan_bands=self.form.guide_bands,
            ratio=scene.ratio,
            **({} if start is None else start.arch),
        )
        if self.name.startswith("rescnn"):
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            network.load_state_dict(dict(start.state))
        return network

    def _store(self, part: str) -> Store | None:
        folder = self.settings.checkpoint
        return None if folder is None else Store(folder / f"{part}.pt", self._identity(part))

    def _identity(self, part: str) -> str:
        """Digest of all that decides what the training gives."""
        digest = hashlib.sha256()
        told = self.settings
        start = told.start.label if told.start is not None else None
        words = (self.name, part, told.seed, told.steps, told.minutes, told.device, start)
        digest.update(repr((words, self.spec.adaptation)).encode())
        for ground in self.whole:
            for plane in (ground.reference, ground.inputs.guide, ground.inputs.up):
                digest.update(np.ascontiguousarray(plane).tobytes())
        return digest.hexdigest()

    def _bar(self, grounds: list[Ground]) -> float:
        """Error of the best classical method on the choosing blocks."""
        fuser = self.trial.fuser(self.trial.best_classical(0))
        return self._error(self.trial.products(fuser), grounds)

    def _error(self, products: list[NDArray[np.float32]], grounds: list[Ground]) -> float:
        assert self.plan.means is not None

        def cut(index: int, block: Window) -> NDArray[np.float32]:
            return products[index][:, *block.slices]

        return choosing_error(cut, grounds, self.plan.means)

    def _facts(self, network: torch.nn.Module, result: FitResult) -> dict[str, object]:
        trial, settings = self.trial, self.settings
        start = settings.start
        return {
            "name": self.name,
            "weights": "adapted" if start is None else start.label,
            "form": self.form.name,
            "adapted": not settings.frozen,
            "parameters": sum(p.numel() for p in network.parameters()),
            "steps": result.steps,
            "steps_planned": 0 if settings.frozen else self.plan.steps,
            "best_step": result.best_step,
            "peak_rate": result.rate,
            "folds": len(trial.folds),
            "seed": settings.seed,
            "flips": self.plan.flips,
            "retrained_on_all": self.again,
            "training_pixels": trial.train_pixels,
            "held_out_fraction": round(1.0 - trial.train_pixels / trial.pixels, 4),
            "curve": [[step, round(error, 6)] for step, error in result.curve],
        }


def _form(trial: Trial, scaling: Scaling, start: Start | None) -> InputForm:
    if start is not None and start.value_scale is not None:
        return PublishedForm(start.value_scale, trial.scene.bands)
    anchor = trial.fuser("mtf-glp-fs")
    assert isinstance(anchor, GlpFuser)
    return AnchoredForm(anchor, scaling, trial.scene.ratio)


def _scaling(trial: Trial) -> Scaling:
    """Means and spreads of what the network sees, the degraded MS: no reference tells on a block.

    Raises
    ------
    ModelError
        No pixel is valid.
    """
    masks = [_inner(r.valid) for r in trial.reduced]
    ms = [c.up()[:, mask] for c, mask in zip(trial.chips, masks, strict=True)]
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
    name: str, adapted: Adapted, anchor: Fuser, device: str, precision: str
) -> AnchoredNetwork:
    """The adapted network as a fuser of the full-resolution scene."""
    context = get_network(name).practical_halo
    form = adapted.form.at(anchor)
    return AnchoredNetwork(adapted.network, form, context, device, precision)
