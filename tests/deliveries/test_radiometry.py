"""Radiance and reflectance equal what a hand calculation gives."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from deliveries import cubes, gaofen, landsat, maxar
from deliveries.places import whole
from pansharp.acquisition import RADIANCE_UNITS
from pansharp.errors import BandMismatchError, OptionError, PansharpError, SceneError
from pansharp.geometry.grids import Window
from pansharp.readers import open_scene
from pansharp.readers._radiometry import sun_distance
from pansharp.source import ArraySource, CalibratedSource

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:no (DEM given|orthorectification)")

#: Middle of the site's images, which hold data everywhere.
SPOT = Window(10, 12, 6, 5)


def counts_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()[(slice(None), *SPOT.slices)].astype(np.float64)


@pytest.mark.parametrize(
    ("day", "distance"),
    [
        ((2020, 1, 1), 0.98332),
        ((2020, 1, 15), 0.98359),
        ((2020, 4, 1), 0.99927),
        ((2020, 7, 1), 1.01667),
        ((2020, 10, 15), 0.99717),
        ((2020, 12, 15), 0.98425),
    ],
)
def test_distance_of_the_sun(day: tuple[int, int, int], distance: float) -> None:
    assert sun_distance(datetime(*day, tzinfo=UTC)) == pytest.approx(distance, abs=6e-6)


#: Maxar's release 2018v0 for WorldView-3: gain, offset, ESUN in file order.
WV3 = [
    (0.938, -13.099, 1757.89), (0.946, -9.409, 2004.61), (0.958, -7.771, 1830.18),
    (0.979, -5.489, 1712.07), (0.969, -4.579, 1535.33), (1.027, -5.552, 1348.08),
    (0.977, -6.508, 1055.94), (1.007, -3.699, 858.77),
]  # fmt: skip


def test_worldview3_by_hand(tmp_path: Path) -> None:
    made = maxar.write_delivery(tmp_path, ms_shape=(24, 24))
    counts = counts_of(made.ms[0])
    radiance = np.empty_like(counts)
    reflectance = np.empty_like(counts)
    # 2019-06-15 10:20:30.123456 UTC: Julian date and distance as in Maxar's notes.
    date = 2458649.5 + (10 + 20 / 60 + 30.123456 / 3600) / 24
    g = math.radians(357.529 + 0.98560028 * (date - 2451545.0))
    d = 1.00014 - 0.01671 * math.cos(g) - 0.00014 * math.cos(2 * g)
    for band, (code, (gain, offset, esun)) in enumerate(zip(maxar.EIGHT, WV3, strict=True)):
        factor, width = maxar.constants(code)
        radiance[band] = gain * counts[band] * factor / width + offset
        sine = math.sin(math.radians(62.7))
        reflectance[band] = radiance[band] * d**2 * math.pi / (esun * sine)
    scene = open_scene(tmp_path, radiometry="radiance")
    np.testing.assert_allclose(scene.ms_source.read(SPOT), radiance, rtol=1e-6)
    scene = open_scene(tmp_path, radiometry="reflectance")
    np.testing.assert_allclose(scene.ms_source.read(SPOT), reflectance, rtol=1e-6)
    told = scene.radiometry
    assert told is not None
    assert (told.kind, told.units, told.pan) == ("reflectance", "1", True)
    assert told.sun_elevation == 62.7
    assert told.distance == pytest.approx(d, abs=1e-12)
    assert told.esun == tuple(esun for _, _, esun in WV3)
    assert "2018v0" in told.sources[0]
    assert scene.dtype == np.float32
    assert scene.nodata is not None
    assert math.isnan(scene.nodata)
    facts = scene.describe()["radiometry"]
    assert isinstance(facts, dict)
    assert len(facts["bands"]) == 8
    two = scene.select_bands(["red", "blue"])
    assert two.radiometry is not None
    assert two.radiometry.esun == (1535.33, 2004.61)
    np.testing.assert_array_equal(two.ms_source.read(SPOT), scene.ms_source.read(SPOT)[[4, 1]])


def test_gaofen2_by_hand(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path, placed=True, side=24)
    counts = counts_of(made.ms)
    gains = np.array([0.1356, 0.1736, 0.1644, 0.1788])[:, None, None]  # PMS1, 2018
    scene = open_scene(made.folder, radiometry="radiance")
    np.testing.assert_allclose(scene.ms_source.read(SPOT), gains * counts, rtol=1e-6)
    assert scene.radiometry is not None
    assert scene.radiometry.units == RADIANCE_UNITS
    assert scene.radiometry.sun_elevation is None
    esun = [1940.0, 1850.0, 1530.0, 1080.0]
    scene = open_scene(made.folder, radiometry="reflectance", esun=esun)
    # 2018-03-25 11:24:47 in Beijing.
    date = 2458202.5 + (3 + 24 / 60 + 47 / 3600) / 24
    g = math.radians(357.529 + 0.98560028 * (date - 2451545.0))
    d = 1.00014 - 0.01671 * math.cos(g) - 0.00014 * math.cos(2 * g)
    factor = math.pi * d**2 / (np.array(esun)[:, None, None] * math.sin(math.radians(63.1)))
    np.testing.assert_allclose(scene.ms_source.read(SPOT), factor * gains * counts, rtol=1e-6)
    # No ESUN for the PAN was given: it stays in counts, and that is said.
    assert scene.radiometry is not None
    assert not scene.radiometry.pan
    assert any(note.startswith("the PAN stays in counts: No ESUN") for note in scene.notes)
    both = open_scene(made.folder, radiometry="reflectance", esun=[1500.0, *esun])
    assert both.radiometry is not None
    assert both.radiometry.pan
    np.testing.assert_array_equal(both.ms_source.read(SPOT), scene.ms_source.read(SPOT))


def test_landsat_by_hand(tmp_path: Path) -> None:
    # As in real products: the factors of reflectance are those of the MTL.
    home = landsat.landsat(tmp_path, side=32)
    scene = open_scene(home, radiometry="reflectance")
    sine = math.sin(math.radians(62.25))
    for band, number in enumerate(range(2, 8)):
        counts = counts_of(home / f"{home.name}_B{number}.TIF")[0]
        want = (2.0e-5 * counts - 0.1) / sine
        np.testing.assert_allclose(scene.ms_source.read(SPOT)[band], want, rtol=1e-6, atol=1e-8)
    assert scene.radiometry is not None
    assert scene.radiometry.sources[0] == "reflectance factors of the product"
    scene = open_scene(home, radiometry="radiance")
    counts = counts_of(home / f"{home.name}_B4.TIF")[0]
    want = 0.0124 * counts - 64.5
    np.testing.assert_allclose(scene.ms_source.read(SPOT)[2], want, rtol=1e-6, atol=1e-5)


def test_what_has_no_data_is_not_a_number(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path, side=48)
    plain = open_scene(made.folder)
    scene = pickle.loads(pickle.dumps(open_scene(made.folder, radiometry="radiance")))
    for one, other in (
        (plain.pan_source, scene.pan_source),
        (plain.ms_source, scene.ms_source),
    ):
        (_, before), (data, after) = whole(one), whole(other)
        assert 0 < before.mean() < 1
        np.testing.assert_array_equal(before, after)
        np.testing.assert_array_equal(np.isnan(data[0]), ~after)
    assert scene.ortho is not None
    part = scene.ms_source.cut(Window(20, 20, 9, 7))
    np.testing.assert_array_equal(
        part.read(Window(1, 2, 3, 4)), scene.ms_source.read(Window(21, 22, 3, 4))
    )


def test_counts_are_the_default(tmp_path: Path) -> None:
    maxar.write_delivery(tmp_path, ms_shape=(24, 24))
    scene = open_scene(tmp_path)
    assert scene.radiometry is None
    assert scene.dtype == np.uint16
    assert scene.describe()["radiometry"] is None


def test_a_cube_keeps_its_screen(tmp_path: Path) -> None:
    from pansharp.source import ScreenedSource

    sheet, safe = cubes.enmap(tmp_path, side=16), cubes.sentinel2(tmp_path, side=48)
    plain = open_scene(hsi=sheet, msi=safe)
    assert plain.delivery is not None
    if plain.delivery.ms.corrected:
        with pytest.raises(SceneError, match="no image of raw counts"):
            open_scene(hsi=sheet, msi=safe, radiometry="reflectance")
        return
    scene = open_scene(hsi=sheet, msi=safe, radiometry="radiance")
    assert isinstance(plain.ms_source, ScreenedSource)
    assert isinstance(scene.ms_source, ScreenedSource)
    assert scene.ms_source.unusable == plain.ms_source.unusable


def test_what_cannot_be_turned_is_one_line(tmp_path: Path) -> None:
    made = gaofen.gaofen2(tmp_path / "gf", placed=True, side=16)
    maxar.write_delivery(tmp_path / "wv", ms_shape=(16, 16))
    dark = gaofen.gaofen2(tmp_path / "dark", placed=True, side=16, SolarZenith=None)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "x_pan.tif").write_bytes(made.pan.read_bytes())
    (plain / "x_ms.tif").write_bytes(made.ms.read_bytes())
    reflect = {"radiometry": "reflectance"}
    esun = {"esun": [1.9e3, 1.8e3, 1.5e3, 1e3]}
    cases: list[tuple[Path, dict[str, object], type[PansharpError], str]] = [
        (made.folder, {"radiometry": "toa"}, OptionError, r"--radiometry is 'toa'"),
        (
            made.folder, reflect, OptionError,
            r"No ESUN known for GaoFen-2 PMS1/PMS2 \(blue, green, red, nir\); give --esun B,G,R,N",
        ),
        (made.folder, {**reflect, "esun": [1.0, 2.0]}, OptionError, r"2 numbers for 4 MS bands"),
        (made.folder, {**reflect, "esun": [0.0] * 4}, OptionError, r"--esun is 0,0,0,0; give irr"),
        (made.folder, esun, OptionError, r"--esun has no use with --radiometry dn"),
        (plain, {"radiometry": "radiance"}, OptionError, r"'x' is no vendor's delivery"),
        (dark.folder, {**reflect, **esun}, OptionError, r"no elevation of the sun known"),
    ]  # fmt: skip
    for path, options, kind, text in cases:
        with pytest.raises(kind, match=text) as caught:
            open_scene(path, **options)
        assert "\n" not in str(caught.value)


def _imd(made: maxar.Made, old: str, new: str) -> None:
    for folder in {made.pan[0].parent, made.ms[0].parent}:
        for sidecar in folder.glob("*.IMD"):
            text = sidecar.read_text()
            assert old in text or folder == made.pan[0].parent
            sidecar.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "kind", "text"),
    [
        (
            'radiometricLevel = "Corrected"', 'radiometricLevel = "ACOMP"', SceneError,
            r"MS of '.*' is no image of raw counts any more: atmospherically corrected \(ACOMP\)",
        ),
        ("bitsPerPixel = 16", "bitsPerPixel = 8", SceneError, "8-bit, stretched for display"),
        (
            "absCalFactor = 0.011", "absCalFactor = -999", OptionError,
            r"no constants of radiance known for blue of '.*'; use --radiometry dn",
        ),
        ("meanSunEl = 62.7", "meanSunEl = -3.0", OptionError, "the sun is not up"),
    ],
)  # fmt: skip
def test_products_of_maxar_that_cannot_be_turned(
    tmp_path: Path, old: str, new: str, kind: type[PansharpError], text: str
) -> None:
    made = maxar.write_delivery(tmp_path, ms_shape=(16, 16), sidecars="imd")
    _imd(made, old, new)
    with pytest.raises(kind, match=text) as caught:
        open_scene(tmp_path, radiometry="reflectance")
    assert "\n" not in str(caught.value)


def test_a_source_needs_a_factor_a_band() -> None:
    source = ArraySource(np.ones((2, 4, 4)))
    with pytest.raises(BandMismatchError, match="3 gains and 2 offsets for 2 bands"):
        CalibratedSource(source, [1, 2, 3], [0, 0])
