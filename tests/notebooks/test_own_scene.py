"""Notebooks run unchanged on a user's own pair: only SCENE is set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str, Path], str]:
    """Run a notebook's script on a scene, as a user's Python would; returns what it prints."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    pytest.importorskip("tensorly")
    import pansharp

    def run(name: str, scene: Path) -> str:
        text = (FOLDER / f"{name}.py").read_text("utf-8")
        changed = text.replace("\nSCENE = None\n", f"\nSCENE = {str(scene)!r}\n")
        assert changed != text
        script = tmp_path / f"{name}.py"
        script.write_text(changed, encoding="utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(pansharp.__file__).parents[1]),
            "MPLBACKEND": "Agg",
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-P", str(script)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def test_first_fusion(run: Callable[[str, Path], str], make_pair: object) -> None:
    pair = make_pair(shape=(128, 160), ratio=2, bands=4)  # type: ignore[operator]
    out = run("01_first_fusion", pair.pan.parent)
    assert "product    4 bands of 128 x 160 pixels" in out
    assert "none: a real scene has no truth" in out
    assert "asked rescnn-tiny" in out


def test_spectral_fidelity(run: Callable[[str, Path], str], make_pair: object) -> None:
    # A hole in the corner: what is nodata must stay out of every figure.
    pair = make_pair(shape=(128, 128), ratio=2, bands=4, nodata=0)  # type: ignore[operator]
    out = run("02_spectral_fidelity", pair.pan.parent)
    assert "no truth: held against the MS, at the size of MS pixels" in out
    assert "absent: a red-edge band" in out
    assert "nan" not in out.lower()
