"""The state of a training on disk, so that a killed adaptation goes on where it stopped."""

from __future__ import annotations

import os
import time
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch

from pansharp.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Store", "discard_all"]

#: Seconds between two writings.
_EVERY = 20.0


class Store:
    """One training in one file.

    Parameters
    ----------
    path : Path
        The file; it need not exist. Its folder is made.
    identity : str
        Digest of all that decides about the result: scene, network, options. A file of another
        identity is refused.
    every : float
        Seconds between two writings.

    Raises
    ------
    ModelError
        The folder cannot be made.
    """

    def __init__(self, path: Path, identity: str, every: float = _EVERY) -> None:
        self.path, self.identity, self.every = path, identity, every
        self._last = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise ModelError(
                f"cannot make the checkpoint folder '{path.parent}': {problem.strerror}; choose "
                "another with --checkpoint"
            ) from problem

    def load(self) -> dict[str, Any] | None:
        """Give the saved state, or None where there is none.

        Raises
        ------
        ModelError
            The file is damaged, or that of another scene or of other options.
        """
        if not self.path.exists():
            return None
        try:
            saved: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            identity, state = saved["identity"], saved["state"]
        except (OSError, EOFError, RuntimeError, UnpicklingError, KeyError, TypeError) as problem:
            raise ModelError(
                f"the checkpoint '{self.path}' cannot be read; delete it to start anew"
            ) from problem
        if identity != self.identity:
            raise ModelError(
                f"the checkpoint '{self.path}' belongs to another scene or to other options; "
                "delete it, or give another folder with --checkpoint"
            )
        return dict(state)

    def offer(self, state: Callable[[], dict[str, Any]]) -> None:
        """Save the state if it is time to."""
        if time.monotonic() - self._last >= self.every:
            self.save(state())

    def save(self, state: dict[str, Any]) -> None:
        """Save the state; the file is replaced at once, never half.

        Raises
        ------
        ModelError
            The file cannot be written.
        """
        part = self.path.with_name(f"{self.path.name}.part{os.getpid()}")
        try:
            torch.save({"identity": self.identity, "state": state}, part)
            os.replace(part, self.path)
        except (OSError, RuntimeError) as problem:
            raise ModelError(
                f"cannot write the checkpoint '{self.path}': {problem}; free some space or drop "
                "--checkpoint"
            ) from problem
        finally:
            part.unlink(missing_ok=True)
        self._last = time.monotonic()

    def discard(self) -> None:
        """Remove the file, and its folder where nothing else is left in it."""
        self.path.unlink(missing_ok=True)
        # What a kill in the middle of a writing has left.
        for part in self.path.parent.glob(f"{self.path.name}.part*"):
            part.unlink(missing_ok=True)
        folder = Path(self.path.parent)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def discard_all(folder: Path) -> None:
    """Remove all checkpoints of a folder, and the folder where nothing else is left in it."""
    for path in folder.glob("*.pt*"):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
