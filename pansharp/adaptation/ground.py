"""A reduced scene as training material: patches of it, and predictions on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pansharp.adaptation.anchored import Inputs, predict
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from pansharp.adaptation.fit import FitPlan

__all__ = ["Ground", "Sampler", "choosing_error", "predict_ground"]


@dataclass(frozen=True)
class Ground:
    """One reduced scene made ready for training.

    Parameters
    ----------
    inputs : Inputs
        Network inputs of the whole window.
    reference : ndarray, shape (band, y, x), float32
        Native MS, counts.
    mask : ndarray, shape (y, x), bool
        Pixels the loss may use.
    blocks : tuple of Window
        Held-out blocks that may choose among states.
    valid : ndarray, shape (y, x), bool
        Real data.
    """

    inputs: Inputs
    reference: NDArray[np.float32]
    mask: NDArray[np.bool_]
    blocks: tuple[Window, ...]
    valid: NDArray[np.bool_]


class Sampler:
    """Random patches of the training pixels, augmented."""

    def __init__(
        self, grounds: Sequence[Ground], scale: NDArray[np.float32], plan: FitPlan
    ) -> None:
        self.rng = np.random.default_rng(plan.seed)
        self.batch, self.flips, self.device = plan.recipe.batch, plan.flips, plan.device
        self.side = min(plan.recipe.patch, *(min(g.mask.shape) for g in grounds))
        self.grounds = grounds
        divide = scale[:, None, None]
        self.targets = [(g.reference - g.inputs.anchor) / divide for g in grounds]
        sizes = np.array([g.mask.sum() for g in grounds], dtype=np.float64)
        if not sizes.sum():
            raise ModelError(
                "no valid pixel is left to train on: the scene is too small or too full of nodata; "
                "use a classical model such as mtf-glp-fs"
            )
        self.share = sizes / sizes.sum()

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One batch: guide, up, target residual, weight."""
        parts: list[list[NDArray[np.float32]]] = [[], [], [], []]
        while len(parts[0]) < self.batch:
            index = int(self.rng.choice(len(self.grounds), p=self.share))
            ground = self.grounds[index]
            height, width = ground.mask.shape
            row = int(self.rng.integers(0, height - self.side + 1))
            col = int(self.rng.integers(0, width - self.side + 1))
            cut = (slice(row, row + self.side), slice(col, col + self.side))
            mask = ground.mask[cut]
            if not mask.any():
                continue
            turn = int(self.rng.integers(0, 8)) if self.flips else 0
            planes = (
                ground.inputs.guide[:, *cut],
                ground.inputs.up[:, *cut],
                self.targets[index][:, *cut],
                mask[None].astype(np.float32),
            )
            for store, plane in zip(parts, planes, strict=True):
                store.append(_turned(plane, turn))
        guide, up, target, weight = (torch.from_numpy(np.stack(p)).to(self.device) for p in parts)
        return guide, up, target, weight


def _turned(plane: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """One of the eight symmetries of the square."""
    result = np.rot90(plane, turn % 4, axes=(1, 2))
    return np.ascontiguousarray(result[:, :, ::-1] if turn >= 4 else result)


def predict_ground(
    network: nn.Module,
    ground: Ground,
    scale: NDArray[np.float32],
    window: Window,
    plan: FitPlan,
) -> NDArray[np.float32]:
    """Product of the network on a window of a reduced scene, counts (band, y, x) float32.

    The window is predicted in tiles whose origins are multiples of ``plan.multiple``, each with
    ``plan.context`` pixels around it where the scene has them, so memory stays bounded.
    """
    height, width = ground.mask.shape
    multiple, context = plan.multiple, plan.context
    step = max(multiple, (plan.tile - 2 * context) // multiple * multiple)
    out = np.empty((len(scale), *window.shape), dtype=np.float32)
    for row in range(window.row // multiple * multiple, window.row_end, step):
        for col in range(window.col // multiple * multiple, window.col_end, step):
            tile = Window(row, col, step, step).intersect(window)
            top, left = (max(0, (v - context) // multiple * multiple) for v in (row, col))
            seen = Window(
                top,
                left,
                min(height, tile.row_end + context) - top,
                min(width, tile.col_end + context) - left,
            )
            cut = (slice(None), *seen.slices)
            part = Inputs(
                ground.inputs.anchor[cut], ground.inputs.up[cut], ground.inputs.guide[cut]
            )
            here = (slice(None), *tile.relative_to(seen).slices)
            detail = predict(network, part, plan.device)[here]
            place = (slice(None), *tile.relative_to(window).slices)
            out[place] = detail * scale[:, None, None] + part.anchor[here]
    return out


def choosing_error(
    product: Callable[[int, Window], NDArray[np.float32]],
    grounds: Sequence[Ground],
    means: NDArray[np.float32],
) -> float:
    """Relative RMS error over the choosing blocks (ERGAS without its constant).

    Parameters
    ----------
    product : callable
        ``product(index, window)`` gives counts (band, y, x) of a block of one ground.
    grounds : sequence of Ground
        With the blocks that choose.
    means : ndarray, shape (band,), float32
        What the error of each band is relative to, counts.

    Returns
    -------
    float
    """
    total = np.zeros(len(means))
    count = 0
    for index, ground in enumerate(grounds):
        for block in ground.blocks:
            keep = ground.valid[block.slices]
            fused = product(index, block)
            gap = (fused - ground.reference[:, *block.slices])[:, keep].astype(np.float64)
            total += (gap**2).sum(axis=1)
            count += int(keep.sum())
    return float(np.sqrt(np.mean(total / max(count, 1) / means.astype(np.float64) ** 2)))
