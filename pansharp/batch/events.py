"""What a batch tells while it runs: events as plain mappings, for people and for machines."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Listener", "silent"]


class Listener(Protocol):
    """Takes events: mappings with ``event`` and what belongs to it, JSON-ready.

    ``plan`` (scenes, todo, done, left), ``start`` (workers, dashboard, scheduler), ``scene``
    (name, status, reason, seconds, megapixels, verdict), ``message`` (text), ``tick`` (running).
    """

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event."""
        ...


def silent(event: dict[str, Any]) -> None:
    """Take an event and tell nobody."""
