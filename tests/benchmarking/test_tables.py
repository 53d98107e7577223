"""The four files say the same, and each is well formed."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from pansharp.benchmarking import Benchmark, get_conventions
from pansharp.benchmarking.tables import COLUMNS
from pansharp.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., dict[str, object]]


@pytest.fixture
def found(row: Make, failed: Make) -> Benchmark:
    rows = [
        row("s_1", "exp", ergas=2.0, psnr=float("inf"), data_range=2047.0, notes=["50 % <valid>"]),
        row("t", "exp", ergas=3.0, psnr=float("inf"), data_range=2047.0),
        row("s_1", "a|b", ergas=1.0, psnr=30.0, data_range=2047.0),
        row("t", "a|b", ergas=1.5, psnr=31.0, data_range=2047.0),
        failed("s_1", "tv_1"),
    ]
    return Benchmark(tuple(rows), get_conventions())


class _Tags(HTMLParser):
    """Collects tags and addresses, and checks that what opens closes."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attributes if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_files(found: Benchmark, tmp_path: Path) -> None:
    paths = found.write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
    assert len(rows) == 5
    assert tuple(rows[0]) == COLUMNS
    assert [r["ergas"] for r in rows] == ["2.0", "3.0", "1.0", "1.5", ""]
    assert rows[4]["reason"] == "because"


def test_markdown(found: Benchmark, tmp_path: Path) -> None:
    found.write(tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "IEEE GRSM 9(1), 2021" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    # A bar in a name must not make a column.
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(lines[0].split("|")) - 1}
    assert "**1.2500** ± 0.3536" in text
    assert "<u>2.5000</u> ± 0.7071" in text
    assert "- tv_1 on s_1 (reduced): because" in text
    assert "50 % <valid> (1 of 5 rows)" in text


def test_html_is_self_contained(found: Benchmark, tmp_path: Path) -> None:
    found.write(tmp_path)
    text = (tmp_path / "results.html").read_text()
    page = _Tags()
    page.feed(text)
    assert page.open == []
    assert page.addresses == []
    assert "prefers-color-scheme: dark" in text
    assert "&lt;valid&gt;" in text
    assert "<b>1.2500</b>" in text
    assert "<table>" in found._repr_html_()


def test_tex(found: Benchmark, tmp_path: Path) -> None:
    found.write(tmp_path)
    text = (tmp_path / "results.tex").read_text()
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not [line for line in body if re.search(r"(?<!\\)[_%#]", line)]
    assert r"\textbf{1.2500} $\pm$ 0.3536" in text
    assert r"\underline{2.5000}" in text
    assert r"$\infty$" in text
    rows = [line for line in body if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {rows[0].count("&")}
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1


def test_json_knows_no_infinity(found: Benchmark) -> None:
    document = json.loads(found.to_json())
    methods = document["tables"]["reduced"]["methods"]
    assert methods[0]["indices"]["psnr"] == {"mean": None, "sd": None, "n": 2, "rank": "best"}
    assert methods[1]["indices"]["ergas"]["rank"] == "best"
    assert document["failures"] == ["tv_1 on s_1 (reduced): because"]


def test_frame(found: Benchmark) -> None:
    pytest.importorskip("pandas")
    frame = found.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert frame.groupby("method")["ergas"].mean()["exp"] == 2.5


def test_a_folder_that_cannot_be_written(found: Benchmark, tmp_path: Path) -> None:
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(WriteError, match=r"results\.csv"):
        found.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]
