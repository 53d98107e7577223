"""The database: steps that hold or do not happen, and what a full disk costs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from batch.archives import HOME
from pansharp.batch.records import DONE, PENDING, RUNNING
from pansharp.batch.state import State
from pansharp.errors import BatchError, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def row(path: str, name: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "path": path, "model": "exp", "name": name, "position": 0, "reader": "pair",
        "options": "o", "files": {path: [1, 2, None]}, "status": PENDING, **more,
    }  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    found = State(tmp_path / "batch.sqlite")
    yield found
    found.close()


def test_steps_of_a_scene(state: State, tmp_path: Path) -> None:
    state.plan([row("/a"), row("/b", "b")])
    run = state.begin("1", "host", {})
    attempt = state.started(run, "/a", "exp", "fuse")
    assert state.scenes("exp")["/a"]["status"] == RUNNING
    state.finished(
        attempt, "/a", "exp", outcome="done", told={"host": "h", "versions": {"numpy": "2"}},
        scene={"status": DONE, "product": {"name": "a.tif"}},
    )  # fmt: skip
    state.started(run, "/b", "exp", "fuse")
    # Another process reads what was noted; a new run finds what was begun pending again.
    later = State(tmp_path / "batch.sqlite")
    assert later.scenes("exp")["/a"]["product"] == {"name": "a.tif"}
    later.begin("1", "host", {})
    assert later.scenes("exp")["/b"]["status"] == PENDING
    assert [a["outcome"] for a in later.attempts("/b", "exp")] == ["lost"]
    assert later.scenes("other") == {}
    later.close()


def test_a_plan_is_noted_whole_or_not_at_all(state: State) -> None:
    state.plan([row("/a")])
    with pytest.raises(BatchError, match="cannot be used"):
        state.plan([row("/b", "b"), row("/c", "A")])  # a name that is taken, in another case
    assert list(state.scenes("exp")) == ["/a"]


def test_names_may_change_hands(state: State) -> None:
    state.plan([row("/a", "x"), row("/b", "y")])
    state.plan([row("/a", "y"), row("/b", "x")])
    assert {p: r["name"] for p, r in state.scenes("exp").items()} == {"/a": "y", "/b": "x"}


_FULL = """
import resource, sys
from pathlib import Path
from pansharp.batch.state import State
from pansharp.errors import WriteError
state = State(Path(sys.argv[1]))
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    for n in range(2000):
        state.plan([{"path": f"/{n}", "model": "exp", "name": f"n{n}", "position": n,
            "reader": "", "options": "o", "files": {"x" * 500: [1, 1, None]}, "status": "pending"}])
except WriteError as problem:
    print(n, problem)
"""


def test_full_disk_keeps_earlier_rows(tmp_path: Path) -> None:
    """The limit on the size of files stands for the disk: writing beyond it fails likewise."""
    file = tmp_path / "batch.sqlite"
    first = State(file)
    first.plan([row(f"/old{n}", f"old{n}") for n in range(50)])
    first.close()
    done = subprocess.run(
        [sys.executable, "-P", "-c", _FULL, file],
        env={**os.environ, "PYTHONPATH": HOME},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    count, _, line = done.stdout.partition(" ")
    assert line.startswith("disk full: ")
    assert len(line.splitlines()) == 1
    later = State(file)
    assert len(later.scenes("exp")) == 50 + int(count)
    later.plan([row("/more", "more")])
    later.close()
    with sqlite3.connect(file) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_ballast_is_given_up_for_what_happened(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(sqlite3.OperationalError):
        sqlite_errorname = "SQLITE_FULL"

    ballast = tmp_path / "ballast"
    assert ballast.stat().st_size == 1 << 20
    step = State._step

    def full(self: State) -> Any:
        if ballast.exists():
            raise Full("database or disk is full")
        return step(self)

    monkeypatch.setattr(State, "_step", full)
    state.plan([row("/a")])
    assert not ballast.exists()
    assert list(state.scenes("exp")) == ["/a"]
    monkeypatch.setattr(State, "_step", lambda self: (_ for _ in ()).throw(Full("full")))
    with pytest.raises(WriteError, match="disk full"):
        state.plan([row("/b", "b")])


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_foreign_files_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "batch.sqlite"
    if content is None:
        with sqlite3.connect(file) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        file.write_bytes(content)
    with pytest.raises(BatchError, match=r"another version|cannot be used"):
        State(file)
