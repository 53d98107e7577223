"""ENVI images named by their header, as ENVI's own users do; GDAL wants the image itself."""

from __future__ import annotations

import re
from pathlib import Path

from pansharp.errors import MissingSidecarError, ReaderError
from pansharp.readers._sidecar import read_text

__all__ = ["data_of_header", "header_lists"]

_SUFFIXES = ("", ".img", ".dat", ".bsq", ".bil", ".bip", ".raw", ".bin", ".cube")
#: ``key = value`` or ``key = { list over lines }``.
_FIELD = re.compile(r"^[ \t]*([A-Za-z][\w \t]{0,60}?)[ \t]*=[ \t]*(\{[^}]*\}|[^\n]*)", re.MULTILINE)


def data_of_header(path: str) -> str:
    """Find the image that an ENVI header describes.

    Parameters
    ----------
    path : str
        Any path.

    Returns
    -------
    str
        The image beside an ENVI header (``cube``, ``cube.img``, ... for ``cube.hdr`` and
        ``cube.img.hdr``); every other path as it is.

    Raises
    ------
    MissingSidecarError
        A header without its image.
    """
    header = Path(path)
    if header.suffix.lower() != ".hdr" or not header.is_file():
        return path
    with header.open("rb") as file:
        if file.read(4) != b"ENVI":
            return path
    stem = header.with_suffix("")
    names = [stem.with_name(stem.name + suffix) for suffix in _SUFFIXES]
    for name in [*names, *(stem.with_name(stem.name + s.upper()) for s in _SUFFIXES)]:
        if name.is_file():
            return str(name)
    raise MissingSidecarError(
        f"'{path}' is an ENVI header, and its image is not beside it (looked for "
        f"{', '.join(repr(n.name) for n in names[:4])} and the like); put it there"
    )


def header_lists(
    path: Path, count: int
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[bool, ...]]:
    """Wavelengths, widths and usability of the bands by an ENVI header.

    Parameters
    ----------
    path : Path
        Header.
    count : int
        Bands of the image.

    Returns
    -------
    wavelengths, widths : tuple of float
        Nanometres; empty where the header does not list `count` of them.
    good : tuple of bool
        False for bands that its bad-band list flags.

    Raises
    ------
    ReaderError
        The header is missing, damaged, or none.
    """
    text = read_text(path)
    if not text.lstrip().startswith("ENVI"):
        raise ReaderError(f"'{path}' is no ENVI header; copy or download it again")
    fields: dict[str, str] = {}
    for match in _FIELD.finditer(text):
        fields.setdefault(" ".join(match.group(1).lower().split()), match.group(2).strip())
    waves, widths = (_listed(fields.get(key, ""), count) for key in ("wavelength", "fwhm"))
    unit = fields.get("wavelength units", "").lower()
    # Without a unit, numbers below 10 can only be micrometres.
    micro = unit.startswith(("um", "µm", "micro")) or (
        not unit.startswith("n") and bool(waves) and max(waves) < 10
    )
    factor = 1000.0 if micro else 1.0
    flags = _listed(fields.get("bbl", ""), count)
    good = tuple(flag != 0 for flag in flags) or (True,) * count
    return tuple(w * factor for w in waves), tuple(w * factor for w in widths), good


def _listed(text: str, count: int) -> tuple[float, ...]:
    """A list ``{1, 2, 3}`` of exactly `count` numbers that are not negative; else empty."""
    try:
        found = tuple(float(part) for part in text.strip("{} \r\n\t").split(","))
    except ValueError:
        return ()
    sane = len(found) == count and all(0 <= value < 1e6 for value in found)
    return found if sane else ()
