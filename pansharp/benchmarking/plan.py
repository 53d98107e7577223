"""What is run: methods, scenes and rules, checked before any work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pansharp.benchmarking.conventions import Conventions, get_conventions
from pansharp.benchmarking.job import PROTOCOLS, Job, protocols_of
from pansharp.benchmarking.sources import find_scenes
from pansharp.errors import ModelError, OptionError
from pansharp.models import get_spec, is_network, list_models
from pansharp.options import FuseOptions
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["classical_methods", "make_plan"]

_MODES = ("default", "reference")


def classical_methods() -> list[str]:
    """All classical methods for PAN and MS that the registry lists, ``exp`` first."""
    specs = [get_spec(name) for name in list_models()]
    names = [s.name for s in specs if s.kind == "classical" and "pan" in s.tasks]
    # Plain interpolation is what all others must beat.
    return sorted(names, key=lambda name: (name != "exp", name))


def make_plan(
    scenes: Sequence[str],
    models: Sequence[str],
    *,
    scene_options: dict[str, Any],
    options: dict[str, Any],
    protocol: str,
    conventions: str,
    cut: int | None,
    bits: int | None,
    mode: str,
) -> tuple[list[Job], Conventions]:
    """Turn what the user named into jobs, scene by scene.

    Parameters
    ----------
    scenes : sequence of str
        Files and folders.
    models : sequence of str
        Methods; empty takes all classical ones.
    scene_options, options : dict
        Keywords of `open_scene` and of `FuseOptions`, for all.
    protocol : {"both", "reduced", "full"}
        What to score.
    conventions : str
        Preset.
    cut, bits : int or None
        See :func:`~pansharp.benchmarking.conventions.get_conventions`.
    mode : {"default", "reference"}
        Arithmetic of the classical methods.

    Returns
    -------
    jobs : list of Job
    rules : Conventions

    Raises
    ------
    PansharpError
        A name, path or number that is wrong.
    """
    protocol, mode = protocol.lower(), mode.lower()
    if protocol not in PROTOCOLS:
        raise OptionError(f"--protocol is '{protocol}'; {nearest(protocol, list(PROTOCOLS))}")
    if mode not in _MODES:
        raise OptionError(f"--mode is '{mode}'; {nearest(mode, list(_MODES))}")
    rules = get_conventions(conventions, cut=cut, bits=bits)
    names = list(dict.fromkeys(name.lower() for name in models)) or classical_methods()
    chosen = [FuseOptions.checked(model=name, **options) for name in names]
    networks = [name for name in names if name == "auto" or is_network(name)]
    if mode == "reference" and (networks or "gdal-brovey" in names):
        other = networks[0] if networks else "gdal-brovey"
        raise ModelError(f"'{other}' has no reference mode; drop --mode, or leave it out")
    refs = find_scenes(scenes, scene_options)
    budget = _budget(networks) if networks else None
    named = bool(models)
    jobs = [
        Job(
            ref,
            replace(one, overwrite=False),
            rules,
            protocols_of(ref, protocol),
            budget,
            mode,
            named,
        )
        for ref in refs
        for one in chosen
    ]
    return jobs, rules


def _budget(networks: Sequence[str]) -> int:
    """MS pixels that the heaviest network can be judged on: then all see the same blocks."""
    from pansharp.models.networks import get_network

    return min(
        get_network("rescnn" if name == "auto" else name).adaptation.budget for name in networks
    )
