"""A killed adaptation goes on where it stopped, and ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pansharp.adaptation.adapt import adapt
from pansharp.adaptation.resume import Store
from pansharp.adaptation.settings import AdaptSettings
from pansharp.adaptation.trial import Trial
from pansharp.engine import facts_of
from pansharp.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pansharp.scene import Scene


class _Killed(Exception):
    """Stands for the end of the process."""


def _digest(adapted) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in adapted.network.parameters())


@pytest.fixture(scope="module")
def trial(make_scene: Callable[..., Scene]) -> Trial:
    scene = make_scene((146, 150))
    trial = Trial(scene, facts_of(scene), 400_000)
    # Blocks that choose: the best state, the looks and the patience must survive, too.
    assert trial.selects
    return trial


@pytest.mark.parametrize("name", ["rescnn-tiny", "smgunet-small"])
def test_stopped_at_any_step_the_weights_are_the_same(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    steps = 110 if name == "rescnn-tiny" else 12
    plain = adapt(name, trial, AdaptSettings(steps=steps))
    monkeypatch.setattr(Store, "offer", lambda self, state: self.save(state()))
    settings = AdaptSettings(steps=steps, checkpoint=tmp_path / "state")
    rng = random.Random(7)
    for _ in range(4):
        left = rng.randint(1, steps // 3)

        def stop(done: float, total: float, label: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed

        with pytest.raises(_Killed):
            adapt(name, trial, settings, stop)
    resumed = adapt(name, trial, settings)
    assert _digest(resumed) == _digest(plain)
    assert resumed.facts["curve"] == plain.facts["curve"]
    assert not (tmp_path / "state").exists()


_PROGRAM = """
import sys
import numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from conftest import textured
from pansharp.adaptation import resume
from pansharp.adaptation.adapt import adapt
from pansharp.adaptation.settings import AdaptSettings
from pansharp.adaptation.trial import Trial
from pansharp.engine import facts_of
resume._EVERY = 0.0
resume.Store.__init__.__defaults__ = (0.0,)
scene = textured(96)
trial = Trial(scene, facts_of(scene), 400_000)
folder = Path(sys.argv[1]) if sys.argv[1] != "-" else None
done = adapt("rescnn-tiny", trial, AdaptSettings(steps=120, checkpoint=folder))
values = [p.detach().numpy().ravel() for p in done.network.parameters()]
np.save(sys.argv[2], np.concatenate(values))
"""


def test_killed_processes_lose_nothing(tmp_path: Path) -> None:
    here = os.path.dirname(__file__)

    def start(state: str, out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, state, str(tmp_path / out), here]
        return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})

    assert start("-", "plain.npy").wait(timeout=120) == 0
    state = tmp_path / "state"
    rng = random.Random(3)
    for _ in range(2):
        process = start(str(state), "killed.npy")
        begin = time.monotonic()
        while not any(state.glob("*.pt")) and process.poll() is None:
            assert time.monotonic() - begin < 100
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "killed.npy").exists():
            break
    assert start(str(state), "killed.npy").wait(timeout=120) == 0
    plain, killed = np.load(tmp_path / "plain.npy"), np.load(tmp_path / "killed.npy")
    np.testing.assert_array_equal(plain, killed)
    assert not state.exists()


def test_checkpoints_of_others_and_damaged_ones_are_refused(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "fold-0.pt"
    Store(path, "mine").save({"attempt": 1})
    assert Store(path, "mine").load() == {"attempt": 1}
    with pytest.raises(ModelError, match="another scene or to other options"):
        Store(path, "yours").load()
    # A kill in the middle of a writing leaves a part behind.
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.pt.part77").write_bytes(b"half")
    Store(tmp_path / "b" / "x.pt", "mine").discard()
    assert not (tmp_path / "b").exists()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match=r"fold-0\.pt' cannot be read; delete it"):
        Store(path, "mine").load()
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be read"):
        Store(path, "mine").load()

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"identity": "mine", "state": Evil()}, path)
    with pytest.raises(ModelError, match="cannot be read"):
        Store(path, "mine").load()
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot make the checkpoint folder"):
        Store(tmp_path / "file" / "x.pt", "mine")
