"""What the shell offers after TAB: names of models, sensors, readers and weights, words, files.

Options are told apart by their names and by what the help shows as their value, so that a new
command has completion without a word about it. Nothing here runs outside completion.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from pansharp.errors import PansharpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    _ParamType = click.ParamType[Any]
else:
    # Older releases of click have the class, but cannot subscript it.
    _ParamType = click.ParamType

__all__ = ["attach", "completing"]

#: Of click: it holds the shell and what is wanted while a completion is computed.
VARIABLE = "_PANSHARP_COMPLETE"

#: What stands for a path in help texts.
_PATHS = ("FILE", "DIR", "PATH", "OUT", "SCENE", "PRODUCT", "ARCHIVE", "FOLDER", "CHECKPOINT")


def completing() -> bool:
    """Whether the shell asks for completions."""
    return VARIABLE in os.environ


def _models() -> Iterator[tuple[str, str]]:
    from pansharp.models import list_models

    yield from ((name, "") for name in list_models())


def _networks() -> Iterator[tuple[str, str]]:
    from pansharp.models.networks import list_networks

    yield from ((name, "") for name in list_networks())


def _sensors() -> Iterator[tuple[str, str]]:
    from pansharp.sensors import get_sensor, list_sensors

    for name in list_sensors():
        profile = get_sensor(name)
        yield name, profile.label
        yield from ((alias, profile.label) for alias in profile.aliases)


def _readers() -> Iterator[tuple[str, str]]:
    from pansharp.readers import list_readers

    yield from ((name, "") for name in list_readers())


def _weights() -> Iterator[tuple[str, str]]:
    from pansharp.weights import list_weights

    for found in list_weights(check=False):
        yield found.name, found.card.network if found.card else "broken"


#: (command or "", parameter) to the names it takes; the command's own entry wins.
_NAMES: dict[tuple[str, str], Callable[[], Iterator[tuple[str, str]]]] = {
    ("", "model"): _models,
    ("", "models"): _models,
    ("models", "name"): _models,
    ("train", "model"): _networks,
    ("import", "model"): _networks,
    ("", "sensor"): _sensors,
    ("sensors", "name"): _sensors,
    ("", "reader"): _readers,
    ("", "weights"): _weights,
    ("inspect", "file"): _weights,
}


class _Completed(_ParamType):
    """A value that is passed on as it is, with the completions that fit it.

    Parameters
    ----------
    kind : click.ParamType
        The type that converts.
    names : callable or None
        Gives pairs of name and explanation.
    words : list of str
        Fixed words.
    paths : bool
        Whether files and folders fit.
    """

    name = "completed"

    def __init__(
        self,
        kind: Any,
        names: Callable[[], Iterator[tuple[str, str]]] | None,
        words: list[str],
        *,
        paths: bool,
    ) -> None:
        self.kind = kind
        self.names = names
        self.words = words
        self.paths = paths

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert as without completion."""
        return self.kind.convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names and words that begin like this, and files where a path may stand."""
        offered = [(word, "") for word in self.words]
        if self.names is not None:
            # A list that cannot be had (an unreadable folder, a broken plug-in) offers nothing:
            # the message would end up in the middle of the line that is being typed.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    offered += self.names()
                except (PansharpError, OSError):
                    return []
        start = incomplete.lower()
        items = [
            CompletionItem(word, help=text) for word, text in offered if word.startswith(start)
        ]
        if self.paths and not items:
            items.append(CompletionItem(incomplete, type="file"))
        return items


def attach(command: click.Command) -> None:
    """Give the parameters of a command (and of its commands) what completes them."""
    if isinstance(command, click.Group):
        for child in command.commands.values():
            attach(child)
    for param in command.params:
        if not isinstance(param.type, click.types.StringParamType) or (
            isinstance(param, click.Option) and (param.is_flag or param.count)
        ):
            continue
        shown = param.metavar or ("" if isinstance(param, click.Option) else param.name or "")
        names = _NAMES.get((command.name or "", param.name or "")) or _NAMES.get(
            ("", param.name or "")
        )
        parts = re.split(r"\W+", shown)
        words = [part for part in shown.split("|") if re.fullmatch(r"[a-z0-9]+", part)]
        paths = any(part.upper() in _PATHS for part in parts)
        if names or words or paths:
            param.type = _Completed(param.type, names, words if "|" in shown else [], paths=paths)
