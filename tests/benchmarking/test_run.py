"""Runs: resuming, isolation of what fails, and honest figures of time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pansharp as ps
from pansharp.benchmarking import run as run_module
from pansharp.errors import OptionError, WriteError

if TYPE_CHECKING:
    from pathlib import Path

    from pansharp.benchmarking.job import Job

FILES = ["results.csv", "results.html", "results.jsonl", "results.md", "results.tex"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Do jobs in this process, and keep a list of those done."""
    from pansharp.benchmarking.execute import run_job

    done: list[str] = []

    def run(job: Job) -> list[dict[str, Any]]:
        done.append(f"{job.scene.name}:{job.method}")
        return run_job(job)

    monkeypatch.setattr(run_module, "_run", run)
    return done


def test_a_rerun_computes_only_what_is_missing(
    make_pair: Any, tmp_path: Path, counted: list[str]
) -> None:
    pair = make_pair(shape=(224, 224))
    out = tmp_path / "out"
    form = {"pan": pair.pan, "ms": pair.ms, "output": out}
    first = ps.benchmark(models=["exp", "gsa"], **form)
    assert counted == ["pair:exp", "pair:gsa"]
    assert sorted(path.name for path in out.iterdir()) == FILES
    again = ps.benchmark(models=["exp", "gsa", "brovey"], **form)
    assert counted[2:] == ["pair:brovey"]
    assert [row for row in again.rows if row["method"] != "brovey"] == list(first.rows)
    # Other rules, another version of the file: computed anew.
    ps.benchmark(models="exp", cut=9, **form)
    assert counted[3:] == ["pair:exp"]
    pair.ms.write_bytes(make_pair(shape=(224, 224), seed=5, folder="other").ms.read_bytes())
    changed = ps.benchmark(models="exp", **form)
    assert counted[4:] == ["pair:exp"]
    assert changed.rows[0]["ergas"] != first.rows[0]["ergas"]
    ps.benchmark(models="exp", overwrite=True, **form)
    assert len(counted) == 6


def test_a_killed_run_goes_on(make_pair: Any, tmp_path: Path, counted: list[str]) -> None:
    pair = make_pair(shape=(224, 224))
    out = tmp_path / "out"
    form = {"pan": pair.pan, "ms": pair.ms, "output": out}
    do = run_module._run

    def until_the_second(job: Job) -> list[dict[str, Any]]:
        if job.method == "gsa":
            raise KeyboardInterrupt
        return do(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "_run", until_the_second)
        with pytest.raises(KeyboardInterrupt):
            ps.benchmark(models=["exp", "gsa"], **form)
    assert counted == ["pair:exp"]
    # What was finished when it stopped is in the tables already.
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert len((out / "results.csv").read_text().splitlines()) == 3
    found = ps.benchmark(models=["exp", "gsa"], **form)
    assert counted == ["pair:exp", "pair:gsa"]
    assert [row["status"] for row in found.rows] == ["ok"] * 4


def test_one_failure_does_not_end_the_others(
    make_pair: Any, tmp_path: Path, counted: list[str]
) -> None:
    good, bad = make_pair(shape=(224, 224), folder="all/a"), make_pair(folder="all/b")
    bad.ms.write_bytes(bad.ms.read_bytes()[:2000])
    found = ps.benchmark(
        [good.pan, bad.pan], ["exp", "gdal-brovey"], ms=None, output=tmp_path / "o"
    )
    assert [row["status"] for row in found.rows] == ["ok", "ok", "failed", "ok"] + ["failed"] * 4
    # The broken scene was opened once, and no method was tried on it.
    assert counted == ["a:exp", "a:gdal-brovey"]
    assert "gdal-brovey on a (reduced): GDAL computes" in found.failures[0]
    assert all("b" in line for line in found.failures[1:])
    text = (tmp_path / "o" / "results.md").read_text()
    assert "## Failed" in text


def test_failed_jobs_are_tried_again(make_pair: Any, tmp_path: Path, counted: list[str]) -> None:
    pair = make_pair()
    form = {"pan": pair.pan, "ms": pair.ms, "output": tmp_path / "o", "models": "exp"}
    assert ps.benchmark(**form).failures
    assert ps.benchmark(**form).failures
    assert len(counted) == 2
    assert not ps.benchmark(cut=2, **form).failures


