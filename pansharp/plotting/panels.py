"""Images side by side on the same ground with one stretch, and zooms into them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.grids import Window
from pansharp.pictures import Stretch, View, band_choice, look
from pansharp.plotting.figure import caption, draw, label_axes, new_figure, spare
from pansharp.plotting.layers import Layer, common_window, gather, layer_of
from pansharp.plotting.places import Frame, apply, inverse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Place = tuple[float, float]

__all__ = ["Panel", "joint_panels", "rgb", "show", "zoom"]

#: Share of a PAN's valid pixels that the stretch of the others may push to black or white.
_CLIPPED = 0.10
#: Least share of that stretch which the PAN's own range (1 to 99 %) must fill.
_FILLED = 0.33


@dataclass(frozen=True)
class Panel:
    """A picture ready to be drawn.

    Parameters
    ----------
    layer : Layer
        What it shows.
    picture : ndarray, shape (y, x, 4), uint8
        RGBA, transparent where there is no data.
    extent : tuple of float
        Left, right, bottom, top on the axes.
    stretch : Stretch
        What was made black and white.
    view : View
        The values behind it.
    title : str
        Its name, and what is particular about it.
    """

    layer: Layer
    picture: NDArray[np.uint8]
    extent: tuple[float, float, float, float]
    stretch: Stretch
    view: View
    title: str


def joint_panels(
    layers: Sequence[Layer],
    frame: Frame,
    window: Window,
    *,
    combination: str | Sequence[int | str] = "rgb",
    size: int = 1024,
    percent: tuple[float, float] = (1.0, 99.0),
    gamma: float = 1.0,
    stretches: Sequence[Stretch] | None = None,
) -> list[Panel]:
    """Pictures of the same ground with one stretch.

    Parameters
    ----------
    layers : sequence of Layer
        Images.
    frame : Frame
        Their common ground.
    window : Window
        Pixels of the frame's base.
    combination : str or sequence
        As :func:`pansharp.pictures.band_choice`.
    size : int
        Longest side of a picture.
    percent : tuple of float
        Percentiles of the valid pixels of all images but the PAN that become black and white.
    gamma : float
        As :class:`pansharp.pictures.Stretch`.
    stretches : sequence of Stretch, optional
        Use these instead, one an image.

    Returns
    -------
    list of Panel
        In the order of `layers`.

    Notes
    -----
    A PAN takes the mean of the three bands' limits, so that its grey compares with the colours,
    unless that clips more than a tenth of its pixels or spreads them over less than a third of the
    range: then its counts are of another scale, it gets its own stretch, and its title says so.
    """
    views = []
    for layer in layers:
        chosen = (0,) if layer.role == "pan" else _bands(layer, combination)
        part = frame.covering(layer, window)
        views.append(look(layer.source, bands=chosen, window=part, size=size))
    colours = [v for v, layer in zip(views, layers, strict=True) if layer.role != "pan"]
    own: list[tuple[Stretch, str]] = [(one, "") for one in stretches or ()]
    if stretches is None:
        joint = Stretch.joint(colours or views, percent=percent, gamma=gamma)
        for layer, view in zip(layers, views, strict=True):
            if layer.role == "pan" and colours:
                own.append(_pan_stretch(view, joint, percent))
            else:
                single = len(view.data) == 1 and len(joint.low) == 3
                own.append((joint.grey() if single else joint, ""))
    panels = []
    for layer, view, (stretch, note) in zip(layers, views, own, strict=True):
        shown = replace(view.window, height=view.data.shape[1], width=view.data.shape[2])
        # The last view pixel may stand for fewer image pixels, and is drawn as large as the others.
        ground = replace(shown, height=shown.height * view.step, width=shown.width * view.step)
        panels.append(
            Panel(
                layer,
                stretch(view),
                frame.extent(layer, ground),
                stretch,
                view,
                caption(layer.label, note),
            )
        )
    return panels


def _bands(layer: Layer, combination: str | Sequence[int | str]) -> tuple[int, ...]:
    return band_choice(layer.names, layer.wavelengths, combination)


def _pan_stretch(view: View, joint: Stretch, percent: tuple[float, float]) -> tuple[Stretch, str]:
    grey = joint.grey()
    values = view.data[0][view.valid]
    if values.size == 0:
        return grey, ""
    low, high = grey.low[0], grey.high[0]
    clipped = float(np.mean((values < low) | (values > high)))
    first, last = np.percentile(values, percent)
    filled = float(min(last, high) - max(first, low)) / (high - low)
    if clipped <= _CLIPPED and filled >= _FILLED:
        return grey, ""
    return Stretch.joint([view], percent=percent, gamma=joint.gamma), "(stretch of its own)"


def show(
    image: object,
    *,
    combination: str | Sequence[int | str] = "rgb",
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    size: int = 1024,
    percent: tuple[float, float] = (1.0, 99.0),
    gamma: float = 1.0,
    label: str | None = None,
    ax: Any = None,
) -> Figure:
    """Show one image.

    Parameters
    ----------
    image : path, xarray.DataArray, Source or array
        What to show.
    combination : str or sequence of int or str
        ``rgb``, ``false-colour``, or one or three bands by number (from 0) or name.
    window : Window or ``"all"``, optional
        Pixels to show. Without: all, or the centre of an image that is large and has no overviews.
    bounds : tuple of float, optional
        (min x, min y, max x, max y) in its coordinate system, instead of `window`.
    size : int
        Longest side of the picture, pixels.
    percent : tuple of float
        Percentiles of the valid pixels that become black and white.
    gamma : float
        Above 1 lifts the dark parts.
    label : str, optional
        Title.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError, BandMismatchError, ReaderError
        As :func:`pansharp.pictures.look` and :func:`pansharp.pictures.band_choice`.
    """
    from pansharp.plotting.figure import axes_of

    layer = layer_of(image, label=label or _name_of(image))
    frame = Frame(layer)
    chosen, note = common_window(frame, [layer], window, bounds, size=size)
    told: dict[str, Any] = {"combination": combination, "percent": percent, "gamma": gamma}
    panel = joint_panels([layer], frame, chosen, size=size, **told)[0]
    width, height = _figure_size(frame, chosen, 1, 1, side=6.0)
    figure, axes = axes_of(ax, width=width, height=height)
    draw(axes, panel.picture, panel.extent)
    _limit(axes, frame, chosen)
    label_axes(axes, frame)
    axes.set_title(caption(panel.title, _colours_told(layer, combination), note), fontsize=10)
    return figure


def rgb(
    fused: object | None = None,
    *,
    scene: Any = None,
    pan: object | None = None,
    ms: object | None = None,
    reference: object | None = None,
    combination: str | Sequence[int | str] = "rgb",
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    size: int = 1024,
    percent: tuple[float, float] = (1.0, 99.0),
    gamma: float = 1.0,
    columns: int = 4,
) -> Figure:
    """PAN, MS, products and reference side by side: the same ground, one stretch.

    Parameters
    ----------
    fused : image, mapping of str to image, or Scene, optional
        A product, several by name, or a scene to show as it is.
    scene : Scene, optional
        Gives PAN and MS where these are not given.
    pan, ms, reference : image, optional
        Paths, DataArrays, Sources or arrays.
    combination, size, percent, gamma
        As :func:`show`. The percentiles are taken over MS, products and reference together, each
        counting alike; how the PAN takes part: :func:`joint_panels`.
    window : Window or ``"all"``, optional
        Pixels of the product (of the PAN without one). Without: all, or the centre where an image
        is large and has no overviews.
    bounds : tuple of float, optional
        (min x, min y, max x, max y) in the coordinate system, instead of `window`.
    columns : int
        Panels in a row.

    Returns
    -------
    matplotlib.figure.Figure
        Pixels are drawn as squares where they lie, the MS at its own size.

    Raises
    ------
    OptionError
        Nothing was given, or a window outside the image.
    GridMismatchError
        Coordinate systems differ, or the images do not overlap.
    """
    layers, frame = gather(fused, scene=scene, pan=pan, ms=ms, reference=reference)
    chosen, note = common_window(frame, layers, window, bounds, size=size)
    options: dict[str, Any] = {"combination": combination, "percent": percent, "gamma": gamma}
    panels = joint_panels(layers, frame, chosen, size=size, **options)
    cols = min(len(panels), columns)
    rows = -(-len(panels) // cols)
    width, height = _figure_size(frame, chosen, rows, cols)
    figure, axes = new_figure(rows, cols, width=width, height=height, pictures=True)
    for index, (ax, panel) in enumerate(zip(spare(axes, len(panels)), panels, strict=True)):
        draw(ax, panel.picture, panel.extent)
        _limit(ax, frame, chosen)
        label_axes(ax, frame, outer=index % cols == 0)
        ax.set_title(panel.title, fontsize=10)
    coloured = next((p.layer for p in panels if p.layer.role != "pan"), panels[0].layer)
    own = any(
        panel.stretch not in (panels[-1].stretch, panels[-1].stretch.grey()) for panel in panels
    )
    one = "one stretch for all" + (" but the PAN" if own else "") if len(panels) > 1 else ""
    told = ", ".join(part for part in (_colours_told(coloured, combination), one) if part)
    figure.suptitle(caption(" | ".join(x.label for x in layers), told, note), fontsize=11)
    return figure


def zoom(
    fused: object | None = None,
    places: Mapping[str, Place] | Sequence[Place] = (),
    *,
    scene: Any = None,
    pan: object | None = None,
    ms: object | None = None,
    reference: object | None = None,
    coords: str = "crs",
    side: int = 64,
    combination: str | Sequence[int | str] = "rgb",
    percent: tuple[float, float] = (1.0, 99.0),
    gamma: float = 1.0,
    size: int = 512,
) -> Figure:
    """Zoom insets: an overview, then the same ground in every image at its own pixels.

    Parameters
    ----------
    fused, scene, pan, ms, reference : image, optional
        As :func:`rgb`.
    places : mapping of str to (x, y), or sequence of (x, y)
        Centres of the insets; without, the centre of the image.
    coords : {"crs", "pixel"}
        What x and y are: coordinates, or column and row of the product (0 is the centre of the
        first pixel). Images without georeference have only pixels.
    side : int
        Side of an inset, pixels of the product.
    combination, percent, gamma
        As :func:`rgb`. The stretch is that of the overview, the same in all insets.
    size : int
        Longest side of the overview, pixels.

    Returns
    -------
    matplotlib.figure.Figure
        One row a place. All panels of a row have the same limits to the fraction of a pixel; the MS
        is drawn at its own pixels, where they truly lie.

    Raises
    ------
    OptionError
        A place outside the image, a side below 2, another word for `coords`.
    """
    layers, frame = gather(fused, scene=scene, pan=pan, ms=ms, reference=reference)
    if side < 2:
        raise OptionError(f"insets of {side} pixels; give 2 or more")
    named = _places(places, frame, coords)
    whole, note = common_window(frame, layers, size=size)
    told: dict[str, Any] = {"combination": combination, "percent": percent, "gamma": gamma}
    over = joint_panels(layers, frame, whole, size=size, **told)
    base = next(panel for panel in over if panel.layer is frame.base)
    stretches = [panel.stretch for panel in over]
    rows, cols = len(named), len(layers) + 1
    figure, axes = new_figure(rows, cols, width=2.6 * cols, height=3.15 * rows + 0.5, pictures=True)
    for row, (name, (col_at, row_at)) in zip(axes, named.items(), strict=True):
        window = Window(round(row_at - side / 2), round(col_at - side / 2), side, side)
        window = window.intersect(frame.full)
        draw(row[0], base.picture, base.extent)
        _limit(row[0], frame, whole)
        label_axes(row[0], frame)
        _mark(row[0], frame.extent(frame.base, window), name)
        row[0].set_title(f"{base.layer.label}, overview", fontsize=9)
        panels = joint_panels(
            layers, frame, window, size=max(side, 16), stretches=stretches, **told
        )
        for ax, panel in zip(row[1:], panels, strict=True):
            draw(ax, panel.picture, panel.extent)
            _limit(ax, frame, window)
            label_axes(ax, frame, outer=False)
            ax.set_title(f"{panel.layer.label}, {name}", fontsize=9)
    figure.suptitle(
        caption(
            f"{' | '.join(layer.label for layer in layers)}: the same ground, "
            f"one stretch{' but the PAN' if any('own' in p.title for p in over) else ''}",
            note,
        ),
        fontsize=11,
    )
    return figure


def _places(
    places: Mapping[str, Place] | Sequence[Place], frame: Frame, coords: str
) -> dict[str, Place]:
    """Pixel corners (col, row) of the base, by name."""
    full = frame.full
    if not places:
        return {"centre": (full.width / 2, full.height / 2)}
    listed = (
        {str(name): place for name, place in places.items()}
        if hasattr(places, "items")
        else {chr(ord("A") + i % 26): place for i, place in enumerate(places)}
    )
    return {name: pixel_of(place, frame, coords, name) for name, place in listed.items()}


def pixel_of(place: Place, frame: Frame, coords: str, name: str) -> Place:
    """Pixel corner (col, row) of the base at a place.

    Raises
    ------
    OptionError
        It lies outside, or `coords` is another word.
    """
    x, y = (float(value) for value in place)
    if coords not in ("crs", "pixel"):
        raise OptionError(f"coords is '{coords}'; choose crs or pixel")
    if coords == "pixel" or frame.base.transform is None:
        col, row = x + 0.5, y + 0.5
    else:
        col, row = apply(inverse(frame.base.transform), x, y)
    if not (0 <= col <= frame.full.width and 0 <= row <= frame.full.height):
        raise OptionError(
            f"the place '{name}' at {x:g}, {y:g} lies outside {frame.base.label} of "
            f"{frame.full.height} x {frame.full.width} pixels; coords is '{coords}'"
        )
    return col, row


def _mark(ax: Any, extent: tuple[float, float, float, float], name: str) -> None:
    """A frame that shows on bright and dark ground."""
    left, right, bottom, top = extent
    corners = [left, right, right, left, left], [bottom, bottom, top, top, bottom]
    ax.plot(*corners, color="white", linewidth=2.4)
    ax.plot(*corners, color="#D55E00", linewidth=1.2)
    ax.annotate(
        name,
        (right, top),
        xytext=(2, 2),
        textcoords="offset points",
        fontsize=8,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
    )


def _limit(ax: Any, frame: Frame, window: Window) -> None:
    left, right, bottom, top = frame.extent(frame.base, window)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)


def _figure_size(
    frame: Frame, window: Window, rows: int, cols: int, *, side: float = 3.4
) -> tuple[float, float]:
    left, right, bottom, top = frame.extent(frame.base, window)
    shape = abs(top - bottom) / abs(right - left)
    shape = min(max(shape, 0.3), 3.0)
    wide = side if shape <= 1 else side / shape**0.5
    return cols * wide + 0.5, rows * (wide * shape + 0.75) + 0.7


def _colours_told(layer: Layer, combination: str | Sequence[int | str]) -> str:
    if layer.role == "pan":
        return ""
    bands = _bands(layer, combination)
    return "colours: " + ", ".join(layer.names[band] for band in bands)


def _name_of(image: object) -> str | None:
    import os

    if isinstance(image, str | os.PathLike):
        return os.path.basename(os.fspath(image))
    name = getattr(image, "name", None)
    return name if isinstance(name, str) and name else None
