"""One process for each GPU: what there is, workers that own one, and what a scene asks for.

A worker that owns a GPU offers the Dask resource ``GPU`` once and sees no other device; a network
asks for it. The scheduler does the rest: never two networks on one GPU, classical scenes beside
them on any worker. Workers started by dask-cuda, by Slurm or by hand join in with
``--resources "GPU=1"`` (docs/batch.md).
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pansharp.options import FuseOptions

__all__ = [
    "GPU",
    "cluster_gpus",
    "device_for",
    "gpu_cluster",
    "resources_for",
    "visible_gpus",
    "worker_specs",
]

#: Name of the Dask resource.
GPU = "GPU"
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(
    environment: Mapping[str, str] | None = None, count: Callable[[], int] | None = None
) -> tuple[str, ...]:
    """GPUs that this process may give to workers.

    Parameters
    ----------
    environment : mapping, optional
        Variables; default: those of the process.
    count : callable, optional
        Tells how many devices there are; default: asks PyTorch, which is imported for it.

    Returns
    -------
    tuple of str
        Entries for ``CUDA_VISIBLE_DEVICES``: numbers or names (``GPU-…``, ``MIG-…``). As CUDA
        does, the list of the variable ends before the first entry that is no device.
    """
    told = (os.environ if environment is None else environment).get(_VISIBLE)
    if told is not None:
        found: list[str] = []
        for entry in (part.strip() for part in told.split(",")):
            if not entry or entry.startswith("-") or entry in found:
                break
            found.append(entry)
        return tuple(found)
    if count is None:
        from pansharp.adaptation.adapt import gpu_count

        count = gpu_count
    return tuple(str(index) for index in range(count()))


def worker_specs(
    gpus: Sequence[str], *, threads: int = 1, memory: int | None = None, processors: int = 0
) -> dict[str, dict[str, Any]]:
    """Specifications of workers for :class:`distributed.SpecCluster`.

    Parameters
    ----------
    gpus : sequence of str
        From :func:`visible_gpus`; each gets a worker process.
    threads : int
        Tasks a worker may run at a time: with 2, a scene for processors runs beside a network.
    memory : int, optional
        Limit of each worker, bytes.
    processors : int
        Workers without GPU besides.

    Returns
    -------
    dict
        Name to class and options.
    """
    from distributed import Nanny

    # What workers say of connections goes nowhere, as with the embedded cluster.
    shared: dict[str, Any] = {"nthreads": threads, "silence_logs": logging.CRITICAL}
    if memory is not None:
        shared["memory_limit"] = memory
    specs: dict[str, dict[str, Any]] = {}
    for index, gpu in enumerate(gpus):
        own = {"env": {_VISIBLE: gpu}, "resources": {GPU: 1}}
        specs[f"gpu-{index}"] = {"cls": Nanny, "options": {**shared, **own}}
    for index in range(processors):
        # An empty list hides all devices: a network must not slip onto one that is in use.
        specs[f"cpu-{index}"] = {"cls": Nanny, "options": {**shared, "env": {_VISIBLE: ""}}}
    return specs


@contextmanager
def gpu_cluster(
    gpus: Sequence[str],
    *,
    threads: int = 1,
    memory: int | None = None,
    processors: int = 0,
    dashboard: str | None = None,
    folder: str | None = None,
) -> Iterator[Any]:
    """A cluster on this machine with a worker for each GPU.

    Parameters
    ----------
    gpus, threads, memory, processors
        As in :func:`worker_specs`.
    dashboard : str, optional
        Address of the dashboard; none without.
    folder : str, optional
        Where workers keep their own files.

    Yields
    ------
    distributed.SpecCluster

    Raises
    ------
    OptionError
        There is neither a GPU nor a worker without one.
    """
    from distributed import Scheduler, SpecCluster

    specs = worker_specs(gpus, threads=threads, memory=memory, processors=processors)
    if not specs:
        raise OptionError("there is no GPU for a worker; use --device cpu")
    for spec in specs.values():
        spec["options"] |= {"local_directory": folder, "host": "127.0.0.1"}
    scheduler = {
        "cls": Scheduler,
        "options": {
            "dashboard": dashboard is not None,
            # A free port: the usual one may be that of another cluster.
            "dashboard_address": dashboard or "127.0.0.1:0",
            "host": "127.0.0.1",
        },
    }
    cluster: Any = SpecCluster(workers=specs, scheduler=scheduler, silence_logs=logging.CRITICAL)  # type: ignore[no-untyped-call]
    with cluster:
        yield cluster


def cluster_gpus(client: Any) -> int:
    """GPUs that the workers of a cluster offer.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return int(sum(worker.get("resources", {}).get(GPU, 0) for worker in workers))


def resources_for(options: FuseOptions, gpus: int) -> dict[str, float]:
    """What a worker must have free for a scene.

    Parameters
    ----------
    options : FuseOptions
        Model and device.
    gpus : int
        GPUs of the cluster.

    Returns
    -------
    dict
        ``{"GPU": 1}`` for networks that shall run on a GPU, else empty.

    Raises
    ------
    OptionError
        A GPU is asked for and no worker offers one, or one is named by its number: which one a
        worker has is decided where it is started.
    """
    from pansharp.models import is_network

    device = options.device
    if device.startswith("cuda:"):
        raise OptionError(
            f"--device is '{device}', but each worker of a batch has one GPU of its own; use cuda "
            "or auto"
        )
    network = options.model == "auto" or is_network(options.model)
    if not network or device == "cpu":
        return {}
    if gpus:
        return {GPU: 1}
    if device == "cuda":
        raise OptionError(
            "--device cuda: no worker offers a GPU; start one for each GPU with "
            "CUDA_VISIBLE_DEVICES=0 dask worker ADDRESS --nthreads 1 --resources GPU=1"
        )
    return {}


def device_for(resources: Mapping[str, float]) -> str:
    """Device to tell the job, so that workers agree whatever each of them sees.

    Parameters
    ----------
    resources : mapping
        From :func:`resources_for`.

    Returns
    -------
    str
        ``cuda`` for jobs that hold a GPU, ``cpu`` for all others: a job that does not hold one must
        not use it.
    """
    return "cuda" if resources.get(GPU) else "cpu"
