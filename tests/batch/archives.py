"""A small archive with damaged deliveries, and what tests ask of batches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pansharp
from deliveries import gaofen, maxar
from deliveries.packing import pack

if TYPE_CHECKING:
    import subprocess

HOME = str(Path(pansharp.__file__).parents[1])
NAME = "GF2_PMS{{camera}}_E116.5_N39.9_201906{0:02d}_L1A00040{0:05d}"


def gaofen2(folder: Path, number: int) -> gaofen.Made:
    """A delivery of GaoFen-2 of which no other has the name."""
    return gaofen.gaofen2(folder, name=NAME.format(number), side=32, placed=True)


def write_archive(root: Path) -> Path:
    """Four sound deliveries, one of them packed; a packed one cut short, one without its PAN."""
    for number in (1, 2):
        folder = root / f"wv{number}"
        folder.mkdir(parents=True)
        maxar.write_delivery(
            folder, ms_shape=(32, 32), order=f"01234567801{number}_01_P001", seed=number,
            time=f"19JUN1{number}102030",
        )  # fmt: skip
    gaofen2(root, 3)
    for number in (4, 5):
        made = gaofen2(root / "packing", number)
        archive = pack(made.folder, root / f"{made.folder.name}.tar.gz")
        if number == 5:
            archive.write_bytes(archive.read_bytes()[:-2000])
    shutil.rmtree(root / "packing")
    gaofen2(root, 6).pan.unlink()
    return root


Start = Callable[..., "subprocess.Popen[str]"]


def events_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """All events of a batch that ends by itself; its exit code is in the last one."""
    out, err = process.communicate(timeout=120)
    events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    return [*events, {"event": "exit", "code": process.returncode, "stderr": err}]


def only(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Events of one kind."""
    return [event for event in events if event["event"] == kind]


def products(folder: Path) -> dict[str, bytes]:
    """Name and bytes of the products in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tif"))}


def assert_clean(output: Path, scratch: Path) -> None:
    """Nothing is left of killed runs: no parts, no work, no scratch."""
    assert [p for p in output.rglob("*") if ".part" in p.name] == []
    assert list((output / ".pansharp" / "work").glob("*")) == []
    assert list(scratch.iterdir()) == []
