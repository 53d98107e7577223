"""`--pan`, `--ms`, `--hsi`, `--msi` naming archives, folders and deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deliveries import cubes, dimap, gaofen, landsat, prisma, stores
from deliveries.maxar import write_delivery
from deliveries.packing import pack
from deliveries.rasters import write
from pansharp.errors import AmbiguousReaderError, PansharpError, ReaderError, UnknownFormatError
from pansharp.readers import open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import WriteRaster

pytestmark = [
    pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning"),
]


@pytest.fixture(autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("PANSHARP_SCRATCH", str(folder))
    return folder


def plain(write_raster: WriteRaster) -> tuple[Path, Path]:
    """Two plain rasters in folders of their own."""
    return write_raster("one/x.tif", (1, 64, 64)), write_raster("two/y.tif", (3, 16, 16), pixel=4)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_archives_of_one_raster_each(
    write_raster: WriteRaster, tmp_path: Path, kind: str, scratch: Path
) -> None:
    pan, ms = plain(write_raster)
    packed = [pack(f.parent, tmp_path / f"{f.stem}.{kind}") for f in (pan, ms)]
    scene = open_scene(pan=packed[0], ms=packed[1])
    assert scene.shape == (3, 64, 64)
    assert scene.files["archive"] == tuple(map(str, packed))
    member = open_scene(pan=f"{packed[0]}!/x.tif", ms=ms)
    assert member.shape == (3, 64, 64)
    scene.close()
    del scene, member
    assert list(scratch.iterdir()) == []


def test_folders_of_one_raster_each(write_raster: WriteRaster) -> None:
    pan, ms = plain(write_raster)
    assert open_scene(pan=pan.parent, ms=ms.parent).shape == (3, 64, 64)


@pytest.mark.parametrize("kind", ["folders", "til", "tar.gz"])
def test_maxar(tmp_path: Path, kind: str) -> None:
    made = write_delivery(tmp_path / "order", ms_shape=(24, 24), tiles=(1, 2))
    pan, ms = (files[0].parent for files in (made.pan, made.ms))
    if kind == "til":
        pan, ms = (next(folder.glob("*.TIL")) for folder in (pan, ms))
    if kind == "tar.gz":
        pan = ms = pack(tmp_path / "order", tmp_path / "order.tar.gz")
    scene = open_scene(pan=pan, ms=ms)
    assert scene.shape == (8, 96, 96)
    assert scene.delivery is not None
    assert scene.delivery.family == "maxar"


@pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])
def test_gaofen_in_archives_of_their_own(tmp_path: Path, kind: str) -> None:
    made = gaofen.gaofen2(tmp_path / "a", side=24, placed=True)
    for word in ("PAN", "MSS"):
        home = tmp_path / word
        home.mkdir()
        for file in made.folder.glob(f"*-{word}*"):
            file.rename(home / file.name)
    given = [tmp_path / word for word in ("PAN", "MSS")]
    if kind != "folder":
        given = [pack(home, tmp_path / f"{home.name}.{kind}") for home in given]
    scene = open_scene(pan=given[0], ms=given[1])
    assert scene.shape == (4, 96, 96)
    assert scene.delivery is not None
    assert scene.delivery.family == "gaofen"


def test_dimap_and_landsat_folders(tmp_path: Path) -> None:
    pan, ms = dimap.bundle(tmp_path / "d", side=16, level="ORT")
    assert open_scene(pan=pan.parent, ms=ms.parent).bands == 4
    home = landsat.landsat(tmp_path / "l", side=16)
    assert open_scene(pan=home, ms=home).bands >= 4


def test_cubes_and_guides(tmp_path: Path) -> None:
    sheet = cubes.enmap(tmp_path / "e")
    safe = cubes.sentinel2(tmp_path / "s")
    whole = open_scene(hsi=sheet, msi=safe)
    packed = open_scene(
        hsi=pack(sheet.parent, tmp_path / "enmap.zip", inside=sheet.parent.name),
        msi=pack(safe, tmp_path / "safe.zip", inside=safe.name),
    )
    assert packed.shape == whole.shape
    assert packed.wavelengths == whole.wavelengths
    assert packed.guide_wavelengths == whole.guide_wavelengths


class TestRefusals:
    def test_prisma_holds_both(self, tmp_path: Path) -> None:
        pytest.importorskip("h5py")
        file, safe = prisma.prisma(tmp_path), cubes.sentinel2(tmp_path)
        for given in ({"hsi": file, "msi": safe}, {"hsi": file.parent, "pan": file}):
            with pytest.raises(ReaderError, match="holds a cube and its PAN; give it alone"):
                open_scene(**given)  # type: ignore[arg-type]
        assert open_scene(hsi=file).ratio == 6  # alone it is the scene

    def test_several_scenes(self, tmp_path: Path) -> None:
        for number in (1, 2):
            gaofen.gaofen2(tmp_path / str(number), side=16, camera=number)
        store = stores.scene(tmp_path.parent / "s.zarr", side=16)
        with pytest.raises(AmbiguousReaderError, match=r"holds 2 scenes .*--pan FILE"):
            open_scene(pan=tmp_path, ms=store / "ms")

    def test_nothing_and_too_much(self, write_raster: WriteRaster, tmp_path: Path) -> None:
        _, ms = plain(write_raster)
        (tmp_path / "none").mkdir()
        (tmp_path / "none" / "a.txt").write_text("a")
        with pytest.raises(UnknownFormatError, match=r"none' holds no raster; .*--pan FILE"):
            open_scene(pan=tmp_path / "none", ms=ms)
        packed = pack(tmp_path / "none", tmp_path / "none.zip")
        with pytest.raises(UnknownFormatError, match=r"none\.zip' holds no raster"):
            open_scene(pan=packed, ms=ms)
        for name in ("b.tif", "c.tif"):
            write(tmp_path / "many" / name, np.ones((1, 4, 4)))
        with pytest.raises(AmbiguousReaderError, match=r"2 rasters \('b.tif', 'c.tif'\)"):
            open_scene(pan=tmp_path / "many", ms=ms)

    def test_damaged_archives(self, write_raster: WriteRaster, tmp_path: Path) -> None:
        pan, ms = plain(write_raster)
        packed = pack(pan.parent, tmp_path / "a.tar.gz")
        packed.write_bytes(packed.read_bytes()[:60])
        with pytest.raises(PansharpError, match=r"archive '.*a\.tar\.gz' is damaged"):
            open_scene(pan=packed, ms=ms)
