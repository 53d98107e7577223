"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    group : str
        Heading under which it stands.
    name : str
        What was looked at.
    value : str
        What was found, one line.
    state : {"ok", "note", "broken"}
        ``note``: something optional is missing; ``broken``: pansharp does not work like this.
    advice : str
        What to do about it, as a command where there is one; empty for nothing.
    """

    group: str
    name: str
    value: str
    state: str = "ok"
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """As a document for JSON."""
        return asdict(self)
