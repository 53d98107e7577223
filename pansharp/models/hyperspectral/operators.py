"""The operators of hyperspectral fusion: point-spread function, blur and decimation, pyramid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import UP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import SceneFacts

__all__ = [
    "BLOCK",
    "GROUP",
    "Psf",
    "add_detail",
    "blocks",
    "gain_of_sigma",
    "inner_pixels",
    "low_guide",
    "own_mask",
    "part_of",
    "psf_of",
    "pyramid_halo",
    "replicated",
    "sigma_of_gain",
]

#: Side of the blocks that iterative methods solve, guide pixels.
BLOCK = 256
#: Bands that are worked on at once: scratch of a chip is bounded by it, not by the cube.
GROUP = 16


def sigma_of_gain(gain: float) -> float:
    """Width (sigma) of the Gaussian with MTF `gain` at Nyquist, in HSI pixels."""
    return math.sqrt(-2.0 * math.log(gain)) / math.pi


def gain_of_sigma(sigma: float) -> float:
    """MTF gain at the Nyquist frequency of a Gaussian of `sigma` HSI pixels."""
    return math.exp(-((math.pi * sigma) ** 2) / 2.0)


@dataclass(frozen=True, slots=True)
class Psf:
    """Gaussian point-spread function of the HSI, along one axis.

    Parameters
    ----------
    sigma : float
        Width in guide pixels.
    """

    sigma: float
    normalize: bool = True

    @property
    def radius(self) -> float:
        """Support in guide pixels: 4.5 sigma, beyond which lie 7e-6 of the weight."""
        return math.ceil(4.5 * self.sigma)

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values (not yet normalised) at `distance` guide pixels."""
        flat = np.abs(np.asarray(distance, dtype=np.float64))
        # Exactly 0 beyond: a weight must not depend on the block that it is computed in.
        return np.where(flat <= self.radius, np.exp(-0.5 * (flat / self.sigma) ** 2), 0.0)


def psf_of(facts: SceneFacts) -> Psf:
    """The point-spread function that belongs to the MTF gain of the HSI.

    Parameters
    ----------
    facts : SceneFacts
        Ratio and gains; one width for all bands, that of the mean gain.

    Returns
    -------
    Psf
    """
    gain = sum(facts.ms_gains) / len(facts.ms_gains)
    return Psf(round(sigma_of_gain(gain) * facts.alignment.ratio, 6))


def pyramid_halo(ratio: float, psf: Psf) -> int:
    """Guide pixels around a window that blur, decimation and interpolation reach."""
    return math.ceil(ratio * (UP.radius + 1.0) + psf.radius) + 1


def low_guide(
    chip: Chip, psf: Psf, inside: tuple[int, int, int, int] | None, halo: int = 0
) -> NDArray[np.float32]:
    """Guide as the HSI sees it, interpolated back: ``U D M``.

    Beyond the scene the blurred guide is replicated, as the HSI itself is: blurring a replicated
    guide would give values that the replicated HSI does not have.

    Parameters
    ----------
    chip : Chip
        Carries :func:`pyramid_halo` more pixels than `halo`.
    psf : Psf
        Blur.
    inside : tuple of int or None
        Limits of :func:`inner_pixels`.
    halo : int
        Grow the window by this many guide pixels.

    Returns
    -------
    ndarray, shape (guide band, y, x), float32
        Counts of the guide.
    """
    reach = chip.up_window(halo)
    low = chip.down(psf, reach)
    if inside is not None:
        row, row_end, col, col_end = inside
        rows = np.clip(np.arange(reach.row, reach.row_end), row, row_end - 1) - reach.row
        cols = np.clip(np.arange(reach.col, reach.col_end), col, col_end - 1) - reach.col
        rows, cols = np.clip(rows, 0, reach.height - 1), np.clip(cols, 0, reach.width - 1)
        low = np.ascontiguousarray(low[:, rows[:, None], cols])
    return chip.up_from(low, (reach.row, reach.col), halo)


def own_mask(chip: Chip, own: Window) -> NDArray[np.bool_] | None:
    """HSI pixels of the chip that are valid and whose centre lies on a valid guide pixel.

    Parameters
    ----------
    chip : Chip
        The chip.
    own : Window
        Its :meth:`Chip.own_ms`.

    Returns
    -------
    ndarray, shape (y, x), bool, or None
        None when all are.
    """
    mask = chip.ms_mask(own)
    if chip.valid is None:
        return mask
    y, x = chip.alignment.y, chip.alignment.x
    rows = [round(y.to_pan(i)) - chip.window.row for i in range(own.row, own.row_end)]
    cols = [round(x.to_pan(i)) - chip.window.col for i in range(own.col, own.col_end)]
    high, wide = chip.window.height - 1, chip.window.width - 1
    seen: NDArray[np.bool_] = chip.valid[np.ix_(np.clip(rows, 0, high), np.clip(cols, 0, wide))]
    return seen if mask is None else seen & mask


