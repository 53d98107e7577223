"""Maps of errors: differences, spectral angles, scores of blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.grids import Window
from pansharp.plotting.figure import (
    DIVERGING,
    SEQUENTIAL,
    bar_beside,
    caption,
    draw,
    label_axes,
    new_figure,
    spare,
)
from pansharp.plotting.layers import Layer, common_window, gather
from pansharp.plotting.pairs import Pair, pair_of
from pansharp.plotting.panels import _figure_size, _limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pansharp.plotting.places import Frame

    Floats = NDArray[np.float64]

__all__ = ["block_scores", "difference", "difference_map", "sam_map", "spectral_angle"]

#: Percentile of the values at which colour scales end.
_TOP = 99.0


def difference_map(pair: Pair, band: int | None, step: int) -> Floats:
    """Product minus reference, reduced to the size of a view.

    Parameters
    ----------
    pair : Pair
        The images.
    band : int or None
        Signed mean difference of one band, counted from 0; None: root of the mean squared
        difference over all bands.
    step : int
        Side of the squares over which is averaged.

    Returns
    -------
    ndarray, shape (y, x), float64
        In units of the images; NaN without data.
    """
    if band is None:
        squares = pair.reduced(step, lambda a, b: ((b - a).astype(np.float64) ** 2).mean(axis=0))
        return np.asarray(np.sqrt(squares))
    return pair.reduced(step, lambda a, b: b[band] - a[band])


def spectral_angle(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Angle between the spectra of two images, degrees.

    Parameters
    ----------
    first, second : ndarray, shape (band, y, x)
        Images.

    Returns
    -------
    ndarray, shape (y, x), float64
        0 to 180; NaN where a spectrum is all zero or not finite.
    """
    x, y = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
        cosine = (x * y).sum(axis=0) / norms
        return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def difference(
    fused: object,
    reference: object,
    *,
    band: int | str | None = None,
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    size: int = 800,
    limit: float | None = None,
) -> Figure:
    """Map of product minus reference, one panel a product, one scale for all.

    Parameters
    ----------
    fused : image, or mapping of str to image
        Products.
    reference : image
        On the same grid.
    band : int or str, optional
        Signed difference of a band, number from 0 or name. Without: root mean square over bands.
    window, bounds
        As :func:`pansharp.plotting.rgb`; without, the whole image or its centre.
    size : int
        Longest side of the map, pixels; it is averaged from the errors at full resolution.
    limit : float, optional
        End of the scale; by default the 99th percentile of all panels together.

    Returns
    -------
    matplotlib.figure.Figure
        Signed maps have a scale symmetric about 0.

    Raises
    ------
    GridMismatchError, BandMismatchError, OptionError
        The images are not on one grid, a band does not exist, a window lies outside.
    """
    layers, frame, truth, chosen, note = _prepared(fused, reference, window, bounds)
    step = max(1, math.ceil(max(chosen.shape) / size))
    index = None if band is None else truth.band(band)
    pairs = [pair_of(frame, truth, layer, chosen) for layer in layers]
    maps = [difference_map(pair, index, step) for pair in pairs]
    what = "RMS over bands" if index is None else truth.names[index]
    averaged = "" if step == 1 else f"averaged over {step} x {step} pixels"
    top = _top([np.abs(values) for values in maps]) if limit is None else limit
    scale = (0.0, top) if index is None else (-top, top)
    return _maps(
        frame,
        *(layers, pairs, maps, step),
        colours=SEQUENTIAL if index is None else DIVERGING,
        scale=scale,
        unit=f"product - {truth.label}, {what} ({truth.units})",
        title=caption(f"difference to the {truth.label}: {what}", averaged, note),
        names=[
            f"{layer.label}, {'RMS' if index is None else 'mean'} "
            f"{_mean_of(values, index is None):.3g} {truth.units}"
            for layer, values in zip(layers, maps, strict=True)
        ],
    )


def sam_map(
    fused: object,
    reference: object,
    *,
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    size: int = 800,
    limit: float | None = None,
) -> Figure:
    """Map of the spectral angle between product and reference, one scale for all products.

    Parameters
    ----------
    fused, reference, window, bounds, size, limit
        As :func:`difference`; the angle is computed pixel by pixel at full resolution and then
        averaged to the size of the view.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GridMismatchError, BandMismatchError, OptionError
        As :func:`difference`.
    """
    layers, frame, truth, chosen, note = _prepared(fused, reference, window, bounds)
    step = max(1, math.ceil(max(chosen.shape) / size))
    pairs = [pair_of(frame, truth, layer, chosen) for layer in layers]
    maps = [pair.reduced(step, spectral_angle) for pair in pairs]
    averaged = "" if step == 1 else f"averaged over {step} x {step} pixels"
    return _maps(
        frame,
        *(layers, pairs, maps, step),
        colours=SEQUENTIAL,
        scale=(0.0, _top(maps) if limit is None else limit),
        unit="spectral angle (°)",
        title=caption(f"spectral angle to the {truth.label}", averaged, note),
        names=[
            f"{layer.label}, mean {_mean_of(values, False):.3f}°"
            for layer, values in zip(layers, maps, strict=True)
        ],
    )


