"""Rows of results, and small real files to run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Row = dict[str, Any]


def _row(scene: str, method: str, protocol: str = "reduced", **scores: float) -> Row:
    return {
        "scene": scene, "method": method, "protocol": protocol, "status": "ok", "seconds": 1.0,
        "peak_mib": 100.0, "backprojections": 0, "ratio": 4.0, "ms_gains": "0.3 0.35",
        "gains_source": "table", "shift_rows": 0.0, "shift_cols": 0.0, "cut": 21, **scores,
    }  # fmt: skip


def _failed(scene: str, method: str, protocol: str = "reduced") -> Row:
    return {
        "scene": scene, "method": method, "protocol": protocol, "status": "failed",
        "reason": "because",
    }  # fmt: skip


@pytest.fixture(scope="session")
def row() -> Callable[..., Row]:
    """Make the row of a method that has scores."""
    return _row


@pytest.fixture(scope="session")
def failed() -> Callable[..., Row]:
    """Make the row of a method that has none."""
    return _failed


@pytest.fixture
def golden_set(golden: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Write a scene of the golden numbers as a toolbox `.mat`."""
    from scipy.io import savemat

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.mat"
        with np.load(golden / f"{name}.npz") as file:
            content = {"I_MS_LR": file["ms_lr"], "I_PAN": file["pan"]}
            if "gt" in file.files:
                content["I_GT"] = file["gt"]
        savemat(path, content)
        return path

    return write
