"""A batch from its archive to its summary: `run_batch`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pansharp.batch.content import product_facts
from pansharp.batch.driver import Driver, donor_of
from pansharp.batch.events import silent
from pansharp.batch.finding import find_entries
from pansharp.batch.lock import FolderLock
from pansharp.batch.plan import Plan, make_plan
from pansharp.batch.records import DONE, FAILED, Entry
from pansharp.batch.schedule import Schedule
from pansharp.batch.settings import BatchSettings
from pansharp.batch.state import State
from pansharp.batch.summary import summary_of, write_summary
from pansharp.errors import OptionError, WriteError
from pansharp.scratch import remove_stale, scratch_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pansharp.batch.events import Listener
    from pansharp.batch.schedule import Donor

__all__ = ["BatchResult", "plan_batch", "run_batch"]


@dataclass(frozen=True)
class BatchResult:
    """What a batch has come to.

    Parameters
    ----------
    output : Path
        Folder of the products.
    document : dict
        The summary: ``model``, ``versions``, ``counts``, ``seconds``, ``scenes``.
    did : int
        Scenes that this run worked on.
    left : tuple of str
        Scenes that failed in an earlier run and were left alone.
    """

    output: Path
    document: dict[str, Any] = field(repr=False)
    did: int = 0
    left: tuple[str, ...] = ()

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Name and reason of each failed scene."""
        return [(s["scene"], s["reason"]) for s in self.document["scenes"] if s["status"] == FAILED]

    @property
    def complete(self) -> bool:
        """Whether every scene has its product."""
        counts = self.document["counts"]
        return bool(counts["done"] == counts["scenes"])


def run_batch(
    archive: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    model: str = "auto",
    *,
    output: str | os.PathLike[str],
    listener: Listener = silent,
    **options: Any,
) -> BatchResult:
    """Fuse every scene of an archive; go on where an earlier run of the same folder stopped.

    A script that calls this needs the guard ``if __name__ == "__main__":``, since the workers are
    processes that import it.

    Parameters
    ----------
    archive : path or sequence of paths
        Folders, lists of paths (.txt), globs, STAC catalogues, archives, files.
    model : str
        Name of a method.
    output : path
        Folder of the products, of the summary, and of the state in ``.pansharp``.
    listener : callable
        Takes events, see :class:`pansharp.batch.events.Listener`.
    **options
        Fields of :class:`pansharp.batch.settings.BatchSettings`, fields of `FuseOptions`, keywords
        of :func:`pansharp.open_scene`.

    Returns
    -------
    BatchResult
        Also where scenes failed.

    Raises
    ------
    BatchError
        Another batch works in the folder, distributed is not installed, the scheduler is gone.
    OptionError, ReaderError, WriteError
        Options, archive or output folder that cannot be.
    """
    settings = BatchSettings.checked(output, model=model, **options)
    begin = time.monotonic()
    digest = settings.digest()
    home = _folder(settings.output)
    with (
        FolderLock(home / "lock") as lock,
        contextlib.closing(State(home / "batch.sqlite")) as state,
    ):
        work = _clean(home)
        try:
            plan = _plan(archive, settings, state, digest, listener)
            settings.output.joinpath("logs").mkdir(exist_ok=True)
            state.plan(plan.rows[path] for path in plan.changed)
            try:
                if plan.todo:
                    _work(settings, state, lock, plan, digest, home, work, listener)
            finally:
                seconds = time.monotonic() - begin
                document = summary_of(
                    sorted(plan.rows.values(), key=lambda row: row["position"]),
                    model=settings.model,
                    seconds=seconds,
                )
                write_summary(settings.output, document, work)
        finally:
            _remove(work)
            remove_stale(scratch_root())
    left = tuple(plan.rows[path]["name"] for path in plan.left)
    return BatchResult(settings.output, document, len(plan.todo), left)


def plan_batch(
    archive: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    model: str = "auto",
    *,
    output: str | os.PathLike[str],
    **options: Any,
) -> Plan:
    """What `run_batch` would do; nothing is written.

    Parameters
    ----------
    archive, model, output, **options
        As in :func:`run_batch`.

    Returns
    -------
    Plan
        Scenes, why each is to be done, bytes of their files.

    Raises
    ------
    PansharpError
        As :func:`run_batch`.
    """
    settings = BatchSettings.checked(output, model=model, **options)
    file = settings.output / ".pansharp" / "batch.sqlite"
    with contextlib.closing(State(file if file.is_file() else None)) as state:
        return _plan(archive, settings, state, settings.digest(), silent)


