"""Geometry, co-registration and radiometry by the commands that a user types."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from deliveries import gaofen, maxar
from deliveries.ground import Ground, hills
from deliveries.packing import pack
from deliveries.places import truth, worst
from deliveries.rasters import write
from deliveries.test_commands import run

if TYPE_CHECKING:
    from pathlib import Path

#: MS pixels that may remain between PAN and MS, and PAN pixels between product and ground.
MS_LIMIT, GROUND_LIMIT = 0.1, 0.5


def fuse(folder: Path, *arguments: object) -> tuple[rasterio.DatasetReader, dict[str, object], str]:
    """The product, open; its card; what was said."""
    target = folder / "out.tif"
    done = run(folder, "fuse", *arguments, "-o", target)
    assert done.returncode == 0, done.stderr
    card = json.loads((folder / "out.tif.card.json").read_text())
    return rasterio.open(target), card, done.stderr


def check(product: rasterio.DatasetReader, ground: Ground, *, ratio: int = 4) -> None:
    """The product's colours lie on the ground: the MS was moved where it belongs."""
    fused = product.read().astype(float)
    valid = (fused != 0).all(axis=0)
    transform = tuple(product.transform)[:6]
    want = truth(ground, transform, fused.shape[1:])
    for band, true in zip(fused, want, strict=True):
        # Spacings below an MS pixel come from the PAN, the rest from the MS: compare that rest.
        off = worst(_blurred(band, ratio), _blurred(true, ratio), valid, 4 * ratio)
        assert off < MS_LIMIT * ratio
        assert off < GROUND_LIMIT


