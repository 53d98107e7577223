"""Research sets: what is read is what was written, item by item, and what is wrong is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp import open_scene
from pansharp.errors import (
    AmbiguousReaderError,
    BandMismatchError,
    GridMismatchError,
    OptionError,
    PansharpError,
    ReaderError,
)
from pansharp.geometry.grids import Alignment
from pansharp.readers._containers import Stack
from pansharp.readers.patches import open_patches

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("h5py")


def test_h5_items_are_those_written(make_research: Any, write_h5: Any) -> None:
    images = make_research(items=3, bands=8)
    path = write_h5("test_wv3_multiExm1.h5", images)
    with open_patches(path) as items:
        assert len(items) == 3
        assert items.ratio == 4
        assert items.sensor is not None
        assert items.sensor.name == "worldview3"
        for index, item in enumerate(items):
            assert item.name == f"test_wv3_multiExm1_{index}"
            np.testing.assert_array_equal(item.pan, images.pan[index, 0])
            np.testing.assert_array_equal(item.ms, images.ms[index])
            np.testing.assert_array_equal(item.gt, images.gt[index])
        scene = items.scene(2)
    # The scene owns its pixels: the file may be closed.
    assert scene.alignment == Alignment.toolbox(4)
    assert scene.shape == (8, 64, 64)
    np.testing.assert_array_equal(scene.ms.values, images.ms[2])


@pytest.mark.parametrize("name", ["NY1_WV3_RR.mat", "NY1_WV3_RR_73.mat"])
def test_mat_equals_h5(name: str, make_research: Any, write_h5: Any, write_mat: Any) -> None:
    images = make_research(bands=5, side=96)
    # Another size in each direction: exchanged axes must show.
    images = images._replace(
        gt=images.gt[..., :64], lms=images.lms[..., :64], pan=images.pan[..., :64]
    )._replace(ms=images.ms[..., :16])
    with open_patches(write_mat(name, images)) as mat, open_patches(write_h5("a.h5", images)) as h5:
        assert len(mat) == 1
        assert mat.sensor is not None
        first, second = mat[0], h5[0]
    for field in ("pan", "ms", "gt"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert first.ms.shape == (5, 24, 16)


def test_full_resolution_sets_have_no_reference(make_research: Any, write_h5: Any) -> None:
    path = write_h5("test_qb_OrigScale_multiExm1.h5", make_research(items=2), reference=False)
    with open_patches(path) as items:
        assert not items.has_reference
        assert items[1].gt is None
        assert items.sensor is not None
        assert items.sensor.name == "quickbird2"


def test_a_mat_of_several_items(make_research: Any, write_mat: Any) -> None:
    images = make_research(items=2)
    stacked = {
        "I_MS_LR": np.moveaxis(images.ms, (0, 1), (3, 2)),
        "I_MS": np.moveaxis(images.lms, (0, 1), (3, 2)),
        "I_GT": np.moveaxis(images.gt, (0, 1), (3, 2)),
        "I_PAN": np.moveaxis(images.pan[:, 0], 0, 2),
    }
    for name in ("set.mat", "set73.mat"):
        with open_patches(write_mat(name, images, **stacked)) as items:
            assert len(items) == 2
            np.testing.assert_array_equal(items[1].pan, images.pan[1, 0])
            np.testing.assert_array_equal(items[1].gt, images.gt[1])


def test_ratio_6_with_uint16(make_research: Any, write_mat: Any) -> None:
    images = make_research(bands=3, side=72, ratio=6)
    images = images._replace(**{k: v.astype(np.uint16) for k, v in images._asdict().items()})
    scene = open_scene(write_mat("RR1_PRISMA.mat", images), sensor="none")
    assert scene.ratio == 6
    assert scene.dtype == np.uint16
    assert scene.alignment == Alignment.toolbox(6)


def test_the_sensor_is_what_the_user_says(make_research: Any, write_mat: Any) -> None:
    path = write_mat("scene_gf2.mat", make_research(), sensor="QB")
    with open_patches(path) as items:
        assert items.sensor.name == "quickbird2"
    assert open_scene(path, sensor="ikonos").sensor.name == "ikonos"


def test_open_scene_takes_one_item_and_explains_many(make_research: Any, write_h5: Any) -> None:
    one = open_scene(write_h5("one.h5", make_research()))
    assert one.name == "one"
    assert one.files["set"][0].endswith("one.h5")
    many = write_h5("many.h5", make_research(items=2))
    with pytest.raises(AmbiguousReaderError, match=r"holds 2 items; run 'pansharp benchmark"):
        open_scene(many)
    with pytest.raises(GridMismatchError, match="--ratio is 2"):
        open_scene(write_h5("one.h5", make_research()), ratio=2)


def test_only_the_item_is_read(make_research: Any, write_h5: Any, monkeypatch: Any) -> None:
    import h5py

    read: list[object] = []
    original = h5py.Dataset.__getitem__

    def spy(self: object, key: object, *more: object) -> object:
        read.append(key)
        return original(self, key, *more)

    path = write_h5("set.h5", make_research(items=4))
    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    with open_patches(path) as items:
        assert read == []
        _ = items[2]
    assert read == [2, 2, 2]


def _message(path: Path) -> str:
    with pytest.raises(PansharpError) as caught, open_patches(path) as items:
        _ = items[0]
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def test_what_is_wrong_is_told(make_research: Any, write_h5: Any, write_mat: Any) -> None:
    images = make_research(items=2)
    assert "has no 'ms' or 'I_MS_LR'; it holds 'gt', 'lms', 'pan'" in _message(
        write_h5("no_ms.h5", images, ms=None)
    )
    assert "no whole ratio" in _message(write_h5("pan.h5", images, pan=images.pan[..., :60, :60]))
    assert "4 x 64 x 64" in _message(write_h5("gt.h5", images, gt=images.gt[:, :3]))
    assert "2 items of 'ms' and 1 of 'pan'" in _message(
        write_h5("n.h5", images, pan=images.pan[:1])
    )
    assert "'pan' of" in _message(write_h5("rgb.h5", images, pan=images.gt[:, :3]))
    assert "needs bands" in _message(write_h5("flat.h5", images, ms=images.ms[0, 0]))
    holes = images.ms.copy()
    holes[0, 1, 3, 3] = np.nan
    assert "'ms' holds NaN" in _message(write_h5("nan.h5", images, ms=holes))
    assert "'I_MS_LR'" in _message(write_mat("a.mat", images, I_MS_LR="none"))


def test_the_kind_of_error(make_research: Any, write_h5: Any) -> None:
    images = make_research()
    with pytest.raises(BandMismatchError):
        open_patches(write_h5("rgb.h5", images, pan=images.gt))
    with (
        open_patches(write_h5("a.h5", images)) as items,
        pytest.raises(OptionError, match="0 to 0"),
    ):
        _ = items[1]
    with pytest.raises(ReaderError, match="does not exist"):
        open_patches("absent.h5")


@pytest.mark.parametrize("name", ["cut.h5", "cut.mat", "cut73.mat"])
def test_cut_files(name: str, make_research: Any, write_h5: Any, write_mat: Any) -> None:
    write = write_h5 if name.endswith(".h5") else write_mat
    path = write(name, make_research())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "incomplete or damaged" in _message(path)


def test_other_files_with_the_ending(tmp_path: Path) -> None:
    path = tmp_path / "page.h5"
    path.write_text("<html>not found</html>")
    assert "neither an HDF5 nor a MATLAB file" in _message(path)


def test_without_h5py(make_research: Any, write_h5: Any, monkeypatch: Any) -> None:
    path = write_h5("a.h5", make_research())
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install pansharp[research]" in _message(path)


@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)),
    data=st.data(),
)
def test_every_axis_order_gives_the_same_items(sizes: tuple[int, ...], data: st.DataObject) -> None:
    """(item, band, y, x) as HDF5 has it, and (y, x, band, item) reversed as MATLAB writes it."""
    images = np.arange(np.prod(sizes)).reshape(sizes)
    plain, turned = Stack("a", images, False), Stack("a", images.swapaxes(2, 3), True)
    index = data.draw(st.integers(0, sizes[0] - 1))
    for stack in (plain, turned):
        assert stack.count() == sizes[0]
        assert stack.shape(stacked=True) == sizes[1:]
        np.testing.assert_array_equal(stack.read(index, stacked=True), images[index])
