"""Means, standard deviations and marks, against plain arithmetic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.benchmarking.summary import INDICES, ranks, summarize

Make = Callable[..., dict[str, object]]


def test_mean_sd_and_n(row: Make) -> None:
    values = [1.0, 2.0, 4.5]
    (table,) = summarize([row(f"s{i}", "a", ergas=v) for i, v in enumerate(values)])
    cell = table.lines[0].cells["ergas"]
    assert cell.mean == pytest.approx(np.mean(values))
    assert cell.sd == pytest.approx(np.std(values, ddof=1))
    assert cell.n == table.lines[0].n == 3
    assert cell.text == "2.5000"


def test_one_scene_has_no_deviation(row: Make) -> None:
    (table,) = summarize([row("s", "a", sam=1.0)])
    assert table.lines[0].cells["sam"].sd is None
    assert table.lines[0].cells["sam"].spread == ""


def test_time_is_a_mean_and_memory_a_maximum(row: Make) -> None:
    rows = [row("s", "a", sam=1.0), row("t", "a", sam=1.0)]
    rows[1] |= {"seconds": 3.0, "peak_mib": 50.0}
    line = summarize(rows)[0].lines[0]
    assert (line.seconds, line.peak_mib) == (2.0, 100.0)


@pytest.mark.parametrize(
    ("index", "values", "expected"),
    [
        ("ergas", {"a": 3.0, "b": 1.0, "c": 2.0}, {"b": 1, "c": 2}),
        ("q2n", {"a": 0.3, "b": 0.1, "c": 0.2}, {"a": 1, "c": 2}),
        ("psnr", {"a": 30.0, "b": math.inf, "c": 40.0}, {"b": 1, "c": 2}),
        ("rmse_to_ms", {"a": 3.0, "b": 1.0}, {"b": 1, "a": 2}),
        # Equal as printed: both are best, and the next value is second.
        ("hqnr", {"a": 0.90001, "b": 0.90002, "c": 0.8, "d": 0.7}, {"a": 1, "b": 1, "c": 2}),
        ("hqnr", {"a": 0.9, "b": 0.8, "c": 0.8}, {"a": 1, "b": 2, "c": 2}),
        ("sam", {"a": 1.0, "b": math.nan}, {"a": 1}),
    ],
)
def test_ranks(index: str, values: dict[str, float], expected: dict[str, int]) -> None:
    assert ranks(values, index) == expected


@given(
    st.sampled_from([name for name, *_ in INDICES]),
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6),
)
def test_the_best_is_nearest_to_perfect(index: str, numbers: list[float]) -> None:
    values = {str(i): number for i, number in enumerate(numbers)}
    found = ranks(values, index)
    small_is_good = index in ("sam", "ergas", "rmse", "d_lambda", "d_s", "d_lambda_k", "rmse_to_ms")
    top = min(numbers) if small_is_good else max(numbers)
    best = {name for name, place in found.items() if place == 1}
    assert str(numbers.index(top)) in best
    places = [found.get(name, 3) for name in values]
    order = sorted(zip(numbers, places, strict=True), reverse=not small_is_good)
    assert [place for _, place in order] == sorted(places)


def test_only_methods_with_all_scenes_are_ranked(row: Make, failed: Make) -> None:
    rows = [
        row("s", "a", ergas=2.0), row("t", "a", ergas=2.0),
        row("s", "b", ergas=1.0), failed("t", "b"),
        row("s", "c", ergas=3.0), row("t", "c", ergas=3.0),
    ]  # fmt: skip
    (table,) = summarize(rows)
    assert {x.method: x.cells["ergas"].rank for x in table.lines} == {"a": 1, "b": 0, "c": 2}
    assert [(x.n, x.of) for x in table.lines] == [(2, 2), (1, 2), (2, 2)]


def test_a_scene_that_nobody_did_does_not_count(row: Make, failed: Make) -> None:
    rows = [row("s", "a", sam=2.0), row("s", "b", sam=1.0), failed("t", "a"), failed("t", "b")]
    (table,) = summarize(rows)
    assert [x.cells["sam"].rank for x in table.lines] == [2, 1]
    assert all(x.of == 1 for x in table.lines)


def test_protocols_are_kept_apart_and_in_order(row: Make, failed: Make) -> None:
    rows = [
        row("s", "a", "full", hqnr=0.9),
        row("s", "a", "reduced", ergas=2.0),
        row("set_0", "a", "reference", ergas=9.0),
        failed("s", "b", "full"),
    ]
    tables = summarize(rows)
    assert [t.protocol for t in tables] == ["reference", "reduced", "full"]
    assert [t.lines[0].cells.keys() for t in tables] == [{"ergas"}, {"ergas"}, {"hqnr"}]


def test_the_rules_name_what_differs(row: Make) -> None:
    rows = [row("s", "a", sam=1.0), row("t", "a", sam=1.0)]
    assert len(summarize(rows)[0].rules) == 1
    rows[1] |= {"gains_source": "assumed", "blocks": 8, "block_size": 16}
    first, second = summarize(rows)[0].rules
    assert "MS gains 0.3 0.35 (table)" in first
    assert "border cut 21" in first
    assert first.endswith("[s]")
    assert "(assumed)" in second
    assert "8 blocks of 16 x 16 MS pixels that no adaptation saw" in second


def test_infinite_scores_do_not_break_the_deviation(row: Make) -> None:
    rows = [row("s", "a", psnr=math.inf, data_range=1.0), row("t", "a", psnr=40.0, data_range=1.0)]
    cell = summarize(rows)[0].lines[0].cells["psnr"]
    assert math.isinf(cell.mean)
    assert math.isnan(cell.sd)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8))
def test_deviation_is_that_of_a_sample(row: Make, numbers: list[float]) -> None:
    (table,) = summarize([row(f"s{i}", "a", ergas=v) for i, v in enumerate(numbers)])
    assert table.lines[0].cells["ergas"].sd == pytest.approx(statistics.stdev(numbers), abs=1e-9)
