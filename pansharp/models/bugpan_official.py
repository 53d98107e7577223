"""Checkpoints of the authors' BUGPan (GitHub coder-JMHou/BUGPan, class MSL_RIJAN_P)."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from pansharp.errors import PansharpWarning, WeightsError
from pansharp.models.bugpan import BUGPan
from pansharp.models.layers.official import load_strictly, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["import_official"]

_NAME = "bugpan"
_BLOCK = r"^rijabs\.(\d+)\."
_MASKS = "rijabs.{}.UE.mask.masks"
#: Official name to ours, in this order. The kernel sizes 1, 3, 5 are units 0, 1, 2.
_RENAMES = (
    (r"^proj_(pan|ms)\.", r"project_\1."),
    (r"^proj_out\.", "project_image."),
    (r"^up_out\.", "up_image."),
    (r"^up_fm\.", "up_features."),
    (r"^aggregate_ms\.", "merge."),
    (_BLOCK + r"head_conv\.", r"blocks.\1.head."),
    (_BLOCK + r"(sat[135])\.(CB|sat)\.", r"rijabs.\1.\2.0.\3."),
    (_BLOCK + r"sat1\.(\d+)\.", r"blocks.\1.steps.\2.units.0."),
    (_BLOCK + r"sat3\.(\d+)\.", r"blocks.\1.steps.\2.units.1."),
    (_BLOCK + r"sat5\.(\d+)\.", r"blocks.\1.steps.\2.units.2."),
    (r"\.sat\.conv1\.0\.", ".squeeze."),
    (r"\.sat\.conv1\.2\.", ".attend."),
    (_BLOCK + r"gate\.embed0\.0\.", r"blocks.\1.gate.embed."),
    (_BLOCK + r"gate\.embed1\.", r"blocks.\1.gate.decide."),
    (_BLOCK + r"UE\.conv\.", r"blocks.\1.uncertainty.spread."),
    (_BLOCK + r"UE\.out\.0\.", r"blocks.\1.uncertainty.out."),
    (_BLOCK + r"UE\.mask\.masks$", r"blocks.\1.uncertainty.masks"),
)
_FULL = ((r"\.CB\.conv_block\.0\.", ".first."), (r"\.CB\.conv_block\.2\.", ".second."))
_SEPARABLE = (
    (r"\.CB\.conv_block\.([01])\.", r".first.\1."),
    (r"\.CB\.conv_block\.3\.", ".second.0."),
    (r"\.CB\.conv_block\.4\.", ".second.1."),
)


def import_official(state: Mapping[str, Tensor], **arch: Any) -> BUGPan:
    """Build the authors' network from their state dict.

    Parameters
    ----------
    state : mapping of str to Tensor
        The entry ``state_dict`` of a checkpoint of ``MSL_RIJAN_P``, gated or not. Bands, widths,
        the kind of gate and what it reads are taken from the tensors.
    **arch
        Arguments of :class:`pansharp.models.bugpan.BUGPan` that they do not tell: `retimes` of a
        recursive network (5), `gate_offset` (0.7, with which the authors predict), `gate_scope`.

    Returns
    -------
    BUGPan
        With ``faithful=True``.

    Raises
    ------
    WeightsError
        If a key is missing, left over, or has another shape; the message names it.

    Warns
    -----
    PansharpWarning
        If the file holds no ensemble masks. The authors' dependency, masksembles, stores them up
        to its repository's commit 0ae9436 and no more in release 1.1.1. Masks of our own are used
        then: on a random network the predicted correction changed by 20 to 39 % of its spread.
    """
    found = _architecture(state)
    if arch.get("ratio", found["ratio"]) != found["ratio"]:
        raise WeightsError(
            f"the checkpoint has {found['scales']} scales, those of a ratio of {found['ratio']}, "
            f"not of {arch['ratio']:g}; give the ratio that it was trained for"
        )
    network = BUGPan(**{**found, **arch, "faithful": True})
    state = dict(state)
    ours = network.state_dict()
    lacking = [key for i in range(found["scales"]) if (key := _MASKS.format(i)) not in state]
    if lacking:
        warnings.warn(
            f"the checkpoint of {_NAME} holds no '{lacking[0]}': its ensemble masks were random "
            "and are lost, so the network cannot be restored exactly and its correction will be "
            "off by some 20 to 40 %; train it on, or add the masks under these keys",
            PansharpWarning,
            stacklevel=3,
        )
        for i, block in enumerate(network.blocks):
            state.setdefault(_MASKS.format(i), block.uncertainty.masks)  # type: ignore[arg-type,union-attr]
    # No layer of the authors' file, but part of ours: the offset is a constant of their code.
    state.update({key: value for key, value in ours.items() if key.endswith(".gate.offset")})
    separable = _is_separable(state)
    load_strictly(_NAME, network, state, (*_RENAMES, *(_SEPARABLE if separable else _FULL)))
    network.to_fastest_layout()
    return network


def _is_separable(state: Mapping[str, Tensor]) -> bool:
    return any(key.endswith(".CB.conv_block.4.weight") for key in state)


def _architecture(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments that the tensors tell."""
    width, bands = shape_of(_NAME, state, "proj_ms.0.weight")[:2]
    pan_bands = shape_of(_NAME, state, "proj_pan.0.weight")[1]
    scales = sum(re.fullmatch(r"proj_ms\.\d+\.weight", key) is not None for key in state)
    arch: dict[str, Any] = {
        "ms_bands": bands,
        "pan_bands": pan_bands,
        "ratio": 2 ** (scales - 1),
        "width": width,
        "scales": scales,
        "depthwise": _is_separable(state),
        "gate": "none",
    }
    steps = {m[1] for key in state if (m := re.match(r"rijabs\.0\.sat1\.(\d+)\.", key))}
    if steps:
        arch |= {"recursive": False, "retimes": len(steps)}
    if "rijabs.0.gate.embed0.0.weight" in state:
        arch |= _gate(state, width, bands, scales)
    return arch


def _gate(state: Mapping[str, Tensor], width: int, bands: int, scales: int) -> dict[str, Any]:
    embed = [shape_of(_NAME, state, f"rijabs.{i}.gate.embed0.0.weight") for i in range(scales)]
    last = shape_of(_NAME, state, "rijabs.0.gate.embed1.4.weight")
    maps, rest = divmod(embed[0][1] - width, bands)
    reads = {3: "all", 2: "frequency", 1: "space", 0: "features"}
    if rest or maps not in reads:
        raise WeightsError(
            f"'rijabs.0.gate.embed0.0.weight' has the shape {embed[0]}: a gate of {_NAME} reads "
            f"{width} features and 0 to 3 maps of {bands} bands; check the checkpoint"
        )
    if len(last) == 4:
        return {"gate": "esw"}
    if last[0] == 1:
        return {"gate": "ssw"}
    return {
        "gate": "gate",
        "gate_input": reads[maps],
        "gate_widths": tuple(shape[0] for shape in embed),
    }