def _blurred(band: np.ndarray, ratio: int) -> np.ndarray:
    """Means over squares of two MS pixels."""
    size = 2 * ratio + 1
    sums = np.pad(band, ((size // 2 + 1, size // 2), (size // 2 + 1, size // 2)), mode="edge")
    sums = sums.cumsum(0).cumsum(1)
    total = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return np.asarray(total / size**2)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (2.0, -3.0), (-4.0, 4.0)])
def test_worldview3_of_level_1b(tmp_path: Path, shift: tuple[float, float]) -> None:
    made = maxar.write_delivery(tmp_path / "d", level="1B", ms_shape=(80, 80), shift=shift)
    product, card, said = fuse(tmp_path, tmp_path / "d", "-m", "mtf-glp-fs")
    with product:
        assert product.crs.to_epsg() == 32632
        assert product.res == (0.31, 0.31)
        assert product.nodata == 0
        check(product, made.ground)
    assert "No DEM given, using a constant height of 100 m (RPC height offset)" in said
    assert "Traceback" not in said
    alignment, scene = card["alignment"], card["scene"]
    assert isinstance(alignment, dict)
    assert isinstance(scene, dict)
    applied = alignment["applied_rows_cols_pan_px"]
    assert applied == alignment["found_rows_cols_pan_px"]
    assert applied == pytest.approx(shift, abs=0.3)
    assert alignment["patches"] >= 4
    assert alignment["spread_pan_px"] < 0.3
    assert max(map(abs, alignment["residual_rows_cols_pan_px"])) < MS_LIMIT * 4
    assert (alignment["r2_after"] > alignment["r2_before"]) == (shift != (0.0, 0.0))
    assert scene["ortho"]["height"]["kind"] == "rpc"
    if shift != (0.0, 0.0):
        assert "PAN pixels (rows, columns) apart" in said


def test_gaofen2_from_its_archive(tmp_path: Path) -> None:
    # The MS looks 4 rows and -2 columns of PAN pixels off what its RPC say.
    made = gaofen.gaofen2(tmp_path / "drop", side=80, shift=(1.0, -0.5))
    archive = pack(made.folder, tmp_path / f"{made.folder.name}.tar.gz")
    product, card, _ = fuse(tmp_path, archive, "-m", "mtf-glp-fs")
    with product:
        assert product.crs.to_epsg() == 32649
        assert product.descriptions == ("blue", "green", "red", "nir")
        check(product, made.ground)
    alignment = card["alignment"]
    assert isinstance(alignment, dict)
    assert alignment["applied_rows_cols_pan_px"] == pytest.approx((4, -2), abs=0.3)


def test_a_height_model_on_the_command_line(tmp_path: Path) -> None:
    terrain = hills(120.0, 20.0, 120.0)
    made = maxar.write_delivery(tmp_path / "d", level="1B", ms_shape=(80, 80), terrain=terrain)
    corner = (499_800.0, 4_983_150.0)
    rows, cols = np.mgrid[0:200, 0:200] + 0.5
    heights = terrain(corner[0] + 2 * cols, corner[1] - 2 * rows)
    dem = write(tmp_path / "Some Dem.tif", heights[None], corner=corner, pixel=2.0, dtype="float32")
    product, card, said = fuse(tmp_path, tmp_path / "d", "-m", "mtf-glp-fs", "--dem", dem)
    with product:
        check(product, made.ground)
    assert "No DEM" not in said
    scene = card["scene"]
    assert isinstance(scene, dict)
    assert scene["ortho"]["height"] == {"kind": "dem", "metres": 0.0, "dem": str(dem)}


def test_reflectance_of_a_product(tmp_path: Path) -> None:
    maxar.write_delivery(tmp_path / "d", ms_shape=(64, 64))
    options = ("-m", "mtf-glp-fs", "--coregister", "off")
    product, _, _ = fuse(tmp_path, tmp_path / "d", *options)
    with product:
        counts = product.read().astype(float)
    (tmp_path / "out.tif").unlink()
    options = (*options, "--radiometry", "reflectance")
    product, card, said = fuse(tmp_path, tmp_path / "d", *options)
    assert "Q2n" not in said
    with product:
        assert product.dtypes == ("float32",) * 8
        assert np.isnan(product.nodata)
        tags = product.tags(5)
        gain, offset = float(tags["RADIOMETRY_GAIN"]), float(tags["RADIOMETRY_OFFSET"])
        # A linear method gives the same whether it turns before or after, but for rounding.
        np.testing.assert_allclose(product.read(5), gain * counts[4] + offset, atol=0.6 * gain)
        assert tags["RADIOMETRY"] == "TOA reflectance"
        assert (tags["UNITS"], tags["ESUN"], tags["SUN_ELEVATION"]) == ("1", "1535.33", "62.7")
        assert "2018v0" in tags["RADIOMETRY_SOURCE"]
    scene = card["scene"]
    assert isinstance(scene, dict)
    told = scene["radiometry"]
    assert (told["kind"], told["units"], told["sun_elevation"]) == ("reflectance", "1", 62.7)
    assert told["sun_distance_au"] == pytest.approx(1.0157, abs=1e-4)
    assert told["bands"][4]["gain"] == gain


def test_info_and_evaluate_take_the_same_words(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path / "drop", side=48)
    done = run(tmp_path, "info", made.folder, "--height", "20", "--radiometry", "radiance")
    assert done.returncode == 0, done.stderr
    assert "by RPC to EPSG:32649, 0.798 m, height 20 m, as given" in done.stdout
    assert "radiance = 0.1356+0 0.1736+0" in done.stdout
    assert "No DEM" not in done.stderr
    done = run(tmp_path, "info", made.folder, "--ortho", "none", "--json")
    facts = json.loads(done.stdout)
    assert (facts["ortho"], facts["crs"], facts["delivery"]["geometry"]) == (None, None, "rpc")
    config = tmp_path / "run.toml"
    config.write_text(
        'ortho = "none"\nradiometry = "reflectance"\nesun = [1.9e3, 1.8e3, 1.5e3, 1e3]'
    )
    done = run(
        tmp_path, "evaluate", made.folder, "-m", "exp", "--protocol", "reduced", "--json",
        "--config", config,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scores"]["q2n"] > 0.3


def test_errors_are_one_line(tmp_path: Path) -> None:
    maxar.write_delivery(tmp_path / "d", level="1B", ms_shape=(48, 48), shift=(11.0, 6.0))
    cases = {
        ("--ortho", "perhaps"): "error: --ortho is 'perhaps'",
        ("--dem", "no.tif"): "error: 'no.tif' does not exist",
        ("--height", "high"): "error: --height is 'high'; give a number",
        ("--radiometry", "toa"): "error: --radiometry is 'toa'",
        ("--radiometry", "radiance", "--esun", "1,2"): "error: --esun has no use with",
        ("--radiometry", "reflectance", "--dtype", "uint16"): "error: --dtype uint16 would round",
        ("--strict",): "(rows, columns) apart, more than 4; check the pair",
    }
    for arguments, text in cases.items():
        done = run(tmp_path, "fuse", tmp_path / "d", "-m", "mtf-glp-fs", "-q", *arguments)
        assert done.returncode == 1, (arguments, done.stderr)
        assert text in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert not list(tmp_path.glob("*.tif*"))
    done = run(tmp_path, "fuse", tmp_path / "d", "-m", "mtf-glp-fs")
    assert done.returncode == 0
    assert re.search(r"are \+1[01]\.\d\d, \+[56]\.\d\d PAN pixels .* apart", done.stderr)
