from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pansharp.errors import AmbiguousReaderError, UnknownFormatError
from pansharp.readers import open_scene
from pansharp.readers._metadata import sniff_sensor
from pansharp.readers._siblings import Pair, find_pair, find_pairs

if TYPE_CHECKING:
    from conftest import WriteRaster


@pytest.mark.parametrize(
    ("pan", "ms"),
    [
        ("pan.tif", "ms.tif"),
        ("pan_1.tif", "ms_1.tif"),
        ("scene_PAN_07.tif", "scene_MUL_07.tif"),
        ("a-PAN2.tiff", "a-MSS2.tiff"),
        ("a-PAN.tif", "a-MUX.tif"),
        ("site_P_2020.tif", "site_MS_2020.tif"),
        ("site_p.tif", "site_xs.tif"),
        ("x_panchromatic.tif", "x_multispectral.tif"),
        ("t_hr.tif", "t_lr.tif"),
        ("Scene_Pan.TIF", "scene_ms.tif"),
        ("A_PAN/13MAR04-P2AS_R1-053.TIF", "A_MUL/13MAR04-M2AS_R1-053.TIF"),
        ("x/PAN/tile7.tif", "x/MS/tile7.tif"),
        ("y_PAN/north.tif", "y_MUL/whatever.tif"),
        ("top_pan.tif", "sub/top_ms.tif"),
        ("left.tif", "right.tif"),
    ],
)
def test_either_half_leads_to_the_other(
    write_raster: WriteRaster, tmp_path: Path, pan: str, ms: str
) -> None:
    write_raster(pan, (1, 40, 40), pixel=1)
    write_raster(ms, (4, 10, 10), pixel=4)
    expected = Pair(str(tmp_path / pan), (str(tmp_path / ms),))
    # A file below is found from the parent folder's side only by the one that lies deeper.
    starts = [ms] if ms.startswith("sub/") else [pan, ms]
    for start in starts:
        found = find_pair(str(tmp_path / start))
        assert [Path(p).resolve() for p in (found.pan, *found.ms)] == [
            Path(p).resolve() for p in (expected.pan, *expected.ms)
        ]


def test_the_right_number_is_taken(write_raster: WriteRaster, tmp_path: Path) -> None:
    for number in (1, 2):
        write_raster(f"pan_{number}.tif", (1, 40, 40))
        write_raster(f"ms_{number}.tif", (4, 10, 10), pixel=4)
    assert find_pair(str(tmp_path / "pan_2.tif")).ms == (str(tmp_path / "ms_2.tif"),)
    with pytest.raises(AmbiguousReaderError, match=r"2 scenes match .*pan_1.*pan_2.*batch"):
        find_pair(str(tmp_path))
    assert len(find_pairs(str(tmp_path))) == 2


