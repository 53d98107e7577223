"""Context-based GSA: injection gains of their own for every kind of surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import GridMismatchError, OptionError
from pansharp.models import register_model
from pansharp.models.base import ModelSpec, NextPass
from pansharp.models.classical._fusers import weighted_sum
from pansharp.models.classical._moments import covariance, gram, mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Cgsa", "CgsaFuser", "Clusters", "LabelMap", "cgsa"]

#: Clusters of the reference implementation.
_CLUSTERS = 5
#: Pixels sampled along each side of a part of the scene.
_SAMPLES = 12


@dataclass(frozen=True, slots=True)
class Clusters:
    """Labels by the nearest of some spectra, in units of the bands' deviations.

    Parameters
    ----------
    centres : tuple of tuple of float
        One row a cluster, scaled.
    scale : tuple of float
        Divides each band.
    """

    centres: tuple[tuple[float, ...], ...]
    scale: tuple[float, ...]

    @property
    def count(self) -> int:
        """Number of labels."""
        return len(self.centres)

    def labels(self, up: NDArray[np.float32], chip: Chip) -> NDArray[np.intp]:
        """Label of every pixel of the chip's window, (y, x)."""
        best = np.full(up.shape[1:], np.inf, dtype=up.dtype)
        out = np.zeros(up.shape[1:], dtype=np.intp)
        scaled = up / np.asarray(self.scale, dtype=up.dtype)[:, None, None]
        for label, centre in enumerate(self.centres):
            distance = np.zeros_like(best)
            for plane, value in zip(scaled, centre, strict=True):
                distance += (plane - plane.dtype.type(value)) ** 2
            nearer = distance < best
            out[nearer] = label
            best[nearer] = distance[nearer]
        return out


@dataclass(frozen=True, eq=False, slots=True)
class LabelMap:
    """Labels given by the user.

    Parameters
    ----------
    image : ndarray, shape (y, x), int
        Label of every product pixel, 0 to count - 1.
    """

    image: NDArray[np.intp]

    @property
    def count(self) -> int:
        """Number of labels."""
        return int(self.image.max()) + 1

    def labels(self, up: NDArray[np.float32], chip: Chip) -> NDArray[np.intp]:
        """Label of every pixel of the chip's window; the rim is repeated outside the image."""
        window = chip.window
        rows = np.clip(np.arange(window.row, window.row_end), 0, self.image.shape[0] - 1)
        cols = np.clip(np.arange(window.col, window.col_end), 0, self.image.shape[1] - 1)
        return np.asarray(self.image[np.ix_(rows, cols)])


@dataclass(frozen=True, slots=True)
class CgsaFuser:
    """``y_b = M~_b + g_b,s (P - sum_k w_k M~_k - constant)`` with s the pixel's segment.

    Parameters
    ----------
    segments : Clusters or LabelMap
        Gives each pixel its segment.
    weights : tuple of float
        Intensity weights.
    constant : float
        Constant of the intensity.
    gains : tuple of tuple of float
        One row a segment.
    """

    segments: Clusters | LabelMap
    weights: tuple[float, ...]
    constant: float
    gains: tuple[tuple[float, ...], ...]
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        labels = self.segments.labels(fused, chip)
        detail = chip.guide()[0] - weighted_sum(fused, self.weights)
        detail -= fused.dtype.type(self.constant)
        table = np.asarray(self.gains, dtype=fused.dtype)
        for band, plane in enumerate(fused):
            plane += table[labels, band] * detail
        return fused


