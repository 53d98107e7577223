from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rasterio.transform import Affine

from pansharp.errors import (
    AlignmentWarning,
    BandMismatchError,
    GridMismatchError,
    NodataWarning,
    OptionError,
    PansharpError,
    PansharpWarning,
    ReaderError,
    SceneError,
    UnknownFormatError,
)
from pansharp.geometry.grids import Alignment, Window
from pansharp.readers import list_readers, open_scene

if TYPE_CHECKING:
    from conftest import WriteRaster


@pytest.mark.parametrize("ratio", [2, 3, 4, 6, 8])
def test_plain_pair(write_raster: WriteRaster, tmp_path: Path, ratio: int) -> None:
    names = ("blue", "green", "red", "nir")
    write_raster("site_pan.tif", (1, 16 * ratio, 12 * ratio))
    write_raster("site_ms.tif", (4, 16, 12), pixel=ratio, names=names)
    scene = open_scene(tmp_path / "site_pan.tif")
    assert scene.alignment == Alignment.corner(ratio)
    assert scene.shape == (4, 16 * ratio, 12 * ratio)
    assert scene.band_names == names
    assert scene.name == "site"
    assert scene.notes == ()
    assert scene.crs is not None
    assert "UTM zone 33N" in scene.crs
    assert scene.bounds == (5e5, 5.8e6 - 16 * ratio, 5e5 + 12 * ratio, 5.8e6)


def test_ways_to_name_the_files_agree(write_raster: WriteRaster, tmp_path: Path) -> None:
    pan = write_raster("pan.tif", (1, 40, 40))
    ms = write_raster("ms.tif", (4, 10, 10), pixel=4)
    ways = [
        open_scene(tmp_path),
        open_scene(pan),
        open_scene(str(ms)),
        open_scene(pan=pan, ms=ms),
        open_scene(pan=pan, ms=[ms]),
        open_scene(ms, pan=pan),
        open_scene(pan, ms=ms),
        open_scene(pan=pan),
        open_scene(ms=ms),
        open_scene(pan=pan, hsi=ms),
        open_scene(msi=pan, ms=ms),
        open_scene(tmp_path, reader="pair"),
    ]
    assert all(scene.files == ways[0].files for scene in ways)


def test_product_is_cut_to_the_ms(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 100, 100))
    ms = write_raster("ms.tif", (3, 10, 30), pixel=4, corner=(500_010.5, 5_799_980.0))
    scene = open_scene(pan=pan, ms=ms)
    # Column 10 lies half on the MS and stays; the MS reaches beyond the PAN on the right.
    assert scene.shape == (3, 40, 90)
    assert scene.bounds == (500_010.0, 5_799_940.0, 500_100.0, 5_799_980.0)
    assert "cut from 100 x 100 to 40 x 90" in scene.notes[0]
    assert scene.alignment.y.offset == 1.5
    assert scene.alignment.x.offset == 2.0


def test_large_ms_is_cut_with_a_margin(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 40, 40), corner=(500_400.0, 5_799_600.0))
    ms = write_raster("ms.tif", (3, 200, 200), pixel=4)
    with pytest.warns(AlignmentWarning, match=r"overlap in 0\.25 % of the MS"):
        scene = open_scene(pan=pan, ms=ms)
    assert scene.shape == (3, 40, 40)
    assert scene.ms_source.height <= 10 + 2 * 17
    assert scene.alignment.y.to_ms(0) - 16 == pytest.approx(-0.375, abs=1.01)
    assert "200 x 200 MS" in scene.notes[0]


def test_ratio_that_is_not_whole_is_kept_and_told(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 100, 100), pixel=3.6)
    ms = write_raster("ms.tif", (3, 12, 12), pixel=30)
    with pytest.warns(AlignmentWarning, match=r"8\.333, not whole"):
        scene = open_scene(pan=pan, ms=ms)
    assert scene.ratio == pytest.approx(30 / 3.6)
    assert any("not whole" in note for note in scene.notes)


