"""Windowed reading of rasters and arrays, with the validity of every pixel.

A pixel of a source is invalid when

* every selected band holds the nodata value (a dark band of a good pixel may hold it too, so one
  band alone does not decide), or
* any selected band is NaN or infinite (or too large for float32), or
* the file's own mask or alpha band says so.
"""

from __future__ import annotations

from pansharp.source.arrays import ArraySource, SourceView, StackSource
from pansharp.source.base import UNSET, BaseSource, Source, Unset
from pansharp.source.calibrated import CalibratedSource
from pansharp.source.ortho import OrthoSource, Warp, orthorectified
from pansharp.source.padding import fill_invalid, read_padded
from pansharp.source.raster import RasterSource, WarpedSource, open_raster
from pansharp.source.screened import ScreenedSource, empty_bands
from pansharp.source.thinned import ThinnedSource

__all__ = [
    "UNSET",
    "ArraySource",
    "BaseSource",
    "CalibratedSource",
    "OrthoSource",
    "RasterSource",
    "ScreenedSource",
    "Source",
    "SourceView",
    "StackSource",
    "ThinnedSource",
    "Unset",
    "Warp",
    "WarpedSource",
    "empty_bands",
    "fill_invalid",
    "open_raster",
    "orthorectified",
    "read_padded",
]