def inner_pixels(facts: SceneFacts) -> tuple[int, int, int, int] | None:
    """HSI pixels whose centre lies in the scene: first row, row end, first column, column end.

    None where the size of the scene is not known.
    """
    if facts.shape is None:
        return None
    limits = []
    for axis, size in zip((facts.alignment.y, facts.alignment.x), facts.shape, strict=True):
        limits += [math.ceil(axis.to_ms(-0.5) - 1e-9), math.ceil(axis.to_ms(size - 0.5) - 1e-9)]
    return limits[0], limits[1], limits[2], limits[3]


def blocks(chip: Chip, halo: int) -> Iterator[Chip]:
    """Cut a chip into smaller ones, on a lattice that is anchored at the origin of the scene.

    What is solved block by block needs memory for a block, whatever tile the engine takes, and
    tiles that are whole blocks give the same bits.

    Parameters
    ----------
    chip : Chip
        The chip.
    halo : int
        Context that the parts keep, at most that of the chip.

    Yields
    ------
    Chip
        Windows of at most 256 x 256 guide pixels; together they are the window.
    """
    window = chip.window
    for row, row_end in _cuts(window.row, window.row_end):
        for col, col_end in _cuts(window.col, window.col_end):
            yield part_of(chip, Window(row, col, row_end - row, col_end - col), halo)


def part_of(chip: Chip, window: Window, halo: int) -> Chip:
    """The same pixels as a chip of a smaller window.

    Parameters
    ----------
    chip : Chip
        The chip.
    window : Window
        Guide pixels inside its window.
    halo : int
        Context to keep, at most that of the chip.

    Returns
    -------
    Chip
    """
    outer = window.expand(halo)
    top, left = chip.window.row - chip.halo, chip.window.col - chip.halo
    rows = slice(outer.row - top, outer.row_end - top)
    cols = slice(outer.col - left, outer.col_end - left)
    valid = None
    if chip.valid is not None:
        valid = chip.valid[window.relative_to(chip.window).slices]
    return replace(chip, pan=chip.pan[:, rows, cols], window=window, halo=halo, valid=valid)


def replicated(
    planes: NDArray[np.float32], window: Window, shape: tuple[int, int] | None
) -> NDArray[np.float32]:
    """Planes whose pixels beyond the scene hold what its border holds.

    Parameters
    ----------
    planes : ndarray, shape (plane, y, x), float32
        Of `window`.
    window : Window
        Guide pixels; may reach beyond the scene.
    shape : tuple of int or None
        Rows and columns of the scene; None: nothing is changed.

    Returns
    -------
    ndarray, shape (plane, y, x), float32
        `planes` itself where the window lies inside.
    """
    if shape is None or window.intersect(Window(0, 0, *shape)) == window:
        return planes
    rows = np.clip(np.arange(window.row, window.row_end), 0, shape[0] - 1) - window.row
    cols = np.clip(np.arange(window.col, window.col_end), 0, shape[1] - 1) - window.col
    rows, cols = np.clip(rows, 0, window.height - 1), np.clip(cols, 0, window.width - 1)
    return np.ascontiguousarray(planes[:, rows[:, None], cols])


def _cuts(start: int, stop: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = min(stop, (start // BLOCK + 1) * BLOCK)
        yield start, end
        start = end


def add_detail(
    fused: NDArray[np.float32], weights: NDArray[np.float64], detail: NDArray[np.float32]
) -> None:
    """Add ``weights @ detail`` to `fused` in place, a group of bands at a time.

    Parameters
    ----------
    fused : ndarray, shape (band, y, x), float32
        Changed in place.
    weights : ndarray, shape (band, component), float64
        Injection weights.
    detail : ndarray, shape (component, y, x), float32
        What is injected.
    """
    flat = detail.reshape(len(detail), -1)
    small = weights.astype(np.float32)
    for start in range(0, len(fused), GROUP):
        part = small[start : start + GROUP] @ flat
        fused[start : start + GROUP] += part.reshape(-1, *fused.shape[1:])
