"""Deliveries of the Maxar family: names, folders and sidecars as the vendor writes them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from deliveries.ground import Camera, Ground, Terrain, flat

if TYPE_CHECKING:
    from pathlib import Path

CRS = "EPSG:32632"
ORIGIN = (500_000.0, 4_980_000.0)
ORDER = "012345678010_01_P001"
TIME = "19JUN15102030"

EIGHT = ("C", "B", "G", "Y", "R", "RE", "N", "N2")
FOUR = ("B", "G", "R", "N")
#: Satellite to MS bands in file order, PAN pixel, and per band absCalFactor, effectiveBandwidth.
BANDS = {
    "WV02": EIGHT,
    "WV03": EIGHT,
    "WV04": FOUR,
    "GE01": FOUR,
    "QB02": FOUR,
    "LG01": ("C", "B", "G", "Y", "R", "RE1", "RE2", "N"),
}
HALVES = {"MS1": FOUR, "MS2": ("N2", "RE", "Y", "C")}

Value = str | int | float | list[float] | list[tuple[float, float]] | dict[str, "Value"]
Table = dict[str, Value]


class Word(str):
    """A value that PVL writes without quotes: times and enumerations."""

    __slots__ = ()


def pvl(table: Table, *, end: bool = True) -> str:
    """Text of a PVL file."""
    return "\n".join([*_lines(table), *(["END;"] if end else [])]) + "\n"


def _lines(table: Table, indent: str = "") -> list[str]:
    out: list[str] = []
    for key, value in table.items():
        if isinstance(value, dict):
            out += [f"BEGIN_GROUP = {key}", *_lines(value, "\t"), f"END_GROUP = {key}"]
        elif isinstance(value, list):
            items = [f"({v[0]!r}, {v[1]!r})" if isinstance(v, tuple) else repr(v) for v in value]
            out.append(f"{indent}{key} = (")
            out += [
                f"{indent}\t\t{item}{');' if item_last else ','}"
                for item, item_last in _last(items)
            ]
        elif isinstance(value, Word) or not isinstance(value, str):
            out.append(f"{indent}{key} = {value};")
        else:
            out.append(f'{indent}{key} = "{value}";')
    return out


def _last(items: list[str]) -> list[tuple[str, bool]]:
    return [(item, index == len(items) - 1) for index, item in enumerate(items)]


def isd(parts: dict[str, Table]) -> str:
    """Text of the ISD XML: upper-case tags, lists inside lists, ``IMAGE`` without its number."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<isd>{"".join(_elements(parts))}</isd>\n'


def _elements(table: dict[str, Value] | dict[str, Table]) -> list[str]:
    out = []
    for key, value in table.items():
        tag = key.upper()
        if tag.startswith("TILE_"):
            tag = "TILE"
        tag = "IMAGE" if tag == "IMAGE_1" else tag
        if isinstance(value, dict):
            out.append(f"<{tag}>{''.join(_elements(value))}</{tag}>")
        elif isinstance(value, list):
            text = " ".join(
                " ".join(map(str, item)) if isinstance(item, tuple) else repr(item)
                for item in value
            )
            out.append(f"<{tag}List><{tag}>{text}</{tag}></{tag}List>")
        else:
            out.append(f"<{tag}>{value}</{tag}>")
    return out


@dataclass
class Made:
    """A generated delivery and its truth.

    Parameters
    ----------
    root : Path
        The folder that a user would name.
    pan, ms : list of Path
        Image files (tiles in row-major order, halves one after the other).
    pan_map, ms_map : Path or None
        Tile maps.
    ground, terrain : Ground, Terrain
        What the images show.
    transform : Affine or None
        Of the PAN of a projected product.
    pan_camera, ms_camera : Camera or None
        Of a product in sensor geometry, and for the RPB of OR2A.
    codes : tuple of str
        MS bands in file order.
    """

    root: Path
    pan: list[Path] = field(default_factory=list)
    ms: list[Path] = field(default_factory=list)
    pan_map: Path | None = None
    ms_map: Path | None = None
    ground: Ground = field(default_factory=Ground)
    terrain: Terrain = field(default_factory=lambda: flat(100.0))
    transform: Affine | None = None
    pan_camera: Camera | None = None
    ms_camera: Camera | None = None
    codes: tuple[str, ...] = ()


