"""Deliveries with one sidecar that tests damage, one case a family and kind of sidecar."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deliveries import cubes, dimap, gaofen, landsat, stores
from deliveries.rasters import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Texts that break parsers: numbers that are none, endless ones, markup, other scripts, bytes.
ODD = (
    *(b"", b"-", b"1e999", b"NaN", b"NULL", b"9" * 400, b"0x10", b"-1", b"1_0", "٣".encode()),
    *(b"<a>", b"</", b"&lt;", b"&#0;", b"<!DOCTYPE x [<!ENTITY e 'y'>]>", b"{", b"(((", b"\n"),
    *(b"\0", b"\xff\xfe", "高分".encode("gbk"), b"../../etc/passwd"),
    *(b"2018-99-99 99:99:99", b"0001-01-01 00:00:00"),
)


def damaged(data: bytes, seed: int, steps: int) -> bytes:
    """The text with a few random bytes, fields or stretches changed."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(steps):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del out[at : at + rng.choice((1, 10, 200, len(out)))]
        elif kind == 2:
            out[at:at] = rng.choice(ODD)
        elif kind == 3:  # a value: what stands between > and <, or behind =
            marks = [i for i, byte in enumerate(out) if byte in b">="]
            if marks:
                start = rng.choice(marks) + 1
                stop = next((i for i in range(start, len(out)) if out[i] in b"<;\n"), len(out))
                out[start:stop] = rng.choice(ODD)
        elif kind == 4:
            part = out[at : at + rng.randrange(300)]
            out[at:at] = part
        else:
            out = out[:at]
        if not out:
            break
    return bytes(out)


class Case(NamedTuple):
    """A delivery: what is opened, the sidecar to damage, and the guide of a cube."""

    path: Path
    sidecar: Path
    guide: Path | None
    #: Damages the sidecar in another way than byte by byte: (copy of it, seed, steps).
    spoil: Callable[[Path, int, int], None] | None = None


def _gaofen(folder: Path, *, suffix: str) -> Case:
    made = gaofen.gaofen2(folder, side=16, new=True)
    return Case(made.folder, made.ms.with_suffix(suffix), None)


def _landsat(folder: Path) -> Case:
    home = landsat.landsat(folder, side=16)
    return Case(home, home / f"{landsat.PRODUCT}_MTL.txt", None)


def _dimap(folder: Path, *, level: str) -> Case:
    _, ms = dimap.bundle(folder, side=16, level=level)
    file = next(iter(ms.parent.glob("RPC_*"))) if level == "SEN" else ms
    return Case(folder, file, None)


def _guided(folder: Path, made: Path, sidecar: Path) -> Case:
    ground = cubes.on_map(cubes.ground_of(), cubes.CORNER, (60, 60), 10.0)
    guide = write(folder / "msi.tif", ground, corner=cubes.CORNER, pixel=10.0, crs=cubes.CRS)
    return Case(made, sidecar, guide)


def _enmap(folder: Path) -> Case:
    sheet = cubes.enmap(folder)
    return _guided(folder, sheet, sheet)


def _desis(folder: Path) -> Case:
    image = cubes.desis(folder)
    return _guided(folder, image, image.with_suffix(".hdr"))


def _hyperion(folder: Path) -> Case:
    image = cubes.hyperion(folder)
    return _guided(folder, image, next(iter(folder.glob("*_MTL_*"))))


def _ahsi(folder: Path, *, text: str) -> Case:
    image = cubes.ahsi(folder)
    return _guided(folder, image, next(iter(folder.glob(f"*_{text}.raw"))))


def _envi(folder: Path) -> Case:
    data = cubes.cube(20, 5)
    image = write(
        folder / "cube.dat", data, corner=cubes.CORNER, pixel=30.0, crs=cubes.CRS, driver="ENVI"
    )
    header = image.with_suffix(".hdr")
    with header.open("a") as file:
        file.write(
            "wavelength units = Nanometers\nwavelength = {450.0, 550.0, 650.0, 750.0, 850.0}\n"
            "fwhm = {3, 3, 3, 3, 3}\nbbl = {1, 1, 0, 1, 1}\n"
        )
    return _guided(folder, image, header)


def _stac(folder: Path) -> Case:
    ground = cubes.ground_of()
    place = {"corner": cubes.CORNER, "crs": cubes.CRS}
    pan = cubes.on_map(ground, cubes.CORNER, (80, 80), 10.0)
    write(folder / "images" / "a.tif", pan, pixel=10.0, **place)
    ms = np.repeat(cubes.on_map(ground, cubes.CORNER, (20, 20), 40.0), 4, axis=0)
    write(folder / "images" / "b.tif", ms, pixel=40.0, **place)
    bands = [{"name": name} for name in ("blue", "green", "red", "nir")]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "104001004DB6F500",
        "properties": {
            "datetime": "2019-06-15T10:20:30Z",
            "platform": "worldview-2",
            "view:off_nadir": 16.6,
            "view:sun_elevation": 62.7,
            "eo:cloud_cover": 2,
        },
        "assets": {
            "pan_analytic": {"href": "images/a.tif"},
            "ms_analytic": {"href": "./images/b.tif", "eo:bands": bands},
        },
    }
    sheet = folder / "item.json"
    sheet.write_text(json.dumps(item, indent=1))
    return Case(sheet, sheet, None)


