"""A run from options to files: open, check, train, and write weights, log and picture."""

from __future__ import annotations

import json
import logging
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from pansharp.adaptation.adapt import resolve_device
from pansharp.adaptation.anchored import guide_bands
from pansharp.errors import BandMismatchError, OptionError, PansharpWarning, WriteError
from pansharp.models.networks import build_network, get_network
from pansharp.training.card import Story, describe_data
from pansharp.training.data import Collection, Sampler, lay_out
from pansharp.training.judge import INDICES, Judge
from pansharp.training.log import Log, draw_curves
from pansharp.training.loop import STATE, Course, Trainer
from pansharp.training.options import TrainOptions
from pansharp.training.parallel import Processes
from pansharp.training.recipes import choose_recipe
from pansharp.training.scale import value_scale
from pansharp.training.sources import Opening, agreed, open_sites
from pansharp.training.state import write_atomic
from pansharp.weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from pansharp.models.facts import NetworkSpec, TrainingRecipe
    from pansharp.training.data import Layout
    from pansharp.training.examples import Site, Traits
    from pansharp.training.log import Row

__all__ = ["TrainingResult", "run_training"]

log = logging.getLogger(__name__)

#: What was asked for, kept for a resumed run.
OPTIONS = "run.json"
_WEIGHTS = ("last.safetensors", "best.safetensors")
#: Files of an earlier run in a folder.
_FILES = (OPTIONS, STATE, "log.csv", "curves.png", *_WEIGHTS)


