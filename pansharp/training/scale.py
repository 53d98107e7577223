"""The counts that are 1 to a network, and whether the data lies in that range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError, SceneError
from pansharp.training.forms import published_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.training.data import Place
    from pansharp.training.examples import Site, Traits

__all__ = ["value_scale"]

#: Cells of one file that are looked at.
_LOOKS = 6
#: Point of the distribution that stands for the largest value, and the least share of the scale
#: that it must reach.
_TOP, _LEAST = 99.9, 0.01


def value_scale(
    sites: Sequence[Site], places: Sequence[Place], traits: Traits, given: float | None
) -> tuple[float, str]:
    """Choose the value scale and check samples of every file against it.

    Parameters
    ----------
    sites, places : sequence
        The data.
    traits : Traits
        What the sites have in common.
    given : float or None
        What the user says.

    Returns
    -------
    scale : float
        Given, else the sensor's largest number, else 1 where all values lie in 0 ... 1.5, else the
        smallest 2^n - 1 above 99.9 % of the samples.
    source : str
        Where it comes from.

    Raises
    ------
    OptionError
        The given scale is not positive.
    SceneError
        More than 0.1 % of the values of a file lie above the scale, or almost all lie below 1 % of
        it.
    """
    if given is not None and not given > 0:
        raise OptionError(f"--scale is {given:g}; it must be above 0")
    tops = {path: _top(sites, places, path) for path in dict.fromkeys(s.path for s in sites)}
    sensor = traits.sensor
    if given is not None:
        scale, source = given, "given"
    elif sensor is not None and sensor.max_dn is not None:
        scale, source = float(sensor.max_dn), f"largest number of {sensor.label}"
    elif sensor is not None and sensor.bits is not None:
        scale, source = float(2**sensor.bits - 1), f"bits of {sensor.label}"
    elif max(tops.values()) <= 1.5:
        scale, source = 1.0, "the data lies in 0 ... 1"
    else:
        bits = max(8, int(np.ceil(np.log2(max(tops.values()) + 1.0))))
        scale, source = float(2**bits - 1), f"the data needs {bits} bits"
    for path, top in tops.items():
        if top > scale:
            raise SceneError(
                f"values of '{path}' reach {top:.6g}, above the scale of {scale:g} ({source}); "
                f"give the counts that shall be 1 with --scale, here {_round_up(top):g} or more"
            )
        if top < _LEAST * scale:
            raise SceneError(
                f"values of '{path}' reach only {top:.3g}, below 1 % of the scale of {scale:g} "
                f"({source}): they look normalised already; give --scale {_round_up(top):g}"
            )
    return scale, source


def _top(sites: Sequence[Site], places: Sequence[Place], path: str) -> float:
    mine = [place for place in places if sites[place.site].path == path]
    step = max(1, len(mine) // _LOOKS)
    values: list[NDArray[np.float32]] = []
    for place in mine[::step][:_LOOKS]:
        cell = published_cell(sites[place.site].example(place.window, 0), 1.0)
        keep = slice(None) if cell.valid is None else cell.valid
        values += [cell.target[:, keep].ravel(), cell.guide[:, keep].ravel()]
    every = np.concatenate(values) if values else np.zeros(0, np.float32)
    if not every.size:
        raise SceneError(f"'{path}' has no valid pixels where it was looked at; check its nodata")
    return float(np.percentile(every, _TOP))


def _round_up(value: float) -> float:
    """A scale for a largest value: 1 for fractions, else the next 2^n - 1."""
    if value <= 1.5:
        return 1.0
    return float(2 ** int(np.ceil(np.log2(value + 1.0))) - 1)
