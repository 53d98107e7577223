"""Reading and writing weights files; nothing here imports torch before it has tensors to make.

A weights file is a safetensors file with one entry ``pansharp`` in its metadata: a JSON document
of the layout's number, the digest and the card.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import WeightsError, WriteError
from pansharp.weights.content import opened, read_header, read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from pansharp.weights.card import WeightsCard
    from pansharp.weights.content import Content

__all__ = ["SUFFIX", "load_weights", "read_card", "restore", "save_weights", "verify"]

#: Ending of weights files.
SUFFIX = ".safetensors"


def save_weights(
    path: str | os.PathLike[str], state_dict: Mapping[str, Tensor], card: WeightsCard
) -> str:
    """Write a weights file; it appears whole or not at all, and replaces one of the same name.

    Parameters
    ----------
    path : path-like
        Must end in ``.safetensors``; its folder must exist.
    state_dict : mapping of str to Tensor
        All that ``load_state_dict`` needs, on any device and in any memory layout.
    card : WeightsCard
        Its `arch` is completed by the defaults of today, so that the file stays right when they
        change; its `digest` is not looked at.

    Returns
    -------
    str
        SHA-256 (64 hexadecimal digits) over the names, data types, shapes and bytes of all tensors
        and the card: equal weights with an equal card have the same digest anywhere.

    Raises
    ------
    WeightsError
        There are no tensors, one holds NaN, an entry is no tensor, an architecture argument does
        not exist, or `path` ends otherwise.
    WriteError
        The file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != SUFFIX:
        raise WeightsError(f"{target}: a weights file must end in '{SUFFIX}'; change the name")
    from pansharp.weights.tensors import packed

    blob, digest = packed(state_dict, card)
    part = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        part.write_bytes(blob)
        os.replace(part, target)
    except OSError as problem:
        raise WriteError(f"{target}: cannot write the weights: {problem.strerror}") from problem
    finally:
        part.unlink(missing_ok=True)
    return digest


def load_weights(path: str | os.PathLike[str]) -> tuple[WeightsCard, dict[str, Tensor]]:
    """Read a weights file and check all of it.

    Parameters
    ----------
    path : path-like
        See :func:`find_weights` for names.

    Returns
    -------
    card : WeightsCard
        With its `digest`.
    state : dict of str to Tensor
        On the CPU, in the data types of the file.

    Raises
    ------
    WeightsError
        The file is missing, truncated, changed since it was written, has no card or one that this
        version does not know, or is of another kind; one line that says what to do.
    """
    found = verify(path)
    from pansharp.weights.tensors import unpacked

    return found.card, unpacked(found.blob)


def read_card(path: str | os.PathLike[str]) -> WeightsCard:
    """Read the card alone: no tensor is read and torch is not imported.

    Parameters
    ----------
    path : path-like
        See :func:`find_weights` for names.

    Returns
    -------
    WeightsCard
        With the `digest` that the file states, which is not checked here.

    Raises
    ------
    WeightsError
        As :func:`load_weights`, apart from what only the tensors show.
    """
    where = Path(path)
    with opened(where) as (file, size):
        return read_header(where, file, size).card


def verify(path: str | os.PathLike[str]) -> Content:
    """Read a weights file and check all of it, without torch.

    Parameters
    ----------
    path : path-like
        See :func:`find_weights` for names.

    Returns
    -------
    Content
        Card, and data type and shape of each tensor.

    Raises
    ------
    WeightsError
        As :func:`load_weights`.
    """
    where = Path(path)
    with opened(where) as (file, size):
        return read_tensors(where, read_header(where, file, size), file)


def restore(card: WeightsCard, state: Mapping[str, Tensor]) -> nn.Module:
    """Build the network of a card and load its weights strictly.

    Parameters
    ----------
    card : WeightsCard
        Says network, architecture, bands and ratio.
    state : mapping of str to Tensor
        As :func:`load_weights` gives it.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, on the CPU, with tensors of its own. The state of torch's random
        generator stays as it was.

    Raises
    ------
    WeightsError
        The network cannot be built so, or a tensor is missing, left over, of another shape or of
        another kind; the message names the first.
    """
    from pansharp.weights.tensors import restored

    return restored(card, state)
