"""A seeded PAN/MS pair of any size, written in bounded memory: what benchmarks and tests fuse."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import OptionError, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rasterio.io import DatasetWriter

__all__ = ["write_large_scene"]

#: Periods of the textures in PAN pixels: without a common factor, so that their sum repeats
#: only far outside any scene.
_PERIODS = (1021, 863, 709)
#: GeoTIFF block.
_BLOCK = 256
_DTYPES = ("uint8", "uint16", "float32")
_PIXEL_M = 0.5
_CRS = "EPSG:32633"
_ORIGIN = (500_000.0, 5_000_000.0)
_FOUR = ("blue", "green", "red", "nir")


class _Torus:
    """A periodic image of which any window can be cut as a view.

    Parameters
    ----------
    image : ndarray, shape (n, n), float32
        One period.
    reach : int
        Largest window side.
    """

    def __init__(self, image: NDArray[np.float32], reach: int) -> None:
        self._period = image.shape[0]
        self._image = np.pad(image, ((0, reach), (0, reach)), mode="wrap")

    def cut(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        y, x = row % self._period, col % self._period
        return self._image[y : y + height, x : x + width]


def _texture(rng: np.random.Generator, size: int, slope: float) -> NDArray[np.float32]:
    """Periodic Gaussian texture with amplitude spectrum 1/f**slope, mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    radius[0, 0] = 1.0
    spectrum /= radius**slope
    spectrum[0, 0] = 0.0
    image = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(image / image.std(), dtype=np.float32)


