"""A hyperspectral product that is learnt on the scene, and the fall-back where it must not be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.engine import prepare
from pansharp.errors import ModelError
from pansharp.hyperspectral import prepare_pair
from pansharp.hyperspectral_trial import Judged, note_scores, rmse_to_hsi, score_all, trial_of
from pansharp.models import create_model, is_network
from pansharp.outcome.base import Clock, release_memory, workers_of
from pansharp.outcome.cube import outcome_of
from pansharp.outcome.cube_fusers import (
    FromComponents,
    prepare_fuser,
    restored,
    spool_components,
    spool_network,
)
from pansharp.outcome.given_cube import given_weights, take_given
from pansharp.outcome.learnt import LEARNED, Learnt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pansharp.adaptation.cube import CubeNetwork
    from pansharp.hyperspectral import PreparedPair
    from pansharp.hyperspectral_trial import CubeTrial
    from pansharp.models.base import Fuser, SceneFacts
    from pansharp.models.hyperspectral.basis import Basis
    from pansharp.options import FuseOptions
    from pansharp.outcome.base import Outcome
    from pansharp.scene import Scene

    Progress = Callable[[float, float, str], None] | None

__all__ = ["CANDIDATES", "LEARNED", "fuse_learned"]

#: What a learned product must beat; `exp` is told beside them.
CANDIDATES = ("exp", "glp-hs", "gsa-hs", "loc-hs", "fuse-sylvester", "cnmf")
#: Largest ratio of the cross-validated error to that of the anchor.
_GCV_LIMIT = 0.8
#: Fewest pixels of the degraded HSI that a rehearsal can be believed on.
_REHEARSED = 15
#: A guide explained less than this cannot be learnt from.
_EXPLAINED = 0.9


def fuse_learned(
    scene: Scene, options: FuseOptions, folder: Path | None, progress: Progress
) -> Outcome:
    """Measure the pair, fit the model, rehearse it one level down, and keep it or fall back.

    Parameters
    ----------
    scene : Scene
        A cube and its guide.
    options : FuseOptions
        Model `rfridge`, `auto` or a network.
    folder : Path or None
        Where scratch may be made.
    progress : callable or None
        Called with (done, total, label).

    Returns
    -------
    Outcome

    Raises
    ------
    ModelError
        ``--adapt never`` with a model that is nothing but a fit to the scene.
    """
    name = LEARNED if options.model == "auto" else options.model
    if options.adapt == "never" and options.weights is None:
        raise ModelError(
            f"'{options.model}' is fitted to the scene and --adapt is never; drop --adapt never or "
            "choose a method such as 'fuse-sylvester'"
        )
    given = given_weights(options)
    if given is not None:
        name = given.card.network
    clock = Clock()
    if progress:
        progress(0, 1, "registering")
    pair = prepare_pair(scene, options)
    timings = {"registering": clock.lap()}
    obstacle = "" if given is not None else _obstacle(pair, options)
    notes: list[str] = []
    trial = None
    if options.card or not options.force:
        trial = trial_of(pair, notes)
    if obstacle and not options.force:
        outcome = _fall_back(pair, options, None, _Scored(Judged(), trial), obstacle, progress)
        timings["prepare"] = clock.lap()
    else:
        if given is not None:
            learnt = take_given(pair, given, options, folder, progress)
        else:
            learn = _learn_network if is_network(name) else _learn_ridge
            learnt = learn(pair, name, options, folder, progress)
        timings |= learnt.timings or {"prepare": clock.lap()}
        release_memory()
        clock.lap()
        passes = learnt.basis.passes if options.backproject == "auto" else int(options.backproject)
        scored = _rehearse(trial, name, learnt, passes, options, progress)
        release_memory()
        reason = obstacle or learnt.doubt or _rehearsal_says(scored, learnt)
        if reason and not options.force:
            if learnt.spool is not None:
                learnt.spool.close()
            outcome = _fall_back(pair, options, learnt, scored, reason, progress)
        else:
            inner = replace(learnt.fuser, passes=passes)
            outcome = outcome_of(pair, options, name, restored(pair, inner), passes)
            outcome.spool = learnt.spool
            for text in learnt.notes:
                outcome.warn(text)
            _keep(outcome, pair, inner, scored, reason)
        outcome.model_facts = learnt.facts
    if options.card:
        for text in notes:
            outcome.warn(text)
    if options.checkpoint is not None:
        from pansharp.adaptation.resume import discard_all

        discard_all(Path(options.checkpoint))
    outcome.timings |= {**timings, "scoring": clock.lap()}
    return outcome


def _obstacle(pair: PreparedPair, options: FuseOptions) -> str:
    """Why nothing should be learnt from this pair; empty where nothing is in the way."""
    found = pair.found
    if found is None:
        if options.mtf == "auto":
            return "the point-spread function could not be measured"
        return ""
    if found.r2_after < _EXPLAINED:
        return f"the HSI explains only {100 * found.r2_after:.0f} % of the guide"
    if found.edge:
        return "the point-spread function that fits best lies at the end of the range"
    return ""


def _learn_ridge(
    pair: PreparedPair, name: str, options: FuseOptions, folder: Path | None, progress: Progress
) -> Learnt:
    from pansharp.models.hyperspectral.rfridge import RidgeFuser

    given: Mapping[str, object] = {"seed": options.seed, **options.method}
    clock, workers = Clock(), workers_of(options)
    model = create_model(name, **given)
    ridge = prepare(model, pair.usable, pair.facts, workers=workers, progress=progress)
    assert isinstance(ridge, RidgeFuser)
    timings = {"prepare": clock.lap()}
    size = ridge.basis.anchors.space.size
    spool = spool_components(pair.usable, ridge, size, folder, workers=workers, progress=progress)
    timings["predicting"] = clock.lap()
    doubt = ""
    if ridge.gcv_ratio >= _GCV_LIMIT:
        doubt = (
            f"cross-validation expects {ridge.gcv_ratio:.2f} of the error of the linear fit "
            f"({_GCV_LIMIT:g} is the limit)"
        )
    return Learnt(
        FromComponents(spool, ridge.basis.anchors.space, not ridge.basis.noisy, pair.facts),
        ridge.basis,
        ridge.facts(),
        lambda trial: trial.fit(name, given),
        doubt,
        alone=True,
        spool=spool,
        timings=timings,
    )


def _learn_network(
    pair: PreparedPair, name: str, options: FuseOptions, folder: Path | None, progress: Progress
) -> Learnt:
    from pansharp.adaptation.adapt import resolve_device, use_threads
    from pansharp.adaptation.cube import adapt_cube
    from pansharp.models.hyperspectral.basis import Basis, GsaBasis

    clock, workers = Clock(), workers_of(options)
    device = resolve_device(options.device)
    model = GsaBasis(options.seed)
    basis = prepare(model, pair.usable, pair.facts, workers=workers, progress=progress)
    assert isinstance(basis, Basis)
    timings = {"prepare": clock.lap()}

    def fit(
        part: str, scenes: list[Scene], facts: SceneFacts, own: Basis, shown: Progress
    ) -> tuple[CubeNetwork, dict[str, object]]:
        # One thread: on a busy machine more of them wait for each other most of the time.
        use_threads(1)
        return adapt_cube(
            name,
            scenes,
            facts,
            own,
            steps=options.adapt_steps,
            seed=options.seed,
            device=device,
            precision=options.precision,
            # Half of the time for the product, half for its rehearsal.
            minutes=options.adapt_minutes / 2 if options.adapt_minutes else None,
            checkpoint=Path(options.checkpoint) / f"{part}.pt" if options.checkpoint else None,
            progress=shown,
        )

    def on_trial(trial: CubeTrial) -> Fuser:
        own = trial.fit_model(model)
        assert isinstance(own, Basis)
        return fit("rehearsal", [r.scene for r in trial.reduced], trial.facts, own, None)[0]

    network, told = fit("product", [pair.usable], pair.facts, basis, progress)
    timings["adapting"] = clock.lap()
    release_memory()
    notes: list[str] = []
    if told["best_step"] != told["steps"]:
        notes.append(
            "the training loss became NaN at two learning rates: the weights are those of step "
            f"{told['best_step']}"
        )
    spool = spool_network(
        pair.usable, network, name, options, folder, workers, notes, progress=progress
    )
    timings["predicting"] = clock.lap()
    return Learnt(
        FromComponents(spool, basis.anchors.space, not basis.noisy, pair.facts),
        basis,
        {**told, **basis.facts()},
        on_trial,
        spool=spool,
        timings=timings,
        notes=notes,
    )


@dataclass
class _Scored:
    """What the rehearsal says.

    Parameters
    ----------
    judged : Judged
        Parts of the card.
    trial : CubeTrial or None
        The degraded pair.
    best : str
        Classical method of the smallest error; empty without a rehearsal to believe.
    """

    judged: Judged
    trial: CubeTrial | None
    best: str = ""

    @property
    def valid(self) -> bool:
        """Whether there are pixels enough to believe it."""
        return self.trial is not None and self.trial.coarse_pixels >= _REHEARSED


def _rehearse(
    trial: CubeTrial | None,
    name: str,
    learnt: Learnt,
    passes: int,
    options: FuseOptions,
    progress: Progress,
) -> _Scored:
    """Fit the model one level down and compare it with the classical methods."""
    scored = _Scored(Judged(), trial)
    if trial is None:
        return scored
    if progress:
        progress(0, 1, "scoring")
    judged = scored.judged
    scores = score_all(trial, CANDIDATES, passes, judged.warnings)
    try:
        scores[name] = trial.score_fuser(learnt.on_trial(trial), passes)
    except ModelError as problem:
        judged.warnings.append(f"'{name}' cannot be rehearsed: {problem}")
        return replace(scored, trial=None)
    note_scores(judged, trial, scores, name, options.seed)
    others = [n for n in CANDIDATES if n in scores and n != "exp"]
    if scored.valid and others:
        scored.best = min(others, key=lambda n: scores[n].ergas)
    return scored


def _rehearsal_says(scored: _Scored, learnt: Learnt) -> str:
    """Why the rehearsal rejects the model; empty where it does not."""
    verdict = scored.judged.verdict
    if not scored.valid or verdict is None:
        return "" if learnt.alone else "the scene is too small to rehearse it"
    if verdict.rho >= 1.0:
        best = scored.judged.reduced["classical_name"]
        return f"one ratio coarser it is no better than '{best}' (ERGAS ratio {verdict.rho:.3f})"
    return ""


def _keep(outcome: Outcome, pair: PreparedPair, inner: Fuser, scored: _Scored, reason: str) -> None:
    """Card and warnings of a product that is the learned one."""
    judged = scored.judged
    outcome.reduced = judged.reduced
    outcome.verdict = judged.verdict if scored.valid else None
    gap = rmse_to_hsi(pair, inner)
    if gap is not None:
        outcome.full = {"model": {"rmse_to_ms": gap}}
    for text in judged.warnings:
        outcome.warn(text)
    if reason:
        outcome.warn(f"'{outcome.used}' is kept by --force: {reason}")
    elif not scored.valid:
        outcome.warn(
            f"'{outcome.used}' is not verified on this scene: the HSI has too few pixels to "
            "rehearse it one ratio coarser; only cross-validation speaks for it"
        )
    elif outcome.verdict is not None and outcome.verdict.word == "equal":
        verdict = outcome.verdict
        outcome.warn(
            f"the gain over the best classical method is not significant (ERGAS ratio "
            f"{verdict.rho:.3f}, interval {verdict.low:.3f} to {verdict.high:.3f}, "
            f"{verdict.blocks} blocks)"
        )


def _fall_back(
    pair: PreparedPair,
    options: FuseOptions,
    learnt: Learnt | None,
    scored: _Scored,
    reason: str,
    progress: Progress,
) -> Outcome:
    """Make the best classical method the product, and say so in one line."""
    trial = scored.trial
    noisy = _noisy(pair) if learnt is None else learnt.basis.noisy
    passes = (0 if noisy else 2) if options.backproject == "auto" else int(options.backproject)
    if learnt is None and trial is not None:
        scores = score_all(trial, CANDIDATES, passes, scored.judged.warnings)
        others = [n for n in scores if n != "exp"]
        if scored.valid and others:
            scored.best = min(others, key=lambda n: scores[n].ergas)
            note_scores(scored.judged, trial, scores, scored.best, options.seed)
    # Without a rehearsal: what did best on scenes of this kind (docs/hyperspectral.md).
    many = pair.usable.pan_source.bands > 1
    usual = "fuse-sylvester" if noisy else "loc-hs" if many else "cnmf"
    name = scored.best or usual
    fuser, inner = prepare_fuser(
        pair, name, passes=passes, workers=workers_of(options), progress=progress
    )
    outcome = outcome_of(pair, options, name, fuser, passes)
    outcome.reduced = scored.judged.reduced
    verdict = scored.judged.verdict
    if learnt is not None and scored.valid and verdict is not None:
        # Whatever the blocks say: the model was rejected.
        verdict = replace(verdict, word="worse")
    outcome.verdict = verdict if scored.valid else None
    gap = rmse_to_hsi(pair, inner)
    if gap is not None:
        outcome.full = {"model": {"rmse_to_ms": gap}}
    for text in scored.judged.warnings:
        outcome.warn(text)
    wanted = LEARNED if options.model == "auto" else options.model
    outcome.warn(
        f"'{wanted}' is not used: {reason}; the product is made by '{name}'; --force keeps it"
    )
    return outcome


def _noisy(pair: PreparedPair) -> bool:
    """The noise rule without a fit."""
    from pansharp.models.hyperspectral.basis import GsaBasis

    basis = prepare(GsaBasis(), pair.usable, pair.facts)
    return bool(getattr(basis, "noisy", False))
