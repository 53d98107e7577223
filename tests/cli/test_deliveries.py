"""The commands that a user types on a delivery, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

import pansharp
from deliveries.maxar import Made, write_delivery
from deliveries.packing import pack


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def pansharp_cli(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(pansharp.__file__).parents[1]),
        "PANSHARP_SCRATCH": str(home / "scratch"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-P", "-m", "pansharp", *arguments],
        capture_output=True, text=True, cwd=home, env=environment, timeout=120, check=False,
    )  # fmt: skip


def check_ground(path: Path, made: Made) -> None:
    """The product's corner and its content lie where the ground is."""
    with rasterio.open(path) as product:
        fused, place = product.read().astype(float), product.transform
        assert product.crs.to_epsg() == 32632
    assert made.transform is not None
    assert abs(place.c - made.transform.c) < 0.5 * 0.31
    assert abs(place.f - made.transform.f) < 0.5 * 0.31
    assert place.a == pytest.approx(0.31)
    rows, cols = np.mgrid[0 : fused.shape[1], 0 : fused.shape[2]] + 0.5
    x, y = place * (cols, rows)
    truth = made.ground.sample(x, y, 0.31)
    inner = (slice(None), slice(8, -8), slice(8, -8))

    def error(down: int, right: int) -> float:
        moved = np.roll(fused, (-down, -right), (1, 2))
        return float(np.sqrt(((moved - truth)[inner] ** 2).mean()))

    here = error(0, 0)
    assert here < 0.1 * truth.std()
    assert all(here < error(*step) for step in ((1, 0), (-1, 0), (0, 1), (0, -1)))


@pytest.mark.parametrize("kind", ["folder", "tiled", "tar.gz", "zip"])
def test_info_and_fuse(tmp_path: Path, scratch: Path, kind: str) -> None:
    packed = kind in ("tar.gz", "zip")
    tiles = (1, 1) if kind == "folder" else (2, 2)
    made = write_delivery(tmp_path / "delivery", tiles=tiles)
    name = "delivery"
    if packed:
        name = pack(tmp_path / "delivery", tmp_path / f"WV3.{kind}", inside="WV3").name
    told = pansharp_cli(tmp_path, "info", name, "--json")
    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert facts["sensor"] == "worldview3"
    assert facts["delivery"]["ms"]["level"] == "2A"
    assert facts["product"]["shape"] == [8, 256, 256]
    text = pansharp_cli(tmp_path, "info", name).stdout
    for finding in ("maxar, map projection", "level 2A", "sun 62.7/145.3 deg", "is the PAN by its"):
        assert finding in text

    done = pansharp_cli(tmp_path, "fuse", name, "-m", "mtf-glp-fs", "--workers", "1")
    assert done.returncode == 0, done.stderr
    product = tmp_path / done.stdout.splitlines()[0]
    assert product.name == "19JUN15102030-012345678010_01_P001_mtf-glp-fs.tif"
    check_ground(product, made)
    card = json.loads(product.with_name(f"{product.name}.card.json").read_text())
    assert len(card["scene"]["files"]["pan"]) == tiles[0] * tiles[1]
    assert all(file["sha256"] for files in card["scene"]["files"].values() for file in files)
    assert ("archive" in card["scene"]["files"]) == packed
    assert list(scratch.iterdir()) == []


def test_basic_product(tmp_path: Path, scratch: Path) -> None:
    write_delivery(tmp_path / "delivery", level="1B")
    done = pansharp_cli(tmp_path, "fuse", "delivery", "-m", "mtf-glp-fs", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "No DEM given, using a constant height of 100 m" in done.stderr
    assert "Traceback" not in done.stderr


def test_several_and_none(tmp_path: Path, scratch: Path) -> None:
    for part in ("P001", "P002"):
        write_delivery(tmp_path / "a", ms_shape=(24, 24), order=f"012345678010_01_{part}")
    for command in ("info", "fuse"):
        done = pansharp_cli(tmp_path, command, "a")
        assert done.returncode == 1
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("error: 2 scenes match in 'a': ")
        assert "pansharp batch a" in lines[0]


def test_damaged_archive_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    write_delivery(tmp_path / "delivery")
    archive = pack(tmp_path / "delivery", tmp_path / "WV3.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-20_000])
    done = pansharp_cli(tmp_path, "fuse", archive.name, "-m", "gsa")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "damaged or incomplete" in done.stderr
    assert list(scratch.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["WV3.tar.gz", "delivery", "scratch"]
