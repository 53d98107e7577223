"""PRISMA: a hyperspectral cube and its PAN in one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.acquisition import Delivery
from pansharp.errors import GridMismatchError
from pansharp.geometry.grids import Window
from pansharp.readers._base import SURE, Found, only_scene, readers
from pansharp.readers._compose import finish
from pansharp.readers._grids import place
from pansharp.readers._preflight import check_not_empty
from pansharp.readers._scan import files_below
from pansharp.readers.prisma._product import read_product
from pansharp.scene import Scene
from pansharp.sensors import get_sensor
from pansharp.source import ScreenedSource, empty_bands
from pansharp.source.hdf5 import Hdf5Source

if TYPE_CHECKING:
    import os

    from pansharp.sensors import SensorProfile
    from pansharp.source import BaseSource

__all__ = ["PrismaReader", "open_prisma"]

_FAMILY = "prisma"
_NAME = re.compile(r"^PRS_L(1|2[BCD])_\w+$", re.IGNORECASE)


def open_prisma(
    path: str | os.PathLike[str],
    *,
    join: str = "vnir",
    sensor: SensorProfile | None = None,
    nodata: float | None = None,
    ratio: float | None = None,
) -> Scene:
    """Open a PRISMA file: the co-registered cube as the image, its PAN as the guide.

    Parameters
    ----------
    path : path
        ``.he5`` file of level 1, 2B, 2C or 2D.
    join : str
        Detector that is kept where both see, near 920 to 1010 nm: ``"vnir"`` or ``"swir"``.
    sensor, nodata, ratio
        As :func:`pansharp.readers.open_scene`.

    Returns
    -------
    Scene
        Bands by rising wavelength, unused ones left out; ratio 6. Read in windows, never whole.

    Raises
    ------
    ReaderError
        h5py is not installed, or the file is damaged or no PRISMA product.
    SceneError
        An image holds no data.
    """
    product = read_product(str(path), join)
    value = 0.0 if nodata is None else nodata
    names = tuple(f"{wave:.1f} nm" for wave in product.wavelengths)
    unique = names if len(set(names)) == len(names) else ()
    cube: BaseSource = Hdf5Source(
        product.path, product.cubes, bands=product.bands, nodata=value, band_names=unique
    )
    pan = Hdf5Source(product.path, (product.pan,), nodata=value, band_names=("pan",))
    for source in (pan, cube):
        # A file that was cut lacks its end: better to know before hours of work.
        source.read(Window(source.height - 1, 0, 1, source.width))
    check_not_empty(pan, "PAN")
    empty = empty_bands(cube)
    notes = product.notes
    if empty:
        numbers = ", ".join(str(band + 1) for band in empty)
        notes += (f"{len(empty)} bands hold no data anywhere and are set aside: {numbers}",)
    screened = ScreenedSource(cube, empty)
    check_not_empty(screened, "MS")
    pan_grid, cube_grid = product.grids
    alignment, said = place(pan_grid, cube_grid, ratio)
    if alignment is None:
        raise GridMismatchError(f"the PAN and the cube of '{path}' are not on parallel grids")
    pan_facts, cube_facts = product.facts
    acquired = cube_facts.acquired
    crs = pan_grid.crs
    known = sensor or get_sensor("prisma")
    scene = Scene(
        pan_source=pan,
        ms_source=screened,
        alignment=alignment,
        sensor=known,
        band_names=unique,
        name=Path(path).stem,
        files={"pan": (product.path,), "ms": (product.path,)},
        acquired=None if acquired is None else acquired.isoformat().replace("+00:00", "Z"),
        wavelengths=product.wavelengths,
        widths=product.widths,
        delivery=Delivery(
            family=_FAMILY,
            pan=pan_facts,
            ms=cube_facts,
            geometry="pixel" if crs is None else "map",
            evidence=(
                f"swaths PRS_{product.level}_HCO (cube) and PRS_{product.level}_PCO (PAN)",
                f"wavelengths, widths and flags of the file; {join.upper()} kept where both see",
            ),
        ),
    )
    system = None if crs is None else str(crs.to_wkt())
    return finish(scene, (*notes, *said), pan_grid, system, product.path)


class PrismaReader:
    """Opens PRISMA files of level 1 and 2."""

    summary = "PRISMA .he5 of level 1 and 2: cube and PAN of one file (needs h5py)"

    def matches(self, path: str) -> float:
        """Sure of ``.he5`` files, and of folders that hold some."""
        place = Path(path)
        if place.is_dir():
            return SURE if _files(place, depth=1) else 0.0
        return SURE if _is_prisma(place) and place.is_file() else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Files below a folder, or the file itself."""
        place = Path(path)
        files = _files(place, depth=depth) if place.is_dir() else [place]
        return [
            Found(str(file), file.stem, _FAMILY, (str(file),), "name of a PRISMA file")
            for file in files
        ]

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open a file, or the only one of a folder (errors: :func:`open_prisma`)."""
        file = only_scene(self.find(path), path).path
        return open_prisma(file, sensor=sensor, nodata=nodata, ratio=ratio)


def _is_prisma(file: Path) -> bool:
    return file.suffix.lower() == ".he5" or (
        file.suffix.lower() == ".h5" and _NAME.match(file.stem) is not None
    )


def _files(folder: Path, *, depth: int) -> list[Path]:
    return [file for file in files_below(folder, depth=depth) if _is_prisma(file)]


readers.register("prisma")(PrismaReader())
