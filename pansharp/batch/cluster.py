"""The engine: a Dask cluster of this process's own, or one that runs already."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pansharp.batch.devices import cluster_gpus, gpu_cluster, visible_gpus
from pansharp.engine import default_workers
from pansharp.errors import BatchError
from pansharp.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pansharp.batch.settings import BatchSettings

__all__ = ["Engine", "default_processes", "open_engine", "usable_memory"]

#: Memory of a worker below which fewer are started: a network at its usual tile.
_SHARE = 2 * 2**30
#: Part of the memory that the workers may share.
_USED = 0.85
#: Seconds to wait for the workers of a scheduler, and for a scheduler.
_WORKERS_WAIT, _SCHEDULER_WAIT = 300.0, 10.0
#: Seconds between looks at which workers there are.
_REFRESH = 2.0
#: Workers that may die under a scene before it counts as failed.
_DEATHS = 3
#: Times that the own workers are started before one gives up.
_STARTS = 3


@dataclass
class Engine:
    """A running cluster.

    Parameters
    ----------
    client : distributed.Client
        Its client.
    dashboard : str or None
        Address of its dashboard.
    memory : int or None
        Bytes that the smallest worker may use; None where they have no limit.
    embedded : bool
        Whether the workers are the batch's own.
    gpus : int
        GPUs that the workers offer.
    """

    client: Any
    dashboard: str | None
    memory: int | None
    embedded: bool
    gpus: int = 0
    _known: dict[str, int] = field(default_factory=dict)
    _asked: float = -1e9

    def slots(self) -> int:
        """Jobs that can run now."""
        return sum(self._threads().values()) or 1

    def crowd(self) -> int:
        """Most jobs that share a host."""
        hosts: dict[str, int] = {}
        for address, threads in self._threads().items():
            host = address.rpartition(":")[0]
            hosts[host] = hosts.get(host, 0) + threads
        return max(hosts.values(), default=1)

    def _threads(self) -> dict[str, int]:
        """Threads of each worker by address; asked for now and then, workers come and go."""
        now = time.monotonic()
        if now - self._asked > _REFRESH and self.alive():
            # A scheduler that stops answering meanwhile is noticed by `alive`; a client that has
            # given it up has no scheduler to ask at all.
            with contextlib.suppress(OSError, RuntimeError, AttributeError):
                self._known = dict(self.client.nthreads())
            self._asked = now
        return self._known

    def alive(self) -> bool:
        """Whether the scheduler answers."""
        return bool(self.client.status == "running")

    def died(self, problem: BaseException) -> str:
        """One line for a scene whose workers died."""
        limit = f", limit of memory {self.memory / 2**30:.1f} GiB" if self.memory else ""
        if type(problem).__name__ != "KilledWorker":
            return f"{type(problem).__name__}: {problem}"
        return (
            f"{_DEATHS + 1} workers died while they worked on it (killed, or out of memory"
            f"{limit}); see its log, and try fewer --workers or more --memory"
        )


def usable_memory() -> int:
    """Bytes that all workers together may use, limits of a container included."""
    from distributed.system import MEMORY_LIMIT

    return int(_USED * MEMORY_LIMIT)


def default_processes() -> int:
    """Workers that cores and memory of this machine allow."""
    return max(1, min(default_workers(), usable_memory() // _SHARE))


def _import() -> Any:
    try:
        import distributed
    except ImportError:
        raise BatchError(
            "batches need dask.distributed; install it with: pip install pansharp[batch]"
        ) from None
    return distributed


@contextmanager
def open_engine(
    settings: BatchSettings, *, jobs: int, say: Callable[[str], None]
) -> Iterator[Engine]:
    """Start or join a cluster.

    Parameters
    ----------
    settings : BatchSettings
        Workers, memory, scheduler, dashboard.
    jobs : int
        More workers than jobs are not started.
    say : callable
        Told what one waits for.

    Yields
    ------
    Engine

    Raises
    ------
    BatchError
        distributed is not installed, or the scheduler or its workers do not answer.
    """
    distributed = _import()
    # What its threads say of connections that break is told by us, once and in one line.
    # Dask gives some of its loggers levels of their own, so that the parent's does not reach them.
    names = {"distributed", "distributed.client", "tornado", *logging.root.manager.loggerDict}
    for name in names:
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if settings.scheduler:
        with _joined(distributed, settings.scheduler, say) as engine:
            yield engine
    else:
        with _embedded(distributed, settings, jobs) as engine:
            yield engine


@contextmanager
def _embedded(distributed: Any, settings: BatchSettings, jobs: int) -> Iterator[Engine]:
    import dask

    gpus = _gpus(settings)[: settings.workers or None][:jobs]
    count = len(gpus) or max(1, min(settings.workers or default_processes(), jobs))
    memory = settings.memory or usable_memory() // count
    threads = settings.threads or max(1, default_workers() // count)
    network = _is_network(settings.model)
    config = {
        "distributed.scheduler.allowed-failures": _DEATHS,
        # A scene waits at the scheduler, not behind another one that may kill its worker.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.scheduler.work-stealing": False,
        # Nothing is spilled: results are a few numbers. Above the last limit the worker dies.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.98,
        "distributed.nanny.pre-spawn-environ": _environment(threads, network=network),
        "distributed.admin.log-format": "%(message)s",
    }
    # Its folder goes when this process ends, however it ends: the next run removes it.
    scratch = Scratch()
    with contextlib.ExitStack() as stack:
        stack.callback(scratch.close)
        stack.enter_context(dask.config.set(config))
        folder = str(scratch.folder)

        def make() -> AbstractContextManager[Any]:
            if gpus:
                return gpu_cluster(gpus, memory=memory, dashboard=settings.dashboard, folder=folder)
            local: AbstractContextManager[Any] = distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                memory_limit=memory,
                dashboard_address=settings.dashboard or "127.0.0.1:0",
                worker_dashboard_address=None,
                silence_logs=logging.CRITICAL,
                local_directory=folder,
                host="127.0.0.1",
            )
            return local

        cluster = _entered(stack, make)
        client = stack.enter_context(distributed.Client(cluster))
        dashboard = cluster.dashboard_link if settings.dashboard else None
        yield Engine(client, dashboard, memory, embedded=True, gpus=len(gpus))


def _entered(stack: contextlib.ExitStack, make: Callable[[], AbstractContextManager[Any]]) -> Any:
    """A started cluster; tried again where a worker died before it had begun.

    Raises
    ------
    BatchError
        Its workers do not start.
    """
    failure: RuntimeError | None = None
    for _ in range(_STARTS):
        try:
            return stack.enter_context(make())
        except RuntimeError as problem:  # what Dask says of a worker that does not come up
            failure = problem
    raise BatchError(
        f"the workers do not start ({failure}); see whether memory is left, try fewer --workers, "
        "and 'pansharp doctor'"
    ) from failure


def _gpus(settings: BatchSettings) -> tuple[str, ...]:
    """GPUs for the own workers, a process each; none for what runs on processors."""
    device = settings.options().device
    if device == "cpu" or not _is_network(settings.model):
        return ()
    return visible_gpus()


def _is_network(model: str) -> bool:
    from pansharp.models import is_network

    return model == "auto" or is_network(model)


def _environment(threads: int, *, network: bool) -> dict[str, str]:
    """What a worker must find before it imports anything."""
    found = dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
    )
    found["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    if network and os.environ.get("PANSHARP_NO_MALLOC_TUNING", "") in ("", "0"):
        # The allocator keeps what was freed, as in `pansharp fuse`.
        found |= {
            "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
            "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
            "MALLOC_TOP_PAD_": str(64 << 20),
            "MALLOC_ARENA_MAX": "1",
        }
    return found


@contextmanager
def _joined(distributed: Any, address: str, say: Callable[[str], None]) -> Iterator[Engine]:
    try:
        client = distributed.Client(address, timeout=_SCHEDULER_WAIT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as problem:
        raise BatchError(
            f"no Dask scheduler answers at '{address}' ({type(problem).__name__}); start one with "
            "'dask scheduler', or check address and firewall"
        ) from problem
    try:
        started = time.monotonic()
        while not client.nthreads():
            waited = time.monotonic() - started
            if waited > _WORKERS_WAIT:
                raise BatchError(
                    f"the scheduler at '{address}' has no workers; start some with 'dask worker "
                    f"{address} --nthreads 1'"
                )
            if waited < 1.0:
                say(f"waiting for workers of {address}")
            time.sleep(0.5)
        limits = [
            worker["memory_limit"]
            for worker in client.scheduler_info(n_workers=-1)["workers"].values()
            if worker.get("memory_limit")
        ]
        yield Engine(
            client,
            client.dashboard_link,
            min(limits, default=None),
            embedded=False,
            gpus=cluster_gpus(client),
        )
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=5)
