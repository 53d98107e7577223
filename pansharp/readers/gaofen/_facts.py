"""What the XML of a Chinese delivery says of one image."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import ReaderError
from pansharp.readers._sidecar import Fields, beside, read_xml
from pansharp.readers._sun import ClockReading, read_clock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from pansharp.readers.gaofen._names import Name
    from pansharp.sensors import Band, SensorProfile

__all__ = ["Sheet", "sheet_of"]

#: Gains that no sensor has, W m-2 sr-1 um-1 per count.
_LEAST_GAIN, _LARGEST_GAIN = 1e-6, 100.0
#: Largest zenith angle of a satellite that takes images, degrees.
_STEEPEST = 60.0
_CORNERS = ("TopLeft", "TopRight", "BottomRight", "BottomLeft")


def sheet_of(image: Path, name: Name) -> Sheet:
    """Sidecar of an image: its own XML, else the scene's; an empty one where there is none.

    Raises
    ------
    ReaderError
        It is there and damaged.
    """
    file = beside(image, ".xml") or beside(image, ".xml", stem=name.scene)
    if file is None:
        return Sheet(Fields(str(image), {}), name, there=False)
    return Sheet(Fields.of_xml(file, read_xml(file)), name)


@dataclass
class Sheet:
    """Fields of one XML; every one may be missing.

    Parameters
    ----------
    fields : Fields
        Texts by tag, wherever they stand in the tree.
    name : Name
        What the file's name says.
    there : bool
        Whether there is an XML.
    notes : list of str
        Oddities met so far.
    """

    fields: Fields
    name: Name
    there: bool = True
    notes: list[str] = field(default_factory=list)

    def soft(self, *names: str, low: float, high: float) -> float | None:
        """A number that fusion can do without: an absurd one is noted and left out."""
        try:
            return self.fields.number(*names, low=low, high=high)
        except ReaderError as problem:
            self._note(str(problem).partition(";")[0] + "; left out")
            return None

    @property
    def centre(self) -> tuple[float, float] | None:
        """Longitude and latitude: given, else the mean of the corners, else those of the name."""
        lon = self.soft("CenterLongitude", low=-180, high=360)
        lat = self.soft("CenterLatitude", low=-90, high=90)
        if lon is not None and lat is not None:
            return lon, lat
        lons = [self.soft(f"{corner}Longitude", low=-180, high=360) for corner in _CORNERS]
        lats = [self.soft(f"{corner}Latitude", low=-90, high=90) for corner in _CORNERS]
        good = [(x, y) for x, y in zip(lons, lats, strict=True) if x is not None and y is not None]
        if len(good) == len(_CORNERS):
            # Across the antimeridian the mean would lie on the other side of the Earth.
            if max(x for x, _ in good) - min(x for x, _ in good) > 180:
                good = [(x % 360, y) for x, y in good]
            return sum(x for x, _ in good) / 4, sum(y for _, y in good) / 4
        return self.name.centre

    def _clock(self, elevation: float | None) -> ClockReading:
        names = ("CenterTime", "StartTime", "ReceiveTime", "EndTime")
        if self.name.sensor == "superview1":  # states Beijing time (eoreader)
            time = self.fields.time(*names, zone=timezone(timedelta(hours=8)))
            return ClockReading(time, "times of SuperView are Beijing time")
        return read_clock(self.fields.time(*names, zone=None), self.centre, elevation)

    def facts(
        self, sensor: SensorProfile, rpc: Mapping[str, str] | None, *, bands: int, placed: bool
    ) -> ImageFacts:
        """Facts about the image, with one set of constants a band in file order.

        Parameters
        ----------
        sensor : SensorProfile
            Satellite.
        rpc : mapping or None
            RPC.
        bands : int
            Bands of the raster.
        placed : bool
            Whether the raster has a map projection.
        """
        zenith = self.soft("SolarZenith", low=0, high=90)
        elevation = None if zenith is None else 90.0 - zenith
        clock = self._clock(elevation) if self.there else None
        if clock is not None:
            self._note(clock.why)
        fits = clock is None or clock.fits
        cloud = self.soft("CloudPercent", low=0, high=100)
        view = self.soft("SatelliteZenith", low=0, high=90)
        if not self.there:
            self._note(
                f"no XML beside '{self.fields.path}': no time, no angles, no constants of the "
                "product itself"
            )
        day = None if clock is None else clock.time
        year = day or self.name.date or self._day_told()
        constants = self._constants(sensor, bands, None if year is None else year.year)
        if not fits:
            constants = ()
        return ImageFacts(
            acquired=day,
            sun_elevation=elevation if fits else None,
            sun_azimuth=self.soft("SolarAzimuth", low=-360, high=360) if fits else None,
            # No camera looks so far aside: numbers near 90 are elevations under the wrong name.
            view_elevation=view if view is None or view > _STEEPEST else 90.0 - view,
            view_azimuth=self.soft("SatelliteAzimuth", low=-360, high=360),
            level=self._level(),
            bits=sensor.bits,
            cloud=None if cloud is None else cloud / 100.0,
            identifier=self.name.identifier or self.fields.text("ProductID"),
            constants=constants if any(constants) else (),
            rpc=rpc,
            placed=placed,
            notes=tuple(self.notes),
        )

    def _day_told(self) -> datetime | None:
        return self.fields.time("CenterTime", "StartTime", "ReceiveTime", zone=None)

    def _level(self) -> str | None:
        text = (self.fields.text("ProductLevel") or "").upper().replace("LEVEL", "L")
        return text if re.fullmatch(r"L?\d[A-Z]{0,2}", text) else self.name.level

    def _constants(
        self, sensor: SensorProfile, bands: int, year: int | None
    ) -> tuple[BandConstants | None, ...]:
        """``L = gain * count + offset``: the product's own gains, else those of the year."""
        pan = self.name.is_pan
        own = self._own_gains(bands)
        table, source = self._table(sensor, year)
        part = slice(0, 1) if pan else slice(1, None)
        rows = list(zip(*(values[part] for values in table), strict=True)) if table else []
        known = _bands(sensor, pan=pan, count=bands)
        found: list[BandConstants | None] = []
        for index in range(bands):
            esun = None if known is None else known[index].esun
            where = "" if esun is None else "table of the sensor"
            if own and own[index] is not None:
                gain, offset, why = own[index], 0.0, "gains of the product's XML"
            elif len(rows) == bands:
                (gain, offset), why = rows[index], source
            else:
                found.append(None)
                continue
            assert gain is not None
            found.append(BandConstants(gain, offset, source=why, esun=esun, esun_source=where))
        if len(rows) == bands and any(c is not None and c.source == source for c in found):
            self._note_year(sensor, year)
        return tuple(found)

    def _own_gains(self, bands: int) -> tuple[float | None, ...]:
        """Gains of the XML for these bands; empty when it lists none, or another number."""
        text = self.fields.text("AbsCeof", "AbsCoef", "AGain", "Gain")
        if text is None:
            return ()
        parts = [part for part in re.split(r"[,\s;]+", text) if part]
        values: list[float | None] = []
        for part in parts[:64]:
            try:
                value = Fields("", {"g": part}).number("g")
            except ReaderError:
                value = None
            sane = value is not None and _LEAST_GAIN <= value <= _LARGEST_GAIN
            values.append(value if sane else None)
        if len(values) == bands + 1 and bands > 1:
            values = values[1:]  # the PAN's comes first in lists of the whole camera
        elif self.name.is_pan and bands == 1 and len(values) == 5:
            values = values[:1]
        if len(values) != bands:
            self._note(f"'{self.fields.path}' lists {len(parts)} gains for {bands} bands: not used")
            return ()
        return tuple(values)

    def _table(
        self, sensor: SensorProfile, year: int | None
    ) -> tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, str]:
        from pansharp.sensors import yearly_gains

        rows = yearly_gains(sensor.name, self.name.camera)
        if not rows or year is None or year < min(rows):
            return None, ""
        used = max(y for y in rows if y <= year)
        return rows[used], f"yearly table {used} of {self.name.camera}"

    def _note_year(self, sensor: SensorProfile, year: int | None) -> None:
        from pansharp.sensors import yearly_gains

        last = max(yearly_gains(sensor.name, self.name.camera))
        if year is not None and year > last:
            self._note(
                f"no gains published for {year}: those of {last}, the last year, are given instead"
            )

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _bands(sensor: SensorProfile, *, pan: bool, count: int) -> tuple[Band, ...] | None:
    if pan:
        return None if sensor.pan is None or count != 1 else (sensor.pan,)
    return sensor.bands if len(sensor.bands) == count else None
