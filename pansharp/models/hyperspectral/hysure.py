"""HySure: subspace fusion under vector total variation, by ADMM in blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.hyperspectral.operators import Psf, add_detail, blocks, inner_pixels, psf_of
from pansharp.models.hyperspectral.statistics import (
    MeasuresPair,
    PairStatistics,
    Subspace,
)
from pansharp.models.hyperspectral.sylvester import block_operators

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Hysure", "HysureFuser", "hysure", "minimise", "objective"]

#: Augmented-Lagrangian weight and number of iterations. The paper's weight is 0.05 for abundances;
#: components of unit variance in relative units converge faster with less (docs/hyperspectral.md).
_MU, _STEPS = 1e-3, 50
#: HSI pixels around a window whose measurements enter, and guide pixels at least.
_REACH, _LEAST = 6, 20
#: The guide is divided by this many of its standard deviations: about its level in usual scenes,
#: which is what data in [0, 1] mean to the paper, but the same whatever offset the guide has.
_UNIT = 3.0
_COMPONENTS = 8


def _gradient(planes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Forward differences along rows and columns, 0 at the last."""
    down, right = np.zeros_like(planes), np.zeros_like(planes)
    np.subtract(planes[:, 1:], planes[:, :-1], out=down[:, :-1])
    np.subtract(planes[:, :, 1:], planes[:, :, :-1], out=right[:, :, :-1])
    return down, right


