"""Non-negative unmixing: pure spectra, abundances, and the updates that never raise the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import ModelError
from pansharp.models.hyperspectral.operators import inner_pixels, own_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import SceneFacts

__all__ = [
    "factorize",
    "gather_pixels",
    "gathered",
    "pure_spectra",
    "update_abundances",
    "update_spectra",
]

#: HSI pixels that stand for the scene where single spectra are needed.
_BUDGET = 6000
#: Keeps divisions finite; far below any real count.
_TINY = 1e-12


def _lattice(facts: SceneFacts) -> tuple[tuple[int, int, int, int], int, int]:
    """HSI pixels of the scene, step of the sample, and its number of columns."""
    inside = inner_pixels(facts)
    if inside is None:
        raise ModelError("the size of the scene is not known: give the facts a shape")
    row, row_end, col, col_end = inside
    step = max(1, int(np.ceil(np.sqrt((row_end - row) * (col_end - col) / _BUDGET))))
    return inside, step, -(-(col_end - col) // step)


def gather_pixels(chip: Chip, facts: SceneFacts) -> dict[str, NDArray[np.float64]]:
    """Spectra of a fixed lattice of HSI pixels, each chip filling the places it owns.

    Sums over chips collect the sample, because every place is filled by one chip alone.

    Parameters
    ----------
    chip : Chip
        The chip.
    facts : SceneFacts
        With the size of the scene.

    Returns
    -------
    dict
        ``spectra`` (place, band) and ``filled`` (place,), float64.

    Raises
    ------
    ModelError
        The size of the scene is not known.
    """
    (row, row_end, col, col_end), step, across = _lattice(facts)
    places = -(-(row_end - row) // step) * across
    spectra = np.zeros((places, chip.bands))
    filled = np.zeros(places)
    own = chip.own_ms()
    if own.height > 0 and own.width > 0:
        rows = np.arange(own.row, own.row_end)
        cols = np.arange(own.col, own.col_end)
        use_row = (rows >= row) & (rows < row_end) & ((rows - row) % step == 0)
        use_col = (cols >= col) & (cols < col_end) & ((cols - col) % step == 0)
        mask = own_mask(chip, own)
        good = np.outer(use_row, use_col)
        if mask is not None:
            good &= mask
        at = ((rows - row) // step)[:, None] * across + (cols - col) // step
        spectra[at[good]] = chip.ms_pixels(own)[:, good].T
        filled[at[good]] = 1.0
    return {"spectra": spectra, "filled": filled}


def gathered(moments: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The sample as (band, pixel), float64, in the order of the lattice."""
    return np.ascontiguousarray(moments["spectra"][moments["filled"] > 0].T)


def pure_spectra(pixels: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Spectra that the others are mixtures of, by successive projection.

    Source: Araujo et al., Chemom. Intell. Lab. Syst. 57(2), 2001: the pixel of the largest norm,
    then again in the complement of those taken. Deterministic, unlike VCA.

    Parameters
    ----------
    pixels : ndarray, shape (band, pixel), float64
        Spectra, not negative.
    count : int
        How many.

    Returns
    -------
    ndarray, shape (band, at most count), float64
        Fewer where the data have fewer dimensions.
    """
    rest = pixels.copy()
    chosen: list[int] = []
    first = 0.0
    for _ in range(min(count, *pixels.shape)):
        norms = np.einsum("ij,ij->j", rest, rest)
        best = int(norms.argmax())
        first = first or float(norms[best])
        if norms[best] <= 1e-10 * first or norms[best] == 0:
            break
        chosen.append(best)
        direction = rest[:, best] / np.sqrt(norms[best])
        rest -= np.outer(direction, direction @ rest)
    return pixels[:, chosen].copy()


def update_abundances(
    data: NDArray[np.floating],
    spectra: NDArray[np.floating],
    start: NDArray[np.floating],
    steps: int,
) -> NDArray[np.floating]:
    """Multiplicative updates of the abundances for fixed spectra; each lowers the squared error.

    Source: Lee, Seung, NIPS 13, 2001.

    Parameters
    ----------
    data : ndarray, shape (band, pixel)
        Not negative.
    spectra : ndarray, shape (band, member)
        Not negative.
    start : ndarray, shape (member, pixel)
        Not negative; not changed.
    steps : int
        Number of updates.

    Returns
    -------
    ndarray, shape (member, pixel), type of `start`
    """
    top = spectra.T @ data
    inner = spectra.T @ spectra
    result = start.copy()
    low = np.empty_like(result)
    for _ in range(steps):
        np.matmul(inner, result, out=low)
        low += _TINY
        np.divide(top, low, out=low)
        result *= low
    return result


def update_spectra(
    cross: NDArray[np.float64],
    inner: NDArray[np.float64],
    start: NDArray[np.float64],
    steps: int,
) -> NDArray[np.float64]:
    """Multiplicative updates of the spectra for fixed abundances H.

    Parameters
    ----------
    cross : ndarray, shape (band, member)
        ``Y H'``.
    inner : ndarray, shape (member, member)
        ``H H'``.
    start : ndarray, shape (band, member)
        Not negative; not changed.
    steps : int
        Number of updates.

    Returns
    -------
    ndarray, shape (band, member)
    """
    result = start.copy()
    for _ in range(steps):
        result *= cross / (result @ inner + _TINY)
    return result


def factorize(
    pixels: NDArray[np.float64], count: int, weight: float, *, steps: int, stop: float
) -> NDArray[np.float64]:
    """Non-negative factorisation with abundances that softly sum to one; returns the spectra.

    Parameters
    ----------
    pixels : ndarray, shape (band, pixel), float64
        Not negative.
    count : int
        Number of pure spectra.
    weight : float
        Value of the row of ones that is appended to data and spectra.
    steps : int
        Most rounds of one update of each factor.
    stop : float
        Relative change of the cost at which to stop.

    Returns
    -------
    ndarray, shape (band, member), float64
    """
    spectra = pure_spectra(pixels, count)
    members = spectra.shape[1]
    data = np.vstack([pixels, np.full((1, pixels.shape[1]), weight)])
    ones = np.full((1, members), weight)
    shares = np.full((members, pixels.shape[1]), 1.0 / members)
    shares = update_abundances(data, np.vstack([spectra, ones]), shares, 50)
    last = np.inf
    power = float((data**2).sum())
    for _ in range(steps):
        spectra = update_spectra(pixels @ shares.T, shares @ shares.T, spectra, 1)
        full = np.vstack([spectra, ones])
        shares = update_abundances(data, full, shares, 1)
        cost = power - 2 * float(np.vdot(full.T @ data, shares))
        cost += float(np.vdot((full.T @ full) @ shares, shares))
        if last - cost < stop * max(cost, 1e-12 * power):
            break
        last = cost
    return spectra
