"""BUGPan: agreement with the authors' network, the hooks of its specification, windows of the gate.

The numbers in ``data/bugpan.json`` were made by running the authors' code (GitHub
coder-JMHou/BUGPan, commit 7af37a2, masksembles 1.1.1, torch 2.13) once on the weights, masks and
inputs that :func:`official_state` and :func:`images` make from a formula.
"""

from __future__ import annotations

import itertools
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pansharp.errors import ModelError, PansharpWarning, WeightsError
from pansharp.models import import_official
from pansharp.models.bugpan import BUGPan
from pansharp.models.layers.uncertainty import (
    HardGate,
    Uncertainty,
    draw_masks,
    full_spectrum,
)
from pansharp.models.networks import build_network, get_network

KERNELS = (1, 3, 5)
GOLDEN = Path(__file__).parent / "data" / "bugpan.json"
#: Settings of the authors' network. `bias`: of the last layer of each gate, (skip, go).
CASES = {
    "static 4": {"bands": 4},
    "static 8": {"bands": 8},
    "open 4": {"bands": 4, "gate": "gate", "bias": [(-4.0, 4.0)] * 3},
    "open 8": {"bands": 8, "gate": "gate", "bias": [(-4.0, 4.0)] * 3},
    "closed 4": {"bands": 4, "gate": "gate", "bias": [(4.0, -4.0)] * 3},
    "one closed 8": {"bands": 8, "gate": "gate", "bias": [(-4, 4), (4.0, -4.0), (-4, 4)]},
    "closes midway 4": {"bands": 4, "gate": "gate", "bias": [(0, 0)] * 3},
    "features only": {"bands": 4, "width": 12, "gate": "gate", "reads": 0, "bias": [(0, 0)] * 3},
    "space only": {"bands": 4, "width": 12, "gate": "gate", "reads": 1, "bias": [(0, 0)] * 3},
    "frequency only": {"bands": 4, "width": 12, "gate": "gate", "reads": 2, "bias": [(0, 0)] * 3},
    # Soft weights read frequency uncertainties of up to 1e5, which rounding moves by far more than
    # any tolerance (the authors' code differs from itself in double precision by 2 %).
    "element weights": {"bands": 4, "width": 12, "gate": "esw", "double": True},
    "sample weights": {"bands": 8, "width": 16, "gate": "ssw", "double": True},
    "separate recursions": {"bands": 4, "width": 12, "recursive": False, "gate": "gate"},
    "separable": {"bands": 4, "width": 12, "depthwise": True},
    "three guide bands": {"bands": 7, "guide": 3, "width": 12, "retimes": 2},
}


def noise(count: int, key: int) -> torch.Tensor:
    """Numbers in [-1, 1) that look random and follow from a formula."""
    wave = np.sin((np.arange(count) + 1) * 12.9898 + key * 78.233) * 43758.5453
    return torch.from_numpy(2 * (wave - np.floor(wave)) - 1)


