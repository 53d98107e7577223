"""Continuous 1-D kernels: the toolbox filters generalised to any ratio and sub-pixel offset.

Each kernel is a frozen value with a `radius` (in pixels of the image that is sampled) and is called
with distances in those pixels. On the toolbox grid (whole ratio 2 or 4, whole offset) they give the
taps of the published filters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "UP",
    "Binomial",
    "Box",
    "Cubic",
    "Interp23",
    "Kernel",
    "MtfGaussian",
    "Table",
    "Triangle",
    "glp_halo",
    "halvings",
    "wavelet_down",
    "wavelet_up",
]

#: Half-band taps of the 23-tap interpolator at odd offsets 1, 3, 5, 7, 9, 11 (metrics page, 1.2).
_HALF_BAND = (
    0.610668182370,
    -0.145397186478,
    0.043619155884,
    -0.010385513306,
    0.001615524292,
    -0.000120162964,
)
_LEVELS = 10
#: Low-pass analysis filter of the Cohen-Daubechies-Feauveau 9/7 pair, offsets -4 ... 4.
TAPS9 = (
    *(0.026748757411, -0.016864118443, -0.078223266529, 0.266864118443, 0.602949018236),
    *(0.266864118443, -0.078223266529, -0.016864118443, 0.026748757411),
)
#: Its synthesis filter times 2, which keeps the level after zeros were put between the samples.
TAPS7 = (
    *(-0.091271763114, -0.057543526229, 0.591271763114, 1.115087052457),
    *(0.591271763114, -0.057543526229, -0.091271763114),
)


class Kernel(Protocol):
    """A 1-D kernel with finite support."""

    @property
    def normalize(self) -> bool:
        """Whether the weights of one output are divided by their sum."""
        ...

    @property
    def radius(self) -> float:
        """Distance beyond which the kernel is 0, in input pixels."""
        ...

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values at `distance` (input pixels)."""
        ...

    def __hash__(self) -> int:
        """Kernels are keys of the weight cache."""
        ...


@lru_cache(maxsize=1)
def _interp23_table() -> NDArray[np.float64]:
    """Limit function of the half-band filter on a grid of 1/1024 pixel, -11 ... 11."""
    taps = np.zeros(23)
    for k, value in enumerate(_HALF_BAND):
        taps[11 + 2 * k + 1] = taps[11 - 2 * k - 1] = value
    # The interpolating filter keeps the samples, so each level only fills the midpoints.
    values = np.zeros(23)
    values[11] = 1.0
    for _ in range(_LEVELS):
        fine = np.zeros(2 * values.size - 1)
        fine[::2] = values
        padded = np.pad(values, 6)
        mid = np.zeros(values.size - 1)
        for k, value in enumerate(_HALF_BAND):
            left = padded[6 - k : 6 - k + mid.size]
            right = padded[7 + k : 7 + k + mid.size]
            # Taps sum to 2 over both halves: each midpoint takes the average weight.
            mid += value * (left + right)
        fine[1::2] = mid
        values = fine
    return values


@dataclass(frozen=True, slots=True)
class Interp23:
    """Interpolator of the toolbox (23 taps), as a function of a continuous distance.

    The half-band filter is an interpolating subdivision scheme; its limit function takes the
    toolbox's exact values at halves and quarters and defines all positions between.
    """

    normalize: bool = False

    @property
    def radius(self) -> float:
        """Support in MS pixels."""
        return 11.0

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values at `distance` MS pixels."""
        table = _interp23_table()
        step = 2**_LEVELS
        at = np.abs(distance) * step
        index = np.minimum(at.astype(np.int64), 11 * step - 1)
        part = at - index
        half = table[11 * step :]
        value = half[index] * (1.0 - part) + half[index + 1] * part
        return np.where(at < 11 * step, value, 0.0)


@dataclass(frozen=True, slots=True)
class Cubic:
    """Cubic convolution (a = -0.5), stretched by `stretch` when it shrinks an image (imresize).

    Parameters
    ----------
    stretch : float
        Shrink factor; 1 for plain interpolation.
    """

    stretch: float = 1.0
    normalize: bool = True

    @property
    def radius(self) -> float:
        """Support in input pixels."""
        return 2.0 * self.stretch

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values (not yet normalised) at `distance` input pixels."""
        t = np.abs(distance) / self.stretch
        near = 1.5 * t**3 - 2.5 * t**2 + 1.0
        far = -0.5 * t**3 + 2.5 * t**2 - 4.0 * t + 2.0
        return np.where(t <= 1.0, near, np.where(t < 2.0, far, 0.0))