def _plan(
    archive: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    settings: BatchSettings,
    state: State,
    digest: str,
    listener: Listener,
) -> Plan:
    given = [archive] if isinstance(archive, str | os.PathLike) else list(archive)
    paths = [os.fspath(one) for one in given]
    if settings.named is not None:
        if paths:
            raise OptionError(
                "--pan, --ms, --hsi and --msi name the files of one scene; give either those or "
                "ARCHIVE"
            )
        files = [
            settings.scene[key] for key in ("pan", "ms", "hsi", "msi") if key in settings.scene
        ]
        flat = [f for one in files for f in (one if isinstance(one, list) else [one])]
        entries = [Entry(settings.named, Path(settings.named).stem, "pair", tuple(flat))]
    elif not paths:
        raise OptionError("no archive given; name a folder, a list, a glob or a STAC catalogue")
    else:
        entries = find_entries(paths, outside=settings.output)
    known = state.scenes(settings.model)
    entries = _with_members(entries, known)
    plan = make_plan(entries, known, settings, digest=digest)
    statuses = [plan.rows[path]["status"] for path in plan.rows if path not in plan.why]
    listener(
        {
            "event": "plan", "scenes": len(plan.rows), "todo": len(plan.todo),
            "done": statuses.count(DONE), "left": len(plan.left),
            "bytes": sum(plan.sizes[path] for path in plan.todo),
        }
    )  # fmt: skip
    return plan


def _with_members(entries: list[Entry], known: dict[str, dict[str, Any]]) -> list[Entry]:
    """Scenes of archives that turned out to hold several in an earlier run."""
    members: dict[str, list[Entry]] = {}
    for path, row in known.items():
        archive, inside, _ = path.partition("!/")
        if inside:
            files = tuple(row["files"])
            members.setdefault(archive, []).append(Entry(path, row["name"], row["reader"], files))
    there = {entry.path for entry in entries}
    return [
        *entries,
        *(
            member
            for entry in entries
            for member in members.get(entry.path, ())
            if member.path not in there
        ),
    ]


def _work(
    settings: BatchSettings,
    state: State,
    lock: FolderLock,
    plan: Plan,
    digest: str,
    home: Path,
    work: Path,
    listener: Listener,
) -> None:
    from pansharp import __version__
    from pansharp.batch.cluster import open_engine

    def more(entries: list[Entry]) -> list[dict[str, Any]]:
        known = state.scenes(settings.model)
        rows = make_plan(entries, known, settings, digest=digest).rows
        count = len(plan.rows)
        return [{**row, "position": count + n} for n, row in enumerate(rows.values())]

    def say(text: str) -> None:
        listener({"event": "message", "text": text})

    run = state.begin(__version__, socket.gethostname(), asdict(settings))
    driver = Driver(
        settings=settings,
        state=state,
        lock=lock,
        rows=plan.rows,
        schedule=_schedule(settings, state, plan, digest, home),
        digest=digest,
        run=run,
        home=home,
        work=work,
        logs=settings.output.absolute() / "logs",
        listener=listener,
        more=more,
    )
    with _stoppable(), open_engine(settings, jobs=len(plan.todo), say=say) as engine:
        listener(
            {
                "event": "start", "workers": engine.slots(), "dashboard": engine.dashboard,
                "scheduler": settings.scheduler,
                "worker_memory": engine.memory,
            }
        )  # fmt: skip
        driver.work_off(engine)
    state.end(run)


def _schedule(
    settings: BatchSettings, state: State, plan: Plan, digest: str, home: Path
) -> Schedule:
    if settings.adapt != "once-per-sensor":
        return Schedule(plan.todo)
    groups: dict[str, str] = {}
    tried: dict[str, int] = {}
    for path, row in plan.rows.items():
        group = (row["facts"] or {}).get("group")
        if group is None:
            continue
        if path in plan.why:
            groups[path] = group
        elif row["status"] in (DONE, FAILED):
            tried[group] = tried.get(group, 0) + 1
    return Schedule(plan.todo, groups, _donors(state, digest, home), tried)


def _donors(state: State, digest: str, home: Path) -> dict[str, Donor]:
    """Donors of earlier runs, as long as their weights are what they were."""
    found = {}
    for sensor, row in state.donors(digest).items():
        file = home / "weights" / row["weights"]
        if file.is_file() and product_facts(file, file.name)["sha256"] == row["digest"]:
            found[sensor] = donor_of(row["name"], file)
    return found


def _folder(output: Path) -> Path:
    """The output folder with the batch's own folder in it."""
    home = output / ".pansharp"
    try:
        output.mkdir(parents=True, exist_ok=True)
        home.mkdir(exist_ok=True)
    except OSError as problem:
        raise WriteError(f"cannot make the folder '{home}': {problem.strerror}") from problem
    return home.absolute()


def _clean(home: Path) -> Path:
    """Remove what killed runs have left, and make the folder of this one."""
    root = home / "work"
    _remove(root)
    for part in home.glob("*.part"):
        part.unlink(missing_ok=True)
    remove_stale(scratch_root())
    work = root / uuid4().hex[:12]
    try:
        work.mkdir(parents=True)
    except OSError as problem:
        raise WriteError(f"cannot make the folder '{work}': {problem.strerror}") from problem
    return work


def _remove(folder: Path) -> None:
    """Remove a tree, again where a dying worker has put a file into it meanwhile."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM, which queues of clusters send, end the batch as the keyboard does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
