"""GaoFen-2 and kin: names, XML, gains, time zone, RPC, both cameras, archives."""

from __future__ import annotations

import math
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deliveries.gaofen import CORNER, gaofen2, xml
from deliveries.packing import pack
from pansharp.errors import (
    AlignmentWarning,
    AmbiguousReaderError,
    GridMismatchError,
    MissingSidecarError,
    PansharpWarning,
    ReaderError,
    SceneError,
    UnknownFormatError,
)
from pansharp.geometry.grids import Window
from pansharp.readers import find_scenes, open_scene
from pansharp.readers.gaofen._names import parse

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings("ignore:no (orthorectification|DEM given)")

#: Names of public listings (sensors.yaml), and what they say.
NAMES = {
    "GF2_PMS1_E108.9_N34.2_20181026_L1A0003549596-MSS1.tiff": ("gaofen2", "MSS1"),
    "GF2_PMS2_E113.5_N23.1_20180325_L1A14547899001-PAN2.tiff": ("gaofen2", "PAN2"),
    "GF2_PMS1__20150902_L1A0001015649-PAN1.tif": ("gaofen2", "PAN1"),
    "GF2_PMS1__L1A0001064454-MSS1.tif": ("gaofen2", "MSS1"),
    "GF1_PMS1_E116.5_N39.4_20131127_L1A0000117600-MSS.tiff": ("gaofen1", "MSS"),
    "GF1B_PMS_E116.5_N39.4_20190127_L1A1227714888-MUX.tiff": ("gaofen1b", "MUX"),
    "GF6_PMS_E116.5_N39.4_20190127_L1A1119845812-PAN.tiff": ("gaofen6_pms", "PAN"),
    "GF7_DLC_E116.5_N39.4_20200127_L1A0000045812-BWDMUX.tiff": ("gaofen7", "BWDMUX"),
    "GF7_DLC_E116.5_N39.4_20200127_L1A0000045812-FWDPAN.tiff": ("gaofen7", "FWDPAN"),
    "ZY302_TMS_E116.5_N39.4_20170127_L1A0000645812-NAD.tiff": ("ziyuan3", "NAD"),
    "SV1-01_20180325_L1B0000123456_1234567890123_01-PAN.tiff": ("superview1", "PAN"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_public_listings(name: str) -> None:
    found = parse(name)
    assert found is not None
    assert (found.sensor, found.role) == NAMES[name]


def test_what_a_name_says() -> None:
    name = parse("GF2_PMS2_E113.5_S23.1_20180325_L1A14547899001-PAN2.tiff")
    assert name is not None
    assert (name.camera, name.level, name.identifier) == ("PMS2", "L1A", "14547899001")
    assert name.centre == (113.5, -23.1)
    assert name.date == datetime(2018, 3, 25, tzinfo=UTC)
    assert parse("GF3_KAS_WAV_000001.tiff") is None


def test_scene_of_level_1a(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    scene = open_scene(made.folder, ortho="none")
    assert scene.name == made.folder.name
    assert scene.band_names == ("blue", "green", "red", "nir")
    assert scene.sensor is not None
    assert scene.sensor.name == "gaofen2"
    assert (scene.crs, scene.nodata) == (None, 0)
    assert scene.acquired == "2018-03-25T03:24:47Z"
    delivery = scene.delivery
    assert delivery is not None
    assert (delivery.family, delivery.geometry) == ("gaofen", "rpc")
    facts = delivery.ms
    assert facts.acquired == datetime(2018, 3, 25, 3, 24, 47, tzinfo=UTC)
    assert facts.sun_elevation == pytest.approx(63.1)
    assert facts.sun_azimuth == 129.5
    assert facts.view_elevation == 86.5  # "SatelliteZenith" near 90 cannot be a zenith angle
    assert (facts.level, facts.bits, facts.cloud) == ("L1A", 10, 0.03)
    assert not facts.placed
    assert facts.rpc is not None
    assert delivery.pan.rpc is not None
    # RPC00B counts the centre of the first pixel as 0, and so do GDAL's items.
    assert float(facts.rpc["LINE_OFF"]) == made.ms_camera.line_off
    # First corners on each other: 3/8 of an MS pixel between the first centres.
    assert scene.alignment.y.scale == pytest.approx(4)
    assert scene.alignment.y.offset == pytest.approx(1.5, abs=1e-4)
    assert scene.alignment.x.offset == pytest.approx(1.5, abs=1e-4)
    text = " ".join(scene.notes)
    assert "no orthorectification" in text
    assert "height of 20 m" in text
    assert "UTC+8" in text


def test_pixels_are_those_of_the_ground(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    scene = open_scene(made.folder, ortho="none")
    window = Window(40, 60, 8, 8)
    rows, cols = np.mgrid[40:48, 60:68].astype(float)
    x, y = made.pan_camera.locate(rows, cols, made.terrain, "EPSG:32649")
    truth = made.ground.sample(x, y, 0.8).mean(axis=0)
    np.testing.assert_allclose(scene.pan_source.read(window)[0], truth, atol=0.51)
    frame = scene.pan_source.valid(Window(0, 0, 32, 32))
    assert frame is not None
    assert not frame[:16].any()
    assert frame[16:, 16:].all()


def test_scene_with_a_map(tmp_path: Path) -> None:
    made = gaofen2(tmp_path, placed=True)
    scene = open_scene(made.pan)
    assert scene.delivery is not None
    assert scene.delivery.geometry == "map"
    assert scene.transform == pytest.approx((0.8, 0, CORNER[0], 0, -0.8, CORNER[1]))
    assert scene.alignment.y.offset == 1.5


@pytest.mark.parametrize("start", ["pan", "ms", "pan.xml", "ms.rpb", "scene.xml", "folder"])
def test_every_way_to_name_it(tmp_path: Path, start: str) -> None:
    made = gaofen2(tmp_path, camera=2)
    ways = {
        "pan": made.pan,
        "ms": made.ms,
        "pan.xml": made.pan.with_suffix(".xml"),
        "ms.rpb": made.ms.with_suffix(".rpb"),
        "scene.xml": made.folder / f"{made.folder.name}.xml",
        "folder": tmp_path,
    }
    scene = open_scene(ways[start])
    assert scene.files == {"pan": (str(made.pan),), "ms": (str(made.ms),)}


def test_named_files_bring_their_sidecars(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    scene = open_scene(pan=made.pan, ms=made.ms)
    assert scene.delivery is not None
    assert scene.delivery.ms.rpc is not None


def test_both_cameras_are_two_scenes(tmp_path: Path) -> None:
    one, two = gaofen2(tmp_path), gaofen2(tmp_path, camera=2)
    found = find_scenes(tmp_path)
    assert [scene.path for scene in found] == [str(one.pan), str(two.pan)]
    assert found[0].files == (str(one.pan), str(one.ms))
    with pytest.raises(AmbiguousReaderError, match="2 scenes match"):
        open_scene(tmp_path)
    scene = open_scene(found[1].path)
    assert scene.files["ms"] == (str(two.ms),)
    assert scene.delivery is not None
    assert scene.delivery.ms.constants[0] is not None
    assert scene.delivery.ms.constants[0].gain == 0.1859


def test_cameras_are_never_mixed(tmp_path: Path) -> None:
    one, two = gaofen2(tmp_path), gaofen2(tmp_path, camera=2)
    with pytest.raises(SceneError, match=r"camera 1, .* to camera 2"):
        open_scene(pan=one.pan, ms=two.ms)
    one.ms.unlink()
    with pytest.raises(
        UnknownFormatError, match=r"No multispectral image .*-MSS1\.tiff.*--ms FILE"
    ):
        open_scene(one.pan)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar", ".zip"])
def test_archive_and_folder_are_one_scene(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path / "scratch"))
    made = gaofen2(tmp_path / "drop")
    archive = pack(made.folder, tmp_path / f"{made.folder.name}{suffix}")
    scene, plain = open_scene(archive), open_scene(made.folder)
    assert scene.name == plain.name
    assert scene.alignment == plain.alignment
    assert scene.delivery == plain.delivery
    window = Window(20, 20, 9, 9)
    np.testing.assert_array_equal(scene.ms_source.read(window), plain.ms_source.read(window))


def test_archive_with_both_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path / "scratch"))
    gaofen2(tmp_path / "drop")
    gaofen2(tmp_path / "drop", camera=2)
    archive = pack(tmp_path / "drop", tmp_path / "both.tar.gz")
    found = find_scenes(archive)
    assert len(found) == 2
    assert "PMS2" in found[1].path
    assert open_scene(found[1].path).name.startswith("GF2_PMS2_")


# Kin


@pytest.mark.parametrize(
    ("name", "roles", "sensor"),
    [
        ("GF1_PMS1_E116.5_N39.4_20181127_L1A0000117600", ("PAN1", "MSS1"), "gaofen1"),
        ("GF1_PMS1_E116.5_N39.4_20181127_L1A0000117600", ("PAN", "MSS"), "gaofen1"),
        ("GF1C_PMS_E116.5_N39.4_20190127_L1A1227714888", ("PAN", "MUX"), "gaofen1c"),
        ("GF6_PMS_E116.5_N39.4_20190127_L1A1119845812", ("PAN", "MUX"), "gaofen6_pms"),
        ("GF7_DLC_E116.5_N39.4_20200127_L1A0000045812", ("BWDPAN", "BWDMUX"), "gaofen7"),
        ("GF1B_PMS_E116.5_N39.4_20190127_L1A1227714888", ("PAN", "MUX"), "gaofen1b"),
        ("GF1D_PMS_E116.5_N39.4_20190127_L1A1227714888", ("PAN", "MUX"), "gaofen1d"),
        ("GF6_PMS_E116.5_N39.4_20190127_L1A1119845812", ("PAN", "MSS"), "gaofen6_pms"),
        ("ZY302_TMS_E116.5_N39.4_20170127_L1A0000645812", ("NAD", "MUX"), "ziyuan3"),
        ("ZY303A_TMS_E116.5_N39.4_20220127_L1A0000645812", ("NAD", "MUX"), "ziyuan3"),
        ("SV1-02_20180325_L2A0000123456_1234567890123_01", ("PAN", "MUX"), "superview1"),
    ],
)
def test_kin(tmp_path: Path, name: str, roles: tuple[str, str], sensor: str) -> None:
    made = gaofen2(tmp_path, name=name, roles=roles, SolarZenith=None)
    scene = open_scene(made.folder)
    assert scene.sensor is not None
    assert scene.sensor.name == sensor
    assert scene.files["ms"] == (str(made.ms),)


def test_forward_camera_is_never_paired(tmp_path: Path) -> None:
    name = "GF7_DLC_E116.5_N39.4_20200127_L1A0000045812"
    made = gaofen2(tmp_path, name=name, roles=("FWDPAN", "BWDMUX"))
    assert [scene.path for scene in find_scenes(made.folder)] == [str(made.ms)]
    with pytest.raises(UnknownFormatError, match=r"No panchromatic image .*-BWDPAN\.tiff"):
        open_scene(made.folder)
    with pytest.raises(SceneError, match="another viewing direction"):
        open_scene(made.pan)
    with pytest.raises(SceneError, match="another viewing direction"):
        open_scene(pan=made.pan, ms=made.ms)


def test_pansharpened_superview(tmp_path: Path) -> None:
    name = "SV1-01_20180325_L1B0000123456_1234567890123_01"
    made = gaofen2(tmp_path, name=name, roles=("PAN", "PSH"))
    with pytest.raises(SceneError, match="already pan-sharpened"):
        open_scene(made.ms)


# Geometry and sidecars


def test_rpc_of_a_cropped_image(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    text = made.pan.with_suffix(".rpb").read_text()
    made.pan.with_suffix(".rpb").write_text(text.replace("lineOffset = 127.5", "lineOffset = 400"))
    with pytest.warns(AlignmentWarning, match=r"RPC offsets .* do not fit a 256 x 256 raster"):
        open_scene(made.folder)


def test_a_map_rules_over_rpc_beside_it(tmp_path: Path) -> None:
    """Projected products bring RPC too; their own grid is used unless something else is asked."""
    made, raw = gaofen2(tmp_path / "a", placed=True), gaofen2(tmp_path / "b")
    for one, other in ((made.pan, raw.pan), (made.ms, raw.ms)):
        shutil.copy(other.with_suffix(".rpb"), one.with_suffix(".rpb"))
    scene = open_scene(made.folder)
    assert scene.delivery is not None
    assert scene.delivery.geometry == "map"
    assert scene.delivery.pan.rpc is not None
    assert scene.transform[2] == CORNER[0]


@pytest.mark.parametrize("suffix", [".rpb", ".RPB", ".Rpb"])
def test_rpb_in_any_case(tmp_path: Path, suffix: str) -> None:
    made = gaofen2(tmp_path)
    made.ms.with_suffix(".rpb").rename(made.ms.with_suffix(suffix))
    scene = open_scene(made.folder, ortho="none")
    assert scene.delivery is not None
    assert scene.delivery.geometry == "rpc"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rpc_in_the_tag_of_the_image(tmp_path: Path) -> None:
    import rasterio

    made = gaofen2(tmp_path)
    with rasterio.open(made.ms) as dataset:
        rpcs = dataset.rpcs
    made.ms.with_suffix(".rpb").unlink()
    with rasterio.open(made.ms, "r+") as dataset:
        dataset.rpcs = rpcs
    scene = open_scene(made.folder, ortho="none")
    assert scene.delivery is not None
    assert scene.delivery.geometry == "rpc"
    assert scene.alignment.y.offset == pytest.approx(1.5, abs=1e-4)


def test_centre_across_the_antimeridian(tmp_path: Path) -> None:
    from pansharp.readers.gaofen._facts import sheet_of

    corners = ("TopLeft", "TopRight", "BottomRight", "BottomLeft")
    lons = dict(zip(corners, ("179.9", "-179.9", "-179.9", "179.9"), strict=True))
    made = gaofen2(tmp_path, **{f"{corner}Longitude": lon for corner, lon in lons.items()})
    name = parse(made.ms)
    assert name is not None
    centre = sheet_of(made.ms, name).centre
    assert centre is not None
    assert centre[0] == pytest.approx(180.0)


def test_one_rpc_is_missing(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    made.ms.with_suffix(".rpb").unlink()
    scene = open_scene(made.folder)  # 256 to 64 pixels: the same ground by the sizes
    assert scene.delivery is not None
    assert scene.delivery.geometry == "pixel"
    assert any("neither a map projection nor RPC" in note for note in scene.notes)


def test_no_rpc_and_odd_sizes(tmp_path: Path) -> None:
    from deliveries.rasters import write

    made = gaofen2(tmp_path)
    for path in (made.pan, made.ms):
        path.with_suffix(".rpb").unlink()
    write(made.pan, np.full((1, 250, 233), 500.0))
    with pytest.raises(MissingSidecarError, match="neither a map projection nor RPC"):
        open_scene(made.folder)


def test_map_against_rpc(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    other = gaofen2(tmp_path / "b", placed=True)
    shutil.copy(other.pan, made.pan)
    with pytest.raises(GridMismatchError, match="only RPC"):
        open_scene(made.folder)


def test_a_damaged_rpb_is_one_line(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    made.ms.with_suffix(".rpb").write_text("satId = ")
    with pytest.raises(ReaderError, match=r"-MSS1\.rpb"):
        open_scene(made.folder)
    placed = gaofen2(tmp_path / "b", placed=True)
    placed.ms.with_suffix(".rpb").write_text("satId = ")
    scene = open_scene(placed.folder)  # a map needs none
    assert any("RPC left out" in note for note in scene.notes)


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"", "is empty"),
        (b"not xml", "is not XML"),
        (b"<ProductMetaData><a>", "damaged XML"),
        (b'<!DOCTYPE a [<!ENTITY l "x"><!ENTITY m "&l;&l;">]><a>&m;</a>', "entities"),
    ],
)
def test_bad_xml(tmp_path: Path, content: bytes, finding: str) -> None:
    made = gaofen2(tmp_path)
    made.ms.with_suffix(".xml").write_bytes(content)
    with pytest.raises(ReaderError, match=finding):
        open_scene(made.folder)


def test_xml_in_gbk_without_telling(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    text = xml().replace("<SensorID>", "<Station>密云站</Station><SensorID>")
    made.ms.with_suffix(".xml").write_bytes(text.encode("gbk"))
    scene = open_scene(made.folder)
    assert scene.delivery is not None
    assert scene.delivery.ms.cloud == 0.03


def test_absurd_fields_are_left_out(tmp_path: Path) -> None:
    odd = {"CloudPercent": "400", "SolarAzimuth": "abc", "TopLeftLatitude": "999"}
    scene = open_scene(gaofen2(tmp_path, **odd).folder)
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert (facts.cloud, facts.sun_azimuth) == (None, None)
    assert facts.acquired is not None  # the place then comes from the name
    assert sum("left out" in note for note in facts.notes) == 3


def test_without_xml(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    for file in made.folder.glob("*.xml"):
        file.unlink()
    scene = open_scene(made.folder)
    assert scene.delivery is not None
    assert scene.delivery.ms.acquired is None
    assert any("no XML beside" in note for note in scene.notes)
    # The name tells the year, and with it the table's row.
    known = [c for c in scene.delivery.ms.constants if c is not None]
    assert {c.source for c in known} == {"yearly table 2018 of PMS1"}


def test_dates_that_do_not_belong_together(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    made.ms.with_suffix(".xml").write_text(xml(CenterTime="2018-03-28 11:24:49"))
    with pytest.raises(SceneError, match=r"taken 2018-03-25 .* 2018-03-28"):
        open_scene(made.folder)
    with pytest.warns(PansharpWarning, match="was taken 2018-03-25"):
        open_scene(pan=made.pan, ms=made.ms)


def test_a_truncated_image(tmp_path: Path) -> None:
    made = gaofen2(tmp_path)
    data = made.pan.read_bytes()
    made.pan.write_bytes(data[: len(data) // 2])
    with pytest.raises(ReaderError, match="incomplete"):
        open_scene(made.folder)


def test_an_empty_image(tmp_path: Path) -> None:
    from deliveries.rasters import write

    made = gaofen2(tmp_path)
    write(made.ms, np.zeros((4, 64, 64)))
    with pytest.raises(SceneError, match="every pixel of the MS"):
        open_scene(made.folder)


def test_a_known_misregistration_is_hidden_from_the_rpc(tmp_path: Path) -> None:
    """The generator's shift is what co-registration has to find: here the RPC alone speak."""
    plain, moved = gaofen2(tmp_path / "a"), gaofen2(tmp_path / "b", shift=(1.0, -0.5))
    one, two = open_scene(plain.folder), open_scene(moved.folder)
    assert one.alignment == two.alignment
    a = one.ms_source.read(Window(20, 20, 20, 20)).astype(float)
    b = two.ms_source.read(Window(19, 20, 20, 20)).astype(float)
    same = two.ms_source.read(Window(20, 20, 20, 20)).astype(float)
    # Half a column remains; the whole row is the shift.
    assert np.abs(a - b).mean() < np.abs(a - same).mean()
    assert math.isfinite(np.abs(a - b).mean())
