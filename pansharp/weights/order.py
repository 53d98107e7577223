"""Whether two images have the same bands in the same order, by name and wavelength."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pansharp.errors import PansharpError
from pansharp.sensors import band_key, get_sensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.sensors import Band

__all__ = ["Order", "bands_of", "compare", "described", "selection"]

#: What bands are called that nobody has named: ``b1``, ``Band 2``, ``3``.
_NUMBERED = re.compile(r"(?:b|band|ch|channel|layer|ms)?[ _.-]*(\d+)", re.IGNORECASE)
#: Names that mean a colour whichever sensor it is: with these, another name is another band.
_COLOURS = frozenset(
    ("coastal", "blue", "green", "yellow", "red", "rededge", "rededge2", "rededge3", "nir1", "nir2")
)
#: Farthest that centres of one band lie apart on two sensors: nanometres, and share of the
#: wavelength. Blue to coastal blue is 53 nm, red to yellow 56.
_NEAR_NM, _NEAR_SHARE = 30.0, 0.05


@dataclass(frozen=True)
class Order:
    """What is known of an image's bands.

    Parameters
    ----------
    keys : tuple of (str or None)
        Names for comparison; None where a name says nothing.
    centres : tuple of (float or None)
        Wavelengths, nanometres.
    names : tuple of str
        As they are shown.
    """

    keys: tuple[str | None, ...]
    centres: tuple[float | None, ...]
    names: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether anything is known of all bands."""
        pairs = zip(self.keys, self.centres, strict=True)
        return all(key is not None or centre is not None for key, centre in pairs)


def bands_of(
    count: int,
    names: Sequence[str],
    wavelengths: Sequence[float | None],
    sensor: str | None,
) -> Order:
    """Collect what names, wavelengths and the sensor's table tell of an image's bands."""
    table = _table(sensor, names, count)
    keys: tuple[str | None, ...] = (None,) * count
    if table:
        keys = tuple(band_key(band.name) for band in table)
    elif names and not _merely_counted(names):
        keys = tuple(band_key(name) for name in names)
    centres: tuple[float | None, ...] = tuple(wavelengths) or (None,) * count
    if table:
        centres = tuple(
            band.centre_nm if centre is None else centre
            for centre, band in zip(centres, table, strict=True)
        )
    shown = tuple(names) or ("",) * count
    if table and (not names or _merely_counted(names)):
        shown = tuple(band.name for band in table)
    places = zip(shown, centres, range(count), strict=True)
    return Order(keys, centres, tuple(_shown(*place) for place in places))


def _table(sensor: str | None, names: Sequence[str], count: int) -> tuple[Band, ...]:
    if not sensor:
        return ()
    try:
        profile = get_sensor(sensor)
    except PansharpError:
        # A sensor of another version, or a name of the author's own.
        return ()
    return profile.match(() if _merely_counted(names) else names, count)


def _merely_counted(names: Sequence[str]) -> bool:
    numbers = [_NUMBERED.fullmatch(name.strip()) for name in names]
    return [int(found[1]) for found in numbers if found] == list(range(1, len(names) + 1))


def _shown(name: str, centre: float | None, index: int) -> str:
    if name and not _NUMBERED.fullmatch(name):
        return name
    if centre is not None:
        return f"{centre:.0f} nm"
    return name or f"band {index + 1}"


def compare(theirs: Order, scene: Order) -> tuple[list[int], bool, list[int]]:
    """Compare the bands of a scene with those of weights, position by position.

    Returns
    -------
    wrong : list of int
        Positions (from 0) that hold another band.
    checked : bool
        Whether every position could be compared.
    shifted : list of int
        Positions of the same name whose centres lie far apart.
    """
    wrong, shifted, checked = [], [], True
    permuted = None not in scene.keys and sorted(map(str, scene.keys)) == sorted(
        map(str, theirs.keys)
    )
    for i, (ours, key) in enumerate(zip(scene.keys, theirs.keys, strict=True)):
        near = _near(theirs, scene.centres[i], i)
        if ours is not None and ours == key:
            if near is False:
                shifted.append(i)
        elif near is not None:
            if not near:
                wrong.append(i)
        elif ours is None or key is None:
            checked = False
        elif permuted or {ours, key} <= _COLOURS:
            wrong.append(i)
        else:
            checked = False
    return wrong, checked, shifted


def _near(theirs: Order, centre: float | None, place: int) -> bool | None:
    """Whether the band at `place` is the nearest to a wavelength, and near; None: not known."""
    own = theirs.centres[place]
    if centre is None or own is None:
        return None
    distance = abs(own - centre)
    if distance > max(_NEAR_NM, _NEAR_SHARE * own):
        return False
    others = (other for other in theirs.centres if other is not None)
    return all(distance <= abs(other - centre) for other in others)


def selection(theirs: Order, scene: Order) -> list[int]:
    """Positions (from 0) of the scene's bands that would fit; empty if they are not all there."""
    found = []
    for place, key in enumerate(theirs.keys):
        same = [i for i, ours in enumerate(scene.keys) if ours is not None and ours == key]
        if not same:
            near = [i for i, c in enumerate(scene.centres) if _near(theirs, c, place)]
            centre = theirs.centres[place]
            same = sorted(near, key=lambda i: abs((scene.centres[i] or 0.0) - (centre or 0.0)))
        if not same or same[0] in found:
            return []
        found.append(same[0])
    return found


def described(order: Order) -> str:
    """The bands as text; the first and last of many."""
    names = order.names
    return ", ".join(names if len(names) <= 10 else (*names[:3], "...", *names[-2:]))
