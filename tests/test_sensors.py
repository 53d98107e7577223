"""Sensor tables: names, MTF gains and what goes with which band."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.errors import BandMismatchError, SceneError, UnknownSensorError
from pansharp.sensors import Band, SensorProfile, get_sensor, list_sensors, mtf_gains

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "pansharp" / "data" / "sensors"

# DLPan-Toolbox, genMTF.m and genMTF_PAN.m: gains at the Nyquist frequency of the MS grid.
TOOLBOX = {
    "QB": ((0.34, 0.32, 0.30, 0.22), 0.15),
    "IKONOS": ((0.26, 0.28, 0.29, 0.28), 0.17),
    "GeoEye1": ((0.23, 0.23, 0.23, 0.23), 0.16),
    "WV4": ((0.23, 0.23, 0.23, 0.23), 0.16),
    "WV2": ((0.35,) * 7 + (0.27,), 0.11),
    "WV3": ((0.325, 0.355, 0.360, 0.350, 0.365, 0.360, 0.335, 0.315), 0.14),
}


@pytest.mark.parametrize("name", TOOLBOX)
def test_toolbox_gains(name: str) -> None:
    gains, pan = TOOLBOX[name]
    sensor = get_sensor(name)
    assert sensor.mtf_gains(None, len(gains)) == (gains, False)
    assert sensor.pan_gain == (pan, False)
    assert tuple(band.mtf_nyquist for band in sensor.bands) == gains


@pytest.mark.parametrize("name", ["none", "GF2", "PRISMA", "landsat8"])
def test_sensor_without_gains_is_assumed(name: str) -> None:
    assert get_sensor(name).mtf_gains(None, 4) == ((0.30,) * 4, True)
    assert get_sensor(name).pan_gain == (0.15, True)


def test_no_sensor_is_the_generic_one() -> None:
    assert mtf_gains(None, ("a", "b"), 2) == ((0.30, 0.30), True)
    assert mtf_gains(get_sensor("QB"), None, 4) == (TOOLBOX["QB"][0], False)
    assert get_sensor("none").bands == ()


@pytest.mark.parametrize(
    "names",
    [
        ("blue", "green", "red", "nir"),
        ("Blue", "GREEN", "Red", "NIR1"),
        ("B", "G", "R", "N"),
        ("BAND_B", "BAND_G", "BAND_R", "BAND_N"),
        ("b", "g", "r", "Near Infrared"),
    ],
)
def test_four_named_bands_of_worldview_get_their_own_gains(names: tuple[str, ...]) -> None:
    gains, assumed = get_sensor("WV3").mtf_gains(names, 4)
    assert gains == (0.355, 0.360, 0.365, 0.335)
    assert not assumed
    assert get_sensor("WV2").mtf_gains(names, 4) == ((0.35,) * 4, False)


@given(st.permutations(get_sensor("WV3").bands), st.integers(1, 8))
def test_names_beat_positions(bands: list[Band], count: int) -> None:
    names = [band.name for band in bands[:count]]
    expected = tuple(band.mtf_nyquist for band in bands[:count])
    assert get_sensor("WV3").mtf_gains(names, count) == (expected, False)


@pytest.mark.parametrize("names", [None, (), ("Band 1", "Band 2"), ("red", "red"), ("red", "x")])
def test_unmatched_names_go_by_position_and_say_so(names: tuple[str, ...] | None) -> None:
    # The toolbox gives an image with fewer bands the first gains.
    assert get_sensor("WV3").mtf_gains(names, 2) == ((0.325, 0.355), True)


def test_vendor_codes_name_bands_too() -> None:
    sensor = SensorProfile(
        "s", "S", bands=(Band("blue", "B1", mtf_nyquist=0.1), Band("red", "B3", mtf_nyquist=0.2))
    )
    assert sensor.mtf_gains(("B3", "B1"), 2) == ((0.2, 0.1), False)


def test_gain_of_one_unknown_band_is_assumed() -> None:
    sensor = SensorProfile("s", "S", bands=(Band("blue", "B", mtf_nyquist=0.1), Band("red", "R")))
    assert sensor.mtf_gains(None, 2) == ((0.1, 0.30), True)
    assert sensor.mtf_gains(("blue",), 1) == ((0.1,), False)


def test_more_bands_than_gains_is_an_error() -> None:
    with pytest.raises(BandMismatchError, match="5 bands, QuickBird-2 has 4"):
        get_sensor("QB").mtf_gains(None, 5)
    assert get_sensor("GF2").mtf_gains(None, 7) == ((0.30,) * 7, True)


def test_names_must_cover_the_bands() -> None:
    with pytest.raises(BandMismatchError, match="3 band names for an image of 4 bands"):
        get_sensor("none").mtf_gains(("a", "b", "c"), 4)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("WorldView-3", "worldview3"),
        ("world view 3", "worldview3"),
        ("WV03", "worldview3"),
        ("Landsat-8/9 OLI", "landsat8_9"),
        ("worldview legion", "worldview_legion"),
        ("quickbird", "quickbird2"),
        ("gf-2", "gaofen2"),
    ],
)
def test_spelling_does_not_matter(spelling: str, name: str) -> None:
    assert get_sensor(spelling).name == name
    assert get_sensor(spelling) is get_sensor(name)


def test_unknown_sensor_offers_near_names() -> None:
    with pytest.raises(UnknownSensorError, match="did you mean 'worldview3'"):
        get_sensor("worldvew3")
    with pytest.raises(UnknownSensorError, match="'pansharp sensors' lists them") as caught:
        get_sensor("?!")
    assert isinstance(caught.value, (SceneError, KeyError))
    assert "\n" not in str(caught.value)


def test_every_table_makes_a_profile() -> None:
    names = list_sensors()
    assert names == sorted(path.stem for path in TABLES.glob("*.toml"))
    assert len(names) >= 30
    for name in names:
        sensor = get_sensor(name)
        assert sensor.name == name
        assert sensor.label
        assert sensor.sources
        assert len({band.name for band in sensor.bands}) == len(sensor.bands)
        for band in (*sensor.bands, *([sensor.pan] if sensor.pan else [])):
            assert band.mtf_nyquist is None or 0 < band.mtf_nyquist < 1
            assert band.range_nm is None or 300 < band.range_nm[0] < band.range_nm[1] < 3000
            if band.centre_nm is not None and band.range_nm is not None:
                assert band.range_nm[0] < band.centre_nm < band.range_nm[1]
        if sensor.ratio and sensor.gsd_pan_m and sensor.gsd_ms_m:
            assert sensor.gsd_ms_m / sensor.gsd_pan_m == pytest.approx(sensor.ratio, rel=0.05)
        if sensor.bits and sensor.max_dn:
            assert sensor.max_dn == 2**sensor.bits - 1


def test_names_and_aliases_are_unique() -> None:
    owner: dict[str, str] = {}
    for name in list_sensors():
        sensor = get_sensor(name)
        own = {re.sub(r"[^a-z0-9]", "", word.lower()) for word in (name, sensor.label)}
        assert all(re.fullmatch(r"[a-z0-9]+", alias) for alias in sensor.aliases), name
        for word in own | set(sensor.aliases):
            assert owner.setdefault(word, name) == name, f"'{word}' means two sensors"


def test_patterns_in_the_tables_compile() -> None:
    patterns = [
        pattern
        for path in TABLES.glob("*.toml")
        for key, pattern in tomllib.loads(path.read_text()).get("match", {}).items()
        if key.endswith("_regex")
    ]
    assert len(patterns) > 20
    for pattern in patterns:
        re.compile(pattern)


def test_tables_keep_the_radiometric_constants() -> None:
    # WorldView-3 red, absolute radiometric calibration sheet 2018v0.
    red = tomllib.loads((TABLES / "worldview3.toml").read_text())["bands"][4]
    assert (red["adj_gain"], red["adj_offset"], red["esun_w_m2_um"]) == (0.969, -4.579, 1535.33)


def test_a_known_name_parses_one_table(
    run_python: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    run = run_python(
        "import tomllib\n"
        "count = 0\n"
        "loads = tomllib.loads\n"
        "def counting(text):\n"
        "    global count\n"
        "    count += 1\n"
        "    return loads(text)\n"
        "tomllib.loads = counting\n"
        "import pansharp, pansharp.sensors as s\n"
        "s.list_sensors(); print(count)\n"
        "s.get_sensor('WorldView-3'); s.get_sensor('worldview3'); print(count)\n"
    )
    assert run.stdout.split() == ["0", "1"]


@pytest.mark.parametrize("name", list_sensors())
def test_document_shows_the_table(name: str) -> None:
    assert _row(get_sensor(name)) in (ROOT / "docs" / "sensors.md").read_text("utf-8").splitlines()


def _row(sensor: SensorProfile) -> str:
    """The sensor's line in docs/sensors.md."""
    gains = [band.mtf_nyquist for band in sensor.bands if band.mtf_nyquist is not None]
    pan_gain, assumed = sensor.pan_gain
    cells = (
        f"`{sensor.name}`",
        sensor.label,
        " ".join(sensor.aliases),
        _number(sensor.ratio),
        f"{_number(sensor.gsd_pan_m)} / {_number(sensor.gsd_ms_m)}",
        _number(sensor.bits),
        " ".join(f"{b.name}" for b in sensor.bands),
        " ".join(f"{gain:g}" for gain in gains) or "-",
        "-" if assumed else f"{pan_gain:g}",
    )
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
