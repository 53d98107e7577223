"""A network fitted to the scene, and the fall-back where it does not win."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pansharp.engine import default_workers, prepare
from pansharp.errors import ModelError
from pansharp.models import create_model
from pansharp.models.classical.interpolate import Exp
from pansharp.outcome.base import Clock, Outcome, note_bands, note_shift, with_passes, workers_of
from pansharp.outcome.classical import fuse_classical
from pansharp.registration import register

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pansharp.adaptation.guard import Verdict
    from pansharp.models.base import Fuser
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene

    Progress = Callable[[float, float, str], None] | None
    #: Leaves the fuser of a fitted network's image in the outcome.
    Predict = Callable[[Outcome, FuseOptions, Path | None, Progress], None]

__all__ = ["fuse_network", "lattice"]

#: Fewest pixels to train on.
_LEAST_PIXELS = 256
#: Loss of HQNR that one more back-projection may cost.
_HQNR_SLACK = 0.003
#: Blended overlap of networks whose reach is larger than any tile, PAN pixels.
_RAMP = 32
#: RMSE to the MS, per cent, from which on the assumed MTF must be doubted.
_CONSISTENT = 2.0


def fuse_network(
    scene: Scene,
    options: FuseOptions,
    folder: Path | None,
    budget: int | None,
    progress: Callable[[float, float, str], None] | None,
    predict: Predict | None = None,
) -> Outcome:
    """Register, train, judge on unseen blocks, predict, and choose the back-projections.

    Raises
    ------
    ModelError
        There are no weights and adaptation is forbidden, or the training diverged.
    """
    from pansharp.adaptation.guard import compare
    from pansharp.adaptation.trial import PASSES, Trial
    from pansharp.outcome.candidates import candidates, shared_budget, try_candidates
    from pansharp.outcome.start import GivenWeights, keep_weights

    given = GivenWeights(options.weights) if options.weights is not None else None
    if options.adapt == "never" and given is None:
        raise ModelError(
            f"'{options.model}' has no weights for this scene and --adapt is never; "
            "give some with --weights, drop --adapt never, or choose a classical model"
        )
    names = candidates(scene, options, given.card.network if given is not None else None)
    clock = Clock()
    if progress:
        progress(0, 1, "registering")
    original = scene
    found = register(scene, options, apply=True)
    scene, facts = found.scene, found.facts
    outcome = Outcome(
        scene,
        facts,
        options.model,
        names[0],
        None,  # type: ignore[arg-type]
        shift=found.shift,
        shift_applied=found.applied,
    )
    note_shift(outcome)
    note_bands(outcome)
    outcome.timings["registering"] = clock.lap()
    trial = Trial(scene, facts, budget or shared_budget(names))
    outcome.trial = trial
    frozen = options.adapt == "never"
    if (trial.train_pixels < _LEAST_PIXELS and not frozen) or trial.score_count == 0:
        return _too_small(outcome, original, options, progress)
    for passes in PASSES:
        trial.best_classical(passes)
    outcome.timings["classical"] = clock.lap()
    allowed = PASSES if options.backproject == "auto" else (int(options.backproject),)
    try_candidates(outcome, names, given, options, max(allowed), progress)
    adapted = outcome.adapted
    assert adapted is not None
    outcome.timings["adapting"] = clock.lap()
    verdicts = {
        k: compare(adapted.scores[k], trial.classical(trial.best_classical(k), k), options.seed)
        for k in PASSES
    }
    hopeless = all(verdicts[k].word == "worse" for k in allowed)
    if hopeless and not options.force:
        _fall_back(outcome, verdicts, allowed, options, progress)
        keep_weights(outcome, options, given)
        outcome.timings["scoring"] = clock.lap()
        return outcome
    (predict or _predict)(outcome, options, folder, progress)
    outcome.timings["predicting"] = clock.lap()
    _choose_passes(outcome, allowed, progress)
    outcome.verdict = verdicts[outcome.passes]
    if outcome.verdict.word == "worse" and not options.force:
        _fall_back(outcome, verdicts, (outcome.passes,), options, progress)
    _judge_notes(outcome)
    if given is not None and given.trained_on(original):
        outcome.verdict = None
        outcome.warn(
            f"the weights '{options.weights}' were trained on this very scene: no block is unseen, "
            "so its scores are left out"
        )
    keep_weights(outcome, options, given)
    outcome.timings["scoring"] = clock.lap()
    return outcome


def _predict(
    outcome: Outcome,
    options: FuseOptions,
    folder: Path | None,
    progress: Callable[[float, float, str], None] | None,
) -> None:
    """Run the network over the scene into a scratch image."""
    from pansharp.adaptation.adapt import anchored, resolve_device, use_threads
    from pansharp.engine import FromSource, blend_tiles
    from pansharp.source.spool import Spool

    scene, facts = outcome.scene, outcome.facts
    assert outcome.adapted is not None
    device = resolve_device(options.device)
    workers = workers_of(options)
    anchor = prepare(create_model("mtf-glp-fs"), scene, facts, workers=workers)
    fuser = anchored(outcome.adapted, anchor, device, options.precision)
    spec = outcome.adapted.spec
    tile, overlap, kind = lattice(spec, options, outcome.warn)
    outcome.spool = Spool(scene.shape, folder)
    side_by_side = device == "cpu" and not spec.threads_inside
    use_threads(1 if side_by_side else workers)
    pieces = blend_tiles(
        scene,
        fuser,
        tile=tile,
        overlap=overlap,
        kind=kind,
        multiple=spec.multiple_of,
        workers=workers if side_by_side else 1,
        progress=progress,
        label="predicting",
    )
    for window, piece in pieces:
        outcome.spool.write(window, piece)
    outcome.fuser = FromSource(outcome.spool)


def lattice(
    spec: object, options: FuseOptions, warn: Callable[[str], None]
) -> tuple[int, int, str]:
    """Tile, overlap and blend of a network's prediction, PAN pixels."""
    from pansharp.models.networks import NetworkSpec

    assert isinstance(spec, NetworkSpec)
    step = spec.multiple_of
    if spec.local:
        # Beyond its reach a local network gives the same bits in any tile.
        tile = (options.tile or spec.tile - 2 * spec.practical_halo) // step * step or step
        overlap = (options.overlap or 0) // step * step
        return tile, min(overlap, tile // 2 // step * step), options.blend or "crop"
    if options.tile or options.overlap or options.blend:
        warn(
            f"the tile of '{spec.name}' is part of the model (its outputs reach beyond any tile): "
            "--tile, --overlap and --blend are ignored"
        )
    core = (spec.tile - 2 * spec.practical_halo) // step * step
    return core, min(_RAMP, core // 2 // step * step), "hann"


def _choose_passes(
    outcome: Outcome,
    allowed: tuple[int, ...],
    progress: Callable[[float, float, str], None] | None,
) -> None:
    """Most back-projections whose HQNR is within 0.003 of the best; card figures on the way."""
    from pansharp.adaptation.fullscale import full_scores, full_windows

    if progress:
        progress(0, 1, "scoring")
    scene, facts, trial = outcome.scene, outcome.facts, outcome.trial
    assert trial is not None
    plain = outcome.fuser
    products: dict[str, Fuser] = {
        f"model+bp{k}": with_passes(plain, facts, k) for k in sorted({0, *allowed})
    }
    workers = default_workers()
    fitted: dict[str, Fuser] = {}
    for passes in sorted({0, *allowed}):
        best = trial.best_classical(passes)
        if best not in fitted:
            fitted[best] = prepare(create_model(best), scene, facts, workers=workers)
        products[f"best_classical+bp{passes}"] = with_passes(fitted[best], facts, passes)
    products["exp"] = Exp()
    windows = full_windows(scene)
    if windows:
        outcome.full = full_scores(scene, products, windows, facts)
        hqnr = {k: outcome.full[f"model+bp{k}"]["hqnr"] for k in allowed}
        top = max(hqnr.values())
        outcome.passes = max(k for k in allowed if hqnr[k] >= top - _HQNR_SLACK)
    else:
        outcome.warn("the scene is smaller than one 32-pixel block: no full-resolution indices")
        outcome.passes = max(allowed)
    outcome.fuser = products[f"model+bp{outcome.passes}"]


def _fall_back(
    outcome: Outcome,
    verdicts: dict[int, Verdict],
    allowed: tuple[int, ...],
    options: FuseOptions,
    progress: Callable[[float, float, str], None] | None,
) -> None:
    """Make the best classical method the product, and say so."""
    from pansharp.adaptation.fullscale import full_scores, full_windows

    scene, facts, trial = outcome.scene, outcome.facts, outcome.trial
    assert trial is not None
    passes = min(allowed, key=lambda k: trial.classical(trial.best_classical(k), k).ergas)
    name = trial.best_classical(passes)
    fuser = prepare(create_model(name), scene, facts, workers=workers_of(options))
    outcome.verdict = verdicts[passes]
    outcome.passes = passes
    outcome.used = name
    outcome.fuser = with_passes(fuser, facts, passes)
    windows = full_windows(scene)
    if windows:
        products = {
            "best_classical+bp0": fuser,
            f"best_classical+bp{passes}": outcome.fuser,
            "exp": Exp(),
        }
        outcome.full = {**full_scores(scene, products, windows, facts), **outcome.full}
    outcome.warn(
        f"on unseen blocks '{outcome.asked}' is no better than '{name}' (ERGAS ratio "
        f"{outcome.verdict.rho:.3f}): the product is made by '{name}'; --force keeps the network"
    )


def _too_small(
    outcome: Outcome,
    scene: Scene,
    options: FuseOptions,
    progress: Callable[[float, float, str], None] | None,
) -> Outcome:
    """A scene without blocks to judge on: the classical default, with a warning."""
    text = (
        f"scene '{scene.name}' is too small or too empty to fit '{outcome.asked}' and to prove it "
        "(at least about 70 x 70 valid MS pixels are needed): the product is made by 'mtf-glp-fs'"
    )
    # The shift has been applied to the scene already.
    plain = replace(
        options, model="mtf-glp-fs", adapt="auto", coregister="off", weights=None, save_weights=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fallen = fuse_classical(outcome.scene, plain, progress)
    fallen.asked = outcome.asked
    fallen.shift, fallen.shift_applied = outcome.shift, outcome.shift_applied
    fallen.warn(text)
    return fallen


def _judge_notes(outcome: Outcome) -> None:
    """Warnings that a reader of the scores needs."""
    verdict, trial = outcome.verdict, outcome.trial
    assert verdict is not None
    assert trial is not None
    if verdict.word == "equal":
        outcome.warn(
            f"the gain over the best classical method is not significant (ERGAS ratio "
            f"{verdict.rho:.3f}, interval {verdict.low:.3f} to {verdict.high:.3f}, "
            f"{verdict.blocks} blocks)"
        )
    if trial.best_classical(outcome.passes) == "exp":
        outcome.warn(
            "no classical method beats plain interpolation at reduced resolution: the PAN brings "
            "little (misregistration, or an MS that was resampled before)"
        )
    with suppress(KeyError):
        gap = outcome.full[f"model+bp{outcome.passes}"]["rmse_to_ms"]
        if gap > _CONSISTENT:
            outcome.warn(
                f"blurred back to the MS grid the product differs from the MS by {gap:.1f} % RMSE: "
                "the MTF assumed is not that of this MS (an MS that was sharpened or resampled?)"
            )
    with suppress(KeyError):
        ours = outcome.full[f"model+bp{outcome.passes}"]["hqnr"]
        theirs = outcome.full[f"best_classical+bp{outcome.passes}"]["hqnr"]
        if ours < theirs - 0.02:
            outcome.warn(
                f"at full resolution HQNR is {ours:.3f}, that of the best classical method "
                f"{theirs:.3f}: look at the detail before you trust it"
            )