def constants(code: str) -> tuple[float, float]:
    """(absCalFactor, effectiveBandwidth) that the generator gives to a band."""
    place = (*EIGHT, "P", "RE1", "RE2").index(code)
    return 0.01 + 0.001 * place, 0.04 + 0.005 * place


def imd_table(
    *,
    band_id: str,
    codes: tuple[str, ...],
    shape: tuple[int, int],
    level: str,
    satellite: str,
    order: str = ORDER,
    gsd: float,
    version: str = "28.4",
    acquired: str = "2019-06-15T10:20:30.123456Z",
) -> Table:
    """Content of an IMD."""
    corners = {f"{c}{what}": v for c in ("UL", "UR", "LR", "LL") for what, v in (("Lon", 9.0), ("Lat", 45.0), ("HAE", 100.0))}  # fmt: skip  # noqa: E501
    short = "LV3D" if level.startswith("3") else f"LV{level.removeprefix('OR')}"
    table: Table = {
        "version": version,
        "generationTime": Word("2019-06-16T08:00:00.000000Z"),
        "productOrderId": order,
        "productCatalogId": "104001004DB6F500",
        "imageDescriptor": {
            "1B": "Basic1B", "2A": "Standard2A", "OR2A": "ORStandard2A",
        }.get(level, "OrthoRectified3"),
        "bandId": band_id,
        "panSharpenAlgorithm": "None",
        "numRows": shape[0],
        "numColumns": shape[1],
        "productLevel": short,
        "productType": "Standard",
        "numberOfLooks": 1,
        "radiometricLevel": "Corrected",
        "bitsPerPixel": 16,
        "compressionType": "None",
        "outputFormat": "GeoTIFF",
    }  # fmt: skip
    for code in codes:
        factor, width = constants(code)
        table[f"BAND_{code}"] = {
            **corners,
            "absCalFactor": factor,
            "effectiveBandwidth": width,
            "TDILevel": 16,
        }
    table["IMAGE_1"] = {
        "satId": satellite,
        "mode": "FullSwath",
        "scanDirection": "Reverse",
        "CatId": "104001004DB6F500",
        "TLCTime": Word(acquired),
        "numTLC": 2,
        "TLCList": [(0.0, 0.0), (1000.0, 0.05)],
        "firstLineTime": Word(acquired),
        "avgLineRate": 20000.0,
        "exposureDuration": 0.0002,
        "meanProductGSD": gsd,
        "meanSunAz": 145.3,
        "meanSunEl": 62.7,
        "meanSatAz": 88.1,
        "meanSatEl": 71.4,
        "meanInTrackViewAngle": 4.1,
        "meanCrossTrackViewAngle": -16.0,
        "meanOffNadirViewAngle": 16.6,
        "cloudCover": 0.02,
        "resamplingKernel": "PS",
        "positionKnowledgeSrc": "R",
        "revNumber": 27000,
    }
    if level != "1B":
        # The origin is the centre of the first pixel.
        table["MAP_PROJECTED_PRODUCT"] = {
            "earliestAcqTime": Word(acquired),
            "latestAcqTime": Word(acquired),
            "datumName": "WE",
            "mapProjName": "UTM",
            "mapZone": 32,
            "mapHemisphere": "N",
            "productUnits": "M",
            "originX": ORIGIN[0] + gsd / 2,
            "originY": ORIGIN[1] - gsd / 2,
            "orientationAngle": 0.0,
            "colSpacing": gsd,
            "rowSpacing": gsd,
            "productGSD": gsd,
            "ULX": ORIGIN[0] + gsd / 2,
            "ULY": ORIGIN[1] - gsd / 2,
        }
    return table


def til_table(
    band_id: str, names: list[str], places: list[tuple[int, int, int, int]], *, inclusive: bool
) -> Table:
    """Content of a tile map; places are (row, column, height, width)."""
    less = 1 if inclusive else 0
    table: Table = {
        "bandId": band_id,
        "numTiles": len(names),
        "tileSizeX": places[0][3],
        "tileSizeY": places[0][2],
        "tileUnits": "Pixels",
        "tileOverlap": 0,
    }
    for index, (name, (row, col, height, width)) in enumerate(zip(names, places, strict=True), 1):
        bottom, right = row + height - less, col + width - less
        table[f"TILE_{index}"] = {
            "filename": name,
            "ULColOffset": col,
            "ULRowOffset": row,
            "URColOffset": right,
            "URRowOffset": row,
            "LRColOffset": right,
            "LRRowOffset": bottom,
            "LLColOffset": col,
            "LLRowOffset": bottom,
        }
    return table


