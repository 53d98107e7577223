"""From float32 to the numbers of a file: rounding once, at the very end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.writers.profile import check_dtype, check_nodata

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["quantize"]

#: Pixels worked on at once: their float32 scratch stays in the cache of a core.
_STRIP = 65_536


def _limits(dtype: np.dtype[np.generic], nodata: float | None) -> tuple[np.float32, np.float32]:
    """Smallest and largest float32 that may be cast; nodata at either end is left out."""
    info = np.iinfo(dtype.str)
    low, high = info.min + int(nodata == info.min), info.max - int(nodata == info.max)
    lowest, highest = np.float32(low), np.float32(high)
    # 2**31 - 1 has no float32 of its own: take the next one that still fits.
    if int(highest) > high:
        highest = np.nextafter(highest, np.float32(0))
    if int(lowest) < low:
        lowest = np.nextafter(lowest, np.float32(0))
    return lowest, highest


def quantize(
    array: NDArray[np.float32],
    dtype: DTypeLike,
    *,
    valid: NDArray[np.bool_] | None = None,
    nodata: float | None = None,
    out: NDArray[np.generic] | None = None,
) -> NDArray[np.generic]:
    """Round, clip and cast fused pixels to the type of a file.

    Parameters
    ----------
    array : ndarray, shape (band, y, x), float32
        Sensor counts (or physical values for a float product). Not changed.
    dtype : dtype
        Type of the file.
    valid : ndarray, shape (y, x), bool, optional
        True where there is data; None means everywhere. NaN is never data.
    nodata : float, optional
        What invalid pixels become; without it 0, in float files NaN.
    out : ndarray, shape (band, y, x), optional
        Where to put the result.

    Returns
    -------
    ndarray, shape (band, y, x), of `dtype`
        Integers are ``floor(value + 0.5)`` clipped to the range of the type. A valid pixel that
        would come out as nodata is moved one count away from it, so data never turns into nodata.

    Raises
    ------
    OptionError
        For a type that files cannot hold, or a nodata value that the type cannot hold.
    """
    kind = check_dtype(dtype)
    check_nodata(nodata, kind)
    result = np.empty(array.shape, kind) if out is None else out
    if result.shape != array.shape or result.dtype != kind:
        raise OptionError(f"out is {result.dtype} {result.shape}, expected {kind} {array.shape}")
    if kind.kind == "f":
        _to_float(array, result, nodata)
        fill = np.nan if nodata is None else nodata
    else:
        _to_integer(array, result, nodata)
        fill = 0 if nodata is None else nodata
    if valid is not None and not valid.all():
        invalid = ~valid
        for band in result:
            band[invalid] = fill
    return result


def _to_float(array: NDArray[np.float32], out: NDArray[np.generic], nodata: float | None) -> None:
    np.copyto(out, array, casting="same_kind")
    if nodata is None or np.isnan(nodata):
        return
    kind = out.dtype.type
    hit = out == kind(nodata)
    if hit.any():
        out[hit] = np.nextafter(kind(nodata), kind(np.inf if nodata <= 0 else 0))
    missing = np.isnan(out)
    if missing.any():
        out[missing] = nodata


def _to_integer(array: NDArray[np.float32], out: NDArray[np.generic], nodata: float | None) -> None:
    info = np.iinfo(out.dtype.str)
    low, high = _limits(out.dtype, nodata)
    inside = nodata is not None and info.min < nodata < info.max
    half = np.float32(0.5)
    fill = 0 if nodata is None else nodata
    _, height, width = array.shape
    rows = max(1, _STRIP // max(width, 1))
    scratch = np.empty((min(rows, height), width), np.float32)
    for source, target in zip(array, out, strict=True):
        for top in range(0, height, rows):
            values, cast = source[top : top + rows], target[top : top + rows]
            work = scratch[: values.shape[0]]
            np.add(values, half, out=work)
            # Casting cuts toward zero, which is the floor only where nothing is negative.
            if info.min < 0:
                np.floor(work, out=work)
            np.clip(work, low, high, out=work)
            missing = None
            # One product of the strip with itself is NaN if any pixel is: half the cost of min().
            flat = work.ravel()
            if np.isnan(flat @ flat):
                missing = np.isnan(work)
                work[missing] = low
            np.copyto(cast, work, casting="unsafe")
            if inside:
                hit = cast == nodata
                if hit.any():
                    cast[hit] = nodata + 1  # type: ignore[operator]
            if missing is not None:
                cast[missing] = fill
