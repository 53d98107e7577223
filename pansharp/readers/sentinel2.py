"""Sentinel-2 products: the 10 m bands as a multispectral guide, the 20 m bands as its partner."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import ReaderError, UnknownFormatError
from pansharp.readers._bands import stacked
from pansharp.readers._base import SURE, Found, only_scene, readers
from pansharp.readers._half import Half, open_halves
from pansharp.readers._scan import files_below
from pansharp.readers._sidecar import Fields, read_xml, walk
from pansharp.sensors import get_sensor
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["Sentinel2Reader"]

_FAMILY = "sentinel2"
_FINE = ("B02", "B03", "B04", "B08")
_COARSE = ("B05", "B06", "B07", "B8A", "B11", "B12")
#: Bands in the order of the numbers in the metadata.
_ALL = (
    *("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A"),
    *("B09", "B10", "B11", "B12"),
)
_SAFE = re.compile(r"^S2[A-D]_MSIL(?P<level>1C|2A)_\d{8}T\d{6}_N\d{4}_R\d{3}_T\w{5}_\d{8}T\d{6}")
_SHEET = re.compile(r"^MTD_MSIL(1C|2A)\.xml$", re.IGNORECASE)
_IMAGE = re.compile(
    r"^(?:L2A_)?T\w{5}_\d{8}T\d{6}_(?P<band>B\d[\dA])(?:_(?P<metres>\d{2})m)?\.jp2$", re.I
)


class Sentinel2Reader:
    """Opens SAFE products by their folder, their metadata, or one of their bands."""

    summary = "Sentinel-2 L1C and L2A (.SAFE): 10 m bands as guide, of a cube or of the 20 m bands"

    def matches(self, path: str) -> float:
        """Sure of SAFE folders, their metadata and their bands."""
        place = Path(path)
        if place.is_dir():
            return SURE if _sheets(place, depth=1) else 0.0
        known = _SHEET.match(place.name) or _IMAGE.match(place.name)
        return SURE if known and place.is_file() and _sheet_above(place) else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Products below a folder, or the one of a file."""
        place = Path(path)
        above = None if place.is_dir() else _sheet_above(place)
        sheets = _sheets(place, depth=depth) if place.is_dir() else [above] if above else []
        found = []
        for sheet in sheets:
            bands = _bands(sheet)
            files = tuple(str(bands[code]) for code in (*_FINE, *_COARSE) if code in bands)
            name = sheet.parent.name.removesuffix(".SAFE")
            found.append(Found(str(sheet), name, _FAMILY, files, "metadata of a SAFE product"))
        return found

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open a product as a pair: the 20 m bands, and the 10 m bands as their guide.

        Raises
        ------
        UnknownFormatError
            Bands are missing.
        ReaderError
            A file is damaged.
        """
        sheet = Path(only_scene(self.find(path), path).path)
        return open_halves(
            _half(sheet, _FINE),
            _half(sheet, _COARSE),
            name=sheet.parent.name.removesuffix(".SAFE"),
            guide=True,
            sensor=sensor,
            nodata=nodata,
            ratio=ratio,
        )

    def half(self, path: str) -> Half:
        """The 10 m bands of a product, as guide of a cube (errors: :meth:`open`)."""
        return _half(Path(only_scene(self.find(path), path).path), _FINE)


def _sheets(folder: Path, *, depth: int) -> list[Path]:
    return [file for file in files_below(folder, depth=depth) if _SHEET.match(file.name)]


def _sheet_above(path: Path) -> Path | None:
    """Metadata of the product that a file lies in."""
    if _SHEET.match(path.name):
        return path
    for folder in path.resolve().parents[:6]:
        found = sorted(file for file in folder.glob("MTD_MSIL*.xml") if _SHEET.match(file.name))
        if found:
            return found[0]
    return None


def _bands(sheet: Path) -> dict[str, Path]:
    """Band files by code, each at its own resolution (products of level 2 hold coarser copies)."""
    found: dict[str, Path] = {}
    for file in files_below(sheet.parent, depth=5):
        match = _IMAGE.match(file.name)
        if match is None or "IMG_DATA" not in file.parts:
            continue
        code, metres = match.group("band").upper(), match.group("metres")
        own = "10" if code in _FINE else "20" if code in _COARSE else "60"
        if metres in (None, own):
            found.setdefault(code, file)
    return found


def _half(sheet: Path, codes: Sequence[str]) -> Half:
    bands = _bands(sheet)
    missing = [code for code in codes if code not in bands]
    if missing:
        raise UnknownFormatError(
            f"'{sheet.parent}' lacks the bands {', '.join(missing)}; download the product again"
        )
    root = read_xml(sheet)
    files = [bands[code] for code in codes]
    image = stacked(files, str(sheet.parent))
    with open_raster(image.source) as dataset:
        placed = dataset.crs is not None
        shape = (int(dataset.height), int(dataset.width))
    spectrum = _spectrum(root, sheet)
    known = [spectrum[code] for code in codes if code in spectrum]
    told = known if len(known) == len(codes) else []
    return Half(
        images=(image,),
        family=_FAMILY,
        names=tuple(code.lower() for code in codes),
        wavelengths=tuple(centre for centre, _ in told),
        widths=tuple(width for _, width in told),
        facts=_facts(root, sheet, codes, placed=placed),
        shape=shape,
        sensor=get_sensor(_FAMILY),
        fill=0.0,
        evidence=(f"bands {' '.join(codes)} of '{sheet.parent.name}'",),
        guide=True,
    )


def _spectrum(root: Element, sheet: Path) -> dict[str, tuple[float, float]]:
    """Centre and width of the bands, nanometres."""
    found: dict[str, tuple[float, float]] = {}
    for entry in walk(root, "Spectral_Information"):
        code = (entry.get("physicalBand") or "").upper()
        code = code if len(code) == 3 else code.replace("B", "B0")
        fields = Fields.of_xml(sheet, entry)
        try:
            centre = fields.number("CENTRAL", low=300, high=3000)
            low = fields.number("MIN", low=300, high=3000)
            high = fields.number("MAX", low=300, high=3000)
        except ReaderError:
            continue
        if centre is not None and low is not None and high is not None and high > low:
            found[code] = (centre, high - low)
    return found


def _facts(root: Element, sheet: Path, codes: Sequence[str], *, placed: bool) -> ImageFacts:
    match = _SAFE.match(sheet.parent.name)
    level = match.group("level") if match else sheet.stem[-2:].upper()
    fields = Fields.of_xml(sheet, root)
    notes: list[str] = []
    try:
        scale = fields.number("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE", low=1, high=1e6)
        constants = _constants(root, sheet, codes, scale)
    except ReaderError as problem:
        notes.append(str(problem).partition(";")[0] + "; no constants")
        constants = ()
    try:
        cloud = fields.number("Cloud_Coverage_Assessment", low=0, high=100)
    except ReaderError:
        cloud = None
    facts = ImageFacts(
        acquired=fields.time("PRODUCT_START_TIME", "DATATAKE_SENSING_START"),
        level=f"L{level}",
        bits=12,
        cloud=None if cloud is None else cloud / 100.0,
        identifier=sheet.parent.name.removesuffix(".SAFE"),
        constants=constants,
        corrected=f"reflectance (level {level})",
        placed=placed,
        notes=tuple(notes),
    )
    return _with_sun(facts, sheet)


def _constants(
    root: Element, sheet: Path, codes: Sequence[str], scale: float | None
) -> tuple[BandConstants | None, ...]:
    """``rho = (DN + ADD_OFFSET) / QUANTIFICATION_VALUE``; offsets since baseline 04.00."""
    if scale is None:
        return ()
    offsets: dict[str, float] = {}
    for entry in walk(root, "RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"):
        index = Fields.of(sheet, {"i": entry.get("band_id") or ""}).whole("i", high=12)
        value = Fields.of(sheet, {"v": entry.text or ""}).number("v", low=-1e5, high=1e5)
        if index is not None and value is not None:
            offsets[_ALL[index]] = value
    source = "QUANTIFICATION_VALUE and ADD_OFFSET of the metadata"
    return tuple(
        BandConstants(1.0 / scale, offsets.get(code, 0.0) / scale, units="1", source=source)
        for code in codes
    )


def _with_sun(facts: ImageFacts, sheet: Path) -> ImageFacts:
    """Facts with the mean sun angles of the granule, where its metadata are there."""
    granule = next(iter(sheet.parent.glob("GRANULE/*/MTD_TL.xml")), None)
    if granule is None:
        return facts
    try:
        entry = next(iter(walk(read_xml(granule), "Mean_Sun_Angle")), None)
        if entry is None:
            return facts
        fields = Fields.of_xml(granule, entry)
        zenith = fields.number("ZENITH_ANGLE", low=0, high=180)
        azimuth = fields.number("AZIMUTH_ANGLE", low=-360, high=360)
    except ReaderError as problem:
        note = str(problem).partition(";")[0] + "; sun angles left out"
        return replace(facts, notes=(*facts.notes, note))
    return replace(
        facts,
        sun_elevation=None if zenith is None else 90.0 - zenith,
        sun_azimuth=azimuth,
    )


readers.register("sentinel2")(Sentinel2Reader())
