"""Do one job: fuse a scene by one method, and score the result after each protocol."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.benchmarking.cubes import cube_scores, no_blocks
from pansharp.benchmarking.meter import Meter
from pansharp.benchmarking.reduced import grid_kind, reduce_scene
from pansharp.benchmarking.score import (
    against_reference,
    data_range,
    mean_scores,
    on_toolbox_grid,
    true_grids,
    whole,
)
from pansharp.engine import default_workers, fuse_array, fuse_tiles
from pansharp.errors import (
    BandMismatchError,
    MetricError,
    ModelError,
    PansharpError,
    PansharpWarning,
)
from pansharp.models import is_network
from pansharp.outcome import check_model, decide, is_cube

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.adaptation.guard import BlockScores
    from pansharp.adaptation.trial import Trial
    from pansharp.benchmarking.job import Job
    from pansharp.models.base import SceneFacts
    from pansharp.options import FuseOptions
    from pansharp.outcome import Outcome
    from pansharp.registration import Registration
    from pansharp.scene import Scene

    Row = dict[str, Any]

__all__ = ["failed_row", "run_job"]

#: MS pixels up to which a product is held as one array for the toolbox's own indices.
_IN_MEMORY = 1_000_000


def failed_row(job: Job, protocol: str, reason: str, status: str = "failed") -> Row:
    """The row of a method that gave no scores on a scene."""
    return {
        "scene": job.scene.name,
        "method": job.method,
        "protocol": protocol,
        "status": status,
        "reason": " ".join(reason.split()),
    }


def run_job(job: Job) -> list[Row]:
    """Run one method on one scene.

    Parameters
    ----------
    job : Job
        What to do.

    Returns
    -------
    list of dict
        One row a protocol. ``status`` is ``ok``, ``failed``, or ``unfit`` where the method is not
        made for the scene's bands or ratio; the latter two have a ``reason``.
    """
    rows = []
    work: _Work | None = None
    for protocol in job.protocols:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PansharpWarning)
            try:
                work = work or _Work(job)
                unfit = work.unfit
                row = (
                    work.row(protocol)
                    if unfit is None
                    else failed_row(job, protocol, unfit, "unfit")
                )
            except PansharpError as problem:
                row = failed_row(job, protocol, str(problem))
            except MemoryError:
                row = failed_row(job, protocol, "out of memory")
            except Exception as problem:  # noqa: BLE001 - one method must not end the others
                row = failed_row(job, protocol, f"{type(problem).__name__}: {problem}")
        told = [str(w.message) for w in caught if issubclass(w.category, PansharpWarning)]
        row["notes"] = list(dict.fromkeys([*row.get("notes", []), *told]))
        rows.append(row)
    return rows


@dataclass(frozen=True)
class _Work:
    """A job with its scene open and what its protocols share."""

    job: Job

    def __post_init__(self) -> None:
        # A scene that cannot be opened fails here, once.
        _ = self.opened

    @cached_property
    def opened(self) -> Any:
        return self.job.scene.open()

    @cached_property
    def unfit(self) -> str | None:
        """Why the method is not made for this scene, if it is not."""
        try:
            check_model(self.opened.scene, self.job.method)
        except (BandMismatchError, ModelError) as problem:
            return str(problem)
        return None

    @property
    def network(self) -> bool:
        return self.job.method == "auto" or is_network(self.job.method)

    @cached_property
    def options(self) -> FuseOptions:
        """Scores are made here, not by the fusion; a network is kept even where it loses."""
        force = self.job.options.force or self.job.method != "auto"
        return replace(self.job.options, card=False, force=force)

    def row(self, protocol: str) -> Row:
        if protocol == "reference":
            return self._reference()
        return self._reduced() if protocol == "reduced" else self._full()

    # -- what is fused -------------------------------------------------------------------------

    @cached_property
    def registered(self) -> Registration:
        """Shift and gains that hold for all methods when there is a network among them."""
        from pansharp.registration import register

        return register(self.opened.scene, self.options, apply=True)

    def classical_options(self) -> FuseOptions:
        """Options of a classical method on the native pair."""
        if self.job.budget is None:
            return self.options
        found = self.registered
        rows, cols = found.applied
        source = found.facts.extra.get("gains_source")
        gain = str(found.facts.ms_gains[0]) if source == "measured" else self.options.mtf
        return replace(self.options, coregister=f"{cols!r},{rows!r}", mtf=gain)

    @cached_property
    def native(self) -> tuple[Outcome, Meter]:
        """The method on the native pair, judged on unseen blocks where it is a network."""
        options = self.options if self.network else self.classical_options()
        with Meter() as meter:
            outcome = decide(self.opened.scene, options, folder=None, budget=self.job.budget)
        self._check_fitted(outcome)
        if self.network:
            meter.seconds = _network_seconds(outcome)
        return outcome, meter

    def _check_fitted(self, outcome: Outcome) -> None:
        if is_cube(self.opened.scene):
            # What is fitted to a cube says itself why it is not used.
            return
        if self.network and outcome.adapted is None and self.job.method != "auto":
            raise ModelError(
                f"scene '{self.job.scene.name}' is too small or too empty to fit "
                f"'{self.job.method}' (at least about 70 x 70 valid MS pixels are needed)"
            )

    # -- protocols -----------------------------------------------------------------------------

    def _reference(self) -> Row:
        """Fuse the pair of a set and compare with its reference."""
        scene, truth = self.opened.scene, self.opened.reference
        assert truth is not None
        # The reference lies on the grid of the MS: moving the MS would move the product off it.
        options = self.options
        if options.coregister == "auto":
            options = replace(options, coregister="off")
        fused, outcome, meter = self._fuse(scene, options)
        rules = self.job.conventions
        scores, notes = against_reference(
            truth, fused, rules, ratio=scene.ratio, top=data_range(scene, rules)
        )
        facts = {"degradation": "as the set has it", "cut": rules.cut}
        return self._assemble("reference", outcome, meter, scores, notes, facts)

    def _reduced(self) -> Row:
        if self.job.method == "gdal-brovey":
            raise ModelError(
                "GDAL computes 'gdal-brovey' from the files: it cannot be run at reduced resolution"
            )
        return self._whole() if self.job.budget is None else self._blocks()

    def _whole(self) -> Row:
        """Degrade, fuse, and compare with the native MS."""
        from pansharp.registration import assumed_facts

        shift = self.options.shift() or (0.0, 0.0)
        scene = self.opened.scene.shifted(*shift)
        levels = reduce_scene(scene, assumed_facts(scene, self.options))
        options = replace(self.options, coregister="off")
        rules = self.job.conventions
        parts, total = [], Meter()
        for level in levels:
            fused, outcome, meter = self._fuse(level.scene, options)
            total.seconds += meter.seconds
            total.peak_mib = max(total.peak_mib, meter.peak_mib)
            parts.append(
                against_reference(
                    level.reference,
                    fused,
                    rules,
                    ratio=scene.ratio,
                    top=data_range(scene, rules),
                    valid=level.valid,
                    rounding=scene.rounding,
                )
            )
        scores, notes = mean_scores(parts)
        facts = {"degradation": levels[0].rule, "cut": rules.cut, "windows": len(levels)}
        outcome.shift_applied = shift
        return self._assemble("reduced", outcome, total, scores, notes, facts)

    def _blocks(self) -> Row:
        """Score on the blocks that no adaptation saw."""
        if is_cube(self.opened.scene):
            return self._cube_blocks()
        if self.network:
            outcome, meter = self.native
            trial = outcome.trial
            if trial is None or not trial.score_count:
                raise MetricError(no_blocks(self.job.scene.name))
            adapted, passes = outcome.adapted, outcome.passes
            scores = (
                adapted.scores[passes]
                if adapted is not None and is_network(outcome.used)
                else trial.classical(outcome.used, passes)
            )
        else:
            outcome, meter, trial, scores = self._classical_blocks()
        facts = {
            "degradation": "true grids: MS filtered by the normalised MTF at true positions, PAN "
            "shrunk by antialiased bicubic",
            "blocks": trial.score_count,
            "block_size": trial.block_size,
            "windows": len(trial.reduced),
        }
        return self._assemble("reduced", outcome, meter, scores.as_dict(), [], facts)

    def _cube_blocks(self) -> Row:
        """Score a cube's method one ratio coarser, as its card does: no method sees the truth."""
        options = replace(self.options, card=True)
        with Meter() as meter:
            outcome = decide(self.opened.scene, options, folder=None)
        outcome.close()
        meter.seconds -= outcome.timings.get("scoring", 0.0)
        scores, facts = cube_scores(outcome, self.job.method, self.job.scene.name)
        return self._assemble("reduced", outcome, meter, scores, [], facts)

    def _classical_blocks(self) -> tuple[Outcome, Meter, Trial, BlockScores]:
        from pansharp.adaptation.backproject import BackProjected
        from pansharp.adaptation.trial import Trial
        from pansharp.outcome import Outcome

        found = self.registered
        trial = Trial(found.scene, found.facts, self.job.budget or 1)
        if not trial.score_count:
            raise MetricError(no_blocks(self.job.scene.name))
        chosen = self.options.backproject
        passes = 0 if chosen == "auto" else int(chosen)
        with Meter() as meter:
            fuser = trial.fuser(self.job.method)
            if passes:
                gains = found.facts.ms_gains
                fuser = BackProjected(fuser, gains, passes, found.scene.ratio)
            products = [fuser(chip) for chip in trial.chips]
        name = self.job.method
        outcome = Outcome(
            found.scene, found.facts, name, name, fuser, passes, shift_applied=found.applied
        )
        return outcome, meter, trial, trial.score(products)

    def _full(self) -> Row:
        """Fuse the native pair and score without a reference."""
        if self.job.mode == "reference":
            return self._full_reference_mode()
        outcome, decided = self.native
        scene, facts, rules = outcome.scene, outcome.facts, self.job.conventions
        kind = grid_kind(scene)
        small = scene.ms_source.height * scene.ms_source.width <= _IN_MEMORY
        workers = self.options.workers or default_workers()
        fused, valid = None, None
        with Meter() as meter:
            if kind is not None and small:
                fused, valid = fuse_array(scene, outcome.fuser, workers=workers)
            else:
                for _ in fuse_tiles(scene, outcome.fuser, _drop, workers=workers):
                    pass
        meter.seconds += decided.seconds
        meter.peak_mib = max(meter.peak_mib, decided.peak_mib)
        complete = valid is None or bool(valid.all())
        if fused is not None and kind == "toolbox" and complete:
            scores, notes = on_toolbox_grid(fused, scene, facts, rules)
            rule = "toolbox's filters"
        else:
            product = fused if complete else None
            scores, notes = true_grids(outcome.fuser, scene, facts, rules, product)
            rule = "true positions"
        outcome.close()
        if not scores:
            raise MetricError(notes[0])
        return self._assemble("full", outcome, meter, scores, notes, {"interpolator": rule})

    def _full_reference_mode(self) -> Row:
        scene = self.opened.scene
        fused, outcome, meter = self._fuse(scene, replace(self.options, coregister="off"))
        scores, notes = on_toolbox_grid(fused, scene, outcome.facts, self.job.conventions)
        facts: dict[str, object] = {"interpolator": "toolbox's filters"}
        return self._assemble("full", outcome, meter, scores, notes, facts)

    # -- helpers -------------------------------------------------------------------------------

    def _fuse(
        self, scene: Scene, options: FuseOptions
    ) -> tuple[NDArray[np.float32], Outcome, Meter]:
        """Fuse a pair that fits in memory."""
        if self.job.mode == "reference":
            return self._fuse_as_toolbox(scene, options)
        workers = options.workers or default_workers()
        with Meter() as meter:
            outcome = decide(scene, options, folder=None, budget=self.job.budget)
            self._check_fitted(outcome)
            fused, _ = fuse_array(scene, outcome.fuser, workers=workers)
        if self.network:
            judging = outcome.timings.get("classical", 0.0) + outcome.timings.get("scoring", 0.0)
            meter.seconds -= judging + _judging(outcome)
        outcome.close()
        return fused, outcome, meter

    def _fuse_as_toolbox(
        self, scene: Scene, options: FuseOptions
    ) -> tuple[NDArray[np.float32], Outcome, Meter]:
        """The method exactly as the toolbox computes it, circular borders included."""
        from pansharp.models import create_model
        from pansharp.models.classical.reference import fuse_reference
        from pansharp.outcome import Outcome
        from pansharp.registration import assumed_facts

        if grid_kind(scene) != "toolbox":
            raise ModelError(
                f"--mode reference needs the toolbox's grid (power-of-two ratio, MS pixel 0 on PAN "
                f"pixel ratio // 2); scene '{self.job.scene.name}' has another, drop --mode"
            )
        facts = assumed_facts(scene, options)
        ratio = scene.alignment.integer_ratio
        assert ratio is not None
        method = create_model(self.job.method, mode="reference")
        pan = whole(scene.pan_source)[0].astype(np.float64)
        ms = whole(scene.ms_source).astype(np.float64)
        with Meter() as meter:
            fused = fuse_reference(method, pan, ms, facts, ratio)
        name = self.job.method
        return fused, Outcome(scene, facts, name, name, None), meter  # type: ignore[arg-type]

    def _assemble(
        self,
        protocol: str,
        outcome: Outcome,
        meter: Meter,
        scores: dict[str, float],
        notes: list[str],
        more: dict[str, object],
    ) -> Row:
        facts: SceneFacts = outcome.facts
        rules = self.job.conventions
        rows, cols = outcome.shift_applied
        # A classical method beside networks is given what was measured for all.
        measured = self.job.budget is not None and protocol != "reference" and not self.network
        origin = self.registered.facts if measured else facts
        return {
            "scene": self.job.scene.name,
            "method": self.job.method,
            "protocol": protocol,
            "status": "ok",
            "used": outcome.used,
            **{key: float(value) for key, value in scores.items()},
            "seconds": round(meter.seconds, 4),
            "peak_mib": round(meter.peak_mib, 1),
            "backprojections": outcome.passes,
            "sensor": outcome.scene.sensor.name if outcome.scene.sensor else "",
            "ratio": round(self.opened.scene.ratio, 6),
            "ms_gains": " ".join(f"{gain:g}" for gain in facts.ms_gains),
            "gains_source": str(origin.extra.get("gains_source", "assumed")),
            "shift_rows": rows,
            "shift_cols": cols,
            "data_range": data_range(outcome.scene, rules),
            "notes": [*self.opened.scene.notes, *notes],
            **more,
        }


def _drop(window: object, fused: object, valid: object) -> None:
    """Fused and forgotten: only the time counts."""


def _judging(outcome: Outcome) -> float:
    if outcome.adapted is None:
        return 0.0
    seconds = outcome.adapted.facts["judging_seconds"]
    assert isinstance(seconds, float)
    return seconds


def _network_seconds(outcome: Outcome) -> float:
    """What the user of one network waits for; judging it against others does not count."""
    parts = ("registering", "adapting", "predicting", "prepare")
    return sum(outcome.timings.get(part, 0.0) for part in parts) - _judging(outcome)
