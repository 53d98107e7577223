"""A few deliveries that are rendered once; stamping makes many of them, each a little different."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from deliveries import gaofen, maxar

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_IMAGES = (".tif", ".tiff")
#: Files whose bytes are no text.
_PICTURES = (".jpg",)


@dataclass(frozen=True)
class Stamp:
    """What tells one delivery of a sensor from the next.

    Parameters
    ----------
    number : int
        Of the delivery in its archive.
    year : int
        Of the acquisition.
    later : int
        Days after the template's day of the year: the sun stands where the sidecar says.
    gain : float
        Counts over those of the template.
    flips : tuple of bool
        Whether rows and columns run the other way.
    """

    number: int
    year: int
    later: int
    gain: float
    flips: tuple[bool, bool]

    def image(self, counts: NDArray[np.generic]) -> NDArray[np.generic]:
        """The image of this delivery (band, y, x); fill of 0 stays 0."""
        steps = tuple(-1 if flip else 1 for flip in self.flips)
        turned = counts[:, :: steps[0], :: steps[1]]
        scaled = np.clip(np.rint(turned * self.gain), 1, np.iinfo(counts.dtype).max)
        return np.where(turned == 0, 0, scaled).astype(counts.dtype)


@dataclass(frozen=True)
class Template:
    """A rendered delivery in memory.

    Parameters
    ----------
    sensor : str
        ``worldview3`` or ``gaofen2``.
    texts : dict
        Path below the delivery's folder to content, images left out.
    images : dict
        Path to (counts (band, y, x), rasterio profile).
    """

    sensor: str
    texts: dict[str, bytes]
    images: dict[str, tuple[NDArray[np.generic], dict[str, object]]]

    def date(self, stamp: Stamp) -> str:
        """Day of acquisition, ISO 8601."""
        month, day = (6, 15) if self.sensor == "worldview3" else (3, 25)
        return f"{stamp.year:04d}-{month:02d}-{day + stamp.later:02d}"

    def words(self, stamp: Stamp) -> dict[str, str]:
        """What stands in names and sidecars, and what replaces it."""
        date = self.date(stamp)
        if self.sensor == "worldview3":
            return {
                maxar.ORDER: f"0123{stamp.number:08d}_01_P001",
                maxar.TIME: f"{stamp.year % 100:02d}JUN{15 + stamp.later:02d}102030",
                "2019-06-15T": f"{date}T",
                # The number of the acquisition: by it halves in different orders are partners.
                "104001004DB6F500": f"10400100{stamp.number:08X}",
            }
        return {
            "0003080123": f"00031{stamp.number:05d}",
            "3080123": f"31{stamp.number:05d}",
            "20180325": date.replace("-", ""),
            "2018-03-25": date,
        }

    def write(self, folder: Path, stamp: Stamp) -> None:
        """Write the delivery with its own numbers, date and counts."""
        words = self.words(stamp)

        def stamped(text: str) -> str:
            for old, new in words.items():
                text = text.replace(old, new)
            return text

        for name, content in self.texts.items():
            path = folder / stamped(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            plain = path.suffix.lower() in _PICTURES
            path.write_bytes(content if plain else stamped(content.decode()).encode())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            for name, (counts, profile) in self.images.items():
                path = folder / stamped(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with rasterio.open(path, "w", **profile) as new:
                    new.write(stamp.image(counts))

    def folder_name(self, stamp: Stamp) -> str:
        """How the delivery's folder, and the archive of it, is called."""
        words = self.words(stamp)
        if self.sensor == "worldview3":
            return words[maxar.ORDER]
        return (
            next(iter(self.images))
            .split("/")[0]
            .replace("0003080123", words["0003080123"])
            .replace("20180325", words["20180325"])
        )


def templates(scratch: Path, pan_side: int) -> list[Template]:
    """Render the deliveries that all others are stamped from.

    Parameters
    ----------
    scratch : Path
        Empty folder for their files, which are not needed afterwards.
    pan_side : int
        PAN pixels, a multiple of 64.

    Returns
    -------
    list of Template
        WorldView-3 and GaoFen-2 in turn: whole images and tiles, old and new XML.
    """
    side = pan_side // 4
    for name, tiles, sidecars in (("plain", (1, 1), "both"), ("tiles", (1, 2), "imd")):
        maxar.write_delivery(
            scratch / name, ms_shape=(side, side), tiles=tiles, sidecars=sidecars, seed=len(name)
        )
    gaofen.gaofen2(scratch / "raw", side=side, new=True)
    gaofen.gaofen2(scratch / "placed", side=side, placed=True, camera=2)
    return [
        _loaded(scratch / name, sensor)
        for name, sensor in (
            ("plain", "worldview3"),
            ("raw", "gaofen2"),
            ("tiles", "worldview3"),
            ("placed", "gaofen2"),
        )
    ]


def _loaded(folder: Path, sensor: str) -> Template:
    texts: dict[str, bytes] = {}
    images = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in _IMAGES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(path) as image:
                    images[name] = (image.read(), dict(image.profile))
        elif path.is_file():
            texts[name] = path.read_bytes()
    return Template(sensor, texts, images)
