from __future__ import annotations

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from pansharp.errors import OptionError, UnknownSensorError, WriteError
from pansharp.geometry.grids import Alignment
from pansharp.large_scene import write_large_scene
from pansharp.simulate import (
    band_response,
    load_indian_pines,
    simulate_hsi_msi,
    simulate_pair,
    write_pair,
)

WAVELENGTHS = np.arange(400.0, 1000.0, 10.0)


@pytest.fixture(scope="module")
def cube() -> np.ndarray:
    """Sixty channels of a smooth spectrum over a structured field, (60, 34, 42) uint16."""
    rng = np.random.default_rng(3)
    field = rng.uniform(0.5, 1.5, (34, 42))
    spectrum = 1000.0 + 500.0 * np.sin(WAVELENGTHS / 90.0)
    return np.rint(spectrum[:, None, None] * field).astype(np.uint16)


class TestBandResponse:
    @settings(max_examples=40, deadline=None)
    @given(st.floats(420, 980), st.floats(5, 200), st.booleans())
    def test_weights_are_a_mean(self, centre: float, width: float, flat: bool) -> None:
        weights, coverage = band_response(WAVELENGTHS, centre, width, flat=flat)
        assert weights.min() >= 0.0
        assert weights.sum() == pytest.approx(1.0)
        assert 0.0 < coverage <= 1.0

    def test_order_of_channels_does_not_matter(self) -> None:
        shuffle = np.random.default_rng(0).permutation(WAVELENGTHS.size)
        weights, _ = band_response(WAVELENGTHS, 650.0, 60.0)
        mixed, _ = band_response(WAVELENGTHS[shuffle], 650.0, 60.0)
        np.testing.assert_allclose(mixed, weights[shuffle], atol=1e-15)

    def test_gaussian_has_half_maximum_at_half_width(self) -> None:
        fine = np.arange(400.0, 901.0, 1.0)
        weights, _ = band_response(fine, 650.0, 100.0)
        assert weights[fine == 700.0][0] / weights[fine == 650.0][0] == pytest.approx(0.5, abs=1e-3)

    def test_outside_is_not_covered(self) -> None:
        weights, coverage = band_response(WAVELENGTHS, 1650.0, 40.0)
        assert coverage == 0.0
        assert not weights.any()

    def test_gap_counts_as_missing(self) -> None:
        gapped = np.concatenate([np.arange(400.0, 600.0, 10.0), np.arange(700.0, 900.0, 10.0)])
        _, coverage = band_response(gapped, 650.0, 60.0)
        assert coverage < 0.2


class TestPair:
    def test_shapes_names_and_dtype(self, cube: np.ndarray) -> None:
        pair = simulate_pair(cube, WAVELENGTHS, ratio=4)
        assert pair.pan.shape == (32, 40)
        assert pair.ms.shape == (8, 8, 10)
        assert pair.reference.shape == (8, 32, 40)
        assert pair.pan.dtype == pair.ms.dtype == pair.reference.dtype == np.uint16
        assert pair.band_names[:3] == ("coastal", "blue", "green")
        assert pair.alignment == Alignment.corner(4.0)
        assert not pair.dropped

    def test_bands_out_of_sight_are_named(self, cube: np.ndarray) -> None:
        visible = WAVELENGTHS < 820.0
        pair = simulate_pair(cube[visible], WAVELENGTHS[visible], ratio=2)
        assert pair.dropped == ("nir1", "nir2")
        assert len(pair.band_names) == len(pair.reference) == 6

    def test_constant_cube_stays_constant(self) -> None:
        flat = np.full((60, 24, 24), 700.0, dtype=np.float32)
        pair = simulate_pair(flat, WAVELENGTHS, ratio=4, noise=False)
        for image in (pair.pan, pair.ms, pair.reference):
            np.testing.assert_allclose(image, 700.0, rtol=1e-5)
        assert pair.ms.dtype == np.float32

    def test_ms_sits_on_the_corner_aligned_grid(self) -> None:
        rows = np.arange(48, dtype=np.float32)
        ramp = np.broadcast_to(100.0 + rows[:, None], (60, 48, 48))
        pair = simulate_pair(np.ascontiguousarray(ramp), WAVELENGTHS, ratio=4, noise=False)
        # MS row 6 is centred between PAN rows 25 and 26.
        np.testing.assert_allclose(pair.ms[:, 6, 6], 100.0 + 25.5, rtol=1e-4)

    def test_noise_follows_the_seed_and_its_stated_size(self) -> None:
        flat = np.full((60, 96, 96), 900.0, dtype=np.float32)
        first = simulate_pair(flat, WAVELENGTHS, ratio=2, seed=5)
        again = simulate_pair(flat, WAVELENGTHS, ratio=2, seed=5)
        other = simulate_pair(flat, WAVELENGTHS, ratio=2, seed=6)
        np.testing.assert_array_equal(first.pan, again.pan)
        assert (first.pan != other.pan).mean() > 0.9
        assert first.pan.std() == pytest.approx(900.0 / 150.0, rel=0.05)
        assert first.ms.std(axis=(1, 2)).mean() == pytest.approx(900.0 / 300.0, rel=0.05)

    def test_reference_degraded_is_the_ms(self, cube: np.ndarray) -> None:
        pair = simulate_pair(cube.astype(np.float32), WAVELENGTHS, ratio=2, noise=False)
        mean = pair.reference.reshape(8, 17, 2, 21, 2).mean(axis=(2, 4))
        correlation = np.corrcoef(pair.ms.ravel(), mean.ravel())[0, 1]
        assert correlation > 0.98

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"ratio": 1}, "ratio is 1"),
            ({"ratio": 20}, "too small"),
            ({"wavelengths_nm": WAVELENGTHS[:5]}, "5 wavelengths"),
            ({"sensor": "prisma"}, "covers no band"),
        ],
    )
    def test_errors(self, cube: np.ndarray, change: dict[str, object], message: str) -> None:
        values = {"wavelengths_nm": WAVELENGTHS, **change}
        with pytest.raises(OptionError, match=message):
            simulate_pair(cube, **values)

    def test_unknown_sensor(self, cube: np.ndarray) -> None:
        with pytest.raises(UnknownSensorError):
            simulate_pair(cube, WAVELENGTHS, sensor="worldviev3x")

    def test_pan_must_be_covered(self, cube: np.ndarray) -> None:
        few = WAVELENGTHS < 600.0
        with pytest.raises(OptionError, match="% of the PAN range of WorldView-3"):
            simulate_pair(cube[few], WAVELENGTHS[few], ratio=2)


