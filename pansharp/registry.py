"""A registry of named factories: built-ins by table, third parties by entry point."""

from __future__ import annotations

import importlib
import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING, Generic, TypeVar

from pansharp.errors import PansharpError, PluginWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Registry", "nearest"]

T = TypeVar("T")


def nearest(name: str, choices: list[str], count: int = 3) -> str:
    """Say which known names are close to `name`, as the end of an error message.

    Parameters
    ----------
    name : str
        What the user wrote.
    choices : list of str
        What exists.
    count : int
        How many names to offer.

    Returns
    -------
    str
        ``"did you mean 'a' or 'b'?"``, or the whole list when nothing is close.
    """
    close = get_close_matches(name.lower(), choices, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return "choose one of: " + ", ".join(sorted(choices))


class Registry(Generic[T]):
    """Names to objects, imported on first use so that listing stays cheap.

    Parameters
    ----------
    kind : str
        What is registered, for messages (``"model"``).
    builtin : mapping of str to str
        Name to the module that registers it when imported.
    group : str
        Entry-point group for third parties (``"pansharp.models"``).
    error : type
        Raised for an unknown name.
    """

    def __init__(
        self, kind: str, builtin: Mapping[str, str], group: str, error: type[PansharpError]
    ) -> None:
        self.kind = kind
        self.group = group
        self._error = error
        self._builtin = dict(builtin)
        self._items: dict[str, T] = {}
        self._plugins_loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: keep the decorated object under `name` (lower case, unique)."""
        if name != name.lower():
            raise PansharpError(f"{self.kind} name '{name}' must be lower case")

        def keep(item: T) -> T:
            if name in self._items and self._items[name] is not item:
                raise PansharpError(f"{self.kind} '{name}' is registered twice; rename one of them")
            self._items[name] = item
            return item

        return keep

    def get(self, name: str) -> T:
        """Return what is registered under `name`, importing its module if need be."""
        key = name.lower()
        if key not in self._items and key in self._builtin:
            importlib.import_module(self._builtin[key])
        if key not in self._items:
            self._load_plugins()
        if key not in self._items:
            known = self.names()
            raise self._error(f"unknown {self.kind} '{name}'; {nearest(name, known)}")
        return self._items[key]

    def __contains__(self, name: str) -> bool:
        """Whether `name` is known; plug-ins are looked for only if nothing else has it."""
        key = name.lower()
        if key not in self._builtin and key not in self._items:
            self._load_plugins()
        return key in self._builtin or key in self._items

    def names(self) -> list[str]:
        """All names, sorted, without importing the built-in modules."""
        self._load_plugins()
        return sorted(set(self._builtin) | set(self._items))

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        # Imported here: it costs as much as opening a scene.
        from importlib.metadata import entry_points

        for point in entry_points(group=self.group):
            try:
                item = point.load()
                self.register(point.name)(item)
            except Exception as problem:  # noqa: BLE001 - a broken plug-in must not break us
                package = point.dist.name if point.dist else point.value
                warnings.warn(
                    f"{self.kind} '{point.name}' of package '{package}' was skipped: {problem}",
                    PluginWarning,
                    stacklevel=3,
                )
