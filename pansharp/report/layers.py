"""The pictures of a report: each place as PAN, MS, product and classical product."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.pictures import Stretch, View, any_bands, encode, look

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pansharp.report.inputs import Inputs
    from pansharp.report.places import Place
    from pansharp.report.rivals import Rival
    from pansharp.scene import Scene

__all__ = ["Drawing", "Picture", "bands_of", "draw", "embed", "wavelengths_of"]

#: Longest side of an overview, pixels.
_OVERVIEW = 1024
#: Bytes of all pictures together, before base64.
BUDGET = 3_600_000
#: What is tried until the pictures fit: format and quality.
_TRIALS = (("png", 0), ("webp", 95), ("webp", 88), ("webp", 75), ("webp", 55), ("webp", 30))
#: Samples (pixels times bands) of another product that are in memory at a time.
_SAMPLES = 1 << 23


@dataclass(frozen=True)
class Picture:
    """One image of one place.

    Parameters
    ----------
    place : int
        Number of the place.
    layer : str
        ``pan``, ``ms``, ``fused`` or ``classical``.
    label : str
        What people read.
    pixels : ndarray, shape (y, x, 4), uint8
        RGBA.
    x, y : float
        Where its corner lies, product pixels from the corner of the place.
    px, py : float
        Size of one of its pixels, product pixels.
    """

    place: int
    layer: str
    label: str
    pixels: NDArray[np.uint8]
    x: float
    y: float
    px: float
    py: float


@dataclass(frozen=True)
class Drawing:
    """All pictures, and how they were coloured.

    Parameters
    ----------
    pictures : list of Picture
        By place, then layer.
    notes : list of str
        Bands and stretch in sentences.
    """

    pictures: list[Picture]
    notes: list[str]


def wavelengths_of(inputs: Inputs) -> tuple[float, ...]:
    """Centre wavelengths of the bands, nanometres; empty where they are not known."""
    scene = inputs.scene
    if scene is not None and scene.wavelengths:
        return scene.wavelengths
    if scene is not None and scene.sensor is not None:
        bands = scene.sensor.match_bands(scene.band_names)
        centres = [band.centre_nm for band in bands or ()]
        known = tuple(centre for centre in centres if centre is not None)
        if known and len(known) == scene.bands:
            return known
    dataset = inputs.product.dataset()
    try:
        found = tuple(float(dataset.tags(i)["wavelength"]) for i in inputs.product.indexes)
    except (KeyError, ValueError):
        return ()
    return found if all(0 < value < 1e6 for value in found) else ()


def bands_of(inputs: Inputs) -> tuple[str, ...]:
    """Names of the bands of the product."""
    if inputs.scene is not None:
        return inputs.scene.band_names
    count = inputs.product.bands
    return inputs.product.band_names or tuple(f"b{i}" for i in range(1, count + 1))


def draw(inputs: Inputs, rival: Rival | None, places: Sequence[Place]) -> Drawing:
    """Make the pictures.

    Parameters
    ----------
    inputs : Inputs
        Product and scene.
    rival : Rival or None
        The other product; not drawn in an overview, which would need all of it.
    places : sequence of Place
        From :func:`choose_places`.

    Returns
    -------
    Drawing
    """
    names, waves = bands_of(inputs), wavelengths_of(inputs)
    chosen, what = _choice(names, waves)
    scene = inputs.scene
    guide_bands = () if scene is None else _guide_bands(scene)
    # The first place is the whole product: it is read once, for its pictures and the stretch.
    whole = _views(inputs, places[0], chosen, guide_bands)
    stretch = Stretch.joint([view for layer, view in whole.items() if layer != "pan"])
    shown = ", ".join(_named(names, waves, band) for band in chosen)
    notes = [f"Colours: {what} ({shown}); one stretch, 1 to 99 % of MS and product together."]
    guide_stretch = _guide_stretch(inputs, whole, stretch, notes)
    pictures = []
    for index, place in enumerate(places):
        views = whole if index == 0 else _views(inputs, place, chosen, guide_bands)
        for layer, view in views.items():
            colours = guide_stretch if layer == "pan" else stretch
            pictures.append(_placed(inputs, index, layer, view, colours, place))
        if rival is not None and not place.overview:
            data = _rival_pixels(rival, place.window, chosen, inputs.product.bands)
            data[:, ~views["fused"].valid] = np.nan
            other = View(data, place.window, 1)
            picture = _placed(inputs, index, "fused", other, stretch, place)
            pictures.append(replace(picture, layer="classical", label=rival.label))
    return Drawing(pictures, notes)


def _views(
    inputs: Inputs, place: Place, bands: tuple[int, ...], guide_bands: tuple[int, ...]
) -> dict[str, View]:
    """What is seen of a place, by layer."""
    size = _OVERVIEW if place.overview else max(place.window.shape)
    views = {}
    scene = inputs.scene
    if scene is not None:
        source = scene.ms_source
        full = Window(0, 0, source.height, source.width)
        window = scene.alignment.ms_window(place.window, 0.5).intersect(full)
        views["pan"] = look(scene.pan_source, bands=guide_bands, window=place.window, size=size)
        views["ms"] = look(source, bands=bands, window=window, size=size)
    views["fused"] = look(inputs.product, bands=bands, window=place.window, size=size)
    return views


def _choice(names: Sequence[str], waves: Sequence[float]) -> tuple[tuple[int, ...], str]:
    bands, combination = any_bands(names, waves)
    words = {
        "rgb": "red, green, blue",
        "one": "one band",
        "assumed": "the first three bands, taken as blue, green and red",
        "false-colour": "false colour",
        "spread": "no bands stand for colours, so three spread ones",
    }
    return bands, words[combination]


def _named(names: Sequence[str], waves: Sequence[float], band: int) -> str:
    # Bands without a name of their own may be called by their wavelength already.
    told = len(waves) != len(names) or names[band].endswith("nm")
    return names[band] if told else f"{names[band]}, {waves[band]:.0f} nm"


def _guide_bands(scene: Scene) -> tuple[int, ...]:
    """Bands of the image that gave the detail."""
    source = scene.pan_source
    if source.bands < 3:
        return (0,)
    names = source.band_names or tuple(f"b{i + 1}" for i in range(source.bands))
    return any_bands(names, scene.guide_wavelengths)[0]


def _guide_stretch(
    inputs: Inputs, whole: Mapping[str, View], stretch: Stretch, notes: list[str]
) -> Stretch:
    """The shared stretch where it suits the guide, else one of its own."""
    if "pan" not in whole or inputs.scene is None:
        return stretch
    view = whole["pan"]
    shared = stretch if len(view.data) == len(stretch.low) else stretch.grey()
    if shared.suits(view):
        return shared
    what = "PAN" if inputs.scene.pan_source.bands == 1 else "guide"
    notes.append(f"The {what} has values of another range and therefore a stretch of its own.")
    return Stretch.joint([view])


def _placed(
    inputs: Inputs, index: int, layer: str, view: View, stretch: Stretch, place: Place
) -> Picture:
    """A picture at its true place; MS pixels are squares, nothing is interpolated."""
    row, col, window = place.window.row, place.window.col, view.window
    if layer != "ms" or inputs.scene is None:
        scene = inputs.scene
        several = scene is not None and scene.pan_source.bands > 1
        label = "Product" if layer == "fused" else "Guide (MSI)" if several else "PAN"
        x, y = float(window.col - col), float(window.row - row)
        return Picture(index, layer, label, stretch(view), x, y, view.step, view.step)
    axes = inputs.scene.alignment
    return Picture(
        index,
        layer,
        "HSI" if inputs.is_cube else "MS",
        stretch(view),
        axes.x.to_pan(window.col - 0.5) + 0.5 - col,
        axes.y.to_pan(window.row - 0.5) + 0.5 - row,
        axes.x.scale * view.step,
        axes.y.scale * view.step,
    )


def _rival_pixels(
    rival: Rival, window: Window, bands: tuple[int, ...], count: int
) -> NDArray[np.float32]:
    """Some bands of another product, made in pieces that bound the memory."""
    out = np.empty((len(bands), *window.shape), dtype=np.float32)
    side = max(64, math.isqrt(_SAMPLES // count))
    for row in range(0, window.height, side):
        for col in range(0, window.width, side):
            height, width = min(side, window.height - row), min(side, window.width - col)
            piece = rival.read(Window(window.row + row, window.col + col, height, width))
            out[:, row : row + height, col : col + width] = piece[list(bands)]
    return out


def embed(pictures: Sequence[Picture], budget: int = BUDGET) -> tuple[list[dict[str, Any]], str]:
    """Pictures as they stand in the page.

    Parameters
    ----------
    pictures : sequence of Picture
        The pictures.
    budget : int
        Bytes of all together.

    Returns
    -------
    list of dict, and str
        ``src`` (data address), ``place``, ``layer``, ``label``, ``x``, ``y``, ``px``, ``py``,
        ``width``, ``height``; and a sentence about what encoding lost, or nothing. Lossless where
        that fits; the MS, whose pixels are looked at one by one, always.
    """
    encoded: list[bytes] = []
    note = ""
    for format, quality in _TRIALS:
        encoded = [_bytes(picture, format, quality) for picture in pictures]
        note = "" if format == "png" else f"Pictures are packed with losses (quality {quality})."
        if sum(map(len, encoded)) <= budget:
            break
    kinds = ["png" if data.startswith(b"\x89PNG") else "webp" for data in encoded]
    return [
        {
            "src": f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}",
            "place": picture.place,
            "layer": picture.layer,
            "label": picture.label,
            "x": round(picture.x, 4),
            "y": round(picture.y, 4),
            "px": round(picture.px, 6),
            "py": round(picture.py, 6),
            "width": picture.pixels.shape[1],
            "height": picture.pixels.shape[0],
        }
        for picture, data, kind in zip(pictures, encoded, kinds, strict=True)
    ], note


def _bytes(picture: Picture, format: str, quality: int) -> bytes:
    pixels = picture.pixels
    if (pixels[..., 3] == 255).all():
        pixels = np.ascontiguousarray(pixels[..., :3])
    if format == "png" or (picture.layer == "ms" and picture.px >= 2 and max(pixels.shape) <= 400):
        return encode(pixels, "png")
    return encode(pixels, format, quality=quality)
