"""Reports: to JSON and back, in tables, beside each other."""

from __future__ import annotations

import json
import math
import sys

import pytest

from pansharp import evaluation as ev
from pansharp.errors import OptionError
from pansharp.evaluation import Report


def report(protocol: str = "reference", **scores: float) -> Report:
    return Report(scores, protocol=protocol)


def test_json_and_back(scene) -> None:
    for made in (
        ev.evaluate(reference=scene.reference, fused=scene.fused, data_range=2047),
        ev.evaluate(fused=scene.fused, ms=scene.ms, pan=scene.pan),
    ):
        again = Report.from_json(made.to_json())
        assert again == made
        assert again.to_json() == made.to_json()


def test_what_json_cannot_say_comes_back_by_its_meaning() -> None:
    made = report(psnr=math.inf, sam=math.nan)
    again = Report.from_json(made.to_json())
    assert again.scores["psnr"] == math.inf
    assert math.isnan(again.scores["sam"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not a report in JSON"),
        ("[]", "needs scores and protocol"),
        ('{"scores": {}}', "needs scores and protocol"),
        ('{"scores": {}, "protocol": "full", "colour": 1}', "needs scores and protocol"),
        ('{"scores": [1], "protocol": "full"}', "not a report"),
        ('{"scores": {"sam": "low"}, "protocol": "full"}', "'sam' is 'low'"),
        ('{"scores": {"sam": true}, "protocol": "full"}', "not a number"),
        ('{"scores": {}, "protocol": "full", "per_band": {"q": 3}}', "not a report"),
    ],
)
def test_other_json_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        Report.from_json(text)
    assert "\n" not in str(caught.value)


def test_html_is_escaped_and_takes_the_colours_of_the_page() -> None:
    nasty = Report(
        {"<b>": 1.0},
        protocol="full",
        sensor="<script>",
        conventions={"pan & ms": "<i>"},
        notes=("a < b",),
    )
    for text in (
        nasty._repr_html_(),
        Report.compare({"<script>": nasty, "x": nasty})._repr_html_(),
    ):
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
        assert "<i>" not in text
        assert "color:inherit" in text
        assert "#" not in text.replace("&#", "")
    assert "a &lt; b" in nasty._repr_html_()


def test_text_tells_the_conventions() -> None:
    made = Report(
        {"q2n": 0.5, "psnr": math.inf, "new": 2.0},
        protocol="full",
        conventions={"mtf_gains": [0.3] * 4, "data_range": None, "masked": False, "r": [1, 2]},
        notes=("look",),
    )
    assert str(made).splitlines() == [
        "index      value   best",
        "Q2n        0.5000  1",
        "PSNR (dB)  inf     inf",
        "new        2.0000",
        "mtf gains: 0.3 (all 4); masked: no; r: 1 2",
        "note: look",
    ]


def test_comparison_marks_best_and_second() -> None:
    made = Report.compare(
        {
            "a": report(ergas=2.0, q2n=0.90, psnr=30.0, d_s=0.0),
            "b": report(ergas=1.0, q2n=0.95, psnr=35.0),
            "c|d": report(ergas=1.5, q2n=0.95, psnr=math.nan),
        }
    )
    assert made.names == ["ergas", "q2n", "psnr", "d_s"]
    assert made.ranks("ergas") == [3, 1, 2]
    assert made.ranks("q2n") == [2, 1, 1]
    assert made.ranks("psnr") == [2, 1, None]
    assert made.ranks("d_s") == [1, None, None]
    assert str(made).splitlines() == [
        "name  ERGAS       Q2n         PSNR (dB)    D_s",
        "a     2.0000      0.9000 (2)  30.0000 (2)  0.0000 (1)",
        "b     1.0000 (1)  0.9500 (1)  35.0000 (1)",
        "c|d   1.5000 (2)  0.9500 (1)",
    ]
    lines = made.to_markdown().splitlines()
    assert lines[2] == "| a | 2.0000 | *0.9000* | *30.0000* | **0.0000** |"
    assert lines[4].startswith("| c\\|d | *1.5000* | **0.9500** |  |")
    html = made._repr_html_()
    assert "<td><b>1.0000</b></td>" in html
    assert "<td><u>1.5000</u></td>" in html
    assert "<td>2.0000</td>" in html


def test_a_single_report_has_no_best_and_unknown_scores_no_rank() -> None:
    assert "(1)" not in str(Report.compare([report(ergas=1.0)]))
    assert Report.compare([report(new=1.0), report(new=2.0)]).ranks("new") == [None, None]
    with pytest.raises(OptionError, match="no report"):
        Report.compare([])


def test_comparison_joins_the_names_of_cards_and_warns_of_conventions() -> None:
    first = Report({"HQNR": 0.9}, "full", conventions={"ratio": 4.0, "mtf_gains": [0.3, 0.3]})
    second = Report({"hqnr": 0.8}, "reduced", conventions={"ratio": 2.0, "mtf_gains": [0.2, 0.3]})
    made = Report.compare([first, second])
    assert made.names == ["hqnr"]
    assert made.ranks("hqnr") == [1, 2]
    assert made.notes == [
        "protocols differ: full, reduced",
        "ratio differs: 2, 4",
        "mtf_gains differs: 0.2 0.3, 0.3 (all 2)",
    ]
    assert "note: ratio differs" in str(made)
    assert list(Report.concat([first, second]).columns) == ["protocol", "HQNR", "hqnr"]


def test_frames_without_pandas_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for call in (
        lambda: report(sam=1.0).to_frame(),
        lambda: Report.concat([report(sam=1.0)]),
        lambda: Report.compare([report(sam=1.0)]).to_frame(),
    ):
        with pytest.raises(OptionError, match="pip install pandas") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_json_of_the_command_line_is_a_report() -> None:
    assert Report.from_json(json.dumps({"scores": {"sam": 1}, "protocol": "full"})).scores == {
        "sam": 1.0
    }
