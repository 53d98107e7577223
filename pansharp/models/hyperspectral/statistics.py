"""What one pass over a pair tells: cross products on the HSI grid, regressions, the subspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import ModelError
from pansharp.models.classical._moments import covariance, gram, mean
from pansharp.models.hyperspectral.operators import own_mask, psf_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["MeasuresPair", "PairStatistics", "Subspace", "measure_pair", "pair_halo"]

#: Ridge of the regressions on the guide, relative to the mean eigenvalue of its correlations.
RIDGE = 1e-3
#: Components of the subspace: one to twelve pixels each, between these limits.
_COMPONENTS = (12, 24)
#: Pixels that are projected at once.
_PIXELS = 1 << 14


def pair_halo(facts: SceneFacts) -> int:
    """Guide pixels around a chip that :func:`measure_pair` reads."""
    return int(psf_of(facts).radius) + 1


def measure_pair(chip: Chip, facts: SceneFacts) -> Moments:
    """Cross products of all HSI bands and the blurred guide bands at the chip's own HSI pixels.

    Parameters
    ----------
    chip : Chip
        With :func:`pair_halo` pixels of context.
    facts : SceneFacts
        Point-spread function.

    Returns
    -------
    dict
        ``pair``, shape (1 + band + guide, the same), float64: as
        :func:`pansharp.models.classical._moments.gram`.
    """
    own = chip.own_ms()
    count = chip.bands + len(chip.pan)
    if own.height <= 0 or own.width <= 0:
        return {"pair": np.zeros((count + 1, count + 1))}
    low = chip.down(psf_of(facts), own)
    return {"pair": gram([*chip.ms_pixels(own), *low], own_mask(chip, own))}


class MeasuresPair:
    """First pass of the methods that need nothing but the statistics of the pair."""

    __slots__ = ()

    def measure_halo(self, facts: SceneFacts) -> int:
        """Guide pixels around a chip that :meth:`measure` reads."""
        return pair_halo(facts)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of HSI and blurred guide."""
        return measure_pair(chip, facts)


@dataclass(frozen=True)
class Subspace:
    """Where the spectra of a scene lie.

    ``H_b = scale_b (mean_b + sum_k basis_bk x_k + residual)``: each band is divided by its mean,
    so that an error of the components counts as ERGAS counts it.

    Parameters
    ----------
    scale : ndarray, shape (band,)
        Band means (spreads where a mean is not positive), counts.
    mean : ndarray, shape (band,)
        Mean spectrum after scaling.
    basis : ndarray, shape (band, component)
        Orthonormal columns.
    variances : ndarray, shape (component,)
        Of the components, falling.
    noise : float
        Mean variance of a discarded direction.
    share : float
        Share of the variance outside the subspace.
    """

    scale: NDArray[np.float64]
    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    variances: NDArray[np.float64]
    noise: float
    share: float

    @property
    def size(self) -> int:
        """Number of components."""
        return int(self.basis.shape[1])

    @property
    def weights(self) -> NDArray[np.float64]:
        """Counts per unit of a component, shape (band, component)."""
        return np.asarray(self.scale[:, None] * self.basis)

    def project(self, cube: NDArray[np.float32]) -> NDArray[np.float64]:
        """Components of counts (band, y, x): shape (component, y, x), float64."""
        flat = cube.reshape(len(cube), -1)
        turn = (self.basis / self.scale[:, None]).T
        start = (self.basis.T @ self.mean)[:, None]
        coded = np.empty((self.size, flat.shape[1]))
        # In pieces: a float64 copy of all bands would be twice the cube.
        for first in range(0, flat.shape[1], _PIXELS):
            part = slice(first, first + _PIXELS)
            coded[:, part] = turn @ flat[:, part].astype(np.float64) - start
        return coded.reshape(self.size, *cube.shape[1:])


