"""Many deliveries below one folder, as they lie in archives, with the truth about each."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from archive_of_scenes.mishaps import MISHAPS, Mishap
from archive_of_scenes.templates import Stamp, templates
from deliveries.packing import pack

#: Years of acquisition, each a folder.
_YEARS = (2017, 2018, 2019, 2020)


@dataclass(frozen=True)
class Delivery:
    """One delivery of an archive, and what a batch must say of it.

    Parameters
    ----------
    path : Path
        Folder or tar.gz.
    sensor : str
        ``worldview3`` or ``gaofen2``.
    acquired : str
        Date, ISO 8601.
    bands : int
        Bands of the MS and of the product.
    broken : str or None
        Name of the mishap; None: the delivery is right.
    words : tuple of str
        What the reason of the failure must say, in any case of letters.
    """

    path: Path
    sensor: str
    acquired: str
    bands: int
    broken: str | None = None
    words: tuple[str, ...] = ()

    def explained(self, reason: str) -> bool:
        """Whether a reason is one line and says what is wrong."""
        plain = reason.lower()
        return "\n" not in reason and all(word.lower() in plain for word in self.words)


@dataclass(frozen=True)
class Archive:
    """The folder and its deliveries, sorted by path."""

    root: Path
    deliveries: tuple[Delivery, ...]

    @property
    def right(self) -> tuple[Delivery, ...]:
        return tuple(one for one in self.deliveries if one.broken is None)

    @property
    def broken(self) -> tuple[Delivery, ...]:
        return tuple(one for one in self.deliveries if one.broken is not None)

    def of(self, path: str | Path) -> Delivery:
        """The delivery that a path is, or lies in (also ``ARCHIVE!/file``)."""
        given = Path(str(path).partition("!/")[0]).resolve()
        for one in self.deliveries:
            home = one.path.resolve()
            if given == home or home in given.parents:
                return one
        raise KeyError(str(path))


def write_archive(
    root: Path, count: int = 200, *, broken: int = 6, pan_side: int = 128, seed: int = 20260101
) -> Archive:
    """Write an archive of WorldView-3 and GaoFen-2 deliveries, half of each.

    Folders and tar.gz files by turns, in sub-folders by year; every scene has its own numbers, date
    and counts.

    Parameters
    ----------
    root : Path
        Folder of the archive, made here; anything in it stays.
    count : int
        Deliveries, the broken ones among them.
    broken : int
        How many are broken: the first so many of `MISHAPS`.
    pan_side : int
        PAN pixels, a multiple of 64.
    seed : int
        Of dates, counts and the places of the broken ones: the same seed writes the same pixels.

    Returns
    -------
    Archive
    """
    assert 0 <= broken <= min(count, len(MISHAPS))
    assert pan_side % 64 == 0
    rng = random.Random(seed)
    struck = dict(zip(sorted(rng.sample(range(count), broken)), MISHAPS, strict=False))
    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="archive-of-scenes-"))
    try:
        made = templates(scratch / "templates", pan_side)
        deliveries = []
        for number in range(count):
            mishap = struck.get(number)
            kind = made[mishap.template if mishap else number % len(made)]
            stamp = Stamp(
                number + 1,
                rng.choice(_YEARS),
                rng.randint(-2, 3),
                round(rng.uniform(0.8, 1.2), 3),
                (rng.random() < 0.5, rng.random() < 0.5),
            )
            packed = mishap.packed if mishap else number % 3 == 2
            year = root / str(stamp.year)
            year.mkdir(exist_ok=True)
            name = kind.folder_name(stamp)
            home = (scratch if packed else year) / name
            # A GaoFen-2 scene is one folder, which its template holds; a Maxar order is several.
            kind.write(home if kind.sensor == "worldview3" else home.parent, stamp)
            path = pack(home, year / f"{name}.tar.gz") if packed else home
            if packed:
                shutil.rmtree(home)
            if mishap:
                mishap.strike(path)
            bands = 8 if kind.sensor == "worldview3" else 4
            deliveries.append(Delivery(path, kind.sensor, kind.date(stamp), bands, *_truth(mishap)))
    finally:
        shutil.rmtree(scratch)
    return Archive(root, tuple(sorted(deliveries, key=lambda one: str(one.path))))


def _truth(mishap: Mishap | None) -> tuple[str | None, tuple[str, ...]]:
    return (None, ()) if mishap is None else (mishap.name, mishap.words)