def _adjoint(down: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transpose of :func:`_gradient`; the last row and column of its input are 0."""
    out = -down - right
    out[:, 1:] += down[:, :-1]
    out[:, :, 1:] += right[:, :, :-1]
    return out


def objective(
    planes: NDArray[np.float64],
    low: NDArray[np.float64],
    guide: NDArray[np.float64],
    response: NDArray[np.float64],
    operators: tuple[NDArray[np.float64], NDArray[np.float64]],
    trust: NDArray[np.float64],
    weights: tuple[float, float],
) -> float:
    """What HySure minimises.

    Parameters
    ----------
    planes : ndarray, shape (component, y, x)
        Components X.
    low : ndarray, shape (component, low y, low x)
        Components of the cube.
    guide : ndarray, shape (guide, y, x)
        Guide.
    response : ndarray, shape (guide, component)
        What the guide sees of a component.
    operators : tuple of ndarray
        Blur and decimation along rows and columns.
    trust : ndarray, shape (component,)
        Weight of the cube's term for each component.
    weights : tuple of float
        Of the guide's term and of the total variation.

    Returns
    -------
    float
        ``trust |low - D X|^2 / 2 + weight |guide - R X|^2 / 2 + weight TV(X)``.
    """
    rows, cols = operators
    first = float(trust @ ((low - rows @ planes @ cols.T) ** 2).sum(axis=(1, 2))) / 2
    second = float(((guide - np.tensordot(response, planes, 1)) ** 2).sum()) / 2
    down, right = _gradient(planes)
    third = float(np.sqrt((down**2 + right**2).sum(axis=0)).sum())
    return first + weights[0] * second + weights[1] * third


def minimise(
    start: NDArray[np.float64],
    low: NDArray[np.float64],
    guide: NDArray[np.float64],
    response: NDArray[np.float64],
    operators: tuple[NDArray[np.float64], NDArray[np.float64]],
    trust: NDArray[np.float64],
    weights: tuple[float, float],
    *,
    steps: int = _STEPS,
    mu: float = _MU,
) -> NDArray[np.float64]:
    """ADMM for the objective of HySure.

    The paper splits blur from decimation and works with FFTs on periodic images; here blur and
    decimation are one separable operator, whose normal equation its singular vectors solve for any
    ratio, and the differences are diagonal in the cosine basis, which replicates borders.

    Parameters
    ----------
    start : ndarray, shape (component, y, x), float64
        First guess.
    low, guide, response, operators, trust, weights
        As :func:`objective`.
    steps : int
        Iterations.
    mu : float
        Weight of the constraints.

    Returns
    -------
    ndarray, shape (component, y, x), float64
    """
    # float64: the cube's term is up to 1000 times the constraint's, which float32 does not survive.
    # Late: it is only needed where the method runs.
    from scipy.fft import dctn, idctn

    rows, cols = operators
    _, row_values, row_vectors = np.linalg.svd(rows, full_matrices=False)
    _, col_values, col_vectors = np.linalg.svd(cols, full_matrices=False)
    power = trust[:, None, None] * np.outer(row_values, col_values) ** 2
    shrink = power / (mu + power)
    back = trust[:, None, None] * (rows.T @ low @ cols) / mu
    count, height, width = start.shape
    waves = 2.0
    waves += (2 - 2 * np.cos(np.pi * np.arange(height) / height))[:, None]
    waves = waves + 2 - 2 * np.cos(np.pi * np.arange(width) / width)
    seen = weights[0] * response.T
    mixing = np.linalg.inv(seen @ response + mu * np.eye(count))
    pull = np.tensordot(seen, guide, 1)
    limit = weights[1] / mu
    planes = start.copy()
    dual_low, dual_guide = np.zeros_like(planes), np.zeros_like(planes)
    dual_down, dual_right = np.zeros_like(planes), np.zeros_like(planes)
    split_down, split_right = _gradient(planes)
    split_low, split_guide = planes.copy(), planes.copy()
    for _ in range(steps):
        total = split_low + dual_low
        total += split_guide
        total += dual_guide
        total += _adjoint(split_down + dual_down, split_right + dual_right)
        spectrum = dctn(total, axes=(1, 2), norm="ortho", overwrite_x=True)
        spectrum /= waves
        planes = idctn(spectrum, axes=(1, 2), norm="ortho", overwrite_x=True)
        # The cube: (trust D'D + mu) V = trust D'low + mu (X - dual).
        right_side = planes - dual_low + back
        coarse = row_vectors @ right_side @ col_vectors.T
        split_low = right_side - row_vectors.T @ (coarse * shrink) @ col_vectors
        # The guide: a small system at every pixel.
        wanted = planes - dual_guide
        wanted *= mu
        wanted += pull
        split_guide = np.tensordot(mixing, wanted, 1)
        # Total variation: the gradient of all components shrinks together.
        down, right = _gradient(planes)
        split_down, split_right = down - dual_down, right - dual_right
        norm = np.sqrt((split_down**2).sum(axis=0) + (split_right**2).sum(axis=0))
        keep = np.maximum(norm - limit, 0.0) / np.maximum(norm, 1e-20)
        split_down *= keep
        split_right *= keep
        dual_low -= planes - split_low
        dual_guide -= planes - split_guide
        dual_down -= down - split_down
        dual_right -= right - split_right
    return np.asarray(planes, dtype=np.float64)


@dataclass(frozen=True)
class HysureFuser:
    """``y = H~ + E (X - U x)`` with X the minimiser of HySure's objective around the window.

    Parameters
    ----------
    space : Subspace
        Components of the spectra.
    response : ndarray, shape (guide, component)
        What the guide sees of a component of unit variance, in units of `scale`.
    level, scale : ndarray, shape (guide,)
        Mean of the guide and three of its standard deviations, counts.
    spread : ndarray, shape (component,)
        Standard deviations by which the components are divided.
    weights : tuple of float
        Of the guide's term and of the total variation.
    steps : int
        Iterations.
    psf : Psf
        Blur of the HSI.
    halo : int
        Guide pixels of context.
    inside : tuple of int or None
        Limits of :func:`inner_pixels`.
    """

    space: Subspace
    response: NDArray[np.float64]
    level: NDArray[np.float64]
    scale: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: tuple[float, float]
    steps: int
    psf: Psf
    halo: int
    inside: tuple[int, int, int, int] | None = None

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        for part in blocks(chip, self.halo):
            rows, cols = part.window.relative_to(chip.window).slices
            add_detail(fused[:, rows, cols], self.space.weights * self.spread, self._detail(part))
        return fused

    def _detail(self, chip: Chip) -> NDArray[np.float32]:
        """Minimiser minus interpolation, in components of unit variance."""
        coded = self.space.project(chip.ms) / self.spread[:, None, None]
        start = chip.up(self.halo, coded.astype(np.float32)).astype(np.float64)
        inside, rows, cols = block_operators(chip, self.psf, self.halo, self.inside)
        own_rows, own_cols = inside.relative_to(chip.ms_window).slices
        guide = (chip.guide(self.halo) - self.level[:, None, None]) / self.scale[:, None, None]
        best = minimise(
            start,
            coded[:, own_rows, own_cols],
            guide,
            self.response,
            (rows, cols),
            self.spread**2,
            self.weights,
            steps=self.steps,
        )
        cut = slice(self.halo, -self.halo)
        return np.asarray((best - start)[:, cut, cut], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Hysure(MeasuresPair):
    """Hyperspectral superresolution in a subspace with vector total variation.

    Source: Simoes, Bioucas-Dias, Almeida, Chanussot, IEEE TGRS 53(6), 2015,
    doi 10.1109/TGRS.2014.2375320. The basis is a truncated PCA of the scaled spectra; its
    components are brought to unit variance, so that the total variation treats them alike.

    Parameters
    ----------
    guide_weight : float
        Weight of the guide's term (1 in the paper).
    variation : float
        Weight of the total variation.
    steps : int
        Iterations of ADMM.
    components : int
        Size of the subspace, at most.
    """

    guide_weight: float = 1.0
    variation: float = 5e-4
    steps: int = _STEPS
    components: int = _COMPONENTS
    spec = ModelSpec(
        "hysure",
        "classical",
        "Simoes, Bioucas-Dias, Almeida, Chanussot, IEEE TGRS 53(6), 2015",
        "subspace fusion under vector total variation, ADMM in overlapping blocks",
        tasks=("hsi",),
    )

    def finish(self, moments: Moments | None, facts: SceneFacts) -> HysureFuser:
        """Subspace and response."""
        assert moments is not None
        pair = PairStatistics.of(moments, len(facts.ms_gains))
        space = pair.subspace(int(max(1, min(self.components, pair.count // 4))))
        response, _ = pair.guide_on(space)
        largest = max(float(space.variances[0]), 1e-12)
        unit = np.sqrt(np.maximum(space.variances, 1e-9 * largest))
        level = pair.means[pair.bands :]
        spread = pair.guide_spread
        scale = np.where(spread > 0, _UNIT * spread, 1.0)
        # A flat guide band says nothing of the components.
        response = np.where(spread[:, None] > 0, response * unit / scale[:, None], 0.0)
        psf = psf_of(facts)
        return HysureFuser(
            space=space,
            response=response,
            level=level,
            scale=scale,
            spread=unit,
            weights=(self.guide_weight, self.variation),
            steps=self.steps,
            psf=psf,
            halo=math.ceil(max(_REACH * facts.alignment.ratio, _LEAST) + psf.radius),
            inside=inner_pixels(facts),
        )


@register_model("hysure")
def hysure(
    guide_weight: float = 1.0,
    variation: float = 5e-4,
    steps: int = _STEPS,
    components: int = _COMPONENTS,
) -> Hysure:
    """HySure.

    Parameters
    ----------
    guide_weight : float
        Weight of the guide's term, above 0.
    variation : float
        Weight of the total variation, not negative.
    steps : int
        Iterations, at least 1.
    components : int
        Size of the subspace, at least 1.

    Raises
    ------
    OptionError
        A value out of range.
    """
    if not guide_weight > 0 or not variation >= 0 or steps < 1 or components < 1:
        raise OptionError(
            f"guide_weight {guide_weight}, variation {variation}, steps {steps}, components "
            f"{components}: give above 0, 0 or more, and at least 1 of the last two"
        )
    return Hysure(guide_weight, variation, steps, components)
