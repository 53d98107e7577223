"""Indices on sliding windows: Q (UIQI) and SCC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.errors import MetricError, OptionError
from pansharp.evaluation import _views as views
from pansharp.evaluation._walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pansharp.evaluation._views import Mask, Raster, Rect, View

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

__all__ = ["GradientPart", "QualityPart", "WindowPart", "clip", "q", "q_bands", "scc", "tiles"]

Q_WINDOW = 32
_TILE = (96, 256)
"""Window positions worked on at a time, so that the sums stay in the processor's cache."""


def clip(rect: Rect, size: tuple[int, int]) -> Rect:
    """The part of a rectangle that lies inside an image; empty where none does."""
    r0, r1, c0, c1 = rect
    return r0, min(r1, size[0]), c0, min(c1, size[1])


def tiles(
    images: tuple[View, View],
    mask: View | None,
    rect: Rect,
    reach: int,
    *,
    before: int = 0,
    zero: bool = False,
) -> Iterator[tuple[Floats, Floats, Bools | None]]:
    """Pixels under the window positions of a rectangle, tile after tile of positions.

    Both images ``(band, y, x)`` and their validity. Position p needs pixels ``p - before ...
    p - before + reach - 1``; with `zero` the pixels outside are 0 and count as valid, else no
    position needs any.
    """
    r0, r1, c0, c1 = rect
    if r0 >= r1 or c0 >= c1:
        return
    after = reach - 1 - before
    wide = (r0 - before, r1 + after, c0 - before, c1 + after)
    valid = _valid(mask, wide, zero)
    x, y = (
        views.clean(image.read(wide, "zero" if zero else "edge"), valid, name)
        for image, name in zip(images, ("reference", "fused"), strict=True)
    )
    for row in range(0, r1 - r0, _TILE[0]):
        for col in range(0, c1 - c0, _TILE[1]):
            part = np.s_[
                ...,
                row : min(row + _TILE[0], r1 - r0) + reach - 1,
                col : min(col + _TILE[1], c1 - c0) + reach - 1,
            ]
            yield (
                x[part].astype(np.float64),
                y[part].astype(np.float64),
                None if valid is None else valid[part],
            )


def _valid(mask: View | None, rect: Rect, zero: bool) -> Bools | None:
    if mask is None:
        return None
    valid = mask.read(rect, "zero" if zero else "edge")[0].astype(bool)
    if zero:
        rows = np.arange(rect[0], rect[1])
        cols = np.arange(rect[2], rect[3])
        valid[(rows < 0) | (rows >= mask.height)] = True
        valid[:, (cols < 0) | (cols >= mask.width)] = True
    return None if valid.all() else valid


def _box32(image: Floats) -> Floats:
    """Sums over 32x32 windows, by doubling: exact for whole numbers, and no drift for others."""
    for step in (1, 2, 4, 8, 16):
        image = image[:, :-step] + image[:, step:]
    for step in (1, 2, 4, 8, 16):
        image = image[:-step] + image[step:]
    return image


def _uiqi(x: Floats, y: Floats, count: Floats | float) -> Floats:
    """Universal index of every window from the rules of Wang and Bovik's code."""
    s1, s2 = _box32(x), _box32(y)
    squares = _box32(x * x + y * y)
    product = s1 * s2
    sum_squares = s1 * s1 + s2 * s2
    numerator = 4.0 * (count * _box32(x * y) - product) * product
    variance = count * squares - sum_squares
    denominator = variance * sum_squares
    out = np.ones_like(s1)
    flat = (variance == 0.0) & (sum_squares != 0.0)
    np.divide(2.0 * product, sum_squares, out=out, where=flat)
    np.divide(numerator, denominator, out=out, where=denominator != 0.0)
    return out


