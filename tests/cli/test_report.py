"""`pansharp report` and tables on a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.cli._output import table
from pansharp.errors import PansharpWarning

if TYPE_CHECKING:
    import pytest


def test_report_from_the_shell(make_pair: Any, tmp_path: Path) -> None:
    from pansharp.pipeline import FuseOptions, fuse_to_file
    from pansharp.readers import open_scene

    pair = make_pair(shape=(160, 160))
    product = pair.pan.with_name("fused.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PansharpWarning)
        scene = open_scene(pan=str(pair.pan), ms=str(pair.ms))
        fuse_to_file(scene, product, FuseOptions.checked(model="gsa", workers=1))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pansharp", "report", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ}, check=False
        )

    done = run(product, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    page = Path(json.loads(done.stdout)["report"])
    assert page == product.with_name("fused.report.html")
    again = run(product)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.count("\n") == 1
    assert "--overwrite" in again.stderr


def test_tables_are_plain_but_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("gsa", "word " * 40), ("[red]x", "y")]
    plain = table(("name", "what"), rows)
    assert len(plain.splitlines()) == 3
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", table(("name", "what"), rows))
    assert len(shown.splitlines()) > 5
    assert "[red]x" in shown
    assert shown.splitlines()[0].split() == ["name", "what"]
    assert max(map(len, shown.splitlines())) <= 60
