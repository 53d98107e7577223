"""Which windows of a product are worth looking at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.source import read_padded

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.report.inputs import Inputs
    from pansharp.report.rivals import Rival

__all__ = ["SIDE", "WHOLE", "Place", "choose_places"]

#: Side of a window that is shown pixel by pixel.
SIDE = 512
#: A product up to this side is shown whole.
WHOLE = 768
#: Candidates along an axis; of cubes fewer.
_ACROSS, _CUBE_ACROSS, _FEW_BANDS = 6, 3, 16
#: Centre of a candidate that is measured, and the least share of valid pixels there.
_PROBE, _LEAST_VALID = 192, 0.6


@dataclass(frozen=True)
class Place:
    """A window with a name.

    Parameters
    ----------
    title : str
        Its name.
    why : str
        Why it was chosen.
    window : Window
        Product pixels.
    overview : bool
        Whether it is the whole product, reduced.
    """

    title: str
    why: str
    window: Window
    overview: bool = False


@dataclass(frozen=True)
class _Probe:
    window: Window
    detail: float
    level: float
    apart: float


def choose_places(
    inputs: Inputs,
    rival: Rival | None,
    *,
    progress: Callable[[float, float, str], None] | None = None,
) -> list[Place]:
    """Choose the windows of a report.

    Parameters
    ----------
    inputs : Inputs
        Product and scene.
    rival : Rival or None
        The other product.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    list of Place
        The whole product where it is small; else an overview, and of windows spread evenly the one
        with the most detail, the darkest, the one where the two products differ most, and the one
        nearest to the median of detail and brightness. None comes twice.
    """
    full = inputs.full
    if max(full.shape) <= WHOLE:
        return [Place("Whole scene", "all pixels of the product", full)]
    places = [Place("Overview", "the whole product, reduced", full, overview=True)]
    windows = _lattice(full, _ACROSS if inputs.product.bands <= _FEW_BANDS else _CUBE_ACROSS)
    probes = []
    for done, window in enumerate(windows, 1):
        probe = _probe(inputs, rival, window)
        if probe is not None:
            probes.append(probe)
        if progress:
            progress(done, len(windows), "choosing windows")
    for title, why, key in _wishes(probes, rival):
        if probes:
            best = min(probes, key=key)
            probes.remove(best)
            places.append(Place(title, why, best.window))
    return places


def _wishes(
    probes: list[_Probe], rival: Rival | None
) -> list[tuple[str, str, Callable[[_Probe], float]]]:
    found = list(probes)
    if not found:
        return []
    detail = float(np.median([p.detail for p in found]))
    level = float(np.median([p.level for p in found]))
    wishes: list[tuple[str, str, Callable[[_Probe], float]]] = [
        ("Most detail", "the sharpest edges of the PAN", lambda p: -p.detail),
        ("Darkest", "water, shadow or dark ground", lambda p: p.level),
    ]
    if rival is not None:
        why = f"where the product and {rival.label} differ most"
        wishes.append(("Largest difference", why, lambda p: -p.apart))
    wishes.append(
        (
            "Typical",
            "nearest to the median of detail and brightness",
            lambda p: abs(p.detail / (detail or 1.0) - 1.0) + abs(p.level / (level or 1.0) - 1.0),
        )
    )
    return wishes


def _lattice(full: Window, across: int) -> list[Window]:
    """Windows spread evenly, corners included."""

    def starts(size: int) -> list[int]:
        side = min(SIDE, size)
        count = min(across, max(1, math.ceil(size / side)))
        return [round(i * (size - side) / max(1, count - 1)) for i in range(count)]

    height, width = min(SIDE, full.height), min(SIDE, full.width)
    return [
        Window(row, col, height, width) for row in starts(full.height) for col in starts(full.width)
    ]


def _probe(inputs: Inputs, rival: Rival | None, window: Window) -> _Probe | None:
    """Measure the centre of a candidate; None where it holds too little."""
    rows, cols = min(_PROBE, window.height), min(_PROBE, window.width)
    inner = Window(
        window.row + (window.height - rows) // 2,
        window.col + (window.width - cols) // 2,
        rows,
        cols,
    )
    fused, valid = read_padded(inputs.product, inner)
    mask = np.ones(inner.shape, dtype=bool) if valid is None else valid
    if mask.mean() < _LEAST_VALID:
        return None
    guide = fused if inputs.scene is None else read_padded(inputs.scene.pan_source, inner)[0]
    apart = 0.0
    if rival is not None:
        # Of cubes a dozen bands will do.
        some = slice(None, None, max(1, fused.shape[0] // 12))
        error = (fused[some] - rival.read(inner)[some])[:, mask].astype(np.float64)
        known = error[np.isfinite(error).all(axis=1)]
        apart = float(np.sqrt(np.mean(known**2))) if known.size else 0.0
    # The last band of a delivery is the longest wave, where water is black.
    level = float(fused[-1 if fused.shape[0] <= _FEW_BANDS else fused.shape[0] // 3][mask].mean())
    return _Probe(window, _roughness(guide, mask), level, apart)


def _roughness(guide: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    image = guide.mean(axis=0)
    both = mask[1:, 1:] & mask[:-1, 1:] & mask[1:, :-1]
    steps = np.abs(image[1:, 1:] - image[:-1, 1:]) + np.abs(image[1:, 1:] - image[1:, :-1])
    return float(steps[both].mean()) if both.any() else 0.0
