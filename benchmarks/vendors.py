"""Generated deliveries through the command line: where the product lies, and what it costs.

python benchmarks/vendors.py truth                          every kind; mtf-glp-fs and ssft-small
python benchmarks/vendors.py truth --models rescnn --kinds wv3-1b gf2-1a-tar --side 128
python benchmarks/vendors.py large --size 30000             a WorldView-3 folder of four bands
python benchmarks/vendors.py large --size 10000 --kind gf2  GaoFen-2 archive of level 1A
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common

sys.path.insert(1, str(common.ROOT / "tests"))

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    import numpy as np


@dataclass(frozen=True)
class Case:
    """A delivery on disk: what the user types, and what the product must show.

    Parameters
    ----------
    arguments : tuple
        What stands behind `pansharp fuse`.
    truth : callable
        From transform (six numbers) and shape (y, x) to the ground (band, y, x), in its own units.
    ratio : int
        MS pixel over PAN pixel.
    """

    arguments: tuple[object, ...]
    truth: Callable[[tuple[float, ...], tuple[int, int]], np.ndarray]
    ratio: int = 4


def _ground(ground: Any, bands: Sequence[int] | None = None) -> Callable[..., np.ndarray]:
    from deliveries.places import truth

    def look(transform: tuple[float, ...], shape: tuple[int, int]) -> np.ndarray:
        image = truth(ground, transform, shape)
        return image if bands is None else image[list(bands)]

    return look


def _maxar(folder: Path, side: int, **how: Any) -> Case:
    from deliveries import maxar

    made = maxar.write_delivery(folder, ms_shape=(side, side), **how)
    return Case((folder,), _ground(made.ground))


def _gaofen(folder: Path, side: int, *, packed: bool = False, **how: Any) -> Case:
    from deliveries import gaofen
    from deliveries.packing import pack

    made = gaofen.gaofen2(folder / "drop", side=side, **how)
    place = made.folder
    if packed:
        place = pack(made.folder, folder / f"{made.folder.name}.tar.gz")
    return Case((place,), _ground(made.ground))


def _dimap(folder: Path, side: int, **how: Any) -> Case:
    from deliveries import dimap

    dimap.bundle(folder, side=side, **how)
    pixel = how.get("pixel", 0.5)
    bands = [dimap.ROWS[code] for code in dimap.ORDER]
    return Case((folder,), _ground(dimap.ground_of(4, pixel), bands))


def _landsat(folder: Path, side: int) -> Case:
    from deliveries import landsat

    home = landsat.landsat(folder, side=side)
    return Case((home, "--bands", "blue,green,red"), _ground(landsat.ground_of(), (1, 2, 3)), 2)


def _prisma(folder: Path, side: int) -> Case:
    from deliveries import prisma

    path = prisma.prisma(folder, side=side)
    # Every band is the ground times a number of its own.
    return Case((path,), _ground(prisma.ground_of(), (0,) * 15), 6)


def _enmap(folder: Path, side: int) -> Case:
    from deliveries import cubes

    sheet = cubes.enmap(folder, side=side)
    guide = cubes.sentinel2(folder, side=3 * side)
    look = _ground(cubes.ground_of(), (0,) * 5)
    return Case(("--hsi", sheet, "--msi", guide), look, 3)


#: Name to what makes it; shifts are in PAN pixels (Maxar) or MS pixels (GaoFen).
KINDS: dict[str, Callable[[Path, int], Case]] = {
    "wv3-2a": lambda f, n: _maxar(f, n),
    "wv3-2a-shifted": lambda f, n: _maxar(f, n, shift=(-4.0, 4.0)),
    "wv3-or2a": lambda f, n: _maxar(f, n, level="OR2A"),
    "wv3-1b": lambda f, n: _maxar(f, n, level="1B", shift=(2.0, -3.0)),
    "wv3-tiles": lambda f, n: _maxar(f, n, tiles=(2, 2)),
    "wv3-halves": lambda f, n: _maxar(f, n, halves="two"),
    "wv3-xml": lambda f, n: _maxar(f, n, sidecars="xml"),
    "ge1": lambda f, n: _maxar(f, n, satellite="GE01"),
    "legion": lambda f, n: _maxar(f, n, satellite="LG01"),
    "gf2-map": lambda f, n: _gaofen(f, n, placed=True),
    "gf2-1a": lambda f, n: _gaofen(f, n, shift=(1.0, -0.5)),
    "gf2-1a-tar": lambda f, n: _gaofen(f, n, packed=True, shift=(1.0, -0.5)),
    "pleiades": lambda f, n: _dimap(f, n),
    "pleiades-sensor": lambda f, n: _dimap(f, n, level="SEN"),
    "landsat": _landsat,
    "prisma": _prisma,
    "enmap": _enmap,
}
#: What fuses cubes where the other kinds get a multispectral method.
_CUBES = {"prisma", "enmap"}
_FOR_CUBES = {"mtf-glp-fs": "glp-hs"}


def _displacement(product: Path, case: Case) -> tuple[float, str]:
    """Largest displacement of the colours in any corner, PAN pixels; and the grid."""
    import numpy as np
    import rasterio

    from deliveries.places import worst

    with rasterio.open(product) as file:
        fused = file.read().astype(float)
        transform = tuple(file.transform)[:6]
        where = f"{file.crs.to_string() if file.crs else 'none'} {file.width} x {file.height}"
        valid = file.read_masks(1) > 0
    want = case.truth(transform, fused.shape[1:])
    found = []
    for band, true in zip(fused, want, strict=True):
        design = np.stack([true[valid], np.ones(valid.sum())], 1)
        # The ground in the units of the product: gains and offsets are not what is tested here.
        (gain, offset), *_ = np.linalg.lstsq(design, band[valid], rcond=None)
        both = (_blurred(band, case.ratio), _blurred(gain * true + offset, case.ratio))
        found.append(worst(*both, valid, 4 * case.ratio))
    return max(found), where


def _blurred(band: np.ndarray, ratio: int) -> np.ndarray:
    """Means over squares of two MS pixels: what the MS, and not the PAN, decides."""
    from scipy.ndimage import uniform_filter

    return uniform_filter(band, 2 * ratio + 1, mode="nearest")


def truth(options: argparse.Namespace) -> int:
    """Table of kinds and models; 1 when a product lies off the ground or a command fails."""
    rows, failed = [], 0
    for kind in options.kinds:
        with tempfile.TemporaryDirectory(dir=options.folder) as home:
            folder = Path(home) / "delivery"
            folder.mkdir()
            case = KINDS[kind](folder, options.side)
            told = json.loads(common.run(common.pansharp("info", *case.arguments, "--json")).output)
            for model in options.models:
                name = _FOR_CUBES.get(model, model) if kind in _CUBES else model
                target = (options.keep or Path(home)) / f"{kind}_{name}.tif"
                extra = [] if options.steps is None else ["--adapt-steps", options.steps]
                done = common.run(
                    common.pansharp(
                        *("fuse", *case.arguments, "-m", name, "-o", target, "--overwrite"),
                        *("-q", "--device", options.device, *extra),
                    )
                )
                card = common.card(target)
                off, where = _displacement(target, case)
                failed += off >= 0.5
                alignment: Any = card["alignment"]
                reduced: Any = card["reduced"]
                residual = alignment.get("residual_rows_cols_pan_px") or (0.0, 0.0)
                rows.append(
                    (
                        *(kind, told["sensor"], where, name, card["model"]["used"]),  # type: ignore[index]
                        *(card["verdict"], _number(reduced.get("rho"))),
                        *(f"{off:.2f}", f"{max(map(abs, residual)) / case.ratio:.3f}"),
                        *(f"{done.wall:.0f}", f"{done.peak:.0f}"),
                    )
                )
                print(*rows[-1], flush=True)
    heads = (
        *("delivery", "sensor", "product", "asked", "used", "verdict", "rho"),
        *("off ground, PAN px", "left between PAN and MS, MS px", "s", "MiB"),
    )
    common.emit("Generated deliveries", common.table(heads, rows), options)
    return int(failed > 0)


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"


def large(options: argparse.Namespace) -> int:
    """Peak memory and time of one large delivery."""
    place = options.folder / f"delivery_{options.kind}_{options.size}"
    given = (_large_gaofen if options.kind == "gf2" else _large_maxar)(place, options)
    target = options.folder / "large_delivery.tif"
    common.remove(target)
    done = common.run(common.pansharp("fuse", given, "-m", "mtf-glp-fs", "-q", "-o", target))
    card = common.card(target)
    gib = target.stat().st_size / 2**30
    rows = [
        (
            *(given.name, f"{options.size} x {options.size} x 4", f"{done.wall:.0f}"),
            *(f"{done.cpu:.0f}", f"{done.peak:.0f}", f"{gib:.1f}", card["verdict"] or "-"),
        )
    ]
    common.remove(target)
    heads = ("delivery", "product", "wall s", "CPU s", "peak MiB", "GiB", "verdict")
    common.emit("A large delivery", common.table(heads, rows), options)
    return 0


def _large_maxar(place: Path, options: argparse.Namespace) -> Path:
    """A WorldView-3 folder of four bands around a generated scene."""
    from deliveries.maxar import FOUR, ORDER, TIME, imd_table, pvl

    if place.exists():
        return place
    images = common.scene(options.folder, options.size)
    for letter, component, band_id, codes, image, ratio in (
        ("P", "PAN", "P", ("P",), images[0], 1),
        ("M", "MUL", "Multi", FOUR, images[1], 4),
    ):
        home = place / f"{ORDER}_{component}"
        home.mkdir(parents=True)
        stem = f"{TIME}-{letter}2AS-{ORDER}"
        image.rename(home / f"{stem}.TIF")
        side = options.size // ratio
        table = imd_table(
            band_id=band_id, codes=codes, shape=(side, side), level="2A", satellite="WV03",
            gsd=0.5 * ratio,
        )  # fmt: skip
        table.pop("MAP_PROJECTED_PRODUCT")  # the file's own geokeys place it
        (home / f"{stem}.IMD").write_text(pvl(table))
    return place


def _large_gaofen(place: Path, options: argparse.Namespace) -> Path:
    """A GaoFen-2 archive of level 1A: sensor geometry, RPC, no map."""
    import warnings

    import rasterio

    from deliveries import gaofen
    from deliveries.ground import Camera
    from deliveries.packing import pack

    stem = gaofen.SCENE.format(camera=1)
    archive = place / f"{stem}.tar.gz"
    if archive.exists():
        return archive
    home = place / stem
    home.mkdir(parents=True, exist_ok=True)
    images = common.scene(options.folder, options.size)
    for role, image, ratio in (("PAN1", images[0], 1), ("MSS1", images[1], 4)):
        side = options.size // ratio
        eye = Camera((side, side), 0.8 * ratio, gaofen.CENTRE, height=20.0)
        path = home / f"{stem}-{role}.tiff"
        with warnings.catch_warnings(), rasterio.open(image) as source:
            warnings.simplefilter("ignore")
            profile = {**source.profile, "crs": None, "transform": None}
            with rasterio.open(path, "w", **profile) as target:
                for _, window in source.block_windows(1):
                    target.write(source.read(window=window), window=window)
        path.with_suffix(".xml").write_text(gaofen.xml(SensorID="PMS1"))
        head = {"satId": "GF2", "bandId": "X", "SpecId": "RPC00B", "IMAGE": eye.rpc()}
        path.with_suffix(".rpb").write_text(gaofen.pvl(head))
    (home / f"{stem}.xml").write_text(gaofen.xml(SensorID="PMS1"))
    return pack(home, archive)


def main(arguments: Sequence[str] | None = None) -> int:
    made = common.parser(__doc__)
    commands = made.add_subparsers(required=True)
    one = commands.add_parser("truth")
    one.add_argument("--models", nargs="+", default=["mtf-glp-fs", "ssft-small"])
    one.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    one.add_argument("--side", type=int, default=192, help="MS pixels [%(default)s]")
    one.add_argument("--steps", type=int, help="of networks; their own without")
    one.add_argument("--device", default="auto")
    one.add_argument("--keep", type=Path, help="folder for the products")
    one.set_defaults(run=truth)
    two = commands.add_parser("large")
    two.add_argument("--size", type=int, default=30_000)
    two.add_argument("--kind", choices=("wv3", "gf2"), default="wv3")
    two.set_defaults(run=large)
    options = common.parse(made, arguments)
    result: int = options.run(options)
    return result


if __name__ == "__main__":
    sys.exit(main())
