"""Scores on unseen blocks, and the verdict against the best classical method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import ModelError
from pansharp.evaluation import q2n, sam

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pansharp.adaptation.level import ReducedScene
    from pansharp.adaptation.split import Split
    from pansharp.geometry.grids import Window

__all__ = ["BlockScores", "Verdict", "compare", "score_blocks"]

#: Fewer blocks than this cannot prove anything.
MIN_BLOCKS = 8
_DRAWS = 1000
#: Ratio to a flawless classical product; finite, because cards are JSON.
_HOPELESS = 1e6


@dataclass(frozen=True)
class BlockScores:
    """Errors of one product on the score blocks.

    Parameters
    ----------
    squared : ndarray, shape (block, band), float64
        Sum of squared errors.
    counts : ndarray, shape (block,)
        Valid pixels.
    sums : ndarray, shape (block, band)
        Sum of the reference over each block.
    angles : ndarray, shape (block,)
        Mean spectral angle, degrees.
    quality : ndarray, shape (block,)
        Q2n of the block.
    ratio : float
        MS pixel over PAN pixel.
    whole : dict of str to float
        Indices of the whole degraded image, where they were asked for.
    """

    squared: NDArray[np.float64]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    angles: NDArray[np.float64]
    quality: NDArray[np.float64]
    ratio: float
    whole: dict[str, float] = field(default_factory=dict)

    @classmethod
    def merge(cls, parts: Sequence[BlockScores]) -> BlockScores:
        """Scores of several folds as one."""
        names = ("squared", "counts", "sums", "angles", "quality")
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        squared, counts, sums, angles, quality = joined
        return cls(squared, counts, sums, angles, quality, parts[0].ratio)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of the reference over all score blocks, per band."""
        total = self.counts.sum()
        means = self.sums.sum(axis=0) / total
        spread = np.sqrt(self.squared.sum(axis=0) / total)
        # Bands around 0 (signed data) have no relative error; their own error scale stands in.
        return np.asarray(np.where(np.abs(means) > 1e-9, means, np.maximum(spread, 1e-9)))

    @property
    def relative(self) -> NDArray[np.float64]:
        """Squared error of each block relative to the band means, summed over bands."""
        return np.asarray((self.squared / self.means**2).sum(axis=1))

    @property
    def ergas(self) -> float:
        """ERGAS over all score blocks."""
        mse = self.squared.sum(axis=0) / self.counts.sum()
        return float(100.0 / self.ratio * np.sqrt(np.mean(mse / self.means**2)))

    def as_dict(self) -> dict[str, float]:
        """ERGAS, SAM (degrees) and Q2n of the blocks, then the indices of the whole image."""
        weight = self.counts / self.counts.sum()
        return {
            "ergas": self.ergas,
            "sam": float((self.angles * weight).sum()),
            "q2n": float(np.mean(self.quality)),
            **self.whole,
        }


def score_blocks(
    reduced: Sequence[ReducedScene],
    splits: Sequence[Split],
    product: Callable[[int, Window], NDArray[np.float32]],
    ratio: float,
) -> BlockScores:
    """Score a product on the printed blocks.

    Parameters
    ----------
    reduced : sequence of ReducedScene
        The scenes with their references.
    splits : sequence of Split
        Their blocks.
    product : callable
        ``product(scene_index, window)`` gives counts (band, y, x).
    ratio : float
        MS pixel over PAN pixel.

    Returns
    -------
    BlockScores

    Raises
    ------
    ModelError
        Every block is black.
    """
    squared, counts, angles, quality, sums = [], [], [], [], []
    for index, (scene, split) in enumerate(zip(reduced, splits, strict=True)):
        for block in split.score:
            fused = product(index, block).astype(np.float64)
            truth = scene.reference[:, *block.slices].astype(np.float64)
            keep = scene.valid[block.slices]
            if not truth[:, keep].any():
                # Black in every band: fill that nobody declared, for every product alike.
                continue
            mask = None if keep.all() else keep
            squared.append(((fused - truth) ** 2)[:, keep].sum(axis=1))
            counts.append(float(keep.sum()))
            sums.append(truth[:, keep].sum(axis=1))
            angles.append(sam(truth, fused, mask=mask))
            side = split.size
            quality.append(
                q2n(truth, fused, block_size=side, shift=side, mask=mask, rounding=scene.rounding)
            )
    if splits and any(split.score for split in splits) and not counts:
        raise ModelError(
            "every block to score on holds 0 in all bands: fill that the file does not declare? "
            "give it with --nodata 0"
        )
    # A fold may have no block at all, where the scene is small.
    bands = reduced[0].reference.shape[0] if reduced else 0
    return BlockScores(
        np.asarray(squared).reshape(len(counts), bands),
        np.asarray(counts),
        np.asarray(sums).reshape(len(counts), bands),
        np.asarray(angles),
        np.asarray(quality),
        ratio,
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Comparison of a network with the best classical method.

    Parameters
    ----------
    rho : float
        ERGAS of the network over ERGAS of the classical method, on the same blocks.
    low, high : float
        5 % and 95 % points of 1000 bootstrap draws of blocks.
    wins : float
        Share of blocks where the network has the smaller error.
    blocks : int
        Number of blocks.
    word : {"better", "equal", "worse"}
        better: the whole interval lies below 1 (and at least 8 blocks); worse: rho >= 1.
    """

    rho: float
    low: float
    high: float
    wins: float
    blocks: int
    word: str


def compare(network: BlockScores, classical: BlockScores, seed: int = 0) -> Verdict:
    """Bootstrap the ERGAS ratio over blocks.

    Parameters
    ----------
    network, classical : BlockScores
        On the same blocks.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Verdict
    """
    ours, theirs = network.relative, classical.relative
    blocks = len(ours)

    def ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        safe = np.where(b > 0, b, 1.0)
        return np.asarray(np.where(b > 0, np.sqrt(a / safe), np.where(a > 0, _HOPELESS, 1.0)))

    rho = float(ratio(ours.sum(), theirs.sum()))
    picks = np.random.default_rng(seed).integers(0, blocks, (_DRAWS, blocks))
    draws = ratio(ours[picks].sum(axis=1), theirs[picks].sum(axis=1))
    low, high = (float(v) for v in np.quantile(draws, [0.05, 0.95]))
    if rho >= 1.0:
        word = "worse"
    elif high < 1.0 and blocks >= MIN_BLOCKS:
        word = "better"
    else:
        word = "equal"
    return Verdict(rho, low, high, float(np.mean(ours < theirs)), blocks, word)