class WindowPart:
    """What indices on sliding windows share: the mean over all windows, per band.

    Parameters
    ----------
    image : View
        One of the images.
    side : int
        Side of a window.
    index : str
        Name in messages.
    """

    def __init__(self, image: View, side: int, index: str) -> None:
        self.reach = (0, side - 1)
        self._side = side
        self._size = image.height - side + 1, image.width - side + 1
        if min(self._size) < 1:
            raise MetricError(
                f"image of {image.height}x{image.width} pixels is smaller than the window of "
                f"{index}, {side}x{side}; use a larger image"
            )
        self._total = np.zeros(image.bands)
        self._windows = 0

    def take(self, sums: tuple[Floats, int]) -> dict[str, Floats]:
        """Add sum and number of the windows of the next rectangle."""
        self._total += sums[0]
        self._windows += sums[1]
        return {}

    def bands(self) -> Floats:
        """Mean of the windows, per band."""
        if self._windows == 0:
            raise MetricError(
                f"no {self._side}x{self._side} window is at least half valid; "
                "check the mask (True means valid)"
            )
        return self._total / self._windows


class QualityPart(WindowPart):
    """Q: sums of the universal index over all windows, per band."""

    def __init__(self, image: View) -> None:
        super().__init__(image, Q_WINDOW, "Q")

    def over(self, first: View, second: View, mask: View | None, rect: Rect) -> tuple[Floats, int]:
        """Sum over the windows that begin in a rectangle, and their number."""
        total = np.zeros(first.bands)
        windows = 0
        for x, y, valid in tiles((first, second), mask, clip(rect, self._size), Q_WINDOW):
            count: Floats | float = float(Q_WINDOW**2)
            kept: Bools | None = None
            if valid is not None:
                count = _box32(valid.astype(np.float64))
                kept = 2.0 * count >= Q_WINDOW**2
                windows += int(np.count_nonzero(kept))
            else:
                windows += (x.shape[1] - Q_WINDOW + 1) * (x.shape[2] - Q_WINDOW + 1)
            for band in range(first.bands):
                values = _uiqi(x[band], y[band], count)
                total[band] += values.sum() if kept is None else values[kept].sum()
        return total, windows


def q_bands(reference: Raster, fused: Raster, *, mask: Mask | None = None) -> Floats:
    """Universal image quality index of every band; see `q`.

    Returns
    -------
    ndarray
        Shape (band,), float64.
    """
    first, second = views.pair(reference, fused)
    part = QualityPart(first)
    walk(first, second, views.mask_view(mask, first.size), [part])
    return part.bands()


def q(reference: Raster, fused: Raster, *, mask: Mask | None = None) -> float:
    """Universal image quality index (UIQI) of each band, averaged over bands; ideal 1.

    Sliding windows of 32x32 pixels at every position inside the image, uniform weights. The
    window does not follow the block size of Q2n. A window without variance in either image
    counts ``2 m1 m2 / (m1^2 + m2^2)``; an all-zero one counts 1.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), counts; at least 32x32 pixels.
    mask : array or view, optional
        Shape (y, x), True where valid. A window uses its valid pixels only; windows with fewer
        than half of their pixels valid are dropped.

    Returns
    -------
    float
        -1 to 1.

    Raises
    ------
    MetricError
        Shapes differ, image smaller than the window, no window left, values not finite.

    References
    ----------
    Wang and Bovik, "A universal image quality index", IEEE SPL 9(3), 2002.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (2, 40, 40))
    >>> q(image, image)
    1.0
    """
    return float(q_bands(reference, fused, mask=mask).mean())


def _horizontal(x: Floats) -> Floats:
    """Sobel response to horizontal edges, valid part, ``[1 2 1; 0 0 0; -1 -2 -1]``."""
    smooth = x[:, :, :-2] + 2.0 * x[:, :, 1:-1] + x[:, :, 2:]
    return np.asarray(smooth[:, :-2] - smooth[:, 2:])


