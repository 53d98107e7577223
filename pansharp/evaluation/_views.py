"""Windowed reading of whatever an index is asked about: arrays, dask, xarray, file views.

Every index walks over rectangles and never holds more than one rectangle of each image, so the
size of an image is limited by patience alone. A `View` is band-first and may be composed of
another one (cropped, averaged, shrunk); it is only ever asked for contiguous windows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from pansharp.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["ArrayView", "Border", "Mask", "Raster", "RasterView", "View"]

Border = Literal["mirror", "wrap", "edge", "zero"]
Rect = tuple[int, int, int, int]

PIECE = 1 << 22
"""Numbers of one image that are held at a time."""


class RasterView(Protocol):
    """Anything that has a shape and can be sliced: the least that an index needs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(band, y, x)``, or ``(y, x)`` for one band."""

    @property
    def dtype(self) -> object:
        """Type of the numbers, something that ``numpy.dtype`` understands."""

    def __getitem__(self, key: tuple[slice, ...], /) -> object:
        """Contiguous window that ``numpy.asarray`` turns into an array."""


if TYPE_CHECKING:
    Raster = NDArray[np.generic] | RasterView
    Mask = NDArray[np.bool_] | RasterView
else:
    Raster = Mask = object


class View:
    """A band-first image read by windows; subclasses say how the inside is read."""

    def __init__(self, bands: int, height: int, width: int) -> None:
        self.bands = bands
        self.height = height
        self.width = width

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Pixels of a window that lies inside the image."""
        raise NotImplementedError

    def read(self, rect: Rect, border: Border = "edge") -> NDArray[np.generic]:
        """Pixels ``(band, r1 - r0, c1 - c0)`` of a window that may reach outside."""
        r0, r1, c0, c1 = rect
        if min(r0, c0) >= 0 and r1 <= self.height and c1 <= self.width:
            return self.inside(rect)
        if border == "zero":
            near = (max(r0, 0), min(r1, self.height), max(c0, 0), min(c1, self.width))
            part = self.inside(near)
            out = np.zeros((part.shape[0], r1 - r0, c1 - c0), dtype=part.dtype)
            out[:, near[0] - r0 : near[1] - r0, near[2] - c0 : near[3] - c0] = part
            return out
        rows = _fold(r0, r1, self.height, border)
        cols = _fold(c0, c1, self.width, border)
        if border != "wrap":
            part = self.inside(
                (int(rows.min()), int(rows.max()) + 1, int(cols.min()), int(cols.max()) + 1)
            )
            return part[:, (rows - rows.min())[:, None], cols - cols.min()]
        # The two ends of a wrapped window lie far apart: read each run by itself.
        return np.concatenate(
            [
                np.concatenate([self.inside((*down, *across)) for across in _runs(cols)], axis=2)
                for down in _runs(rows)
            ],
            axis=1,
        )


def _fold(start: int, stop: int, length: int, border: Border) -> NDArray[np.intp]:
    index = np.arange(start, stop)
    if border == "wrap":
        return index % length
    if border == "edge":
        return np.clip(index, 0, length - 1)
    index = index % (2 * length)
    return np.where(index >= length, 2 * length - 1 - index, index)


def _runs(index: NDArray[np.intp]) -> list[tuple[int, int]]:
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(index, breaks)]


class ArrayView(View):
    """View of an array-like, ``(band, y, x)`` or ``(y, x)``."""

    def __init__(self, source: Raster, name: str) -> None:
        if not hasattr(source, "shape"):
            source = np.asarray(source)
        shape = tuple(int(side) for side in source.shape)
        if len(shape) not in (2, 3) or 0 in shape:
            raise MetricError(
                f"{name} has shape {shape}; give a non-empty (band, y, x) or (y, x) image"
            )
        super().__init__(*((1, *shape) if len(shape) == 2 else shape))
        self.name = name
        self._source = source
        self._flat = len(shape) == 2

    @property
    def source(self) -> Raster:
        """What was given."""
        return self._source

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Pixels of a window that lies inside the image."""
        rows, cols = slice(rect[0], rect[1]), slice(rect[2], rect[3])
        if self._flat:
            return np.asarray(self._source[rows, cols])[None]
        return np.asarray(self._source[:, rows, cols])


class CropView(View):
    """A rectangle of another view as an image of its own."""

    def __init__(self, base: View, rect: Rect) -> None:
        super().__init__(base.bands, rect[1] - rect[0], rect[3] - rect[2])
        self._base = base
        self._row, self._col = rect[0], rect[2]

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Pixels of a window that lies inside the crop."""
        r0, r1, c0, c1 = rect
        return self._base.inside((r0 + self._row, r1 + self._row, c0 + self._col, c1 + self._col))


