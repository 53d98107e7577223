"""A view: some bands of a window of a large image, reduced to the size that is looked at."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.grids import Window
from pansharp.source.base import Source, blank_pixels, broken_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.source import RasterSource

__all__ = ["View", "as_source", "look"]

#: Bytes of pixels that are read at a time.
_STRIP_BYTES = 32 << 20


@dataclass(frozen=True)
class View:
    """What is looked at.

    Parameters
    ----------
    data : ndarray, shape (band, y, x)
        float32 in the image's own units; NaN where there is no data.
    window : Window
        Pixels of the image that it shows.
    step : int
        Image pixels that one pixel of the view stands for, each way.
    """

    data: NDArray[np.float32]
    window: Window
    step: int

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where there is data, (y, x)."""
        return np.asarray(np.isfinite(self.data).all(axis=0))


def as_source(image: object) -> Source:
    """Anything that holds pixels as a source.

    Parameters
    ----------
    image : path, Source, xarray.DataArray or array, shape (band, y, x) or (y, x)
        A raster file, or pixels; lazy arrays stay lazy. An array that `open_product` or rioxarray
        opened and that was not touched since is read from its file, which may have overviews.

    Returns
    -------
    Source

    Raises
    ------
    ReaderError
        A file that cannot be opened.
    SceneError
        An array of other dimensions.
    """
    if isinstance(image, Source):
        return image
    if isinstance(image, str | os.PathLike):
        from pansharp.source import RasterSource

        return RasterSource(os.fspath(image))
    from pansharp.pictures.files import file_behind
    from pansharp.source import ArraySource

    file = file_behind(image)
    if file is not None:
        return file
    attrs: dict[str, Any] = getattr(image, "attrs", {})
    names = tuple(str(name) for name in attrs.get("long_name", ()) or ())
    array: Any = image
    bands = 1 if array.ndim == 2 else array.shape[0]
    return ArraySource(
        array,
        nodata=attrs.get("nodata", attrs.get("_FillValue")),
        band_names=names if len(names) == bands else (),
        label="the array",
    )


def look(
    image: object,
    *,
    bands: Sequence[int] | None = None,
    window: Window | None = None,
    size: int = 1024,
) -> View:
    """Look at an image: a window of it, reduced until it fits `size`.

    Parameters
    ----------
    image : path, Source, xarray.DataArray or array
        What :func:`as_source` takes.
    bands : sequence of int, optional
        Bands counted from 0; all without.
    window : Window, optional
        Pixels to show, cut to the image; all without.
    size : int
        Longest side of the view, pixels.

    Returns
    -------
    View
        Pixels are means over the valid image pixels that they stand for; where a file has
        overviews, over the pixels of the largest one that is fine enough. A view pixel is
        invalid only where nothing below it is valid.

    Raises
    ------
    OptionError
        `size` below 1, or a window outside the image.
    ReaderError
        The file cannot be read there.
    """
    if size < 1:
        raise OptionError(f"a view of {size} pixels; size must be 1 or more")
    source = as_source(image)
    if bands is not None:
        source = source.select(bands)
    full = Window(0, 0, source.height, source.width)
    shown = full if window is None else window.intersect(full)
    if 0 in shown.shape:
        raise OptionError(
            f"the window lies outside the image of {source.height} x {source.width} pixels"
        )
    step = max(1, math.ceil(max(shown.shape) / size))
    factor = _overview(source, step) if step > 1 else 1
    if factor > 1:
        return View(_from_overviews(cast("RasterSource", source), shown, step, factor), shown, step)
    chunks = _chunks(source, shown) if step > 1 else None
    if chunks is not None:
        return View(_by_chunks(source, shown, step, chunks), shown, step)
    return View(_streamed(source, shown, step), shown, step)


def _overview(source: Source, step: int) -> int:
    """Factor of the coarsest overview of a file that is still fine enough; 1 without."""
    from pansharp.source import RasterSource

    if not isinstance(source, RasterSource):
        return 1
    factors = source.dataset().overviews(source.indexes[0])
    return max((factor for factor in factors if factor <= step), default=1)


