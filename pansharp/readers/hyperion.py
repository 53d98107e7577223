"""EO-1 Hyperion L1T and L1Gst: one TIFF a band, and the scaling factors of the MTL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import ReaderError, UnknownFormatError
from pansharp.readers._bands import stacked
from pansharp.readers._base import readers
from pansharp.readers._cubes import CubeReader
from pansharp.readers._half import Half
from pansharp.readers._scan import files_below
from pansharp.readers._sidecar import Fields, clean, read_text
from pansharp.sensors import get_sensor
from pansharp.source import open_raster

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

__all__ = ["HyperionReader"]

_NAME = re.compile(
    r"^(?P<scene>EO1H\d{14}\w*?)_(?:B(?P<band>\d{3})_)?(?:MTL_)?L1(?:T|GST)\.(TIFF?|TXT)$",
    re.IGNORECASE,
)
#: Last band of the VNIR spectrometer; the others are the SWIR's.
_LAST_VNIR = 70


class HyperionReader(CubeReader):
    """Opens Hyperion scenes as the low-resolution image of a pair."""

    summary = "EO-1 Hyperion L1T and L1Gst (one TIFF a band, MTL), fused with a guide"
    label = "Hyperion"

    def belongs(self, file: Path) -> bool:
        """Whether a file is a band or the MTL of a scene."""
        return _NAME.match(file.name) is not None

    def main(self, file: Path) -> bool:
        """The first band that is there stands for the scene."""
        bands = _bands(file)
        return bool(bands) and file == bands[min(bands)]

    def half(self, path: str) -> Half:
        """The cube of a scene; bands that hold nothing are set aside when it is opened.

        Raises
        ------
        UnknownFormatError
            No band is there.
        ReaderError
            A file is damaged.
        """
        file = self.only(path)
        match = _NAME.match(file.name)
        bands = _bands(file)
        if match is None or not bands:
            raise UnknownFormatError(f"no bands of a Hyperion scene beside '{path}'")
        numbers = sorted(bands)
        scene = match.group("scene")
        image = stacked([bands[number] for number in numbers], str(file.parent / scene))
        with open_raster(image.source) as dataset:
            placed = dataset.crs is not None
            shape = (int(dataset.height), int(dataset.width))
        notes = ["the product tells no wavelengths: the response is estimated from the pair"]
        sheet = _sheet(file, scene)
        constants = tuple(_constants(sheet, notes, number) for number in numbers)
        if sheet is None:
            notes.append("no MTL beside the bands: no time, no constants")
        return Half(
            images=(image,),
            family="hyperion",
            names=tuple(f"b{number:03d}" for number in numbers),
            facts=ImageFacts(
                acquired=None if sheet is None else _time(sheet),
                sun_elevation=_soft(sheet, notes, "SUN_ELEVATION", -90, 90),
                sun_azimuth=_soft(sheet, notes, "SUN_AZIMUTH", -360, 360),
                level="L1",
                identifier=scene,
                constants=constants if any(constants) else (),
                placed=placed,
                notes=tuple(notes),
            ),
            shape=shape,
            sensor=get_sensor("hyperion"),
            fill=0.0,
            evidence=(f"{len(numbers)} band files of '{scene}'",),
            cube=True,
        )


def _bands(file: Path) -> dict[int, Path]:
    """Bands of the scene that a file belongs to, by number."""
    own = _NAME.match(file.name)
    found: dict[int, Path] = {}
    for other in files_below(file.parent, depth=0):
        match = _NAME.match(other.name)
        image = match and match.group("band") and other.suffix.lower() != ".txt"
        if own and match and image and match.group("scene").lower() == own.group("scene").lower():
            found.setdefault(int(match.group("band")), other)
    return found


def _sheet(file: Path, scene: str) -> Fields | None:
    for other in files_below(file.parent, depth=0):
        match = _NAME.match(other.name)
        if (
            match
            and match.group("scene").lower() == scene.lower()
            and "_MTL_" in other.name.upper()
        ):
            values: dict[str, str] = {}
            for line in read_text(other).splitlines():
                key, sign, value = line.partition("=")
                if sign and len(key) < 200:
                    values.setdefault(key.strip().lower(), clean(value))
            return Fields(str(other), values)
    return None


def _soft(
    sheet: Fields | None, notes: list[str], name: str, low: float, high: float
) -> float | None:
    if sheet is None:
        return None
    try:
        return sheet.number(name, low=low, high=high)
    except ReaderError as problem:
        text = str(problem).partition(";")[0] + "; left out"
        if text not in notes:
            notes.append(text)
        return None


def _constants(sheet: Fields | None, notes: list[str], number: int) -> BandConstants | None:
    """``L = DN / SCALING_FACTOR`` of the spectrometer (ACOLITE)."""
    word = "VNIR" if number <= _LAST_VNIR else "SWIR"
    factor = _soft(sheet, notes, f"SCALING_FACTOR_{word}", 1e-3, 1e6)
    if factor is None:
        return None
    return BandConstants(1.0 / factor, source=f"SCALING_FACTOR_{word} of the MTL")


def _time(sheet: Fields) -> datetime | None:
    day, clock = sheet.text("ACQUISITION_DATE"), sheet.text("START_TIME") or ""
    # START_TIME repeats the year and the day of the year in front of the clock.
    told = Fields("", {"t": f"{day}T{clock.split()[-1]}" if clock.split() else day or ""})
    return told.time("t") or Fields("", {"t": day or ""}).time("t")


readers.register("hyperion")(HyperionReader())
