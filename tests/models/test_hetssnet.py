"""HetSSNet: the checks of its specification; each stage against a dense form written plainly."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from pansharp.errors import ModelError, OptionError
from pansharp.models import hetssnet_branches, hetssnet_graph
from pansharp.models.hetssnet import Decoder, HetSSNet, contrastive_loss
from pansharp.models.hetssnet_branches import (
    GlobalBranch,
    LocalBranch,
    Surroundings,
    find_codes,
    similar_patterns,
)
from pansharp.models.hetssnet_graph import (
    Blocks,
    Whole,
    pattern_counts,
    pattern_weights,
    select_nearest,
)
from pansharp.models.layers.fusion import upsample_bicubic
from pansharp.models.networks import build_network, get_network

TINY = {"stem": 4, "width": 12, "k": 4, "R": 2, "block": 2}


@pytest.fixture(autouse=True)
def _weights_from_a_seed():
    torch.manual_seed(11)


def wake(net):
    """Randomise the zero-initialised layers too, so that every path reaches the output."""
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    return net


def tiny(*, ms_bands=3, pan_bands=1, **arch):
    return wake(HetSSNet(ms_bands=ms_bands, pan_bands=pan_bands, **{**TINY, **arch}).eval())


def images(height, width, *, ms_bands=3, pan_bands=1, batch=1):
    return torch.rand(batch, pan_bands, height, width), torch.rand(batch, ms_bands, height, width)


def nodes_of(grid, bands, width=6, batch=1):
    return torch.randn(batch, *grid, 1, width), torch.randn(batch, *grid, bands, width)


def graph_of(kind, grid, radius=2):
    return Whole(grid) if kind == "whole" else Blocks(grid, radius, 2)


def dense(graph, values):
    """Values by offset (1, rows, columns, planes, offsets) to (planes, positions, positions)."""
    rows, columns = graph.grid
    out = values.new_zeros(values.shape[3], rows * columns, rows * columns)
    for y in range(rows):
        for x in range(columns):
            for offset in range(values.shape[4]):
                if isinstance(graph, Whole):
                    other = offset
                else:
                    dy, dx = (v - graph.radius for v in divmod(offset, graph.side))
                    if not (0 <= y + dy < rows and 0 <= x + dx < columns):
                        assert not values[0, y, x, :, offset].any()
                        continue
                    other = (y + dy) * columns + x + dx
                out[:, y * columns + x, other] = values[0, y, x, :, offset]
    return out


def plain_nearest(nodes, grid, k, radius):
    """Directed choices of one plane of nodes (positions, d), with loops: (positions, positions)."""
    units = F.normalize(nodes, dim=-1)
    cosines = units @ units.T
    chosen = torch.zeros(len(nodes), len(nodes), dtype=torch.bool)
    for i in range(len(nodes)):
        y, x = divmod(i, grid[1])
        ranked = sorted(
            (-float(cosines[i, j]), j // grid[1] - y, j % grid[1] - x, j)
            for j in range(len(nodes))
            if j != i
            and (radius is None or max(abs(j // grid[1] - y), abs(j % grid[1] - x)) <= radius)
        )
        for *_, j in ranked[:k]:
            chosen[i, j] = True
    return chosen


def plain_relations(pan, ms, grid, k, radius):
    """S1, S2 of each band, S3, as (positions, positions) matrices."""

    def both(chosen):
        return chosen | chosen.T

    s1 = both(plain_nearest(pan.flatten(0, -2), grid, k, radius))
    s2 = torch.stack(
        [
            both(plain_nearest(ms[0, :, :, b].flatten(0, 1), grid, k, radius))
            for b in range(ms.shape[3])
        ]
    )
    return s1, s2, s2.any(0) | torch.eye(len(s1), dtype=torch.bool)


# 1
@pytest.mark.parametrize("kind", ["blocks", "whole"])
@pytest.mark.parametrize("literal", [False, True])
def test_codes_are_the_patterns_of_dense_xnor_and_and(kind, literal):
    grid, k = (4, 6), 3
    graph = graph_of(kind, grid)
    pan, ms = nodes_of(grid, 2)
    codes = find_codes(Surroundings(graph, (pan, ms)), k, literal)
    s1, s2, s3 = plain_relations(pan, ms, grid, k, None if kind == "whole" else 2)
    if literal:
        assert torch.equal(dense(graph, codes.pan_pan)[0], s1.byte())
        assert torch.equal(dense(graph, codes.ms_ms), 2 * s2.byte())
        assert torch.equal(dense(graph, codes.cross)[0], 4 * s3.byte())
        return
    code = dense(graph, codes.cross)[0]
    relations = (s1, s2.any(0), s3)
    seen = set()
    for m in range(1, 8):
        pattern = torch.ones_like(s1)
        for bit, relation in enumerate(relations):
            required = bool(m >> bit & 1)
            pattern &= ~(relation ^ required)
        assert torch.equal(code == m, pattern)
        seen |= {m} if pattern.any() else set()
    # r3 joins what r2 joins and the position itself, which r1 does not.
    assert seen == {1, 4, 6, 7}


def test_graph_is_symmetric():
    graph = Blocks((8, 8), 3, 4)
    codes = find_codes(Surroundings(graph, nodes_of((8, 8), 3)), 4, literal=True)
    for matrix in (m for code in codes for m in dense(graph, code)):
        assert torch.equal(matrix, matrix.T)


# 2
def test_low_rank_form_is_the_dense_product():
    patterns, nodes = torch.rand(2, 50, 7), torch.randn(2, 50, 5)
    square = patterns @ patterns.transpose(1, 2)
    expected = square / square.sum(-1, keepdim=True) @ nodes
    torch.testing.assert_close(similar_patterns(patterns, nodes), expected, atol=1e-6, rtol=1e-5)
    patterns[:, 7] = 0
    assert (similar_patterns(patterns, nodes)[:, 7] == 0).all()


@pytest.mark.parametrize("literal", [False, True])
def test_global_branch_is_the_dense_form(literal):
    grid, k, bands = (4, 6), 3, 2
    pan, ms = nodes_of(grid, bands)
    graph = Blocks(grid, 2, 2)
    codes = find_codes(Surroundings(graph, (pan, ms)), k, literal)
    branch = GlobalBranch(6, 2, k)
    torch.nn.init.normal_(branch.beta)
    with torch.no_grad():
        found = branch(codes, (pan, ms), literal)
        s1, s2, s3 = plain_relations(pan, ms, grid, k, 2)
        count = len(s1)
        # The whole adjacency on nodes PAN, band 1, band 2, as one matrix for each pattern.
        square = torch.zeros(7, 3 * count, 3 * count)
        if literal:
            square[0, :count, :count] = s1.float()
            for b in range(bands):
                here = slice((b + 1) * count, (b + 2) * count)
                square[1, here, here] = s2[b].float()
                square[3, :count, here] = square[3, here, :count] = s3.float()
                for other in range(bands):
                    if other != b:
                        there = slice((other + 1) * count, (other + 2) * count)
                        square[1, here, there] += torch.eye(count)
            rows = square.sum(-1).T
        else:
            code = s1 + 2 * s2.any(0).int() + 4 * s3.int()
            rows = torch.stack([(code == m).sum(1) for m in range(1, 8)], 1).float().repeat(3, 1)
        b = rows / k * F.softplus(branch.beta)
        nodes = torch.cat((pan, ms), 3)[0].permute(2, 0, 1, 3).reshape(3 * count, 6)
        for layer in branch.layers:
            similar = b @ b.T
            nodes = (similar / similar.sum(1, keepdim=True)) @ nodes @ layer.weight.T
    ours = torch.cat(found, 3)[0].permute(2, 0, 1, 3).reshape(3 * count, 6)
    torch.testing.assert_close(ours, nodes, atol=1e-5, rtol=1e-4)


# Section 6
@pytest.mark.parametrize("kind", ["blocks", "whole"])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("literal", [False, True])
def test_local_branch_is_the_dense_form(kind, bands, literal):
    grid, k = (4, 6), 3
    pan, ms = nodes_of(grid, bands)
    graph = graph_of(kind, grid)
    branch = LocalBranch(6, 2, literal)
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        around = Surroundings(graph, (pan, ms))
        found = branch(around, find_codes(around, k, literal), (pan, ms))

        s1, s2, s3 = plain_relations(pan, ms, grid, k, None if kind == "whole" else 2)
        count, planes = len(s1), bands + 1
        nodes = torch.cat((pan, ms), 3)[0].permute(2, 0, 1, 3).reshape(planes * count, 6)
        units = F.normalize(nodes, dim=-1)
        cosines = (units @ units.T).clamp_min(0)
        code = s1 + 2 * s2.any(0).int() + 4 * s3.int()
        weights = torch.zeros(planes * count, planes * count)
        for to in range(planes):
            for of in range(planes):
                here = slice(to * count, (to + 1) * count), slice(of * count, (of + 1) * count)
                if to and of and to != of:
                    weights[here] = torch.eye(count) * branch.alpha_band / (bands - 1)
                    continue
                kind_of = {(0, 0): 0, (1, 1): 1, (1, 0): 2, (0, 1): 3}[bool(to), bool(of)]
                pair = code
                if literal:
                    pair = (s1.int(), 2 * s2[to - 1].int(), 4 * s3.int(), 4 * s3.int())[kind_of]
                table = torch.cat((torch.zeros(1), branch.alpha[0 if literal else kind_of]))
                weights[here] = table[pair.long()] * cosines[here]
                if kind_of == 3:
                    weights[here] /= bands
        normal = 1 + weights.abs().sum(1, keepdim=True)
        mean = torch.zeros_like(nodes)
        for layer in branch.layers:
            nodes = ((nodes + weights @ nodes) / normal) @ layer.weight.T
            mean += nodes / 2
    ours = torch.cat(found, 3)[0].permute(2, 0, 1, 3).reshape(planes * count, 6)
    torch.testing.assert_close(ours, mean, atol=1e-5, rtol=1e-4)


# 3
@pytest.mark.parametrize("name", ["hetssnet", "hetssnet-small", "hetssnet-global"])
def test_fresh_network_is_bicubic(name):
    net = build_network(name, ms_bands=4).eval()
    guide, low = torch.rand(1, 1, 32, 48), torch.rand(1, 4, 8, 12)
    with torch.no_grad():
        assert net.residual(guide, upsample_bicubic(low, (32, 48))).abs().max() == 0
        torch.testing.assert_close(net(guide, low), upsample_bicubic(low, (32, 48)))


# 4
def test_literal_patterns_beyond_three_are_empty():
    codes = find_codes(Surroundings(Blocks((8, 8), 2, 2), nodes_of((8, 8), 3)), 4, literal=True)
    counts = sum(pattern_counts(code).flatten(0, -2).sum(0) for code in codes)
    assert (counts > 0).tolist() == [True, True, False, True, False, False, False]
    net = tiny(pattern_mode="literal").train()
    net.residual(*images(32, 32)).square().mean().backward()
    dead = net.local_branch.alpha.grad[0] == 0
    assert dead.tolist() == [False, False, True, False, True, True, True]


def test_lifted_patterns_two_three_and_five_are_empty():
    net = tiny().train()
    net.residual(*images(64, 64)).square().mean().backward()
    live = (net.local_branch.alpha.grad != 0).all(0)
    assert live.tolist() == [True, False, False, True, False, True, True]


# 5
def test_order_of_bands_does_not_matter_without_their_code():
    order = [2, 0, 3, 1]
    guide, up = images(32, 32, ms_bands=4)
    with torch.no_grad():
        plain = tiny(ms_bands=4, band_code=False)
        there = plain.residual(guide, up[:, order])
        torch.testing.assert_close(there, plain.residual(guide, up)[:, order], atol=1e-5, rtol=1e-4)
        coded = tiny(ms_bands=4)
        there = coded.residual(guide, up[:, order])
        assert (there - coded.residual(guide, up)[:, order]).abs().max() > 1e-2


# 6
@pytest.mark.parametrize("arch", [{}, {"R": 3, "layers": 1}, {"R": 1, "k": 3, "layers": 3}])
def test_nothing_beyond_the_reach_matters(arch):
    arch = {**TINY, **arch}
    net = tiny(**arch)
    reach, step = get_network("hetssnet").halo(arch), net.multiple_of
    side = -(-(reach + 24) // step) * step
    guide, up = images(16, 2 * side)
    with torch.no_grad():
        whole = net.residual(guide, up)
        tile = net.residual(guide[..., side:], up[..., side:])
        gap = (tile - whole[..., side:]).abs().amax((0, 1, 2))
    assert gap[reach:].max() < 1e-5
    assert gap[:reach].max() > 1e-3


@pytest.mark.parametrize("name", ["hetssnet", "hetssnet-small"])
def test_tile_with_its_halo_gives_the_same_bits(name):
    net = wake(build_network(name, ms_bands=3, pan_bands=2).eval())
    halo = get_network(name).practical_halo
    guide, up = images(64 + halo, 96 + 2 * halo, pan_bands=2)
    with torch.no_grad():
        whole = net.residual(guide, up)[..., halo : halo + 32]
        tile = net.residual(guide[..., : 2 * halo + 32], up[..., : 2 * halo + 32])
    assert whole.std() > 0.01
    assert torch.equal(tile[..., halo : halo + 32], whole)


@pytest.mark.parametrize("arch", [{"use_global": True}, {"R": None, "use_global": False}])
def test_tile_wide_forms_depend_on_the_tile(arch):
    net = tiny(**arch)
    guide, up = images(16, 192)
    with torch.no_grad():
        whole = net.residual(guide, up)
        part = net.residual(guide[..., 64:], up[..., 64:])
    assert (whole[..., -16:] - part[..., -16:]).abs().max() > 1e-4
    assert get_network("hetssnet").halo(arch) is None


# 7
def test_one_state_for_any_number_of_bands():
    four, eight = tiny(ms_bands=4), tiny(ms_bands=8)
    eight.load_state_dict(four.state_dict(), strict=True)
    guide, up = images(32, 32, ms_bands=8)
    with torch.no_grad():
        assert eight.residual(guide, up).shape == (1, 8, 32, 32)
    assert four.parameter_count == eight.parameter_count


@pytest.mark.parametrize(
    ("name", "expected"),
    # Stems, embeddings with their norms, 28 + 1 alphas, two W, decoder, codes of bands; the
    # global form adds two W and 7 betas.
    [("hetssnet", 276_413), ("hetssnet-small", 74_125), ("hetssnet-global", 294_852)],
)
def test_size(name, expected):
    assert build_network(name, ms_bands=4).parameter_count == expected
    spec = {**get_network(name).arch}
    s, d = spec.get("stem", 16), spec.get("width", 96)
    stems = 2 * (9 * s + s + 9 * s * s + s)
    embeds = 2 * (64 * s * d + d + 2 * d)
    decoder = 2 * d * (2 * d) + 2 * d + 2 * d * 64 + 64
    total = stems + embeds + 29 + 2 * d * d + decoder + 16 * s + 16 * 4 * d
    assert expected == total + (2 * d * d + 7 if spec.get("use_global") else 0)


# 8
def test_odd_sizes_are_mirrored_and_cropped():
    net = tiny()
    guide, up = images(20, 30)
    with torch.no_grad():
        ours = net.residual(guide, up)
        mirrored = [F.pad(x, (0, 2, 0, 4), mode="reflect") for x in (guide, up)]
        torch.testing.assert_close(ours, net.residual(*mirrored)[..., :20, :30])


# Beyond the eight.
def test_whole_tile_search_is_the_window_that_holds_it():
    wide, whole = tiny(R=7), tiny(R=None)
    whole.load_state_dict(wide.state_dict())
    guide, up = images(32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            wide.residual(guide, up), whole.residual(guide, up), atol=1e-5, rtol=1e-4
        )


def test_whole_tile_search_refuses_large_tiles():
    with pytest.raises(ModelError, match=r"all 4225 of the tile, possible up to 4096"):
        tiny(R=None).residual(*images(260, 260))


def test_block_side_changes_nothing_but_rounding():
    one, other = tiny(block=2), tiny(block=4)
    other.load_state_dict(one.state_dict())
    guide, up = images(32, 48)
    with torch.no_grad():
        torch.testing.assert_close(
            one.residual(guide, up), other.residual(guide, up), atol=1e-5, rtol=1e-4
        )


def test_equal_neighbours_are_taken_row_by_row():
    assert select_nearest(torch.tensor([1.0, 2, 2, 0, 2]), 2).tolist() == [0, 1, 1, 0, 0]
    assert select_nearest(torch.tensor([-torch.inf, 2, -torch.inf]), 2).tolist() == [0, 1, 0]
    graph = Blocks((6, 6), 1, 2)
    flat = torch.ones(1, 6, 6, 1, 4)
    look = Surroundings(graph, (flat, flat)).look(slice(0, 3))
    chosen = graph.join(graph.nearest(look.pan_pan, slice(0, 3), 2), 1)[0, :, :, 0]
    # The two candidates that come first: above left and above, unless they are off the grid.
    assert chosen[2, 2].nonzero().flatten().tolist() == [0, 1]
    assert chosen[0, 0].nonzero().flatten().tolist() == [5, 7]


def test_choice_is_the_same_while_exporting(monkeypatch):
    values = torch.randn(40, 25)
    usual = select_nearest(values, 5)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(select_nearest(values, 5), usual)


def test_strips_and_groups_of_bands_change_nothing(monkeypatch):
    net = tiny(ms_bands=5)
    guide, up = images(48, 64, ms_bands=5, batch=2)
    with torch.no_grad():
        usual = net.residual(guide, up)
        monkeypatch.setattr(hetssnet_branches, "CHUNK_VALUES", 1)
        monkeypatch.setattr("pansharp.models.hetssnet.CHUNK_VALUES", 1)
        around = Surroundings(Blocks((12, 16), 2, 2), nodes_of((12, 16), 5))
        assert len(around.strips) == 6
        torch.testing.assert_close(net.residual(guide, up), usual, atol=1e-6, rtol=1e-5)


def test_training_and_evaluation_agree():
    net = tiny()
    guide, up = images(32, 32)
    with torch.no_grad():
        quiet = net.residual(guide, up)
    torch.testing.assert_close(net.residual(guide, up).detach(), quiet, atol=1e-6, rtol=1e-5)


def test_gradients_of_windows_and_weights():
    padded = torch.randn(2, 7, 9, 2, 2, dtype=torch.float64, requires_grad=True)
    windows = hetssnet_graph._Windows.apply
    assert torch.autograd.gradcheck(lambda x: windows(x, 3, 2), (padded,))
    alpha = torch.randn(7, dtype=torch.float64, requires_grad=True)
    code = torch.randint(0, 8, (3, 4, 5), dtype=torch.uint8)
    assert torch.autograd.gradcheck(lambda a: pattern_weights(a, code), (alpha,))
    weights = pattern_weights(alpha, code)
    assert (weights[code == 0] == 0).all()
    assert (weights[code == 5] == alpha[4]).all()


def test_gradient_through_the_cosines_is_an_option():
    guide, up = images(32, 32)
    grads = []
    for through in (False, True):
        torch.manual_seed(3)
        net = tiny(cosine_gradient=through).train()
        net.residual(guide, up).square().mean().backward()
        grads.append(net.ms_encoder.first.weight.grad)
        assert grads[-1].isfinite().all()
    assert (grads[0] - grads[1]).abs().max() > 1e-6 * grads[0].abs().max()


def test_alike_nodes_show_no_grid():
    decoder = wake(Decoder(6, 8, coded=False))
    pan, ms = nodes_of((1, 1), 2)
    alike = pan.expand(1, 6, 7, 1, 6), ms.expand(1, 6, 7, 2, 6)
    with torch.no_grad():
        image = decoder(alike, torch.zeros(2, 16))
        inner = image[..., 2:-2, 2:-2]
        assert inner.abs().min() > 1e-3
        torch.testing.assert_close(inner, inner[..., :1, :1].expand_as(inner))
        decoder.out.weight.zero_()
        decoder.out.bias.fill_(0.7)
        flat = decoder(nodes_of((4, 5), 2), torch.zeros(2, 16))
    assert flat.shape == (1, 2, 16, 20)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.7))


def test_flat_ground_stays_flat():
    net = tiny(ms_bands=3)
    with torch.no_grad():
        residual = net.residual(torch.full((1, 1, 96, 96), 0.4), torch.full((1, 3, 96, 96), 0.2))
    inner = residual[..., 40:56, 40:56]
    assert inner.abs().max() > 1e-3
    assert (inner - inner.mean((2, 3), keepdim=True)).abs().max() < 1e-5 * inner.abs().max()


def test_mean_of_the_residual_is_the_same_everywhere_in_a_patch():
    decoder = wake(Decoder(6, 8, coded=False))
    with torch.no_grad():
        image = decoder(nodes_of((40, 40), 1, batch=4), torch.zeros(1, 16))[..., 16:-16, 16:-16]
        by_place = image.reshape(4, 32, 4, 32, 4).mean((0, 1, 3))
        raw = decoder._image(torch.rand(4, 40, 40, 1, 64).add(torch.rand(64)))
    assert image.std() > 0.05
    # Independent values would leave 1 / 64 of the spread.
    assert by_place.std() < 0.01 * image.std()
    assert raw[..., 16:-16, 16:-16].reshape(4, 32, 4, 32, 4).mean((0, 1, 3)).std() < 0.01


def test_grid_is_what_alike_patches_add_up_to():
    decoder = Decoder(4, 8, coded=False)
    patches = torch.rand(1, 1, 1, 1, 64).expand(1, 5, 5, 1, 64)
    window = torch.outer(decoder.window, decoder.window).flatten()
    grid = decoder._grid(patches * window)[0, 2, 2, 0].view(8, 8)
    joined = F.fold((patches * window).view(1, 25, 64).transpose(1, 2), 24, 8, stride=4)
    cell = joined[0, 0, 8:12, 8:12]
    torch.testing.assert_close(grid, (cell - cell.mean()).repeat(2, 2))


def test_contrastive_loss_is_the_equation():
    first, second = torch.randn(2, 9, 5), torch.randn(2, 9, 5)
    total = 0.0
    for a, b in zip(first, second, strict=True):
        for i in range(9):
            scores = [math.exp(float(F.cosine_similarity(a[i], b[j], 0)) / 0.2) for j in range(9)]
            total -= math.log(scores[i] / sum(scores)) / 18
    assert float(contrastive_loss(first, second)) == pytest.approx(total, rel=1e-5)
    drawn = contrastive_loss(first, second, samples=4, generator=torch.Generator().manual_seed(2))
    again = contrastive_loss(first, second, samples=4, generator=torch.Generator().manual_seed(2))
    assert drawn == again != contrastive_loss(first, second)
    same = torch.ones(1, 6, 3)
    assert float(contrastive_loss(same, same)) == pytest.approx(math.log(6))


def test_contrastive_term_trains_both_branches():
    net = tiny(use_global=True).train()
    net.contrastive_loss(*images(32, 32)).backward()
    assert net.local_branch.alpha.grad.any()
    assert net.global_branch.beta.grad.any()
    with pytest.raises(ModelError, match="use_global=True"):
        tiny().contrastive_loss(*images(32, 32))


@pytest.mark.parametrize("name", ["hetssnet-small", "hetssnet-global"])
def test_flat_images_give_finite_gradients(name):
    net = wake(build_network(name, ms_bands=2, cosine_gradient=True)).train()
    guide, up = torch.zeros(1, 1, 32, 32), torch.zeros(1, 2, 32, 32)
    (net.residual(guide, up) - 0.3).abs().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), key


def test_twenty_steps_lower_the_loss():
    net = HetSSNet(ms_bands=3, **TINY).train()
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
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    "arch",
    [
        {"width": 0},
        {"layers": 0},
        {"block": 0},
        {"patch": 10},
        {"patch": 4},
        {"R": 0},
        {"k": 25},
        {"pattern_mode": "all"},
    ],
)
def test_impossible_sizes_are_named(arch):
    with pytest.raises(OptionError, match=next(iter(arch))):
        HetSSNet(ms_bands=3, **{**TINY, **arch})
