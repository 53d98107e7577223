"""The options of a fusion: one frozen record, the same on the command line and in Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from pansharp.errors import OptionError
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FuseOptions"]

_CHOICES = {
    "adapt": ("auto", "always", "never"),
    "blend": ("hann", "linear", "crop"),
    "precision": ("float32", "bf16"),
    "format": ("cog", "gtiff", "zarr"),
    "compress": ("zstd", "deflate", "lzw", "none"),
    "dtype": ("source", "uint8", "uint16", "int16", "float32"),
    "backproject": ("auto", "0", "1", "2"),
}
_COUNTS = {"adapt_steps": 1, "tile": 64, "overlap": 0, "workers": 1}


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """How to fuse and write one scene; make it with :meth:`checked`.

    Parameters
    ----------
    model : str
        Name of a model.
    adapt : {"auto", "always", "never"}
        Whether networks are fitted to the scene.
    adapt_steps : int or None
        Optimiser steps; None takes the network's own.
    adapt_minutes : float or None
        Wall time that training may take; for ``auto`` also the time that its candidates must fit.
    weights : str or None
        Weights file, or the name of one, that a network starts from.
    save_weights : str or None
        Where the weights of the product are kept, to start the next scene from.
    checkpoint : str or None
        Folder that keeps the state of the training, so that a killed fusion goes on from there.
    seed : int
        Of everything random.
    backproject : {"auto", "0", "1", "2"}
        Back-projection passes. ``auto``: none for a classical product, by HQNR for a network.
    force : bool
        Write the network's product even where a classical method wins.
    tile, overlap : int or None
        Work tile and blended overlap, PAN pixels.
    blend : {"hann", "linear", "crop"} or None
        How overlapping predictions are joined.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    precision : {"float32", "bf16"}
        Arithmetic of a network.
    workers : int or None
        Threads; None takes the processors there are.
    coregister : str
        ``auto``, ``off``, or ``DY,DX``-like shift as ``DX,DY`` in PAN pixels.
    strict : bool
        Stop where the measured shift is large or scattered, instead of warning.
    mtf : str
        Gains at Nyquist of the MS: ``auto`` (table; where it knows none, measured on the pair for
        networks), ``table``, or one number for all bands.
    method : mapping of str to value
        Options of the method itself, such as ``{"block_size": 128}`` for ``bdsd``.
    card : bool
        Score the product and write the card.
    format, compress, dtype : str
        Container, compression and number type of the product.
    overwrite : bool
        Replace an existing product.
    """

    model: str = "auto"
    adapt: str = "auto"
    adapt_steps: int | None = None
    adapt_minutes: float | None = None
    weights: str | None = None
    save_weights: str | None = None
    checkpoint: str | None = None
    seed: int = 0
    backproject: str = "auto"
    force: bool = False
    tile: int | None = None
    overlap: int | None = None
    blend: str | None = None
    device: str = "auto"
    precision: str = "float32"
    workers: int | None = None
    coregister: str = "auto"
    strict: bool = False
    mtf: str = "auto"
    method: Mapping[str, object] = field(default_factory=dict)
    card: bool = True
    format: str = "cog"
    compress: str = "zstd"
    dtype: str = "source"
    overwrite: bool = False

    @classmethod
    def checked(cls, **values: Any) -> FuseOptions:
        """Make options from keywords; None means the default.

        Options of the method may stand among them: ``model="bdsd", block_size=128``.

        Raises
        ------
        OptionError
            An unknown name, or a value that is not among the allowed ones.
        UnknownModelError
            No such model.
        """
        from pansharp.errors import UnknownModelError
        from pansharp.models import is_model, list_models, list_options

        own = list_options(str(values.get("model", "auto")))
        method = {key: values.pop(key) for key in own if key in values}
        if method:
            values["method"] = {**(values.get("method") or {}), **method}
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise OptionError(f"unknown option '{key}'; {nearest(key, known)}")
        given = {key: value for key, value in values.items() if value is not None}
        if "backproject" in given:
            given["backproject"] = str(given["backproject"]).lower()
        for key, choices in _CHOICES.items():
            if key in given and given[key] not in choices:
                raise OptionError(
                    f"{_flag(key)} is '{given[key]}'; {nearest(str(given[key]), list(choices))}"
                )
        for key, least in _COUNTS.items():
            if key in given and (not isinstance(given[key], int) or given[key] < least):
                raise OptionError(f"{_flag(key)} is {given[key]}; it must be {least} or more")
        minutes = given.get("adapt_minutes")
        if minutes is not None and not 0 < float(minutes) < math.inf:
            raise OptionError(f"--adapt-minutes is {minutes}; it must be above 0")
        for key in ("weights", "save_weights", "checkpoint"):
            if key in given:
                given[key] = str(given[key])
        if "model" in given:
            given["model"] = str(given["model"]).lower()
            if not is_model(given["model"]):
                raise UnknownModelError(
                    f"unknown model '{given['model']}'; {nearest(given['model'], list_models())}"
                )
        if "mtf" in given:
            given["mtf"] = str(given["mtf"]).lower()
        if given.get("method"):
            # Before any work: a name or value that the method does not know.
            from pansharp.models import create_model

            name = given.get("model", "auto")
            if name not in list_models("classical"):
                raise OptionError(
                    f"model '{name}' has no option '{next(iter(given['method']))}'; only classical "
                    "methods have options of their own"
                )
            create_model(name, **given["method"])
        options = cls(**given)
        options.shift()
        options.gain()
        return options

    def shift(self) -> tuple[float, float] | None:
        """The shift (rows, cols) that the user gave in PAN pixels, or None.

        Raises
        ------
        OptionError
            `coregister` is neither auto, off nor two numbers.
        """
        if self.coregister in ("auto", "off"):
            return None
        parts = self.coregister.replace(" ", "").split(",")
        try:
            cols, rows = (float(part) for part in parts)
        except ValueError:
            raise OptionError(
                f"--coregister is '{self.coregister}'; give auto, off, or DX,DY in PAN pixels"
            ) from None
        return rows, cols

    def gain(self) -> float | None:
        """The MTF gain that the user gave for all bands, or None.

        Raises
        ------
        OptionError
            `mtf` is neither auto, table nor a number between 0 and 1.
        """
        if self.mtf in ("auto", "table"):
            return None
        try:
            gain = float(self.mtf)
        except ValueError:
            gain = 0.0
        if not 0.0 < gain < 1.0:
            raise OptionError(
                f"--mtf is '{self.mtf}'; give auto, table, or a gain at Nyquist above 0 and below 1"
            )
        return gain


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")
