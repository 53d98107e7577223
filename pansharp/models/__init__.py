"""Fusion models by name: classical methods, networks, and GDAL's own for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import ModelError, OptionError, UnknownModelError
from pansharp.models.base import ModelSpec
from pansharp.registry import Registry, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from pansharp.models.base import FusionModel

__all__ = [
    "build_network",
    "create_model",
    "get_spec",
    "import_official",
    "is_model",
    "is_network",
    "list_models",
    "list_options",
    "register_model",
]

_CLASSICAL = "pansharp.models.classical."
_HYPERSPECTRAL = "pansharp.models.hyperspectral."
#: Module to the names of its methods.
_MODULES = {
    _CLASSICAL + "interpolate": ("exp",),
    _CLASSICAL + "brovey": ("brovey", "wbrovey"),
    _CLASSICAL + "substitution": ("ihs", "pca", "gs", "gsa"),
    _CLASSICAL + "cgsa": ("cgsa",),
    _CLASSICAL + "bth": ("bth",),
    _CLASSICAL + "bdsd": ("bdsd", "bdsd-pc"),
    _CLASSICAL + "pracs": ("pracs",),
    _CLASSICAL + "highpass": ("hpf", "sfim", "atwt", "awlp", "mf-hg"),
    _CLASSICAL + "indusion": ("indusion",),
    _CLASSICAL + "glp": ("mtf-glp", "mtf-glp-fs", "mtf-glp-cbd"),
    _CLASSICAL + "hpm": ("mtf-glp-hpm", "mtf-glp-hpm-r", "mtf-glp-hpm-h"),
    _CLASSICAL + "variational": ("tv",),
    _HYPERSPECTRAL + "linear": ("glp-hs", "gsa-hs", "sfim-hs"),
    _HYPERSPECTRAL + "local": ("loc-hs",),
    _HYPERSPECTRAL + "gfpca": ("gfpca",),
    _HYPERSPECTRAL + "sylvester": ("fuse-sylvester",),
    _HYPERSPECTRAL + "cnmf": ("cnmf",),
    _HYPERSPECTRAL + "hysure": ("hysure",),
    _HYPERSPECTRAL + "rfridge": ("rfridge",),
}
_BUILTIN = {name: module for module, names in _MODULES.items() for name in names}
#: Names that are no method of their own.
_SPECIAL = {
    "auto": "fits rescnn (cubes: rfridge) to the scene, takes whatever wins on unseen blocks",
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
    from pansharp.models.networks import has_network

    return has_network(name)


def is_model(name: str) -> bool:
    """Whether there is a model `name`, of any kind; imports no model."""
    return name.lower() in _SPECIAL or name in _registry or is_network(name)


def list_models(kind: str | None = None, task: str | None = None) -> list[str]:
    """Names of all models; without `task` no module is imported.

    Parameters
    ----------
    kind : {"classical", "network"}, optional
        Only those; ``classical`` also names methods that plug-ins registered.
    task : {"pan", "hsi"}, optional
        Only models for PAN and MS, or for hyperspectral cubes.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    OptionError
        Another `kind`.

    Examples
    --------
    >>> "mtf-glp-fs" in list_models()
    True
    """
    from pansharp.models.networks import list_networks

    kinds = {
        "classical": _registry.names(),
        "network": list_networks(),
        None: [*_registry.names(), *list_networks(), *_SPECIAL],
    }
    if kind not in kinds:
        raise OptionError(f"kind is '{kind}'; choose classical or network")
    return sorted(name for name in set(kinds[kind]) if task in (None, *_tasks(name, task)))


def _tasks(name: str, task: str | None) -> tuple[str, ...]:
    return () if task is None else get_spec(name).tasks


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
        The name is a network.
    OptionError
        An option does not exist, or its value is wrong.
    """
    key = name.lower()
    if not is_model(key):
        raise UnknownModelError(f"unknown model '{name}'; {nearest(name, list_models())}")
    if is_network(key) or key in ("gdal-brovey", "auto"):
        raise ModelError(
            f"'{name}' is not a method of plain arrays; call pansharp.fuse(scene, model='{name}')"
            + ("" if not is_network(key) else " or pansharp.models.build_network")
        )
    known = list_options(key)
    for option in options:
        if option not in known and option != "mode":
            takes = nearest(option, list(known)) if known else "it takes none"
            raise OptionError(f"model '{key}' has no option '{option}'; {takes}")
    return _registry.get(key)(**options)


def list_options(name: str) -> dict[str, object]:
    """Options of a classical method and their defaults; empty for networks and GDAL's method.

    Parameters
    ----------
    name : str
        See :func:`list_models`.

    Examples
    --------
    >>> list_options("bdsd")
    {'block_size': None}
    """
    from inspect import signature

    key = name.lower()
    if key not in _registry:
        return {}
    parameters = signature(_registry.get(key)).parameters
    return {k: p.default for k, p in parameters.items() if k != "mode"}


def get_spec(name: str) -> ModelSpec:
    """Facts about a model, by name.

    Raises
    ------
    UnknownModelError
        No such model.
    """
    key = name.lower()
    if not is_model(key):
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
    tasks = ("pan",) if kind == "external" else ("pan", "hsi")
    reference = "GDAL" if kind == "external" else ""
    return ModelSpec(name, kind, reference, _SPECIAL[name], tasks=tasks)


def build_network(
    name: str, *, ms_bands: int, pan_bands: int = 1, ratio: float = 4, **arch: object
) -> nn.Module:
    """A network by name, see :func:`pansharp.models.networks.build_network`."""
    from pansharp.models import networks

    return networks.build_network(name, ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio, **arch)


def import_official(name: str, state_dict: Mapping[str, Tensor], **arch: object) -> nn.Module:
    """An authors' checkpoint in a network, see :func:`pansharp.models.networks.import_official`."""
    from pansharp.models import networks

    return networks.import_official(name, state_dict, **arch)
