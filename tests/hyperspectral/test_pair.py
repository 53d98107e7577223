"""What is measured of a pair: blur, shift, response of the guide, bands without data."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.errors import BandMismatchError, SceneError
from pansharp.geometry.grids import Window
from pansharp.hyperspectral import prepare_pair, response_facts
from pansharp.models.hyperspectral.response import fit_response
from pansharp.models.hyperspectral.statistics import PairStatistics
from pansharp.options import FuseOptions
from pansharp.scene import Scene
from pansharp.sensors import get_sensor
from pansharp.source import ArraySource, ScreenedSource, empty_bands

if TYPE_CHECKING:
    from pathlib import Path

WAVES = tuple(np.linspace(400.0, 980.0, 30))


def options(**values: object) -> FuseOptions:
    return FuseOptions.checked(model="gsa-hs", **values)


def test_blur_and_shift_are_found(new_cube) -> None:
    made = new_cube(ratio=4, size=32)
    pair = prepare_pair(made.scene.shifted(0.75, -0.5), options())
    assert pair.found is not None
    assert pair.found.sigma == 0.5
    assert pair.applied == (-0.75, 0.5)
    assert pair.found.r2_after > 0.999 > pair.found.r2_before
    assert pair.facts.extra["gains_source"] == "measured"


def test_a_given_shift_and_gain_are_believed(new_cube) -> None:
    made = new_cube(ratio=4, size=32)
    pair = prepare_pair(made.scene, options(coregister="0.5,1", mtf="0.2"))
    assert pair.applied == (1.0, 0.5)
    assert pair.facts.ms_gains == pytest.approx((0.2,) * 30)
    assert pair.found is None
    off = prepare_pair(made.scene, options(coregister="off", mtf="table"))
    assert off.applied == (0.0, 0.0)
    assert off.facts.extra["gains_source"] == "assumed"


def test_a_tiny_scene_is_not_scanned(new_cube) -> None:
    pair = prepare_pair(new_cube(size=6).scene, options())
    assert pair.found is None
    assert any("too small to measure" in text for text in pair.warnings)


def test_a_guide_of_other_ground_is_doubted(new_cube) -> None:
    made, other = new_cube(size=32), new_cube(size=32, seed=8)
    odd = replace(made.scene, pan_source=other.scene.pan_source)
    assert any("explains only" in text for text in prepare_pair(odd, options()).warnings)


def test_response_is_estimated(new_cube) -> None:
    made = new_cube(members=8, size=32)
    pair = prepare_pair(made.scene, options())
    facts = response_facts(pair)["bands"]
    assert [band["source"] for band in facts] == ["estimated"] * 4
    assert all(band["r2"] > 0.99 for band in facts)
    assert any("no wavelengths" in text for text in pair.warnings)


def test_response_is_not_negative_and_explains_the_guide(new_cube) -> None:
    made = new_cube(members=8, size=32)
    low = made.scene.ms_source.read(Window(0, 0, 32, 32)).reshape(30, -1).astype(np.float64)
    guide = made.weights @ low + 7.0
    both = np.vstack([np.ones((1, low.shape[1])), low, guide])
    response = fit_response(PairStatistics.of({"pair": both @ both.T}, 30), made.facts)
    assert response.weights.min() >= 0
    assert response.r2.min() > 0.995
    np.testing.assert_allclose(response.offsets, 7.0, atol=60)
    table = replace(made.facts, extra={"guide_curves": 2 * made.weights})
    known = fit_response(PairStatistics.of({"pair": both @ both.T}, 30), table)
    assert known.sources == ("table",) * 4
    np.testing.assert_allclose(known.weights, made.weights, rtol=1e-6)
    wrong = replace(made.facts, extra={"guide_curves": made.weights[::-1]})
    free = fit_response(PairStatistics.of({"pair": both @ both.T}, 30), wrong)
    assert set(free.sources) == {"estimated"}


def test_response_comes_from_the_sensor(new_cube) -> None:
    made = new_cube(members=8)
    guide = made.scene.pan_source.read(Window(0, 0, 96, 96))
    names = ("blue", "green", "red", "nir1")
    scene = replace(
        made.scene,
        wavelengths=WAVES,
        sensor=get_sensor("worldview3"),
        pan_source=ArraySource(guide, band_names=names),
    )
    curves = prepare_pair(scene, options()).facts.extra["guide_curves"]
    assert np.isfinite(curves).all()
    centres = curves @ np.asarray(WAVES)
    np.testing.assert_allclose(centres, [480, 546, 660, 832], atol=12)


def test_a_guide_beyond_the_range_is_refused(new_cube) -> None:
    made = new_cube()
    scene = replace(
        made.scene,
        wavelengths=WAVES,
        guide_wavelengths=(1650.0, 2200.0, 2100.0, 2000.0),
        guide_widths=(90.0,) * 4,
    )
    with pytest.raises(BandMismatchError, match=r"outside the range of the HSI \(400 to 980 nm\)"):
        prepare_pair(scene, options())
    part = replace(scene, guide_wavelengths=(500.0, 2200.0, 600.0, 700.0))
    pair = prepare_pair(part, options())
    assert any("1 guide bands (2200 nm)" in text for text in pair.warnings)
    assert np.isnan(pair.facts.extra["guide_curves"][1]).all()


def test_empty_bands_are_found() -> None:
    data = np.ones((4, 20, 20), np.int16)
    data[1] = -99
    data[2, :10] = -99
    assert empty_bands(ArraySource(data, nodata=-99)) == (1,)
    floats = data.astype(np.float32)
    floats[3] = np.nan
    assert empty_bands(ArraySource(floats, nodata=-99)) == (1, 3)
    assert empty_bands(ArraySource(data)) == ()
    with pytest.raises(SceneError, match="no data in any band"):
        empty_bands(ArraySource(np.full((2, 4, 4), np.nan, np.float32)))


def test_screened_pixels() -> None:
    data = np.ones((4, 20, 20), np.int16)
    data[1] = -99
    data[2, :10] = -99
    source = ScreenedSource(ArraySource(data, nodata=-99), (1,))
    valid = source.valid(Window(0, 0, 20, 20))
    assert valid is not None
    assert not valid[:10].any()
    assert valid[10:].all()
    assert source.cut(Window(10, 0, 5, 5)).valid(Window(0, 0, 5, 5)) is None
    assert source.select([1, 0]).unusable == (0,)
    assert not source.read(Window(0, 0, 2, 2))[1].any()
    # 0 is also a measurement.
    data[data == -99] = 0
    zero = ScreenedSource(ArraySource(data, nodata=0), (1,))
    assert zero.valid(Window(0, 0, 20, 20)) is None
    with pytest.raises(SceneError, match="all bands"):
        ScreenedSource(ArraySource(data), range(4))


def test_bands_without_data_are_restored(new_cube) -> None:
    from pansharp import fuse

    made = new_cube()
    source = made.scene.ms_source.read(Window(0, 0, 24, 24)).copy()
    source[[3, 17]] = np.nan
    source[:, 2, 2] = np.nan
    guide = made.scene.pan_source.read(Window(0, 0, 96, 96))
    scene = Scene.from_arrays(guide, source, alignment=made.scene.alignment)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        product = fuse(scene, "gsa-hs", card=False)
        clean = fuse(made.scene, "gsa-hs", card=False)
    values = product.values
    assert values.shape == (30, 96, 96)
    assert np.isnan(values[[3, 17]]).all()
    others = [b for b in range(30) if b not in (3, 17)]
    assert np.isfinite(values[others][:, 20:, 20:]).all()
    assert np.isnan(values[:, 9, 9]).all()
    spread = clean.values.std(axis=(1, 2), keepdims=True)
    assert (np.abs(values - clean.values) / spread)[others][:, 50:, 50:].max() < 0.2


def test_envi_headers_flag_bands(tmp_path: Path) -> None:
    import rasterio

    from pansharp.readers._metadata import flagged_bands, wavelengths, widths

    path = tmp_path / "cube.img"
    data = np.ones((3, 8, 8), np.uint16)
    profile = {"driver": "ENVI", "count": 3, "height": 8, "width": 8, "dtype": "uint16"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile) as new:
            new.write(data)
        header = tmp_path / "cube.hdr"
        header.write_text(
            header.read_text()
            + "wavelength = {0.45, 0.55, 0.65}\nwavelength units = Micrometers\n"
            + "fwhm = {0.01, 0.01, 0.02}\nbbl = {1, 0, 1}\n"
        )
        with rasterio.open(path) as dataset:
            assert flagged_bands(dataset) == (1,)
            assert wavelengths(dataset, (1, 2, 3)) == (450.0, 550.0, 650.0)
            assert widths(dataset, (1, 2, 3)) == (10.0, 10.0, 20.0)
