"""The additive sums behind the indices against a reference, and an accumulator for pieces.

Every index here is a function of sums over pixels or blocks. `ReferenceSums` keeps those sums,
so that they can be taken tile by tile, added up, or resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import MetricError
from pansharp.evaluation import _views as views
from pansharp.evaluation._walk import walk
from pansharp.evaluation.q2n import RangeGuard, q2n_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Rect, View
    from pansharp.evaluation.q2n import Rounding

    Floats = NDArray[np.float64]

__all__ = [
    "ReferenceAccumulator",
    "ReferenceSums",
    "SumsPart",
    "angles",
    "pixel_sums",
    "reference_sums",
]

_CHUNK = 1 << 16
"""Numbers of one image that are worked on at a time: they stay in the processor's cache."""


@dataclass(frozen=True)
class ReferenceSums:
    """Additive sums behind the with-reference indices; two of them add up with ``+``.

    Attributes
    ----------
    pixels : int
        Valid pixels.
    squared_error : ndarray
        Sum of squared differences per band, shape (band,).
    reference_mean, fused_mean : ndarray
        Mean per band, shape (band,).
    reference_scatter, fused_scatter, cross_scatter : ndarray
        Sums of squared and mixed deviations from those means, shape (band,).
    angle_sum : float
        Sum of spectral angles, radians.
    angle_pixels : int
        Pixels with an angle: neither spectrum is all zero.
    q2n_sum : float
        Sum of the Q2n of blocks.
    q2n_blocks : int
        Blocks kept.
    """

    pixels: int
    squared_error: Floats
    reference_mean: Floats
    fused_mean: Floats
    reference_scatter: Floats
    fused_scatter: Floats
    cross_scatter: Floats
    angle_sum: float = 0.0
    angle_pixels: int = 0
    q2n_sum: float = 0.0
    q2n_blocks: int = 0

    @classmethod
    def zero(cls, bands: int) -> ReferenceSums:
        """Sums over no pixel."""
        zero = np.zeros(bands)
        return cls(0, zero, zero, zero, zero, zero, zero)

    @property
    def bands(self) -> int:
        """Number of bands."""
        return len(self.squared_error)

    @property
    def reference_sum(self) -> Floats:
        """Sum of the reference per band."""
        return self.reference_mean * self.pixels

    def __add__(self, other: ReferenceSums) -> ReferenceSums:
        pixels = self.pixels + other.pixels
        # Scatter adds up without cancellation when the shift of the means is put in (Chan 1979).
        weight = other.pixels / pixels if pixels else 0.0
        shift = other.reference_mean - self.reference_mean
        shift_fused = other.fused_mean - self.fused_mean
        cross = self.pixels * weight
        return ReferenceSums(
            pixels,
            self.squared_error + other.squared_error,
            self.reference_mean + shift * weight,
            self.fused_mean + shift_fused * weight,
            self.reference_scatter + other.reference_scatter + shift**2 * cross,
            self.fused_scatter + other.fused_scatter + shift_fused**2 * cross,
            self.cross_scatter + other.cross_scatter + shift * shift_fused * cross,
            self.angle_sum + other.angle_sum,
            self.angle_pixels + other.angle_pixels,
            self.q2n_sum + other.q2n_sum,
            self.q2n_blocks + other.q2n_blocks,
        )

    def _need_pixels(self) -> None:
        if self.pixels == 0:
            raise MetricError("no valid pixel to compare; check the mask (True means valid)")

    def mse(self) -> Floats:
        """Mean squared error per band, squared counts."""
        self._need_pixels()
        return self.squared_error / self.pixels

    def ergas(self, ratio: float) -> float:
        """ERGAS, see `ergas`."""
        ratio = views.check_ratio(ratio)
        mse = self.mse()
        if not self.reference_mean.all():
            band = int(np.flatnonzero(self.reference_mean == 0.0)[0])
            raise MetricError(
                f"band {band} of the reference has mean 0, so ERGAS is not defined; leave it out"
            )
        return 100.0 / ratio * math.sqrt(float(np.mean(mse / self.reference_mean**2)))

    def sam(self) -> float:
        """Mean spectral angle in degrees, see `sam`."""
        self._need_pixels()
        if self.angle_pixels == 0:
            raise MetricError("every pixel has an all-zero spectrum, so SAM is not defined")
        return math.degrees(self.angle_sum / self.angle_pixels)

    def q2n(self) -> float:
        """Mean of the kept blocks' Q2n."""
        if self.q2n_blocks == 0:
            raise MetricError(
                "no block is at least half valid, so Q2n is not defined; "
                "check the mask (True means valid) or use smaller blocks"
            )
        return self.q2n_sum / self.q2n_blocks

    def rmse(self) -> float:
        """Root mean squared error over pixels and bands, counts."""
        return math.sqrt(float(self.mse().mean()))

    def cc_bands(self) -> Floats:
        """Correlation per band; NaN where a band is constant."""
        self._need_pixels()
        norm = np.sqrt(self.reference_scatter * self.fused_scatter)
        out = np.full(self.bands, np.nan)
        np.divide(self.cross_scatter, norm, out=out, where=norm > 0.0)
        return out

    def cc(self) -> float:
        """Mean of the bands' correlations, see `cc`."""
        bands = self.cc_bands()
        if np.isnan(bands).any():
            raise MetricError(
                f"band {int(np.flatnonzero(np.isnan(bands))[0])} is constant, so its correlation "
                "is not defined; leave it out"
            )
        return float(bands.mean())

    def psnr_bands(self, data_range: float) -> Floats:
        """Peak signal-to-noise ratio per band, dB; infinite where equal."""
        data_range = views.check_range(data_range)
        mse = self.mse()
        with np.errstate(divide="ignore"):
            return np.asarray(10.0 * np.log10(data_range**2 / mse))

    def psnr(self, data_range: float, *, pooled: bool = True) -> float:
        """Peak signal-to-noise ratio in dB, see `psnr`."""
        bands = self.psnr_bands(data_range)
        if not pooled:
            return float(bands.mean())
        mse = float(self.mse().mean())
        return math.inf if mse == 0.0 else 10.0 * math.log10(data_range**2 / mse)

    def scores(self, ratio: float) -> dict[str, float]:
        """``ergas``, ``sam``, ``rmse``, and where defined ``q2n`` and ``cc``."""
        out = {"ergas": self.ergas(ratio), "sam": self.sam()}
        if self.q2n_blocks:
            out["q2n"] = self.q2n()
        out["rmse"] = self.rmse()
        if not np.isnan(self.cc_bands()).any():
            out["cc"] = self.cc()
        return out