def _sentinel2(folder: Path, *, name: str) -> Case:
    safe = cubes.sentinel2(folder, side=24)
    return Case(safe, next(iter(safe.rglob(name))), None)


def _prisma(folder: Path, *, attributes: bool) -> Case:
    from deliveries import prisma

    file = prisma.prisma(folder, side=8)
    return Case(file, file, None, _spoil_attributes if attributes else None)


def _zarr(folder: Path, *, version: int, name: str) -> Case:
    store = stores.scene(folder / "scene.zarr", version=version, side=16)
    return Case(store, store / "ms" / name, None)


#: What an attribute of a damaged or foreign file may hold.
ODD_ATTRIBUTES = (
    *(np.float32(np.nan), np.float64(-1e308), np.int64(-1), np.uint8(255), "text", b"\xff\xfe"),
    *(np.zeros(0), np.zeros(1), np.full(300, np.inf), np.zeros((3, 3)), np.array([b"a", b"b"])),
    *("9" * 400, np.array(["a", "b"], dtype="S8"), np.float32(0.0), np.int64(2**62)),
)


def _spoil_attributes(path: Path, seed: int, steps: int) -> None:
    """Change attributes, or take datasets and groups away, through the library itself."""
    import h5py

    rng = random.Random(seed)
    with h5py.File(path, "r+") as file:
        for _ in range(steps):
            kind = rng.randrange(8)
            names = sorted(file.attrs)
            if kind < 5 and names:
                file.attrs[rng.choice(names)] = rng.choice(ODD_ATTRIBUTES)
            elif kind == 5 and names:
                del file.attrs[rng.choice(names)]
            else:
                _spoil_group(file, rng)


def _spoil_group(file: object, rng: random.Random) -> None:
    import h5py

    found: list[str] = []
    file.visit(found.append)  # type: ignore[attr-defined]
    if not found:
        return
    name = rng.choice(found)
    del file[name]  # type: ignore[attr-defined]
    if rng.random() < 0.7:
        shapes = ((), (0,), (8,), (8, 8), (48, 48), (8, 11, 8), (8, 300, 8), (2, 2, 2, 2))
        kind = rng.choice((np.uint16, np.float32, np.int8, "S4", np.complex64, h5py.ref_dtype))
        file.create_dataset(name, shape=rng.choice(shapes), dtype=kind)  # type: ignore[attr-defined]


CASES: dict[str, Callable[[Path], Case]] = {
    "gaofen xml": lambda folder: _gaofen(folder, suffix=".xml"),
    "gaofen rpb": lambda folder: _gaofen(folder, suffix=".rpb"),
    "landsat mtl": _landsat,
    "dimap": lambda folder: _dimap(folder, level="ORT"),
    "dimap rpc": lambda folder: _dimap(folder, level="SEN"),
    "enmap": _enmap,
    "desis": _desis,
    "hyperion": _hyperion,
    "ahsi gains": lambda folder: _ahsi(folder, text="VNIR_RadCal"),
    "ahsi spectrum": lambda folder: _ahsi(folder, text="SWIR_Spectralresponse"),
    "sentinel2": lambda folder: _sentinel2(folder, name="MTD_MSIL2A.xml"),
    "sentinel2 tile": lambda folder: _sentinel2(folder, name="MTD_TL.xml"),
    "envi": _envi,
    "stac": _stac,
    "zarr 2 array": lambda folder: _zarr(folder, version=2, name="ms/.zarray"),
    "zarr 2 attributes": lambda folder: _zarr(folder, version=2, name="ms/.zattrs"),
    "zarr 3 array": lambda folder: _zarr(folder, version=3, name="ms/zarr.json"),
    "zarr 3 system": lambda folder: _zarr(folder, version=3, name="spatial_ref/zarr.json"),
    "zarr 3 chunk": lambda folder: _zarr(folder, version=3, name="ms/c/0/0/0"),
    "prisma bytes": lambda folder: _prisma(folder, attributes=False),
    "prisma attributes": lambda folder: _prisma(folder, attributes=True),
}


def spoiled(case: Case, whole: bytes, seed: int, steps: int) -> None:
    """Damage the sidecar of a case."""
    if case.spoil is None:
        case.sidecar.write_bytes(damaged(whole, seed, steps))
    else:
        case.spoil(case.sidecar, seed, steps)
