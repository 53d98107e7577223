"""What is known of a fusion, and what all ways to one share."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pansharp.engine import default_workers
from pansharp.errors import AlignmentWarning, ModelError, PansharpWarning
from pansharp.registration import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.adaptation.guard import Verdict
    from pansharp.adaptation.settings import Adapted
    from pansharp.adaptation.trial import Trial
    from pansharp.geometry.register import Shift
    from pansharp.models.base import Fuser, SceneFacts
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene
    from pansharp.source.spool import Spool

    Progress = Callable[[float, float, str], None]

__all__ = [
    "Clock",
    "Outcome",
    "note_bands",
    "note_shift",
    "refuse_adapting",
    "refuse_weights",
    "release_memory",
    "with_passes",
    "workers_of",
]


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
    #: What the card says of a model that was fitted to a cube.
    model_facts: dict[str, object] = field(default_factory=dict)

    def warn(self, text: str, kind: type[PansharpWarning] = PansharpWarning) -> None:
        """Keep a warning for the card and tell it."""
        self.warnings.append(text)
        warnings.warn(text, kind, stacklevel=2)

    def close(self) -> None:
        """Release scratch."""
        if self.spool is not None:
            self.spool.close()


class Clock:
    """Laps of wall time."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap, or since the clock was made."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds


def release_memory() -> None:
    """Give freed memory back to the system, where the C library can.

    The parts of a fusion need memory of different shapes, and the command line tells glibc to keep
    what is freed: without this the peaks of training, prediction and judging would pile up.
    """
    gc.collect()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def workers_of(options: FuseOptions) -> int:
    """Threads to use: those asked for, else the processors there are."""
    return options.workers or default_workers()


def note_shift(outcome: Outcome) -> None:
    """Warn of a pair that does not fit together well."""
    shift = outcome.shift
    if shift is None:
        return
    if shift.r2_after < 0.9:
        outcome.warn(
            f"the MS bands explain only {100 * shift.r2_after:.0f} % of the PAN (R2): parallax, "
            "another date, or bands outside the PAN's range",
            AlignmentWarning,
        )
    if shift.patches and shift.spread is not None and shift.spread > outcome.scene.ratio:
        outcome.warn(
            f"the shift between PAN and MS scatters by {shift.spread:.1f} PAN pixels from patch to "
            "patch: no one shift puts them right",
            AlignmentWarning,
        )
    size = max(abs(shift.rows), abs(shift.cols))
    if size > 1.0:
        doubt = ""
        if max(abs(shift.rows), abs(shift.cols)) > LARGE and not any(outcome.shift_applied):
            doubt = (
                " by the best guess, which is not applied because too few parts of the scene "
                "confirm it; check that both show the same ground, or give --coregister DX,DY"
            )
        outcome.warn(
            f"PAN and MS are {shift.rows:+.2f}, {shift.cols:+.2f} PAN pixels (rows, columns) "
            f"apart{doubt}",
            AlignmentWarning,
        )


def note_bands(outcome: Outcome) -> None:
    """Warn of bands whose range the PAN does not touch: their detail is borrowed, not seen."""
    scene = outcome.scene
    sensor = scene.sensor
    bands = sensor.match_bands(scene.band_names) if sensor else None
    if bands is None or sensor is None or sensor.pan is None or sensor.pan.range_nm is None:
        return
    low, high = sensor.pan.range_nm
    outside = [
        name
        for name, band in zip(scene.band_names, bands, strict=True)
        if band.range_nm is not None and (band.range_nm[1] <= low or band.range_nm[0] >= high)
    ]
    if outside:
        outcome.warn(
            f"{len(outside)} of {len(bands)} bands lie outside the range of the PAN "
            f"({low:g}-{high:g} nm): the detail of {', '.join(outside)} is that of other "
            "wavelengths"
        )


def refuse_adapting(options: FuseOptions) -> None:
    """Refuse ``--adapt always`` and weights for what cannot be adapted.

    Raises
    ------
    ModelError
        It was asked for.
    """
    if options.adapt == "always":
        raise ModelError(
            f"'{options.model}' is not a network: there is nothing to adapt; drop --adapt"
        )
    refuse_weights(options, f"'{options.model}' is not a network")


def refuse_weights(options: FuseOptions, why: str) -> None:
    """Refuse the options about weights where nothing could be done with them.

    Raises
    ------
    ModelError
        One of them was given.
    """
    for flag, value in (
        ("--weights", options.weights),
        ("--save-weights", options.save_weights),
        ("--checkpoint", options.checkpoint),
        ("--adapt-minutes", options.adapt_minutes),
    ):
        if value is not None:
            raise ModelError(f"{flag} is given, but {why}; drop {flag}")


def with_passes(fuser: Fuser, facts: SceneFacts, passes: int) -> Fuser:
    """The fuser followed by some back-projections."""
    if passes == 0:
        return fuser
    from pansharp.adaptation.backproject import BackProjected

    return BackProjected(fuser, facts.ms_gains, passes, facts.alignment.ratio)
