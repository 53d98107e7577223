"""Which bands stand for red, green and blue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pansharp.errors import BandMismatchError, OptionError
from pansharp.registry import nearest
from pansharp.sensors import band_key

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMBINATIONS", "any_bands", "band_choice"]

#: Combination to the names of its three bands, and to the wavelengths (nm) that stand for them.
COMBINATIONS: dict[str, tuple[tuple[str, str, str], tuple[float, float, float]]] = {
    "rgb": (("red", "green", "blue"), (650.0, 560.0, 480.0)),
    "false-colour": (("nir1", "red", "green"), (850.0, 650.0, 560.0)),
}
#: A band further than this from the wavelength asked for does not stand for it, nm.
_TOLERANCE = 60.0
#: More bands than this are a cube, whose first bands are no colours.
_CUBE = 12


def band_choice(
    names: Sequence[str],
    wavelengths: Sequence[float] = (),
    combination: str | Sequence[int | str] = "rgb",
) -> tuple[int, ...]:
    """Choose the bands of a picture.

    Parameters
    ----------
    names : sequence of str
        Band names in file order.
    wavelengths : sequence of float
        Centre wavelengths in nanometres, or empty.
    combination : str or sequence of int or str
        ``rgb``, ``false-colour``, or one to three bands by number (from 0) or name.

    Returns
    -------
    tuple of int
        Three bands, counted from 0; one where the image has fewer than three.

    Raises
    ------
    OptionError
        No such combination.
    BandMismatchError
        A band that the image does not have, or bands for a combination that are not there.

    Notes
    -----
    Names decide first (synonyms and vendor codes count, and one word of a longer name such as
    ``B4 red`` that no other band has), then wavelengths within 60 nm, each the nearest.
    For ``rgb`` of an image whose bands are unknown, the first three in file order are taken
    as blue, green and red, as nearly all deliveries have them; of a cube of more than 12 bands,
    three spread over its range.
    """
    if not isinstance(combination, str):
        return _given(names, combination)
    if combination not in COMBINATIONS:
        raise OptionError(
            f"no band combination '{combination}'; {nearest(combination, list(COMBINATIONS))}"
        )
    if len(names) < 3:
        return (0,)
    known = _known(names, wavelengths, combination)
    if known is not None:
        return known
    if combination == "rgb" and len(names) > _CUBE:
        return _spread(len(names))
    if combination == "rgb":
        return (2, 1, 0)
    raise BandMismatchError(
        f"no bands for '{combination}' among {', '.join(names)}; name three bands instead"
    )


def any_bands(
    names: Sequence[str], wavelengths: Sequence[float] = ()
) -> tuple[tuple[int, ...], str]:
    """Choose bands for a picture that must be made whatever the image is.

    Parameters
    ----------
    names, wavelengths
        See :func:`band_choice`.

    Returns
    -------
    tuple of int, and str
        ``rgb`` or ``false-colour`` where names or wavelengths say so; else ``assumed``, the first
        three as blue, green and red, where nothing is known of the bands; else ``spread``, three
        of them from all over the image. ``one`` where there are fewer than three.
    """
    if len(names) < 3:
        return (0,), "one"
    for combination in COMBINATIONS:
        known = _known(names, wavelengths, combination)
        if known is not None:
            return known, combination
    if len(names) <= _CUBE and len(wavelengths) != len(names):
        return (2, 1, 0), "assumed"
    return _spread(len(names)), "spread"


def _spread(count: int) -> tuple[int, ...]:
    """Three bands from all over a cube, the longest wavelength first."""
    return tuple(count * quarter // 4 for quarter in (3, 2, 1))


def _known(
    names: Sequence[str], wavelengths: Sequence[float], combination: str
) -> tuple[int, ...] | None:
    """Bands that stand for a combination by name, else by wavelength; None where none do."""
    wanted, centres = COMBINATIONS[combination]
    keys = [band_key(name) for name in names]
    if all(name in keys for name in wanted):
        return tuple(keys.index(name) for name in wanted)
    having = [_by_word(names, name) for name in wanted]
    if None not in having:
        return tuple(band for band in having if band is not None)
    if len(wavelengths) != len(names):
        return None
    chosen = [
        min(range(len(names)), key=lambda band: abs(wavelengths[band] - centre))
        for centre in centres
    ]
    near = all(
        abs(wavelengths[band] - centre) <= _TOLERANCE
        for band, centre in zip(chosen, centres, strict=True)
    )
    return tuple(chosen) if near else None


def _by_word(names: Sequence[str], wanted: str) -> int | None:
    """The one band with a word for `wanted` in its name (``B4 red``); None with none or more."""
    words = [{band_key(word) for word in re.split(r"[^A-Za-z0-9]+", name)} for name in names]
    having = [band for band, own in enumerate(words) if band_key(wanted) in own]
    return having[0] if len(having) == 1 else None


def _given(names: Sequence[str], bands: Sequence[int | str]) -> tuple[int, ...]:
    if len(bands) not in (1, 3):
        raise BandMismatchError(f"{len(bands)} bands for a picture; give one or three")
    keys = [band_key(name) for name in names]
    chosen = []
    for band in bands:
        if isinstance(band, str):
            chosen.append(_named(names, keys, band))
        elif 0 <= band < len(names):
            chosen.append(band)
        else:
            raise BandMismatchError(f"no band {band}; bands are counted from 0 to {len(names) - 1}")
    return tuple(chosen)


def _named(names: Sequence[str], keys: Sequence[str], wanted: str) -> int:
    """A band by its name, by a synonym, or by a word of a longer name."""
    if wanted in names:
        return names.index(wanted)
    if band_key(wanted) in keys:
        return keys.index(band_key(wanted))
    found = _by_word(names, wanted)
    if found is None:
        raise BandMismatchError(f"no band '{wanted}'; {nearest(wanted, list(names))}")
    return found
