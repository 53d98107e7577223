"""An engine without processes: a job is done where it is handed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pansharp.batch.cluster import Engine
from pansharp.batch.job import run_job
from pansharp.batch.records import Job

Work = Callable[[Job], dict[str, Any]]


class Future:
    def __init__(self, key: str, work: Work, job: Job) -> None:
        self.key = key
        self.status = "finished"
        self._problem: BaseException | None = None
        self._result: dict[str, Any] = {}
        try:
            self._result = work(job)
        except BaseException as problem:  # noqa: BLE001 - as the engine does
            self.status, self._problem = "error", problem

    def done(self) -> bool:
        return True

    def result(self) -> dict[str, Any]:
        return self._result

    def exception(self) -> BaseException | None:
        return self._problem

    def add_done_callback(self, call: Callable[[Future], None]) -> None:
        call(self)

    def release(self) -> None:
        pass

    cancel = release


class Client:
    """Takes jobs, remembers them, and lets tests put their own work in place of the real one."""

    status = "running"

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.starts = 0
        self.work: Work = run_job

    def nthreads(self) -> dict[str, int]:
        return {"tcp://127.0.0.1:1": 1}

    def submit(self, function: Work, job: Job, *, key: str, **_: object) -> Future:
        assert function is run_job
        self.jobs.append(job)
        return Future(key, self.work, job)

    @contextmanager
    def open(self, *_: object, **__: object) -> Iterator[Engine]:
        """Stands in for `open_engine`."""
        self.starts += 1
        yield Engine(self, None, None, embedded=True)
