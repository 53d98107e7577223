"""Rasters as pictures: a small view of a large image, one stretch for many, PNG and its kin.

What quicklooks, plots and the HTML report share. Memory is bounded by the view, not by the image.
"""

from __future__ import annotations

from pansharp.pictures.bands import any_bands, band_choice
from pansharp.pictures.encode import encode
from pansharp.pictures.stretch import Stretch
from pansharp.pictures.view import View, as_source, look

__all__ = ["Stretch", "View", "any_bands", "as_source", "band_choice", "encode", "look"]
