"""Scores of single blocks, as maps: where a fusion is good and where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import MetricError
from pansharp.evaluation import _views as views
from pansharp.evaluation.sums import angles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Rect, View

    Floats = NDArray[np.float64]

__all__ = ["BlockErrorPart", "MapArrays", "band_means"]


def band_means(image: View, mask: View | None) -> Floats:
    """Mean of every band over the valid pixels, which ERGAS divides by."""
    total, pixels = np.zeros(image.bands), 0
    for rect in views.pieces(image.height, image.width, image.bands, 1):
        valid = views.read_mask(mask, rect)
        # Invalid pixels are 0 after this.
        values = views.clean(image.read(rect), valid, "reference")
        total += values.sum(axis=(1, 2), dtype=np.float64)
        count = values.shape[1] * values.shape[2] if valid is None else np.count_nonzero(valid)
        pixels += int(count)
    if pixels == 0:
        raise MetricError("no valid pixel to compare; check the mask (True means valid)")
    means = total / pixels
    if not means.all():
        band = int(np.flatnonzero(means == 0.0)[0])
        raise MetricError(
            f"band {band} of the reference has mean 0, so ERGAS is not defined; leave it out"
        )
    return means


class BlockErrorPart:
    """SAM and the terms of ERGAS block by block; adds nothing up.

    The root of the mean of the squared terms, weighted by the valid pixels of the blocks, is the
    ERGAS of the image.

    Parameters
    ----------
    means : ndarray
        From `band_means`.
    ratio : float
        MS pixel over PAN pixel.
    block : int
        Side of a block.
    """

    reach = (0, 0)

    def __init__(self, means: Floats, ratio: float, block: int) -> None:
        self._weight = (100.0 / views.check_ratio(ratio) / means) ** 2 / len(means)
        self._block = block

    def over(self, first: View, second: View, mask: View | None, rect: Rect) -> dict[str, Floats]:
        """Values of the blocks of a rectangle; NaN where a block has no pixel to compare."""
        bottom, right = min(rect[1], first.height), min(rect[3], first.width)
        lines = [
            self._line(first, second, mask, (row, min(row + self._block, bottom), rect[2], right))
            for row in range(rect[0], bottom, self._block)
        ]
        return {name: np.stack([line[name] for line in lines]) for name in lines[0]}

    def take(self, sums: dict[str, Floats]) -> dict[str, Floats]:
        """Hand the values on."""
        return sums

    def _line(self, first: View, second: View, mask: View | None, rect: Rect) -> dict[str, Floats]:
        """One row of blocks."""
        valid = views.read_mask(mask, rect)
        x, y = (
            views.clean(image.read(rect), valid, name).astype(np.float64)
            for image, name in ((first, "reference"), (second, "fused"))
        )
        shape = x.shape[1:]
        angle, used = angles(x.reshape(len(x), -1), y.reshape(len(y), -1))
        x -= y
        error = np.einsum("b,bij,bij->ij", self._weight, x, x)
        pixels = np.ones(shape) if valid is None else valid.astype(np.float64)
        # Pixels that are not valid are 0 in both images: no error, and no spectrum.
        sums = [
            np.add.reduceat(plane.sum(axis=0), np.arange(0, shape[1], self._block))
            for plane in (error, pixels, angle.reshape(shape), used.reshape(shape) * 1.0)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"ergas": np.sqrt(sums[0] / sums[1]), "sam": np.degrees(sums[2] / sums[3])}


class MapArrays:
    """Collects maps of blocks in memory."""

    def __init__(self, rows: int, cols: int) -> None:
        self._shape = rows, cols
        self.maps: dict[str, Floats] = {}

    def __call__(self, row: int, col: int, blocks: dict[str, Floats]) -> None:
        """Take the values of some blocks."""
        for name, values in blocks.items():
            target = self.maps.setdefault(name, np.full(self._shape, np.nan))
            target[row : row + values.shape[0], col : col + values.shape[1]] = values
