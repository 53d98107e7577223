"""Weights files that are never loaded wrongly: safetensors with a card inside, and a digest."""

from __future__ import annotations

from pansharp.weights.card import FORMS, TASKS, WeightsCard
from pansharp.weights.check import check_fits
from pansharp.weights.file import load_weights, read_card, restore, save_weights, verify
from pansharp.weights.places import (
    FoundWeights,
    cache_folder,
    find_weights,
    list_weights,
    shipped_folder,
)

__all__ = [
    "FORMS",
    "TASKS",
    "FoundWeights",
    "WeightsCard",
    "cache_folder",
    "check_fits",
    "find_weights",
    "list_weights",
    "load_weights",
    "read_card",
    "restore",
    "save_weights",
    "shipped_folder",
    "verify",
]
