"""Rules of scoring by name, from ``data/conventions.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal

from pansharp.errors import OptionError
from pansharp.registry import nearest

__all__ = ["Conventions", "get_conventions", "list_conventions"]

#: Bits of a digital number that make sense.
_BITS = range(1, 33)


@dataclass(frozen=True)
class Conventions:
    """How fused images are scored.

    Parameters
    ----------
    name : str
        Preset.
    table, reference : str
        Whose table the preset matches, and where that is written.
    cut : int
        Border left out at reduced resolution, pixels of the reference: ``[cut - 1 : size - cut]``.
    scc : {"2021", "2015"}
        Variant of SCC.
    d_lambda : {"toolbox", "paper"}
        Variant of D_lambda.
    d_s : {"toolbox", "2015", "paper"}
        Variant of D_s.
    note : str
        What else a reader must know.
    bits : int or None
        Fused images are limited to 0 ... 2^bits before scoring, and PSNR and SSIM use
        2^bits - 1; None limits nothing and takes the sensor's range.
    """

    name: str
    table: str
    reference: str
    cut: int
    scc: Literal["2021", "2015"]
    d_lambda: Literal["toolbox", "paper"]
    d_s: Literal["toolbox", "2015", "paper"]
    note: str = ""
    bits: int | None = None


def _tables() -> dict[str, dict[str, object]]:
    text = files("pansharp").joinpath("data", "conventions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def list_conventions() -> list[str]:
    """Names of the presets, the default first."""
    return list(_tables())


def get_conventions(
    name: str = "toolbox2021", *, cut: int | None = None, bits: int | None = None
) -> Conventions:
    """A preset, with its border cut or the bits replaced.

    Raises
    ------
    OptionError
        No preset of that name, or a number that makes no sense.
    """
    tables = _tables()
    key = name.lower()
    if key not in tables:
        raise OptionError(f"unknown conventions '{name}'; {nearest(name, list(tables))}")
    chosen = Conventions(key, **tables[key])  # type: ignore[arg-type]
    if cut is not None:
        if cut < 0:
            raise OptionError(f"--cut is {cut}; give 0 or more pixels")
        chosen = replace(chosen, cut=cut)
    if bits is not None:
        if bits not in _BITS:
            raise OptionError(f"--bits is {bits}; give {_BITS[0]} to {_BITS[-1]}, such as 11")
        chosen = replace(chosen, bits=bits)
    return chosen