@dataclass(frozen=True)
class PairStatistics:
    """Means and covariances of HSI and blurred guide over the scene.

    Parameters
    ----------
    count : float
        Valid HSI pixels.
    means : ndarray, shape (band + guide,)
        Counts.
    cov : ndarray, shape (band + guide, band + guide)
        Covariances.
    bands : int
        Number of HSI bands; the guide comes after them.
    """

    count: float
    means: NDArray[np.float64]
    cov: NDArray[np.float64]
    bands: int

    @classmethod
    def of(cls, moments: Moments, bands: int) -> PairStatistics:
        """From the sums of :func:`measure_pair`.

        Raises
        ------
        ModelError
            Fewer than 4 valid HSI pixels.
        """
        total = moments["pair"]
        if total[0, 0] < 4:
            raise ModelError(
                f"only {int(total[0, 0])} HSI pixels are valid and covered by the guide; at least "
                "4 are needed: check nodata values and the overlap of the images"
            )
        return cls(float(total[0, 0]), mean(total), covariance(total), bands)

    @property
    def guide_spread(self) -> NDArray[np.float64]:
        """Standard deviation of each blurred guide band; 0 where it is flat to rounding."""
        own = np.sqrt(np.maximum(np.diag(self.cov)[self.bands :], 0.0))
        level = np.abs(self.means[self.bands :])
        return np.where(own > 1e-6 * np.maximum(level, 1e-30), own, 0.0)

    def on_guide(self, ridge: float = RIDGE) -> NDArray[np.float64]:
        """Ridge regression of every HSI band on the guide bands.

        The guide bands are brought to unit variance first, so that the result does not depend on
        their units; flat bands get no weight.

        Parameters
        ----------
        ridge : float
            Relative to the mean eigenvalue of the correlations, which is 1.

        Returns
        -------
        ndarray, shape (band, guide), float64
            HSI counts per guide count.
        """
        spread = self.guide_spread
        use = spread > 0
        weights = np.zeros((self.bands, len(spread)))
        if use.any():
            inverse = 1.0 / spread[use]
            guide = self.cov[self.bands :, self.bands :][np.ix_(use, use)]
            corr = guide * np.outer(inverse, inverse)
            cross = self.cov[self.bands :, : self.bands][use] * inverse[:, None]
            solved = np.linalg.solve(corr + ridge * np.eye(int(use.sum())), cross)
            weights[:, use] = (solved * inverse[:, None]).T
        return weights

    def snr(self) -> float | None:
        """Signal-to-noise ratio of the HSI in decibel, median of the bands.

        What a band's four neighbours in the list of bands do not explain is taken for noise, less
        the noise that the neighbours themselves bring in. On simulated noise of 30 to 40 dB it is
        right within 0.5 dB (docs/hyperspectral.md).

        Returns
        -------
        float or None
            None with fewer than 5 bands or 12 pixels.
        """
        if self.bands < 5 or self.count < 12:
            return None
        found = []
        for band in range(self.bands):
            near = [j for j in range(band - 2, band + 3) if j != band and 0 <= j < self.bands]
            own = self.cov[np.ix_(near, near)]
            cross, total = self.cov[near, band], self.cov[band, band]
            damped = own + 1e-9 * max(np.trace(own), 1e-300) * np.eye(len(near))
            weights = np.linalg.solve(damped, cross)
            left = total - 2.0 * weights @ cross + weights @ own @ weights
            lost = self.count / (self.count - len(near) - 1)
            noise = max(float(left * lost / (1.0 + weights @ weights)), 0.0)
            power = self.means[band] ** 2 + total
            # Bands without content say nothing; cleaner than rounding is clean.
            if power > 0:
                found.append(10.0 * np.log10(power / max(noise, 1e-10 * power)))
        return float(np.median(found)) if found else None

    def explained(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of each HSI band's variance that ``weights @ guide`` explains, (band,)."""
        cross = self.cov[: self.bands, self.bands :]
        guide = self.cov[self.bands :, self.bands :]
        own = np.diag(self.cov)[: self.bands]
        gained = 2 * (weights * cross).sum(1) - ((weights @ guide) * weights).sum(1)
        return np.asarray(np.where(own > 0, gained / np.where(own > 0, own, 1.0), 0.0))

    def subspace(self, components: int | None = None) -> Subspace:
        """Principal components of the HSI, each band divided by its mean.

        Parameters
        ----------
        components : int or None
            How many; default: 12 to 24, one to twelve pixels each, at most a quarter of the
            pixels and never more than the bands.

        Returns
        -------
        Subspace
        """
        own = self.cov[: self.bands, : self.bands]
        level = self.means[: self.bands]
        spread = np.sqrt(np.maximum(np.diag(own), 0.0))
        scale = np.where(level > 1e-3 * spread, level, spread)
        scale = np.where(scale > 0, scale, 1.0)
        values, vectors = np.linalg.eigh(own / np.outer(scale, scale))
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        if components is None:
            wanted = int(np.clip(self.count / 12, *_COMPONENTS))
            components = max(1, int(min(self.count // 4, wanted)))
        # Directions without variance carry nothing but rounding.
        alive = max(1, int((values > 1e-12 * max(values[0], 1e-300)).sum()))
        size = min(components, alive, self.bands)
        # The sign of an eigenvector is the library's choice: fix it.
        kept = vectors[:, :size]
        lead = kept[np.abs(kept).argmax(axis=0), np.arange(size)]
        kept = kept * np.where(lead < 0, -1.0, 1.0)
        rest = values[size:]
        total = float(values.sum())
        return Subspace(
            scale,
            level / scale,
            kept,
            values[:size],
            float(rest.mean()) if rest.size else 0.0,
            float(rest.sum() / total) if total > 0 else 0.0,
        )

    def guide_on(
        self, space: Subspace, ridge: float = 1e-4
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Response of the guide to the components, and the variance that it leaves.

        Parameters
        ----------
        space : Subspace
            Of these statistics.
        ridge : float
            Relative to the mean variance of the components.

        Returns
        -------
        response : ndarray, shape (guide, component)
            Guide counts per unit of a component.
        rest : ndarray, shape (guide,)
            Residual variance, counts squared.
        """
        coded = (space.basis / space.scale[:, None]).T
        cross = coded @ self.cov[: self.bands, self.bands :]
        damped = space.variances + ridge * space.variances.mean()
        safe = np.where(damped > 0, damped, 1.0)
        response = (cross / safe[:, None]).T
        guide = self.cov[self.bands :, self.bands :]
        gained = 2 * (response * cross.T).sum(1) - (response**2 * space.variances).sum(1)
        return response, np.maximum(np.diag(guide) - gained, 0.0)
