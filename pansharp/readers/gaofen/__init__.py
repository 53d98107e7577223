"""GaoFen-1, 1B/C/D, 2, 6 and 7, ZiYuan-3, SuperView-1: PAN and MS with XML and RPC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import PansharpError, ReaderError, SceneError, UnknownFormatError
from pansharp.readers._base import SURE, Found, only_scene, readers
from pansharp.readers._half import Half, open_halves
from pansharp.readers._rpc import rpc_items
from pansharp.readers._scan import files_below
from pansharp.readers._sidecar import Fields, beside
from pansharp.readers._virtual import Image
from pansharp.readers.gaofen._facts import sheet_of
from pansharp.readers.gaofen._names import Name, parse
from pansharp.readers.maxar._pvl import read_pvl
from pansharp.sensors import get_sensor
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rasterio.io import DatasetReader

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["GaofenReader"]

_FAMILY = "gaofen"
_IMAGES = (".tif", ".tiff")
_MEMBERS = (*_IMAGES, ".xml", ".rpb", ".jpg")
#: Bands of the MS in file order, for the four-band cameras.
_MS_BANDS = 4


class GaofenReader:
    """Opens deliveries of the GaoFen family by the names of their files."""

    summary = "GaoFen-1/2/6/7, ZiYuan-3, SuperView-1: -PAN1.tiff with -MSS1.tiff and their kin"

    def matches(self, path: str) -> float:
        """Sure of names of that family, and of folders that hold such images."""
        place = Path(path)
        if place.is_dir():
            return SURE if any(True for _ in _images(files_below(place, depth=1))) else 0.0
        name = parse(place)
        known = name is not None and place.suffix.lower() in _MEMBERS
        return SURE if known and place.is_file() else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Scenes below a folder, or the one of a file; each camera is a scene of its own.

        Where no PAN has an MS, the lone halves are what is found: opening one says what is missing.
        """
        if not Path(path).is_dir():
            return [_of_file(Path(path))]
        images = list(_images(files_below(path, depth=depth)))
        pairs = [
            _found(pan, ms, name)
            for pan, name in images
            if name.is_pan and (ms := _partner(pan, name, images)) is not None
        ]
        return sorted(pairs or _lone(images), key=lambda scene: scene.path)

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open a scene by its folder or any of its files.

        Raises
        ------
        UnknownFormatError
            The other half is not there.
        SceneError
            The file is a stereo partner or already pan-sharpened.
        ReaderError
            A file is damaged.
        """
        if Path(path).is_dir():
            path = only_scene(self.find(path), path).path
        pan, ms, name = _pair_of(Path(path))
        high, low = self.half(str(pan)), self.half(str(ms))
        return open_halves(high, low, name=name.scene, sensor=sensor, nodata=nodata, ratio=ratio)

    def open_files(
        self,
        pan: str,
        ms: Sequence[str],
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene | None:
        """Open files that the user named; None where they are not PAN and MS of this family."""
        named = [parse(path) for path in (pan, *ms)]
        if len(ms) != 1 or None in named or not all(Path(path).is_file() for path in (pan, *ms)):
            return None
        high, low = self.half(pan), self.half(ms[0])
        if not (named[0] and named[0].is_pan):
            return None  # swapped, say: the pair reader tells
        return open_halves(high, low, named=True, sensor=sensor, nodata=nodata, ratio=ratio)

    def half(self, path: str) -> Half:
        """One image of the family (errors: :meth:`open`)."""
        image = _image_of(Path(path))
        name = parse(image)
        assert name is not None
        _check_usable(image, name)
        sensor = get_sensor(name.sensor)
        sheet = sheet_of(image, name)
        with open_raster(image) as dataset:
            placed = dataset.crs is not None
            bands = int(dataset.count)
            shape = (int(dataset.height), int(dataset.width))
            rpc = _rpc(dataset, image, sheet.notes, placed=placed)
        names = () if name.is_pan or bands != _MS_BANDS else _names(sensor)
        camera = f", {name.part}" if name.part else ""
        return Half(
            images=(Image.of(str(image)),),
            family=_FAMILY,
            names=names,
            facts=sheet.facts(sensor, rpc, bands=bands, placed=placed),
            shape=shape,
            sensor=sensor,
            fill=0.0,
            evidence=(f"names of {sensor.label}{camera}: '{name.scene}'",),
            part=name.part,
        )


def _names(sensor: SensorProfile) -> tuple[str, ...]:
    return tuple(band.name for band in sensor.bands)


def _images(files: Iterable[Path]) -> Iterable[tuple[Path, Name]]:
    for file in files:
        if file.suffix.lower() in _IMAGES and (name := parse(file)) is not None and name.role:
            yield file, name


def _found(pan: Path, ms: Path, name: Name) -> Found:
    camera = f", {name.part}" if name.part else ""
    why = f"names of {get_sensor(name.sensor).label}{camera}"
    return Found(str(pan), name.scene, _FAMILY, (str(pan), str(ms)), why)


def _of_file(path: Path) -> Found:
    """The scene of a file; the file alone where its partner is not there."""
    name = parse(path)
    try:
        pan, ms, name = _pair_of(path)
        return _found(pan, ms, name)
    except PansharpError:
        stem = path.stem if name is None else name.scene
        return Found(str(path), stem, _FAMILY, (str(path),), "one half of a scene")


def _lone(images: Iterable[tuple[Path, Name]]) -> list[Found]:
    """One image a scene, one that can be fused rather than another."""
    best: dict[str, tuple[bool, Path]] = {}
    for file, name in images:
        rank = (not (name.is_pan or name.is_ms), file)
        best[name.scene] = min(rank, best.get(name.scene, rank))
    return [
        Found(str(file), scene, _FAMILY, (str(file),), "one half of a scene")
        for scene, (_, file) in best.items()
    ]


def _partner(pan: Path, name: Name, images: Iterable[tuple[Path, Name]]) -> Path | None:
    """MS of a PAN: same scene and camera, in the same folder rather than another one."""
    scene = name.scene.lower()
    there = [
        (name.partners.index(other.role), file.parent != pan.parent, file)
        for file, other in images
        if other.scene.lower() == scene and other.role in name.partners
    ]
    return min(there)[2] if there else None


def _image_of(path: Path) -> Path:
    """The raster that a file belongs to."""
    if path.suffix.lower() in _IMAGES:
        return path
    name = parse(path)
    image = beside(path, *reversed(_IMAGES))
    if image is None:
        what = "the scene" if name is None or not name.role else "its image"
        raise UnknownFormatError(f"'{path}' describes {what}; name the .tiff with pixels instead")
    return image


def _pair_of(path: Path) -> tuple[Path, Path, Name]:
    """Both halves of the scene that a file belongs to.

    Raises
    ------
    UnknownFormatError
        One is not there.
    SceneError
        The file is none of the two.
    """
    name = parse(path)
    assert name is not None
    folder = path.parent
    if not name.role:  # the XML of the whole scene
        mine = [
            (file, other)
            for file, other in _images(files_below(folder, depth=0))
            if other.scene.lower() == name.scene.lower() and other.is_pan
        ]
        if not mine:
            raise _missing(path, name, "panchromatic", "pan")
        path, name = mine[0]
    else:
        path = _image_of(path)
    _check_usable(path, name)
    # Some centres deliver each camera as an archive: the partner may lie in a sibling folder.
    for root, depth in ((folder, 0), (folder.resolve().parent, 1)):
        images = list(_images(files_below(root, depth=depth)))
        if name.is_pan:
            ms = _partner(path, name, images)
            if ms is not None:
                return path, ms, name
            continue
        for pan, other in images:
            if other.is_pan and _partner(pan, other, [(path, name)]) is not None:
                return pan, path, other
    raise _missing(
        path, name, *(("multispectral", "ms") if name.is_pan else ("panchromatic", "pan"))
    )


def _missing(path: Path, name: Name, what: str, option: str) -> UnknownFormatError:
    looked = {"pan": "-PAN#, -PAN, -BWDPAN, -NAD", "ms": "-MSS#, -MUX, -MSS, -BWDMUX"}[option]
    roles = ", ".join(f"'{name.scene}{part}.tiff'" for part in _roles(name, option)) or looked
    return UnknownFormatError(
        f"No {what} image found for '{path}'; looked for {roles}. Pass it with --{option} FILE"
    )


def _roles(name: Name, option: str) -> list[str]:
    if option == "ms":
        return [f"-{role}" for role in name.partners]
    digit = name.role[-1:] if name.role[-1:].isdigit() else ""
    table = {"MSS": ["PAN"], "MUX": ["PAN", "NAD"], "BWDMUX": ["BWDPAN"]}
    return [f"-{role}{digit}" for role in table.get(name.role.rstrip("12"), [])]


def _check_usable(path: Path, name: Name) -> None:
    if name.role.startswith("PSH"):
        raise SceneError(f"'{path}' is already pan-sharpened; give its PAN and MUX instead")
    if name.role and not (name.is_pan or name.is_ms):
        raise SceneError(
            f"'{path}' is an image of another viewing direction ({name.role}), a stereo partner "
            "that is never fused; give the PAN and MS of one camera"
        )


def _rpc(
    dataset: DatasetReader, image: Path, notes: list[str], *, placed: bool
) -> dict[str, str] | None:
    """RPC of the `.rpb`, else of what GDAL finds (tag, ``_RPC.TXT``).

    An image without projection needs them: there a damaged file is an error.
    """
    sidecar = beside(image, ".rpb")
    try:
        if sidecar is not None:
            return rpc_items(read_pvl(sidecar).first("IMAGE").fields)
        tags = {str(key): str(value) for key, value in dataset.tags(ns="RPC").items()}
        return rpc_items(Fields.of(image, tags)) if tags else None
    except ReaderError as problem:
        if not placed:
            raise
        notes.append(f"{str(problem).partition(';')[0]}: RPC left out")
        return None


readers.register("gaofen")(GaofenReader())
