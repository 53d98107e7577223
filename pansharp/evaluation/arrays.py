"""What the toolbox does to images before it scores them: cut the border, limit the values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.errors import MetricError, OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Raster

__all__ = ["clip_dn", "cut_border"]


def cut_border(image: Raster, cut: int, *, symmetric: bool = False) -> Raster:
    """Cut the border as the toolbox does before scoring: ``[cut - 1 : size - cut]``.

    One pixel less at the top and left than at the bottom and right; published tables use 21
    (2021 edition) or 11 (2015).

    Parameters
    ----------
    image : array, dask array or view
        Shape (band, y, x) or (y, x).
    cut : int
        0 cuts nothing.
    symmetric : bool
        Cut `cut` pixels on every side, what the toolbox meant to do.

    Returns
    -------
    array or view
        The middle, a slice of the input.

    Raises
    ------
    MetricError
        Nothing would be left, or `cut` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> cut_border(np.zeros((4, 128, 128)), 21).shape
    (4, 87, 87)
    >>> cut_border(np.zeros((4, 128, 128)), 21, symmetric=True).shape
    (4, 86, 86)
    """
    height, width = image.shape[-2:]
    start = cut if symmetric else cut - 1
    if cut < 0 or start + cut >= min(height, width):
        raise MetricError(f"cutting {cut} pixels off {height}x{width} is impossible; cut less")
    if cut == 0:
        return image
    rows, cols = slice(start, height - cut), slice(start, width - cut)
    if len(image.shape) == 2:
        return image[rows, cols]  # type: ignore[return-value]
    return image[:, rows, cols]  # type: ignore[return-value]


def clip_dn(
    image: NDArray[np.generic], bits: int, *, top: Literal["toolbox", "largest"] = "toolbox"
) -> NDArray[np.generic]:
    """Limit digital numbers to 0 ... 2^bits, the toolbox's optional step before scoring.

    The upper limit is 2^bits (2048 for 11 bits), not 2^bits - 1, as in the reference code.

    Parameters
    ----------
    image : ndarray
        Any shape.
    bits : int
        Radiometric resolution.
    top : {"toolbox", "largest"}
        ``"largest"`` limits to 2^bits - 1, the largest number of that many bits.

    Returns
    -------
    ndarray
        Same shape; float64 where the limit does not fit the type.

    Raises
    ------
    OptionError
        Unknown limit.

    Examples
    --------
    >>> import numpy as np
    >>> clip_dn(np.array([-5.0, 3000.0]), 11)
    array([   0., 2048.])
    """
    if top not in ("toolbox", "largest"):
        raise OptionError(f"top '{top}' is unknown; choose 'toolbox' or 'largest'")
    limit = 2**bits - (top == "largest")
    if image.dtype.kind in "iu" and limit > np.iinfo(image.dtype.str).max:
        image = image.astype(np.float64)
    return np.asarray(np.clip(image, 0, limit))
