"""Cubes that need a guide: EnMAP, DESIS, Hyperion, AHSI; Sentinel-2 as guide and by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deliveries.cubes import (
    CORNER,
    CRS,
    ENMAP,
    ahsi,
    cube,
    desis,
    enmap,
    enmap_xml,
    ground_of,
    hyperion,
    sentinel2,
)
from deliveries.rasters import on_map, write
from pansharp.errors import (
    GridMismatchError,
    MissingSidecarError,
    PansharpWarning,
    ReaderError,
    SceneError,
    UnknownFormatError,
)
from pansharp.geometry.grids import Window
from pansharp.readers import find_scenes, open_scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:the guide .* was taken")

MAKERS: dict[str, Callable[[Path], Path]] = {
    "enmap": enmap,
    "desis": desis,
    "hyperion": hyperion,
    "ahsi": ahsi,
}


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    """A plain multispectral guide of 10 m."""
    image = on_map(ground_of(), CORNER, (60, 60), 10.0)
    return write(
        tmp_path / "msi.tif", np.repeat(image, 3, axis=0), corner=CORNER, pixel=10.0, crs=CRS
    )


@pytest.mark.parametrize("family", MAKERS)
def test_cube_with_a_plain_guide(tmp_path: Path, guide: Path, family: str) -> None:
    home = tmp_path / family
    home.mkdir()
    named = MAKERS[family](home)
    for start in (named, home):
        scene = open_scene(hsi=start, msi=guide)
        assert scene.delivery is not None
        assert scene.delivery.family == family
        assert (scene.alignment.y.scale, scene.alignment.y.offset) == (3.0, 1.0)
        got = scene.ms_source.read(Window(2, 3, 4, 4))
        truth = np.rint(cube(20, 6))[:, 2:6, 3:7]
        np.testing.assert_array_equal(got[0], truth[0])
        assert list(scene.wavelengths) == sorted(scene.wavelengths)


@pytest.mark.parametrize("family", MAKERS)
def test_cube_alone_needs_a_guide(tmp_path: Path, family: str) -> None:
    home = tmp_path / family
    home.mkdir()
    named = MAKERS[family](home)
    for start in (named, home):
        with pytest.raises(UnknownFormatError, match=r"needs a guide: --hsi .* with --msi FILE"):
            open_scene(start)


# EnMAP


def test_enmap_bands(tmp_path: Path, guide: Path) -> None:
    scene = open_scene(hsi=enmap(tmp_path), msi=guide)
    # 950 nm is the SWIR camera's, below the last VNIR band (990 nm): left out, not averaged.
    assert scene.wavelengths == (500.0, 660.0, 850.0, 990.0, 1650.0)
    assert scene.widths == (8.5, 9.5, 10.5, 11.5, 13.5)
    assert any("1 band of the SWIR" in note for note in scene.notes)
    got = scene.ms_source.read(Window(0, 0, 2, 2))
    np.testing.assert_array_equal(got[-1], np.rint(cube(20, 6))[5, :2, :2])
    assert scene.nodata == -32768
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert facts.acquired == datetime(2022, 6, 1, 10, 10, 10, 500_000, tzinfo=UTC)
    assert (facts.sun_elevation, facts.sun_azimuth) == (61.5, 150.25)
    assert facts.corrected == "atmospherically corrected (L2A)"
    assert {(c.gain, c.units) for c in facts.constants if c} == {(1e-4, "1")}


def test_enmap_radiance_is_per_micrometre(tmp_path: Path, guide: Path) -> None:
    scene = open_scene(hsi=enmap(tmp_path, level="1C"), msi=guide)
    assert scene.delivery is not None
    band = scene.delivery.ms.constants[0]
    assert band is not None
    assert (band.gain, band.offset) == (pytest.approx(0.01), pytest.approx(-1.0))


def test_enmap_cameras_without_lists(tmp_path: Path, guide: Path) -> None:
    scene = open_scene(hsi=enmap(tmp_path, channels=False), msi=guide)
    assert scene.wavelengths == (500.0, 660.0, 850.0, 990.0, 1650.0)
    assert any("split where the order turns" in note for note in scene.notes)


def test_enmap_level_1b_is_refused(tmp_path: Path, guide: Path) -> None:
    with pytest.raises(SceneError, match="level 1B, whose two cameras"):
        open_scene(hsi=enmap(tmp_path, level="1B"), msi=guide)


@pytest.mark.parametrize(
    ("text", "kind", "finding"),
    [
        ("", ReaderError, "is empty"),
        ("<a>", ReaderError, "damaged XML"),
        ("<a/>", ReaderError, "describes 0 bands"),
        (enmap_xml((500.0, 600.0)), ReaderError, "describes 2 bands and .* has 6"),
        (enmap_xml().replace("500.0", "many"), ReaderError, "is 'many', not a number"),
        (enmap_xml().replace("500.0", "1e9"), ReaderError, "outside 100 to 20000"),
        (re.sub("<FWHM.*?FWHMOfBand>", "", enmap_xml()), MissingSidecarError, "has no FWHM"),
    ],
)
def test_bad_enmap_metadata(
    tmp_path: Path, guide: Path, text: str, kind: type[ReaderError], finding: str
) -> None:
    sheet = enmap(tmp_path)
    sheet.write_text(text)
    with pytest.raises(kind, match=finding):
        open_scene(hsi=sheet, msi=guide)


def test_enmap_halves_of_the_product(tmp_path: Path, guide: Path) -> None:
    sheet = enmap(tmp_path)
    image = sheet.with_name(f"{ENMAP.format(level='2A')}-SPECTRAL_IMAGE.TIF")
    scene = open_scene(hsi=image, msi=guide)
    assert scene.delivery is not None
    sheet.unlink()
    with pytest.raises(MissingSidecarError, match=r"-METADATA\.XML' is not beside"):
        open_scene(hsi=image, msi=guide)


# DESIS, Hyperion, AHSI, ENVI


@pytest.mark.parametrize("unit", ["Nanometers", "Micrometers", ""])
def test_desis_header(tmp_path: Path, guide: Path, unit: str) -> None:
    scene = open_scene(hsi=desis(tmp_path, unit=unit), msi=guide)
    # The third band is flagged as bad.
    assert scene.wavelengths == pytest.approx((450.0, 550.0, 750.0, 850.0))
    assert scene.widths == pytest.approx((3.0,) * 4)


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("ENVI", "HDR", "is no ENVI header"),
        ("wavelength = {\n450.0,", "wavelength = {", "lists no wavelengths"),
        ("450.0", "x", "lists no wavelengths"),
        ("bbl = {1,1,0,1,1}", "bbl = {0,0,0,0,0}", "flags all its bands"),
    ],
)
def test_bad_desis_header(tmp_path: Path, guide: Path, old: str, new: str, finding: str) -> None:
    image = desis(tmp_path)
    header = image.with_suffix(".hdr")
    header.write_text(header.read_text().replace(old, new))
    with pytest.raises(ReaderError, match=finding):
        open_scene(hsi=image, msi=guide)
    header.unlink()
    with pytest.raises(MissingSidecarError, match=r"\.hdr' is not beside"):
        open_scene(hsi=image, msi=guide)


def test_hyperion_bands_and_scaling(tmp_path: Path, guide: Path) -> None:
    scene = open_scene(hsi=hyperion(tmp_path), msi=guide)
    assert scene.band_names == ("b008", "b009", "b070", "b071")
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert [c.gain for c in facts.constants if c] == [1 / 40, 1 / 40, 1 / 40, 1 / 80]
    assert facts.acquired == datetime(2002, 5, 31, 10, 10, 10, tzinfo=UTC)
    assert any("1 bands of the hyperspectral image hold no data" in note for note in scene.notes)


def test_hyperion_bands_of_another_size(tmp_path: Path, guide: Path) -> None:
    first = hyperion(tmp_path)
    other = first.with_name(first.name.replace("B008", "B010"))
    write(other, np.ones((1, 9, 9)), corner=CORNER, pixel=30.0, crs=CRS, dtype="int16")
    with pytest.raises(GridMismatchError, match="do not share one grid"):
        open_scene(hsi=first, msi=guide)


def test_ahsi_is_marked_experimental(tmp_path: Path, guide: Path) -> None:
    scene = open_scene(hsi=ahsi(tmp_path), msi=guide)
    assert any("experimental" in note for note in scene.notes)
    assert scene.wavelengths == (450.0, 700.0, 1010.0, 1650.0)
    assert scene.delivery is not None
    assert [c.gain for c in scene.delivery.ms.constants if c] == [0.01, 0.01, 0.01, 0.02]
    (tmp_path / "plain").mkdir()
    scene = open_scene(hsi=ahsi(tmp_path / "plain", texts=False), msi=guide)
    assert scene.bands == 5
    assert any("overlap is not cut" in note for note in scene.notes)


def test_ahsi_lacks_one_cube(tmp_path: Path, guide: Path) -> None:
    first = ahsi(tmp_path)
    first.with_name(first.name.replace("_VN", "_SW")).unlink()
    with pytest.raises(MissingSidecarError, match="_SW' is not beside"):
        open_scene(hsi=first, msi=guide)


def test_a_cube_without_a_map_is_not_laid_by_its_size(tmp_path: Path, guide: Path) -> None:
    from deliveries.ground import Camera
    from deliveries.maxar import pvl

    first = ahsi(tmp_path, texts=False)
    for file in (first, first.with_name(first.name.replace("_VN", "_SW"))):
        bands = 3 if file == first else 2
        write(file, cube(20, bands))
        head = {"satId": "GF5", "bandId": "X", "SpecId": "RPC00B"}
        file.with_suffix(".rpb").write_text(pvl({**head, "IMAGE": Camera((20, 20), 30.0).rpc()}))
    with pytest.raises(GridMismatchError, match="only RPC; orthorectify it first"):
        open_scene(hsi=first, msi=guide)


def test_aviris_is_an_envi_cube(tmp_path: Path, guide: Path) -> None:
    write(tmp_path / "aviris.img", cube(20, 4), corner=CORNER, pixel=30.0, crs=CRS, driver="ENVI")
    header = tmp_path / "aviris.hdr"
    header.write_text(
        header.read_text() + "wavelength = {0.45, 0.55, 0.65, 0.85}\nfwhm = {0.01,0.01,0.01,0.01}\n"
        "bbl = {1,1,0,1}\n"
    )
    scene = open_scene(hsi=header, msi=guide)
    assert scene.wavelengths == pytest.approx((450.0, 550.0, 650.0, 850.0))
    assert scene.widths == pytest.approx((10.0,) * 4)
    assert any("flagged as bad and are set aside: 3" in note for note in scene.notes)


# Sentinel-2


@pytest.mark.parametrize("level", ["2A", "1C"])
def test_sentinel2_as_guide_of_enmap(tmp_path: Path, level: str) -> None:
    safe = sentinel2(tmp_path, level=level)
    scene = open_scene(hsi=enmap(tmp_path), msi=safe)
    assert scene.pan_source.bands == 4
    assert scene.guide_wavelengths == (490.0, 560.0, 665.0, 835.0)
    assert scene.guide_widths == (98.0, 46.0, 40.0, 130.0)
    assert (scene.alignment.y.scale, scene.alignment.y.offset) == (3.0, 1.0)
    base = on_map(ground_of(), CORNER, (60, 60), 10.0)[0]
    got = scene.pan_source.read(Window(5, 6, 3, 3))
    np.testing.assert_array_equal(got[3], np.rint(4 * base + 1000)[5:8, 6:9])
    assert scene.delivery is not None
    facts = scene.delivery.pan
    assert (facts.sun_elevation, facts.cloud, facts.level) == (61.5, 0.045, f"L{level}")
    # rho = (DN + offset) / 10000, offsets since baseline 04.00.
    assert {(c.gain, c.offset, c.units) for c in facts.constants if c} == {(1e-4, -0.1, "1")}
    assert facts.corrected == f"reflectance (level {level})"


@pytest.mark.parametrize("start", ["", "MTD_MSIL2A.xml", "band"])
def test_sentinel2_by_itself(tmp_path: Path, start: str) -> None:
    safe = sentinel2(tmp_path)
    given = next(iter(safe.rglob("*_B03_10m.jp2"))) if start == "band" else safe / start
    scene = open_scene(given)
    assert scene.band_names == ("b05", "b06", "b07", "b8a", "b11", "b12")
    assert scene.shape == (6, 60, 60)
    assert (scene.alignment.x.scale, scene.alignment.x.offset) == (2.0, 0.5)
    assert [found.reader for found in find_scenes(tmp_path)] == ["sentinel2"]


def test_sentinel2_lacks_a_band(tmp_path: Path) -> None:
    safe = sentinel2(tmp_path)
    next(iter(safe.rglob("*_B04_10m.jp2"))).unlink()
    with pytest.raises(UnknownFormatError, match="lacks the bands B04"):
        open_scene(safe)


def test_sentinel2_with_absurd_metadata(tmp_path: Path) -> None:
    safe = sentinel2(tmp_path)
    sheet = safe / "MTD_MSIL2A.xml"
    text = sheet.read_text()
    sheet.write_text(text.replace(">10000<", ">x<").replace('band_id="3"', 'band_id="77"'))
    scene = open_scene(safe)
    assert scene.delivery is not None
    assert scene.delivery.pan.constants == ()
    sheet.write_text(text[:500])
    with pytest.raises(ReaderError, match="damaged XML"):
        open_scene(safe)


@pytest.mark.filterwarnings("default:the guide")
def test_years_between_cube_and_guide_warn(tmp_path: Path) -> None:
    safe, image = sentinel2(tmp_path), desis(tmp_path)
    with pytest.warns(PansharpWarning, match="the guide .* was taken 2022-06-01"):
        open_scene(hsi=image, msi=safe)
