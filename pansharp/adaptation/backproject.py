"""Back-projection: make the product agree with the MS it came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.level import blur_to_ms
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import MtfGaussian, glp_halo
from pansharp.geometry.resample import input_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Fuser

__all__ = ["BackProjected", "back_project", "backprojection_halo"]


def backprojection_halo(ratio: float, gains: tuple[float, ...], passes: int) -> int:
    """PAN pixels around a window that back-projection reads of the fused image."""
    return passes * glp_halo(ratio, gains)


def back_project(
    fused: NDArray[np.float32],
    chip: Chip,
    gains: tuple[float, ...],
    passes: int,
    inside: tuple[int, int, int, int] | None = None,
) -> NDArray[np.float32]:
    """Add the interpolated residual ``M - D y`` to the product, `passes` times.

    Two passes are one pass with the residual ``2 r - D up(r)``, because D and the interpolation
    are linear: the fused image itself is blurred only once.

    Parameters
    ----------
    fused : ndarray, shape (band, y, x), float32
        Product of the chip's window grown by :func:`backprojection_halo`.
    chip : Chip
        The window and its MS.
    gains : tuple of float
        MTF gain of each band.
    passes : int
        0, 1 or 2.
    inside : tuple of int, optional
        First row, row end, first column, column end of the MS pixels of the scene. The residual is
        replicated beyond them; without, MS and product are replicated each by itself, and their
        difference there is no measurement.

    Returns
    -------
    ndarray, shape (band, y, x), float32
        For the chip's window.
    """
    if passes == 0:
        return fused
    margin = backprojection_halo(chip.alignment.ratio, gains, passes)
    start = chip.window.expand(margin)
    alignment = chip.alignment
    inner = chip.up_window()
    if passes == 1:
        reach = inner
    else:
        blur = MtfGaussian(alignment.ratio, min(gains), normalize=True)
        fine = input_window(alignment, "down", blur, inner)
        grow = max(chip.window.row - fine.row, chip.window.col - fine.col)
        grow = max(grow, fine.row_end - chip.window.row_end, fine.col_end - chip.window.col_end)
        reach = chip.up_window(grow)
    residual = chip.ms_pixels(reach) - blur_to_ms(
        fused, (start.row, start.col), reach, alignment, gains
    )
    mask = chip.ms_mask(reach)
    if mask is not None:
        # Filled pixels hold no measurement: they must not pull on their neighbours.
        residual[:, ~mask] = 0.0
    if inside is not None:
        row, row_end, col, col_end = inside
        rows = np.clip(np.arange(reach.row, reach.row_end), row, row_end - 1) - reach.row
        cols = np.clip(np.arange(reach.col, reach.col_end), col, col_end - 1) - reach.col
        rows, cols = np.clip(rows, 0, reach.height - 1), np.clip(cols, 0, reach.width - 1)
        residual = np.ascontiguousarray(residual[:, rows[:, None], cols])
    if passes == 2:
        raised = chip.up_from(residual, (reach.row, reach.col), grow)
        origin = (chip.window.row - grow, chip.window.col - grow)
        again = blur_to_ms(raised, origin, inner, alignment, gains)
        here = (slice(None), *inner.relative_to(reach).slices)
        residual = 2.0 * residual[here] - again
    cut = slice(margin, -margin)
    result = chip.up_from(residual, (inner.row, inner.col))
    result += fused[:, cut, cut]
    return result


@dataclass(frozen=True)
class BackProjected:
    """A fuser followed by back-projection.

    Parameters
    ----------
    inner : Fuser
        Any prepared model.
    gains : tuple of float
        MTF gains of the bands.
    passes : int
        1 or 2.
    ratio : float
        MS pixel over PAN pixel.
    inside : tuple of int, optional
        MS pixels of the scene, as in :func:`back_project`.
    """

    inner: Fuser
    gains: tuple[float, ...]
    passes: int
    ratio: float
    inside: tuple[int, int, int, int] | None = None

    @property
    def halo(self) -> int:
        """Context of the model and of the back-projection."""
        return self.inner.halo + backprojection_halo(self.ratio, self.gains, self.passes)

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse a larger window, then correct it."""
        margin = backprojection_halo(self.ratio, self.gains, self.passes)
        fused = self.inner(chip.grown(margin))
        return back_project(fused, chip, self.gains, self.passes, self.inside)


def consistency(
    fused: NDArray[np.float32], chip: Chip, gains: tuple[float, ...]
) -> NDArray[np.float64]:
    """Sums for the RMSE between the degraded product and the MS, per band.

    Parameters
    ----------
    fused : ndarray, shape (band, y, x), float32
        Product of the chip's window.
    chip : Chip
        The window.
    gains : tuple of float
        MTF gains.

    Returns
    -------
    ndarray, shape (3, band), float64
        Number of pixels, sum of squared differences, sum of MS.
    """
    blur = MtfGaussian(chip.alignment.ratio, min(gains), normalize=True)
    own = chip.own_ms()
    inset = math.ceil((blur.radius + 1) / chip.alignment.ratio)
    inner = Window(own.row + inset, own.col + inset, own.height - 2 * inset, own.width - 2 * inset)
    total = np.zeros((3, len(gains)))
    if inner.height <= 0 or inner.width <= 0:
        return total
    low = blur_to_ms(fused, (chip.window.row, chip.window.col), inner, chip.alignment, gains)
    truth = chip.ms_pixels(inner)
    mask = chip.ms_mask(inner)
    keep = np.ones(inner.shape, dtype=bool) if mask is None else mask
    total[0] = keep.sum()
    total[1] = ((low - truth).astype(np.float64) ** 2)[:, keep].sum(axis=1)
    total[2] = truth[:, keep].sum(axis=1, dtype=np.float64)
    return total
