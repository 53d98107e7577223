"""Cutting a raster into tiles, joining predictions, and the ordered thread map: NumPy only."""

from __future__ import annotations

from pansharp.tiling.blend import Blender, recut
from pansharp.tiling.dispatch import ordered_map
from pansharp.tiling.grid import Tile, TileGrid
from pansharp.tiling.windows import BLEND_KINDS, profile

__all__ = ["BLEND_KINDS", "Blender", "Tile", "TileGrid", "ordered_map", "profile", "recut"]