def test_files_without_georeference(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 41, 40), pixel=None, crs=None)
    ms = write_raster("ms.tif", (3, 10, 10), pixel=None, crs=None)
    scene = open_scene(pan=pan, ms=ms)
    assert scene.alignment == Alignment.corner(4)
    assert scene.shape == (3, 40, 40)
    assert scene.crs is None
    assert "no georeference" in scene.notes[0]
    other = write_raster("other.tif", (3, 10, 20), pixel=None, crs=None)
    with pytest.raises(GridMismatchError, match=r"4\.100 times the rows but 2\.000"):
        open_scene(pan=pan, ms=other)
    assert open_scene(pan=pan, ms=other, ratio=2).ratio == 2


def test_other_coordinate_system_is_resampled(write_raster: WriteRaster) -> None:
    import rasterio
    from rasterio.warp import transform as project

    pan = write_raster("pan.tif", (1, 120, 120))
    # The same place in degrees: 15 E is the central meridian of UTM 33.
    [west], [north] = project("EPSG:32633", "EPSG:4326", [499_960.0], [5_800_040.0])
    degrees = Affine(4 / 68_000, 0, west, 0, -4 / 111_250, north)
    ms = write_raster("ms.tif", (3, 60, 60), transform=degrees, crs="EPSG:4326", dtype="float32")
    cols, rows = np.meshgrid(np.arange(60) + 0.5, np.arange(60) + 0.5)
    lon, lat = degrees * (cols.ravel(), rows.ravel())
    east, north_utm = project("EPSG:4326", "EPSG:32633", lon.tolist(), lat.tolist())
    ramp = (np.array(east) - 499_000 + 2 * (5_801_000 - np.array(north_utm))).reshape(60, 60)
    with rasterio.open(ms, "r+") as target:
        target.write(np.stack([ramp, ramp, ramp]).astype(np.float32))
    scene = open_scene(pan=pan, ms=ms)
    assert "coordinate system differs" in scene.notes[0]
    assert scene.alignment.integer_ratio == 4
    assert scene.shape == (3, 120, 120)
    low = scene.ms_source
    valid = low.valid(Window(0, 0, low.height, low.width))
    a, _, c, _, e, f = scene.ms_transform
    truth = np.add.outer(
        2 * (5_801_000 - (f + e * (np.arange(low.height) + 0.5))),
        c + a * (np.arange(low.width) + 0.5) - 499_000,
    )
    assert valid is None
    np.testing.assert_allclose(low.read(Window(0, 0, *truth.shape))[0], truth, atol=0.2)


def test_turned_ms_is_resampled(write_raster: WriteRaster) -> None:
    turned = Affine.translation(500_020, 5_799_990) * Affine.rotation(-10) * Affine.scale(4, -4)
    pan = write_raster("pan.tif", (1, 100, 100))
    ms = write_raster("ms.tif", (3, 12, 12), transform=turned, fill=50)
    scene = open_scene(pan=pan, ms=ms)
    assert "turned against" in scene.notes[0]
    assert scene.alignment.integer_ratio == 4
    everything = Window(0, 0, scene.ms_source.height, scene.ms_source.width)
    valid = scene.ms_source.valid(everything)
    assert valid is not None
    assert 0.4 < valid.mean() < 0.95
    assert np.unique(scene.ms_source.read(everything)[:, valid]).tolist() == [50]


def test_pair_turned_alike_needs_no_resampling(write_raster: WriteRaster) -> None:
    base = Affine.translation(5e5, 5.8e6) * Affine.rotation(30)
    pan = write_raster("pan.tif", (1, 40, 40), transform=base * Affine.scale(1, -1))
    ms = write_raster("ms.tif", (3, 10, 10), transform=base * Affine.scale(4, -4))
    scene = open_scene(pan=pan, ms=ms)
    assert scene.alignment == Alignment.corner(4)
    assert scene.notes == ()


