"""What can be chosen about a training, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pansharp.errors import ModelError, OptionError
from pansharp.models import is_network, list_models
from pansharp.models.networks import get_network
from pansharp.registry import nearest
from pansharp.training.recipes import PRESETS

__all__ = ["TrainOptions"]

_CHOICES = {
    "form": ("published", "anchored"),
    "preset": PRESETS,
    "precision": ("float32", "bf16", "fp16"),
}
_COUNTS = {"epochs": 1, "steps": 1, "batch": 1, "patch": 1, "seed": 0, "workers": 0}
#: Options that may change when a run is resumed: they decide nothing about its steps.
_FREE = ("device", "workers", "save_every")


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training; None means the default.

    Parameters
    ----------
    model : str
        Network.
    data : tuple of str
        What to train on, see :func:`pansharp.training.sources.open_sites`.
    validation : tuple of str
        What to judge on; empty: one cell in ten of the training data is held out.
    form : {"published", "anchored"}
        How the network is fed, see :mod:`pansharp.training.forms`.
    preset : {"published", "quick"} or None
        Recipe; None: the published one, or that of adaptation in the anchored form.
    epochs, steps, batch, patch, rate
        Instead of the recipe's.
    seed : int
        Of everything random.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    precision : {"float32", "bf16", "fp16"}
        Arithmetic of the network; losses and weights stay float32.
    workers : int or None
        Threads that make patches ready; None takes two.
    sensor, guide, ratio, coregister, mtf, nodata
        See :class:`pansharp.training.sources.Opening`.
    scale : float or None
        Counts that are 1 to the network in the form ``published``.
    arch : mapping
        Architecture arguments.
    terms : str
        Licence of the data, for the card.
    save_every : float
        Seconds between saved states.
    """

    model: str
    data: tuple[str, ...]
    validation: tuple[str, ...] = ()
    form: str = "published"
    preset: str | None = None
    epochs: int | None = None
    steps: int | None = None
    batch: int | None = None
    patch: int | None = None
    rate: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    workers: int | None = None
    sensor: str | None = None
    guide: str = "worldview3"
    ratio: float | None = None
    coregister: str = "auto"
    mtf: str = "auto"
    nodata: float | None = None
    scale: float | None = None
    arch: Mapping[str, Any] = field(default_factory=dict)
    terms: str = ""
    save_every: float = 60.0

    @classmethod
    def checked(cls, **values: Any) -> TrainOptions:
        """Make options from keywords; None means the default.

        Raises
        ------
        OptionError
            An unknown name, or a value that is not among the allowed ones.
        ModelError
            The model is no network.
        UnknownModelError
            There is no such model.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise OptionError(f"unknown option '{key}'; {nearest(key, known)}")
        given = {key: value for key, value in values.items() if value is not None}
        for key in ("model", "data"):
            if not given.get(key):
                raise OptionError(f"--{key} is missing; a training needs it")
        for key in ("data", "validation"):
            paths = given.get(key, ())
            given[key] = (str(paths),) if isinstance(paths, str) else tuple(map(str, paths))
        _check_model(given)
        for key, choices in _CHOICES.items():
            if key in given and str(given[key]).lower() not in choices:
                raise OptionError(
                    f"--{key} is '{given[key]}'; {nearest(str(given[key]), list(choices))}"
                )
            if key in given:
                given[key] = str(given[key]).lower()
        for key, least in _COUNTS.items():
            if key in given and (not isinstance(given[key], int) or given[key] < least):
                raise OptionError(f"--{key} is {given[key]}; it must be {least} or more")
        if given.get("epochs") and given.get("steps"):
            raise OptionError("--epochs and --steps both give the length; take one of them")
        if "rate" in given and not given["rate"] > 0:
            raise OptionError(f"--rate is {given['rate']}; it must be above 0")
        if "arch" in given:
            given["arch"] = _exchanged(given["arch"], tuple)
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """All options in JSON types."""
        return {key: _exchanged(value, list) for key, value in asdict(self).items()}

    def difference(self, other: Mapping[str, Any]) -> str | None:
        """Say how options of an earlier part of the run differ; None where they do not."""
        for key, value in self.to_dict().items():
            if key not in _FREE and other.get(key) != value:
                return f"--{key} was {other.get(key)!r} and is {value!r}"
        return None


def _exchanged(value: Any, kind: type[list[Any]] | type[tuple[Any, ...]]) -> Any:
    """Sequences as lists, which JSON has, or as tuples, which networks take."""
    if isinstance(value, Mapping):
        return {key: _exchanged(entry, kind) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return kind(_exchanged(entry, kind) for entry in value)
    return value


def _check_model(given: dict[str, Any]) -> None:
    name = str(given["model"]).lower()
    if not is_network(name):
        known = list_models("network")
        if name in list_models():
            raise ModelError(
                f"'{name}' is no network, there is nothing to train; networks: {', '.join(known)}"
            )
        get_network(name)
    given["model"] = name
