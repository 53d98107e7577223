"""SSFT: the nine checks of its specification, and what the network promises beyond them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pansharp.errors import OptionError
from pansharp.models.layers.attention import Windows, sparse_softmax
from pansharp.models.layers.fusion import upsample_bicubic
from pansharp.models.layers.spectral import (
    ComplexMix,
    TileFourier,
    WindowedFourier,
    modulus,
    reflect_pad,
    scale,
)
from pansharp.models.networks import build_network, get_network
from pansharp.models.ssft import FGSR, SSFT, TKSR

TINY = {"width": 8, "stages": 2, "heads": 2, "fft_window": 16}


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(7)


def tiny(*, ms_bands=4, pan_bands=1, awake=True, **arch):
    net = SSFT(ms_bands=ms_bands, pan_bands=pan_bands, **{**TINY, **arch}).eval()
    return wake(net) if awake else net


def wake(net):
    """Randomise the zero-initialised layers too, so that every path reaches the output."""
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    return net


def images(height, width, *, ms_bands=4, pan_bands=1, batch=1):
    return torch.rand(batch, pan_bands, height, width), torch.rand(batch, ms_bands, height, width)


# 1
@pytest.mark.parametrize("name", ["ssft", "ssft-small", "ssft-tilefft"])
def test_fresh_network_is_bicubic(name):
    net = build_network(name, ms_bands=4)
    guide, low = torch.rand(1, 1, 32, 48), torch.rand(1, 4, 8, 12)
    with torch.no_grad():
        assert net.residual(guide, upsample_bicubic(low, (32, 48))).abs().max() == 0
        torch.testing.assert_close(
            net(guide, low), upsample_bicubic(low, (32, 48)), atol=1e-6, rtol=0
        )


# 2
@pytest.mark.parametrize("size", [8, 16, 32])
def test_windowed_round_trip(size):
    x = torch.rand(2, 3, 64, 96)
    fourier = WindowedFourier(size)
    assert (fourier.image(fourier.spectra(x)) - x).abs().max() < 1e-5


def test_windowed_spectrum_is_the_transform_of_the_weighted_window():
    x = torch.rand(1, 2, 32, 32)
    fourier = WindowedFourier(16)
    z = torch.cat(list(fourier.spectra(x)), dim=2)
    assert z.shape == (1, 4, 5, 5, 16, 9)
    expected = torch.fft.rfft2(x[:, :, 8:24, 16:32] * fourier.window, norm="ortho")
    torch.testing.assert_close(z[:, :2, 2, 3], expected.real, atol=1e-5, rtol=0)
    torch.testing.assert_close(z[:, 2:, 2, 3], expected.imag, atol=1e-5, rtol=0)


def test_windowed_gradient_matches_the_chain_of_autograd():
    fourier = WindowedFourier(8)
    x = torch.rand(2, 3, 16, 24, requires_grad=True)
    weight = torch.randn(2, 6, 5, 7, 8, 5)
    (ours,) = torch.autograd.grad((torch.cat(list(fourier.spectra(x)), 2) * weight).sum(), x)
    padded = F.pad(x, (4, 4, 4, 4), mode="reflect")
    tiles = padded.unfold(2, 8, 4).unfold(3, 8, 4) * fourier.window
    z = torch.fft.rfft2(tiles, norm="ortho")
    (plain,) = torch.autograd.grad((torch.cat((z.real, z.imag), 1) * weight).sum(), x)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


# 3
def test_pan_path_ignores_the_ms():
    net = tiny()
    guide, up = images(32, 32)
    up.requires_grad_()
    p, m = net.pan_stem(guide), net.ms_stem(up)
    for stage in net.stages:
        m, p, *_ = stage(m, p, *net.fourier.spectra(p))
    assert p.requires_grad  # through the weights
    (of_p,) = torch.autograd.grad(p.sum(), up, retain_graph=True, allow_unused=True)
    assert of_p is None
    (of_m,) = torch.autograd.grad(m.sum(), up)
    assert of_m.abs().max() > 0


# 4
def test_keeping_all_keys_is_dense_attention():
    net = tiny(topk=1.0)
    dense = tiny(topk=None)
    dense.load_state_dict(net.state_dict())
    guide, up = images(32, 32)
    with torch.no_grad():
        assert torch.equal(net.residual(guide, up), dense.residual(guide, up))


def test_sparse_softmax_keeps_k_keys():
    scores = torch.randn(3, 64, 64)
    attention = sparse_softmax(scores, 16)
    assert ((attention > 0).sum(-1) == 16).all()
    least = scores.topk(16, dim=-1).values[..., -1:]
    expected = scores.masked_fill(scores < least, -torch.inf).softmax(-1)
    torch.testing.assert_close(attention, expected)


def test_sparse_softmax_keeps_ties_and_masked_keys_out():
    assert (sparse_softmax(torch.ones(1, 2, 8), 2) == 0.125).all()
    scores = torch.tensor([[[3.0, 1.0, -torch.inf, -torch.inf]]])
    expected = torch.tensor([[[3.0, 1.0]]]).softmax(-1)
    torch.testing.assert_close(sparse_softmax(scores, 3)[..., :2], expected)
    assert (sparse_softmax(scores, 3)[..., 2:] == 0).all()


@pytest.mark.parametrize("topk", [0.25, 0.8, "mix", None])
def test_keys_beyond_the_border_get_no_weight(topk):
    windows = Windows(8, 4, None)
    tksr = TKSR(8, 2, windows, topk)
    p = torch.randn(1, 8, 16, 16)
    with torch.no_grad():
        _, maps = tksr(p)
    attention = torch.cat(maps).view(-1, 2, 64, 64)
    outside = windows.outside(p).isneginf().expand_as(attention)
    assert outside.any()
    assert (attention[outside] == 0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))


# 5
@pytest.mark.parametrize("topk", [0.25, "mix", None])
@pytest.mark.parametrize("scope", ["window", "tile"])
def test_gradients_are_finite_on_constant_images(scope, topk):
    net = tiny(fft_scope=scope, topk=topk).train()
    guide, up = torch.full((1, 1, 32, 32), 0.5), torch.zeros(1, 4, 32, 32)
    (net.residual(guide, up) - 0.3).abs().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


# 6
def test_tile_with_its_halo_equals_the_whole_image():
    net = wake(build_network("ssft-small", ms_bands=4).eval())
    guide, up = images(224, 232)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 16:, 24:], up[..., 16:, 24:])
    assert whole.std() > 0.01
    inner = (whole[..., 112:, 120:] - part[..., 96:, 96:]).abs().max()
    assert inner < 1e-4


@pytest.mark.parametrize(
    "arch",
    [
        {},
        {"stages": 1},
        {"stages": 3, "fft_window": 8},
        {"stages": 1, "fft_window": 32, "attention_window": 8},
    ],
)
def test_stated_reach_is_exact(arch):
    arch = {**TINY, **arch}
    halo = get_network("ssft").halo(arch)
    net = tiny(**arch)
    edge = 2 * net.multiple_of
    guide, up = images(16, edge + -(-(halo + 8) // net.multiple_of) * net.multiple_of)
    # What lies outside an aligned tile that begins at `edge` is spoilt: how far does it get?
    guide[..., edge - 1], up[..., edge - 1] = torch.nan, torch.nan
    with torch.no_grad():
        spoilt = net.residual(guide, up).isnan().any(dim=2).any(dim=1)[0, edge:]
    assert spoilt[:halo].all()
    assert not spoilt[halo:].any()


def test_opposite_borders_do_not_meet():
    net = tiny()
    guide, up = images(16, 192)
    with torch.no_grad():
        before = net.residual(guide, up)
        guide[..., :4], up[..., :4] = 0, 0
        after = net.residual(guide, up)
    assert torch.equal(before[..., -16:], after[..., -16:])
    assert not torch.equal(before[..., :16], after[..., :16])


# 7
def test_whole_tile_transform_depends_on_the_tile():
    net = tiny(fft_scope="tile")
    guide, up = images(16, 192)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 16:], up[..., 16:])
    assert (whole[..., -16:] - part[..., -16:]).abs().max() > 1e-4
    assert get_network("ssft-tilefft").halo() is None


# 8
@pytest.mark.parametrize("ms_bands", [4, 8])
@pytest.mark.parametrize("scope", ["window", "tile"])
def test_any_size_and_band_count(ms_bands, scope):
    net = tiny(ms_bands=ms_bands, pan_bands=2, fft_scope=scope)
    guide, low = torch.rand(2, 2, 42, 27), torch.rand(2, ms_bands, 10, 7)
    with torch.no_grad():
        out = net(guide, low)
    assert out.shape == (2, ms_bands, 42, 27)
    assert out.isfinite().all()


def test_padding_is_a_mirror_image_that_is_cropped():
    net = tiny()
    guide, up = images(20, 30)
    with torch.no_grad():
        ours = net.residual(guide, up)
        mirrored = [F.pad(x, (0, 2, 0, 4), mode="reflect") for x in (guide, up)]
        torch.testing.assert_close(ours, net.residual(*mirrored)[..., :20, :30])


def test_reflect_pad_wider_than_the_image():
    x = torch.arange(3.0).view(1, 1, 1, 3)
    wide = reflect_pad(x, 1, 2, 5, 4)
    assert wide.shape == (1, 1, 4, 12)
    assert wide[0, 0, 3].tolist() == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]


# 9
def test_chunked_equals_unchunked():
    net = tiny()
    guide, up = images(48, 64, batch=2)
    with torch.no_grad():
        usual = net.residual(guide, up)
        for stage in net.stages:
            stage.tksr.windows.batch = 3
        net.fourier.chunk_values = 1
        assert len(list(net.fourier.spectra(up))) == 7
        torch.testing.assert_close(net.residual(guide, up), usual, atol=1e-5, rtol=0)
        for stage in net.stages:
            stage.tksr.windows.batch = 10**6
        net.fourier.chunk_values = 1 << 40
        torch.testing.assert_close(net.residual(guide, up), usual, atol=1e-5, rtol=0)


# Beyond the nine.
def test_complex_mix_is_a_complex_product():
    mix = ComplexMix(5, 3)
    a, b = torch.randn(2, 2, 7, dtype=torch.cfloat), torch.randn(2, 3, 7, dtype=torch.cfloat)
    weight = torch.complex(mix.real, mix.imag)
    with torch.no_grad():
        mix.bias.copy_(torch.randn(6))
        expected = torch.einsum("oc,ncl->nol", weight, torch.cat((a, b), 1))
        expected += torch.complex(mix.bias[:3], mix.bias[3:])[:, None]
        ours = mix(*(torch.cat((z.real, z.imag), 1) for z in (a, b)))
    torch.testing.assert_close(torch.complex(*ours.chunk(2, 1)), expected)


def test_spectral_block_changes_amplitude_and_keeps_the_phase():
    fgsr = FGSR(4)
    zm, zp = torch.randn(1, 8, 3, 3, 8, 5), torch.randn(1, 8, 3, 3, 8, 5)
    with torch.no_grad():
        torch.testing.assert_close(fgsr(zm, zp), zm)
        fgsr.amplitude.weight.copy_(torch.randn(4, 8) * 0.1)
        fgsr.amplitude.bias.fill_(0.5)
        changed = fgsr(zm, zp)
        other_pan = fgsr(zm, torch.randn_like(zp))
        q = fgsr.second(F.leaky_relu(fgsr.first(zm.flatten(2), zp.flatten(2)), 0.2))
        both = torch.cat((modulus(q), modulus(zm.flatten(2))), 1)
        amplitude = F.relu(
            modulus(zm.flatten(2)) + fgsr.amplitude(both.transpose(1, 2)).transpose(1, 2)
        )
    assert not torch.allclose(changed, other_pan)
    expected = scale(zm, (amplitude / modulus(zm.flatten(2))).view(1, 4, *zm.shape[2:]))
    torch.testing.assert_close(changed, expected, atol=1e-5, rtol=1e-4)


def test_whole_tile_round_trip():
    x = torch.rand(2, 3, 24, 40)
    fourier = TileFourier()
    torch.testing.assert_close(fourier.image(fourier.spectra(x)), x)


@pytest.mark.parametrize("shift", [0, 4])
def test_windows_join_what_they_cut(shift):
    windows = Windows(8, shift, None)
    x = torch.rand(2, 3, 16, 24)
    assert torch.equal(windows.join(windows.cut(x), x.shape), x)


def test_large_patches_recompute_without_changing_the_gradient(monkeypatch):
    net = tiny(stages=1)
    guide, up = images(16, 32)
    net.residual(guide, up).square().mean().backward()
    kept = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    monkeypatch.setattr("pansharp.models.ssft.CHECKPOINT_ABOVE", 16)
    net.residual(guide, up).square().mean().backward()
    for parameter, expected in zip(net.parameters(), kept, strict=True):
        torch.testing.assert_close(parameter.grad, expected)


def test_half_precision_keeps_the_transforms_in_float32():
    net = tiny()
    guide, up = images(32, 32)
    with torch.no_grad():
        exact = net.residual(guide, up)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coarse = net.residual(guide, up)
            assert next(net.fourier.spectra(up.bfloat16())).dtype == torch.float32
    assert (coarse.float() - exact).abs().max() < 0.1 * exact.abs().max() + 0.05


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
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    "arch",
    [
        {"width": 10, "heads": 4},
        {"stages": 0},
        {"fft_window": 30},
        {"attention_window": 7},
        {"fft_scope": "scene"},
        {"topk": 0.0},
        {"topk": "some"},
        {"window_batch": 0},
    ],
)
def test_impossible_sizes_are_named(arch):
    with pytest.raises(OptionError, match=next(iter(arch))):
        SSFT(ms_bands=4, **{**TINY, **arch})
