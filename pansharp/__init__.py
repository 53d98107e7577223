"""Pansharpening and hyperspectral fusion that proves its result.

The public names load their module on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pansharp.benchmarking import benchmark
    from pansharp.evaluation import Report, evaluate
    from pansharp.models import create_model, list_models
    from pansharp.pipeline import fuse, fuse_arrays
    from pansharp.product import open_product
    from pansharp.readers import list_readers, open_scene
    from pansharp.scene import Scene
    from pansharp.sensors import get_sensor, list_sensors
    from pansharp.writers import write

__version__ = "0.1.0"

__all__ = [
    "Report",
    "Scene",
    "__version__",
    "benchmark",
    "create_model",
    "evaluate",
    "fuse",
    "fuse_arrays",
    "get_sensor",
    "list_models",
    "list_readers",
    "list_sensors",
    "open_product",
    "open_scene",
    "write",
]

_HOME = {
    "Report": "evaluation",
    "Scene": "scene",
    "benchmark": "benchmarking",
    "create_model": "models",
    "evaluate": "evaluation",
    "fuse": "pipeline",
    "fuse_arrays": "pipeline",
    "get_sensor": "sensors",
    "list_models": "models",
    "list_readers": "readers",
    "list_sensors": "sensors",
    "open_product": "product",
    "open_scene": "readers",
    "write": "writers",
}
_SUBMODULES = (
    *("accessor", "errors", "evaluation", "filters", "models", "pictures", "plotting"),
    *("readers", "sensors"),
)


def _attach() -> None:
    """Put the accessor on xarray's objects, if there can be any yet."""
    if "xarray" in sys.modules:
        import_module("pansharp.attach").attach()


def __getattr__(name: str) -> object:
    _attach()
    if name in _HOME:
        value: object = getattr(import_module(f"pansharp.{_HOME[name]}"), name)
    elif name in _SUBMODULES:
        value = import_module(f"pansharp.{name}")
    else:
        raise AttributeError(f"module 'pansharp' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})


_attach()
