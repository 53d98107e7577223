"""The table of networks, and :func:`build_network`; listing them does not import torch.

A network is a ``torch.nn.Module`` with ``forward(guide, low)`` and ``residual(guide, up)`` (see
:class:`pansharp.models.layers.fusion.ResidualNetwork`). Its :class:`NetworkSpec` says what the
tiling engine and the per-scene adaptation must know.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pansharp.errors import ModelError, OptionError, UnknownModelError
from pansharp.registry import Registry, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from pansharp.models.base import ModelSpec

__all__ = [
    "AdaptationRecipe",
    "NetworkSpec",
    "build_network",
    "get_network",
    "has_network",
    "list_networks",
    "model_spec",
    "register_network",
]


@dataclass(frozen=True, slots=True)
class AdaptationRecipe:
    """How a network is fitted to one scene unless the user says otherwise.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    steps_unselected : int
        Steps on scenes with too few held-out blocks to stop by score.
    patch : int
        Side of a training patch, in pixels of the reduced PAN (= native MS pixels).
    batch : int
        Patches per step.
    peak_lr : float
        Peak of the one-cycle schedule of AdamW.
    clip : float or None
        Largest gradient norm; None where clipping is not needed.
    """

    steps: int
    patch: int
    batch: int
    steps_unselected: int = 200
    peak_lr: float = 2e-3
    clip: float | None = None


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Facts about a network.

    Parameters
    ----------
    name : str
        Name users type.
    factory : str
        ``"module:class"``; called with ms_bands, pan_bands, ratio and the architecture arguments.
    reference : str
        Citation; says so where there is no paper.
    summary : str
        One line.
    note : str
        What a user must know of its relation to the paper.
    arch : mapping
        Architecture arguments that differ from the factory's defaults.
    reach : callable
        Architecture arguments to the exact reach of ``residual`` in PAN pixels; None: unbounded.
    multiple_of : int
        PAN pixels; origins and sides of tiles, halo included, must be multiples of it.
    local : bool
        Whether discarding the exact reach around each tile is affordable.
    practical_halo : int
        PAN pixels to discard around each tile in ordinary use; equals the reach if `local`.
    tile : int
        Recommended side of a tile in PAN pixels, halo included.
    adaptation : AdaptationRecipe
        Per-scene fitting.
    threads_inside : bool
        Whether tiles are so heavy that torch's own threads are used instead of tiles side by side:
        about as fast, the same bits, and one tile less in memory.
    tasks : tuple of str
        ``"pan"``, ``"hsi"``.
    """

    name: str
    factory: str
    reference: str
    summary: str
    note: str
    reach: Callable[[Mapping[str, object]], int | None]
    multiple_of: int
    local: bool
    practical_halo: int
    tile: int
    adaptation: AdaptationRecipe
    arch: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    tasks: tuple[str, ...] = ("pan",)
    threads_inside: bool = False

    def halo(self, arch: Mapping[str, object] | None = None) -> int | None:
        """Return the reach of ``residual``: PAN pixels beyond which input cannot matter.

        Parameters
        ----------
        arch : mapping, optional
            Architecture arguments given on top of the ones of this entry.

        Returns
        -------
        int or None
            Exact for tiles whose origin and side are multiples of the network's ``multiple_of``.
            None if every output depends on the whole tile. ``forward`` upsamples too, which adds
            two low-resolution pixels (``2 * ratio``) before the first layer.
        """
        return self.reach({**self.arch, **(arch or {})})


def _number(arch: Mapping[str, object], key: str, default: int) -> int:
    value = arch.get(key, default)
    if not isinstance(value, int):
        raise OptionError(f"{key}={value!r}: must be a whole number")
    return value


def _rescnn_reach(arch: Mapping[str, object]) -> int:
    return 2 * _number(arch, "blocks", 2) + 2


