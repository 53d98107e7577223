"""Which scene comes next: in their order, and after the one whose weights they start from."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Donor", "Next", "Schedule"]

#: Scenes of a sensor that may leave no weights before each of the rest is fitted by itself.
_CANDIDATES = 3


class Donor(NamedTuple):
    """Weights that the other scenes of a sensor start from."""

    name: str
    weights: str
    digest: str
    steps: int | None


class Next(NamedTuple):
    """A scene to hand out: ``task`` is ``probe`` or ``fuse``; a candidate leaves its weights."""

    path: str
    task: str
    candidate: bool = False
    donor: Donor | None = None


@dataclass
class _Group:
    waiting: deque[str] = field(default_factory=deque)
    donor: Donor | None = None
    busy: bool = False
    tried: int = 0


class Schedule:
    """Scenes that wait.

    Parameters
    ----------
    paths : iterable of str
        In their order.
    groups : mapping or None
        None: every scene by itself. Else by path what is known of its sensor; scenes that are
        missing in it are probed first.
    donors : mapping
        Sensors that have a donor already.
    tried : mapping
        By sensor: scenes that earlier runs have tried as its donor.
    """

    def __init__(
        self,
        paths: Iterable[str],
        groups: Mapping[str, str] | None = None,
        donors: Mapping[str, Donor] | None = None,
        tried: Mapping[str, int] | None = None,
    ) -> None:
        self._order = list(paths)
        self._plain: deque[str] = deque()
        self._probes: deque[str] = deque()
        self._asked: set[str] = set()
        self._known: dict[str, str] = {}
        self._donors = dict(donors or {})
        self._tried = dict(tried or {})
        self._groups: dict[str, _Group] = {}
        self._sorted = groups is None
        if groups is None:
            self._plain.extend(self._order)
            return
        for path in self._order:
            if path in groups:
                self._known[path] = groups[path]
            else:
                self._probes.append(path)

    def next(self) -> Next | None:
        """The scene to hand out now; None when there is none, or none yet."""
        if self._plain:
            return Next(self._plain.popleft(), "fuse")
        if self._probes:
            path = self._probes.popleft()
            self._asked.add(path)
            return Next(path, "probe")
        if self._asked:
            return None
        if not self._sorted:
            self._sort()
        for group in self._groups.values():
            if not group.waiting:
                continue
            if group.busy:
                continue
            if group.donor is not None or group.tried >= _CANDIDATES:
                return Next(group.waiting.popleft(), "fuse", donor=group.donor)
            group.busy = True
            group.tried += 1
            return Next(group.waiting.popleft(), "fuse", candidate=True)
        return None

    def probed(self, path: str, sensor: str | None) -> None:
        """Note the sensor of a probed scene; None when it could not be opened."""
        self._asked.discard(path)
        if sensor is not None:
            self._known[path] = sensor

    def ended(self, path: str, donor: Donor | None) -> None:
        """Note that a candidate has ended, with weights or without."""
        group = self._groups.get(self._known.get(path, ""))
        if group is not None:
            group.busy = False
            if group.donor is None:
                group.donor = donor

    def add(self, paths: Iterable[str]) -> None:
        """Add scenes that became known on the way."""
        fresh = list(paths)
        self._order += fresh
        if self._sorted and not self._groups and not self._known:
            self._plain.extend(fresh)
        else:
            self._probes.extend(fresh)
            self._sorted = False

    def _sort(self) -> None:
        """Put all scenes whose sensor is known into its queue, in their order."""
        self._sorted = True
        queued = {path for group in self._groups.values() for path in group.waiting}
        for path in self._order:
            sensor = self._known.get(path)
            if sensor is None or path in queued:
                continue
            group = self._groups.setdefault(
                sensor,
                _Group(donor=self._donors.get(sensor), tried=self._tried.get(sensor, 0)),
            )
            group.waiting.append(path)
        self._order = []
