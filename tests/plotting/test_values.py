"""Numbers behind spectra, maps, statistics and power spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.errors import BandMismatchError, GridMismatchError, OptionError
from pansharp.evaluation import cc, ergas, sam
from pansharp.geometry.grids import Window
from pansharp.plotting import (
    SpectrumPicker,
    band_bars,
    band_errors,
    block_scores,
    compare,
    difference,
    gather,
    histograms,
    power_spectrum,
    radial_power,
    sam_map,
    scatter,
    spatial_frequency,
    spectra,
    spectrum,
)
from pansharp.plotting.maps import difference_map, spectral_angle
from pansharp.plotting.pairs import pair_of, spread_windows
from pansharp.plotting.samples import degraded_pairs
from pansharp.readers import open_scene
from pansharp.source import ArraySource

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from conftest import MakePair

SQUARE = [(1.6, 0.6), (5.4, 0.6), (5.4, 3.4), (1.6, 3.4)]


@pytest.fixture
def images(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.integers(200, 900, (4, 64, 96)).astype(np.uint16)
    return truth, (truth + rng.integers(-40, 60, truth.shape)).astype(np.uint16)


def test_spectrum_of_a_point_is_that_of_its_pixel(images: tuple[np.ndarray, np.ndarray]) -> None:
    truth, _ = images
    low = truth.reshape(4, 16, 4, 24, 4).mean(axis=(2, 4))
    layers, frame = gather(truth, ms=low)
    found = spectra(layers, frame, points={"a": (11.4, 7.6)}, coords="pixel")
    by = {one.layer.role: one for one in found}
    np.testing.assert_array_equal(by["fused"].values, truth[:, 8, 11])
    np.testing.assert_allclose(by["ms"].values, low[:, 2, 2])
    assert by["fused"].spread is None


@pytest.mark.parametrize("form", ["vertices", "geojson", "feature"])
def test_spectrum_of_a_polygon_is_mean_and_spread(
    form: str, images: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, _ = images
    geometry = {"type": "Polygon", "coordinates": [SQUARE]}
    polygon = {
        "vertices": SQUARE,
        "geojson": geometry,
        "feature": {"type": "Feature", "properties": {}, "geometry": geometry},
    }[form]
    layers, frame = gather(truth)
    # Pixel centres in it: rows 1 to 3, columns 2 to 5. In strips of one row as at once.
    inside = truth[:, 1:4, 2:6].reshape(4, -1).astype(float)
    for piece in (1 << 22, 1):
        monkeypatch.setattr("pansharp.plotting.spectral._PIECE", piece)
        (one,) = spectra(layers, frame, polygons={"p": polygon}, coords="pixel")
        assert one.pixels == 12
        np.testing.assert_allclose(one.values, inside.mean(axis=1))
        np.testing.assert_allclose(one.spread, inside.std(axis=1))


def test_holes_and_nodata_do_not_count() -> None:
    image = np.full((2, 9, 9), 10, np.uint16)
    image[:, 4, 4] = 999
    image[:, 0] = 0
    source = ArraySource(image, nodata=0)
    outer = [(-0.5, -0.5), (8.5, -0.5), (8.5, 8.5), (-0.5, 8.5)]
    hole = [(3.5, 3.5), (4.5, 3.5), (4.5, 4.5), (3.5, 4.5)]
    layers, frame = gather(source)
    shape = {"type": "Polygon", "coordinates": [outer, hole]}
    (one,) = spectra(layers, frame, polygons=[shape], coords="pixel")
    assert (one.pixels, one.values.tolist(), one.spread.tolist()) == (71, [10, 10], [0, 0])  # type: ignore[union-attr]
    (point,) = spectra(layers, frame, points=[(3, 0)], coords="pixel")
    assert point.pixels == 0
    assert np.isnan(point.values).all()
    with pytest.raises(OptionError, match="holds no pixel centre of fused"):
        spectra(layers, frame, polygons=[[(0.1, 0.1), (0.4, 0.1), (0.2, 0.4)]], coords="pixel")
    with pytest.raises(OptionError, match="fewer than three"):
        spectra(layers, frame, polygons=[[(0, 0), (1, 1)]])
    with pytest.raises(OptionError, match="GeoJSON Point"):
        spectra(layers, frame, polygons=[{"type": "Point", "coordinates": [1, 2]}])
    with pytest.raises(OptionError, match="no list of vertices"):
        spectra(layers, frame, polygons=[["ab", "cd", "ef"]])


def test_axis_has_the_wavelengths_of_the_sensor() -> None:
    image = np.ones((4, 8, 8))
    figure = spectrum(image, points=[(1, 1)], sensor="ikonos")
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), [496.4, 559.5, 666.3, 791.6])
    assert figure.axes[0].get_xlabel() == "wavelength (nm)"
    unknown = spectrum(image, points=[(1, 1)])
    assert unknown.axes[0].get_xlabel() == "band"
    assert [t.get_text() for t in unknown.axes[0].get_xticklabels()] == ["b1", "b2", "b3", "b4"]
    with pytest.raises(OptionError, match="no place"):
        spectrum(image)
    with pytest.raises(BandMismatchError, match="MS 3, fused 4"):
        spectrum(image, ms=image[:3], points=[(1, 1)])


def test_maps_are_those_of_full_resolution(
    images: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, fused = images
    layers, frame = gather(fused, reference=truth)
    pair = pair_of(frame, layers[1], layers[0], Window(0, 0, 64, 96))
    monkeypatch.setattr("pansharp.plotting.pairs._PIECE", 4 * 20 * 20)
    gap = fused.astype(float) - truth
    blocks = gap[2].reshape(8, 8, 12, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(difference_map(pair, 2, 8), blocks, atol=1e-4)
    rms = np.sqrt((gap**2).mean(axis=0).reshape(8, 8, 12, 8).mean(axis=(1, 3)))
    np.testing.assert_allclose(difference_map(pair, None, 8), rms, rtol=1e-5)
    angle = pair.reduced(5, spectral_angle)
    assert angle.shape == (13, 20)
    whole = pair.reduced(1, spectral_angle)
    assert whole.mean() == pytest.approx(sam(truth, fused), rel=1e-6)
    np.testing.assert_allclose(angle[12, 19], whole[60:64, 95:96].mean())


def test_scales_are_equal_and_symmetric(images: tuple[np.ndarray, np.ndarray]) -> None:
    truth, fused = images
    products = {"a": fused, "b": truth}
    shown = [ax.images[0] for ax in difference(products, truth, band=1).axes[:2]]
    assert {image.get_clim() for image in shown} == {shown[0].get_clim()}
    assert shown[0].get_clim()[0] == -shown[0].get_clim()[1]
    angles = [ax.images[0] for ax in sam_map(products, truth).axes[:2]]
    assert {image.get_clim()[0] for image in angles} == {0.0}
    blocks = block_scores(products, truth, index="q2n")
    first, second = (ax.images[0] for ax in blocks.axes[:2])
    assert first.get_clim() == second.get_clim()
    assert first.get_array().shape == (2, 3)
    # 64 x 96 pixels in blocks of 32: the last block ends where the image ends.
    assert first.get_extent() == [-0.5, 95.5, 63.5, -0.5]
    assert second.get_array().min() == pytest.approx(1.0)
    with pytest.raises(OptionError, match="no map of 'psnr'"):
        block_scores(fused, truth, index="psnr")


def test_pairs_must_share_a_grid(images: tuple[np.ndarray, np.ndarray]) -> None:
    truth, fused = images
    with pytest.raises(GridMismatchError, match="pixel grid"):
        difference(fused, truth[:, ::2, ::2])
    with pytest.raises(BandMismatchError, match="3 bands and fused 4"):
        sam_map(fused, truth[:3])


def test_errors_of_bands_make_up_ergas(
    images: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, fused = images
    monkeypatch.setattr("pansharp.plotting.pairs._PIECE", 4 * 30 * 30)
    found = band_errors(fused, truth, ratio=2)["fused"]
    assert np.sqrt(np.mean(found["ergas"] ** 2)) == pytest.approx(ergas(truth, fused, ratio=2))
    assert found["cc"].mean() == pytest.approx(cc(truth, fused))
    bars = band_bars(fused, truth, ratio=2).axes[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], found["ergas"])


def test_a_constant_product_degrades_to_itself(make_pair: MakePair) -> None:
    pair = make_pair(offset=(0.5, 1.5), ratio=4)
    scene = open_scene(pan=pair.pan, ms=pair.ms)
    flat = scene.pan.astype(np.float32).isel(band=[0, 0, 0, 0]) * 0 + 500
    layers, _ = gather(flat, ms=scene.ms)
    low, high = degraded_pairs(layers[1], layers[0])
    np.testing.assert_allclose(high, 500, rtol=1e-4)
    assert low.shape == high.shape
    assert low.shape[1] > 100
    figure = scatter(flat, scene=scene)
    ax = figure.axes[0]
    assert ax.get_xlim() == ax.get_ylim()
    assert len([a for a in histograms(flat, scene=scene).axes if a.patches]) == 4


def test_white_noise_has_a_flat_spectrum(rng: np.random.Generator) -> None:
    noise = 100 + rng.normal(0, 5, (256, 256))
    frequency, power = radial_power(noise, pixel=2.0)
    assert frequency[-1] == 0.25
    # Relative variance 0.05 squared, pixels of area 4.
    assert power[20:].mean() == pytest.approx(0.0025 * 4, rel=0.03)
    wave = 100 + 10 * np.sin(2 * np.pi * np.arange(256) / 8)[None, :].repeat(256, axis=0)
    frequency, power = radial_power(wave)
    assert frequency[power.argmax()] == 1 / 8


def test_power_of_ms_is_told_in_fine_pixels(rng: np.random.Generator) -> None:
    fine = 500 + rng.normal(0, 20, (2, 256, 256))
    layers, frame = gather(fine, ms=fine[:, ::4, ::4])
    low = power_spectrum(layers[0], frame)
    assert low.frequency[-1] == 0.125
    figure = spatial_frequency(fine, ms=fine[:, ::4, ::4], sensor="ikonos")
    line = next(a for a in figure.axes[0].lines if a.get_linestyle() == "-.")
    assert line.get_xdata()[0] == 0.125
    with pytest.raises(OptionError, match="too small"):
        spatial_frequency(fine[:, :8, :8])
    holes = ArraySource(np.zeros((1, 64, 64), np.uint16), nodata=0)
    with pytest.raises(OptionError, match="free of nodata"):
        spatial_frequency(holes)


def test_samples_do_not_overlap() -> None:
    for window, side, count in [
        (Window(5, 7, 1000, 300), 128, 9),
        (Window(0, 0, 50, 500), 64, 9),
        (Window(0, 0, 2000, 2000), 128, 16),
    ]:
        parts = spread_windows(window, side, count)
        assert 1 <= len(parts) <= count
        for i, one in enumerate(parts):
            assert one.intersect(window) == one
            assert all(0 in one.intersect(other).shape for other in parts[:i])


def test_scores_stand_under_the_pictures(images: tuple[np.ndarray, np.ndarray]) -> None:
    truth, fused = images
    figure = compare({"a": fused, "b": truth}, reference=truth, window=Window(0, 0, 64, 64))
    text = figure.axes[0].get_xlabel()
    value = ergas(truth[:, :, :64], fused[:, :, :64])
    assert f"ERGAS {value:.4g}" in text
    assert "ERGAS 0 *" in figure.axes[1].get_xlabel()
    assert "ERGAS" not in figure.axes[2].get_xlabel()


def test_without_reference_the_ms_is_what_counts(make_pair: MakePair) -> None:
    pair = make_pair(shape=(256, 256))
    scene = open_scene(pan=pair.pan, ms=pair.ms)
    up = scene.ms.values.repeat(4, axis=1).repeat(4, axis=2)
    product = scene.pan.isel(band=[0, 0, 0, 0]).copy(data=up)
    figure = compare({"near": product}, scene=scene, window="all")
    text = figure.axes[2].get_xlabel()
    assert {"RMSE", "QNR", "HQNR"} <= set(text.split())


def test_clicks_pick_spectra(images: tuple[np.ndarray, np.ndarray]) -> None:
    from matplotlib.backend_bases import KeyEvent, MouseEvent

    truth, fused = images
    picker = SpectrumPicker(fused, reference=truth)
    canvas = picker.figure.canvas
    canvas.draw()
    picture = picker.figure.axes[0]

    def click(col: float, row: float, button: int = 1) -> None:
        x, y = picture.transData.transform((col, row))
        event = MouseEvent("button_press_event", canvas, x, y, button)
        canvas.callbacks.process("button_press_event", event)

    click(20.3, 11.6)
    assert [one.layer.role for one in picker.spectra] == ["fused", "reference"]
    np.testing.assert_array_equal(picker.spectra[0].values, fused[:, 12, 20])
    np.testing.assert_array_equal(picker.spectra[1].values, truth[:, 12, 20])
    click(50.0, 40.0)
    assert [one.place for one in picker.spectra] == ["1", "1", "2", "2"]
    drawn = picker.figure.axes[1].lines
    np.testing.assert_array_equal(drawn[2].get_ydata(), fused[:, 40, 50])
    click(0.0, 0.0, button=3)
    assert [one.place for one in picker.spectra] == ["1", "1"]
    assert len(picture.lines) == 1
    canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, "c"))
    assert picker.spectra == []
    picker.disconnect()
    click(20.0, 12.0)
    assert picker.spectra == []