_BLOCK_MAPS = {
    "q2n": ("Q2n of blocks (1 is perfect)", "_r"),
    "ergas": ("ERGAS term of blocks (0 is perfect)", ""),
    "sam": ("mean spectral angle of blocks (°)", ""),
}


def block_scores(
    fused: object,
    reference: object,
    *,
    index: str = "q2n",
    ratio: float = 4,
    block_size: int = 32,
    rounding: str = "uint16",
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> Figure:
    """Map of Q2n, ERGAS or SAM of blocks, one scale for all products.

    Parameters
    ----------
    fused, reference, window, bounds
        As :func:`difference`.
    index : {"q2n", "ergas", "sam"}
        Score, from :func:`pansharp.evaluation.block_maps`.
    ratio : float
        MS pixel over PAN pixel, for ERGAS.
    block_size : int
        Side of the blocks, pixels.
    rounding : {"uint16", "none"}
        As :func:`pansharp.evaluation.q2n`; "none" for reflectances.

    Returns
    -------
    matplotlib.figure.Figure
        Bright is bad in all three.

    Raises
    ------
    OptionError
        No such index.
    GridMismatchError, BandMismatchError, MetricError
        As :func:`difference` and :func:`pansharp.evaluation.evaluate`.
    """
    if index not in _BLOCK_MAPS:
        raise OptionError(f"no map of '{index}'; choose q2n, ergas or sam")
    from pansharp.evaluation import block_maps

    layers, frame, truth, chosen, note = _prepared(fused, reference, window, bounds)
    pairs = [pair_of(frame, truth, layer, chosen) for layer in layers]
    maps = []
    for pair in pairs:
        first, second = pair.images
        found = block_maps(
            fused=second,
            reference=first,
            mask=pair.mask,
            ratio=ratio,
            block_size=block_size,
            rounding=rounding,
        )
        maps.append(found[index])
    unit, turned = _BLOCK_MAPS[index]
    scale = (0.0, _top(maps)) if index != "q2n" else (_bottom(maps), 1.0)
    return _maps(
        frame,
        *(layers, pairs, maps, block_size),
        colours=SEQUENTIAL + turned,
        scale=scale,
        unit=unit,
        title=caption(
            f"{index.upper() if index != 'q2n' else 'Q2n'} against the {truth.label}, "
            f"blocks of {block_size} x {block_size} pixels",
            note,
        ),
        names=[
            f"{layer.label}, mean {_mean_of(values, False):.4g}"
            for layer, values in zip(layers, maps, strict=True)
        ],
        low_end=index == "q2n",
    )


def _prepared(
    fused: object,
    reference: object,
    window: Window | str | None,
    bounds: tuple[float, float, float, float] | None,
) -> tuple[list[Layer], Frame, Layer, Window, str]:
    layers, frame = gather(fused, reference=reference)
    chosen, note = common_window(frame, layers, window, bounds, size=None)
    return layers[:-1], frame, layers[-1], chosen, note


def _maps(
    frame: Frame,
    layers: Sequence[Layer],
    pairs: Sequence[Pair],
    maps: Sequence[Floats],
    step: int,
    *,
    colours: str,
    scale: tuple[float, float],
    unit: str,
    title: str,
    names: Sequence[str],
    low_end: bool = False,
) -> Figure:
    cols = min(len(maps), 3)
    rows = -(-len(maps) // cols)
    width, height = _figure_size(frame, pairs[0].window, rows, cols)
    figure, axes = new_figure(rows, cols, width=width + 1.0, height=height, pictures=True)
    shown = spare(axes, len(maps))
    image: Any = None
    for number, (ax, pair, values, name) in enumerate(zip(shown, pairs, maps, names, strict=True)):
        part = pair.window
        ground = Window(part.row, part.col, values.shape[0] * step, values.shape[1] * step)
        image = draw(
            ax,
            np.ma.masked_invalid(values),
            frame.extent(frame.base, ground),
            cmap=colours,
            vmin=scale[0],
            vmax=scale[1],
        )
        _limit(ax, frame, part)
        label_axes(ax, frame, outer=number % cols == 0)
        ax.set_title(name, fontsize=9)
    beyond = any(bool(np.nanmax(np.append(v, scale[1])) > scale[1]) for v in maps)
    below = any(bool(np.nanmin(np.append(v, scale[0])) < scale[0]) for v in maps)
    extend = {(True, True): "both", (True, False): "max", (False, True): "min"}
    bar_beside(figure, image, shown, unit, extend=extend.get((beyond, below), "neither"))
    figure.suptitle(title, fontsize=11)
    return figure


def _finite(maps: Sequence[Floats]) -> Floats:
    return np.concatenate([values[np.isfinite(values)] for values in maps])


def _top(maps: Sequence[Floats]) -> float:
    """End of the scale: equal for all maps."""
    values = _finite(maps)
    top = float(np.percentile(values, _TOP)) if values.size else 0.0
    return top if top > 0 else 1.0


def _bottom(maps: Sequence[Floats]) -> float:
    values = _finite(maps)
    low = float(np.percentile(values, 100.0 - _TOP)) if values.size else 0.0
    return low if low < 1.0 else 0.0


def _mean_of(values: Floats, squares: bool) -> float:
    known = values[np.isfinite(values)]
    if not known.size:
        return math.nan
    return float(np.sqrt(np.mean(known**2)) if squares else np.mean(known))
