"""Training on a CUDA device: every precision, and a resumed run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pansharp.training.state import load_state
from pansharp.weights import load_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_every_precision(precision: str, small_set: Any, run_short: Any) -> None:
    path = small_set(items=6)
    result = run_short(path, device="cuda", precision=precision, steps=60, batch=4, patch=32)
    assert result.scores["last"]["ergas"] < result.scores["before"]["ergas"]
    state = load_weights(result.last)[1]
    assert all(torch.isfinite(value).all() for value in state.values())


def test_a_resumed_run_goes_on(small_set: Any, run_short: Any) -> None:
    path = small_set(items=6)
    first = run_short(path, device="cuda", model="bugpan-small", steps=4)
    state = load_state(first.folder / "state.pt")
    assert "cuda" in state["random"]
    again = run_short(model=None, resume=True)
    assert again.scores == first.scores
