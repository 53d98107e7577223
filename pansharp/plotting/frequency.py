"""Spatial frequencies: how much detail of which size an image has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import OptionError
from pansharp.plotting.figure import ROLE_COLOURS, axes_of, caption, colours_of, legend
from pansharp.plotting.layers import Layer, gather
from pansharp.plotting.pairs import spread_windows
from pansharp.plotting.samples import gains_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pansharp.geometry.grids import Window
    from pansharp.plotting.places import Frame
    from pansharp.sensors import SensorProfile

    Floats = NDArray[np.float64]

__all__ = ["PowerSpectrum", "power_spectrum", "radial_power", "spatial_frequency"]

#: Side of a sample, pixels of the base, and how many there are at most.
_SIDE = 256
_COUNT = 9
#: Least share of valid pixels of a sample that counts.
_VALID = 0.999
#: Least side of a sample in pixels of its own image.
_LEAST = 16


@dataclass(frozen=True)
class PowerSpectrum:
    """Radially averaged power.

    Parameters
    ----------
    layer : Layer
        The image.
    frequency : ndarray, float64
        Cycles per pixel of the base.
    power : ndarray, float64
        Power density of the relative values (divided by the mean), base pixels squared, mean over
        bands and directions.
    samples : int
        Windows behind it.
    """

    layer: Layer
    frequency: Floats
    power: Floats
    samples: int


def radial_power(image: NDArray[Any], pixel: float = 1.0) -> tuple[Floats, Floats]:
    """Radially averaged power density of a small image.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        Values; their mean is taken off and divides them.
    pixel : float
        Side of a pixel in the unit of length.

    Returns
    -------
    frequency : ndarray
        Cycles per unit: rings in steps of 1 / (pixels * pixel), up to Nyquist.
    power : ndarray
        Mean of |FFT|^2 of the Hann-windowed values in the ring, divided by the window's power,
        times the area of a pixel: white noise of relative variance v gives v * pixel^2 everywhere,
        and
        one ground seen with two pixel sizes gives the same curve where both resolve it.

    Notes
    -----
    Rings near half the sampling frequency are whole circles inside the square of frequencies; its
    corners are left out.
    """
    height, width = image.shape
    values = np.asarray(image, dtype=np.float64)
    mean = values.mean()
    relative = values / mean - 1.0 if mean else values
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    relative = relative - (relative * window).sum() / window.sum()
    density = np.abs(np.fft.fft2(relative * window)) ** 2 / (window**2).sum() * pixel**2
    across = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    side = min(height, width)
    ring = np.rint(across * side).astype(int)
    inside = ring <= side // 2
    count = np.bincount(ring[inside])
    power = np.bincount(ring[inside], weights=density[inside]) / np.maximum(count, 1)
    # Ring 0 is the mean, and the Hann window smears it into ring 1.
    rings = np.arange(2, side // 2 + 1)
    return rings / (side * pixel), power[rings]


def power_spectrum(
    layer: Layer, frame: Frame, window: Window | None = None, *, side: int = _SIDE
) -> PowerSpectrum:
    """Power of an image, mean over samples spread over the ground and over bands.

    Parameters
    ----------
    layer : Layer
        Image.
    frame : Frame
        Common ground; frequencies are told in its base's pixels.
    window : Window, optional
        Base pixels to stay in.
    side : int
        Side of a sample, base pixels. At most nine are read; those with nodata are left out.

    Returns
    -------
    PowerSpectrum

    Raises
    ------
    OptionError
        No sample is free of nodata, or all are too small.
    """
    scale = frame.alignment(layer).ratio
    ground = frame.covering(layer, frame.full if window is None else window)
    own = round(side / scale)
    own = min(own, *ground.shape)
    if own < _LEAST:
        raise OptionError(
            f"a sample of {own} pixels of {layer.label} is too small for a spectrum; "
            f"give windows of at least {round(_LEAST * scale)} pixels"
        )
    total: Floats | None = None
    frequency = np.zeros(0)
    samples = 0
    for part in spread_windows(ground, own, _COUNT):
        stored = layer.source.read(part)
        valid = layer.source.valid(part, stored)
        if valid is not None and valid.mean() < _VALID:
            continue
        for band in stored.astype(np.float64):
            values = band if valid is None else np.where(valid, band, band[valid].mean())
            frequency, power = radial_power(values, scale)
            total = power if total is None else total + power
        samples += 1
    if total is None:
        raise OptionError(
            f"no sample of {layer.label} is free of nodata; give a window without holes"
        )
    return PowerSpectrum(layer, frequency, total / (samples * layer.bands), samples)


def spatial_frequency(
    fused: object | None = None,
    *,
    scene: Any = None,
    pan: object | None = None,
    ms: object | None = None,
    reference: object | None = None,
    window: Window | None = None,
    sensor: SensorProfile | str | None = None,
    side: int = _SIDE,
    ax: Any = None,
) -> Figure:
    """Radially averaged power of PAN, MS, products and reference over spatial frequency.

    Parameters
    ----------
    fused : image, mapping of str to image, or Scene, optional
        Products.
    scene : Scene, optional
        Gives PAN, MS and the sensor.
    pan, ms, reference : image, optional
        Further images.
    window : Window, optional
        Pixels of the product (or PAN) to stay in.
    sensor : SensorProfile or str, optional
        Whose MTF gains are drawn; without, 0.30 is assumed, as the legend says.
    side : int
        Side of a sample, pixels of the product.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.figure.Figure
        Powers of relative values, so images of different scale compare. A vertical line marks the
        MS Nyquist frequency; the dotted line is the power of the PAN after the mean MTF of the MS
        bands: what an MS sensor passes on. A product that falls from the PAN's curve to the dotted
        one beyond the line lacks detail; one above the PAN is oversharpened or noisy.

    Raises
    ------
    OptionError
        As :func:`power_spectrum`.
    """
    layers, frame = gather(fused, scene=scene, pan=pan, ms=ms, reference=reference, sensor=sensor)
    found = [power_spectrum(layer, frame, window, side=side) for layer in layers]
    figure, axes = axes_of(ax, width=7.2, height=4.8)
    for one, colour in zip(found, colours_of(layers), strict=True):
        axes.plot(
            *(one.frequency, one.power),
            color=colour,
            linewidth=1.5,
            linestyle="--" if one.layer.role == "reference" else "-",
            label=f"{one.layer.label} ({one.samples} sample{'s' if one.samples > 1 else ''})",
        )
    low = next((layer for layer in layers if layer.role == "ms"), None)
    sharp = next((one for one in found if one.layer.role == "pan"), None)
    if low is not None:
        nyquist = 0.5 / frame.alignment(low).ratio
        gains, assumed = gains_of(low)
        gain = float(np.mean(gains))
        axes.axvline(nyquist, color="#555555", linewidth=1, linestyle="-.")
        axes.annotate(
            f"MS Nyquist\nMTF {gain:.2g}" + (" (assumed)" if assumed else ""),
            (nyquist, 0.03),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
        )
        if sharp is not None:
            passed = gain ** (2.0 * (sharp.frequency / nyquist) ** 2)
            seen = sharp.power * passed
            kept = seen > 1e-3 * min(float(one.power.min()) for one in found)
            axes.plot(
                sharp.frequency[kept],
                seen[kept],
                color=ROLE_COLOURS["pan"],
                linestyle=":",
                linewidth=1.2,
                label="PAN through the MTF of the MS",
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.3 * min(float(one.power.min()) for one in found))
    # Products have the pixels of the PAN; its name says more than that of one method.
    pixel = "PAN" if sharp is not None else frame.base.label
    axes.set_xlabel(f"spatial frequency (cycles per {pixel} pixel)", fontsize=9)
    axes.set_ylabel(f"power of relative values ({pixel} pixels²)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, which="both")
    axes.set_title(
        caption(
            "spatial frequency: " + " | ".join(layer.label for layer in layers),
            "mean over bands and directions",
        ),
        fontsize=10,
    )
    legend(axes, loc="lower left")
    return figure
