"""Products on disk: cloud-optimised GeoTIFF, plain GeoTIFF and Zarr, streamed and atomic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import OptionError
from pansharp.registry import nearest
from pansharp.writers.base import Writer
from pansharp.writers.profile import DTYPES, RasterProfile
from pansharp.writers.rounding import quantize
from pansharp.writers.stream import register_stream, write

if TYPE_CHECKING:
    import os

__all__ = [
    "COMPRESSIONS",
    "DTYPES",
    "FORMATS",
    "RasterProfile",
    "Writer",
    "format_of",
    "open_writer",
    "quantize",
    "register_stream",
    "write",
]

FORMATS = ("cog", "gtiff", "zarr")
COMPRESSIONS = ("zstd", "deflate", "lzw", "none")

_SUFFIXES = {".zarr": "zarr", ".tif": "cog", ".tiff": "cog"}


def format_of(path: Path, format: str | None = None) -> str:
    """Format of a product: as named, or by the suffix of its path.

    Raises
    ------
    OptionError
        If the name or, without one, the suffix is unknown.
    """
    if format is None:
        found = _SUFFIXES.get(path.suffix.lower())
        if found is None:
            raise OptionError(
                f"the suffix of '{path.name}' names no format; use .tif or .zarr, or give format="
            )
        return found
    if format not in FORMATS:
        raise OptionError(f"unknown format '{format}'; {nearest(format, [*FORMATS])}")
    return format


def open_writer(
    path: str | os.PathLike[str],
    profile: RasterProfile,
    *,
    format: str = "cog",
    compress: str = "zstd",
    overwrite: bool = False,
    block: int = 512,
    level: int | None = None,
    overviews: bool | None = None,
) -> Writer:
    """Open a writer; the file appears when it is finished, and leaves no trace when it fails.

    Parameters
    ----------
    path : path
        The product; its folder must exist.
    profile : RasterProfile
        Shape, type, place and labels.
    format : {"cog", "gtiff", "zarr"}
        Cloud-optimised GeoTIFF (with overviews), plain tiled GeoTIFF, or a Zarr store.
    compress : {"zstd", "deflate", "lzw", "none"}
        ``"deflate"`` is understood by old software, ``"zstd"`` is faster. No LZW in Zarr.
    overwrite : bool
        Replace an existing product, at the end and at once.
    block : int
        Edge of a block in pixels, a multiple of 16. The writer's attribute `block` says what is
        used: smaller for narrow images.
    level : int, optional
        Effort of the compression, by default 1.
    overviews : bool, optional
        By default those of the format: yes for ``"cog"``.

    Returns
    -------
    Writer
        See there. Use it as a context manager.

    Raises
    ------
    OptionError
        For an unknown format, compression or size.
    WriteError
        If the product exists, or its folder is missing, closed or too full.
    """
    target = Path(path)
    kind = format_of(target, format)
    if compress not in COMPRESSIONS:
        raise OptionError(f"unknown compression '{compress}'; {nearest(compress, [*COMPRESSIONS])}")
    if block < 16 or block % 16:
        raise OptionError(f"blocks of {block} pixels are impossible; use a multiple of 16")
    if kind == "zarr":
        from pansharp.writers.zarr import ZarrWriter

        if overviews:
            raise OptionError("Zarr stores have no overviews; use the format cog")
        return ZarrWriter(
            target, profile, overwrite=overwrite, compress=compress, level=level, block=block
        )
    from pansharp.writers.tiff import TiffWriter

    return TiffWriter(
        target,
        profile,
        overwrite=overwrite,
        compress=compress,
        level=level,
        block=block,
        overviews=kind == "cog" if overviews is None else overviews,
    )
