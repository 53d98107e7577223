"""EnMAP L1C and L2A: the cube, its wavelengths and gains by METADATA.XML."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import MissingSidecarError, ReaderError, SceneError
from pansharp.readers._base import readers
from pansharp.readers._cubes import CubeReader
from pansharp.readers._half import Half
from pansharp.readers._sidecar import Fields, read_xml, walk
from pansharp.readers._spectrum import joined_bands, left_out
from pansharp.readers._virtual import Image
from pansharp.sensors import get_sensor
from pansharp.source import open_raster

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree.ElementTree import Element

__all__ = ["EnmapReader"]

_NAME = re.compile(
    r"^(?P<product>ENMAP\d{2}-____L(?P<level>1B|1C|2A)-DT\d{9,10}_(?P<time>\d{8}T\d{6})Z_\w+)"
    r"-(?P<kind>METADATA|SPECTRAL_IMAGE(?:_VNIR|_SWIR)?)(?:_COG)?\.(XML|TIFF?|BSQ|BIL|BIP)$",
    re.IGNORECASE,
)
_IMAGES = (".tif", ".tiff", ".bsq", ".bil", ".bip")
#: L1 radiance is per nanometre in the product, per micrometre here.
_PER_UM = 1000.0
#: Channels that no product has.
_MOST = 1000


class EnmapReader(CubeReader):
    """Opens EnMAP products as the low-resolution image of a pair."""

    summary = "EnMAP L1C and L2A (METADATA.XML with SPECTRAL_IMAGE), fused with a guide"
    label = "EnMAP"

    def belongs(self, file: Path) -> bool:
        """Whether a file is the metadata or the cube of a product."""
        return _NAME.match(file.name) is not None

    def main(self, file: Path) -> bool:
        """The metadata stands for the product."""
        return file.suffix.lower() == ".xml"

    def half(self, path: str) -> Half:
        """The cube of a product.

        Raises
        ------
        SceneError
            It is level 1B: two cameras that are not registered.
        MissingSidecarError
            The metadata or the image is missing.
        ReaderError
            One is damaged, or they do not belong to each other.
        """
        file = self.only(path)
        match = _NAME.match(file.name)
        if match is None:
            raise ReaderError(f"'{path}' is no file of an EnMAP product")
        if match.group("level").upper() == "1B":
            raise SceneError(
                f"'{file}' is level 1B, whose two cameras are not registered to each other; order "
                "L1C or L2A"
            )
        sheet = _sibling(file, match, "METADATA", (".xml",))
        image = _sibling(file, match, "SPECTRAL_IMAGE", _IMAGES)
        return _half(image, sheet, match)


def _sibling(file: Path, match: re.Match[str], kind: str, suffixes: tuple[str, ...]) -> Path:
    wanted = match.group("product").lower()
    for other in sorted(file.parent.iterdir()):
        found = _NAME.match(other.name)
        same = found and found.group("product").lower() == wanted
        if found and same and found.group("kind").upper() == kind:
            if other.suffix.lower() not in suffixes:
                continue
            return other
    raise MissingSidecarError(
        f"'{match.group('product')}-{kind}{suffixes[0].upper()}' is not beside '{file}'; put it "
        "there"
    )


def _half(image: Path, sheet: Path, match: re.Match[str]) -> Half:
    root = read_xml(sheet)
    bands = [Fields.of_xml(sheet, band) for band in _band_entries(root)]
    with open_raster(image) as dataset:
        count = int(dataset.count)
        placed = dataset.crs is not None
        shape = (int(dataset.height), int(dataset.width))
    if len(bands) != count:
        raise ReaderError(
            f"'{sheet}' describes {len(bands)} bands and '{image.name}' has {count}; they are of "
            "different products"
        )
    waves = [_need(band, "wavelengthCenterOfBand", 100.0, 20_000.0) for band in bands]
    widths = [_need(band, "FWHMOfBand", 0.1, 1000.0) for band in bands]
    vnir, known = _detectors(root, waves)
    keep, double = joined_bands(waves, vnir, [True] * count)
    level = match.group("level").upper()
    notes: list[str] = []
    if double:
        notes.append(left_out(double, "SWIR", "VNIR"))
    if not known:
        notes.append("the metadata do not tell the cameras: they are split where the order turns")
    constants = tuple(_constants(band, level) for band in bands)
    fields = Fields.of_xml(sheet, root)
    facts = ImageFacts(
        acquired=fields.time("startTime") or _time(match.group("time")),
        sun_elevation=_angle(root, sheet, "sunElevationAngle", -90.0),
        sun_azimuth=_angle(root, sheet, "sunAzimuthAngle", -360.0),
        level=f"L{level}",
        identifier=match.group("product"),
        constants=constants if any(constants) else (),
        corrected="atmospherically corrected (L2A)" if level == "2A" else None,
        placed=placed,
        notes=tuple(notes),
    )
    return Half(
        images=(Image.of(str(image)),),
        family="enmap",
        names=tuple(f"{wave:.1f} nm" for wave in waves),
        keep=keep,
        wavelengths=tuple(waves),
        widths=tuple(widths),
        facts=facts,
        shape=shape,
        sensor=get_sensor("enmap"),
        evidence=(f"wavelengths, widths and gains of '{sheet.name}'",),
        cube=True,
    )


def _band_entries(root: Element) -> list[Element]:
    group = next(iter(walk(root, "bandCharacterisation")), None)
    if group is None:
        return []
    return list(walk(group, "bandID"))[:_MOST]


def _need(fields: Fields, name: str, low: float, high: float) -> float:
    value = fields.number(name, low=low, high=high, needed=True)
    assert value is not None
    return value


def _detectors(root: Element, waves: list[float]) -> tuple[list[bool], bool]:
    """Which bands the VNIR camera took: by the channel lists, else up to where the order turns."""
    channels: dict[str, set[int]] = {}
    for camera in ("vnirProductQuality", "swirProductQuality"):
        group = next(iter(walk(root, camera)), None)
        entry = None if group is None else next(iter(walk(group, "expectedChannelsList")), None)
        text = "" if entry is None else entry.text or ""
        channels[camera] = {int(part) for part in re.findall(r"\d{1,4}", text)[:_MOST]}
    near, far = channels.values()
    everything = set(range(1, len(waves) + 1))
    if near and not near & far and near | far == everything:
        return [number in near for number in sorted(everything)], True
    turn = next((i for i in range(1, len(waves)) if waves[i] <= waves[i - 1]), len(waves))
    return [index < turn for index in range(len(waves))], turn == len(waves)


def _constants(band: Fields, level: str) -> BandConstants | None:
    """L1: ``L = gain * DN + offset`` per nanometre; L2A: reflectance in 1e-4."""
    if level == "2A":
        return BandConstants(1e-4, 0.0, units="1", source="EnMAP L2A reflectance in 1e-4")
    try:
        gain = band.number("GainOfBand", low=1e-12, high=1e3)
        offset = band.number("OffsetOfBand", low=-1e3, high=1e3)
    except ReaderError:
        return None
    if gain is None:
        return None
    source = "GainOfBand and OffsetOfBand of METADATA.XML, times 1000 (per um)"
    return BandConstants(gain * _PER_UM, (offset or 0.0) * _PER_UM, source=source)


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _angle(root: Element, sheet: Path, tag: str, low: float) -> float | None:
    entry = next(iter(walk(root, tag)), None)
    if entry is None:
        return None
    try:
        return Fields.of_xml(sheet, entry).number("center", low=low, high=360.0)
    except ReaderError:
        return None


readers.register("enmap")(EnmapReader())
