"""Whether weights fit a scene: what is refused, what is noted, and what is offered instead."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pansharp.errors import WeightsError
from pansharp.sensors import get_sensor, list_sensors
from pansharp.weights import check_fits
from pansharp.weights.check import ANCHORED_FACTOR

SCENE = {
    "bands": 4,
    "ratio": 4.0,
    "sensor": "gaofen2",
    "band_names": ("blue", "green", "red", "nir"),
}
WORDS = ("blue", "green", "red", "nir1")
CENTRES = (480.0, 545.0, 660.0, 830.0)


@pytest.fixture
def published(make_card):
    return make_card(form="published", pan_bands=1, value_scale=1023)


def _refused(card, **changes):
    with pytest.raises(WeightsError) as caught:
        check_fits(card, **{**SCENE, **changes})
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_fits_has_no_notes(make_card):
    facts = {"network": "rescnn-tiny", "task": "pan", "pan_bands": 2, "largest": 9e9}
    assert check_fits(make_card(), **SCENE, **facts, mtf_gains=(0.3, 0.3, 0.3, 0.3)) == []


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"network": "ssft-small"}, ("'rescnn-tiny', not of 'ssft-small'", "-m rescnn-tiny")),
        ({"task": "hsi"}, ("for PAN and MS", "hyperspectral")),
        ({"pan_bands": 1}, ("2 channels", "has 1")),
        ({"ratio": 8.0}, ("for a ratio of 4", "2.67 to 6", "has 8")),
        ({"ratio": float("nan")}, ("ratio of nan",)),
        ({"band_names": ("a", "b")}, ("2 band names for a scene of 4",)),
        (
            {"band_names": ("red", "green", "blue", "nir")},
            ("band 1 of the weights is blue", "is red", "--bands 3,2,1,4"),
        ),
        (
            {"bands": 8, "band_names": (), "sensor": "wv3"},
            ("for 4 bands (blue, green, red, nir1)", "has 8 (coastal", "--bands 2,3,5,7"),
        ),
        (
            {"bands": 8, "band_names": [f"b{i}" for i in range(1, 9)], "sensor": "wv3"},
            ("has 8 (coastal", "--bands 2,3,5,7"),
        ),
        ({"bands": 3, "band_names": ("blue", "green", "red")}, ("has 3", "use weights for")),
    ],
)
def test_what_cannot_be_right_is_refused_with_what_would(make_card, changes, texts):
    message = _refused(make_card(), **changes)
    for text in texts:
        assert text in message


def test_ratio_of_both_forms(make_card, published):
    near = 4 * ANCHORED_FACTOR - 0.01
    assert any("ratio of 4" in note for note in check_fits(make_card(), **{**SCENE, "ratio": near}))
    assert check_fits(published, **{**SCENE, "ratio": 4.07}, largest=900) == []
    assert "for a ratio of 4, the scene has 4.1" in _refused(published, ratio=4.1, largest=900)
    assert "has 3.9" in _refused(published, ratio=3.9, largest=900)


@pytest.mark.parametrize(
    ("largest", "text"),
    [
        (1024.0, "values up to 1024, the weights are for 0 to 1023"),
        (10.0, "other units"),
        (float("nan"), "values up to nan"),
        (float("inf"), "values up to inf"),
    ],
)
def test_range_of_values_counts_in_the_published_form(make_card, published, largest, text):
    assert text in _refused(published, largest=largest)
    assert check_fits(make_card(), **SCENE, largest=largest) == []


def test_range_that_fits_or_is_unknown(published):
    for largest in (1023.0, 10.23, 500):
        assert check_fits(published, **SCENE, largest=largest) == []
    assert check_fits(published, **SCENE) == ["the range of values was not checked"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sensor": "wv3"}, "trained on gaofen2, the scene is of worldview3"),
        ({"sensor": None}, "the sensor of the scene is not known"),
        ({"sensor": "none"}, "the sensor of the scene is not known"),
        ({"sensor": "my drone"}, "the scene is of my drone"),
        ({"mtf_gains": (0.3, 0.3, 0.3, 0.36)}, "0.30 where the scene has 0.36"),
        ({"sensor": None, "band_names": ()}, "order of the bands could not be checked"),
        ({"sensor": None, "band_names": ("b1", "b2", "b3", "b4")}, "names and wavelengths of the"),
        ({"sensor": None, "band_names": ("Band 1", "2", "B3", "4")}, "the weights need blue"),
        ({"sensor": None, "band_names": ("p", "q", "r2", "s")}, "order of the bands could not"),
        ({"sensor": None}, "the wavelengths of the scene are not known"),
        ({"sensor": None, "wavelengths_nm": (400, 545, 660, 830)}, "that of the scene at 400 nm"),
    ],
)
def test_what_may_lower_the_quality_is_noted(make_card, changes, text):
    notes = check_fits(make_card(), **{**SCENE, **changes})
    assert any(text in note for note in notes), notes


def test_weights_that_tell_nothing_of_their_bands_are_noted(make_card):
    card = make_card(sensor=None, band_names=())
    notes = check_fits(card, **SCENE)
    assert any("names and wavelengths of the weights" in note for note in notes)
    assert any("sensor of the weights" in note for note in notes)


@pytest.mark.parametrize("sensor", [name for name in list_sensors() if get_sensor(name).bands])
def test_a_sensor_fits_itself_under_all_its_names(make_card, sensor):
    """Names, vendor codes and wavelengths of one sensor mean the same bands."""
    bands = get_sensor(sensor).bands
    names = tuple(band.name for band in bands)
    card = make_card(ms_bands=len(bands), sensor=sensor, band_names=names, mtf_gains=())
    facts = {"bands": len(bands), "ratio": 4.0}
    assert not [n for n in check_fits(card, **facts, sensor=sensor) if "order" in n]
    assert not [n for n in check_fits(card, **facts, band_names=names) if "order" in n]
    codes = tuple(band.code for band in bands)
    assert not [
        n for n in check_fits(card, **facts, sensor=sensor, band_names=codes) if "order" in n
    ]
    waves = tuple(band.centre_nm for band in bands)
    if None not in waves:
        assert not [n for n in check_fits(card, **facts, wavelengths_nm=waves) if "order" in n]


@pytest.mark.parametrize("known", ["names", "wavelengths"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(4)))
def test_every_other_order_is_refused_and_the_right_one_offered(make_card, known, order):
    card = make_card(wavelengths_nm=CENTRES, sensor=None)
    facts = {"bands": 4, "ratio": 4.0}
    if known == "names":
        facts["band_names"] = [WORDS[i] for i in order]
    else:
        facts["wavelengths_nm"] = [CENTRES[i] for i in order]
    if order == list(range(4)):
        check_fits(card, **facts)
        return
    with pytest.raises(WeightsError) as caught:
        check_fits(card, **facts)
    # Taking the scene's bands in the order that is offered gives that of the weights.
    offered = [int(n) - 1 for n in str(caught.value).rpartition("--bands ")[2].split(",")]
    assert [order[i] for i in offered] == [0, 1, 2, 3]


def test_names_that_mean_no_colour_still_tell_an_order(make_card):
    """Nobody knows what they are, but the same names in another order are another order."""
    card = make_card(sensor=None, band_names=("aa", "bb", "cc", "dd"))
    assert "--bands 2,1,3,4" in _refused(card, sensor=None, band_names=("bb", "aa", "cc", "dd"))
    notes = check_fits(card, bands=4, ratio=4.0, band_names=("aa", "bb", "cc", "ee"))
    assert any("order of the bands could not be checked" in note for note in notes)


def test_cubes_are_compared_by_the_nearest_wavelength(make_card):
    waves = tuple(450.0 + 10 * i for i in range(40))
    card = make_card(
        task="hsi", ms_bands=40, band_names=(), mtf_gains=(), wavelengths_nm=waves, sensor=None
    )
    facts = {"bands": 40, "ratio": 4.0}
    assert not any("order" in n for n in check_fits(card, **facts, wavelengths_nm=waves))
    near = [wave + 4 for wave in waves]
    assert not any("order" in n for n in check_fits(card, **facts, wavelengths_nm=near))
    for other in ([wave + 6 for wave in waves], waves[::-1]):
        with pytest.raises(WeightsError, match="band 1 of the weights is 450 nm"):
            check_fits(card, **facts, wavelengths_nm=other)


def test_the_same_colours_of_another_sensor_fit(make_card):
    """Centres of one colour differ between sensors, and that is no other band."""
    card = make_card(sensor="quickbird", band_names=(), wavelengths_nm=())
    for sensor in ("ikonos", "geoeye1", "gaofen2", "worldview4"):
        notes = check_fits(card, bands=4, ratio=4.0, sensor=sensor)
        assert any("trained on quickbird" in note for note in notes)
        assert not any("order" in note for note in notes)


def test_another_band_of_like_name_is_refused(make_card):
    """nir1 and nir2, red and red edge are different bands, with or without wavelengths."""
    for last in ("nir2", "rededge"):
        assert f"is {last}" in _refused(
            make_card(), sensor=None, band_names=("blue", "green", "red", last)
        )
    assert "is 945 nm" in _refused(
        make_card(wavelengths_nm=CENTRES), sensor=None, band_names=(),
        wavelengths_nm=(480, 545, 660, 945),
    )  # fmt: skip
