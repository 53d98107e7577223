"""A small archive with damaged deliveries, and the command that a user types."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pansharp
from deliveries import gaofen, maxar
from deliveries.packing import pack

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


@pytest.fixture(scope="session")
def made_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive; read only."""
    return write_archive(tmp_path_factory.mktemp("batch") / "archive")


@pytest.fixture
def archive(made_archive: Path, tmp_path: Path) -> Path:
    """A copy of the archive that a test may change."""
    return Path(shutil.copytree(made_archive, tmp_path / "archive"))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scratch folder of this test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("PANSHARP_SCRATCH", str(folder))
    return folder


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(scratch: Path) -> Start:
    """Start `pansharp batch ... --json` in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": HOME}

    def begin(*arguments: object, json_lines: bool = True) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "pansharp", "batch", *map(str, arguments)]
        return subprocess.Popen(
            [*command, *(["--json"] if json_lines else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return begin


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
