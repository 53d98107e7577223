"""Continuous kernels against the toolbox filters they generalise."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp import filters
from pansharp.geometry.kernels import UP, Binomial, Cubic, Interp23, MtfGaussian, glp_halo

if TYPE_CHECKING:
    from pathlib import Path

PHASES = st.floats(0.0, 1.0, allow_nan=False)
GAINS = st.floats(0.08, 0.6)
RATIOS = st.floats(1.5, 9.0)


@given(PHASES)
def test_interp23_is_a_partition_of_unity(phase: float) -> None:
    weights = Interp23()(np.arange(-13, 14) - phase)
    assert weights.sum() == pytest.approx(1.0, abs=1e-6)


@given(PHASES)
def test_interp23_keeps_lines(phase: float) -> None:
    at = np.arange(-13.0, 14.0)
    assert (Interp23()(at - phase) * at).sum() == pytest.approx(phase, abs=1e-5)


def test_interp23_keeps_samples() -> None:
    weights = Interp23()(np.arange(-12.0, 13.0))
    np.testing.assert_array_equal(weights, np.arange(-12, 13) == 0)


def test_interp23_has_the_published_taps_at_halves() -> None:
    taps = [0.305334091185, -0.072698593239, 0.021809577942, -0.005192756653]
    taps += [0.000807762146, -0.000060081482]
    ours = Interp23()(np.arange(6) + 0.5)
    # The published taps carry the gain 2 of the zero grid, split over both sides.
    np.testing.assert_allclose(ours, 2 * np.array(taps), atol=1e-11)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_interp23_equals_the_toolbox_impulse(ratio: int) -> None:
    impulse = np.zeros((64, 64))
    impulse[32, 32] = 1.0
    row = filters.interp23(impulse, ratio)[32 * ratio + ratio // 2]
    distance = (np.arange(64 * ratio) - ratio // 2) / ratio - 32
    np.testing.assert_allclose(Interp23()(distance), row, atol=1e-9)


def test_mtf_gaussian_equals_the_golden_rows(golden: Path) -> None:
    table = json.loads((golden / "golden.json").read_text())["mtf"]
    assert len(table) == 6
    for entry in table.values():
        gains = np.atleast_1d(entry["ms_gains"])
        rows = np.atleast_2d(entry["centre_row"])
        for gain, row in zip(gains, rows, strict=True):
            _same_row(4, float(gain), np.asarray(row))


def _same_row(ratio: float, gain: float, row: np.ndarray) -> None:
    # The 2-D kernel is nearly the product of two such profiles; along its middle row the product
    # lies a little below it, and above it off the axes.
    ours = _axis(ratio, gain)
    held = np.abs(np.arange(-20, 21)) <= MtfGaussian(ratio, gain).radius
    np.testing.assert_allclose((ours * ours[20])[held], row[held], rtol=0, atol=3e-5 * row[20])
    assert np.abs(row[~held]).max(initial=0.0) <= 1e-8 * row[20]


def _axis(ratio: float, gain: float) -> np.ndarray:
    return MtfGaussian(ratio, float(gain))(np.arange(-20.0, 21.0))


@pytest.mark.parametrize("gain", [0.15, 0.22, 0.30, 0.365])
@pytest.mark.parametrize("ratio", [2, 4])
def test_mtf_gaussian_equals_the_toolbox_row(gain: float, ratio: int) -> None:
    kernel = filters.mtf_kernel_from_gain(gain, ratio)
    _same_row(ratio, gain, kernel[20])


@pytest.mark.parametrize("gain", [0.15, 0.30, 0.365])
def test_no_other_product_of_profiles_comes_nearer_to_the_kernel(gain: float) -> None:
    kernel = filters.mtf_kernel_from_gain(gain, 4)
    ours = _axis(4, gain)
    sizes = np.linalg.svd(kernel, compute_uv=False)
    assert np.linalg.norm(np.outer(ours, ours) - kernel) <= 1.01 * np.linalg.norm(sizes[1:])


@given(GAINS, st.sampled_from([2, 4]))
def test_outer_product_is_the_kernel_nearly(gain: float, ratio: int) -> None:
    kernel = filters.mtf_kernel_from_gain(gain, ratio)
    ours = _axis(ratio, gain)
    product = np.outer(ours, ours)
    assert np.abs(product - kernel).max() <= 3e-5 * kernel.max()
    assert product.sum() == pytest.approx(kernel.sum(), abs=2e-5)


@given(GAINS, RATIOS)
def test_mtf_gaussian_is_zero_beyond_its_radius(gain: float, ratio: float) -> None:
    kernel = MtfGaussian(ratio, gain)
    assert not kernel(np.linspace(kernel.radius + 1e-9, 45.0, 80)).any()


@given(st.floats(0.1, 0.42), st.floats(1.5, 4.5))
def test_what_the_radius_cuts_off_is_nothing(gain: float, ratio: float) -> None:
    taps = np.arange(-20.0, 21.0)
    alpha = 20.0 / ratio / math.sqrt(-2.0 * math.log(gain))
    k = np.arange(-20, 21)
    full = np.cos(np.outer(taps, k) * (2 * math.pi / 41)) @ np.exp(-(k**2) / (2 * alpha**2)) / 41
    outside = np.abs(taps) > MtfGaussian(ratio, gain).radius
    assert np.abs(full[outside]).max(initial=0.0) <= 1e-7 * full.max()


@pytest.mark.parametrize(("ratio", "gain"), [(2.0, 0.3), (1.5, 0.2), (3.0, 0.5)])
def test_ringing_designs_keep_all_taps(ratio: float, gain: float) -> None:
    assert MtfGaussian(ratio, gain).radius == 20.0
    assert MtfGaussian(4.0, 0.3).radius == 13.0


@given(st.lists(GAINS, min_size=2, max_size=5), RATIOS)
def test_the_smallest_gain_reaches_farthest(gains: list[float], ratio: float) -> None:
    radii = [MtfGaussian(ratio, g).radius for g in gains]
    assert MtfGaussian(ratio, min(gains)).radius == max(radii)


@pytest.mark.parametrize("gain", [0.2, 0.3, 0.4])
def test_mtf_gaussian_has_the_gain_at_nyquist(gain: float) -> None:
    taps = np.arange(-20.0, 21.0)
    weights = MtfGaussian(4, gain)(taps)
    response = (weights * np.cos(2 * math.pi * taps / 8)).sum() / weights.sum()
    # The window widens the response a little: 0.2827 for 0.30 in two dimensions.
    assert response == pytest.approx(gain, rel=0.08)


def test_legacy_design_is_that_of_gauss_lp() -> None:
    impulse = np.zeros((61, 61))
    impulse[30, 30] = 1.0
    row = filters.gauss_lp(impulse, 4)[30, 10:51]
    ours = MtfGaussian(4, 0.3, legacy=True)(np.arange(-20.0, 21.0))
    np.testing.assert_allclose(ours * ours[20], row, atol=3e-5 * row[20])
    assert np.abs(_axis(4, 0.3) - ours).max() > 1e-4


@pytest.mark.parametrize("ratio", [2, 4])
def test_binomial_equals_the_atrous_impulse(ratio: int) -> None:
    impulse = np.zeros((65, 65))
    impulse[32, 32] = 1.0
    row = filters.atrous_lp(impulse, ratio)[32]
    kernel = Binomial.for_ratio(ratio)
    ours = kernel(np.arange(65.0) - 32)
    np.testing.assert_allclose(ours * ours[32], row, atol=1e-13)
    assert ours.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("ratio", "order"), [(1.5, 8), (2, 8), (2.7, 8), (4, 16), (6, 24)])
def test_binomial_grows_with_the_ratio(ratio: float, order: int) -> None:
    assert Binomial.for_ratio(ratio).order == order


@given(PHASES)
def test_cubic_is_a_partition_of_unity(phase: float) -> None:
    assert Cubic()(np.arange(-3, 4) - phase).sum() == pytest.approx(1.0, abs=1e-12)


@given(st.sampled_from([UP, Cubic(), Cubic(4), Binomial(16), MtfGaussian(4, 0.3)]), PHASES)
def test_kernels_are_even_and_end(kernel, phase: float) -> None:
    distance = np.array([phase * kernel.radius])
    np.testing.assert_array_equal(kernel(distance), kernel(-distance))
    assert kernel(np.array([25.0]))[0] == 0.0


@given(RATIOS, st.lists(GAINS, min_size=1, max_size=4))
def test_glp_halo_covers_blur_and_interpolation(ratio: float, gains: list[float]) -> None:
    blur = max(MtfGaussian(ratio, g).radius for g in gains)
    assert glp_halo(ratio, tuple(gains)) >= ratio * UP.radius + blur