def test_hsi_and_msi(cube: np.ndarray) -> None:
    found = simulate_hsi_msi(cube, WAVELENGTHS, ratio=2)
    assert found.msi.shape == (8, 34, 42)
    assert found.hsi.shape == (60, 17, 21)
    np.testing.assert_array_equal(found.reference, cube)
    np.testing.assert_allclose(found.hsi.mean(), cube.mean(), rtol=0.01)
    with pytest.raises(OptionError, match="psf_gain"):
        simulate_hsi_msi(cube, WAVELENGTHS, psf_gain=1.0)


def test_written_pair_is_georeferenced(cube: np.ndarray, tmp_path: object) -> None:
    pair = simulate_pair(cube, WAVELENGTHS, ratio=2)
    paths = write_pair(pair, tmp_path, name="small")
    with (
        rasterio.open(paths[0]) as pan,
        rasterio.open(paths[1]) as ms,
        rasterio.open(paths[2]) as reference,
    ):
        assert pan.bounds == ms.bounds == reference.bounds
        assert ms.res == (40.0, 40.0)
        assert ms.descriptions == pair.band_names
        assert pan.crs.to_epsg() == 32616
        assert "placeholder" in pan.tags()["PANSHARP_SIMULATED"]
        np.testing.assert_array_equal(ms.read(), pair.ms)
    with pytest.raises(WriteError, match="cannot write"):
        write_pair(pair, paths[0].parent / "absent")


def test_indian_pines() -> None:
    pytest.importorskip("tensorly")
    pines, wavelengths = load_indian_pines()
    assert pines.shape == (200, 145, 145)
    assert pines.dtype == np.uint16
    assert wavelengths[0] == pytest.approx(400.02)
    pair = simulate_pair(pines, wavelengths, ratio=2)
    assert len(pair.band_names) == 8
    # Vegetation in June: near infrared is brighter than red.
    names = pair.band_names
    assert pair.ms[names.index("nir1")].mean() > 1.2 * pair.ms[names.index("red")].mean()


class TestLargeScene:
    def test_grid_and_consistency(self, tmp_path: object) -> None:
        pan_path, ms_path = write_large_scene(tmp_path, size=512, tile=256)
        with rasterio.open(pan_path) as pan, rasterio.open(ms_path) as ms:
            assert pan.bounds == ms.bounds
            assert pan.shape == (512, 512)
            assert ms.shape == (128, 128)
            assert pan.block_shapes == [(256, 256)]
            assert pan.compression is None
            assert ms.descriptions == ("blue", "green", "red", "nir")
            image, low = pan.read(1), ms.read()
        assert image.min() >= 1
        assert image.std() > 50.0
        mean = image.reshape(128, 4, 128, 4).mean(axis=(1, 3))
        assert np.corrcoef(low[1].ravel(), mean.ravel())[0, 1] > 0.98
        # A red spectrum: neighbours are alike, and there are borders.
        steps = np.abs(np.diff(image.astype(float), axis=1))
        assert np.median(steps) < 0.2 * image.std()
        assert steps.max() > 40.0

    def test_pixels_do_not_depend_on_the_tile(self, tmp_path: object) -> None:
        one = write_large_scene(f"{tmp_path}/one", size=516, bands=3, tile=256, ratio=2)
        two = write_large_scene(f"{tmp_path}/two", size=516, bands=3, tile=512, ratio=2)
        for first, second in zip(one, two, strict=True):
            with rasterio.open(first) as a, rasterio.open(second) as b:
                np.testing.assert_array_equal(a.read(), b.read())

    def test_seed_and_dtype(self, tmp_path: object) -> None:
        for dtype in ("uint8", "float32"):
            images = []
            for seed in (0, 1):
                path, _ = write_large_scene(
                    f"{tmp_path}/{seed}", size=256, tile=256, seed=seed, dtype=dtype
                )
                with rasterio.open(path) as raster:
                    assert raster.dtypes[0] == dtype
                    images.append(raster.read(1))
            assert (images[0] != images[1]).mean() > 0.9

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"size": 257}, "multiple of the ratio"),
            ({"tile": 100}, "tile is 100"),
            ({"dtype": "int8"}, "uint8, uint16, float32"),
            ({"bands": 0}, "bands is 0"),
        ],
    )
    def test_errors(self, tmp_path: object, change: dict[str, object], message: str) -> None:
        with pytest.raises(OptionError, match=message):
            write_large_scene(tmp_path, **{"size": 256, "tile": 256, **change})
