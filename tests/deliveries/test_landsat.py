"""Landsat 8/9: bands, half-pixel grids, MTL, incomplete products."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from deliveries.landsat import CENTRE, CRS, DISTANCE, PRODUCT, ground_of, landsat, mtl
from deliveries.packing import pack
from pansharp.errors import AmbiguousReaderError, ReaderError, UnknownFormatError
from pansharp.geometry.grids import Window
from pansharp.readers import find_scenes, open_scene


def test_bands_and_grids(tmp_path: Path) -> None:
    scene = open_scene(landsat(tmp_path))
    assert scene.name == PRODUCT
    assert scene.band_names == ("blue", "green", "red", "nir", "swir1", "swir2")
    assert [Path(file).stem[-2:] for file in scene.files["ms"]] == [f"B{n}" for n in range(2, 8)]
    # The first centres of PAN and MS are one point, not their corners.
    assert (scene.alignment.y.scale, scene.alignment.y.offset) == (2.0, 0.0)
    assert (scene.alignment.x.scale, scene.alignment.x.offset) == (2.0, 0.0)
    assert scene.transform == (15.0, 0.0, CENTRE[0] - 7.5, 0.0, -15.0, CENTRE[1] + 7.5)
    assert scene.nodata == 0
    assert scene.crs is not None
    assert "UTM zone 32N" in scene.crs


def test_points_are_not_shifted_again(tmp_path: Path) -> None:
    """The files say that their coordinates are centres of pixels: GDAL has applied that."""
    import rasterio

    home = landsat(tmp_path)
    with rasterio.open(home / f"{PRODUCT}_B8.TIF") as dataset:
        assert dataset.tags()["AREA_OR_POINT"] == "Point"
    assert open_scene(home).transform[2] == CENTRE[0] - 7.5


def test_pixels_are_those_of_the_ground(tmp_path: Path) -> None:
    scene = open_scene(landsat(tmp_path))
    got = scene.ms_source.read(Window(10, 12, 3, 3)).astype(float)
    rows, cols = np.mgrid[10:13, 12:15].astype(float)
    truth = 10 * ground_of().sample(CENTRE[0] + 30 * cols, CENTRE[1] - 30 * rows, 30.0)
    np.testing.assert_allclose(got, truth[1:7], atol=0.51)
    got = scene.pan_source.read(Window(20, 24, 3, 3)).astype(float)
    rows, cols = np.mgrid[20:23, 24:27].astype(float)
    truth = 10 * ground_of().sample(CENTRE[0] + 15 * cols, CENTRE[1] - 15 * rows, 15.0)
    np.testing.assert_allclose(got[0], truth[1:4].mean(axis=0), atol=0.51)


def test_what_the_mtl_says(tmp_path: Path) -> None:
    scene = open_scene(landsat(tmp_path))
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert facts.acquired == datetime(2023, 6, 15, 10, 10, 13, 123456, tzinfo=UTC)
    assert (facts.sun_elevation, facts.sun_azimuth) == (62.25, 140.5)
    assert (facts.level, facts.cloud, facts.bits) == ("L1TP", 0.125, 16)
    assert facts.off_nadir == 0.001
    blue, pan = facts.constants[0], scene.delivery.pan.constants[0]
    assert blue is not None
    assert pan is not None
    assert (blue.gain, blue.offset) == (0.0122, -62.5)
    assert (pan.gain, pan.offset) == (0.0128, -68.5)
    # The reflectance that the MTL defines: (M Q + A) / sin(elevation), by radiance and ESUN.
    assert blue.esun is not None
    count = 12_345.0
    radiance = blue.gain * count + blue.offset
    reflectance = math.pi * radiance * DISTANCE**2 / blue.esun
    assert reflectance == pytest.approx(2e-5 * count + 2e-5 / blue.gain * blue.offset, rel=1e-9)


@pytest.mark.parametrize("start", ["_B8.TIF", "_B4.TIF", "_B1.TIF", "_MTL.txt"])
def test_every_file_of_it_names_it(tmp_path: Path, start: str) -> None:
    home = landsat(tmp_path)
    scene = open_scene(home / f"{PRODUCT}{start}")
    assert scene.files["pan"] == (str(home / f"{PRODUCT}_B8.TIF"),)


def test_archive_of_usgs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path / "scratch"))
    home = landsat(tmp_path)
    scene = open_scene(pack(home, tmp_path / f"{PRODUCT}.tar"))
    assert scene.name == PRODUCT
    assert scene.delivery == open_scene(home).delivery


def test_two_products(tmp_path: Path) -> None:
    landsat(tmp_path)
    landsat(tmp_path, name=PRODUCT.replace("LC09", "LC08"))
    assert len(find_scenes(tmp_path)) == 2
    with pytest.raises(AmbiguousReaderError, match="2 scenes match"):
        open_scene(tmp_path)


def test_names_before_the_collections(tmp_path: Path) -> None:
    scene = open_scene(landsat(tmp_path, name="LC81950282015216LGN00"))
    assert scene.sensor is not None
    assert scene.sensor.name == "landsat8_9"


def test_only_some_bands(tmp_path: Path) -> None:
    home = landsat(tmp_path)
    for number in (6, 7):
        (home / f"{PRODUCT}_B{number}.TIF").unlink()
    scene = open_scene(home)
    assert scene.band_names == ("blue", "green", "red", "nir")
    assert any("not there: B6, B7" in note for note in scene.notes)


@pytest.mark.parametrize("start", ["", "_B4.TIF"])
def test_no_pan(tmp_path: Path, start: str) -> None:
    home = landsat(tmp_path)
    (home / f"{PRODUCT}_B8.TIF").unlink()
    with pytest.raises(UnknownFormatError, match="lacks B8"):
        open_scene(home / f"{PRODUCT}{start}" if start else home)


def test_level_2_has_no_pan(tmp_path: Path) -> None:
    from deliveries.rasters import write

    name = PRODUCT.replace("L1TP", "L2SP")
    for number in (2, 3, 4):
        write(tmp_path / f"{name}_SR_B{number}.TIF", np.ones((1, 9, 9)), corner=CENTRE, crs=CRS)
    for start in (tmp_path, tmp_path / f"{name}_SR_B2.TIF"):
        with pytest.raises(UnknownFormatError, match=r"level-2 product.*order level 1"):
            open_scene(start)


def test_without_mtl(tmp_path: Path) -> None:
    home = landsat(tmp_path)
    (home / f"{PRODUCT}_MTL.txt").unlink()
    scene = open_scene(home)
    assert scene.delivery is not None
    assert scene.delivery.ms.constants == ()
    assert any("no MTL" in note for note in scene.notes)


def test_mtl_as_xml(tmp_path: Path) -> None:
    home = landsat(tmp_path)
    lines = (line.partition(" = ") for line in mtl().splitlines())
    body = "".join(
        f"<{key.strip()}>{value.strip(chr(34))}</{key.strip()}>"
        for key, _, value in lines
        if value and "GROUP" not in key
    )
    (home / f"{PRODUCT}_MTL.txt").unlink()
    (home / f"{PRODUCT}_MTL.xml").write_text(
        f"<LANDSAT_METADATA_FILE>{body}</LANDSAT_METADATA_FILE>"
    )
    scene = open_scene(home)
    assert scene.delivery is not None
    assert scene.delivery.ms.constants[0] is not None
    assert scene.delivery.ms.constants[0].gain == 0.0122


@pytest.mark.parametrize(
    ("content", "finding"), [(b"", "is empty"), (b"\0\1\2" * 99, "not text"), (b"hello", "no MTL")]
)
def test_bad_mtl(tmp_path: Path, content: bytes, finding: str) -> None:
    home = landsat(tmp_path)
    (home / f"{PRODUCT}_MTL.txt").write_bytes(content)
    with pytest.raises(ReaderError, match=finding):
        open_scene(home)


def test_absurd_numbers_are_left_out(tmp_path: Path) -> None:
    odd = {"SUN_ELEVATION": "1e9", "RADIANCE_MULT_BAND_3": "x", "CLOUD_COVER": "-1"}
    scene = open_scene(landsat(tmp_path, **odd))
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert (facts.sun_elevation, facts.cloud) == (None, None)
    assert facts.constants[1] is None
    assert facts.constants[0] is not None
