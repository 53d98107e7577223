"""Indices without a reference at full resolution, on windows of the scene, mask-aware."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.backproject import consistency
from pansharp.chips import read_chip
from pansharp.evaluation import FullResolutionAccumulator
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.kernels import Cubic, MtfGaussian
from pansharp.geometry.resample import sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Fuser, SceneFacts
    from pansharp.scene import Scene

__all__ = ["BLOCK", "full_scores", "full_windows"]

#: Block of the full-resolution indices, PAN pixels.
BLOCK = 32
_SIDE = 512
_SAME = Alignment(AxisMap(1.0, 0.0), AxisMap(1.0, 0.0))


def full_windows(scene: Scene, budget: int = 2_200_000) -> list[Window]:
    """PAN windows for the indices: all whole blocks of a small scene, else windows spread over it.

    Parameters
    ----------
    scene : Scene
        The scene.
    budget : int
        PAN pixels up to which everything is scored.

    Returns
    -------
    list of Window
        Sides are multiples of 32; empty when the scene is smaller than one block.
    """
    _, height, width = scene.shape
    rows, cols = height // BLOCK * BLOCK, width // BLOCK * BLOCK
    if not rows or not cols:
        return []
    if rows * cols <= budget:
        return [
            Window(r, c, min(_SIDE, rows - r), min(_SIDE, cols - c))
            for r in range(0, rows, _SIDE)
            for c in range(0, cols, _SIDE)
        ]
    count = max(1, math.isqrt(budget // _SIDE**2))
    high, wide = min(_SIDE, rows), min(_SIDE, cols)

    def starts(size: int, side: int) -> list[int]:
        places = {((2 * i + 1) * size // (2 * count) - side // 2) // BLOCK for i in range(count)}
        return sorted({min(max(0, p * BLOCK), size - side) for p in places})

    return [Window(r, c, high, wide) for r in starts(rows, high) for c in starts(cols, wide)]


def full_scores(
    scene: Scene,
    products: Mapping[str, Fuser],
    windows: Sequence[Window],
    facts: SceneFacts,
) -> dict[str, dict[str, float]]:
    """D_lambda, D_s, QNR, D_lambda_K, HQNR and the RMSE to the MS of several products.

    The interpolated MS is the one of the fusion (true sub-pixel positions, replicated borders);
    the PAN is shrunk with an antialiased cubic and interpolated back, as in the toolbox.

    Parameters
    ----------
    scene : Scene
        The scene, with its shift.
    products : mapping of str to Fuser
        Name to fuser; read windows with their halo.
    windows : sequence of Window
        From :func:`full_windows`.
    facts : SceneFacts
        MTF gains.

    Returns
    -------
    dict
        Product name to index name to value.
    """
    gains = facts.ms_gains
    reach = math.ceil(max(MtfGaussian(scene.ratio, g).radius for g in gains)) + 1
    low_reach = math.ceil(scene.ratio * 14) + 2
    halo = max([low_reach, *(reach + fuser.halo for fuser in products.values())])
    gaps = {name: np.zeros((3, scene.bands)) for name in products}
    sums = {
        name: FullResolutionAccumulator(scene.bands, block=BLOCK, rounding=scene.rounding)
        for name in products
    }
    for window in windows:
        chip = read_chip(scene, window, halo)
        up = chip.up()
        pan = chip.guide()[0]
        pan_low = _pan_low(chip)
        for name, fuser in products.items():
            wide = fuser(chip.grown(reach))
            blurred = _blur(wide, window, reach, scene.ratio, gains)
            cut = slice(reach, -reach)
            fused = wide[:, cut, cut]
            sums[name].add(fused, up, blurred, pan, pan_low, chip.valid)
            gaps[name] += consistency(fused, chip, gains)
    return {name: total.result() | _relative(gaps[name]) for name, total in sums.items()}


def _relative(gap: NDArray[np.float64]) -> dict[str, float]:
    """RMSE between the degraded product and the MS, per cent of the mean MS."""
    count, squares, total = gap.sum(axis=1)
    # Signed data around 0 have no such percentage.
    if not count or total <= 0:
        return {}
    return {"rmse_to_ms": float(100.0 * math.sqrt(squares / count) / (total / count))}


def _pan_low(chip: Chip) -> NDArray[np.float32]:
    reach = chip.up_window()
    low = chip.down(Cubic(chip.alignment.ratio), reach, chip.pan[:1])
    plane: NDArray[np.float32] = chip.up_from(low, (reach.row, reach.col))[0]
    return plane


def _blur(
    wide: NDArray[np.float32],
    window: Window,
    reach: int,
    ratio: float,
    gains: tuple[float, ...],
) -> NDArray[np.float32]:
    """MTF filter without decimation, per band."""
    out = np.empty((len(gains), *window.shape), dtype=np.float32)
    origin = (window.row - reach, window.col - reach)
    for gain in sorted(set(gains)):
        bands = [b for b, g in enumerate(gains) if g == gain]
        kernel = MtfGaussian(ratio, gain)
        out[bands] = sample(wide[bands], origin, window, _SAME, "down", kernel)
    return out
