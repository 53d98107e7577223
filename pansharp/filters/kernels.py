"""Low-pass kernels matched to a sensor's modulation transfer function (MTF)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.sensors import SensorProfile

__all__ = ["KERNEL_SIZE", "gaussian_kernel", "mtf_kernel", "mtf_kernel_from_gain", "mtf_kernels"]

KERNEL_SIZE = 41
"""Side of every MTF kernel, in PAN pixels."""

_KAISER_BETA = 0.5
_GAUSS_GAIN = 0.3


@lru_cache(maxsize=256)
def _kernel(gain: float, ratio: float, legacy: bool) -> NDArray[np.float64]:
    length = KERNEL_SIZE if legacy else KERNEL_SIZE - 1
    alpha = math.sqrt((length / (2.0 * ratio)) ** 2 / (-2.0 * math.log(gain)))
    offset = np.arange(KERNEL_SIZE, dtype=np.float64) - KERNEL_SIZE // 2
    gauss = np.exp(-(offset**2) / (2.0 * alpha**2))
    response = np.outer(gauss, gauss)
    # A toolbox Gaussian is cut where it falls below the rounding error of its peak.
    response[response < np.finfo(np.float64).eps * response.max()] = 0.0
    response /= response.max()
    impulse = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(response))).real

    axis = offset / (KERNEL_SIZE // 2)
    radius = np.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2)
    window = np.interp(radius, axis, np.kaiser(KERNEL_SIZE, _KAISER_BETA))
    window[radius > 1.0] = 0.0
    kernel: NDArray[np.float64] = impulse * window
    kernel.setflags(write=False)
    return kernel


def mtf_kernel_from_gain(gain: float, ratio: float, *, legacy: bool = False) -> NDArray[np.float64]:
    """Kernel whose frequency response falls to `gain` at the Nyquist frequency of the low grid.

    A Gaussian frequency response is brought to space by the window method with a circularly
    rotated Kaiser window (beta 0.5). The kernel is *not* renormalised: its sum is about 0.999,
    as in the reference toolbox.

    Parameters
    ----------
    gain : float
        MTF at Nyquist, between 0 and 1.
    ratio : float
        Low-resolution pixel over high-resolution pixel, above 1.
    legacy : bool
        Use the filter length N = 41 instead of N - 1 = 40 in the width of the Gaussian, as the
        2015 edition of the toolbox does.

    Returns
    -------
    ndarray
        Shape (41, 41), float64, read-only.

    Raises
    ------
    OptionError
        `gain` is not in (0, 1) or `ratio` is not above 1.

    References
    ----------
    Aiazzi et al., "MTF-tailored multiscale fusion of high-resolution MS and Pan imagery",
    PE&RS 72(5), 2006; Vivone et al., IEEE TGRS 53(5), 2015.

    Examples
    --------
    >>> kernel = mtf_kernel_from_gain(0.34, 4)
    >>> kernel.shape, round(float(kernel.sum()), 6)
    ((41, 41), 0.998869)
    """
    if not 0.0 < gain < 1.0:
        raise OptionError(f"MTF gain {gain:g} is not between 0 and 1; give the gain at Nyquist")
    if not ratio > 1.0:
        raise OptionError(
            f"ratio {ratio:g} is not above 1; give MS pixel size over PAN pixel size, for example 4"
        )
    return _kernel(float(gain), float(ratio), bool(legacy))


def gaussian_kernel(ratio: float) -> NDArray[np.float64]:
    """Kernel of `gauss_lp`: gain 0.3 with the legacy width; shape (41, 41), float64."""
    return mtf_kernel_from_gain(_GAUSS_GAIN, ratio, legacy=True)


def _profile(sensor: str | SensorProfile) -> SensorProfile:
    from pansharp.sensors import get_sensor

    return get_sensor(sensor) if isinstance(sensor, str) else sensor


def mtf_kernel(
    sensor: str | SensorProfile | float, ratio: float, band: int | str, *, legacy: bool = False
) -> NDArray[np.float64]:
    """MTF-matched low-pass kernel of one band of a sensor.

    Parameters
    ----------
    sensor : str, SensorProfile or float
        Sensor name, its profile, or directly the gain at Nyquist.
    ratio : float
        MS pixel over PAN pixel.
    band : int or "pan"
        Zero-based MS band in the order of the sensor table, or the panchromatic band.
    legacy : bool
        See `mtf_kernel_from_gain`.

    Returns
    -------
    ndarray
        Shape (41, 41), float64, read-only, sum slightly below 1.

    Raises
    ------
    UnknownSensorError
        No sensor of that name.
    OptionError
        `band` is neither an index nor ``"pan"``.

    Examples
    --------
    >>> mtf_kernel(0.3, 4, 0).shape
    (41, 41)
    """
    if isinstance(sensor, (int, float)):
        return mtf_kernel_from_gain(float(sensor), ratio, legacy=legacy)
    if isinstance(band, str):
        if band.lower() != "pan":
            raise OptionError(f"band '{band}' is unknown; give a zero-based index or 'pan'")
        gain, _ = _profile(sensor).pan_gain
        return mtf_kernel_from_gain(gain, ratio, legacy=legacy)
    if band < 0:
        raise OptionError(f"band {band} is negative; give a zero-based index or 'pan'")
    gains, _ = _profile(sensor).mtf_gains(None, band + 1)
    return mtf_kernel_from_gain(gains[band], ratio, legacy=legacy)


def mtf_kernels(
    sensor: str | SensorProfile | float, ratio: float, count: int, *, legacy: bool = False
) -> NDArray[np.float64]:
    """Kernels of the first `count` MS bands of a sensor.

    Parameters
    ----------
    sensor : str, SensorProfile or float
        As in `mtf_kernel`; a float is used for every band.
    ratio : float
        MS pixel over PAN pixel.
    count : int
        Number of bands; fewer than the sensor has takes the first ones.
    legacy : bool
        See `mtf_kernel_from_gain`.

    Returns
    -------
    ndarray
        Shape (count, 41, 41), float64.

    Raises
    ------
    UnknownSensorError
        No sensor of that name.
    BandMismatchError
        More bands than the sensor has gains for.
    """
    if isinstance(sensor, (int, float)):
        gains: list[float] = [float(sensor)] * count
    else:
        gains = list(_profile(sensor).mtf_gains(None, count)[0])
    return np.stack([mtf_kernel_from_gain(gain, ratio, legacy=legacy) for gain in gains[:count]])
