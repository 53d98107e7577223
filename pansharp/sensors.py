"""Sensors: bands, grids and MTF gains, read from the tables in ``data/sensors``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from pansharp.errors import BandMismatchError, UnknownSensorError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable

__all__ = [
    "ASSUMED_MS_GAIN",
    "ASSUMED_PAN_GAIN",
    "Band",
    "SensorProfile",
    "band_key",
    "get_sensor",
    "list_sensors",
    "mtf_gains",
    "yearly_gains",
]

#: Amplitude at the MS Nyquist frequency taken for an MS band that has no published value.
ASSUMED_MS_GAIN = 0.30
#: Amplitude of the PAN at the MS Nyquist frequency taken where none is published.
ASSUMED_PAN_GAIN = 0.15

# What image files call the bands that the tables name by the first entry. The plain `nir` of a
# four-band delivery is the first near infrared of an eight-band sensor.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "coastal": ("c", "ca", "coastalblue", "coastalaerosol", "aerosol", "deepblue", "db"),
    "blue": ("b",),
    "green": ("g",),
    "yellow": ("y",),
    "red": ("r",),
    "rededge": ("re", "rededge1", "re1"),
    "rededge2": ("re2",),
    "nir1": ("n", "nir", "n1", "nearinfrared", "nearinfrared1"),
    "nir2": ("n2", "nearinfrared2"),
}
_CANONICAL = {word: name for name, words in _SYNONYMS.items() for word in words}


def _key(text: str) -> str:
    """Lower-case letters and digits of `text`: what names are compared by."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def band_key(text: str) -> str:
    """Key of a band name: synonyms count as one, and so do ``BAND_N`` and ``N``.

    Parameters
    ----------
    text : str
        Common name or vendor code, in any case.

    Returns
    -------
    str
        For comparison only.
    """
    key = _key(text).removeprefix("band")
    return _CANONICAL.get(key, key)


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band of a sensor.

    Parameters
    ----------
    name : str
        Lower-case common name (``"blue"``, ``"nir1"``, ``"pan"``).
    code : str
        What the vendor calls it (``"B"``, ``"B1"``).
    centre_nm : float or None
        Mean wavelength weighted by the response, nanometres.
    width_nm : float or None
        Full width at half maximum, or upper minus lower limit where only those are known.
    range_nm : tuple of float or None
        Lower and upper limit, nanometres.
    mtf_nyquist : float or None
        Amplitude of the modulation transfer function at the Nyquist frequency of the MS grid,
        0 to 1; None where nobody has published one.
    esun : float or None
        Mean solar irradiance at 1 AU, W m-2 um-1.
    adj_gain, adj_offset : float or None
        The vendor's later corrections of the radiance (release: `SensorProfile.calibration`):
        a factor, and W m-2 sr-1 um-1 added after it.
    """

    name: str
    code: str
    centre_nm: float | None = None
    width_nm: float | None = None
    range_nm: tuple[float, float] | None = None
    mtf_nyquist: float | None = None
    esun: float | None = None
    adj_gain: float | None = None
    adj_offset: float | None = None


@dataclass(frozen=True, slots=True)
class SensorProfile:
    """What fusion needs to know about a sensor; None always means unknown.

    Parameters
    ----------
    name : str
        Name in the table (``"worldview3"``).
    label : str
        Name for people (``"WorldView-3"``).
    pan : Band or None
        Panchromatic band.
    bands : tuple of Band
        MS bands in the vendor's order; empty for hyperspectral and generic sensors.
    ratio : float or None
        MS pixel size divided by PAN pixel size, nominal.
    bits : int or None
        Bits of the digital numbers.
    max_dn : int or None
        Largest digital number.
    nodata : float or None
        Digital number of pixels without data.
    gsd_pan_m, gsd_ms_m : float or None
        Nominal pixel sizes, metres; for hyperspectral sensors `gsd_ms_m` is that of the cube.
    aliases : tuple of str
        Other names, in lower-case letters and digits.
    calibration : str or None
        Release of the vendor's corrections of the radiance.
    sources : str
        Where the figures come from, ``"field: source; ..."`` (keys: docs/sensors.md).
    """

    name: str
    label: str
    pan: Band | None = None
    bands: tuple[Band, ...] = ()
    ratio: float | None = None
    bits: int | None = None
    max_dn: int | None = None
    nodata: float | None = None
    gsd_pan_m: float | None = None
    gsd_ms_m: float | None = None
    aliases: tuple[str, ...] = ()
    calibration: str | None = None
    sources: str = ""

    @property
    def pan_gain(self) -> tuple[float, bool]:
        """MTF gain of the PAN at the MS Nyquist frequency, and whether it is assumed."""
        if self.pan is None or self.pan.mtf_nyquist is None:
            return ASSUMED_PAN_GAIN, True
        return self.pan.mtf_nyquist, False

    def mtf_gains(
        self, band_names: Sequence[str] | None, count: int
    ) -> tuple[tuple[float, ...], bool]:
        """MTF gains at Nyquist of an image's bands, in the order of the file.

        Bands are matched by name when every name is known for the sensor and none comes twice.
        Otherwise they are matched by position, as the DLPan toolbox does: an image with fewer
        bands than the sensor gets the first gains.

        Parameters
        ----------
        band_names : sequence of str or None
            Names of the image's bands: common names, vendor codes or their usual variants, in
            any case.
        count : int
            Number of bands of the image.

        Returns
        -------
        gains : tuple of float
            One amplitude per band, 0 to 1.
        assumed : bool
            Whether any gain is a guess: 0.30 for a band without a published gain, or the first
            gains for an unnamed subset of the sensor's bands.

        Raises
        ------
        BandMismatchError
            When the number of names is not `count`, or when the image has more bands than a
            sensor with known gains.

        References
        ----------
        Vivone et al., "A New Benchmark Based on Recent Advances in Multispectral
        Pansharpening", IEEE GRSM 9(1), 2021: gains and the rule for fewer bands.
        """
        names = tuple(band_names or ())
        if names and len(names) != count:
            raise BandMismatchError(
                f"{len(names)} band names for an image of {count} bands; name every band or none"
            )
        found = self.match_bands(names)
        if found is not None:
            return _gains(found)
        if all(band.mtf_nyquist is None for band in self.bands):
            return (ASSUMED_MS_GAIN,) * count, True
        if count > len(self.bands):
            raise BandMismatchError(
                f"the image has {count} bands, {self.label} has {len(self.bands)}; "
                f"select bands, or use the sensor 'none'"
            )
        gains, assumed = _gains(self.bands[:count])
        return gains, assumed or count < len(self.bands)

    def match(self, band_names: Sequence[str] | None, count: int) -> tuple[Band, ...]:
        """Bands of the sensor that an image's bands are.

        Parameters
        ----------
        band_names : sequence of str or None
            As in :meth:`mtf_gains`.
        count : int
            Number of bands of the image.

        Returns
        -------
        tuple of Band
            By name; without names by position where the image has all bands of the sensor; empty
            where neither tells.
        """
        found = self.match_bands(tuple(band_names or ()))
        if found is None and not band_names and count == len(self.bands):
            found = self.bands
        return found or ()

    def match_bands(self, names: Sequence[str]) -> tuple[Band, ...] | None:
        """The sensor's bands that an image's band names mean, in the order of the image.

        Parameters
        ----------
        names : sequence of str
            Common names, vendor codes or their usual variants, in any case.

        Returns
        -------
        tuple of Band or None
            None when a name is unknown, comes twice, or there are none.
        """
        table = {band_key(band.code): band for band in self.bands}
        table |= {band_key(band.name): band for band in self.bands}
        found = tuple(table[key] for name in names if (key := band_key(name)) in table)
        complete = bool(names) and len(found) == len(names) == len(set(found))
        return found if complete else None


def _gains(bands: Sequence[Band]) -> tuple[tuple[float, ...], bool]:
    gains = tuple(
        ASSUMED_MS_GAIN if band.mtf_nyquist is None else band.mtf_nyquist for band in bands
    )
    return gains, any(band.mtf_nyquist is None for band in bands)


def mtf_gains(
    sensor: SensorProfile | None, band_names: Sequence[str] | None, count: int
) -> tuple[tuple[float, ...], bool]:
    """Give the MTF gains of an image's bands, also where the sensor is not known.

    Parameters
    ----------
    sensor : SensorProfile or None
        Sensor; None gives 0.30 for every band, assumed.
    band_names : sequence of str or None
        Names of the image's bands in the order of the file.
    count : int
        Number of bands of the image.

    Returns
    -------
    gains : tuple of float
        One amplitude at Nyquist per band, 0 to 1.
    assumed : bool
        Whether any gain is a guess.

    Raises
    ------
    BandMismatchError
        As :meth:`SensorProfile.mtf_gains`.
    """
    return (sensor or get_sensor("none")).mtf_gains(band_names, count)


def get_sensor(name: str) -> SensorProfile:
    """Return the sensor of that name.

    Parameters
    ----------
    name : str
        Name, label or alias; case, spaces and punctuation do not matter. The names of the DLPan
        toolbox (``QB``, ``IKONOS``, ``GeoEye1``, ``WV2``, ``WV3``, ``WV4``, ``none``) work too.

    Returns
    -------
    SensorProfile
        The same object at every call.

    Raises
    ------
    UnknownSensorError
        When no sensor has that name; the message offers near ones.

    Examples
    --------
    >>> get_sensor("WorldView-3").bands[6].name
    'nir1'
    """
    key = _key(name)
    for stem in _tables():
        if _key(stem) == key:
            return _load(stem)
    # Only a name that is no file's name needs the aliases, and with them all the tables.
    spellings = _spellings()
    if key not in spellings:
        hint = nearest(key, list(spellings))
        if not hint.startswith("did you mean"):
            hint = "'pansharp sensors' lists them, 'none' is the generic one"
        raise UnknownSensorError(f"unknown sensor '{name}'; {hint}")
    return _load(spellings[key])


@cache
def yearly_gains(
    sensor: str, camera: str
) -> dict[int, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Published factors from counts to radiance of a sensor's camera, by year of acquisition.

    Parameters
    ----------
    sensor : str
        Name in the table (``"gaofen2"``).
    camera : str
        Camera as the vendor calls it (``"PMS1"``).

    Returns
    -------
    dict of int to (gains, offsets)
        W m-2 sr-1 um-1 per count, and W m-2 sr-1 um-1; the PAN first, then the MS bands in the
        vendor's order. Empty when none are published.

    Raises
    ------
    UnknownSensorError
        When no sensor has that name.
    """
    name = get_sensor(sensor).name
    table = tomllib.loads(_tables()[name].read_text(encoding="utf-8"))
    gains = table.get("radiance_gain", {}).get(camera, {})
    offsets = table.get("radiance_offset", {}).get(camera, {})
    return {
        int(year): (tuple(row), tuple(offsets.get(year, [0.0] * len(row))))
        for year, row in gains.items()
    }


