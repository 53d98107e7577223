"""Airbus deliveries: Pleiades, Pleiades Neo, SPOT-6/7 by their DIMAP documents."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import PansharpError, ReaderError, SceneError, UnknownFormatError
from pansharp.readers._base import SURE, Found, only_scene, readers
from pansharp.readers._half import Half, open_halves
from pansharp.readers._rpc import rpc_items
from pansharp.readers._scan import files_below
from pansharp.readers._sidecar import Fields, beside
from pansharp.readers._virtual import Image, Tile, mosaic
from pansharp.readers.dimap._document import Document, is_document, read_document, read_utf8
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.scene import Affine6, Scene
    from pansharp.sensors import SensorProfile

__all__ = ["DimapReader"]

_FAMILY = "dimap"
_IMAGES = (".tif", ".tiff", ".jp2")
#: What the two rasters of a full spectrum have in their names, and the band that each holds.
_PARTS = {"R": "_RGB_", "NIR": "_NED_"}


class DimapReader:
    """Opens Pleiades, Pleiades Neo and SPOT-6/7 by folder, document or tile."""

    summary = "Airbus DIMAP: Pleiades, Pleiades Neo, SPOT-6/7 (DIM_*.XML with its tiles)"

    def matches(self, path: str) -> float:
        """Sure of DIMAP documents, of tiles beside one that names them, and of their folders."""
        place = Path(path)
        if place.is_dir():
            return SURE if _documents(place, depth=2) else 0.0
        return SURE if place.is_file() and _document_of(place) is not None else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Scenes below a folder, or the one of a document or tile.

        Where no PAN has an MS, the lone documents are what is found: opening one says why.
        """
        place = Path(path)
        if not place.is_dir():
            try:
                return [_found(*_pair_of(place))]
            except PansharpError:
                return _lone([place])
        files = _documents(place, depth=depth)
        there = _readable(files)
        pairs = [
            _found(pan, ms)
            for pan in there
            if pan.is_pan and (ms := _partner(pan, there)) is not None
        ]
        return sorted(pairs or _lone(files), key=lambda scene: scene.path)

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open a scene.

        Raises
        ------
        UnknownFormatError
            The other half is not there.
        SceneError
            The product is already pan-sharpened.
        ReaderError
            A document or tile is missing or damaged.
        """
        place = Path(path)
        if place.is_dir():
            place = Path(only_scene(self.find(path), path).path)
        pan, ms = _pair_of(place)
        return open_halves(
            _half(pan), _half(ms), name=_name(pan), sensor=sensor, nodata=nodata, ratio=ratio
        )

    def open_files(
        self,
        pan: str,
        ms: Sequence[str],
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene | None:
        """Open documents or tiles that the user named; None where they are not all DIMAP."""
        files = [_document_of(Path(path)) for path in (pan, *ms)]
        if len(files) != 2 or None in files:
            return None
        high, low = (read_document(file) for file in files if file is not None)
        if not high.is_pan or low.is_pan:
            return None  # swapped, say: the pair reader tells
        _check_usable(low)
        halves = _half(high), _half(low)
        return open_halves(*halves, named=True, sensor=sensor, nodata=nodata, ratio=ratio)

    def half(self, path: str) -> Half:
        """One image by its document or one of its tiles (errors: :meth:`open`)."""
        file = _document_of(Path(path))
        if file is None:
            raise UnknownFormatError(f"'{path}' belongs to no DIMAP document beside it")
        return _half(read_document(file))


def _lone(files: Sequence[Path]) -> list[Found]:
    """One document: the others of a folder without a pair have the same fault."""
    return [
        Found(str(file), file.stem, _FAMILY, (str(file),), "one half of a scene")
        for file in files[:1]
    ]


def _documents(folder: Path, *, depth: int) -> list[Path]:
    return [file for file in files_below(folder, depth=depth) if is_document(file)]


def _readable(files: Sequence[Path]) -> list[Document]:
    """Documents that can be read: a damaged one says so when it is opened."""
    found = []
    for file in files:
        try:
            document = read_document(file)
            document.bands  # noqa: B018 - absurd numbers shall show here
        except PansharpError:
            continue
        found.append(document)
    return found


def _document_of(path: Path) -> Path | None:
    """The document that a path is, or that names it as a tile."""
    if is_document(path):
        return path
    if path.suffix.lower() not in _IMAGES or not path.name.upper().startswith("IMG_"):
        return None
    for file in _documents(path.parent, depth=0):
        try:
            tiles = read_document(file).tiles()
        except PansharpError:
            continue
        if any(tile.name.lower() == path.name.lower() for _, _, tile in tiles):
            return file
    return None


def _partner(own: Document, there: Sequence[Document]) -> Document | None:
    """The other half of a document: same mission and time, the nearest folder first."""
    fitting = [
        other
        for other in there
        if other.is_pan != own.is_pan
        and not other.sharpened
        and other.key == own.key
        and other.mission == own.mission
    ]
    home = own.path.parent
    return min(
        fitting,
        key=lambda d: (d.path.parent != home, d.path.parent.parent != home.parent, str(d.path)),
        default=None,
    )


def _pair_of(path: Path) -> tuple[Document, Document]:
    file = _document_of(path)
    if file is None:
        raise UnknownFormatError(f"'{path}' belongs to no DIMAP document beside it")
    own = read_document(file)
    _check_usable(own)
    home = file.parent.resolve()
    for root, depth in ((home, 0), (home.parent, 1)):
        other = _partner(own, _readable(_documents(root, depth=depth)))
        if other is not None:
            return (own, other) if own.is_pan else (other, own)
    what, option = ("multispectral", "ms") if own.is_pan else ("panchromatic", "pan")
    letter = "MS" if own.is_pan else "P"
    raise UnknownFormatError(
        f"No {what} image found for '{file}'; looked for DIM_*_{letter}_{own.key}*.XML in its "
        f"folder and in the folders beside that. Pass it with --{option} FILE"
    )


def _check_usable(document: Document) -> None:
    if document.sharpened:
        raise SceneError(
            f"'{document.path}' is already pan-sharpened (spectral processing "
            f"{document.spectral}); fusing needs the P and MS that it was made of"
        )


def _found(pan: Document, ms: Document) -> Found:
    files = []
    for document in (pan, ms):
        try:
            files += [str(tile) for _, _, tile in document.tiles()]
        except PansharpError:
            files.append(str(document.path))
    why = f"DIMAP documents of {pan.mission or 'one satellite'} of one time ({pan.key})"
    return Found(str(pan.path), _name(pan), _FAMILY, tuple(files), why)


def _name(pan: Document) -> str:
    """Name of the document without its kind: ``PHR1A_201308051042194_SEN_...``."""
    return pan.path.stem.removeprefix("DIM_").replace("_P_", "_", 1)


def _half(document: Document) -> Half:
    tiles = document.tiles()
    groups = _groups(document, tiles)
    own, crs = _georeference(document)
    placed = crs is not None
    rpc = _rpc(document, tiles[0][2], placed=placed)
    images = tuple(_image(document, group, own, crs) for group in groups)
    shape = (0, 0)
    count = 0
    for image in images:
        with open_raster(image.source) as dataset:
            shape = (int(dataset.height), int(dataset.width))
            count += int(dataset.count)
    facts = document.facts(rpc, placed=placed)
    names = document.names()
    if len(document.bands) != count:
        from dataclasses import replace

        note = (
            f"'{document.path}' lists {len(document.bands)} bands and its image has {count}: bands "
            "are left without names and constants"
        )
        facts, names = replace(facts, constants=(), notes=(*facts.notes, note)), ()
    kind = "PAN" if document.is_pan else "MS"
    return Half(
        images=images,
        family=_FAMILY,
        names=names,
        facts=facts,
        shape=shape,
        sensor=document.sensor,
        fill=0.0,
        evidence=(
            f"'{document.path.name}' is the {kind}: {document.mission or 'unknown mission'}, bands "
            f"{' '.join(document.bands) or 'not told'}",
        ),
    )


def _rpc(document: Document, tile: Path, *, placed: bool) -> dict[str, str] | None:
    """RPC as GDAL reads them beside the first tile: it knows from where each vendor counts."""
    stem = "RPC_" + document.path.stem.removeprefix("DIM_")
    sidecar = beside(document.path, ".xml", stem=stem)
    try:
        if sidecar is not None:
            read_utf8(sidecar)  # GDAL is not to meet what is no XML
        with open_raster(tile) as first:
            tags = {str(key): str(value) for key, value in first.tags(ns="RPC").items()}
        if not tags and sidecar is None:
            return None
        return rpc_items(Fields.of(sidecar or document.path, tags))
    except ReaderError as problem:
        if not placed:
            raise
        document.notes.append(f"{str(problem).partition(';')[0]}: RPC left out")
        return None


def _georeference(document: Document) -> tuple[Affine6 | None, str | None]:
    """Place of the whole image as GDAL reads the document; None where it has none."""
    with open_raster(document.path) as dataset:
        if dataset.crs is None:
            return None, None
        a, b, c, d, e, f = (float(value) for value in tuple(dataset.transform)[:6])
        return (a, b, c, d, e, f), str(dataset.crs.to_wkt())


def _groups(
    document: Document, tiles: Sequence[tuple[int, int, Path]]
) -> list[list[tuple[int, int, Path]]]:
    """Tiles of each raster, in the order of the document's lists of bands."""
    if len(document.rasters) < 2:
        return [list(tiles)]
    groups = []
    for codes in document.rasters:
        word = next((word for code, word in _PARTS.items() if code in codes), None)
        group = [tile for tile in tiles if word and word in f"_{tile[2].stem.upper()}_"]
        if not group:
            raise ReaderError(
                f"'{document.path}' lists {len(document.rasters)} rasters, and the names of its "
                "images do not tell which is which; open them one by one with --ms FILE"
            )
        groups.append(group)
    return groups


