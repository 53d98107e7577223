"""Run a plan: one child process at a time, every finished job kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.benchmarking.execute import failed_row
from pansharp.benchmarking.job import digests_of
from pansharp.errors import PansharpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pansharp.benchmarking.job import Job
    from pansharp.benchmarking.journal import Journal

__all__ = ["run_jobs"]

#: Last words of a child that are shown when it dies.
_TAIL = 300


def run_jobs(
    jobs: Sequence[Job],
    journal: Journal,
    *,
    progress: Callable[[float, float, str], None] | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Do all jobs that the journal does not have.

    Parameters
    ----------
    jobs : sequence of Job
        Scene by scene.
    journal : Journal
        Finished jobs; new ones are added.
    progress : callable, optional
        Called with (done, total, label).

    Yields
    ------
    list of dict
        Rows of one job, in the order of the jobs.
    """
    known: dict[str, list[dict[str, object]] | str] = {}
    for done, job in enumerate(jobs):
        if progress:
            progress(done, len(jobs), "benchmark")
        # All items of a set are in one file, which is digested once.
        home = job.scene.name if job.scene.item is None else f"set:{job.scene.path}"
        if home not in known:
            known[home] = _digests(job)
        found = known[home]
        if isinstance(found, str):
            yield [failed_row(job, protocol, found) for protocol in job.protocols]
            continue
        key = job.key(found)
        ready = journal.get(key)
        if ready is None:
            ready = _run(job)
            journal.add(key, ready)
        # The same files may have had another name before.
        yield [_told(row, job) for row in ready]
    if progress:
        progress(len(jobs), len(jobs), "benchmark")


def _told(row: dict[str, Any], job: Job) -> dict[str, Any]:
    if row["status"] == "unfit":
        row = {**row, "status": "failed" if job.named else "skipped"}
    return {**row, "scene": job.scene.name}


def _digests(job: Job) -> list[dict[str, object]] | str:
    """Digests of a scene's files, or why it cannot be opened."""
    scene = job.scene
    try:
        if scene.item is not None:
            assert scene.path is not None
            return digests_of({"set": (scene.path,)})
        return digests_of(dict(scene.open().scene.files))
    except PansharpError as problem:
        return str(problem)


def _run(job: Job) -> list[dict[str, Any]]:
    """Do one job in a process of its own, so that its peak of memory is its own."""
    import pansharp

    home = str(Path(pansharp.__file__).parents[1])
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(
        path for path in (home, environment.get("PYTHONPATH")) if path
    )
    # Waiting threads of torch sleep instead of spin, as in every command.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryDirectory(prefix="pansharp-") as folder:
        target = Path(folder) / "rows.json"
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "pansharp.benchmarking.child", str(target)],
            input=job.to_json(),
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        if ended.returncode == 0 and target.is_file():
            rows: list[dict[str, Any]] = json.loads(target.read_text(encoding="utf-8"))
            return rows
    reason = _last_words(ended)
    return [failed_row(job, protocol, reason) for protocol in job.protocols]


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{hint}"
    lines = ended.stderr.strip().splitlines()
    return (lines[-1] if lines else f"the process left with code {ended.returncode}")[-_TAIL:]
