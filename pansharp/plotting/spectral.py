"""Spectra of points and polygons in MS, product and reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import BandMismatchError, OptionError
from pansharp.geometry.grids import Window
from pansharp.plotting.figure import PALETTE, caption, colours_of, legend, new_figure, spare
from pansharp.plotting.layers import Layer, gather
from pansharp.plotting.panels import pixel_of
from pansharp.plotting.places import Frame, apply, inverse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pansharp.scene import Affine6
    from pansharp.sensors import SensorProfile

    Place = tuple[float, float]
    Polygon = Sequence[Place] | Mapping[str, Any]

__all__ = [
    "Spectrum",
    "from_axes",
    "marker_colour",
    "plot_spectra",
    "spectra",
    "spectrum",
    "to_axes",
    "wavelength_axis",
]

#: Values of a polygon that are read at a time.
_PIECE = 1 << 22
#: Neighbouring bands further apart than this, nm, and than five usual steps are not joined.
_GAP = 40.0


@dataclass(frozen=True)
class Spectrum:
    """Values of one image at one place.

    Parameters
    ----------
    place : str
        Name of the point or polygon.
    layer : Layer
        The image.
    values : ndarray, shape (band,), float64
        The pixel's values, or means over the polygon; NaN without data.
    spread : ndarray or None
        Standard deviations over the polygon's pixels; None for a point.
    pixels : int
        Valid pixels behind it.
    """

    place: str
    layer: Layer
    values: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    pixels: int


def spectra(
    layers: Sequence[Layer],
    frame: Frame,
    *,
    points: Mapping[str, Place] | Sequence[Place] = (),
    polygons: Mapping[str, Polygon] | Sequence[Polygon] = (),
    coords: str = "crs",
) -> list[Spectrum]:
    """Read spectra: of a point the pixel that holds it, of a polygon the pixels centred in it.

    Parameters
    ----------
    layers : sequence of Layer
        Images, each read at its own pixels.
    frame : Frame
        Their common ground.
    points : mapping of str to (x, y), or sequence of (x, y)
        Places.
    polygons : mapping or sequence of polygons
        Each a list of vertices (x, y), or a GeoJSON mapping: a geometry of type Polygon or
        MultiPolygon, or a Feature of one.
    coords : {"crs", "pixel"}
        What x and y are: coordinates of the images, or column and row of the frame's base (0 is
        the centre of the first pixel).

    Returns
    -------
    list of Spectrum
        Place by place, in the order of the images.

    Raises
    ------
    OptionError
        A place outside, what is no polygon, or a polygon in which an image has no pixel centre.
    """
    found = []
    for name, place in _named(points, "point").items():
        at = pixel_of(place, frame, coords, name)
        found += [_of_point(layer, frame, at, name) for layer in layers]
    for name, polygon in _named(polygons, "polygon").items():
        rings = _rings(polygon, frame, coords, name)
        found += [_of_polygon(layer, frame, rings, name) for layer in layers]
    return found


def _named(places: Any, kind: str) -> dict[str, Any]:
    # One GeoJSON geometry is a mapping too, but not of names.
    if hasattr(places, "items") and not {"type", "coordinates"} <= set(places):
        return {str(name): place for name, place in places.items()}
    if hasattr(places, "items"):
        return {kind: places}
    return {f"{kind} {number}": place for number, place in enumerate(places, 1)}


def _of_point(layer: Layer, frame: Frame, at: Place, name: str) -> Spectrum:
    col, row = apply(inverse(frame.to_base(layer)), *at)
    source = layer.source
    if not (0 <= col <= source.width and 0 <= row <= source.height):
        raise OptionError(f"the place '{name}' lies outside {layer.label}")
    window = Window(
        min(math.floor(row), source.height - 1), min(math.floor(col), source.width - 1), 1, 1
    )
    stored = source.read(window)
    valid = source.valid(window, stored)
    values = stored[:, 0, 0].astype(np.float64)
    if valid is not None and not valid.all():
        return Spectrum(name, layer, np.full(len(values), np.nan), None, 0)
    return Spectrum(name, layer, values, None, 1)


def _rings(polygon: Any, frame: Frame, coords: str, name: str) -> list[list[list[Place]]]:
    """Polygons as rings of pixel corners of the base, the outer ring first."""
    if hasattr(polygon, "items"):
        shape = polygon.get("geometry", polygon) if polygon.get("type") == "Feature" else polygon
        kind = (shape or {}).get("type")
        if kind not in ("Polygon", "MultiPolygon"):
            raise OptionError(
                f"'{name}' is a GeoJSON {kind}; give a Polygon or MultiPolygon, or its vertices"
            )
        rings = shape.get("coordinates", ())
        parts = [rings] if kind == "Polygon" else rings
    else:
        parts = [[polygon]]
    if coords not in ("crs", "pixel"):
        raise OptionError(f"coords is '{coords}'; choose crs or pixel")
    base = frame.base.transform
    to_pixel: Affine6 = (1.0, 0.0, 0.5, 0.0, 1.0, 0.5)
    if coords == "crs" and base is not None:
        to_pixel = inverse(base)
    try:
        result = [
            [[apply(to_pixel, float(v[0]), float(v[1])) for v in ring] for ring in part]
            for part in parts
        ]
    except (TypeError, ValueError, IndexError) as problem:
        raise OptionError(f"'{name}' is no list of vertices (x, y)") from problem
    if not result or any(len(ring) < 3 for part in result for ring in part):
        raise OptionError(f"'{name}' has fewer than three vertices; a polygon needs three or more")
    return result


def _of_polygon(layer: Layer, frame: Frame, parts: list[list[list[Place]]], name: str) -> Spectrum:
    back = inverse(frame.to_base(layer))
    own = [[[apply(back, *vertex) for vertex in ring] for ring in part] for part in parts]
    vertices = [vertex for part in own for ring in part for vertex in ring]
    cols, rows = zip(*vertices, strict=True)
    source = layer.source
    box = Window(
        math.floor(min(rows)),
        math.floor(min(cols)),
        math.ceil(max(rows)) - math.floor(min(rows)),
        math.ceil(max(cols)) - math.floor(min(cols)),
    ).intersect(Window(0, 0, source.height, source.width))
    geometry = {
        "type": "MultiPolygon",
        "coordinates": [[[*ring, ring[0]] for ring in part] for part in own],
    }
    count, centres = 0, 0
    mean, scatter = np.zeros(source.bands), np.zeros(source.bands)
    height = max(1, _PIECE // max(1, source.bands * box.width))
    for row in range(box.row, box.row_end, height):
        part = Window(row, box.col, min(height, box.row_end - row), box.width)
        if 0 in part.shape:
            break
        inside = _inside(geometry, part)
        centres += int(inside.sum())
        stored = source.read(part)
        valid = source.valid(part, stored)
        pixels = stored[:, inside if valid is None else inside & valid].astype(np.float64)
        if not pixels.shape[1]:
            continue
        # Sums of two strips put together without losing digits (Chan et al. 1983).
        own_mean = pixels.mean(axis=1)
        shift = own_mean - mean
        total = count + pixels.shape[1]
        scatter += ((pixels - own_mean[:, None]) ** 2).sum(axis=1)
        scatter += shift**2 * count * pixels.shape[1] / total
        mean += shift * pixels.shape[1] / total
        count = total
    if not centres:
        raise OptionError(
            f"the polygon '{name}' holds no pixel centre of {layer.label}; "
            "draw it larger or give a point"
        )
    if not count:
        none = np.full(source.bands, np.nan)
        return Spectrum(name, layer, none, none, 0)
    return Spectrum(name, layer, mean, np.sqrt(scatter / count), count)


def _inside(geometry: Mapping[str, Any], window: Window) -> NDArray[np.bool_]:
    """Pixels whose centres lie in a geometry told in pixel corners."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    burnt = rasterize(
        [(geometry, 1)],
        out_shape=window.shape,
        transform=Affine.translation(window.col, window.row),
        fill=0,
        dtype="uint8",
    )
    return np.asarray(burnt, dtype=bool)


