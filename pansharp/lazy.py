"""A judged fusion as a lazy xarray array."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pansharp.attach import attach
from pansharp.chips import read_chip
from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from pansharp.outcome import Outcome

__all__ = ["LazyPixels", "lazy_product"]

#: Side of a chunk of the lazy array, PAN pixels.
_CHUNK = 1024
#: Samples (pixels times bands) of a chunk.
_SAMPLES = 1 << 24


class LazyPixels:
    """Pixels of a product on demand, for dask.

    Parameters
    ----------
    outcome : Outcome
        A prepared fusion; its scratch image lives as long as this object.
    """

    ndim = 3

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.shape = outcome.scene.shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        bands, rows, cols = key
        top, bottom, _ = rows.indices(self.shape[1])
        left, right, _ = cols.indices(self.shape[2])
        window = Window(top, left, bottom - top, right - left)
        fuser = self._outcome.fuser
        chip = read_chip(self._outcome.scene, window, fuser.halo)
        fused = np.array(fuser(chip), dtype=np.float32)
        if chip.valid is not None:
            fused[:, ~chip.valid] = np.nan
        return fused[bands]


def lazy_product(outcome: Outcome, card: Mapping[str, object]) -> xr.DataArray:
    """Wrap a fusion as a DataArray on the PAN grid.

    Parameters
    ----------
    outcome : Outcome
        A prepared fusion.
    card : mapping
        Its score card.

    Returns
    -------
    xarray.DataArray
        Dims (band, y, x), float32, NaN where there is no data.
    """
    import dask.array as da
    import xarray as xr

    scene = outcome.scene
    pixels = LazyPixels(outcome)
    # Cubes: a chunk of all bands must stay small, whatever their number.
    side = max(256, min(_CHUNK, math.isqrt(_SAMPLES // scene.bands) // 64 * 64))
    data = da.from_array(  # type: ignore[no-untyped-call]
        pixels, chunks=(scene.bands, side, side), name=False, asarray=True, fancy=False
    )
    a, b, c, d, e, f = scene.transform
    coords: dict[str, object] = {"band": list(scene.band_names)}
    if b == 0 and d == 0:
        coords["x"] = c + a * (np.arange(scene.shape[2]) + 0.5)
        coords["y"] = f + e * (np.arange(scene.shape[1]) + 0.5)
    attrs: dict[str, object] = {
        "crs": scene.crs,
        "transform": scene.transform,
        "nodata": scene.nodata,
        "long_name": list(scene.band_names),
        "source_dtype": str(scene.dtype),
        "pansharp_card": dict(card),
    }
    if scene.wavelengths:
        attrs["wavelengths"] = tuple(scene.wavelengths)
    if scene.sensor is not None:
        attrs["sensor"] = scene.sensor.name
    attach()
    return xr.DataArray(data, dims=("band", "y", "x"), coords=coords, name="fused", attrs=attrs)
