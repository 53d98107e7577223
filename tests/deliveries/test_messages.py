"""What users read: one case a row of the table of errors and warnings of the readers' design.

The codes of that table do not appear in the messages; rows that have no case stand in `ELSEWHERE`,
with what holds instead. `TRAPS` names a regression test for each trap that was found in libraries
and in vendors' files, `RULES` one for each rule that leads from an argument to a pair.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import pansharp as ps
from deliveries import cubes, gaofen, landsat, maxar, prisma
from deliveries.packing import pack
from deliveries.rasters import write
from pansharp.errors import PansharpError, PansharpWarning
from pansharp.readers import open_scene

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).resolve().parents[1]
CORNER = (500_000.0, 5_800_000.0)


def plain(folder: Path, **more: dict[str, object]) -> tuple[Path, Path]:
    """A PAN of 64 x 64 pixels and an MS of 16 x 16; `pan`, `ms`: other options of one."""
    rng = np.random.default_rng(2)
    files = []
    for name, bands, side, pixel in (("pan", 1, 64, 1.0), ("ms", 4, 16, 4.0)):
        own = {"bands": bands, "side": side, "corner": CORNER, "pixel": pixel, **more.get(name, {})}
        counts = rng.integers(1, 200, (own.pop("bands"), own.pop("side"), own["pixel"] and side))
        counts = np.asarray(own.pop("counts", counts))
        files.append(write(folder / f"x_{name}.tif", counts, **own))  # type: ignore[arg-type]
    return files[0], files[1]


def opened(folder: Path, **more: dict[str, object]) -> ps.Scene:
    pan, ms = plain(folder, **more)
    return open_scene(pan=pan, ms=ms)


def _again(path: Path, counts: np.ndarray, **place: object) -> None:
    """Write an image anew and keep its RPC, which GDAL removes with the old file."""
    sidecar = path.with_suffix(".rpb")
    kept = sidecar.read_bytes()
    write(path, counts, **place)  # type: ignore[arg-type]
    sidecar.write_bytes(kept)


def _pair(folder: Path) -> object:
    pan, ms = plain(folder)
    ms.unlink()
    return open_scene(pan)


def _ambiguous(folder: Path) -> object:
    for camera in (1, 2):
        gaofen.gaofen2(folder / str(camera), camera=camera, side=16)
    return open_scene(folder)


def _tile(folder: Path) -> object:
    made = maxar.write_delivery(folder, ms_shape=(16, 16), tiles=(1, 2), sidecars="imd")
    made.pan_map.unlink()
    return open_scene(made.pan[0])


def _tile_missing(folder: Path) -> object:
    made = maxar.write_delivery(folder, ms_shape=(16, 16), tiles=(2, 2))
    made.pan[2].unlink()
    return open_scene(folder)


def _tile_size(folder: Path) -> object:
    maxar.write_delivery(folder, ms_shape=(16, 16), tiles=(1, 2), lie=32)
    return open_scene(folder)


def _no_place(folder: Path) -> object:
    made = gaofen.gaofen2(folder, side=16)
    for file in made.folder.glob("*.rpb"):
        file.unlink()
    write(made.pan, np.ones((1, 50, 64)))
    return open_scene(made.folder)


def _mixed(folder: Path) -> object:
    made = gaofen.gaofen2(folder, side=16)
    _again(made.pan, np.ones((1, 64, 64)), corner=CORNER, pixel=0.8)
    return open_scene(made.folder)


def _cropped(folder: Path) -> object:
    made = gaofen.gaofen2(folder, side=64)
    rng = np.random.default_rng(1)
    _again(made.pan, rng.integers(1, 99, (1, 128, 128)))
    _again(made.ms, rng.integers(1, 99, (4, 32, 32)))
    return open_scene(made.folder)


def _dates(folder: Path, *, days: int) -> object:
    made = gaofen.gaofen2(folder, side=16, placed=True)
    sheet = made.ms.with_suffix(".xml")
    text = sheet.read_text().replace("2018-03-25", f"2018-03-{25 + days}")
    sheet.write_text(text)
    return open_scene(made.folder) if days else None


def _minutes(folder: Path) -> object:
    made = gaofen.gaofen2(folder, side=16, placed=True)
    given = {"pan": made.pan, "ms": made.ms}
    _dates(folder / "other", days=0)
    sheet = made.ms.with_suffix(".xml")
    sheet.write_text(sheet.read_text().replace("2018-03-25", "2018-03-26"))
    return open_scene(**given)


def _cameras(folder: Path) -> object:
    one = gaofen.gaofen2(folder / "1", camera=1, side=16)
    two = gaofen.gaofen2(folder / "2", camera=2, side=16)
    return open_scene(pan=one.pan, ms=two.ms)


def _sharpened(folder: Path) -> object:
    name = "SV1-01_20180325_L1B0000123456_1234567890123_01-PSH.tiff"
    return open_scene(write(folder / name, np.ones((4, 16, 16)), corner=CORNER))


def _truncated(folder: Path) -> object:
    pan, ms = plain(folder, pan={"counts": np.ones((1, 64, 64)), "tiled": True, "blockxsize": 16,
                                 "blockysize": 16})  # fmt: skip
    pan.write_bytes(pan.read_bytes()[:5000])
    return open_scene(pan=pan, ms=ms)


def _hdf(folder: Path) -> object:
    h5py = pytest.importorskip("h5py")
    path = folder / prisma.NAME.format(level="L2D")
    with h5py.File(path, "w") as file:
        file.create_group("stuff")
    return open_scene(path)


def _space(folder: Path) -> object:
    packed = pack(landsat.landsat(folder / "a", side=16), folder / "a.tar")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pansharp.readers._archive.free_bytes", lambda _: 2**20)
        return open_scene(packed)


def _bands(folder: Path) -> object:
    return ps.fuse(opened(folder, ms={"bands": 1}), "pracs")


def _calibration(folder: Path) -> object:
    made = gaofen.gaofen2(folder, side=16, placed=True)
    return open_scene(made.folder, radiometry="reflectance")


def _height(folder: Path) -> object:
    return open_scene(gaofen.gaofen2(folder, side=24).folder)


#: Row of the table: (what the user reads, what makes it).
ERRORS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "E-PAIR": (r"No multispectral image found for '.*x_pan\.tif'; looked for .*--ms FILE", _pair),
    "E-AMBIG": (r"2 scenes match in '.*': .* Name one, or run 'pansharp batch", _ambiguous),
    "E-TILE": (r"is tile R1C1 of a product of several tiles .* Give the \.TIL", _tile),
    "E-TILMISS": (r"lists 4 tiles, 1 is missing: .* partial mosaics are not fused", _tile_missing),
    "E-GEO": (r"has neither a map projection nor RPC coefficients\. Put .*--ratio", _no_place),
    "E-RPCMIX": (r"the PAN has a projection, the MS '.*' only RPC; use --ortho rpc", _mixed),
    "E-FOOT": (
        r"overlap in 0 % of the MS area; check that both belong to the same acquisition",
        lambda folder: opened(folder, ms={"corner": (900_000.0, 5_800_000.0)}),
    ),
    "E-BANDS": (r"model 'pracs' needs .* bands, scene 'x' has 1; ", _bands),
    "E-PANBANDS": (
        r"The PAN image '.*' has 3 bands; give a one-band image with --pan FILE",
        lambda folder: opened(folder, pan={"bands": 3}),
    ),
    "E-DATE": (
        r"was taken 2018-03-25.*2018-03-28.*name both with --pan and --ms if that is intended",
        lambda folder: _dates(folder, days=3),
    ),
    "E-CAMERA": (r"belongs to camera 1, '.*' to camera 2", _cameras),
    "E-PSH": (r"is already pan-sharpened", _sharpened),
    "E-TRUNC": (
        r"is incomplete: its header promises 64 x 64 pixels, the data end near",
        _truncated,
    ),
    "E-EMPTY": (
        r"every pixel of the MS image '.*' is (0|nodata \(0.0\)); check the file and --nodata",
        lambda folder: opened(folder, ms={"counts": np.zeros((4, 16, 16))}),
    ),
    "E-HDF": (r"is not a PRISMA L1/L2D file: .* \(groups present: stuff\)", _hdf),
    "E-SPACE": (r"no room to unpack '.*': it needs .* GiB, .* GiB are free in '", _space),
    "E-CALIB": (r"No ESUN known for GaoFen-2 .*; give --esun B,G,R,N", _calibration),
}
WARNINGS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "W-TILSIZE": (r"IMD says 32 .* hold \d+|tiles", _tile_size),
    "W-RPCSIZE": (r"RPC offsets .* do not fit a .* raster; was it cropped", _cropped),
    "W-HEIGHT": (r"No DEM given, using a constant height of .* m \(RPC height offset\)", _height),
    "E-FOOT": (
        r"overlap in 25 % of the MS area only",
        lambda folder: opened(folder, ms={"corner": (500_032.0, 5_799_968.0)}),
    ),
    "W-RATIO": (
        r"the ratio of pixel sizes is 2\.762, not whole; the true grids are used",
        lambda folder: opened(folder, pan={"pixel": 1.0}, ms={"pixel": 2.762}),
    ),
    "E-DATE": (r"was taken 2018-03-25 .* 2018-03-26", _minutes),
    "E-DTYPE": (
        r"the MS is 8-bit and the PAN 16-bit: it looks stretched .* for viewing only",
        lambda folder: opened(folder, ms={"dtype": "uint8"}),
    ),
    "W-SATURATED": (
        r"100 % of the sampled pixels of the PAN '.*' are saturated \(65535\)",
        lambda folder: opened(folder, pan={"counts": np.full((1, 64, 64), 65535)}),
    ),
}
#: Rows without a message, and what holds instead.
ELSEWHERE = {
    "E-CRS": "no message: the MS is resampled to the PAN's system, with a note on the card",
    "E-ANTI": "never met: orthorectification only makes UTM, other systems are kept as they are",
}


def _check(text: str) -> None:
    assert text.isprintable()
    assert len(text) < 1500


@pytest.mark.parametrize("row", ERRORS)
def test_errors(tmp_path: Path, row: str) -> None:
    finding, make = ERRORS[row]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PansharpWarning)
        with pytest.raises(PansharpError, match=finding) as caught:
            make(tmp_path)
    _check(str(caught.value))


@pytest.mark.parametrize("row", WARNINGS)
def test_warnings(tmp_path: Path, row: str) -> None:
    finding, make = WARNINGS[row]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scene = make(tmp_path)
    texts = [str(one.message) for one in said if issubclass(one.category, PansharpWarning)]
    found = [text for text in texts if re.search(finding, text)]
    assert found, texts
    _check(found[0])
    assert isinstance(scene, ps.Scene)
    assert any(re.search(finding, note) for note in scene.notes)  # the card tells it as well


def test_another_system_is_a_note(tmp_path: Path) -> None:
    """E-CRS."""
    place = {"crs": "EPSG:32632", "corner": (905_000.0, 5_818_000.0), "pixel": 12.0}
    scene = opened(
        tmp_path,
        pan={"counts": np.ones((1, 320, 320)), "pixel": 3.0, "crs": "EPSG:32633"},
        ms={**place, "counts": np.ones((4, 900, 900))},
    )
    assert any("its coordinate system differs" in note for note in scene.notes)


def test_every_cube_without_pan_says_what_it_needs(tmp_path: Path) -> None:
    for make in (cubes.enmap, cubes.desis, cubes.hyperion, cubes.ahsi):
        with pytest.raises(PansharpError, match=r"needs a guide: --hsi '.*' with --msi FILE"):
            open_scene(make(tmp_path / make.__name__))


#: Trap, and the file of tests and the test that watch it.
TRAPS = """
2.1 path of a DEM in upper case | deliveries/test_ortho.py | test_a_level_model_equals_its_height
2.2 height 0 by default | deliveries/test_ortho.py | test_the_height_is_the_rpc_offset_unless_told
2.3 grids that do not nest | deliveries/test_ortho.py | test_both_images_lie_on_the_ground
2.4 tiles know nothing | readers/test_maxar.py | test_every_way_to_name_it
2.5 the IMD lies about the size | readers/test_maxar.py | test_lie_about_the_size
2.5 no IMD beside the TIL | readers/test_maxar.py | test_tile_map_without_an_imd
2.5 a missing tile | readers/test_maxar_bad.py | test_what_cannot_be_fused_is_one_line
2.5 several TIL | readers/test_maxar.py | test_several_tile_maps_in_one_folder
2.6 archives are unpacked once | readers/test_archive.py | test_archive_is_read_like_its_folder
2.6 names that lead out | readers/test_archive.py | test_unsafe_archives_are_refused
2.7 cut files open | readers/test_preflight.py | test_cut_files_are_found
2.8 map and RPB | deliveries/test_ortho.py | test_projected_products_are_left_alone_unless_asked
2.9 place by the IMD | readers/test_maxar.py | test_place_by_the_imd_alone
2.9 RPC evaluated exactly | readers/test_maxar.py | test_rpc_equal_gdals
2.9 approximated warps | deliveries/test_ortho.py | test_relief_needs_a_model
2.10 quotes of PVL | readers/test_maxar.py | test_facts
2.10 Point is not shifted again | readers/test_maxar.py | test_points_are_not_shifted_again
2.10 no warning for RPC alone | deliveries/test_gaofen.py | test_scene_of_level_1a
2.10 across 180 degrees | deliveries/test_ortho.py | test_the_southern_half_and_the_date_line
2.10 RPC of a cropped copy | readers/test_maxar_bad.py | test_rpc_of_a_cropped_copy_warn
4 gains of DIMAP bands | deliveries/test_dimap.py | test_gdal_itself_gives_wrong_band_tags
"""


#: Rule of "from one argument to a pair", and the file of tests and the test that watch it.
RULES = """
1 both files named | readers/test_pair.py | test_ways_to_name_the_files_agree
1 a family's files named | deliveries/test_gaofen.py | test_named_files_bring_their_sidecars
1 archives, folders named | readers/test_named.py | test_archives_of_one_raster_each
2 STAC item | readers/test_stac.py | test_assets_become_a_scene
2 several or no assets | readers/test_stac.py | test_items_that_do_not_make_a_pair
3 archive | readers/test_archive.py | test_archive_is_read_like_its_folder
4 folder of Maxar | readers/test_maxar.py | test_every_way_to_name_it
4 folder of GaoFen and kin | deliveries/test_gaofen.py | test_kin
4 folder of DIMAP | deliveries/test_dimap.py | test_every_way_to_name_it
4 folder of Landsat | deliveries/test_landsat.py | test_every_file_of_it_names_it
4 folder of PRISMA | deliveries/test_prisma.py | test_folders
4 several scenes | deliveries/test_gaofen.py | test_both_cameras_are_two_scenes
4 all scenes of a tree | deliveries/test_many.py | test_each_folder_is_looked_at_once
5 one half | deliveries/test_gaofen.py | test_every_way_to_name_it
6a siblings by name and grid | readers/test_siblings.py | test_either_half_leads_to_the_other
6b one container | deliveries/test_cubes.py | test_sentinel2_by_itself
6c upsampled stack | readers/test_upsampled.py | test_repeated_pixels_come_back_exactly
7 research sets | readers/test_patches.py | test_open_scene_takes_one_item_and_explains_many
8 nothing found | readers/test_siblings.py | test_lonely_files_say_what_was_looked_for
sensor | readers/test_pair.py | test_sensor_is_not_guessed
Zarr stores | readers/test_zarr.py | test_groups_pan_and_ms
"""


@pytest.mark.parametrize("row", [*TRAPS.strip().splitlines(), *RULES.strip().splitlines()])
def test_traps_and_rules_have_their_tests(row: str) -> None:
    _, file, name = row.split(" | ")
    assert f"\ndef {name}(" in (TESTS / file).read_text("utf-8")
