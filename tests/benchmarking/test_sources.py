"""Which scenes files, folders and sets stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from pansharp.benchmarking.sources import find_scenes
from pansharp.errors import GridMismatchError, OptionError, PansharpError, ReaderError

if TYPE_CHECKING:
    from pathlib import Path


def test_folders_sets_and_files(
    tmp_path: Path, make_pair: Any, make_research: Any, write_h5: Any
) -> None:
    first, second = make_pair(folder="all/north"), make_pair(folder="all/south", seed=2)
    images = make_research(items=2)
    path = write_h5("all/test_qb.h5", images)
    assert path.parent == tmp_path / "all"
    found = find_scenes([str(tmp_path / "all")], {"sensor": "worldview3"})
    names = ["test_qb_0", "test_qb_1", "north", "south"]
    assert [ref.name for ref in found] == names
    opened = found[3].open()
    assert opened.scene.sensor.name == "worldview3"
    assert opened.scene.files["pan"] == (str(second.pan),)
    assert opened.reference is None
    assert [r.name for r in find_scenes([str(first.pan), str(second.ms)], {})] == [
        "north",
        "south",
    ]


def test_items_of_a_set(make_research: Any, write_h5: Any) -> None:
    images = make_research(items=3)
    found = find_scenes([str(write_h5("test_gf2.h5", images))], {"sensor": "none", "nodata": 0.0})
    assert [ref.item for ref in found] == [0, 1, 2]
    assert all(ref.reference for ref in found)
    opened = found[2].open()
    np.testing.assert_array_equal(opened.reference, images.gt[2])
    assert opened.scene.sensor.name == "none"
    assert opened.scene.nodata == 0.0
    assert opened.scene.name == "test_gf2_2"


def test_named_files(make_pair: Any) -> None:
    pair = make_pair()
    options = {"pan": str(pair.pan), "ms": str(pair.ms), "window": [0, 0, 32, 32]}
    (ref,) = find_scenes([], options)
    assert ref.open().scene.shape == (4, 32, 32)
    with pytest.raises(OptionError, match="--pan names the files of one scene"):
        find_scenes(["other.tif"], options)


def test_same_names_are_told_apart(make_pair: Any) -> None:
    pair = make_pair()
    names = [ref.name for ref in find_scenes([str(pair.pan), str(pair.pan)], {})]
    assert names == ["pair", "pair_2"]


def test_what_is_wrong_is_told(tmp_path: Path, make_research: Any, write_h5: Any) -> None:
    with pytest.raises(ReaderError, match=r"'absent' does not exist"):
        find_scenes(["absent"], {})
    with pytest.raises(OptionError, match="no scenes"):
        find_scenes([], {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(PansharpError, match="No PAN and MS image found"):
        find_scenes([str(tmp_path / "empty")], {})
    path = write_h5("a.h5", make_research())
    with pytest.raises(OptionError, match="--window does not apply to the research set"):
        find_scenes([str(path)], {"window": [0, 0, 8, 8]})
    with pytest.raises(PansharpError, match="have the ratio 4"):
        find_scenes([str(path)], {"ratio": 2})


def _truth(pan: Path, target: Path, bands: int = 4) -> Path:
    """A reference on the grid of a PAN."""
    with rasterio.open(pan) as file:
        profile = {**file.profile, "count": bands}
        data = np.repeat(file.read(), bands, axis=0)
    with rasterio.open(target, "w", **profile) as file:
        file.write(data)
    return target


def test_scenes_of_a_list_have_options_of_their_own(tmp_path: Path, make_pair: Any) -> None:
    first, second = make_pair(folder="north"), make_pair(folder="south", seed=2)
    truth = _truth(second.pan, tmp_path / "truth.tif")
    path = tmp_path / "scenes.toml"
    path.write_text(
        "[[scene]]\nname = 'harbour'\npan = 'north/pan.tif'\nms = ['north/ms.tif']\n"
        "sensor = 'ikonos'\n[[scene]]\npath = 'south'\nreference = 'truth.tif'\n"
        "window = [0, 0, 96, 96]\n"
    )
    found = find_scenes([str(path)], {"sensor": "worldview3"})
    assert [ref.name for ref in found] == ["harbour", "south"]
    opened = [ref.open() for ref in found]
    assert [o.scene.sensor.name for o in opened] == ["ikonos", "worldview3"]
    assert opened[0].scene.files["pan"] == (str(first.pan),)
    assert opened[0].reference is None
    assert found[1].reference
    assert opened[1].reference.shape == opened[1].scene.shape == (4, 96, 96)
    assert opened[1].scene.files["reference"] == (str(truth),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[scene]]\npann = 'a.tif'", "unknown key 'pann' in scene 1 .*did you mean 'pan'"),
        ("[[scene]]\nsensor = 'wv3'", "scene 1 .* names no file"),
        ("other = 1", r"needs tables \[\[scene\]\]"),
        ("", r"needs tables \[\[scene\]\]"),
        ("[[scene", "is not TOML"),
    ],
)
def test_lists_that_make_no_sense_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scenes.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=message):
        find_scenes([str(path)], {})


def test_a_reference_must_lie_on_the_grid_of_the_pan(tmp_path: Path, make_pair: Any) -> None:
    pair = make_pair()
    _truth(pair.pan, tmp_path / "truth.tif", bands=3)
    path = tmp_path / "scenes.toml"
    path.write_text("[[scene]]\npath = 'pair'\nreference = 'truth.tif'\n")
    (ref,) = find_scenes([str(path)], {})
    with pytest.raises(GridMismatchError, match="has 3 bands of 96 x 96 pixels and the product"):
        ref.open()
