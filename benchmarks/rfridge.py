"""What fitting to the scene gains over the best classical method, on pairs whose truth is known.

    python benchmarks/rfridge.py                       cubes in shared/data beside the checkout
    python benchmarks/rfridge.py --data DIR --rows "Jasper Ridge x4" --networks rescnn

Pairs are simulated from real cubes: Gaussian blur of 0.5 HSI pixels, four Gaussian bands like blue,
green, red and near infrared of Sentinel-2, or a PAN that is the mean of 450 to 800 nm; no noise but
where the row says 30 dB (on HSI and guide, relative to the mean square of each band). Berlin has a
real guide: HyMap, brought to 30 m by the same blur, and the EnMAP cube of 30 m, degraded, as HSI;
in the rows `fitted` HyMap is blurred and shifted as the scan of the native pair says. The blur is
known to all methods. Every method with two back-projections, but none at 30 dB. Scores are taken
on the whole image; ERGAS with factor 100 / ratio.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import common
from networks import default_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from pansharp.models.base import Fuser, SceneFacts
    from pansharp.scene import Scene

CLASSICAL = ("glp-hs", "gsa-hs", "loc-hs", "fuse-sylvester", "cnmf")
#: Name, cube, ratio, whether the guide is a PAN, noise in decibel.
ROWS: tuple[tuple[str, str, float, bool, float | None], ...] = (
    ("Jasper Ridge x4", "jasper", 4, False, None),
    ("Potsdam x4", "potsdam", 4, False, None),
    ("Chikusei x4", "chikusei", 4, False, None),
    ("Washington DC x4", "dc", 4, False, None),
    ("Berlin x4", "berlin", 4, False, None),
    ("Berlin x4, fitted", "berlin fitted", 4, False, None),
    ("Jasper Ridge x8", "jasper", 8, False, None),
    ("Potsdam x8", "potsdam", 8, False, None),
    ("Berlin x8.33", "berlin", 8 + 1 / 3, False, None),
    ("Berlin x8.33, fitted", "berlin fitted", 8 + 1 / 3, False, None),
    ("Jasper Ridge PAN x6", "jasper", 6, True, None),
    ("Potsdam PAN x6", "potsdam", 6, True, None),
    ("Chikusei PAN x6", "chikusei", 6, True, None),
    ("Washington DC PAN x6", "dc", 6, True, None),
    ("Jasper Ridge x4, 30 dB", "jasper", 4, False, 30.0),
    ("Chikusei x4, 30 dB", "chikusei", 4, False, 30.0),
    ("Washington DC x4, 30 dB", "dc", 4, False, 30.0),
)
#: Centre and width (FWHM) of the guide's bands, nanometres.
BANDS = ((490.0, 65.0), (560.0, 35.0), (665.0, 30.0), (842.0, 115.0))
#: Blur of the HSI, HSI pixels; blur and shift (guide pixels) of Berlin's native pair.
SIGMA, BERLIN = 0.5, (0.45, -1.0, -0.75)
#: Side of the largest window without holes that Potsdam has, rows and columns.
POTSDAM = (64, 128)


@dataclass(frozen=True)
class Score:
    """One method on one pair."""

    row: str
    method: str
    ergas: float
    sam: float
    psnr: float
    seconds: float


def wavelengths(name: str, bands: int) -> np.ndarray:
    """Nominal wavelengths of the cubes that come without."""
    import numpy as np

    if name == "jasper":
        # AVIRIS, 224 bands, without those in the water vapour and at the ends.
        kept = [*range(3, 107), *range(112, 153), *range(166, 219)]
        return np.linspace(380.0, 2500.0, 224)[kept]
    first, last = {"chikusei": (363.0, 1018.0), "dc": (400.0, 2400.0)}[name]
    return np.linspace(first, last, bands)


def read(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A cube (band, y, x) without holes, and its wavelengths."""
    import numpy as np
    import rasterio

    files = {
        "jasper": "jasper_ridge/hsi.tif",
        "chikusei": "hsi_mini/chikusei.tif",
        "dc": "hsi_mini/dc.tif",
        "potsdam": "enmap_potsdam/hsi.tif",
    }
    with rasterio.open(data / files[name]) as source:
        cube = source.read().astype(np.float64)
        tags = [source.tags(i) for i in range(1, source.count + 1)]
        nodata = source.nodata
    if name != "potsdam":
        return cube, wavelengths(name, len(cube))
    known = cube != nodata
    use = known.any(axis=(1, 2))
    whole = known[use].all(axis=0)
    total = np.pad(whole.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    high, wide = POTSDAM
    sums = total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
    row, col = np.argwhere(sums == high * wide)[0]
    waves = np.array([float(tag["wavelength"]) for tag in tags])
    return cube[use][:, row : row + high, col : col + wide], waves[use]


def degrade(image: np.ndarray, axes: tuple[object, object], shape: tuple[int, int], sigma: float):
    """The image through a Gaussian of `sigma` fine pixels; its border is replicated."""
    from pansharp.geometry.resample import axis_matrix
    from pansharp.models.hyperspectral.operators import Psf

    psf = Psf(sigma)
    rows, cols = (
        axis_matrix(axis, "down", psf, (0, count), (0, size), border="edge")
        for axis, count, size in zip(axes, shape, image.shape[1:], strict=True)
    )
    return rows @ image @ cols.T


def berlin(data: Path, fitted: bool) -> tuple[np.ndarray, np.ndarray]:
    """EnMAP at 30 m, and HyMap brought to its grid."""
    import numpy as np

    from pansharp.geometry.grids import AxisMap, Window
    from pansharp.readers import open_scene

    folder = data / "berlin_urban_gradient"
    scene = open_scene(hsi=folder / "enmap_hsi.tif", msi=folder / "hymap_msi.tif")
    sources = (scene.ms_source, scene.pan_source)
    cube, guide = (s.read(Window(0, 0, s.height, s.width)).astype(np.float64) for s in sources)
    shape = cube.shape[1:]
    y, x = scene.alignment.y, scene.alignment.x
    sigma, down, right = BERLIN if fitted else (SIGMA, 0.0, 0.0)
    axes = (AxisMap(y.scale, y.offset + down), AxisMap(x.scale, x.offset + right))
    return cube, degrade(guide, axes, shape, sigma * y.scale)


def pair_of(data: Path, row: tuple) -> tuple[Scene, np.ndarray]:
    """A simulated pair and its truth."""
    import math

    import numpy as np

    from pansharp.geometry.grids import Alignment, AxisMap
    from pansharp.scene import Scene

    _, name, ratio, pan, noise = row
    if name.startswith("berlin"):
        cube, guide = berlin(data, name.endswith("fitted"))
    else:
        cube, waves = read(data, name)
        if pan:
            guide = cube[(waves >= 450.0) & (waves <= 800.0)].mean(axis=0, keepdims=True)
        else:
            curves = [np.exp(-0.5 * ((waves - c) / (w / 2.3548)) ** 2) for c, w in BANDS]
            guide = np.stack([np.tensordot(g / g.sum(), cube, 1) for g in curves])
    shape = tuple(math.floor(size / ratio + 1e-9) for size in cube.shape[1:])
    if ratio == round(ratio):
        cut = (slice(None), *(slice(0, int(count * ratio)) for count in shape))
        cube, guide = cube[cut], guide[cut]
    # Whole HSI pixels lie in the middle of the cube.
    y, x = (
        AxisMap(ratio, (size - 1 - (count - 1) * ratio) / 2.0)
        for size, count in zip(cube.shape[1:], shape, strict=True)
    )
    alignment = Alignment(y, x)
    low = degrade(cube, (y, x), shape, SIGMA * ratio)
    if noise is not None:
        rng = np.random.default_rng(0)
        low, guide = (_noisy(image, noise, rng) for image in (low, guide))
    scene = Scene.from_arrays(
        guide.astype(np.float32), low.astype(np.float32), alignment=alignment, name=row[0]
    )
    return scene, cube


def _noisy(image: np.ndarray, decibel: float, rng: np.random.Generator) -> np.ndarray:
    power = (image**2).mean(axis=(1, 2), keepdims=True)
    return image + rng.normal(size=image.shape) * (power / 10 ** (decibel / 10)) ** 0.5


def fitted(name: str, scene: Scene, facts: SceneFacts, steps: int | None) -> tuple[Fuser, int]:
    """A method prepared on a pair, and the back-projections that complete it."""
    from pansharp.engine import prepare
    from pansharp.models import create_model, is_network

    if not is_network(name):
        fuser = prepare(create_model(name), scene, facts)
        return fuser, fuser.basis.passes if name == "rfridge" else 2
    from pansharp.adaptation.cube import adapt_cube
    from pansharp.models.hyperspectral.basis import GsaBasis

    basis = prepare(GsaBasis(), scene, facts)
    network, _ = adapt_cube(name, [scene], facts, basis, steps=steps, seed=0, device="cpu")
    return network, basis.passes


def score(row: tuple, data: Path, methods: Sequence[str], steps: int | None) -> list[Score]:
    """Every method on one pair of the table."""
    return measure(row[0], *pair_of(data, row), methods, steps, noisy=row[4] is not None)


def measure(
    label: str,
    scene: Scene,
    truth: np.ndarray,
    methods: Sequence[str],
    steps: int | None = None,
    *,
    noisy: bool = False,
) -> list[Score]:
    """Every method on a pair whose truth is known; noisy ones are not back-projected."""
    import numpy as np

    from pansharp.adaptation.backproject import back_project, backprojection_halo
    from pansharp.chips import read_chip
    from pansharp.evaluation import ergas, psnr, sam
    from pansharp.geometry.grids import Window
    from pansharp.models.base import SceneFacts
    from pansharp.models.hyperspectral.operators import gain_of_sigma, inner_pixels

    gains = (gain_of_sigma(SIGMA),) * scene.bands
    facts = SceneFacts(scene.alignment, gains, 0.15, shape=scene.shape[1:])
    margin = backprojection_halo(scene.ratio, gains, 2)
    pad = ((0, 0), (margin, margin), (margin, margin))
    results = []
    for name in methods:
        begin = time.perf_counter()
        fuser, passes = fitted(name, scene, facts, steps)
        if noisy:
            passes = 0
        chip = read_chip(scene, Window(0, 0, *scene.shape[1:]), max(margin, fuser.halo))
        out = fuser(chip)
        if passes:
            wide = np.pad(out, pad, mode="edge")
            out = back_project(wide, chip, gains, passes, inner_pixels(facts))
        seconds = time.perf_counter() - begin
        wide = out.astype(np.float64)
        errors = (
            ergas(truth, wide, ratio=scene.ratio),
            sam(truth, wide),
            psnr(truth, wide, data_range=float(truth.max())),
        )
        results.append(Score(label, name, *errors, seconds))
    return results


def report(results: Sequence[Score]) -> str:
    """One line a pair: the best classical method and what was fitted to the scene."""
    methods = [m for m in dict.fromkeys(r.method for r in results) if m not in CLASSICAL]
    lines = []
    for row in dict.fromkeys(r.row for r in results):
        mine = {r.method: r for r in results if r.row == row}
        best = min((mine[m] for m in CLASSICAL if m in mine), key=lambda r: r.ergas)
        line = [row, f"{_figures(best)} `{best.method}`"]
        for name in methods:
            line += [_figures(mine[name]), f"{mine[name].ergas / best.ergas:.3f}"]
        lines.append([*line, f"{mine[methods[0]].seconds:.1f}" if methods else ""])
    heads = ["pair", "best classical"]
    for name in methods:
        heads += [f"`{name}`", "ratio"]
    return "ERGAS / SAM (degrees) / PSNR (dB)\n\n" + common.table([*heads, "seconds"], lines)


def _figures(score: Score) -> str:
    return f"{score.ergas:.3f} / {score.sam:.2f} / {score.psnr:.2f}"


def main(arguments: Sequence[str] | None = None) -> list[Score]:
    """Run the benchmark as the command line says."""
    parser = common.parser("What fitting to the scene gains over classical methods.")
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of the cubes")
    parser.add_argument("--rows", nargs="+", default=[row[0] for row in ROWS])
    parser.add_argument("--networks", nargs="*", default=[])
    parser.add_argument("--steps", type=int, help="optimiser steps of the networks")
    options = common.parse(parser, arguments)
    methods = [*CLASSICAL, "rfridge", *options.networks]
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in ROWS:
            if row[0] in options.rows:
                results += score(row, options.data, methods, options.steps)
    common.emit("Fitted to the scene", report(results), options)
    return results


if __name__ == "__main__":
    main()