def test_bands_from_several_files(write_raster: WriteRaster) -> None:
    pan = write_raster("S_B8.tif", (1, 40, 40))
    parts = [
        write_raster(f"S_{name}_x.tif", (1, 20, 20), pixel=2, fill=value)
        for value, name in enumerate(("B2", "B3", "B4"), start=1)
    ]
    scene = open_scene(pan=pan, ms=parts)
    assert scene.band_names == ("B2", "B3", "B4")
    assert scene.ms_source.read(Window(0, 0, 1, 1)).ravel().tolist() == [1, 2, 3]
    assert scene.files["ms"] == tuple(str(part) for part in parts)
    shifted = write_raster("S_B5_x.tif", (1, 20, 20), pixel=2, corner=(500_002.0, 5.8e6))
    with pytest.raises(GridMismatchError, match=r"S_B5_x\.tif.*S_B2_x\.tif.*share one grid"):
        open_scene(pan=pan, ms=[parts[0], shifted])


def test_metadata_is_carried(write_raster: WriteRaster) -> None:
    import rasterio

    pan = write_raster("pan.tif", (1, 40, 40))
    tags = {"sensor": "Landsat 8 OLI", "acquired": "2015-08-04"}
    ms = write_raster("ms.tif", (3, 10, 10), pixel=4, tags=tags, nodata=0)
    with rasterio.open(ms, "r+") as target:
        target.scales = (0.1, 0.2, 0.3)
        target.offsets = (1.0, 2.0, 3.0)
        for band, micrometres in enumerate((0.48, 0.56, 0.65), start=1):
            target.update_tags(band, wavelength=str(micrometres), wavelength_units="um")
    scene = open_scene(pan=pan, ms=ms)
    assert scene.sensor is not None
    assert scene.sensor.name == "landsat8_9"
    assert scene.acquired == "2015-08-04"
    assert scene.scales == (0.1, 0.2, 0.3)
    assert scene.offsets == (1.0, 2.0, 3.0)
    assert scene.wavelengths == (480.0, 560.0, 650.0)
    assert scene.tags["sensor"] == "Landsat 8 OLI"
    assert scene.nodata == 0
    assert open_scene(pan=pan, ms=ms, sensor="worldview2").sensor is not scene.sensor


def test_sensor_is_not_guessed(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 40, 40), pixel=15)
    ms = write_raster("ms.tif", (7, 20, 20), pixel=30, names=tuple(f"B{i}" for i in range(1, 8)))
    assert open_scene(pan=pan, ms=ms).sensor is None
    small = {"sensor": "GaoFen-2"}  # has four bands, the image seven
    other = write_raster("other.tif", (7, 20, 20), pixel=30, tags=small)
    assert open_scene(pan=pan, ms=other).sensor is None


def test_nodata_option_and_fallbacks(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 40, 40), nodata=0)
    ms = write_raster("ms.tif", (3, 10, 10), pixel=4)
    assert open_scene(pan=pan, ms=ms).nodata == 0
    scene = open_scene(pan=pan, ms=ms, nodata=7)
    assert scene.pan_source.nodata == scene.ms_source.nodata == scene.nodata == 7
    with pytest.warns(NodataWarning, match="-99 does not exist in uint16"):
        assert open_scene(pan=pan, ms=ms, nodata=-99).nodata is None


