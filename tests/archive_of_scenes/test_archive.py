"""The generated archive says the truth about itself."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

import pytest

from archive_of_scenes import MISHAPS, write_archive
from pansharp.batch.finding import find_entries
from pansharp.errors import PansharpError
from pansharp.readers import open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from archive_of_scenes import Archive
    from pansharp.batch.records import Entry


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return write_archive(tmp_path_factory.mktemp("archive") / "all", 18)


def entries(archive: Archive) -> list[Entry]:
    return find_entries([str(archive.root)], outside=archive.root.parent / "products")


def test_every_delivery_is_found_once(archive: Archive) -> None:
    found = [archive.of(scene.path) for scene in entries(archive)]
    assert sorted(one.path for one in found) == [one.path for one in archive.deliveries]
    assert len(archive.right) == 12
    assert {one.broken for one in archive.broken} == {mishap.name for mishap in MISHAPS}
    for sensor in ("worldview3", "gaofen2"):
        kinds = {one.path.is_dir() for one in archive.right if one.sensor == sensor}
        assert kinds == {True, False}, f"{sensor}: folders and archives"


def test_right_ones_open_and_broken_ones_say_why(archive: Archive) -> None:
    for found in entries(archive):
        delivery = archive.of(found.path)
        with warnings.catch_warnings():
            # Scenes in sensor geometry come without heights, and say so.
            warnings.filterwarnings("ignore", "No DEM given")
            if delivery.broken:
                with pytest.raises(PansharpError) as caught:
                    open_scene(found.path)
                assert delivery.explained(str(caught.value)), (delivery.broken, str(caught.value))
                continue
            scene = open_scene(found.path)
        assert scene.sensor is not None
        assert scene.sensor.name == delivery.sensor
        assert scene.bands == delivery.bands
        assert str(scene.acquired).startswith(delivery.acquired)
        assert min(scene.shape[1:]) >= 128


def test_same_seed_same_pixels_and_all_differ(tmp_path: Path) -> None:
    def digests(name: str, seed: int) -> dict[str, str]:
        made = write_archive(tmp_path / name, 6, broken=0, seed=seed)
        return {
            str(path.relative_to(made.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(made.root.rglob("*"))
            if path.suffix in (".TIF", ".tiff")
        }

    one, same, other = digests("one", 1), digests("same", 1), digests("other", 2)
    assert one == same
    assert one != other
    assert len(set(one.values())) == len(one)
