"""Sums behind the full-resolution indices, and an accumulator for images that come in pieces."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import MetricError, PansharpWarning
from pansharp.evaluation import _views as views
from pansharp.evaluation._blocks import block_count, blocks_of_mask, iter_blocks, moments
from pansharp.evaluation.q2n import RangeGuard, q2n_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation.q2n import Rounding

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

__all__ = ["FullResolutionAccumulator", "FullResolutionSums"]


@dataclass(frozen=True)
class FullResolutionSums:
    """Additive sums behind the indices without a reference; two of them add up with ``+``.

    Attributes
    ----------
    fused, low : ndarray
        Sums over blocks of the universal index between the bands of the fused image, and
        between the bands of the (interpolated) MS, shape (band, band).
    blocks : ndarray
        Blocks summed, shape (band, band).
    fused_pan, low_pan : ndarray
        The same between each band and the PAN, or its low-pass version, shape (band,).
    pan_blocks : ndarray
        Blocks summed, shape (band,).
    q2n_sum : float
        Sum of Q2n between interpolated MS and MTF-filtered fused image.
    q2n_blocks : int
        Blocks summed.
    """

    fused: Floats
    low: Floats
    blocks: Floats
    fused_pan: Floats
    low_pan: Floats
    pan_blocks: Floats
    q2n_sum: float = 0.0
    q2n_blocks: int = 0

    @classmethod
    def zero(cls, bands: int) -> FullResolutionSums:
        """Sums over no block."""
        square, line = np.zeros((bands, bands)), np.zeros(bands)
        return cls(square, square, square, line, line, line)

    def __add__(self, other: FullResolutionSums) -> FullResolutionSums:
        return FullResolutionSums(
            self.fused + other.fused,
            self.low + other.low,
            self.blocks + other.blocks,
            self.fused_pan + other.fused_pan,
            self.low_pan + other.low_pan,
            self.pan_blocks + other.pan_blocks,
            self.q2n_sum + other.q2n_sum,
            self.q2n_blocks + other.q2n_blocks,
        )

    def d_lambda(self, p: float = 1.0) -> float:
        """Spectral distortion, see `pansharp.evaluation.d_lambda`."""
        bands = len(self.fused_pan)
        if bands < 2:
            raise MetricError("D_lambda compares bands with each other and needs at least two")
        upper = np.triu_indices(bands, 1)
        return _distance(
            self.fused[upper], self.low[upper], self.blocks[upper], p, "D_lambda", "band pairs"
        )

    def d_s(self, q: float = 1.0) -> float:
        """Spatial distortion, see `pansharp.evaluation.d_s`."""
        return _distance(self.fused_pan, self.low_pan, self.pan_blocks, q, "D_s", "bands")

    def d_lambda_k(self) -> float:
        """Khan's spectral distortion, see `pansharp.evaluation.d_lambda_k`."""
        if self.q2n_blocks == 0:
            raise MetricError(
                "no block is at least half valid, so D_lambda_K is not defined; "
                "check the mask (True means valid) or use smaller blocks"
            )
        return 1.0 - self.q2n_sum / self.q2n_blocks

    def scores(self) -> dict[str, float]:
        """What the sums allow: ``d_lambda``, ``d_s``, ``qnr``, ``d_lambda_k``, ``hqnr``."""
        out: dict[str, float] = {}
        if self.blocks.any() and len(self.fused_pan) > 1:
            out["d_lambda"] = self.d_lambda()
        if self.pan_blocks.any():
            out["d_s"] = self.d_s()
        if "d_lambda" in out and "d_s" in out:
            out["qnr"] = (1.0 - out["d_lambda"]) * (1.0 - out["d_s"])
        if self.q2n_blocks:
            out["d_lambda_k"] = self.d_lambda_k()
        if "d_lambda_k" in out and "d_s" in out:
            out["hqnr"] = (1.0 - out["d_lambda_k"]) * (1.0 - out["d_s"])
        return out


def _distance(
    high: Floats, low: Floats, count: Floats, power: float, index: str, what: str
) -> float:
    if not power > 0:
        raise MetricError(f"exponent {power:g} of {index} must be positive")
    used = count > 0
    if not used.any():
        raise MetricError(
            f"{index} is not defined: no block is at least half valid and has texture; "
            "check the mask (True means valid), the bands, or use smaller blocks"
        )
    if not used.all():
        warnings.warn(
            f"{int((~used).sum())} of {used.size} {what} are constant in every block and were "
            f"left out of {index}",
            PansharpWarning,
            stacklevel=4,
        )
    gap = np.abs(high[used] / count[used] - low[used] / count[used])
    return float(np.mean(gap**power) ** (1.0 / power))


