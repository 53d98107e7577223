"""Q2n: the hypercomplex quality index of Garzelli and Nencini (Q4 for 4 bands, Q8 for 8)."""

from __future__ import annotations

import threading
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.errors import MetricError, OptionError, PansharpWarning
from pansharp.evaluation import _views as views
from pansharp.evaluation._blocks import block_count, blocks_of_mask, center, iter_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Mask, Raster, View

    Floats = NDArray[np.float64]

__all__ = ["Rounding", "q2n", "q2n_map"]

Rounding = Literal["uint16", "none"]

_EPS = float(np.finfo(np.float64).eps)


@lru_cache(maxsize=16)
def _signs(order: int) -> Floats:
    """Sign of basis product ``e_a (x) e_b``, which is always ``+-e_(a xor b)``."""
    if order == 1:
        return np.ones((1, 1))
    half = _signs(order // 2)
    conjugate = np.full(order // 2, -1.0)
    conjugate[0] = 1.0
    signs = np.empty((order, order))
    split = order // 2
    signs[:split, :split] = half
    signs[split:, split:] = -half.T * conjugate
    signs[:split, split:] = conjugate[:, None] * half * conjugate
    signs[split:, :split] = conjugate[:, None] * half.T
    return signs


@lru_cache(maxsize=16)
def _product(bands: int) -> tuple[int, NDArray[np.intp], Floats]:
    """Order N, and for every component where its ``bands`` terms lie and with what sign.

    Component k of ``x (x) conj(y)`` is the sum over a of ``sign * C[a, a xor k]``; terms with a
    padding band are left out, because their covariance is zero.
    """
    order = 1 << (bands - 1).bit_length()
    signs = _signs(order).copy()
    signs[:, 1:] *= -1.0
    component, first = np.meshgrid(np.arange(order), np.arange(bands), indexing="ij")
    second = component ^ first
    sign = signs[first, second] * (second < bands)
    index = first * bands + np.minimum(second, bands - 1)
    return order, index, sign


def to_uint16(values: Floats) -> None:
    """Round half up and limit to 0 ... 65535 in place, as the reference does before Q2n."""
    np.clip(values, 0.0, 65535.0, out=values)
    values += 0.5
    np.floor(values, out=values)


def _values(reference: Floats, fused: Floats, valid: NDArray[np.bool_] | None) -> Floats:
    """Index of each block from uint16-valued blocks ``(block, band, pixel)``, which are changed."""
    bands = reference.shape[1]
    order, index, sign = _product(bands)
    mean, count = center(reference, valid)
    mean_fused, _ = center(fused, valid)
    free = (count - 1.0)[:, None]
    variance = np.einsum("kbn,kbn->kb", reference, reference) / free
    variance_fused = np.einsum("kbn,kbn->kb", fused, fused) / free
    cross = np.matmul(reference, fused.transpose(0, 2, 1)) / free[:, :, None]

    spread = np.sqrt(variance)
    spread[spread == 0.0] = _EPS
    # The reference scales the fused band only where the mean, not the spread, is not zero.
    spread_fused = np.where(mean != 0.0, spread, 1.0)
    cross /= spread[:, :, None] * spread_fused[:, None, :]
    # Both images have mean 1 in padding bands, the reference in every band.
    norm = float(order)
    norm_fused = (((mean_fused - mean) / spread_fused + 1.0) ** 2).sum(axis=1) + (order - bands)
    total = (variance / spread**2).sum(axis=1) + (variance_fused / spread_fused**2).sum(axis=1)

    bias = 2.0 * np.sqrt(norm) * np.sqrt(norm_fused) / (norm + norm_fused)
    components = (cross.reshape(len(cross), -1)[:, index] * sign).sum(axis=2)
    length = np.sqrt((components**2).sum(axis=1))
    out: Floats = bias.copy()
    np.divide(length * bias * 2.0, total, out=out, where=total != 0.0)
    return out


def q2n_blocks(
    reference: NDArray[np.generic],
    fused: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    block: int,
    shift: int,
    rounding: Rounding = "uint16",
) -> Floats:
    """Index of every whole block of two arrays ``(band, y, x)``; NaN where dropped."""
    masks, keep = blocks_of_mask(valid, block, shift)
    rows = (reference.shape[1] - block) // shift + 1
    cols = (reference.shape[2] - block) // shift + 1
    out = np.empty((rows, cols))
    exact = [
        rounding == "none" or image.dtype in (np.uint8, np.uint16) for image in (reference, fused)
    ]
    for (row, first, last, x), (_, _, _, y) in zip(
        iter_blocks(reference, block, shift), iter_blocks(fused, block, shift), strict=True
    ):
        for values, already in zip((x, y), exact, strict=True):
            if not already:
                to_uint16(values)
        out[row, first:last] = _values(x, y, None if masks is None else masks[row, first:last])
    if keep is not None:
        out[~keep] = np.nan
    return out


def check_rounding(rounding: str) -> None:
    """Refuse an unknown switch."""
    if rounding not in ("uint16", "none"):
        raise OptionError(f"rounding '{rounding}' is unknown; choose 'uint16' or 'none'")


class RangeGuard:
    """Remembers whether a floating reference stays within 0 ... 1, where rounding kills Q2n."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._top = -np.inf
        self._seen = False

    def look(self, reference: NDArray[np.generic]) -> None:
        """Take a window of the reference into account."""
        if reference.dtype.kind == "f" and reference.size and self._top <= 1.0:
            top = float(np.max(reference))
            with self._lock:
                self._seen = True
                self._top = max(self._top, top)

    def warn(self, stacklevel: int) -> None:
        """Warn if all that was seen lies in 0 ... 1 and is not all zero."""
        if self._seen and 0.0 < self._top <= 1.0:
            warnings.warn(
                f"Q2n rounds to whole numbers but the reference's largest value is "
                f"{self._top:.3g}; pass digital numbers (multiply by 2^bits - 1), or "
                "rounding='none'",
                PansharpWarning,
                stacklevel=stacklevel + 1,
            )


def _grid(view: View, block: int, shift: int) -> tuple[int, int]:
    return block_count(view.height, block, shift)[0], block_count(view.width, block, shift)[0]


def q2n_map(
    reference: Raster,
    fused: Raster,
    *,
    block_size: int = 32,
    shift: int = 32,
    rounding: Rounding = "uint16",
    mask: Mask | None = None,
) -> Floats:
    """Q2n of every block; see `q2n` for definition, parameters and errors.

    Returns
    -------
    ndarray
        Shape (ceil(y / shift), ceil(x / shift)), float64; NaN in blocks that the mask dropped.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (4, 64, 64))
    >>> q2n_map(image, image).shape
    (2, 2)
    """
    return _map(reference, fused, block_size, shift, rounding, mask, 3)


def _map(
    reference: Raster,
    fused: Raster,
    block_size: int,
    shift: int,
    rounding: Rounding,
    mask: Mask | None,
    stacklevel: int,
) -> Floats:
    block, step = views.check_block(block_size), int(shift)
    if step < 1 or step != shift:
        raise MetricError(f"shift {shift!r} must be a whole number of at least 1 pixel")
    check_rounding(rounding)
    first, second = views.pair(reference, fused)
    validity = views.mask_view(mask, first.size)
    guard = RangeGuard()
    rows, cols = _grid(first, block, step)
    out = np.empty((rows, cols))
    overlap = max(1, -(-block // step)) ** 2
    for b0, b1, a0, a1 in views.pieces(rows, cols, first.bands * block * block // overlap, 1):
        rect = (b0 * step, (b1 - 1) * step + block, a0 * step, (a1 - 1) * step + block)
        valid = views.read_mask(validity, rect, "mirror")
        x = views.clean(first.read(rect, "mirror"), valid, "reference")
        y = views.clean(second.read(rect, "mirror"), valid, "fused")
        if rounding == "uint16":
            guard.look(x)
        out[b0:b1, a0:a1] = q2n_blocks(x, y, valid, block, step, rounding)
    guard.warn(stacklevel)
    return out


def q2n(
    reference: Raster,
    fused: Raster,
    *,
    block_size: int = 32,
    shift: int = 32,
    rounding: Rounding = "uint16",
    mask: Mask | None = None,
) -> float:
    """Q2n, the hypercomplex universal quality index; ideal 1.

    Both images are rounded to uint16 (half away from zero, limited to 0 ... 65535), as in the
    reference code: pass digital numbers. Bands are padded with zero bands to a power of two;
    blocks that reach beyond the right or bottom edge see the image mirrored (edge repeated).
    One band gives the universal index of the normalised data.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), digital numbers, any real type.
    block_size : int
        Side of a block, pixels.
    shift : int
        Step between blocks; equal to `block_size` means they do not overlap.
    rounding : {"uint16", "none"}
        ``"none"`` takes the values as they are, fractions and negative ones included: for
        reflectance and radiance. Not comparable with published tables.
    mask : array or view, optional
        Shape (y, x), True where valid. A block uses its valid pixels only; blocks with fewer
        than half of their pixels valid are dropped.

    Returns
    -------
    float
        Mean over blocks, 0 to 1.

    Raises
    ------
    MetricError
        Shapes differ, no block is left, values are not finite outside the mask.
    OptionError
        Unknown rounding.

    Warns
    -----
    PansharpWarning
        The reference has values in 0 ... 1 only, which the rounding destroys.

    References
    ----------
    Garzelli and Nencini, "Hypercomplex quality assessment of multi/hyperspectral images",
    IEEE GRSL 6(4), 2009.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (4, 64, 64))
    >>> round(q2n(image, image), 12)
    1.0
    """
    values = _map(reference, fused, block_size, shift, rounding, mask, 3)
    kept = values[~np.isnan(values)]
    if kept.size == 0:
        raise MetricError(
            f"no block of {block_size}x{block_size} pixels is at least half valid; "
            "check the mask (True means valid) or use smaller blocks"
        )
    return float(kept.mean())
