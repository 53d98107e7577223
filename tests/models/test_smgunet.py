"""SMGU-Net: equal to the authors' network where it claims to be, and local where it is not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from pansharp.errors import BandMismatchError, ModelError, OptionError, WeightsError
from pansharp.models import import_official
from pansharp.models.layers.fusion import upsample_bicubic
from pansharp.models.networks import build_network, get_network
from pansharp.models.smgunet import SMGUNet, SpatialLift, SpectralLift

DATA = Path(__file__).parent / "data" / "smgunet_official.json"

#: Settings that the authors' code was run with; scalars are alpha, mu, beta, rho.
SETTINGS = [
    {"bands": c, "guides": m, "niter": n, "scalars": s}
    for c, m, n, s in [
        (31, 3, 2, (1.0, 1.0, 1.0, 1.0)),
        (31, 3, 1, (0.7, 0.4, 1.3, 0.6)),
        (8, 1, 1, (1.0, 1.0, 1.0, 1.0)),
        (8, 1, 2, (0.2, 0.9, 0.5, 0.3)),
        (8, 1, 2, (0.0, 1.0, 0.0, 1.0)),
        (8, 1, 3, (-0.3, 0.5, 2.0, 0.1)),
    ]
]
#: Scalars that leave H out of both updates.
ONLY_SEEN = (0.0, 1.0, 0.0, 1.0)


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(11)


def official_shapes(c, m):
    """Key to shape of the authors' state dict, from the specification."""
    convolutions = {
        "SpeUB.conv1.1": (c, m, 3, 3),
        "SpeUB.conv2.0": (c, m, 1, 1),
        "SpeUB.conv3.1": (c, m, 3, 3),
        "SpaUB.conv1.0": (c, c, 4, 4),
        "SpaUB.deconv1.0": (c, c, 4, 4),
        "SpaUB.deconv2.0": (c, c, 4, 4),
        "Prior.conv1.0": (c, c, 1, 1),
        "Prior.conv2.1": (c, c, 3, 3),
        "Prior.conv3.1": (c, c, 5, 5),
        "Prior.cat_conv.0": (c, 3 * c, 1, 1),
        "SpaIGM.SpaEncoder.E1.1": (64, c, 3, 3),
        "SpaIGM.SpaEncoder.E2.1": (128, 64, 3, 3),
        "SpaIGM.SpaDecoder.D1.1": (64, 192, 3, 3),
        "SpaIGM.SpaDecoder.D2.1": (c, c + 64, 3, 3),
        "SpeIGM.SpeDecoder.conv.1": (c, 3 * c, 3, 3),
        "Fusion.conv1.1": (2 * c, c, 3, 3),
        "Fusion.conv2.1": (c, 2 * c, 3, 3),
        "Fusion.conv3.1": (2 * c, c, 3, 3),
        "Fusion.conv4.1": (c, 2 * c, 3, 3),
    }
    for module, enhance in (("SpaIGM", "Spa_enhance"), ("SpeIGM", "Spe_enhance")):
        for i, inputs in ((1, c), (2, c), (3, 3 * c)):
            convolutions[f"{module}.{enhance}.conv{i}.1"] = (c, inputs, 3, 3)
        convolutions[f"{module}.RDB.conv.0"] = (c, 2 * c, 1, 1)
        for i in range(1, 6):
            convolutions[f"{module}.RDB.conv{i}.1"] = (c, i * c, 3, 3)
    transposed = ("SpeUB.conv2.0", "SpaUB.deconv1.0", "SpaUB.deconv2.0")
    shapes = {}
    for key, shape in convolutions.items():
        shapes[f"{key}.weight"] = shape
        shapes[f"{key}.bias"] = (shape[1 if key in transposed else 0],)
    for key in ("Fidelity1.alpha", "Fidelity1.mu", "Fidelity2.beta", "Fidelity2.ro"):
        shapes[key] = (1,)
    return shapes


