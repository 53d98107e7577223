"""DIMAP 2 documents of Airbus: what a ``DIM_*.XML`` says of its image."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import MissingSidecarError, ReaderError, UnknownSensorError
from pansharp.readers._sidecar import Fields, clean, local_name, read_xml, walk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from xml.etree.ElementTree import Element

    from pansharp.sensors import Band, SensorProfile

__all__ = ["Document", "is_document", "read_document", "read_utf8"]

_TOKEN = re.compile(r"(?<!\d)(\d{15})(?!\d)")
#: Tiles and bands that no product has.
_MOST_TILES, _MOST_BANDS = 10_000, 64
#: Spectral processing that has the PAN's detail already.
_SHARP = ("PMS", "PMS-N", "PMS-X", "PMS-FS", "PXS")


def is_document(path: str | Path) -> bool:
    """Whether a file is a DIMAP document by its name and first bytes."""
    file = Path(path)
    # Vision-1's have the same beginning and another inside.
    name = file.name.upper()
    if not (name.endswith(".XML") and name.startswith("DIM_")) or name.startswith("DIM_VIS1"):
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(2048)
    except OSError:
        return False
    return b"<Dimap_Document" in head.replace(b"\0", b"")


def read_document(path: str | Path) -> Document:
    """Read a DIMAP document.

    Raises
    ------
    MissingSidecarError, ReaderError
        It is missing, damaged, or no DIMAP document.
    """
    root = read_utf8(path)
    if local_name(root) != "Dimap_Document":
        raise ReaderError(f"'{path}' is no DIMAP document: its root is <{local_name(root)[:40]}>")
    return Document(Path(path), root, Fields.of_xml(path, root))


def read_utf8(path: str | Path) -> Element:
    """Root of an XML in UTF-8, as Airbus writes them; GDAL, which reads them too, takes no other.

    Raises
    ------
    MissingSidecarError, ReaderError
        As :func:`pansharp.readers._sidecar.read_xml`; or it is in another encoding.
    """
    root = read_xml(path)
    try:
        Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ReaderError(
            f"'{path}' is damaged (it is not UTF-8); copy or download it again"
        ) from problem
    return root


@dataclass
class Document:
    """One document.

    Parameters
    ----------
    path : Path
        File.
    root : Element
        Whole tree.
    fields : Fields
        Texts by tag; of several the first.
    notes : list of str
        Oddities met so far.
    """

    path: Path
    root: Element
    fields: Fields
    notes: list[str] = field(default_factory=list)

    @property
    def mission(self) -> str:
        """``PHR1A``, ``PNEO3``, ``SPOT6`` ...; empty where it is not told."""
        mission = self.fields.text("MISSION") or ""
        index = self.fields.text("MISSION_INDEX") or ""
        return f"{mission}{index}".upper().replace(" ", "")

    @cached_property
    def sensor(self) -> SensorProfile | None:
        """Profile of the satellite, by the document, else by its name."""
        from pansharp.sensors import get_sensor

        named = re.search(r"_(PHR1[AB]|PNEO\d|SPOT[67])_", self.path.name, re.IGNORECASE)
        for word in (self.mission, named.group(1) if named else ""):
            try:
                sensor = get_sensor(word) if word else None
            except UnknownSensorError:
                continue
            if sensor is not None and sensor.name != "none":
                return sensor
        return None

    @property
    def spectral(self) -> str:
        """``P``, ``MS``, ``PMS``, ``MS-FS`` ...; by the document, else by its name."""
        told = (self.fields.text("SPECTRAL_PROCESSING") or "").upper()
        if told:
            return "P" if told in ("PAN", "PA") else told
        named = re.search(r"_(P|PMS|MS)(-[A-Z]{1,2})?_\d", self.path.name, re.IGNORECASE)
        if named:
            return (named.group(1) + (named.group(2) or "")).upper()
        return "P" if len(self.bands) == 1 else "MS"

    @property
    def is_pan(self) -> bool:
        """Whether it is a panchromatic image."""
        return self.spectral == "P"

    @property
    def sharpened(self) -> bool:
        """Whether the PAN's detail is in it already."""
        return self.spectral in _SHARP

    @property
    def key(self) -> str:
        """What PAN and MS of one acquisition share: the name's date and time, else the told one."""
        match = _TOKEN.search(self.path.name)
        if match:
            return match.group(1)
        time = self.acquired
        return f"{time:%Y%m%d%H%M}" if time is not None else self.path.parent.name

    @property
    def acquired(self) -> datetime | None:
        """Time of acquisition, UTC."""
        day, clock = self.fields.text("IMAGING_DATE"), self.fields.text("IMAGING_TIME")
        if day is not None and clock is not None:
            both = Fields("", {"t": f"{day}T{clock}"}).time("t")
            if both is not None:
                return both
        return self.fields.time("TIME", "IMAGING_DATE")

    @cached_property
    def rasters(self) -> tuple[tuple[str, ...], ...]:
        """Bands of each raster in file order: one list, two of Pleiades Neo's full spectrum.

        Empty where the document does not tell, or contradicts itself.
        """
        found: list[tuple[str, ...]] = []
        for group in walk(self.root, "Raster_Index_List"):
            places: dict[int, str] = {}
            for entry in walk(group, "Raster_Index"):
                fields = Fields.of_xml(self.path, entry)
                index = fields.whole("BAND_INDEX", low=0, high=_MOST_BANDS)
                code = fields.text("BAND_ID")
                if index is not None and code is not None:
                    places.setdefault(index, code[:16].upper())
            if places and sorted(places) == list(range(min(places), max(places) + 1)):
                found.append(tuple(places[index] for index in sorted(places)))
        return tuple(found)

    @property
    def bands(self) -> tuple[str, ...]:
        """Vendor's codes of all bands in the order of the rasters."""
        return tuple(code for raster in self.rasters for code in raster)

    def tiles(self) -> list[tuple[int, int, Path]]:
        """Row, column (from 1) and file of every tile, after checking that all are there.

        Raises
        ------
        ReaderError
            The document lists none, or one outside its folder.
        MissingSidecarError
            A tile is missing.
        """
        found: list[tuple[int, int, Path]] = []
        missing: list[str] = []
        for entry in walk(self.root, "Data_File"):
            link = next(iter(walk(entry, "DATA_FILE_PATH")), None)
            name = clean(link.get("href") or link.text) if link is not None else ""
            if not name:
                continue
            if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
                raise ReaderError(
                    f"'{self.path}' names the image '{name[:80]}', which lies outside its folder; "
                    "it is not read"
                )
            place = Fields.of(
                self.path, {"r": entry.get("tile_R") or "", "c": entry.get("tile_C") or ""}
            )
            row = place.whole("r", low=1, high=_MOST_TILES) or 1
            col = place.whole("c", low=1, high=_MOST_TILES) or 1
            file = self.path.parent / name
            if not file.is_file():
                missing.append(name)
            found.append((row, col, file))
            if len(found) > _MOST_TILES:
                raise ReaderError(f"'{self.path}' lists more than {_MOST_TILES} tiles")
        if not found:
            raise ReaderError(f"'{self.path}' lists no image; copy or download it again")
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise MissingSidecarError(
                f"'{self.path}' lists {len(found)} tiles, {len(missing)} {verb} missing: "
                f"{', '.join(missing[:4])}. Copy the missing files; partial mosaics are not fused"
            )
        return found

    def facts(self, rpc: Mapping[str, str] | None, *, placed: bool) -> ImageFacts:
        """Facts about the image, with one set of constants a band in the order of `bands`."""
        values = [
            Fields.of_xml(self.path, group) for group in walk(self.root, "Located_Geometric_Values")
        ]
        # Three places along the strip; the middle one stands for the scene.
        centre = values[len(values) // 2] if values else self.fields
        incidence = self._soft(centre, "INCIDENCE_ANGLE", low=-90, high=90)
        viewing = self._soft(centre, "VIEWING_ANGLE", low=-90, high=90)
        cloud = self._soft(self.fields, "CLOUD_COVERAGE", low=0, high=100)
        constants = tuple(self._constants(code) for code in self.bands)
        bits = self._soft(self.fields, "SIGNIFICANT_BITS", low=1, high=32)
        return ImageFacts(
            acquired=self.acquired,
            sun_elevation=self._soft(centre, "SUN_ELEVATION", low=-90, high=90),
            sun_azimuth=self._soft(centre, "SUN_AZIMUTH", low=-360, high=360),
            view_elevation=None if incidence is None else 90.0 - abs(incidence),
            view_azimuth=self._soft(centre, "AZIMUTH_ANGLE", low=-360, high=360),
            off_nadir=None if viewing is None else abs(viewing),
            level=self._level(),
            bits=int(bits) if bits is not None else (self.sensor.bits if self.sensor else None),
            cloud=None if cloud is None else cloud / 100.0,
            identifier=self.key,
            constants=constants if any(constants) else (),
            corrected=self.corrected,
            rpc=rpc,
            placed=placed,
            notes=tuple(self.notes),
        )

    @property
    def processing(self) -> str:
        """``BASIC``, ``REFLECTANCE``, ``LINEAR_STRETCH`` ...; empty where it is not told."""
        return (self.fields.text("RADIOMETRIC_PROCESSING") or "").upper()

    @property
    def corrected(self) -> str | None:
        """Why the counts are no raw ones any more."""
        if self.processing == "REFLECTANCE":
            return "reflectance times 10000 (RADIOMETRIC_PROCESSING is REFLECTANCE)"
        if self.processing in ("LINEAR_STRETCH", "DISPLAY", "SEAMLESS"):
            return f"stretched for display (RADIOMETRIC_PROCESSING is {self.processing})"
        return None

    def _level(self) -> str | None:
        word = (self.fields.text("PROCESSING_LEVEL") or "").upper()
        known = {"SENSOR": "SEN", "PROJECTED": "PRJ", "ORTHO": "ORT", "MOSAIC": "MOS"}
        named = re.search(r"_(SEN|PRJ|ORT|MOS)_", self.path.name, re.IGNORECASE)
        return known.get(word, word) or (named.group(1).upper() if named else None)

    @cached_property
    def _radiance(self) -> dict[str, Fields]:
        return self._by_band("Band_Radiance")

    @cached_property
    def _irradiance(self) -> dict[str, Fields]:
        return self._by_band("Band_Solar_Irradiance")

    def _by_band(self, tag: str) -> dict[str, Fields]:
        found: dict[str, Fields] = {}
        for entry in walk(self.root, tag):
            fields = Fields.of_xml(self.path, entry)
            code = fields.text("BAND_ID")
            if code is not None:
                found.setdefault(code.upper(), fields)
        return found

    def _constants(self, code: str) -> BandConstants | None:
        """``L = DN / GAIN + BIAS``, by band id.

        GDAL puts the numbers of B0 on the first band whatever the order of the file is.
        """
        if self.processing == "REFLECTANCE":
            return BandConstants(1e-4, 0.0, units="1", source="DIMAP reflectance times 10000")
        if self.corrected is not None or code not in self._radiance:
            return None
        fields = self._radiance[code]
        gain = self._soft(fields, "GAIN", low=1e-9, high=1e9)
        if gain is None:
            return None
        bias = self._soft(fields, "BIAS", low=-1e6, high=1e6)
        sun = self._irradiance.get(code)
        esun = None if sun is None else self._soft(sun, "VALUE", low=1, high=1e4)
        source = "Band_Solar_Irradiance of the DIMAP" if esun is not None else ""
        band = self._band(code)
        if esun is None and band is not None and band.esun is not None:
            esun, source = band.esun, "table of the sensor"
        return BandConstants(
            1.0 / gain,
            bias or 0.0,
            source="Band_Radiance of the DIMAP, by band id",
            esun=esun,
            esun_source=source,
        )

    def _band(self, code: str) -> Band | None:
        if self.sensor is None:
            return None
        if code in ("P", "PAN"):
            return self.sensor.pan
        found = self.sensor.match_bands((code,))
        return None if found is None else found[0]

    def names(self) -> tuple[str, ...]:
        """Common names of the bands where the sensor knows them all, else the vendor's codes."""
        found = None if self.sensor is None else self.sensor.match_bands(self.bands)
        return tuple(b.name for b in found) if found else tuple(c.lower() for c in self.bands)

    def _soft(self, fields: Fields, *names: str, low: float, high: float) -> float | None:
        try:
            return fields.number(*names, low=low, high=high)
        except ReaderError as problem:
            text = str(problem).partition(";")[0] + "; left out"
            if text not in self.notes:
                self.notes.append(text)
            return None
