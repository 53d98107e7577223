"""What a pair tells of itself before it is fused: shift between the images, sharpness of the MS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pansharp.engine import facts_of
from pansharp.errors import GridMismatchError
from pansharp.geometry.register import REACH, Scan, Shift

if TYPE_CHECKING:
    from pansharp.chips import Chip
    from pansharp.geometry.grids import Window
    from pansharp.geometry.register import Sharpness
    from pansharp.models.base import SceneFacts
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene

__all__ = ["LARGE", "SAMPLE", "Registration", "assumed_facts", "check_shift", "register"]

#: MS pixels on which pairs are measured and classical products scored.
SAMPLE = 110_000
#: PAN pixels from which on a shift is large: the pair may not belong together.
LARGE = 4.0
#: Rise in R2 by which a scan far from the georeference must be better than one near it.
_FAR_BETTER = 0.01
#: PAN pixels within which patches agree with each other.
_SAME = 0.5
#: PAN pixels (the scan's step), and MS pixels, within which they agree with the scene.
_STEP, _NEAR_MS = 0.25, 0.075
#: Samples that are enough patches as they are; fewer are split, each axis into so many parts at
#: most, of this side at least, MS pixels.
_FEW, _SPLIT, _LEAST_SIDE = 9, 4, 24


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


def register(
    scene: Scene, options: FuseOptions, *, apply: bool, gains: bool | None = None
) -> Registration:
    """Measure shift and sharpness on samples of a pair, as far as the options want it.

    Parameters
    ----------
    scene : Scene
        The pair as georeferenced.
    options : FuseOptions
        ``coregister``, ``mtf`` and ``strict``.
    apply : bool
        Move the scene by the shift that was found; False only reports it. A large shift is
        applied only where at least four patches of the scene can tell it: two images of different
        ground have a best shift, too.
    gains : bool, optional
        Use the gain that was found; default: as `apply`.

    Returns
    -------
    Registration

    Raises
    ------
    GridMismatchError
        With ``strict``: the shift is large, or the patches do not agree on one.
    """
    given = options.shift()
    sharpen = apply if gains is None else gains
    facts = assumed_facts(scene, options)
    shift: Shift | None = None
    rows, cols = given or (0.0, 0.0)
    scans = given is None and options.coregister == "auto"
    measures = options.mtf == "auto"
    chips = _chips(scene, facts) if scans or (measures and sharpen) else []
    gain = sum(facts.ms_gains) / len(facts.ms_gains)
    if chips:
        scan, moved = Scan(chips), (0.0, 0.0)
        if scans:
            shift, scan, moved = _measured(scene, facts, scan, chips)
            if options.strict:
                check_shift(scene, shift)
            if apply and _likely(shift):
                rows, cols = shift.rows, shift.cols
        if measures:
            at = (shift.rows, shift.cols) if shift else (rows, cols)
            found = scan.sharpness(at[0] - moved[0], at[1] - moved[1], gain)
            facts = _sharpened(facts, found, sharpen)
    elif scans and options.strict:
        raise GridMismatchError(
            f"'{scene.name}' is too small to measure a shift between PAN and MS, which --strict "
            "asks for; give --coregister DX,DY or off"
        )
    final = scene.shifted(rows, cols) if (rows, cols) != (0.0, 0.0) else scene
    return Registration(final, replace(facts, alignment=final.alignment), shift, (rows, cols))


def _measured(
    scene: Scene, facts: SceneFacts, scan: Scan, chips: list[Chip]
) -> tuple[Shift, Scan, tuple[float, float]]:
    """The shift of a scene; the scan that found it, and the shift from which that started.

    A scan climbs from the georeference, another one from what phase correlation says where that is
    far. The one that explains more is right. Then the textured patches are asked one by one.
    """
    from pansharp.geometry.patches import MIN_PATCHES, agree, coarse_shift

    gain = sum(facts.ms_gains) / len(facts.ms_gains)
    shift, moved = scan.shift(gain), (0.0, 0.0)
    coarse = coarse_shift(chips, gain)
    if coarse is not None and max(map(abs, coarse)) >= scene.ratio:
        far = scene.shifted(*coarse)
        there = _chips(far, facts)
        other = Scan(there) if there else scan
        best = other.climb(gain, (0.0, 0.0), (1.0, 0.5, 0.25))
        after = other.r2(*best, gain)
        if there and after > shift.r2_after + _FAR_BETTER:
            shift = Shift(coarse[0] + best[0], coarse[1] + best[1], shift.r2_before, after)
            scan, moved, chips, scene = other, coarse, there, far
    near = (shift.rows - moved[0], shift.cols - moved[1])
    asked = agree(_parts(scene, facts, chips), gain, near)
    if asked is None:
        return shift, scan, moved
    rows, cols = asked.rows - near[0], asked.cols - near[1]
    apart = max(abs(rows), abs(cols)) > max(_STEP, _NEAR_MS * scene.ratio)
    if apart and asked.patches >= MIN_PATCHES and asked.spread <= _SAME:
        # What all patches see alike is no noise, however little the whole scene gains by it; and
        # a few strong ones (a cloud, a ship) may have spoken for the scene.
        quarter = (round(4 * asked.rows) / 4, round(4 * asked.cols) / 4)
        after = scan.r2(*quarter, gain)
        # Where textures are clouds and the rest is smooth, it is the patches that are wrong.
        if after >= shift.r2_before:
            rows, cols = asked.rows - quarter[0], asked.cols - quarter[1]
            quarter = (moved[0] + quarter[0], moved[1] + quarter[1])
            shift = replace(shift, rows=quarter[0], cols=quarter[1], r2_after=after)
    shift = replace(shift, patches=asked.patches, spread=asked.spread, residual=(rows, cols))
    return shift, scan, moved


def _likely(shift: Shift) -> bool:
    """Whether a shift may be one: small, or large and seen by enough patches."""
    from pansharp.geometry.patches import MIN_PATCHES

    return max(abs(shift.rows), abs(shift.cols)) <= LARGE or shift.patches >= MIN_PATCHES


def check_shift(scene: Scene, shift: Shift, *, patches: bool = True) -> None:
    """Refuse what ``--strict`` does not let pass.

    Parameters
    ----------
    scene : Scene
        The pair.
    shift : Shift
        What was measured.
    patches : bool
        Whether patches were asked one by one.

    Raises
    ------
    GridMismatchError
        The shift is large, too few patches can tell, or they scatter.
    """
    from pansharp.geometry.patches import MIN_PATCHES

    problem = None
    if max(abs(shift.rows), abs(shift.cols)) > LARGE:
        problem = (
            f"PAN and MS of '{scene.name}' are {shift.rows:+.2f}, {shift.cols:+.2f} PAN pixels "
            f"(rows, columns) apart, more than {LARGE:g}"
        )
    elif patches and shift.patches < MIN_PATCHES:
        problem = (
            f"{shift.patches} patches of '{scene.name}' can tell how PAN and MS lie on each "
            f"other, {MIN_PATCHES} are needed"
        )
    elif shift.spread is not None and shift.spread > scene.ratio:
        problem = (
            f"the shift between PAN and MS of '{scene.name}' scatters by {shift.spread:.1f} PAN "
            "pixels from patch to patch"
        )
    if problem is not None:
        raise GridMismatchError(
            f"{problem}; check the pair, give --coregister DX,DY or off, or leave off --strict"
        )


def _parts(scene: Scene, facts: SceneFacts, chips: list[Chip]) -> list[Chip]:
    """Chips small enough and many enough to be asked one by one."""
    if len(chips) >= _FEW:
        return chips
    from pansharp.adaptation.level import pan_window, sample_windows
    from pansharp.geometry.grids import Window

    windows = []
    for whole in sample_windows(scene, SAMPLE):
        down, across = (max(1, min(_SPLIT, size // _LEAST_SIDE)) for size in whole.shape)
        for i in range(down):
            for j in range(across):
                top, left = whole.height * i // down, whole.width * j // across
                bottom, right = whole.height * (i + 1) // down, whole.width * (j + 1) // across
                part = Window(whole.row + top, whole.col + left, bottom - top, right - left)
                windows.append(pan_window(scene, part))
    return _read(scene, facts, windows)


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


def _chips(scene: Scene, facts: SceneFacts) -> list[Chip]:
    """Samples for the scan; none where the scene is too small for one."""
    from pansharp.adaptation.level import pan_window, sample_windows

    return _read(scene, facts, [pan_window(scene, w) for w in sample_windows(scene, SAMPLE)])


def _read(scene: Scene, facts: SceneFacts, windows: list[Window]) -> list[Chip]:
    from pansharp.chips import read_chip
    from pansharp.geometry.kernels import MtfGaussian

    gain = sum(facts.ms_gains) / len(facts.ms_gains)
    margin = int(MtfGaussian(scene.ratio, gain).radius) + REACH + 2
    inside = [w.expand(-REACH) for w in windows]
    return [read_chip(scene, w, margin + REACH) for w in inside if w.height > 8 and w.width > 8]
