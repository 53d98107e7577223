"""The toolbox's preparation of a full-resolution score, window by window.

Interpolated MS (circular border), shrunk PAN (mirrored border) and MTF-filtered images (edge
repeated) of any rectangle, from views that are never read whole. Where a mask makes holes, the
filters use the valid pixels only, with their weights made to sum up again; the interpolator, whose
weights change sign, sees holes filled from their neighbours. Neither depends on how the image is
cut into windows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.evaluation import _views as views
from pansharp.filters import INTERP23_MARGIN, correlate_valid, interp23, resize_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Rect, View

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

__all__ = ["ShrunkView", "filtered", "interpolated"]


class ShrunkView(views.View):
    """Bicubic antialiased shrink of another view by a whole ratio, computed when read."""

    def __init__(self, base: View, ratio: int, mask: View | None, name: str) -> None:
        super().__init__(base.bands, base.height // ratio, base.width // ratio)
        self._base = base
        self._mask = mask
        self._name = name
        self._rows = resize_weights(base.height, self.height, 1.0 / ratio)
        self._cols = resize_weights(base.width, self.width, 1.0 / ratio)

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Shrunk pixels of a window; meaningless where the low mask is False."""
        r0, r1, c0, c1 = rect
        rows, cols = self._rows.span(r0, r1), self._cols.span(c0, c1)
        fine = (*rows, *cols)
        valid = views.read_mask(self._mask, fine)
        image = views.clean(self._base.inside(fine), valid, self._name).astype(np.float64)

        def shrink(values: Floats) -> Floats:
            down = self._rows.apply(values, 1, r0, r1, rows[0])
            return np.asarray(self._cols.apply(down, 2, c0, c1, cols[0]), dtype=np.float64)

        out = shrink(image)
        if valid is not None:
            weight = shrink(valid[None].astype(np.float64))
            # A low pixel that counts has all its own fine pixels, three quarters of the weight.
            out /= np.where(weight > 0.25, weight, 1.0)
        return out


def _fill(low: Floats, valid: Bools, steps: int) -> None:
    """Fill invalid pixels in place with means of their valid neighbours, ring after ring."""
    low[:, ~valid] = 0.0
    for _ in range(steps):
        if valid.all():
            return
        weight = _box3(valid[None].astype(np.float64))
        total = _box3(low)
        ring = ~valid & (weight[0] > 0)
        low[:, ring] = total[:, ring] / weight[:, ring]
        valid = valid | ring


def _box3(image: Floats) -> Floats:
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    tall = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return np.asarray(tall[:, :, :-2] + tall[:, :, 1:-1] + tall[:, :, 2:])


def interpolated(low: View, ratio: int, rect: Rect, mask: View | None, name: str) -> Floats:
    """`interp23` of a low-resolution view, the part that covers a rectangle of fine pixels."""
    # Holes are filled as far as the interpolator reaches, from neighbours as far again.
    margin = INTERP23_MARGIN * (1 if mask is None else 2)
    r0, r1, c0, c1 = rect
    top, left = r0 // ratio - margin, c0 // ratio - margin
    window = (top, -(-r1 // ratio) + margin, left, -(-c1 // ratio) + margin)
    valid = views.read_mask(mask, window, "wrap")
    values = views.clean(low.read(window, "wrap"), valid, name).astype(np.float64)
    if valid is not None:
        _fill(values, valid, INTERP23_MARGIN)
    fine = interp23(values, ratio)
    row, col = r0 - top * ratio, c0 - left * ratio
    return np.asarray(fine[:, row : row + r1 - r0, col : col + c1 - c0], dtype=np.float64)


def filtered(
    image: View, kernels: NDArray[np.float64], rect: Rect, mask: View | None, name: str
) -> Floats:
    """Correlation of each band with its kernel in a rectangle, edge pixels repeated outside."""
    halo = kernels.shape[-1] // 2
    r0, r1, c0, c1 = rect
    window = (r0 - halo, r1 + halo, c0 - halo, c1 + halo)
    valid = views.read_mask(mask, window)
    values = views.clean(image.read(window), valid, name).astype(np.float64, copy=False)
    weight = None if valid is None else valid.astype(np.float64)
    out = np.empty((values.shape[0], r1 - r0, c1 - c0))
    for band, kernel in enumerate(kernels):
        out[band] = correlate_valid(values[band], kernel)
        if weight is not None:
            seen = correlate_valid(weight, kernel) / kernel.sum()
            # A valid pixel sees at least itself; anything less belongs to an invalid one.
            out[band] /= np.where(seen > 1e-6, seen, 1.0)
    return out
