"""Pixels to the bytes of a TIFF block: interleave, pad, predict, compress; and halving."""

from __future__ import annotations

import struct
import threading
import zlib
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.writers._tags import read_directory

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Codec", "halve"]

#: TIFF tag 259.
SCHEMES = {"none": 1, "lzw": 5, "deflate": 8, "zstd": 50000}
#: Pixels halved at once.
_STRIP = 1 << 17
_LEVELS = {"zstd": (1, 22), "deflate": (1, 9)}


class Codec:
    """Encodes square blocks of one raster.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the samples.
    samples : int
        Samples per pixel in a block: all bands, or 1 when bands are stored apart.
    block : int
        Edge in pixels.
    compress : {"zstd", "deflate", "lzw", "none"}
        Compression.
    level : int, optional
        Effort, by default 1.

    Raises
    ------
    OptionError
        If the level does not exist.
    """

    def __init__(
        self,
        dtype: np.dtype[np.generic],
        samples: int,
        block: int,
        compress: str,
        level: int | None,
    ) -> None:
        self.dtype = dtype.newbyteorder("<")
        self.samples = samples
        self.block = block
        self.compress = compress
        self.nbytes = block * block * samples * dtype.itemsize
        low, high = _LEVELS.get(compress, (1, 1))
        self.level = 1 if level is None else level
        if not low <= self.level <= high:
            raise OptionError(f"{compress} has no level {level}; use {low} to {high}")
        if compress == "none":
            self.predictor = 1
        else:
            self.predictor = 3 if dtype.kind == "f" else 2
        self._local = threading.local()

    def encode(self, pixels: NDArray[np.generic]) -> bytes:
        """Bytes of one block.

        Parameters
        ----------
        pixels : ndarray, shape (sample, y, x)
            At most ``block`` pixels each way; short edges are filled by repeating the last pixel.
        """
        rows = self.pack(pixels)
        if self.compress == "none":
            return rows.tobytes()
        if self.compress == "lzw":
            return self._lzw(rows)
        data = self._differences(rows)
        if self.compress == "deflate":
            return zlib.compress(data.data, self.level)
        from numcodecs.zstd import compress

        coded: bytes = compress(data, self.level)
        return coded

    def pack(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        """Full block in file order, shape (block, block * samples), in memory of this thread.

        The next call in the same thread overwrites it. A whole block of one band that lies in
        memory as it will in the file is returned as it is.
        """
        if pixels.shape == (1, self.block, self.block) and pixels.dtype == self.dtype:
            plane = pixels[0]
            if plane.flags.c_contiguous:
                flat: NDArray[np.generic] = plane
                return flat
        out = self._scratch("packed")
        cube = out.reshape(self.block, self.block, self.samples)
        _, height, width = pixels.shape
        for sample in range(self.samples):
            cube[:height, :width, sample] = pixels[sample]
        # Repeating the border instead of zeros: a mean over the border must not go dark.
        if width < self.block:
            cube[:height, width:] = cube[:height, width - 1 : width]
        if height < self.block:
            cube[height:] = cube[height - 1]
        return out

    def _scratch(self, name: str) -> NDArray[np.generic]:
        # Fresh megabytes per block would be mapped and cleared by the system every time.
        found: NDArray[np.generic] | None = getattr(self._local, name, None)
        if found is None:
            found = np.empty((self.block, self.block * self.samples), self.dtype)
            setattr(self._local, name, found)
        return found

    def _differences(self, rows: NDArray[np.generic]) -> NDArray[np.generic]:
        """TIFF predictor 2 (integers) or 3 (floats: bytes sorted by weight, then differences)."""
        step = self.samples
        out = self._scratch("differences")
        if self.predictor == 2:
            out[:, :step] = rows[:, :step]
            np.subtract(rows[:, step:], rows[:, :-step], out=out[:, step:])
            return out
        size = self.dtype.itemsize
        planes = rows.view(np.uint8).reshape(self.block, -1, size)[:, :, ::-1].transpose(0, 2, 1)
        sorted_bytes = np.ascontiguousarray(planes).reshape(self.block, -1)
        coded = out.view(np.uint8)
        coded[:, :step] = sorted_bytes[:, :step]
        np.subtract(sorted_bytes[:, step:], sorted_bytes[:, :-step], out=coded[:, step:])
        return coded

    def _lzw(self, rows: NDArray[np.generic]) -> bytes:
        """LZW by GDAL itself: a TIFF of one block in memory, whose bytes are taken over."""
        from rasterio.io import MemoryFile
        from rasterio.transform import Affine

        cube = rows.reshape(self.block, self.block, self.samples)
        with MemoryFile() as memory:
            with memory.open(
                driver="GTiff",
                width=self.block,
                height=self.block,
                count=self.samples,
                dtype=self.dtype.name,
                transform=Affine(2.0, 0.0, 0.0, 0.0, -2.0, 0.0),
                interleave="pixel",
                tiled=True,
                blockxsize=self.block,
                blockysize=self.block,
                compress="LZW",
                predictor=self.predictor,
                endianness="LITTLE",
                bigtiff="NO",
            ) as image:
                image.write(cube.transpose(2, 0, 1))
            data = bytes(memory.getbuffer())
        tags = read_directory(data)
        (start,) = struct.unpack("<I", tags[324].data)
        length = int.from_bytes(tags[325].data, "little")
        return data[start : start + length]


def halve(pixels: NDArray[np.generic], nodata: float | None) -> NDArray[np.generic]:
    """Means of 2x2 pixels; an odd last row or column counts twice.

    Parameters
    ----------
    pixels : ndarray, shape (band, y, x)
        Any type of a product.
    nodata : float, optional
        Pixels of this value (and NaN) are left out of the mean; a mean that would equal it is
        moved one count away, and four pixels without data give nodata.

    Returns
    -------
    ndarray, shape (band, ceil(y / 2), ceil(x / 2)), same type
        Integers are rounded half up.
    """
    bands, height, width = pixels.shape
    if height % 2:
        pixels = np.concatenate((pixels, pixels[:, -1:]), axis=1)
    if width % 2:
        pixels = np.concatenate((pixels, pixels[:, :, -1:]), axis=2)
    out = np.empty((bands, -(-height // 2), -(-width // 2)), pixels.dtype)
    rows = max(1, _STRIP // pixels.shape[2])
    for band, target in zip(pixels, out, strict=True):
        for top in range(0, len(target), rows):
            part = target[top : top + rows]
            _halve_strip(band[2 * top : 2 * (top + len(part))], part, nodata)
    return out


def _halve_strip(
    pixels: NDArray[np.generic], out: NDArray[np.generic], nodata: float | None
) -> None:
    """Halve a few rows of one band: temporaries stay in the cache, masks are made where needed."""
    kind = pixels.dtype
    upper, lower = pixels[0::2], pixels[1::2]
    if kind.kind == "f":
        missing = np.isnan(pixels)
        if nodata is not None:
            missing |= pixels == nodata
        if missing.any():
            _halve_masked(pixels, missing, np.nan if nodata is None else nodata, out)
            return
        with np.errstate(invalid="ignore", over="ignore"):  # infinities are the product's own
            pairs = np.add(upper, lower)
            np.add(pairs[:, 0::2], pairs[:, 1::2], out=out)
        np.multiply(out, kind.type(0.25), out=out)
        return
    if nodata is not None:
        missing = pixels == nodata
        if missing.any():
            _halve_masked(pixels, missing, nodata, out)
            return
    # Four samples of 8 or 16 bits fit in 32 bits, four of 32 in 64.
    wide = np.dtype(f"{kind.kind}{4 if kind.itemsize < 4 else 8}")
    pairs = np.add(upper, lower, dtype=wide)
    total = np.add(pairs[:, 0::2], pairs[:, 1::2])
    np.add(total, wide.type(2), out=total)
    np.right_shift(total, wide.type(2), out=out, casting="unsafe")
    if nodata is not None:
        _keep_off(out, nodata)


def _halve_masked(
    pixels: NDArray[np.generic],
    missing: NDArray[np.bool_],
    nodata: float,
    out: NDArray[np.generic],
) -> None:
    values = np.where(missing, 0.0, pixels.astype(np.float64))
    rows = values[0::2] + values[1::2]
    total = rows[:, 0::2] + rows[:, 1::2]
    present = (~missing).astype(np.uint8)
    pairs = present[0::2] + present[1::2]
    count = pairs[:, 0::2] + pairs[:, 1::2]
    mean = total / np.maximum(count, 1)
    if pixels.dtype.kind != "f":
        np.floor(mean + 0.5, out=mean)
    np.copyto(out, mean, casting="unsafe")
    _keep_off(out, nodata)
    out[count == 0] = nodata


def _keep_off(means: NDArray[np.generic], nodata: float) -> None:
    """Move means that happen to equal nodata one count away."""
    hit = means == nodata
    if hit.any():
        kind = means.dtype
        if kind.kind == "f":
            means[hit] = np.nextafter(kind.type(nodata), kind.type(np.inf if nodata <= 0 else 0))
        else:
            means[hit] = nodata - 1 if nodata == np.iinfo(kind.str).max else nodata + 1
