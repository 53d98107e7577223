"""Losses for cubes: laws, and numbers of the authors' code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pansharp.errors import OptionError
from pansharp.models.layers.cube_losses import (
    band_balance_loss,
    hyfusion_loss,
    sam_loss,
    stationary_wavelet,
    swt_loss,
)

DB2 = [x / (4 * math.sqrt(2)) for x in (1 - 3**0.5, 3 - 3**0.5, 3 + 3**0.5, 1 + 3**0.5)]


def wave(phase, size):
    values = size * np.sin(0.37 * np.arange(2 * 3 * 12 * 16) + phase)
    return torch.from_numpy(values.reshape(2, 3, 12, 16)).float()


A, B = wave(0.3, 1.0), wave(1.9, 0.8)


@pytest.mark.parametrize(
    ("lowpass", "expected"), [([0.5, 0.5], None), (None, 0.0397592634), (DB2, 0.0318414607)]
)
def test_wavelet_loss_gives_the_numbers_of_the_authors_code(lowpass, expected):
    # HyperspectralSWTLoss of HSSDCT (repository jemmyleee/HSSDCT) with PyWavelets' haar and db2.
    if expected is None:
        # Any scale of the low-pass is divided out, that of the high-pass is not.
        parts = stationary_wavelet(A, lowpass)[0]
        haar = stationary_wavelet(A)[0]
        torch.testing.assert_close(parts[0], haar[0])
        torch.testing.assert_close(parts[3] * 2, haar[3])
        return
    given = {} if lowpass is None else {"lowpass": lowpass}
    assert float(swt_loss(A, B, **given)) == pytest.approx(expected, rel=1e-6)


def test_haar_bands_are_means_and_differences():
    x = torch.arange(12.0).view(1, 1, 3, 4).square()
    ll, lh, hl, hh = stationary_wavelet(x)[0]
    left, above = x.roll(1, -1), x.roll(1, -2)
    both = left.roll(1, -2)
    torch.testing.assert_close(ll, (x + left + above + both) / 4)
    torch.testing.assert_close(lh, (above + both - x - left) * 2**-1.5)
    torch.testing.assert_close(hl, (left + both - x - above) * 2**-1.5)
    torch.testing.assert_close(hh, (x - left - above + both) / 2)


def test_wavelets_ignore_a_circular_shift_and_see_a_constant_in_ll_only():
    moved = swt_loss(A.roll((2, 5), (-2, -1)), B.roll((2, 5), (-2, -1)), lowpass=DB2, levels=2)
    torch.testing.assert_close(moved, swt_loss(A, B, lowpass=DB2, levels=2))
    for level in stationary_wavelet(torch.full((1, 1, 8, 8), 3.0), DB2, levels=2):
        torch.testing.assert_close(level[0], torch.full((1, 1, 8, 8), 3.0))
        assert max(float(part.abs().max()) for part in level[1:]) < 1e-6
    twice = stationary_wavelet(A, levels=2)[1][0]
    torch.testing.assert_close(
        twice, sum(A.roll((i, j), (-2, -1)) for i in range(4) for j in range(4)) / 16
    )


def test_wavelet_loss_sums_bands_and_weighs_details():
    assert float(swt_loss(A, A)) == 0
    torch.testing.assert_close(
        swt_loss(A.repeat(1, 2, 1, 1), B.repeat(1, 2, 1, 1)), 2 * swt_loss(A, B)
    )
    lh, hl, hh = stationary_wavelet(A - B)[0][1:]
    expected = 3 * (1 * lh.abs().mean() + 2 * hl.abs().mean() + 3 * hh.abs().mean())
    torch.testing.assert_close(swt_loss(A, B, weights=(0, 1, 2, 3)), expected)
    assert float(swt_loss(A, A + 1, weights=(1, 1, 1, 1))) == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize(
    "given", [{"lowpass": [1.0]}, {"lowpass": [1.0, -1.0]}, {"levels": 0}], ids=str
)
def test_impossible_wavelets_are_named(given):
    with pytest.raises(OptionError, match=next(iter(given))):
        swt_loss(A, B, **given)


def test_spectral_angle_is_one_minus_the_cosine():
    x = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
    y = torch.tensor([1.0, 1.0]).view(1, 2, 1, 1)
    assert float(sam_loss(x, y)) == pytest.approx(1 - 0.5**0.5, rel=1e-6)
    assert float(sam_loss(x, 7 * x)) == pytest.approx(0, abs=1e-6)
    assert float(sam_loss(x, -x)) == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.3, 30.0])
def test_gradients_are_finite_where_spectra_agree_and_vanish(value):
    x = torch.full((1, 3, 8, 8), value, requires_grad=True)
    loss = hyfusion_loss(x, torch.full((1, 3, 8, 8), value)) + band_balance_loss(x, x.detach())
    (gradient,) = torch.autograd.grad(loss + sam_loss(x, x.detach()), x)
    assert gradient.isfinite().all()


def test_band_balance_gives_the_number_of_the_authors_code():
    # BandWiseMSE of CSAKD and HSSDCT.
    assert float(band_balance_loss(A, B)) == pytest.approx(0.9794845581, rel=1e-6)


def test_sum_takes_the_angle_on_values_from_zero():
    pixel, angle = (A - B).abs().mean(), sam_loss((A + 1) / 2, (B + 1) / 2)
    torch.testing.assert_close(hyfusion_loss(A, B), pixel + 0.1 * angle + swt_loss(A, B))
    torch.testing.assert_close(hyfusion_loss(A, B, sam=0, swt=0), pixel)
    torch.testing.assert_close(
        hyfusion_loss(A, B, swt=0, value_range=(0, 1)), pixel + 0.1 * sam_loss(A, B)
    )