class LowMaskView(View):
    """A mask on the low grid: valid where all ``ratio x ratio`` fine pixels are."""

    def __init__(self, mask: View, ratio: int) -> None:
        super().__init__(1, mask.height // ratio, mask.width // ratio)
        self._mask = mask
        self._ratio = ratio

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Validity of low pixels, ``(1, y, x)``."""
        r0, r1, c0, c1 = (side * self._ratio for side in rect)
        fine = self._mask.inside((r0, r1, c0, c1)).astype(bool)[0]
        shape = (rect[1] - rect[0], self._ratio, rect[3] - rect[2], self._ratio)
        return np.asarray(fine.reshape(shape).all(axis=(1, 3)))[None]


def mask_view(mask: Mask | None, size: tuple[int, int]) -> ArrayView | None:
    """View of a mask after checking its shape; None when there is nothing to mask."""
    if mask is None:
        return None
    view = ArrayView(mask, "mask")
    if view.bands != 1 or view.size != size:
        raise MetricError(
            f"mask is {view.height}x{view.width} ({view.bands} bands) and the image "
            f"{size[0]}x{size[1]}; give a (y, x) mask of the image's size, True where valid"
        )
    if isinstance(mask, np.ndarray) and bool(mask.all()):
        return None
    return view


def read_mask(mask: View | None, rect: Rect, border: Border = "edge") -> NDArray[np.bool_] | None:
    """Validity ``(y, x)`` of a window; None when every pixel of it is valid."""
    if mask is None:
        return None
    valid: NDArray[np.bool_] = mask.read(rect, border)[0].astype(bool)
    return None if valid.all() else valid


def clean(
    values: NDArray[np.generic], valid: NDArray[np.bool_] | None, name: str
) -> NDArray[np.generic]:
    """Values with 0 in invalid pixels; refuses what is not finite in valid ones."""
    if valid is not None:
        values = np.where(valid, values, np.zeros((), dtype=values.dtype))
    if values.dtype.kind == "f":
        # The sum costs one pass without a temporary; a long look follows only if it is odd.
        with np.errstate(invalid="ignore", over="ignore"):
            total = float(np.add.reduce(values, axis=None, dtype=np.float64))
        if not math.isfinite(total):
            bad = int(np.count_nonzero(~np.isfinite(values)))
            if bad:
                raise MetricError(
                    f"{name} has values that are not finite ({bad} in one window); "
                    "pass mask= with False in those pixels"
                )
    elif values.dtype.kind not in "iub":
        raise MetricError(f"{name} has type {values.dtype}; indices need real numbers")
    return values


def pieces(height: int, width: int, bands: int, step: int) -> Iterator[Rect]:
    """Rectangles that tile ``height x width``, sides multiples of `step` but for the last ones."""
    budget = max(PIECE // max(bands, 1), step * step)
    side = math.isqrt(budget)
    cols = width if width <= 2 * side else max(side // step, 1) * step
    rows = max(budget // cols // step, 1) * step
    for r0, r1 in _cuts(height, rows, step):
        for c0, c1 in _cuts(width, cols, step):
            yield r0, r1, c0, c1


def _cuts(length: int, size: int, step: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of `size`; a last one of a single step joins the one before.

    A ragged last block is mirrored and needs a whole block beside it to be mirrored from.
    """
    start = 0
    while start < length:
        stop = start + size
        stop = length if length - stop <= step else stop
        yield start, stop
        start = stop


def pair(reference: Raster, fused: Raster) -> tuple[ArrayView, ArrayView]:
    """Views of two images of the same shape."""
    first, second = ArrayView(reference, "reference"), ArrayView(fused, "fused")
    if (first.bands, *first.size) != (second.bands, *second.size):
        raise MetricError(
            f"reference is {first.bands}x{first.height}x{first.width} and fused "
            f"{second.bands}x{second.height}x{second.width} (band, y, x); they must be equal"
        )
    return first, second


def check_ratio(ratio: float) -> float:
    """Ratio as a float of at least 1, with a word on the classical mistake."""
    if not ratio >= 1 or not math.isfinite(ratio):
        hint = f"; did you mean {1 / ratio:g}?" if 0 < ratio < 1 else ""
        raise MetricError(
            f"ratio {ratio:g} must be MS pixel size over PAN pixel size, 1 or more, such as 4{hint}"
        )
    return float(ratio)


def check_block(block_size: int, name: str = "block_size") -> int:
    """Block side as an int of at least 2."""
    if int(block_size) != block_size or block_size < 2:
        raise MetricError(f"{name} {block_size!r} must be a whole number of at least 2 pixels")
    return int(block_size)


def check_range(data_range: float) -> float:
    """Largest possible value, which must be positive."""
    if not data_range > 0:
        raise MetricError(
            f"data_range {data_range:g} must be positive, for example 2047 for 11 bits"
        )
    return float(data_range)
