"""A ground that is known everywhere, and cameras that see it through exact RPC."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rasterio.warp import transform as project

#: Height in metres at UTM coordinates (x, y).
Terrain = Callable[[np.ndarray, np.ndarray], np.ndarray]


def flat(height: float) -> Terrain:
    """Terrain of one height."""
    return lambda x, y: np.full(np.shape(x), height)


def hills(base: float, rise: float, length: float) -> Terrain:
    """Smooth hills: `rise` metres up and down around `base`, `length` metres from top to top."""
    wave = 2 * math.pi / length
    return lambda x, y: base + rise * np.sin(wave * x) * np.cos(wave * y)


@dataclass
class Ground:
    """Bands of reflected light as a function of place, so that any grid can be laid over it.

    Each band is a constant plus plane waves; all bands share the waves with different weights, as
    real bands share edges.

    Parameters
    ----------
    bands : int
        Number of bands; the PAN is their mean.
    pixel : float
        Size of the finest pixel that will be laid over it, metres: the shortest wave has three.
    origin : tuple of float
        UTM coordinates near the site: phases are counted from there.
    seed : int
        Of the random waves.
    """

    bands: int = 8
    pixel: float = 0.31
    origin: tuple[float, float] = (500_000.0, 4_980_000.0)
    seed: int = 20260101

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        count = 24
        length = np.geomspace(3.0, 120.0, count) * self.pixel
        angle = rng.uniform(0, math.pi, count)
        self._fy, self._fx = np.cos(angle) / length, np.sin(angle) / length
        self._phase = rng.uniform(0, 2 * math.pi, count)
        shared = length**0.7 * rng.uniform(0.5, 1.0, count)
        weights = shared * rng.uniform(0.6, 1.4, (self.bands, count))
        self._weights = weights / weights.sum(axis=1, keepdims=True)
        self._mean = rng.uniform(450.0, 900.0, self.bands)

    def sample(self, x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
        """Means over squares of side `pixel` metres centred on UTM (x, y): (band, ...), counts."""
        east, north = np.asarray(x) - self.origin[0], np.asarray(y) - self.origin[1]
        blur = np.sinc(self._fy * pixel) * np.sinc(self._fx * pixel)
        out = np.zeros((self.bands, *east.shape))
        for k, (fx, fy, phase) in enumerate(zip(self._fx, self._fy, self._phase, strict=True)):
            wave = np.cos(2 * math.pi * (fx * east + fy * north) + phase)
            out += (self._weights[:, k] * blur[k])[(slice(None), *(None,) * wave.ndim)] * wave
        mean = self._mean[(slice(None), *(None,) * east.ndim)]
        return mean * (1 + 0.8 * out)


@dataclass
class Camera:
    """An affine camera in normalised longitude, latitude and height: its RPC are exact.

    ``line = line_off + line_scale * (-P + turn * L + lean[0] * H)`` and
    ``samp = samp_off + samp_scale * (L + lean[1] * H)`` with P, L, H the normalised latitude,
    longitude and height. Pixel (0, 0) is the centre of the first pixel.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    gsd : float
        Pixel size, metres.
    centre : tuple of float
        Longitude and latitude seen in the middle at the offset height.
    height : float
        Offset height, metres above the ellipsoid.
    lean : tuple of float
        Lines and samples by which the image moves per `height_scale` metres of height, in units of
        half the image.
    turn : float
        Lines, in units of half the image, by which the image rises towards the east.
    shift : tuple of float
        Rows and columns by which the true camera looks off from what its RPC say: positive shows at
        every pixel the ground further down and right.
    """

    shape: tuple[int, int]
    gsd: float
    centre: tuple[float, float] = (9.0, 45.0)
    height: float = 100.0
    height_scale: float = 500.0
    lean: tuple[float, float] = (0.05, 0.2)
    turn: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        rows, cols = self.shape
        lat = self.centre[1]
        self.line_scale, self.samp_scale = rows / 2, cols / 2
        self.line_off, self.samp_off = (rows - 1) / 2, (cols - 1) / 2
        self.lat_scale = rows / 2 * self.gsd / 111_320
        self.long_scale = cols / 2 * self.gsd / (111_320 * math.cos(math.radians(lat)))

    def to_pixel(
        self, lon: np.ndarray, lat: np.ndarray, height: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Row and column (centres at whole numbers) of ground points, as the RPC say."""
        up = (np.asarray(height) - self.height) / self.height_scale
        p = (np.asarray(lat) - self.centre[1]) / self.lat_scale
        l = (np.asarray(lon) - self.centre[0]) / self.long_scale  # noqa: E741 - RPC00B's letter
        row = self.line_off + self.line_scale * (-p + self.turn * l + self.lean[0] * up)
        col = self.samp_off + self.samp_scale * (l + self.lean[1] * up)
        return row, col

    def to_ground(
        self, row: np.ndarray, col: np.ndarray, height: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of pixels at a height, as the RPC say."""
        up = (np.asarray(height) - self.height) / self.height_scale
        l = (np.asarray(col) - self.samp_off) / self.samp_scale - self.lean[1] * up  # noqa: E741
        p = self.turn * l + self.lean[0] * up - (np.asarray(row) - self.line_off) / self.line_scale
        return self.centre[0] + l * self.long_scale, self.centre[1] + p * self.lat_scale

    def locate(
        self, row: np.ndarray, col: np.ndarray, terrain: Terrain, crs: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """UTM coordinates of the ground that the pixels really show."""
        row, col = np.broadcast_arrays(row + self.shift[0], col + self.shift[1])
        height: np.ndarray | float = self.height
        for _ in range(30):
            lon, lat = self.to_ground(row, col, height)
            x, y = project("EPSG:4326", crs, lon.ravel().tolist(), lat.ravel().tolist())
            east, north = np.reshape(x, row.shape), np.reshape(y, row.shape)
            new = terrain(east, north)
            if np.abs(new - height).max() < 1e-6:
                break
            height = new
        return east, north

    def view(self, ground: Ground, terrain: Terrain, crs: str) -> np.ndarray:
        """The image (band, y, x), counts in float64."""
        rows, cols = np.mgrid[0 : self.shape[0], 0 : self.shape[1]].astype(float)
        x, y = self.locate(rows, cols, terrain, crs)
        return ground.sample(x, y, self.gsd)

    def rpc(self) -> dict[str, object]:
        """Fields of the group IMAGE of an RPB."""

        def sparse(**places: float) -> list[float]:
            values = [0.0] * 20
            for place, value in places.items():
                values[int(place[1:])] = value
            return values

        return {
            "errBias": 0.0,
            "errRand": 0.0,
            "lineOffset": self.line_off,
            "sampOffset": self.samp_off,
            "latOffset": self.centre[1],
            "longOffset": self.centre[0],
            "heightOffset": self.height,
            "lineScale": self.line_scale,
            "sampScale": self.samp_scale,
            "latScale": self.lat_scale,
            "longScale": self.long_scale,
            "heightScale": self.height_scale,
            "lineNumCoef": sparse(i1=self.turn, i2=-1.0, i3=self.lean[0]),
            "lineDenCoef": sparse(i0=1.0),
            "sampNumCoef": sparse(i1=1.0, i3=self.lean[1]),
            "sampDenCoef": sparse(i0=1.0),
        }
