"""From a scene and a model's name to a fuser that has been judged: what every command builds on."""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pansharp.engine import default_workers, prepare
from pansharp.errors import AlignmentWarning, BandMismatchError, ModelError, PansharpWarning
from pansharp.models import create_model, get_spec, is_network
from pansharp.models.classical.interpolate import Exp
from pansharp.registration import SAMPLE, assumed_facts, register

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pansharp.adaptation.adapt import Adapted
    from pansharp.adaptation.guard import Verdict
    from pansharp.adaptation.trial import Trial
    from pansharp.geometry.register import Shift
    from pansharp.models.base import Fuser, SceneFacts
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene
    from pansharp.source.spool import Spool

__all__ = ["Outcome", "check_model", "decide"]

#: Loss of HQNR that one more back-projection may cost.
_HQNR_SLACK = 0.003
#: Blended overlap of networks whose reach is larger than any tile, PAN pixels.
_RAMP = 32
#: RMSE to the MS, per cent, from which on the assumed MTF must be doubted.
_CONSISTENT = 2.0


@dataclass
class Outcome:
    """A prepared fusion and all that is known of its quality.

    Parameters
    ----------
    scene : Scene
        With the shift that was applied.
    facts : SceneFacts
        MTF gains.
    asked, used : str
        Model that was asked for, and that makes the product.
    fuser : Fuser
        The product, back-projection included.
    passes : int
        Back-projections in `fuser`.
    """

    scene: Scene
    facts: SceneFacts
    asked: str
    used: str
    fuser: Fuser
    passes: int = 0
    shift: Shift | None = None
    shift_applied: tuple[float, float] = (0.0, 0.0)
    trial: Trial | None = None
    adapted: Adapted | None = None
    verdict: Verdict | None = None
    full: dict[str, dict[str, float]] = field(default_factory=dict)
    candidates: list[dict[str, object]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    spool: Spool | None = None
    #: Parts of the card of a hyperspectral product.
    reduced: dict[str, object] = field(default_factory=dict)
    conventions: dict[str, object] = field(default_factory=dict)

    def warn(self, text: str, kind: type[PansharpWarning] = PansharpWarning) -> None:
        """Keep a warning for the card and tell it."""
        self.warnings.append(text)
        warnings.warn(text, kind, stacklevel=2)

    def close(self) -> None:
        """Release scratch."""
        if self.spool is not None:
            self.spool.close()


def check_model(scene: Scene, name: str) -> None:
    """Refuse a model that cannot take this scene.

    Raises
    ------
    BandMismatchError
        Too few or too many bands.
    ModelError
        A ratio that the model cannot do.
    """
    spec = get_spec(name)
    guides = scene.pan_source.bands
    if guides > 1 and "hsi" not in spec.tasks:
        raise ModelError(
            f"model '{name}' takes one panchromatic band, the guide of scene '{scene.name}' has "
            f"{guides}: give one with --pan, or take a hyperspectral method such as 'gsa-hs'"
        )
    if spec.bands is not None:
        low, high = spec.bands
        if scene.bands < low or (high is not None and scene.bands > high):
            limits = (
                f"{low}" if high == low else f"{low} or more" if high is None else f"{low}-{high}"
            )
            raise BandMismatchError(
                f"model '{name}' needs {limits} bands, scene '{scene.name}' has {scene.bands}; "
                "choose another model or --bands"
            )
    if spec.ratio is not None:
        least, most = spec.ratio
        if scene.ratio < least or (most is not None and scene.ratio > most):
            raise ModelError(
                f"model '{name}' works for ratios {least:g} to {most or 'any'}, scene "
                f"'{scene.name}' has {scene.ratio:.3f}; choose another model"
            )


def decide(
    scene: Scene,
    options: FuseOptions,
    *,
    folder: Path | None,
    budget: int | None = None,
    progress: Callable[[float, float, str], None] | None = None,
) -> Outcome:
    """Prepare a model on a scene; fit and judge it where that is asked for.

    Parameters
    ----------
    scene : Scene
        The scene.
    options : FuseOptions
        What to do.
    folder : Path or None
        Where scratch files may be made; None keeps everything in memory.
    budget : int, optional
        MS pixels that a network is trained and judged on; default: its own. Networks with the same
        budget are judged on the same blocks.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Outcome

    Raises
    ------
    PansharpError
        The scene does not fit the model.
    """
    name = options.model
    check_model(scene, name)
    if name == "gdal-brovey":
        return _external(scene, options)
    if name == "auto" or is_network(name):
        return _network(scene, options, folder, budget, progress)
    if get_spec(name).tasks == ("hsi",):
        return _hyperspectral(scene, options, progress)
    return _classical(scene, options, progress)


def _external(scene: Scene, options: FuseOptions) -> Outcome:
    from pansharp import external

    external.check_options(options)
    shift = options.shift() or (0.0, 0.0)
    scene = scene.shifted(*shift)
    fuser = external.gdal_brovey(scene)
    outcome = Outcome(
        scene,
        assumed_facts(scene, options),
        options.model,
        options.model,
        fuser,
        shift_applied=shift,
    )
    return external.score(outcome) if options.card else outcome


def _workers(options: FuseOptions) -> int:
    return options.workers or default_workers()


def _note_shift(outcome: Outcome) -> None:
    shift = outcome.shift
    if shift is None:
        return
    if shift.r2_after < 0.9:
        outcome.warn(
            f"the MS bands explain only {100 * shift.r2_after:.0f} % of the PAN (R2): parallax, "
            "another date, or bands outside the PAN's range",
            AlignmentWarning,
        )
    size = max(abs(shift.rows), abs(shift.cols))
    if size > 1.0:
        outcome.warn(
            f"PAN and MS are {shift.rows:+.2f}, {shift.cols:+.2f} PAN pixels (rows, columns) apart",
            AlignmentWarning,
        )


def _classical(
    scene: Scene, options: FuseOptions, progress: Callable[[float, float, str], None] | None
) -> Outcome:
    _refuse_adapting(options)
    begin = time.perf_counter()
    # A classical product trusts the georeference; what it says can be measured later.
    applied = options.shift() or (0.0, 0.0)
    scene = scene.shifted(*applied) if any(applied) else scene
    facts = assumed_facts(scene, options)
    fuser = prepare(
        create_model(options.model, **options.method),
        scene,
        facts,
        workers=_workers(options),
        progress=progress,
    )
    passes = 0 if options.backproject == "auto" else int(options.backproject)
    outcome = Outcome(
        scene,
        facts,
        options.model,
        options.model,
        _with_passes(fuser, facts, passes),
        passes,
        shift_applied=applied,
    )
    outcome.timings["prepare"] = time.perf_counter() - begin
    if options.card:
        _score_classical(outcome, options, fuser, progress)
    return outcome


def _hyperspectral(
    scene: Scene, options: FuseOptions, progress: Callable[[float, float, str], None] | None
) -> Outcome:
    """A cube and its guide: measured, fused, and judged against quick methods."""
    from pansharp import hyperspectral

    _refuse_adapting(options)
    clock = _Clock()
    if progress:
        progress(0, 1, "registering")
    pair = hyperspectral.prepare_pair(scene, options)
    registering = clock.lap()
    passes = 0 if options.backproject == "auto" else int(options.backproject)
    fuser, inner = hyperspectral.prepare_fuser(
        pair, options.model, passes=passes, workers=_workers(options), progress=progress
    )
    outcome = Outcome(
        pair.scene,
        pair.facts,
        options.model,
        options.model,
        fuser,
        passes,
        shift_applied=pair.applied,
        conventions=hyperspectral.conventions(pair),
    )
    if pair.found is not None and options.coregister == "auto":
        outcome.shift = pair.found.as_shift()
    outcome.timings |= {"registering": registering, "prepare": clock.lap()}
    for text in pair.warnings:
        outcome.warn(text)
    if options.card:
        from pansharp.hyperspectral_trial import judge

        if progress:
            progress(0, 1, "scoring")
        judged = judge(pair, options.model, inner, passes=passes, seed=options.seed)
        outcome.reduced, outcome.full = judged.reduced, judged.full
        outcome.verdict = judged.verdict
        for text in judged.warnings:
            outcome.warn(text)
        outcome.timings["scoring"] = clock.lap()
    return outcome


def _refuse_adapting(options: FuseOptions) -> None:
    if options.adapt == "always":
        raise ModelError(
            f"'{options.model}' is not a network: there is nothing to adapt; drop --adapt"
        )


def _with_passes(fuser: Fuser, facts: SceneFacts, passes: int) -> Fuser:
    if passes == 0:
        return fuser
    from pansharp.adaptation.backproject import BackProjected

    return BackProjected(fuser, facts.ms_gains, passes, facts.alignment.ratio)


def _score_classical(
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
    if options.coregister == "auto":
        found = register(scene, options, apply=False)
        outcome.shift, outcome.facts = found.shift, found.facts
        _note_shift(outcome)
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


def _network(
    scene: Scene,
    options: FuseOptions,
    folder: Path | None,
    budget: int | None,
    progress: Callable[[float, float, str], None] | None,
) -> Outcome:
    from pansharp.adaptation.adapt import adapt, pixel_budget, resolve_device
    from pansharp.adaptation.guard import compare
    from pansharp.adaptation.trial import PASSES, Trial

    if options.adapt == "never":
        raise ModelError(
            f"'{options.model}' has no weights for this scene and --adapt is never; "
            "drop --adapt never or choose a classical model"
        )
    name = "rescnn" if options.model == "auto" else options.model
    clock = _Clock()
    if progress:
        progress(0, 1, "registering")
    original = scene
    found = register(scene, options, apply=True)
    scene, facts = found.scene, found.facts
    outcome = Outcome(
        scene,
        facts,
        options.model,
        name,
        None,  # type: ignore[arg-type]
        shift=found.shift,
        shift_applied=found.applied,
    )
    _note_shift(outcome)
    outcome.timings["registering"] = clock.lap()
    trial = Trial(scene, facts, budget or pixel_budget(name))
    outcome.trial = trial
    if trial.train_pixels < 256 or trial.score_count == 0:
        return _too_small(outcome, original, options, progress)
    for passes in PASSES:
        trial.best_classical(passes)
    outcome.timings["classical"] = clock.lap()
    device = resolve_device(options.device)
    adapted = adapt(
        name,
        trial,
        steps=options.adapt_steps,
        seed=options.seed,
        device=device,
        threads=_workers(options),
        progress=progress,
    )
    outcome.adapted = adapted
    outcome.timings["adapting"] = clock.lap()
    verdicts = {
        k: compare(adapted.scores[k], trial.classical(trial.best_classical(k), k), options.seed)
        for k in PASSES
    }
    allowed = PASSES if options.backproject == "auto" else (int(options.backproject),)
    hopeless = all(verdicts[k].word == "worse" for k in allowed)
    if hopeless and not options.force:
        _fall_back(outcome, verdicts, allowed, options, progress)
        outcome.timings["scoring"] = clock.lap()
        return outcome
    _predict(outcome, name, options, folder, device, progress)
    outcome.timings["predicting"] = clock.lap()
    _choose_passes(outcome, allowed, progress)
    outcome.verdict = verdicts[outcome.passes]
    if outcome.verdict.word == "worse" and not options.force:
        _fall_back(outcome, verdicts, (outcome.passes,), options, progress)
    _judge_notes(outcome)
    outcome.timings["scoring"] = clock.lap()
    return outcome


class _Clock:
    """Laps of wall time."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds


def _predict(
    outcome: Outcome,
    name: str,
    options: FuseOptions,
    folder: Path | None,
    device: str,
    progress: Callable[[float, float, str], None] | None,
) -> None:
    """Run the network over the scene into a scratch image."""
    from pansharp.adaptation.adapt import anchored, use_threads
    from pansharp.engine import FromSource, blend_tiles
    from pansharp.models.networks import get_network
    from pansharp.source.spool import Spool

    scene, facts = outcome.scene, outcome.facts
    assert outcome.adapted is not None
    workers = _workers(options)
    anchor = prepare(create_model("mtf-glp-fs"), scene, facts, workers=workers)
    fuser = anchored(name, outcome.adapted, anchor, scene.ratio, device, options.precision)
    spec = get_network(name)
    tile, overlap, kind = lattice(spec, options, outcome)
    outcome.spool = Spool(scene.shape, folder)
    use_threads(1 if device == "cpu" else workers)
    pieces = blend_tiles(
        scene,
        fuser,
        tile=tile,
        overlap=overlap,
        kind=kind,
        multiple=spec.multiple_of,
        workers=workers if device == "cpu" else 1,
        progress=progress,
        label="predicting",
    )
    for window, piece in pieces:
        outcome.spool.write(window, piece)
    outcome.fuser = FromSource(outcome.spool)


def lattice(spec: object, options: FuseOptions, outcome: Outcome) -> tuple[int, int, str]:
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
        outcome.warn(
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
        f"model+bp{k}": _with_passes(plain, facts, k) for k in sorted({0, *allowed})
    }
    workers = default_workers()
    fitted: dict[str, Fuser] = {}
    for passes in sorted({0, *allowed}):
        best = trial.best_classical(passes)
        if best not in fitted:
            fitted[best] = prepare(create_model(best), scene, facts, workers=workers)
        products[f"best_classical+bp{passes}"] = _with_passes(fitted[best], facts, passes)
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
    fuser = prepare(create_model(name), scene, facts, workers=_workers(options))
    outcome.verdict = verdicts[passes]
    outcome.passes = passes
    outcome.used = name
    outcome.fuser = _with_passes(fuser, facts, passes)
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
    plain = replace(options, model="mtf-glp-fs", adapt="auto", coregister="off")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fallen = _classical(outcome.scene, plain, progress)
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
