"""The table of networks, and :func:`build_network`; listing them does not import torch.

A network is a ``torch.nn.Module`` with ``forward(guide, low)`` and ``residual(guide, up)`` (see
:class:`pansharp.models.layers.fusion.ResidualNetwork`). Its :class:`NetworkSpec` says what the
tiling engine and the per-scene adaptation must know.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pansharp.errors import ModelError, OptionError, UnknownModelError
from pansharp.models import facts
from pansharp.models.facts import AdaptationRecipe, NetworkSpec
from pansharp.registry import Registry, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from pansharp.models.base import ModelSpec

__all__ = [
    "AdaptationRecipe",
    "NetworkSpec",
    "build_network",
    "full_arch",
    "get_network",
    "has_network",
    "import_official",
    "list_networks",
    "model_spec",
    "register_network",
]


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


for _module in iter_modules(facts.__path__):
    for _spec in import_module(f"{facts.__name__}.{_module.name}").SPECS:
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
    factory = _load(spec.factory)
    _check_options(spec, arch)
    network: nn.Module = factory(
        ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio, **{**spec.arch, **arch}
    )
    if not callable(getattr(network, "residual", None)):
        raise ModelError(f"network '{spec.name}' has no residual(guide, up); see NetworkSpec")
    return network


def full_arch(name: str, arch: Mapping[str, object]) -> dict[str, object]:
    """Complete architecture arguments by the defaults of the table and of the network.

    Parameters
    ----------
    name : str
        One of :func:`list_networks`.
    arch : mapping
        As :func:`build_network` takes them.

    Returns
    -------
    dict
        Every architecture argument that there is, so that the network can be built again when the
        defaults have changed.

    Raises
    ------
    UnknownModelError
        If there is no network `name`.
    OptionError
        If an architecture argument does not exist.

    Examples
    --------
    >>> full_arch("rescnn-tiny", {})
    {'width': 16, 'blocks': 2}
    """
    spec = get_network(name)
    _check_options(spec, arch)
    parameters = inspect.signature(_load(spec.factory)).parameters.values()
    defaults = {
        p.name: p.default
        for p in parameters
        if p.name not in _COMMON and p.default is not inspect.Parameter.empty
    }
    return {**defaults, **spec.arch, **arch}


def import_official(name: str, state_dict: Mapping[str, Tensor], **arch: Any) -> nn.Module:
    """Build a network with an authors' checkpoint loaded strictly.

    Parameters
    ----------
    name : str
        One of :func:`list_networks`.
    state_dict : mapping of str to Tensor
        The official state dict, keys as the authors' code saves them.
    **arch
        Architecture arguments that the tensors do not tell, as in :func:`build_network`.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, built with ``faithful=True``.

    Raises
    ------
    UnknownModelError
        If there is no network `name`.
    ModelError
        If no official weights exist for it.
    OptionError
        If an architecture argument does not exist.
    WeightsError
        If a key is missing, left over, or has another shape; the message names it.
    """
    spec = get_network(name)
    if spec.importer is None:
        known = [n for n in list_networks() if get_network(n).importer]
        raise ModelError(
            f"network '{spec.name}' has no official weights ({spec.note}); those that have: "
            + (", ".join(known) or "none")
        )
    _check_options(spec, {key: value for key, value in arch.items() if key != "ratio"})
    network: nn.Module = _load(spec.importer)(state_dict, **{**spec.arch, **arch})
    return network.eval()


def _check_options(spec: NetworkSpec, arch: Mapping[str, object]) -> None:
    parameters = inspect.signature(_load(spec.factory)).parameters
    known = [name for name in parameters if name not in _COMMON]
    for key in arch:
        if key not in known:
            raise OptionError(f"network '{spec.name}' has no option '{key}'; {nearest(key, known)}")


def _load(where: str) -> Any:
    module, _, attribute = where.partition(":")
    return getattr(import_module(module), attribute)