@dataclass(frozen=True)
class TrainingResult:
    """What a training left.

    Parameters
    ----------
    folder : Path
        Of its files.
    best, last : Path
        Weights of the smallest ERGAS on unseen cells, and of the end.
    best_step, steps : int
        Their steps.
    scores : dict
        ``best``, ``last``, ``before`` (fresh weights) and, for PAN and MS, ``mtf-glp-fs``: indices
        by name, means over the same cells.
    notes : tuple of str
        What was decided on the way.
    """

    folder: Path
    best: Path
    last: Path
    best_step: int
    steps: int
    scores: dict[str, dict[str, float]]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON types."""
        return {
            "folder": str(self.folder),
            "best": str(self.best),
            "last": str(self.last),
            "best_step": self.best_step,
            "steps": self.steps,
            "scores": self.scores,
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """A few lines for people."""
        columns = [key for key in INDICES if key in self.scores["best"]]
        width = max(map(len, self.scores))
        lines = [" ".join([" " * width, *(f"{key:>8}" for key in columns)])]
        for name, values in self.scores.items():
            lines.append(
                " ".join([f"{name:<{width}}", *(f"{values[key]:8.4f}" for key in columns)])
            )
        lines.append(f"best weights (step {self.best_step} of {self.steps}): {self.best}")
        return "\n".join(lines)


def run_training(
    output: Path,
    values: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    progress: Callable[[float, float, str], None] | None,
) -> TrainingResult:
    """Train in the processes that there are; see :func:`pansharp.training.train`."""
    options = _options(output, values, resume=resume, overwrite=overwrite)
    processes = Processes.join(resolve_device(options.device))
    try:
        with ExitStack() as closing:
            setup = _Setup(options, closing, progress if processes.first else None)
            return setup.train(output, processes, resume=resume)
    finally:
        processes.leave()


def _options(
    output: Path, values: dict[str, Any], *, resume: bool, overwrite: bool
) -> TrainOptions:
    """Options of this run; a resumed one takes those of its beginning."""
    stored = output / OPTIONS
    given = {key: value for key, value in values.items() if value not in (None, (), {})}
    if not resume:
        if not overwrite and (output / STATE).exists():
            raise WriteError(
                f"'{output}' holds a training; go on with --resume, or begin anew with --overwrite"
            )
        return TrainOptions.checked(**given)
    try:
        before = json.loads(stored.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise OptionError(
            f"'{output}' holds no training that could be resumed ('{OPTIONS}' is missing or "
            "damaged); leave --resume off"
        ) from None
    options = TrainOptions.checked(**{**before, **given})
    change = options.difference(before)
    if change is not None:
        raise OptionError(f"{change}: a resumed run must go on as it began; leave the option off")
    return options


class _Setup:
    """Everything that is decided before the first step."""

    def __init__(
        self,
        options: TrainOptions,
        closing: ExitStack,
        progress: Callable[[float, float, str], None] | None,
    ) -> None:
        self.options, self.progress = options, progress
        self.spec: NetworkSpec = get_network(options.model)
        self.recipe: TrainingRecipe = choose_recipe(self.spec, options)
        opening = Opening(
            options.sensor,
            options.guide,
            options.ratio,
            options.coregister,
            options.mtf,
            options.nodata,
        )
        self.notes = opening.notes
        self.sites: list[Site] = open_sites(options.data, opening, closing, progress)
        self.traits: Traits = agreed(self.sites)
        self.others: list[Site] = []
        if options.validation:
            self.others = open_sites(options.validation, opening, closing, progress)
            agreed([self.sites[0], *self.others])
        self._check_form()
        hold_out = not self.others
        self.layout: Layout = lay_out(self.sites, self.traits, self.recipe.patch, hold_out=hold_out)
        if self.layout.patch < self.recipe.patch:
            self.notes.append(
                f"patches have {self.layout.patch} pixels, not {self.recipe.patch}: they hold "
                "whole coarse pixels and no more than the data has"
            )
        self.scale, self.scale_source = self._scale()
        self.flips = self._flips()
        self.train_cells = self._collection(self.sites, self.layout.train)
        if hold_out:
            judged = self._collection(self.sites, self.layout.held)
            guarded = {place.site for place in self.layout.train}
        else:
            held = lay_out(self.others, self.traits, self.layout.patch, hold_out=False).train
            judged, guarded = self._collection(self.others, held), set()
        self.judge = Judge(judged, options.form, guarded)

    def train(self, output: Path, processes: Processes, *, resume: bool) -> TrainingResult:
        """Train and write."""
        options = self.options
        processes.check_batch(self.recipe.batch)
        sampler = Sampler(
            self.train_cells, self.recipe, self.layout.patch, options.seed, flips=self.flips
        )
        workers = 2 if options.workers is None else options.workers
        course = Course.of(
            self.recipe, sampler.steps_per_epoch, options.precision, workers, options.save_every
        )
        network = self._network().to(processes.device)
        # What networks draw in training differs from process to process.
        torch.manual_seed(options.seed + processes.rank)
        table = self._begin(output, processes, resume=resume)
        classical = self.judge.classical(processes) if self.traits.task == "pan" else None
        story = self._story(course, processes)

        def keep(name: str, kept: nn.Module, row: Row) -> None:
            scores: dict[str, Any] = {
                "validation": _scores(row),
                "cells": int(row["cells"]),
                "step": int(row["step"]),
            }
            if classical is not None:
                scores["mtf-glp-fs"] = _scores(classical)
            path = output / f"{name}.safetensors"
            save_weights(path, kept.state_dict(), story.card({**scores, "on": story.validation}))

        trainer = Trainer(
            network,
            sampler,
            self.judge,
            course,
            processes,
            output,
            table,
            keep,
            (len(self.layout.train), len(self.judge.collection), self.layout.patch, course.steps),
            self.progress,
        )
        for note in self.notes if processes.first else ():
            log.info(note)
        if resume:
            trainer.resume()
        try:
            trainer.run()
        finally:
            if table is not None:
                table.close()
        return self._finish(output, trainer, classical, course, processes)

    def _finish(
        self,
        output: Path,
        trainer: Trainer,
        classical: dict[str, float] | None,
        course: Course,
        processes: Processes,
    ) -> TrainingResult:
        rows = trainer.rows
        best = next(row for row in rows if row["step"] == trainer.best_step)
        scores = {"best": best, "last": rows[-1], "before": rows[0]}
        if classical is not None:
            scores["mtf-glp-fs"] = classical
        scores = {name: _scores(row) for name, row in scores.items()}
        if processes.first:
            title = f"{self.options.model}, {self.options.form} form"
            lines = {k: scores[k]["ergas"] for k in ("mtf-glp-fs",) if k in scores}
            if draw_curves(output, rows, lines, title) is None:
                log.warning("no picture of the curves: matplotlib is not installed")
            self._warn(trainer, scores)
        return TrainingResult(
            output,
            output / "best.safetensors",
            output / "last.safetensors",
            trainer.best_step,
            course.steps,
            scores,
            tuple(self.notes),
        )

    def _warn(self, trainer: Trainer, scores: dict[str, dict[str, float]]) -> None:
        text = None
        if trainer.best_step == 0:
            text = (
                "the training did not improve on fresh weights: the best weights are those of "
                "step 0; train longer, or look at log.csv"
            )
        elif "mtf-glp-fs" in scores and scores["best"]["ergas"] >= scores["mtf-glp-fs"]["ergas"]:
            text = (
                f"on unseen cells the network (ERGAS {scores['best']['ergas']:.4g}) is no better "
                f"than mtf-glp-fs ({scores['mtf-glp-fs']['ergas']:.4g}): train longer, or on more "
                "data"
            )
        if text is not None:
            warnings.warn(text, PansharpWarning, stacklevel=2)

    def _begin(self, output: Path, processes: Processes, *, resume: bool) -> Log | None:
        """Make the folder; clear what an earlier run left there."""
        table = None
        if processes.first:
            try:
                output.mkdir(parents=True, exist_ok=True)
                for name in _FILES:
                    # What a killed run was about to write.
                    for part in output.glob(f"{name}.part*"):
                        part.unlink(missing_ok=True)
                    if not resume:
                        (output / name).unlink(missing_ok=True)
                for events in output.glob("events/events.out.tfevents*"):
                    if not resume:
                        events.unlink()
            except OSError as problem:
                raise WriteError(f"cannot write into '{output}': {problem.strerror}") from problem
            content = json.dumps(self.options.to_dict(), indent=1)
            write_atomic(output / OPTIONS, content.encode())
            table = Log(output, [])
        processes.wait()
        return table

    def _network(self) -> nn.Module:
        torch.manual_seed(self.options.seed)
        return build_network(
            self.options.model,
            ms_bands=self.traits.ms_bands,
            pan_bands=self._pan_bands(),
            ratio=self.traits.ratio,
            **self.options.arch,
        )

    def _pan_bands(self) -> int:
        return guide_bands() if self.options.form == "anchored" else self.traits.guide_bands

    def _collection(self, sites: list[Site], places: Any) -> Collection:
        return Collection(sites, places, self.options.form, self.scale or 1.0)

    def _check_form(self) -> None:
        task, form = self.traits.task, self.options.form
        if task not in self.spec.tasks:
            raise BandMismatchError(
                f"'{self.spec.name}' is not for hyperspectral cubes; see `pansharp models --task "
                f"{task}`"
            )
        if form == "anchored" and task == "hsi":
            raise OptionError(
                "--form anchored is for PAN and MS: on a cube the anchored network works in the "
                "subspace of that very scene; train with --form published"
            )
        ratio = self.traits.ratio
        if form == "published" and abs(ratio - round(ratio)) > 1e-3 * ratio:
            advice = "take --form anchored" if task == "pan" else "resample the guide to one"
            raise OptionError(
                f"the ratio is {ratio:.4g}; --form published needs a whole one, {advice}"
            )

    def _scale(self) -> tuple[float | None, str]:
        """Value scale of the published form, checked on all data."""
        if self.options.form == "anchored":
            return None, "scaled by each scene's own means and spreads"
        places = [*self.layout.train, *self.layout.held]
        scale, source = value_scale(self.sites, places, self.traits, self.options.scale)
        if self.others:
            held = lay_out(self.others, self.traits, self.layout.patch, hold_out=False).train
            value_scale(self.others, held, replace(self.traits, sensor=None), scale)
        self.notes.append(f"value scale {scale:g} ({source})")
        return scale, source

    def _flips(self) -> bool:
        """The recipe's flips, unless the grid forbids them."""
        if self.recipe.flips and self.options.form == "published" and self.traits.grid == "toolbox":
            self.notes.append(
                "no flips: on the toolbox's grid the MS lies half a PAN pixel off, and would lie "
                "on the other side in a flipped patch"
            )
            return False
        return self.recipe.flips

    def _story(self, course: Course, processes: Processes) -> Story:
        layout, options = self.layout, self.options
        if self.others:
            judged = describe_data(self.others, len(self.judge.chosen), 0)
        else:
            judged = f"{len(self.judge.chosen)} held-out cells of the training data"
        more = {
            "patch": layout.patch,
            "flips": self.flips,
            "processes": processes.world,
            "value_scale_source": self.scale_source,
            # A fusion of one of these scenes must not call its blocks unseen.
            "scene_digests": sorted(
                {key for site in self.sites for key in getattr(site, "digests", list)()}
            ),
        }
        return Story(
            options,
            self.traits,
            self._pan_bands(),
            self.scale,
            course,
            describe_data(self.sites, len(layout.train), len(layout.held)),
            judged,
            more,
        )


def _scores(row: Row) -> dict[str, float]:
    return {key: row[key] for key in INDICES if key in row}