def _write(path: Path, array: np.ndarray, transform: Affine | None) -> None:
    place = {} if transform is None else {"crs": CRS, "transform": transform}
    count, height, width = array.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        target = rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width,
            dtype=array.dtype, **place,
        )  # fmt: skip
    with target:
        target.write(array)


def _spans(size: int, count: int) -> list[tuple[int, int]]:
    """(first, length) of `count` tiles; the first ones are the larger."""
    side = math.ceil(size / count)
    return [(start, min(side, size - start)) for start in range(0, size, side)]


def write_delivery(
    root: Path,
    *,
    satellite: str = "WV03",
    level: str = "2A",
    ms_shape: tuple[int, int] = (64, 64),
    ratio: int = 4,
    gsd: float = 0.31,
    tiles: tuple[int, int] = (1, 1),
    sidecars: str = "both",
    halves: str | None = None,
    lower: bool = False,
    inclusive: bool = True,
    lie: int = 0,
    shift: tuple[float, float] = (0.0, 0.0),
    fill: int = 0,
    bands: tuple[str, ...] | None = None,
    order: str = ORDER,
    time: str = TIME,
    terrain: Terrain | None = None,
    camera_offset: tuple[int, int] = (0, 0),
    turn: float = 0.0,
    georeferenced: bool = True,
    seed: int = 20260101,
) -> Made:
    """Write a delivery of one PAN and one MS.

    Parameters
    ----------
    root : Path
        Where the folder ``<order>_PAN`` and its siblings are made.
    satellite : str
        As in `BANDS`.
    level : str
        ``2A``, ``OR2A``, ``3D`` (projected; OR2A with RPB) or ``1B`` (RPB alone).
    ms_shape : tuple of int
        Rows and columns of the MS; the PAN has `ratio` times as many.
    gsd : float
        PAN pixel, metres.
    tiles : tuple of int
        Rows and columns of tiles of both images.
    sidecars : str
        ``imd`` (IMD, RPB, TIL), ``xml`` (ISD alone), ``both``.
    halves : str, optional
        ``one`` or ``two``: the MS as MS1 and MS2 in one folder or in two.
    lower : bool
        Lower-case names, as in copies.
    inclusive : bool
        Whether offsets in the TIL end at the last pixel or behind it.
    lie : int
        Columns that the IMD leaves out.
    shift : tuple of float
        Misregistration (rows, columns) in PAN pixels that no sidecar tells: the MS shows the ground
        further down and right.
    fill : int
        Rows of 0 at the top of both, PAN pixels.
    bands : tuple of str, optional
        Codes in file order, instead of the satellite's.
    camera_offset : tuple of int
        1B: rows and columns, in PAN pixels, by which the frame of the MS begins earlier.
    turn : float
        1B: how the MS is turned against the PAN (`Camera.turn`).
    georeferenced : bool
        Whether projected images have geokeys of their own.

    Returns
    -------
    Made
        Paths and truth.
    """
    codes = bands or BANDS[satellite]
    ground = Ground(len(codes), gsd, ORIGIN, seed)
    terrain = terrain or flat(100.0)
    pan_shape = (ms_shape[0] * ratio, ms_shape[1] * ratio)
    made = Made(root, ground=ground, terrain=terrain, codes=codes)
    kind = level.removeprefix("OR")
    x, y = ORIGIN
    if level in ("1B", "OR2A"):
        made.pan_camera = Camera(pan_shape, gsd)
        made.ms_camera = Camera(
            ms_shape, gsd * ratio, shift=(shift[0] / ratio, shift[1] / ratio), turn=turn
        )
        made.ms_camera.line_off += camera_offset[0] / ratio
        made.ms_camera.samp_off += camera_offset[1] / ratio
    if level == "1B":
        assert made.pan_camera is not None
        assert made.ms_camera is not None
        pan = made.pan_camera.view(ground, terrain, CRS).mean(axis=0, keepdims=True)
        ms = made.ms_camera.view(ground, terrain, CRS)
        transforms: list[Affine | None] = [None, None]
    else:
        made.transform = Affine(gsd, 0, x, 0, -gsd, y)
        low = Affine(gsd * ratio, 0, x, 0, -gsd * ratio, y)
        pan = _view(ground, made.transform, pan_shape, (0, 0)).mean(axis=0, keepdims=True)
        ms = _view(ground, low, ms_shape, (shift[0] / ratio, shift[1] / ratio))
        transforms = [made.transform, low]
    images = [np.rint(np.clip(image, 1, 2047)).astype(np.uint16) for image in (pan, ms)]
    if fill:
        images[0][:, :fill] = 0
        images[1][:, : math.ceil(fill / ratio)] = 0
    jobs = [("PAN", "P", "P", ("P",), images[0], transforms[0], made.pan_camera, gsd)]
    parts = {"Multi": codes} if halves is None else HALVES
    for band_id, chosen in parts.items():
        image = images[1][[codes.index(code) for code in chosen]]
        jobs.append(
            ("MUL", "M", band_id, chosen, image, transforms[1], made.ms_camera, gsd * ratio)
        )
    for component, letter, band_id, chosen, image, transform, camera, pixel in jobs:
        suffix = f"_{band_id}" if band_id.startswith("MS") else ""
        folder = root / f"{order}_{component}{suffix if halves == 'two' else ''}"
        stem = f"{time}-{letter}{kind}S"
        tail = f"-{order}" if not suffix else f"-{order}_{band_id}"
        table = imd_table(
            band_id=band_id, codes=chosen, shape=image.shape[1:], level=level,
            satellite=satellite, order=order, gsd=pixel,
        )  # fmt: skip
        table["numColumns"] = image.shape[2] - lie
        files, til = _component(
            folder, stem, tail, image, transform if georeferenced else None, table, camera,
            tiles=tiles, sidecars=sidecars, inclusive=inclusive, lower=lower, band_id=band_id,
            satellite=satellite,
        )  # fmt: skip
        if letter == "P":
            made.pan, made.pan_map = files, til
        else:
            made.ms, made.ms_map = made.ms + files, til
    return made


