"""Bands of a cube from two detectors: in order of wavelength, without those that are double."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JOINS", "joined_bands", "left_out"]

#: Detector that is kept where both see.
JOINS = ("vnir", "swir")


def joined_bands(
    wavelengths: Sequence[float],
    vnir: Sequence[bool],
    usable: Sequence[bool],
    join: str = "vnir",
) -> tuple[tuple[int, ...], int]:
    """Choose the bands of a cube whose detectors overlap.

    Parameters
    ----------
    wavelengths : sequence of float
        Centre of every band, nanometres.
    vnir : sequence of bool
        Whether it comes from the VNIR detector; else it is the SWIR's.
    usable : sequence of bool
        Whether it may be used at all.
    join : str
        Detector that is kept where both see: ``"vnir"`` or ``"swir"``. They are never averaged:
        the two differ in width, noise and place.

    Returns
    -------
    kept : tuple of int
        Bands counted from 0, by rising wavelength.
    double : int
        Usable bands that were left out because the other detector has them.

    Raises
    ------
    OptionError
        `join` is another word.
    """
    if join not in JOINS:
        raise OptionError(f"join is '{join}'; give one of {', '.join(JOINS)}")
    groups: dict[bool, list[int]] = {True: [], False: []}
    for band, (own, good) in enumerate(zip(vnir, usable, strict=True)):
        if good:
            groups[bool(own)].append(band)
    near, far = groups[True], groups[False]
    chosen = [*near, *far]
    if near and far:
        if join == "vnir":
            rim = max(wavelengths[band] for band in near)
            far = [band for band in far if wavelengths[band] > rim]
        else:
            rim = min(wavelengths[band] for band in far)
            near = [band for band in near if wavelengths[band] < rim]
    kept = sorted([*near, *far], key=lambda band: wavelengths[band])
    return tuple(kept), len(chosen) - len(kept)


def left_out(double: int, cut: str, kept: str) -> str:
    """Note on bands that are left out because another detector has them."""
    bands = "1 band" if double == 1 else f"{double} bands"
    return f"{bands} of the {cut} detector left out where the {kept} detector sees as well"
