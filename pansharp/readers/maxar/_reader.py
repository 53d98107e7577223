"""From a path of a Maxar delivery to a scene."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.acquisition import Delivery
from pansharp.errors import (
    AlignmentWarning,
    AmbiguousReaderError,
    GridMismatchError,
    MissingSidecarError,
    PansharpWarning,
    SceneError,
    UnknownFormatError,
)
from pansharp.readers._base import SURE, Found, only_scene
from pansharp.readers._rpc import (
    IN_SENSOR_GEOMETRY,
    LAID_BY_RPC,
    LAID_BY_SIZE,
    misfit,
    ms_on_pan,
)
from pansharp.readers._virtual import placed_at
from pansharp.readers.maxar import _products as products
from pansharp.readers.maxar._open import Opened, open_product
from pansharp.readers.maxar._tiles import tile_place
from pansharp.scene import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.acquisition import ImageFacts
    from pansharp.readers._virtual import Image
    from pansharp.readers.maxar._products import Product
    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["MaxarReader"]

#: Seconds between PAN and MS from which a warning, and from which an error.
_LATE, _OTHER_DAY = 600.0, 86_400.0
_OTHER = {"pan": "ms", "ms": "pan"}
_WORDS = {"pan": "panchromatic", "ms": "multispectral"}


class MaxarReader:
    """WorldView-1 to 4, Legion, GeoEye-1, QuickBird: folders, maps of tiles, any of their files."""

    summary = "Maxar deliveries (WorldView, GeoEye-1, QuickBird, Legion): folder, TIL, IMD, tile"

    def matches(self, path: str) -> float:
        """Sure of files with the family's names, and of folders with such products."""
        place = Path(path)
        if place.is_dir():
            return SURE if products.products_below(place, depth=4) else 0.0
        return SURE if products.belongs(place) else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Scenes below a folder, or the one that a file belongs to.

        Where no PAN has an MS, the lone halves are what is found: opening one says what is missing.
        """
        place = Path(path)
        if not place.is_dir():
            product = products.product_of(place)
            return [] if product is None else [_found([product], place)]
        there = products.products_below(place, depth=depth)
        scenes = [_found([pan, *low], _opener(pan, low)) for pan, low in _pairs(there)]
        lone: dict[tuple[Path, str], Product] = {}
        for product in there:
            key = (product.folder.parent, product.part)
            if key not in lone or product.role == "pan":
                lone[key] = product
        return scenes or [_found([product], product.main) for product in lone.values()]

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open the scene that a folder or file belongs to.

        Raises
        ------
        ReaderError
            The other half, a tile or a sidecar is missing or damaged.
        SceneError
            The images cannot be fused: pan-sharpened already, other dates, other ground.
        """
        place = Path(path)
        if place.is_dir():
            place = Path(only_scene(self.find(path), path).path)
        if place.is_dir():  # halves too far apart to be found from each other
            [(pan, low)] = _pairs(products.products_below(place, depth=4))
            why, low = _why(pan, place), _one_image(pan, "ms", low)
            return _scene(pan, low, why, sensor=sensor, nodata=nodata, ratio=ratio)
        product = products.product_of(place)
        if product is None:
            raise UnknownFormatError(f"'{path}' belongs to no Maxar product that is there")
        _check_role(product)
        evidence = _why(product, place)
        others = _other_half(product)
        if product.role == "pan":
            pan, low = product, others
        else:
            pan, low = others[0], _with_halves(product)
        return _scene(pan, low, evidence, sensor=sensor, nodata=nodata, ratio=ratio)

    def open_files(
        self,
        pan: str,
        ms: Sequence[str],
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene | None:
        """Open files that the user named; None where they are not all of this family."""
        paths = [Path(path) for path in (pan, *ms)]
        if not all(products.belongs(path) for path in paths):
            return None
        found = [product for path in paths if (product := products.product_of(path)) is not None]
        for product in found:
            _check_role(product)
        if [product.role for product in found] != ["pan", *["ms"] * len(ms)]:
            return None  # swapped, say: the pair reader tells
        why = ("PAN and MS as named",)
        options = {"nodata": nodata, "ratio": ratio}
        return _scene(found[0], found[1:], why, sensor=sensor, **options, named=True)


def _pairs(there: Sequence[Product]) -> list[tuple[Product, list[Product]]]:
    """Every PAN with its MS, or with both halves of it."""
    # Archives hold thousands of products: only those of the same order, or where it lacks the
    # other half those with the same catalogue number, can be partners.
    orders: defaultdict[str, list[Product]] = defaultdict(list)
    for product in there:
        orders[product.part[:12]].append(product)
    catalogues: defaultdict[str, list[Product]] = defaultdict(list)
    pairs = []
    for pan in there:
        if pan.role != "pan":
            continue
        near = orders[pan.part[:12]]
        if pan.catalogue and not any(p.part == pan.part and p.role == "ms" for p in near):
            if not catalogues:
                for product in there:
                    catalogues[product.catalogue or ""].append(product)
            near = [*near, *(p for p in catalogues[pan.catalogue] if p not in near)]
        if low := products.partners(pan, "ms", near):
            pairs.append((pan, _halves(low)))
    return pairs


def _opener(pan: Product, low: Sequence[Product]) -> Path:
    """What opens this scene: its PAN, or where the MS lies far from it the folder of both."""
    near = {place.resolve() for stage in products.around(pan.folder) for place in stage}
    if all(product.folder.resolve() in near for product in low):
        return pan.main
    return Path(os.path.commonpath([pan.folder, *(product.folder for product in low)]))


def _found(members: Sequence[Product], path: Path) -> Found:
    first = members[0]
    files = tuple(str(file) for product in members for file in product.rasters)
    why = "names and sidecars of a Maxar delivery"
    return Found(str(path), _name(first), "maxar", files, why)


def _name(product: Product) -> str:
    """Time and order part, without the component: ``19JUN15102030-012345678010_01_P001``."""
    import re

    return re.sub(r"(?<=-)[MPSA][12]?(1B|2A|3[A-Z])S[-_]", "", product.stem, flags=re.IGNORECASE)


def _check_role(product: Product) -> None:
    if product.role == "sharp":
        imd = product.guess
        why = (imd.sharpened if imd is not None else None) or "its name says so"
        raise SceneError(
            f"'{product.main}' is already pan-sharpened ({why}); fusing needs the PAN and MS that "
            "it was made of"
        )
    if product.role not in _OTHER:
        kind = "SWIR" if product.role == "swir" else "unknown"
        raise SceneError(
            f"'{product.main}' is a product of {kind} bands, neither PAN nor MS; name the files "
            "with --pan FILE and --ms FILE"
        )


def _why(product: Product, given: Path) -> tuple[str, ...]:
    said = "name" if product.guess is None else Path(product.guess.path).name
    lines = [f"'{product.main.name}' is the {product.role.upper()} by its {said}"]
    if tile_place(given.name) and given in product.rasters and product.tiled:
        row, col = tile_place(given.name) or (1, 1)
        lines.append(
            f"'{given.name}' is tile R{row}C{col} of a {len(product.rasters)}-tile product: the "
            "whole product is opened"
        )
    return tuple(lines)


def _other_half(product: Product) -> list[Product]:
    """PAN of an MS, or MS (both halves) of a PAN: near folders first."""
    role = _OTHER[product.role]
    for folders in products.around(product.folder):
        there = [found for folder in folders for found in products.products_in(folder)]
        same = products.partners(product, role, there)
        same = _one_image(product, role, same)
        if same:
            return same
    raise UnknownFormatError(
        f"No {_WORDS[role]} image found for '{product.main}'. Looked for a product "
        f"{product.part} of that kind in its folder, in …_{'PAN' if role == 'pan' else 'MUL'} "
        f"beside it and in the parent folder. Pass it with --{role} FILE"
    )


def _one_image(product: Product, role: str, same: Sequence[Product]) -> list[Product]:
    """What makes one image of a role: a product, or two halves.

    Raises
    ------
    AmbiguousReaderError
        There are more.
    """
    found = _halves(same) if role == "ms" else list(same)
    if len(found) > 1 and [part.half for part in found] != ["MS1", "MS2"]:
        names = ", ".join(f"'{part.main}'" for part in found[:4])
        raise AmbiguousReaderError(
            f"{len(found)} images could be the {role.upper()} of '{product.main}': {names}. "
            f"Name one with --{role} FILE"
        )
    return found


def _halves(low: Sequence[Product]) -> list[Product]:
    """MS1 before MS2; a whole image stands for itself where both kinds are there."""
    whole = [p for p in low if p.half is None]
    if whole:
        return whole
    return sorted(low, key=lambda product: product.half or "")


def _with_halves(product: Product) -> list[Product]:
    """An MS, and with one half the other."""
    if product.half is None:
        return [product]
    for folders in products.around(product.folder):
        there = [found for folder in folders for found in products.products_in(folder)]
        same = products.partners(product, "ms", there)
        others = [other for other in same if other.half not in (None, product.half)]
        if others:
            return _halves([product, others[0]])
    return [product]


def _scene(
    pan: Product,
    low: Sequence[Product],
    evidence: tuple[str, ...],
    *,
    sensor: SensorProfile | None,
    nodata: float | None,
    ratio: float | None,
    named: bool = False,
) -> Scene:
    from pansharp.readers.pair import open_pair

    high = open_product(pan)
    parts = [open_product(product) for product in low]
    missing = {p.half for p in low} ^ {"MS1", "MS2"} if low[0].half else set()
    notes = tuple(note for part in (high, *parts) for note in part.notes)
    notes += tuple(f"only the half {low[0].half} of an eight-band image is there" for _ in missing)
    own = next((imd.sensor() for imd in (parts[0].imd, high.imd) if imd is not None), None)
    sensor = sensor or own
    pan_facts, ms_facts = high.facts(sensor), _joined([part.facts(sensor) for part in parts])
    _check_dates(high, parts[0], pan_facts, ms_facts, named=named)
    geometry, images, said = _geometry(high, parts, ratio)
    scene = open_pair(images[0], images[1:], sensor=sensor, nodata=nodata, ratio=ratio, fill=0.0)
    for text in (*notes, *said):
        if text.startswith(("IMD says", "RPC offsets")):
            kind = PansharpWarning if text.startswith("IMD") else AlignmentWarning
            warnings.warn(text, kind, stacklevel=4)
    codes = tuple(code for part in parts for code in part.codes)
    names = _band_names(codes, sensor) if len(codes) == scene.bands else scene.band_names
    delivery = Delivery("maxar", pan_facts, ms_facts, geometry, (*evidence, *_partner_of(low)))
    acquired = ms_facts.acquired or pan_facts.acquired
    scene = replace(
        scene,
        name=_name(pan),
        band_names=names,
        acquired=scene.acquired
        if acquired is None
        else acquired.isoformat().replace("+00:00", "Z"),
        notes=(*notes, *said, *scene.notes),
        delivery=delivery,
    )
    return _in_order(scene, sensor) if len(parts) > 1 else scene


def _partner_of(low: Sequence[Product]) -> tuple[str, ...]:
    return tuple(f"'{p.main.name}' is its MS: {p.part}" for p in low)


def _joined(facts: Sequence[ImageFacts]) -> ImageFacts:
    """Facts of halves as those of one image."""
    first = facts[0]
    constants = tuple(band for part in facts for band in part.constants)
    whole = constants if all(part.constants for part in facts) else ()
    return replace(first, constants=whole)


def _band_names(codes: Sequence[str], sensor: SensorProfile | None) -> tuple[str, ...]:
    """Common names of the vendor's codes where the sensor is known, else the codes."""
    found = None if sensor is None else sensor.match_bands(codes)
    return tuple(band.name for band in found) if found else tuple(code.lower() for code in codes)


def _in_order(scene: Scene, sensor: SensorProfile | None) -> Scene:
    """Bands of two halves in the order of the sensor's whole image."""
    order = [band.name for band in sensor.bands] if sensor is not None else []
    if set(scene.band_names) <= set(order):
        names: list[str | int] = [name for name in order if name in scene.band_names]
        return scene.select_bands(names)
    return scene


def _check_dates(
    high: Opened, low: Opened, pan: ImageFacts, ms: ImageFacts, *, named: bool
) -> None:
    if pan.acquired is None or ms.acquired is None:
        return
    gap = abs((pan.acquired - ms.acquired).total_seconds())
    text = (
        f"the PAN '{high.product.main}' was taken {pan.acquired:%Y-%m-%d %H:%M}, the MS "
        f"'{low.product.main}' {ms.acquired:%Y-%m-%d %H:%M}"
    )
    if gap > _OTHER_DAY and not named:
        raise SceneError(f"{text}; name both with --pan and --ms if that is intended")
    if gap > _LATE:
        warnings.warn(text, PansharpWarning, stacklevel=5)


def _geometry(
    high: Opened, parts: Sequence[Opened], ratio: float | None
) -> tuple[str, list[Image], tuple[str, ...]]:
    """Which grids the two images are on, and the MS placed on the PAN where RPC tell."""
    images = [high.image, *(part.image for part in parts)]
    placed = {part.placed for part in parts}
    if high.placed and placed == {True}:
        return "map", images, ()
    mixed = high.placed or True in placed
    if mixed and (high.rpc is None or any(part.rpc is None for part in parts)):
        bare = high if not high.placed else next(part for part in parts if not part.placed)
        other = "MS" if bare is high else "PAN"
        own = "MS" if bare is not high else "PAN"
        what = "only RPC" if bare.rpc is not None else "neither projection nor RPC"
        raise GridMismatchError(
            f"the {other} has a projection, the {own} '{bare.product.main}' {what}; orthorectify "
            "it first, or order both at the same level"
        )
    shapes = (high.shape, parts[0].shape)
    whole = _whole_ratio(*shapes)
    if high.rpc is None or any(part.rpc is None for part in parts):
        bare = high if high.rpc is None else next(part for part in parts if part.rpc is None)
        text = f"'{bare.product.main}' has neither a map projection nor RPC coefficients"
        if not whole and ratio is None:
            raise MissingSidecarError(
                f"{text}. Put the .RPB next to it; if both images cover the same ground, give "
                "--ratio"
            )
        return "pixel", images, (text,)
    said = [IN_SENSOR_GEOMETRY]
    found = (misfit(part.rpc, part.shape) for part in (high, *parts) if part.rpc is not None)
    wrong = [text for text in found if text is not None]
    if wrong and whole and not mixed:
        return "rpc", images, (*wrong, LAID_BY_SIZE, *said)
    height = float(high.rpc["HEIGHT_OFF"])
    for part in parts:
        transform, residual = ms_on_pan(high.rpc, part.rpc or {}, part.shape, height)
        images[1 + parts.index(part)] = placed_at(part.image, transform)
    said.append(
        f"{LAID_BY_RPC} at a height of {height:g} m (RPC height offset of "
        f"the PAN); largest deviation {residual:.2g} PAN pixels"
    )
    first = placed_at(high.image, IDENTITY) if mixed else replace(high.image, known=True)
    return "mixed" if mixed else "rpc", [first, *images[1:]], (*wrong, *said)


def _whole_ratio(pan: tuple[int, int], ms: tuple[int, int]) -> int:
    """The whole ratio that two sizes agree on, 0 for none."""
    ratio = round((pan[0] / ms[0] + pan[1] / ms[1]) / 2)
    fits = ratio > 1 and all(
        abs(big - ratio * small) < ratio for big, small in zip(pan, ms, strict=True)
    )
    return ratio if fits else 0