def test_methods_that_do_not_fit_are_skipped_unless_named(
    make_pair: Any, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pansharp.benchmarking import execute, plan
    from pansharp.errors import BandMismatchError

    def only_exp(scene: object, name: str) -> None:
        if name != "exp":
            raise BandMismatchError(f"model '{name}' needs 3 bands")

    monkeypatch.setattr(execute, "check_model", only_exp)
    monkeypatch.setattr(plan, "classical_methods", lambda: ["exp", "gsa"])
    pair = make_pair(shape=(224, 224))
    form = {"pan": pair.pan, "ms": pair.ms, "output": tmp_path / "o", "protocol": "full"}
    found = ps.benchmark(**form)
    assert [row["status"] for row in found.rows] == ["ok", "skipped"]
    assert found.failures == []
    assert found.skipped == ["gsa on pair: model 'gsa' needs 3 bands"]
    assert "gsa on pair: model 'gsa' needs 3 bands" in (tmp_path / "o" / "results.md").read_text()
    named = ps.benchmark(models=["exp", "gsa"], **form)
    assert [row["status"] for row in named.rows] == ["ok", "failed"]
    assert len(counted) == 2


def test_a_child_that_dies_is_a_row(make_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = make_pair()
    real = subprocess.run

    def kill(command: list[str], **given: Any) -> subprocess.CompletedProcess[str]:
        script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        return real([sys.executable, "-c", script], **given)

    monkeypatch.setattr(subprocess, "run", kill)
    found = ps.benchmark(models="exp", pan=pair.pan, ms=pair.ms, protocol="full")
    assert found.rows[0]["reason"] == "the process was ended by SIGKILL (out of memory?)"

    def crash(command: list[str], **given: Any) -> subprocess.CompletedProcess[str]:
        return real([sys.executable, "-c", "raise RuntimeError('no\\nluck')"], **given)

    monkeypatch.setattr(subprocess, "run", crash)
    found = ps.benchmark(models="exp", pan=pair.pan, ms=pair.ms, protocol="full")
    assert found.rows[0]["reason"] == "luck"


def test_memory_is_that_of_the_child(make_pair: Any) -> None:
    """A large array in this process must not show in the figures of the methods."""
    pair = make_pair()
    ballast = np.ones(120 * 2**20, dtype=np.float32)
    found = ps.benchmark(models="exp", pan=pair.pan, ms=pair.ms, protocol="full")
    assert ballast[-1] == 1
    (row,) = found.rows
    assert row["status"] == "ok", row
    assert 30 < row["peak_mib"] < 400
    assert 0 < row["seconds"] < 30


def test_the_meter_sees_its_own_block(run_python: Any) -> None:
    """In a process of its own: memory that was freed before, but kept, would hide the block."""
    run_python(
        "import numpy as np\n"
        "from pansharp.benchmarking.meter import Meter\n"
        "with Meter() as small:\n    pass\n"
        "with Meter() as large:\n    np.ones(60 * 2**20, dtype=np.float32)\n"
        "assert large.peak_mib - small.peak_mib > 200\n"
        "assert large.seconds > small.seconds\n"
    )


def test_foreign_results_are_kept(make_pair: Any, tmp_path: Path, counted: list[str]) -> None:
    pair = make_pair()
    form = {"pan": pair.pan, "ms": pair.ms, "models": "exp", "protocol": "full"}
    (tmp_path / "results.csv").write_text("mine")
    with pytest.raises(WriteError, match="exists already and is not of a run that could go on"):
        ps.benchmark(output=tmp_path, **form)
    assert (tmp_path / "results.csv").read_text() == "mine"
    assert counted == []
    ps.benchmark(output=tmp_path, overwrite=True, **form)
    assert (tmp_path / "results.csv").read_text() != "mine"
    with pytest.raises(WriteError, match="cannot make the folder"):
        ps.benchmark(output=tmp_path / "results.csv", **form)


def test_options_are_checked(make_pair: Any) -> None:
    pair = make_pair()
    with pytest.raises(OptionError, match="unknown option 'sensr'; did you mean 'sensor'"):
        ps.benchmark(pair.pan, "exp", sensr="wv3")
    with pytest.raises(OptionError, match="unknown option 'card'"):
        ps.benchmark(pair.pan, "exp", card=True)


def test_results_in_python(make_pair: Any, counted: list[str]) -> None:
    pytest.importorskip("pandas")
    pair = make_pair(shape=(224, 224))
    found = ps.benchmark(pair.pan, ["exp", "gsa"], sensor="ikonos")
    frame = found.to_frame()
    assert set(frame["protocol"]) == {"reduced", "full"}
    best = frame[frame["protocol"] == "reduced"].set_index("method")["ergas"]
    assert best["gsa"] < best["exp"]
    assert json.loads(found.to_json())["conventions"]["name"] == "toolbox2021"
    assert found.output is None
    assert "Reduced resolution" in str(found)