def list_sensors() -> list[str]:
    """Names of all sensors, sorted; parses nothing."""
    return sorted(_tables())


@cache
def _tables() -> dict[str, Traversable]:
    from importlib.resources import files

    folder = files("pansharp").joinpath("data", "sensors")
    return {
        entry.name.removesuffix(".toml"): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }


@cache
def _spellings() -> dict[str, str]:
    profiles = [_load(stem) for stem in list_sensors()]
    return {
        _key(word): profile.name
        for profile in profiles
        for word in (profile.label, *profile.aliases, profile.name)
    }


@cache
def _load(stem: str) -> SensorProfile:
    table = tomllib.loads(_tables()[stem].read_text(encoding="utf-8"))
    gsd = table.get("gsd_m", {})
    return SensorProfile(
        name=stem,
        label=table["label"],
        pan=_band(table["pan"]) if "pan" in table else None,
        bands=tuple(_band(row) for row in table["bands"]),
        ratio=table.get("ratio"),
        bits=table.get("bits"),
        max_dn=table.get("max_dn"),
        nodata=table.get("nodata"),
        gsd_pan_m=gsd.get("pan"),
        gsd_ms_m=gsd.get("ms", gsd.get("hsi")),
        aliases=tuple(table["aliases"]),
        calibration=table.get("calibration_version"),
        sources="; ".join(f"{field}: {source}" for field, source in table["sources"].items()),
    )


def _band(row: Mapping[str, object]) -> Band:
    limits = cast("list[float] | None", row.get("range_nm"))
    return Band(
        name=cast(str, row["name"]),
        code=cast(str, row.get("code", "")),
        centre_nm=cast("float | None", row.get("centre_nm")),
        width_nm=cast("float | None", row.get("width_nm")),
        range_nm=None if limits is None else (limits[0], limits[1]),
        mtf_nyquist=cast("float | None", row.get("mtf_nyquist")),
        esun=cast("float | None", row.get("esun_w_m2_um")),
        adj_gain=cast("float | None", row.get("adj_gain")),
        adj_offset=cast("float | None", row.get("adj_offset")),
    )
