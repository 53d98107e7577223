"""What is done, done again, left alone and told; in this process, by an engine without workers."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch.archives import assert_clean, gaofen2, products
from batch.engine import Client
from deliveries import maxar
from deliveries.packing import pack
from pansharp.batch import BatchResult, plan_batch, run_batch
from pansharp.batch.job import run_job
from pansharp.batch.records import Job, JobError
from pansharp.errors import BatchError, OptionError, WriteError

Run = Callable[..., BatchResult]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    fake = Client()
    monkeypatch.setattr("pansharp.batch.cluster.open_engine", fake.open)
    return fake


@pytest.fixture
def run(archive: Path, tmp_path: Path, scratch: Path, client: Client) -> Run:
    def begin(given: Any = None, **options: Any) -> BatchResult:
        client.jobs.clear()
        found = run_batch(
            given or archive,
            **{"model": "exp", "card": False, "output": tmp_path / "out", **options},
        )
        assert_clean(tmp_path / "out", scratch)
        return found

    return begin


def names(jobs: list[Job]) -> list[str]:
    return [job.name for job in jobs]


def test_only_what_changed_is_done_again(
    run: Run, archive: Path, client: Client, tmp_path: Path
) -> None:
    first = run()
    assert first.document["counts"] == {"scenes": 6, "done": 4, "failed": 2, "waiting": 0}
    assert len(client.jobs) == 6
    before = products(tmp_path / "out")

    assert run().left == tuple(sorted(name for name, _ in first.failures))
    assert client.starts == 1

    # A time alone changes nothing; content does, also that of a sidecar.
    delivery = next(archive.glob("wv1/*_PAN"))
    for file in delivery.iterdir():
        os.utime(file)
    assert run().did == 0
    with next(delivery.glob("*.IMD")).open("a") as sidecar:
        sidecar.write("\n")
    assert run().did == 1
    assert "012345678011" in client.jobs[0].name

    # A product that is gone, and one that somebody changed.
    first_product, second = sorted((tmp_path / "out").glob("*.tif"))[:2]
    first_product.unlink()
    second.write_bytes(second.read_bytes() + b"x")
    assert run().did == 2
    assert products(tmp_path / "out") == before

    run(retry_failed=True)
    assert sorted(names(client.jobs)) == sorted(name for name, _ in first.failures)
    assert run(compress="none").did == 6
    assert run(compress="none", overwrite=True).did == 6


def test_names_of_models_do_not_clash(run: Run, tmp_path: Path) -> None:
    run()
    assert run(model="brovey").document["counts"]["done"] == 4
    assert len(products(tmp_path / "out")) == 8
    assert run().did == 0


def test_silent_damage_is_found_on_request(run: Run, client: Client, tmp_path: Path) -> None:
    run()
    product = min((tmp_path / "out").glob("*.tif"))
    told = product.stat()
    data = bytearray(product.read_bytes())
    data[-1] ^= 1
    product.write_bytes(data)
    os.utime(product, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert run().did == 0
    assert run(verify=True).did == 1
    assert run(verify=True).did == 0


def test_repaired_scene_is_done(run: Run, archive: Path, client: Client) -> None:
    run()
    made = gaofen2(archive, 6)
    assert made.pan.exists()
    assert run().document["counts"]["done"] == 5


def test_dry_run_writes_nothing(archive: Path, tmp_path: Path, scratch: Path, run: Run) -> None:
    plan = plan_batch(archive, "exp", output=tmp_path / "out")
    assert len(plan.todo) == 6
    assert min(plan.sizes.values()) > 0
    assert not (tmp_path / "out").exists()
    run()
    later = plan_batch(archive, "exp", output=tmp_path / "out", card=False)
    assert (later.todo, len(later.left)) == ([], 2)


def test_products_of_others_are_not_replaced(run: Run, tmp_path: Path, archive: Path) -> None:
    plan = plan_batch(archive, "exp", output=tmp_path / "out")
    name = plan.rows[plan.todo[0]]["name"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{name}_exp.tif").write_text("mine")
    with pytest.raises(BatchError, match="exists already and is of no batch in this folder"):
        run()
    assert (tmp_path / "out" / f"{name}_exp.tif").read_text() == "mine"
    assert run(overwrite=True).document["counts"]["done"] == 4


@pytest.mark.parametrize("options", [{"fail_fast": True}, {"max_failures": 1}])
def test_stops_at_failures(run: Run, client: Client, options: dict[str, Any]) -> None:
    found = run(**options)
    assert len(found.failures) == 1
    assert not found.complete
    assert found.document["counts"]["waiting"] >= 1
    # The rest is done later; what failed is left alone.
    assert run().document["counts"] == {"scenes": 6, "done": 4, "failed": 2, "waiting": 0}


def test_unexpected_failure_is_one_line_with_its_traceback_in_the_log(
    run: Run, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no\nsuch thing")

    monkeypatch.setattr("pansharp.pipeline.fuse_to_file", broken)
    failures = dict(run().failures)
    reasons = [reason for reason in failures.values() if "RuntimeError" in reason]
    assert len(reasons) == 4
    assert all(
        reason.startswith("RuntimeError: no such thing (traceback in ") for reason in reasons
    )
    log = next(p for p in (tmp_path / "out/logs").glob("19JUN11*.log"))
    assert "Traceback (most recent call last)" in log.read_text()


def test_failures_of_the_surroundings_are_tried_again(run: Run, client: Client) -> None:
    def dying(job: Job) -> dict[str, Any]:
        raise JobError("the worker died")

    client.work = dying
    found = run()
    assert len(found.failures) == 6
    assert {reason for _, reason in found.failures} == {"the worker died"}
    client.work = run_job
    assert run().document["counts"]["done"] == 4


def test_full_disk_fails_scenes_and_is_over_when_there_is_room(
    run: Run, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pansharp.writers import base

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pansharp.writers.tiff.pwrite", full)
    found = run()
    reasons = [reason for _, reason in found.failures if reason.startswith("disk full")]
    assert len(reasons) == 4
    assert products(tmp_path / "out") == {}
    monkeypatch.setattr("pansharp.writers.tiff.pwrite", base.pwrite)
    assert run().document["counts"] == {"scenes": 6, "done": 4, "failed": 2, "waiting": 0}


def test_files_that_change_while_they_are_read(
    run: Run, client: Client, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar = next(archive.glob("wv1/*_PAN/*.IMD"))

    def meddled(job: Job) -> dict[str, Any]:
        from pansharp import pipeline

        def fuse(*given: Any, **more: Any) -> Any:
            if str(sidecar) in job.files:
                sidecar.write_text(sidecar.read_text() + "\n")
            return fuse_to_file(*given, **more)

        fuse_to_file = pipeline.fuse_to_file
        with monkeypatch.context() as patch:
            patch.setattr("pansharp.pipeline.fuse_to_file", fuse)
            return run_job(job)

    client.work = meddled
    reasons = [reason for _, reason in run().failures]
    assert "its files were changed while they were read" in reasons
    client.work = run_job
    assert run().document["counts"]["done"] == 4


def test_archive_with_several_scenes(
    run: Run, client: Client, tmp_path: Path, scratch: Path
) -> None:
    home = tmp_path / "two"
    gaofen2(home, 7)
    gaofen2(home, 8)
    packed = pack(home, tmp_path / "both.tar.gz")
    found = run(packed)
    assert found.document["counts"] == {"scenes": 2, "done": 2, "failed": 0, "waiting": 0}
    assert found.complete
    assert {name.partition("-")[0] for name in products(tmp_path / "out")} == {"both"}
    assert run(packed).did == 0


def test_one_scene_by_its_files(run: Run, archive: Path, client: Client, tmp_path: Path) -> None:
    made = gaofen2(tmp_path / "named", 9)
    options = {"output": tmp_path / "out", "model": "exp", "card": False}
    found = run_batch((), pan=made.pan, ms=made.ms, **options)
    assert found.document["counts"]["done"] == 1
    with pytest.raises(OptionError, match="name the files of one scene"):
        run_batch(archive, pan=made.pan, ms=made.ms, **options)


def test_killed_between_product_and_note(run: Run, client: Client, tmp_path: Path) -> None:
    run()
    before = products(tmp_path / "out")
    home = tmp_path / "out" / ".pansharp"
    with sqlite3.connect(home / "batch.sqlite") as database:
        database.execute("UPDATE scenes SET status = 'running' WHERE status = 'done'")
        database.execute("UPDATE attempts SET outcome = NULL")
    database.close()
    (home / "work" / "dead" / "scene").mkdir(parents=True)
    (home / "work" / "dead" / "scene" / "x.tif.part-0").write_bytes(b"half")
    assert run().did == 4
    assert products(tmp_path / "out") == before


def test_worker_of_a_dead_batch_writes_nothing(run: Run, client: Client, tmp_path: Path) -> None:
    run()
    [job] = client.jobs[-1:]
    with pytest.raises(JobError, match="the batch that gave out this job has ended"):
        run_job(job)
    assert not Path(job.work).exists()


def test_other_version_of_a_worker_is_told(run: Run, client: Client) -> None:
    from dataclasses import replace

    client.work = lambda job: run_job(replace(job, pansharp="0.0.1"))
    assert all(
        "install the same version" in reason for _, reason in run().failures if "0.0.1" in reason
    )
    assert len([r for _, r in run().failures if "0.0.1" in r]) == 6


def test_state_that_cannot_be_written_stops_the_batch(
    run: Run, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pansharp.batch.state import State

    noted: list[int] = []

    def full(self: State, *given: Any, **more: Any) -> None:
        if len(noted) == 2:
            raise WriteError("disk full")
        noted.append(1)
        finished(self, *given, **more)

    finished = State.finished
    monkeypatch.setattr(State, "finished", full)
    with pytest.raises(WriteError, match="disk full"):
        run()
    document = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert document["counts"]["done"] + document["counts"]["failed"] == 2


def test_weights_of_the_first_scene_serve_the_others_also_in_a_later_run(
    tmp_path: Path, scratch: Path, client: Client
) -> None:
    home = tmp_path / "archive"
    for number in (1, 2):
        (home / f"wv{number}").mkdir(parents=True)
        maxar.write_delivery(
            home / f"wv{number}", ms_shape=(64, 64), order=f"01234567801{number}_01_P001",
            seed=number, time=f"19JUN1{number}102030",
        )  # fmt: skip
    options = {
        "model": "rescnn-tiny", "adapt": "once-per-sensor", "adapt_steps": 30, "force": True,
    }  # fmt: skip
    found = run_batch(home, output=tmp_path / "one", **options)
    first, second = found.document["scenes"]
    assert [job.task for job in client.jobs] == ["probe", "probe", "fuse", "fuse"]
    assert (first["donor"], second["donor"]) == (None, first["scene"])
    assert (first["steps"], second["steps"]) == (30, 25)
    card = json.loads((tmp_path / "one" / f"{second['product']}.card.json").read_text())
    assert card["model"]["weights"].startswith(first["scene"])
    # Interrupted after the first scene, and gone on: the same bytes.
    run_batch(home, output=tmp_path / "two", **options)
    again = tmp_path / "two" / second["product"]
    again.unlink()
    client.jobs.clear()
    run_batch(home, output=tmp_path / "two", **options)
    assert [job.task for job in client.jobs][-1:] == ["fuse"]
    assert products(tmp_path / "two") == products(tmp_path / "one")
