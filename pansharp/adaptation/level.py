"""The reduced level of a scene: the same fusion problem one ratio coarser, with a true answer.

Wald's protocol on real grids: the MS is blurred by its MTF and sampled on the next coarser grid,
the PAN is shrunk to the MS grid with an antialiased cubic, and the native MS is the reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.chips import Chip, read_chip
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.kernels import Cubic, MtfGaussian
from pansharp.geometry.resample import sample
from pansharp.scene import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.geometry.kernels import Kernel

__all__ = ["ReducedScene", "blur_to_ms", "pan_window", "reduce_window", "sample_windows"]

#: Borders of a reduced scene that are neither trained on nor scored, MS pixels.
BORDER = 8


@dataclass(frozen=True)
class ReducedScene:
    """One window of a scene at reduced resolution.

    Parameters
    ----------
    scene : Scene
        Shrunk PAN and degraded MS in memory; its product lies on the native MS grid.
    reference : ndarray, shape (band, y, x), float32
        The native MS, counts.
    valid : ndarray, shape (y, x), bool
        Pixels where the reference and the shrunk PAN are real data.
    rounding : {"uint16", "none"}
        `Scene.rounding` of the whole scene.
    """

    scene: Scene
    reference: NDArray[np.float32]
    valid: NDArray[np.bool_]
    rounding: Literal["uint16", "none"] = "uint16"


def blur_to_ms(
    image: NDArray[np.float32],
    origin: tuple[int, int],
    window: Window,
    alignment: Alignment,
    gains: tuple[float, ...],
) -> NDArray[np.float32]:
    """Blur each band by its MTF and sample it on the coarse grid: the operator D of the method.

    Parameters
    ----------
    image : ndarray, shape (band, y, x), float32
        Fine image; must reach one blur radius beyond the sampled positions.
    origin : tuple of int
        Position of its first pixel on the fine grid.
    window : Window
        Coarse pixels to produce.
    alignment : Alignment
        Fine/coarse map.
    gains : tuple of float
        MTF gain of each band.

    Returns
    -------
    ndarray, shape (band, y, x), float32
        Weights are normalised, so constants are kept exactly.
    """
    out = np.empty((len(gains), *window.shape), dtype=np.float32)
    for gain in sorted(set(gains)):
        bands = [b for b, g in enumerate(gains) if g == gain]
        kernel = MtfGaussian(alignment.ratio, gain, normalize=True)
        picked = image if len(bands) == len(gains) else image[bands]
        out[bands] = sample(picked, origin, window, alignment, "down", kernel)
    return out


def reduce_window(
    scene: Scene, window: Window, gains: tuple[float, ...], *, guide: Kernel | None = None
) -> ReducedScene:
    """Degrade one MS window of a scene by its own ratio.

    Parameters
    ----------
    scene : Scene
        With the alignment (and shift) that shall hold.
    window : Window
        MS pixels.
    gains : tuple of float
        MTF gains of the bands.
    guide : Kernel, optional
        What shrinks the PAN to the MS grid, its distances in PAN pixels; default the antialiased
        cubic.

    Returns
    -------
    ReducedScene
    """
    shrink = Cubic(scene.ratio) if guide is None else guide
    halo = math.ceil(max(2 * scene.ratio, shrink.radius)) + 4
    chip = read_chip(scene, pan_window(scene, window), halo)
    window = window.intersect(chip.own_ms())
    reference = np.ascontiguousarray(chip.ms_pixels(window))
    pan = chip.down(shrink, window)
    valid = _valid(chip, window)
    alignment = Alignment(_coarse(scene.alignment.y), _coarse(scene.alignment.x))
    rows = _count(alignment.y, window.height)
    cols = _count(alignment.x, window.width)
    coarse = Window(0, 0, rows, cols)
    reach = max(1, math.ceil(MtfGaussian(scene.ratio, min(gains)).radius) + 1)
    padded = np.pad(reference, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    ms = blur_to_ms(padded, (-reach, -reach), coarse, alignment, gains)
    at = [
        [int(np.clip(round(axis.to_pan(i)), 0, size - 1)) for i in range(count)]
        for axis, size, count in (
            (alignment.y, window.height, rows),
            (alignment.x, window.width, cols),
        )
    ]
    reduced = Scene.from_arrays(
        pan,
        ms,
        alignment=alignment,
        sensor=scene.sensor,
        band_names=scene.band_names,
        pan_mask=None if valid.all() else valid,
        ms_mask=None if valid.all() else valid[np.ix_(*at)],
    )
    return ReducedScene(reduced, reference, valid, scene.rounding)


def _valid(chip: Chip, window: Window) -> NDArray[np.bool_]:
    """MS pixels that are valid and whose centre lies on a valid PAN pixel."""
    mask = chip.ms_mask(window)
    valid = np.ones(window.shape, dtype=bool) if mask is None else mask.copy()
    if chip.valid is not None:
        y, x = chip.alignment.y, chip.alignment.x
        rows = [round(y.to_pan(i)) - chip.window.row for i in range(window.row, window.row_end)]
        cols = [round(x.to_pan(i)) - chip.window.col for i in range(window.col, window.col_end)]
        last = (chip.window.height - 1, chip.window.width - 1)
        valid &= chip.valid[np.ix_(np.clip(rows, 0, last[0]), np.clip(cols, 0, last[1]))]
    return valid


def _coarse(axis: AxisMap) -> AxisMap:
    """The same ratio once more; the phase is the canonical one of shared corners."""
    return AxisMap.corner(axis.scale)


def _count(axis: AxisMap, size: int) -> int:
    return max(1, math.floor((size - 1 - axis.offset) / axis.scale + 1e-9) + 1)


def pan_window(scene: Scene, ms: Window) -> Window:
    """PAN pixels over an MS window, inside the scene."""
    y, x = scene.alignment.y, scene.alignment.x
    row, row_end = (round(y.to_pan(i - 0.5) + 0.5) for i in (ms.row, ms.row_end))
    col, col_end = (round(x.to_pan(i - 0.5) + 0.5) for i in (ms.col, ms.col_end))
    inside = Window(0, 0, *scene.shape[1:])
    return Window(row, col, row_end - row, col_end - col).intersect(inside)


def sample_windows(scene: Scene, budget: int, side: int = 128) -> list[Window]:
    """MS windows that stand for a scene: all of it when small, else spread over it.

    Parameters
    ----------
    scene : Scene
        The scene.
    budget : int
        Largest number of MS pixels to take.
    side : int
        Size of one window when the scene does not fit the budget.

    Returns
    -------
    list of Window
        Windows on a regular lattice, the same for everybody who asks.
    """
    inside = Window(0, 0, *scene.shape[1:])
    y, x = scene.alignment.y, scene.alignment.x
    row, row_end = math.ceil(y.to_ms(-0.5)), math.floor(y.to_ms(inside.height - 0.5)) + 1
    col, col_end = math.ceil(x.to_ms(-0.5)), math.floor(x.to_ms(inside.width - 0.5)) + 1
    whole = Window(row, col, row_end - row, col_end - col).intersect(
        Window(0, 0, scene.ms_source.height, scene.ms_source.width)
    )
    if whole.height * whole.width <= budget:
        return [whole]
    count = max(1, budget // (side * side))
    rows = max(1, round(math.sqrt(count * whole.height / whole.width)))
    cols = max(1, count // rows)
    high, wide = min(side, whole.height), min(side, whole.width)
    return [
        Window(
            whole.row + (2 * i + 1) * whole.height // (2 * rows) - high // 2,
            whole.col + (2 * j + 1) * whole.width // (2 * cols) - wide // 2,
            high,
            wide,
        )
        for i in range(min(rows, whole.height // high))
        for j in range(min(cols, whole.width // wide))
    ]
