"""Airbus DIMAP: band order and gains by id, tiles, halves, RPC, full spectrum."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from deliveries.dimap import CORNER, GAINS, ORDER, SUNS, TIME, bundle
from deliveries.packing import pack
from pansharp.errors import (
    AmbiguousReaderError,
    MissingSidecarError,
    ReaderError,
    SceneError,
    UnknownFormatError,
)
from pansharp.geometry.grids import Window
from pansharp.readers import find_scenes, open_scene

if TYPE_CHECKING:
    from pansharp.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore:no (orthorectification|DEM given)")

NAMES = {"B0": "blue", "B1": "green", "B2": "red", "B3": "nir"}


def gains(scene: Scene) -> list[float]:
    assert scene.delivery is not None
    known = [c for c in scene.delivery.ms.constants if c is not None]
    return [c.gain for c in known]


@pytest.mark.parametrize("order", [ORDER, ("B0", "B1", "B2", "B3"), ("B3", "B2", "B1", "B0")])
def test_bands_and_gains_follow_the_ids(tmp_path: Path, order: tuple[str, ...]) -> None:
    """GDAL puts the values of B0 on the first band whatever the order of the file is."""
    bundle(tmp_path, order=order)
    scene = open_scene(tmp_path)
    assert scene.band_names == tuple(NAMES[code] for code in order)
    assert gains(scene) == pytest.approx([1 / GAINS[code] for code in order])
    assert scene.delivery is not None
    found = [c for c in scene.delivery.ms.constants if c is not None]
    assert [c.esun for c in found] == [SUNS[code] for code in order]
    assert {c.offset for c in found} == {0.5}
    pan = scene.delivery.pan.constants[0]
    assert pan is not None
    assert pan.gain == pytest.approx(1 / GAINS["P"])


def test_gdal_itself_gives_wrong_band_tags(tmp_path: Path) -> None:
    """The reason for reading the XML: this test fails when GDAL is right one day."""
    _, ms = bundle(tmp_path)
    with rasterio.open(ms) as dataset:
        tags = dataset.tags(1)
    assert float(tags["SOLAR_IRRADIANCE_VALUE"]) == SUNS["B0"]  # band 1 is B2, red


def test_mosaic_of_tiles_on_a_map(tmp_path: Path) -> None:
    pan, _ = bundle(tmp_path)
    scene = open_scene(tmp_path)
    assert scene.shape == (4, 256, 256)
    assert scene.transform == (0.5, 0.0, CORNER[0], 0.0, -0.5, CORNER[1])
    assert (scene.alignment.x.scale, scene.alignment.x.offset) == (4.0, 1.5)
    assert scene.name == f"PHR1A_{TIME}_ORT_123456101-001"
    with rasterio.open(pan) as dataset:  # GDAL's own mosaic
        whole = dataset.read()
    np.testing.assert_array_equal(scene.pan_source.read(Window(0, 0, 256, 256)), whole)


def test_facts(tmp_path: Path) -> None:
    bundle(tmp_path)
    scene = open_scene(tmp_path)
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert facts.acquired == datetime(2013, 8, 5, 10, 42, 19, 400_000, tzinfo=UTC)
    assert (facts.sun_elevation, facts.sun_azimuth) == (51.25, 151.5)  # of the middle
    assert (facts.view_elevation, facts.off_nadir) == (78.5, 10.5)
    assert (facts.level, facts.cloud, facts.bits) == ("ORT", 0.025, 12)
    assert facts.corrected is None
    assert scene.sensor is not None
    assert scene.sensor.name == "pleiades1a"


@pytest.mark.parametrize("start", ["pan", "ms", "tile", "pan folder", "root"])
def test_every_way_to_name_it(tmp_path: Path, start: str) -> None:
    pan, ms = bundle(tmp_path / "order")
    ways = {
        "pan": pan,
        "ms": ms,
        "tile": next(iter(sorted(ms.parent.glob("*_R1C2.TIF")))),
        "root": tmp_path,
        "pan folder": pan.parent,
    }
    assert open_scene(ways[start]).shape == (4, 256, 256)


def test_sensor_geometry_through_rpc(tmp_path: Path) -> None:
    bundle(tmp_path, level="SEN")
    scene = open_scene(tmp_path, ortho="none")
    assert scene.crs is None
    assert scene.delivery is not None
    assert scene.delivery.geometry == "rpc"
    rpc = scene.delivery.ms.rpc
    assert rpc is not None
    assert float(rpc["LINE_OFF"]) == 31.5  # the file counts the first pixel as 1
    assert scene.alignment.y.offset == pytest.approx(1.5, abs=1e-4)
    assert scene.alignment.x.scale == pytest.approx(4, abs=1e-6)


def test_full_spectrum_of_pleiades_neo(tmp_path: Path) -> None:
    bundle(tmp_path, full=True, satellite="PNEO3", mission=("PNEO", "3"), pixel=0.3)
    scene = open_scene(tmp_path)
    assert scene.band_names == ("red", "green", "blue", "nir", "rededge", "deep_blue")
    assert scene.sensor is not None
    assert scene.sensor.name == "pleiades_neo"
    plain, _ = bundle(tmp_path / "b", pixel=0.3)
    assert plain.is_file()
    files = [Path(file).name for file in scene.files["ms"]]
    assert [("RGB" in name, "NED" in name) for name in files] == [(True, False)] * 2 + [
        (False, True)
    ] * 2


@pytest.mark.parametrize(
    ("satellite", "mission"), [("SPOT6", ("SPOT", "6")), ("SPOT7", ("SPOT", "7"))]
)
def test_spot(tmp_path: Path, satellite: str, mission: tuple[str, str]) -> None:
    bundle(tmp_path, satellite=satellite, mission=mission, pixel=1.5)
    scene = open_scene(tmp_path)
    assert scene.sensor is not None
    assert scene.sensor.name == satellite.lower()


def test_archive_and_folder_are_one_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path / "scratch"))
    bundle(tmp_path / "order")
    scene = open_scene(pack(tmp_path / "order", tmp_path / "order.zip"))
    assert scene.delivery == open_scene(tmp_path / "order").delivery
    assert scene.pan_source.read(Window(0, 120, 4, 16)).shape == (1, 4, 16)


def test_two_times_are_two_scenes(tmp_path: Path) -> None:
    bundle(tmp_path / "a")
    bundle(tmp_path / "b")
    for file in sorted((tmp_path / "b").rglob("*")):
        if file.is_file():
            other = TIME.replace("2013", "2014")
            if file.suffix == ".XML":
                file.write_text(file.read_text().replace(TIME, other))
            file.rename(file.with_name(file.name.replace(TIME, other)))
    assert len(find_scenes(tmp_path)) == 2
    with pytest.raises(AmbiguousReaderError, match="2 scenes match"):
        open_scene(tmp_path)


def test_no_partner(tmp_path: Path) -> None:
    pan, ms = bundle(tmp_path)
    ms.unlink()
    for start in (pan, tmp_path):
        with pytest.raises(UnknownFormatError, match=r"No multispectral image .*--ms FILE"):
            open_scene(start)


def test_pansharpened_product(tmp_path: Path) -> None:
    _, ms = bundle(tmp_path)
    ms.write_text(ms.read_text().replace(">MS<", ">PMS<"))
    with pytest.raises(SceneError, match="already pan-sharpened"):
        open_scene(ms)


@pytest.mark.parametrize(
    ("processing", "corrected", "units"),
    [("REFLECTANCE", "reflectance", "1"), ("LINEAR_STRETCH", "stretched", None)],
)
def test_processed_counts(
    tmp_path: Path, processing: str, corrected: str, units: str | None
) -> None:
    bundle(tmp_path, processing=processing)
    scene = open_scene(tmp_path)
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert facts.corrected is not None
    assert corrected in facts.corrected
    assert {c.units for c in facts.constants if c} == ({units} if units else set())


def test_a_tile_is_missing(tmp_path: Path) -> None:
    _, ms = bundle(tmp_path)
    next(iter(ms.parent.glob("*_R1C2.TIF"))).unlink()
    for start in (ms, tmp_path):
        with pytest.raises(MissingSidecarError, match=r"lists 2 tiles, 1 is missing: IMG_.*R1C2"):
            open_scene(start)


def test_a_tile_outside_the_folder(tmp_path: Path) -> None:
    _, ms = bundle(tmp_path)
    ms.write_text(ms.read_text().replace('href="IMG_', 'href="../secret/IMG_'))
    with pytest.raises(ReaderError, match="lies outside its folder"):
        open_scene(ms)


def test_tiles_that_differ(tmp_path: Path) -> None:
    from deliveries.rasters import write

    _, ms = bundle(tmp_path)
    tile = next(iter(ms.parent.glob("*_R1C2.TIF")))
    tile.unlink()  # else GDAL removes the whole delivery: it counts the document to the tile
    write(tile, np.ones((4, 60, 32)), corner=CORNER, pixel=2.0)
    write(tile.with_name(tile.name.replace("R1C2", "R2C2")), np.ones((4, 4, 32)))
    text = ms.read_text()
    line = f'<Data_File tile_R="2" tile_C="2"><DATA_FILE_PATH href="{tile.name}"/></Data_File>'
    ms.write_text(text.replace("</Data_Files>", line.replace("R1C2", "R2C2") + "</Data_Files>"))
    with pytest.raises(ReaderError, match="do not make one image"):
        open_scene(ms)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<BAND_INDEX>2<", "<BAND_INDEX>1<"),
        ("<BAND_INDEX>2<", "<BAND_INDEX>9<"),
        ("<BAND_ID>B1</BAND_ID><BAND_INDEX>", "<BAND_INDEX>"),
    ],
)
def test_contradicting_lists_leave_bands_nameless(tmp_path: Path, old: str, new: str) -> None:
    _, ms = bundle(tmp_path)
    ms.write_text(ms.read_text().replace(old, new))
    scene = open_scene(tmp_path)
    assert scene.band_names == ("b1", "b2", "b3", "b4")
    assert gains(scene) == []
    assert any("without names" in note for note in scene.notes)


def test_a_damaged_document_is_not_taken_for_plain_images(tmp_path: Path) -> None:
    _, ms = bundle(tmp_path)
    ms.write_text(ms.read_text()[:3000])
    for start in (tmp_path, ms):
        with pytest.raises(ReaderError, match="damaged XML"):
            open_scene(start)


def test_a_wrong_size_is_told(tmp_path: Path) -> None:
    _, ms = bundle(tmp_path)
    ms.write_text(ms.read_text().replace("<NROWS>64<", "<NROWS>32<"))
    scene = open_scene(tmp_path)
    assert scene.ms_source.height == 64
    assert any("says 32 rows, the tiles hold 64" in note for note in scene.notes)
