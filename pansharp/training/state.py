"""The state of a run on disk: all that decides what the next step does, written in one piece."""

from __future__ import annotations

import io
import os
import pickle
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pansharp.errors import WeightsError, WriteError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from pansharp.training.parallel import Processes

__all__ = ["load_state", "random_state", "restore_random", "save_state", "write_atomic"]

#: Version of the layout.
LAYOUT = 1
_HINT = "; train anew with --overwrite, or in another folder"


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, also when the machine goes down.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as problem:
        raise WriteError(f"cannot write '{path}': {problem.strerror}") from problem
    finally:
        part.unlink(missing_ok=True)


def save_state(path: Path, content: dict[str, Any]) -> None:
    """Save tensors and plain values; an earlier state is replaced only when this one is whole.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"layout": LAYOUT, **content}, buffer)
    write_atomic(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Load what :func:`save_state` saved; nothing but tensors and plain values is accepted.

    Raises
    ------
    WeightsError
        There is no such file, or it is none of ours.
    """
    try:
        # A zip archive is what was saved; torch would try anything else as a bare pickle.
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise ValueError
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(
            f"'{path}' does not exist: there is no run to resume; leave --resume off"
        ) from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as problem:
        raise WeightsError(f"'{path}' is damaged or no state of a training{_HINT}") from problem
    if not isinstance(content, dict) or content.get("layout") != LAYOUT:
        raise WeightsError(f"'{path}' was written by another version of pansharp{_HINT}")
    return content


def random_state(processes: Processes) -> dict[str, Any]:
    """States of all random generators: torch of every process, its CUDA device, NumPy, Python.

    Nothing in this package draws from the last two; networks of others might.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    version, words, second = random.getstate()
    state: dict[str, Any] = {
        "torch": processes.gathered(torch.get_rng_state()),
        "numpy": [
            kind,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            gauss,
        ],
        "python": [version, list(words), second],
    }
    if processes.device.startswith("cuda"):
        state["cuda"] = processes.gathered(torch.cuda.get_rng_state(processes.device))
    return state


def restore_random(state: dict[str, Any], processes: Processes) -> None:
    """Put back what :func:`random_state` gave."""
    own: Sequence[Tensor] = state["torch"]
    torch.set_rng_state(own[processes.rank])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    words = keys.numpy().astype(np.uint32)
    np.random.set_state((kind, words, position, has_gauss, gauss))  # noqa: NPY002
    version, numbers, second = state["python"]
    random.setstate((version, tuple(numbers), second))
    if processes.device.startswith("cuda") and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"][processes.rank], processes.device)
