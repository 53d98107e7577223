"""Does the product, seen with the eyes of the MS, still say what the MS says: spectra and maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.level import blur_to_ms
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.geometry.resample import input_window
from pansharp.source import read_padded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pansharp.report.inputs import Inputs
    from pansharp.report.places import Place

    Floats = NDArray[np.float64]

__all__ = ["BlockMaps", "Spectrum", "block_maps", "spectra"]

#: Bands that are blurred at a time.
_GROUP = 16
#: Side of a block of the maps, MS pixels, and cells along the longer axis.
_BLOCK, _CELLS, _CUBE_CELLS = 16, 32, 12
#: Images below this side, MS pixels, get blocks of half that side.
_SMALL = 128
#: Least share of valid pixels in a block.
_LEAST = 0.25


@dataclass(frozen=True)
class Spectrum:
    """Spectra of a place.

    Parameters
    ----------
    title : str
        The place.
    ms, fused : ndarray, shape (3, band), float64
        10 % point, mean and 90 % point of the MS, and of the product degraded to MS pixels.
    pixels : int
        MS pixels behind them.
    """

    title: str
    ms: Floats
    fused: Floats
    pixels: int


@dataclass(frozen=True)
class BlockMaps:
    """Difference between the degraded product and the MS, block by block.

    Parameters
    ----------
    ergas, sam : ndarray, shape (row, col), float64
        NaN where a block holds too few valid pixels. SAM in degrees.
    block : int
        Side of a block, MS pixels.
    cell : tuple of float
        Rows and columns of the MS that a cell of the map stands for.
    """

    ergas: Floats
    sam: Floats
    block: int
    cell: tuple[float, float]

    @property
    def sampled(self) -> bool:
        """Whether a block is only a part of its cell, not nearly all of it."""
        return max(self.cell) > 1.5 * self.block


def _compared(
    inputs: Inputs, window: Window, gains: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """MS and degraded product (band, y, x) of an MS window, and the pixels both have."""
    scene = inputs.scene
    assert scene is not None
    data = scene.ms_source.read(window)
    known = scene.ms_source.valid(window, data)
    # A band that was set aside holds nodata in the product and says nothing.
    ms = data.astype(np.float32)
    mask = np.ones(window.shape, dtype=bool) if known is None else known.copy()
    fused = np.empty_like(ms)
    kernel = MtfGaussian(scene.alignment.ratio, min(gains), normalize=True)
    fine = input_window(scene.alignment, "down", kernel, window)
    for start in range(0, len(ms), _GROUP):
        part = list(range(start, min(start + _GROUP, len(ms))))
        image, valid = read_padded(inputs.product.select(part), fine)
        own = gains[start : start + _GROUP]
        fused[part] = blur_to_ms(image, (fine.row, fine.col), window, scene.alignment, own)
        if valid is not None and start == 0:
            y, x = scene.alignment.y, scene.alignment.x
            rows = [round(y.to_pan(i)) - fine.row for i in range(window.row, window.row_end)]
            cols = [round(x.to_pan(i)) - fine.col for i in range(window.col, window.col_end)]
            mask &= valid[np.ix_(rows, cols)]
    return ms, fused, mask


def _inside(inputs: Inputs, window: Window) -> Window:
    """MS pixels whose whole area lies in a window of the product."""
    scene = inputs.scene
    assert scene is not None

    def part(axis: object, start: int, stop: int, size: int) -> tuple[int, int]:
        from pansharp.geometry.grids import AxisMap

        assert isinstance(axis, AxisMap)
        first = max(0, math.ceil(axis.to_ms(start - 0.5) + 0.5 - 1e-6))
        last = min(size, math.floor(axis.to_ms(stop - 0.5) - 0.5 + 1e-6) + 1)
        return first, max(0, last - first)

    source, alignment = scene.ms_source, scene.alignment
    row, rows = part(alignment.y, window.row, window.row_end, source.height)
    col, cols = part(alignment.x, window.col, window.col_end, source.width)
    return Window(row, col, rows, cols)


def spectra(inputs: Inputs, gains: tuple[float, ...], places: Sequence[Place]) -> list[Spectrum]:
    """Spectra of the places that are shown pixel by pixel.

    Parameters
    ----------
    inputs : Inputs
        Product and scene.
    gains : tuple of float
        MTF gain of each band.
    places : sequence of Place
        The places; overviews are left out.

    Returns
    -------
    list of Spectrum
        Places without a valid MS pixel are left out.
    """
    found = []
    for place in places:
        window = _inside(inputs, place.window)
        if place.overview or 0 in window.shape:
            continue
        samples: list[list[Floats]] = [[], []]
        # Strips: of cubes a whole place would be large.
        for row in range(0, window.height, 32):
            strip = Window(window.row + row, window.col, min(32, window.height - row), window.width)
            ms, fused, mask = _compared(inputs, strip, gains)
            samples[0].append(ms[:, mask].astype(np.float64))
            samples[1].append(fused[:, mask].astype(np.float64))
        first, second = (np.concatenate(parts, axis=1) for parts in samples)
        # A band that was set aside is NaN in the product; without any other there is nothing.
        if first.shape[1] and np.isfinite(first + second).all(axis=1).any():
            found.append(Spectrum(place.title, _summary(first), _summary(second), first.shape[1]))
    return found


def _summary(values: Floats) -> Floats:
    low, high = np.percentile(values, (10, 90), axis=1)
    return np.stack([low, values.mean(axis=1), high])


def block_maps(
    inputs: Inputs,
    gains: tuple[float, ...],
    *,
    progress: Callable[[float, float, str], None] | None = None,
) -> BlockMaps | None:
    """Compare the degraded product with the MS, block by block.

    Parameters
    ----------
    inputs : Inputs
        Product and scene.
    gains : tuple of float
        MTF gain of each band.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    BlockMaps or None
        One block from the middle of each cell of a lattice of at most 32 x 32 cells (12 x 12 of
        cubes), so that time does not grow with the scene. None where no block is valid.

    Notes
    -----
    ERGAS of a block is 100 / ratio times the root of the mean over bands of squared error over
    squared mean of the band; the means are those of all blocks. Consistency, not quality: an
    image that is merely interpolated passes, too.
    """
    scene = inputs.scene
    assert scene is not None
    whole = _inside(inputs, inputs.full)
    most = _CELLS if scene.bands <= _GROUP else _CUBE_CELLS
    block = _BLOCK if max(whole.shape) >= _SMALL else _BLOCK // 2
    cell = max(block, math.ceil(max(whole.shape) / most))
    rows, cols = max(1, whole.height // cell), max(1, whole.width // cell)
    cells = whole.height / rows, whole.width / cols
    errors = np.full((scene.bands, rows, cols), np.nan)
    means, angles = np.full_like(errors, np.nan), np.full((rows, cols), np.nan)
    for i in range(rows):
        for j in range(cols):
            window = Window(
                whole.row + int((i + 0.5) * cells[0] - block / 2),
                whole.col + int((j + 0.5) * cells[1] - block / 2),
                block,
                block,
            ).intersect(whole)
            ms, fused, mask = _compared(inputs, window, gains)
            if not mask.any() or mask.mean() < _LEAST:
                continue
            x, y = (image[:, mask].astype(np.float64) for image in (ms, fused))
            errors[:, i, j] = np.mean((x - y) ** 2, axis=1)
            means[:, i, j] = x.mean(axis=1)
            angles[i, j] = _angle(x, y)
        if progress:
            progress(i + 1, rows, "maps")
    if not np.isfinite(angles).any():
        return None
    level = np.nanmean(means, axis=(1, 2))
    used = level > 0
    if not used.any():
        return None
    terms = errors[used] / level[used, None, None] ** 2
    ergas = 100.0 / scene.ratio * np.sqrt(terms.mean(axis=0))
    return BlockMaps(ergas, angles, block, cells)


def _angle(x: Floats, y: Floats) -> float:
    """Mean spectral angle, degrees; pixels that are zero in either image have none."""
    norm = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    known = norm > 0
    if not known.any():
        return math.nan
    cosine = np.clip((x * y).sum(axis=0)[known] / norm[known], -1.0, 1.0)
    return float(np.degrees(np.arccos(cosine)).mean())
