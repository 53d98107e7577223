"""Stacks of a PAN and an MS that was upsampled to its grid before."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deliveries import rasters
from deliveries.ground import Ground
from deliveries.rasters import on_map, write
from pansharp.errors import OptionError, PansharpWarning, ReaderError
from pansharp.filters import interp23
from pansharp.geometry.grids import Alignment, Window
from pansharp.readers import open_scene
from pansharp.source import ArraySource
from pansharp.source.averaged import AveragedSource

if TYPE_CHECKING:
    from pathlib import Path

CORNER, SIDE, RATIO = (500_000.0, 5_000_000.0), 128, 4


def ground() -> Ground:
    return Ground(3, 1.0, origin=CORNER, seed=4)


def small() -> np.ndarray:
    """The MS on its own grid, as its file stores it."""
    return np.rint(on_map(ground(), CORNER, (SIDE // RATIO, SIDE // RATIO), float(RATIO)))


def stack(folder: Path, ms: np.ndarray, *, names: tuple[str, ...] = (), **more: object) -> Path:
    pan = on_map(ground(), CORNER, (SIDE, SIDE), 1.0).mean(axis=0)
    told = names or ("Blue", "Green", "Red", "Panchromatic")
    whole = np.concatenate([ms, pan[None]])
    return write(folder / "stack.tif", whole, corner=CORNER, names=told, **more)  # type: ignore[arg-type]


def pixels(source: object) -> np.ndarray:
    return source.read(Window(0, 0, source.height, source.width))  # type: ignore[attr-defined,no-any-return]


def test_without_a_ratio_it_is_refused(tmp_path: Path) -> None:
    path = stack(tmp_path, small().repeat(RATIO, axis=1).repeat(RATIO, axis=2))
    with pytest.raises(ReaderError, match=r"stack\.tif' is a stack .* upsampled .* give --ratio N"):
        open_scene(path)


def test_repeated_pixels_come_back_exactly(tmp_path: Path) -> None:
    path = stack(tmp_path, small().repeat(RATIO, axis=1).repeat(RATIO, axis=2))
    with pytest.warns(PansharpWarning, match="one of each 4 x 4 equal pixels .* loses nothing"):
        scene = open_scene(path, ratio=RATIO)
    assert (scene.ratio, scene.shape) == (4.0, (3, SIDE, SIDE))
    assert scene.alignment == Alignment.corner(4.0)
    assert scene.band_names == ("Blue", "Green", "Red")
    assert scene.name == "stack"
    assert np.array_equal(pixels(scene.ms_source), small())
    assert scene.ms_transform == (4.0, 0.0, CORNER[0], 0.0, -4.0, CORNER[1])


def test_interpolated_pixels_become_means(tmp_path: Path) -> None:
    big = interp23(small(), RATIO)
    path = stack(tmp_path, np.asarray(big), dtype="float32")
    with pytest.warns(PansharpWarning, match="means of 4 x 4 pixels .* stays blurred"):
        scene = open_scene(path, ratio=RATIO)
    assert scene.shape == (3, SIDE, SIDE)
    got, want = pixels(scene.ms_source), np.asarray(big, np.float32).astype(np.float64)
    means = want.reshape(3, SIDE // 4, 4, SIDE // 4, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(got, means, rtol=1e-6)
    assert any("upsampled to the PAN's grid" in note for note in scene.notes)


def test_two_files_of_one_grid_are_treated_alike(tmp_path: Path) -> None:
    pan = on_map(ground(), CORNER, (SIDE, SIDE), 1.0).mean(axis=0, keepdims=True)
    ms = small().repeat(RATIO, axis=1).repeat(RATIO, axis=2)
    files = [
        rasters.write(tmp_path / name, data, corner=CORNER)
        for name, data in (("p.tif", pan), ("m.tif", ms))
    ]
    with pytest.warns(PansharpWarning, match="equal pixels"):
        scene = open_scene(pan=files[0], ms=files[1], ratio=RATIO)
    assert np.array_equal(pixels(scene.ms_source), small())


@pytest.mark.parametrize(("ratio", "why"), [(2, "give --ratio 4"), (2.5, "whole --ratio")])
def test_ratios_that_cannot_be(tmp_path: Path, ratio: float, why: str) -> None:
    path = stack(tmp_path, small().repeat(RATIO, axis=1).repeat(RATIO, axis=2))
    with pytest.raises(OptionError, match=why):
        open_scene(path, ratio=ratio)


def test_other_files_are_no_stacks(tmp_path: Path) -> None:
    names = ("Blue", "Green", "Red", "Pangaea")
    path = stack(tmp_path, small().repeat(RATIO, axis=1).repeat(RATIO, axis=2), names=names)
    with pytest.raises(ReaderError, match="No panchromatic image found"):
        open_scene(path, ratio=RATIO)


def test_means_leave_out_what_has_no_data() -> None:
    data = np.arange(2 * 8 * 12, dtype=np.uint16).reshape(2, 8, 12) + 1
    data[:, :4, :3] = 0  # three quarters of the first block, a part of none
    data[:, 4, 4] = 0
    source = AveragedSource(ArraySource(data, nodata=0), 4)
    assert (source.height, source.width) == (2, 3)
    out = pixels(source)
    valid = source.valid(Window(0, 0, 2, 3), out)
    assert valid is not None
    assert valid.tolist() == [[False, True, True], [True, True, True]]
    block = data[0, 4:8, 4:8]
    assert out[0, 1, 1] == np.rint(block[block > 0].mean())
    part = source.cut(Window(1, 1, 1, 2)).select([1])
    assert np.array_equal(pixels(part), out[1:, 1:, 1:])
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(pixels(again), out)
    clean = AveragedSource(ArraySource(data), 4)
    assert clean.valid(Window(0, 0, 2, 3)) is None
