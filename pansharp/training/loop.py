"""The training itself: steps, looks at unseen cells, saved states, and what to do about NaN."""

from __future__ import annotations

import copy
import math
import time
import warnings
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import torch

from pansharp.errors import ModelError, PansharpWarning
from pansharp.tiling import ordered_map
from pansharp.training.judge import autocast
from pansharp.training.losses import Objective
from pansharp.training.schedule import Schedule
from pansharp.training.state import load_state, random_state, restore_random, save_state

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from pansharp.models.facts import TrainingRecipe
    from pansharp.training.data import Batch, Sampler
    from pansharp.training.judge import Judge
    from pansharp.training.log import Log, Row
    from pansharp.training.parallel import Processes

__all__ = ["STATE", "Course", "Trainer"]

#: Name of the saved state.
STATE = "state.pt"
#: Looks at the validation cells are at least so many steps apart.
_APART = 50
#: After a loss that is not finite the rate is multiplied by this, once.
_LOWER = 0.5


@dataclass(frozen=True)
class Course:
    """Length and manner of a run.

    Parameters
    ----------
    recipe : TrainingRecipe
        Loss, optimiser, schedule.
    steps : int
        All steps.
    epoch : int
        Steps of an epoch.
    precision : str
        ``float32``, ``bf16`` or ``fp16``.
    workers : int
        Threads that make patches ready.
    save_every : float
        Seconds between saved states.
    """

    recipe: TrainingRecipe
    steps: int
    epoch: int
    precision: str
    workers: int
    save_every: float

    @classmethod
    def of(
        cls, recipe: TrainingRecipe, epoch: int, precision: str, workers: int, save: float
    ) -> Course:
        """Course of a recipe on data whose epoch has `epoch` steps."""
        steps = recipe.steps if recipe.epochs is None else recipe.epochs * epoch
        assert steps is not None
        return cls(recipe, steps, epoch, precision, workers, save)

    def looks(self, step: int, last: int) -> bool:
        """Whether the network is judged after `step` steps, `last` being where it was before."""
        return step == self.steps or (step % self.epoch == 0 and step - last >= _APART)


