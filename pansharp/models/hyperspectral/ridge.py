"""Ridge regression in closed form, its weight found by generalised cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WEIGHTS", "RidgeFit", "gcv_ridge"]

#: Weights that are tried, in units of a hundredth of the trace of the kernel matrix.
WEIGHTS = tuple(float(w) for w in np.geomspace(3e-6, 0.1, 10))


@dataclass(frozen=True)
class RidgeFit:
    """Result of :func:`gcv_ridge`.

    Parameters
    ----------
    coefficients : ndarray, shape (feature, target), float64
        Minimiser of ``|Y - P C|^2 + weight |C|^2``.
    weight : float
        Absolute weight of the ridge.
    relative : float
        The same as one of :data:`WEIGHTS`.
    gcv : float
        Generalised cross-validation error: an estimate of the mean squared error on unseen rows.
    ratio : float
        Root of `gcv` over the mean square of the targets; 1 where the targets are all 0.
    """

    coefficients: NDArray[np.float64]
    weight: float
    relative: float
    gcv: float
    ratio: float


def gcv_ridge(
    design: NDArray[np.floating], targets: NDArray[np.float64], weights: tuple[float, ...] = WEIGHTS
) -> RidgeFit:
    """Fit all targets with one ridge weight.

    The smaller of the two Gram matrices is decomposed once (the dual form with fewer rows than
    features); it gives the error of every weight at no further cost.

    Source: Golub, Heath, Wahba, Technometrics 21(2), 1979: GCV = (|(I - H) Y|^2 / n) /
    (tr(I - H) / n)^2 with H the hat matrix; here the mean over targets.

    Parameters
    ----------
    design : ndarray, shape (row, feature)
        P, no column of ones is added.
    targets : ndarray, shape (row, target), float64
        Y.
    weights : tuple of float
        Tried weights, in units of 0.01 trace(P P').

    Returns
    -------
    RidgeFit
    """
    rows, count = design.shape
    wide = design.astype(np.float64)
    dual = rows <= count
    gram = wide @ wide.T if dual else wide.T @ wide
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    scale = 0.01 * float(np.trace(gram))
    total = float((targets**2).sum())
    if scale <= 0.0 or total <= 0.0:
        return RidgeFit(np.zeros((count, targets.shape[1])), 0.0, 0.0, 0.0, 1.0)
    turned = vectors.T @ (targets if dual else wide.T @ targets)
    energy = (turned**2).sum(axis=1)
    best = (np.inf, weights[-1])
    for relative in weights:
        damp = relative * scale
        left = damp / (values + damp)
        if dual:
            rest = float((left**2 * energy).sum())
        else:
            rest = total - float((energy * (values + 2.0 * damp) / (values + damp) ** 2).sum())
        free = rows - float((1.0 - left).sum())
        error = max(rest, 0.0) / targets.size / (free / rows) ** 2
        if error < best[0]:
            best = (error, relative)
    error, relative = best
    damp = relative * scale
    solved = vectors @ (turned / (values + damp)[:, None])
    coefficients = wide.T @ solved if dual else solved
    ratio = float(np.sqrt(error * targets.size / total))
    return RidgeFit(np.asarray(coefficients), damp, relative, float(error), ratio)
