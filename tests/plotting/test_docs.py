"""The examples of docs/plotting.md run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "plotting.md"


@pytest.mark.skipif(not _PAGE.is_file(), reason="the documentation is not beside the tests")
def test_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", _PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 7
    for block in blocks:
        exec(compile(block, str(_PAGE), "exec"), space)
    picked = space["found"]
    assert [one.layer.label for one in picked] == ["MS", "fused", "reference"]  # type: ignore[attr-defined]
