"""Authors' checkpoints as weights files: read without running what they hold, loaded strictly."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from pansharp.errors import OptionError, PansharpError, PansharpWarning, WeightsError, WriteError
from pansharp.models.networks import import_official
from pansharp.registry import nearest
from pansharp.sensors import get_sensor
from pansharp.weights.card import OWN_FIELDS, WeightsCard
from pansharp.weights.content import ENTRY, one_line, opened
from pansharp.weights.file import SUFFIX, read_card, restore, save_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from torch import Tensor

    from pansharp.sensors import SensorProfile

__all__ = ["Imported", "import_checkpoint", "read_checkpoint"]

#: What wrappers of a network put before the names of its tensors: data parallel, torch.compile.
_PREFIXES = ("module.", "_orig_mod.")
#: The class in torch's message on what it refuses to load.
_REFUSED = re.compile(r"(?:GLOBAL|global|class|load|execute) (\w+\.[\w.]*\w)")


@dataclass(frozen=True)
class Imported:
    """What was written.

    Parameters
    ----------
    path : Path
        The weights file.
    card : WeightsCard
        Its card, with the digest.
    notes : tuple of str
        What was decided on the way, a sentence each.
    """

    path: Path
    card: WeightsCard
    notes: tuple[str, ...]


def import_checkpoint(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    network: str,
    *,
    ratio: float | None = None,
    value_scale: float | None = None,
    task: str | None = None,
    sensor: str | None = None,
    band_names: Sequence[str] = (),
    wavelengths_nm: Sequence[float] = (),
    data: str = "",
    terms: str = "",
    entry: str | None = None,
    overwrite: bool = False,
    arch: Mapping[str, Any] | None = None,
) -> Imported:
    """Turn an authors' checkpoint into a weights file of the form "published".

    Parameters
    ----------
    source : path-like
        What ``torch.save`` wrote, or safetensors: a state dict, or a mapping that holds one.
    target : path-like
        The weights file, ``.safetensors``.
    network : str
        A network that takes official weights.
    ratio : float, optional
        Ratio that it was trained for; default: the sensor's.
    value_scale : float, optional
        What the training divided its images by; default: the sensor's largest count.
    task : {"pan", "hsi"}, optional
        Default: ``pan`` for a guide of one band, else ``hsi``.
    sensor : str, optional
        Sensor of the training data.
    band_names : sequence of str
        In the order of the network; default: the sensor's, if it has as many.
    wavelengths_nm : sequence of float
        Default: those of the sensor's bands.
    data, terms : str
        What it was trained on, and the licence.
    entry : str, optional
        Key of the state dict in the checkpoint, where it has several.
    overwrite : bool
        Replace an existing `target`.
    arch : mapping, optional
        Architecture arguments that the tensors do not tell.

    Returns
    -------
    Imported

    Raises
    ------
    UnknownModelError, UnknownSensorError, OptionError
        A name is unknown.
    ModelError
        The network takes no official weights.
    WeightsError
        The checkpoint cannot be read, holds more than tensors, or is not that of the network.
    WriteError
        `target` exists, or cannot be written.

    Notes
    -----
    What an importer warns of is among the notes, on the card too, and not warned of again.
    """
    where, goal = Path(source), Path(target)
    _check_target(goal, overwrite)
    profile = None if sensor is None else get_sensor(sensor)
    if profile is not None:
        ratio = profile.ratio if ratio is None else ratio
        value_scale = profile.max_dn if value_scale is None else value_scale
    ratio = _known(ratio, "ratio", "--ratio 4")
    value_scale = _known(value_scale, "value scale", "--value-scale 2047")
    state, notes = read_checkpoint(where, entry)
    module, warned = _build(network, state, {**(arch or {}), "ratio": ratio})
    bands = _Bands(tuple(band_names), tuple(wavelengths_nm))
    if profile is not None:
        bands, taken = _of_sensor(profile, bands, module.ms_bands)
        notes += taken
    notes += warned
    card = WeightsCard(
        network=network,
        arch={k: v for k, v in module.arguments.items() if k not in OWN_FIELDS},
        task=task or ("pan" if module.pan_bands == 1 else "hsi"),
        form="published",
        ms_bands=module.ms_bands,
        pan_bands=module.pan_bands,
        ratio=ratio,
        sensor=None if profile is None else profile.name,
        band_names=bands.names,
        wavelengths_nm=bands.waves,
        value_scale=value_scale,
        mtf_gains=bands.gains,
        data=data or f"the authors' checkpoint {where.name}",
        terms=terms,
        recipe={"checkpoint": where.name, "sha256": _sha256(where), "notes": notes},
    )
    weights = module.state_dict()
    # What cannot be restored from its card must not be written.
    again = restore(card, weights).state_dict()
    if not all(torch.equal(again[key], tensor) for key, tensor in weights.items()):
        raise WeightsError(f"{where}: the network of the checkpoint cannot be restored exactly")
    save_weights(goal, weights, card)
    return Imported(goal, read_card(goal), tuple(notes))


def read_checkpoint(path: Path, entry: str | None = None) -> tuple[dict[str, Tensor], list[str]]:
    """Read the state dict of a checkpoint; nothing that it holds is run.

    Parameters
    ----------
    path : Path
        What ``torch.save`` wrote, or safetensors without a card of pansharp.
    entry : str, optional
        Key of the state dict, where the file holds more than one.

    Returns
    -------
    state : dict of str to Tensor
        Without the prefixes that wrappers of a network add (``module.``, ``_orig_mod.``).
    notes : list of str
        What was taken and dropped.

    Raises
    ------
    WeightsError
        The file cannot be read, holds more than plain data and tensors, or no state dict.
    """
    with opened(path) as (file, size):
        start = file.read(9)
    if not size:
        raise WeightsError(f"{path} is empty; get the file anew")
    safe = path.suffix.lower() == SUFFIX or start[8:] == b"{"
    state, notes = _state_in(path, _read_safe(path) if safe else _read_torch(path), entry)
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
            notes.append(f"the names of all tensors began with '{prefix}', which was dropped")
    return state, notes


def _read_safe(path: Path) -> dict[str, Tensor]:
    blob = path.read_bytes()
    try:
        state = load(blob)
        length = int.from_bytes(blob[:8], "little")
        metadata = json.loads(blob[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as problem:
        raise WeightsError(
            f"{path} cannot be read as safetensors: {one_line(problem)}; get it anew"
        ) from None
    if ENTRY in metadata:
        raise WeightsError(
            f"{path} is a weights file of pansharp already; use it as it is, 'pansharp weights "
            "inspect' shows its card"
        )
    return state


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            # On the protocol of the pickle; what cannot be read is an error in any case.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as problem:
        # torch raises anything on files it cannot read; its message on what it refuses to load is
        # a page long, and the useful word in it is the class.
        refused = isinstance(problem, pickle.UnpicklingError) and _REFUSED.search(str(problem))
        raise WeightsError(
            f"{path} holds more than tensors and plain data ({refused[1]}); loading that could run "
            "code, so it is refused: if you trust its source, save its state dict alone with "
            "torch.save, and import that"
            if refused
            else f"{path} is no PyTorch checkpoint, or is damaged; get the file anew"
        ) from problem


def _state_in(path: Path, found: object, entry: str | None) -> tuple[dict[str, Tensor], list[str]]:
    """Find the state dict: the file itself, or one entry of it."""
    if not isinstance(found, Mapping):
        raise WeightsError(
            f"{path} holds a {type(found).__name__}, not a state dict; save network.state_dict()"
        )
    states = {str(key): value for key, value in found.items() if _is_state(value)}
    if entry is not None:
        if entry not in states:
            hint = nearest(entry, list(states)) if states else "it holds none in an entry"
            raise WeightsError(f"{path} has no state dict '{entry}'; {hint}")
        return dict(states[entry]), [f"the state dict was taken from the entry '{entry}'"]
    if _is_state(found):
        return dict(found), []
    if len(states) == 1:
        ((key, state),) = states.items()
        return dict(state), [f"the state dict was taken from the entry '{key}'"]
    if not states:
        keys = ", ".join(sorted(map(str, found))[:6])
        raise WeightsError(f"{path} holds no state dict (its entries: {keys or 'none'})")
    raise WeightsError(
        f"{path} holds {len(states)} state dicts; say which with --entry: {', '.join(states)}"
    )


def _is_state(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())
    )


def _build(
    name: str, state: Mapping[str, Tensor], arch: Mapping[str, Any]
) -> tuple[Any, list[str]]:
    """The network with the checkpoint loaded, and what the importer warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PansharpWarning)
        try:
            module = import_official(name, state, **arch)
        except PansharpError:
            raise
        except (TypeError, ValueError, RuntimeError, ArithmeticError) as problem:
            given = ", ".join(f"{key}={value!r}" for key, value in arch.items())
            raise WeightsError(
                f"network '{name}' cannot be built from the checkpoint with {given}: "
                + one_line(problem)
            ) from None
    if not hasattr(module, "arguments"):
        raise WeightsError(
            f"network '{name}' does not tell what it was built with; derive it from ResidualNetwork"
        )
    texts = [str(entry.message) for entry in caught if issubclass(entry.category, PansharpWarning)]
    return module, texts


