"""What a PRISMA file holds: where its images lie, its bands, its place, its constants."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.acquisition import BandConstants, ImageFacts
from pansharp.errors import ReaderError
from pansharp.readers._grids import Grid
from pansharp.readers._sidecar import Fields, printable
from pansharp.readers._spectrum import joined_bands, left_out
from pansharp.scene import IDENTITY
from pansharp.source.hdf5 import image_dataset, open_hdf5

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pansharp.scene import Affine6

__all__ = ["Product", "read_product"]

_SWATHS = "HDFEOS/SWATHS"
_FIELDS = "Data Fields"
_LEVELS = ("L1", "L2D", "L2C", "L2B")
#: Pixel sizes of a map product, metres.
_HSI_M, _PAN_M, _RATIO = 30.0, 5.0, 6
#: Counts that stand for the ends of the reflectance scale.
_FULL = 65_535.0
#: Groups that a message names.
_SHOWN = 8


@dataclass(frozen=True)
class Product:
    """One file, read but for its pixels.

    Parameters
    ----------
    path : str
        File.
    level : str
        ``L1``, ``L2B``, ``L2C`` or ``L2D``.
    cubes : tuple of str
        Paths of the VNIR and the SWIR cube, (y, band, x).
    pan : str
        Path of the PAN, (y, x).
    bands : tuple of (int, int)
        Cube and band in it for every band that is used, by rising wavelength.
    wavelengths, widths : tuple of float
        Of those, nanometres.
    grids : tuple of Grid
        PAN, cube.
    facts : tuple of ImageFacts
        PAN, cube.
    notes : tuple of str
        What was decided.
    """

    path: str
    level: str
    cubes: tuple[str, str]
    pan: str
    bands: tuple[tuple[int, int], ...]
    wavelengths: tuple[float, ...]
    widths: tuple[float, ...]
    grids: tuple[Grid, Grid]
    facts: tuple[ImageFacts, ImageFacts]
    notes: tuple[str, ...]


@dataclass
class _Root:
    """Attributes of the file's root: numbers, lists and texts of unknown kind."""

    path: str
    attrs: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)

    def numbers(self, key: str) -> tuple[float, ...]:
        import numpy as np

        value = self._get(key)
        if value is None:
            return ()
        try:
            return tuple(float(v) for v in np.asarray(value, dtype=np.float64).ravel())
        except (TypeError, ValueError):
            return ()

    def number(self, key: str, low: float, high: float) -> float | None:
        found = self.numbers(key)
        if len(found) != 1:
            return None
        if not low <= found[0] <= high:
            self.notes.append(f"{key} is {found[0]:g}, outside {low:g} to {high:g}; left out")
            return None
        return found[0]

    def text(self, key: str) -> str:
        value = self._get(key)
        if isinstance(value, bytes):
            return value.decode("utf-8", errors="replace").strip("\0 ")
        return value if isinstance(value, str) else ""

    def _get(self, key: str) -> Any:
        try:
            return self.attrs.get(key)
        except (OSError, RuntimeError, ValueError, TypeError):
            return None  # an attribute of a damaged or unknown kind is as good as none


def read_product(path: str, join: str = "vnir") -> Product:
    """Read everything of a PRISMA file but the pixels.

    Parameters
    ----------
    path : str
        ``.he5`` file of level 1, 2B, 2C or 2D.
    join : str
        Detector that is kept where both see (:func:`pansharp.readers._spectrum.joined_bands`).

    Returns
    -------
    Product

    Raises
    ------
    ReaderError
        It is damaged, no PRISMA product, or lacks its wavelengths or a needed image.
    """
    with open_hdf5(path) as file:
        level = _level(file, path)
        root = _Root(path, file.attrs)
        swath = f"{_SWATHS}/PRS_{level}"
        cubes = tuple(f"{swath}_HCO/{_FIELDS}/{part}_Cube" for part in ("VNIR", "SWIR"))
        pan = f"{swath}_PCO/{_FIELDS}/Cube"
        shapes = [_shape(file, name, path) for name in (*cubes, pan)]
        bands, waves, widths = _spectrum(root, shapes[:2], join)
        cube_shape, pan_shape = (shapes[0][0], shapes[0][2]), (shapes[2][0], shapes[2][1])
        transform, pan_transform, crs = _place(root, level, cube_shape, pan_shape)
        facts = _facts(root, level, bands, placed=crs is not None)
    return Product(
        path=path,
        level=level,
        cubes=(cubes[0], cubes[1]),
        pan=pan,
        bands=bands,
        wavelengths=waves,
        widths=widths,
        grids=(Grid(path, pan_shape, pan_transform, crs), Grid(path, cube_shape, transform, crs)),
        facts=facts,
        notes=tuple(dict.fromkeys(root.notes)),
    )