def _view(
    ground: Ground, transform: Affine, shape: tuple[int, int], shift: tuple[float, float]
) -> np.ndarray:
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    x, y = transform * (cols + shift[1], rows + shift[0])
    return ground.sample(x, y, transform.a)


def _component(
    folder: Path,
    stem: str,
    tail: str,
    image: np.ndarray,
    transform: Affine | None,
    imd: Table,
    camera: Camera | None,
    *,
    tiles: tuple[int, int],
    sidecars: str,
    inclusive: bool,
    lower: bool,
    band_id: str,
    satellite: str,
) -> tuple[list[Path], Path | None]:
    def named(name: str) -> Path:
        return folder / (name.lower() if lower else name)

    folder.mkdir(parents=True, exist_ok=True)
    files, places, til = [], [], None
    for i, (row, height) in enumerate(_spans(image.shape[1], tiles[0]), 1):
        for j, (col, width) in enumerate(_spans(image.shape[2], tiles[1]), 1):
            tag = "" if tiles == (1, 1) else f"_R{i}C{j}"
            file = named(f"{stem}{tag}{tail}.TIF")
            place = None if transform is None else transform * Affine.translation(col, row)
            _write(file, image[:, row : row + height, col : col + width], place)
            files.append(file)
            places.append((row, col, height, width))
    parts: dict[str, Table] = {"IMD": imd}
    if camera is not None:
        parts["RPB"] = {
            "satId": satellite, "bandId": band_id, "SpecId": "RPC00B", "IMAGE": camera.rpc(),
        }  # fmt: skip
    parts["TIL"] = til_table(band_id, [f.name for f in files], places, inclusive=inclusive)
    if sidecars in ("imd", "both"):
        for name, table in parts.items():
            path = named(f"{stem}{tail}.{name}")
            path.write_text(pvl(table))
            til = path if name == "TIL" and tiles != (1, 1) else til
    if sidecars in ("xml", "both"):
        path = named(f"{stem}{tail}.XML")
        path.write_text(isd(parts))
        if tiles != (1, 1) and til is None:
            til = path
    (folder / "BROWSE.JPG").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    return files, til
