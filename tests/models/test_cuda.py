"""Networks on a CUDA device: the same result as on the processor, in training and in prediction."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pansharp.models.networks import build_network, list_networks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NETWORKS = list_networks()


@pytest.fixture(autouse=True)
def _full_precision():
    """TF32 keeps 10 bits of mantissa, which would hide an error of 1e-4."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(5)
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _awake(name):
    net = build_network(name, ms_bands=4, pan_bands=2)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    return net.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_prediction_agrees_with_the_processor(name):
    net = _awake(name)
    guide, up = torch.rand(1, 2, 96, 96), torch.rand(1, 4, 96, 96)
    with torch.no_grad():
        ours = net.residual(guide, up)
        theirs = copy.deepcopy(net).cuda().residual(guide.cuda(), up.cuda()).cpu()
    # A choice between near ties (sparse attention, neighbours) may fall differently in places.
    gap = (ours - theirs).abs() / ours.std()
    assert gap.median() < 1e-4
    assert (gap > 1e-2).float().mean() < 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_agrees_with_the_processor(name):
    net = _awake(name).train()
    guide, up, target = torch.rand(2, 2, 48, 48), torch.rand(2, 4, 48, 48), torch.rand(2, 4, 48, 48)
    losses = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(1)
        twin = copy.deepcopy(net).to(device)
        output = twin.residual(guide.to(device), up.to(device))
        loss = (output - target.to(device)).abs().mean()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in twin.parameters())
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_is_near_float32(name):
    net = _awake(name).cuda()
    guide, up = torch.rand(1, 2, 96, 96).cuda(), torch.rand(1, 4, 96, 96).cuda()
    with torch.no_grad():
        full = net.residual(guide, up)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            half = net.residual(guide, up).float()
    assert torch.isfinite(half).all()
    assert (half - full).abs().mean() < 0.1 * full.std()
