"""Products of the Maxar family in folders: found by names and sidecars, and paired."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import PansharpError
from pansharp.readers._scan import files_below
from pansharp.readers.maxar._imd import Imd
from pansharp.readers.maxar._pvl import Node, is_isd, read_isd, read_pvl
from pansharp.readers.maxar._tiles import tile_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "Product",
    "around",
    "belongs",
    "partners",
    "product_of",
    "products_below",
    "products_in",
]

#: ``19JUN15102030-P2AS_R1C2-012345678010_01_P001``: time, component, level, tile, order part.
_NAME = re.compile(
    r"^(?P<time>\d{2}[A-Z]{3}\d{8})-(?P<kind>[MPSA])[12]?(?P<level>1B|2A|3[A-Z])S"
    r"(?:_R\d+C\d+)?[-_].+",
    re.IGNORECASE,
)
_PART = re.compile(r"\d{12}_\d{2}_P\d{3}", re.IGNORECASE)
_FOLDER = re.compile(r"^(\d{12}_\d{2}_P\d{3})_(MUL|PAN|PSH|MOS|SWIR?)$", re.IGNORECASE)
_RASTERS = (".tif", ".tiff", ".ntf", ".jp2")
_SIDECARS = (".imd", ".til", ".rpb", ".xml")
_ROLES = {"P": "pan", "M": "ms", "S": "sharp", "A": "swir"}
#: Seconds between PAN and MS of one acquisition.
_SAME_TIME = 5.0
#: Folders beside one that are looked into.
_MOST_BESIDE = 200


@dataclass
class Product:
    """One component of a delivery: a PAN or an MS with its sidecars.

    Parameters
    ----------
    folder : Path
        Where its files lie.
    stem : str
        Name without tile and ending.
    rasters : list of Path
        Image, or its tiles.
    sidecars : dict of str to Path
        By ending in lower case.
    """

    folder: Path
    stem: str
    rasters: list[Path] = field(default_factory=list)
    sidecars: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def isd(self) -> Node | None:
        """The ISD, or None where there is none; a damaged one is an error where it is needed."""
        path = self.sidecars.get(".xml")
        return read_isd(path) if path is not None and is_isd(path) else None

    @cached_property
    def imd(self) -> Imd | None:
        """Facts of the IMD, else of the ISD; None without either.

        Raises
        ------
        ReaderError
            It is damaged.
        """
        if ".imd" in self.sidecars:
            return Imd(read_pvl(self.sidecars[".imd"]))
        part = None if self.isd is None else self.isd.first("IMD")
        return Imd(part) if part is not None and (part.values or part.groups) else None

    @cached_property
    def guess(self) -> Imd | None:
        """The IMD as far as it can be read, for finding things: damage is told on opening."""
        try:
            return self.imd
        except PansharpError:
            return None

    @cached_property
    def role(self) -> str:
        """``pan``, ``ms``, ``sharp``, ``swir``, or ``unknown``."""
        imd = self.guess
        if imd is not None and (imd.band_id or imd.codes):
            if imd.is_pan:
                return "pan"
            if imd.sharpened:
                return "sharp"
            return "swir" if imd.codes and all(c.startswith("S") for c in imd.codes) else "ms"
        match = _NAME.match(self.stem)
        return _ROLES[match["kind"].upper()] if match else "unknown"

    @cached_property
    def half(self) -> str | None:
        """``MS1`` or ``MS2`` for the halves of an eight-band image, else None."""
        imd = self.guess
        told = imd.band_id if imd is not None else ""
        if told in ("MS1", "MS2"):
            return told
        match = re.search(r"(?<![A-Z0-9])(MS[12])(?![A-Z0-9])", self.stem.upper())
        return match.group(1) if match and not told else None

    @cached_property
    def part(self) -> str:
        """Order, item and part (``012345678010_01_P001``), else the name of the folder."""
        match = _PART.search(self.stem) or _PART.search(self.folder.name)
        imd = self.guess
        told = imd.order if imd is not None else None
        return (match.group(0) if match else told or self.folder.name).upper()

    @cached_property
    def time(self) -> datetime | None:
        """Time of acquisition by the sidecar, else by the name."""
        imd = self.guess
        if imd is not None and imd.acquired is not None:
            return imd.acquired
        match = _NAME.match(self.stem)
        try:
            return (
                datetime.strptime(match["time"], "%y%b%d%H%M%S").replace(tzinfo=UTC)
                if match
                else None
            )
        except ValueError:
            return None

    @property
    def level(self) -> str | None:
        """``1B``, ``2A``, ``3D`` ... by the name, else by the sidecar."""
        match = _NAME.match(self.stem)
        if match:
            return match["level"].upper()
        told = None if self.guess is None else self.guess.level
        return None if told is None else told.removeprefix("OR")

    @property
    def catalogue(self) -> str | None:
        """Number of the acquisition."""
        return None if self.guess is None else self.guess.catalogue

    @property
    def tiled(self) -> bool:
        """Whether its images are tiles."""
        return any(tile_place(file.name) for file in self.rasters) or (
            not self.rasters and ".til" in self.sidecars
        )

    @property
    def main(self) -> Path:
        """What opens this product: its map of tiles, its ISD, or its image."""
        if self.tiled:
            for ending in (".til", ".xml"):
                if ending in self.sidecars:
                    return self.sidecars[ending]
        return self.rasters[0] if self.rasters else self.sidecars[".til"]


def _stem(name: str) -> str:
    """Name without ending and without the part that numbers a tile."""
    return re.sub(r"_R\d+C\d+(?=[-_.]|$)", "", Path(name).stem, flags=re.IGNORECASE)


def _known(file: Path) -> bool:
    """Whether a file is one of the family's, by its name or by a sidecar's content."""
    suffix = file.suffix.lower()
    if suffix not in _RASTERS + _SIDECARS or file.name.lower().endswith(".aux.xml"):
        return False
    if suffix == ".xml":
        return is_isd(file)
    return bool(_NAME.match(file.stem)) or suffix in (".imd", ".til")


def _group(files: Iterable[Path]) -> list[Product]:
    found: dict[tuple[Path, str], Product] = {}
    everything = list(files)
    for file in filter(_known, everything):
        key = (file.parent, _stem(file.name).lower())
        product = found.setdefault(key, Product(file.parent, _stem(file.name)))
        suffix = file.suffix.lower()
        if suffix in _RASTERS:
            product.rasters.append(file)
        else:
            product.sidecars.setdefault(suffix, file)
    for file in everything:  # images with names of their own, beside a sidecar of the family
        product_here = found.get((file.parent, _stem(file.name).lower()))
        suffix = file.suffix.lower()
        if product_here is None:
            continue
        if suffix in _RASTERS and file not in product_here.rasters:
            product_here.rasters.append(file)
        elif suffix == ".rpb":
            product_here.sidecars.setdefault(suffix, file)
    products = [p for p in found.values() if p.rasters or ".til" in p.sidecars]
    return sorted(products, key=lambda product: str(product.main))


def products_below(folder: Path, *, depth: int) -> list[Product]:
    """Products of a folder and of those below it, sorted by path."""
    return _group(files_below(folder, depth=depth))


def products_in(folder: Path) -> list[Product]:
    """Products of one folder."""
    return products_below(folder, depth=0) if folder.is_dir() else []


def belongs(path: Path) -> bool:
    """Whether a file is one of the family's, by its name or content."""
    return path.is_file() and (
        _known(path) or any(_stem(path.name).lower() == p.stem.lower() for p in _beside(path))
    )


