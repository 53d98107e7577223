"""Randomly damaged sidecars: a scene or one line that says what is wrong, never anything else."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries import cubes, dimap, gaofen, landsat
from deliveries.rasters import write
from pansharp.errors import PansharpError
from pansharp.readers import find_scenes, open_scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.scene import Scene

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


def opened(*, guide: Path | None, path: Path) -> Scene:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_scene(path) if guide is None else open_scene(hsi=path, msi=guide)


Case = tuple[Path, Path, Path | None]


def _gaofen(folder: Path, *, suffix: str) -> Case:
    made = gaofen.gaofen2(folder, side=16, new=True)
    return made.folder, made.ms.with_suffix(suffix), None


def _landsat(folder: Path) -> Case:
    home = landsat.landsat(folder, side=16)
    return home, home / f"{landsat.PRODUCT}_MTL.txt", None


def _dimap(folder: Path, *, level: str) -> Case:
    _, ms = dimap.bundle(folder, side=16, level=level)
    file = next(iter(ms.parent.glob("RPC_*"))) if level == "SEN" else ms
    return folder, file, None


def _guided(folder: Path, made: Path, sidecar: Path) -> Case:
    ground = cubes.on_map(cubes.ground_of(), cubes.CORNER, (60, 60), 10.0)
    guide = write(folder / "msi.tif", ground, corner=cubes.CORNER, pixel=10.0, crs=cubes.CRS)
    return made, sidecar, guide


def _enmap(folder: Path) -> Case:
    sheet = cubes.enmap(folder)
    return _guided(folder, sheet, sheet)


def _desis(folder: Path) -> Case:
    image = cubes.desis(folder)
    return _guided(folder, image, image.with_suffix(".hdr"))


def _hyperion(folder: Path) -> Case:
    image = cubes.hyperion(folder)
    return _guided(folder, image, next(iter(folder.glob("*_MTL_*"))))


def _ahsi(folder: Path) -> Case:
    image = cubes.ahsi(folder)
    return _guided(folder, image, next(iter(folder.glob("*_VNIR_RadCal.raw"))))


def _sentinel2(folder: Path) -> Case:
    safe = cubes.sentinel2(folder, side=24)
    return safe, safe / "MTD_MSIL2A.xml", None


CASES: dict[str, Callable[[Path], Case]] = {
    "gaofen xml": lambda folder: _gaofen(folder, suffix=".xml"),
    "gaofen rpb": lambda folder: _gaofen(folder, suffix=".rpb"),
    "landsat mtl": _landsat,
    "dimap": lambda folder: _dimap(folder, level="ORT"),
    "dimap rpc": lambda folder: _dimap(folder, level="SEN"),
    "enmap": _enmap,
    "desis": _desis,
    "hyperion": _hyperion,
    "ahsi": _ahsi,
    "sentinel2": _sentinel2,
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return CASES[request.param](tmp_path_factory.mktemp("damaged"))


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_sidecars(case: Case, seed: int, steps: int) -> None:
    path, sidecar, guide = case
    whole = sidecar.read_bytes()
    sidecar.write_bytes(damaged(whole, seed, steps))
    said = ""
    try:
        found = find_scenes(path if guide is None else path.parent)
        said = json.dumps(opened(guide=guide, path=path).describe())
    except PansharpError as problem:
        said = str(problem)
    finally:
        sidecar.write_bytes(whole)
    assert said
    assert "\n" not in said
    assert all("\n" not in scene.path for scene in found)
