"""A classical product, measured beside the best other method."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pansharp.engine import prepare
from pansharp.models import create_model
from pansharp.models.classical.interpolate import Exp
from pansharp.outcome.base import (
    Outcome,
    note_bands,
    note_shift,
    refuse_adapting,
    with_passes,
    workers_of,
)
from pansharp.registration import SAMPLE, assumed_facts, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.models.base import Fuser
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene

__all__ = ["fuse_classical"]


def fuse_classical(
    scene: Scene, options: FuseOptions, progress: Callable[[float, float, str], None] | None
) -> Outcome:
    """Prepare a classical method on the scene as georeferenced, and score it if a card is wanted.

    Raises
    ------
    ModelError
        Adaptation was asked for.
    """
    refuse_adapting(options)
    begin = time.perf_counter()
    found = None
    if options.coregister == "auto" and (scene.delivery is not None or options.strict):
        # PAN and MS of a delivery are known to lie apart by some pixels: what is found is applied.
        found = register(scene, options, apply=scene.delivery is not None, gains=False)
        scene, applied = found.scene, found.applied
    else:
        # Other pairs are trusted as georeferenced; what they say can be measured later.
        applied = options.shift() or (0.0, 0.0)
        scene = scene.shifted(*applied) if any(applied) else scene
    facts = assumed_facts(scene, options)
    fuser = prepare(
        create_model(options.model, **options.method),
        scene,
        facts,
        workers=workers_of(options),
        progress=progress,
    )
    passes = 0 if options.backproject == "auto" else int(options.backproject)
    outcome = Outcome(
        scene,
        facts,
        options.model,
        options.model,
        with_passes(fuser, facts, passes),
        passes,
        shift_applied=applied,
    )
    if found is not None:
        outcome.shift, outcome.facts = found.shift, found.facts
        note_shift(outcome)
    outcome.timings["prepare"] = time.perf_counter() - begin
    if options.card:
        _score(outcome, options, fuser, progress)
    return outcome


def _score(
    outcome: Outcome,
    options: FuseOptions,
    fuser: Fuser,
    progress: Callable[[float, float, str], None] | None,
) -> None:
    """Scores of a classical product beside the best of its kind."""
    from pansharp.adaptation.fullscale import full_scores, full_windows
    from pansharp.adaptation.guard import compare
    from pansharp.adaptation.trial import Trial

    begin = time.perf_counter()
    if progress:
        progress(0, 1, "scoring")
    scene, facts = outcome.scene, outcome.facts
    if options.coregister == "auto" and outcome.shift is None:
        found = register(scene, options, apply=False)
        outcome.shift, outcome.facts = found.shift, found.facts
        note_shift(outcome)
    if outcome.used != "exp":
        note_bands(outcome)
    trial = Trial(scene, facts, SAMPLE, {outcome.used: options.method})
    outcome.trial = trial
    if trial.score_count:
        passes = outcome.passes
        # A yardstick is measured against the best of the others, not against itself.
        best = trial.best_classical(passes, but=outcome.used)
        own = trial.classical(outcome.used, passes)
        outcome.verdict = compare(own, trial.classical(best, passes), options.seed)
    else:
        outcome.warn("the scene is too small for score blocks: no reduced-resolution scores")
    windows = full_windows(scene)
    if windows:
        products = {"model": outcome.fuser}
        if outcome.used != "exp":
            products["exp"] = Exp()
        outcome.full = full_scores(scene, products, windows, facts)
    outcome.timings["scoring"] = time.perf_counter() - begin