def _beside(path: Path) -> list[Product]:
    """Products of a file's folder, as far as sidecars with its own stem tell."""
    names = [path.with_name(_stem(path.name) + end) for end in (".IMD", ".imd", ".TIL", ".til")]
    return _group([path, *(file for file in names if file.is_file())])


def product_of(path: Path) -> Product | None:
    """The product that a file belongs to: image, tile or sidecar."""
    stem = _stem(path.name).lower()
    return next((p for p in products_in(path.parent) if p.stem.lower() == stem), None)


def partners(product: Product, role: str, there: Sequence[Product]) -> list[Product]:
    """Products of a role that were taken together with one, the surest rule first.

    Parameters
    ----------
    product : Product
        One half.
    role : str
        What is looked for: ``pan`` or ``ms``.
    there : sequence of Product
        Where to look.

    Returns
    -------
    list of Product
        Those with the same order part; else with the same catalogue number; else of the same order
        and taken within 5 s (time stamps of QuickBird and GeoEye-1 differ by a second).
    """
    others = [p for p in there if p.role == role and p.main != product.main]
    same = [p for p in others if p.part == product.part]
    if not same and product.catalogue:
        same = [p for p in others if p.catalogue == product.catalogue]
    if not same:
        same = [p for p in others if p.part[:12] == product.part[:12] and _together(p, product)]
    # Several strips of one part: those taken at the same time.
    same = [p for p in same if _together(p, product)] or same
    same = [p for p in same if p.level == product.level] or same
    near = [p for p in same if p.folder == product.folder] or [
        p for p in same if p.folder.parent == product.folder.parent
    ]
    return near or same


def _together(one: Product, other: Product) -> bool:
    """Whether two products were taken within 5 s of each other."""
    if one.time is None or other.time is None:
        return False
    return abs((one.time - other.time).total_seconds()) <= _SAME_TIME


def around(folder: Path) -> list[list[Path]]:
    """Folders where the other half may lie, the likeliest first.

    Its own; those of the other components of the same part (``…_P001_MUL`` beside
    ``…_P001_PAN``); the parent with all others beside it.
    """
    home = folder.resolve()
    beside = [child for child in _children(home.parent) if child != home]
    match = _FOLDER.match(home.name)
    components = [
        child
        for child in beside
        if match is not None
        and (other := _FOLDER.match(child.name)) is not None
        and other.group(1).upper() == match.group(1).upper()
    ]
    stages = [components, [home.parent, *beside]]
    if not folder.is_absolute():  # messages speak as the user does
        stages = [[Path(os.path.relpath(place)) for place in stage] for stage in stages]
    return [[folder], *(stage[:_MOST_BESIDE] for stage in stages)]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir())[:_MOST_BESIDE]
    except OSError:
        return []
