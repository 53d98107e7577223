"""Far shifts by phase correlation, and what patches say one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.chips import read_chip
from pansharp.errors import GridMismatchError
from pansharp.geometry.grids import Alignment, Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.geometry.patches import MIN_PATCHES, agree, coarse_shift
from pansharp.geometry.register import REACH, Scan, Shift
from pansharp.geometry.resample import sample
from pansharp.options import FuseOptions
from pansharp.registration import check_shift, register
from pansharp.scene import Scene

if TYPE_CHECKING:
    from pansharp.chips import Chip

RATIO, GAIN, SIDE = 4, 0.3, 96
_EDGE = 80


def _texture(seed: int = 7, fall: float = 1.2) -> np.ndarray:
    """Three bands at PAN resolution with a spectrum that falls with frequency."""
    rng = np.random.default_rng(seed)
    size = RATIO * SIDE + 2 * _EDGE
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    shape = 1.0 / np.maximum(f, 1 / 60) ** fall

    def field() -> np.ndarray:
        wave = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * shape, s=(size, size))
        return (wave - wave.mean()) / wave.std()

    shared = field()
    return np.stack([800 + 120 * shared + 30 * field() for _ in range(3)]).astype(np.float32)


def _pair(shift: tuple[float, float], image: np.ndarray | None = None) -> Scene:
    """A scene whose MS lies `shift` PAN pixels further down and right than it says."""
    image = _texture() if image is None else image
    blur = MtfGaussian(RATIO, GAIN, normalize=True)
    true = Alignment.corner(RATIO).shifted(*shift)
    ms = sample(image, (-_EDGE, -_EDGE), Window(0, 0, SIDE, SIDE), true, "down", blur)
    pan = image.mean(axis=0)[_EDGE:-_EDGE, _EDGE:-_EDGE]
    return Scene.from_arrays(np.ascontiguousarray(pan), ms, ratio=RATIO)


def _chips(scene: Scene, parts: int = 3) -> list[Chip]:
    halo = int(MtfGaussian(RATIO, GAIN).radius) + 2 * REACH + 2
    side = (RATIO * SIDE - 16) // parts // RATIO * RATIO
    return [
        read_chip(scene, Window(8 + i * side, 8 + j * side, side, side), halo)
        for i in range(parts)
        for j in range(parts)
    ]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (4.0, -8.0), (-12.0, 16.0), (20.0, 5.0)])
def test_phase_correlation_finds_the_ms_pixel(shift: tuple[float, float]) -> None:
    found = coarse_shift(_chips(_pair(shift)), GAIN)
    assert found is not None
    assert np.abs(np.subtract(found, shift)).max() <= RATIO / 2 + 0.5


def test_dark_where_the_pan_is_bright_counts_too() -> None:
    scene = _pair((8.0, 8.0))
    ms = 2000 - scene.ms_source.read(Window(0, 0, SIDE, SIDE))
    pan = scene.pan_source.read(Window(0, 0, RATIO * SIDE, RATIO * SIDE))
    assert coarse_shift(_chips(Scene.from_arrays(pan, ms, ratio=RATIO)), GAIN) == (8.0, 8.0)


def test_unrelated_images_have_no_peak() -> None:
    rng = np.random.default_rng(1)
    scene = Scene.from_arrays(
        rng.normal(500, 50, (RATIO * SIDE, RATIO * SIDE)), rng.normal(500, 50, (3, SIDE, SIDE))
    )
    assert coarse_shift(_chips(scene), GAIN) is None
    assert agree(_chips(scene), GAIN, (0.0, 0.0)) is None


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.3), (1.7, 2.2), (-3.1, 3.3)])
def test_patches_agree_on_the_truth(shift: tuple[float, float]) -> None:
    start = tuple(float(round(value)) for value in shift)
    found = agree(_chips(_pair(shift)), GAIN, (start[0], start[1]))
    assert found is not None
    assert (found.rows, found.cols) == pytest.approx(shift, abs=0.1)
    assert found.patches == found.asked == 9
    assert found.spread < 0.15


def test_flat_patches_have_no_say() -> None:
    image = _texture()
    image[:, : image.shape[1] // 2] = 800.0
    found = agree(_chips(_pair((1.0, 0.0), image)), GAIN, (1.0, 0.0))
    assert found is not None
    assert found.patches < found.asked


def test_a_cloud_that_moved_does_not_speak_for_the_scene() -> None:
    """A bright spot elsewhere in the PAN outweighs the ground in a regression of all pixels."""
    image = _texture()
    scene = _pair((2.0, -1.0), image)
    ms = scene.ms_source.read(Window(0, 0, SIDE, SIDE))
    pan = scene.pan_source.read(Window(0, 0, RATIO * SIDE, RATIO * SIDE))
    rows, cols = np.mgrid[0 : RATIO * SIDE, 0 : RATIO * SIDE]
    pan = pan + 5000 * np.exp(-((rows - 60) ** 2 + (cols - 60) ** 2) / 200.0)
    rows, cols = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) * RATIO - 0.5
    # By its place alone the cloud says (4, 1).
    ms = ms + 5000 * np.exp(-((rows - 56) ** 2 + (cols - 59) ** 2) / 200.0)
    moved = Scene.from_arrays(pan.astype(np.float32), ms.astype(np.float32), ratio=RATIO)
    alone = Scan(_chips(moved, 1)).shift(GAIN)
    assert max(abs(alone.rows - 2.0), abs(alone.cols + 1.0)) > 1.0
    shift = register(moved, FuseOptions(), apply=True).shift
    assert shift is not None
    assert (shift.rows, shift.cols) == pytest.approx((2.0, -1.0), abs=0.26)
    assert shift.r2_after >= shift.r2_before


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, 0.0), (3.0, -4.0), (-4.0, 4.0), (13.0, -9.0)])
def test_a_scene_is_moved_by_what_is_found(shift: tuple[float, float]) -> None:
    scene = _pair(shift)
    found = register(scene, FuseOptions(), apply=True)
    assert found.applied == pytest.approx(shift, abs=0.26)
    assert found.scene.alignment == scene.alignment.shifted(*found.applied)
    assert found.shift is not None
    assert found.shift.patches >= 9
    assert found.shift.residual is not None
    assert max(map(abs, found.shift.residual)) < 0.1 * RATIO


@pytest.mark.parametrize(
    ("shift", "text"),
    [
        (Shift(5.0, 0.0, 0.5, 0.9, 9, 0.1), r"\+5.00, \+0.00 PAN pixels .* more than 4; check"),
        (Shift(1.0, 0.0, 0.5, 0.9, 3, 0.1), r"3 patches of 'scene' can tell .*, 4 are needed"),
        (Shift(1.0, 0.0, 0.5, 0.9, 9, 4.5), r"scatters by 4.5 PAN pixels from patch to patch"),
    ],
)
def test_strict_stops(shift: Shift, text: str) -> None:
    with pytest.raises(GridMismatchError, match=text) as caught:
        check_shift(_pair((0.0, 0.0)), shift)
    assert "\n" not in str(caught.value)


def test_strict_lets_a_good_pair_pass() -> None:
    check_shift(_pair((0.0, 0.0)), Shift(3.9, -4.0, 0.5, 0.9, 9, 0.4))
    register(_pair((2.0, 1.0)), FuseOptions(strict=True), apply=True)
    with pytest.raises(GridMismatchError, match="more than 4; check the pair, give --coregister"):
        register(_pair((12.0, 1.0)), FuseOptions(strict=True), apply=True)
    tiny = Scene.from_arrays(np.ones((16, 16)), np.ones((3, 4, 4)), ratio=4)
    with pytest.raises(GridMismatchError, match="too small to measure a shift"):
        register(tiny, FuseOptions(strict=True), apply=True)


@pytest.mark.parametrize(
    ("rows", "patches", "applied"),
    [(10.5, 0, False), (10.5, MIN_PATCHES - 1, False), (10.5, MIN_PATCHES, True), (3.5, 0, True)],
)
def test_a_large_shift_is_applied_only_where_patches_confirm_it(
    rows: float, patches: int, applied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two images of different ground have a best shift, too; it says nothing."""

    def measured(*given: object) -> tuple[Shift, object, tuple[float, float]]:
        return Shift(rows, -3.0, 0.05, 0.07, patches, None), given[2], (0.0, 0.0)

    monkeypatch.setattr("pansharp.registration._measured", measured)
    scene = _pair((0.0, 0.0))
    found = register(scene, FuseOptions(mtf="table"), apply=True)
    assert found.shift is not None
    assert found.shift.rows == rows
    assert found.applied == ((rows, -3.0) if applied else (0.0, 0.0))
    assert (found.scene is scene) is not applied
