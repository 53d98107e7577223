"""The trainings of one network on one scene, side by side, and what they are judged by."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch

from pansharp.adaptation.anchored import Scaling
from pansharp.adaptation.fit import FitPlan, FitResult, fit, seconds_per_step
from pansharp.adaptation.forms import AnchoredForm, InputForm, PublishedForm
from pansharp.adaptation.ground import Ground, choosing_error, predict_ground
from pansharp.adaptation.guard import BlockScores
from pansharp.adaptation.level import BORDER
from pansharp.adaptation.published import PublishedNetwork, published_spec, whole_ratio
from pansharp.adaptation.resume import Store
from pansharp.adaptation.settings import Adapted
from pansharp.adaptation.trial import PASSES
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window
from pansharp.models.classical.glp import GlpFuser
from pansharp.models.networks import build_network, get_network
from pansharp.tiling import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.adaptation.settings import AdaptSettings, Start
    from pansharp.adaptation.trial import Trial

__all__ = ["Adaptation"]

#: MS pixels up to which the network is trained once more on everything after it was judged.
_RETRAIN_BELOW = 250 * 250
#: The symmetries of the square are not used: what is left of the misregistration has a direction,
#: and a network that may learn it does better on every real pair (docs/adaptation.md).
_FLIPS = False
#: A training that is kept to a time has at least so many steps.
_FEWEST = 25


@dataclass(frozen=True)
class _Job:
    """One training.

    Parameters
    ----------
    name : str
        Of its checkpoint.
    network : torch.nn.Module
        Fresh or warm; changed by the training.
    grounds : list of Ground
        What it may see.
    plan : FitPlan
        How.
    store : Store or None
        Its checkpoint.
    """

    name: str
    network: torch.nn.Module
    grounds: list[Ground]
    plan: FitPlan
    store: Store | None


class _Together:
    """Progress of trainings that run side by side, as one."""

    def __init__(self, progress: Callable[[float, float, str], None] | None, count: int) -> None:
        self.progress, self.done, self.lock = progress, [0.0] * count, Lock()

    def finish(self, number: int) -> None:
        """Count one of them as done, also where it had nothing left to do."""
        with self.lock:
            self.done[number] = 1.0

    def part(self, number: int) -> Callable[[float, float, str], None] | None:
        """The callback of one of them; the first one's label is shown."""
        if self.progress is None:
            return None
        shown = self.progress

        def tell(done: float, total: float, label: str) -> None:
            with self.lock:
                self.done[number] = done / total
                if number == 0 or len(self.done) == 1 or self.done[0] == 1.0:
                    shown(sum(self.done) / len(self.done), 1.0, label)

        return tell


