"""What has been computed: one JSON line a job, so that an interrupted run can go on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pansharp.errors import WriteError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Journal"]


class Journal:
    """An append-only file of finished jobs.

    Parameters
    ----------
    path : Path or None
        The file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._rows: dict[str, list[dict[str, Any]]] = {}
        if path is not None and path.exists():
            self._load(path)

    def _load(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise WriteError(
                f"'{path}' cannot be read ({problem}); pass --overwrite to begin anew"
            ) from problem
        whole, _, torn = text.rpartition("\n")
        for number, line in enumerate(whole.split("\n") if whole else [], 1):
            try:
                entry = json.loads(line)
                self._rows[entry["key"]] = entry["rows"]
            except (json.JSONDecodeError, KeyError, TypeError):
                raise WriteError(
                    f"line {number} of '{path}' is no entry of a benchmark; pass --overwrite to "
                    "begin anew, or choose another folder"
                ) from None
        if torn:
            # A run that was killed while it wrote leaves half a line at the end.
            os.truncate(path, len(text.encode()) - len(torn.encode()))

    def get(self, key: str) -> list[dict[str, Any]] | None:
        """Rows of a job that is done for good; failed ones are tried again."""
        rows = self._rows.get(key)
        if rows is None or any(row["status"] == "failed" for row in rows):
            return None
        return rows

    def add(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of a job, on disk before this returns."""
        self._rows[key] = rows
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "rows": rows}) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise WriteError(f"cannot write '{self.path}': {problem.strerror}") from problem
