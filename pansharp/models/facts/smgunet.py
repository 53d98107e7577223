"""Facts about SMGU-Net and its variants, see :mod:`pansharp.models.smgunet`."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.models.facts import AdaptationRecipe, NetworkSpec, TrainingRecipe, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPECS"]

_PAPER = (
    "Spatial-spectral unfolding network with mutual guidance for multispectral and hyperspectral "
    "image fusion, Pattern Recognition, 2025 (code: github.com/yansql/SMGU-Net)"
)
_NOTE = (
    "independent implementation; faithful=True is the authors' network number for number and takes "
    "their weights, the default resamples between pixel centres and adds to bicubic; no published "
    "score is claimed"
)

_RECIPE = AdaptationRecipe(steps=400, patch=32, batch=4, peak_lr=4e-3, clip=1.0, budget=210_000)

_TRAINING = TrainingRecipe(
    source="optimiser, rate, batch and epochs of a later paper that trained a variant, the "
    "authors' own not being known; the rest is ours",
    loss="l1",
    rate=1e-4,
    batch=4,
    patch=64,
    epochs=500,
    schedule="cosine",
    clip=1.0,
)
_QUICK = TrainingRecipe(
    source="ours",
    loss="l1",
    rate=5e-4,
    batch=4,
    patch=32,
    steps=2000,
    schedule="cosine",
    clip=1.0,
)


def _reach(arch: Mapping[str, object]) -> int | None:
    """Pixels that the edge of an aligned tile spoils; the ratio and the widths do not matter.

    S2 has the longest way: doubling between pixel centres takes two pixels on either side, so of
    the pyramid 3 pixels at half size are spoilt and 9 at full size; three convolutions follow. Its
    rivals end earlier: S1 after 8 pixels, a dense block after 2 + depth. Each fusion adds two
    pixels, each prior after the first two, the last convolution one.
    """
    if arch.get("faithful") or arch.get("align_corners"):
        return None
    observed = max(9 + 3, 2 + whole_number(arch, "dense_depth", 5))
    return observed + 4 * whole_number(arch, "niter", 2) - 2 + 1


SPECS = (
    NetworkSpec(
        name="smgunet",
        factory="pansharp.models.smgunet:SMGUNet",
        reference=_PAPER,
        summary="two unfolded data terms, PAN and MS guiding each other",
        note=_NOTE,
        reach=_reach,
        multiple_of=4,
        local=True,
        practical_halo=20,
        tile=256,
        adaptation=_RECIPE,
        tasks=("pan", "hsi"),
        importer="pansharp.models.smgunet_official:import_official",
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="smgunet-small",
        factory="pansharp.models.smgunet:SMGUNet",
        reference=_PAPER,
        summary="smgunet with encoder widths 16 and 32 and dense blocks of depth 3",
        note=_NOTE.replace("and takes their weights", "with width=64 and dense_depth=5"),
        reach=_reach,
        multiple_of=4,
        local=True,
        practical_halo=20,
        tile=256,
        adaptation=replace(_RECIPE, step_seconds=0.04, mpixel_seconds=2.4, rank=5),
        arch=MappingProxyType({"width": 16, "dense_depth": 3}),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
)
