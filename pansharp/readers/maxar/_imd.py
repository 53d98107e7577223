"""What the IMD says: bands in file order, radiometry, time, sun and view."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import ReaderError, UnknownSensorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pansharp.readers._sidecar import Fields
    from pansharp.readers.maxar._pvl import Node
    from pansharp.sensors import Band, SensorProfile

__all__ = ["Imd"]

#: `bandId` of products that hold the PAN's detail already, unless the algorithm says "None".
_SHARP_IDS = ("RGB", "NRG", "BGRN", "PSH", "PSMS")
_SPECTRAL = r"BAND_(C|B|G|Y|R|RE|RE1|RE2|N|N2|P|S[1-8])"


@dataclass
class Imd:
    """Facts of one IMD or of the IMD part of an ISD.

    Parameters
    ----------
    node : Node
        The whole tree (`IMD` of an ISD).
    notes : list of str
        Fields that were passed over because they are absurd.
    """

    node: Node
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.top = self.node.fields
        self.image = self.node.first(r"IMAGE(_\d+)?").fields
        self.map = self.node.first("MAP_PROJECTED_PRODUCT").fields

    @property
    def path(self) -> str:
        """File."""
        return self.node.path

    @property
    def band_id(self) -> str:
        """``P``, ``MULTI``, ``MS1`` ...; empty when it is not there."""
        return (self.top.text("bandId") or "").upper()

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the bands in the order of the groups, which is that of the file.

        Vendors' and tools' tables of the order contradict each other (WorldView-4; yellow of
        WorldView-2): the groups are the product's own word.
        """
        found = (group.name.removeprefix("BAND_") for group in self.node.find(_SPECTRAL))
        return tuple(dict.fromkeys(found))

    @property
    def is_pan(self) -> bool:
        """Whether it is a panchromatic product."""
        return self.band_id in ("P", "PAN") or self.codes == ("P",)

    @property
    def sharpened(self) -> str | None:
        """Why this is a pan-sharpened product; None for a PAN or MS."""
        algorithm = self.top.text("panSharpenAlgorithm")
        if algorithm is not None and algorithm.lower() not in ("none", "off", "no"):
            return f"panSharpenAlgorithm is '{algorithm[:40]}'"
        if algorithm is None and self.band_id in _SHARP_IDS:
            return f"bandId is '{self.band_id}'"
        return None

    @property
    def satellite(self) -> str | None:
        """``WV03`` ..."""
        return self.image.text("satId") or self.top.text("satId")

    @property
    def order(self) -> str | None:
        """Order, item and part: ``012345678010_01_P001``."""
        return self.top.text("productOrderId")

    @property
    def catalogue(self) -> str | None:
        """Number of the acquisition in the catalogue."""
        return self.image.text("CatId") or self.top.text("productCatalogId")

    @property
    def acquired(self) -> datetime | None:
        """Time of acquisition, UTC: of a projected product its earliest, else the first line's."""
        return self.map.time("earliestAcqTime") or self.image.time(
            "firstLineTime", "earliestAcqTime"
        )

    @property
    def level(self) -> str | None:
        """``1B``, ``2A``, ``OR2A``, ``3D`` ..."""
        level = (self.top.text("productLevel") or "").upper().removeprefix("LV")
        described = (self.top.text("imageDescriptor") or "").upper().replace(" ", "")
        if level == "2A" and described.startswith("ORSTANDARD"):
            return "OR2A"
        return level or None

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of the whole product; None when the sidecar does not say."""
        rows = self.soft(self.top, "numRows", 1, 1e8)
        cols = self.soft(self.top, "numColumns", 1, 1e8)
        return None if rows is None or cols is None else (int(rows), int(cols))

    def soft(
        self, fields: Fields, name: str, low: float, high: float, *, also: str = ""
    ) -> float | None:
        """A number that fusion can do without: an absurd one is noted and left out."""
        try:
            names = (name, also) if also else (name,)
            return fields.number(*names, low=low, high=high, unknown=(-999.0, -9999.0))
        except ReaderError as problem:
            note = str(problem).partition(";")[0] + "; left out"
            if note not in self.notes:
                self.notes.append(note)
            return None

    def corrected(self) -> str | None:
        """Why the counts are no raw ones; None where constants of radiance may be applied."""
        if self.sharpened:
            return f"pan-sharpened ({self.sharpened})"
        names = ("radiometricEnhancement", "radiometricLevel", "imageDescriptor", "productType")
        text = " ".join(self.top.text(name) or "" for name in names).upper()
        words = re.split(r"[^A-Z0-9]+", text)
        for word, why in (
            ("ACOMP", "atmospherically corrected (ACOMP)"),
            ("DRA", "stretched for display (DRA)"),
        ):
            if word in words:
                return why
        if self.soft(self.top, "bitsPerPixel", 1, 64) == 8:
            return "8-bit, stretched for display"
        return None

    def facts(
        self, sensor: SensorProfile | None, rpc: Mapping[str, str] | None, *, placed: bool
    ) -> ImageFacts:
        """Facts about the image, with one set of constants a band in file order."""
        image = self.image
        cloud = self.soft(image, "cloudCover", 0, 1)
        bits = self.soft(self.top, "bitsPerPixel", 1, 64)
        constants = self._constants(sensor)
        return ImageFacts(
            acquired=self.acquired,
            sun_elevation=self.soft(image, "meanSunEl", -90, 90, also="sunEl"),
            sun_azimuth=self.soft(image, "meanSunAz", 0, 360, also="sunAz"),
            view_elevation=self.soft(image, "meanSatEl", -90, 90, also="satEl"),
            view_azimuth=self.soft(image, "meanSatAz", 0, 360, also="satAz"),
            off_nadir=self.soft(image, "meanOffNadirViewAngle", 0, 90, also="offNadirViewAngle"),
            level=self.level,
            # 16 is the size of the number; what it holds is the satellite's own.
            bits=(sensor.bits if sensor else None) if bits in (None, 16) else int(bits or 0),
            cloud=cloud,
            identifier=self.catalogue,
            constants=constants if any(constants) else (),
            corrected=self.corrected(),
            rpc=rpc,
            placed=placed,
            notes=tuple(self.notes),
        )

    def _constants(self, sensor: SensorProfile | None) -> tuple[BandConstants | None, ...]:
        """``L = adj_gain * DN * absCalFactor / effectiveBandwidth + adj_offset``.

        Maxar, "Absolute Radiometric Calibration", technical note, 2018v0.
        """
        found: list[BandConstants | None] = []
        for code in self.codes:
            fields = self.node.first(f"BAND_{code}").fields
            factor = self.soft(fields, "absCalFactor", 0, 1e6)
            width = self.soft(fields, "effectiveBandwidth", 1e-6, 1e3)
            band = _band_of(sensor, code)
            if not factor or not width:
                found.append(None)
                continue
            adjusted = band is not None and band.adj_gain is not None
            gain = band.adj_gain if adjusted and band and band.adj_gain is not None else 1.0
            offset = band.adj_offset if adjusted and band and band.adj_offset is not None else 0.0
            release = sensor.calibration.split()[0] if sensor and sensor.calibration else None
            how = f"adjusted by release {release}" if adjusted and release else "not adjusted"
            found.append(
                BandConstants(
                    gain=gain * factor / width,
                    offset=offset,
                    source=f"absCalFactor/effectiveBandwidth of the IMD, {how}",
                    esun=None if band is None else band.esun,
                    esun_source=f"release {release}" if release else "",
                )
            )
        return tuple(found)

    def sensor(self) -> SensorProfile | None:
        """The satellite's profile, or None."""
        from pansharp.sensors import get_sensor

        try:
            return get_sensor(self.satellite) if self.satellite else None
        except UnknownSensorError:
            return None


def _band_of(sensor: SensorProfile | None, code: str) -> Band | None:
    if sensor is None:
        return None
    if code == "P":
        return sensor.pan
    found = sensor.match_bands((code,))
    return None if found is None else found[0]
