from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pansharp.errors import ReaderError
from pansharp.scratch import Scratch, holder, remove_stale

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path))
    return tmp_path


def test_folder_goes_with_the_object(root: Path) -> None:
    scratch = Scratch()
    folder = scratch.folder
    (folder / "a").mkdir()
    (folder / "a" / "b.tif").write_text("x")
    assert folder.parent == root
    assert folder.stat().st_mode & 0o777 == 0o700
    assert holder(str(folder / "a" / "b.tif")) is scratch
    assert holder(f"<VRT>{folder}/a/b.tif</VRT>") is scratch
    assert holder(f"{folder}-other/b.tif") is None
    del scratch
    gc.collect()
    assert list(root.iterdir()) == []


def test_other_processes_do_not_remove_it(root: Path) -> None:
    scratch = Scratch()
    guest = pickle.loads(pickle.dumps(scratch))
    assert guest.folder == scratch.folder
    del guest
    gc.collect()
    assert scratch.folder.is_dir()
    pid = os.fork()
    if pid == 0:
        scratch.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert scratch.folder.is_dir()
    scratch.close()
    scratch.close()
    assert list(root.iterdir()) == []


def _process(end: str) -> subprocess.Popen[str]:
    script = (
        "import sys, pansharp.scratch as s\n"
        "one = s.Scratch(); (one.folder / 'x').write_text('x')\n"
        f"print(one.folder, flush=True); {end}\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_process_leaves_nothing(root: Path) -> None:
    child = _process("sys.exit(1)")
    child.communicate()
    assert list(root.iterdir()) == []


def test_what_a_killed_process_leaves_the_next_one_removes(root: Path) -> None:
    child = _process("import time; time.sleep(60)")
    alive = _process("import time; time.sleep(60)")
    try:
        assert child.stdout is not None
        assert alive.stdout is not None
        child.stdout.readline()
        folder = alive.stdout.readline().strip()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert len(list(root.iterdir())) == 4
        assert remove_stale(root) == 1
        assert os.path.isdir(folder)
        assert len(list(root.iterdir())) == 2
    finally:
        for process in (child, alive):
            process.kill()
            process.communicate()
    Scratch().close()
    assert list(root.iterdir()) == []


def test_no_place_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANSHARP_SCRATCH", str(root / "none"))
    with pytest.raises(ReaderError, match="PANSHARP_SCRATCH"):
        Scratch()
