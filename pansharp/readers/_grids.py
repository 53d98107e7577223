"""How the pixel grids of two rasters lie on each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pansharp.errors import GridMismatchError, ReaderError
from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.ortho import gdal_errors
from pansharp.scene import IDENTITY

if TYPE_CHECKING:
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

    from pansharp.readers._virtual import Image
    from pansharp.scene import Affine6

__all__ = [
    "MIN_RATIO",
    "Grid",
    "Placement",
    "covered",
    "overlap",
    "place",
    "relative",
    "same_crs",
    "warp_grid",
]

#: PAN pixels that rotation may move a corner by before the MS is resampled.
_STRAIGHT = 0.05
#: PAN pixels below which a difference from whole numbers is rounding of the file's header.
_NOISE = 1e-5
#: Coordinates that no system has, metres or degrees.
_FARTHEST = 1e12
#: Smallest ratio that can be fused.
MIN_RATIO = 1.5


@dataclass(frozen=True)
class Grid:
    """The pixel grid of one raster.

    Parameters
    ----------
    label : str
        File name for messages.
    shape : tuple of int
        Rows, columns.
    transform : tuple of float
        a b c d e f.
    crs : rasterio CRS or None
        Coordinate system.
    known : bool
        Whether the transform is meant even where it is the identity.
    """

    label: str
    shape: tuple[int, int]
    transform: Affine6
    crs: CRS | None
    known: bool = False

    @classmethod
    def of(cls, dataset: DatasetReader, image: Image | None = None) -> Grid:
        """Grid of an open dataset, the image's where that is given.

        Raises
        ------
        ReaderError
            Its transform holds numbers that no map has.
        """
        a, b, c, d, e, f = tuple(dataset.transform)[:6]
        name = str(dataset.name) if image is None else image.name
        if not all(abs(number) <= _FARTHEST for number in (a, b, c, d, e, f)):
            raise ReaderError(
                f"the georeference of '{name}' holds absurd numbers; its header is damaged, copy "
                "or download it again"
            )
        known = image is not None and image.known
        return cls(name, tuple(dataset.shape), (a, b, c, d, e, f), dataset.crs, known)

    @property
    def placed(self) -> bool:
        """Whether the file says anything about its place or pixel size."""
        return self.known or self.transform != IDENTITY

    @property
    def pixel(self) -> float:
        """Side of a pixel in units of the coordinate system (root of its area)."""
        a, b, _, d, e, _ = self.transform
        return math.sqrt(abs(a * e - b * d))


@dataclass(frozen=True)
class Placement:
    """Where MS pixel corners fall in the PAN image: ``pan = matrix @ ms + origin``.

    Parameters
    ----------
    col, row : tuple of float
        PAN corner column (row) = first * MS column + second * MS row + third.
    """

    col: tuple[float, float, float]
    row: tuple[float, float, float]

    def straight(self, shape: tuple[int, int]) -> bool:
        """Whether rows stay rows and columns columns, in the same direction, within 0.05 pixel."""
        turn = max(abs(self.col[1]) * shape[0], abs(self.row[0]) * shape[1])
        return self.col[0] > 0 and self.row[1] > 0 and turn <= _STRAIGHT

    def alignment(self, shape: tuple[int, int], ratio: float | None = None) -> Alignment:
        """Axis maps of a straight placement; `ratio` replaces the scale, the corner stays."""
        return Alignment(
            _axis(self.row[1] if ratio is None else ratio, self.row[2], shape[0]),
            _axis(self.col[0] if ratio is None else ratio, self.col[2], shape[1]),
        )


def _axis(scale: float, corner: float, size: int) -> AxisMap:
    """Axis map from the PAN corner coordinate of the first MS corner."""
    whole = round(scale)
    if whole > 0 and abs(scale - whole) * size < _NOISE:
        scale = float(whole)
    offset = corner - 0.5 + scale / 2
    half = round(2 * offset) / 2
    return AxisMap(scale, half if abs(offset - half) < _NOISE else offset)


def relative(pan: Grid, ms: Grid) -> Placement:
    """Placement of an MS grid on a PAN grid in the same coordinate system.

    Raises
    ------
    GridMismatchError
        When a transform cannot be inverted.
    """
    a, b, c, d, e, f = pan.transform
    det = a * e - b * d
    if det == 0 or ms.pixel == 0:
        name = pan.label if det == 0 else ms.label
        raise GridMismatchError(f"'{name}' has pixels of size 0; its georeference is broken")
    ma, mb, mc, md, me, mf = ms.transform

    def to_pan(dx: float, dy: float) -> tuple[float, float]:
        return (e * dx - b * dy) / det, (a * dy - d * dx) / det

    (c0, r0), (c1, r1) = to_pan(ma, md), to_pan(mb, me)
    c2, r2 = to_pan(mc - c, mf - f)
    if not all(abs(number) <= _FARTHEST for number in (c0, c1, c2, r0, r1, r2)):
        raise GridMismatchError(
            f"the pixels or places of '{pan.label}' and '{ms.label}' are absurdly far apart; a "
            "georeference is broken"
        )
    return Placement((c0, c1, c2), (r0, r1, r2))


def same_crs(first: CRS, second: CRS) -> bool:
    """Whether two coordinate systems are one, however they are spelled."""
    if first == second:
        return True
    code = first.to_epsg()
    return code is not None and code == second.to_epsg()


def place(pan: Grid, ms: Grid, ratio: float | None) -> tuple[Alignment | None, tuple[str, ...]]:
    """Axis maps of a pair, or None when the MS must be resampled to become parallel.

    Parameters
    ----------
    pan, ms : Grid
        The two grids.
    ratio : float or None
        Ratio that the user gave; the first MS corner stays where the files put it.

    Returns
    -------
    alignment : Alignment or None
        None for other coordinate systems or rotated grids.
    notes : tuple of str
        What was assumed.

    Raises
    ------
    GridMismatchError
        When the files do not tell enough, or contradict each other.
    """
    if not (pan.placed and ms.placed):
        return _by_size(pan, ms, ratio)
    notes: tuple[str, ...] = ()
    if pan.crs is not None and ms.crs is not None:
        if not same_crs(pan.crs, ms.crs):
            return None, notes
    elif pan.crs is not None or ms.crs is not None:
        bare, other = (pan, ms) if pan.crs is None else (ms, pan)
        inside = _plausible(relative(pan, ms), pan, ms)
        if not inside:
            raise GridMismatchError(
                f"'{bare.label}' has no coordinate system and '{other.label}' has one, and their "
                "coordinates do not overlap; write the right one into the file, or strip both"
            )
        notes = (f"'{bare.label}' has no coordinate system; took that of '{other.label}'",)
    placement = relative(pan, ms)
    if not placement.straight(ms.shape):
        return None, notes
    return placement.alignment(ms.shape, ratio), notes


def _plausible(placement: Placement, pan: Grid, ms: Grid) -> bool:
    if not placement.straight(ms.shape):
        return False
    return overlap(placement.alignment(ms.shape), pan.shape, ms.shape) >= 0.5


def _by_size(pan: Grid, ms: Grid, ratio: float | None) -> tuple[Alignment, tuple[str, ...]]:
    """Both images cover the same ground: the ratio is the quotient of their sizes."""
    said = "no georeference: took the first corners of PAN and MS to be the same"
    if ratio is not None:
        return Alignment.corner(ratio), (said,)
    down, across = pan.shape[0] / ms.shape[0], pan.shape[1] / ms.shape[1]
    whole = round((down + across) / 2)
    fits = whole >= 1 and all(
        abs(big - whole * small) < whole for big, small in zip(pan.shape, ms.shape, strict=True)
    )
    if not fits and abs(down - across) > 0.01 * max(down, across):
        raise GridMismatchError(
            f"'{pan.label}' has {pan.shape[0]} x {pan.shape[1]} pixels and '{ms.label}' "
            f"{ms.shape[0]} x {ms.shape[1]}: {down:.3f} times the rows but {across:.3f} times the "
            "columns, and no georeference tells more; give --ratio"
        )
    found = float(whole) if fits else (down + across) / 2
    return Alignment.corner(found), (f"{said}; ratio {found:.6g} from the sizes",)


def overlap(alignment: Alignment, pan: tuple[int, int], ms: tuple[int, int]) -> float:
    """Share of the MS area that the PAN covers, 0 to 1."""
    share = 1.0
    for axis, big, small in zip((alignment.y, alignment.x), pan, ms, strict=True):
        low, high = axis.to_pan(-0.5) + 0.5, axis.to_pan(small - 0.5) + 0.5
        share *= max(0.0, min(high, big) - max(low, 0.0)) / (high - low)
    return share


def covered(alignment: Alignment, pan: tuple[int, int], ms: tuple[int, int]) -> Window:
    """PAN pixels at least half of whose side lies on the MS, on both axes."""
    spans = []
    for axis, big, small in zip((alignment.y, alignment.x), pan, ms, strict=True):
        # A pixel is half covered exactly when its centre lies on the rim of the MS.
        first = max(0, math.ceil(axis.to_pan(-0.5) - 1e-6))
        last = min(big - 1, math.floor(axis.to_pan(small - 0.5) + 1e-6))
        spans.append((first, max(0, last + 1 - first)))
    (row, height), (col, width) = spans
    return Window(row, col, height, width)


def warp_grid(
    pan: Grid, ms: Grid, ratio: float | None
) -> tuple[Affine6, tuple[int, int], Alignment]:
    """MS grid parallel to the PAN, over the part of the PAN that the MS can fill.

    The pixels are those of the PAN times the ratio, counted from the PAN's corner. The ratio is
    the root of the areas' quotient in the middle of the MS, made whole within 5 %.

    Returns
    -------
    transform, shape, alignment
        Affine numbers and size of the new MS grid, and its map to the PAN.

    Raises
    ------
    GridMismatchError
        When the MS does not lie on the PAN, or has no place there.
    """
    import numpy as np
    from rasterio.warp import transform as project

    height, width = ms.shape
    steps = np.linspace(0.0, 1.0, 22)
    edge = [(u, v) for u in steps for v in (0.0, 1.0)] + [(u, v) for u in (0.0, 1.0) for v in steps]
    cols = np.array([u * width for u, _ in edge] + [width / 2, width / 2 + 1, width / 2])
    rows = np.array([v * height for _, v in edge] + [height / 2, height / 2, height / 2 + 1])
    a, b, c, d, e, f = ms.transform
    x, y = a * cols + b * rows + c, d * cols + e * rows + f
    if pan.crs is not None and ms.crs is not None:
        try:
            found_there = project(ms.crs, pan.crs, x.tolist(), y.tolist())
        except gdal_errors():  # coordinates outside the system's range
            found_there = ([math.inf], [math.inf])
        x, y = (np.asarray(v) for v in found_there)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise GridMismatchError(
            f"'{ms.label}' cannot be expressed in the coordinate system of '{pan.label}'; "
            "warp one of them to a common system first"
        )
    a, b, c, d, e, f = pan.transform
    det = a * e - b * d
    col = (e * (x - c) - b * (y - f)) / det
    row = (a * (y - f) - d * (x - c)) / det
    jump = [(float(col[i] - col[-3]), float(row[i] - row[-3])) for i in (-2, -1)]
    found = math.sqrt(abs(jump[0][0] * jump[1][1] - jump[0][1] * jump[1][0]))
    if ratio is None:
        whole = round(found)
        ratio = float(whole) if whole >= 2 and abs(found - whole) <= 0.05 * whole else found
    if ratio < MIN_RATIO:
        return pan.transform, pan.shape, Alignment.corner(ratio)
    spans = []
    for values, size in ((row, pan.shape[0]), (col, pan.shape[1])):
        first = max(0, math.floor(values.min() / ratio + 1e-6))
        last = min(math.ceil(size / ratio - 1e-6), math.ceil(values.max() / ratio - 1e-6))
        if last <= first:
            raise GridMismatchError(
                f"'{pan.label}' and '{ms.label}' overlap in 0 % of the MS area; "
                "check that both belong to the same acquisition"
            )
        spans.append((first, last - first))
    (row0, out_height), (col0, out_width) = spans
    left, top = col0 * ratio, row0 * ratio
    grid = (
        a * ratio,
        b * ratio,
        c + a * left + b * top,
        d * ratio,
        e * ratio,
        f + d * left + e * top,
    )
    alignment = Alignment(_axis(ratio, top, out_height), _axis(ratio, left, out_width))
    return grid, (out_height, out_width), alignment
