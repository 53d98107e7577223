"""CYformer: the authors' network to the last digits, and what the local form promises beyond it.

``data/cyformer.json`` holds outputs of the authors' code (Tomchenshi/CYformer, commit fcf411b,
after either repair of its gates) in double precision, for weights and inputs that follow from a
formula; :func:`official_state` makes the same weights under the authors' keys.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pansharp.errors import ModelError, OptionError, WeightsError
from pansharp.models import import_official
from pansharp.models.cyformer import CYformer, legacy_window
from pansharp.models.cyformer_blocks import Block, ChannelAttention
from pansharp.models.layers.lattice import BlockLattice, WholeTile
from pansharp.models.networks import build_network, get_network

GOLDEN = json.loads((Path(__file__).parent / "data" / "cyformer.json").read_text("utf-8"))
TINY = {"width": 18, "heads": 3, "depths": (2, 1), "stats_block": 8}


def official_shapes(*, bands, msi, width, depths, heads, window, literal):
    """Keys and shapes of the authors' state dict."""
    c, half = width, width // 2
    shapes = {}

    def layer(key, *weight, bias=True):
        shapes[f"{key}.weight"] = weight
        if bias:
            shapes[f"{key}.bias"] = weight[:1]

    def batch_norm(key, n):
        layer(key, n)
        shapes.update({f"{key}.running_mean": (n,), f"{key}.running_var": (n,)})
        shapes[f"{key}.num_batches_tracked"] = ()

    layer("conv_first1", c, bands, 3, 3)
    layer("conv_first2", c, msi, 3, 3)
    for i, depth in enumerate(depths):
        for j in range(depth):
            at = f"hsi_module.{i}.sstblock.{j}"
            layer(f"{at}.norm1", c)
            layer(f"{at}.norm2", c)
            for mlp in ("mlp1", "mlp2"):
                layer(f"{at}.{mlp}.fc1", c, c)
                layer(f"{at}.{mlp}.sg.norm", half)
                layer(f"{at}.{mlp}.sg.conv", half, 1, 3, 3)
                layer(f"{at}.{mlp}.sg.pconv", half, half, 1, 1)
                layer(f"{at}.{mlp}.fc2", c, half)
            shapes[f"{at}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads)
            shapes[f"{at}.attn.relative_position_index"] = (window**2, window**2)
            layer(f"{at}.attn.qkv", 3 * c, c)
            layer(f"{at}.attn.q", c, c)
            layer(f"{at}.attn.proj", c, c)
            shapes[f"{at}.spectral_attn.temperature"] = (heads, 1, 1)
            layer(f"{at}.spectral_attn.qkv", 3 * c, c, 1, 1, bias=False)
            layer(f"{at}.spectral_attn.q", c, c, 1, 1, bias=False)
            layer(f"{at}.spectral_attn.project_out", c, c, 1, 1, bias=False)
            layer(f"{at}.dwconv.0", c, 1, 3, 3)
            batch_norm(f"{at}.dwconv.1", c)
            for gate, pooled in (("SAAI", literal), ("SEAI", not literal)):
                first, inner, out = (1, c // 8, c) if pooled else (0, c // 18, 1)
                layer(f"{at}.{gate}.{first}", inner, c, 1, 1)
                batch_norm(f"{at}.{gate}.{first + 1}", inner)
                layer(f"{at}.{gate}.{first + 3}", out, inner, 1, 1)
        layer(f"hsi_module.{i}.conv", c, c, 3, 3)
        shapes[f"hsi_module.{i}.act.weight"] = (1,)
    layer("skip_conv", c, bands, 3, 3)
    layer("tail", bands, 3 * c, 3, 3)
    layer("conv", c, 2 * c, 1, 1)
    layer("dw", c, c, 3, 3)
    layer("sc", c, c, 3, 3)
    return shapes


def scatter(shape, index):
    """Numbers in (-1, 1) without a pattern, from whole numbers alone: the same on any machine."""
    i = np.arange(int(np.prod(shape)), dtype=np.int64) % 65_521
    mixed = (i * i % 65_521 * (7_919 + 2 * index) + i * 31_337 + 17 * index) % 65_521
    return ((2 * mixed - 65_520) / 65_521).reshape(shape).astype(np.float32)


def official_state(arch):
    """The weights of the formula; every tensor differs, norms and temperatures are not trivial."""
    state = {}
    for index, (key, shape) in enumerate(sorted(official_shapes(**arch).items())):
        values = scatter(shape, index)
        if key.endswith(("relative_position_index", "num_batches_tracked")):
            state[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            values = np.float32(1) + np.float32(0.4) * values
        elif key.endswith("temperature"):
            values = np.float32(2) + values
        elif key.endswith("table"):
            pass
        elif key.endswith("weight"):
            values = values * np.float32(1.4 / np.sqrt(np.prod(shape[1:])))
        else:
            values = values * np.float32(0.2)
        state[key] = torch.from_numpy(np.ascontiguousarray(values))
    return state


def formula_images(arch, ratio, size):
    guide = 0.5 + 0.5 * scatter((2, arch["msi"], *size), 1001)
    low = 0.5 + 0.5 * scatter((2, arch["bands"], size[0] // ratio, size[1] // ratio), 1002)
    return torch.from_numpy(guide), torch.from_numpy(low)


def small_arch(*, literal=False, window=8, **changes):
    arch = {"bands": 5, "msi": 2, "width": 18, "depths": (2, 1), "heads": 3, "window": window}
    return {**arch, "literal": literal, **changes}


def imported(arch, ratio=4, **more):
    return import_official("cyformer", official_state(arch), ratio=ratio, **more)


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(11)


def tiny(*, ms_bands=4, pan_bands=1, awake=True, **arch):
    net = CYformer(ms_bands=ms_bands, pan_bands=pan_bands, **{**TINY, **arch}).eval()
    if awake:
        with torch.no_grad():
            for parameter in net.parameters():
                if not parameter.any():
                    parameter.copy_(torch.randn_like(parameter) * 0.1)
    return net


def images(height, width, *, ms_bands=4, pan_bands=1, batch=1):
    return torch.rand(batch, pan_bands, height, width), torch.rand(batch, ms_bands, height, width)


# The authors' network.
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_agrees_with_the_authors_code(case):
    arch, ratio = case["arch"], case["ratio"]
    net = imported(arch, ratio)
    guide, low = formula_images(arch, ratio, case["size"])
    with torch.no_grad():
        single = net(guide, low).double()
        double = net.double()(guide.double(), low.double())
    expected = torch.tensor(case["values"], dtype=torch.float64)
    for out, limit in ((double, 1e-9), (single, 1e-5)):
        assert out.shape == (2, arch["bands"], *case["size"])
        found = out.flatten()[:: case["step"]]
        assert (found - expected).abs().max() < limit * case["std"]
        assert abs(out.mean() - case["mean"]) < limit * case["std"]
        assert abs(out.std() - case["std"]) < limit * case["std"]


COUNTS = [
    (31, 3, 90, (2, 2, 2, 2), 1_516_115),
    (48, 3, 90, (2, 2, 2, 2), 1_584_982),
    (102, 3, 90, (2, 2, 2, 2), 1_803_736),
    (128, 3, 90, (2, 2, 2, 2), 1_909_062),
    (31, 3, 60, (2, 2, 2, 2), 714_355),
    (31, 3, 36, (2, 2, 2, 2), 289_259),
    (128, 3, 36, (2, 2, 2, 2), 446_496),
    (63, 1, 36, (2, 2), 234_533),
]


@pytest.mark.parametrize(("bands", "msi", "width", "depths", "official"), COUNTS, ids=str)
@pytest.mark.parametrize("layout", ["repaired", "literal"])
def test_parameters_and_dead_weights_are_the_authors_count(
    bands, msi, width, depths, official, layout
):
    with torch.device("meta"):
        net = CYformer(
            ms_bands=bands,
            pan_bands=msi,
            width=width,
            depths=depths,
            faithful=True,
            gate_layout=layout,
        )
    blocks = sum(depths)
    spare_query, query_third = width**2 + width, width**2
    dead = 9 * bands * width + width + blocks * (spare_query + query_third) + len(depths)
    assert net.parameter_count + dead == official


@pytest.mark.parametrize("literal", [False, True])
def test_layout_is_read_off_the_shapes(literal):
    net = imported(small_arch(literal=literal))
    block = net.stages[0].blocks[0]
    assert (block.gate_msi.statistics is not None) == literal
    assert (block.gate_hsi.statistics is None) == literal
    assert net.faithful
    assert not net.training


def test_dead_weights_are_all_that_is_dropped():
    arch = small_arch(depths=(1,))
    state = official_state(arch)
    guide, low = formula_images(arch, 4, (8, 8))
    told_by = ("conv_first1.weight", "conv_first2.weight")  # sizes come from these
    dead = set()
    for key in state.keys() - set(told_by):
        rest = {k: tensor for k, tensor in state.items() if k != key}
        try:
            import_official("cyformer", rest)
        except WeightsError:
            continue
        dead.add(key.removeprefix("hsi_module.0.").removeprefix("sstblock.0.attn."))
    assert dead == {
        *("skip_conv.weight", "skip_conv.bias", "act.weight"),
        *("q.weight", "q.bias", "relative_position_index"),
    }
    changed = {k: t + 0.3 if k.startswith("skip") or ".q.b" in k else t for k, t in state.items()}
    with torch.no_grad():
        usual = imported(arch)(guide, low)
        assert torch.equal(import_official("cyformer", changed)(guide, low), usual)


def test_query_third_of_the_channel_attention_is_dead():
    arch = small_arch()
    state = official_state(arch)
    guide, low = formula_images(arch, 4, (16, 16))
    key = "hsi_module.0.sstblock.0.spectral_attn.qkv.weight"
    changed = state[key].clone()
    changed[: arch["width"]] = 5
    with torch.no_grad():
        usual = imported(arch)(guide, low)
        assert torch.equal(import_official("cyformer", {**state, key: changed})(guide, low), usual)
        changed[arch["width"]] = 5
        out = import_official("cyformer", {**state, key: changed})(guide, low)
        assert not torch.equal(out, usual)


def test_a_missing_key_is_named():
    state = official_state(small_arch())
    del state["hsi_module.0.sstblock.1.SEAI.2.running_var"]
    with pytest.raises(WeightsError, match=r"lacks 1 tensors.*gate_hsi\.norm\.running_var"):
        import_official("cyformer", state)
    with pytest.raises(WeightsError, match=r"no 'conv_first1\.weight'"):
        import_official("cyformer", {"epoch": torch.zeros(())})


def test_a_missing_stage_is_named():
    state = official_state(small_arch(depths=(1, 1, 1)))
    state = {key: value for key, value in state.items() if not key.startswith("hsi_module.1.")}
    with pytest.raises(WeightsError, match=r"stages \[0, 2\]"):
        import_official("cyformer", state)


def test_a_key_left_over_is_named():
    state = official_state(small_arch())
    with pytest.raises(WeightsError, match="has 'extra'"):
        import_official("cyformer", {**state, "extra": torch.zeros(1)})


def test_a_misshaped_tensor_is_named():
    state = official_state(small_arch())
    state["tail.weight"] = torch.zeros(5, 54, 1, 1)
    with pytest.raises(WeightsError, match=r"'tail\.weight' has the shape \(5, 54, 1, 1\)"):
        import_official("cyformer", state)


def test_windows_that_are_not_those_of_the_ratio_are_named():
    state = official_state(small_arch(window=4))
    with pytest.raises(WeightsError, match="windows of 4, those of ratio 4 are 8"):
        import_official("cyformer", state)
    assert import_official("cyformer", state, ratio=16).window == 4


WINDOWS = {2: (8, 4), 4: (8, 4), 6: (8, 4), 7: (8, 4), 8: (8, 0), 10: (6, 0), 12: (5, 0)}


@pytest.mark.parametrize(
    ("ratio", "expected"), [*WINDOWS.items(), (16, (4, 0)), (32, (2, 0)), (64, (1, 0))]
)
def test_window_rule_of_the_authors(ratio, expected):
    assert legacy_window(ratio) == expected
    net = CYformer(ms_bands=2, ratio=ratio, faithful=True, **{**TINY, "depths": (2,)})
    first, second = (block.win for block in net.stages[0].blocks)
    assert (first.windows.size, first.roll) == (expected[0], 0)
    assert (second.windows.size, second.roll) == expected


def test_window_rule_refuses_other_ratios():
    for ratio in (4.5, 65):
        with pytest.raises(OptionError, match=f"ratio={ratio}"):
            CYformer(ms_bands=2, ratio=ratio, faithful=True)


def test_authors_form_refuses_what_it_cannot_do():
    net = imported(small_arch())
    with pytest.raises(ModelError, match="4 times as large"):
        net(torch.rand(1, 2, 16, 16), torch.rand(1, 5, 8, 8))
    with pytest.raises(ModelError, match="multiples of its attention window of 8"):
        net(torch.rand(1, 2, 20, 16), torch.rand(1, 5, 5, 4))


def test_residual_of_the_authors_form_is_its_product_less_the_interpolation():
    arch = small_arch()
    net = imported(arch)
    guide, low = formula_images(arch, 4, (24, 16))
    up = F.interpolate(low, scale_factor=4, mode="bicubic")
    with torch.no_grad():
        torch.testing.assert_close(net.residual(guide, up) + up, net(guide, low))
        cut = net.residual(guide[..., :21, :13], up[..., :21, :13])
    assert cut.shape == (2, 5, 21, 13)


@pytest.mark.parametrize("literal", [False, True])
def test_gradient_reaches_every_live_parameter_of_the_authors_form(literal):
    arch = small_arch(literal=literal)
    net = imported(arch)
    guide, low = formula_images(arch, 4, (16, 16))
    net(guide, low).square().sum().backward()
    without = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_batch_norm_of_pooled_gates_needs_two_samples():
    net = imported(small_arch()).train()
    with pytest.raises(ModelError, match="batch of 1"):
        net(torch.rand(1, 2, 16, 16), torch.rand(1, 5, 4, 4))
    assert net(torch.rand(2, 2, 16, 16), torch.rand(2, 5, 4, 4)).isfinite().all()


def test_stochastic_depth_leaves_branches_out_in_training_only():
    net = tiny(drop_path=0.5)
    assert [b.drop for s in net.stages for b in s.blocks] == [0.0, 0.25, 0.5]
    assert [b.drop for s in imported(small_arch()).stages for b in s.blocks] == [0.0, 0.05, 0.1]
    block = net.stages[1].blocks[0].train()
    with torch.no_grad():
        kept = torch.cat([block._dropped(torch.ones(1, 2, 2, 3)) for _ in range(400)])
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert kept.mean() == pytest.approx(1, abs=0.15)
    block.eval()
    assert (block._dropped(torch.ones(3, 2, 2, 3)) == 1).all()


# The local form.
@pytest.mark.parametrize(
    "arch",
    [
        {},
        {"depths": (1,), "stats_block": 16},
        {"depths": (3,), "stats_block": 4, "window": 4},
        {"depths": (1, 1), "gate_layout": "literal", "stats_block": 16},
        {"depths": (2,), "gate_norm": "batch", "padding": "zeros", "window": 6},
    ],
    ids=str,
)
def test_stated_reach_is_exact(arch):
    arch = {**TINY, **arch}
    halo = get_network("cyformer").halo(arch)
    net = tiny(**arch)
    step = net.multiple_of
    edge = 2 * step
    guide, up = images(step, edge + -(-(halo + 8) // step) * step)
    # What lies outside an aligned tile that begins at `edge` is spoilt: how far does it get?
    guide[..., edge - 1], up[..., edge - 1] = torch.nan, torch.nan
    with torch.no_grad():
        spoilt = net.residual(guide, up).isnan().any(dim=2).any(dim=1)[0, edge:]
    assert spoilt[:halo].all()
    assert not spoilt[halo:].any()


@pytest.mark.parametrize(
    "arch",
    [{"faithful": True}, {"stats": "tile"}, {"shift_mask": False}, {"legacy_window_rule": True}],
    ids=str,
)
def test_forms_that_depend_on_tile_or_ratio_state_no_reach(arch):
    assert get_network("cyformer").halo(arch) is None


def test_tile_with_its_halo_equals_the_whole_image():
    spec = get_network("cyformer-small")
    assert spec.practical_halo == 88
    net = build_network("cyformer-small", ms_bands=4).eval()
    torch.nn.init.normal_(net.tail.weight, std=0.05)
    guide, up = images(40, 232)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 24:], up[..., 24:])
    assert whole.std() > 0.01
    inner = (whole[..., 112:] - part[..., 88:]).abs().max()
    assert inner < 1e-5 * whole.std()


def test_statistics_of_the_tile_depend_on_it():
    net = tiny(stats="tile")
    guide, up = images(16, 192)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 16:], up[..., 16:])
    assert (whole[..., -16:] - part[..., -16:]).abs().max() > 1e-4 * whole.std()


@pytest.mark.parametrize("masked", [True, False])
def test_opposite_borders_meet_only_without_the_mask(masked):
    net = tiny(shift_mask=masked, depths=(2,))
    guide, up = images(16, 128)
    with torch.no_grad():
        before = net.residual(guide, up)
        guide[..., :2], up[..., :2] = 0, 0
        after = net.residual(guide, up)
    assert not torch.equal(before[..., :16], after[..., :16])
    assert torch.equal(before[..., -4:], after[..., -4:]) == masked


def test_masked_and_rolled_windows_agree_away_from_the_border():
    masked = tiny(depths=(2,), stats="tile")
    rolled = tiny(depths=(2,), stats="tile", shift_mask=False)
    rolled.load_state_dict(masked.state_dict())
    x = torch.rand(1, 32, 40, 18)
    attention = [net.stages[0].blocks[1].win for net in (masked, rolled)]
    with torch.no_grad():
        a, b = (win(x) for win in attention)
    torch.testing.assert_close(a[:, 4:-4, 4:-4], b[:, 4:-4, 4:-4])
    assert not torch.allclose(a[:, :4], b[:, :4])


def test_lattice_weights_add_up_to_one_without_a_step():
    lattice = BlockLattice(8)
    torch.testing.assert_close(lattice.hats.sum(0), torch.ones(1, 64))
    nodes = torch.rand(1, 4, 6, 2)
    spread = lattice.spread(nodes)
    assert spread.shape == (1, 24, 40, 2)
    # Bilinear: no difference of neighbours exceeds an eighth of that of its nodes.
    limit = nodes.diff(dim=2).abs().max() / 8
    assert spread.diff(dim=2).abs().max() <= limit * 1.0001
    torch.testing.assert_close(lattice.spread(torch.ones(1, 4, 6, 2)), torch.ones(1, 24, 40, 2))


def test_lattice_means_are_those_of_the_windows():
    lattice, x = BlockLattice(4), torch.rand(2, 12, 16, 3)
    means = lattice.means(x)
    assert means.shape == (2, 4, 5, 3)
    torch.testing.assert_close(means[:, 1, 2], x[:, :8, 4:12].mean((1, 2)))
    torch.testing.assert_close(means[:, 0, 4], x[:, :4, 12:].mean((1, 2)))


def test_lattice_joins_what_it_cuts():
    x = torch.rand(2, 8, 12, 3)
    for at in (BlockLattice(4), WholeTile()):
        assert torch.equal(at.join(at.cut(x), x), x)


def test_channel_attention_blends_the_four_windows_of_a_pixel():
    local = ChannelAttention(12, 3, BlockLattice(4))
    whole = ChannelAttention(12, 3, WholeTile())
    whole.load_state_dict(local.state_dict())
    s, guide = torch.randn(1, 16, 16, 12), torch.randn(1, 16, 16, 12)
    with torch.no_grad():
        out = local(s, guide)
        expected = torch.zeros(12)
        # Pixel (6, 9) lies 2.5 rows below the node at row 4 and 1.5 columns right of that at 8.
        for row, of_row in ((4, 1.5 / 4), (8, 2.5 / 4)):
            for col, of_col in ((8, 2.5 / 4), (12, 1.5 / 4)):
                cut = (slice(None), slice(row - 4, row + 4), slice(col - 4, col + 4))
                window = whole(s[cut], guide[cut])
                expected += of_row * of_col * window[0, 6 - row + 4, 9 - col + 4]
    torch.testing.assert_close(out[0, 6, 9], expected, atol=1e-5, rtol=1e-5)


def test_channel_attention_prefers_the_least_similar():
    attention = ChannelAttention(4, 1, WholeTile())
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(4))
        attention.key_value.weight.copy_(torch.eye(4).repeat(2, 1))
        attention.out.weight.copy_(torch.eye(4))
        attention.temperature.fill_(50)
        s = torch.randn(1, 8, 8, 4)
        s[..., 1] = -s[..., 0]
        out = attention(s, s)
    torch.testing.assert_close(out[..., 0], s[..., 1], atol=1e-4, rtol=1e-4)


def test_windowed_and_tile_statistics_agree_where_every_window_is_alike():
    local, whole = tiny(padding="zeros"), tiny(padding="zeros", stats="tile")
    whole.load_state_dict(local.state_dict())
    x, q = (torch.randn(1, 8, 8, 18).repeat(1, 3, 4, 1) for _ in range(2))
    with torch.no_grad():
        for key in ("chan", "gate_hsi"):
            a, b = (getattr(net.stages[0].blocks[0], key) for net in (local, whole))
            inputs = (x, q) if key == "chan" else (q,)
            one, other = torch.broadcast_tensors(a(*inputs), b(*inputs))
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_smooth_inputs_show_no_grid():
    net = tiny(depths=(1,), stats_block=16, window=2)
    attention = net.stages[0].blocks[0].chan
    y, x = torch.meshgrid(torch.linspace(0, 3, 64), torch.linspace(0, 3, 64), indexing="ij")
    phases = torch.arange(18.0)
    s = torch.sin(x[None, ..., None] * (1 + phases / 9) + phases) * torch.cos(y[None, ..., None])
    with torch.no_grad():
        out = attention(s, s.flip(-1))
    steps = out.diff(dim=2).abs().mean((0, 1, 3))
    at_borders = steps[15::16]
    around = (steps[14:-1:16] + steps[16::16]) / 2
    assert (at_borders < 1.1 * around).all()


def test_chunked_equals_unchunked(monkeypatch):
    net = tiny()
    guide, up = images(32, 48, batch=2)
    with torch.no_grad():
        usual = net.residual(guide, up)
        monkeypatch.setattr("pansharp.models.layers.lattice._PART", 1)
        for block in (m for m in net.modules() if isinstance(m, Block)):
            block.win.windows.batch = 3
        torch.testing.assert_close(net.residual(guide, up), usual, atol=1e-5, rtol=1e-5)


def test_half_precision_keeps_the_statistics_in_float32():
    attention = ChannelAttention(18, 3, BlockLattice(8))
    s = torch.randn(1, 16, 16, 18)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        of_k, _ = attention.key_value.weight.chunk(2)
        assert attention._sums(s, s, of_k).dtype == torch.float32
        assert BlockLattice(8).means(s.bfloat16()).dtype == torch.float32


def test_fresh_features_do_not_grow_out_of_bounds():
    net = CYformer(ms_bands=4).eval()
    seen = []
    net.tail.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        net.residual(torch.randn(1, 1, 32, 32), torch.randn(1, 4, 32, 32))
    assert 0.1 < seen[0][:, :90].std() < 10


def test_padding_is_a_mirror_image_that_is_cropped():
    net = tiny()
    guide, up = images(20, 30)
    with torch.no_grad():
        ours = net.residual(guide, up)
        mirrored = [F.pad(x, (0, 2, 0, 4), mode="reflect") for x in (guide, up)]
        torch.testing.assert_close(ours, net.residual(*mirrored)[..., :20, :30])


def test_twenty_steps_lower_the_loss():
    net = tiny(awake=False).train()
    guide, up = images(32, 32, batch=2)
    target = 0.3 * (guide - F.avg_pool2d(guide, 5, 1, 2)) + 0.1 * up
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = (net.residual(guide, up) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    "arch",
    [
        {"width": 20},
        {"width": 12},
        {"depths": ()},
        {"window": 7},
        {"stats_block": 1},
        {"drop_path": 1.0},
        {"window_batch": 0},
        {"gate_layout": "both"},
        {"gate_norm": "group"},
        {"stats": "scene"},
        {"padding": "same"},
    ],
    ids=str,
)
def test_impossible_options_are_named(arch):
    with pytest.raises(OptionError, match=next(iter(arch))):
        CYformer(ms_bands=4, **{**TINY, **arch})
