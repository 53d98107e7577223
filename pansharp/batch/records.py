"""What a batch speaks of: scenes that were found, jobs, and how they ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pansharp.errors import PansharpError

__all__ = ["DONE", "FAILED", "PENDING", "RUNNING", "Entry", "Job", "JobError", "one_line"]

PENDING, RUNNING, DONE, FAILED = "pending", "running", "done", "failed"
#: Reasons longer than this are cut: they stand in tables.
_LONGEST = 500


def one_line(text: object) -> str:
    """Text without line breaks, cut to a length that tables can show."""
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


class JobError(PansharpError):
    """A job that ended in a way that may be different the next time; the engine tries again."""


@dataclass(frozen=True)
class Entry:
    """A scene of an archive, not opened.

    Parameters
    ----------
    path : str
        What `open_scene` takes; empty where options name the files.
    name : str
        Short name as its reader gives it; the plan makes unique ones of them.
    reader : str
        Reader that found it.
    files : tuple of str
        Local files that make the scene: images, sidecars, or the archive.
    problem : str or None
        Why it cannot be opened, where that is known without opening it.
    """

    path: str
    name: str
    reader: str = ""
    files: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Job:
    """One scene to one product (or, with ``task="probe"``, to what it is), for a worker.

    Parameters
    ----------
    task : {"fuse", "probe"}
        What to do.
    name : str
        Unique name of the scene.
    path : str
        What `open_scene` takes.
    files : tuple of str
        Files whose digests are recorded.
    scene, fuse : dict
        Keywords of `open_scene`, and of `FuseOptions.checked`.
    product : str
        File name of the product.
    work : str
        Folder of the run, in which the job makes one of its own.
    log : str
        File that the job appends to.
    threads : int or None
        Threads of the fusion; None divides the cores of the host by `slots`.
    slots : int
        Jobs that may run on one host at a time.
    pansharp : str
        Version that the worker must have.
    resources : dict
        What a worker must have free: Dask resources, such as ``{"GPU": 1}``.
    """

    task: str
    name: str
    path: str
    files: tuple[str, ...]
    scene: dict[str, Any]
    fuse: dict[str, Any]
    product: str
    work: str
    log: str
    threads: int | None
    slots: int
    pansharp: str
    resources: dict[str, float] = field(default_factory=dict)
