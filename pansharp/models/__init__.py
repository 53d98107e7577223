"""Fusion models by name: classical methods, networks, and GDAL's own for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import ModelError, UnknownModelError
from pansharp.models.base import ModelSpec
from pansharp.registry import Registry, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from pansharp.models.base import FusionModel

__all__ = [
    "build_network",
    "create_model",
    "get_spec",
    "is_network",
    "list_models",
    "register_model",
]

_CLASSICAL = "pansharp.models.classical."
_HYPERSPECTRAL = "pansharp.models.hyperspectral."
_BUILTIN = {
    "exp": _CLASSICAL + "interpolate",
    "brovey": _CLASSICAL + "brovey",
    "wbrovey": _CLASSICAL + "brovey",
    "gsa": _CLASSICAL + "gsa",
    "bdsd-pc": _CLASSICAL + "bdsd",
    "mtf-glp-fs": _CLASSICAL + "glp",
    "glp-hs": _HYPERSPECTRAL + "linear",
    "gsa-hs": _HYPERSPECTRAL + "linear",
    "sfim-hs": _HYPERSPECTRAL + "linear",
    "loc-hs": _HYPERSPECTRAL + "local",
    "gfpca": _HYPERSPECTRAL + "gfpca",
    "fuse-sylvester": _HYPERSPECTRAL + "sylvester",
    "cnmf": _HYPERSPECTRAL + "cnmf",
    "hysure": _HYPERSPECTRAL + "hysure",
}  #: Names that are no method of their own.
_SPECIAL = {
    "auto": "fits the plain residual network to the scene and takes whatever wins on unseen blocks",
    "gdal-brovey": "GDAL's weighted Brovey through a pansharpened VRT",
}

_registry: Registry[Callable[..., FusionModel]] = Registry(
    "model", _BUILTIN, "pansharp.models", UnknownModelError
)
register_model = _registry.register


def is_network(name: str) -> bool:
    """Whether `name` is a network (needs torch and adaptation or weights)."""
    if name.lower() in _BUILTIN:
        return False
    from pansharp.models.networks import list_networks

    return name.lower() in list_networks()


def list_models() -> list[str]:
    """Names of all models, without importing them.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> "mtf-glp-fs" in list_models()
    True
    """
    from pansharp.models.networks import list_networks

    return sorted({*_registry.names(), *list_networks(), *_SPECIAL})


def create_model(name: str, **options: object) -> FusionModel:
    """A classical model by name.

    Parameters
    ----------
    name : str
        See :func:`list_models`.
    **options
        Options of the method, e.g. ``weights=`` of ``wbrovey``.

    Returns
    -------
    FusionModel

    Raises
    ------
    UnknownModelError
        No such model.
    ModelError
        The name is a network, or an option does not exist.
    """
    key = name.lower()
    if key not in list_models():
        raise UnknownModelError(f"unknown model '{name}'; {nearest(name, list_models())}")
    if is_network(key) or key in ("gdal-brovey", "auto"):
        raise ModelError(
            f"'{name}' is not a method of plain arrays; call pansharp.fuse(scene, model='{name}')"
            + ("" if not is_network(key) else " or pansharp.models.build_network")
        )
    try:
        return _registry.get(key)(**options)
    except TypeError as problem:
        raise ModelError(f"model '{name}' does not take these options: {problem}") from problem


def get_spec(name: str) -> ModelSpec:
    """Facts about a model, by name.

    Raises
    ------
    UnknownModelError
        No such model.
    """
    key = name.lower()
    if key not in list_models():
        raise UnknownModelError(f"unknown model '{name}'; {nearest(name, list_models())}")
    if key in _SPECIAL:
        return _special_spec(key)
    if is_network(key):
        from pansharp.models.networks import get_network

        facts = get_network(key)
        return ModelSpec(
            key, "network", facts.reference, facts.summary, tasks=facts.tasks, note=facts.note
        )
    return create_model(key).spec


def _special_spec(name: str) -> ModelSpec:
    kind = "external" if name == "gdal-brovey" else "network"
    return ModelSpec(name, kind, "GDAL" if kind == "external" else "", _SPECIAL[name])


def build_network(
    name: str, *, ms_bands: int, pan_bands: int = 1, ratio: float = 4, **arch: object
) -> nn.Module:
    """A network by name, see :func:`pansharp.models.networks.build_network`."""
    from pansharp.models import networks

    return networks.build_network(name, ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio, **arch)