def _from_overviews(
    source: RasterSource, window: Window, step: int, factor: int
) -> NDArray[np.float32]:
    """Means of an overview's pixels, strip by strip."""
    inner = math.ceil(step / factor)
    row_bytes = source.bands * max(1, window.width // factor) * 8
    rows = max(1, _STRIP_BYTES // (row_bytes * inner)) * inner * factor
    strips = [
        Window(row, window.col, min(rows, window.row_end - row), window.width)
        for row in range(window.row, window.row_end, rows)
    ]
    return np.concatenate(
        [_means(_from_overview(source, strip, factor), inner) for strip in strips], axis=1
    )


def _chunks(source: Source, window: Window) -> tuple[list[int], list[int]] | None:
    """Where the chunks of a lazy array begin and end inside a window: rows, then columns."""
    from pansharp.source import ArraySource

    chunks = source.chunks if isinstance(source, ArraySource) else None
    if chunks is None:
        return None
    edges = []
    spans = (window.row, window.row_end), (window.col, window.col_end)
    for sizes, (start, stop) in zip(chunks, spans, strict=True):
        inner = {int(edge) for edge in np.cumsum(sizes) if start < edge < stop}
        edges.append(sorted({start, stop} | inner))
    return edges[0], edges[1]


def _by_chunks(
    source: Source, window: Window, step: int, edges: tuple[list[int], list[int]]
) -> NDArray[np.float32]:
    """Means over squares of `step` pixels; each chunk is computed once."""
    shape = math.ceil(window.height / step), math.ceil(window.width / step)
    sums = np.zeros((source.bands, *shape), dtype=np.float64)
    counts = np.zeros((source.bands, *shape), dtype=np.int32)
    for row, row_end in pairwise(edges[0]):
        for col, col_end in pairwise(edges[1]):
            part = Window(row, col, row_end - row, col_end - col)
            stored = source.read(part)
            valid = source.valid(part, stored)
            data = _with_holes(stored, None if valid is None else ~valid)
            known = np.isfinite(data)
            values: Any = np.where(known, data, np.float32(0)).astype(np.float64)
            number: Any = known.astype(np.int32)
            place = []
            for axis, start in ((1, row - window.row), (2, col - window.col)):
                first = start // step
                last = (start + data.shape[axis] - 1) // step + 1
                # A square may begin before this chunk: its share here begins at pixel 0.
                cuts = np.maximum(np.arange(first, last) * step - start, 0)
                values = np.add.reduceat(values, cuts, axis=axis)
                number = np.add.reduceat(number, cuts, axis=axis)
                place.append(slice(first, last))
            sums[:, *place] += values
            counts[:, *place] += number
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means.astype(np.float32)


def _from_overview(source: RasterSource, window: Window, factor: int) -> NDArray[np.float32]:
    """Pixels of an overview, NaN where invalid; the file's own mask is asked, too."""
    dataset = source.dataset()
    row, col = window.row + source.window.row, window.col + source.window.col
    place = ((row, row + window.height), (col, col + window.width))
    shape = (math.ceil(window.height / factor), math.ceil(window.width / factor))
    indexes = list(source.indexes)
    stored = dataset.read(indexes, window=place, out_shape=(len(indexes), *shape))
    data = _with_holes(stored, blank_pixels(stored, source.blank_values), broken_pixels(stored))
    masks = dataset.read_masks(indexes[0], window=place, out_shape=shape)
    data[:, masks == 0] = np.nan
    return data


def _streamed(source: Source, window: Window, step: int) -> NDArray[np.float32]:
    row_bytes = source.bands * window.width * max(8, source.dtype.itemsize)
    rows = max(1, _STRIP_BYTES // (row_bytes * step)) * step
    parts = []
    for row in range(window.row, window.row_end, rows):
        part = Window(row, window.col, min(rows, window.row_end - row), window.width)
        stored = source.read(part)
        valid = source.valid(part, stored)
        hole = None if valid is None else ~valid
        parts.append(_means(_with_holes(stored, hole), step))
    return np.concatenate(parts, axis=1)


def _with_holes(
    stored: NDArray[np.generic], *holes: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    data = stored.astype(np.float32)
    for hole in holes:
        if hole is not None:
            data[:, hole] = np.nan
    return data


def _means(data: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Means over squares of `step` pixels, of what is finite; the last ones may be smaller."""
    if step == 1:
        return data
    known = np.isfinite(data)
    sums, counts = np.where(known, data, np.float32(0)), known.astype(np.float32)
    for axis in (1, 2):
        starts = np.arange(0, data.shape[axis], step)
        sums = np.add.reduceat(sums, starts, axis=axis)
        counts = np.add.reduceat(counts, starts, axis=axis)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.float32(np.nan))
