"""The commands a user types, in a process of their own: info and fuse on generated deliveries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

import pansharp
from deliveries import cubes, dimap, gaofen, landsat, prisma
from deliveries.packing import pack
from deliveries.rasters import on_map

HOME = str(Path(pansharp.__file__).parents[1])


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `pansharp` in a folder, with a scratch folder that must be empty afterwards."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    settings = {"OMP_NUM_THREADS": "1", "PYTHONPATH": HOME, "PANSHARP_SCRATCH": str(scratch)}
    result = subprocess.run(
        [sys.executable, "-P", "-m", "pansharp", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folder,
        env={**os.environ, **settings},
    )
    assert list(scratch.iterdir()) == []
    return result


def fused(folder: Path, *arguments: object) -> tuple[np.ndarray, rasterio.Affine, str | None]:
    """Product, its transform and its coordinate system."""
    target = folder / "out.tif"
    result = run(folder, "fuse", *arguments, "-o", target)
    assert result.returncode == 0, result.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # of sensor geometry
        product = rasterio.open(target)
    with product:
        return product.read(), product.transform, product.crs and product.crs.to_string()


def info(folder: Path, *arguments: object) -> dict[str, object]:
    result = run(folder, "info", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    facts: dict[str, object] = json.loads(result.stdout)
    return facts


def off(product: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Rows and columns by which a product shows the truth shifted, fitted to its gradients."""
    inner = (slice(40, -40), slice(40, -40))
    down, right = np.gradient(truth)
    design = np.stack([down[inner].ravel(), right[inner].ravel(), np.ones(down[inner].size)], 1)
    found, *_ = np.linalg.lstsq(design, (truth - product)[inner].ravel(), rcond=None)
    return float(found[0]), float(found[1])


def test_gaofen2_on_a_map(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path, placed=True, side=48)
    facts = info(tmp_path, made.folder)
    assert facts["sensor"] == "gaofen2"
    text = run(tmp_path, "info", made.folder).stdout
    assert "gaofen, map projection" in text
    assert "0.1356+0 0.1736+0 0.1644+0 0.1788+0 (W m-2 sr-1 um-1; yearly table 2018" in text
    product, transform, crs = fused(tmp_path, made.folder, "-m", "mtf-glp-fs")
    assert crs == gaofen.CRS
    assert (transform.c, transform.f) == gaofen.CORNER
    assert (transform.a, transform.e) == (0.8, -0.8)
    truth = on_map(made.ground, gaofen.CORNER, (192, 192), 0.8)
    for band in range(4):
        assert np.abs(off(product[band].astype(float), truth[band])).max() < 0.1
    error = np.abs(product - truth)[:, 40:-40, 40:-40]
    assert error.mean() < 0.03 * truth.mean()


def test_gaofen2_of_level_1a_from_its_archive(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path / "drop", side=48)
    archive = pack(made.folder, tmp_path / f"{made.folder.name}.tar.gz")
    product, transform, crs = fused(tmp_path, archive, "-m", "mtf-glp-fs", "--ortho", "none")
    # Sensor geometry: the product lies on the pixels of the PAN.
    assert (crs, transform) == (None, rasterio.Affine.identity())
    rows, cols = np.mgrid[0:192, 0:192].astype(float)
    place = made.pan_camera.locate(rows, cols, made.terrain, gaofen.CRS)
    truth = made.ground.sample(*place, 0.8)
    assert product.shape == truth.shape
    assert np.abs(off(product[0].astype(float), truth[0])).max() < 0.1
    assert (product[:, :12, :12] == 0).all()


def test_both_cameras_are_listed(tmp_path: Path) -> None:
    gaofen.gaofen2(tmp_path / "drop", side=16)
    gaofen.gaofen2(tmp_path / "drop", side=16, camera=2)
    result = run(tmp_path, "info", tmp_path / "drop")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "2 scenes match" in result.stderr
    assert "-PAN1.tiff" in result.stderr
    assert "-PAN2.tiff" in result.stderr


