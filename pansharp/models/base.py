"""What every fusion model promises: its facts, and prepare-then-apply."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.geometry.grids import Alignment
    from pansharp.sensors import SensorProfile

__all__ = [
    "Fuser",
    "FusionModel",
    "ModelSpec",
    "Moments",
    "NextPass",
    "SceneFacts",
    "add_moments",
    "prepare_with",
]

#: Named float64 sums over pixels; moments of two chips add up key by key. Keys that begin with
#: ``min:`` keep the smaller value, those with ``list:`` are put one after the other.
Moments = dict[str, "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Facts about a model, for listings and checks.

    Parameters
    ----------
    name : str
        Name users type.
    kind : {"classical", "network", "external"}
        Family.
    reference : str
        Citation.
    summary : str
        One line.
    bands : tuple of int or None
        Smallest and largest number of MS bands; None where any number will do.
    ratio : tuple of float or None
        Smallest and largest ratio; None where any will do.
    tasks : tuple of str
        ``"pan"`` (PAN + MS), ``"hsi"`` (hyperspectral).
    note : str
        What a user must know, e.g. "independent implementation".
    """

    name: str
    kind: str
    reference: str
    summary: str
    bands: tuple[int, int | None] | None = None
    ratio: tuple[float, float | None] | None = None
    tasks: tuple[str, ...] = ("pan",)
    note: str = ""


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """What a model may know of a scene besides its pixels.

    Parameters
    ----------
    alignment : Alignment
        PAN/MS pixel map.
    sensor : SensorProfile or None
        Sensor, if known.
    ms_gains : tuple of float
        MTF gain at Nyquist of each MS band.
    pan_gain : float
        MTF gain of the PAN at the MS Nyquist frequency.
    band_names : tuple of str
        MS bands in order.
    shape : tuple of int or None
        Rows and columns of the product, for methods that sample the scene.
    """

    alignment: Alignment
    ms_gains: tuple[float, ...]
    pan_gain: float
    sensor: SensorProfile | None = None
    band_names: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None
    extra: dict[str, object] = field(default_factory=dict)


@runtime_checkable
class Fuser(Protocol):
    """A prepared model: callable on chips, picklable, without state that changes."""

    @property
    def halo(self) -> int:
        """PAN pixels of context that a chip must carry around its window."""
        ...

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip; returns (band, y, x) float32 for ``chip.window``."""
        ...


class FusionModel(Protocol):
    """A method before it has seen the scene."""

    @property
    def spec(self) -> ModelSpec:
        """Facts about the method."""
        ...

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels of context that :meth:`measure` needs."""
        ...

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Additive sums over the chip's own valid pixels, or None when none are needed."""
        ...

    def finish(self, moments: Moments | None, facts: SceneFacts) -> Fuser | NextPass:
        """Turn the sums of the whole scene into the function that fuses chips."""
        ...


@dataclass(frozen=True, slots=True)
class NextPass:
    """What `finish` returns when the method must see the scene once more.

    Parameters
    ----------
    model : FusionModel
        Measures what the first pass made measurable.
    """

    model: FusionModel


def add_moments(total: Moments | None, part: Moments | None) -> Moments | None:
    """Join the moments of two parts of a scene; either may be None."""
    if total is None or part is None:
        return part if total is None else total
    joined: Moments = {}
    for key, value in total.items():
        if key.startswith("min:"):
            joined[key] = np.minimum(value, part[key])
        elif key.startswith("list:"):
            joined[key] = np.concatenate([value, part[key]])
        else:
            joined[key] = value + part[key]
    return joined


def prepare_with(
    model: FusionModel,
    facts: SceneFacts,
    passes: Callable[[FusionModel], Iterable[Moments | None]],
) -> Fuser:
    """Run a model's passes until it is ready to fuse.

    Parameters
    ----------
    model : FusionModel
        The method.
    facts : SceneFacts
        Facts about the scene.
    passes : callable
        Takes a model and yields its moments of every part of the scene, in a fixed order.

    Returns
    -------
    Fuser
    """
    while True:
        total: Moments | None = None
        for part in passes(model):
            total = add_moments(total, part)
        result = model.finish(total, facts)
        if not isinstance(result, NextPass):
            return result
        model = result.model
