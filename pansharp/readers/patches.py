"""Research sets: PanCollection `.h5` and toolbox `.mat` files, one item at a time."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import (
    AmbiguousReaderError,
    BandMismatchError,
    GridMismatchError,
    OptionError,
    ReaderError,
    UnknownSensorError,
)
from pansharp.geometry.grids import Alignment
from pansharp.readers._base import readers
from pansharp.readers._containers import Stack, is_container, open_stacks
from pansharp.scene import Scene
from pansharp.sensors import get_sensor

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from types import TracebackType

    from numpy.typing import NDArray

    from pansharp.sensors import SensorProfile

__all__ = ["Patch", "PatchReader", "PatchSet", "open_patches"]

#: Names of the variables by role, lower case: PanCollection, then the MATLAB toolboxes.
_ROLES = {
    "ms": ("ms", "i_ms_lr"),
    "pan": ("pan", "i_pan"),
    "gt": ("gt", "i_gt"),
    "lms": ("lms", "i_ms"),
}
_NEEDED = ("ms", "pan")


@dataclass(frozen=True)
class Patch:
    """One item of a research set.

    Parameters
    ----------
    name : str
        Name of the file and number of the item.
    pan : ndarray, shape (y, x)
        PAN counts in the file's number type.
    ms : ndarray, shape (band, y / ratio, x / ratio)
        MS counts.
    gt : ndarray, shape (band, y, x), or None
        Reference; None in full-resolution sets.
    ratio : int
        MS pixel over PAN pixel.
    sensor : SensorProfile or None
        As the user named it, else what the file or its name says.
    file : str
        Path.
    """

    name: str
    pan: NDArray[np.generic]
    ms: NDArray[np.generic]
    gt: NDArray[np.generic] | None
    ratio: int
    sensor: SensorProfile | None
    file: str

    def scene(self, *, nodata: float | None = None) -> Scene:
        """The pair on the toolbox's grid, as all published sets are; the reference stays out."""
        scene = Scene.from_arrays(
            self.pan,
            self.ms,
            alignment=Alignment.toolbox(self.ratio),
            sensor=self.sensor,
            nodata=nodata,
            name=self.name,
        )
        note = f"research set: MS pixel 0 sits on PAN pixel {self.ratio // 2}, as in the toolboxes"
        return replace(scene, files={"set": (self.file,)}, notes=(note,))


