"""The tile map (TIL): a product of several files as one lazy mosaic.

GDAL has a driver for it, which takes size and place from the IMD. Real IMD lie about the size
(half the image is lost without a word), and without one the mosaic cannot be opened at all. So
the mosaic is our own virtual raster: tiles at the offsets of the TIL, as large as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import MissingSidecarError, ReaderError
from pansharp.readers._virtual import Image, Tile, mosaic
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rasterio.io import DatasetReader

    from pansharp.readers.maxar._imd import Imd
    from pansharp.readers.maxar._pvl import Node
    from pansharp.scene import Affine6

__all__ = ["Entry", "Mosaic", "build", "entries", "tile_place"]

_TILE_NAME = re.compile(r"_R(\d+)C(\d+)(?=[-_.]|$)", re.IGNORECASE)
#: Tiles that no product has.
_MOST = 10_000
#: The offsets of the last pixel are inclusive in some products and exclusive in others.
_SLACK = 1


@dataclass(frozen=True)
class Entry:
    """One line of the tile map.

    Parameters
    ----------
    file : Path
        Tile, beside the map.
    start : tuple of int or None
        Row and column of its first pixel.
    stop : tuple of int or None
        Row and column of its last pixel, or of the one behind it.
    """

    file: Path
    start: tuple[int, int] | None
    stop: tuple[int, int] | None


@dataclass(frozen=True)
class Mosaic:
    """A product of tiles, ready to be read.

    Parameters
    ----------
    image : Image
        Virtual raster.
    shape : tuple of int
        Rows and columns.
    notes : tuple of str
        Conflicts between the sidecars, and how they were settled.
    """

    image: Image
    shape: tuple[int, int]
    notes: tuple[str, ...]


def tile_place(name: str) -> tuple[int, int] | None:
    """Row and column, from 1, of a tile's name (``_R1C2``); None for other names."""
    match = _TILE_NAME.search(name)
    return None if match is None else (int(match.group(1)), int(match.group(2)))


def entries(til: Node, folder: Path) -> list[Entry]:
    """Files that a tile map lists, after checking that all are there.

    Parameters
    ----------
    til : Node
        The TIL, or the part ``TIL`` of an ISD.
    folder : Path
        Where its files lie.

    Returns
    -------
    list of Entry
        In the order of the map.

    Raises
    ------
    ReaderError
        The map lists no tile, names one twice or outside its folder, or holds absurd numbers.
    MissingSidecarError
        A tile is missing.
    """
    groups = list(til.find(r"TILE(_\d+)?"))
    if not groups or len(groups) > _MOST:
        raise ReaderError(
            f"'{til.path}' lists {len(groups)} tiles; it is damaged, copy or download it again"
        )
    there = {file.name.lower(): file for file in folder.iterdir()} if folder.is_dir() else {}
    found: list[Entry] = []
    missing: list[str] = []
    for group in groups:
        fields = group.fields
        name = fields.text("filename")
        if name is None:
            raise MissingSidecarError(f"'{til.path}': {group.name} names no file; it is damaged")
        if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
            raise ReaderError(
                f"'{til.path}' names the tile '{name[:80]!s}', which lies outside its folder; it "
                "is not read"
            )
        start = _corner(fields.whole("ULRowOffset"), fields.whole("ULColOffset"))
        stop = _corner(fields.whole("LRRowOffset"), fields.whole("LRColOffset"))
        file = there.get(name.lower())
        if file is None or not file.is_file():
            missing.append(name)
        else:
            found.append(Entry(file, start, stop))
    declared = til.fields.whole("numTiles")
    if missing:
        count = max(len(groups), declared or 0)
        gone = f"{len(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise MissingSidecarError(
            f"The tile map '{til.path}' lists {count} tile{'s' if count > 1 else ''}, {gone}: "
            f"{', '.join(missing[:4])}. Copy what is missing; partial mosaics are not fused"
        )
    if declared is not None and declared != len(groups):
        raise ReaderError(
            f"'{til.path}' promises {declared} tiles and lists {len(groups)}; it is damaged, copy "
            "or download it again"
        )
    if len({entry.file for entry in found}) != len(found):
        raise ReaderError(f"'{til.path}' names a tile twice; it is damaged")
    return found