def official_shapes(
    bands, guide=1, width=32, retimes=5, recursive=True, depthwise=False, gate=None, reads=3, **_
):
    """Keys of the authors' state dict, without masks, and their shapes."""
    shapes = {}

    def layer(key, *shape):
        shapes[key + ".weight"], shapes[key + ".bias"] = shape, shape[:1]

    for i in range(3):
        layer(f"proj_ms.{i}", width, bands, 3, 3)
        layer(f"proj_pan.{i}", width, guide, 5, 5)
        block = f"rijabs.{i}"
        layer(f"{block}.head_conv", width, 2 * width, 3, 3)
        for k, t in itertools.product(KERNELS, range(1 if recursive else retimes)):
            unit = f"{block}.sat{k}" if recursive else f"{block}.sat{k}.{t}"
            layer(f"{unit}.sat.conv1.0", 2, 2 * width, 1, 1)
            layer(f"{unit}.sat.conv1.2", 2, 2, k, k)
            for j in (0, 3) if depthwise else (0, 2):
                layer(f"{unit}.CB.conv_block.{j}", width, 1 if depthwise else width, k, k)
                if depthwise:
                    layer(f"{unit}.CB.conv_block.{j + 1}", width, width, 1, 1)
        layer(f"{block}.UE.conv.0", width, 1, 3, 3)
        layer(f"{block}.UE.conv.2", width, width, 1, 1)
        layer(f"{block}.UE.out.0", bands, width, 1, 1)
        if gate:
            hidden = (32, 16, 8)[i] if gate == "gate" else width
            layer(f"{block}.gate.embed0.0", hidden, width + reads * bands, 1, 1)
            tail = (1, 1) if gate == "esw" else ()
            pooled = hidden * 4 ** (i + 1) if gate == "gate" else hidden
            layer(f"{block}.gate.embed1.0", hidden, pooled, *tail)
            layer(f"{block}.gate.embed1.2", hidden, hidden, *tail)
            last = {"gate": 2, "ssw": 1, "esw": width}[gate]
            layer(f"{block}.gate.embed1.4", last, hidden, *tail)
    for i in range(2):
        layer(f"down_pan.{i}", guide, guide, 5, 5)
        layer(f"up_ms.{i}", 4 * bands, bands, 3, 3)
        layer(f"up_out.{i}", 4 * bands, bands, 3, 3)
        layer(f"proj_out.{i}", width, bands, 3, 3)
        layer(f"up_fm.{i}.0", width, 1, 3, 3)
        layer(f"up_fm.{i}.1", 4 * width, width, 1, 1)
        layer(f"aggregate_ms.{i}.0", 3 * width, 1, 3, 3)
        layer(f"aggregate_ms.{i}.1", width, 3 * width, 1, 1)
    return shapes


def official_state(masks=True, bias=None, **setting):
    """A state dict of the authors' network, every number from a formula."""
    state = {}
    for key, (name, shape) in enumerate(sorted(official_shapes(**setting).items())):
        # The distribution of PyTorch's own start, roughly, with a little more gain.
        size = 1.3 / math.sqrt(max(1, math.prod(shape[1:])))
        state[name] = (size * noise(math.prod(shape), key)).float().view(shape)
    width = setting.get("width", 32)
    for i in range(3):
        if masks:
            drawn = (noise(12 * width, 1000 + i).view(12, width) < -0.5).double()
            state[f"rijabs.{i}.UE.mask.masks"] = drawn
        if bias:
            state[f"rijabs.{i}.gate.embed1.4.bias"] = torch.tensor(bias[i]).float()
    return state


def images(bands, guide=1, rows=8, columns=12, batch=2):
    """Images `low`, `lms` and `pan` in [0, 1), from a formula."""
    sizes = [(bands, rows, columns), (bands, 4 * rows, 4 * columns), (guide, 4 * rows, 4 * columns)]
    made = []
    for key, size in enumerate(sizes):
        values = 0.5 + 0.5 * noise(batch * math.prod(size), 2000 + key)
        made.append(values.float().view(batch, *size))
    return made