class PatchSet:
    """An open research set; use it as a context manager.

    Parameters
    ----------
    path : path
        ``.h5`` with ``ms pan [gt lms]`` (item, band, y, x), or ``.mat`` with ``I_MS_LR I_PAN
        [I_GT I_MS]`` (y, x, band[, item]), MATLAB v5 or v7.3.
    sensor : SensorProfile or str, optional
        Sensor; default: the file's variable ``sensor``, else what its name says.

    Raises
    ------
    ReaderError
        The file is missing, damaged, lacks variables, or needs h5py.
    GridMismatchError
        The shapes of its variables do not fit.

    Examples
    --------
    >>> with open_patches("test_wv3_multiExm1.h5") as items:  # doctest: +SKIP
    ...     fused = [ps.fuse(items.scene(i), "gsa") for i in range(len(items))]
    """

    def __init__(
        self, path: str | os.PathLike[str], *, sensor: SensorProfile | str | None = None
    ) -> None:
        self.path = str(path)
        self._closing = ExitStack()
        try:
            stacks, texts = self._closing.enter_context(open_stacks(self.path))
            self._stacks = _by_role(stacks, self.path)
            named = get_sensor(sensor) if isinstance(sensor, str) else sensor
            self.sensor = named or _guess(texts.get("sensor"), self.path)
            self._check()
        except BaseException:
            self._closing.close()
            raise

    def __enter__(self) -> PatchSet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.__exit__(kind, problem, trace)

    def __len__(self) -> int:
        return self._stacks["ms"].count()

    def __iter__(self) -> Iterator[Patch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Patch:
        """Read one item.

        Raises
        ------
        OptionError
            There is no such item.
        ReaderError
            The file is damaged there, or holds values that are not finite.
        """
        if not 0 <= index < len(self):
            raise OptionError(f"item {index} of '{self.path}': it has items 0 to {len(self) - 1}")
        planes = {role: self._read(role, index) for role in self._stacks if role != "lms"}
        return Patch(
            name=self.name(index),
            pan=planes["pan"][0],
            ms=planes["ms"],
            gt=planes.get("gt"),
            ratio=self.ratio,
            sensor=self.sensor,
            file=self.path,
        )

    def close(self) -> None:
        """Close the file."""
        self._closing.close()

    def name(self, index: int) -> str:
        """Name of an item: the file's, and a number where there are several."""
        stem = Path(self.path).stem
        return f"{stem}_{index}" if len(self) > 1 else stem

    @property
    def ratio(self) -> int:
        """MS pixel over PAN pixel."""
        return self._shape("pan")[1] // self._shape("ms")[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands of the MS, rows and columns of the PAN: the shape of a product."""
        return (self._shape("ms")[0], *self._shape("pan")[1:])

    @property
    def has_reference(self) -> bool:
        """Whether the items have a reference."""
        return "gt" in self._stacks

    def scene(self, index: int = 0, *, nodata: float | None = None) -> Scene:
        """The PAN/MS pair of one item as a scene on the toolbox's grid."""
        return self[index].scene(nodata=nodata)

    def _shape(self, role: str) -> tuple[int, int, int]:
        return self._stacks[role].shape(stacked=self._stacked)

    @property
    def _stacked(self) -> bool:
        # Without a band axis, a PAN of several items has three axes.
        return self._stacks["ms"].ndim == 4

    def _read(self, role: str, index: int) -> NDArray[np.generic]:
        stack = self._stacks[role]
        try:
            data = stack.read(index, stacked=self._stacked)
        except OSError as problem:
            raise ReaderError(
                f"item {index} of '{self.path}' cannot be read: '{stack.name}' is incomplete or "
                "damaged; copy or download the file again"
            ) from problem
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise ReaderError(
                f"item {index} of '{self.path}': '{stack.name}' holds NaN or infinite values; "
                "repair the set, or leave the item out"
            )
        return data

    def _check(self) -> None:
        ms = self._stacks["ms"]
        if ms.ndim < 3:
            raise GridMismatchError(
                f"'{ms.name}' of '{self.path}' has the shape {ms.data.shape}: it needs bands"
            )
        for role, stack in self._stacks.items():
            items = stack.data.shape[0] if self._stacked and stack.ndim >= 3 else 1
            if self._stacked and items != len(self):
                raise GridMismatchError(
                    f"'{self.path}' has {len(self)} items of '{ms.name}' and {items} of "
                    f"'{stack.name}'; the file is not a set of pairs"
                )
            self._check_size(role, stack)

    def _check_size(self, role: str, stack: Stack) -> None:
        bands, rows, cols = self._shape("ms")
        guides, height, width = self._shape("pan")
        if role == "pan":
            whole = height // rows if rows else 0
            if whole < 2 or (height, width) != (rows * whole, cols * whole):
                raise GridMismatchError(
                    f"'{stack.name}' of '{self.path}' is {height} x {width} and "
                    f"'{self._stacks['ms'].name}' {rows} x {cols}: no whole ratio of 2 or more"
                )
            if guides != 1:
                raise BandMismatchError(
                    f"'{stack.name}' of '{self.path}' has {guides} bands; a PAN has one"
                )
        elif role in ("gt", "lms") and self._shape(role) != (bands, height, width):
            raise GridMismatchError(
                f"'{stack.name}' of '{self.path}' is {_text(self._shape(role))} (band, y, x); "
                f"with this PAN and MS it must be {_text((bands, height, width))}"
            )


def open_patches(
    path: str | os.PathLike[str], *, sensor: SensorProfile | str | None = None
) -> PatchSet:
    """Open a research set, see :class:`PatchSet`."""
    return PatchSet(path, sensor=sensor)


def _text(sizes: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in sizes)


def _by_role(stacks: dict[str, Stack], path: str) -> dict[str, Stack]:
    lower = {name.lower(): stack for name, stack in stacks.items()}
    found = {
        role: lower[alias]
        for role, aliases in _ROLES.items()
        for alias in aliases
        if alias in lower
    }
    missing = [role for role in _NEEDED if role not in found]
    if missing:
        wanted = " and ".join(" or ".join(f"'{a}'" for a in _spelled(role)) for role in missing)
        there = ", ".join(f"'{name}'" for name in stacks) or "no images"
        raise ReaderError(f"'{path}' has no {wanted}; it holds {there}")
    return found


def _spelled(role: str) -> tuple[str, str]:
    short, long = _ROLES[role]
    return short, "I_" + long[2:].upper()


def _guess(text: str | None, path: str) -> SensorProfile | None:
    """Sensor by the file's own word, else by a word of its name."""
    words = [text] if text else []
    words += re.split(r"[^A-Za-z0-9]+", Path(path).stem)
    for word in words:
        try:
            sensor = get_sensor(word)
        except UnknownSensorError:
            continue
        if sensor.name != "none":
            return sensor
    return None


class PatchReader:
    """Opens a research set with one item as a scene."""

    summary = "research sets: PanCollection .h5 (gt ms lms pan), toolbox .mat (I_MS_LR I_PAN)"

    def matches(self, path: str) -> float:
        """Sure of HDF5 and MATLAB files with those endings, as far as their first bytes tell."""
        return 0.5 if "://" not in path and is_container(path) else 0.0

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open the only item of a set (errors: :class:`PatchSet`)."""
        with open_patches(path, sensor=sensor) as items:
            if len(items) > 1:
                raise AmbiguousReaderError(
                    f"'{path}' holds {len(items)} items; run 'pansharp benchmark {path}', or open "
                    "one in Python with pansharp.readers.patches.open_patches(path).scene(index)"
                )
            if ratio is not None and ratio != items.ratio:
                raise GridMismatchError(
                    f"--ratio is {ratio:g}, but the images of '{path}' have the ratio {items.ratio}"
                )
            return items.scene(0, nodata=nodata)


readers.register("patches")(PatchReader())
