"""PRISMA: bands by wavelength, overlap, place, constants, reading in windows, bad files."""

from __future__ import annotations

import pickle
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deliveries.prisma import CORNER, SWIR, VNIR, ground_of, prisma, spectra
from deliveries.rasters import on_map
from pansharp.errors import (
    AmbiguousReaderError,
    OptionError,
    PansharpError,
    ReaderError,
    SceneError,
)
from pansharp.geometry.grids import Window
from pansharp.readers import find_scenes, open_scene
from pansharp.readers._spectrum import joined_bands
from pansharp.readers.prisma import open_prisma
from pansharp.source.hdf5 import Hdf5Source

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("h5py")

USED_VNIR = [w for w in VNIR if w]
#: What the SWIR detector has beyond the last VNIR wavelength.
USED_SWIR = [w for w in SWIR if w > max(USED_VNIR)]


def test_bands_in_order_of_wavelength(tmp_path: Path) -> None:
    scene = open_scene(prisma(tmp_path))
    assert scene.wavelengths == tuple(sorted([*USED_VNIR, *USED_SWIR]))
    assert scene.widths == (12.0,) * len(USED_VNIR) + (14.0,) * len(USED_SWIR)
    assert scene.band_names[:2] == ("450.0 nm", "500.0 nm")
    assert (scene.alignment.y.scale, scene.alignment.y.offset) == (6.0, 2.5)
    # Every band shows the ground with its own brightness, so a wrong order would show.
    vnir, swir = spectra()
    bright = dict(zip(VNIR, vnir, strict=True)) | {
        w: b for w, b in zip(SWIR, swir, strict=True) if w in USED_SWIR
    }
    base = on_map(ground_of(), CORNER, (24, 24), 30.0)[0]
    got = scene.ms_source.read(Window(3, 5, 4, 6))
    assert got.dtype == np.uint16
    for band, wave in enumerate(scene.wavelengths):
        truth = np.rint(base * bright[wave])[3:7, 5:11]
        np.testing.assert_array_equal(got[band], truth)
    pan = 3 * on_map(ground_of(), CORNER, (144, 144), 5.0)[0]
    np.testing.assert_array_equal(
        scene.pan_source.read(Window(10, 20, 5, 5))[0], np.rint(pan)[10:15, 20:25]
    )


@pytest.mark.parametrize("join", ["vnir", "swir"])
def test_detectors_are_joined_never_averaged(tmp_path: Path, join: str) -> None:
    path = prisma(tmp_path)
    scene = open_prisma(path, join=join)
    waves = np.array(scene.wavelengths)
    assert (np.diff(waves) > 0).all()
    double = {"swir": {1000.0}, "vnir": {960.0, 990.0}}[join]
    assert set(scene.wavelengths) == {*USED_VNIR, *(w for w in SWIR if w)} - double
    cut = {"swir": "1 band of the VNIR", "vnir": "2 bands of the SWIR"}[join]
    assert any(cut in note for note in scene.notes)
    with pytest.raises(OptionError, match="join is 'both'"):
        open_prisma(path, join="both")


def test_joining_without_an_overlap() -> None:
    assert joined_bands([3.0, 1.0, 2.0], [True, True, False], [True] * 3) == ((1, 0), 1)
    assert joined_bands([1.0, 2.0, 3.0], [True, True, False], [True, False, True]) == ((0, 2), 0)
    assert joined_bands([2.0, 1.0], [True, True], [True, True]) == ((1, 0), 0)


def test_flagged_bands_are_left_out(tmp_path: Path) -> None:
    scene = open_scene(prisma(tmp_path, flagged=VNIR.index(650.0)))
    assert 650.0 not in scene.wavelengths
    assert any("3 band slots are unused" in note for note in scene.notes)


