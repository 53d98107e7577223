from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.errors import OptionError
from pansharp.writers import DTYPES, quantize

INTEGERS = [name for name in DTYPES if "int" in name]


def cube(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 1, -1)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_halves_go_up_and_ends_are_clipped(dtype: str) -> None:
    got = quantize(cube(0.49, 0.5, 1.5, 2.4999, 1e20, -1e20, np.inf, -np.inf), dtype)
    info = np.iinfo(dtype)
    assert got.dtype == dtype
    assert got[0, 0, :4].tolist() == [0, 1, 2, 2]
    assert got[0, 0, [5, 7]].tolist() == [info.min, info.min]
    # 2**31 - 1 and 2**32 - 1 are not float32 numbers: the next smaller one is.
    assert info.max - 256 < int(got[0, 0, 4]) <= info.max
    assert got[0, 0, 6] == got[0, 0, 4]


def test_negative_numbers_are_floored() -> None:
    got = quantize(cube(-0.5, -0.51, -1.5, -1.49, -3.0), "int16")
    assert got[0, 0].tolist() == [0, -1, -1, -1, -3]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "uint16", "int16"]))
def test_against_the_definition(seed: int, dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.random.default_rng(seed).uniform(info.min - 9, info.max + 9, (2, 7, 9))
    x = x.astype(np.float32)
    expected = np.clip(np.floor(x + np.float32(0.5)), info.min, info.max)
    assert np.array_equal(quantize(x, dtype), expected.astype(dtype))


def test_large_arrays_are_worked_on_in_strips() -> None:
    x = np.random.default_rng(1).uniform(0, 2000, (2, 300, 700)).astype(np.float32)
    assert np.array_equal(quantize(x, "uint16"), np.floor(x + 0.5).astype(np.uint16))


@pytest.mark.parametrize("nodata", [0, 7, 65535])
def test_data_never_turns_into_nodata(nodata: int) -> None:
    x = cube(0, 1, 6.6, 7, 7.4, 65535, 70000, -5)
    got = quantize(x, "uint16", nodata=nodata)
    assert (got != nodata).all()
    plain = quantize(x, "uint16").astype(int)
    assert np.abs(got.astype(int) - plain).max() == 1
    assert (got.astype(int) == plain)[plain != nodata].all()


def test_invalid_pixels_get_nodata_or_zero() -> None:
    x = cube(5, 6, np.nan)
    valid = np.array([[True, False, True]])
    assert quantize(x, "uint16", valid=valid, nodata=9)[0, 0].tolist() == [5, 9, 9]
    assert quantize(x, "uint16", valid=valid)[0, 0].tolist() == [5, 0, 0]
    assert quantize(x, "int16", valid=valid, nodata=-32768)[0, 0].tolist() == [5, -32768, -32768]


def test_float_products() -> None:
    x = cube(5, 6, np.nan, -9999)
    valid = np.array([[True, False, True, True]])
    np.testing.assert_array_equal(
        quantize(x, "float32", valid=valid), cube(5, np.nan, np.nan, -9999)
    )
    got = quantize(x, "float32", valid=valid, nodata=-9999)[0, 0]
    assert got[:3].tolist() == [5, -9999, -9999]
    assert -9999 < got[3] < -9998.99


def test_input_is_kept_and_out_is_used() -> None:
    x = cube(1.2, 3.9)
    before = x.copy()
    out = np.empty(x.shape, np.uint8)
    assert quantize(x, "uint8", out=out) is out
    assert out[0, 0].tolist() == [1, 4]
    assert np.array_equal(x, before)
    with pytest.raises(OptionError, match="out is uint8"):
        quantize(x, "uint16", out=out)


@pytest.mark.parametrize(
    ("dtype", "nodata", "text"),
    [
        ("int8", None, "type 'int8' cannot be written"),
        ("complex64", None, "type 'complex64' cannot be written"),
        ("unit16", None, "did you mean 'uint16'"),
        ("uint8", 300, "nodata 300 cannot be stored as uint8; use a whole number from 0 to 255"),
        ("uint8", 1.5, "nodata 1.5"),
        ("int16", float("nan"), "nodata nan"),
    ],
)
def test_errors(dtype: str, nodata: float | None, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        quantize(cube(1), dtype, nodata=nodata)
