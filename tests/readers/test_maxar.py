"""Maxar deliveries as they come: every way to name them, and what is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from deliveries import maxar
from deliveries.maxar import write_delivery
from deliveries.packing import pack
from pansharp.errors import AlignmentWarning, PansharpWarning
from pansharp.geometry.grids import Window
from pansharp.readers import find_scenes, open_scene
from pansharp.readers._rpc import rpc_items
from pansharp.readers.maxar._pvl import read_isd, read_pvl

if TYPE_CHECKING:
    from pansharp.scene import Scene

SMALL = {"ms_shape": (40, 48)}
EIGHT = ("coastal", "blue", "green", "yellow", "red", "rededge", "nir1", "nir2")


@pytest.fixture(autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path_factory.mktemp("scratch")))


def pixels(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    pan, ms = scene.pan_source, scene.ms_source
    return (
        pan.read(Window(0, 0, pan.height, pan.width)),
        ms.read(Window(0, 0, ms.height, ms.width)),
    )


@pytest.mark.parametrize(
    ("sidecars", "tiles", "lower", "inclusive"),
    [
        ("both", (1, 1), False, True),
        ("imd", (1, 2), False, True),
        ("imd", (2, 3), True, False),
        ("xml", (1, 1), True, True),
        ("xml", (2, 3), False, False),
        ("both", (2, 1), True, False),
        ("both", (1, 2), False, False),
    ],
)
def test_projected_delivery(
    tmp_path: Path, sidecars: str, tiles: tuple[int, int], lower: bool, inclusive: bool
) -> None:
    options = {"sidecars": sidecars, "tiles": tiles, "lower": lower, "inclusive": inclusive}
    made = write_delivery(tmp_path / "a", **SMALL, **options)
    scene = open_scene(tmp_path)
    whole = open_scene(write_delivery(tmp_path / "b", **SMALL).root)
    assert scene.shape == (8, 160, 192)
    assert scene.band_names == EIGHT
    assert scene.sensor is not None
    assert scene.sensor.name == "worldview3"
    assert scene.transform == tuple(made.transform)[:6]
    assert scene.alignment.integer_ratio == 4
    for part, other in zip(pixels(scene), pixels(whole), strict=True):
        np.testing.assert_array_equal(part, other)
    assert scene.files["pan"] == tuple(map(str, made.pan))
    assert scene.files["ms"] == tuple(map(str, made.ms))
    assert not [note for note in scene.notes if "tiles" in note or "offset" in note]


def test_the_image_is_where_the_ground_is(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, **SMALL, tiles=(2, 2))
    scene = open_scene(tmp_path)
    pan, ms = pixels(scene)
    for image, (a, _, c, _, e, f), truth in (
        (pan, scene.transform, lambda bands: bands.mean(axis=0, keepdims=True)),
        (ms, scene.ms_transform, lambda bands: bands),
    ):
        rows, cols = np.mgrid[0 : image.shape[1], 0 : image.shape[2]] + 0.5
        ground = made.ground.sample(c + a * cols, f + e * rows, a)
        assert np.abs(truth(ground) - image).max() <= 0.5 + 1e-6


def test_every_way_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_delivery(tmp_path, **SMALL, tiles=(1, 2))
    home = made.pan[0].parent
    ways = [
        tmp_path, home, made.pan_map, made.ms_map, made.pan[0], made.pan[1], made.ms[1],
        *home.glob("*.IMD"), *home.glob("*.XML"), *made.ms[0].parent.glob("*.IMD"),
    ]  # fmt: skip
    assert len(ways) == 10
    scenes = [open_scene(way) for way in ways if way is not None]
    scenes.append(open_scene(pan=made.pan_map, ms=made.ms_map))
    scenes.append(open_scene(pan=made.pan[1], ms=[made.ms[0]]))
    scenes.append(open_scene(made.ms_map, pan=made.pan_map))
    scenes.append(open_scene(tmp_path, reader="maxar"))
    for scene in scenes:
        assert scene.shape == (8, 160, 192)
        assert scene.files == scenes[0].files
    led = [line for line in scenes[5].delivery.evidence if "tile R1C2 of a 2-tile product" in line]
    assert len(led) == 1
    monkeypatch.chdir(tmp_path)
    assert open_scene(".").shape == (8, 160, 192)
    inside = Path(*made.pan[0].parts[-2:])
    files = [file for group in open_scene(inside).files.values() for file in group]
    assert not any(Path(file).is_absolute() for file in files)


def test_components_in_trees_of_their_own(tmp_path: Path) -> None:
    made = write_delivery(tmp_path / "x", **SMALL)
    for image, name in ((made.pan[0], "PAN"), (made.ms[0], "MUL")):
        (tmp_path / "order" / name).mkdir(parents=True)
        image.parent.rename(tmp_path / "order" / name / image.parent.name)
    assert open_scene(tmp_path / "order").shape == (8, 160, 192)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar", ".zip"])
def test_archive_and_folder_give_the_same_scene(tmp_path: Path, suffix: str) -> None:
    folder = write_delivery(tmp_path / "site", **SMALL, tiles=(2, 1)).root
    archive = pack(folder, tmp_path / f"delivery{suffix}", inside="012345678010_01")
    scene, plain = open_scene(archive), open_scene(folder)
    facts, other = scene.describe(), plain.describe()
    for key in ("name", "bounds", "alignment", "ms", "pan", "sensor", "acquired", "delivery"):
        assert facts[key] == other[key]
    for part, same in zip(pixels(scene), pixels(plain), strict=True):
        np.testing.assert_array_equal(part, same)
    assert [found.path for found in find_scenes(archive)] == [str(archive)]


@pytest.mark.parametrize("how", ["one", "two"])
def test_halves_become_eight_bands(tmp_path: Path, how: str) -> None:
    made = write_delivery(tmp_path / "a", **SMALL, halves=how)
    whole = open_scene(write_delivery(tmp_path / "b", **SMALL).root)
    for way in (made.root, made.pan[0], made.ms[0], made.ms[1]):
        scene = open_scene(way)
        assert scene.band_names == EIGHT
        np.testing.assert_array_equal(pixels(scene)[1], pixels(whole)[1])
        # The constants move with their bands.
        assert scene.delivery is not None
        assert whole.delivery is not None
        assert scene.delivery.ms.constants == whole.delivery.ms.constants
    for file in made.ms[1].parent.glob("*MS2*"):
        file.unlink()
    scene = open_scene(made.root)
    assert scene.band_names == ("blue", "green", "red", "nir1")
    assert any("only the half MS1" in note for note in scene.notes)


@pytest.mark.parametrize("satellite", maxar.BANDS)
def test_satellites(tmp_path: Path, satellite: str) -> None:
    made = write_delivery(tmp_path, **SMALL, satellite=satellite)
    scene = open_scene(tmp_path)
    assert scene.sensor is not None
    assert satellite.lower() in scene.sensor.aliases
    assert scene.band_names == tuple(
        next(band.name for band in scene.sensor.bands if band.code == code) for code in made.codes
    )


def test_bands_come_in_the_order_of_their_groups(tmp_path: Path) -> None:
    # Tools disagree about WorldView-4: the product's own order counts, also an unusual one.
    write_delivery(tmp_path, **SMALL, satellite="WV04", bands=("R", "G", "B", "N"))
    assert open_scene(tmp_path).band_names == ("red", "green", "blue", "nir1")


def test_facts(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, **SMALL)
    scene = open_scene(tmp_path)
    delivery = scene.delivery
    assert delivery is not None
    assert (delivery.family, delivery.geometry) == ("maxar", "map")
    for facts in (delivery.pan, delivery.ms):
        assert facts.acquired == datetime(2019, 6, 15, 10, 20, 30, 123456, UTC)
        assert (facts.sun_elevation, facts.sun_azimuth) == (62.7, 145.3)
        assert (facts.view_elevation, facts.view_azimuth, facts.off_nadir) == (71.4, 88.1, 16.6)
        assert (facts.level, facts.bits, facts.cloud) == ("2A", 11, 0.02)
        assert facts.identifier == "104001004DB6F500"
        assert facts.corrected is None
        assert facts.rpc is None
    assert scene.acquired == "2019-06-15T10:20:30.123456Z"
    # Maxar 2018v0: L = adj_gain * DN * absCalFactor / effectiveBandwidth + adj_offset.
    blue = delivery.ms.constants[1]
    assert blue is not None
    factor, width = maxar.constants("B")
    assert blue.gain == pytest.approx(0.946 * factor / width, rel=1e-12)
    assert blue.offset == -9.409
    assert blue.esun == 2004.61
    assert "adjusted by release 2018v0" in blue.source
    assert delivery.pan.constants[0].gain == pytest.approx(
        0.955 * maxar.constants("P")[0] / maxar.constants("P")[1]
    )
    picked = scene.select_bands(["red", "blue"]).delivery
    assert picked is not None
    assert picked.ms.constants == (delivery.ms.constants[4], blue)
    json.dumps(scene.describe())
    assert made.codes[1] == "B"


@pytest.mark.parametrize("sidecars", ["imd", "xml"])
def test_rpc_equal_gdals(tmp_path: Path, sidecars: str) -> None:
    made = write_delivery(tmp_path, **SMALL, level="1B", sidecars=sidecars)
    with rasterio.open(made.pan[0]) as dataset:
        truth = {key: value.split() for key, value in dataset.rpcs.to_gdal().items()}
    ending, read = {"imd": (".RPB", read_pvl), "xml": (".XML", read_isd)}[sidecars]
    node = read(made.pan[0].with_suffix(ending))
    part = node if sidecars == "imd" else node.first("RPB")
    ours = rpc_items(part.first("IMAGE").fields)
    assert len(ours) == 16
    for key, value in ours.items():
        if key.startswith("ERR"):  # rasterio leaves out those of 0
            continue
        assert [float(v) for v in value.split()] == [float(v) for v in truth[key]], key
    with pytest.warns(AlignmentWarning):
        delivery = open_scene(tmp_path).delivery
    assert delivery is not None
    assert delivery.pan.rpc == ours


def test_gdal_reads_what_the_generator_writes(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, **SMALL, tiles=(1, 2), sidecars="imd", level="OR2A")
    with rasterio.open(made.pan_map) as dataset:
        assert dataset.driver == "TIL"
        assert dataset.shape == (160, 192)
        # Values of PVL keep their quotes in GDAL's tags.
        assert dataset.tags(ns="IMD")["IMAGE_1.satId"] == '"WV03"'
        assert dataset.rpcs is not None
        assert dataset.transform == made.transform


@pytest.mark.parametrize("offset", [(0, 0), (6, -10)])
@pytest.mark.parametrize("tiles", [(1, 1), (2, 1)])
def test_basic_product_is_laid_through_both_cameras(
    tmp_path: Path, offset: tuple[int, int], tiles: tuple[int, int]
) -> None:
    # Frames of PAN and MS that begin elsewhere: by their sizes alone they would be misplaced.
    made = write_delivery(
        tmp_path, ms_shape=(64, 65), level="1B", camera_offset=offset, tiles=tiles
    )
    with pytest.warns(AlignmentWarning, match="no orthorectification"):
        scene = open_scene(tmp_path, ortho="none")
    assert scene.delivery is not None
    assert scene.delivery.geometry == "rpc"
    assert scene.crs is None
    assert made.pan_camera is not None
    assert made.ms_camera is not None
    # A pixel of the MS, through the ground at the cameras' height, to the PAN.
    ms = scene.ms_source
    row, col = ms.height // 2, ms.width // 2
    lon, lat = made.ms_camera.to_ground(np.array([float(row)]), np.array([float(col)]), 100.0)
    pan_row, pan_col = made.pan_camera.to_pixel(lon, lat, 100.0)
    cut = (int(scene.transform[5]), int(scene.transform[2]))
    assert scene.alignment.y.to_pan(row) + cut[0] == pytest.approx(pan_row[0], abs=1e-3)
    assert scene.alignment.x.to_pan(col) + cut[1] == pytest.approx(pan_col[0], abs=1e-3)
    assert any("through both RPC at a height of 100 m" in note for note in scene.notes)


def test_turned_basic_product_is_resampled(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, ms_shape=(64, 64), level="1B", turn=0.02)
    with pytest.warns(AlignmentWarning, match="no orthorectification"):
        scene = open_scene(tmp_path, ortho="none")
    assert any("turned against" in note for note in scene.notes)
    low, whole = scene.ms_source, Window(24, 24, 16, 16)
    # What the resampled MS shows at a place is what the ground is there.
    assert made.pan_camera is not None
    rows, cols = np.mgrid[whole.row : whole.row_end, whole.col : whole.col_end].astype(float)
    y, x = scene.alignment.y, scene.alignment.x
    pan_rows = y.scale * rows + y.offset + scene.transform[5]
    pan_cols = x.scale * cols + x.offset + scene.transform[2]
    east, north = made.pan_camera.locate(pan_rows, pan_cols, made.terrain, maxar.CRS)
    truth = made.ground.sample(east, north, 4 * 0.31)
    error = low.read(whole).astype(float) - truth
    assert np.sqrt((error**2).mean()) < 0.1 * truth.std()


def test_zero_is_nodata_by_the_vendors_rule(tmp_path: Path) -> None:
    write_delivery(tmp_path, **SMALL, fill=20, tiles=(1, 2))
    scene = open_scene(tmp_path)
    assert scene.nodata == 0
    valid = scene.pan_source.valid(Window(0, 0, 24, 30))
    assert valid is not None
    assert valid.sum() == 4 * 30
    assert open_scene(tmp_path, nodata=5).nodata == 5


def test_worldview1_goes_with_the_ms_of_another(tmp_path: Path) -> None:
    one = write_delivery(tmp_path / "wv1", **SMALL)
    for file in one.pan[0].parent.iterdir():
        if file.suffix in (".IMD", ".XML"):
            file.write_text(file.read_text().replace("WV03", "WV01"))
    other = write_delivery(tmp_path / "wv2", **SMALL, satellite="WV02")
    scene = open_scene(pan=one.pan[0], ms=other.ms[0])
    assert scene.sensor is not None
    assert scene.sensor.name == "worldview2"


def test_several_scenes_are_listed(tmp_path: Path) -> None:
    for part in ("P001", "P002"):
        write_delivery(tmp_path / "order", **SMALL, order=f"012345678010_01_{part}")
    write_delivery(tmp_path / "deep" / "er", **SMALL, order="000000000001_01_P001", tiles=(1, 2))
    found = find_scenes(tmp_path)
    assert len(found) == 3
    assert {scene.reader for scene in found} == {"maxar"}
    for scene in found:
        assert open_scene(scene.path).name == scene.name
        assert set(scene.files) == {f for g in open_scene(scene.path).files.values() for f in g}
    with pytest.raises(Exception, match=r"3 scenes match in .*pansharp batch"):
        open_scene(tmp_path)


def test_mixed_tree(tmp_path: Path) -> None:
    write_delivery(tmp_path / "one", **SMALL)
    packed = write_delivery(tmp_path / "tmp", **SMALL, order="000000000009_01_P001").root
    pack(packed, tmp_path / "two.tar.gz")
    for file in sorted(packed.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    found = find_scenes(tmp_path)
    assert [scene.reader for scene in found] == ["maxar", "archive"]
    # The same delivery, packed and unpacked side by side, is one scene.
    pack(tmp_path / "one", tmp_path / "one.zip")
    assert len(find_scenes(tmp_path)) == 2


def test_twice_the_same_part_in_two_places(tmp_path: Path) -> None:
    for copy in ("a", "b"):
        write_delivery(tmp_path / copy, **SMALL)
    assert len(find_scenes(tmp_path)) == 2
    for scene in find_scenes(tmp_path):
        files = [Path(f) for group in open_scene(scene.path).files.values() for f in group]
        assert len({file.parents[1] for file in files}) == 1


def test_names_without_a_sidecar(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, **SMALL)
    for file in (*made.pan[0].parent.iterdir(), *made.ms[0].parent.iterdir()):
        if file.suffix != ".TIF":
            file.unlink()
    scene = open_scene(tmp_path)
    assert scene.sensor is None
    assert scene.band_names[0] == "b1"
    assert scene.acquired == "2019-06-15T10:20:30Z"


def test_lie_about_the_size(tmp_path: Path) -> None:
    # GDAL's driver for tile maps would hand out half the image without a word.
    write_delivery(tmp_path, **SMALL, tiles=(1, 2), lie=24)
    with pytest.warns(PansharpWarning, match="IMD says"):
        scene = open_scene(tmp_path)
    assert "IMD says 168 columns, tiles hold 192. Using the tiles" in scene.notes
    assert "IMD says 24 columns, tiles hold 48. Using the tiles" in scene.notes
    assert scene.shape == (8, 160, 192)


@pytest.mark.parametrize("tiles", [(1, 1), (2, 1)])
def test_place_by_the_imd_alone(tmp_path: Path, tiles: tuple[int, int]) -> None:
    # originX and originY are the centre of the first pixel, transforms count from its corner.
    made = write_delivery(tmp_path, **SMALL, tiles=tiles, georeferenced=False)
    scene = open_scene(tmp_path)
    assert scene.transform == pytest.approx(tuple(made.transform)[:6], abs=1e-6)
    assert scene.alignment.integer_ratio == 4
    assert scene.crs is not None
    assert "UTM zone 32N" in scene.crs
    assert any("took that of the IMD" in note for note in scene.notes)


def test_tile_map_without_an_imd(tmp_path: Path) -> None:
    # GDAL's driver cannot open it.
    made = write_delivery(tmp_path, **SMALL, tiles=(1, 2), sidecars="imd")
    made.pan_map.with_suffix(".IMD").unlink()
    scene = open_scene(tmp_path)
    assert scene.transform == tuple(made.transform)[:6]
    assert scene.shape == (8, 160, 192)


def test_several_tile_maps_in_one_folder(tmp_path: Path) -> None:
    for time in ("19JUN15102030", "19JUN15102130"):
        write_delivery(tmp_path / time, **SMALL, tiles=(1, 2), time=time)
    for file in (tmp_path / "19JUN15102130").rglob("*"):
        if file.is_file():
            file.rename(tmp_path / "19JUN15102030" / file.parent.name / file.name)
    for image in ("PAN", "MUL"):  # the second strip was taken a minute later
        for file in (tmp_path / "19JUN15102030").rglob(f"*{image}/19JUN15102130*"):
            if file.suffix in (".IMD", ".XML"):
                file.write_text(file.read_text().replace("10:20:30", "10:21:30"))
    found = find_scenes(tmp_path)
    assert len(found) == 2
    for scene in found:
        assert scene.name.startswith(("19JUN15102030", "19JUN15102130"))
        files = open_scene(scene.path).files
        assert all(scene.name[:13] in file for group in files.values() for file in group)


def test_points_are_not_shifted_again(tmp_path: Path) -> None:
    made = write_delivery(tmp_path, **SMALL)
    for path in (made.pan[0], made.ms[0]):
        with rasterio.open(path) as file:
            data, profile = file.read(), file.profile
        new = path.with_suffix(".new")
        with rasterio.open(new, "w", **profile, AREA_OR_POINT="Point") as file:
            file.write(data)
            file.update_tags(AREA_OR_POINT="Point")
        new.replace(path)
        with rasterio.open(path) as file:
            assert file.tags()["AREA_OR_POINT"] == "Point"
    scene = open_scene(tmp_path)
    assert scene.transform == tuple(made.transform)[:6]
    assert scene.alignment.y.offset == 1.5
