"""Where the sun stands: what tells in which time zone a sidecar was written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ClockReading", "read_clock", "sun_elevation"]

#: Degrees by which the sun may stand off what the sidecar says.
_NEAR = 3.0
#: Degrees above which optical images are taken.
_DAY = 5.0
#: Years in which satellites may have taken images.
_FIRST, _LAST = 1970, 2100


@dataclass(frozen=True)
class ClockReading:
    """A time whose zone was found out.

    Parameters
    ----------
    time : datetime or None
        UTC; None when no zone fits.
    why : str
        One sentence on how it was found, or why not.
    fits : bool
        Whether the sun's position in the sidecar agrees with some zone, or is not told.
    """

    time: datetime | None
    why: str
    fits: bool = True


def sun_elevation(time: datetime, lon: float, lat: float) -> float:
    """Elevation of the sun's centre without refraction, degrees.

    Parameters
    ----------
    time : datetime
        Aware.
    lon, lat : float
        Degrees, east and north.

    Returns
    -------
    float
        Within 0.02 degrees from 1950 to 2050.

    References
    ----------
    Low-precision formulas of the Astronomical Almanac, section C.
    """
    days = (time - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    mean = 280.460 + 0.9856474 * days
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(mean + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = (18.697374558 + 24.06570982441908 * days) % 24
    hour = math.radians(sidereal * 15 + lon) - ascension
    phi = math.radians(lat)
    height = math.sin(phi) * math.sin(declination)
    height += math.cos(phi) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))


def read_clock(
    told: datetime | None,
    centre: tuple[float, float] | None,
    elevation: float | None,
    hours: Sequence[int] = (0, 8),
) -> ClockReading:
    """Find the zone of a time without one.

    Parameters
    ----------
    told : datetime or None
        Without zone.
    centre : tuple of float or None
        Longitude and latitude of the scene.
    elevation : float or None
        Elevation of the sun by the sidecar, degrees.
    hours : sequence of int
        Zones that may be meant, hours east of UTC.

    Returns
    -------
    ClockReading
        The zone in which the sun stands as told (within 3 degrees); without an elevation the only
        one in which it is day.
    """
    if told is None or not _FIRST <= told.year <= _LAST:
        return ClockReading(None, "no time of acquisition in the sidecar")
    if centre is None:
        return ClockReading(None, "time zone unknown: no place to compute the sun for")
    times = [told.replace(tzinfo=UTC) - timedelta(hours=shift) for shift in hours]
    stands = [sun_elevation(time, *centre) for time in times]
    if elevation is not None:
        best = min(range(len(hours)), key=lambda i: abs(stands[i] - elevation))
        off = abs(stands[best] - elevation)
        if off > _NEAR:
            sun = " or ".join(f"{value:.1f}" for value in stands)
            return ClockReading(
                None,
                f"the sun stands at {elevation:.1f} degrees by the sidecar, and at {sun} by its "
                "time in UTC or UTC+8: time and constants of radiance are left out",
                fits=False,
            )
        return ClockReading(
            times[best],
            f"time read as UTC+{hours[best]}: the sun then stands {off:.1f} degrees off the "
            "sidecar's elevation",
        )
    by_day = [time for time, stand in zip(times, stands, strict=True) if stand > _DAY]
    if len(by_day) == 1:
        zone = hours[times.index(by_day[0])]
        return ClockReading(by_day[0], f"time read as UTC+{zone}: it was day then")
    return ClockReading(None, "time zone unknown: the sidecar tells no elevation of the sun")
