"""BDSD-PC: band-dependent spatial detail with physical constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.kernels import MtfGaussian
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._moments import gram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["BdsdFuser", "BdsdPc", "bdsd_pc"]


@dataclass(frozen=True, slots=True)
class BdsdFuser:
    """``y_b = M~_b + gamma_b,0 P + sum_k gamma_b,k M~_k``.

    Parameters
    ----------
    gamma : tuple of tuple of float
        One row a band: the PAN coefficient, then one coefficient a MS band.
    """

    gamma: tuple[tuple[float, ...], ...]
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        up = chip.up()
        bands, height, width = up.shape
        table = np.asarray(self.gamma, dtype=up.dtype)
        mix = table[:, 1:] + np.eye(bands, dtype=up.dtype)
        fused = (mix @ up.reshape(bands, -1)).reshape(bands, height, width)
        pan = chip.guide()[0]
        scratch = np.empty_like(pan)
        for plane, weight in zip(fused, table[:, 0], strict=True):
            np.multiply(pan, weight, out=scratch)
            plane += scratch
        return fused


@dataclass(frozen=True, slots=True)
class BdsdPc:
    """Band-dependent spatial detail with physical constraints, global.

    Source: Vivone, IEEE TGRS 57(9), 2019, doi 10.1109/TGRS.2019.2906073.
    """

    mode: str = "default"
    spec = ModelSpec(
        "bdsd-pc",
        "classical",
        "Vivone, IEEE TGRS 57(9), 2019",
        "regression of MS detail on PAN and MS, PAN weight >= 0, MS weights <= 0",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip: blur, cubic shrink and interpolation of the MS, in turn."""
        ratio = facts.alignment.ratio
        blur = max(MtfGaussian(ratio, g).radius for g in (*facts.ms_gains, facts.pan_gain))
        # The blur acts on MS pixels here; shrink and interpolation add 2 and 12 of them.
        return math.ceil(ratio * (blur + 15.0))

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of [p_L | m_L] and m - m_L at MS pixels."""
        fine, low, pan = chip.bdsd_planes(facts.ms_gains, facts.pan_gain)
        mask = chip.ms_mask(chip.own_ms())
        return {"planes": gram([pan, *low, *(fine - low)], mask)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> BdsdFuser:
        """Solve the constrained least squares of every band exactly (active set)."""
        from scipy.optimize import nnls

        assert moments is not None
        cross = moments["planes"][1:, 1:]
        bands = (cross.shape[0] - 1) // 2
        count = 1 + bands
        sign = np.concatenate([[1.0], -np.ones(bands)])
        matrix = cross[:count, :count] * np.outer(sign, sign)
        scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        # Cholesky of the scaled Gram matrix keeps the problem at the conditioning of the data.
        root = _square_root(matrix / np.outer(scale, scale))
        gamma = []
        for band in range(bands):
            target = cross[:count, count + band] * sign / scale
            right = np.linalg.lstsq(root.T, target, rcond=None)[0]
            solution, _ = nnls(root, right)
            gamma.append(tuple(float(v) for v in solution / scale * sign))
        return BdsdFuser(tuple(gamma))


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangular R with R^T R = matrix; eigenvalues when it is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(matrix).T)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        return np.asarray((vectors * np.sqrt(np.maximum(values, 1e-14 * values[-1]))).T)


@register_model("bdsd-pc")
def bdsd_pc(mode: str = "default") -> BdsdPc:
    """Band-dependent spatial detail with physical constraints.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    return BdsdPc(mode)
