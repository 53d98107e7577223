"""BUGPan's default form: reach, tiles, scales, padding, training, options."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pansharp.errors import OptionError
from pansharp.models.bugpan import BUGPan
from pansharp.models.networks import build_network, get_network


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(11)


def awake(net):
    """Randomise the zero-initialised layers too, so that every path reaches the output."""
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    return net.eval()


def small(**arch):
    ready = {"ms_bands": 3, "width": 12, "retimes": 3, "gate_widths": (8, 8, 8), **arch}
    return awake(BUGPan(**ready))


def pair(rows, columns, *, ms_bands=3, pan_bands=1, batch=1):
    return torch.rand(batch, pan_bands, rows, columns), torch.rand(batch, ms_bands, rows, columns)


@pytest.mark.parametrize(
    "arch",
    [
        {"gate": "none", "retimes": 1},
        {"gate": "none", "retimes": 2},
        {"gate": "none", "retimes": 1, "depthwise": True},
        {"gate": "ssw", "retimes": 2, "gate_window": 16},
        {"gate": "ssw", "retimes": 2, "gate_window": 8},
    ],
    ids=str,
)
def test_stated_reach_is_exact(arch):
    # Soft weights carry a NaN on, which a hard decision swallows; both see the same windows.
    net = small(**arch, gate_input="features")
    halo = get_network("bugpan").halo(arch)
    edge = net.multiple_of * 2
    guide, up = pair(edge, edge + -(-(halo + 8) // net.multiple_of) * net.multiple_of)
    guide[..., edge - 1], up[..., edge - 1] = torch.nan, torch.nan
    with torch.no_grad():
        spoilt = net.residual(guide, up).isnan().any(dim=2).any(dim=1)[0, edge:]
    assert spoilt[:halo].all()
    assert not spoilt[halo:].any()


def test_reaches():
    assert get_network("bugpan").halo() == 465
    assert get_network("bugpan").halo({"gate_scope": "tile"}) is None
    assert get_network("bugpan").halo({"gate_scope": "open"}) == 252
    assert get_network("bugpan-static").halo() == 252
    assert get_network("bugpan-small").halo() == 177


# The rest of the default form.
def test_two_scales_below_a_ratio_of_three():
    assert len(build_network("bugpan-small", ms_bands=2, ratio=2).blocks) == 2
    assert len(build_network("bugpan-small", ms_bands=2, ratio=8.33).blocks) == 3
    net = small(ratio=2)
    with torch.no_grad():
        coarse, fine = net.pyramid(torch.rand(1, 1, 41, 30), torch.rand(1, 3, 20, 15))
    assert coarse.shape == (1, 3, 21, 15)
    assert fine.shape == (1, 3, 41, 30)


def test_pyramid_ends_in_the_product():
    net = small()
    guide, low = torch.rand(2, 1, 42, 27), torch.rand(2, 3, 10, 7)
    with torch.no_grad():
        estimates = net.pyramid(guide, low)
        assert torch.equal(estimates[-1], net(guide, low))
    assert [tuple(e.shape[-2:]) for e in estimates] == [(11, 7), (21, 14), (42, 27)]


def test_padding_is_a_mirror_image_that_is_cropped():
    net = small()
    guide, up = pair(40, 50)
    with torch.no_grad():
        mirrored = [F.pad(x, (0, 14, 0, 24), mode="reflect") for x in (guide, up)]
        torch.testing.assert_close(
            net.residual(guide, up), net.residual(*mirrored)[..., :40, :50], atol=1e-6, rtol=1e-5
        )


def test_offset_can_be_set():
    net = small()
    net.gate_offset = 0.25
    assert net.gate_offset == pytest.approx(0.25)
    assert all(float(block.gate.offset) == pytest.approx(0.25) for block in net.blocks)
    assert small(gate="none").gate_offset == 0
    with pytest.raises(OptionError, match="gate_offset=1"):
        net.gate_offset = 1


def test_twenty_steps_lower_the_loss():
    net = BUGPan(ms_bands=3, width=12, retimes=2, gate_widths=(8, 8, 8)).train()
    guide, up = pair(32, 32, batch=2)
    target = 0.3 * (guide - F.avg_pool2d(guide, 5, 1, 2)) + 0.1 * up
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = (net.residual(guide, up) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]


@pytest.mark.parametrize(
    "arch",
    [
        {"width": 8},
        {"retimes": 0},
        {"scales": 0},
        {"gate": "soft"},
        {"gate_input": "pan"},
        {"gate_widths": (8, 8)},
        {"gate_noise": "uniform"},
        {"gate_offset": 1.0},
        {"gate_scope": "scene"},
        {"gate_window": 12},
    ],
    ids=str,
)
def test_impossible_arguments_are_named(arch):
    with pytest.raises(OptionError, match=next(iter(arch))):
        BUGPan(**{"ms_bands": 4, "width": 12, **arch})
    with pytest.raises(OptionError, match="gate_scope"):
        BUGPan(ms_bands=4, faithful=True, gate_scope="window")
