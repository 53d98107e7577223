"""Landsat 8 and 9, level 1: B8 with B2 to B7, and what the MTL says."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import ReaderError, UnknownFormatError
from pansharp.readers._base import SURE, Found, only_scene, readers
from pansharp.readers._half import Half, open_halves
from pansharp.readers._scan import files_below
from pansharp.readers._sidecar import Fields, beside, clean, read_text, read_xml
from pansharp.readers._virtual import Image
from pansharp.sensors import get_sensor
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["LandsatReader"]

_FAMILY = "landsat"
_PRODUCT = re.compile(
    r"^(L[CO]0[89]_L(?P<level>[12])[A-Z]{2}_\d{6}_\d{8}_\d{8}_\d{2}_(?:T1|T2|RT)"
    r"|L[CO][89]\d{13}[A-Z]{3}\d{2})(?=_|$)",
    re.IGNORECASE,
)
_BAND = re.compile(r"_(?:SR_)?B(\d{1,2})$", re.IGNORECASE)
_PAN = 8
#: Bands of the product, and those without which there is none.
_MS, _NEEDED = (2, 3, 4, 5, 6, 7), (2, 3, 4)
_SIDECARS = ("_MTL.txt", "_MTL.xml")


class LandsatReader:
    """Opens level-1 products of Landsat 8 and 9 by their folder or any of their files."""

    summary = "Landsat 8/9 level 1: B8 with B2 to B7 and the MTL"

    def matches(self, path: str) -> float:
        """Sure of band files and MTL by their names, and of folders that hold them."""
        place = Path(path)
        if place.is_dir():
            return SURE if _bands_below(place, depth=1) else 0.0
        known = _PRODUCT.match(place.name) is not None and place.is_file()
        return SURE if known and place.suffix.lower() in (".tif", ".txt", ".xml") else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Products below a folder, or the one of a file.

        Where none has all it needs, the first is what is found: opening it says what is missing.
        """
        place = Path(path)
        if place.is_dir():
            groups = _bands_below(place, depth=depth)
        else:
            groups = {
                key: bands
                for key, bands in _bands_below(place.parent, depth=0).items()
                if key[1] == _product(place)
            }
        found = [
            Found(
                str(bands[_PAN]),
                name,
                _FAMILY,
                tuple(str(bands[number]) for number in (_PAN, *_MS) if number in bands),
                "names of a Landsat product",
            )
            for (_, name), bands in sorted(groups.items())
            if _complete(bands)
        ]
        if found or not groups:
            return found
        (_, name), bands = min(groups.items())
        files = tuple(str(file) for file in bands.values())
        return [Found(files[0], name, _FAMILY, files, "part of a Landsat product")]

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open a product.

        Raises
        ------
        UnknownFormatError
            It has no PAN (level 2), or bands are missing.
        ReaderError
            A file is damaged.
        """
        found = self.find(path)
        if not found:
            raise _incomplete(Path(path))
        pan = Path(only_scene(found, path).path)
        name = _product(pan)
        bands = _bands_below(pan.parent, depth=0)[pan.parent, name]
        if not _complete(bands):
            raise _incomplete(pan)
        low = [bands[number] for number in _MS if number in bands]
        sheet = _sheet(pan, name)
        known = sensor or get_sensor("landsat8_9")
        return open_halves(
            _half([pan], sheet, known),
            _half(low, sheet, known),
            name=name,
            sensor=known,
            nodata=nodata,
            ratio=ratio,
        )


def _complete(bands: Mapping[int, Path]) -> bool:
    return all(number in bands for number in (_PAN, *_NEEDED))


def _product(path: Path) -> str:
    match = _PRODUCT.match(path.name)
    return match.group(1) if match else ""


def _bands_below(folder: Path, *, depth: int) -> dict[tuple[Path, str], dict[int, Path]]:
    """Band files by folder and product, then by number."""
    groups: dict[tuple[Path, str], dict[int, Path]] = {}
    for file in files_below(folder, depth=depth):
        band = _BAND.search(file.stem)
        name = _product(file)
        if name and band is not None and file.suffix.lower() == ".tif":
            groups.setdefault((file.parent, name), {}).setdefault(int(band.group(1)), file)
    return groups


def _incomplete(path: Path) -> ReaderError:
    """What a product, or the folder or file that shall belong to one, lacks."""
    name = _product(path)
    match = _PRODUCT.match(path.name)
    bands = _bands_below(path.parent, depth=0).get((path.parent, name), {}) if name else {}
    if match is not None and match.group("level") == "2":
        return UnknownFormatError(
            f"'{path}' is of a level-2 product, which has no panchromatic band; order level 1 "
            "(B8), or pass one with --pan FILE"
        )
    lacking = [f"B{number}" for number in (_PAN, *_NEEDED) if number not in bands]
    return UnknownFormatError(
        f"the Landsat product of '{path}' lacks {', '.join(lacking)}; put the band files of one "
        "product into one folder"
    )


def _sheet(pan: Path, name: str) -> Fields:
    """Fields of the MTL; none where it is missing.

    Raises
    ------
    ReaderError
        It is damaged.
    """
    file = beside(pan, *_SIDECARS, stem=name)
    if file is None:
        return Fields(str(pan), {})
    if file.suffix.lower() == ".xml":
        return Fields.of_xml(file, read_xml(file))
    values: dict[str, str] = {}
    for line in read_text(file).splitlines():
        key, sign, value = line.partition("=")
        if sign and len(key) < 200:
            values.setdefault(key.strip().lower(), clean(value))
    if not any(key.startswith(("group", "spacecraft")) for key in values):
        raise ReaderError(f"'{file}' is no MTL; copy or download it again")
    return Fields(str(file), values)


def _soft(fields: Fields, notes: list[str], *names: str, low: float, high: float) -> float | None:
    try:
        return fields.number(*names, low=low, high=high)
    except ReaderError as problem:
        text = str(problem).partition(";")[0] + "; left out"
        if text not in notes:
            notes.append(text)
        return None


def _half(files: Sequence[Path], fields: Fields, sensor: SensorProfile) -> Half:
    notes: list[str] = []
    numbers = [_number(file) for file in files]
    if not fields.values:
        notes.append("no MTL beside the bands: no time, no sun, no constants")
    elif len(files) > 1 and tuple(numbers) != _MS:
        absent = ", ".join(f"B{number}" for number in _MS if number not in numbers)
        notes.append(f"bands that are not there: {absent}")
    with open_raster(files[0]) as dataset:
        placed = dataset.crs is not None
        shape = (int(dataset.height), int(dataset.width))
    constants = tuple(_constants(fields, notes, number) for number in numbers)
    cloud = _soft(fields, notes, "CLOUD_COVER", low=-1, high=100)
    level = fields.text("PROCESSING_LEVEL", "DATA_TYPE")
    by_code = {band.code: band.name for band in sensor.bands}
    facts = ImageFacts(
        acquired=_time(fields),
        sun_elevation=_soft(fields, notes, "SUN_ELEVATION", low=-90, high=90),
        sun_azimuth=_soft(fields, notes, "SUN_AZIMUTH", low=-360, high=360),
        off_nadir=_roll(fields, notes),
        level=level,
        bits=16 if _is_16_bit(fields) else sensor.bits,
        cloud=None if cloud is None or cloud < 0 else cloud / 100.0,
        identifier=fields.text("LANDSAT_SCENE_ID"),
        constants=constants if any(constants) else (),
        placed=placed,
        notes=tuple(notes),
    )
    evidence = [f"names of a Landsat product: '{_product(files[0])}'"]
    if fields.values:
        evidence.append(f"constants, time and sun of '{Path(fields.path).name}'")
    return Half(
        images=tuple(Image.of(str(file)) for file in files),
        family=_FAMILY,
        names=tuple(by_code.get(f"B{number}", f"b{number}") for number in numbers),
        facts=facts,
        shape=shape,
        sensor=sensor,
        fill=0.0,
        evidence=tuple(evidence),
    )


def _number(file: Path) -> int:
    match = _BAND.search(file.stem)
    return int(match.group(1)) if match else 0


def _is_16_bit(fields: Fields) -> bool:
    """Products are stretched from 12 bits to 16: counts run up to 65535."""
    return fields.text("QUANTIZE_CAL_MAX_BAND_8") == "65535"


def _roll(fields: Fields, notes: list[str]) -> float | None:
    angle = _soft(fields, notes, "ROLL_ANGLE", low=-90, high=90)
    return None if angle is None else abs(angle)


def _time(fields: Fields) -> datetime | None:
    day, clock = fields.text("DATE_ACQUIRED"), fields.text("SCENE_CENTER_TIME")
    if day is None:
        return None
    both = Fields("", {"both": f"{day}T{clock}" if clock else day})
    return both.time("both", zone=UTC) or Fields("", {"day": day}).time("day", zone=UTC)


def _constants(fields: Fields, notes: list[str], number: int) -> BandConstants | None:
    """``L = RADIANCE_MULT * Q + RADIANCE_ADD`` (USGS, Landsat 8 Data Users Handbook, 5.1).

    The irradiance that the product's reflectance rests on follows from its two gains:
    ``ESUN = pi d^2 RADIANCE_MULT / REFLECTANCE_MULT``.
    """
    gain = _soft(fields, notes, f"RADIANCE_MULT_BAND_{number}", low=1e-12, high=1e6)
    if gain is None:
        return None
    offset = _soft(fields, notes, f"RADIANCE_ADD_BAND_{number}", low=-1e6, high=1e6)
    reflect = _soft(fields, notes, f"REFLECTANCE_MULT_BAND_{number}", low=1e-12, high=1.0)
    add = _soft(fields, notes, f"REFLECTANCE_ADD_BAND_{number}", low=-10.0, high=10.0)
    distance = _soft(fields, notes, "EARTH_SUN_DISTANCE", low=0.98, high=1.02)
    esun = None
    if reflect is not None and distance is not None:
        esun = math.pi * distance**2 * gain / reflect
    return BandConstants(
        gain,
        offset or 0.0,
        source="RADIANCE_MULT and RADIANCE_ADD of the MTL",
        esun=esun,
        esun_source="" if esun is None else "RADIANCE_MULT over REFLECTANCE_MULT of the MTL",
        reflectance=None if reflect is None or add is None else (reflect, add),
    )


readers.register("landsat")(LandsatReader())
