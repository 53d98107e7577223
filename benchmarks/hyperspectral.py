"""Hyperspectral methods on a real pair and on simulated pairs whose truth is known.

    python benchmarks/hyperspectral.py                      cubes in shared/data beside the checkout
    python benchmarks/hyperspectral.py --data DIR --methods gsa-hs fuse-sylvester

Berlin (EnMAP and HyMap, ratio 8.33) is scored one ratio coarser, as on the score card. The others
are simulated from real cubes: Gaussian blur of MTF gain 0.30, four bands of WorldView-3 or a flat
PAN of 450 to 800 nm, noise of a signal-to-noise ratio of 400 (cube) and 200 (guide); they are
scored against the cube itself. Every run measures blur and shift, as `pansharp fuse` does.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import common
from networks import default_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from pansharp.scene import Scene

METHODS = (
    *("exp", "glp-hs", "gsa-hs", "sfim-hs", "loc-hs", "gfpca"),
    *("fuse-sylvester", "cnmf", "hysure"),
)
#: Name, file, first and last wavelength (nominal, nanometres), ratio, whether the guide is a PAN.
SIMULATED = (
    ("Jasper Ridge x4", "jasper_ridge/hsi.tif", (410.0, 2460.0), 4, False),
    ("Chikusei x4", "hsi_mini/chikusei.tif", (363.0, 1018.0), 4, False),
    ("Washington DC x4", "hsi_mini/dc.tif", (400.0, 2475.0), 4, False),
    ("Jasper Ridge x8", "jasper_ridge/hsi.tif", (410.0, 2460.0), 8, False),
    ("Jasper Ridge PAN x6", "jasper_ridge/hsi.tif", (410.0, 2460.0), 6, True),
    ("Chikusei PAN x4", "hsi_mini/chikusei.tif", (363.0, 1018.0), 4, True),
)


@dataclass(frozen=True)
class Score:
    """One method on one pair."""

    pair: str
    method: str
    ergas: float
    sam: float
    psnr: float
    seconds: float


def simulated(
    path: Path, waves: tuple[float, float], ratio: int, pan: bool
) -> tuple[Scene, object]:
    """A simulated pair and its truth."""
    import numpy as np
    import rasterio

    from pansharp.scene import Scene
    from pansharp.simulate import SNR, band_response, simulate_hsi_msi

    with rasterio.open(path) as source:
        cube = source.read().astype(np.float32)
    wavelengths = np.linspace(*waves, len(cube))
    made = simulate_hsi_msi(cube, wavelengths, sensor="worldview3", ratio=ratio)
    names = [made.band_names.index(name) for name in ("blue", "green", "red", "nir1")]
    guide = made.msi[names]
    if pan:
        weights, _ = band_response(wavelengths, 625.0, 350.0, flat=True)
        clean = np.tensordot(weights, made.reference, 1)
        noise = np.random.default_rng(1).normal(size=clean.shape)
        guide = (clean + noise * np.sqrt(clean * clean.mean()) / SNR["pan"])[None]
    scene = Scene.from_arrays(guide.astype(np.float32), made.hsi, alignment=made.alignment)
    return replace(scene, wavelengths=tuple(wavelengths)), made.reference


def against_truth(
    name: str, scene: Scene, truth: np.ndarray, methods: Sequence[str]
) -> list[Score]:
    """Fuse with every method and compare with the cube."""
    import numpy as np

    from pansharp.engine import fuse_array
    from pansharp.evaluation import ergas, psnr, sam
    from pansharp.hyperspectral import prepare_pair
    from pansharp.models.classical.interpolate import Exp
    from pansharp.options import FuseOptions
    from pansharp.outcome.cube_fusers import prepare_fuser

    results = []
    wide = truth.astype(np.float64)
    for method in methods:
        begin = time.perf_counter()
        if method == "exp":
            used, fuser = scene, Exp()
        else:
            pair = prepare_pair(scene, FuseOptions.checked(model=method))
            used, fuser = pair.usable, prepare_fuser(pair, method)[1]
        out = fuse_array(used, fuser)[0].astype(np.float64)
        seconds = time.perf_counter() - begin
        errors = (
            ergas(wide, out, ratio=scene.ratio),
            sam(wide, out),
            psnr(wide, out, data_range=float(wide.max())),
        )
        results.append(Score(name, method, *errors, seconds))
    return results


def berlin(data: Path, methods: Sequence[str]) -> list[Score]:
    """The real pair, one ratio coarser; seconds are those of the fusion at full resolution."""
    import numpy as np

    from pansharp.engine import fuse_array
    from pansharp.hyperspectral import prepare_pair
    from pansharp.hyperspectral_trial import CubeTrial
    from pansharp.models.classical.interpolate import Exp
    from pansharp.options import FuseOptions
    from pansharp.outcome.cube_fusers import prepare_fuser
    from pansharp.readers import open_scene

    folder = data / "berlin_urban_gradient"
    scene = open_scene(hsi=folder / "enmap_hsi.tif", msi=folder / "hymap_msi.tif")
    results = []
    for method in methods:
        begin = time.perf_counter()
        pair = prepare_pair(scene, FuseOptions.checked(model=method))
        fuser = Exp() if method == "exp" else prepare_fuser(pair, method)[1]
        fuse_array(pair.usable, fuser, tile=256)
        seconds = time.perf_counter() - begin
        trial = CubeTrial(pair)
        score = trial.score(method, 0)
        mse = score.squared.sum() / (score.counts.sum() * score.squared.shape[1])
        top = max(float(r.reference.max()) for r in trial.reduced)
        figures = score.as_dict()
        decibel = float(10 * np.log10(top**2 / mse))
        results.append(
            Score("Berlin x8.33", method, figures["ergas"], figures["sam"], decibel, seconds)
        )
    return results


def report(results: Sequence[Score]) -> str:
    """One table a pair would be long: methods in rows, pairs in columns."""
    pairs = list(dict.fromkeys(r.pair for r in results))
    methods = list(dict.fromkeys(r.method for r in results))
    found = {(r.pair, r.method): r for r in results}
    rows = []
    for method in methods:
        row = [f"`{method}`"]
        for pair in pairs:
            r = found[pair, method]
            row.append(f"{r.ergas:.2f} / {r.sam:.2f} / {r.psnr:.1f} / {r.seconds:.1f}")
        rows.append(row)
    return "ERGAS / SAM (degrees) / PSNR (dB) / seconds\n\n" + common.table(
        ["method", *pairs], rows
    )


def main(arguments: Sequence[str] | None = None) -> list[Score]:
    """Run the benchmark as the command line says."""
    parser = common.parser("Hyperspectral methods on a real and on simulated pairs.")
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of the cubes")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    options = common.parse(parser, arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = berlin(options.data, options.methods)
        for name, file, waves, ratio, pan in SIMULATED:
            scene, truth = simulated(options.data / file, waves, ratio, pan)
            results += against_truth(name, scene, truth, options.methods)
    common.emit("Hyperspectral methods", report(results), options)
    return results


if __name__ == "__main__":
    main()
