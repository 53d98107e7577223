"""The part of weights files that needs torch: tensors to bytes, and back into a network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pansharp.errors import OptionError, PansharpError, WeightsError
from pansharp.models.networks import build_network, full_arch
from pansharp.weights.content import ENTRY, one_line, split, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from pansharp.weights.card import WeightsCard

__all__ = ["packed", "restored", "unpacked"]


def packed(state: Mapping[str, Tensor], card: WeightsCard) -> tuple[bytes, str]:
    """The bytes of a weights file, and its digest; the architecture is completed by defaults.

    Raises
    ------
    WeightsError
        There are no tensors, an entry is no dense tensor, one holds NaN, or an architecture
        argument does not exist.
    """
    try:
        card = replace(card, arch=full_arch(card.network, card.arch))
    except OptionError as problem:
        raise WeightsError(f"arch of a weights card: {problem}") from None
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"'{name}' of the state dict is a {type(value).__name__}, not a tensor; give what "
                "state_dict() of a network returns"
            )
        if value.layout is not torch.strided:
            raise WeightsError(f"'{name}' is a sparse tensor; give the dense one, by to_dense()")
        if value.is_floating_point() and bool(torch.isnan(value).any()):
            raise WeightsError(
                f"'{name}' holds NaN: the training went wrong, and these weights are not saved; "
                "go back to the last good state or lower the rate"
            )
        # A copy: tensors that share memory are written out, and any layout becomes the plain one.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
    if not tensors:
        raise WeightsError("the state dict is empty: there is nothing to save")
    try:
        digest, entry = stamp(card, split(save(tensors)))
        return save(tensors, {ENTRY: entry}), digest
    except (SafetensorError, ValueError, KeyError) as problem:
        raise WeightsError(
            f"the state dict cannot be saved as safetensors: {one_line(problem)}"
        ) from None


def unpacked(blob: bytes) -> dict[str, Tensor]:
    """Tensors by name of a file that has been checked, in the order of their names.

    Raises
    ------
    WeightsError
        The file has data types that torch does not know.
    """
    try:
        state = load(blob)
    except (KeyError, ValueError, RuntimeError, TypeError) as problem:
        raise WeightsError(f"the tensors cannot be read by torch: {one_line(problem)}") from None
    return {name: state[name] for name in sorted(state)}


def restored(card: WeightsCard, state: Mapping[str, Tensor]) -> nn.Module:
    """See :func:`pansharp.weights.restore`."""
    # First without memory: a wrong card must not ask for more than the file holds.
    _compare(card.network, _built(card, "meta").state_dict(), state)
    network = _built(card, "cpu")
    network.load_state_dict(dict(state), strict=True)
    return network.eval()


def _built(card: WeightsCard, device: str) -> nn.Module:
    sizes: dict[str, Any] = {
        "ms_bands": card.ms_bands,
        "pan_bands": card.pan_bands,
        "ratio": card.ratio,
    }
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            return build_network(card.network, **sizes, **card.arch)
    except PansharpError as problem:
        raise WeightsError(f"the network of the card cannot be built: {problem}") from None
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as problem:
        arch = ", ".join(f"{key}={value!r}" for key, value in card.arch.items())
        raise WeightsError(
            f"network '{card.network}' cannot be built with {arch or 'its defaults'} as the card "
            f"of the weights asks: {one_line(problem)}"
        ) from None


def _compare(name: str, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    if missing := sorted(wanted.keys() - state.keys()):
        raise WeightsError(
            f"the weights lack {len(missing)} of the {len(wanted)} tensors of {name} as their card "
            f"describes it, the first is '{missing[0]}'; the card is not that of these weights"
        )
    if extra := sorted(state.keys() - wanted.keys()):
        raise WeightsError(
            f"the weights have {len(extra)} tensors that {name} as their card describes it has "
            f"not, the first is '{extra[0]}'; the card is not that of these weights"
        )
    for key, ours in wanted.items():
        theirs = state[key]
        if theirs.shape != ours.shape:
            raise WeightsError(
                f"'{key}' has the shape {tuple(theirs.shape)} in the weights and "
                f"{tuple(ours.shape)} in {name} as the card describes it; the card is not that of "
                "these weights"
            )
        if theirs.is_floating_point() != ours.is_floating_point():
            raise WeightsError(
                f"'{key}' is {theirs.dtype} in the weights and {ours.dtype} in {name}; the file is "
                "that of another version"
            )
