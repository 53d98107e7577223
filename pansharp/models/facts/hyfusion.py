"""Facts about HyFusion and its variants, see :mod:`pansharp.models.hyfusion`."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.errors import OptionError
from pansharp.models.facts import AdaptationRecipe, NetworkSpec, TrainingRecipe, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPECS"]

_PAPER = (
    "C.-M. Lee, Y.-F. Lin, Y.-H. Ho, L.-W. Kang, C.-C. Hsu, HyFusion: Enhanced Reception Field "
    "Transformer for Hyperspectral Image Fusion, IGARSS 2025, arXiv:2501.04665"
)
_NOTE = (
    "HyFusion (reimplementation): the authors have published no network; layout after their "
    "figures, blocks after their later code, sizes are ours; no published score is claimed"
)

_TRAINING = TrainingRecipe(
    source="CSAKD of the same group (its teacher), HyFusion's own not being known; values lie in "
    "[0, 1] here, in [-1, 1] there",
    loss="hyfusion",
    rate=1e-4,
    batch=4,
    patch=128,
    epochs=600,
    optimiser="adamw",
    schedule="cosine",
    flips=True,
    noise_db=35.0,
)
_QUICK = TrainingRecipe(
    source="ours",
    loss="l1-sam",
    rate=2e-4,
    batch=2,
    patch=48,
    steps=1500,
    optimiser="adamw",
    schedule="cosine",
    clip=1.0,
    flips=True,
)


def _reach(arch: Mapping[str, object]) -> int | None:
    """Follow the pixels spoilt by a tile's edge through both branches.

    An attention layer spoils every pixel that shares a window with a spoilt one, a 3x3 convolution
    one pixel more. Without a given factor the ratio chooses 2 or 4: the larger reach is told.
    """
    window = whole_number(arch, "window", 8)
    blocks = whole_number(arch, "blocks", 6)
    factors = [whole_number(arch, "factor", 4)] if arch.get("factor") is not None else [2, 4]
    ratios = arch.get("mlp_ratios", (2, 2, 2, 1, 1))
    if not isinstance(ratios, (tuple, list)):
        raise OptionError(f"mlp_ratios={ratios!r}: must be a tuple of numbers")

    def erfb(edge: int, count: int = 1) -> int:
        for k in [*range(len(ratios))] * count:
            shift = window // 2 * (k % 2)
            edge = math.ceil((edge + shift) / window) * window - shift
        return edge

    def enlarged(edge: int, step: int) -> int:
        between = step // 2 if arch.get("up_mode") == "bilinear" else 0
        return edge * step + between

    def lower(factor: int) -> int:
        given = arch.get("steps")
        first, second = given if isinstance(given, tuple) else _steps(factor)
        # Anti-aliased bicubic weighs two small pixels beyond the edge; without, only its centre
        # taps, of which one crosses the edge when the factor is 2.
        small = (1 if factor == 2 else 0) if arch.get("legacy_resize") else 2
        return enlarged(erfb(enlarged(small + 1, first), blocks), second) + 1

    upper = erfb(1, blocks) + 1
    return erfb(max(upper, *(lower(f) for f in factors)) + 1) + 1


def _steps(factor: int) -> tuple[int, int]:
    # As `two_steps` of the network's module, which imports torch.
    first = max((d for d in range(2, math.isqrt(factor) + 1) if factor % d == 0), default=factor)
    return first, factor // first


SPECS = (
    NetworkSpec(
        name="hyfusion",
        factory="pansharp.models.hyfusion:HyFusion",
        reference=_PAPER,
        summary="two coupled branches of densely connected shifted-window attention",
        note=_NOTE,
        reach=_reach,
        multiple_of=16,
        local=False,
        practical_halo=32,
        tile=256,
        threads_inside=True,
        adaptation=AdaptationRecipe(
            steps=200, patch=48, batch=1, steps_unselected=120, clip=1.0, peak_lr=1e-3
        ),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="hyfusion-small",
        factory="pansharp.models.hyfusion:HyFusion",
        reference=_PAPER,
        summary="hyfusion with 2 blocks a branch and half the channels, for two processor cores",
        note=_NOTE,
        reach=_reach,
        multiple_of=16,
        local=False,
        practical_halo=32,
        tile=256,
        adaptation=AdaptationRecipe(
            steps=300, patch=32, batch=2, clip=1.0, step_seconds=0.55, mpixel_seconds=118, rank=6
        ),
        arch=MappingProxyType({"width": 48, "growth": 16, "blocks": 2}),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="hyfusion-tiny",
        factory="pansharp.models.hyfusion:HyFusion",
        reference=_PAPER,
        summary="hyfusion with 1 block a branch and a third of the channels",
        note=_NOTE,
        reach=_reach,
        multiple_of=16,
        local=False,
        practical_halo=32,
        tile=256,
        adaptation=AdaptationRecipe(steps=400, patch=32, batch=2, clip=1.0),
        arch=MappingProxyType({"width": 32, "growth": 16, "blocks": 1}),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
)
