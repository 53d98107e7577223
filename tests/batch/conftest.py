"""Fixtures of batches: an archive, a scratch folder, and the command that a user types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batch.archives import HOME, Start, write_archive


@pytest.fixture(scope="session")
def made_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive; read only."""
    return write_archive(tmp_path_factory.mktemp("batch") / "archive")


@pytest.fixture
def archive(made_archive: Path, tmp_path: Path) -> Path:
    """A copy of the archive that a test may change."""
    return Path(shutil.copytree(made_archive, tmp_path / "archive"))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scratch folder of this test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("PANSHARP_SCRATCH", str(folder))
    return folder


@pytest.fixture
def start(scratch: Path) -> Start:
    """Start `pansharp batch ... --json` in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": HOME}

    def begin(*arguments: object, json_lines: bool = True) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "pansharp", "batch", *map(str, arguments)]
        return subprocess.Popen(
            [*command, *(["--json"] if json_lines else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return begin