def _image(
    document: Document,
    group: Sequence[tuple[int, int, Path]],
    transform: Affine6 | None,
    crs: str | None,
) -> Image:
    """One raster of the product: its tiles side by side."""
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    kinds = set()
    for row, col, file in group:
        with open_raster(file) as dataset:
            sizes[row, col] = (int(dataset.height), int(dataset.width))
            kinds.add((dataset.count, dataset.dtypes, dataset.nodatavals))
    heights = {row: size[0] for (row, col), size in sizes.items() if col == 1}
    widths = {col: size[1] for (row, col), size in sizes.items() if row == 1}
    whole = len(sizes) == len(group) == len(heights) * len(widths)
    regular = whole and all(
        size == (heights.get(row), widths.get(col)) for (row, col), size in sizes.items()
    )
    if not regular or len(kinds) > 1:
        raise ReaderError(
            f"the tiles of '{document.path}' do not make one image (sizes, bands or number types "
            "differ); copy the delivery again"
        )
    files = tuple(str(file) for _, _, file in group)
    rows, cols = sorted(heights), sorted(widths)
    tops = dict(zip(rows, accumulate((heights[r] for r in rows), initial=0), strict=False))
    lefts = dict(zip(cols, accumulate((widths[c] for c in cols), initial=0), strict=False))
    tiles = [
        Tile(str(file), tops[row], lefts[col], heights[row], widths[col])
        for row, col, file in group
    ]
    shape = (sum(heights.values()), sum(widths.values()))
    _check_size(document, shape)
    with open_raster(files[0]) as pattern:
        text = mosaic(tiles, pattern, shape=shape, transform=transform, crs=crs)
    return Image(text, files, str(document.path))


def _check_size(document: Document, shape: tuple[int, int]) -> None:
    told = (
        document.fields.whole("NROWS", low=1, high=10**8),
        document.fields.whole("NCOLS", low=1, high=10**8),
    )
    for what, say, real in zip(("rows", "columns"), told, shape, strict=True):
        if say is not None and say != real:
            note = f"the DIMAP says {say} {what}, the tiles hold {real}. Using the tiles"
            if note not in document.notes:
                document.notes.append(note)


readers.register("dimap")(DimapReader())