def wave(shape, size, phase):
    """Values a sin(12.9898 i + phase), computed in float64 so that any machine gets the same."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return (size * torch.sin(12.9898 * i + phase)).float().reshape(shape)


def official_state(c, m, scalars=(1.0, 1.0, 1.0, 1.0)):
    """A state dict by formula: every tensor keeps the size of what passes about constant."""
    state = {}
    for index, (key, shape) in enumerate(sorted(official_shapes(c, m).items())):
        fan = math.prod(shape[1:]) if len(shape) > 1 else 100
        state[key] = wave(shape, (2.0 / fan) ** 0.5, 0.7 * index)
    names = ("Fidelity1.alpha", "Fidelity1.mu", "Fidelity2.beta", "Fidelity2.ro")
    for key, value in zip(names, scalars, strict=True):
        state[key] = torch.tensor([value])
    return state


def official_inputs(c, m):
    """Low-resolution cube and guide, 0 to 1."""
    return 0.5 + wave((1, c, 5, 7), 0.5, 0.3), 0.5 + wave((1, m, 20, 28), 0.5, 0.9)


def picked(count):
    """Places of the values that are kept of an output of `count` values."""
    return torch.arange(48) * (count // 48) + torch.arange(48) % 7


def awake(net):
    """Randomise the zero-initialised layer too, so that nothing is trivially right."""
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return net.eval()


def images(height, width, *, bands=4, guides=1):
    return torch.rand(1, guides, height, width), torch.rand(1, bands, height, width)


# Beside the authors' network.
@pytest.mark.parametrize("index", range(len(SETTINGS)))
def test_output_is_that_of_the_authors_code(index):
    case = json.loads(DATA.read_text())[index]
    setting = SETTINGS[index]
    assert [case[key] for key in ("bands", "guides", "niter")] == list(setting.values())[:3]
    assert case["scalars"] == list(setting["scalars"])
    state = official_state(case["bands"], case["guides"], case["scalars"])
    net = import_official("smgunet", state, niter=case["niter"])
    low, guide = official_inputs(case["bands"], case["guides"])
    expected = torch.tensor(case["values"], dtype=torch.float64)
    places, std = picked(20 * 28 * case["bands"]), case["std"]
    assert std > 0.5
    with torch.no_grad():
        single = net(guide, low).flatten()
        double = net.double()(guide.double(), low.double()).flatten()
    assert (single[places] - expected).abs().max() < 5e-6 * std
    assert (double[places] - expected).abs().max() < 1e-9 * std
    assert double.mean().item() == pytest.approx(case["mean"], abs=1e-9 * std)
    assert double.std().item() == pytest.approx(std, rel=1e-9)


@pytest.mark.parametrize(
    ("bands", "guides", "count"),
    [
        (31, 3, 759_385),
        (102, 3, 6_116_903),
        (102, 4, 6_118_842),
        (103, 3, 6_232_537),
        (103, 4, 6_234_495),
        (128, 3, 9_486_087),
        (128, 4, 9_488_520),
        (128, 8, 9_498_252),
        (144, 3, 11_934_407),
        (150, 1, 12_920_481),
        (16, 3, 347_335),
        (16, 4, 347_640),
        (8, 1, 229_941),
        (4, 1, 198_333),
    ],
)
def test_parameter_counts_are_the_authors(bands, guides, count):
    with torch.device("meta"):
        faithful = SMGUNet(ms_bands=bands, pan_bands=guides, faithful=True)
        ours = SMGUNet(ms_bands=bands, pan_bands=guides)
    assert faithful.parameter_count == count
    assert ours.parameter_count == count + 9 * bands**2 + bands


def test_every_official_tensor_has_its_own_place():
    state = official_state(3, 2)
    net = import_official("smgunet", state)
    ours = sorted(float(p.sum()) for p in net.state_dict().values())
    assert ours == pytest.approx(sorted(float(p.sum()) for p in state.values()), abs=1e-5)
    assert len(set(state)) == len(net.state_dict())


def test_transposed_1x1_convolution_is_a_1x1_convolution_with_axes_exchanged():
    state = official_state(5, 2)
    lift = import_official("smgunet", state).spectral_lift
    assert isinstance(lift, SpectralLift)
    x = torch.randn(1, 5, 6, 7)
    weight, bias = state["SpeUB.conv2.0.weight"], state["SpeUB.conv2.0.bias"]
    with torch.no_grad():
        torch.testing.assert_close(lift.back(x), F.conv_transpose2d(x, weight, bias))


def test_missing_key_is_named():
    state = official_state(4, 1)
    del state["SpaIGM.RDB.conv3.1.bias"]
    with pytest.raises(WeightsError, match=r"lacks 1 tensors.*spatial_guidance.dense.layers.2"):
        import_official("smgunet", state)
    del state["SpeUB.conv1.1.weight"]
    with pytest.raises(WeightsError, match=r"no 'SpeUB.conv1.1.weight' among the 76 tensors"):
        import_official("smgunet", state)


def test_key_that_is_left_over_is_named():
    state = official_state(4, 1) | {"Fidelity3.gamma": torch.ones(1)}
    with pytest.raises(WeightsError, match=r"has 'Fidelity3.gamma'"):
        import_official("smgunet", state)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("Fusion.conv2.1.weight", (4, 8, 1, 1)),
        ("SpaUB.conv1.0.weight", (4, 4, 2, 2)),
        ("SpeUB.conv2.0.weight", (1, 4, 1, 1)),
        ("SpeUB.conv2.0.weight", (4,)),
    ],
)
def test_tensor_of_another_shape_is_named(key, shape):
    state = official_state(4, 1) | {key: torch.ones(shape)}
    with pytest.raises(WeightsError, match=key):
        import_official("smgunet", state)


def test_tensor_that_tells_the_bands_must_be_a_convolution():
    state = official_state(4, 1) | {"SpeUB.conv1.1.weight": torch.ones(4)}
    with pytest.raises(WeightsError, match=r"SpeUB.conv1.1.weight.*\(4,\)"):
        import_official("smgunet", state)


def test_small_variant_has_no_official_weights():
    with pytest.raises(ModelError, match=r"those that have: .*smgunet"):
        import_official("smgunet-small", official_state(4, 1))


def test_authors_network_takes_their_ratio_only():
    net = import_official("smgunet", official_state(4, 1))
    with pytest.raises(ModelError, match=r"32x32 pixels.*16x16.*exactly 4"):
        net(torch.rand(1, 1, 32, 32), torch.rand(1, 4, 16, 16))
    with pytest.raises(BandMismatchError, match="3 bands"):
        net(torch.rand(1, 1, 32, 32), torch.rand(1, 3, 8, 8))
    with pytest.raises(ModelError, match="no residual"):
        net.residual(*images(16, 16))
    with pytest.raises(OptionError, match="ratio=3"):
        SMGUNet(ms_bands=4, ratio=3, faithful=True)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (5, 7), (13, 9)])
def test_authors_network_takes_any_size(size):
    net = import_official("smgunet", official_state(3, 1))
    guide = torch.rand(1, 1, 4 * size[0], 4 * size[1])
    with torch.no_grad():
        out = net(guide, torch.rand(1, 3, *size))
    assert out.shape == (1, 3, 4 * size[0], 4 * size[1])
    assert out.isfinite().all()


def test_faithful_network_of_our_own_resampling():
    state = official_state(4, 1)
    low, guide = official_inputs(4, 1)
    with torch.no_grad():
        corners = import_official("smgunet", state)(guide, low)
        centres = import_official("smgunet", state, align_corners=False)(guide, low)
    assert (corners - centres).abs().mean() > 0.01 * corners.std()


# What the unfolding says.
@pytest.mark.parametrize("faithful", [False, True])
def test_observations_made_once_change_no_bit(faithful):
    net = awake(SMGUNet(ms_bands=3, pan_bands=2, niter=3, width=8, faithful=faithful))
    guide, low, h = torch.rand(1, 2, 16, 24), torch.rand(1, 3, 4, 6), torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        hoisted = net._unfold(guide, low, h)
        net.niter = 1
        for _ in range(3):
            h = net._unfold(guide, low, h)
    assert torch.equal(hoisted, h)


def test_update_is_the_gradient_step_of_the_paper():
    """One iteration written out with the sums of the paper instead of sorted ones."""
    state = official_state(4, 1, (0.4, 0.6, 1.2, 0.3))
    net = import_official("smgunet", state, niter=1)
    low, guide = official_inputs(4, 1)
    h = torch.randn(1, 4, 20, 28)
    alpha, mu, beta, rho = 0.4, 0.6, 1.2, 0.3
    with torch.no_grad():
        lifted, spectral = net.spatial_lift(low), net.spectral_lift(guide)
        both = torch.cat((lifted, spectral), 1)
        s1 = net.spatial_guidance(lifted, spectral, both)
        s2 = net.spectral_guidance(lifted, spectral, both)
        a = net.prior(h)
        f1 = h - mu * ((1 + alpha) * h - lifted - s1 - alpha * a)
        f2 = h - rho * ((1 + beta) * h - spectral - s2 - beta * a)
        torch.testing.assert_close(net._unfold(guide, low, h), net.fusion(f1, f2))


def test_without_prior_and_with_full_steps_the_start_does_not_matter():
    state = official_state(4, 1, ONLY_SEEN)
    low, guide = official_inputs(4, 1)
    results = []
    with torch.no_grad():
        for niter, h in ((1, torch.zeros(1, 4, 20, 28)), (4, torch.randn(1, 4, 20, 28))):
            net = import_official("smgunet", state, niter=niter)
            results.append(net._unfold(guide, low, h))
        spatial, spectral = net._observations(guide, low)
        assert torch.equal(*results)
        assert torch.equal(results[0], net.fusion(spatial, spectral))
        other = import_official("smgunet", official_state(4, 1))
        assert not torch.equal(other._unfold(guide, low, h), other._unfold(guide, low, 0 * h))


def test_fusion_weights_are_exchanged():
    net = import_official("smgunet", official_state(4, 1)).fusion
    f1, f2 = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        # Where one update is zero, only the other one is left, times 1 + sigmoid of a constant.
        net.spectral_second.weight.zero_()
        net.spectral_second.bias.zero_()
        torch.testing.assert_close(net(f1, torch.zeros_like(f2)), 1.5 * f1)


@pytest.mark.parametrize("align_corners", [False, True])
def test_both_resamplers_keep_a_constant(align_corners):
    net = SMGUNet(ms_bands=2, width=8, align_corners=align_corners)
    flat = torch.tensor([0.3, 0.8])[None, :, None, None].expand(1, 2, 5, 7)
    doubled = net.spectral_guidance._double(flat)
    torch.testing.assert_close(doubled, flat[..., :1, :1].expand(1, 2, 10, 14))


@pytest.mark.parametrize("factor", [2, 3, 4, 6, 8])
def test_each_low_resolution_pixel_makes_its_own_block(factor):
    lift = SpatialLift(3, factor)
    low = torch.rand(1, 3, 4, 5)
    with torch.no_grad():
        before = lift(low)
        low[..., 2, 3] += 1
        changed = (lift(low) != before).any(1)[0]
    assert before.shape == (1, 3, 4 * factor, 5 * factor)
    expected = torch.zeros_like(changed)
    expected[2 * factor : 3 * factor, 3 * factor : 4 * factor] = True
    assert torch.equal(changed, expected)


# The default form on scenes.
@pytest.mark.parametrize("factor", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("niter", [1, 2, 3])
def test_stated_reach_is_exact(niter, factor):
    halo = get_network("smgunet").halo({"niter": niter, "factor": factor})
    assert halo == 11 + 4 * niter
    net = awake(SMGUNet(ms_bands=2, niter=niter, factor=factor, width=4))
    step = net.multiple_of
    edge = 2 * step
    guide, up = images(step, edge + -(-(halo + 8) // step) * step, bands=2)
    # What lies outside an aligned tile that begins at `edge` is spoilt: how far does it get?
    guide[..., edge - 1], up[..., edge - 1] = torch.nan, torch.nan
    with torch.no_grad():
        spoilt = net.residual(guide, up).isnan().any(dim=2).any(dim=1)[0, edge:]
        assert spoilt[:halo].all()
        assert not spoilt[halo:].any()
        mirrored = net.residual(guide.flip(-1), up.flip(-1)).isnan().any(dim=2).any(dim=1)[0]
    assert torch.equal(mirrored.flip(0)[edge:], spoilt)


def test_deep_dense_blocks_reach_further():
    spec = get_network("smgunet")
    assert spec.halo({"dense_depth": 14}) == spec.halo() + 4
    assert spec.halo({"align_corners": True}) is None
    assert spec.halo({"faithful": True}) is None


@pytest.mark.parametrize("name", ["smgunet", "smgunet-small"])
def test_tile_with_its_halo_equals_the_whole_image(name):
    net = awake(build_network(name, ms_bands=4))
    halo, step = get_network(name).practical_halo, net.multiple_of
    guide, up = images(128, 136)
    with torch.no_grad():
        whole = net.residual(guide, up)
        assert whole.std() > 0.01
        for row, col in ((12, 16), (60, 40)):
            tile = (..., slice(row, row + 64), slice(col, col + 72))
            part = net.residual(guide[tile], up[tile])
            inner = (..., slice(halo, -halo), slice(halo, -halo))
            gap = (whole[tile] - part)[inner].abs().max()
            assert gap < 3e-6 * whole.std()
            assert row % step == col % step == 0


@pytest.mark.parametrize("align_corners", [False, True])
def test_corner_alignment_depends_on_the_tile(align_corners):
    net = awake(SMGUNet(ms_bands=4, width=8, align_corners=align_corners))
    with torch.no_grad():
        # Random weights hardly listen to the pyramid; these do.
        net.spectral_guidance.decode.weight *= 10
        net.spectral_guidance.enhance.gate.weight *= 10
        guide, up = images(64, 128)
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 32:], up[..., 32:])
        gap = (whole[..., -32:] - part[..., -32:]).abs().max() / whole.std()
    assert gap > 1e-3 if align_corners else gap < 3e-6


@pytest.mark.parametrize(
    ("ratio", "factor"), [(1.5, 2), (2, 2), (3, 2), (3.99, 4), (4, 4), (6, 4), (25 / 3, 4)]
)
def test_lattice_of_tiles_is_the_same_for_every_ratio(ratio, factor):
    net = build_network("smgunet-small", ms_bands=3, ratio=ratio)
    assert net.factor == factor
    assert net.multiple_of == get_network("smgunet-small").multiple_of


@pytest.mark.parametrize(("factor", "multiple"), [(2, 4), (3, 12), (4, 4), (6, 12), (8, 8)])
def test_factor_sets_the_lattice(factor, multiple):
    assert SMGUNet(ms_bands=1, width=4, factor=factor).multiple_of == multiple


def test_padding_is_a_mirror_image_that_is_cropped():
    net = awake(SMGUNet(ms_bands=4, width=8))
    guide, up = images(21, 30)
    with torch.no_grad():
        ours = net.residual(guide, up)
        mirrored = [F.pad(x, (0, 2, 0, 3), mode="reflect") for x in (guide, up)]
        torch.testing.assert_close(ours, net.residual(*mirrored)[..., :21, :30])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3)])
def test_scene_smaller_than_the_pyramid(size):
    net = awake(SMGUNet(ms_bands=2, width=4))
    with torch.no_grad():
        out = net.residual(*images(*size, bands=2))
    assert out.shape == (1, 2, *size)
    assert out.isfinite().all()


def test_more_iterations_need_no_other_weights():
    net = awake(SMGUNet(ms_bands=3, width=8, niter=1))
    more = SMGUNet(ms_bands=3, width=8, niter=6).eval()
    more.load_state_dict(net.state_dict(), strict=True)
    guide, up = images(16, 16, bands=3)
    with torch.no_grad():
        once, often = net.residual(guide, up), more.residual(guide, up)
    assert not torch.equal(once, often)
    assert often.isfinite().all()


@pytest.mark.parametrize(("bands", "guides"), [(10, 12), (24, 20), (130, 2)])
def test_hyperspectral_cubes_and_their_subspaces(bands, guides):
    net = awake(build_network("smgunet-small", ms_bands=bands, pan_bands=guides, ratio=25 / 3))
    guide, low = torch.randn(1, guides, 25, 33), torch.randn(1, bands, 3, 4)
    with torch.no_grad():
        out = net(guide, low)
    assert out.shape == (1, bands, 25, 33)
    assert out.isfinite().all()


def test_weights_grow_with_the_square_of_the_bands():
    with torch.device("meta"):
        counts = [SMGUNet(ms_bands=c).parameter_count for c in (128, 256)]
    assert 3.7 < counts[1] / counts[0] < 4


def test_twenty_steps_lower_the_loss():
    net = build_network("smgunet-small", ms_bands=4).train()
    guide, low = torch.rand(2, 1, 32, 32), torch.rand(2, 4, 8, 8)
    up = upsample_bicubic(low, (32, 32))
    target = 0.3 * (guide - F.avg_pool2d(guide, 5, 1, 2)) + 0.1 * up
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3)
    losses = []
    for _ in range(20):
        loss = (net.residual(guide, up) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    "arch", [{"niter": 0}, {"width": 0}, {"dense_depth": 0}, {"factor": 1}, {"factor": 2.5}]
)
def test_impossible_sizes_are_named(arch):
    with pytest.raises(OptionError, match=next(iter(arch))):
        SMGUNet(ms_bands=4, **arch)