def _corner(row: int | None, col: int | None) -> tuple[int, int] | None:
    return None if row is None or col is None else (row, col)


def build(listed: Sequence[Entry], til: str, imd: Imd | None) -> Mosaic:
    """Lay the tiles of a product side by side.

    Parameters
    ----------
    listed : sequence of Entry
        Tiles.
    til : str
        The tile map's path.
    imd : Imd or None
        For comparison, and for the georeference where the tiles have none.

    Returns
    -------
    Mosaic
        Placed by the tiles' own georeference where they have one.

    Raises
    ------
    ReaderError
        Tiles cannot be read, are of different kinds, overlap or leave holes.
    """
    notes: list[str] = []
    shapes: list[tuple[int, int]] = []
    kinds: set[tuple[object, ...]] = set()
    for entry in listed:
        with open_raster(entry.file) as dataset:
            shapes.append((dataset.height, dataset.width))
            kinds.add((dataset.count, dataset.dtypes, dataset.nodatavals))
    if len(kinds) > 1:
        raise ReaderError(f"the tiles of '{til}' differ in bands or number type; copy them again")
    tiles = _placed(listed, shapes, til, notes)
    height = max(tile.row + tile.height for tile in tiles)
    width = max(tile.col + tile.width for tile in tiles)
    _check_cover(tiles, (height, width), til)
    _compare(listed, tiles, (height, width), imd, notes)
    with open_raster(listed[0].file) as pattern:
        transform, crs = _georeference(tiles[0], pattern, imd, notes)
        text = mosaic(tiles, pattern, shape=(height, width), transform=transform, crs=crs)
    files = tuple(str(entry.file) for entry in listed)
    return Mosaic(Image(text, files, til), (height, width), tuple(notes))


def _placed(
    listed: Sequence[Entry], shapes: Sequence[tuple[int, int]], til: str, notes: list[str]
) -> list[Tile]:
    """Tiles at the offsets of the map; where those are missing or absurd, by rows and columns."""
    files = [str(entry.file) for entry in listed]
    starts = [entry.start for entry in listed]
    if None not in starts:
        tiles = [
            Tile(file, *start, *shape)
            for file, start, shape in zip(files, starts, shapes, strict=True)
            if start is not None
        ]
        if _covers(tiles):
            return tiles
    places = [tile_place(entry.file.name) for entry in listed]
    if None in places or len(set(places)) != len(places):
        raise ReaderError(
            f"the offsets of the tiles in '{til}' do not make an image; copy the file again"
        )
    by_place = {
        place: (file, shape)
        for place, file, shape in zip(places, files, shapes, strict=True)
        if place is not None
    }
    rows = sorted({row for row, _ in by_place})
    cols = sorted({col for _, col in by_place})
    tops = _running(max(s[0] for (r, _), (_, s) in by_place.items() if r == row) for row in rows)
    lefts = _running(max(s[1] for (_, c), (_, s) in by_place.items() if c == col) for col in cols)
    notes.append(
        f"the offsets in '{Path(til).name}' do not make an image: tiles laid by their names"
    )
    return [
        Tile(file, tops[rows.index(row)], lefts[cols.index(col)], *shape)
        for (row, col), (file, shape) in by_place.items()
    ]


def _running(sizes: Iterable[int]) -> list[int]:
    """First pixels of tiles that follow each other."""
    return list(accumulate(sizes, initial=0))[:-1]


def _covers(tiles: Sequence[Tile]) -> bool:
    height = max(tile.row + tile.height for tile in tiles)
    width = max(tile.col + tile.width for tile in tiles)
    first = min(tile.row for tile in tiles) == 0 and min(tile.col for tile in tiles) == 0
    # Overlapping tiles cover more than the mosaic; a pixel of slack a seam is rounding.
    area = sum(tile.height * tile.width for tile in tiles)
    slack = _SLACK * len(tiles) * (height + width)
    return first and area + slack >= height * width and not _stacked(tiles)


