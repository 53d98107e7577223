"""Cards, files, and the authors' checkpoints that the tests of the networks make by formula."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from pansharp.models import build_network
from pansharp.weights import WeightsCard, save_weights

if TYPE_CHECKING:
    from types import ModuleType

NAMES = ("blue", "green", "red", "nir1")


@pytest.fixture
def make_card():
    """Make a card; keywords replace its fields."""

    def make(**changes):
        facts = {
            "network": "rescnn-tiny",
            "task": "pan",
            "form": "anchored",
            "ms_bands": 4,
            "pan_bands": 2,
            "ratio": 4,
            "sensor": "gaofen2",
            "band_names": NAMES,
            "mtf_gains": (0.3, 0.3, 0.3, 0.3),
            "data": "a scene of the tests",
            "terms": "CC0",
            "recipe": {"steps": 3, "rates": [1e-3, 1e-4]},
            "seed": 7,
            "scores": {"ergas": 1.5},
            "created": "2026-01-31",
        }
        return WeightsCard(**{**facts, **changes})

    return make


@pytest.fixture
def network():
    torch.manual_seed(5)
    net = build_network("rescnn-tiny", ms_bands=4, pan_bands=2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    return net


@pytest.fixture
def weights_file(tmp_path, make_card, network):
    path = tmp_path / "small.safetensors"
    save_weights(path, network.state_dict(), make_card())
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No test sees the weights of whoever runs it."""
    monkeypatch.setenv("PANSHARP_CACHE", str(tmp_path / "cache"))


@cache
def _module(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "models" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"official_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def official():
    """Tests of a network by name, for their `official_state` and the authors' output."""
    return _module
