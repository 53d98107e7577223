from __future__ import annotations

import gc
import io
import os
import shutil
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.errors import AmbiguousReaderError, ReaderError
from pansharp.geometry.grids import Window
from pansharp.readers import _archive, find_scenes, open_scene
from pansharp.readers._archive import archive_stem, is_archive, list_members, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import WriteRaster

FORMATS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


@pytest.fixture(autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("PANSHARP_SCRATCH", str(root))
    return root


def pack(folder: Path, target: Path) -> Path:
    if target.suffix == ".zip":
        return shutil.make_archive(str(target.with_suffix("")), "zip", folder) and target
    with tarfile.open(
        target, next(m for s, m in FORMATS.items() if target.name.endswith(s))
    ) as tar:
        tar.add(folder, arcname=".")
    return target


@pytest.fixture
def pair(write_raster: WriteRaster, tmp_path: Path) -> Path:
    write_raster("site/pan.tif", (1, 40, 40))
    write_raster("site/ms.tif", (4, 10, 10), pixel=4)
    return tmp_path / "site"


@pytest.mark.parametrize("suffix", [*FORMATS, ".zip"])
def test_archive_is_read_like_its_folder(
    pair: Path, tmp_path: Path, scratch: Path, suffix: str
) -> None:
    archive = pack(pair, tmp_path / f"delivery{suffix}")
    assert is_archive(archive)
    assert sorted(m.name for m in list_members(archive)) == ["ms.tif", "pan.tif"]
    assert list(scratch.iterdir()) == []
    scene, plain = open_scene(archive), open_scene(pair)
    window = Window(0, 0, 40, 40)
    np.testing.assert_array_equal(scene.pan_source.read(window), plain.pan_source.read(window))
    assert scene.bounds == plain.bounds
    assert scene.files["archive"] == (str(archive),)
    assert scene.name == "delivery"
    part = scene.crop(Window(8, 8, 16, 16)).select_bands([0, 1]).ms_source
    del scene
    gc.collect()
    part.read(Window(0, 0, 2, 2))  # a source of a part keeps the files
    del part
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_sources_that_were_pickled_read_the_same_files(pair: Path, tmp_path: Path) -> None:
    import pickle

    scene = open_scene(pack(pair, tmp_path / "delivery.tar.gz"))
    other = pickle.loads(pickle.dumps(scene))
    window = Window(0, 0, 4, 4)
    np.testing.assert_array_equal(other.pan_source.read(window), scene.pan_source.read(window))
    del other
    gc.collect()
    assert os.path.exists(scene.files["pan"][0])


def test_errors_speak_of_the_archive(pair: Path, tmp_path: Path, scratch: Path) -> None:
    (pair / "ms.tif").unlink()
    archive = pack(pair, tmp_path / "half.tar.gz")
    with pytest.raises(ReaderError, match=r"half\.tar\.gz") as caught:
        open_scene(archive)
    assert str(scratch) not in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_several_scenes_in_one_archive(write_raster: WriteRaster, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_raster(f"site/{name}_pan.tif", (1, 40, 40))
        write_raster(f"site/{name}_ms.tif", (4, 10, 10), pixel=4)
    archive = pack(tmp_path / "site", tmp_path / "two.zip")
    with pytest.raises(AmbiguousReaderError, match=r"2 scenes match in '.*two\.zip': '.*two\.zip"):
        open_scene(archive)
    assert open_scene(f"{archive}!/b_pan.tif").name == "b"
    with pytest.raises(ReaderError, match=r"two\.zip!/c\.tif' does not exist"):
        open_scene(f"{archive}!/c.tif")


def test_folder_with_one_archive(pair: Path, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    pack(pair, drop / "one.tar")
    assert open_scene(drop).name == "one"
    assert [scene.reader for scene in find_scenes(drop)] == ["archive"]
    pack(pair, drop / "two.tar.gz")
    with pytest.raises(AmbiguousReaderError, match="2 scenes match"):
        open_scene(drop)
    assert len(find_scenes(drop)) == 2
    # Plain images in the folder itself come before archives beside them.
    shutil.copytree(pair, drop, dirs_exist_ok=True)
    assert open_scene(drop).files.keys() == {"pan", "ms"}


def test_archive_in_an_archive(pair: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    pack(pair, tmp_path / "outer" / "inner.zip")
    with pytest.raises(ReaderError, match="archive inside an archive"):
        open_scene(pack(tmp_path / "outer", tmp_path / "outer.tar"))


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, "w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"data"))

    return write


def _zip(name: str, *, link: bool = False, twice: bool = False) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo(name)
            if link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
            if twice:
                archive.writestr(zipfile.ZipInfo(name.upper()), "x")

    return write


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.tif", bytes(3 * 2**20))


@pytest.mark.parametrize(
    ("write", "suffix", "finding"),
    [
        (_entry("../up.tif"), ".tar.gz", "leads out of it"),
        (_entry("a/../../up.tif"), ".tar.gz", "leads out of it"),
        (_entry("/etc/up.tif"), ".tar.gz", "leads out of it"),
        (_entry("..\\up.tif"), ".tar.gz", "leads out of it"),
        (_entry("C:/up.tif"), ".tar.gz", "leads out of it"),
        (_entry("a\nb.tif"), ".tar.gz", "leads out of it"),
        (_entry("x" * 300), ".tar.gz", "leads out of it"),
        (_entry("a.tif", tarfile.SYMTYPE, "/etc/passwd"), ".tar.gz", "holds the link"),
        (_entry("a.tif", tarfile.LNKTYPE, "../b"), ".tar.gz", "holds the link"),
        (_entry("a.tif", tarfile.FIFOTYPE), ".tar.gz", "no plain file"),
        (_entry("a.tif", tarfile.CHRTYPE), ".tar.gz", "no plain file"),
        (_zip("../up.tif"), ".zip", "leads out of it"),
        (_zip("/up.tif"), ".zip", "leads out of it"),
        (_zip("a.tif", link=True), ".zip", "holds the link"),
        (_zip("a.tif", twice=True), ".zip", "twice"),
        (_bomb, ".zip", "would unpack to more than"),
    ],
)
def test_unsafe_archives_are_refused(
    tmp_path: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    suffix: str,
    finding: str,
) -> None:
    monkeypatch.setattr(_archive, "_BOMB_BYTES", 2**20)
    archive = tmp_path / f"bad{suffix}"
    write(archive)
    for step in (list_members, unpack, open_scene):
        with pytest.raises(ReaderError, match=finding) as caught:
            step(archive)
        assert "\n" not in str(caught.value)
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "up.tif").exists()


@pytest.mark.parametrize("suffix", [*FORMATS, ".zip"])
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_damaged_archives(
    write_raster: WriteRaster, pair: Path, tmp_path: Path, scratch: Path, suffix: str, cut: float
) -> None:
    # Longer than the 10 kB of zeros that a tar may end with.
    write_raster("site/pan.tif", (1, 400, 400))
    archive = pack(pair, tmp_path / f"delivery{suffix}")
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(ReaderError) as caught:
        open_scene(archive)
    assert "\n" not in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_no_room_is_told_before_work(
    pair: Path, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_archive, "free_bytes", lambda folder: _archive._SPARE + 1000)
    for suffix in (".tar", ".tar.gz", ".zip"):
        with pytest.raises(ReaderError, match=r"needs 0\.00 GiB.* free in .*PANSHARP_SCRATCH"):
            unpack(pack(pair, tmp_path / f"delivery{suffix}"))
    assert list(scratch.iterdir()) == []


def test_names_of_archives(tmp_path: Path) -> None:
    assert archive_stem("a/GF2_PMS1.tar.gz") == "GF2_PMS1"
    assert archive_stem("a/b.TGZ") == "b"
    assert archive_stem("a/b.gz") is None
    (tmp_path / "a.zip").write_text("no archive")
    assert not is_archive(tmp_path / "a.zip")
