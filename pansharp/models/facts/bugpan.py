"""Facts about BUGPan and its variants, see :mod:`pansharp.models.bugpan`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.models.facts import AdaptationRecipe, NetworkSpec, TrainingRecipe, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPECS"]

_FACTORY = "pansharp.models.bugpan:BUGPan"
_IMPORTER = "pansharp.models.bugpan_official:import_official"
_PAPER = (
    "J. Hou, X. Liu, C. Wu, X. Cong, C. Huang, L.-J. Deng, J. W. You, Bidomain uncertainty gated "
    "recursive network for pan-sharpening, Information Fusion, 2025, "
    "doi:10.1016/j.inffus.2025.102938"
)
_NOTE = (
    "independent implementation; faithful=True equals the authors' code, the default form gates "
    "windows instead of whole tiles and its gate learns; no published score is claimed"
)

_TRAINING = TrainingRecipe(
    source="the authors' code; ours: the value scale is the sensor's, 2047 there for every sensor",
    loss="bugpan",
    rate=5e-4,
    batch=32,
    patch=64,
    epochs=1000,
    gamma=0.5,
    every_epochs=250,
    gate_offset=(0.7, 0.1),
)
_QUICK = TrainingRecipe(
    source="ours",
    loss="bugpan",
    rate=1e-3,
    batch=4,
    patch=32,
    steps=3000,
    schedule="cosine",
    final_rate=1e-5,
    clip=1.0,
    gate_offset=(0.7, 0.1),
)


def _reach(arch: Mapping[str, object]) -> int | None:
    """Follow the pixels spoilt by a tile's edge from the coarsest scale to the finest.

    Three scales; with the two that a ratio below 3 has, it is less.
    """
    gated = arch.get("gate", "gate") != "none" and arch.get("gate_scope") != "open"
    if gated and arch.get("gate_scope") == "tile":
        return None
    scales = whole_number(arch, "scales", 3)
    retimes = whole_number(arch, "retimes", 5)
    side = whole_number(arch, "gate_window", 32)
    pans, image = [0], 0
    for _ in range(scales - 1):
        pans.insert(0, -(-(pans[0] + 2) // 2))
    features = correction = 0
    for i in range(scales):
        a = image + 1
        if i:
            a = max(a, 2 * (features + 1), 2 * (correction + 1) + 1) + 1
        x = max(a, pans[i] + 2) + 1
        window = side >> (scales - 1 - i)
        for step in range(retimes):
            widened = x + 6
            if step and gated:
                # Every window with a spoilt pixel, and half a window of interpolation.
                widened = max(widened, -(-(x + 1) // window) * window + window // 2)
            x = widened
        features, correction, image = x, x + 1, 2 * (image + 1)
    return correction


SPECS = (
    NetworkSpec(
        name="bugpan",
        factory=_FACTORY,
        reference=_PAPER,
        summary="three scales of recursions, gated by uncertainty in space and frequency",
        note=_NOTE,
        reach=_reach,
        multiple_of=32,
        local=False,
        practical_halo=32,
        tile=256,
        threads_inside=True,
        adaptation=AdaptationRecipe(steps=250, patch=64, batch=1, steps_unselected=120, clip=1.0),
        tasks=("pan", "hsi"),
        importer=_IMPORTER,
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="bugpan-static",
        factory=_FACTORY,
        reference=_PAPER,
        summary="bugpan without its gate: every recursion is done",
        note=_NOTE,
        reach=_reach,
        multiple_of=4,
        local=False,
        practical_halo=32,
        tile=256,
        threads_inside=True,
        adaptation=AdaptationRecipe(steps=250, patch=64, batch=1, steps_unselected=120, clip=1.0),
        arch=MappingProxyType({"gate": "none"}),
        tasks=("pan", "hsi"),
        importer=_IMPORTER,
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="bugpan-small",
        factory=_FACTORY,
        reference=_PAPER,
        summary="bugpan with 16 channels and 2 recursions, for two processor cores",
        note=_NOTE,
        reach=_reach,
        multiple_of=32,
        local=False,
        practical_halo=32,
        tile=256,
        adaptation=AdaptationRecipe(
            steps=400,
            patch=32,
            batch=4,
            clip=1.0,
            budget=210_000,
            step_seconds=0.1,
            mpixel_seconds=6,
            rank=3,
        ),
        arch=MappingProxyType({"width": 16, "retimes": 2, "gate_widths": (16, 8, 8)}),
        tasks=("pan", "hsi"),
        importer=_IMPORTER,
        training=_TRAINING,
        quick=_QUICK,
    ),
)
