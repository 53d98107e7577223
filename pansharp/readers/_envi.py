"""ENVI images named by their header, as ENVI's own users do; GDAL wants the image itself."""

from __future__ import annotations

from pathlib import Path

from pansharp.errors import MissingSidecarError

__all__ = ["data_of_header"]

_SUFFIXES = ("", ".img", ".dat", ".bsq", ".bil", ".bip", ".raw", ".bin", ".cube")


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
