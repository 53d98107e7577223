"""Relations of HetSSNet, the patterns they form, and the two branches that sum over them.

Sections 3.2 and 3.3 of M. Ma et al., ICML 2025, see :mod:`pansharp.models.hetssnet`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.models.hetssnet_graph import Blocks, Whole, pattern_counts, pattern_weights

__all__ = [
    "Codes",
    "GlobalBranch",
    "LocalBranch",
    "Surroundings",
    "contrastive_loss",
    "find_codes",
    "similar_patterns",
]

#: Kinds of messages, by sender and receiver; each has its own weights of the patterns.
PAN_PAN, MS_MS, PAN_MS, MS_PAN = range(4)
#: Values held at a time outside training.
CHUNK_VALUES = 1 << 24

#: Nodes of the PAN (N, rows, columns, 1, d) and of the bands (N, rows, columns, C, d).
Nodes = tuple[Tensor, Tensor]


class Codes(NamedTuple):
    """Pattern of each pair by offset, (N, rows, columns, planes, offsets), uint8.

    ``b1 + 2 b2 + 4 b3`` of the relations that join the pair, 0 without an edge. `ms_ms` has one
    plane, or one for each band where the bands have edges of their own.
    """

    pan_pan: Tensor
    ms_ms: Tensor
    cross: Tensor


class _Look(NamedTuple):
    """Unit vectors of a strip, and the cosines within the PAN and within each band."""

    queries: Nodes
    candidates: Nodes
    pan_pan: Tensor
    ms_ms: Tensor


class _Edges(NamedTuple):
    """Weights of the edges into the nodes of a strip, and 1 + the sums of their sizes."""

    pan_pan: Tensor
    ms_pan: Tensor
    ms_ms: Tensor
    pan_ms: Tensor
    pan_degree: Tensor
    ms_degree: Tensor


class Surroundings:
    """Cosines between nodes, strip by strip.

    Parameters
    ----------
    graph : Blocks or Whole
        Which pairs are compared.
    nodes : tuple of Tensor
        PAN and MS nodes. Compared in float32: rounding to half precision would change who is
        near whom.
    """

    def __init__(self, graph: Blocks | Whole, nodes: Nodes) -> None:
        self.graph = graph
        self.units = tuple(F.normalize(x.float(), dim=-1) for x in nodes)
        self.padded = tuple(graph.pad(x) for x in self.units)
        # A backward pass keeps everything anyway, so a strip at a time would save nothing.
        values = 1 << 62 if torch.is_grad_enabled() else CHUNK_VALUES
        n, _, _, bands, width = nodes[1].shape
        self.strips = graph.strips(values, n, bands + 1, width)
        # Looked at here, under the caller's gradient mode: the search itself runs without.
        self._kept = self._look(self.strips[0]) if len(self.strips) == 1 else None

    def look(self, strip: slice) -> _Look:
        """Return vectors and cosines of a strip; a single strip is looked at once."""
        return self._kept or self._look(strip)

    def _look(self, strip: slice) -> _Look:
        pan_q, ms_q = (self.graph.queries(x, strip) for x in self.units)
        pan_c, ms_c = (self.graph.candidates(x, strip) for x in self.padded)
        with torch.autocast(pan_q.device.type, enabled=False):
            pan_pan, ms_ms = pan_q @ pan_c.transpose(-1, -2), ms_q @ ms_c.transpose(-1, -2)
        return _Look((pan_q, ms_q), (pan_c, ms_c), pan_pan, ms_ms)


@torch.no_grad()
def find_codes(around: Surroundings, k: int, literal: bool) -> Codes:
    """Find the three relations and the pattern of every pair.

    r1 joins PAN patches that are among the k nearest of one another (in either direction), r2 MS
    patches of one band likewise, r3 the PAN patch of a position with the MS patches of the
    position itself and of those that r2 joins to it in any band.

    Parameters
    ----------
    around : Surroundings
        Cosines.
    k : int
        Neighbours.
    literal : bool
        Relations between nodes, as the paper writes them: they join different kinds of nodes, so
        only the patterns 1, 2 and 4 occur. Otherwise relations between positions (r2 in any band),
        whose combinations occur.

    Returns
    -------
    Codes
    """
    graph = around.graph
    batch = around.units[0].shape[0]
    chosen: tuple[list[Tensor], list[Tensor]] = [], []
    for strip in around.strips:
        look = around.look(strip)
        for cosines, found in zip((look.pan_pan, look.ms_ms), chosen, strict=True):
            near = graph.nearest(cosines, strip, k)
            if not literal:
                near = near.any(1, keepdim=True)
            found.append(graph.join(near, batch))
    spatial, spectral = (graph.symmetric(torch.cat(parts, 1)) for parts in chosen)
    cross = spectral.any(3, keepdim=True) | graph.itself(spectral.device)
    r1, r2, r3 = spatial.byte(), spectral.byte() * 2, cross.byte() * 4
    if literal:
        return Codes(r1, r2, r3)
    code = r1 + r2 + r3
    return Codes(code, code, code)


class LocalBranch(nn.Module):
    """``H^t = A H^(t-1) W^t`` over weighted patterns; returns the mean of H^1 to H^l (eq. 2).

    An edge weighs ``alpha[kind of message, pattern] * max(cosine, 0)``; a row of A, its self-loop
    of weight 1 included, is divided by 1 plus the sum of the sizes of its weights. Messages from
    the bands to the PAN are averaged over the bands, so networks of any band count share a scale.

    Parameters
    ----------
    width, layers : int
        Channels d of a node; layers l.
    literal : bool
        One alpha for each pattern, as the paper has; otherwise one for each kind of message too,
        because a pattern then holds pairs of all kinds.

    Notes
    -----
    The tables keep their 7 columns; those of patterns that cannot occur (3, 5, 6, 7 if `literal`,
    else 2, 3 and 5, since r3 joins what r2 joins and a position with itself) never act and get no
    gradient.
    """

    def __init__(self, width: int, layers: int, literal: bool) -> None:
        super().__init__()
        # Small and with W = 1 the branch begins close to the nodes themselves; with the weights
        # 0.1 and a random W it begins as a blur and learns more slowly.
        self.alpha = nn.Parameter(torch.full((1 if literal else 4, 7), 0.02))
        self.alpha_band = nn.Parameter(torch.full((1,), 0.02))
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        for weight in self.layers.parameters():
            nn.init.eye_(weight)

    def forward(self, around: Surroundings, codes: Codes, nodes: Nodes) -> Nodes:
        """Return H_loc of the PAN and of the bands, shapes as in `nodes`."""
        graph, strips = around.graph, around.strips
        batch = nodes[0].shape[0]
        kept = self._edges(around, codes, strips[0]) if len(strips) == 1 else None
        total: Nodes | None = None
        for layer in self.layers:
            padded = graph.pad(nodes[0]), graph.pad(nodes[1])
            new: tuple[list[Tensor], list[Tensor]] = [], []
            for strip in strips:
                edges = kept or self._edges(around, codes, strip)
                sums = self._aggregate(graph, edges, nodes, padded, strip)
                for parts, mixed in zip(new, sums, strict=True):
                    parts.append(graph.join(layer(mixed), batch))
            nodes = torch.cat(new[0], 1), torch.cat(new[1], 1)
            total = nodes if total is None else (total[0] + nodes[0], total[1] + nodes[1])
        assert total is not None
        return total[0] / len(self.layers), total[1] / len(self.layers)

    def _edges(self, around: Surroundings, codes: Codes, strip: slice) -> _Edges:
        look = around.look(strip)
        (pan_q, ms_q), (pan_c, ms_c) = look.queries, look.candidates
        m, bands, q, d = ms_q.shape
        w = ms_c.shape[2]
        with torch.autocast(pan_q.device.type, enabled=False):
            pan_ms = torch.bmm(ms_q.reshape(m, bands * q, d), pan_c[:, 0].transpose(1, 2))
            ms_pan = torch.bmm(pan_q[:, 0], ms_c.reshape(m, bands * w, d).transpose(1, 2))
        own, within, cross = (around.graph.spread(code, strip) for code in codes)
        alpha = [self.alpha[min(kind, len(self.alpha) - 1)] for kind in range(4)]
        pan_pan = F.relu(look.pan_pan) * pattern_weights(alpha[PAN_PAN], own)
        ms_ms = F.relu(look.ms_ms) * pattern_weights(alpha[MS_MS], within)
        pan_ms = F.relu(pan_ms).view(m, bands, q, w) * pattern_weights(alpha[PAN_MS], cross)
        by_band = pattern_weights(alpha[MS_PAN], cross).transpose(1, 2) / bands
        ms_pan = (F.relu(ms_pan).view(m, q, bands, w) * by_band).view(m, q, bands * w)
        pan_degree = 1 + _size(pan_pan) + _size(ms_pan)[:, None]
        ms_degree = 1 + _size(ms_ms) + _size(pan_ms)
        if bands > 1:
            ms_degree = ms_degree + self.alpha_band.abs()
        return _Edges(pan_pan, ms_pan, ms_ms, pan_ms.view(m, bands * q, w), pan_degree, ms_degree)

    def _aggregate(
        self, graph: Blocks | Whole, edges: _Edges, nodes: Nodes, padded: Nodes, strip: slice
    ) -> Nodes:
        """Return A H for the nodes of a strip, by blocks."""
        pan_q, ms_q = (graph.queries(x, strip) for x in nodes)
        pan_c, ms_c = (graph.candidates(x, strip) for x in padded)
        m, bands, q, d = ms_q.shape
        pan = edges.pan_pan @ pan_c + torch.bmm(edges.ms_pan, ms_c.reshape(m, -1, d))[:, None]
        ms = edges.ms_ms @ ms_c + torch.bmm(edges.pan_ms, pan_c[:, 0]).view(m, bands, q, d)
        if bands > 1:
            # All bands of a position are joined to one another, with one weight.
            ms = ms + self.alpha_band / (bands - 1) * (ms_q.sum(1, keepdim=True) - ms_q)
        return (pan_q + pan) / edges.pan_degree, (ms_q + ms) / edges.ms_degree


def _size(weights: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(weights, 1, dim=-1, keepdim=True)
    return size


def similar_patterns(patterns: Tensor, nodes: Tensor) -> Tensor:
    """``normalize(B B^T) G``, rows summing to one, without the square matrix (eq. 4).

    Parameters
    ----------
    patterns : Tensor, shape (N, n, 7), float32
        B: how much each node takes part in each pattern, not negative.
    nodes : Tensor, shape (N, n, d)
        G.

    Returns
    -------
    Tensor, shape (N, n, d), float32
        Zero for nodes in no pattern.
    """
    with torch.autocast(nodes.device.type, enabled=False):
        degree = patterns @ patterns.sum(1).unsqueeze(-1)
        pooled = patterns.transpose(1, 2) @ nodes.float()
        return (patterns @ pooled) / degree.clamp_min(1e-6)


class GlobalBranch(nn.Module):
    """``G^t = normalize(B B^T) G^(t-1) W^t``; returns the last layer (eq. 3 to 5).

    Sums run over the whole tile, which so is part of the result.

    Parameters
    ----------
    width, layers : int
        Channels d of a node; layers l.
    k : int
        Neighbours, by which counts are divided.
    """

    def __init__(self, width: int, layers: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.beta = nn.Parameter(torch.zeros(7))
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))

    def forward(self, codes: Codes, nodes: Nodes, literal: bool) -> Nodes:
        """Return H_glob of the PAN and of the bands, shapes as in `nodes`."""
        bands = nodes[1].shape[3]
        with torch.no_grad():
            pan = pattern_counts(codes.cross)
            if literal:
                # Each edge of r3 has one end at the PAN and one at each band.
                ms = pattern_counts(codes.ms_ms) + pan
                ms[..., 1] += bands - 1
                pan = pattern_counts(codes.pan_pan) + bands * pan
            else:
                ms = pan.expand(-1, -1, -1, bands, -1)
            counts = torch.cat((pan, ms), 3).flatten(1, 3) / self.k
        patterns = counts * F.softplus(self.beta)
        mixed = torch.cat(nodes, 3).flatten(1, 3)
        for layer in self.layers:
            mixed = layer(similar_patterns(patterns, mixed))
        n, rows, columns, _, width = nodes[0].shape
        mixed = mixed.view(n, rows, columns, bands + 1, width)
        return mixed[:, :, :, :1], mixed[:, :, :, 1:]


def contrastive_loss(
    local: Tensor,
    of_tile: Tensor,
    *,
    temperature: float = 0.2,
    samples: int = 512,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``-mean_i log softmax_j(cos(l_i, g_j) / t)`` at j = i: each node finds itself in the other.

    Parameters
    ----------
    local, of_tile : Tensor, shape (N, n, d)
        The two views of the same nodes.
    temperature : float
        t; the paper does not give it.
    samples : int
        Nodes drawn at random, the same for all images of the batch; the paper sums over all,
        whose cost is the square of their number.
    generator : torch.Generator, optional
        Of the draw.

    Returns
    -------
    Tensor, shape ()
        At least 0; ``log(nodes drawn)`` for views that know nothing of each other.

    Notes
    -----
    The global view lives in at most seven directions mixed by seven weights, so it cannot tell
    all nodes apart and the term does not reach zero.
    """
    if local.shape[1] > samples:
        drawn = torch.randperm(local.shape[1], generator=generator)[:samples].to(local.device)
        local, of_tile = local[:, drawn], of_tile[:, drawn]
    with torch.autocast(local.device.type, enabled=False):
        first, second = F.normalize(local.float(), dim=-1), F.normalize(of_tile.float(), dim=-1)
        scores = first @ second.transpose(1, 2) / temperature
    itself = torch.arange(scores.shape[1], device=scores.device).expand(scores.shape[:2])
    return F.cross_entropy(scores.flatten(0, 1), itself.flatten())
