"""How the guide sees the spectrum: its response from tables, or estimated from the pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.models.base import SceneFacts
    from pansharp.models.hyperspectral.statistics import PairStatistics

__all__ = ["Response", "fit_response"]

#: Weight of the second differences of an estimated curve, relative to the spectra's variance.
_SMOOTH = 1e-3
#: A table is believed as long as it explains the guide this well beside a free curve.
_TRUST = 0.02


@dataclass(frozen=True)
class Response:
    """Guide band g sees ``sum_b weights_gb H_b + offsets_g``.

    Parameters
    ----------
    weights : ndarray, shape (guide, band), float64
        Not negative, guide counts per HSI count.
    offsets : ndarray, shape (guide,), float64
        Guide counts.
    r2 : ndarray, shape (guide,), float64
        Share of the blurred guide's variance that is explained.
    sources : tuple of str
        ``table`` or ``estimated``, one a guide band.
    """

    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]
    r2: NDArray[np.float64]
    sources: tuple[str, ...]


def fit_response(pair: PairStatistics, facts: SceneFacts) -> Response:
    """Spectral response of every guide band.

    Where the bands of guide and cube are known, the curve of the table is scaled to the pair
    (gain and offset: the two instruments need not be calibrated alike); it is kept unless a free
    curve explains at least 2 % more of the guide's variance. A free curve is non-negative least
    squares with a penalty on its second differences.

    Parameters
    ----------
    pair : PairStatistics
        Covariances on the HSI grid.
    facts : SceneFacts
        ``extra["guide_curves"]``, shape (guide, band): nominal responses, rows of NaN where
        unknown; ``extra["wavelengths"]``: nanometres, in which order bands are neighbours.

    Returns
    -------
    Response
        A curve from one scene tells what the guide sees of *these* spectra; it is no calibration.
    """
    bands = pair.bands
    count = len(pair.means) - bands
    curves = facts.extra.get("guide_curves")
    table = np.full((count, bands), np.nan) if curves is None else np.asarray(curves, dtype=float)
    order = np.argsort(np.asarray(facts.extra.get("wavelengths") or range(bands)), kind="stable")
    free = _free_curves(pair, order)
    weights, sources = np.zeros((count, bands)), []
    r2 = np.zeros(count)
    for guide in range(count):
        free_r2 = _explained(pair, free[guide], guide)
        known, known_r2 = _scaled(pair, table[guide], guide)
        if known is not None and known_r2 >= free_r2 - _TRUST:
            weights[guide], r2[guide] = known, known_r2
            sources.append("table")
        else:
            weights[guide], r2[guide] = free[guide], free_r2
            sources.append("estimated")
    offsets = pair.means[bands:] - weights @ pair.means[:bands]
    return Response(weights, offsets, r2, tuple(sources))


def _scaled(
    pair: PairStatistics, curve: NDArray[np.float64], guide: int
) -> tuple[NDArray[np.float64] | None, float]:
    if not np.isfinite(curve).all() or not curve.any():
        return None, 0.0
    own = pair.cov[: pair.bands, : pair.bands]
    cross = pair.cov[: pair.bands, pair.bands + guide]
    seen = float(curve @ own @ curve)
    gain = float(curve @ cross) / seen if seen > 0 else 0.0
    if gain <= 0:
        return None, 0.0
    scaled = np.asarray(gain * curve)
    return scaled, _explained(pair, scaled, guide)


def _explained(pair: PairStatistics, curve: NDArray[np.float64], guide: int) -> float:
    own = pair.cov[: pair.bands, : pair.bands]
    cross = pair.cov[: pair.bands, pair.bands + guide]
    total = float(pair.cov[pair.bands + guide, pair.bands + guide])
    gained = 2.0 * float(curve @ cross) - float(curve @ own @ curve)
    return gained / total if total > 0 else 0.0


def _free_curves(pair: PairStatistics, order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Smooth non-negative least squares on the covariances, (guide, band)."""
    # Late: most methods need no response.
    from scipy.optimize import nnls

    bands = pair.bands
    spread = np.sqrt(np.maximum(np.diag(pair.cov)[:bands], 0.0))
    scale = np.where(spread > 0, spread, 1.0)
    own = (pair.cov[:bands, :bands] / np.outer(scale, scale))[np.ix_(order, order)]
    bend = np.diff(np.eye(bands), 2, axis=0) / scale[order] * scale.mean()
    damped = own + _SMOOTH * np.trace(own) / bands * (bend.T @ bend)
    values, vectors = np.linalg.eigh(damped)
    values = np.maximum(values, 1e-9 * values[-1])
    root = np.sqrt(values)
    matrix = (vectors * root).T
    curves = np.zeros((len(pair.means) - bands, bands))
    for guide, curve in enumerate(curves):
        cross = (pair.cov[:bands, bands + guide] / scale)[order]
        norm = float(np.sqrt(max(pair.cov[bands + guide, bands + guide], 0.0)))
        if norm == 0:
            continue
        solved, _ = nnls(matrix, (vectors.T @ cross) / root / norm, maxiter=30 * bands)
        curve[order] = solved * norm / scale[order]
    return curves