class Trainer:
    """One run.

    Parameters
    ----------
    network : torch.nn.Module
        With fresh weights, on the device.
    sampler : Sampler
        Patches of the steps.
    judge : Judge
        Validation.
    course : Course
        How long and how.
    processes : Processes
        Who takes part.
    folder : Path
        Where the state is saved.
    log : Log or None
        Where rows go; None in all processes but the first.
    keep : callable
        ``keep(name, network, row)`` writes a weights file.
    identity : sequence of int
        Numbers that tell the data apart: a state of other data is refused.
    progress : callable, optional
        Called with (done, total, label).
    """

    def __init__(
        self,
        network: nn.Module,
        sampler: Sampler,
        judge: Judge,
        course: Course,
        processes: Processes,
        folder: Path,
        log: Log | None,
        keep: Callable[[str, nn.Module, Row], None],
        identity: Sequence[int],
        progress: Callable[[float, float, str], None] | None = None,
    ) -> None:
        recipe = course.recipe
        self.network, self.sampler, self.judge = network, sampler, judge
        self.course, self.processes, self.folder = course, processes, folder
        self.log, self.keep, self.progress = log, keep, progress
        self.identity = list(identity)
        self.schedule = Schedule(recipe, course.steps, course.epoch)
        self.objective = processes.wrapped(Objective(network, recipe.loss))
        kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = kind(
            network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
        )
        self.scaler = self._fresh_scaler()
        self.average: nn.Module | None = None
        if recipe.ema is not None:
            self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.step = 0
        self.factor = 1.0
        self.best = math.inf
        self.best_step = 0
        self.looked = 0
        self.rows: list[Row] = []
        self.sums: dict[str, float] = {}
        self.seconds = 0.0

    @property
    def kept(self) -> nn.Module:
        """The network that is judged and written: the average where there is one."""
        return self.network if self.average is None else self.average

    def _fresh_scaler(self) -> torch.amp.GradScaler:
        kind = torch.device(self.processes.device).type
        return torch.amp.GradScaler(kind, enabled=self.course.precision == "fp16")

    def run(self) -> None:
        """Train to the end.

        Raises
        ------
        ModelError
            The loss was not finite at two rates.
        """
        if self.step == 0 and not self.rows:
            self._look(time.perf_counter())
        begin = saved = time.perf_counter()
        self.network.train()
        batches = self._batches()
        try:
            while self.step < self.course.steps:
                if not self._advance(next(batches)):
                    batches.close()
                    self._lower()
                    batches = self._batches()
                    continue
                now = time.perf_counter()
                if self.course.looks(self.step, self.looked):
                    self._look(begin)
                    begin = saved = time.perf_counter()
                elif self.processes.agree(now - saved >= self.course.save_every):
                    self.seconds += now - begin
                    self._save()
                    begin = saved = time.perf_counter()
                if self.progress:
                    self.progress(self.step, self.course.steps, "training")
        finally:
            batches.close()

    def resume(self) -> None:
        """Go back to the saved state.

        Raises
        ------
        WeightsError
            There is none, or it is of another run.
        """
        self._restore(load_state(self.folder / STATE))

    def _batches(self) -> Generator[Batch, None, None]:
        """Batches from the next step on, made ready ahead of time."""
        processes = self.processes

        def make(step: int) -> Batch:
            return self.sampler.batch(step, processes.rank, processes.world)

        return ordered_map(make, count(self.step), workers=self.course.workers)

    def _advance(self, batch: Batch) -> bool:
        """One step; False, with the weights as they were, where it would not be finite."""
        recipe, device = self.course.recipe, self.processes.device
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.step) * self.factor
            momentum = self.schedule.momentum(self.step)
            if momentum is not None:
                group["betas"] = (momentum, group["betas"][1])
        self._set_gates()
        tensors = (
            None if t is None else t.to(device, non_blocking=True)
            for t in (batch.guide, batch.image, batch.target, batch.valid)
        )
        with autocast(device, self.course.precision):
            terms: dict[str, Tensor] = self.objective(*tensors)
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)
        norm = torch.nn.utils.clip_grad_norm_(
            self.network.parameters(), math.inf if recipe.clip is None else recipe.clip
        )
        # With fp16 the gradients overflow now and then: the scaler leaves such a step out itself.
        good = torch.isfinite(loss) & (torch.isfinite(norm) | self.scaler.is_enabled())
        if not self.processes.agree(bool(good)):
            return False
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        self._follow()
        self._count(loss, terms)
        return True

    def _set_gates(self) -> None:
        offset = self.schedule.gate_offset(self.step)
        if offset is not None and hasattr(self.network, "gate_offset"):
            self.network.gate_offset = offset  # type: ignore[assignment]

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average."""
        if self.average is None:
            return
        assert self.course.recipe.ema is not None
        decay = min(self.course.recipe.ema, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        for kept, new in pairs:
            kept.lerp_(new, 1.0 - decay)
        buffers = zip(self.average.buffers(), self.network.buffers(), strict=True)
        for old, current in buffers:
            old.copy_(current)

    def _count(self, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        values = {"loss": loss, **(terms if len(terms) > 1 else {})}
        for key, value in values.items():
            name = key if key == "loss" else f"loss_{key}"
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach())
        self.sums["count"] = self.sums.get("count", 0.0) + 1.0

    def _look(self, begin: float) -> None:
        """Judge, keep, log, save."""
        network = self.kept.eval()
        scores = self.judge.score(network, self.processes, self.course.precision)
        self.network.train()
        row: Row = {"step": float(self.step), "epoch": self.step / self.course.epoch}
        done = self.processes.total(self.sums) if self.sums else {}
        taken = done.pop("count", 0.0)
        row |= {key: value / taken for key, value in done.items()}
        row |= scores
        row["rate"] = self.schedule.rate(max(0, self.step - 1)) * self.factor
        self.seconds += time.perf_counter() - begin
        row["seconds"] = self.seconds
        self.sums = {}
        self.looked = self.step
        self.rows.append(row)
        if self.processes.first:
            self.keep("last", network, row)
        if row["ergas"] < self.best:
            self.best, self.best_step = row["ergas"], self.step
            if self.processes.first:
                self.keep("best", network, row)
        if self.log is not None:
            self.log.add(row)
        # The state comes last: what is written before it is written again by a resumed run.
        self._save()

    def _lower(self) -> None:
        """Go back to the last good state with a lower rate; a second time is the end."""
        step = self.step
        self.processes.wait()
        good = load_state(self.folder / STATE)
        if good["factor"] < 1.0:
            raise ModelError(
                f"the loss is not finite in step {step + 1}, after the rate was lowered once: "
                f"stopped; 'last.safetensors' holds the weights of step {good['looked']}. Check "
                "the data for extreme values, or give a lower --rate"
            )
        self._restore(good)
        self.factor = _LOWER
        if self.processes.first:
            warnings.warn(
                f"the loss is not finite in step {step + 1}: back to step {self.step} with "
                f"{_LOWER:g} of the rate",
                PansharpWarning,
                stacklevel=2,
            )
        self._save()

    def _save(self) -> None:
        content: dict[str, Any] = {
            "random": random_state(self.processes),
            "sums": self.processes.total(self.sums) if self.sums else {},
            "step": self.step,
            "factor": self.factor,
            "best": self.best,
            "best_step": self.best_step,
            "looked": self.looked,
            "rows": self.rows,
            "seconds": self.seconds,
            "world": self.processes.world,
            "identity": self.identity,
        }
        if self.processes.first:
            content |= {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
            }
            save_state(self.folder / STATE, content)
        self.processes.wait()

    def _restore(self, state: dict[str, Any]) -> None:
        if state["world"] != self.processes.world:
            raise ModelError(
                f"the run was begun with {state['world']} processes and {self.processes.world} are "
                "here; start it with as many"
            )
        if state["identity"] != self.identity:
            raise ModelError(
                "the data is not what it was when the run began: other files, or another number "
                "of items; begin anew with --overwrite"
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler = self._fresh_scaler()
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for key in ("step", "factor", "best", "best_step", "looked", "seconds"):
            setattr(self, key, state[key])
        self.rows = list(state["rows"])
        # Sums of all processes; the others begin anew.
        self.sums = (
            dict(state["sums"]) if self.processes.first else dict.fromkeys(state["sums"], 0.0)
        )
        if self.log is not None:
            self.log.rows = list(self.rows)
            self.log.write()
        restore_random(state["random"], self.processes)