@pytest.mark.parametrize("corners", ["centres", "outer"])
def test_place_by_the_size_of_the_cube(tmp_path: Path, corners: str) -> None:
    """Corners are centres in some readers; read naively, cube and PAN lie 12.5 m apart."""
    scene = open_scene(prisma(tmp_path, corners=corners))
    assert scene.transform == (5.0, 0.0, CORNER[0], 0.0, -5.0, CORNER[1])
    assert scene.ms_transform == (30.0, 0.0, CORNER[0], 0.0, -30.0, CORNER[1])
    assert scene.crs is not None
    assert "UTM zone 32N" in scene.crs


def test_corners_that_fit_nothing(tmp_path: Path) -> None:
    scene = open_scene(prisma(tmp_path, Product_LRcorner_easting=CORNER[0] + 1e5))
    assert any("first corner is taken as the centre" in note for note in scene.notes)
    assert scene.transform[2] == CORNER[0]


def test_level_1_lies_on_pixels_alone(tmp_path: Path) -> None:
    scene = open_scene(prisma(tmp_path, level="L1"))
    assert scene.crs is None
    assert scene.delivery is not None
    assert scene.delivery.geometry == "pixel"
    assert (scene.alignment.x.scale, scene.alignment.x.offset) == (6.0, 2.5)
    first, last = scene.delivery.ms.constants[0], scene.delivery.ms.constants[-1]
    assert first is not None
    assert last is not None
    # L = offset + DN / factor
    assert (first.gain, first.offset) == (0.01, 0.5)
    assert (last.gain, last.offset) == (0.005, 0.5)
    pan = scene.delivery.pan.constants[0]
    assert pan is not None
    assert pan.gain == 0.02
    assert scene.delivery.ms.corrected is None


def test_facts_of_level_2d(tmp_path: Path) -> None:
    scene = open_scene(prisma(tmp_path))
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert facts.acquired == datetime(2020, 6, 1, 10, 10, 10, 500_000, tzinfo=UTC)
    assert (facts.sun_elevation, facts.sun_azimuth) == (64.5, 150.0)
    assert (facts.level, facts.corrected) == ("L2D", "atmospherically corrected (L2D)")
    band = facts.constants[3]
    assert band is not None
    assert band.units == "1"
    assert band.gain * 65_535 == pytest.approx(1.3107)


