"""A native pair at reduced resolution: the toolbox's degradation where its grid allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.filters import degrade
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.scene import Scene
from pansharp.source import read_padded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.models.base import SceneFacts

__all__ = ["Level", "grid_kind", "reduce_scene"]

#: MS pixels up to which a scene is degraded as a whole.
_WHOLE = 2**20
#: Side of the windows that stand for a larger one, MS pixels.
_SIDE = 256
_RULES = (
    "toolbox: MS filtered by the MTF and decimated, PAN shrunk by antialiased bicubic",
    "true grids: MS filtered by the normalised MTF at true positions, PAN shrunk by antialiased "
    "bicubic",
)


@dataclass(frozen=True)
class Level:
    """A pair one ratio coarser, with its truth.

    Parameters
    ----------
    scene : Scene
        Degraded pair.
    reference : ndarray, shape (band, y, x)
        The native MS.
    valid : ndarray, shape (y, x), bool, or None
        Pixels that count; None means all.
    rule : str
        How it was degraded.
    """

    scene: Scene
    reference: NDArray[np.generic]
    valid: NDArray[np.bool_] | None
    rule: str


def grid_kind(scene: Scene) -> str | None:
    """Whether a pair lies as the toolboxes assume.

    Returns
    -------
    str or None
        ``"toolbox"``: MS pixel 0 on PAN pixel ratio // 2; ``"corner"``: the grids share their
        first corner; both with a ratio that is a power of two and a PAN of exactly ratio times
        the MS. None: anything else.
    """
    ratio = scene.alignment.integer_ratio
    ms, pan = scene.ms_source, scene.pan_source
    if ratio is None or ratio < 2 or ratio & (ratio - 1):
        return None
    if (pan.height, pan.width) != (ms.height * ratio, ms.width * ratio):
        return None
    axes = (scene.alignment.y, scene.alignment.x)
    for kind, wanted in (("toolbox", AxisMap.toolbox(ratio)), ("corner", AxisMap.corner(ratio))):
        if all(
            abs(axis.offset - wanted.offset) < 1e-3 and abs(axis.scale - ratio) < 1e-6
            for axis in axes
        ):
            return kind
    return None


def reduce_scene(scene: Scene, facts: SceneFacts) -> list[Level]:
    """Degrade a scene by its own ratio, after Wald's protocol.

    Parameters
    ----------
    scene : Scene
        A native pair, with the shift that shall hold.
    facts : SceneFacts
        Its MTF gains.

    Returns
    -------
    list of Level
        One for a scene of up to a million MS pixels; windows spread over a larger one.
    """
    from pansharp.adaptation.level import reduce_window, sample_windows

    ms = scene.ms_source
    if grid_kind(scene) is not None and ms.height * ms.width <= _WHOLE:
        level = _as_toolbox(scene, facts.ms_gains)
        if level is not None:
            return [level]
    levels = []
    for window in sample_windows(scene, _WHOLE, _SIDE):
        part = reduce_window(scene, window, facts.ms_gains)
        valid = None if part.valid.all() else part.valid
        levels.append(Level(part.scene, part.reference, valid, _RULES[1]))
    # Windows in the empty part of a scene have nothing to say.
    return [x for x in levels if x.valid is None or x.valid.mean() > 0.25] or levels[:1]


def _as_toolbox(scene: Scene, gains: tuple[float, ...]) -> Level | None:
    """The toolbox's degradation; None where pixels are missing, which it has no rule for.

    Grids that share their corner fit it as well: the centres of the shrunk PAN then are those of
    the MS, and the decimated MS lies on them as the toolbox assumes.
    """
    ratio = scene.alignment.integer_ratio
    assert ratio is not None
    rows, cols = (size // ratio * ratio for size in (scene.ms_source.height, scene.ms_source.width))
    if not rows or not cols:
        return None
    ms, ms_valid = read_padded(scene.ms_source, Window(0, 0, rows, cols))
    pan, pan_valid = read_padded(scene.pan_source, Window(0, 0, rows * ratio, cols * ratio))
    if any(valid is not None and not valid.all() for valid in (ms_valid, pan_valid)):
        return None
    low = np.empty((len(ms), rows // ratio, cols // ratio), dtype=np.float32)
    for gain in sorted(set(gains)):
        bands = [b for b, g in enumerate(gains) if g == gain]
        low[bands], pan_low = degrade(ms[bands], pan[0], ratio=ratio, sensor=gain)
    reduced = Scene.from_arrays(
        pan_low,
        low,
        alignment=Alignment.toolbox(ratio),
        sensor=scene.sensor,
        band_names=scene.band_names,
        name=scene.name,
    )
    return Level(reduced, ms, None, _RULES[0])
