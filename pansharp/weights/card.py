"""The card of a weights file: what the weights are for, and what they were made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, cast

from pansharp import __version__
from pansharp.errors import PansharpError, WeightsError
from pansharp.models.networks import get_network
from pansharp.registry import nearest

__all__ = ["FORMS", "OWN_FIELDS", "TASKS", "WeightsCard"]

#: What weights are for: PAN and MS, or a guide and a hyperspectral cube.
TASKS = ("pan", "hsi")
#: How a network is fed, see :class:`WeightsCard`.
FORMS = ("anchored", "published")

#: Arguments of `build_network` that have fields of their own.
OWN_FIELDS = ("ms_bands", "pan_bands", "ratio")
#: Wavelengths outside are given in another unit.
_NANOMETRES = (100.0, 100_000.0)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


@dataclass(frozen=True, kw_only=True)
class WeightsCard:
    """What a weights file says of itself.

    Parameters
    ----------
    network : str
        Name in the table of networks.
    arch : mapping
        Architecture arguments of the network; numbers, words, sequences and mappings of them.
        Sequences become tuples. Those left out are those of the table's entry and the network's
        defaults; a file holds all of them.
    task : {"pan", "hsi"}
        PAN and MS, or a guide and a hyperspectral cube.
    form : {"anchored", "published"}
        ``anchored``: ``residual`` on MTF-GLP-FS with inputs centred and scaled by the scene, as
        adaptation does; the guide is the PAN and its detail. ``published``: ``forward(guide, low)``
        on values divided by `value_scale`; the guide is the PAN alone.
    ms_bands, pan_bands : int
        Bands of the low-resolution image, and channels of the guide that the network is fed.
    ratio : float
        Ratio of pixel sizes that it was trained for.
    sensor : str or None
        Name of the sensor of the training data; None: unknown or several.
    band_names : tuple of str
        One per band, in the order of the network; empty: unknown.
    wavelengths_nm : tuple of float or None
        Centre per band, nanometres, None where unknown; empty: unknown.
    value_scale : float or None
        Counts that are 1 to the network; needed in the form ``published``.
    mtf_gains : tuple of float
        Amplitude at Nyquist per band that the training pairs were made with; empty: unknown.
    data : str
        What the weights were trained on.
    terms : str
        Licence of data and weights; empty: not stated.
    recipe : mapping
        How they were trained.
    seed : int or None
        Of the training.
    scores : mapping
        What was reached, and on what.
    pansharp : str
        Version that made the file.
    created : str
        Date or time, ISO 8601.
    digest : str
        SHA-256 in the file that the card was read from. Not a part of the card: not written, and
        empty for a card that was made.

    Raises
    ------
    WeightsError
        A value is impossible or does not go with another; the message names the field.

    Notes
    -----
    In `recipe` and `scores`, numbers that are not finite become None.

    Examples
    --------
    >>> card = WeightsCard(
    ...     network="rescnn", task="pan", form="anchored", ms_bands=3, pan_bands=2, ratio=4,
    ...     band_names=("red", "green", "blue"), data="an example",
    ... )
    >>> card.wavelengths_nm
    ()
    """

    network: str
    task: str
    form: str
    ms_bands: int
    pan_bands: int
    ratio: float
    data: str
    arch: Mapping[str, Any] = field(default_factory=dict)
    sensor: str | None = None
    band_names: tuple[str, ...] = ()
    wavelengths_nm: tuple[float | None, ...] = ()
    value_scale: float | None = None
    mtf_gains: tuple[float, ...] = ()
    terms: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    pansharp: str = __version__
    created: str = field(default_factory=_today)
    digest: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        self._check_network()
        for key in ("ms_bands", "pan_bands"):
            self._set(key, _whole(key, getattr(self, key), least=1))
        self._set("ratio", _number("ratio", self.ratio))
        if self.ratio < 1:
            raise WeightsError(f"ratio={self.ratio:g} in a weights card: it must be 1 or more")
        self._check_bands()
        if self.value_scale is not None:
            self._set("value_scale", _number("value_scale", self.value_scale))
            if not self.value_scale > 0:
                raise WeightsError(f"value_scale={self.value_scale:g}: it must be above 0")
        elif self.form == "published":
            raise WeightsError(
                "a weights card of the form 'published' needs value_scale: the counts that are 1 "
                "to the network, such as 2047 for 11 bits"
            )
        self._check_texts()
        for key in ("recipe", "scores"):
            value = getattr(self, key)
            if not isinstance(value, Mapping):
                raise WeightsError(f"{key} in a weights card is {value!r}: it must be a mapping")
            self._set(key, _plain(key, value, strict=False))
        if self.seed is not None:
            self._set("seed", _whole("seed", self.seed))

    @property
    def id(self) -> str:
        """First 12 digits of the digest: enough to tell files apart; empty without a digest."""
        return self.digest[:12]

    def to_dict(self) -> dict[str, Any]:
        """All fields but `digest`, as JSON knows them."""
        named = ((entry.name, getattr(self, entry.name)) for entry in fields(self))
        return {key: _listed(value) for key, value in named if key != "digest"}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, digest: str = "") -> WeightsCard:
        """Make a card of what :meth:`to_dict` gave.

        Raises
        ------
        WeightsError
            A field is missing, unknown, or impossible.
        """
        known = [entry.name for entry in fields(cls) if entry.name != "digest"]
        for key in content:
            if key not in known:
                raise WeightsError(f"a weights card has no field '{key}'; {nearest(key, known)}")
        missing = [key for key in known if key not in content]
        if missing:
            raise WeightsError(f"the weights card lacks '{missing[0]}'")
        return cls(**content, digest=digest)

    def _set(self, key: str, value: object) -> None:
        object.__setattr__(self, key, value)

    def _check_network(self) -> None:
        if not isinstance(self.network, str):
            raise WeightsError(f"network={self.network!r} in a weights card: give a name")
        try:
            spec = get_network(self.network)
        except PansharpError as problem:
            raise WeightsError(f"in a weights card: {problem}") from None
        self._set("network", spec.name)
        for key, allowed in (("task", TASKS), ("form", FORMS)):
            value = getattr(self, key)
            if value not in allowed:
                hint = nearest(str(value), list(allowed))
                raise WeightsError(f"{key}={value!r} in a weights card; {hint}")
        if self.task not in spec.tasks:
            raise WeightsError(
                f"task='{self.task}' in a weights card: network '{spec.name}' is for "
                + " and ".join(f"'{task}'" for task in spec.tasks)
            )
        if not isinstance(self.arch, Mapping):
            raise WeightsError(f"arch in a weights card is {self.arch!r}: it must be a mapping")
        for key in OWN_FIELDS:
            if key in self.arch:
                raise WeightsError(f"'{key}' in arch of a weights card: it is a field of its own")
        self._set("arch", _plain("arch", self.arch, strict=True))

    def _check_bands(self) -> None:
        for key in ("band_names", "wavelengths_nm", "mtf_gains"):
            value = getattr(self, key)
            value = () if value is None else value
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise WeightsError(f"{key} in a weights card is {value!r}: give one per band")
            if len(value) not in (0, self.ms_bands):
                raise WeightsError(
                    f"{key} in a weights card has {len(value)} entries for {self.ms_bands} bands; "
                    "give one per band or none"
                )
            self._set(key, tuple(value))
        names = self.band_names
        if not all(isinstance(name, str) and name.strip() for name in names):
            raise WeightsError(
                f"band_names in a weights card are {names!r}: give every band a name"
            )
        if len(set(names)) != len(names):
            raise WeightsError(
                f"band_names in a weights card name a band twice: {', '.join(names)}"
            )
        waves = tuple(
            None if w is None else _number("wavelengths_nm", w) for w in self.wavelengths_nm
        )
        for wave in waves:
            if wave is not None and not _NANOMETRES[0] <= wave <= _NANOMETRES[1]:
                raise WeightsError(f"wavelength {wave:g} in a weights card: give nanometres")
        self._set("wavelengths_nm", waves)
        gains = tuple(_number("mtf_gains", gain) for gain in self.mtf_gains)
        for gain in gains:
            if not 0 < gain <= 1:
                raise WeightsError(f"MTF gain {gain:g} in a weights card: it lies above 0, up to 1")
        self._set("mtf_gains", gains)

    def _check_texts(self) -> None:
        for key in ("data", "terms", "pansharp", "created"):
            if not isinstance(getattr(self, key), str):
                raise WeightsError(f"{key}={getattr(self, key)!r} in a weights card: give a text")
        if self.sensor is not None and not (isinstance(self.sensor, str) and self.sensor.strip()):
            raise WeightsError(f"sensor={self.sensor!r} in a weights card: give a name or None")
        if not self.data.strip():
            raise WeightsError("data in a weights card is empty: say what the weights came from")
        try:
            datetime.fromisoformat(self.created)
        except ValueError:
            raise WeightsError(
                f"created='{self.created}' in a weights card: give an ISO date such as 2026-01-31"
            ) from None


def _whole(key: str, value: object, least: int | None = None) -> int:
    # Counts often come as NumPy integers.
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise WeightsError(f"{key}={value!r} in a weights card: give a whole number")
    if least is not None and number < least:
        raise WeightsError(f"{key}={number} in a weights card: it must be {least} or more")
    return number


def _number(key: str, value: object) -> float:
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise WeightsError(f"{key}={value!r} in a weights card: give a number")
    try:
        finite = float(number)
    except OverflowError:
        finite = math.inf
    if not math.isfinite(finite):
        raise WeightsError(f"{key}={value!r} in a weights card: give a finite number")
    return finite


def _plain(where: str, value: object, *, strict: bool) -> Any:
    """Reduce `value` to what JSON knows and gives back; tuples for sequences."""
    if hasattr(value, "item") and not isinstance(value, Mapping):
        value = value.item() if getattr(value, "size", 1) == 1 else cast("Any", value).tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        if strict:
            raise WeightsError(f"{where}={value} in a weights card: give a finite number")
        return None
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise WeightsError(f"{where} in a weights card has the key {key!r}: give words")
        return {k: _plain(f"{where}.{k}", v, strict=strict) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return tuple(_plain(where, entry, strict=strict) for entry in value)
    raise WeightsError(
        f"{where} in a weights card is a {type(value).__name__}: give numbers, words, sequences "
        "and mappings of them"
    )


def _listed(value: object) -> Any:
    if isinstance(value, tuple | list):
        return [_listed(entry) for entry in value]
    if isinstance(value, Mapping):
        return {key: _listed(entry) for key, entry in value.items()}
    return value