def uiqi_blocks(
    stack: NDArray[np.generic], valid: Bools | None, block: int, *, last_only: bool = False
) -> Floats:
    """Universal index between all bands in each block, ``(row, col, band, band)``.

    Sides that are not multiples of `block` must have been extended with invalid pixels. NaN in
    blocks that are constant or less than half valid. With `last_only` only the index between
    each band and the last one is computed, ``(row, col, band - 1)``.
    """
    masks, keep = blocks_of_mask(valid, block, block)
    bands, height, width = stack.shape
    shape: tuple[int, ...] = (height // block, width // block, bands, bands)
    if last_only:
        shape = (*shape[:2], bands - 1)
    out = np.empty(shape)
    for row, first, last, values in iter_blocks(stack, block, block):
        mean, cov = moments(values, None if masks is None else masks[row, first:last])
        variance = np.einsum("kbb->kb", cov)
        if last_only:
            cross, other = cov[:, :-1, -1], np.s_[:, -1:]
            product = mean[:, :-1] * mean[other]
            spread = variance[:, :-1] + variance[other]
            square = mean[:, :-1] ** 2 + mean[other] ** 2
        else:
            cross = cov
            product = mean[:, :, None] * mean[:, None, :]
            spread = variance[:, :, None] + variance[:, None, :]
            square = mean[:, :, None] ** 2 + mean[:, None, :] ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            out[row, first:last] = 4.0 * cross * product / (spread * square)
    if keep is not None:
        out[~keep] = np.nan
    return out


def _joint(high: Floats, low: Floats, *, drop: bool) -> tuple[Floats, Floats, Floats]:
    """Sums over the blocks that are defined in both images, and their number."""
    if not drop:
        count = np.full(high.shape[2:], float(high.shape[0] * high.shape[1]))
        return high.sum(axis=(0, 1)), low.sum(axis=(0, 1)), count
    used = np.isfinite(high) & np.isfinite(low)
    sums = [np.where(used, values, 0.0).sum(axis=(0, 1)) for values in (high, low)]
    return sums[0], sums[1], used.sum(axis=(0, 1)).astype(np.float64)


def _extend(
    image: NDArray[np.generic], valid: Bools | None, block: int
) -> tuple[NDArray[np.generic], Bools | None]:
    """Extend with invalid zeros on the right and at the bottom to multiples of the block."""
    rows, cols = -image.shape[1] % block, -image.shape[2] % block
    if not rows and not cols:
        return image, valid
    if valid is None:
        valid = np.ones(image.shape[1:], dtype=bool)
    return (
        np.pad(image, ((0, 0), (0, rows), (0, cols))),
        np.pad(valid, ((0, rows), (0, cols))),
    )


@dataclass(frozen=True)
class Piece:
    """Prepared pixels of one rectangle; parts that are not wanted are None."""

    fused: NDArray[np.generic] | None
    low: NDArray[np.generic] | None
    pan: NDArray[np.generic] | None = None
    pan_low: NDArray[np.generic] | None = None
    valid: Bools | None = None
    low_valid: Bools | None = None


def piece_sums(
    piece: Piece, block: int, low_block: int, *, spectral: bool = True, drop: bool = True
) -> tuple[FullResolutionSums, dict[str, Floats]]:
    """Block sums of D_lambda (`spectral`) and D_s (where there is a PAN) over one piece.

    The second result holds the D_s of every block, under its name.
    """
    assert piece.fused is not None
    assert piece.low is not None
    bands = piece.fused.shape[0]
    spatial = piece.pan is not None
    values: list[Floats] = []
    for image, guide, valid, side in (
        (piece.fused, piece.pan, piece.valid, block),
        (piece.low, piece.pan_low, piece.low_valid, low_block),
    ):
        stack = image if guide is None else _stack(image, guide)
        stack, inner = _extend(stack, valid, side)
        values.append(uiqi_blocks(stack, inner, side, last_only=not spectral))
    high, low = values
    zero = FullResolutionSums.zero(bands)
    pairs = (zero.fused, zero.low, zero.blocks)
    guide_sums = (zero.fused_pan, zero.low_pan, zero.pan_blocks)
    if spectral:
        part = np.s_[:, :, :bands, :bands]
        pairs = _joint(high[part], low[part], drop=drop)
        if spatial:
            column = np.s_[:, :, :bands, bands]
            high, low = high[column], low[column]
    blocks: dict[str, Floats] = {}
    if spatial:
        guide_sums = _joint(high, low, drop=drop)
        blocks["d_s"] = np.abs(high - low).mean(axis=2)
    return FullResolutionSums(*pairs, *guide_sums), blocks


def _stack(image: NDArray[np.generic], guide: NDArray[np.generic]) -> Floats:
    out = np.empty((image.shape[0] + 1, *image.shape[1:]))
    out[:-1] = image
    out[-1] = guide
    return out


def khan_sums(
    reference: NDArray[np.generic],
    filtered: NDArray[np.generic],
    valid: Bools | None,
    block: int,
    guard: RangeGuard,
    rounding: Rounding = "uint16",
) -> tuple[FullResolutionSums, Floats]:
    """Q2n between interpolated MS and filtered fused image, ragged sides mirrored: sums, blocks."""
    rows = block_count(reference.shape[1], block, block)[1] - reference.shape[1]
    cols = block_count(reference.shape[2], block, block)[1] - reference.shape[2]
    if rounding == "uint16":
        guard.look(reference)
    if rows or cols:
        margin = ((0, rows), (0, cols))
        reference = np.pad(reference, ((0, 0), *margin), mode="symmetric")
        filtered = np.pad(filtered, ((0, 0), *margin), mode="symmetric")
        valid = None if valid is None else np.pad(valid, margin, mode="symmetric")
    values = q2n_blocks(reference, filtered, valid, block, block, rounding)
    kept = values[~np.isnan(values)]
    zero = FullResolutionSums.zero(reference.shape[0])
    return replace(zero, q2n_sum=float(kept.sum()), q2n_blocks=kept.size), values


class FullResolutionAccumulator:
    """D_lambda, D_s, QNR, D_lambda_K and HQNR of an image that comes in prepared pieces.

    The caller interpolates the MS, low-passes the PAN and filters the fused image; pieces are any
    rectangles whose corners lie on multiples of `block`. A block enters D_lambda and D_s where
    the index is defined in the fused *and* in the low image: constant blocks, and blocks with
    fewer than half of their pixels valid or inside the piece, are dropped from both.

    Parameters
    ----------
    bands : int
        Number of MS bands.
    block : int
        Side of the blocks, which do not overlap.
    rounding : {"uint16", "none"}
        As in `pansharp.evaluation.q2n`.

    Attributes
    ----------
    sums : FullResolutionSums
        What has been added so far.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (4, 64, 64)).astype(float)
    >>> accumulator = FullResolutionAccumulator(4)
    >>> piece = accumulator.add(image, image, image, image[0], image[0])
    >>> accumulator.result()["d_lambda"]
    0.0
    """

    def __init__(self, bands: int, block: int = 32, *, rounding: Rounding = "uint16") -> None:
        self._bands = bands
        self._rounding: Rounding = rounding
        self._block = views.check_block(block, "block")
        self._guard = RangeGuard()
        self.sums = FullResolutionSums.zero(bands)

    def add(
        self,
        fused: NDArray[np.generic],
        ms_up: NDArray[np.generic],
        ms_filtered_fused: NDArray[np.generic] | None = None,
        pan: NDArray[np.generic] | None = None,
        pan_low: NDArray[np.generic] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> FullResolutionSums:
        """Add a piece and return its own sums, for whoever keeps them per tile.

        Parameters
        ----------
        fused : ndarray
            Shape (band, y, x), digital numbers.
        ms_up : ndarray
            MS interpolated to the same grid.
        ms_filtered_fused : ndarray, optional
            `fused` filtered with the MTF kernels of the MS bands; None leaves D_lambda_K out.
        pan, pan_low : ndarray, optional
            PAN and its low-resolution version on the same grid, (y, x) or (1, y, x); None leaves
            D_s out.
        mask : ndarray, optional
            Shape (y, x), True where valid.

        Returns
        -------
        FullResolutionSums
            Sums of this piece alone.

        Raises
        ------
        MetricError
            Shapes differ, only one of `pan` and `pan_low`, or a valid value is not finite.
        """
        if (pan is None) != (pan_low is None):
            raise MetricError("give both pan and pan_low, or neither")
        shape = (self._bands, *fused.shape[-2:])
        validity = views.mask_view(mask, fused.shape[-2:])
        valid = views.read_mask(validity, (0, shape[1], 0, shape[2]))
        parts: dict[str, NDArray[np.generic] | None] = {}
        for name, image, bands in (
            ("fused", fused, self._bands),
            ("ms_up", ms_up, self._bands),
            ("ms_filtered_fused", ms_filtered_fused, self._bands),
            ("pan", pan, 1),
            ("pan_low", pan_low, 1),
        ):
            parts[name] = None
            if image is None:
                continue
            array = np.asarray(image)
            array = array[None] if array.ndim == 2 else array
            if array.shape != (bands, *shape[1:]):
                raise MetricError(
                    f"{name} has shape {array.shape} and should have {(bands, *shape[1:])}"
                )
            parts[name] = views.clean(array, valid, name)
        piece = Piece(parts["fused"], parts["ms_up"], parts["pan"], parts["pan_low"], valid, valid)
        sums = FullResolutionSums.zero(self._bands)
        if pan is not None or self._bands > 1:
            sums += piece_sums(piece, self._block, self._block, spectral=self._bands > 1)[0]
        if parts["ms_filtered_fused"] is not None and parts["ms_up"] is not None:
            sums += khan_sums(
                parts["ms_up"],
                parts["ms_filtered_fused"],
                valid,
                self._block,
                self._guard,
                self._rounding,
            )[0]
        self.sums += sums
        return sums

    def result(self) -> dict[str, float]:
        """Scores over all pieces, as far as the parts given allow.

        Returns
        -------
        dict of str to float
            ``d_lambda``, ``d_s``, ``qnr``, ``d_lambda_k``, ``hqnr``.

        Raises
        ------
        MetricError
            No block was usable at all.
        """
        self._guard.warn(2)
        scores = self.sums.scores()
        if not scores:
            raise MetricError(
                "no block is at least half valid and has texture; "
                "check the mask (True means valid) or use smaller blocks"
            )
        return scores
