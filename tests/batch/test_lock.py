"""The lock of a folder: it dies with its process, and looks at signs of life of other hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from batch.archives import HOME
from pansharp.batch.lock import SILENCE, FolderLock
from pansharp.errors import BatchError, WriteError

if TYPE_CHECKING:
    from pathlib import Path

_HOLD = """
import sys, time
from pathlib import Path
from pansharp.batch.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_held_by_the_living_only(tmp_path: Path) -> None:
    home = tmp_path / "out" / ".pansharp"
    home.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", _HOLD, home / "lock"],
        env={**os.environ, "PYTHONPATH": HOME},
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(BatchError, match=f"'{tmp_path}/out' .process {holder.pid} on "),
            FolderLock(home / "lock"),
        ):
            pass
        holder.kill()
        holder.wait()
    with FolderLock(home / "lock") as lock:
        lock.beat()
    with FolderLock(home / "lock"):
        pass


def test_signs_of_life_of_another_host(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    with (
        pytest.raises(BatchError, match=r"process 1 on elsewhere.*counts as dead"),
        FolderLock(file),
    ):
        pass
    old = time.time() - SILENCE - 1
    os.utime(file, (old, old))
    with FolderLock(file):
        assert json.loads(file.read_text())["pid"] == os.getpid()
    assert file.read_text() == ""


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(WriteError, match="cannot write"), FolderLock(tmp_path / "lock"):
        pass
    assert (tmp_path / "victim").read_text() == "mine"
