"""Facts about CYformer and its variants, see :mod:`pansharp.models.cyformer`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.errors import OptionError
from pansharp.models.facts import AdaptationRecipe, NetworkSpec, TrainingRecipe, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPECS"]

_PAPER = (
    "Cyclic cross-modality interaction for hyperspectral and multispectral image fusion, IEEE "
    "Transactions on Circuits and Systems for Video Technology, 2025"
)
_NOTE = (
    "independent implementation; takes the authors' weights (github.com/Tomchenshi/CYformer, "
    "repaired) with faithful=True; the default form is a local variant of it"
)

_TRAINING = TrainingRecipe(
    source="the authors' code, without its roll by half a patch, which puts a seam in the middle",
    loss="l1",
    rate=1e-4,
    batch=32,
    patch=64,
    epochs=400,
    epoch_patches=20_000,
    gamma=0.5,
    every_epochs=150,
    drops=1,
    flips=True,
)
_QUICK = TrainingRecipe(
    source="ours",
    loss="l1",
    rate=2e-4,
    batch=4,
    patch=48,
    steps=3000,
    schedule="cosine",
    clip=1.0,
    flips=True,
)


def _reach(arch: Mapping[str, object]) -> int | None:
    """Follow the pixels spoilt by a tile's edge through the layers, block by block.

    The legacy window rule follows the ratio, which is not told here.
    """
    faithful = bool(arch.get("faithful", False))

    def chosen(key: str, otherwise: object) -> object:
        return otherwise if arch.get(key) is None else arch[key]

    if (
        chosen("stats", "tile" if faithful else "window") == "tile"
        or not chosen("shift_mask", not faithful)
        or chosen("legacy_window_rule", faithful)
    ):
        return None
    window = whole_number(arch, "window", 8)
    side = whole_number(arch, "stats_block", 16)
    literal = arch.get("gate_layout", "repaired") == "literal"
    depths = arch.get("depths", (2, 2, 2, 2))
    if not isinstance(depths, tuple | list):
        raise OptionError(f"depths={depths!r}: must be a sequence of whole numbers")

    def attend(edge: int, shift: int) -> int:
        return ((edge - 1 + shift) // window + 1) * window - shift

    def pool(edge: int) -> int:
        # The spoilt block spoils its nodes, and each node the block on its other side.
        return ((edge - 1) // side + 2) * side

    guide = 2  # stem and guide convolution
    x = 1
    for depth in depths:
        y = x
        for place in range(int(depth)):
            y = attend(y, window // 2 * (place % 2)) + 1
            y = max(y, pool(guide + 1) if literal else guide + 1)
            y = pool(max(y, guide)) + 1
            y = max(y, guide if literal else pool(guide))
        x = y + 1
    return max(x, guide) + 1


SPECS = (
    NetworkSpec(
        name="cyformer",
        factory="pansharp.models.cyformer:CYformer",
        reference=_PAPER,
        summary="PAN and MS take turns: window attention gated by PAN, channel attention by MS",
        note=_NOTE,
        reach=_reach,
        multiple_of=16,
        local=False,
        practical_halo=32,
        tile=256,
        threads_inside=True,
        # Steps of AdamW grow with the inputs of a layer: 2e-3 as usual overshoots at this width.
        adaptation=AdaptationRecipe(steps=400, patch=32, batch=2, peak_lr=7e-4, clip=1.0),
        tasks=("pan", "hsi"),
        importer="pansharp.models.cyformer_official:import_official",
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="cyformer-small",
        factory="pansharp.models.cyformer:CYformer",
        reference=_PAPER,
        summary="cyformer with 2 stages of 36 channels, for two processor cores",
        note=_NOTE,
        reach=_reach,
        multiple_of=8,
        local=True,
        practical_halo=88,
        tile=512,
        adaptation=AdaptationRecipe(
            steps=400, patch=32, batch=4, clip=1.0, step_seconds=0.4, mpixel_seconds=56, rank=2
        ),
        arch=MappingProxyType({"width": 36, "depths": (2, 2), "stats_block": 8}),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
)
