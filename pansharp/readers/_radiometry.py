"""From the counts of a delivery to radiance or reflectance at the top of the atmosphere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pansharp.acquisition import RADIANCE_UNITS, Radiometry
from pansharp.errors import OptionError, SceneError
from pansharp.registry import nearest
from pansharp.source import CalibratedSource, ScreenedSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.acquisition import BandConstants, ImageFacts
    from pansharp.scene import Scene
    from pansharp.source import Source

__all__ = ["RADIOMETRY", "calibrate", "sun_distance"]

RADIOMETRY = ("dn", "radiance", "reflectance")
#: Units of constants that give reflectance without any more arithmetic.
_RATIO = "1"
#: Solar irradiances that a band may have, W m-2 um-1.
_LEAST_ESUN, _LARGEST_ESUN = 1.0, 1e4


def sun_distance(time: datetime) -> float:
    """Distance from the Earth to the sun in astronomical units.

    Parameters
    ----------
    time : datetime
        Aware.

    Returns
    -------
    float
        0.983 to 1.017; error below 1e-4.

    References
    ----------
    Maxar, "Radiometric Use of WorldView-3 Imagery", technical note, 2016, section 4: the low
    precision formula of the US Naval Observatory.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> round(sun_distance(datetime(2020, 1, 1, tzinfo=UTC)), 5)
    0.98332
    """
    days = (time - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    g = math.radians(357.529 + 0.98560028 * days)
    return 1.00014 - 0.01671 * math.cos(g) - 0.00014 * math.cos(2 * g)


def calibrate(
    scene: Scene, radiometry: str = "dn", *, esun: Sequence[float] | float | None = None
) -> Scene:
    """Turn the counts of a scene into radiance or reflectance at the top of the atmosphere.

    ``L = gain * count + offset`` (W m-2 sr-1 um-1) with the constants of the delivery, and
    ``rho = pi L d^2 / (ESUN sin(sun elevation))``.

    Parameters
    ----------
    scene : Scene
        As its reader opened it.
    radiometry : {"dn", "radiance", "reflectance"}
        What is wanted; ``dn`` leaves the counts as they are.
    esun : sequence of float, optional
        Mean solar irradiance of the MS bands in the scene's order at 1 AU, W m-2 um-1, instead of
        the delivery's and the table's; with one number more the PAN's comes first.

    Returns
    -------
    Scene
        float32, NaN where there is no data, with `Scene.radiometry` set; or as it was. The PAN is
        turned too where its constants are known.

    Raises
    ------
    OptionError
        An unknown word, or constants that nobody knows.
    SceneError
        The values are corrected already.
    """
    if radiometry not in RADIOMETRY:
        raise OptionError(f"--radiometry is '{radiometry}'; {nearest(radiometry, [*RADIOMETRY])}")
    pan_esun, ms_esun = _given(scene, esun, radiometry)
    if radiometry == "dn":
        return scene
    if scene.delivery is None:
        raise OptionError(
            f"'{scene.name}' is no vendor's delivery, so nothing tells what its counts mean; use "
            "--radiometry dn"
        )
    if scene.delivery.ms.corrected:
        raise SceneError(
            f"the MS of '{scene.name}' is no image of raw counts any more: "
            f"{scene.delivery.ms.corrected}; use --radiometry dn"
        )
    unusable = scene.ms_source.unusable if isinstance(scene.ms_source, ScreenedSource) else ()
    job = _Job(scene, radiometry)
    rows = job.rows(scene.delivery.ms, scene.band_names, ms_esun, unusable)
    gains, offsets = [row.gain for row in rows], [row.offset for row in rows]
    pan: list[_Row] = []
    said = f"the PAN stays as it is: {scene.delivery.pan.corrected}"
    if not scene.delivery.pan.corrected:
        try:
            guides = scene.pan_source.band_names or ("pan",) * scene.pan_source.bands
            pan, said = job.rows(scene.delivery.pan, guides, pan_esun), ""
        except OptionError as problem:
            said = f"the PAN stays in counts: {problem}"
    guide: Source = scene.pan_source
    if pan:
        guide = CalibratedSource(guide, [row.gain for row in pan], [row.offset for row in pan])
    direct = all(row.esun is None for row in rows)
    reflected = radiometry == "reflectance"
    told = Radiometry(
        kind=radiometry,
        units=_RATIO if reflected else RADIANCE_UNITS,
        gains=tuple(gains),
        offsets=tuple(offsets),
        sources=tuple(row.source for row in rows),
        esun=tuple(row.esun for row in rows),
        sun_elevation=job.used_sun,
        distance=None if direct else job.distance,
        pan=bool(pan),
    )
    unit = "reflectance" if reflected else f"radiance, {RADIANCE_UNITS}"
    notes = (f"counts turned into top-of-atmosphere {unit}: {rows[0].source}",)
    return replace(
        scene,
        pan_source=guide,
        ms_source=_calibrated(scene.ms_source, gains, offsets),
        scales=(),
        offsets=(),
        nodata=math.nan,
        notes=(*notes, *((said,) if said else ()), *scene.notes),
        radiometry=told,
    )


def _calibrated(source: Source, gains: Sequence[float], offsets: Sequence[float]) -> Source:
    if isinstance(source, ScreenedSource):
        # What is set aside is decided on values; the screen must stay outermost.
        return ScreenedSource(_calibrated(source.source, gains, offsets), source.unusable)
    return CalibratedSource(source, gains, offsets)


def _given(
    scene: Scene, esun: Sequence[float] | float | None, radiometry: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ESUN of the PAN and of the MS bands that the user gave."""
    if esun is None:
        return (), ()
    if radiometry != "reflectance":
        raise OptionError(f"--esun has no use with --radiometry {radiometry}; leave it off")
    values = (float(esun),) if isinstance(esun, int | float) else tuple(map(float, esun))
    if not all(_LEAST_ESUN <= value <= _LARGEST_ESUN for value in values):
        raise OptionError(
            f"--esun is {','.join(f'{value:g}' for value in values)}; give irradiances in W m-2 "
            f"um-1, {_LEAST_ESUN:g} to {_LARGEST_ESUN:g}"
        )
    if len(values) == scene.bands + 1:
        return values[:1], values[1:]
    if len(values) != scene.bands:
        raise OptionError(
            f"--esun has {len(values)} numbers for {scene.bands} MS bands "
            f"({', '.join(scene.band_names)}); give one a band, or the PAN's before them"
        )
    return (), values


