"""One image of a delivery, and how two of them become a scene."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pansharp.acquisition import Delivery, ImageFacts
from pansharp.errors import (
    AlignmentWarning,
    GridMismatchError,
    MissingSidecarError,
    PansharpWarning,
    SceneError,
)
from pansharp.readers import _metadata as metadata
from pansharp.readers._base import SURE, readers
from pansharp.readers._rpc import (
    IN_SENSOR_GEOMETRY,
    LAID_BY_RPC,
    LAID_BY_SIZE,
    misfit,
    ms_on_pan,
    rpc_items,
)
from pansharp.readers._sidecar import Fields
from pansharp.readers._virtual import Image, Tile, mosaic, placed_at
from pansharp.readers._zarr import in_store, read_raster
from pansharp.scene import IDENTITY
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["Half", "HalfReader", "half_of", "open_halves", "open_named"]

#: Seconds between PAN and MS that are worth a note, and that make them two acquisitions.
_LATE, _OTHER_DAY = 600.0, 86_400.0
#: Beginnings of notes that are warnings too.
_LOUD = ("RPC offsets", "no gains published", "the sun stands")


@dataclass(frozen=True)
class Half:
    """One image of a delivery with what its sidecars said; pixels unread.

    Parameters
    ----------
    images : tuple of Image
        What holds its bands, stacked in this order; a high-resolution image is one.
    family : str
        Reader that made it; empty for a plain raster.
    names : tuple of str
        Names of all bands of `images`, or empty.
    keep : tuple of int
        Bands to use, counted from 0, in that order; empty for all.
    wavelengths, widths : tuple of float
        Of all bands of `images`, nanometres, or empty.
    facts : ImageFacts
        What the sidecars said; its constants count all bands of `images`.
    shape : tuple of int
        Rows and columns; needed where the image is placed by RPC.
    sensor : SensorProfile or None
        Sensor.
    fill : float or None
        Value of pixels without data by the vendor's rule.
    evidence : tuple of str
        What it was recognised by.
    cube : bool
        Whether it is hyperspectral.
    guide : bool
        Whether it is a high-resolution image of several bands.
    part : str
        What must agree between the two halves, such as ``"camera 1"``; empty for no such thing.
    """

    images: tuple[Image, ...]
    family: str = ""
    names: tuple[str, ...] = ()
    keep: tuple[int, ...] = ()
    wavelengths: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()
    facts: ImageFacts = field(default_factory=ImageFacts)
    shape: tuple[int, int] = (0, 0)
    sensor: SensorProfile | None = None
    fill: float | None = None
    evidence: tuple[str, ...] = ()
    cube: bool = False
    guide: bool = False
    part: str = ""

    @property
    def label(self) -> str:
        """Path for messages."""
        return self.images[0].name


@runtime_checkable
class HalfReader(Protocol):
    """What a reader has besides when it knows images that a user may name one by one."""

    def half(self, path: str) -> Half:
        """One image of a delivery: a PAN, an MS, a cube, or a multispectral guide.

        Parameters
        ----------
        path : str
            One of its files, or its folder.
        """
        ...


def half_of(path: str) -> Half:
    """The image that a path names, by the reader that is sure of it, else as a plain raster.

    Raises
    ------
    ReaderError
        It cannot be read.
    """
    reader = _reader_of(path)
    if reader is not None:
        return reader.half(path)
    if in_store(path):
        raster = read_raster(path)
        facts = ImageFacts(placed=raster.crs is not None)
        return Half((Image.of(path),), facts=facts, shape=raster.shape[1:])
    with open_raster(path) as dataset:
        tags = {str(key): str(value) for key, value in dataset.tags(ns="RPC").items()}
        placed = dataset.crs is not None
        shape = (int(dataset.height), int(dataset.width))
    rpc = rpc_items(Fields.of(path, tags)) if tags and not placed else None
    facts = ImageFacts(placed=placed, rpc=rpc)
    return Half((Image.of(path),), facts=facts, shape=shape)


def _reader_of(path: str) -> HalfReader | None:
    scores = {key: readers.get(key).matches(path) for key in readers.names()}
    for key in sorted(scores, key=lambda key: -scores[key]):
        reader = readers.get(key)
        if scores[key] >= SURE and isinstance(reader, HalfReader):
            return reader
    return None


def open_named(
    high: str,
    low: Sequence[str],
    *,
    guide: bool = False,
    cube: bool = False,
    sensor: SensorProfile | None = None,
    nodata: float | None = None,
    ratio: float | None = None,
) -> Scene | None:
    """Open two images that the user named and of which one at least is a delivery.

    Parameters
    ----------
    high : str
        High-resolution image: file, or folder of a delivery.
    low : sequence of str
        Low-resolution image.
    guide, cube, sensor, nodata, ratio
        As :func:`open_halves`.

    Returns
    -------
    Scene or None
        None where both are plain rasters.

    Raises
    ------
    PansharpError
        As :func:`open_halves`.
    """
    if len(low) != 1 or (_reader_of(high) is None and _reader_of(low[0]) is None):
        return None
    first, second = half_of(high), half_of(low[0])
    return open_halves(
        first,
        second,
        guide=guide or first.guide,
        cube=cube or second.cube,
        named=True,
        sensor=sensor,
        nodata=nodata,
        ratio=ratio,
    )


def open_halves(
    high: Half,
    low: Half,
    *,
    name: str = "",
    guide: bool = False,
    cube: bool = False,
    named: bool = False,
    sensor: SensorProfile | None = None,
    nodata: float | None = None,
    ratio: float | None = None,
) -> Scene:
    """Open two images as a scene, with the metadata of their deliveries.

    Parameters
    ----------
    high, low : Half
        High-resolution and low-resolution image.
    name : str
        Name of the scene; default that of the PAN's file.
    named : bool
        Whether the user named both files: other dates are then meant.
    guide, cube, sensor, nodata, ratio
        As :func:`pansharp.readers.pair.open_pair`.

    Returns
    -------
    Scene
        Its `delivery` is set where a sidecar was read.

    Raises
    ------
    SceneError
        The two are of different cameras or days, or do not make a pair.
    ReaderError
        A file is missing or incomplete.
    """
    from pansharp.readers.pair import open_pair

    if high.part and low.part and high.part != low.part:
        raise SceneError(
            f"'{high.label}' belongs to {high.part}, '{low.label}' to {low.part}; they do not see "
            "the same ground, name the two images of one camera"
        )
    late = _gap(high, low, named=named or cube, limit=_OTHER_DAY if cube else _LATE)
    geometry, images, said = _placed(high, low, ratio)
    notes = (*said, *late, *dict.fromkeys((*high.facts.notes, *low.facts.notes)))
    for text in notes:
        if text.startswith(_LOUD):
            warnings.warn(text, AlignmentWarning, stacklevel=4)
    shared = high.fill if high.fill == low.fill else None
    if high.fill != low.fill:  # one of them alone has a vendor's rule
        images = [
            image if fill is None else _with_fill(image, fill)
            for image, fill in zip(
                images, (high.fill, *(low.fill for _ in images[1:])), strict=True
            )
        ]
    scene = open_pair(
        images[0],
        images[1:],
        guide=guide,
        cube=cube,
        sensor=sensor or low.sensor or high.sensor,
        nodata=nodata,
        ratio=ratio,
        fill=shared,
    )
    scene = replace(scene, name=name or scene.name, notes=(*notes, *scene.notes))
    if not (high.family or low.family):
        return scene
    return _described(scene, high, low, geometry)


def _with_fill(image: Image, value: float) -> Image:
    """The same image with a nodata value, unless it declares one."""
    if in_store(image.source):
        return image  # it declares its fill, or what it holds is looked at
    with open_raster(image.source) as dataset:
        if dataset.nodatavals[0] is not None:
            return image
        if image.virtual:
            text = image.source
        else:
            a, b, c, d, e, f = (float(number) for number in tuple(dataset.transform)[:6])
            shape = (int(dataset.height), int(dataset.width))
            crs = None if dataset.crs is None else str(dataset.crs.to_wkt())
            whole = [Tile(image.source, 0, 0, *shape)]
            text = mosaic(whole, dataset, shape=shape, transform=(a, b, c, d, e, f), crs=crs)
    head = re.compile(r"<VRTRasterBand [^>]*>")
    text = head.sub(lambda found: f"{found.group()}<NoDataValue>{value!r}</NoDataValue>", text)
    return replace(image, source=text)


def _gap(high: Half, low: Half, *, named: bool, limit: float) -> tuple[str, ...]:
    """A note where the two were taken at different times; an error where that is not meant."""
    pan, ms = high.facts.acquired, low.facts.acquired
    if pan is None or ms is None:
        return ()
    gap = abs((pan - ms).total_seconds())
    words = ("guide" if high.guide else "PAN", "cube" if low.cube else "MS")
    text = (
        f"the {words[0]} '{high.label}' was taken {pan:%Y-%m-%d %H:%M}, the {words[1]} "
        f"'{low.label}' {ms:%Y-%m-%d %H:%M}"
    )
    if gap > _OTHER_DAY and not named:
        raise SceneError(f"{text}; name both with --pan and --ms if that is intended")
    if gap > limit:
        warnings.warn(text, PansharpWarning, stacklevel=5)
        return (text,)
    return ()


def _placed(high: Half, low: Half, ratio: float | None) -> tuple[str, list[Image], tuple[str, ...]]:
    """How the two lie on each other: by maps, by RPC, or by their pixels alone."""
    images = [high.images[0], *low.images]
    if not (high.family or low.family) or (high.facts.placed and low.facts.placed):
        return "map", images, ()
    mixed = high.facts.placed or low.facts.placed
    if mixed and (high.facts.rpc is None or low.facts.rpc is None):
        bare, other, own = (low, "PAN", "MS") if high.facts.placed else (high, "MS", "PAN")
        what = "only RPC" if bare.facts.rpc is not None else "neither projection nor RPC"
        raise GridMismatchError(
            f"the {other} has a projection, the {own} '{bare.label}' {what}; orthorectify it "
            "first, or order both at the same level"
        )
    whole = _whole_ratio(high.shape, low.shape)
    pan, ms = high.facts.rpc, low.facts.rpc
    if pan is None or ms is None:
        bare = high if pan is None else low
        text = f"'{bare.label}' has neither a map projection nor RPC coefficients"
        if not whole and ratio is None:
            raise MissingSidecarError(
                f"{text}. Put the file with its RPC next to it; if both images cover the same "
                "ground, give --ratio"
            )
        return "pixel", images, (text,)
    said = [IN_SENSOR_GEOMETRY]
    found = (misfit(pan, high.shape), misfit(ms, low.shape))
    wrong = [text for text in found if text is not None]
    if wrong and whole and not mixed:
        return "rpc", images, (*wrong, LAID_BY_SIZE, *said)
    height = float(pan["HEIGHT_OFF"])
    transform, residual = ms_on_pan(pan, ms, low.shape, height)
    said.append(
        f"{LAID_BY_RPC} at a height of {height:g} m (RPC height offset of "
        f"the PAN); largest deviation {residual:.2g} PAN pixels"
    )
    moved = [placed_at(image, transform) for image in low.images]
    first = placed_at(images[0], IDENTITY) if mixed else replace(images[0], known=True)
    return "mixed" if mixed else "rpc", [first, *moved], (*wrong, *said)


def _whole_ratio(pan: tuple[int, int], ms: tuple[int, int]) -> int:
    """The whole ratio that two sizes agree on, 0 for none."""
    if 0 in ms:
        return 0
    ratio = round((pan[0] / ms[0] + pan[1] / ms[1]) / 2)
    fits = ratio > 1 and all(
        abs(big - ratio * small) < ratio for big, small in zip(pan, ms, strict=True)
    )
    return ratio if fits else 0


def _described(scene: Scene, high: Half, low: Half, geometry: str) -> Scene:
    """The scene with what the sidecars said, cut to the bands that shall be used."""
    delivery = Delivery(
        family=low.family or high.family,
        pan=high.facts,
        ms=low.facts,
        geometry=geometry,
        evidence=(*high.evidence, *(e for e in low.evidence if e not in high.evidence)),
    )
    names = metadata.unique_names(low.names)
    acquired = low.facts.acquired or high.facts.acquired
    told = None if acquired is None else acquired.isoformat().replace("+00:00", "Z")
    count = scene.bands
    guides = scene.pan_source.bands
    scene = replace(
        scene,
        delivery=delivery,
        band_names=names if len(names) == count else scene.band_names,
        wavelengths=low.wavelengths if len(low.wavelengths) == count else scene.wavelengths,
        widths=low.widths if len(low.widths) == count else scene.widths,
        guide_wavelengths=high.wavelengths
        if len(high.wavelengths) == guides
        else scene.guide_wavelengths,
        guide_widths=high.widths if len(high.widths) == guides else scene.guide_widths,
        acquired=told or scene.acquired,
    )
    keep = low.keep or tuple(range(count))
    return scene if keep == tuple(range(count)) else scene.select_bands(keep)
