"""HyFusion: structure, equations and choices of its specification, and its behaviour on tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pansharp.errors import ModelError, OptionError
from pansharp.models.hyfusion import HyFusion, alignment, two_steps
from pansharp.models.hyfusion_erfb import ERFB
from pansharp.models.networks import build_network, get_network

TINY = {"width": 8, "growth": 4, "heads": 2, "blocks": 1}
#: A block of one layer, where the reach of many would need a wide image.
SHORT = {**TINY, "mlp_ratios": (1.0,)}


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(7)


def tiny(*, ms_bands=3, pan_bands=1, awake=True, **arch):
    net = HyFusion(ms_bands=ms_bands, pan_bands=pan_bands, **{**TINY, **arch}).eval()
    return wake(net) if awake else net


def wake(net):
    """Randomise all weights widely, so that every path reaches the output."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.15)
    return net


def images(height, width, *, ms_bands=3, pan_bands=1, batch=1):
    return torch.randn(batch, pan_bands, height, width), torch.randn(batch, ms_bands, height, width)


def count(**arch):
    with torch.device("meta"):
        return HyFusion(**arch).parameter_count


# Sections 2, 3 and 7: the structure, pinned by its parameters.
@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ({"ms_bands": 172, "pan_bands": 4}, 13_754_544),
        ({"ms_bands": 128, "pan_bands": 3}, 13_638_724),
        ({"ms_bands": 31, "pan_bands": 3}, 13_387_203),
        ({"ms_bands": 172, "pan_bands": 4, "width": 48, "growth": 16}, 3_623_920),
        ({"ms_bands": 172, "pan_bands": 4, "width": 48, "growth": 16, "blocks": 2}, 1_609_936),
        (
            {"ms_bands": 63, "ratio": 6, "factor": 6, "width": 48, "growth": 16, "blocks": 2},
            1_465_971,
        ),
        ({"ms_bands": 31, "pan_bands": 3, "width": 32, "growth": 16, "blocks": 1}, 587_051),
        (
            {"ms_bands": 172, "pan_bands": 4, "width": 180, "heads": 6, "legacy_heads": True},
            31_511_526,
        ),
    ],
)
def test_parameters_of_the_presets(arch, expected):
    assert count(**arch) == expected


@pytest.mark.parametrize(
    ("width", "growth", "heads", "expected"),
    [
        (96, 32, 4, 984_884),
        (48, 16, 4, 251_748),
        (32, 16, 4, 167_684),
        (180, 32, 6, 2_223_998),
    ],
)
def test_parameters_of_one_block(width, growth, heads, expected):
    with torch.device("meta"):
        block = ERFB(width, growth, heads, legacy_heads=heads == 6)
    assert sum(p.numel() for p in block.parameters()) == expected


def test_registered_variants_are_the_presets():
    with torch.device("meta"):
        for name, expected in (("hyfusion-small", 1_609_936), ("hyfusion", 13_754_544)):
            assert build_network(name, ms_bands=172, pan_bands=4).parameter_count == expected
        assert build_network("hyfusion-tiny", ms_bands=31, pan_bands=3).parameter_count == 587_051


# Section 3: ERFB.
def test_widths_and_dense_connections():
    block = ERFB(12, 4, 2)
    for k in range(5):
        swin, adjust = block.get_submodule(f"swin{k + 1}"), block.get_submodule(f"adjust{k + 1}")
        inner = 12 + 4 * k
        assert swin.attn.qkv.weight.shape == (3 * inner, inner)
        assert swin.mlp.fc1.weight.shape == (inner * (2, 2, 2, 1, 1)[k], inner)
        assert adjust.weight.shape == ((4, 4, 4, 4, 12)[k], inner, 1, 1)


