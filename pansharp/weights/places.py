"""Where weights files lie: shipped with the package, or in the cache folder. No network access."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import WeightsError
from pansharp.registry import nearest
from pansharp.weights.file import SUFFIX, read_card, verify

if TYPE_CHECKING:
    from pansharp.weights.card import WeightsCard

__all__ = ["FoundWeights", "cache_folder", "find_weights", "list_weights", "shipped_folder"]


@dataclass(frozen=True)
class FoundWeights:
    """A weights file that was found.

    Parameters
    ----------
    name : str
        What to call it by: the name of the file without its ending.
    path : Path
        The file.
    where : {"shipped", "cache"}
        Whose it is.
    card : WeightsCard or None
        Its card; None if the file is broken.
    problem : str
        What is wrong with it; empty if nothing is.
    """

    name: str
    path: Path
    where: str
    card: WeightsCard | None
    problem: str = ""


def shipped_folder() -> Path:
    """Folder of the weights that come with the package; it need not exist."""
    return Path(__file__).resolve().parents[1] / "data" / "weights"


def cache_folder() -> Path:
    """Folder of the user's own weights; it need not exist.

    Returns
    -------
    Path
        ``weights`` below the folder that the environment variable ``PANSHARP_CACHE`` names; without
        it below the platform's cache folder: ``$XDG_CACHE_HOME/pansharp`` or ``~/.cache/pansharp``,
        ``~/Library/Caches/pansharp`` on macOS, ``%LOCALAPPDATA%/pansharp/Cache`` on Windows.

    Raises
    ------
    WeightsError
        No home folder is known; set ``PANSHARP_CACHE``.
    """
    try:
        return _cache().expanduser() / "weights"
    except RuntimeError:
        raise WeightsError(
            "no home folder is known to look for weights in; set PANSHARP_CACHE to a folder"
        ) from None


def _cache() -> Path:
    if named := os.environ.get("PANSHARP_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local or "~/AppData/Local") / "pansharp" / "Cache"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/pansharp")
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pansharp"


def _files() -> list[tuple[str, str, Path]]:
    """Name, place and path of all files, by name; the cache last."""
    found = []
    for where, folder in (("shipped", shipped_folder()), ("cache", cache_folder())):
        try:
            entries = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as problem:
            raise WeightsError(f"{folder}: cannot be read: {problem.strerror}") from problem
        found += [
            (path.stem, where, path)
            for path in entries
            if path.suffix.lower() == SUFFIX and path.is_file()
        ]
    return sorted(found, key=lambda entry: entry[0].lower())


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that a user means.

    Parameters
    ----------
    name_or_path : str or path-like
        A file; or the name of a shipped or cached one, with or without its ending, in any case.

    Returns
    -------
    Path
        An existing file; what it holds is not looked at.

    Raises
    ------
    WeightsError
        There is none, or the name means two different files; the message offers near names.
    """
    text = os.fspath(name_or_path)
    path = Path(text)
    # These two take any text, also one too long for a path.
    if os.path.isfile(text):
        return path
    if os.path.isdir(text):
        raise WeightsError(f"{text} is a folder; give a weights file or a name")
    wanted = path.name.lower().removesuffix(SUFFIX)
    files = _files()
    if path.name != text:
        raise WeightsError(f"{text}: no such weights file; {_known(wanted, files)}")
    found = [path for name, _, path in files if name.lower() == wanted]
    if not found:
        raise WeightsError(f"no weights '{text}': {_known(wanted, files)}")
    if len(found) > 1 and len({read_card(file).digest for file in found}) > 1:
        raise WeightsError(
            f"the name '{text}' means different files: {' and '.join(str(f) for f in found)}; "
            "give the path of one"
        )
    return found[0]


def _known(name: str, files: list[tuple[str, str, Path]]) -> str:
    names = sorted({entry[0] for entry in files})
    if names:
        return nearest(name, names)
    return (
        f"no weights are installed, neither with the package nor in {cache_folder()}; give a file, "
        "or put one there"
    )


def list_weights(*, check: bool = True) -> list[FoundWeights]:
    """All shipped and cached weights, by name.

    Parameters
    ----------
    check : bool
        Read the files whole and check their digests; False reads the cards alone.

    Returns
    -------
    list of FoundWeights
        A broken file is listed with its problem.

    Raises
    ------
    WeightsError
        The cache folder cannot be read.
    """
    found = []
    for name, where, path in _files():
        try:
            card = verify(path).card if check else read_card(path)
            found.append(FoundWeights(name, path, where, card))
        except WeightsError as problem:
            found.append(FoundWeights(name, path, where, None, str(problem)))
    return found
