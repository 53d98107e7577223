"""Runs that are killed at random moments, and runs in several processes.

One fresh process imports everything and forks a child for each run: imports take most of the time,
and torch cannot be forked from a process that has trained.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

import pansharp
from pansharp.weights import load_weights

HOME = str(Path(pansharp.__file__).parents[1])
PRELUDE = """
import json, os, random, signal, sys, time, warnings
warnings.simplefilter("ignore")
import torch, torch._dynamo, torch.distributed
import pansharp.training.run as place
from pansharp.training import train
torch.set_num_threads(1)
place.draw_curves = lambda *_: "none"

def fork(output, environment=None, **options):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.environ.update(environment or {})
        train(output=output, **options)
        code = 0
    except BaseException as problem:
        print(repr(problem), file=sys.stderr, flush=True)
    finally:
        os._exit(code)

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

given = json.loads(sys.argv[1])
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def script(body: str, folder: Path, **given: Any) -> Any:
    """Run a script after the prelude in a process of its own; its last line is JSON."""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", PRELUDE + textwrap.dedent(body), json.dumps(given)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": HOME, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


#: Kills children at random moments, and lets the last one end by itself.
KILL = """
begin = time.perf_counter()
assert ended(fork("whole", **given)) == 0
length = time.perf_counter() - begin
rng = random.Random(1)
kills = 0
def go_on():
    return fork("killed", **({"resume": True} if os.path.exists("killed/state.pt") else given))
for _ in range(4):
    pid = go_on()
    # Not before there is something to lose; not always before the end.
    time.sleep(rng.uniform(0.25, 0.8) * length)
    os.kill(pid, signal.SIGKILL)
    kills += ended(pid) == -signal.SIGKILL
assert ended(go_on()) == 0
print(json.dumps({"kills": kills, "length": length}))
"""


@pytest.mark.parametrize(
    ("model", "steps", "options"),
    [
        # Gates that draw noise; an average of the weights and a momentum that changes.
        ("bugpan-small", 16, {"form": "published", "arch": {"width": 12, "retimes": 2}}),
        ("rescnn-tiny", 120, {"form": "anchored"}),
    ],
)
def test_killed_runs_end_with_the_same_weights(
    model: str, steps: int, options: dict[str, Any], small_set: Any, tmp_path: Path
) -> None:
    path = small_set(items=6, side=32)
    told = script(
        KILL,
        tmp_path,
        model=model,
        data=[path.name],
        preset="quick",
        steps=steps,
        batch=2,
        patch=16,
        workers=0,
        save_every=0.0,
        **options,
    )
    assert told["kills"] >= 1, told
    assert not [p.name for p in (tmp_path / "killed").iterdir() if ".part" in p.name]
    whole, killed = (
        load_weights(tmp_path / folder / "last.safetensors") for folder in ("whole", "killed")
    )
    assert whole[1].keys() == killed[1].keys()
    assert all(torch.equal(whole[1][key], killed[1][key]) for key in whole[1])
    assert whole[0].scores == killed[0].scores
    best = [load_weights(tmp_path / f / "best.safetensors")[1] for f in ("whole", "killed")]
    assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])
    rows = [(tmp_path / f / "log.csv").read_text().splitlines() for f in ("whole", "killed")]
    assert len(rows[0]) == len(rows[1])
    columns = rows[0][0].split(",")
    keep = [i for i, name in enumerate(columns) if name != "seconds"]
    for one, two in zip(rows[0], rows[1], strict=True):
        assert [one.split(",")[i] for i in keep] == [two.split(",")[i] for i in keep]


#: The environment that torchrun gives.
SHARE = """
import socket
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
place_of = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
alone = fork("one", **given)
assert ended(alone) == 0
for folder, extra in (("two", {}), ("two", {"resume": True}), ("odd", {"batch": 3})):
    both = [
        fork(folder, {**place_of, "RANK": str(n), "LOCAL_RANK": str(n)}, **{**given, **extra})
        for n in range(2)
    ]
    codes = [ended(pid) for pid in both]
    print(json.dumps(codes), file=sys.stderr)
    assert codes == ([1, 1] if folder == "odd" else [0, 0]), codes
print(json.dumps("done"))
"""


def test_two_processes_share_the_steps(small_set: Any, tmp_path: Path) -> None:
    path = small_set(items=8, side=32)
    script(
        SHARE,
        tmp_path,
        model="rescnn-tiny",
        data=[path.name],
        preset="quick",
        steps=6,
        batch=4,
        patch=16,
        workers=0,
        device="cpu",
    )
    one, two = (load_weights(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    assert two[0].recipe["processes"] == 2
    for key, value in one[1].items():
        # The same mean of gradients, added up in another order.
        torch.testing.assert_close(two[1][key], value, rtol=1e-3, atol=1e-5)
    assert two[0].scores["validation"] == pytest.approx(dict(one[0].scores["validation"]), rel=1e-3)
