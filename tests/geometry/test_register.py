"""The shift scan recovers shifts that were put in, and believes a true georeference."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from pansharp.chips import Chip, read_chip
from pansharp.geometry import register
from pansharp.geometry.grids import Alignment, Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.geometry.register import REACH, Scan
from pansharp.geometry.resample import sample
from pansharp.scene import Scene

RATIO, GAIN = 4, 0.3


@lru_cache(maxsize=1)
def _texture() -> np.ndarray:
    """Three bands with a spectrum that falls with frequency, at PAN resolution."""
    rng = np.random.default_rng(11)
    size = 320
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    fall = 1.0 / np.maximum(f, 1.0 / 80) ** 1.3

    def field() -> np.ndarray:
        wave = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * fall, s=(size, size))
        return (wave - wave.mean()) / wave.std()

    shared = field()
    return np.stack([800 + 120 * shared + 40 * field() for _ in range(3)]).astype(np.float32)


def _pair(shift: tuple[float, float], noise: float = 0.0, gain: float = GAIN) -> Scene:
    """A scene whose MS truly lies `shift` PAN pixels further down and right than it says."""
    rng = np.random.default_rng(4)
    image = _texture()
    declared = Alignment.corner(RATIO)
    window = Window(0, 0, 64, 64)
    # The margin of 32 pixels keeps every true position inside the texture.
    true = declared.shifted(*shift)
    ms = sample(image, (-32, -32), window, true, "down", MtfGaussian(RATIO, gain, normalize=True))
    pan = image.mean(axis=0)[32:-32, 32:-32]
    ms = ms + rng.normal(0, noise, ms.shape) if noise else ms
    pan = pan + rng.normal(0, noise, pan.shape) if noise else pan
    return Scene.from_arrays(pan.astype(np.float32), ms.astype(np.float32), ratio=RATIO)


def _chips(scene: Scene) -> list[Chip]:
    halo = int(MtfGaussian(RATIO, GAIN).radius) + 2 * REACH + 2
    return [
        read_chip(scene, Window(8, 8, 112, 224), halo),
        read_chip(scene, Window(120, 8, 112, 224), halo),
    ]


SHIFTS = [(0.25, 0.0), (-0.5, 0.75), (1.0, -1.0), (1.75, 2.5), (-3.0, 3.0), (-2.25, -0.25)]


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_finds_the_shift(shift: tuple[float, float], noise: float) -> None:
    found = Scan(_chips(_pair(shift, noise))).shift(GAIN)
    assert (found.rows, found.cols) == pytest.approx(shift, abs=0.0 if noise == 0 else 0.25)
    assert found.r2_after > found.r2_before
    assert found.r2_after > 0.97


@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_believes_an_aligned_pair(noise: float) -> None:
    found = Scan(_chips(_pair((0.0, 0.0), noise))).shift(GAIN)
    assert (found.rows, found.cols) == (0.0, 0.0)
    assert found.r2_after == found.r2_before


@pytest.mark.parametrize("shift", [(0.15, 0.0), (-0.15, 0.15)])
def test_a_gain_that_is_noise_moves_nothing(
    shift: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = _chips(_pair(shift))
    found = Scan(chips).shift(GAIN)
    assert (found.rows, found.cols) == (0.0, 0.0)
    monkeypatch.setattr(register, "_NOISE", 0.0)
    better = Scan(chips).shift(GAIN)
    assert (better.rows, better.cols) != (0.0, 0.0)
    assert 0 < better.r2_after - better.r2_before < 1e-3


def test_does_not_move_an_unrelated_pair_far_for_nothing() -> None:
    rng = np.random.default_rng(0)
    pan = rng.normal(500, 50, (256, 256)).astype(np.float32)
    scene = Scene.from_arrays(pan, rng.normal(500, 50, (3, 64, 64)).astype(np.float32), ratio=4)
    found = Scan(_chips(scene)).shift(GAIN)
    assert max(abs(found.rows), abs(found.cols)) <= REACH
    assert found.r2_after < 0.05


def test_shift_moves_the_alignment_to_the_truth() -> None:
    scene = _pair((1.5, -0.75))
    found = Scan(_chips(scene)).shift(GAIN)
    again = Scan(_chips(scene.shifted(found.rows, found.cols))).shift(GAIN)
    assert (again.rows, again.cols) == (0.0, 0.0)
    assert again.r2_before == pytest.approx(found.r2_after, abs=0.002)


def test_masked_pixels_have_no_say() -> None:
    plain = _pair((1.0, 0.5))
    ms = plain.ms_source.read(Window(0, 0, 64, 64))
    spoiled, mask = ms.copy(), np.ones((64, 64), dtype=bool)
    mask[20:40, 20:40] = False
    # A strong pattern in the hole, one that the PAN does not have.
    spoiled[:, ~mask] = 9000.0
    pan = plain.pan_source.read(Window(0, 0, 256, 256))
    scene = Scene.from_arrays(pan, spoiled, ratio=RATIO, ms_mask=mask)
    found = Scan(_chips(scene)).shift(GAIN)
    assert (found.rows, found.cols) == (1.0, 0.5)
    assert found.r2_after > 0.97


def test_a_flat_pan_has_no_shift() -> None:
    scene = Scene.from_arrays(
        np.full((256, 256), 7.0, np.float32), np.ones((3, 64, 64), np.float32)
    )
    found = Scan(_chips(scene)).shift(GAIN)
    assert (found.rows, found.cols) == (0.0, 0.0)


@pytest.mark.parametrize("truth", [0.45, 0.6, 0.75])
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_finds_a_gain_above_the_assumed_one(truth: float, noise: float) -> None:
    found = Scan(_chips(_pair((0.5, 0.25), noise, truth))).sharpness(0.5, 0.25, GAIN)
    assert found is not None
    assert found.gain == pytest.approx(truth, abs=0.05 + 1e-9)
    assert found.r2_after >= found.r2_before + 1e-3


@pytest.mark.parametrize("truth", [0.1, 0.2, 0.3])
def test_believes_the_table_where_the_ms_is_softer(truth: float) -> None:
    """Parallax and noise look like a soft MS: only the contrary is evidence."""
    assert Scan(_chips(_pair((0.0, 0.0), 0.0, truth))).sharpness(0.0, 0.0, GAIN) is None
