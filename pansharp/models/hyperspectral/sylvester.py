"""FUSE by the Sylvester equation, solved exactly for separable blur, any ratio and any offset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.kernels import UP
from pansharp.geometry.resample import axis_matrix, sample
from pansharp.models import register_model
from pansharp.models.base import ModelSpec, NextPass
from pansharp.models.hyperspectral.operators import (
    Psf,
    add_detail,
    blocks,
    inner_pixels,
    own_mask,
    psf_of,
    sigma_of_gain,
)
from pansharp.models.hyperspectral.statistics import (
    MeasuresPair,
    PairStatistics,
    Subspace,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = [
    "Sylvester",
    "SylvesterFuser",
    "SylvesterPrior",
    "block_operators",
    "fuse_sylvester",
    "solve_sylvester",
]

_SAME = Alignment(AxisMap(1.0, 0.0), AxisMap(1.0, 0.0))
#: HSI pixels around a window whose measurements enter: the solution forgets what lies farther.
_REACH = 6
#: Variances are kept above this share of the largest, so that every matrix has an inverse.
_FLOOR = 1e-9


def solve_sylvester(
    coupling: NDArray[np.float64],
    right: NDArray[np.float64],
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    noise: float,
) -> NDArray[np.float64]:
    """Solve ``coupling X + D'D X / noise = right`` with ``D = rows (x) cols``, exactly.

    The eigenvectors of `coupling` separate the components; the singular vectors of the two small
    matrices diagonalise the blur. Neither a whole ratio nor periodic borders are needed.

    Source: Wei, Dobigeon, Tourneret, IEEE TIP 24(11), 2015, doi 10.1109/TIP.2015.2458572, whose
    FFT is replaced by singular vectors.

    Parameters
    ----------
    coupling : ndarray, shape (component, component), float64
        Symmetric and positive definite.
    right : ndarray, shape (component, y, x), float64
        Right side.
    rows, cols : ndarray, shape (low y, y) and (low x, x), float64
        Blur and decimation along the two axes.
    noise : float
        Variance of a component at low resolution, above 0.

    Returns
    -------
    ndarray, shape (component, y, x), float64
    """
    values, vectors = np.linalg.eigh(coupling)
    _, row_values, row_vectors = np.linalg.svd(rows, full_matrices=False)
    _, col_values, col_vectors = np.linalg.svd(cols, full_matrices=False)
    power = np.outer(row_values, col_values) ** 2
    turned = np.tensordot(vectors.T, right, 1)
    for value, plane in zip(values, turned, strict=True):
        low = row_vectors @ plane @ col_vectors.T
        plane -= row_vectors.T @ (low * (power / (value * noise + power))) @ col_vectors
        plane /= value
    return np.asarray(np.tensordot(vectors, turned, 1))


def block_operators(
    chip: Chip, psf: Psf, halo: int, inside: tuple[int, int, int, int] | None
) -> tuple[Window, NDArray[np.float64], NDArray[np.float64]]:
    """Blur and decimation inside a chip's window grown by `halo`.

    Parameters
    ----------
    chip : Chip
        The chip.
    psf : Psf
        Blur.
    halo : int
        Guide pixels around the window.
    inside : tuple of int or None
        Limits of :func:`inner_pixels`. Beyond them cube and guide are replicated each by itself:
        those pixels are no measurement.

    Returns
    -------
    Window
        HSI pixels of the scene whose whole footprint lies inside.
    rows, cols : ndarray, shape (low y, y) and (low x, x), float64
        Weights; rows sum to 1.
    """
    outer = chip.window.expand(halo)
    ranges, matrices = [], []
    limits = (None, None) if inside is None else (inside[:2], inside[2:])
    for axis, start, stop, limit in (
        (chip.alignment.y, outer.row, outer.row_end, limits[0]),
        (chip.alignment.x, outer.col, outer.col_end, limits[1]),
    ):
        first = math.ceil(axis.to_ms(start + psf.radius) - 1e-9)
        last = math.floor(axis.to_ms(stop - 1 - psf.radius) + 1e-9) + 1
        if limit is not None:
            first, last = max(first, limit[0]), min(last, limit[1])
        ranges.append((first, last))
        matrices.append(axis_matrix(axis, "down", psf, (first, last), (start, stop)))
    (row, row_end), (col, col_end) = ranges
    return Window(row, col, row_end - row, col_end - col), matrices[0], matrices[1]


@dataclass(frozen=True)
class SylvesterFuser:
    """``y = H~ + E d`` with d the most probable correction of the interpolated components.

    Minimises ``|x_h - D X|^2 / noise + |M - R X - c|^2_V + |X - X0|^2_S`` in a block around the
    window; X0 are the interpolated components.

    Parameters
    ----------
    space : Subspace
        Components of the spectra.
    response : ndarray, shape (guide, component)
        What the guide sees of a component, counts.
    level : ndarray, shape (guide,)
        Mean of the guide, counts.
    rest : ndarray, shape (guide,)
        Variance of the guide that the components do not explain.
    prior : ndarray, shape (component, component)
        Covariance of X - X0.
    noise : float
        Variance of a component of the HSI.
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
    rest: NDArray[np.float64]
    prior: NDArray[np.float64]
    noise: float
    psf: Psf
    halo: int
    inside: tuple[int, int, int, int] | None = None

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        cut = slice(self.halo, -self.halo)
        for part in blocks(chip, self.halo):
            delta = self.correction(part)[:, cut, cut].astype(np.float32)
            rows, cols = part.window.relative_to(chip.window).slices
            add_detail(fused[:, rows, cols], self.space.weights, delta)
        return fused

    def correction(self, chip: Chip) -> NDArray[np.float64]:
        """Correction of the components, window grown by the halo: (component, y, x), float64."""
        right, coupling, rows, cols = self.equation(chip)
        return solve_sylvester(coupling, right, rows, cols, self.noise)

    def equation(
        self, chip: Chip
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Right side, coupling, and the two blur matrices of a chip's normal equation."""
        coded = self.space.project(chip.ms)
        start = chip.up(self.halo, coded.astype(np.float32)).astype(np.float64)
        inside, rows, cols = block_operators(chip, self.psf, self.halo, self.inside)
        precise = self.response.T / self.rest
        coupling = precise @ self.response + np.linalg.inv(self.prior)
        seen = np.tensordot(self.response, start, 1)
        gap = chip.guide(self.halo) - self.level[:, None, None] - seen
        right = np.tensordot(precise, gap, 1)
        own = inside.relative_to(chip.ms_window).slices
        for component, plane in enumerate(right):
            lack = coded[component][own] - rows @ start[component] @ cols.T
            plane += rows.T @ lack @ cols / self.noise
        return right, coupling, rows, cols


@dataclass(frozen=True)
class SylvesterPrior:
    """Second pass: how much detail interpolation loses, measured one level down.

    Parameters
    ----------
    pair : PairStatistics
        Of the first pass.
    space : Subspace
        Its subspace.
    spec : ModelSpec
        Facts.
    """

    pair: PairStatistics
    space: Subspace
    spec: ModelSpec

    def measure_halo(self, facts: SceneFacts) -> int:
        """Guide pixels around a chip that :meth:`measure` reads."""
        # The chip brings the reach of the interpolator, in HSI pixels, without being asked.
        lacking = max(0.0, self._coarse(facts).radius - UP.radius + 1.0)
        return math.ceil(facts.alignment.ratio * lacking)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of the components minus their low-pass."""
        size = self.space.size
        own = chip.own_ms()
        if own.height <= 0 or own.width <= 0:
            return {"detail": np.zeros((size, size)), "count": np.zeros(1)}
        coded = self.space.project(chip.ms).astype(np.float32)
        origin = (chip.ms_window.row, chip.ms_window.col)
        low = sample(coded, origin, own, _SAME, "down", self._coarse(facts))
        rows, cols = own.relative_to(chip.ms_window).slices
        detail = (coded[:, rows, cols] - low).astype(np.float64)
        mask = own_mask(chip, own)
        flat = detail.reshape(size, -1) if mask is None else detail[:, mask]
        return {"detail": flat @ flat.T, "count": np.array([float(flat.shape[1])])}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> SylvesterFuser:
        """Covariances of prior and noise."""
        assert moments is not None
        pair, space = self.pair, self.space
        spread = pair.guide_spread
        use = spread > 0
        response, rest = pair.guide_on(space)
        largest = max(float(space.variances[0]), 1e-12)
        prior = moments["detail"] / max(float(moments["count"][0]), 1.0)
        prior = prior + _FLOOR * largest * np.eye(space.size)
        # A flat guide band says nothing: infinite variance.
        safe = np.where(use, np.maximum(rest, 1e-6 * spread**2), np.inf)
        ratio = facts.alignment.ratio
        psf = psf_of(facts)
        return SylvesterFuser(
            space=space,
            response=np.where(use[:, None], response, 0.0),
            level=pair.means[pair.bands :],
            rest=safe,
            prior=prior,
            noise=max(space.noise, _FLOOR * largest),
            psf=psf,
            halo=math.ceil(_REACH * ratio + psf.radius),
            inside=inner_pixels(facts),
        )

    def _coarse(self, facts: SceneFacts) -> Psf:
        """The blur of the next level, in HSI pixels."""
        gain = sum(facts.ms_gains) / len(facts.ms_gains)
        return Psf(round(sigma_of_gain(gain) * facts.alignment.ratio, 6))


@dataclass(frozen=True, slots=True)
class Sylvester(MeasuresPair):
    """Fusion as Bayesian estimation with a Gaussian prior, in the subspace of the scene.

    Source: Wei, Dobigeon, Tourneret, IEEE TIP 24(11), 2015, doi 10.1109/TIP.2015.2458572.

    Parameters
    ----------
    components : int or None
        Size of the subspace; default 16, at most a quarter of the HSI pixels.
    """

    components: int | None = None
    spec = ModelSpec(
        "fuse-sylvester",
        "classical",
        "Wei, Dobigeon, Tourneret, IEEE TIP 24(11), 2015",
        "most probable image under blur, guide and a Gaussian prior, solved exactly",
        tasks=("hsi",),
    )

    def finish(self, moments: Moments | None, facts: SceneFacts) -> NextPass:
        """Subspace; the prior needs another pass."""
        assert moments is not None
        pair = PairStatistics.of(moments, len(facts.ms_gains))
        count = self.components or int(max(1, min(16, pair.count // 4)))
        return NextPass(SylvesterPrior(pair, pair.subspace(count), self.spec))


@register_model("fuse-sylvester")
def fuse_sylvester(components: int | None = None) -> Sylvester:
    """FUSE, the Sylvester equation.

    Parameters
    ----------
    components : int, optional
        Size of the subspace.

    Raises
    ------
    OptionError
        No components.
    """
    if components is not None and components < 1:
        raise OptionError(f"components is {components}; give 1 or more")
    return Sylvester(components)
