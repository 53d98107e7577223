"""Deliveries of the Maxar family: WorldView-1 to 4, Legion, GeoEye-1, QuickBird."""

from __future__ import annotations

from pansharp.readers._base import readers
from pansharp.readers.maxar._reader import MaxarReader

__all__ = ["MaxarReader"]

readers.register("maxar")(MaxarReader())
