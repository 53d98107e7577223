"""GaoFen-5 and ZY1-02D/E AHSI: two cubes a scene. Experimental: tried on generated files alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import GridMismatchError, MissingSidecarError, ReaderError
from pansharp.readers._base import readers
from pansharp.readers._cubes import CubeReader
from pansharp.readers._half import Half
from pansharp.readers._rpc import rpc_items
from pansharp.readers._scan import files_below
from pansharp.readers._sidecar import Fields, read_text
from pansharp.readers._spectrum import joined_bands, left_out
from pansharp.readers._virtual import Image
from pansharp.sensors import get_sensor
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["AhsiReader"]

_NAME = re.compile(
    r"^(?P<scene>(?P<satellite>GF5[AB]?|ZY1[EF])_AHSI_[EW][\d.]+_[NS][\d.]+_(?P<day>\d{8})_\d{6}"
    r"_L1[0A]?\d{10,})(?:_(?P<part>VN|SW))?\.(?:geotiff|tiff?)$",
    re.IGNORECASE,
)
#: Plausible centres, nanometres; plausible gains.
_LOW, _HIGH = 350.0, 2600.0


class AhsiReader(CubeReader):
    """Opens AHSI scenes as the low-resolution image of a pair."""

    summary = "GaoFen-5 and ZY1-02D/E AHSI (_VN and _SW cubes), experimental"
    label = "AHSI"

    def belongs(self, file: Path) -> bool:
        """Whether a file is a cube of a scene."""
        return _NAME.match(file.name) is not None

    def main(self, file: Path) -> bool:
        """The VNIR cube, or the only one, stands for the scene."""
        match = _NAME.match(file.name)
        return match is not None and (match.group("part") or "VN").upper() == "VN"

    def half(self, path: str) -> Half:
        """The cube of a scene, VNIR and SWIR joined.

        Raises
        ------
        MissingSidecarError
            One of the two cubes is missing.
        GridMismatchError
            They have different sizes.
        ReaderError
            A file is damaged.
        """
        file = self.only(path)
        match = _NAME.match(file.name)
        if match is None:
            raise ReaderError(f"'{path}' is no cube of an AHSI scene")
        files = _parts(file, match)
        counts: list[int] = []
        shapes: set[tuple[int, int]] = set()
        rpc: Mapping[str, str] | None = None
        placed = True
        for part in files:
            with open_raster(part) as dataset:
                counts.append(int(dataset.count))
                shapes.add((int(dataset.height), int(dataset.width)))
                placed = placed and dataset.crs is not None
                tags = {str(k): str(v) for k, v in dataset.tags(ns="RPC").items()}
                rpc = rpc or (rpc_items(Fields.of(part, tags)) if tags else None)
        if len(shapes) > 1:
            raise GridMismatchError(
                f"the cubes of '{match.group('scene')}' have the sizes {sorted(shapes)}; they do "
                "not lie on each other"
            )
        notes = ["this reader is experimental: nobody has tried it on a real product"]
        waves, widths = _spectrum(files, counts, notes)
        constants = _constants(files, counts, notes)
        keep: tuple[int, ...] = ()
        if waves:
            vnir = [index < counts[0] for index in range(sum(counts))]
            keep, double = joined_bands(waves, vnir, [True] * len(waves))
            if double:
                notes.append(left_out(double, "SWIR", "VNIR"))
        satellite = match.group("satellite").upper()
        try:
            day = datetime.strptime(match.group("day"), "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            day = None
        return Half(
            images=tuple(Image.of(str(part)) for part in files),
            family="ahsi",
            names=tuple(f"{w:.1f} nm" for w in waves),
            keep=keep,
            wavelengths=waves,
            widths=widths,
            facts=ImageFacts(
                acquired=day,
                level="L1",
                identifier=match.group("scene"),
                constants=constants,
                rpc=rpc,
                placed=placed,
                notes=tuple(notes),
            ),
            shape=next(iter(shapes)),
            sensor=get_sensor("gaofen5_ahsi" if satellite.startswith("GF5") else "ziyuan1e_ahsi"),
            fill=0.0,
            evidence=(f"{len(files)} cubes of '{match.group('scene')}'",),
            cube=True,
        )


def _parts(file: Path, own: re.Match[str]) -> list[Path]:
    """Both cubes of a scene, VNIR first; or its only one."""
    if own.group("part") is None:
        return [file]
    found: dict[str, Path] = {}
    for other in files_below(file.parent, depth=0):
        match = _NAME.match(other.name)
        same = match and match.group("scene").lower() == own.group("scene").lower()
        if match and same and match.group("part"):
            found.setdefault(match.group("part").upper(), other)
    missing = [word for word in ("VN", "SW") if word not in found]
    if missing:
        raise MissingSidecarError(
            f"the cube '{own.group('scene')}_{missing[0]}' is not beside '{file}'; put it there"
        )
    return [found["VN"], found["SW"]]


def _tables(files: list[Path], counts: list[int], word: str) -> list[tuple[float, float]]:
    """Two numbers a band of both spectrometers, from the text files of that name; else empty."""
    rows: list[tuple[float, float]] = []
    for detector, count in zip(("VNIR", "SWIR"), counts, strict=False):
        pattern = re.compile(rf"{detector}_?{word}\.raw$", re.IGNORECASE)
        there = [f for f in files_below(files[0].parent, depth=0) if pattern.search(f.name)]
        if len(there) != 1:
            return []
        found: list[tuple[float, float]] = []
        for line in read_text(there[0]).splitlines():
            parts = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?", line[:200])
            if len(parts) >= 2:
                found.append((float(parts[-2]), float(parts[-1])))
        if len(found) != count:
            return []
        rows += found
    return rows if len(rows) == sum(counts) else []


def _spectrum(
    files: list[Path], counts: list[int], notes: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    rows = _tables(files, counts, "Spectralresponse")
    if rows and all(_LOW <= centre <= _HIGH and 0 < width < 100 for centre, width in rows):
        return tuple(centre for centre, _ in rows), tuple(width for _, width in rows)
    notes.append(
        "no wavelengths (two …Spectralresponse.raw with centre and width of each band): the "
        "detectors' overlap is not cut"
    )
    return (), ()


def _constants(
    files: list[Path], counts: list[int], notes: list[str]
) -> tuple[BandConstants | None, ...]:
    """``L = gain * DN + offset``, one line a band."""
    rows = _tables(files, counts, "RadCal")
    if rows and all(0 < gain < 100 and abs(offset) < 1e4 for gain, offset in rows):
        source = "RadCal.raw, unconfirmed form"
        return tuple(BandConstants(gain, offset, source=source) for gain, offset in rows)
    notes.append("no constants of radiance (two …RadCal.raw with gain and offset of each band)")
    return ()


readers.register("ahsi")(AhsiReader())
