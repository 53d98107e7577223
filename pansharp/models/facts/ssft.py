"""Facts about SSFT and its variants, see :mod:`pansharp.models.ssft`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.models.facts import AdaptationRecipe, NetworkSpec, TrainingRecipe, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPECS"]

_PAPER = (
    "M. Ma, Y. Jiang, M. Zhao, X. Ma, W. Zhang, S. Song, Deep spatial-spectral fusion transformer "
    "for remote sensing pansharpening, Information Fusion, 2025, doi:10.1016/j.inffus.2025.102980"
)
_NOTE = (
    "independent implementation after the published description; sizes are ours; no published "
    "score is claimed"
)

_TRAINING = TrainingRecipe(
    source="the recipe of HetSSNet (same group), SSFT's own not being known; Fourier term of the "
    "loss, clipping, average and turns are ours",
    loss="l1-fft",
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
    loss="l1",
    rate=1e-3,
    batch=4,
    patch=64,
    steps=3000,
    schedule="cosine",
    clip=1.0,
    flips=True,
)


def _reach(arch: Mapping[str, object]) -> int | None:
    """Follow the pixels spoilt by a tile's edge through the layers, stage by stage.

    A windowed layer spoils every pixel that shares a window with a spoilt one. The Fourier windows
    of the second transform in a stage start on the same grid, so it adds one hop only.
    """
    if arch.get("fft_scope", "window") != "window":
        return None
    fft = whole_number(arch, "fft_window", 32)
    attention = whole_number(arch, "attention_window", 8)
    hop = fft // 2

    def fourier(edge: int) -> int:
        # The last window that begins before the first sound pixel.
        return ((edge - 1) // hop) * hop + fft

    def attend(edge: int, shift: int) -> int:
        return ((edge - 1 + shift) // attention + 1) * attention - shift

    m = p = 1
    for stage in range(whole_number(arch, "stages", 4)):
        shift = attention // 2 * (stage % 2)
        s = fourier(max(m, p))
        p_next = attend(p, shift) + 1
        mixed = fourier(max(s, p_next))
        m = max(m, attend(max(mixed, p), shift)) + 1
        p = p_next
    return m + 2


SPECS = (
    NetworkSpec(
        name="ssft",
        factory="pansharp.models.ssft:SSFT",
        reference=_PAPER,
        summary="Fourier amplitude from PAN and MS, sparse attention from PAN alone",
        note=_NOTE,
        reach=_reach,
        multiple_of=16,
        local=False,
        practical_halo=32,
        tile=256,
        threads_inside=True,
        tasks=("pan", "hsi"),
        adaptation=AdaptationRecipe(steps=250, patch=48, batch=2, steps_unselected=120, clip=1.0),
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="ssft-small",
        factory="pansharp.models.ssft:SSFT",
        reference=_PAPER,
        summary="ssft with 2 stages of 16 channels, for two processor cores",
        note=_NOTE,
        reach=_reach,
        multiple_of=8,
        local=True,
        practical_halo=56,
        tile=256,
        adaptation=AdaptationRecipe(
            steps=400,
            patch=32,
            batch=4,
            clip=1.0,
            budget=210_000,
            step_seconds=0.3,
            mpixel_seconds=45,
            rank=4,
        ),
        tasks=("pan", "hsi"),
        arch=MappingProxyType({"width": 16, "stages": 2, "fft_window": 16}),
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="ssft-tilefft",
        factory="pansharp.models.ssft:SSFT",
        reference=_PAPER,
        summary="ssft with one Fourier transform of the whole tile",
        note=_NOTE + "; the result depends on the tile size, which must be that of training",
        reach=_reach,
        multiple_of=8,
        local=False,
        practical_halo=16,
        tile=64,
        adaptation=AdaptationRecipe(steps=150, patch=64, batch=2, clip=1.0),
        arch=MappingProxyType({"fft_scope": "tile"}),
        training=_TRAINING,
        quick=_QUICK,
    ),
)
