"""The pictures of a report: each place as PAN, MS, product and classical product."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.pictures import Stretch, View, any_bands, encode, look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.report.inputs import Inputs
    from pansharp.report.places import Place
    from pansharp.report.rivals import Rival

__all__ = ["Drawing", "Picture", "bands_of", "draw", "embed", "wavelengths_of"]

#: Longest side of an overview, pixels, and of the views that the stretch is found from.
_OVERVIEW, _SAMPLE = 1024, 512
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
    product, scene = inputs.product, inputs.scene
    views = [look(product, bands=chosen, size=_SAMPLE)]
    if scene is not None:
        views.append(look(scene.ms_source, bands=chosen, size=_SAMPLE))
    stretch = Stretch.joint(views)
    shown = ", ".join(_named(names, waves, band) for band in chosen)
    notes = [f"Colours: {what} ({shown}); one stretch, 1 to 99 % of MS and product together."]
    guide = None if scene is None else _guide(inputs, stretch, notes)
    pictures = []
    for index, place in enumerate(places):
        size = _OVERVIEW if place.overview else max(place.window.shape)
        if scene is not None and guide is not None:
            guide_bands, guide_stretch = guide
            view = look(scene.pan_source, bands=guide_bands, window=place.window, size=size)
            label = "PAN" if scene.pan_source.bands == 1 else "Guide (MSI)"
            pictures.append(_placed(index, "pan", label, view, guide_stretch, place))
            pictures.append(_ms(inputs, index, place, chosen, stretch, size))
        fused = look(product, bands=chosen, window=place.window, size=size)
        pictures.append(_placed(index, "fused", "Product", fused, stretch, place))
        if rival is not None and not place.overview:
            data = _rival_pixels(rival, place.window, chosen, product.bands)
            data[:, ~fused.valid] = np.nan
            other = View(data, place.window, 1)
            pictures.append(_placed(index, "classical", rival.label, other, stretch, place))
    return Drawing(pictures, notes)


def _choice(names: Sequence[str], waves: Sequence[float]) -> tuple[tuple[int, ...], str]:
    bands, combination = any_bands(names, waves)
    words = {
        "rgb": "red, green, blue" if len(bands) == 3 else "one band",
        "false-colour": "false colour",
        "spread": "no bands stand for colours, so three spread ones",
    }
    return bands, words[combination]


def _named(names: Sequence[str], waves: Sequence[float], band: int) -> str:
    return f"{names[band]}, {waves[band]:.0f} nm" if len(waves) == len(names) else names[band]


def _guide(inputs: Inputs, stretch: Stretch, notes: list[str]) -> tuple[tuple[int, ...], Stretch]:
    """Bands and stretch of the image that gave the detail."""
    scene = inputs.scene
    assert scene is not None
    source = scene.pan_source
    bands: tuple[int, ...] = (0,)
    if source.bands >= 3:
        names = source.band_names or tuple(f"b{i + 1}" for i in range(source.bands))
        bands, _ = _choice(names, scene.guide_wavelengths)
    view = look(source, bands=bands, size=_SAMPLE)
    shared = stretch if len(bands) == len(stretch.low) else stretch.grey()
    if shared.suits(view):
        return bands, shared
    what = "PAN" if source.bands == 1 else "guide"
    notes.append(f"The {what} has values of another range and therefore a stretch of its own.")
    return bands, Stretch.joint([view])


def _placed(
    index: int, layer: str, label: str, view: View, stretch: Stretch, place: Place
) -> Picture:
    x, y = view.window.col - place.window.col, view.window.row - place.window.row
    return Picture(index, layer, label, stretch(view), x, y, view.step, view.step)


def _ms(
    inputs: Inputs, index: int, place: Place, bands: tuple[int, ...], stretch: Stretch, size: int
) -> Picture:
    """The MS at its true place: pixels are squares, nothing is interpolated."""
    scene = inputs.scene
    assert scene is not None
    source = scene.ms_source
    full = Window(0, 0, source.height, source.width)
    window = scene.alignment.ms_window(place.window, 0.5).intersect(full)
    view = look(source, bands=bands, window=window, size=size)
    y, x = scene.alignment.y, scene.alignment.x
    return Picture(
        index,
        "ms",
        "MS" if not inputs.is_cube else "HSI",
        stretch(view),
        x.to_pan(window.col - 0.5) + 0.5 - place.window.col,
        y.to_pan(window.row - 0.5) + 0.5 - place.window.row,
        x.scale * view.step,
        y.scale * view.step,
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
