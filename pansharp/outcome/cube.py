"""A hyperspectral product, measured against quick methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.outcome.base import Clock, Outcome, refuse_adapting, workers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.hyperspectral import PreparedPair
    from pansharp.models.base import Fuser
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene

__all__ = ["fuse_cube", "outcome_of"]


def outcome_of(
    pair: PreparedPair, options: FuseOptions, used: str, fuser: Fuser, passes: int
) -> Outcome:
    """What is known of a pair's product before it is judged."""
    from pansharp import hyperspectral

    outcome = Outcome(
        pair.scene,
        pair.facts,
        options.model,
        used,
        fuser,
        passes,
        shift_applied=pair.applied,
        conventions=hyperspectral.conventions(pair),
    )
    if pair.found is not None and options.coregister == "auto":
        outcome.shift = pair.found.as_shift()
    for text in pair.warnings:
        outcome.warn(text)
    return outcome


def fuse_cube(
    scene: Scene, options: FuseOptions, progress: Callable[[float, float, str], None] | None
) -> Outcome:
    """A cube and its guide: measured, fused, and judged against quick methods."""
    from pansharp import hyperspectral
    from pansharp.outcome.cube_fusers import prepare_fuser

    refuse_adapting(options)
    clock = Clock()
    if progress:
        progress(0, 1, "registering")
    pair = hyperspectral.prepare_pair(scene, options)
    registering = clock.lap()
    passes = 0 if options.backproject == "auto" else int(options.backproject)
    fuser, inner = prepare_fuser(
        pair,
        options.model,
        passes=passes,
        given=options.method,
        workers=workers_of(options),
        progress=progress,
    )
    outcome = outcome_of(pair, options, options.model, fuser, passes)
    outcome.timings |= {"registering": registering, "prepare": clock.lap()}
    if options.card:
        from pansharp.hyperspectral_trial import judge

        if progress:
            progress(0, 1, "scoring")
        judged = judge(
            pair, options.model, inner, passes=passes, seed=options.seed, given=options.method
        )
        outcome.reduced, outcome.full = judged.reduced, judged.full
        outcome.verdict = judged.verdict
        for text in judged.warnings:
            outcome.warn(text)
        outcome.timings["scoring"] = clock.lap()
    return outcome
