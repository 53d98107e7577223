"""Hand scenes to workers, and put what comes back in place: the one writer of the folder."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.batch.content import product_facts
from pansharp.batch.job import run_job
from pansharp.batch.plan import product_name
from pansharp.batch.records import DONE, FAILED, PENDING, Entry, Job, JobError, one_line
from pansharp.batch.schedule import Donor
from pansharp.errors import BatchError, WriteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.batch.cluster import Engine
    from pansharp.batch.events import Listener
    from pansharp.batch.lock import FolderLock
    from pansharp.batch.schedule import Next, Schedule
    from pansharp.batch.settings import BatchSettings
    from pansharp.batch.state import State

__all__ = ["Driver"]

#: Seconds without a scheduler after which it counts as gone.
_PATIENCE = 5.0
#: Weights of a donor serve with this part of its steps (docs/batch.md has the figures).
_PART = 4


@dataclass
class _Flight:
    future: Any
    attempt: int
    next: Next


@dataclass
class Driver:
    """One run of a batch.

    Parameters
    ----------
    settings : BatchSettings
        Options.
    state : State
        The database.
    lock : FolderLock
        Gives signs of life.
    rows : dict
        Scenes of the plan by path.
    schedule : Schedule
        Those to do.
    digest : str
        Of the options.
    run : int
        Number of the run.
    home, work, logs : Path
        ``.pansharp`` of the output folder, the folder of this run in it, the logs.
    listener : callable
        Takes events.
    more : callable
        Makes rows of scenes that became known on the way.
    """

    settings: BatchSettings
    state: State
    lock: FolderLock
    rows: dict[str, dict[str, Any]]
    schedule: Schedule
    digest: str
    run: int
    home: Path
    work: Path
    logs: Path
    listener: Listener
    more: Callable[[list[Entry]], list[dict[str, Any]]]
    failures: int = 0
    stopped: bool = False
    _flights: dict[Any, _Flight] = field(default_factory=dict)
    _ended: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)

    def work_off(self, engine: Engine) -> None:
        """Do all scenes of the schedule.

        Raises
        ------
        BatchError
            The scheduler is gone.
        WriteError
            The state cannot be written.
        """
        lost_since: float | None = None
        try:
            while True:
                self._fill(engine)
                if not self._flights and engine.alive():
                    return
                self.lock.beat()
                self.listener({"event": "tick", "running": len(self._flights)})
                try:
                    key = self._ended.get(timeout=1.0)
                except queue.Empty:
                    lost_since = self._watch(engine, lost_since)
                    continue
                self._land(engine, key)
        finally:
            self._drop_all()

    # Handing out --------------------------------------------------------------------------

    def _fill(self, engine: Engine) -> None:
        window = 2 * engine.slots()
        while len(self._flights) < window and not self.stopped and engine.alive():
            following = self.schedule.next()
            if following is None:
                return
            row = self.rows[following.path]
            if row.get("problem"):
                self._known_bad(row)
                continue
            attempt = self.state.started(self.run, row["path"], row["model"], following.task)
            job = self._job(row, following, engine)
            future = engine.client.submit(
                run_job,
                job,
                key=f"scene-{self.run}-{attempt}-{row['name']}",
                pure=False,
                retries=self.settings.retries,
                resources=job.resources or None,
            )
            if following.task == "fuse":
                row["attempts"] += 1
            self._flights[future.key] = _Flight(future, attempt, following)
            future.add_done_callback(lambda done: self._ended.put(done.key))

    def _job(self, row: dict[str, Any], following: Next, engine: Engine) -> Job:
        from dataclasses import asdict

        from pansharp import __version__

        given = asdict(self.settings.options())
        fuse = {key: value for key, value in given.items() if value is not None}
        if following.candidate:
            fuse["save_weights"] = "kept"  # the worker names the file, in its own folder
        if following.donor is not None:
            fuse["weights"] = str(self.home / "weights" / following.donor.weights)
            if following.donor.steps is not None:
                fuse["adapt_steps"] = following.donor.steps
        return Job(
            task=following.task,
            name=row["name"],
            path=row["path"] if self.settings.named is None else "",
            files=tuple(row["files"]),
            scene=self.settings.scene,
            fuse=fuse,
            product=product_name(row["name"], self.settings),
            work=str(self.work),
            log=str(self.logs / f"{row['name']}.log"),
            threads=self.settings.threads,
            slots=engine.crowd(),
            pansharp=__version__,
        )

    def _known_bad(self, row: dict[str, Any]) -> None:
        """A scene that cannot be opened, as its archive showed: no worker is asked."""
        attempt = self.state.started(self.run, row["path"], row["model"], "fuse")
        with contextlib.suppress(OSError), Path(self.logs / f"{row['name']}.log").open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} ERROR failed: {row['problem']}\n")
        self.schedule.probed(row["path"], None)
        self._failed(row, attempt, row["problem"], passing=False, told={})

    # Landing --------------------------------------------------------------------------------

    def _land(self, engine: Engine, key: Any) -> None:
        flight = self._flights.get(key)
        if flight is None or not flight.future.done():
            return
        future, row = flight.future, self.rows[flight.next.path]
        if future.status in ("cancelled", "lost"):
            return  # the scheduler is gone, or this run stops: both are seen elsewhere
        del self._flights[key]
        if future.status == "error":
            problem = future.exception()
            reason = str(problem) if isinstance(problem, JobError) else engine.died(problem)
            self.schedule.probed(row["path"], None)
            self.schedule.ended(row["path"], None)
            self._failed(row, flight.attempt, one_line(reason), passing=True, told={})
        else:
            self._result(flight, row, future.result())
        future.release()

    def _result(self, flight: _Flight, row: dict[str, Any], result: dict[str, Any]) -> None:
        told = {key: result.get(key) for key in ("host", "versions")}
        path = row["path"]
        if result["status"] == "several":
            self._several(flight, row, result["entries"], told)
        elif result["status"] == "failed":
            self.schedule.probed(path, None)
            self.schedule.ended(path, None)
            self._failed(
                row, flight.attempt, result["reason"], passing=result["passing"], told=told
            )
        elif result["status"] == "probed":
            row["facts"] = result["facts"]
            self.state.finished(
                flight.attempt, path, row["model"], outcome="probed",
                scene={"facts": result["facts"]}, told=told,
            )  # fmt: skip
            self.schedule.probed(path, result["facts"]["group"])
        else:
            self._product(flight, row, result, told)

    def _product(
        self, flight: _Flight, row: dict[str, Any], result: dict[str, Any], told: dict[str, Any]
    ) -> None:
        """Give a product its name, then note it: between the two a killed batch does it again."""
        made = self.work / result["folder"]
        donor, path = None, row["path"]
        try:
            if result["weights"] is not None:
                donor = self._keep(made / result["weights"], row)
            _place(made, self.settings.output, result["product"], self.work)
            if result["card"] is not None:
                _place(made, self.settings.output, result["card"], self.work)
            else:
                card = self.settings.output / f"{result['product']['name']}.card.json"
                card.unlink(missing_ok=True)
        except OSError as problem:
            self.schedule.ended(path, None)
            reason = f"its product could not be put in place: {problem.strerror or problem}"
            self._failed(row, flight.attempt, reason, passing=True, told=told)
            return
        finally:
            shutil.rmtree(made, ignore_errors=True)
        card = result["scores"]
        facts = {
            **result["facts"],
            "threads": result["threads"],
            "summary": result["summary"],
            "donor": None if flight.next.donor is None else flight.next.donor.name,
            **_scores(card),
        }
        changes = {
            "status": DONE, "passing": 0, "reason": None, "product": result["product"],
            "card": result["card"], "facts": facts, "files": result["files"],
            "seconds": result["seconds"],
        }  # fmt: skip
        kept = None
        if donor is not None:
            kept = {
                "options": self.digest, "sensor": result["facts"]["group"], "name": donor.name,
                "weights": donor.weights, "digest": donor.digest,
            }  # fmt: skip
        self.state.finished(
            flight.attempt, path, row["model"], outcome="done", scene=changes, told=told,
            donor=kept,
        )  # fmt: skip
        row.update(changes)
        self.schedule.ended(path, donor)
        self._tell(row)

    def _keep(self, weights: Path, row: dict[str, Any]) -> Donor:
        """Keep the weights of a candidate for the other scenes of its sensor."""
        folder = self.home / "weights"
        folder.mkdir(exist_ok=True)
        name = f"{row['name']}-{self.digest[:12]}.safetensors"
        os.replace(weights, folder / name)
        return donor_of(row["name"], folder / name)

    def _failed(
        self, row: dict[str, Any], attempt: int, reason: str, *, passing: bool, told: dict[str, Any]
    ) -> None:
        attempts = max(1, row["attempts"])  # a scene may fail as it is probed, too
        changes = {
            "status": FAILED, "passing": int(passing), "reason": reason, "attempts": attempts,
        }  # fmt: skip
        self.state.finished(
            attempt, row["path"], row["model"], outcome="failed", scene=changes,
            told={**told, "reason": reason},
        )  # fmt: skip
        row.update(changes)
        self.failures += 1
        self._tell(row)
        limit = self.settings.max_failures
        if limit is not None and self.failures >= limit and not self.stopped:
            self.stopped = True
            self._drop_all()
            self.listener(
                {"event": "message", "text": f"stopped after {self.failures} failed scene(s)"}
            )

    def _several(
        self,
        flight: _Flight,
        row: dict[str, Any],
        found: list[dict[str, Any]],
        told: dict[str, Any],
    ) -> None:
        """An archive with several scenes: they take its place."""
        entries = [
            Entry(one["path"], f"{row['name']}-{one['name']}", one["reader"], tuple(row["files"]))
            for one in found
        ]
        fresh = [made for made in self.more(entries) if made["path"] not in self.rows]
        self.state.plan(fresh)
        changes = {"status": DONE, "reason": f"holds {len(entries)} scenes", "passing": 0}
        self.state.finished(
            flight.attempt, row["path"], row["model"], outcome="several", scene=changes, told=told
        )
        row.update(changes)
        self.rows |= {made["path"]: made for made in fresh}
        self.schedule.probed(row["path"], None)
        self.schedule.ended(row["path"], None)
        self.schedule.add([made["path"] for made in fresh])

    def _tell(self, row: dict[str, Any]) -> None:
        facts = row.get("facts") or {}
        pixels = facts.get("height", 0) * facts.get("width", 0) / 1e6
        done = row["status"] == DONE
        self.listener(
            {
                "event": "scene", "name": row["name"], "status": row["status"],
                "reason": row["reason"],
                "product": row["product"]["name"] if done else None,
                "seconds": row["seconds"] if done else None,
                "megapixels": round(pixels, 6) if done else None,
                "verdict": facts.get("verdict") if done else None,
            }
        )  # fmt: skip

    # The end ----------------------------------------------------------------------------------

    def _watch(self, engine: Engine, since: float | None) -> float | None:
        if engine.alive() and not any(
            flight.future.status in ("lost", "cancelled") for flight in self._flights.values()
        ):
            return None
        now = time.monotonic()
        since = now if since is None else since
        if now - since > _PATIENCE:
            raise BatchError(
                "the Dask scheduler is gone; what is finished is safe: start it again and run the "
                "same command"
            )
        return since

    def _drop_all(self) -> None:
        """Take back what is handed out; those scenes are pending again."""
        flights, self._flights = list(self._flights.values()), {}
        for flight in flights:
            with contextlib.suppress(Exception):
                flight.future.cancel()
            row = self.rows[flight.next.path]
            with contextlib.suppress(BatchError, WriteError):
                scene = {"status": PENDING} if flight.next.task == "fuse" else {}
                self.state.finished(
                    flight.attempt, row["path"], row["model"], outcome="dropped", scene=scene,
                    told={},
                )  # fmt: skip


def donor_of(name: str, weights: Path) -> Donor:
    """A donor by its weights file alone, so that every run makes the same of it.

    The others take a quarter of its training steps, at least 25.
    """
    from pansharp.weights import read_card

    steps = read_card(weights).recipe.get("steps")
    part = max(25, -(-steps // _PART)) if isinstance(steps, int) else None
    return Donor(name, weights.name, product_facts(weights, weights.name)["sha256"], part)


def _place(made: Path, output: Path, facts: dict[str, Any], work: Path) -> None:
    source, target = made / facts["name"], output / facts["name"]
    if target.is_dir() and not target.is_symlink():
        # A store cannot be replaced in one step; the old one leaves first.
        os.replace(target, work / f"old-{made.name}")
    os.replace(source, target)


def _scores(card: dict[str, Any]) -> dict[str, Any]:
    """What the summary shows of a card."""
    model, reduced, full = card["model"], card.get("reduced") or {}, card.get("full") or {}
    own = reduced.get("model") or {}
    return {
        "verdict": card.get("verdict"),
        "used": model.get("used"),
        "weights": model.get("weights"),
        "steps": model.get("steps"),
        "rho": reduced.get("rho"),
        "ergas": own.get("ergas"),
        "sam": own.get("sam"),
        "hqnr": full.get("HQNR"),
        "qnr": full.get("QNR"),
        "warnings": len(card.get("warnings") or ()),
    }