def test_landsat(tmp_path: Path) -> None:
    home = landsat.landsat(tmp_path)
    facts = info(tmp_path, home)
    # Corners of the MS lie half a PAN pixel up and left of the PAN's.
    assert facts["offset_pan_pixels"] == {"rows": -0.5, "columns": -0.5}
    product, transform, crs = fused(tmp_path, home, "-m", "mtf-glp-fs", "--bands", "blue,green,red")
    assert crs == landsat.CRS
    corner = (landsat.CENTRE[0] - 7.5, landsat.CENTRE[1] + 7.5)
    assert (transform.c, transform.f, transform.a) == (*corner, 15.0)
    truth = 10 * on_map(landsat.ground_of(), corner, product.shape[1:], 15.0)[1:4]
    for band in range(3):
        assert np.abs(off(product[band].astype(float), truth[band])).max() < 0.1


def test_dimap(tmp_path: Path) -> None:
    dimap.bundle(tmp_path / "order", side=48)
    facts = info(tmp_path, tmp_path / "order")
    assert facts["sensor"] == "pleiades1a"
    product, transform, crs = fused(tmp_path, tmp_path / "order", "-m", "mtf-glp-fs")
    assert crs == "EPSG:32632"
    assert (transform.c, transform.f, transform.a) == (*dimap.CORNER, 0.5)
    ground = dimap.ground_of(4, 0.5)
    truth = on_map(ground, dimap.CORNER, (192, 192), 0.5)
    for place, code in enumerate(dimap.ORDER):
        band = truth[dimap.ROWS[code]]
        assert np.abs(off(product[place].astype(float), band)).max() < 0.1


@pytest.mark.parametrize("model", ["glp-hs", "gsa-hs"])
def test_prisma(tmp_path: Path, model: str) -> None:
    pytest.importorskip("h5py")
    path = prisma.prisma(tmp_path, side=32)
    facts = info(tmp_path, path)
    assert facts["ratio"] == 6
    target = tmp_path / "out.tif"
    result = run(tmp_path, "fuse", path, "-m", model, "--coregister", "off", "-o", target)
    assert result.returncode == 0, result.stderr
    with rasterio.open(target) as product:
        assert (product.count, product.height, product.width) == (15, 192, 192)
        assert product.crs.to_epsg() == prisma.EPSG
        assert (product.transform.c, product.transform.f) == prisma.CORNER
        assert (product.transform.a, product.transform.e) == (5.0, -5.0)
        band = product.read(2).astype(float)  # 500 nm: one and a half times the ground
    truth = 1.5 * on_map(prisma.ground_of(), prisma.CORNER, (192, 192), 5.0)[0]
    assert np.abs(off(band, truth)).max() < 0.2


def test_enmap_with_sentinel2(tmp_path: Path) -> None:
    sheet, safe = cubes.enmap(tmp_path, side=32), cubes.sentinel2(tmp_path, side=96)
    arguments = ("--hsi", sheet, "--msi", safe, "-m", "gsa-hs", "--coregister", "off")
    product, transform, crs = fused(tmp_path, *arguments)
    assert crs == cubes.CRS
    assert (transform.c, transform.f, transform.a) == (*cubes.CORNER, 10.0)
    assert product.shape == (5, 96, 96)
    truth = on_map(cubes.ground_of(), cubes.CORNER, (96, 96), 10.0)[0]
    inner = (slice(20, -20), slice(20, -20))
    assert np.corrcoef(product[0][inner].ravel(), truth[inner].ravel())[0, 1] > 0.95


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path / "drop", side=16)
    made.ms.unlink()
    for command in ("info", "fuse"):
        result = run(tmp_path, command, made.folder)
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1
        assert "No multispectral image found" in result.stderr
    assert not list(tmp_path.glob("*.tif"))
