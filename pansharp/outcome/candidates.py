"""Which networks are tried on a scene, and which of them makes the product."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.models.networks import get_network, list_networks
from pansharp.outcome.base import workers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.adaptation.settings import Adapted
    from pansharp.models.networks import NetworkSpec
    from pansharp.options import FuseOptions
    from pansharp.outcome.base import Outcome
    from pansharp.outcome.start import GivenWeights
    from pansharp.scene import Scene

    Progress = Callable[[float, float, str], None] | None

__all__ = ["DEFAULT_MINUTES", "candidates", "shared_budget", "try_candidates"]

#: What `auto` may take on two ordinary cores, unless ``--adapt-minutes`` says otherwise.
DEFAULT_MINUTES = 1.0
#: The network that `auto` always tries.
_FIRST = "rescnn"
#: Seconds of one core that two cores do in a second: they share caches and memory.
_TWO_CORES = 1.6


def candidates(scene: Scene, options: FuseOptions, weights: str | None) -> tuple[str, ...]:
    """Networks to try.

    Parameters
    ----------
    scene : Scene
        Its size decides how long a network takes.
    options : FuseOptions
        Model and time.
    weights : str or None
        Network of the weights that were given.

    Returns
    -------
    tuple of str
        The one that was asked for; for `auto` that of the weights, or the plain residual network
        and as many small ones, best first, as fit the time. What they take is reckoned from
        figures in their facts and not from the clock, so that the choice is the same every time.
    """
    if options.model != "auto":
        return (options.model,)
    if weights is not None:
        return (weights,)
    left = 60.0 * _TWO_CORES * (options.adapt_minutes or DEFAULT_MINUTES)
    chosen = [_FIRST]
    left -= _seconds(get_network(_FIRST), scene, options)
    ranked = [spec for spec in map(get_network, list_networks()) if spec.adaptation.rank]
    for spec in sorted(ranked, key=lambda spec: spec.adaptation.rank or 0):
        needed = _seconds(spec, scene, options)
        if spec.name != _FIRST and needed <= left:
            chosen.append(spec.name)
            left -= needed
    return tuple(chosen)


def _seconds(spec: NetworkSpec, scene: Scene, options: FuseOptions) -> float:
    """Processor seconds that fitting, judging and predicting take."""
    recipe = spec.adaptation
    small = scene.ms_source.height * scene.ms_source.width < recipe.budget
    trained = min(scene.ms_source.height * scene.ms_source.width, recipe.budget)
    steps = options.adapt_steps or recipe.steps
    # Small scenes are trained twice, some in two folds.
    fits = 2 if small else 1
    predicted = scene.shape[1] * scene.shape[2] + fits * trained
    return fits * steps * recipe.step_seconds + 1e-6 * predicted * recipe.mpixel_seconds


def shared_budget(names: tuple[str, ...]) -> int:
    """MS pixels that all candidates are trained and judged on: they share their blocks."""
    return min(get_network(name).adaptation.budget for name in names)


def try_candidates(
    outcome: Outcome,
    names: tuple[str, ...],
    given: GivenWeights | None,
    options: FuseOptions,
    passes: int,
    progress: Progress,
) -> None:
    """Fit every candidate and leave the best in the outcome.

    The best is that of the smallest error on the blocks that choose. Scenes too small to have any
    take the smallest ERGAS on the printed blocks, which flatters the winner a little.

    Parameters
    ----------
    outcome : Outcome
        With its trial; gets the best network, its name, and a row a candidate.
    names : tuple of str
        Networks.
    given : GivenWeights or None
        To start from.
    options : FuseOptions
        Steps, time, seed, device.
    passes : int
        Back-projections at which small scenes compare candidates.
    progress : callable or None
        Called with (done, total, label).
    """
    from pansharp.adaptation.adapt import adapt, resolve_device
    from pansharp.adaptation.settings import AdaptSettings

    trial = outcome.trial
    assert trial is not None
    settings = AdaptSettings(
        steps=options.adapt_steps,
        minutes=options.adapt_minutes / len(names) if options.adapt_minutes else None,
        seed=options.seed,
        device=resolve_device(options.device),
        threads=workers_of(options),
        frozen=options.adapt == "never",
    )
    if given is not None:
        start, notes = given.start(trial, names[0])
        settings = replace(settings, start=start)
        for text in notes:
            outcome.warn(text)
    best: Adapted | None = None
    for name in names:
        own = settings
        if options.checkpoint is not None:
            own = replace(settings, checkpoint=Path(options.checkpoint) / name)
        adapted = adapt(name, trial, own, _labelled(progress, name, len(names)))
        error = _error(adapted, passes)
        outcome.candidates.append(_row(name, adapted, passes))
        if best is None or error < _error(best, passes):
            best, outcome.used = adapted, name
    assert best is not None
    outcome.adapted = best
    for text in best.warnings:
        outcome.warn(text)


def _error(adapted: Adapted, passes: int) -> float:
    return adapted.scores[passes].ergas if adapted.chosen is None else adapted.chosen


def _row(name: str, adapted: Adapted, passes: int) -> dict[str, object]:
    """What the card says of a candidate."""
    chosen = {} if adapted.chosen is None else {"choosing_error": round(adapted.chosen, 6)}
    told = {key: adapted.facts[key] for key in ("steps", "best_step", "seconds")}
    return {"name": name, **adapted.scores[passes].as_dict(), **chosen, **told}


def _labelled(progress: Progress, name: str, count: int) -> Progress:
    if progress is None or count == 1:
        return progress

    def labelled(done: float, total: float, label: str) -> None:
        progress(done, total, f"{name}: {label}")

    return labelled