def samples(image):
    """Figures that stand for an image in the file: its mean, spread and some of its pixels."""
    flat = image.double().flatten()
    picked = flat[:: max(1, flat.numel() // 11)][:12]
    return [float(f"{v:.9g}") for v in (flat.mean(), flat.std(), *picked)]


def imported(masks=True, **setting):
    arch = {key: setting[key] for key in ("retimes",) if key in setting}
    return import_official("bugpan", official_state(masks=masks, **setting), **arch)


def golden_setting(name):
    setting = dict(CASES[name])
    stored = json.loads(GOLDEN.read_text())[name]
    if "bias" in stored:
        setting["bias"] = stored["bias"]
    return setting, stored


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


def force(net, skip, go, blocks=None):
    """Make gates say the same whatever they see."""
    with torch.no_grad():
        for i, block in enumerate(net.blocks):
            if blocks is None or i in blocks:
                block.gate.decide[-1].weight.zero_()
                block.gate.decide[-1].bias.copy_(torch.tensor([skip, go]))
    return net


def taken_steps(net, *inputs):
    """How often each block's step is computed in one forward pass."""
    counts = [0] * len(net.blocks)
    hooks = []
    for i, block in enumerate(net.blocks):

        def count(*_, i=i):
            counts[i] += 1

        hooks += [step.register_forward_hook(count) for step in block.steps]
    with torch.no_grad():
        net(*inputs)
    for hook in hooks:
        hook.remove()
    return counts


#: Logit of skipping minus that of going from which a step is skipped, at the offset 0.7.
THRESHOLD = math.log(0.85 / 0.15)


def differences(block, run):
    """What the gate of a block says in one run: logit of skipping minus that of going, in order."""
    seen = []
    hook = block.gate.decide.register_forward_hook(
        lambda _module, _inputs, out: seen.append((out[..., 0] - out[..., 1]).flatten())
    )
    with torch.no_grad():
        run()
    hook.remove()
    return torch.cat(seen)


# The authors' network.
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_authors_network(name):
    setting, stored = golden_setting(name)
    low, lms, pan = images(setting["bands"], setting.get("guide", 1))
    net = imported(**setting)
    if setting.get("double"):
        net, low, lms, pan = net.double(), low.double(), lms.double(), pan.double()
    with torch.no_grad():
        ours = net.pyramid(pan, low, lms)
        assert torch.equal(net(pan, low, lms), ours[-1])
    for image, figures, k in zip(ours, stored["figures"], (1, 2, 4), strict=True):
        assert image.shape[-2:] == (k * low.shape[-2], k * low.shape[-1])
        np.testing.assert_allclose(samples(image), figures, rtol=0, atol=5e-6 * figures[1])
    if "steps" in stored:
        assert taken_steps(net, pan, low, lms) == stored["steps"]


def test_golden_cases_cover_open_closed_and_closing_gates():
    stored = json.loads(GOLDEN.read_text())
    assert stored["open 4"]["steps"] == stored["open 8"]["steps"] == [5, 5, 5]
    assert stored["closed 4"]["steps"] == [1, 1, 1]
    assert stored["one closed 8"]["steps"] == [5, 1, 5]
    assert all(1 < taken < 5 for taken in stored["space only"]["steps"][:2])


@pytest.mark.parametrize(
    ("arch", "count"),
    [
        ({}, 335_378),
        ({"gate": "none"}, 318_324),
        ({"ms_bands": 4}, 321_574),
        ({"ms_bands": 4, "gate": "none"}, 305_192),
        ({"gate": "esw"}, 333_300),
        ({"gate": "ssw"}, 330_231),
        ({"gate_input": "space"}, 334_482),
        ({"gate_input": "frequency"}, 334_930),
        ({"gate_input": "features"}, 334_034),
        ({"recursive": False}, 1_204_274),
        ({"depthwise": True}, 146_066),
        ({"width": 16}, 108_322),
        ({"width": 16, "ms_bands": 4}, 97_590),
        ({"ms_bands": 31, "pan_bands": 3}, 509_379),
    ],
    ids=str,
)
def test_parameter_counts_of_the_authors(arch, count):
    with torch.device("meta"):
        for faithful in (False, True):
            arch = {"ms_bands": 8, **arch, "faithful": faithful}
            assert build_network("bugpan", **arch).parameter_count == count


def test_checkpoint_without_masks_is_loud_and_takes_masks_of_its_own():
    state = official_state(masks=False, bands=4, gate="gate", width=12)
    with pytest.warns(PansharpWarning, match="cannot be restored exactly") as caught:
        net = import_official("bugpan", state)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    masks = [block.uncertainty.masks for block in net.blocks]
    assert all(torch.equal(m, draw_masks(12, seed=i)) for i, m in enumerate(masks))
    assert not torch.equal(masks[0], masks[1])


def test_masks_of_a_checkpoint_are_used():
    state = official_state(bands=4, width=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = import_official("bugpan-static", state)
    for i, block in enumerate(net.blocks):
        assert torch.equal(block.uncertainty.masks, state[f"rijabs.{i}.UE.mask.masks"].float())


def test_imported_network_predicts_with_the_authors_offset():
    assert imported(bands=4, gate="gate", width=12).gate_offset == pytest.approx(0.7)
    state = official_state(bands=4, gate="gate", width=12)
    net = import_official("bugpan", state, gate_offset=0.1, gate_scope="open")
    assert net.gate_offset == pytest.approx(0.1)
    assert taken_steps(force(net, 9.0, -9.0), *_forward_inputs(4)) == [5, 5, 5]


def _forward_inputs(bands):
    low, lms, pan = images(bands)
    return pan, low, lms


def test_checkpoints_that_do_not_fit_are_named():
    good = official_state(bands=4, gate="gate", width=12)
    with pytest.raises(WeightsError, match=r"lacks 1 tensors.*blocks\.1\.head\.bias"):
        import_official("bugpan", {k: v for k, v in good.items() if k != "rijabs.1.head_conv.bias"})
    with pytest.raises(WeightsError, match=r"has 'eca\.conv\.weight', which bugpan"):
        import_official("bugpan", {**good, "eca.conv.weight": torch.zeros(1, 1, 3)})
    wrong = {**good, "up_ms.1.weight": torch.zeros(8, 4, 3, 3)}
    with pytest.raises(WeightsError, match=r"'up_ms.1.weight' has the shape \(8, 4, 3, 3\)"):
        import_official("bugpan", wrong)
    with pytest.raises(WeightsError, match=r"no 'proj_ms\.0\.weight'"):
        import_official("bugpan", {"tail.weight": torch.zeros(1)})
    odd = {**good, "rijabs.0.gate.embed0.0.weight": torch.zeros(32, 26, 1, 1)}
    with pytest.raises(WeightsError, match="reads 12 features and 0 to 3 maps"):
        import_official("bugpan", odd)
    with pytest.raises(WeightsError, match="check the architecture"):
        import_official("bugpan-static", good)


def test_faithful_form_needs_the_authors_sizes():
    net = imported(bands=4, width=12)
    low, lms, pan = images(4)
    with pytest.raises(ModelError, match="needs a ratio of 4"):
        net(pan[..., :-4], low, lms[..., :-4])
    with pytest.raises(ModelError, match="lms has the shape"):
        net(pan, low, lms[..., :-1])
    with pytest.raises(ModelError, match="faithful=False"):
        net.residual(pan, lms)


# Hooks of the specification.
@pytest.mark.parametrize("faithful", [False, True])
def test_silent_read_out_returns_the_interpolated_image(faithful):
    net = small(faithful=faithful)
    with torch.no_grad():
        for block in net.blocks:
            block.uncertainty.out.weight.zero_()
            block.uncertainty.out.bias.zero_()
        low, lms, pan = images(3, rows=8, columns=16)
        coarse, middle, fine = net.pyramid(pan, low, lms)
    assert torch.equal(fine, lms)
    for image, k in ((coarse, 4), (middle, 2)):
        size = [side // k for side in lms.shape[-2:]]
        bicubic = F.interpolate(lms, size=size, mode="bicubic", align_corners=False)
        assert torch.equal(image, bicubic if faithful else F.avg_pool2d(lms, k))


def plain_ensemble(unit, x):
    """Members one by one, as written in the paper's terms."""
    v = unit.spread(x)
    return torch.stack([unit.out(v * mask[:, None, None]) for mask in unit.masks])


@pytest.mark.parametrize("window", [None, 8])
@pytest.mark.parametrize("robust", [False, True])
def test_stacked_ensemble_is_the_ensemble(robust, window):
    unit = Uncertainty(12, 3, seed=2, robust=robust).double()
    x = torch.randn(2, 12, 16, 24, dtype=torch.float64)
    with torch.no_grad():
        members = plain_ensemble(unit, x)
        torch.testing.assert_close(unit.correction(x), members.mean(0))
        frequency, space = unit.maps(x, window, space=True, frequency=True)
        torch.testing.assert_close(space, members.var(0))
        rows, columns = (window, window) if window else (16, 24)
        for top, left in itertools.product(range(0, 16, rows), range(0, 24, columns)):
            here = (..., slice(top, top + rows), slice(left, left + columns))
            spectra = torch.fft.fft2(members[here])
            spread, mean = spectra.std(0), spectra.mean(0)
            both = (spectra.real.var(0) + spectra.imag.var(0)).sqrt()
            torch.testing.assert_close(spread, both)
            half = mean[..., : columns // 2 + 1].abs().mean((-2, -1))[..., None, None]
            expected = spread * mean.conj() / (mean.abs().square() + half.square())
            if not robust:
                expected = spread / (mean + 1e-5)
            expected = torch.cat((expected.real, expected.imag), 1)
            torch.testing.assert_close(frequency[here], expected, atol=1e-8, rtol=1e-6)


def test_identical_masks_are_certain():
    unit = Uncertainty(12, 3, seed=0)
    unit.masks[:] = unit.masks[0].clone()
    with torch.no_grad():
        frequency, space = unit.maps(torch.randn(1, 12, 8, 8), None, space=True, frequency=True)
    assert space.abs().max() == 0
    assert frequency.abs().max() == 0


@pytest.mark.parametrize("faithful", [False, True])
def test_the_gate_learns_unless_the_noise_is_the_authors(faithful):
    low, lms, pan = images(3, rows=8, columns=8)
    for gate_noise, learns in (("gumbel", True), ("none", True), ("official", False)):
        torch.manual_seed(3)
        # Steps are then taken in either case, and skipped in some.
        net = small(gate_noise=gate_noise, faithful=faithful, gate_offset=0.1).train()
        net(pan, low, lms).square().mean().backward()
        for block in net.blocks:
            for parameter in block.gate.parameters():
                moved = parameter.grad is not None and bool(parameter.grad.any())
                assert moved == learns
            assert block.head.weight.grad.any()


def test_the_authors_noise_is_a_coin():
    gate = HardGate(4, 8, 2, noise="official", offset=0.7).train()
    x = torch.randn(4000, 4, 4, 4)
    with torch.no_grad():
        for offset, skipped in ((0.7, 0.20), (0.4, 0.34), (0.1, 0.46)):
            gate.offset.fill_(offset)
            # Measured with the authors' code: 0.20, 0.34, 0.46.
            assert float((gate(x, None) < 0.5).float().mean()) == pytest.approx(skipped, abs=0.03)


@pytest.mark.parametrize("faithful", [False, True])
def test_closed_gate_is_the_one_step_form_and_costs_one_step(faithful):
    net = force(small(faithful=faithful), 4.0, -4.0)
    once = small(faithful=faithful, retimes=1)
    once.load_state_dict(net.state_dict())
    low, lms, pan = images(3, rows=8, columns=16)
    with torch.no_grad():
        assert torch.equal(net(pan, low, lms), once(pan, low, lms))
    assert taken_steps(net, pan, low, lms) == [1, 1, 1]
    assert taken_steps(force(net, 0.0, 0.0, [1]), pan, low, lms) == [1, 3, 1]


@pytest.mark.parametrize("recursive", [True, False])
def test_leaving_early_changes_no_bit(recursive, monkeypatch):
    net = small(faithful=True, recursive=recursive, retimes=5)
    low, lms, pan = images(3, rows=8, columns=16, batch=1)
    last = net.blocks[2].gate.decide[-1]
    looks = differences(net.blocks[2], lambda: net(pan, low, lms))
    with torch.no_grad():
        if looks[1] < looks[0]:
            last.weight.neg_()
            last.bias.neg_()
            looks = -looks
        # Closes at the second look, so that two steps of five are taken.
        last.bias[0] += THRESHOLD - looks[:2].mean()
        early = net(pan, low, lms)
        assert taken_steps(net, pan, low, lms) == [5, 5, 2]
        monkeypatch.setattr(type(net.blocks[2]), "_closed", lambda *_: False)
        assert taken_steps(net, pan, low, lms) == [5, 5, 5]
        assert torch.equal(net(pan, low, lms), early)


# Masks.
@pytest.mark.parametrize("width", [12, 16, 24, 32, 64])
def test_masks_are_those_of_masksembles(width):
    masks = draw_masks(width, seed=4)
    assert masks.shape == (12, width)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert (masks.sum(1) == width // 4).all()
    assert (masks.sum(0) > 0).all()


def test_masks_follow_from_their_seed_alone():
    draw_masks.cache_clear()
    first = draw_masks(16, seed=1)
    draw_masks.cache_clear()
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    with torch.device("meta"):
        again = draw_masks(16, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, draw_masks(16, seed=2))
    assert torch.equal(before, torch.random.get_rng_state())


def test_masks_and_offset_are_part_of_the_state():
    state = small().state_dict()
    assert sum(key.endswith("uncertainty.masks") for key in state) == 3
    assert sum(key.endswith("gate.offset") for key in state) == 3


# The gate on windows.
@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 8), (2, 9)])
def test_half_a_spectrum_tells_the_whole(size):
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(
        full_spectrum(torch.fft.rfft2(x), size[1]), torch.fft.fft2(x), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("gate", ["gate", "ssw", "esw"])
def test_one_window_is_the_authors_gate_on_a_tile(gate):
    windowed, whole = small(gate=gate), small(gate=gate, gate_scope="tile")
    whole.load_state_dict(windowed.state_dict())
    guide, up = pair(32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            windowed.residual(guide, up), whole.residual(guide, up), atol=1e-5, rtol=1e-5
        )


def test_decisions_of_windows_meet_without_an_edge():
    gate = HardGate(4, 8, 2, noise="none", offset=0.0).eval()
    with torch.no_grad():
        gate.decide[-1].weight.mul_(50)
        gate.decide[-1].bias.zero_()
        inputs = 3 * torch.randn(1, 4, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
        weights = gate(inputs, 8)[0, 0]
    assert weights.min() == 0
    assert weights.max() == 1
    assert weights.diff(dim=0).abs().max() <= 1 / 8 + 1e-6
    assert weights.diff(dim=1).abs().max() <= 1 / 8 + 1e-6


def test_a_step_is_skipped_above_half_of_one_and_the_offset():
    gate = HardGate(4, 8, 2, noise="gumbel", offset=0.7).eval()
    with torch.no_grad():
        gate.decide[-1].weight.zero_()
        for skip, expected in ((0.84, 1.0), (0.86, 0.0)):
            gate.decide[-1].bias.copy_(torch.tensor([skip, 1 - skip]).log())
            assert float(gate(torch.randn(1, 4, 4, 4), None)) == expected


def test_the_gate_measures_and_does_not_steer_in_the_default_form():
    for faithful in (False, True):
        block = small(faithful=faithful, gate_noise="none").train().blocks[2]
        x = torch.randn(1, 12, 32, 32, requires_grad=True)
        (found,) = torch.autograd.grad(block.weight(x).sum(), x, allow_unused=True)
        assert (found is not None) == faithful


def test_tile_with_its_reach_equals_the_whole_image_although_gates_decide():
    arch = {"retimes": 2, "gate_window": 16}
    net = small(**arch)
    halo = get_network("bugpan").halo(arch)
    halo += -halo % 16
    guide, up = pair(32, 2 * halo + 64)
    for block in net.blocks:
        # Half of the windows skip their step.
        said = differences(block, lambda: net.residual(guide, up)).sort().values
        with torch.no_grad():
            block.gate.decide[-1].bias[0] += THRESHOLD - said[len(said) // 2 - 1 :][:2].mean()
        said = differences(block, lambda: net.residual(guide, up))
        assert (said > THRESHOLD).sum() == len(said) // 2
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 32:], up[..., 32:])
    assert whole.std() > 0.01
    gap = (whole[..., 32 + halo :] - part[..., halo:]).abs().max()
    assert gap < 1e-5 * whole.std()
    assert not torch.equal(whole[..., 32:48], part[..., :16])