def test_folder_with_one_pair(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("pan.tif", (1, 40, 40))
    write_raster("ms.tif", (4, 10, 10), pixel=4)
    write_raster("notes_dem.tif", (1, 7, 7), pixel=9)
    assert find_pair(str(tmp_path)).pan == str(tmp_path / "pan.tif")


def test_component_folders(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("d/01_P001_PAN/a-P2AS-01.TIF", (1, 40, 40))
    write_raster("d/01_P001_MUL/a-M2AS-01.TIF", (4, 10, 10), pixel=4)
    found = find_pair(str(tmp_path / "d"))
    assert Path(found.pan).name == "a-P2AS-01.TIF"
    assert Path(found.ms[0]).name == "a-M2AS-01.TIF"


def test_products_and_by_products_are_ignored(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("pan.tif", (1, 40, 40))
    write_raster("ms.tif", (4, 10, 10), pixel=4, tags={"PANSHARP_SOFTWARE": "pansharp 1"})
    write_raster("mul.tif", (4, 10, 10), pixel=4)
    write_raster("other-BROWSE.tif", (3, 10, 10), pixel=4)
    write_raster("ms_mask.tif", (3, 10, 10), pixel=4)
    assert find_pair(str(tmp_path / "pan.tif")).ms == (str(tmp_path / "mul.tif"),)
    assert find_pair(str(tmp_path)).ms == (str(tmp_path / "mul.tif"),)


def test_several_images_on_the_same_ground_are_listed(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    write_raster("one.tif", (1, 40, 40))
    write_raster("two.tif", (4, 10, 10), pixel=4)
    write_raster("three.tif", (3, 20, 20), pixel=2)
    with pytest.raises(AmbiguousReaderError, match=r"2 images could be the MS .*three.*two.*--ms"):
        find_pair(str(tmp_path / "one.tif"))


@pytest.mark.parametrize(
    ("bands", "pixel", "corner"),
    [(2, 4, (5e5, 5.8e6)), (4, 1, (5e5, 5.8e6)), (4, 4, (6e5, 5.8e6)), (4, 3.5, (5e5, 5.8e6))],
)
def test_what_does_not_fit_is_not_taken(
    write_raster: WriteRaster,
    tmp_path: Path,
    bands: int,
    pixel: float,
    corner: tuple[float, float],
) -> None:
    write_raster("one.tif", (1, 40, 40))
    write_raster("two.tif", (bands, 10, 10), pixel=pixel, corner=corner)
    with pytest.raises(UnknownFormatError, match=r"No multispectral image found .*--ms FILE"):
        find_pair(str(tmp_path / "one.tif"))


def test_lonely_files_say_what_was_looked_for(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("a/site_pan.tif", (1, 40, 40))
    with pytest.raises(UnknownFormatError, match=r"'site_ms\.tif', 'site_mul\.tif'.*--ms FILE"):
        find_pair(str(tmp_path / "a/site_pan.tif"))
    write_raster("b/site.tif", (4, 40, 40))
    with pytest.raises(UnknownFormatError, match=r"No panchromatic .*1-band sibling.*--pan FILE"):
        find_pair(str(tmp_path / "b/site.tif"))
    with pytest.raises(UnknownFormatError, match=r"No PAN and MS image found"):
        find_pair(str(tmp_path / "b"))


def test_hyperspectral_pair_by_words(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("x_msi.tif", (4, 60, 60), pixel=3.6)
    write_raster("y_hsi.tif", (30, 7, 7), pixel=30)
    for start in ("x_msi.tif", "y_hsi.tif", "."):
        pair = find_pair(str(tmp_path / start))
        assert pair.guide
        assert Path(pair.pan).name == "x_msi.tif"


def test_landsat_band_files(write_raster: WriteRaster, tmp_path: Path) -> None:
    stem = "LC08_L1TP_195028_20200101_20200101_02_T1_B"
    write_raster(f"{stem}8.TIF", (1, 40, 40), pixel=15)
    for number in range(1, 8):
        write_raster(f"{stem}{number}.TIF", (1, 20, 20), pixel=30)
    for start in (f"{stem}8.TIF", f"{stem}4.TIF", "."):
        pair = find_pair(str(tmp_path / start))
        assert Path(pair.pan).name == f"{stem}8.TIF"
        assert [Path(p).stem[-2:] for p in pair.ms] == ["B2", "B3", "B4", "B5"]


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        ("GF7_DLC_E116.5_N39.4_20200127_L1A0000045812-BWDPAN.tiff", "gaofen7"),
        ("ZY302_TMS_E116.5_N39.4_20170127_L1A0000645812-NAD.tiff", "ziyuan3"),
        ("SV1-01_20180325_L1B0000123456_1234567890123_01-PAN.tiff", "superview1"),
        ("VIS1_BUN_20200101000000_PRJ_S12345_01-1.tif", "triplesat"),
        ("SV1_site.tif", None),
        ("VIS1.tif", None),
    ],
)
def test_names_of_vendors_tell_the_sensor(name: str, sensor: str | None) -> None:
    found = sniff_sensor([], [f"/some/where/{name}"], 4)
    assert (None if found is None else found.name) == sensor


def test_a_vision1_sheet_says_what_to_name(tmp_path: Path) -> None:
    sheet = tmp_path / "DIM_VIS1_PAN_20200101000000_PRJ_S12345_0001_Meta.xml"
    sheet.write_text("<Dimap_Document/>")
    with pytest.raises(UnknownFormatError, match=r"Vision-1 .*--sensor triplesat"):
        open_scene(sheet)
