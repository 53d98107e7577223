"""TIFF directories: the few tags of our own, and the geographic ones that GDAL writes for us."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError, WriteError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pansharp.writers.profile import RasterProfile

__all__ = ["GDAL_METADATA", "Tag", "directory", "gdal_tags", "numbers", "read_directory"]

GDAL_METADATA = 42112
GDAL_NODATA = 42113
_TRANSFORM_TAGS = (33550, 33922, 34264)

SHORT, LONG, LONG8 = 3, 4, 16
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_CODES = {SHORT: "<u2", LONG: "<u4", LONG8: "<u8"}

# Tags that describe how pixels are laid out: those of the template are about its own pixels.
_LAYOUT = {254, 256, 257, 258, 259, 273, 277, 278, 279, 284, 317, 322, 323, 324, 325, 339}


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry of a directory.

    Parameters
    ----------
    kind : int
        TIFF field type.
    count : int
        Number of values.
    data : bytes
        The values, little endian.
    at : int, optional
        Where the values lie in the file if they do not follow the directory.
    """

    kind: int
    count: int
    data: bytes
    at: int | None = None


def numbers(kind: int, values: object) -> Tag:
    """A tag of integers."""
    array = np.atleast_1d(np.asarray(values, _CODES[kind]))
    return Tag(kind, array.size, array.tobytes())


def directory(tags: Mapping[int, Tag], start: int, following: int, big: bool) -> bytes:
    """One directory with its values behind it; its length depends on the tags' sizes alone.

    Parameters
    ----------
    tags : mapping of int to Tag
        The entries.
    start : int
        Where the directory will lie in the file (even).
    following : int
        Where the next directory lies; 0 for the last.
    big : bool
        BigTIFF.
    """
    entry, inline, word = ("<HHQ", 8, "<Q") if big else ("<HHI", 4, "<I")
    head = struct.pack("<Q" if big else "<H", len(tags))
    place = start + len(head) + len(tags) * (12 + inline - 4 + (4 if big else 0)) + inline
    entries, values = [head], []
    for code in sorted(tags):
        tag = tags[code]
        entries.append(struct.pack(entry, code, tag.kind, tag.count))
        if len(tag.data) <= inline:
            entries.append(tag.data.ljust(inline, b"\0"))
        elif tag.at is not None:
            entries.append(struct.pack(word, tag.at))
        else:
            entries.append(struct.pack(word, place))
            padded = tag.data + b"\0" * (len(tag.data) % 2)
            values.append(padded)
            place += len(padded)
    entries.append(struct.pack(word, following))
    return b"".join(entries + values)


def read_directory(data: bytes) -> dict[int, Tag]:
    """First directory of a small classic little-endian TIFF."""
    order, magic, start = struct.unpack_from("<2sHI", data)
    if (order, magic) != (b"II", 42):
        raise WriteError("the TIFF header made by rasterio is not a classic little-endian one")
    (count,) = struct.unpack_from("<H", data, start)
    tags = {}
    for i in range(count):
        at = start + 2 + 12 * i
        code, kind, length = struct.unpack_from("<HHI", data, at)
        size = _SIZES[kind] * length
        place = at + 8 if size <= 4 else struct.unpack_from("<I", data, at + 8)[0]
        tags[code] = Tag(kind, length, data[place : place + size])
    return tags


def gdal_tags(profile: RasterProfile, metadata: Mapping[str, str]) -> dict[int, Tag]:
    """Georeference, metadata, nodata and colours as GDAL encodes them.

    A GeoTIFF of one block is written to memory by rasterio and its tags are taken over, so there
    is no encoding of coordinate systems here.

    Parameters
    ----------
    profile : RasterProfile
        What to say.
    metadata : mapping of str to str
        Tags of the raster, in place of those of the profile.

    Raises
    ------
    WriteError
        If GDAL cannot express the coordinate system in a GeoTIFF.
    OptionError
        If a colour does not exist.
    """
    import rasterio
    from rasterio.crs import CRS
    from rasterio.enums import ColorInterp
    from rasterio.errors import CRSError
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    try:
        crs = CRS.from_user_input(profile.crs) if profile.crs else None
    except CRSError as problem:
        raise WriteError(f"the coordinate system of the product is not valid: {problem}") from None
    known = ColorInterp.__members__
    for color in profile.colors:
        if color not in known:
            raise OptionError(f"unknown colour '{color}'; {nearest(color, [*known])}")
    # Without a georeference rasterio warns; give it one and leave those tags out.
    transform = Affine(*(profile.transform or (2.0, 0.0, 0.0, 0.0, -2.0, 0.0)))
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=16,
            height=16,
            count=profile.count,
            dtype=profile.dtype,
            crs=crs,
            transform=transform,
            nodata=profile.nodata,
            photometric="MINISBLACK",
            endianness="LITTLE",
            tiled=True,
            blockxsize=16,
            blockysize=16,
            sparse_ok=True,
            bigtiff="NO",
        ) as image:
            image.update_tags(**metadata)
            for domain, values in profile.tag_domains.items():
                image.update_tags(ns=domain, **values)
            for band, tags in enumerate(profile.band_tags, start=1):
                image.update_tags(band, **tags)
            for band, name in enumerate(profile.band_names, start=1):
                image.set_band_description(band, name)
            if profile.scales:
                image.scales = profile.scales
            if profile.offsets:
                image.offsets = profile.offsets
            if profile.colors:
                image.colorinterp = [known[color] for color in profile.colors]
        found = read_directory(bytes(memory.getbuffer()))
        with memory.open() as image:
            kept = image.crs
    if crs is not None and not kept:
        raise WriteError(
            "GeoTIFF cannot express the coordinate system of the product; write Zarr instead"
        )
    drop = _LAYOUT if profile.transform is not None else {*_LAYOUT, *_TRANSFORM_TAGS}
    return {code: tag for code, tag in found.items() if code not in drop}
