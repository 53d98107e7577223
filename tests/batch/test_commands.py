"""The command a user types, killed and started again, alone and with a scheduler of its own."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from batch.archives import HOME, Start, assert_clean, events_of, only, products, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills processes by /proc")
OPTIONS = ("-m", "brovey", "--no-card")


@pytest.fixture(scope="module")
def undisturbed(made_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Products of a run that nobody disturbed."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    command = [sys.executable, "-P", "-m", "pansharp", "batch", made_archive, *OPTIONS]
    done = subprocess.run(
        [*command, "-o", output, "--workers", "2"],
        env={**os.environ, "PYTHONPATH": HOME, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1] == "4 of 6 scenes are done, 2 failed"
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert "damaged or incomplete" in " ".join(failed)
    assert "No panchromatic image" in " ".join(failed)
    return output


def wait_for(process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    """Read events until one of a kind comes."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == kind:
            return event
    pytest.fail(f"no event '{kind}': {process.communicate()[1]}")


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Worker processes of a batch."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_products_and_summary(undisturbed: Path) -> None:
    assert len(products(undisturbed)) == 4
    document = json.loads((undisturbed / "summary.json").read_text())
    assert document["counts"] == {"scenes": 6, "done": 4, "failed": 2, "waiting": 0}
    rows = list(csv.DictReader((undisturbed / "summary.csv").read_text().splitlines()))
    assert {row["product"] for row in rows if row["status"] == "done"} == set(products(undisturbed))
    page = (undisturbed / "summary.html").read_text()
    assert "4 of 6 scenes by brovey" in page
    assert "http" not in page
    for row in rows:
        assert (undisturbed / "logs" / f"{row['scene']}.log").stat().st_size > 0


def test_again_does_nothing_and_one_option_changed_does_all(
    undisturbed: Path, made_archive: Path, tmp_path: Path, start: Start, scratch: Path
) -> None:
    output = Path(shutil.copytree(undisturbed, tmp_path / "out"))
    before = products(output)
    begin = time.monotonic()
    events = events_of(start(made_archive, *OPTIONS, "-o", output))
    assert time.monotonic() - begin < 10
    assert only(events, "start") == []
    assert events[-1]["code"] == 3
    assert "2 failed before and were left alone" in events[-1]["stderr"]
    assert products(output) == before
    events = events_of(start(made_archive, *OPTIONS, "-o", output, "--compress", "none"))
    assert len(only(events, "scene")) == 6
    assert products(output).keys() == before.keys()
    assert all(products(output)[name] != content for name, content in before.items())
    assert_clean(output, scratch)


def test_killed_batch_goes_on(
    undisturbed: Path, made_archive: Path, tmp_path: Path, start: Start, scratch: Path
) -> None:
    arguments = (made_archive, *OPTIONS, "-o", tmp_path / "out", "--workers", "1")
    process = start(*arguments)
    wait_for(process, "scene")
    orphans = workers_of(process)
    assert orphans
    # A second one is refused while the first lives.
    second = events_of(start(*arguments))
    assert second[-1]["code"] == 1
    [line] = second[-1]["stderr"].splitlines()
    assert line.startswith(f"error: another batch works in '{tmp_path / 'out'}' (process")
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(orphans, timeout=10)
    assert alive == []
    assert events_of(start(*arguments))[-1]["code"] == 3
    assert products(tmp_path / "out") == products(undisturbed)
    assert_clean(tmp_path / "out", scratch)


def test_killed_worker_is_replaced(
    undisturbed: Path, made_archive: Path, tmp_path: Path, start: Start, scratch: Path
) -> None:
    process = start(made_archive, *OPTIONS, "-o", tmp_path / "out", "--workers", "1")
    wait_for(process, "start")
    for worker in workers_of(process):
        worker.kill()
    assert events_of(process)[-1]["code"] == 3
    assert products(tmp_path / "out") == products(undisturbed)
    assert_clean(tmp_path / "out", scratch)


def test_terminated_batch_ends_cleanly(
    undisturbed: Path, made_archive: Path, tmp_path: Path, start: Start, scratch: Path
) -> None:
    process = start(made_archive, *OPTIONS, "-o", tmp_path / "out", "--workers", "1")
    wait_for(process, "start")
    process.send_signal(signal.SIGTERM)
    last = events_of(process)[-1]
    assert last["code"] == 130
    assert last["stderr"].strip() == "interrupted"
    assert_clean(tmp_path / "out", scratch)
    document = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert document["counts"]["waiting"] + document["counts"]["done"] >= 4


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path, scratch: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and a worker in processes of their own, as other hosts would have them."""
    address = f"tcp://127.0.0.1:{_free_port()}"
    environment = {**os.environ, "PYTHONPATH": HOME, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    options = ["--host", address, "--no-dashboard", "--no-show"]
    scheduler = subprocess.Popen([*module, *options], env=environment, **quiet)  # type: ignore[call-overload]
    module = [sys.executable, "-m", "distributed.cli.dask_worker"]
    options = [address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    local = ["--local-directory", str(tmp_path / "worker"), "--death-timeout", "60"]
    worker = subprocess.Popen([*module, *options, *local], env=environment, **quiet)  # type: ignore[call-overload]
    yield address, scheduler
    for process in (worker, scheduler):
        process.kill()
        process.wait()


def test_scheduler_on_tcp_and_its_death(
    undisturbed: Path,
    tmp_path: Path,
    start: Start,
    scratch: Path,
    cluster: tuple[str, subprocess.Popen[bytes]],
) -> None:
    address, scheduler = cluster
    shared = write_archive(tmp_path / "archive")
    arguments = (shared, *OPTIONS, "-o", tmp_path / "out")
    process = start(*arguments, "--scheduler", address)
    wait_for(process, "scene")
    scheduler.kill()
    last = events_of(process)[-1]
    assert last["code"] in (1, 3)  # 3: it was done before it noticed
    if last["code"] == 1:
        [line] = last["stderr"].splitlines()[-1:]
        assert line.startswith("error: the Dask scheduler is gone; what is finished is safe")
        assert events_of(start(*arguments, "--workers", "1"))[-1]["code"] == 3
    assert products(tmp_path / "out") == products(undisturbed)
    assert_clean(tmp_path / "out", scratch)


def test_no_scheduler_is_one_line(made_archive: Path, tmp_path: Path, start: Start) -> None:
    address = f"tcp://127.0.0.1:{_free_port()}"
    process = start(made_archive, *OPTIONS, "-o", tmp_path / "out", "--scheduler", address)
    last = events_of(process)[-1]
    assert last["code"] == 1
    [line] = last["stderr"].splitlines()
    assert line.startswith(f"error: no Dask scheduler answers at '{address}'")
