from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.errors import TilingError
from pansharp.tiling import BLEND_KINDS, profile
from pansharp.tiling.windows import ramp


@given(st.sampled_from(BLEND_KINDS), st.integers(0, 40), st.integers(0, 30))
def test_overlapping_profiles_sum_to_one(kind: str, overlap: int, extra: int) -> None:
    size = 2 * overlap + extra + 1
    step = size - overlap
    total = np.zeros(4 * size)
    for start in range(0, 4 * size - size + 1, step):
        total[start : start + size] += profile(kind, size, overlap)
    assert (total[overlap : 2 * size] == 1.0).all()


@given(st.sampled_from(["linear", "hann"]), st.integers(1, 200))
def test_ramps_are_complementary_and_rise(kind: str, overlap: int) -> None:
    weights = ramp(kind, overlap)
    assert (weights + weights[::-1] == 1.0).all()
    assert (np.diff(weights) > 0).all()
    assert 0 < weights[0] <= 0.5


def test_hann_values() -> None:
    # sin^2(pi/2 * (i + 1/2) / 2) = (1 -+ cos(pi/4)) / 2
    root = np.sqrt(0.5)
    np.testing.assert_allclose(ramp("hann", 2), [(1 - root) / 2, (1 + root) / 2])


def test_crop_is_a_step() -> None:
    assert ramp("crop", 5).tolist() == [0, 0, 1, 1, 1]


def test_errors() -> None:
    with pytest.raises(TilingError, match="did you mean 'hann'"):
        profile("hannn", 8, 2)
    with pytest.raises(TilingError, match="overlap of 5 does not fit tiles of 8"):
        profile("hann", 8, 5)
    with pytest.raises(TilingError, match="-1"):
        ramp("hann", -1)