def wavelength_axis(layers: Sequence[Layer]) -> tuple[NDArray[np.float64], tuple[str, ...], str]:
    """Where the bands lie on the x axis.

    Parameters
    ----------
    layers : sequence of Layer
        Of one number of bands.

    Returns
    -------
    positions : ndarray, shape (band,), float64
        Nanometres, or 0, 1, 2 where the wavelengths are not known.
    names : tuple of str
        Names of the bands.
    label : str
        Of the axis.
    """
    first = next((layer for layer in layers if layer.wavelengths), None)
    if first is not None:
        return np.asarray(first.wavelengths), first.names, "wavelength (nm)"
    return np.arange(layers[0].bands, dtype=np.float64), layers[0].names, "band"


def plot_spectra(found: Sequence[Spectrum], axes: Sequence[Axes]) -> None:
    """Draw spectra, one axes a place.

    Parameters
    ----------
    found : sequence of Spectrum
        Of images with the same bands.
    axes : sequence of Axes
        One a place.
    """
    places = list(dict.fromkeys(one.place for one in found))
    markers = {"ms": "s", "fused": "o", "reference": "^", "pan": "x"}
    for ax, place in zip(axes, places, strict=True):
        here = [one for one in found if one.place == place]
        layers = [one.layer for one in here]
        x, names, label = wavelength_axis(layers)
        order = np.argsort(x, kind="stable")
        for one, colour in zip(here, colours_of(layers), strict=True):
            count = "" if one.spread is None else f", {one.pixels} px"
            many = len(x) > 20
            across, values = _broken(x[order], one.values[order])
            ax.plot(
                across,
                values,
                color=colour,
                marker=None if many else markers.get(one.layer.role),
                markersize=5,
                linewidth=1.4,
                linestyle="--" if one.layer.role == "reference" else "-",
                label=f"{one.layer.label}{count}" + ("" if one.pixels else " (no data)"),
            )
            if one.spread is not None and one.pixels:
                low = _broken(x[order], (one.values - one.spread)[order])[1]
                high = _broken(x[order], (one.values + one.spread)[order])[1]
                ax.fill_between(across, low, high, color=colour, alpha=0.15, linewidth=0)
        _name_bands(ax, x, names, label)
        ax.set_xlabel(label, fontsize=9)
        ax.set_ylabel(f"value ({layers[0].units})", fontsize=9)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.25)
        ax.set_title(place, fontsize=10)
        legend(ax)


