"""Strict loading of authors' checkpoints under our own names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pansharp.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor, nn

__all__ = ["load_strictly", "shape_of"]


def shape_of(name: str, state: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    """Shape of one tensor that tells the architecture, e.g. the number of bands.

    Raises
    ------
    WeightsError
        The key is missing: the checkpoint is that of another network.
    """
    if key not in state:
        raise WeightsError(
            f"no '{key}' among the {len(state)} tensors of the checkpoint: it is not one of "
            f"{name}; give the state dict of the authors' network itself"
        )
    return tuple(state[key].shape)


def load_strictly(
    name: str,
    network: nn.Module,
    state: Mapping[str, Tensor],
    renames: Iterable[tuple[str, str]] = (),
    dead: Iterable[str] = (),
) -> None:
    """Copy an authors' tensors into a network of ours; every key must find its place.

    Parameters
    ----------
    name : str
        Network, for messages.
    network : torch.nn.Module
        Changed in place.
    state : mapping of str to Tensor
        Official keys and tensors; slices and the like are made by the caller beforehand.
    renames : iterable of (pattern, replacement)
        Regular expressions, applied in order to each official key.
    dead : iterable of str
        Regular expressions of official keys that the authors' forward pass never reads.

    Raises
    ------
    WeightsError
        A key is missing or left over, or a tensor has another shape; names the first of them.
    """
    unread = [re.compile(pattern) for pattern in dead]
    rules = [(re.compile(pattern), text) for pattern, text in renames]
    ours = network.state_dict()
    found: dict[str, tuple[str, Tensor]] = {}
    for official, tensor in state.items():
        if any(pattern.fullmatch(official) for pattern in unread):
            continue
        key = official
        for pattern, text in rules:
            key = pattern.sub(text, key)
        if key not in ours:
            raise WeightsError(
                f"the checkpoint has '{official}', which {name} with this architecture has not; "
                "check the architecture arguments"
            )
        if tensor.shape != ours[key].shape:
            raise WeightsError(
                f"'{official}' has the shape {tuple(tensor.shape)} in the checkpoint and "
                f"{tuple(ours[key].shape)} in {name}; check bands and architecture arguments"
            )
        found[key] = official, tensor
    missing = sorted(ours.keys() - found.keys())
    if missing:
        raise WeightsError(
            f"the checkpoint lacks {len(missing)} tensors of {name}, the first is '{missing[0]}'; "
            "it is that of another architecture"
        )
    network.load_state_dict({key: tensor for key, (_, tensor) in found.items()}, strict=True)
