"""GaoFen: radiance by the product's gains or the year's, and the time zone by the sun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from deliveries.gaofen import CENTRE, NEW, gaofen2, xml
from pansharp.errors import AlignmentWarning
from pansharp.readers import open_scene
from pansharp.readers._sun import read_clock, sun_elevation
from pansharp.sensors import yearly_gains

if TYPE_CHECKING:
    from pathlib import Path

    from pansharp.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore:no (orthorectification|DEM given)")


def constants(scene: Scene) -> tuple[list[float], list[float], set[str]]:
    assert scene.delivery is not None
    found = [*scene.delivery.pan.constants, *scene.delivery.ms.constants]
    known = [c for c in found if c is not None]
    assert len(known) == len(found)
    return [c.gain for c in known], [c.offset for c in known], {c.source for c in known}


def test_gains_of_the_product_come_first(tmp_path: Path) -> None:
    scene = open_scene(gaofen2(tmp_path, new=True).folder)
    gains, offsets, sources = constants(scene)
    assert gains == [0.1817, 0.1374, 0.1784, 0.1723, 0.1894]
    assert set(offsets) == {0.0}
    assert sources == {"gains of the product's XML"}


@pytest.mark.parametrize(
    ("year", "gains", "offset"),
    [
        (2018, [0.1725, 0.1356, 0.1736, 0.1644, 0.1788], 0.0),
        (2014, [0.163, 0.1585, 0.1883, 0.174, 0.1897], -0.6077),
    ],
)
def test_gains_of_the_year(tmp_path: Path, year: int, gains: list[float], offset: float) -> None:
    time = f"{year}-03-25 11:24:49"
    scene = open_scene(gaofen2(tmp_path, CenterTime=time).folder)
    found, offsets, sources = constants(scene)
    assert (found, offsets[0]) == (gains, offset)
    assert sources == {f"yearly table {year} of PMS1"}


def test_later_years_take_the_last_row_and_warn(tmp_path: Path) -> None:
    made = gaofen2(tmp_path, CenterTime="2024-03-25 11:24:49")
    with pytest.warns(AlignmentWarning, match="no gains published for 2024: those of 2020"):
        scene = open_scene(made.folder)
    assert constants(scene)[0][1] == 0.1378


@pytest.mark.parametrize(
    ("told", "gains", "sources"),
    [
        ("NULL,0.1784,0.1723,0.1894", [0.1356, 0.1784, 0.1723, 0.1894], 2),
        ("0.18, 0.1374, 0.1784, 0.1723, 0.1894", [0.1374, 0.1784, 0.1723, 0.1894], 1),
        ("0.1374, 0.1784", [0.1356, 0.1736, 0.1644, 0.1788], 1),
        ("0, -1, 1e9, nan", [0.1356, 0.1736, 0.1644, 0.1788], 1),
        ("", [0.1356, 0.1736, 0.1644, 0.1788], 1),
    ],
)
def test_odd_lists_of_gains(tmp_path: Path, told: str, gains: list[float], sources: int) -> None:
    made = gaofen2(tmp_path)
    made.ms.with_suffix(".xml").write_text(xml(AbsCeof=told))
    scene = open_scene(made.folder)
    assert scene.delivery is not None
    found = [c for c in scene.delivery.ms.constants if c is not None]
    assert [c.gain for c in found] == gains
    assert len({c.source for c in found}) == sources


def test_tables_agree_with_the_page() -> None:
    rows = yearly_gains("gaofen2", "PMS2")
    assert sorted(rows) == list(range(2014, 2021))
    assert rows[2014][1] == (0.1654, -0.593, -0.2717, -0.2879, -0.2773)
    assert rows[2019][1] == (0.0,) * 5
    assert yearly_gains("gaofen7", "DLC") == {}


# Time zone


@pytest.mark.parametrize("hours", [0, 8])
def test_zone_by_the_sun(tmp_path: Path, hours: int) -> None:
    true = datetime(2018, 3, 25, 3, 24, 49, tzinfo=UTC)
    told = (true + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")
    scene = open_scene(gaofen2(tmp_path, CenterTime=told).folder)
    assert scene.delivery is not None
    assert scene.delivery.ms.acquired == true


def test_a_sun_that_fits_no_zone_is_not_calibrated(tmp_path: Path) -> None:
    made = gaofen2(tmp_path, SolarZenith="80.0")
    with pytest.warns(AlignmentWarning, match="the sun stands at 10.0 degrees by the sidecar"):
        scene = open_scene(made.folder)
    assert scene.delivery is not None
    facts = scene.delivery.ms
    assert (facts.acquired, facts.sun_elevation, facts.constants) == (None, None, ())


def test_without_an_elevation_day_decides() -> None:
    told = datetime(2018, 3, 25, 11, 24, 49)
    found = read_clock(told, CENTRE, None)
    assert found.time == datetime(2018, 3, 25, 3, 24, 49, tzinfo=UTC)
    noon = datetime(2018, 3, 25, 8, 0, 0)  # 16 h and 8 h local: day in both
    assert read_clock(noon, CENTRE, None).time is None
    assert read_clock(None, CENTRE, 60.0).time is None
    assert read_clock(told, None, 60.0).time is None
    assert read_clock(datetime(1, 1, 1), CENTRE, None).time is None


@pytest.mark.parametrize(
    ("time", "place", "elevation"),
    [
        # Equinox noon at the equator, solstice noon at the tropic: the sun in the zenith.
        (datetime(2020, 3, 20, 12, 7, 20, tzinfo=UTC), (0.0, 0.0), 89.8),
        (datetime(2020, 6, 20, 12, 1, 40, tzinfo=UTC), (0.0, 23.44), 89.9),
        # Solstice noon at 50 N: 90 - 50 - 23.44.
        (datetime(2020, 12, 21, 11, 58, 10, tzinfo=UTC), (0.0, 50.0), 16.56),
    ],
)
def test_elevation_of_the_sun(time: datetime, place: tuple[float, float], elevation: float) -> None:
    assert sun_elevation(time, *place) == pytest.approx(elevation, abs=0.25)


def test_superview_states_beijing_time(tmp_path: Path) -> None:
    name = "SV1-01_20180325_L1B0000123456_1234567890123_01"
    made = gaofen2(tmp_path, name=name, roles=("PAN", "MUX"), satellite="SV1", SolarZenith=None)
    scene = open_scene(made.folder)
    assert scene.sensor is not None
    assert scene.sensor.name == "superview1"
    assert scene.acquired == "2018-03-25T03:24:47Z"


def test_gf6_names_its_gains_differently(tmp_path: Path) -> None:
    name = "GF6_PMS_E116.5_N39.4_20190127_L1A1119845812"
    told = {"AGain": "0.05, 0.06, 0.07, 0.08", "SolarZenith": None}
    made = gaofen2(tmp_path, name=name, roles=("PAN", "MUX"), **told)
    scene = open_scene(made.folder)
    assert scene.delivery is not None
    found = scene.delivery.ms.constants
    assert [c.gain for c in found if c] == [0.05, 0.06, 0.07, 0.08]
    # One gain of four is no gain of the PAN: that takes the year's.
    assert scene.delivery.pan.constants[0] is not None
    assert scene.delivery.pan.constants[0].source == "yearly table 2018 of PMS"


def test_new_fields_are_those_of_the_generator() -> None:
    assert "AbsCeof" in xml(**NEW)
    assert "AbsCeof" not in xml()