def _ssft_reach(arch: Mapping[str, object]) -> int | None:
    """Follow the pixels spoilt by a tile's edge through the layers, stage by stage.

    A windowed layer spoils every pixel that shares a window with a spoilt one. The Fourier windows
    of the second transform in a stage start on the same grid, so it adds one hop only.
    """
    if arch.get("fft_scope", "window") != "window":
        return None
    fft = _number(arch, "fft_window", 32)
    attention = _number(arch, "attention_window", 8)
    hop = fft // 2

    def fourier(edge: int) -> int:
        # The last window that begins before the first sound pixel.
        return ((edge - 1) // hop) * hop + fft

    def attend(edge: int, shift: int) -> int:
        return ((edge - 1 + shift) // attention + 1) * attention - shift

    m = p = 1
    for stage in range(_number(arch, "stages", 4)):
        shift = attention // 2 * (stage % 2)
        s = fourier(max(m, p))
        p_next = attend(p, shift) + 1
        mixed = fourier(max(s, p_next))
        m = max(m, attend(max(mixed, p), shift)) + 1
        p = p_next
    return m + 2


_SSFT_PAPER = (
    "M. Ma, Y. Jiang, M. Zhao, X. Ma, W. Zhang, S. Song, Deep spatial-spectral fusion transformer "
    "for remote sensing pansharpening, Information Fusion, 2025, doi:10.1016/j.inffus.2025.102980"
)
_SSFT_NOTE = (
    "independent implementation after the published description; sizes are ours; no published "
    "score is claimed"
)

_BUILTIN = (
    NetworkSpec(
        name="rescnn",
        factory="pansharp.models.rescnn:ResCNN",
        reference="no paper: a plain residual network of this project",
        summary="plain residual network, about 40 000 parameters, adapts in seconds",
        note="the practical choice when nobody asks for a paper",
        reach=_rescnn_reach,
        multiple_of=1,
        local=True,
        practical_halo=6,
        tile=512,
        adaptation=AdaptationRecipe(steps=300, patch=32, batch=8),
    ),
    NetworkSpec(
        name="rescnn-tiny",
        factory="pansharp.models.rescnn:ResCNN",
        reference="no paper: a plain residual network of this project",
        summary="plain residual network, about 11 000 parameters, for large mosaics",
        note="most of the gain of rescnn at 40 % of its cost",
        reach=_rescnn_reach,
        multiple_of=1,
        local=True,
        practical_halo=6,
        tile=512,
        adaptation=AdaptationRecipe(steps=300, patch=32, batch=8),
        arch=MappingProxyType({"width": 16}),
    ),
    NetworkSpec(
        name="ssft",
        factory="pansharp.models.ssft:SSFT",
        reference=_SSFT_PAPER,
        summary="Fourier amplitude from PAN and MS, sparse attention from PAN alone",
        note=_SSFT_NOTE,
        reach=_ssft_reach,
        multiple_of=16,
        local=False,
        practical_halo=32,
        tile=256,
        threads_inside=True,
        adaptation=AdaptationRecipe(steps=250, patch=48, batch=2, steps_unselected=120, clip=1.0),
    ),
    NetworkSpec(
        name="ssft-small",
        factory="pansharp.models.ssft:SSFT",
        reference=_SSFT_PAPER,
        summary="ssft with 2 stages of 16 channels, for two processor cores",
        note=_SSFT_NOTE,
        reach=_ssft_reach,
        multiple_of=8,
        local=True,
        practical_halo=56,
        tile=256,
        adaptation=AdaptationRecipe(steps=400, patch=32, batch=4, clip=1.0),
        arch=MappingProxyType({"width": 16, "stages": 2, "fft_window": 16}),
    ),
    NetworkSpec(
        name="ssft-tilefft",
        factory="pansharp.models.ssft:SSFT",
        reference=_SSFT_PAPER,
        summary="ssft with one Fourier transform of the whole tile",
        note=_SSFT_NOTE + "; the result depends on the tile size, which must be that of training",
        reach=_ssft_reach,
        multiple_of=8,
        local=False,
        practical_halo=16,
        tile=64,
        adaptation=AdaptationRecipe(steps=150, patch=64, batch=2, clip=1.0),
        arch=MappingProxyType({"fft_scope": "tile"}),
    ),
)

#: Arguments of :func:`build_network` itself; all others describe the architecture.
_COMMON = ("ms_bands", "pan_bands", "ratio")

_NETWORKS: Registry[NetworkSpec] = Registry("network", {}, "pansharp.networks", UnknownModelError)


def register_network(spec: NetworkSpec) -> NetworkSpec:
    """Add a network to the table.

    Raises
    ------
    PansharpError
        If the name is taken or not lower case.
    """
    return _NETWORKS.register(spec.name)(spec)


for _spec in _BUILTIN:
    register_network(_spec)


def has_network(name: str) -> bool:
    """Whether there is a network `name`; does not import torch."""
    return name in _NETWORKS


def list_networks() -> list[str]:
    """Names of all networks, sorted; does not import torch."""
    return _NETWORKS.names()


def get_network(name: str) -> NetworkSpec:
    """Return the facts about network `name`; does not import torch.

    Raises
    ------
    UnknownModelError
        If there is none of that name; the message offers near matches.
    """
    return _NETWORKS.get(name)


def model_spec(name: str) -> ModelSpec:
    """Return the entry of network `name` in the list of models; does not import torch.

    Raises
    ------
    UnknownModelError
        If there is none of that name.
    """
    from pansharp.models.base import ModelSpec

    spec = get_network(name)
    return ModelSpec(
        name=spec.name,
        kind="network",
        reference=spec.reference,
        summary=spec.summary,
        tasks=spec.tasks,
        note=spec.note,
    )


def build_network(
    name: str, *, ms_bands: int, pan_bands: int = 1, ratio: float = 4, **arch: Any
) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    name : str
        One of :func:`list_networks`.
    ms_bands, pan_bands : int
        Bands of the low-resolution image and of the guide.
    ratio : float
        Nominal ratio of pixel sizes.
    **arch
        Architecture arguments of the network, e.g. ``width=16``.

    Returns
    -------
    torch.nn.Module
        ``forward(guide, low)``: guide (N, pan_bands, H, W), low (N, ms_bands, h, w), float32 in
        [0, 1], gives (N, ms_bands, H, W). A fresh network returns the bicubic upsampling of `low`.

    Raises
    ------
    UnknownModelError
        If there is no network `name`.
    OptionError
        If an architecture argument does not exist or does not fit.

    Examples
    --------
    >>> import torch
    >>> net = build_network("rescnn-tiny", ms_bands=4)
    >>> net(torch.rand(1, 1, 32, 32), torch.rand(1, 4, 8, 8)).shape
    torch.Size([1, 4, 32, 32])
    """
    spec = get_network(name)
    module, _, attribute = spec.factory.partition(":")
    factory = getattr(import_module(module), attribute)
    known = [p for p in inspect.signature(factory).parameters if p not in _COMMON]
    for key in arch:
        if key not in known:
            raise OptionError(f"network '{spec.name}' has no option '{key}'; {nearest(key, known)}")
    network: nn.Module = factory(
        ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio, **{**spec.arch, **arch}
    )
    if not callable(getattr(network, "residual", None)):
        raise ModelError(f"network '{spec.name}' has no residual(guide, up); see NetworkSpec")
    return network