def test_bands_bbox_and_window(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 80, 80))
    ms = write_raster("ms.tif", (4, 20, 20), pixel=4, names=("blue", "green", "red", "nir"))
    scene = open_scene(pan=pan, ms=ms, bands=["nir", 0], window=(8, 4, 16, 20))
    assert scene.band_names == ("nir", "blue")
    assert scene.shape == (2, 16, 20)
    assert scene.bounds == (500_004.0, 5_799_976.0, 500_024.0, 5_799_992.0)
    boxed = open_scene(pan=pan, ms=ms, bbox=(500_004.0, 5_799_976.0, 500_024.0, 5_799_992.0))
    assert boxed.bounds == scene.bounds
    np.testing.assert_array_equal(
        boxed.pan_source.read(Window(0, 0, 16, 20)), scene.pan_source.read(Window(0, 0, 16, 20))
    )
    with pytest.raises(BandMismatchError, match="no bands chosen"):
        open_scene(pan=pan, ms=ms, bands=[])


def test_eight_bit_ms_is_told(write_raster: WriteRaster) -> None:
    pan = write_raster("pan.tif", (1, 40, 40))
    ms = write_raster("ms.tif", (3, 10, 10), pixel=4, dtype="uint8")
    with pytest.warns(PansharpWarning, match="8-bit"):
        assert any("8-bit" in note for note in open_scene(pan=pan, ms=ms).notes)


@pytest.fixture
def files(write_raster: WriteRaster, tmp_path: Path) -> dict[str, Path]:
    found = {
        "pan": write_raster("pan.tif", (1, 40, 40)),
        "ms": write_raster("ms.tif", (4, 10, 10), pixel=4),
        "rgb": write_raster("rgb.tif", (3, 40, 40)),
        "one": write_raster("one.tif", (1, 10, 10), pixel=4),
        "same": write_raster("same.tif", (4, 35, 35), pixel=1.2),
        "far": write_raster("far.tif", (4, 10, 10), pixel=4, corner=(9e5, 5.8e6)),
        "blank": write_raster("blank.tif", (4, 10, 10), pixel=4, nodata=0, fill=0),
        "bare": write_raster("bare.tif", (4, 10, 10), pixel=4, corner=(0.0, 0.0), crs=None),
        "none": tmp_path / "none.tif",
    }
    text = tmp_path / "text.tif"
    text.write_text("text")
    cut = write_raster("cut.tif", (4, 10, 10), pixel=4)
    cut.write_bytes(cut.read_bytes()[:600])
    return {**found, "text": text, "cut": cut}


@pytest.mark.parametrize(
    ("pan", "ms", "error", "finding"),
    [
        ("none", "ms", ReaderError, r"none\.tif' does not exist"),
        ("pan", "text", ReaderError, r"text\.tif' \(4 bytes\) is not a raster"),
        ("pan", "cut", ReaderError, r"cut\.tif' .*incomplete"),
        ("rgb", "ms", BandMismatchError, r"rgb\.tif' has 3 bands; .*--pan FILE"),
        ("ms", "pan", BandMismatchError, r"has 4 bands \(maybe PAN and MS are swapped\)"),
        ("one", "rgb", GridMismatchError, r"finer pixels .*ratio 0\.25.* exchange --pan and --ms"),
        ("pan", "same", GridMismatchError, r"1\.2 times .*--ratio"),
        ("pan", "far", GridMismatchError, r"overlap in 0 % of the MS area; check"),
        ("pan", "blank", SceneError, r"every pixel of the MS image .*blank\.tif' is nodata \(0"),
        ("pan", "bare", GridMismatchError, r"bare\.tif' has no coordinate system"),
    ],
)
def test_errors_name_file_finding_and_remedy(
    files: dict[str, Path], pan: str, ms: str, error: type[PansharpError], finding: str
) -> None:
    with pytest.raises(error, match=finding) as caught:
        open_scene(pan=files[pan], ms=files[ms])
    assert "\n" not in str(caught.value)


