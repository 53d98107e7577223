"""What a delivery says about its images: time, sun, view, level, radiometry, RPC."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["RADIANCE_UNITS", "BandConstants", "Delivery", "ImageFacts", "Radiometry"]

#: Units of top-of-atmosphere radiance throughout.
RADIANCE_UNITS = "W m-2 sr-1 um-1"


@dataclass(frozen=True)
class BandConstants:
    """From counts to a physical quantity: ``value = gain * count + offset``.

    Parameters
    ----------
    gain, offset : float
        Factors of the product itself, with the vendor's adjustments already in them.
    units : str
        Units of the value: `RADIANCE_UNITS`, or ``"1"`` for reflectance.
    source : str
        Where the factors come from, release included: ``"IMD absCalFactor/effectiveBandwidth,
        maxar-2018v0"``.
    esun : float or None
        Mean solar irradiance of the band at 1 AU, W m-2 um-1.
    esun_source : str
        Where that comes from.
    reflectance : tuple of float or None
        The product's own factor and offset from counts to reflectance at a sun in the zenith, for
        the distance of the sun on its day; they replace those that follow from `esun`.
    """

    gain: float
    offset: float = 0.0
    units: str = RADIANCE_UNITS
    source: str = ""
    esun: float | None = None
    esun_source: str = ""
    reflectance: tuple[float, float] | None = None


@dataclass(frozen=True)
class ImageFacts:
    """Facts about one image of a delivery; None always means that it does not say.

    Parameters
    ----------
    acquired : datetime or None
        Time of acquisition, UTC, aware.
    sun_elevation, sun_azimuth : float or None
        Degrees; azimuth from north, clockwise.
    view_elevation, view_azimuth, off_nadir : float or None
        Satellite as seen from the ground (elevation, azimuth), and angle off nadir, degrees.
    level : str or None
        The vendor's product level: ``"2A"``, ``"L1A"``, ``"SEN"``.
    bits : int or None
        Significant bits of the counts.
    cloud : float or None
        Share of clouds, 0 to 1.
    identifier : str or None
        Catalogue or scene number, equal for images of one acquisition.
    constants : tuple of BandConstants or None
        Per band in the order of the image, None for a band without; empty when no band has any.
    corrected : str or None
        Why the values are no raw counts any more (pan-sharpened, stretched, atmospherically
        corrected); None for counts that `constants` may be applied to.
    rpc : mapping of str to str or None
        RPC in GDAL's items (``LINE_OFF``, ...), in pixels of the whole file, the centre of the
        first pixel at (0, 0); None without. A source that was cut tells its place by its window.
    placed : bool
        Whether the file has a map projection of its own.
    notes : tuple of str
        Oddities of the sidecars.
    """

    acquired: datetime | None = None
    sun_elevation: float | None = None
    sun_azimuth: float | None = None
    view_elevation: float | None = None
    view_azimuth: float | None = None
    off_nadir: float | None = None
    level: str | None = None
    bits: int | None = None
    cloud: float | None = None
    identifier: str | None = None
    constants: tuple[BandConstants | None, ...] = ()
    corrected: str | None = None
    rpc: Mapping[str, str] | None = None
    placed: bool = True
    notes: tuple[str, ...] = ()

    def select(self, bands: Sequence[int]) -> ImageFacts:
        """Facts of an image of some bands, counted from 0."""
        if not self.constants:
            return self
        return replace(self, constants=tuple(self.constants[band] for band in bands))

    def describe(self) -> dict[str, object]:
        """JSON types; what is unknown is left out."""
        angles = ("sun_elevation", "sun_azimuth", "view_elevation", "view_azimuth", "off_nadir")
        plain = ("level", "bits", "cloud", "identifier", "corrected")
        facts: dict[str, object] = {
            "acquired": None if self.acquired is None else self.acquired.isoformat(),
            **{key: getattr(self, key) for key in (*plain, *angles)},
        }
        facts = {key: value for key, value in facts.items() if value is not None}
        facts["rpc"] = self.rpc is not None
        facts["map"] = self.placed
        facts["constants"] = [
            None
            if band is None
            else {
                "gain": band.gain,
                "offset": band.offset,
                "units": band.units,
                "source": band.source,
                "esun": band.esun,
            }
            for band in self.constants
        ]
        return facts


@dataclass(frozen=True)
class Delivery:
    """What a vendor's delivery told about a pair.

    Parameters
    ----------
    family : str
        Reader that understood it: ``"maxar"``.
    pan, ms : ImageFacts
        Facts about the two images.
    geometry : str
        ``"map"`` (both have a projection), ``"rpc"`` (sensor geometry with RPC), ``"ortho"`` (that,
        orthorectified), ``"mixed"`` (a projection of one, RPC of both), or ``"pixel"``.
    evidence : tuple of str
        What was found and why it was taken, one sentence each.
    """

    family: str
    pan: ImageFacts = field(default_factory=ImageFacts)
    ms: ImageFacts = field(default_factory=ImageFacts)
    geometry: str = "map"
    evidence: tuple[str, ...] = ()

    def select_bands(self, bands: Sequence[int]) -> Delivery:
        """The delivery with some of the MS bands, counted from 0."""
        return replace(self, ms=self.ms.select(bands))

    def describe(self) -> dict[str, object]:
        """JSON types, for ``pansharp info --json``."""
        return {
            "family": self.family,
            "geometry": self.geometry,
            "pan": self.pan.describe(),
            "ms": self.ms.describe(),
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True)
class Radiometry:
    """What the counts of the MS were turned into: ``value = gain * count + offset``.

    Parameters
    ----------
    kind : str
        ``"radiance"`` or ``"reflectance"``, at the top of the atmosphere.
    units : str
        `RADIANCE_UNITS`, or ``"1"``.
    gains, offsets : tuple of float
        What was applied, one per MS band.
    sources : tuple of str
        Where the constants of each band come from.
    esun : tuple of float or None
        Mean solar irradiance used, W m-2 um-1; None where it was not needed.
    sun_elevation : float or None
        Degrees; None where it was not needed.
    distance : float or None
        Earth to sun, astronomical units; None where it was not needed.
    pan : bool
        Whether the PAN was turned too.
    """

    kind: str
    units: str
    gains: tuple[float, ...]
    offsets: tuple[float, ...]
    sources: tuple[str, ...]
    esun: tuple[float | None, ...] = ()
    sun_elevation: float | None = None
    distance: float | None = None
    pan: bool = True

    def select(self, bands: Sequence[int]) -> Radiometry:
        """Of some bands, counted from 0."""
        return replace(
            self,
            gains=tuple(self.gains[b] for b in bands),
            offsets=tuple(self.offsets[b] for b in bands),
            sources=tuple(self.sources[b] for b in bands),
            # Radiance needs no irradiance, and has none.
            esun=tuple(self.esun[b] for b in bands) if self.esun else (),
        )

    def describe(self) -> dict[str, object]:
        """JSON types."""
        return {
            "kind": self.kind,
            "units": self.units,
            "sun_elevation": self.sun_elevation,
            "sun_distance_au": self.distance,
            "pan_converted": self.pan,
            "bands": [
                {"gain": gain, "offset": offset, "source": source, "esun": esun}
                for gain, offset, source, esun in zip(
                    self.gains, self.offsets, self.sources, self.esun, strict=True
                )
            ],
        }

    def band_tags(self) -> tuple[dict[str, str], ...]:
        """Tags of each band of a product."""
        shared = {"RADIOMETRY": f"TOA {self.kind}", "UNITS": self.units}
        if self.sun_elevation is not None:
            shared["SUN_ELEVATION"] = repr(self.sun_elevation)
        if self.distance is not None:
            shared["SUN_DISTANCE_AU"] = repr(self.distance)
        rows = zip(self.gains, self.offsets, self.sources, self.esun, strict=True)
        return tuple(
            {
                **shared,
                "RADIOMETRY_GAIN": repr(gain),
                "RADIOMETRY_OFFSET": repr(offset),
                "RADIOMETRY_SOURCE": source,
                **({} if esun is None else {"ESUN": repr(esun)}),
            }
            for gain, offset, source, esun in rows
        )
