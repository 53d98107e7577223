"""Progress of a batch: a bar for people, JSON lines for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

__all__ = ["BarListener", "JsonListener"]

log = logging.getLogger(__name__)


class JsonListener:
    """Writes each event but the ticks as one JSON line.

    Parameters
    ----------
    stream : text file
        Where to; flushed after each line.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __enter__(self) -> JsonListener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stream.flush()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event."""
        if event["event"] != "tick":
            self.stream.write(json.dumps(event, ensure_ascii=False) + "\n")
            self.stream.flush()


class BarListener:
    """Shows scenes done, Mpixel/s, failures and time left on a terminal; else log lines.

    Parameters
    ----------
    stream : text file
        Usually stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._pixels = 0.0
        self._failed = 0
        self._done = 0
        self._total = 0

    def __enter__(self) -> BarListener:
        if self.stream.isatty() and logging.getLogger("pansharp").isEnabledFor(logging.WARNING):
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("scenes"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]:.2f} Mpixel/s"),
                TextColumn("{task.fields[failed]} failed"),
                TimeRemainingColumn(),
                console=Console(file=self.stream),
                transient=True,
                speed_estimate_period=600,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event."""
        kind = event["event"]
        if kind == "plan":
            self._total = event["todo"]
            left = f", {event['left']} failed before and left alone" if event["left"] else ""
            log.info(
                "%d scenes: %d to do, %d done%s",
                event["scenes"],
                event["todo"],
                event["done"],
                left,
            )
        elif kind == "start":
            self._started = time.monotonic()
            if self._bar is not None:
                self._task = self._bar.add_task("", total=self._total, speed=0.0, failed=0)
            log.info("%d workers", event["workers"])
            if event["dashboard"]:
                log.warning("dashboard: %s", event["dashboard"])
        elif kind == "message":
            log.warning("%s", event["text"])
        elif kind == "scene":
            self._scene(event)

    def _scene(self, event: dict[str, Any]) -> None:
        self._done += 1
        if event["status"] == "failed":
            self._failed += 1
            log.warning("failed: %s: %s", event["name"], event["reason"])
        else:
            self._pixels += event["megapixels"]
            log.info(
                "%d of %d: %s, %.1f s%s", self._done, self._total, event["name"],
                event["seconds"], f", {event['verdict']}" if event["verdict"] else "",
            )  # fmt: skip
        if self._bar is not None and self._task is not None:
            seconds = max(1e-3, time.monotonic() - self._started)
            self._bar.update(
                self._task,
                completed=self._done,
                speed=self._pixels / seconds,
                failed=self._failed,
            )