def _broken(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Any, Any]:
    """With a hole where bands are missing, such as those of water vapour."""
    if len(x) < 20:
        return x, y
    steps = np.diff(x)
    gaps = np.flatnonzero((steps > _GAP) & (steps > 5 * np.median(steps))) + 1
    return np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan)


def _name_bands(ax: Axes, x: NDArray[np.float64], names: Sequence[str], label: str) -> None:
    if label == "band":
        every = max(1, len(names) // 12)
        ax.set_xticks(x[::every], list(names[::every]), rotation=30 if len(names) > 4 else 0)
    elif len(names) <= 12:
        top = ax.secondary_xaxis("top")
        top.set_xticks(x, list(names))
        top.tick_params(labelsize=7, length=2, labelrotation=30 if len(names) > 5 else 0)


def spectrum(
    fused: object | None = None,
    *,
    points: Mapping[str, Place] | Sequence[Place] = (),
    polygons: Mapping[str, Polygon] | Sequence[Polygon] = (),
    coords: str = "crs",
    scene: Any = None,
    ms: object | None = None,
    reference: object | None = None,
    sensor: SensorProfile | str | None = None,
    ax: Any = None,
) -> Figure:
    """Plot spectra of points and polygons for MS, products and reference.

    Parameters
    ----------
    fused : image, mapping of str to image, or Scene, optional
        Products.
    points, polygons, coords
        Places, as :func:`spectra`. Of a polygon the mean and one standard deviation are shown.
    scene : Scene, optional
        Gives the MS and the sensor.
    ms, reference : image, optional
        Further images of the same bands.
    sensor : SensorProfile or str, optional
        Whose table gives the wavelengths where files do not.
    ax : matplotlib.axes.Axes, optional
        Where to draw; for one place only.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a place, one scale for all. Wavelengths in nm on the axis; band names where they
        are not known.

    Raises
    ------
    OptionError
        No place, or as :func:`spectra`.
    BandMismatchError
        The images have different bands.
    """
    every, frame = gather(fused, scene=scene, ms=ms, reference=reference, sensor=sensor)
    layers = [layer for layer in every if layer.role != "pan"]
    if not layers:
        raise OptionError("no image with a spectrum; give a product, an MS or a reference")
    if len({layer.bands for layer in layers}) > 1:
        told = ", ".join(f"{layer.label} {layer.bands}" for layer in layers)
        raise BandMismatchError(f"spectra need images of the same bands; there are {told}")
    found = spectra(layers, frame, points=points, polygons=polygons, coords=coords)
    count = len(dict.fromkeys(one.place for one in found))
    if not count:
        raise OptionError("no place; give points= or polygons=")
    if ax is not None:
        if count > 1:
            raise OptionError(f"{count} places do not fit one ax; leave ax= out")
        plot_spectra(found, [ax])
        figure: Figure = ax.figure
        return figure
    cols = min(count, 3)
    rows = -(-count // cols)
    figure, grid = new_figure(rows, cols, width=4.6 * cols, height=3.5 * rows + 0.4, sharey=True)
    plot_spectra(found, spare(grid, count))
    for row in grid:
        for inner in row[1:]:
            inner.set_ylabel("")
    figure.suptitle(caption("spectra: " + " | ".join(layer.label for layer in layers)), fontsize=11)
    return figure


def marker_colour(number: int) -> str:
    """Colour of the n-th place that is marked."""
    return PALETTE[number % len(PALETTE)]


def to_axes(frame: Frame, at: Place) -> Place:
    """Axis coordinates of a pixel corner of the base."""
    left, right, bottom, top = frame.extent(frame.base, Window(0, 0, 1, 1))
    return left + at[0] * (right - left), top + at[1] * (bottom - top)


def from_axes(frame: Frame, place: Place) -> Place:
    """Pixel corner of the base at axis coordinates."""
    left, right, bottom, top = frame.extent(frame.base, Window(0, 0, 1, 1))
    return (place[0] - left) / (right - left), (place[1] - top) / (bottom - top)