def angles(x: Floats, y: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Angles between the columns of two (band, pixel) arrays, radians, and where they count."""
    xx = np.einsum("bn,bn->n", x, x)
    yy = np.einsum("bn,bn->n", y, y)
    norm = np.sqrt(xx * yy)
    used = norm != 0.0
    cosine = np.divide(np.einsum("bn,bn->n", x, y), norm, out=np.ones_like(norm), where=used)
    # Rounding may lift the cosine above 1; the reference then keeps the real part, 0.
    np.clip(cosine, -1.0, 1.0, out=cosine)
    return np.arccos(cosine, out=cosine), used


def pixel_sums(
    reference: NDArray[np.generic],
    fused: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    *,
    with_angles: bool = True,
    scatter: bool = True,
) -> ReferenceSums:
    """Sums over the valid pixels of two finite arrays ``(band, y, x)``."""
    bands, rows, cols = reference.shape
    total = ReferenceSums.zero(bands)
    strip = max(1, _CHUNK // (bands * cols))
    for row in range(0, rows, strip):
        part = np.s_[:, row : row + strip]
        x = reference[part].reshape(bands, -1).astype(np.float64)
        y = fused[part].reshape(bands, -1).astype(np.float64)
        if valid is not None:
            kept = valid[row : row + strip].ravel()
            x, y = x[:, kept], y[:, kept]
        pixels = x.shape[1]
        if pixels == 0:
            continue
        difference = x - y
        error = np.einsum("bn,bn->b", difference, difference)
        mean = x.mean(axis=1)
        angle_sum, angle_pixels = 0.0, 0
        if with_angles:
            # Where a spectrum is all zero the angle is 0 and does not count.
            angle, used = angles(x, y)
            angle_sum, angle_pixels = float(angle.sum()), int(np.count_nonzero(used))
        zero = np.zeros(bands)
        moments = (zero, zero, zero)
        mean_fused = zero
        if scatter:
            mean_fused = y.mean(axis=1)
            x -= mean[:, None]
            y -= mean_fused[:, None]
            moments = (
                np.einsum("bn,bn->b", x, x),
                np.einsum("bn,bn->b", y, y),
                np.einsum("bn,bn->b", x, y),
            )
        total += ReferenceSums(pixels, error, mean, mean_fused, *moments, angle_sum, angle_pixels)
    return total


class ReferenceAccumulator:
    """ERGAS, SAM, Q2n, RMSE and CC of an image that comes in pieces.

    Pieces are any rectangles whose corners lie on multiples of `block`; a piece with sides that
    are not multiples is mirrored for Q2n, as the image's right and bottom edge are.

    Parameters
    ----------
    bands : int
        Number of bands.
    ratio : float
        MS pixel over PAN pixel, for ERGAS.
    block : int
        Side of the Q2n blocks, which do not overlap.

    Attributes
    ----------
    sums : ReferenceSums
        What has been added so far.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (4, 64, 64))
    >>> accumulator = ReferenceAccumulator(4, 4)
    >>> top = accumulator.add(image[:, :32], image[:, :32])
    >>> rest = accumulator.add(image[:, 32:], image[:, 32:])
    >>> accumulator.result()["ergas"]
    0.0
    """

    def __init__(self, bands: int, ratio: float = 4, block: int = 32) -> None:
        self._bands = bands
        self._ratio = views.check_ratio(ratio)
        self._block = views.check_block(block, "block")
        self._guard = RangeGuard()
        self.sums = ReferenceSums.zero(bands)

    def add(
        self,
        reference: NDArray[np.generic],
        fused: NDArray[np.generic],
        mask: NDArray[np.bool_] | None = None,
    ) -> ReferenceSums:
        """Add a piece and return its own sums, for whoever keeps them per tile.

        Parameters
        ----------
        reference, fused : ndarray
            Shape (band, y, x), digital numbers.
        mask : ndarray, optional
            Shape (y, x), True where valid.

        Returns
        -------
        ReferenceSums
            Sums of this piece alone.

        Raises
        ------
        MetricError
            Shapes differ, or a valid value is not finite.
        """
        first, second = views.pair(reference, fused)
        if first.bands != self._bands:
            raise MetricError(f"piece has {first.bands} bands, the image {self._bands}")
        part = SumsPart(self._bands, self._block, guard=self._guard)
        walk(first, second, views.mask_view(mask, first.size), [part], step=self._block)
        sums = part.sums
        self.sums += sums
        return sums

    def result(self) -> dict[str, float]:
        """Scores over all pieces: ``ergas``, ``sam``, ``rmse``, and ``q2n``, ``cc`` if defined."""
        self._guard.warn(2)
        return self.sums.scores(self._ratio)


class SumsPart:
    """The sums of ERGAS, SAM, RMSE, CC and, with a block, Q2n.

    Parameters
    ----------
    bands : int
        Number of bands.
    block : int, optional
        Side of the Q2n blocks, on whose multiples all rectangles begin; None leaves Q2n out.
    with_angles, scatter : bool
        Whether to take the sums of SAM and of CC.
    rounding : {"uint16", "none"}
        As in `pansharp.evaluation.q2n`.
    guard : RangeGuard, optional
        Looks at the values of the reference.
    """

    reach = (0, 0)

    def __init__(
        self,
        bands: int,
        block: int | None = None,
        *,
        with_angles: bool = True,
        scatter: bool = True,
        rounding: Rounding = "uint16",
        guard: RangeGuard | None = None,
    ) -> None:
        self.sums = ReferenceSums.zero(bands)
        self._block = block
        self._angles, self._scatter = with_angles, scatter
        self._rounding: Rounding = rounding
        self.guard = guard or RangeGuard()

    def over(
        self, first: View, second: View, mask: View | None, rect: Rect
    ) -> tuple[ReferenceSums, Floats | None]:
        """Sums over a rectangle, whose part outside the images serves Q2n only."""
        valid = views.read_mask(mask, rect, "mirror")
        x = views.clean(first.read(rect, "mirror"), valid, "reference")
        y = views.clean(second.read(rect, "mirror"), valid, "fused")
        inside = np.s_[..., : first.height - rect[0], : first.width - rect[2]]
        own = None if valid is None else valid[inside]
        sums = pixel_sums(
            x[inside], y[inside], own, with_angles=self._angles, scatter=self._scatter
        )
        if self._block is None:
            return sums, None
        if self._rounding == "uint16":
            self.guard.look(x)
        values = q2n_blocks(x, y, valid, self._block, self._block, self._rounding)
        kept = values[~np.isnan(values)]
        return replace(sums, q2n_sum=float(kept.sum()), q2n_blocks=kept.size), values

    def take(self, sums: tuple[ReferenceSums, Floats | None]) -> dict[str, Floats]:
        """Add the next rectangle; tell the Q2n of its blocks."""
        self.sums += sums[0]
        return {} if sums[1] is None else {"q2n": sums[1]}


def reference_sums(
    reference: View,
    fused: View,
    mask: View | None,
    *,
    with_angles: bool = True,
    scatter: bool = True,
    workers: int = 1,
) -> ReferenceSums:
    """Sums over two images of any size, without Q2n."""
    part = SumsPart(reference.bands, with_angles=with_angles, scatter=scatter)
    walk(reference, fused, mask, [part], workers=workers)
    return part.sums
