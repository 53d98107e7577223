"""What a pair tells of itself before it is fused: shift between the images, sharpness of the MS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pansharp.engine import facts_of

if TYPE_CHECKING:
    from pansharp.geometry.register import Scan, Sharpness, Shift
    from pansharp.models.base import SceneFacts
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene

__all__ = ["SAMPLE", "Registration", "assumed_facts", "register"]

#: MS pixels on which pairs are measured and classical products scored.
SAMPLE = 110_000


@dataclass(frozen=True)
class Registration:
    """A scene as it shall be fused.

    Parameters
    ----------
    scene : Scene
        With the shift that was applied.
    facts : SceneFacts
        MTF gains; ``extra`` says where they come from (``gains_source``: ``table``, ``assumed``,
        ``measured`` or ``given``) and what was measured (``sharpness``).
    shift : Shift or None
        What the scan found; None when it was not asked for.
    applied : tuple of float
        Rows and columns by which the MS was moved, PAN pixels.
    """

    scene: Scene
    facts: SceneFacts
    shift: Shift | None = None
    applied: tuple[float, float] = (0.0, 0.0)


def assumed_facts(scene: Scene, options: FuseOptions) -> SceneFacts:
    """Facts of a scene before anything is measured: given gains, else those of the table."""
    facts = facts_of(scene)
    gain = options.gain()
    if gain is not None:
        return _with_gain(facts, gain, "given")
    source = "assumed" if facts.extra["gains_assumed"] else "table"
    return replace(facts, extra={**facts.extra, "gains_source": source})


def register(scene: Scene, options: FuseOptions, *, apply: bool) -> Registration:
    """Measure shift and sharpness on samples of a pair, as far as the options want it.

    Parameters
    ----------
    scene : Scene
        The pair as georeferenced.
    options : FuseOptions
        ``coregister`` and ``mtf``.
    apply : bool
        Move the scene by the shift and use the gain that were found; False only reports them.

    Returns
    -------
    Registration
    """
    given = options.shift()
    facts = assumed_facts(scene, options)
    shift: Shift | None = None
    rows, cols = given or (0.0, 0.0)
    scans = given is None and options.coregister == "auto"
    measures = options.mtf == "auto"
    scan = _scan(scene, facts) if scans or (measures and apply) else None
    gain = sum(facts.ms_gains) / len(facts.ms_gains)
    if scan is not None and scans:
        shift = scan.shift(gain)
        if apply:
            rows, cols = shift.rows, shift.cols
    if scan is not None and measures:
        found = scan.sharpness(shift.rows if shift else rows, shift.cols if shift else cols, gain)
        facts = _sharpened(facts, found, apply)
    moved = scene.shifted(rows, cols) if (rows, cols) != (0.0, 0.0) else scene
    return Registration(moved, replace(facts, alignment=moved.alignment), shift, (rows, cols))


def _sharpened(facts: SceneFacts, found: Sharpness | None, apply: bool) -> SceneFacts:
    """Keep what was measured; use it where the table has nothing better than a guess."""
    if found is None:
        return facts
    if apply and facts.extra["gains_source"] == "assumed":
        facts = _with_gain(facts, found.gain, "measured")
    return replace(facts, extra={**facts.extra, "sharpness": found})


def _with_gain(facts: SceneFacts, gain: float, source: str) -> SceneFacts:
    extra = {**facts.extra, "gains_source": source, "gains_assumed": False}
    return replace(facts, ms_gains=(gain,) * len(facts.ms_gains), extra=extra)


def _scan(scene: Scene, facts: SceneFacts) -> Scan | None:
    """The scan on textured samples; None where the scene is too small for one."""
    from pansharp.adaptation.level import pan_window, sample_windows
    from pansharp.chips import read_chip
    from pansharp.geometry.kernels import MtfGaussian
    from pansharp.geometry.register import REACH, Scan

    gain = sum(facts.ms_gains) / len(facts.ms_gains)
    margin = int(MtfGaussian(scene.ratio, gain).radius) + REACH + 2
    windows = [pan_window(scene, w) for w in sample_windows(scene, SAMPLE)]
    inside = [w.expand(-REACH) for w in windows]
    chips = [read_chip(scene, w, margin + REACH) for w in inside if w.height > 8 and w.width > 8]
    return Scan(chips) if chips else None
