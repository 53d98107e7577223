"""Writing and reading weights files, bit by bit."""

from __future__ import annotations

import pytest
import torch

from pansharp.models import build_network
from pansharp.weights import WeightsCard, load_weights, read_card, restore, save_weights


@pytest.fixture
def card():
    return WeightsCard(
        network="rescnn-tiny", task="pan", form="anchored", ms_bands=4, pan_bands=2, ratio=4,
        data="a test",
    )  # fmt: skip


def test_round_trip_is_bit_equal(card, tmp_path):
    network = build_network("rescnn-tiny", ms_bands=4, pan_bands=2)
    path = tmp_path / "w.safetensors"
    digest = save_weights(path, network.state_dict(), card)
    found, state = load_weights(path)
    assert found == card
    assert found.digest == digest == read_card(path).digest
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[k], v) for k, v in network.state_dict().items())
    again = restore(found, state).state_dict()
    assert all(torch.equal(again[k], v) for k, v in network.state_dict().items())
