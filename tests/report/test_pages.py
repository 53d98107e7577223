"""The frame that benchmark and batch share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pansharp.report import Cell, Section, Table, page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _page(tmp_path: Path) -> Path:
    table = Table(
        ["scene", "verdict"],
        [
            [Cell("a<b>", href="a b/fused.report.html"), Cell("better", tone="good", rank=1)],
            [Cell("c", href="javascript:alert(1)"), Cell("failed", "no MS", tone="bad")],
        ],
        "Scenes",
    )
    sections = [Section("All", ["one & two"], table), Section("More", folded=True)]
    path = tmp_path / "summary.html"
    path.write_text(page("Batch <1>", lead=["2 scenes"], sections=sections), encoding="utf-8")
    return path


def test_texts_are_escaped_and_links_stay_here(tmp_path: Path) -> None:
    text = _page(tmp_path).read_text("utf-8")
    assert "<title>Batch &lt;1&gt;</title>" in text
    assert 'href="a%20b/fused.report.html"' in text
    assert "javascript:" not in text
    assert "one &amp; two" in text


@pytest.mark.parametrize(
    "address",
    ["https://a.b/c", "//a.b/c", "/etc/passwd", "\\\\host\\c", "data:text/html,x", "JavaScript:x"],
)
def test_addresses_that_are_not_followed(address: str) -> None:
    assert Cell("x", href=address).link == ""


def test_page_works(open_page: Callable[..., object], tmp_path: Path) -> None:
    shown = open_page(_page(tmp_path), viewport={"width": 390, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") == 390  # type: ignore[attr-defined]
    assert shown.get_by_role("link", name="a<b>").count() == 1  # type: ignore[attr-defined]
