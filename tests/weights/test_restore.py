"""Weights back into a network: strictly, and as the card says."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from pansharp.errors import WeightsError
from pansharp.models.networks import build_network, get_network, list_networks
from pansharp.weights import load_weights, restore, save_weights


@pytest.mark.parametrize("name", list_networks())
def test_every_network_comes_back_bit_by_bit(name, make_card, tmp_path):
    spec = get_network(name)
    torch.manual_seed(3)
    net = build_network(name, ms_bands=3, pan_bands=2, ratio=3).eval()
    card = make_card(
        network=name, task=spec.tasks[0], ms_bands=3, ratio=3, band_names=(), mtf_gains=()
    )
    path = tmp_path / "w.safetensors"
    save_weights(path, net.state_dict(), card)
    torch.manual_seed(4)
    before = torch.get_rng_state()
    again = restore(*load_weights(path))
    assert torch.equal(torch.get_rng_state(), before)
    assert type(again) is type(net)
    assert not again.training
    state = again.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in net.state_dict().items())


def test_the_restored_network_fuses_as_the_saved_one(weights_file, network):
    guide, up = torch.rand(1, 2, 24, 24), torch.rand(1, 4, 24, 24)
    card, state = load_weights(weights_file)
    again = restore(card, state)
    with torch.no_grad():
        assert torch.equal(again.residual(guide, up), network.eval().residual(guide, up))
    # Its tensors are its own.
    with torch.no_grad():
        for tensor in state.values():
            tensor.zero_()
        assert torch.equal(again.residual(guide, up), network.residual(guide, up))


def test_architecture_of_the_card_counts_not_todays_defaults(make_card, tmp_path, monkeypatch):
    """A file holds what its author left to the defaults."""
    from pansharp.models import networks

    path = tmp_path / "w.safetensors"
    save_weights(path, build_network("rescnn-tiny", ms_bands=4, pan_bands=2).state_dict(),
                 make_card())  # fmt: skip
    build = networks.build_network
    asked = {}

    def note(name, **arch):
        asked.update(arch)
        return build(name, **arch)

    monkeypatch.setattr("pansharp.weights.tensors.build_network", note)
    restore(*load_weights(path))
    assert {"width": 16, "blocks": 2}.items() <= asked.items()


def test_networks_know_what_they_were_built_with():
    net = build_network("cyformer-small", ms_bands=3, pan_bands=2, depths=(1,))
    assert net.arguments["depths"] == (1,)
    assert net.arguments["width"] == 36
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.arguments == net.arguments


def test_half_precision_is_widened(make_card, network, tmp_path):
    path = tmp_path / "w.safetensors"
    half = {key: tensor.half() for key, tensor in network.state_dict().items()}
    save_weights(path, half, make_card())
    again = restore(*load_weights(path)).state_dict()
    for key, tensor in half.items():
        assert again[key].dtype == torch.float32
        assert torch.equal(again[key], tensor.float())


def _changed(state, change):
    first = sorted(state)[0]
    if change == "missing":
        return {key: tensor for key, tensor in state.items() if key != first}
    if change == "extra":
        return {**state, "zzz": torch.ones(1)}
    if change == "shape":
        return {**state, first: state[first][..., None]}
    return {**state, first: state[first].long()}


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ("missing", ("lack 1 of the", "the first is '{first}'")),
        ("extra", ("1 tensors that rescnn-tiny", "'zzz'")),
        ("shape", ("'{first}' has the shape", "in rescnn-tiny")),
        ("kind", ("'{first}' is torch.int64",)),
    ],
)
def test_what_does_not_fit_is_named(make_card, network, change, texts):
    state = network.state_dict()
    with pytest.raises(WeightsError) as caught:
        restore(make_card(), _changed(state, change))
    message = str(caught.value)
    for text in texts:
        assert text.format(first=sorted(state)[0]) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"arch": {"widht": 16}}, "did you mean 'width'"),
        ({"arch": {"width": "wide"}}, "cannot be built with width='wide'"),
        ({"arch": {"width": -1}}, "cannot be built"),
        # A card that asks for far more than the file holds is refused before memory is asked for.
        ({"arch": {"width": 10**6}}, "has the shape"),
        ({"network": "rescnn"}, "has the shape"),
        ({"ms_bands": 5, "band_names": (), "mtf_gains": ()}, "has the shape"),
        ({"pan_bands": 1}, "has the shape"),
    ],
)
def test_a_card_of_other_weights_is_refused(make_card, network, changes, text):
    with pytest.raises(WeightsError) as caught:
        restore(make_card(**changes), network.state_dict())
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
