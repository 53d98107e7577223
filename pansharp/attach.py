"""Puts the accessor ``.pansharp`` on xarray's objects; imports nothing until it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["attach"]

_NAME = "pansharp"


def attach() -> None:
    """Register the accessor on Dataset and DataArray; calling it again does nothing.

    Notes
    -----
    xarray has no way to announce an accessor before xarray itself is imported, and importing
    pansharp must not import xarray. So this runs when pansharp is imported after xarray, when a
    public name of pansharp is first used after xarray was imported, and whenever pansharp makes an
    xarray object. ``import pansharp.accessor`` runs it in any case.
    """
    import xarray as xr

    if not hasattr(xr.Dataset, _NAME):
        xr.register_dataset_accessor(_NAME)(_of_dataset)  # type: ignore[no-untyped-call]
    if not hasattr(xr.DataArray, _NAME):
        xr.register_dataarray_accessor(_NAME)(_of_array)  # type: ignore[no-untyped-call]


def _of_dataset(dataset: xr.Dataset) -> Any:
    return import_module("pansharp.accessor").DatasetAccessor(dataset)


def _of_array(array: xr.DataArray) -> Any:
    return import_module("pansharp.accessor").ArrayAccessor(array)
