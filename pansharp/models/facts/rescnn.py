"""Facts about the plain residual networks, see :mod:`pansharp.models.rescnn`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.models.facts import AdaptationRecipe, NetworkSpec, TrainingRecipe, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPECS"]

_TRAINING = TrainingRecipe(
    source="ours: there is no paper",
    loss="l1",
    rate=2e-3,
    batch=16,
    patch=64,
    epochs=100,
    optimiser="adamw",
    weight_decay=0.01,
    schedule="onecycle",
    flips=True,
)
_QUICK = TrainingRecipe(
    source="ours",
    loss="l1",
    rate=2e-3,
    batch=8,
    patch=32,
    steps=2000,
    optimiser="adamw",
    weight_decay=0.01,
    schedule="onecycle",
    flips=True,
)


def _reach(arch: Mapping[str, object]) -> int:
    return 2 * whole_number(arch, "blocks", 2) + 2


SPECS = (
    NetworkSpec(
        name="rescnn",
        factory="pansharp.models.rescnn:ResCNN",
        reference="no paper: a plain residual network of this project",
        summary="plain residual network, about 40 000 parameters, adapts in seconds",
        note="the practical choice when nobody asks for a paper",
        reach=_reach,
        multiple_of=1,
        local=True,
        practical_halo=6,
        tile=512,
        adaptation=AdaptationRecipe(
            steps=300,
            patch=32,
            batch=8,
            budget=400_000,
            cube_rate=2e-3,
            step_seconds=0.04,
            mpixel_seconds=1.3,
            rank=1,
        ),
        tasks=("pan", "hsi"),
        training=_TRAINING,
        quick=_QUICK,
    ),
    NetworkSpec(
        name="rescnn-tiny",
        factory="pansharp.models.rescnn:ResCNN",
        reference="no paper: a plain residual network of this project",
        summary="plain residual network, about 11 000 parameters, for large mosaics",
        note="most of the gain of rescnn at 40 % of its cost",
        reach=_reach,
        multiple_of=1,
        local=True,
        practical_halo=6,
        tile=512,
        adaptation=AdaptationRecipe(
            steps=300,
            patch=32,
            batch=8,
            budget=400_000,
            cube_rate=2e-3,
            step_seconds=0.015,
            mpixel_seconds=0.45,
        ),
        tasks=("pan", "hsi"),
        arch=MappingProxyType({"width": 16}),
        training=_TRAINING,
        quick=_QUICK,
    ),
)