@dataclass(frozen=True)
class _Ground:
    """Brightness and land cover of the imagined ground, the same wherever a window is cut."""

    fine: _Torus
    coarse: _Torus
    cover: _Torus
    noise: tuple[_Torus, _Torus]

    @classmethod
    def from_seed(cls, seed: int, reach: int) -> _Ground:
        rng = np.random.default_rng(seed)
        first, second, third = _PERIODS
        cover = _texture(rng, third, 1.6)
        # Level sets of a smooth field: patches with sharp borders, as fields and roofs have.
        steps = np.digitize(cover, [-1.0, -0.3, 0.2, 0.9]).astype(np.float32) - 2.0
        return cls(
            fine=_Torus(_texture(rng, first, 1.2), reach),
            coarse=_Torus(_texture(rng, second, 1.4), reach),
            cover=_Torus(steps, reach),
            noise=(
                _Torus(rng.standard_normal((first, first), dtype=np.float32), reach),
                _Torus(rng.standard_normal((second, second), dtype=np.float32), reach),
            ),
        )

    def window(
        self, row: int, col: int, height: int, width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Noise-free brightness (counts) and land cover (-2 to 2), both (y, x) float32."""
        at = (row, col, height, width)
        cover = self.cover.cut(*at)
        brightness = 400.0 + 55.0 * self.fine.cut(*at)
        brightness += 70.0 * self.coarse.cut(*at)
        brightness += 60.0 * cover
        return brightness, cover

    def noise_at(
        self, row: int, col: int, height: int, width: int, deviation: float
    ) -> NDArray[np.float32]:
        """White noise that does not depend on how the scene is cut into tiles."""
        first, second = (torus.cut(row, col, height, width) for torus in self.noise)
        noise = first + second
        noise *= np.float32(deviation / np.sqrt(2.0))
        return noise


def _block_mean(image: NDArray[np.float32], ratio: int) -> NDArray[np.float32]:
    """Mean over squares of `ratio` pixels, (y, x) float32."""
    height, width = image.shape[0] // ratio, image.shape[1] // ratio
    # Strided sums are several times faster than a mean over two axes of a 4-D view.
    rows = image[::ratio].copy()
    for k in range(1, ratio):
        rows += image[k::ratio]
    total = np.zeros((height, width), dtype=np.float32)
    for k in range(ratio):
        total += rows[:, k::ratio]
    total /= np.float32(ratio * ratio)
    return total


def _mixtures(bands: int) -> NDArray[np.float32]:
    """Share of brightness and of land cover in every band, (band, 2)."""
    at = np.linspace(0.0, 1.0, bands) if bands > 1 else np.array([0.5])
    return np.stack([0.8 + 0.5 * at, 120.0 * (at - 0.4)], axis=1).astype(np.float32)


def _tiles(size: int, tile: int) -> Iterator[tuple[int, int, int, int]]:
    for row in range(0, size, tile):
        for col in range(0, size, tile):
            yield row, col, min(tile, size - row), min(tile, size - col)


def _encode(image: NDArray[np.float32], dtype: str) -> NDArray[np.generic]:
    if dtype == "float32":
        return image
    # 8-bit scenes keep the texture by a smaller scale; 0 stays free for pixels without data.
    scale, top = (0.25, 255.0) if dtype == "uint8" else (1.0, 2047.0)
    scaled = image * np.float32(scale)
    np.rint(scaled, out=scaled)
    np.clip(scaled, 1.0, top, out=scaled)
    return scaled.astype(dtype)


def _profile(size: int, count: int, pixel: float, dtype: str) -> dict[str, Any]:
    from rasterio.transform import Affine

    return {
        "driver": "GTiff",
        "height": size,
        "width": size,
        "count": count,
        "dtype": dtype,
        "crs": _CRS,
        "transform": Affine(pixel, 0.0, _ORIGIN[0], 0.0, -pixel, _ORIGIN[1]),
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "BIGTIFF": "IF_SAFER",
    }


def write_large_scene(
    folder: str | Path,
    size: int = 8192,
    bands: int = 4,
    ratio: int = 4,
    seed: int = 0,
    tile: int = 1024,
    dtype: str = "uint16",
) -> tuple[Path, Path]:
    """Write a PAN/MS pair of any size: 1/f texture, patches with sharp borders, noise.

    Every MS band is a mixture of the brightness (which is what the PAN shows) and of the land
    cover, averaged over `ratio` x `ratio` pixels. The pixels depend on the seed and on their
    position only, not on `tile`. The files are uncompressed, in blocks of 256, with the same
    upper-left corner, in EPSG:32633, PAN pixels of 0.5 m.

    Parameters
    ----------
    folder : str or Path
        Created if need be; gets ``large_<size>_pan.tif`` and ``large_<size>_ms.tif``.
    size : int
        Rows and columns of the PAN, a multiple of `ratio`.
    bands : int
        MS bands.
    ratio : int
        MS pixel size over PAN pixel size.
    seed : int
        Seed of the ground and the noise.
    tile : int
        Pixels worked on at once, a multiple of 256 and of `ratio`; memory grows with its square.
    dtype : {"uint16", "uint8", "float32"}
        Integers lie in 1 ... 2047 (uint16) or 1 ... 255 (uint8).

    Returns
    -------
    pan_path, ms_path : Path

    Raises
    ------
    OptionError
        If a size does not fit the ratio or the dtype is not among those above.
    WriteError
        If the files cannot be written; what was begun is removed.
    """
    if dtype not in _DTYPES:
        raise OptionError(f"dtype is '{dtype}'; choose one of: {', '.join(_DTYPES)}")
    if ratio < 1 or size < ratio or size % ratio:
        raise OptionError(f"size {size} is not a multiple of the ratio {ratio}")
    if tile < 1 or tile % _BLOCK or tile % ratio:
        raise OptionError(f"tile is {tile}; give a multiple of {_BLOCK} and of the ratio {ratio}")
    if bands < 1:
        raise OptionError(f"bands is {bands}; give at least 1")
    target = Path(folder)
    pan_path, ms_path = (target / f"large_{size}_{part}.tif" for part in ("pan", "ms"))

    import rasterio
    from rasterio.errors import RasterioError

    try:
        target.mkdir(parents=True, exist_ok=True)
        with (
            rasterio.open(pan_path, "w", **_profile(size, 1, _PIXEL_M, dtype)) as pan,
            rasterio.open(
                ms_path, "w", **_profile(size // ratio, bands, _PIXEL_M * ratio, dtype)
            ) as ms,
        ):
            _fill(pan, ms, size=size, ratio=ratio, seed=seed, tile=tile, dtype=dtype)
    except BaseException as problem:
        for path in (pan_path, ms_path):
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(problem, RasterioError | OSError):
            raise WriteError(f"cannot write the scene to '{target}': {problem}") from problem
        raise
    return pan_path, ms_path


def _fill(
    pan: DatasetWriter,
    ms: DatasetWriter,
    *,
    size: int,
    ratio: int,
    seed: int,
    tile: int,
    dtype: str,
) -> None:
    """Write all tiles of both rasters."""
    from rasterio.windows import Window

    ground = _Ground.from_seed(seed, tile)
    mixtures = _mixtures(ms.count)
    pan.descriptions = ("pan",)
    ms.descriptions = _FOUR if ms.count == 4 else tuple(f"b{k + 1}" for k in range(ms.count))
    for row, col, height, width in _tiles(size, tile):
        brightness, cover = ground.window(row, col, height, width)
        mean, mean_cover = _block_mean(brightness, ratio), _block_mean(cover, ratio)
        brightness += ground.noise_at(row, col, height, width, 4.0)
        pan.write(_encode(brightness, dtype), 1, window=Window(col, row, width, height))
        y, x, h, w = (value // ratio for value in (row, col, height, width))
        planes = np.empty((ms.count, h, w), dtype=np.float32)
        for k, (share, difference) in enumerate(mixtures):
            planes[k] = share * mean + difference * mean_cover
            # Each band reads the noise at another place, so that bands are independent.
            planes[k] += ground.noise_at(y + 131 * (k + 1), x + 197 * (k + 1), h, w, 2.0)
        ms.write(_encode(planes, dtype), window=Window(x, y, w, h))
