"""Bands in figures: scatter and histograms against the MS, errors band by band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import OptionError
from pansharp.plotting.figure import (
    ROLE_COLOURS,
    bar_beside,
    caption,
    colours_of,
    legend,
    new_figure,
    spare,
)
from pansharp.plotting.layers import common_window, gather
from pansharp.plotting.pairs import pair_of
from pansharp.plotting.samples import degraded_pairs, gains_of
from pansharp.plotting.spectral import _broken, wavelength_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pansharp.geometry.grids import Window
    from pansharp.plotting.layers import Layer
    from pansharp.sensors import SensorProfile

__all__ = ["band_bars", "band_errors", "histograms", "scatter"]

#: Bands that are drawn at most; of more, this many spread over the spectrum.
_PANELS = 12


def scatter(
    fused: object,
    ms: object | None = None,
    *,
    scene: Any = None,
    bands: Sequence[int | str] | None = None,
    window: Window | None = None,
    sensor: SensorProfile | str | None = None,
) -> Figure:
    """Scatter of a product, degraded to the MS grid, against the MS: one panel a band.

    Parameters
    ----------
    fused : image
        Product.
    ms : image, optional
        Low-resolution MS, or give `scene`.
    scene : Scene, optional
        Gives the MS and the sensor.
    bands : sequence of int or str, optional
        Bands to show; by default all, of a cube 12.
    window : Window, optional
        Product pixels to stay in.
    sensor : SensorProfile or str, optional
        Whose MTF gains degrade the product; without, 0.30 for every band, as the title says.

    Returns
    -------
    matplotlib.figure.Figure
        Counts of pixels (logarithmic) from up to 16 samples of 128 x 128 MS pixels, the 1:1 line,
        bias, RMSE and correlation. Both axes of a panel have the same limits.

    Raises
    ------
    BandMismatchError, OptionError
        As :func:`pansharp.plotting.samples.degraded_pairs`.
    """
    from matplotlib.colors import LogNorm

    product, low = _product_and_ms(fused, ms, scene, sensor)
    x, y = degraded_pairs(product, low, window=window)
    chosen = _chosen(low, bands)
    cols = min(4, len(chosen))
    rows = -(-len(chosen) // cols)
    figure, axes = new_figure(rows, cols, width=3.1 * cols + 0.6, height=3.0 * rows + 0.8)
    shown = spare(axes, len(chosen))
    grids = []
    for band in chosen:
        limits = np.percentile(np.concatenate([x[band], y[band]]), (0.1, 99.9))
        first, last = (
            (float(limits[0]), float(limits[1]))
            if limits[1] > limits[0]
            else (float(limits[0]) - 0.5, float(limits[0]) + 0.5)
        )
        counts, _, _ = np.histogram2d(
            x[band], y[band], bins=80, range=[[first, last], [first, last]]
        )
        grids.append((counts, first, last))
    norm = LogNorm(1, max(2.0, max(float(counts.max()) for counts, _, _ in grids)))
    image: Any = None
    for ax, band, (counts, first, last) in zip(shown, chosen, grids, strict=True):
        image = ax.imshow(
            np.ma.masked_equal(counts.T, 0),
            origin="lower",
            extent=(first, last, first, last),
            norm=norm,
            cmap="viridis",
            aspect="equal",
        )
        ax.plot((first, last), (first, last), color="#D55E00", linewidth=1, label="1:1")
        ax.set_title(f"{low.names[band]}: {_told(x[band], y[band])}", fontsize=8)
        ax.set_xlabel(f"MS ({low.units})", fontsize=8)
        ax.set_ylabel(f"{product.label}, degraded ({low.units})", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.set_box_aspect(1)
    legend(shown[0], loc="upper left")
    bar_beside(figure, image, shown, "pixels")
    figure.suptitle(
        caption(f"{product.label} degraded to the MS grid, against the MS", _gains_told(low)),
        fontsize=11,
    )
    return figure


def histograms(
    fused: object,
    ms: object | None = None,
    *,
    scene: Any = None,
    bands: Sequence[int | str] | None = None,
    window: Window | None = None,
    sensor: SensorProfile | str | None = None,
) -> Figure:
    """Histograms of a product, degraded to the MS grid, and of the MS: one panel a band.

    Parameters
    ----------
    fused, ms, scene, bands, window, sensor
        As :func:`scatter`.

    Returns
    -------
    matplotlib.figure.Figure
        Shares of pixels per bin, the same bins for both.

    Raises
    ------
    BandMismatchError, OptionError
        As :func:`scatter`.
    """
    product, low = _product_and_ms(fused, ms, scene, sensor)
    x, y = degraded_pairs(product, low, window=window)
    chosen = _chosen(low, bands)
    cols = min(4, len(chosen))
    rows = -(-len(chosen) // cols)
    figure, axes = new_figure(rows, cols, width=3.2 * cols, height=2.4 * rows + 0.8)
    for ax, band in zip(spare(axes, len(chosen)), chosen, strict=True):
        both = np.concatenate([x[band], y[band]])
        low_edge, high_edge = np.percentile(both, (0.1, 99.9))
        edges = np.linspace(low_edge, max(high_edge, low_edge + 1e-6), 65)
        for values, role, label in (
            (x[band], "ms", "MS"),
            (y[band], "fused", f"{product.label}, degraded"),
        ):
            counts = np.histogram(values, edges)[0] * (100.0 / values.size)
            ax.stairs(counts, edges, color=ROLE_COLOURS[role], label=label, linewidth=1.4)
        ax.set_title(low.names[band], fontsize=9)
        ax.set_xlabel(f"value ({low.units})", fontsize=8)
        ax.set_ylabel("pixels (%)", fontsize=8)
        ax.tick_params(labelsize=7)
    legend(axes[0][0])
    figure.suptitle(
        caption(f"{product.label} degraded to the MS grid, and the MS", _gains_told(low)),
        fontsize=11,
    )
    return figure


def band_errors(
    fused: object,
    reference: object,
    *,
    ratio: float = 4,
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """ERGAS terms and correlation of every band.

    Parameters
    ----------
    fused : image, or mapping of str to image
        Products.
    reference : image
        On the same grid.
    ratio : float
        MS pixel over PAN pixel.
    window, bounds
        As :func:`pansharp.plotting.difference`.

    Returns
    -------
    dict
        Product name to ``{"ergas": (band,), "cc": (band,)}``, float64. The ERGAS of the image is
        the root of the mean of the squared terms, 100 / ratio * RMSE / mean (Wald 2000).

    Raises
    ------
    GridMismatchError, BandMismatchError, MetricError
        As :func:`pansharp.evaluation.evaluate`.
    """
    layers, frame = gather(fused, reference=reference)
    chosen, _ = common_window(frame, layers, window, bounds, size=None)
    truth = layers[-1]
    found = {}
    for layer in layers[:-1]:
        pair = pair_of(frame, truth, layer, chosen)
        # Of float64 sums, however many pieces: mean, squared error and scatter of each band.
        count, total, squared = 0, np.zeros((5, truth.bands)), np.zeros(truth.bands)
        shift: NDArray[np.float64] | None = None
        for _, first, second in pair.pieces():
            known = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
            x, y = first[:, known].astype(np.float64), second[:, known].astype(np.float64)
            if not x.shape[1]:
                continue
            if shift is None:
                shift = x.mean(axis=1)
            count += x.shape[1]
            squared += ((x - y) ** 2).sum(axis=1)
            x -= shift[:, None]
            y -= shift[:, None]
            total += [
                *(x.sum(axis=1), y.sum(axis=1), (x * x).sum(axis=1), (y * y).sum(axis=1)),
                (x * y).sum(axis=1),
            ]
        if shift is None:
            raise OptionError(f"no pixel is valid in both {truth.label} and {layer.label}")
        mean_x, mean_y, xx, yy, xy = total / count
        with np.errstate(invalid="ignore", divide="ignore"):
            ergas = 100.0 / ratio * np.sqrt(squared / count) / (shift + mean_x)
            spread = np.sqrt((xx - mean_x**2) * (yy - mean_y**2))
            found[layer.label] = {"ergas": ergas, "cc": (xy - mean_x * mean_y) / spread}
    return found


def band_bars(
    fused: object,
    reference: object,
    *,
    ratio: float = 4,
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    sensor: SensorProfile | str | None = None,
) -> Figure:
    """ERGAS terms and correlation band by band: bars, or lines over wavelength for cubes.

    Parameters
    ----------
    fused, reference, ratio, window, bounds
        As :func:`band_errors`.
    sensor : SensorProfile or str, optional
        Whose table gives the wavelengths of a cube.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GridMismatchError, BandMismatchError, MetricError
        As :func:`band_errors`.
    """
    layers, frame = gather(fused, reference=reference, sensor=sensor)
    _, note = common_window(frame, layers, window, bounds, size=None)
    found = band_errors(fused, reference, ratio=ratio, window=window, bounds=bounds)
    x, names, label = wavelength_axis([layers[-1]])
    many = len(names) > 16
    figure, axes = new_figure(1, 2, width=10.5 if len(names) > 4 else 9.0, height=3.6)
    told = (
        ("ergas", f"ERGAS term at ratio {ratio:g} (0 is perfect)"),
        ("cc", "correlation (1 is perfect)"),
    )
    colours = colours_of(layers[:-1])
    for ax, (key, text) in zip(axes[0], told, strict=True):
        for number, ((name, errors), colour) in enumerate(zip(found.items(), colours, strict=True)):
            if many:
                order = np.argsort(x, kind="stable")
                ax.plot(*_broken(x[order], errors[key][order]), color=colour, label=name)
            else:
                wide = 0.8 / len(found)
                at = np.arange(len(names)) - 0.4 + (number + 0.5) * wide
                ax.bar(at, errors[key], wide * 0.92, color=colour, label=name)
        if not many:
            ax.set_xticks(np.arange(len(names)), list(names), rotation=30 if len(names) > 5 else 0)
        ax.set_xlabel(
            label if many and label != "band" else "band" + " (from 0)" * many, fontsize=9
        )
        ax.set_ylabel(text, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.25, axis="y")
    # Bars begin at 0; correlations all near 1 would then look alike, so that axis may be cut.
    lows = [float(np.nanmin(errors["cc"])) for errors in found.values()]
    lowest = min(lows) if np.isfinite(lows).all() else 0.0
    if lowest > 0.5:
        axes[0][1].set_ylim(np.floor(lowest * 20 - 1) / 20, 1.0)
        axes[0][1].set_title("axis does not begin at 0", fontsize=8)
    legend(axes[0][0])
    figure.suptitle(
        caption(f"band by band against the {layers[-1].label}: {' | '.join(found)}", note),
        fontsize=11,
    )
    return figure


def _product_and_ms(
    fused: object, ms: object | None, scene: Any, sensor: SensorProfile | str | None
) -> tuple[Layer, Layer]:
    layers, _ = gather(fused, scene=scene, ms=ms, sensor=sensor)
    products = [layer for layer in layers if layer.role == "fused"]
    lows = [layer for layer in layers if layer.role == "ms"]
    if len(products) != 1 or not lows:
        raise OptionError("give one product, and its MS or scene")
    return products[0], lows[0]


def _chosen(layer: Layer, bands: Sequence[int | str] | None) -> list[int]:
    if bands is not None:
        return [layer.band(band) for band in bands]
    if layer.bands <= _PANELS:
        return list(range(layer.bands))
    return [round(i) for i in np.linspace(0, layer.bands - 1, _PANELS)]


def _told(x: NDArray[Any], y: NDArray[Any]) -> str:
    first, second = x.astype(np.float64), y.astype(np.float64)
    gap = second - first
    with np.errstate(invalid="ignore", divide="ignore"):
        scatter_x, scatter_y = first - first.mean(), second - second.mean()
        cc = (scatter_x @ scatter_y) / np.sqrt((scatter_x @ scatter_x) * (scatter_y @ scatter_y))
    return f"bias {gap.mean():.3g}, RMSE {np.sqrt(np.mean(gap**2)):.3g}, CC {cc:.4f}"


def _gains_told(ms: Layer) -> str:
    gains, assumed = gains_of(ms)
    values = ", ".join(f"{gain:g}" for gain in sorted(set(gains)))
    return f"MTF gain at Nyquist {values}" + (" (assumed)" if assumed else "")