def _level(file: Any, path: str) -> str:
    try:
        swaths = file.get(_SWATHS)
        # A dataset of that name can be walked through as well: all its pixels.
        groups = [str(name) for name in swaths] if hasattr(swaths, "keys") else []
        there = groups or [str(name) for name in file]
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as problem:
        raise ReaderError(f"'{path}' is damaged; copy or download it again") from problem
    for level in _LEVELS:
        if f"PRS_{level}_HCO" in groups:
            return level
    shown = printable(", ".join(there[:_SHOWN])) or "none"
    raise ReaderError(
        f"'{path}' is not a PRISMA L1/L2D file: {_SWATHS}/PRS_L2D_HCO/… not found (groups "
        f"present: {shown})"
    )


def _shape(file: Any, name: str, path: str) -> tuple[int, ...]:
    data = image_dataset(file, name, path)
    axes = 2 if name.endswith("/Cube") else 3
    if data is None or len(data.shape) != axes:
        what = "is not found" if data is None else f"has {len(data.shape)} axes, not {axes}"
        raise ReaderError(
            f"'{path}' is no complete PRISMA product: its image {name} {what}; download it again"
        )
    return tuple(int(size) for size in data.shape)


def _spectrum(
    root: _Root, shapes: Sequence[tuple[int, ...]], join: str
) -> tuple[tuple[tuple[int, int], ...], tuple[float, ...], tuple[float, ...]]:
    """Bands in order of wavelength: stored from long to short, with unused slots at 0."""
    places: list[tuple[int, int]] = []
    waves: list[float] = []
    widths: list[float] = []
    usable: list[bool] = []
    for part, (word, shape) in enumerate(zip(("Vnir", "Swir"), shapes, strict=True)):
        count = shape[1]
        centres = root.numbers(f"List_Cw_{word}")
        if len(centres) != count:
            raise ReaderError(
                f"'{root.path}' lists {len(centres)} wavelengths (List_Cw_{word}) for {count} "
                "bands; it is damaged, download it again"
            )
        wide = root.numbers(f"List_Fwhm_{word}")
        flags = root.numbers(f"List_Cw_{word}_Flags")
        good = flags if len(flags) == count else (1.0,) * count
        for band in range(count):
            places.append((part, band))
            waves.append(centres[band])
            widths.append(wide[band] if len(wide) == count else 0.0)
            usable.append(good[band] == 1.0 and 100.0 < centres[band] < 20_000.0)
    kept, double = joined_bands(waves, [part == 0 for part, _ in places], usable, join)
    if not kept:
        raise ReaderError(f"'{root.path}' flags all its bands as unused; nothing can be fused")
    if usable.count(False):
        unused = usable.count(False)
        slots = "1 band slot is" if unused == 1 else f"{unused} band slots are"
        root.notes.append(f"{slots} unused by the product's flags")
    if double:
        words = ("SWIR", "VNIR") if join == "vnir" else ("VNIR", "SWIR")
        root.notes.append(left_out(double, *words))
    chosen = tuple(widths[band] for band in kept)
    return (
        tuple(places[band] for band in kept),
        tuple(waves[band] for band in kept),
        chosen if all(width > 0 for width in chosen) else (),
    )