def test_only_windows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole cube never comes into memory: neither on opening nor for a tile."""
    path = prisma(tmp_path, side=400)
    seen: list[tuple[int, ...]] = []
    read = Hdf5Source.read

    def watched(self: Hdf5Source, window: Window) -> np.ndarray:
        seen.append((self.bands, window.height * window.width))
        return read(self, window)

    monkeypatch.setattr(Hdf5Source, "read", watched)
    scene = open_scene(path)
    scene.ms[:, 100:110, 100:110].compute()
    assert scene.ms.chunks is not None
    assert all(pixels <= 400 * 400 / 4 for bands, pixels in seen if bands > 1)


def test_source_in_other_threads_and_processes(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    scene = open_scene(prisma(tmp_path))
    windows = [Window(row, 0, 2, 24) for row in range(0, 24, 2)]
    whole = scene.ms_source.read(Window(0, 0, 24, 24))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(scene.ms_source.read, windows))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    other = pickle.loads(pickle.dumps(scene.ms_source))
    np.testing.assert_array_equal(other.read(Window(0, 0, 24, 24)), whole)
    scene.close()
    np.testing.assert_array_equal(scene.ms_source.read(Window(0, 0, 24, 24)), whole)
    part = scene.ms_source.cut(Window(2, 3, 9, 8)).select([4, 1])
    np.testing.assert_array_equal(part.read(Window(1, 1, 3, 3)), whole[[4, 1], 3:6, 4:7])


def test_folders(tmp_path: Path) -> None:
    one = prisma(tmp_path)
    assert [scene.path for scene in find_scenes(tmp_path)] == [str(one)]
    assert open_scene(tmp_path).name == one.stem
    prisma(tmp_path, level="L1")
    with pytest.raises(AmbiguousReaderError, match="2 scenes match"):
        open_scene(tmp_path)


# Bad input


def test_h5py_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = prisma(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        ReaderError, match=r"h5py is not installed; run: pip install pansharp\[prisma\]"
    ):
        open_scene(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_truncated_files(tmp_path: Path, share: float) -> None:
    path = prisma(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ReaderError) as caught:
        open_scene(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_hdf5_file(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "other.he5"
    with h5py.File(path, "w") as file:
        file["stuff"] = np.ones(3)
    with pytest.raises(ReaderError, match=r"is not a PRISMA L1/L2D file.*groups present: stuff"):
        open_scene(path)


def test_images_in_other_files_are_not_read(tmp_path: Path) -> None:
    """A hostile file could make the reader show any file of the disk as an image."""
    import h5py

    path = prisma(tmp_path)
    home = "HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields"
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones((144, 144), np.uint16)
    (tmp_path / "raw.bin").write_bytes(b"secret" * 10_000)
    for kind in ("link", "raw", "virtual"):
        with h5py.File(path, "r+") as file:
            del file[f"{home}/Cube"]
            if kind == "link":
                file[f"{home}/Cube"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "x")
            elif kind == "raw":
                place = [(str(tmp_path / "raw.bin"), 0, 144 * 144 * 2)]
                file.create_dataset(f"{home}/Cube", (144, 144), np.uint16, external=place)
            else:
                layout = h5py.VirtualLayout((144, 144), np.uint16)
                layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", (144, 144))
                file.create_virtual_dataset(f"{home}/Cube", layout)
        with pytest.raises(ReaderError, match="lies in another file; it is not read"):
            open_scene(path)


@pytest.mark.parametrize(
    ("attributes", "finding"),
    [
        ({"List_Cw_Vnir": None}, "lists 0 wavelengths"),
        ({"List_Cw_Vnir": np.ones(3)}, "lists 3 wavelengths"),
        ({"List_Cw_Swir": np.bytes_("text")}, "lists 0 wavelengths"),
        (
            {"List_Cw_Vnir": np.zeros(len(VNIR)), "List_Cw_Swir": np.zeros(len(SWIR))},
            "flags all its bands",
        ),
        ({"Epsg_Code": np.int64(30_001)}, "unknown projection EPSG:30001"),
    ],
)
def test_absurd_attributes(tmp_path: Path, attributes: dict[str, object], finding: str) -> None:
    with pytest.raises(ReaderError, match=finding):
        open_scene(prisma(tmp_path, **attributes))


@pytest.mark.parametrize(
    "attributes",
    [
        {"Sun_zenith_angle": np.bytes_("x"), "Product_StartTime": np.float64(3.0)},
        {"Epsg_Code": None, "List_Fwhm_Vnir": np.ones(2)},
        {"L2ScaleVnirMax": np.float32(-5), "Sun_azimuth_angle": np.float32(np.nan)},
    ],
)
def test_absurd_attributes_that_are_not_needed(
    tmp_path: Path, attributes: dict[str, object]
) -> None:
    scene = open_scene(prisma(tmp_path, **attributes))
    assert scene.bands == len(USED_VNIR) + len(USED_SWIR)


def test_missing_and_odd_images(tmp_path: Path) -> None:
    import h5py

    path = prisma(tmp_path)
    name = "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/SWIR_Cube"
    for shape, kind in ((None, "is not found"), ((24, 8), "2 axes"), ((20, 8, 24), "no cube")):
        with h5py.File(path, "r+") as file:
            if name in file:
                del file[name]
            if shape is not None:
                file[name] = np.ones(shape, np.uint16)
        with pytest.raises(PansharpError, match=kind):
            open_scene(path)


def test_empty_images(tmp_path: Path) -> None:
    import h5py

    path = prisma(tmp_path)
    with h5py.File(path, "r+") as file:
        file["HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields/Cube"][:] = 0
    with pytest.raises(SceneError, match="every pixel of the PAN"):
        open_scene(path)
