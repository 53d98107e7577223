"""Indices on sliding windows: Q (UIQI) and SCC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.errors import MetricError, OptionError
from pansharp.evaluation import _views as views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pansharp.evaluation._views import Mask, Raster, Rect, View

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

__all__ = ["WindowPieces", "q", "q_bands", "scc"]

Q_WINDOW = 32
_TILE = (96, 256)
"""Window positions worked on at a time, so that the sums stay in the processor's cache."""


class WindowPieces:
    """Pixels under the window positions of a tile, read piece by piece."""

    def __init__(self, first: View, second: View, mask: View | None, reach: int) -> None:
        self._images = (first, second)
        self._mask = mask
        self._reach = reach

    def tiles(
        self, size: tuple[int, int], *, before: int = 0, zero: bool = False
    ) -> Iterator[tuple[Floats, Floats, Bools | None]]:
        """Both images ``(band, y, x)`` and their validity, for tile after tile of positions.

        Position p needs pixels ``p - before ... p - before + reach - 1``; with `zero` the pixels
        outside are 0 and count as valid, else no position needs any.
        """
        after = self._reach - 1 - before
        for r0, r1, c0, c1 in views.pieces(*size, self._images[0].bands, 1):
            rect = (r0 - before, r1 + after, c0 - before, c1 + after)
            valid = self._valid(rect, zero)
            x, y = (
                views.clean(image.read(rect, "zero" if zero else "edge"), valid, name)
                for image, name in zip(self._images, ("reference", "fused"), strict=True)
            )
            for row in range(0, r1 - r0, _TILE[0]):
                for col in range(0, c1 - c0, _TILE[1]):
                    part = np.s_[
                        ...,
                        row : min(row + _TILE[0], r1 - r0) + self._reach - 1,
                        col : min(col + _TILE[1], c1 - c0) + self._reach - 1,
                    ]
                    yield (
                        x[part].astype(np.float64),
                        y[part].astype(np.float64),
                        None if valid is None else valid[part],
                    )

    def _valid(self, rect: Rect, zero: bool) -> Bools | None:
        if self._mask is None:
            return None
        valid = self._mask.read(rect, "zero" if zero else "edge")[0].astype(bool)
        if zero:
            rows = np.arange(rect[0], rect[1])
            cols = np.arange(rect[2], rect[3])
            valid[(rows < 0) | (rows >= self._mask.height)] = True
            valid[:, (cols < 0) | (cols >= self._mask.width)] = True
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


def _q_bands(first: View, second: View, mask: View | None) -> Floats:
    height, width = first.height - Q_WINDOW + 1, first.width - Q_WINDOW + 1
    if height < 1 or width < 1:
        raise MetricError(
            f"image of {first.height}x{first.width} pixels is smaller than the window of Q, "
            f"{Q_WINDOW}x{Q_WINDOW}; use a larger image"
        )
    total = np.zeros(first.bands)
    windows = 0
    for x, y, valid in WindowPieces(first, second, mask, Q_WINDOW).tiles((height, width)):
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
    if windows == 0:
        raise MetricError("no 32x32 window is at least half valid; check the mask (True is valid)")
    return total / windows


def q_bands(reference: Raster, fused: Raster, *, mask: Mask | None = None) -> Floats:
    """Universal image quality index of every band; see `q`.

    Returns
    -------
    ndarray
        Shape (band,), float64.
    """
    first, second = views.pair(reference, fused)
    return _q_bands(first, second, views.mask_view(mask, first.size))


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
    first: View
    second: View
    first, second = views.pair(reference, fused)
    validity = views.mask_view(mask, first.size)
    gradient: Callable[[Floats], Floats] = _horizontal
    if variant == "2021":
        gradient = _magnitude
        if min(first.size) < 3:
            raise MetricError(f"image of {first.height}x{first.width} pixels is too small for SCC")
        inner = (1, first.height - 1, 1, first.width - 1)
        first, second = views.CropView(first, inner), views.CropView(second, inner)
        validity = None if validity is None else views.CropView(validity, inner)
    xx = yy = xy = 0.0
    for x, y, valid in WindowPieces(first, second, validity, 3).tiles(
        first.size, before=1, zero=True
    ):
        gx, gy = gradient(x), gradient(y)
        if valid is not None:
            rows = valid[:-2] & valid[1:-1] & valid[2:]
            kept = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
            gx *= kept
            gy *= kept
        xx += float(np.vdot(gx, gx))
        yy += float(np.vdot(gy, gy))
        xy += float(np.vdot(gx, gy))
    if xx == 0.0 or yy == 0.0:
        name = "reference" if xx == 0.0 else "fused image"
        raise MetricError(f"the {name} has no gradient in a valid pixel, so SCC is not defined")
    # One root each: the product of the two sums may overflow long before they do.
    return xy / (float(np.sqrt(xx)) * float(np.sqrt(yy)))
