"""Zarr version 3 stores that xarray and rioxarray open with coordinates and georeference."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, cast

import numpy as np

from pansharp.errors import OptionError, WriteError
from pansharp.geometry.grids import Window
from pansharp.writers.base import Writer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from zarr.core.common import JSON

    from pansharp.writers.profile import RasterProfile

__all__ = ["ZarrWriter"]

#: A chunk holds as many bands as fit in this many bytes: readers fetch whole chunks.
_CHUNK = 4 << 20


class ZarrWriter(Writer):
    """Writes the array ``fused (band, y, x)`` with coordinates into a group.

    Chunks are compressed and stored by the workers: no two windows share one. The store is made
    as ``NAME.part`` and renamed at the end; its attribute ``pansharp_complete`` turns true last,
    for stores that are copied while they grow.

    Parameters
    ----------
    path : Path
        The store, a folder.
    profile : RasterProfile
        What it contains.
    overwrite : bool
        Whether an existing store may be replaced.
    compress : {"zstd", "deflate", "none"}
        Blosc with zstd and bit shuffling, gzip, or nothing.
    level : int, optional
        Effort, by default 1.
    block : int
        Edge of a chunk.
    """

    def __init__(
        self,
        path: Path,
        profile: RasterProfile,
        *,
        overwrite: bool,
        compress: str,
        level: int | None,
        block: int,
    ) -> None:
        super().__init__(path, profile, overwrite=overwrite)
        if path.is_file():
            raise WriteError(f"cannot write {path}: it is a file, a Zarr store is a folder")
        self.block = block
        compressors = _compressors(compress, 1 if level is None else level)
        try:
            with self._messages():
                self._create(compressors)
        except BaseException:
            self.abort()
            raise

    def _create(self, compressors: object) -> None:
        import zarr

        profile = self.profile
        part = self._part()
        if part.exists():
            shutil.rmtree(part)
        self._group = zarr.create_group(part, zarr_format=3)
        item = np.dtype(profile.dtype).itemsize
        bands = max(1, min(profile.count, _CHUNK // (self.block * self.block * item)))
        self._array = self._group.create_array(
            "fused",
            shape=profile.shape,
            dtype=profile.dtype,
            chunks=(bands, min(self.block, profile.height), min(self.block, profile.width)),
            compressors=cast("None", compressors),
            fill_value=0 if profile.nodata is None else profile.nodata,
            dimension_names=("band", "y", "x"),
        )
        self._coordinates()

    def _encode(self, window: Window, array: NDArray[np.generic]) -> Window:
        rows, cols = window.slices
        self._array[:, rows, cols] = array
        return window

    def _append(self, encoded: object) -> Window:
        if not isinstance(encoded, Window):
            raise TypeError(f"append() takes what encode() returned, not {type(encoded).__name__}")
        return encoded

    def _finish(self) -> None:
        profile = self.profile
        about: dict[str, JSON] = {"grid_mapping": "spatial_ref"}
        if profile.nodata is not None:
            value = float(profile.nodata)
            if np.isfinite(value):
                # The CF name; NaN needs none, and JSON has no NaN.
                about["_FillValue"] = value if profile.dtype.startswith("float") else int(value)
        if profile.band_names:
            about["long_name"] = list(profile.band_names)
        if any(scale != 1.0 for scale in profile.scales):
            about["band_scales"] = list(profile.scales)
        if any(offset != 0.0 for offset in profile.offsets):
            about["band_offsets"] = list(profile.offsets)
        if profile.band_tags:
            about["band_tags"] = [dict(tags) for tags in profile.band_tags]
        self._array.update_attributes(about)
        self._group.update_attributes({**self._tags, "pansharp_complete": True})
        for folder, _, files in os.walk(self._part()):
            for name in files:
                _flush(os.path.join(folder, name))

    def _close(self) -> None:
        """Nothing stays open between calls."""

    def _replace(self) -> None:
        part = self._part()
        if not self.path.exists():
            os.rename(part, self.path)
            return
        # A folder cannot be replaced at once: set the old one aside, and only then drop it.
        old = self._part("-old")
        os.rename(self.path, old)
        os.rename(part, self.path)
        shutil.rmtree(old)

    def _coordinates(self) -> None:
        profile = self.profile
        place: dict[str, JSON] = {}
        if profile.crs:
            place["crs_wkt"] = place["spatial_ref"] = profile.crs
        if profile.transform is not None:
            a, b, c, d, e, f = profile.transform
            place["GeoTransform"] = f"{c!r} {a!r} {b!r} {f!r} {d!r} {e!r}"
            if b == d == 0:
                cols, rows = np.arange(profile.width) + 0.5, np.arange(profile.height) + 0.5
                self._coordinate("x", c + a * cols, {"axis": "X"})
                self._coordinate("y", f + e * rows, {"axis": "Y"})
        reference = self._group.create_array(
            "spatial_ref", shape=(), dtype="int64", fill_value=0, dimension_names=()
        )
        reference.update_attributes(place)
        self._coordinate("band", np.arange(1, profile.count + 1), {})

    def _coordinate(self, name: str, values: NDArray[np.generic], about: dict[str, JSON]) -> None:
        array = self._group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=(name,)
        )
        array[:] = values
        array.update_attributes(about)


def _compressors(compress: str, level: int) -> object:
    from zarr.codecs import BloscCodec, GzipCodec

    if not 1 <= level <= 9:
        raise OptionError(f"Zarr stores have no compression level {level}; use 1 to 9")
    if compress == "zstd":
        return BloscCodec(cname="zstd", clevel=level, shuffle="bitshuffle")
    if compress == "deflate":
        return GzipCodec(level=level)
    if compress == "none":
        return None
    raise OptionError(
        f"Zarr stores have no compression '{compress}'; choose one of: deflate, none, zstd"
    )


def _flush(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
