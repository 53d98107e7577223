"""What was finished stays finished, also when a run is killed while it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pansharp.benchmarking.journal import Journal
from pansharp.errors import WriteError

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[..., dict[str, object]]


def test_rows_come_back(tmp_path: Path, row: Make, failed: Make) -> None:
    path = tmp_path / "results.jsonl"
    first = Journal(path)
    first.add("k1", [row("s", "a", psnr=float("inf"))])
    first.add("k2", [row("s", "b"), failed("s", "b", "full")])
    again = Journal(path)
    assert again.get("k1") == [row("s", "a", psnr=float("inf"))]
    # What failed is tried again.
    assert again.get("k2") is None
    assert again.get("k3") is None


@given(cut=st.integers(0, 10_000))
def test_any_cut_loses_whole_entries_only(
    tmp_path_factory: pytest.TempPathFactory, row: Make, cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "results.jsonl"
    journal = Journal(path)
    for key in "abc":
        journal.add(key, [row("sé", key, sam=1.0)])
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    try:
        again = Journal(path)
    except WriteError:
        pytest.fail("a cut journal must be readable")
    assert [again.get(key) is not None for key in "abc"] == [i < kept for i in range(3)]
    again.add("d", [row("s", "d")])
    third = Journal(path)
    assert third.get("d") is not None
    assert sum(third.get(key) is not None for key in "abcd") == kept + 1


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"other": 1}\n')
    with pytest.raises(WriteError, match="line 1 of"):
        Journal(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(WriteError, match="--overwrite"):
        Journal(path)


def test_without_a_file(row: Make) -> None:
    journal = Journal(None)
    journal.add("k", [row("s", "a")])
    assert journal.get("k") is not None
