"""What a product file says about itself, and the checks on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import DTypeLike

__all__ = ["DTYPES", "RasterProfile", "check_dtype", "check_nodata"]

#: Sample types that the writers store.
DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def check_dtype(dtype: DTypeLike) -> np.dtype[np.generic]:
    """Return the NumPy type, or raise an `OptionError` that names those which can be written."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise OptionError(f"pixels of type '{name}' cannot be written; {nearest(name, [*DTYPES])}")
    return np.dtype(name)


def check_nodata(nodata: float | None, dtype: np.dtype[np.generic]) -> None:
    """Raise an `OptionError` when `dtype` has no such number."""
    if nodata is None or dtype.kind == "f":
        return
    info = np.iinfo(dtype.str)
    if not (math.isfinite(nodata) and nodata == int(nodata) and info.min <= nodata <= info.max):
        raise OptionError(
            f"nodata {nodata:g} cannot be stored as {dtype}; "
            f"use a whole number from {info.min} to {info.max}"
        )


@dataclass(frozen=True)
class RasterProfile:
    """Shape, type, place and labels of a product.

    Parameters
    ----------
    height, width, count : int
        Rows, columns and bands.
    dtype : str
        Type of the samples, one of `DTYPES`.
    crs : str, optional
        Coordinate system as WKT (anything that rasterio understands).
    transform : tuple of six float, optional
        ``a, b, c, d, e, f``: ``x = a col + b row + c``, ``y = d col + e row + f`` of pixel corners.
    nodata : float, optional
        Value of pixels without data.
    band_names : tuple of str
        One name per band, or empty.
    scales, offsets : tuple of float
        ``physical = scale * sample + offset`` per band, or empty.
    tags : mapping of str to str
        Metadata of the raster.
    band_tags : tuple of mappings
        Metadata per band (``STATISTICS_MEAN``, ``WAVELENGTH`` …), or empty.
    colors : tuple of str
        GDAL's colour interpretation per band (``"red"``, ``"undefined"`` …), or empty.
    tag_domains : mapping
        Metadata in other GDAL domains, e.g. ``{"RPC": {...}}``.

    Raises
    ------
    OptionError
        If a value cannot be written.
    """

    height: int
    width: int
    count: int
    dtype: str
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    nodata: float | None = None
    band_names: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    band_tags: tuple[Mapping[str, str], ...] = ()
    colors: tuple[str, ...] = ()
    tag_domains: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.count) < 1:
            raise OptionError(
                f"a product of {self.count} bands and {self.height}x{self.width} pixels is empty"
            )
        check_nodata(self.nodata, check_dtype(self.dtype))
        for name in ("band_names", "scales", "offsets", "band_tags", "colors"):
            given = len(getattr(self, name))
            if given not in (0, self.count):
                raise OptionError(f"{name} has {given} entries for {self.count} bands")
        if self.transform is not None and len(self.transform) != 6:
            raise OptionError(f"transform has {len(self.transform)} numbers, expected 6: a to f")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows, columns."""
        return self.count, self.height, self.width

    @property
    def nbytes(self) -> int:
        """Size of the samples without compression, in bytes."""
        return self.height * self.width * self.count * np.dtype(self.dtype).itemsize