def _stacked(tiles: Sequence[Tile]) -> bool:
    """Whether two tiles lie mostly on each other."""
    return any(
        abs(one.row - two.row) < min(one.height, two.height) / 2
        and abs(one.col - two.col) < min(one.width, two.width) / 2
        for i, one in enumerate(tiles)
        for two in tiles[i + 1 : i + 200]
    )


def _check_cover(tiles: Sequence[Tile], shape: tuple[int, int], til: str) -> None:
    if not _covers(tiles):
        raise ReaderError(
            f"the tiles of '{til}' do not fill their image of {shape[0]} x {shape[1]} pixels; "
            "copy the delivery again"
        )


def _compare(
    listed: Sequence[Entry],
    tiles: Sequence[Tile],
    shape: tuple[int, int],
    imd: Imd | None,
    notes: list[str],
) -> None:
    """Say where sidecars promise other sizes than the tiles have; the tiles are right."""
    ends = {Path(tile.file): (tile.row + tile.height, tile.col + tile.width) for tile in tiles}
    for entry in listed:
        end = ends[entry.file]
        if entry.stop is not None and any(
            not -_SLACK <= told - real <= 0 for told, real in zip(entry.stop, end, strict=True)
        ):
            notes.append(
                f"the tile map ends '{entry.file.name}' at row {entry.stop[0]}, column "
                f"{entry.stop[1]}, the file itself at {end[0]}, {end[1]}: using the file"
            )
            break
    told = None if imd is None else imd.shape
    if imd is None or told is None:
        return
    for what, say, real in zip(("rows", "columns"), told, shape, strict=True):
        if abs(say - real) > _SLACK:
            notes.append(f"IMD says {say} {what}, tiles hold {real}. Using the tiles")


def _georeference(
    first: Tile, pattern: DatasetReader, imd: Imd | None, notes: list[str]
) -> tuple[Affine6 | None, str | None]:
    """Place of the mosaic: from the first tile's own georeference, else from the IMD."""
    own = tuple(float(value) for value in pattern.transform)[:6]
    told = None if imd is None else map_grid(imd)
    if pattern.crs is None or own == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0):
        if told is None:
            return None, None
        notes.append("the images have no georeference of their own: took that of the IMD")
        return told
    a, b, c, d, e, f = own
    c, f = c - a * first.col - b * first.row, f - d * first.col - e * first.row
    if told is not None:
        away = max(abs(told[0][2] - c) / abs(a), abs(told[0][5] - f) / abs(e or 1.0))
        if away > 0.5:
            notes.append(
                f"the IMD places the image {away:.1f} pixels away from its own georeference: "
                "using the image's"
            )
    return (a, b, c, d, e, f), pattern.crs.to_wkt()


def map_grid(imd: Imd) -> tuple[Affine6, str] | None:
    """Grid of a projected product by its IMD: UTM on WGS 84 alone; None otherwise.

    ``originX/Y`` (and ``ULX/Y``) are the centre of the first pixel.
    """
    fields = imd.map
    if (fields.text("mapProjName") or "").upper() != "UTM":
        return None
    if (fields.text("datumName") or "WE").upper() not in ("WE", "WGS84", "WGS 84"):
        return None
    zone = imd.soft(fields, "mapZone", 1, 60)
    x = imd.soft(fields, "originX", -1e8, 1e8, also="ULX")
    y = imd.soft(fields, "originY", -1e8, 1e8, also="ULY")
    across = imd.soft(fields, "colSpacing", 1e-3, 1e4, also="productGSD")
    down = imd.soft(fields, "rowSpacing", 1e-3, 1e4, also="productGSD")
    angle = imd.soft(fields, "orientationAngle", -360, 360)
    half = (fields.text("mapHemisphere") or "").upper()[:1]
    if None in (zone, x, y, across, down) or angle or half not in ("N", "S"):
        return None
    from rasterio.crs import CRS

    assert zone is not None
    assert x is not None
    assert y is not None
    assert across is not None
    assert down is not None
    crs = CRS.from_epsg((32600 if half == "N" else 32700) + int(zone))
    return (across, 0.0, x - across / 2, 0.0, -down, y + down / 2), crs.to_wkt()
