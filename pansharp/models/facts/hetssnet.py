"""Facts about HetSSNet and its variants, see :mod:`pansharp.models.hetssnet`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.models.facts import AdaptationRecipe, NetworkSpec, TrainingRecipe, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPECS"]

_PAPER = (
    "M. Ma, Y. Jiang, M. Zhao, J. Li, W. Zhang, HetSSNet: Spatial-Spectral Heterogeneous Graph "
    "Learning Network for Panchromatic and Multispectral Images Fusion, ICML 2025, arXiv:2502.04623"
)
_NOTE = (
    "independent implementation after the paper, whose code was not found; encoder, decoder and "
    "sizes are ours; no published score is claimed"
)

_TRAINING = TrainingRecipe(
    source="the paper (30 000 steps there for WorldView-3, 28 000 for QuickBird and GaoFen-2); "
    "clipping, average and turns are ours",
    loss="hetssnet",
    rate=1e-4,
    batch=4,
    patch=128,
    steps=30_000,
    gamma=0.85,
    every_steps=3000,
    clip=1.0,
    ema=0.999,
    flips=True,
)
_QUICK = TrainingRecipe(
    source="ours",
    loss="hetssnet",
    rate=3e-4,
    batch=4,
    patch=64,
    steps=3000,
    schedule="cosine",
    clip=1.0,
    flips=True,
)


def _reach(arch: Mapping[str, object]) -> int | None:
    """Follow the positions spoilt by a tile's edge through the graph.

    Beyond the edge, one position is spoilt by its patch and the stem. Who is near whom is then
    wrong R positions on, and joined by symmetry R more; each layer after the first adds R. The
    decoder looks at the next position, and a patch begins half a stride before its own.
    """
    radius = arch.get("R", 6)
    if radius is None or arch.get("use_global", False):
        return None
    hops = whole_number(arch, "layers", 2) + 1
    stride = whole_number(arch, "patch", 8) // 2
    return hops * whole_number(arch, "R", 6) * stride + 2 * stride + stride // 2


SPECS = (
    NetworkSpec(
        name="hetssnet",
        factory="pansharp.models.hetssnet:HetSSNet",
        reference=_PAPER,
        summary="graph of patches whose edges join PAN and bands by similarity",
        note=_NOTE + "; without the tile-wide branch, so the product does not hang on the tiles",
        reach=_reach,
        multiple_of=16,
        local=True,
        practical_halo=96,
        tile=768,
        adaptation=AdaptationRecipe(steps=500, patch=64, batch=2, clip=1.0),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="hetssnet-small",
        factory="pansharp.models.hetssnet:HetSSNet",
        reference=_PAPER,
        summary="hetssnet with half the width and a window of 7 x 7 patches, for two cores",
        note=_NOTE + "; without the tile-wide branch, so the product does not hang on the tiles",
        reach=_reach,
        multiple_of=16,
        local=True,
        practical_halo=48,
        tile=512,
        adaptation=AdaptationRecipe(
            peak_lr=1e-2,
            steps=800,
            patch=48,
            batch=4,
            steps_unselected=300,
            clip=1.0,
            step_seconds=0.15,
            mpixel_seconds=5,
        ),
        arch=MappingProxyType({"stem": 8, "width": 48, "k": 6, "R": 3}),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="hetssnet-global",
        factory="pansharp.models.hetssnet:HetSSNet",
        reference=_PAPER,
        summary="hetssnet with the paper's branch over all patches of a tile",
        note=_NOTE + "; the result depends on the tile size, which must be that of training",
        reach=_reach,
        multiple_of=16,
        local=False,
        practical_halo=16,
        tile=64,
        adaptation=AdaptationRecipe(steps=400, patch=64, batch=2, clip=1.0),
        arch=MappingProxyType({"use_global": True}),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
)
