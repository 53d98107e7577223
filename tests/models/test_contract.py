"""What every network promises, whatever its inside; a new one is tried here without being named."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pansharp.models.networks import build_network, get_network, list_networks

NETWORKS = list_networks()
#: Band counts of the low-resolution image and of the guide.
BANDS = [(1, 1), (4, 1), (8, 2), (31, 3), (128, 4)]


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(5)


def awake(name, ms_bands=3, pan_bands=1, ratio=4, **arch):
    """A network whose layers that start at zero are random, so that nothing is trivially right."""
    net = build_network(name, ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio, **arch)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    return net.eval()


@pytest.mark.parametrize("bands", BANDS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_of_bands(name, bands):
    net = awake(name, *bands)
    with torch.no_grad():
        out = net(torch.rand(1, bands[1], 32, 32), torch.rand(1, bands[0], 8, 8))
    assert out.shape == (1, bands[0], 32, 32)
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("sizes", [((33, 47), (9, 12)), ((40, 24), (20, 12)), ((50, 50), (6, 6))])
@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_that_are_no_multiple_of_anything(name, sizes):
    (height, width), low = sizes
    net = awake(name, ratio=height / low[0])
    with torch.no_grad():
        out = net(torch.rand(1, 1, height, width), torch.rand(1, 3, *low))
    assert out.shape == (1, 3, height, width)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0, 30.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_flat_and_saturated_inputs_stay_finite_with_their_gradients(name, value):
    net = awake(name).train()
    guide = torch.full((2, 1, 32, 32), value)
    out = net(guide, torch.full((2, 3, 8, 8), value))
    out.square().mean().backward()
    assert torch.isfinite(out).all()
    for key, parameter in net.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_can_learn(name):
    net = awake(name, pan_bands=2).train()
    reached = {key: False for key, _ in net.named_parameters()}
    for _ in range(3):
        net.zero_grad()
        out = net(torch.rand(2, 2, 32, 32), torch.rand(2, 3, 8, 8))
        (out - torch.rand_like(out)).abs().mean().backward()
        for key, parameter in net.named_parameters():
            reached[key] |= parameter.grad is not None and bool(parameter.grad.any())
    assert all(reached.values()), [key for key, learns in reached.items() if not learns]


@pytest.mark.parametrize("name", NETWORKS)
def test_fresh_network_is_bicubic_and_residual_is_what_it_adds(name):
    from pansharp.models.layers.fusion import upsample_bicubic

    guide, low = torch.rand(2, 1, 32, 48), torch.rand(2, 3, 8, 12)
    up = upsample_bicubic(low, (32, 48))
    net = build_network(name, ms_bands=3).eval()
    with torch.no_grad():
        torch.testing.assert_close(net(guide, low), up, atol=1e-6, rtol=0)
        assert net.residual(guide, up).abs().max() < 1e-6
        net = awake(name)
        assert net.residual(guide, up).abs().max() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_same_input_gives_the_same_bits(name):
    net = awake(name)
    guide, low = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(net(guide, low), net(guide, low))


@pytest.mark.parametrize("name", NETWORKS)
def test_same_seed_gives_the_same_network(name):
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_network(name, ms_bands=4).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_one_image_of_a_batch_does_not_see_the_others(name):
    net = awake(name)
    guide, up = torch.rand(3, 1, 32, 32), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together = net.residual(guide, up)[1:2]
        alone = net.residual(guide[1:2], up[1:2])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_state_survives_a_file(name):
    from safetensors.torch import load, save

    net = awake(name)
    data = save({key: value.contiguous() for key, value in net.state_dict().items()})
    torch.manual_seed(99)
    other = build_network(name, ms_bands=3).eval()
    other.load_state_dict(load(data), strict=True)
    guide, low = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(net(guide, low), other(guide, low))


@pytest.mark.parametrize("name", NETWORKS)
def test_copies_do_not_share_anything(name):
    net = awake(name)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert any(parameter.any() for parameter in net.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_agrees_roughly(name, dtype):
    net = awake(name)
    guide, low = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        full = net(guide, low)
        with torch.autocast("cpu", dtype=dtype):
            half = net(guide, low)
    assert torch.isfinite(half.float()).all()
    # Rounding to 8 bits may also flip a choice (sparse attention, neighbours), hence the mean.
    assert (half.float() - full).abs().mean() < 0.05 * full.std()


@pytest.mark.parametrize("name", NETWORKS)
def test_can_be_exported(name):
    net = awake(name)
    guide, low = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        exported = torch.export.export(net, (guide, low)).module()
        torch.testing.assert_close(exported(guide, low), net(guide, low), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_can_be_counted_without_memory(name):
    with torch.device("meta"):
        counted = build_network(name, ms_bands=4)
    real = build_network(name, ms_bands=4)
    assert all(p.is_meta for p in counted.parameters())
    assert counted.parameter_count == real.parameter_count


@pytest.mark.parametrize("name", NETWORKS)
def test_facts_fit_the_network(name):
    spec = get_network(name)
    assert spec.reference
    assert spec.summary
    assert spec.note
    assert spec.tile % spec.multiple_of == 0
    assert spec.practical_halo % spec.multiple_of == 0
    assert spec.adaptation.patch % spec.multiple_of == 0
    assert getattr(build_network(name, ms_bands=4), "multiple_of", 1) == spec.multiple_of
    if spec.local:
        halo = spec.halo()
        assert halo is not None
        assert 0 <= spec.practical_halo - halo < spec.multiple_of


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_beyond_the_stated_reach_matters(name):
    spec = get_network(name)
    reach, step = spec.halo(), spec.multiple_of
    if reach is None:
        pytest.skip("every output depends on the whole tile")
    if reach > 300:
        pytest.skip("too large for a test; its own test uses a smaller architecture")
    margin = -(-reach // step) * step
    side = margin + 2 * step + 32 // step * step
    net = awake(name)
    guide, up = torch.rand(1, 1, 32, 2 * side), torch.rand(1, 3, 32, 2 * side)
    with torch.no_grad():
        whole = net.residual(guide, up)[..., : side - margin]
        tile = net.residual(guide[..., :side], up[..., :side])[..., : side - margin]
    torch.testing.assert_close(tile, whole, atol=2e-6 * float(whole.abs().max() + 1), rtol=0)
