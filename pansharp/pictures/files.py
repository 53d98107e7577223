"""The file behind a lazy array, so that a picture of it can use the file's overviews."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pansharp.errors import ReaderError

if TYPE_CHECKING:
    from pansharp.source import RasterSource

__all__ = ["FILE_PREFIX", "file_behind"]

#: How the dask arrays begin that stand for a whole file: those of `open_product`, of rioxarray.
FILE_PREFIX = "pansharp-file-"
_PREFIXES = (FILE_PREFIX, "open_rasterio-")


def file_behind(image: object) -> RasterSource | None:
    """The raster file that an untouched lazy array shows.

    Parameters
    ----------
    image : object
        An xarray.DataArray, or anything else.

    Returns
    -------
    RasterSource or None
        None for what is no DataArray, for pixels in memory, and as soon as anything was done to
        the array: another shape, place, order of bands or type, a scale, a computation.
    """
    path = getattr(image, "encoding", {}).get("source")
    array: Any = image
    if not isinstance(path, str | os.PathLike) or getattr(array, "ndim", 0) != 3:
        return None
    if not _untouched(array):
        return None
    from pansharp.source import RasterSource

    try:
        source = RasterSource(os.fspath(path))
    except ReaderError:
        # The file went away, or is no raster: the array itself can still be shown.
        return None
    shape = source.bands, source.height, source.width
    return source if shape == array.shape and _same_place(array, source) else None


def _untouched(array: Any) -> bool:
    encoding = array.encoding
    if encoding.get("scale_factor", 1) != 1 or encoding.get("add_offset", 0) != 0:
        return False
    if array.chunks is not None:
        return str(array.data.name).startswith(_PREFIXES)
    # rioxarray's arrays without dask are loaded by whatever computes with them.
    return "rasterio_dtype" in encoding and not array.variable._in_memory


def _same_place(array: Any, source: RasterSource) -> bool:
    """Whether bands and pixels lie in the order of the file."""
    import numpy as np

    # Not `coords.get`, which makes up numbers for dimensions without coordinates.
    axes = {name: array.coords[name] for name in ("band", "y", "x") if name in array.coords}
    if "band" in axes and axes["band"].ndim == 1:
        names = [str(name) for name in axes["band"].values]
        if names not in ([str(i + 1) for i in range(source.bands)], list(source.band_names)):
            return False
    a, b, c, d, e, f = tuple(source.dataset().transform)[:6]
    if b or d:
        return True
    for name, first, step in (("x", c, a), ("y", f, e)):
        axis = axes.get(name)
        if axis is None or axis.ndim != 1 or axis.size < 2:
            continue
        ends = np.asarray(axis.values[[0, -1]], dtype=np.float64)
        wanted = first + step * (np.array([0, axis.size - 1]) + 0.5)
        if np.abs(ends - wanted).max() > abs(step) / 4:
            return False
    return True