class Adaptation:
    """The trainings of one network on one trial: a fold each, and one on everything.

    Parameters
    ----------
    name : str
        Network.
    trial : Trial
        Reduced scenes, splits, classical anchor.
    settings : AdaptSettings
        Steps, seed, device, start.
    progress : callable or None
        Called with (done, total, label).
    """

    def __init__(
        self,
        name: str,
        trial: Trial,
        settings: AdaptSettings,
        progress: Callable[[float, float, str], None] | None,
    ) -> None:
        self.name, self.trial, self.settings, self.progress = name, trial, settings, progress
        start = settings.start
        published = start is not None and start.value_scale is not None
        self.spec = (
            published_spec(name, whole_ratio(trial.scene.ratio)) if published else get_network(name)
        )
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
        """Train, judge, and gather what the card says."""
        trial, select = self.trial, self.trial.selects
        jobs = self._jobs()
        self._keep_to_time(len(jobs))
        jobs = [replace(job, plan=replace(job.plan, steps=self.plan.steps)) for job in jobs]
        begin = time.perf_counter()
        results = self._fit_all(jobs)
        seconds = time.perf_counter() - begin
        parts = []
        chosen = None
        for fold, job in enumerate(jobs[: len(trial.folds)]):
            products = [self._product(job, ground) for ground in self.whole]
            parts.append(trial.score_passes(products, fold))
            if select:
                chosen = self._error(products, job.grounds)
        scores = {k: BlockScores.merge([part[k] for part in parts]) for k in PASSES}
        for job in jobs:
            if job.store is not None:
                job.store.discard()
        for result in results:
            if result.diverged:
                self.warnings.append(
                    "the training loss became NaN at two learning rates: the weights are those of "
                    f"step {result.best_step}"
                )
        # The last job has seen everything that may be seen.
        network = jobs[-1].network
        facts = {
            **self._facts(network, results[0]),
            "seconds": round(seconds, 2),
            "judging_seconds": round(time.perf_counter() - begin - seconds, 2),
        }
        arch = {} if self.settings.start is None else self.settings.start.arch
        return Adapted(network, self.form, scores, arch, chosen, facts, self.spec, self.warnings)

    def _product(self, job: _Job, ground: Ground) -> NDArray[np.float32]:
        window = Window(0, 0, *ground.mask.shape)
        return predict_ground(job.network, ground, self.scale, window, job.plan)

    def _jobs(self) -> list[_Job]:
        """A training for each fold, and one on everything where the scene is small."""
        jobs = []
        select = self.trial.selects
        for fold, splits in enumerate(self.trial.folds):
            grounds = [
                replace(ground, mask=split.train, blocks=split.choose)
                for ground, split in zip(self.whole, splits, strict=True)
            ]
            bar = self._bar(grounds) if select else None
            plan = replace(self.plan, choose=select, bar=bar)
            name = f"fold-{fold}"
            jobs.append(_Job(name, self._fresh(), grounds, plan, self._store(name)))
        if self.again:
            jobs.append(_Job("all", self._fresh(), self.whole, self.plan, self._store("all")))
        return jobs

    def _fit_all(self, jobs: list[_Job]) -> list[FitResult]:
        """Train side by side, each in one thread.

        One thread a training: its bits do not depend on the number of workers, and on a machine
        that does anything else, threads that wait for each other at every small operation take ten
        times as long (docs/adaptation.md).
        """
        if self.settings.frozen:
            for job in jobs:
                job.network.to(job.plan.device).eval()
            return [FitResult() for _ in jobs]
        progress = _Together(self.progress, len(jobs))
        torch.set_num_threads(1)

        def train(numbered: tuple[int, _Job]) -> FitResult:
            number, job = numbered
            torch.set_num_threads(1)
            own = progress.part(number)
            result = fit(job.network, job.grounds, self.scale, job.plan, own, job.store)
            progress.finish(number)
            return result

        workers = min(self.settings.threads, len(jobs))
        try:
            if workers == 1 or self.settings.device != "cpu":
                return [train(numbered) for numbered in enumerate(jobs)]
            return list(ordered_map(train, enumerate(jobs), workers=workers))
        finally:
            torch.set_num_threads(self.settings.threads)

    def _keep_to_time(self, fits: int) -> None:
        """Cut the steps down to the minutes that were given."""
        minutes = self.settings.minutes
        if minutes is None or self.settings.frozen:
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
            torch.set_num_threads(1)
            pace = seconds_per_step(self._fresh(), grounds, self.scale, self.plan)
            rounds = -(-fits // min(self.settings.threads, fits))
            steps = max(_FEWEST, int(60.0 * minutes / (rounds * pace)))
            if steps < self.plan.steps:
                self.warnings.append(
                    f"{minutes:g} minutes admit {steps} of {self.plan.steps} steps of "
                    f"'{self.name}'; --adapt-minutes gives more"
                )
        self.plan = replace(self.plan, steps=min(steps, self.plan.steps))

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
        if start is None:
            return network
        network.load_state_dict(dict(start.state))
        if start.value_scale is None:
            return network
        return PublishedNetwork(network, whole_ratio(scene.ratio), start.grid)

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
