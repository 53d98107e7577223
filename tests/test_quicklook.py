"""Quicklooks: what lies where, and what is refused."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from pansharp.errors import OptionError, WriteError
from pansharp.geometry.grids import Alignment, AxisMap
from pansharp.quicklook import quicklook, write_quicklook
from pansharp.readers import open_scene
from pansharp.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def _scene(rows: int = 48, cols: int = 64, offset: float = 1.5) -> Scene:
    rng = np.random.default_rng(2)
    ms = rng.integers(100, 1000, (3, rows // 4, cols // 4)).astype(np.uint16)
    pan = np.repeat(np.repeat(ms.mean(axis=0), 4, 0), 4, 1).astype(np.uint16)
    axis = AxisMap(4.0, offset)
    return Scene.from_arrays(
        pan, ms, alignment=Alignment(axis, axis), band_names=("blue", "green", "red")
    )


def test_panels_lie_side_by_side_and_ms_pixels_are_squares() -> None:
    scene = _scene()
    fused = np.repeat(np.repeat(scene.ms_source.read(_full(scene.ms_source)), 4, 1), 4, 2)
    sheet = quicklook(scene, fused)
    assert sheet.shape == (48, 3 * 64 + 2 * 8, 4)
    assert not sheet[:, 64:72].any()
    # Corners agree: each MS pixel covers the four by four pixels of the product made of it.
    assert (sheet[:, 72:136] == sheet[:, 144:]).all()


def _full(source: Any) -> Any:
    from pansharp.geometry.grids import Window

    return Window(0, 0, source.height, source.width)


def test_ms_moves_with_the_alignment() -> None:
    """An MS two PAN pixels further down and right begins there; nothing covers the rest."""
    plain, moved = quicklook(_scene()), quicklook(_scene(offset=3.5))
    assert not moved[:2, 72:].any()
    assert (moved[2:, 74:136] == plain[:-2, 72:134]).all()


def test_wide_ones_go_below_each_other() -> None:
    assert quicklook(_scene(16, 64)).shape == (2 * 16 + 8, 64, 4)


def test_large_images_are_reduced() -> None:
    assert quicklook(_scene(), size=20).shape[:2] == (12, 2 * 16 + 8)


@pytest.mark.parametrize(
    ("name", "driver"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP")]
)
def test_formats(tmp_path: Path, name: str, driver: str) -> None:
    path = write_quicklook(_scene(), tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            assert (file.driver, file.height, file.width) == (driver, 48, 136)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_is_refused(tmp_path: Path) -> None:
    scene = _scene()
    with pytest.raises(OptionError, match=r"end it with \.png"):
        write_quicklook(scene, tmp_path / "a.tif")
    with pytest.raises(WriteError, match="does not exist"):
        write_quicklook(scene, tmp_path / "no" / "a.png")
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(WriteError, match="--overwrite"):
        write_quicklook(scene, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "mine"
    with pytest.raises(OptionError, match="product of this scene"):
        quicklook(scene, np.ones((3, 10, 10), np.uint16))


def test_pan_of_other_values_has_a_stretch_of_its_own() -> None:
    scene = _scene()
    pan = scene.pan_source.read(_full(scene.pan_source))[0]
    dark = Scene.from_arrays(
        pan // 10, scene.ms_source.read(_full(scene.ms_source)), band_names=scene.band_names
    )
    assert quicklook(dark)[:, :64, 0].std() > 50


def test_commands(make_pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from pansharp.cli import main

    pair = make_pair(shape=(160, 160))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PANSHARP_NO_MALLOC_TUNING", "1")
    files = ["--pan", str(pair.pan), "--ms", str(pair.ms)]

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, [*arguments])

    found = run("info", *files, "--quicklook")
    assert (found.exit_code, found.stderr) == (0, "")
    scene = open_scene(pan=str(pair.pan), ms=str(pair.ms))
    assert f"{scene.name}.quicklook.png" in found.stdout
    assert (tmp_path / f"{scene.name}.quicklook.png").exists()
    # What follows may be the scene: a folder is no picture.
    again = run("info", "--quicklook", str(pair.pan.parent))
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    fused = run("fuse", *files, "-m", "gsa", "-o", "f.tif", "--no-card", "--quicklook=look.jpg")
    assert fused.exit_code == 0
    assert (tmp_path / "look.jpg").exists()
    # Refused before the fusion.
    wrong = run("fuse", *files, "-m", "gsa", "-o", "g.tif", "--no-card", "--quicklook=look.gif")
    assert wrong.exit_code == 1
    assert not (tmp_path / "g.tif").exists()