def _magnitude(x: Floats) -> Floats:
    down = _horizontal(x)
    smooth = x[:, :-2] + 2.0 * x[:, 1:-1] + x[:, 2:]
    across = smooth[:, :, :-2] - smooth[:, :, 2:]
    return np.asarray(np.sqrt(down * down + across * across))


class GradientPart:
    """SCC: sums of squares and products of the gradients."""

    reach = (1, 1)

    def __init__(self, image: View, variant: str = "2021") -> None:
        self._inner: Rect | None = None
        self._gradient = _horizontal
        if variant == "2021":
            self._gradient = _magnitude
            if min(image.size) < 3:
                raise MetricError(
                    f"image of {image.height}x{image.width} pixels is too small for SCC"
                )
            self._inner = (1, image.height - 1, 1, image.width - 1)
        self._sums = np.zeros(3)

    def over(self, first: View, second: View, mask: View | None, rect: Rect) -> Floats:
        """Sums over the gradients of a rectangle: of xx, yy, xy."""
        if self._inner is not None:
            first, second = (views.CropView(image, self._inner) for image in (first, second))
            mask = None if mask is None else views.CropView(mask, self._inner)
            r0, r1, c0, c1 = (max(side - 1, 0) for side in rect)
            rect = (r0, r1, c0, c1)
        sums = np.zeros(3)
        for x, y, valid in tiles(
            (first, second), mask, clip(rect, first.size), 3, before=1, zero=True
        ):
            gx, gy = self._gradient(x), self._gradient(y)
            if valid is not None:
                rows = valid[:-2] & valid[1:-1] & valid[2:]
                kept = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
                gx *= kept
                gy *= kept
            sums += np.vdot(gx, gx), np.vdot(gy, gy), np.vdot(gx, gy)
        return sums

    def take(self, sums: Floats) -> dict[str, Floats]:
        """Add the next rectangle."""
        self._sums += sums
        return {}

    def scc(self) -> float:
        """The coefficient."""
        xx, yy, xy = self._sums
        if xx == 0.0 or yy == 0.0:
            name = "reference" if xx == 0.0 else "fused image"
            raise MetricError(f"the {name} has no gradient in a valid pixel, so SCC is not defined")
        # One root each: the product of the two sums may overflow long before they do.
        return float(xy / (np.sqrt(xx) * np.sqrt(yy)))


def scc(
    reference: Raster,
    fused: Raster,
    *,
    variant: Literal["2021", "2015"] = "2021",
    mask: Mask | None = None,
) -> float:
    """Spatial correlation coefficient of Sobel gradients; ideal 1.

    ``sum(gx gy) / sqrt(sum(gx^2) sum(gy^2))`` over all pixels and bands, no mean removed.
    ``"2021"``: gradient magnitude, one pixel cropped on every side, then zeros outside;
    ``"2015"``: signed response to horizontal edges only, zeros outside the whole image.

    Parameters
    ----------
    reference, fused : array, dask array or view
        Shape (band, y, x), counts.
    variant : {"2021", "2015"}
        Edition of the toolbox.
    mask : array or view, optional
        Shape (y, x), True where valid; a gradient counts where its 3x3 pixels are all valid.

    Returns
    -------
    float
        0 to 1 ("2021"), -1 to 1 ("2015").

    Raises
    ------
    OptionError
        Unknown variant.
    MetricError
        Shapes differ, image too small, no gradient at all, values not finite.

    References
    ----------
    Zhou, Civco, Silander, IJRS 19(4), 1998; Otazu et al., IEEE TGRS 43(10), 2005.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (2, 40, 40))
    >>> round(scc(image, 2 * image), 12)
    1.0
    """
    if variant not in ("2021", "2015"):
        raise OptionError(f"variant '{variant}' of SCC is unknown; choose '2021' or '2015'")
    first, second = views.pair(reference, fused)
    part = GradientPart(first, variant)
    walk(first, second, views.mask_view(mask, first.size), [part])
    return part.scc()