def cut(image, window, shift):
    image = image.roll((-shift, -shift), (1, 2))
    _, height, width, c = image.shape
    image = image.view(-1, height // window, window, width // window, window, c)
    return image.transpose(2, 3).reshape(-1, window**2, c)


def plain_block(block, x, window=8):
    """The block written without chunks: cyclic shift and the nine-region mask of -100."""
    n, _, height, width = x.shape
    features = [x]
    for k in range(block.depth):
        shift = window // 2 * (k % 2)
        swin, adjust = block.get_submodule(f"swin{k + 1}"), block.get_submodule(f"adjust{k + 1}")
        dense = torch.cat(features, 1).permute(0, 2, 3, 1)
        c = dense.shape[-1]
        region = torch.zeros(1, height, width, 1)
        if shift:
            lines = [
                torch.tensor([0] * (size - window) + [1] * shift + [2] * shift)
                for size in (height, width)
            ]
            region = (3 * lines[0][:, None] + lines[1]).float().roll((shift, shift), (0, 1))
            region = region[None, :, :, None]
        of = cut(region, window, shift)
        mask = torch.where(of == of.transpose(1, 2), 0.0, -100.0).repeat(n, 1, 1)[:, None]
        tokens = cut(dense, window, shift)
        qkv = swin.attn.qkv(swin.norm1(tokens))
        q, key, v = (
            t.view(len(tokens), window**2, swin.attn.heads, -1).transpose(1, 2)
            for t in qkv.chunk(3, -1)
        )
        bias = torch.empty(swin.attn.heads, window**2, window**2)
        for i in range(window**2):
            for j in range(window**2):
                dy, dx = i // window - j // window, i % window - j % window
                at = (dy + window - 1) * (2 * window - 1) + dx + window - 1
                bias[:, i, j] = swin.attn.relative_position_bias_table[at]
        scores = q @ key.transpose(2, 3) / (c / swin.attn.heads) ** 0.5 + bias + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(tokens.shape)
        tokens = tokens + swin.attn.proj(mixed)
        tokens = tokens + swin.mlp.fc2(F.gelu(swin.mlp.fc1(swin.norm2(tokens))))
        image = tokens.view(n, height // window, width // window, window, window, c)
        image = image.transpose(2, 3).reshape(n, height, width, c).roll((shift, shift), (1, 2))
        grown = adjust(image.permute(0, 3, 1, 2))
        features.append(grown if k == block.depth - 1 else F.leaky_relu(grown, 0.2))
    return x + 0.2 * features[-1]


def test_block_is_the_equation_and_its_mask_the_nine_regions():
    block = wake(ERFB(8, 4, 2))
    x = torch.randn(2, 8, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(block(x), plain_block(block, x), atol=2e-5, rtol=1e-5)


def wave(shape, phase, size):
    values = size * np.sin(0.37 * np.arange(np.prod(shape)) + phase)
    return torch.from_numpy(values.reshape(shape)).float()


def test_block_gives_the_numbers_of_the_authors_later_code():
    # ERFB of HSSDCT (arXiv:2602.00490, repository jemmyleee/HSSDCT), the only released code of a
    # block of this name, run with these weights: four layers, MLP 4 4 4 1, gain, windows 8 shift 4.
    block = ERFB(24, 8, 4, mlp_ratios=(4, 4, 4, 1), gain=1e-4)
    assert sum(p.numel() for p in block.parameters()) == 59_664
    with torch.no_grad():
        for i, (_, parameter) in enumerate(sorted(block.named_parameters())):
            parameter.copy_(wave(parameter.shape, 0.7 * i, 0.2))
        x = wave((1, 24, 16, 24), 0.1, 1.0)
        out = block(x).contiguous()
    assert float(out.std()) == pytest.approx(0.7632641, rel=1e-6)
    assert float(out.mean()) == pytest.approx(-0.0074070, abs=1e-6)
    expected = [
        *(0.863086, 0.5830171, 0.5859612, 0.099376, -0.31044, -1.0423449, -1.4023697, -1.2614067),
        *(-0.8160554, -0.0023311, 0.4514048, 1.1862571, 1.2988218, 1.3097222, 0.611125, 0.0077472),
        *(-0.4576154, -0.6830365, -0.6497355, -0.7989549, -0.4961508, -0.4305591, -0.0012654),
        *(-0.043863, 0.2126988, 0.4780191, 0.8640885, 1.073082, 0.733467, 0.4086289, -0.3166454),
        *(-0.6799167, -1.3409512, -1.3735896, -1.1609622, -0.3506131),
    ]
    torch.testing.assert_close(
        out.flatten()[5 :: out.numel() // 36][:36], torch.tensor(expected), atol=2e-6, rtol=0
    )


def test_later_code_counts_at_its_own_width():
    with torch.device("meta"):
        block = ERFB(172, 32, 4, mlp_ratios=(4, 4, 4, 1), gain=1e-4)
    # The released one has windows of 4, which its input_resolution=(4, 4) forces: smaller tables.
    tables = 4 * 4 * (15**2 - 7**2)
    assert sum(p.numel() for p in block.parameters()) - tables == 2_031_944


def test_block_adds_a_fifth_of_its_last_layer():
    block = ERFB(8, 4, 2)
    with torch.no_grad():
        block.adjust5.weight.zero_()
        block.adjust5.bias.fill_(-1.0)
        x = torch.randn(1, 8, 16, 16)
        torch.testing.assert_close(block(x), x - 0.2)


def test_windows_of_every_second_layer_are_shifted():
    block = wake(ERFB(8, 4, 2, mlp_ratios=(1, 1)))
    x = torch.randn(1, 8, 8, 24, requires_grad=True)
    grown = block(x) - x
    for column, first, beyond in ((8, 0, 16), (11, 0, 16), (12, 8, 24), (3, 0, 8)):
        (gradient,) = torch.autograd.grad(grown[..., column].sum(), x, retain_graph=True)
        seen = gradient.abs().sum(dim=(0, 1, 2)).nonzero()[:, 0]
        assert (int(seen.min()), int(seen.max()) + 1) == (first, beyond)


def test_opposite_borders_do_not_meet():
    block = wake(ERFB(8, 4, 2))
    x = torch.randn(1, 8, 16, 96)
    with torch.no_grad():
        before = block(x)
        x[..., :4] = 0
        after = block(x)
    assert torch.equal(before[..., -16:], after[..., -16:])
    assert not torch.equal(before[..., :16], after[..., :16])


def test_heads_must_divide_every_layer():
    with pytest.raises(OptionError, match="heads=6 does not divide the 212 channels of layer 2"):
        ERFB(180, 32, 6)
    used = [ERFB(180, 32, 6, legacy_heads=True).get_submodule(f"swin{k}") for k in range(1, 6)]
    assert [layer.attn.heads for layer in used] == [6, 4, 2, 6, 4]


def test_initial_weights():
    state = HyFusion(ms_bands=4, **{**TINY, "width": 64, "growth": 16}).state_dict()
    assert float(state["hr_body.0.swin1.attn.qkv.weight"].std()) == pytest.approx(0.02, rel=0.05)
    assert float(state["lr_body.0.swin5.attn.relative_position_bias_table"].std()) > 0.01
    assert not state["hr_body.0.swin1.attn.qkv.bias"].any()
    assert (state["fuse_block.swin2.norm1.weight"] == 1).all()
    assert not state["head.weight"].any()


# Section 2: the two branches.
def by_the_figure(net, guide, up, low, *, up_mode="nearest"):
    """Both branches with concatenation and windows that need no padding."""
    larger = {"scale_factor": 2, "mode": up_mode}
    small = F.interpolate(
        guide, size=low.shape[-2:], mode="bicubic", antialias=True, align_corners=False
    )
    leaky = torch.nn.LeakyReLU(0.2)
    a0 = leaky(net.hr_stem(torch.cat([up, guide], 1)))
    a = a0
    for block in net.hr_body:
        a = block(a)
    l0 = F.interpolate(leaky(net.lr_stem(torch.cat([low, small], 1))), **larger)
    lower = l0
    for block in net.lr_body:
        lower = block(lower)
    if net.add_skips:
        fa = net.hr_out(leaky(a + a0))
        fl = net.lr_out(leaky(F.interpolate(lower + l0, **larger)))
        return net.head(net.fuse_block(net.fuse_in(fa + fl)))
    fa = net.hr_out(leaky(torch.cat([a, a0], 1)))
    fl = net.lr_out(leaky(F.interpolate(torch.cat([lower, l0], 1), **larger)))
    return net.head(net.fuse_block(net.fuse_in(torch.cat([fa, fl], 1))))


@pytest.mark.parametrize("up_mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("skip", ["concat", "add"])
def test_branches_follow_the_figure(skip, up_mode):
    net = tiny(blocks=2, skip=skip, up_mode=up_mode, hr_width=4, lr_width=12)
    guide, up = images(32, 48, batch=2)
    low = up.view(2, 3, 8, 4, 12, 4).mean(dim=(3, 5))
    with torch.no_grad():
        expected = by_the_figure(net, guide, up, low, up_mode=up_mode)
        torch.testing.assert_close(net.residual(guide, up), expected, atol=1e-5, rtol=1e-4)


def test_without_the_global_residual_the_output_is_the_product():
    net = tiny(blocks=2, global_residual=False)
    guide, low = torch.randn(2, 1, 32, 48), torch.randn(2, 3, 8, 12)
    up = F.interpolate(low, scale_factor=4, mode="bilinear")
    with torch.no_grad():
        out = net(guide, low)
        torch.testing.assert_close(out, by_the_figure(net, guide, up, low), atol=1e-5, rtol=1e-4)
        with_up = tiny(blocks=2)
        with_up.load_state_dict(net.state_dict())
        added = with_up.residual(guide, up) - up
        torch.testing.assert_close(net.residual(guide, up), added)
    fresh = tiny(awake=False, global_residual=False)
    assert fresh.head.weight.any()


def test_without_the_global_residual_both_inputs_are_padded_together():
    net = tiny(global_residual=False)
    guide, low = torch.randn(1, 1, 24, 40), torch.randn(1, 3, 6, 10)
    with torch.no_grad():
        out = net(guide, low)
        mirrored = F.pad(guide, (0, 8, 0, 8), mode="reflect"), F.pad(low, (0, 2, 0, 2), "reflect")
        torch.testing.assert_close(out, net(*mirrored)[..., :24, :40])


def test_without_the_global_residual_only_its_own_ratio():
    net = tiny(global_residual=False)
    with pytest.raises(ModelError, match=r"24x40 pixels .* 8x10: .* exactly 4 times"):
        net(torch.rand(1, 1, 24, 40), torch.rand(1, 3, 8, 10))


def test_legacy_resize_is_bicubic_without_antialiasing():
    net, legacy = tiny(), tiny(legacy_resize=True)
    legacy.load_state_dict(net.state_dict())
    guide, up = images(32, 32)
    flat = torch.ones_like(guide)
    with torch.no_grad():
        assert (net.residual(guide, up) - legacy.residual(guide, up)).abs().max() > 1e-3
        same = net.residual(flat, up) - legacy.residual(flat, up)
    assert same.abs().max() < 1e-5


@pytest.mark.parametrize(
    ("factor", "steps", "side"),
    [
        (2, (2, 1), 8),
        (3, (3, 1), 24),
        (4, (2, 2), 16),
        (6, (2, 3), 24),
        (8, (2, 4), 32),
        (16, (4, 4), 32),
    ],
)
def test_steps_and_alignment_of_each_factor(factor, steps, side):
    assert two_steps(factor) == steps
    assert alignment(factor, steps, 8) == side
    net = tiny(factor=factor)
    assert (net.steps, net.multiple_of) == (steps, side)
    guide, up = images(side + 5, side)
    with torch.no_grad():
        assert net.residual(guide, up).shape == up.shape


@pytest.mark.parametrize(("ratio", "factor"), [(1, 2), (2, 2), (2.9, 2), (3, 4), (8.33, 4)])
def test_ratio_chooses_a_factor_that_fits_tiles_of_16(ratio, factor):
    net = tiny(ratio=ratio)
    assert net.factor == factor
    assert net.multiple_of == 16
    assert tiny(window=16).multiple_of == 32


def test_given_steps():
    assert tiny(factor=8, steps=(4, 2)).multiple_of == 16
    with pytest.raises(OptionError, match=r"factor=4, steps=\(3, 2\)"):
        tiny(steps=(3, 2))
    with pytest.raises(OptionError, match="factor=1"):
        tiny(factor=1)


def test_state_dict_names():
    keys = set(tiny().state_dict())
    parts = {"hr_stem", "lr_stem", "hr_body", "lr_body", "hr_out", "lr_out"}
    assert {key.split(".")[0] for key in keys} == {*parts, "fuse_in", "fuse_block", "head"}
    tails = {key.removeprefix("fuse_block.swin2.") for key in keys if "fuse_block.swin2." in key}
    assert tails == {
        f"{layer}.{kind}"
        for layer in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
        for kind in ("weight", "bias")
    } | {"attn.relative_position_bias_table"}


# Section 10: tiles.
@pytest.mark.parametrize(
    "arch",
    [
        {"factor": 4},
        {"factor": 2},
        {"factor": 6},
        {"factor": 3, "blocks": 2},
        {"factor": 4, "blocks": 2},
        {"factor": 4, "blocks": 3, "mlp_ratios": (1.0,)},
        {"factor": 4, "up_mode": "bilinear", "mlp_ratios": (1.0,)},
        {"factor": 6, "up_mode": "bilinear", "window": 4},
        {"factor": 4, "legacy_resize": True},
        {"factor": 2, "legacy_resize": True, "mlp_ratios": (1.0,)},
        {"factor": 8, "steps": (4, 2), "window": 4},
        {},
    ],
)
def test_stated_reach_is_exact(arch):
    arch = {**TINY, **arch}
    halo = get_network("hyfusion").halo(arch)
    net = wake(HyFusion(ms_bands=3, **arch).eval())
    edge = 2 * net.multiple_of
    wide = edge + -(-(halo + 8) // net.multiple_of) * net.multiple_of
    guide, up = images(net.multiple_of, wide)
    # What lies outside an aligned tile that begins at `edge` is spoilt: how far does it get?
    guide[..., edge - 1], up[..., edge - 1] = torch.nan, torch.nan
    with torch.no_grad():
        spoilt = net.residual(guide, up).isnan().any(dim=2).any(dim=1)[0, edge:]
    assert spoilt[:halo].all()
    assert not spoilt[halo:].any()


def test_reach_without_a_factor_is_the_larger_of_the_two():
    halo = get_network("hyfusion-small").halo
    assert halo() == max(halo({"factor": 2}), halo({"factor": 4})) == 105
    assert get_network("hyfusion").halo() == 233
    with pytest.raises(OptionError, match="blocks"):
        halo({"blocks": "few"})
    with pytest.raises(OptionError, match="mlp_ratios"):
        halo({"mlp_ratios": 2})


def test_tile_with_its_reach_equals_the_whole_image():
    net = tiny(**SHORT)
    halo = get_network("hyfusion").halo(SHORT)
    guide, up = images(96, 112)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 16:, 32:], up[..., 16:, 32:])
    inner = slice(halo, None), slice(halo, None)
    assert whole.std() > 0.01
    gap = whole[..., 16:, 32:][..., *inner] - part[..., *inner]
    assert gap.abs().max() < 1e-5 * whole.std()


@pytest.mark.parametrize("name", ["hyfusion-tiny", "hyfusion-small"])
def test_tile_with_the_practical_halo_nearly_equals_the_whole_image(name):
    net = build_network(name, ms_bands=4, pan_bands=2).eval()
    torch.nn.init.normal_(net.head.weight, std=0.05)
    halo = get_network(name).practical_halo
    guide, up = images(64, 128, ms_bands=4, pan_bands=2)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 32:], up[..., 32:])
    gap = (whole[..., 32 + halo :] - part[..., halo:]).abs()
    assert gap.max() < 2e-3 * whole.std()
    unaligned = net.residual(guide[..., 36:], up[..., 36:]).detach()
    off = (whole[..., 36 + halo :] - unaligned[..., halo:]).abs()
    assert off.max() > 3 * gap.max()


def test_chunked_equals_unchunked():
    net = tiny(blocks=2)
    guide, up = images(48, 64, batch=2)
    with torch.no_grad():
        usual = net.residual(guide, up)
        for module in net.modules():
            if isinstance(module, ERFB):
                for windows in module.windows:
                    windows.batch = 3
        torch.testing.assert_close(net.residual(guide, up), usual, atol=1e-5, rtol=0)


def test_padding_is_a_mirror_image_that_is_cropped():
    net = tiny()
    guide, up = images(20, 30)
    with torch.no_grad():
        mirrored = [F.pad(x, (0, 2, 0, 12), mode="reflect") for x in (guide, up)]
        expected = net.residual(*mirrored)[..., :20, :30]
        torch.testing.assert_close(net.residual(guide, up), expected)


# Training.
def test_large_patches_recompute_without_changing_the_gradient(monkeypatch):
    net = tiny()
    guide, up = images(16, 32)
    net.residual(guide, up).square().mean().backward()
    kept = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    monkeypatch.setattr("pansharp.models.hyfusion.CHECKPOINT_ABOVE", 8)
    net.residual(guide, up).square().mean().backward()
    for parameter, expected in zip(net.parameters(), kept, strict=True):
        torch.testing.assert_close(parameter.grad, expected)


def test_twenty_steps_lower_the_loss():
    net = tiny(awake=False).train()
    guide, up = images(32, 32, batch=2)
    target = 0.3 * (guide - F.avg_pool2d(guide, 5, 1, 2)) + 0.1 * up
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = (net.residual(guide, up) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "arch",
    [
        {"width": 0},
        {"blocks": 0},
        {"heads": 3},
        {"lr_width": 9},
        {"hr_width": 0},
        {"factor": 0},
        {"window": 7},
        {"mlp_ratios": ()},
        {"skip": "sum"},
        {"up_mode": "bicubic"},
        {"window_batch": 0},
    ],
)
def test_impossible_sizes_are_named(arch):
    key = next(iter(arch)).removeprefix("lr_")
    with pytest.raises(OptionError, match=key):
        tiny(**arch)
