"""The table of networks and what every network promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pansharp.errors import (
    BandMismatchError,
    ModelError,
    OptionError,
    PansharpError,
    UnknownModelError,
)
from pansharp.models.layers.fusion import ResidualNetwork, upsample_bicubic
from pansharp.models.networks import (
    build_network,
    get_network,
    list_networks,
    register_network,
)

NAMES = ["rescnn", "rescnn-tiny", "ssft", "ssft-small", "ssft-tilefft"]


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(5)


def test_listing_does_not_import_torch(run_python):
    done = run_python(
        "import sys\n"
        "from pansharp.models.networks import list_networks, get_network, model_spec\n"
        "for n in list_networks(): get_network(n).halo(), model_spec(n).reference\n"
        "assert 'torch' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr


def test_all_networks_are_listed():
    assert set(NAMES) <= set(list_networks())


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    net = build_network(name, ms_bands=3, pan_bands=2).eval()
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    guide, low = torch.rand(2, 2, 24, 40), torch.rand(2, 3, 6, 10)
    with torch.no_grad():
        out = net(guide, low)
        again = net(guide, low)
        up = upsample_bicubic(low, (24, 40))
        residual = net.residual(guide, up)
    assert out.shape == (2, 3, 24, 40)
    assert out.dtype == torch.float32
    assert torch.equal(out, again)
    assert residual.abs().max() > 0
    torch.testing.assert_close(out, up + residual)


def keys(distance):
    """Keys' cubic with a = -1/2, written out as in the paper."""
    d = np.abs(distance)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def along(n, size):
    centres = (np.arange(size) + 0.5) * n / size - 0.5
    weights = keys(centres[:, None] - np.arange(n))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [(32, 44), (25, 36), (67, 92), (8, 11)])
def test_upsampling_is_keys_cubic_on_corner_aligned_grids(size):
    low = torch.rand(2, 3, 8, 11)
    expected = np.einsum(
        "Yy,Xx,nbyx->nbYX", along(8, size[0]), along(11, size[1]), low.double().numpy()
    )
    np.testing.assert_allclose(upsample_bicubic(low, size).numpy(), expected, atol=2e-6)


def test_upsampling_reproduces_a_quadratic():
    x = (torch.arange(16) + 0.5) / 16
    fine = (torch.arange(64) + 0.5) / 64
    up = upsample_bicubic((x**2).expand(1, 1, 16, 16), (64, 64))
    torch.testing.assert_close(up[0, 0, 30, 8:-8], fine[8:-8] ** 2, atol=1e-6, rtol=0)


def test_unknown_network_offers_near_names():
    with pytest.raises(UnknownModelError, match="'ssft-small'"):
        build_network("ssft-smal", ms_bands=4)


def test_unknown_option_offers_near_names():
    with pytest.raises(OptionError, match="no option 'widht'; did you mean 'width'"):
        build_network("rescnn", ms_bands=4, widht=8)


@pytest.mark.parametrize(
    "arguments", [{"ms_bands": 0}, {"ms_bands": 4, "pan_bands": 0}, {"ms_bands": 4, "ratio": 0.5}]
)
def test_impossible_bands_and_ratios(arguments):
    with pytest.raises(OptionError):
        build_network("rescnn-tiny", **arguments)


def test_wrong_inputs_are_named():
    net = build_network("rescnn-tiny", ms_bands=4)
    with pytest.raises(BandMismatchError, match="low-resolution image has 3 bands"):
        net(torch.rand(1, 1, 16, 16), torch.rand(1, 3, 4, 4))
    with pytest.raises(BandMismatchError, match="guide has 2 bands"):
        net(torch.rand(1, 2, 16, 16), torch.rand(1, 4, 4, 4))
    with pytest.raises(ModelError, match="same batch"):
        net(torch.rand(2, 1, 16, 16), torch.rand(1, 4, 4, 4))
    with pytest.raises(ModelError, match="must not be the smaller"):
        net(torch.rand(1, 1, 4, 4), torch.rand(1, 4, 8, 8))


def test_sizes_in_a_reach_must_be_whole():
    with pytest.raises(OptionError, match="fft_window"):
        get_network("ssft").halo({"fft_window": "wide"})


def test_names_are_unique():
    taken = get_network("rescnn")
    assert register_network(taken) is taken
    with pytest.raises(PansharpError, match="registered twice"):
        register_network(type(taken)(**{**fields(taken), "summary": "another"}))


def fields(spec):
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def test_frame_alone_has_no_residual():
    frame = ResidualNetwork(ms_bands=1)
    with pytest.raises(NotImplementedError):
        frame(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 2, 2))
