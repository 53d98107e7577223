"""Filters against the reference toolbox's numbers, and their laws."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp import filters
from pansharp.errors import GridMismatchError, OptionError, UnknownSensorError

if TYPE_CHECKING:
    from pathlib import Path

SENSORS = ("QB", "IKONOS", "GeoEye1", "WV2", "WV3", "none")
SCENES = ("synth4", "synth8", "landsat8", "wv2_rr")


@pytest.fixture(scope="module")
def table(golden: Path) -> dict:
    return json.loads((golden / "golden.json").read_text())


@pytest.fixture(scope="module")
def primitives(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "primitives.npz") as file:
        return {
            name: file[name].transpose(2, 0, 1) if file[name].ndim == 3 else file[name]
            for name in file.files
        }


def close(value: np.ndarray, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    expected = np.asarray(expected)
    np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("sensor", SENSORS)
def test_kernels_of_every_sensor_match_the_toolbox(table: dict, sensor: str) -> None:
    entry = table["mtf"][sensor]
    count = len(entry["ms_gains"])
    kernels = filters.mtf_kernels(sensor, 4, count)
    assert kernels.shape == (count, 41, 41)
    for band, kernel in enumerate(kernels):
        np.testing.assert_array_equal(kernel, filters.mtf_kernel(sensor, 4, band))
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), entry["kernel_sum"], rtol=1e-12)
    close(kernels[:, 20], entry["centre_row"])
    np.testing.assert_allclose(
        np.trace(kernels, axis1=1, axis2=2), entry["diagonal_sum"], rtol=1e-12
    )
    pan = filters.mtf_kernel(sensor, 4, "pan")
    assert pan.sum() == pytest.approx(entry["pan_kernel_sum"], rel=1e-12)
    close(pan[20], entry["pan_centre_row"])


@pytest.mark.parametrize("sensor", ["QB", "WV3"])
def test_whole_kernels_match_the_toolbox(primitives: dict, sensor: str) -> None:
    expected = primitives[f"mtf_{sensor}"]
    close(filters.mtf_kernels(sensor, 4, len(expected)), expected)


def test_kernel_at_ratio_two_matches_the_toolbox(table: dict) -> None:
    entry = table["mtf_ratio2_gain0.3"]
    kernel = filters.mtf_kernel_from_gain(0.3, 2)
    assert kernel.sum() == pytest.approx(entry["sum"], rel=1e-12)
    close(kernel[20], entry["centre_row"])


def test_kernel_is_neither_normalised_nor_writable() -> None:
    kernel = filters.mtf_kernel_from_gain(0.34, 4)
    assert kernel.sum() == pytest.approx(0.998869305, abs=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        kernel[0, 0] = 1.0


def test_gaofen2_falls_to_the_gain_of_unknown_sensors() -> None:
    np.testing.assert_array_equal(
        filters.mtf_kernel("GF2", 4, 2), filters.mtf_kernel_from_gain(0.30, 4)
    )
    np.testing.assert_array_equal(
        filters.mtf_kernel("GF2", 4, "pan"), filters.mtf_kernel_from_gain(0.15, 4)
    )


def test_kernel_takes_a_gain_or_a_profile() -> None:
    from pansharp.sensors import get_sensor

    np.testing.assert_array_equal(
        filters.mtf_kernel(0.32, 4, 0), filters.mtf_kernel(get_sensor("QB"), 4, 1)
    )
    np.testing.assert_array_equal(
        filters.mtf_kernels(0.32, 4, 3)[2], filters.mtf_kernel("QB", 4, 1)
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: filters.mtf_kernel_from_gain(1.5, 4), "between 0 and 1"),
        (lambda: filters.mtf_kernel_from_gain(0.3, 0.25), "above 1"),
        (lambda: filters.mtf_kernel("QB", 4, "red"), "'pan'"),
        (lambda: filters.mtf_kernel("QB", 4, -1), "negative"),
        (lambda: filters.interp23(np.ones((2, 8, 8)), 3), "power of two"),
        (lambda: filters.interp23(np.ones((2, 8, 8)), 0.25), "power of two"),
        (lambda: filters.interp23(np.ones(8), 4), "non-empty"),
        (lambda: filters.decimate(np.ones((10, 8)), 4), "crop it to 8x8"),
        (lambda: filters.decimate(np.ones((8, 8)), 0), "whole number"),
        (lambda: filters.imresize(np.ones((8, 8)), 0.5, "lanczos"), "bicubic, bilinear"),
        (lambda: filters.imresize(np.ones((8, 8)), -1), "not positive"),
        (lambda: filters.atrous_lp(np.ones((8, 8)), 3), "power of two"),
        (lambda: filters.correlate_replicate(np.ones((8, 8)), np.ones((2, 2))), "odd"),
        (lambda: filters.correlate_replicate(np.ones((2, 8, 8)), np.ones((3, 3, 3))), "3 kernels"),
        (lambda: filters.degrade(np.ones((8, 8)), np.ones((32, 32)), ratio=4, sensor=0.3), "band"),
    ],
)
def test_impossible_requests_say_what_to_do(call, text: str) -> None:
    with pytest.raises(OptionError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_unknown_sensor_and_wrong_pan() -> None:
    with pytest.raises(UnknownSensorError):
        filters.mtf_kernel("WV33333", 4, 0)
    with pytest.raises(GridMismatchError, match="must be 32x32"):
        filters.degrade(np.ones((2, 8, 8)), np.ones((30, 32)), ratio=4, sensor=0.3)


def test_primitives_match_the_toolbox(primitives: dict) -> None:
    image = primitives["input"]
    for ratio in (2, 4):
        close(filters.interp23(image, ratio), primitives[f"interp23_x{ratio}"])
    for method in ("bicubic", "bilinear"):
        close(filters.imresize(image, 0.25, method), primitives[f"imresize_{method}_div4"])
        close(filters.imresize(image, 4, method), primitives[f"imresize_{method}_x4"])
    close(filters.imresize(image, (4, 3)), primitives["imresize_bicubic_div4"])
    nearest = primitives["imresize_nearest_div4"]
    np.testing.assert_array_equal(filters.imresize(image, 0.25, "nearest"), nearest)
    np.testing.assert_array_equal(filters.decimate(image, 4), nearest)
    low = filters.atrous_lp(image[0], 4)
    close(low, primitives["atrous_lp_band0"])
    close(filters.decimate(low, 4), primitives["atrous_lp_dec4_band0"])
    close(filters.gauss_lp(image[0], 4), primitives["gauss_lp_band0"])


@pytest.mark.parametrize("name", SCENES)
def test_degraded_scenes_match_the_toolbox(golden: Path, table: dict, name: str) -> None:
    entry = table["scenes"][name]
    with np.load(golden / f"{name}.npz") as file:
        stored = {key: file[key] for key in file.files if not key.startswith("out/")}
    truth, pan = stored["gt"].transpose(2, 0, 1), stored["pan"]
    for sensor, expected in entry["degraded_ms"].items():
        low, low_pan = filters.degrade(truth, pan, ratio=4, sensor=sensor)
        np.testing.assert_allclose(low.mean(axis=(1, 2)), expected["mean"], rtol=1e-9)
        np.testing.assert_allclose(low.std(axis=(1, 2), ddof=1), expected["std"], rtol=1e-9)
        assert low.sum() == pytest.approx(expected["sum"], rel=1e-9)
        assert low.min() == pytest.approx(expected["min"], rel=1e-9)
        if f"degraded_ms/{sensor}" in stored:
            crop = stored[f"degraded_ms/{sensor}"].transpose(2, 0, 1)
            close(_centre(low, crop.shape[1]), crop)
            np.testing.assert_array_equal(np.floor(low + 0.5), stored["ms_lr"].transpose(2, 0, 1))
    assert low_pan.mean() == pytest.approx(entry["degraded_pan_bicubic"]["mean"][0], rel=1e-9)
    assert low_pan.std(ddof=1) == pytest.approx(entry["degraded_pan_bicubic"]["std"][0], rel=1e-9)
    close(_centre(low_pan, 16), stored["degraded_pan"])
    up = filters.interp23(stored["ms_lr"].transpose(2, 0, 1), 4)
    np.testing.assert_allclose(up.mean(axis=(1, 2)), entry["exp_stats"]["mean"], rtol=1e-9)
    np.testing.assert_allclose(up.std(axis=(1, 2), ddof=1), entry["exp_stats"]["std"], rtol=1e-9)
    close(_centre(up, 32), stored["exp"].transpose(2, 0, 1))


def _centre(image: np.ndarray, size: int) -> np.ndarray:
    row, col = (side // 2 - size // 2 for side in image.shape[-2:])
    return image[..., row : row + size, col : col + size]


def test_degrade_keeps_the_form_of_the_pan(rng: np.random.Generator) -> None:
    ms, pan = rng.random((2, 8, 12)), rng.random((32, 48))
    low, flat = filters.degrade(ms, pan, ratio=4, sensor="none")
    _, deep = filters.degrade(ms, pan[None], ratio=4, sensor="none")
    assert low.shape == (2, 2, 3)
    assert flat.shape == (8, 12)
    assert deep.shape == (1, 8, 12)
    np.testing.assert_array_equal(deep[0], flat)


@given(rows=st.integers(1, 40), cols=st.integers(1, 40), ratio=st.sampled_from([1, 2, 4, 8, 16]))
def test_interpolation_keeps_samples_and_constants(rows: int, cols: int, ratio: int) -> None:
    low = np.random.default_rng(rows * 41 + cols).random((rows, cols))
    fine = filters.interp23(low, ratio)
    assert fine.shape == (rows * ratio, cols * ratio)
    # First doubling on odd places, later ones on even: sample i lands on ratio * i + ratio / 2.
    np.testing.assert_array_equal(fine[ratio // 2 :: ratio, ratio // 2 :: ratio], low)
    flat = filters.interp23(np.full((rows, cols), 7.0), ratio)
    np.testing.assert_allclose(flat, 7.0, rtol=1e-6)


def test_interpolation_is_circular(rng: np.random.Generator) -> None:
    low = rng.random((2, 24, 20))
    rolled = filters.interp23(np.roll(low, (3, 5), axis=(1, 2)), 4)
    np.testing.assert_array_equal(rolled, np.roll(filters.interp23(low, 4), (12, 20), axis=(1, 2)))


@pytest.mark.parametrize("shape", [(5, 7), (300, 301), (2, 50, 60)])
def test_correlation_equals_the_direct_sum(rng: np.random.Generator, shape: tuple) -> None:
    from scipy import ndimage

    image = rng.random(shape) * 2000
    planes = image if image.ndim == 3 else image[None]
    kernels = rng.random((len(planes), 5, 9))
    expected = np.stack(
        [ndimage.correlate(p, k, mode="nearest") for p, k in zip(planes, kernels, strict=True)]
    )
    result = filters.correlate_replicate(planes, kernels)
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    if image.ndim == 2:
        flat = filters.correlate_replicate(image, kernels[0])
        np.testing.assert_array_equal(flat, result[0])


def test_float32_stays_and_integers_become_float64(rng: np.random.Generator) -> None:
    image = rng.integers(0, 2000, (2, 16, 16))
    calls = (
        lambda x: filters.interp23(x, 4),
        lambda x: filters.imresize(x, 0.25),
        lambda x: filters.correlate_replicate(x, filters.mtf_kernel(0.3, 4, 0)),
        lambda x: filters.atrous_lp(x, 4),
        lambda x: filters.degrade(x, x[0], ratio=4, sensor=0.3)[0],
    )
    for call in calls:
        exact = call(image.astype(np.uint16))
        assert exact.dtype == np.float64
        single = call(image.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, exact, rtol=2e-5, atol=0.01)


@given(
    length=st.integers(1, 30),
    out=st.integers(1, 60),
    method=st.sampled_from(["bicubic", "bilinear", "nearest"]),
)
def test_resizing_keeps_constants_at_any_size(length: int, out: int, method: str) -> None:
    result = filters.imresize(np.full((length, 5), 3.0), (out, 5), method)
    assert result.shape == (out, 5)
    np.testing.assert_allclose(result, 3.0, rtol=1e-12)


def test_windowed_resizing_equals_the_whole(rng: np.random.Generator) -> None:
    image = rng.random((1, 48, 4))
    weights = filters.resize_weights(48, 12, 0.25)
    whole = weights.apply(image, 1, 0, 12, 0)
    for start, stop in ((0, 3), (4, 9), (11, 12)):
        first, last = weights.span(start, stop)
        part = weights.apply(image[:, first:last], 1, start, stop, first)
        np.testing.assert_array_equal(part, whole[:, start:stop])
