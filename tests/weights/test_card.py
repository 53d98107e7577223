"""What a card takes and refuses."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from pansharp.errors import WeightsError
from pansharp.weights import WeightsCard


def test_a_card_survives_json(make_card):
    card = make_card(
        arch={"depths": (2, 1), "topk": None},
        wavelengths_nm=(480.0, None, 660, 830),
        recipe={"nested": {"list": [1, [2, 3]]}},
    )
    again = WeightsCard.from_dict(json.loads(json.dumps(card.to_dict())))
    assert again == card
    assert again.arch["depths"] == (2, 1)
    assert again.recipe["nested"]["list"] == (1, (2, 3))


def test_a_card_cannot_be_changed_but_can_be_copied_and_sent(make_card):
    card = make_card()
    with pytest.raises(FrozenInstanceError):
        card.ratio = 2.0
    given = {"steps": 3}
    other = replace(card, recipe=given)
    given["steps"] = 4
    assert other.recipe == {"steps": 3}
    assert pickle.loads(pickle.dumps(card)) == card


def test_numpy_numbers_become_plain_ones(make_card):
    card = make_card(
        ms_bands=np.int64(4),
        ratio=np.float32(4),
        mtf_gains=tuple(np.full(4, 0.3)),
        scores={"sam": np.float64(2.5), "curve": np.arange(3), "steps": np.int32(7)},
        wavelengths_nm=None,
    )
    assert type(card.ms_bands) is int
    assert card.wavelengths_nm == ()
    assert card.to_dict()["scores"] == {"sam": 2.5, "curve": [0, 1, 2], "steps": 7}
    json.dumps(card.to_dict(), allow_nan=False)


def test_what_is_not_finite_in_scores_is_unknown(make_card):
    card = make_card(scores={"ergas": float("nan"), "list": [1.0, float("inf")]})
    assert card.scores == {"ergas": None, "list": (1.0, None)}


def test_the_digest_is_not_part_of_the_card(make_card):
    card = make_card()
    assert (card.digest, card.id) == ("", "")
    known = replace(card, digest="0123456789abcdef" * 4)
    assert known == card
    assert known.id == "0123456789ab"
    assert "digest" not in known.to_dict()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"network": "rescn"}, "did you mean 'rescnn'"),
        ({"network": 3}, "network=3"),
        ({"network": "ssft-tilefft", "task": "hsi"}, "network 'ssft-tilefft' is for 'pan'"),
        ({"task": "pam"}, "did you mean 'pan'"),
        ({"task": None}, "choose one of: hsi, pan"),
        ({"form": "anchord"}, "did you mean 'anchored'"),
        ({"form": "published"}, "needs value_scale"),
        ({"value_scale": 0}, "value_scale=0"),
        ({"value_scale": float("nan")}, "finite"),
        ({"ms_bands": 0}, "1 or more"),
        ({"ms_bands": 4.0}, "whole number"),
        ({"ms_bands": True}, "whole number"),
        ({"pan_bands": -1}, "1 or more"),
        ({"ratio": 0.5}, "1 or more"),
        ({"ratio": float("inf")}, "finite"),
        ({"ratio": "4"}, "give a number"),
        ({"ratio": 10**400}, "finite"),
        ({"band_names": ("red", "green")}, "2 entries for 4 bands"),
        ({"band_names": "bgrn"}, "one per band"),
        ({"band_names": ("red", "red", "blue", "nir")}, "twice"),
        ({"band_names": ("red", " ", "blue", "nir")}, "every band a name"),
        ({"wavelengths_nm": (0.48, 0.55, 0.66, 0.83)}, "nanometres"),
        ({"wavelengths_nm": (480, 550, 660)}, "3 entries"),
        ({"mtf_gains": (0.3, 0.3, 0.3, 0.0)}, "above 0"),
        ({"mtf_gains": (0.3, 0.3, 0.3, 1.2)}, "up to 1"),
        ({"mtf_gains": 0.3}, "one per band"),
        ({"sensor": ""}, "sensor"),
        ({"data": ""}, "data"),
        ({"terms": None}, "terms"),
        ({"created": "yesterday"}, "ISO date"),
        ({"seed": 1.5}, "seed"),
        ({"arch": {"ratio": 4}}, "field of its own"),
        ({"arch": {"width": float("nan")}}, "finite"),
        ({"arch": {"width": object()}}, "arch.width"),
        ({"arch": {3: 4}}, "give words"),
        ({"arch": [("width", 4)]}, "mapping"),
        ({"recipe": {"f": b"bytes"}}, "recipe.f"),
        ({"scores": 3}, "scores"),
    ],
)
def test_impossible_values_are_refused_in_one_line(make_card, changes, text):
    with pytest.raises(WeightsError) as caught:
        make_card(**changes)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_are_all_there_and_no_others(make_card):
    content = make_card().to_dict()
    with pytest.raises(WeightsError, match="no field 'rato'; did you mean 'ratio'"):
        WeightsCard.from_dict({**content, "rato": 4})
    with pytest.raises(WeightsError, match="lacks 'terms'"):
        WeightsCard.from_dict({k: v for k, v in content.items() if k != "terms"})
    with pytest.raises(WeightsError, match="no field 'digest'"):
        WeightsCard.from_dict({**content, "digest": ""})
