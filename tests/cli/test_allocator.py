from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from pansharp.cli import _allocator

GLIBC = platform.libc_ver()[0] == "glibc"


@pytest.mark.skipif(not GLIBC, reason="only glibc has these settings")
def test_glibc_accepts_the_settings() -> None:
    # In a child: the settings stay for the life of a process.
    script = "from pansharp.cli._allocator import tune_malloc; print(*tune_malloc())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert {"M_TRIM_THRESHOLD", "M_TOP_PAD", "M_ARENA_MAX"} <= set(done.stdout.split())


def test_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_allocator.SWITCH, "1")
    assert _allocator.tune_malloc() == ()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_allocator.SWITCH, raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _allocator.tune_malloc() == ()


def test_every_fusion_is_tuned(run: object, calls: object, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: list[int] = []
    monkeypatch.setattr(_allocator, "tune_process", lambda: tuned.append(1))
    run("fuse", "x", "-m", "brovey")
    assert tuned == [1]


def test_waiting_threads_sleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    _allocator.tune_threads()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    _allocator.tune_threads()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
