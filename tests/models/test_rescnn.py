"""The plain residual network."""

from __future__ import annotations

import pytest
import torch

from pansharp.errors import OptionError
from pansharp.models.networks import build_network, get_network
from pansharp.models.rescnn import ResCNN


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(3)


def awake(**arch):
    net = ResCNN(ms_bands=4, pan_bands=2, **arch).eval()
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    return net


@pytest.mark.parametrize(("name", "expected"), [("rescnn", 39_908), ("rescnn-tiny", 10_740)])
def test_size(name, expected):
    # conv(6 -> w) + 4 conv(w -> w) + conv(w -> 4), 3x3 with biases.
    net = build_network(name, ms_bands=4, pan_bands=2)
    assert net.parameter_count == expected


@pytest.mark.parametrize("name", ["rescnn", "rescnn-tiny"])
def test_fresh_residual_is_zero(name):
    net = build_network(name, ms_bands=3)
    assert net.residual(torch.rand(2, 1, 16, 16), torch.rand(2, 3, 16, 16)).abs().max() == 0


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_stated_reach_is_exact(blocks):
    halo = get_network("rescnn").halo({"blocks": blocks})
    net = awake(width=8, blocks=blocks)
    guide, up = torch.rand(1, 2, 32, 32), torch.rand(1, 4, 32, 32)
    guide[..., 7], up[..., 7] = torch.nan, torch.nan
    with torch.no_grad():
        spoilt = net.residual(guide, up).isnan().any(dim=2).any(dim=1)[0, 8:]
    assert spoilt[:halo].all()
    assert not spoilt[halo:].any()


def test_tile_with_its_halo_equals_the_whole_image():
    net = awake(width=16)
    guide, up = torch.rand(1, 2, 61, 70), torch.rand(1, 4, 61, 70)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 11:, 13:], up[..., 11:, 13:])
    torch.testing.assert_close(whole[..., 17:, 19:], part[..., 6:, 6:], atol=1e-6, rtol=0)


def test_training_lowers_the_loss():
    net = ResCNN(ms_bands=2, width=8).train()
    guide, up = torch.rand(2, 1, 24, 24), torch.rand(2, 2, 24, 24)
    target = 0.5 * guide - 0.2 * up
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = (net.residual(guide, up) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("arch", [{"width": 0}, {"blocks": 0}])
def test_impossible_sizes_are_named(arch):
    with pytest.raises(OptionError, match=next(iter(arch))):
        ResCNN(ms_bands=4, **arch)
