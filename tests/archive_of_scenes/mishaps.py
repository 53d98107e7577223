"""What goes wrong with deliveries between the vendor and the archive."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Mishap:
    """One way in which a delivery is broken.

    Parameters
    ----------
    name : str
        In one word or two.
    template : int
        Place in :func:`archive_of_scenes.templates.templates` of the kind that it befalls.
    packed : bool
        Whether the delivery is a tar.gz.
    words : tuple of str
        What the reason must say, in any case of letters.
    strike : callable
        Called with the delivery's folder, or its archive where `packed`.
    """

    name: str
    template: int
    packed: bool
    words: tuple[str, ...]
    strike: Callable[[Path], None]


def _image(folder: Path, role: str) -> Path:
    """The one image of a delivery whose name tells the role."""
    found = [
        p for p in folder.rglob("*") if p.suffix.lower() in (".tif", ".tiff") and role in p.name
    ]
    assert len(found) == 1, (folder, role, found)
    return found[0]


def _cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _truncated(folder: Path) -> None:
    _cut(_image(folder, "-P2AS"), 0.6)


def _without_ms(folder: Path) -> None:
    """The second component of the order was not delivered."""
    for part in folder.glob("*_MUL"):
        shutil.rmtree(part)


def _cut_archive(archive: Path) -> None:
    _cut(archive, 0.5)


def _unreadable_sidecar(folder: Path) -> None:
    """The camera model of the PAN ends in the middle of a list."""
    pan = _image(folder, "-PAN")
    _cut(pan.with_suffix(".rpb"), 0.5)


def _other_ground(folder: Path) -> None:
    """The MS is that of an order 40 km away."""
    path = _image(folder, "-MSS")
    with rasterio.open(path, "r+") as image:
        image.transform = rasterio.Affine.translation(40_000.0, 0.0) @ image.transform


def _empty(folder: Path) -> None:
    for role in ("-P2AS", "-M2AS"):
        path = _image(folder, role)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "r+") as image:
                image.write(np.zeros((image.count, *image.shape), image.dtypes[0]))


MISHAPS = (
    Mishap("truncated image", 0, False, ("incomplete",), _truncated),
    Mishap("MS missing", 0, False, ("multispectral",), _without_ms),
    Mishap("archive cut", 0, True, ("damaged",), _cut_archive),
    Mishap("sidecar unreadable", 1, False, (".rpb",), _unreadable_sidecar),
    Mishap("other ground", 3, False, ("overlap",), _other_ground),
    Mishap("no data", 0, False, ("every pixel",), _empty),
)