def _place(
    root: _Root, level: str, cube: tuple[int, int], pan: tuple[int, int]
) -> tuple[Affine6, Affine6, Any]:
    """Grids of a map product; pixels alone for the others.

    The corners are centres of pixels in some readers and outer corners in none that is known to
    be right: the size of the cube decides. The PAN shares the cube's frame where it has six times
    its pixels.
    """
    if level != "L2D":
        return IDENTITY, IDENTITY, None
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    code = root.number("Epsg_Code", 1024, 32_767)
    corners = [
        root.number(f"Product_{corner}corner_{axis}", -1e8, 1e8)
        for corner in ("UL", "LR")
        for axis in ("easting", "northing")
    ]
    if code is None or None in corners:
        root.notes.append("the file tells no map projection: pixels are taken as they lie")
        return IDENTITY, IDENTITY, None
    try:
        crs = CRS.from_epsg(int(code))
    except CRSError as problem:
        raise ReaderError(f"'{root.path}' names the unknown projection EPSG:{code:g}") from problem
    left, top, right, bottom = (float(value or 0.0) for value in corners)
    across, down = (right - left) / _HSI_M, (top - bottom) / _HSI_M
    outer = _near(across, cube[1]) and _near(down, cube[0])
    inner = _near(across, cube[1] - 1) and _near(down, cube[0] - 1)
    if not (outer or inner):
        root.notes.append(
            f"the product's corners are {down:g} x {across:g} pixels of 30 m apart, its cube has "
            f"{cube[0]} x {cube[1]}: the first corner is taken as the centre of the first pixel"
        )
    half = 0.0 if outer else _HSI_M / 2
    frame = (left - half, top + half)
    whole = pan == (_RATIO * cube[0], _RATIO * cube[1])
    pan_frame = frame if whole or outer else (left - _PAN_M / 2, top + _PAN_M / 2)
    told = "outer corners" if outer else "centres of pixels"
    shared = ", and the PAN shares the cube's frame" if whole and not outer else ""
    root.notes.append(f"the product's corners are read as {told}{shared}")
    return (
        (_HSI_M, 0.0, frame[0], 0.0, -_HSI_M, frame[1]),
        (_PAN_M, 0.0, pan_frame[0], 0.0, -_PAN_M, pan_frame[1]),
        crs,
    )


def _near(value: float, size: int) -> bool:
    return abs(value - size) < 0.25


def _facts(
    root: _Root, level: str, bands: Sequence[tuple[int, int]], *, placed: bool
) -> tuple[ImageFacts, ImageFacts]:
    zenith = root.number("Sun_zenith_angle", 0, 180)
    shared = ImageFacts(
        acquired=_time(root),
        sun_elevation=None if zenith is None else 90.0 - zenith,
        sun_azimuth=root.number("Sun_azimuth_angle", -360, 360),
        level=level,
        identifier=root.text("Product_ID") or None,
        corrected=None if level == "L1" else f"atmospherically corrected ({level})",
        placed=placed,
    )
    from dataclasses import replace

    parts = {part: _scale(root, level, word) for part, word in enumerate(("Vnir", "Swir"))}
    constants = tuple(parts[part] for part, _ in bands)
    pan = _scale(root, level, "Pan")
    return (
        replace(shared, constants=(pan,) if pan is not None else ()),
        replace(shared, constants=constants if any(constants) else ()),
    )


def _scale(root: _Root, level: str, word: str) -> BandConstants | None:
    """Level 1: ``L = offset + DN / factor``; level 2: ``rho = min + DN (max - min) / 65535``."""
    if level == "L1":
        factor = root.number(f"ScaleFactor_{word}", 1e-9, 1e9)
        offset = root.number(f"Offset_{word}", -1e9, 1e9)
        if factor is None:
            return None
        return BandConstants(1.0 / factor, offset or 0.0, source=f"ScaleFactor_{word} of the file")
    low = root.number(f"L2Scale{word}Min", -100, 100)
    high = root.number(f"L2Scale{word}Max", -100, 100)
    if low is None or high is None or not high > low:
        return None
    source = f"L2Scale{word}Min and Max of the file"
    return BandConstants((high - low) / _FULL, low, units="1", source=source)


def _time(root: _Root) -> datetime | None:
    told = Fields("", {"t": root.text("Product_StartTime")}).time("t", zone=UTC)
    match = re.search(r"_(\d{14})_", Path(root.path).name)
    if told is None and match:
        try:
            told = datetime.strptime(match.group(1), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            told = None
    return told
