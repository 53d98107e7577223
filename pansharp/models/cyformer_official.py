"""The authors' CYformer checkpoints, read strictly into :class:`pansharp.models.cyformer.CYformer`.

Known dead tensors, which the authors create and never read, are dropped: ``skip_conv``, the spare
query layer of the window attention, the PReLU of each stage, the query third of the channel
attention's ``qkv``; and the index table that follows from the window.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from pansharp.errors import WeightsError
from pansharp.models.cyformer import CYformer, legacy_window
from pansharp.models.layers.official import load_strictly, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["import_official"]

_NAME = "cyformer"
_BLOCK = r"hsi_module\.(\d+)\.sstblock\.(\d+)\."
_DEAD = (
    r"skip_conv\.(weight|bias)",
    r"hsi_module\.\d+\.act\.weight",
    _BLOCK + r"attn\.q\.(weight|bias)",
    _BLOCK + r"attn\.relative_position_index",
)
_FEED = {
    "fc1": "expand",
    "sg.norm": "norm",
    "sg.conv": "spread",
    "sg.pconv": "mix",
    "fc2": "reduce",
}
_RENAMES = (
    (r"^conv_first1\.", "stem_hsi."),
    (r"^conv_first2\.", "stem_msi."),
    (r"^conv\.", "mix."),
    (r"^dw\.", "guide_msi."),
    (r"^sc\.", "guide_hsi."),
    (r"^hsi_module\.(\d+)\.conv\.", r"stages.\1.out."),
    (r"^" + _BLOCK, r"stages.\1.blocks.\2."),
    (r"\.norm1\.", ".norm_a."),
    (r"\.norm2\.", ".norm_b."),
    (r"\.attn\.relative_position_bias_table$", ".win.bias"),
    (r"\.attn\.proj\.", ".win.out."),
    (r"\.attn\.", ".win."),
    (r"\.spectral_attn\.qkv\.", ".chan.key_value."),
    (r"\.spectral_attn\.q\.", ".chan.query."),
    (r"\.spectral_attn\.project_out\.", ".chan.out."),
    (r"\.spectral_attn\.", ".chan."),
    *((rf"\.mlp(\d)\.{re.escape(k)}\.", rf".ffn\1.{v}.") for k, v in _FEED.items()),
    (r"\.dwconv\.0\.", ".msi_dw."),
    (r"\.dwconv\.1\.", ".msi_norm."),
)
#: Children of the two kinds of gate in the authors' code.
_MAP = {"0": "reduce", "1": "norm", "3": "expand"}
_POOLED = {"1": "reduce", "2": "norm", "4": "expand"}


def import_official(state: Mapping[str, Tensor], *, ratio: float = 4, **arch: object) -> CYformer:
    """Build the authors' network with their weights.

    Parameters
    ----------
    state : mapping of str to Tensor
        State dict of the authors' network, the entry ``model`` of their file. Bands, width,
        depths, heads, window and the layout of the gates are read off its tensors.
    ratio : float
        Ratio that it was trained for. The tensors do not tell it, and the windows depend on it.
    **arch
        Further arguments of :class:`CYformer`, e.g. ``stats="window"``.

    Returns
    -------
    CYformer
        ``faithful=True`` unless `arch` says otherwise.

    Raises
    ------
    WeightsError
        A key is missing or left over, a tensor has another shape, or the windows are not those of
        `ratio`; names the first.
    """
    width, ms_bands = shape_of(_NAME, state, "conv_first1.weight")[:2]
    pan_bands = shape_of(_NAME, state, "conv_first2.weight")[1]
    first = "hsi_module.0.sstblock.0."
    table, heads = shape_of(_NAME, state, first + "attn.relative_position_bias_table")
    literal = len(shape_of(_NAME, state, first + "SAAI.1.weight")) == 4
    depths: dict[int, int] = {}
    for key in state:
        found = re.match(_BLOCK, key)
        if found:
            stage, block = int(found[1]), int(found[2])
            depths[stage] = max(depths.get(stage, 0), block + 1)
    if sorted(depths) != list(range(len(depths))):
        raise WeightsError(
            f"the checkpoint has the stages {sorted(depths)} of {_NAME}; a stage is missing"
        )
    arch = {
        "width": width,
        "depths": tuple(depths[i] for i in sorted(depths)),
        "heads": heads,
        "gate_layout": "literal" if literal else "repaired",
        "faithful": True,
        **arch,
    }
    side = (math.isqrt(table) + 1) // 2
    if arch.get("legacy_window_rule", arch["faithful"]):
        expected, _ = legacy_window(ratio)
        if side != expected:
            raise WeightsError(
                f"the checkpoint has attention windows of {side}, those of ratio {ratio:g} are "
                f"{expected}; give the ratio that it was trained for"
            )
    network = CYformer(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio, **arch)  # type: ignore[arg-type]
    load_strictly(_NAME, network, _fitted(state, literal), _rules(literal), _DEAD)
    return network


def _fitted(state: Mapping[str, Tensor], literal: bool) -> dict[str, Tensor]:
    """Cut off the query third of the channel attention, and make its and the gates' layers flat."""
    result = {}
    for key, tensor in state.items():
        if re.search(r"\.spectral_attn\.qkv\.weight$", key):
            tensor = tensor[tensor.shape[0] // 3 :]
        if re.search(r"\.(spectral_attn|mlp\d\.sg\.pconv|SAAI|SEAI)\.", key) and tensor.ndim == 4:
            tensor = tensor.flatten(1)
        result[key] = tensor
    return result


def _rules(literal: bool) -> tuple[tuple[str, str], ...]:
    gates = (("SAAI", "gate_msi", literal), ("SEAI", "gate_hsi", not literal))
    children = (
        (rf"\.{theirs}\.{number}\.", f".{ours}.{name}.")
        for theirs, ours, pooled in gates
        for number, name in (_POOLED if pooled else _MAP).items()
    )
    return (*_RENAMES, *children)