@dataclass(frozen=True)
class _Row:
    """What one band's counts are multiplied with, and why."""

    gain: float
    offset: float
    source: str
    esun: float | None = None


class _Job:
    """Arithmetic of one scene; the sun is looked up when a band needs it."""

    def __init__(self, scene: Scene, kind: str) -> None:
        self.scene = scene
        self.kind = kind
        self.used_sun: float | None = None
        assert scene.delivery is not None
        self._all = (scene.delivery.ms, scene.delivery.pan)

    @property
    def distance(self) -> float:
        """Earth to sun, AU.

        Raises
        ------
        OptionError
            The time of acquisition is not known.
        """
        time = next((facts.acquired for facts in self._all if facts.acquired is not None), None)
        if time is None:
            raise OptionError(
                f"no time of acquisition known for '{self.scene.name}', which reflectance needs; "
                "work in radiance"
            )
        return sun_distance(time)

    @property
    def sine(self) -> float:
        """Sine of the sun's elevation.

        Raises
        ------
        OptionError
            It is not known, or the sun is not up.
        """
        found = [f.sun_elevation for f in self._all if f.sun_elevation is not None]
        if not found or found[0] <= 0:
            what = "no elevation of the sun known" if not found else "the sun is not up"
            raise OptionError(
                f"{what} for '{self.scene.name}', which reflectance needs; work in radiance"
            )
        self.used_sun = found[0]
        return math.sin(math.radians(found[0]))

    def rows(
        self,
        facts: ImageFacts,
        names: Sequence[str],
        esun: Sequence[float],
        unusable: Sequence[int] = (),
    ) -> list[_Row]:
        """Factors of the bands of one image.

        Raises
        ------
        OptionError
            A constant is not known.
        """
        constants = facts.constants or (None,) * len(names)
        missing = [
            name
            for band, (name, known) in enumerate(zip(names, constants, strict=True))
            if known is None and band not in unusable
        ]
        if missing:
            raise OptionError(
                f"no constants of radiance known for {', '.join(missing[:8])} of "
                f"'{self.scene.name}'; use --radiometry dn"
            )
        dark = [
            name
            for band, (name, known) in enumerate(zip(names, constants, strict=True))
            if known is not None and not esun and self._lacks_esun(known)
        ]
        if dark:
            sensor = self.scene.sensor
            whom = sensor.label if sensor is not None else f"'{self.scene.name}'"
            initials = ",".join(name[:1].upper() for name in names[:4])
            raise OptionError(
                f"No ESUN known for {whom} ({', '.join(dark[:8])}); give --esun "
                f"{initials} in W m-2 um-1, or work in radiance"
            )
        return [
            _Row(1.0, 0.0, "set aside")
            if known is None
            else self._row(known, esun[band] if esun else None)
            for band, known in enumerate(constants)
        ]

    def _lacks_esun(self, known: BandConstants) -> bool:
        return (
            self.kind == "reflectance"
            and known.units != _RATIO
            and known.reflectance is None
            and known.esun is None
        )

    def _row(self, known: BandConstants, esun: float | None) -> _Row:
        if known.units == _RATIO:
            if self.kind == "radiance":
                raise OptionError(
                    f"'{self.scene.name}' holds reflectance ({known.source}); use --radiometry "
                    "reflectance"
                )
            return _Row(known.gain, known.offset, known.source)
        if known.units != RADIANCE_UNITS:
            raise OptionError(
                f"constants of '{self.scene.name}' are in {known.units}, not {RADIANCE_UNITS}; use "
                "--radiometry dn"
            )
        if self.kind == "radiance":
            return _Row(known.gain, known.offset, known.source)
        sine = self.sine
        if esun is None and known.reflectance is not None:
            gain, offset = known.reflectance
            return _Row(gain / sine, offset / sine, "reflectance factors of the product")
        used, why = (known.esun, known.esun_source) if esun is None else (esun, "as given")
        assert used is not None
        factor = math.pi * self.distance**2 / (used * sine)
        source = f"{known.source}; ESUN {why}"
        return _Row(factor * known.gain, factor * known.offset, source, used)