@dataclass(frozen=True)
class _Bands:
    names: tuple[str, ...]
    waves: tuple[float | None, ...]
    gains: tuple[float, ...] = ()


def _of_sensor(profile: SensorProfile, given: _Bands, count: int) -> tuple[_Bands, list[str]]:
    """Complete what was given by the sensor's table."""
    notes = []
    names = given.names
    if not names and len(profile.bands) == count:
        names = tuple(band.name for band in profile.bands)
        notes = [f"the bands are taken to be those of {profile.label}: {', '.join(names)}"]
    bands = profile.match(names, count) if len(names) == count else ()
    gains = [band.mtf_nyquist for band in bands if band.mtf_nyquist is not None]
    return _Bands(
        names,
        given.waves or tuple(band.centre_nm for band in bands),
        tuple(gains) if len(gains) == count else (),
    ), notes


def _known(value: float | None, what: str, example: str) -> float:
    if value is None:
        raise OptionError(
            f"neither the checkpoint nor the sensor tells the {what} of the training; give it, as "
            f"in {example}"
        )
    return value


def _check_target(target: Path, overwrite: bool) -> None:
    if target.suffix.lower() != SUFFIX:
        raise WeightsError(f"{target}: a weights file must end in '{SUFFIX}'; change the name")
    if not target.parent.is_dir():
        raise WriteError(f"the folder '{target.parent}' does not exist; create it or change -o")
    if target.exists() and not overwrite:
        raise WriteError(f"'{target}' exists already; pass --overwrite to replace it")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