def test_options_that_contradict_each_other(files: dict[str, Path]) -> None:
    pan, ms = files["pan"], files["ms"]
    for options, finding in (
        ({}, "no image given"),
        ({"pan": pan, "msi": pan}, "pan and msi"),
        ({"ms": ms, "hsi": ms}, "ms and hsi"),
        ({"path": pan, "pan": pan, "ms": ms}, "third image"),
        ({"ms": [ms, ms]}, "2 MS files need their PAN"),
        ({"pan": pan, "ms": ms, "ratio": -1}, "must be positive"),
        ({"pan": pan, "ms": ms, "reader": "other"}, "finds its files itself"),
    ):
        with pytest.raises(OptionError, match=finding):
            open_scene(**options)
    with pytest.raises(BandMismatchError, match="no MS files"):
        open_scene(pan=pan, ms=[])
    with pytest.raises(ReaderError, match="does not exist"):
        open_scene(files["none"])
    with pytest.raises(UnknownFormatError, match="unknown reader 'pear'; did you mean 'pair'"):
        open_scene(pan, reader="pear")


def test_readers_are_listed() -> None:
    assert "pair" in list_readers()


@pytest.mark.parametrize(
    ("start", "shape", "offsets", "sensor"),
    [
        ("ikonos_grip", (4, 1280, 1280), (1.5, 1.5), None),
        ("ikonos_grip/pan.tif", (4, 1280, 1280), (1.5, 1.5), None),
        ("ikonos_grip/ms.tif", (4, 1280, 1280), (1.5, 1.5), None),
        ("landsat8_gulf_coast", (7, 1207, 1254), (1.0, 1.0), "landsat8_9"),
        ("landsat8_gulf_coast/ms.tif", (7, 1207, 1254), (1.0, 1.0), "landsat8_9"),
        ("landsat8_chips/pan_5.tif", (7, 511, 512), (1.0, 0.0), None),
        ("landsat8_chips/ms_6.tif", (7, 511, 512), (1.0, 0.0), None),
        ("landsat_istanbul", (3, 374, 558), (0.0, 0.0), None),
        ("landsat_istanbul/pan.tif", (3, 374, 558), (0.0, 0.0), None),
        ("worldview2_rio", (8, 512, 512), (1.5, 1.5), None),
        ("worldview2_rio/ms.tif", (8, 512, 512), (1.5, 1.5), None),
        ("worldview2_rotterdam/pan_1.tif", (4, 600, 600), (1.5, 1.5), "worldview2"),
        ("gaofen2_psdata3/test_full_res_0_pan.tif", (4, 400, 400), (1.5, 1.5), None),
    ],
)
def test_real_pairs(
    shared_data: Path,
    start: str,
    shape: tuple[int, int, int],
    offsets: tuple[float, float],
    sensor: str | None,
) -> None:
    scene = open_scene(shared_data / start)
    assert scene.shape == shape
    assert (scene.alignment.y.offset, scene.alignment.x.offset) == pytest.approx(offsets, abs=1e-3)
    assert (scene.sensor.name if scene.sensor else None) == sensor


def test_real_pair_names_its_partner(shared_data: Path) -> None:
    folder = shared_data / "gaofen2_psdata3"
    scene = open_scene(folder / "test_full_res_0_pan.tif")
    assert scene.files["ms"] == (str(folder / "test_full_res_0_ms.tif"),)
    rotterdam = open_scene(shared_data / "worldview2_rotterdam" / "pan_1.tif")
    assert Path(rotterdam.files["ms"][0]).name == "ms_1.tif"


def test_real_hyperspectral_pair(shared_data: Path) -> None:
    with pytest.warns(AlignmentWarning, match="not whole"):
        scene = open_scene(shared_data / "berlin_urban_gradient")
    assert scene.shape == (177, 660, 493)
    assert scene.nodata == -99
    assert len(scene.wavelengths) == 177
    assert scene.wavelengths[0] == pytest.approx(460, abs=15)


def test_opening_loads_no_heavy_library(shared_data: Path) -> None:
    import subprocess

    code = (
        "import sys; from pansharp.readers import open_scene;"
        f"open_scene({str(shared_data / 'ikonos_grip')!r});"
        "print([m for m in ('xarray', 'dask', 'scipy', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
