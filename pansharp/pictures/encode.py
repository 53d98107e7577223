"""Pixels as the bytes of a picture file, through GDAL's drivers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError, WriteError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["encode"]

_DRIVERS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}


def encode(picture: NDArray[np.uint8], format: str = "png", *, quality: int = 85) -> bytes:
    """Encode a picture.

    Parameters
    ----------
    picture : ndarray, shape (y, x, 3) or (y, x, 4), uint8
        RGB, or RGBA. JPEG has no transparency: it gets white there.
    format : {"png", "jpeg", "webp"}
        File format. PNG loses nothing, the others do.
    quality : int
        1 to 100, for JPEG and WebP.

    Returns
    -------
    bytes

    Raises
    ------
    OptionError
        Another format, or an array that is no picture.
    WriteError
        The GDAL at hand cannot write that format.
    """
    if format not in _DRIVERS:
        raise OptionError(f"no picture format '{format}'; choose png, jpeg or webp")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise OptionError(
            f"a picture of {picture.dtype} {picture.shape}; give uint8 (y, x, 3) or (y, x, 4)"
        )
    if format == "jpeg" and picture.shape[2] == 4:
        picture = np.where(picture[..., 3:] > 0, picture[..., :3], np.uint8(255))
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    height, width, count = picture.shape
    options: dict[str, object] = {"quality": quality} if format != "png" else {}
    try:
        with MemoryFile() as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with (
                rasterio.Env(GDAL_PAM_ENABLED="NO"),
                file.open(
                    driver=_DRIVERS[format],
                    height=height,
                    width=width,
                    count=count,
                    dtype="uint8",
                    **options,
                ) as target,
            ):
                target.write(np.moveaxis(picture, 2, 0))
            return bytes(file.read())
    except RasterioError as problem:
        raise WriteError(f"GDAL cannot write {format} pictures here ({problem})") from problem
