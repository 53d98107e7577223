"""What a batch knows of its scenes: one SQLite file, one transaction for each step.

A rollback journal and not a write-ahead log: the latter needs memory that processes share, which
network file systems do not give. Only the process that holds the folder's lock writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from pansharp.batch.records import DONE, FAILED, PENDING, RUNNING
from pansharp.errors import BatchError, WriteError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["State"]

T = TypeVar("T")

_LAYOUT = 1
_TABLES = """
CREATE TABLE scenes (
  path TEXT NOT NULL, model TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE,
  position INTEGER NOT NULL, reader TEXT NOT NULL, options TEXT NOT NULL,
  files TEXT NOT NULL, status TEXT NOT NULL, passing INTEGER NOT NULL DEFAULT 0,
  problem TEXT, reason TEXT, product TEXT, card TEXT, facts TEXT, seconds REAL,
  attempts INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (path, model), UNIQUE (name, model)
);
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL, pansharp TEXT NOT NULL,
  host TEXT NOT NULL, pid INTEGER NOT NULL, options TEXT NOT NULL
);
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, path TEXT NOT NULL,
  model TEXT NOT NULL, task TEXT NOT NULL, started REAL NOT NULL, ended REAL, outcome TEXT,
  reason TEXT, host TEXT, versions TEXT
);
CREATE TABLE donors (
  options TEXT NOT NULL, sensor TEXT NOT NULL, name TEXT NOT NULL, weights TEXT NOT NULL,
  digest TEXT NOT NULL, PRIMARY KEY (options, sensor)
);
"""
_JSON = ("files", "product", "card", "facts")
#: Bytes kept on the disk, and given up so that what happened can still be written.
_BALLAST = 1 << 20


class State:
    """The database of a folder.

    Parameters
    ----------
    path : Path
        The file; its folder must exist. None keeps it in memory: nothing is written.

    Raises
    ------
    BatchError
        It is damaged, or of another version.
    """

    def __init__(self, path: Path | None) -> None:
        import sqlite3

        self.path = path
        self._ballast = None if path is None else path.with_name("ballast")
        self._errors = sqlite3.Error
        try:
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, timeout=30.0
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.execute("PRAGMA synchronous = FULL")
            [layout] = self._db.execute("PRAGMA user_version").fetchone()
            if layout == 0:
                with self._step():
                    for statement in _TABLES.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {_LAYOUT}")
        except sqlite3.Error as problem:
            raise self._told(problem) from problem
        if layout not in (0, _LAYOUT):
            raise BatchError(
                f"'{path}' was written by another version of pansharp (layout {layout}); use that "
                "version, or another -o"
            )
        self._load_ballast()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Reading --------------------------------------------------------------------------------

    def scenes(self, model: str) -> dict[str, dict[str, Any]]:
        """All scenes of a model by path."""
        rows = self._query("SELECT * FROM scenes WHERE model = ? ORDER BY position, path", model)
        return {row["path"]: row for row in rows}

    def attempts(self, path: str, model: str) -> list[dict[str, Any]]:
        """What was tried with a scene, oldest first."""
        text = "SELECT * FROM attempts WHERE path = ? AND model = ? ORDER BY id"
        return self._query(text, path, model)

    def donors(self, options: str) -> dict[str, dict[str, Any]]:
        """Scenes whose weights serve the others, by sensor."""
        rows = self._query("SELECT * FROM donors WHERE options = ?", options)
        return {row["sensor"]: row for row in rows}

    # Writing: each call is one transaction ----------------------------------------------------

    def begin(self, version: str, host: str, options: Mapping[str, object]) -> int:
        """Note the start of a run; what an earlier one left unfinished is pending again."""

        def write() -> int:
            self._db.execute(
                "UPDATE attempts SET outcome = 'lost', ended = ? WHERE outcome IS NULL",
                (time.time(),),
            )
            self._db.execute("UPDATE scenes SET status = ? WHERE status = ?", (PENDING, RUNNING))
            cursor = self._db.execute(
                "INSERT INTO runs (started, pansharp, host, pid, options) VALUES (?, ?, ?, ?, ?)",
                (time.time(), version, host, os.getpid(), json.dumps(options, default=str)),
            )
            return int(cursor.lastrowid or 0)

        return self._write(write)

    def end(self, run: int) -> None:
        """Note the end of a run."""
        self._write(
            lambda: self._db.execute("UPDATE runs SET ended = ? WHERE id = ?", (time.time(), run))
        )

    def plan(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or replace scenes, all or none."""
        ready = [_packed(row) for row in rows]
        if not ready:
            return
        columns = list(ready[0])
        marks = ", ".join("?" * len(columns))
        # Names may pass from one scene to another: the old holders go first.
        text = f"INSERT INTO scenes ({', '.join(columns)}) VALUES ({marks})"

        def write() -> None:
            self._db.executemany(
                "DELETE FROM scenes WHERE path = ? AND model = ?",
                [(row["path"], row["model"]) for row in ready],
            )
            self._db.executemany(text, [tuple(row[key] for key in columns) for row in ready])

        self._write(write)

    def started(self, run: int, path: str, model: str, task: str) -> int:
        """Note that a job was handed out; returns the number of the attempt."""

        def write() -> int:
            if task == "fuse":
                self._db.execute(
                    "UPDATE scenes SET status = ?, attempts = attempts + 1 "
                    "WHERE path = ? AND model = ?",
                    (RUNNING, path, model),
                )
            cursor = self._db.execute(
                "INSERT INTO attempts (run, path, model, task, started) VALUES (?, ?, ?, ?, ?)",
                (run, path, model, task, time.time()),
            )
            return int(cursor.lastrowid or 0)

        return self._write(write)

    def finished(
        self,
        attempt: int,
        path: str,
        model: str,
        *,
        outcome: str,
        scene: Mapping[str, Any],
        told: Mapping[str, Any],
        donor: Mapping[str, Any] | None = None,
    ) -> None:
        """Note how an attempt ended, and what is known of its scene now.

        Parameters
        ----------
        attempt : int
            From :meth:`started`.
        path, model : str
            The scene.
        outcome : str
            ``done``, ``failed``, ``probed``, ``dropped``.
        scene : mapping
            Columns of the scene that change.
        told : mapping
            ``reason``, ``host``, ``versions`` of the attempt.
        donor : mapping, optional
            Row for the donors.
        """
        packed = _packed(scene)
        changes = ", ".join(f"{key} = ?" for key in packed)

        def write() -> None:
            if packed:
                self._db.execute(
                    f"UPDATE scenes SET {changes} WHERE path = ? AND model = ?",
                    (*packed.values(), path, model),
                )
            self._db.execute(
                "UPDATE attempts SET ended = ?, outcome = ?, reason = ?, host = ?, versions = ? "
                "WHERE id = ?",
                (
                    *(time.time(), outcome, told.get("reason"), told.get("host")),
                    *(json.dumps(told.get("versions")), attempt),
                ),
            )
            if donor is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO donors (options, sensor, name, weights, digest) "
                    "VALUES (:options, :sensor, :name, :weights, :digest)",
                    dict(donor),
                )

        self._write(write)

    # Machinery --------------------------------------------------------------------------------

    def _query(self, text: str, *values: object) -> list[dict[str, Any]]:
        try:
            return [_unpacked(row) for row in self._db.execute(text, values)]
        except self._errors as problem:
            raise self._told(problem) from problem

    def _write(self, work: Callable[[], T]) -> T:
        """Run a transaction; on a full disk once more, with the ballast given up."""
        try:
            with self._step():
                return work()
        except self._errors as problem:
            if not self._full(problem) or not self._drop_ballast():
                raise self._told(problem) from problem
        try:
            with self._step():
                return work()
        except self._errors as problem:
            raise self._told(problem) from problem

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction by itself; earlier ones stand.
            if self._db.in_transaction:
                with contextlib.suppress(self._errors):
                    self._db.execute("ROLLBACK")
            raise

    def _full(self, problem: Exception) -> bool:
        # An I/O error is how a quota or a limit of file size shows.
        name = getattr(problem, "sqlite_errorname", "") or ""
        return name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"))

    def _told(self, problem: Exception) -> Exception:
        if self._full(problem):
            return WriteError(
                f"disk full: '{self.path}' cannot note what happened ({problem}); what it had is "
                "safe: free some space and run the same command again"
            )
        return BatchError(
            f"the state '{self.path}' cannot be used ({problem}); if it is damaged, move the "
            "folder .pansharp away, or use another -o"
        )

    def _load_ballast(self) -> None:
        if self._ballast is None or self._ballast.exists():
            return
        part = self._ballast.with_name("ballast.part")
        try:
            part.write_bytes(os.urandom(_BALLAST))
            os.replace(part, self._ballast)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _drop_ballast(self) -> bool:
        if self._ballast is None or not self._ballast.exists():
            return False
        with contextlib.suppress(OSError):
            self._ballast.unlink()
        return not self._ballast.exists()


def _packed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: json.dumps(value) if key in _JSON and value is not None else value
        for key, value in row.items()
    }


def _unpacked(row: sqlite3.Row) -> dict[str, Any]:
    return {
        key: json.loads(row[key]) if key in _JSON and row[key] is not None else row[key]
        for key in row.keys()  # noqa: SIM118 - a Row yields values
    }


def statuses(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many scenes are in which state."""
    return {s: sum(row["status"] == s for row in rows) for s in (DONE, FAILED, PENDING, RUNNING)}
