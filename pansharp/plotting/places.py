"""Where pixels lie: affine arithmetic, and the frame in which several images share one ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pansharp.errors import GridMismatchError, OptionError
from pansharp.geometry.grids import Alignment, AxisMap, Window

if TYPE_CHECKING:
    from pansharp.plotting.layers import Layer
    from pansharp.scene import Affine6

__all__ = ["Frame", "apply", "compose", "inverse"]

#: Pixels of the base image by which rows of another image may run askew.
_SKEW = 0.05


def apply(affine: Affine6, col: float, row: float) -> tuple[float, float]:
    """Coordinates of a pixel corner (col, row)."""
    a, b, c, d, e, f = affine
    return a * col + b * row + c, d * col + e * row + f


def inverse(affine: Affine6) -> Affine6:
    """The map from coordinates to pixel corners."""
    a, b, c, d, e, f = affine
    det = a * e - b * d
    if det == 0.0:
        raise GridMismatchError("the transform of an image maps all pixels onto a line; check it")
    return (
        *(e / det, -b / det, (b * f - e * c) / det),
        *(-d / det, a / det, (d * c - a * f) / det),
    )


def compose(outer: Affine6, inner: Affine6) -> Affine6:
    """First `inner`, then `outer`."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (
        *(a * g + b * j, a * h + b * k, a * i + b * m + c),
        *(d * g + e * j, d * h + e * k, d * i + e * m + f),
    )


@dataclass(frozen=True)
class Frame:
    """The ground that several images share, told in pixel corners of one of them.

    Parameters
    ----------
    base : Layer
        The image whose pixels count, usually the finest.

    Notes
    -----
    An image without georeference covers the same ground as the base. Axes show coordinates where
    the base has a coordinate system and is not rotated, else pixels of the base, whole numbers at
    their centres.
    """

    base: Layer

    @property
    def on_ground(self) -> bool:
        """Whether axes show coordinates, not pixels."""
        transform = self.base.transform
        return self.base.crs is not None and transform is not None and transform[1:4:2] == (0, 0)

    @property
    def full(self) -> Window:
        """All pixels of the base."""
        return Window(0, 0, self.base.source.height, self.base.source.width)

    def to_base(self, layer: Layer) -> Affine6:
        """Map from pixel corners of an image to those of the base.

        Raises
        ------
        GridMismatchError
            The images have different coordinate systems, or their rows are not parallel.
        """
        base = self.base
        if layer is base:
            return (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        if layer.transform is None or base.transform is None:
            across = base.source.width / layer.source.width
            down = base.source.height / layer.source.height
            return (across, 0.0, 0.0, 0.0, down, 0.0)
        if layer.crs and base.crs and layer.crs != base.crs and not _same_crs(layer.crs, base.crs):
            raise GridMismatchError(
                f"{layer.label} and {base.label} have different coordinate systems; "
                "warp one of them to the other first"
            )
        found = compose(inverse(base.transform), layer.transform)
        a, b, c, d, e, f = found
        skew = max(abs(b) * layer.source.height, abs(d) * layer.source.width)
        if skew > _SKEW or a <= 0 or e <= 0:
            raise GridMismatchError(
                f"{layer.label} is rotated or flipped against {base.label}; warp one of them first"
            )
        return (a, 0.0, c, 0.0, e, f)

    def alignment(self, layer: Layer) -> Alignment:
        """Where the pixel centres of an image lie among those of the base."""
        a, _, c, _, e, f = self.to_base(layer)
        return Alignment(
            AxisMap(_snapped(e), _snapped(f + e / 2 - 0.5)),
            AxisMap(_snapped(a), _snapped(c + a / 2 - 0.5)),
        )

    def extent(self, layer: Layer, window: Window) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of a window's outer edges on the axes."""
        affine = self.to_base(layer)
        if self.on_ground:
            assert self.base.transform is not None
            affine = compose(self.base.transform, affine)
        left, top = apply(affine, window.col, window.row)
        right, bottom = apply(affine, window.col_end, window.row_end)
        # Pixel numbers count centres, coordinates do not.
        half = 0.0 if self.on_ground else 0.5
        return left - half, right - half, bottom - half, top - half

    def covering(self, layer: Layer, window: Window) -> Window:
        """Pixels of an image, cut to it, that a window of the base touches.

        Raises
        ------
        GridMismatchError
            The image has no pixel there.
        """
        back = inverse(self.to_base(layer))
        left, top = apply(back, window.col, window.row)
        right, bottom = apply(back, window.col_end, window.row_end)
        # A hair of slack: corners that agree must not pull in a further pixel.
        row, col = math.floor(top + 1e-6), math.floor(left + 1e-6)
        whole = Window(row, col, math.ceil(bottom - 1e-6) - row, math.ceil(right - 1e-6) - col)
        found = whole.intersect(Window(0, 0, layer.source.height, layer.source.width))
        if 0 in found.shape:
            raise GridMismatchError(f"{layer.label} has no pixel on the ground that is shown")
        return found

    def window(
        self, window: Window | None, bounds: tuple[float, float, float, float] | None
    ) -> Window | None:
        """The base's pixels that a user asked for, by pixels or by coordinates.

        Raises
        ------
        OptionError
            Both were given, or bounds without a georeference, or outside the image.
        """
        if window is not None and bounds is not None:
            raise OptionError("both window and bounds were given; give one")
        if bounds is None:
            chosen = window
        else:
            if self.base.transform is None:
                raise OptionError("bounds need a georeference, which the image lacks; give window")
            left, bottom, right, top = bounds
            back = inverse(self.base.transform)
            corners = [apply(back, x, y) for x in (left, right) for y in (bottom, top)]
            cols, rows = zip(*corners, strict=True)
            row, col = math.floor(min(rows) + 1e-6), math.floor(min(cols) + 1e-6)
            chosen = Window(
                row, col, math.ceil(max(rows) - 1e-6) - row, math.ceil(max(cols) - 1e-6) - col
            )
        if chosen is None:
            return None
        cut = chosen.intersect(self.full)
        if 0 in cut.shape:
            raise OptionError(
                f"the window lies outside {self.base.label} of "
                f"{self.full.height} x {self.full.width} pixels"
            )
        return cut

    def units(self) -> tuple[str, str]:
        """Labels of the x and y axes."""
        if not self.on_ground:
            return "column (pixels)", "row (pixels)"
        geographic, unit = _crs_unit(str(self.base.crs))
        names = ("longitude", "latitude") if geographic else ("easting", "northing")
        return f"{names[0]} ({unit})", f"{names[1]} ({unit})"


def _snapped(value: float) -> float:
    """Without the rounding of coordinates: whole and half numbers are exact."""
    half = round(value * 2) / 2
    return half if abs(value - half) < 1e-6 else value


def _same_crs(first: str, second: str) -> bool:
    from rasterio.crs import CRS

    return bool(CRS.from_user_input(first) == CRS.from_user_input(second))


def _crs_unit(text: str) -> tuple[bool, str]:
    from rasterio.crs import CRS

    crs = CRS.from_user_input(text)
    if crs.is_geographic:
        return True, "°"
    unit = str(crs.linear_units or "")
    return False, "m" if unit.lower() in ("metre", "meter", "m") else unit or "units of the CRS"