@dataclass(frozen=True, slots=True)
class Triangle:
    """Linear interpolation, stretched by `stretch` when it shrinks an image (imresize)."""

    stretch: float = 1.0
    normalize: bool = True

    @property
    def radius(self) -> float:
        """Support in input pixels."""
        return self.stretch

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values (not yet normalised) at `distance` input pixels."""
        return np.maximum(0.0, 1.0 - np.abs(distance) / self.stretch)


@dataclass(frozen=True, slots=True)
class Box:
    """Mean over an odd number of pixels around each pixel of the same grid.

    Parameters
    ----------
    size : int
        Odd.
    """

    size: int
    normalize: bool = True

    @property
    def radius(self) -> float:
        """Support in pixels."""
        return self.size / 2.0

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values (not yet normalised) at `distance` pixels."""
        return np.where(np.abs(distance) < self.size / 2.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Table:
    """A symmetric kernel that is known at equal steps, straight lines between.

    For cascades of discrete filters: exact at the positions that the cascade has, and defined at
    those between.

    Parameters
    ----------
    values : tuple of float
        At distances 0, step, 2 step, ...; 0 beyond.
    step : float
        In input pixels.
    """

    values: tuple[float, ...]
    step: float
    normalize: bool = True

    @property
    def radius(self) -> float:
        """Support in input pixels."""
        return len(self.values) * self.step

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values (not yet normalised) at `distance` input pixels."""
        at = np.arange(len(self.values) + 1) * self.step
        return np.asarray(np.interp(np.abs(distance), at, (*self.values, 0.0), right=0.0))


def _impulse(
    distance: NDArray[np.float64], ratio: float, gain: float, legacy: bool
) -> NDArray[np.float64]:
    """Inverse transform of the sampled Gaussian response at distances (n,), PAN pixels."""
    count = 41 if legacy else 40
    alpha = count / (2.0 * ratio) / math.sqrt(-2.0 * math.log(gain))
    k = np.arange(1, 21, dtype=np.float64)
    spectrum = np.exp(-(k**2) / (2.0 * alpha**2))
    turns = np.outer(distance, k) * (2.0 * math.pi / 41.0)
    return np.asarray((1.0 + 2.0 * np.cos(turns) @ spectrum) / 41.0)


@lru_cache(maxsize=256)
def _axis_window(ratio: float, gain: float, legacy: bool) -> NDArray[np.float64]:
    """Window along one axis at 0, 1, ..., 20 PAN pixels that stands for the rotated Kaiser one."""
    steps = np.arange(21.0)
    kaiser = np.i0(0.5 * np.sqrt(1.0 - (steps / 20.0) ** 2)) / np.i0(0.5)
    radius = np.hypot(steps[:, None], steps)
    # Linear interpolation of the sampled window is part of the published design.
    window = np.interp(radius, steps, kaiser, right=0.0)
    taps = _impulse(steps, ratio, gain, legacy)
    # One quadrant stands for all four; every tap off an axis occurs twice along it.
    times = np.sqrt(np.where(steps > 0, 2.0, 1.0))
    weighted = taps * times
    left, sizes, _ = np.linalg.svd(weighted[:, None] * window * weighted)
    nearest = np.abs(left[:, 0]) * math.sqrt(sizes[0])
    # Where the impulse is next to nothing its quotient is noise.
    large = np.abs(taps) > 1e-6 * taps[0]
    result = np.where(large, nearest / np.where(large, np.abs(weighted), 1.0), kaiser)
    result.setflags(write=False)
    return np.asarray(result)


@dataclass(frozen=True, slots=True)
class MtfGaussian:
    """MTF-matched low-pass (metrics page, 1.1) along one axis.

    The 41-tap window-method design is a trigonometric polynomial, so it is evaluated at any
    distance. The rotated Kaiser window makes the 2-D kernel not quite separable: the window here
    is the one whose product with itself comes nearest to it (least squares over all taps). The sum
    of absolute differences to the 2-D kernel is below 1.5e-5 at ratios 2 and 4.

    Parameters
    ----------
    ratio : float
        MS pixel over PAN pixel.
    gain : float
        Amplitude at the MS Nyquist frequency, 0 to 1.
    normalize : bool
        Divide by the sum, so that the mean is kept exactly. The toolbox does not.
    legacy : bool
        The 2015 design with N in place of N-1 (used by `gauss_lp`).
    """

    ratio: float
    gain: float
    normalize: bool = False
    legacy: bool = False

    @property
    def radius(self) -> float:
        """Distance in PAN pixels beyond which nothing above 1e-7 of the peak lies (at most 20)."""
        # The sampled design cuts its spectrum at gain ** ratio ** 2: at ratios near 2 it rings for
        # long. One rule for all gains, so that the smallest gain has the largest radius.
        if 0.4 ** (self.ratio**2) > 1e-6:
            return 20.0
        sigma = self.ratio * math.sqrt(-2.0 * math.log(self.gain)) / math.pi
        return min(20.0, math.ceil(5.7 * sigma) + 1.0)

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values at `distance` PAN pixels."""
        flat = np.abs(np.asarray(distance, dtype=np.float64)).ravel()
        # Exactly 0 beyond: the weights of a pixel must not depend on the block it is computed in.
        inside = flat <= self.radius
        value = _impulse(flat, self.ratio, self.gain, self.legacy)
        window = np.interp(flat, np.arange(21.0), _axis_window(self.ratio, self.gain, self.legacy))
        value = np.where(inside, value * window, 0.0)
        return np.asarray(value.reshape(np.shape(distance)))


@dataclass(frozen=True, slots=True)
class Binomial:
    """The undecimated B3-spline low-pass of `atrous_lp`, as a continuous binomial.

    The 5-tap filter [1 4 6 4 1]/16 applied ``2 log2(ratio)`` times is the binomial row of order
    ``8 log2(ratio)``; the gamma function extends it to distances between the taps.

    Parameters
    ----------
    order : int
        Order of the binomial row (16 for ratio 4).
    """

    order: int
    normalize: bool = True

    @property
    def radius(self) -> float:
        """Support in PAN pixels."""
        return self.order / 2.0 + 0.999

    def __call__(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel values (not yet normalised) at `distance` PAN pixels."""
        half = self.order / 2.0
        flat = np.abs(np.asarray(distance, dtype=np.float64))
        inside = flat < half + 1.0
        t = np.where(inside, flat, 0.0)
        log_gamma = np.vectorize(math.lgamma)
        log_top = math.lgamma(self.order + 1.0) - self.order * math.log(2.0)
        value = np.exp(log_top - log_gamma(half + t + 1.0) - log_gamma(half - t + 1.0))
        return np.where(inside, value, 0.0)

    @classmethod
    def for_ratio(cls, ratio: float) -> Binomial:
        """The row that belongs to a PAN/MS ratio."""
        return cls(8 * max(1, round(math.log2(ratio))))


def _cascade(taps: tuple[float, ...], levels: int) -> tuple[float, ...]:
    """One filter for `levels` stages with doubling spacing: its half from the centre on."""
    total = np.ones(1)
    for level in range(levels):
        wide = np.zeros((len(taps) - 1) * 2**level + 1)
        wide[:: 2**level] = taps
        total = np.convolve(total, wide)
    return tuple(total[total.size // 2 :].tolist())


def halvings(ratio: float) -> int:
    """Stages of a pyramid of halvings that come nearest to a ratio, 1 or more."""
    return max(1, round(math.log2(ratio)))


@lru_cache(maxsize=32)
def wavelet_down(ratio: float) -> Table:
    """The 9-tap filter with a halving after each stage, on PAN pixels.

    At ratios between powers of two the nearest cascade is stretched.
    """
    levels = halvings(ratio)
    return Table(_cascade(TAPS9, levels), ratio / 2.0**levels)


@lru_cache(maxsize=32)
def wavelet_up(ratio: float) -> Table:
    """The 7-tap filter with a doubling before each stage, on MS pixels."""
    levels = halvings(ratio)
    return Table(_cascade(TAPS7, levels), 0.5**levels)


#: The interpolator from MS to PAN positions, the same everywhere.
UP = Interp23()


def glp_halo(ratio: float, gains: tuple[float, ...]) -> int:
    """PAN pixels around a window that its GLP low-pass (blur, decimate, interpolate) reaches.

    Parameters
    ----------
    ratio : float
        MS pixel over PAN pixel.
    gains : tuple of float
        MTF gains of the bands.

    Returns
    -------
    int
    """
    blur = max(MtfGaussian(ratio, g).radius for g in gains)
    return math.ceil(ratio * (UP.radius + 1.0) + blur) + 1
