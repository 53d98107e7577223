"""Which bands stand for red, green and blue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pansharp.errors import BandMismatchError, OptionError
from pansharp.registry import nearest
from pansharp.sensors import band_key

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMBINATIONS", "band_choice"]

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
    wanted, centres = COMBINATIONS[combination]
    keys = [band_key(name) for name in names]
    if all(name in keys for name in wanted):
        return tuple(keys.index(name) for name in wanted)
    words = [{band_key(word) for word in re.split(r"[^A-Za-z0-9]+", name)} for name in names]
    having = [[band for band, own in enumerate(words) if name in own] for name in wanted]
    if all(len(bands) == 1 for bands in having):
        return tuple(bands[0] for bands in having)
    if len(wavelengths) == len(names):
        chosen = [
            min(range(len(names)), key=lambda band: abs(wavelengths[band] - centre))
            for centre in centres
        ]
        if all(
            abs(wavelengths[band] - centre) <= _TOLERANCE
            for band, centre in zip(chosen, centres, strict=True)
        ):
            return tuple(chosen)
    if combination == "rgb" and len(names) > _CUBE:
        return tuple(len(names) * quarter // 4 for quarter in (3, 2, 1))
    if combination == "rgb":
        return (2, 1, 0)
    raise BandMismatchError(
        f"no bands for '{combination}' among {', '.join(names)}; name three bands instead"
    )


def _given(names: Sequence[str], bands: Sequence[int | str]) -> tuple[int, ...]:
    if len(bands) not in (1, 3):
        raise BandMismatchError(f"{len(bands)} bands for a picture; give one or three")
    keys = [band_key(name) for name in names]
    chosen = []
    for band in bands:
        if isinstance(band, str):
            if band not in names and band_key(band) not in keys:
                raise BandMismatchError(f"no band '{band}'; {nearest(band, list(names))}")
            chosen.append(names.index(band) if band in names else keys.index(band_key(band)))
        elif 0 <= band < len(names):
            chosen.append(band)
        else:
            raise BandMismatchError(f"no band {band}; bands are counted from 0 to {len(names) - 1}")
    return tuple(chosen)
