"""An archive of small WorldView-3 and GaoFen-2 deliveries, some broken: what batches meet."""

from __future__ import annotations

from archive_of_scenes.archive import Archive, Delivery, write_archive
from archive_of_scenes.mishaps import MISHAPS

__all__ = ["MISHAPS", "Archive", "Delivery", "write_archive"]