@dataclass(frozen=True, slots=True)
class _Gains:
    """Second pass: covariances inside every segment."""

    spec: ModelSpec
    segments: Clusters | LabelMap
    weights: tuple[float, ...]
    constant: float

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of M~ in every segment."""
        up = chip.up()
        labels = self.segments.labels(up, chip)
        tables = []
        for label in range(self.segments.count):
            inside = labels == label if chip.valid is None else (labels == label) & chip.valid
            tables.append(gram(list(up), inside))
        return {"segments": np.stack(tables)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> CgsaFuser:
        """Gains ``cov(I, M~_b) / var(I)`` of every segment; 0 for flat or tiny ones."""
        assert moments is not None
        weights = np.asarray(self.weights)
        gains = []
        for total in moments["segments"]:
            row = np.zeros(len(weights))
            if total[0, 0] > 2 * len(weights):
                cross = covariance(total) @ weights
                variance = float(weights @ cross)
                row = cross / variance if variance > 0 else row
            gains.append(tuple(row.tolist()))
        return CgsaFuser(self.segments, self.weights, self.constant, tuple(gains))


@dataclass(frozen=True, slots=True)
class Cgsa:
    """Context-adaptive Gram-Schmidt.

    Source: Restaino et al., "Context-adaptive pansharpening based on image segmentation",
    IEEE TGRS 55(2), 2017. The random k-means of the reference is replaced by one with a fixed
    start, so that the product is repeatable.

    Parameters
    ----------
    segments : int or LabelMap
        Number of clusters that are found, or labels.
    """

    segments: int | LabelMap = _CLUSTERS
    spec = ModelSpec(
        "cgsa",
        "classical",
        "Restaino et al., IEEE TGRS 55(2), 2017",
        "adaptive Gram-Schmidt with gains per segment (given, or clusters of the spectra)",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 24

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of the Gaussian low-pass PAN and MS at MS pixels; sampled spectra."""
        own = chip.own_ms()
        low = gram([chip.gauss_at_ms(own), *chip.ms_pixels(own)], chip.ms_mask(own))
        if isinstance(self.segments, LabelMap):
            return {"low": low}
        return {"low": low, "list:samples": _samples(chip)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> NextPass:
        """Regress the intensity, find the clusters."""
        assert moments is not None
        means, table = mean(moments["low"]), covariance(moments["low"])
        weights = np.linalg.lstsq(table[1:, 1:], table[1:, 0], rcond=1e-12)[0]
        constant = float(means[0] - weights @ means[1:])
        segments: Clusters | LabelMap
        if isinstance(self.segments, LabelMap):
            segments = self.segments
            shape = segments.image.shape
            if facts.shape is not None and shape != facts.shape:
                raise GridMismatchError(
                    f"segments have {shape[0]} x {shape[1]} pixels and the product "
                    f"{facts.shape[0]} x {facts.shape[1]}; give one label a product pixel"
                )
        else:
            segments = _cluster(moments["list:samples"], self.segments)
        return NextPass(_Gains(self.spec, segments, tuple(weights.tolist()), constant))


def _samples(chip: Chip) -> NDArray[np.float64]:
    """Spectra of M~ on a lattice over the chip's window, valid ones only, (sample, band)."""
    up = chip.up()
    rows, cols = (
        np.unique(np.linspace(0, size - 1, _SAMPLES).astype(np.intp)) for size in up.shape[1:]
    )
    picked = up[:, rows[:, None], cols].reshape(len(up), -1).T.astype(np.float64)
    if chip.valid is not None:
        picked = picked[chip.valid[np.ix_(rows, cols)].ravel()]
    return np.ascontiguousarray(picked)


def _cluster(samples: NDArray[np.float64], count: int) -> Clusters:
    """k-means from a fixed start: groups of equal size along the brightness."""
    import warnings

    from scipy.cluster.vq import kmeans2

    spread = samples.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    scaled = samples / scale
    order = np.argsort(scaled.sum(axis=1), kind="stable")
    groups = [scaled[part] for part in np.array_split(order, min(count, len(order))) if len(part)]
    start = np.array([group.mean(axis=0) for group in groups])
    with warnings.catch_warnings():
        # A cluster that runs empty keeps its centre, which does no harm.
        warnings.simplefilter("ignore", UserWarning)
        centres, _ = kmeans2(scaled, start, iter=50, minit="matrix", missing="warn")
    return Clusters(tuple(tuple(map(float, row)) for row in centres), tuple(map(float, scale)))


@register_model("cgsa")
def cgsa(mode: str = "default", segments: ArrayLike | int | None = None) -> Cgsa:
    """Context-adaptive Gram-Schmidt; two passes.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    segments : array of int, shape (y, x), or int, optional
        Label of every product pixel (0, 1, ...), or the number of clusters to find (5).

    Raises
    ------
    OptionError
        Labels that are not whole and 0 or more, or fewer than 1 cluster.
    """
    if segments is None:
        return Cgsa()
    labels = np.asarray(segments)
    if labels.ndim == 0:
        if int(labels) != labels or not 1 <= int(labels) <= 64:
            raise OptionError(f"segments is {segments}; give 1 to 64 clusters, or a map of labels")
        return Cgsa(int(labels))
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise OptionError(
            f"segments has shape {labels.shape} and type {labels.dtype}; give whole labels from 0, "
            "shape (y, x) of the product"
        )
    return Cgsa(LabelMap(labels.astype(np.intp)))
