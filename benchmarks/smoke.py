"""Every benchmark at a tiny size, in well under a minute: do they run, and are the figures finite?

    python benchmarks/smoke.py

No time is judged: a busy machine must not fail a build.
"""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import adaptation
import batch
import common
import engine_overhead
import gdal
import indices
import memory
import networks
import rfridge
import vendors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def positive(values: Iterable[float]) -> None:
    """Refuse figures that no measurement gives."""
    for value in values:
        if not (math.isfinite(value) and value > 0):
            raise SystemExit(f"a benchmark gave {value}")


def _gdal(folder: str) -> str:
    head = ["--folder", folder, "--size", "512", "--pairs", "1", "--warm-up", "0"]
    results = gdal.main([*head, "--threads", "1", "--cases", "cog", "--yardstick", "rasterio"])
    if gdal.shutil.which(gdal.SCRIPT):
        results += gdal.main([*head, "--threads", "1", "--cases", "plain"])
    for result in results:
        positive(result.ratio(name).median for name in ("wall", "cpu", "peak"))
    return gdal.report(results, "gdal")


def _memory(folder: str) -> str:
    sizes = ["--sizes", "256", "512", "--base", "512"]
    results = memory.main(["--folder", folder, *sizes, "--repeats", "1", "--models", "brovey"])
    positive(result.median(name) for result in results for name in ("wall", "cpu", "peak"))
    return memory.report(results, 512)


def _batch(folder: str) -> str:
    # Fails by itself where a promise is not kept; only the time of the rerun is let go.
    sizes = ["--scenes", "6", "--broken", "2", "--limit", "600"]
    return batch.main(["--folder", folder, "archive", *sizes, "--model", "brovey"])


def _vendors(folder: str) -> str:
    kinds = ["wv3-1b", "gf2-1a-tar"]
    head = ["--folder", folder]
    if vendors.main([*head, "truth", "--models", "mtf-glp-fs", "--side", "64", "--kinds", *kinds]):
        raise SystemExit("a product of a generated delivery lies off the ground")
    if vendors.main([*head, "large", "--size", "512"]):
        raise SystemExit("a delivery failed")
    return "| delivery |\n| --- |\n| done |"


def _indices(folder: str) -> str:
    results = indices.main(["--folder", folder, "--scale", "8", "--repeats", "1"])
    positive(r.seconds for r in results)
    own = {r.name: r.values[r.name] for r in results if r.package == "pansharp" and not r.target}
    for r in results:
        positive(value for name, value in r.values.items() if name != "d_lambda")
        # Whoever else is installed must find what we find; float32 costs a few digits.
        if r.name in own and not math.isclose(r.values[r.name], own[r.name], rel_tol=1e-3):
            raise SystemExit(f"{r.package} finds {r.name} {r.values[r.name]}, not {own[r.name]}")
    return indices.report(results)


def _engine(folder: str) -> str:
    results = engine_overhead.main(
        ["--folder", folder, "--size", "256", "--pairs", "1", "--warm-up", "0"]
    )
    for result in results:
        positive([result.pixels, *(v for stage in result.wall.values() for v in stage)])
        for clock in ("wall", "cpu"):
            if not math.isfinite(result.share(clock, with_inputs=True).median):
                raise SystemExit(f"{result.model}: the overhead is no number")
    return engine_overhead.report(results)


def _networks(folder: str) -> str:
    pan, ms = common.scene(Path(folder), 384)
    pair = networks.Pair("generated", pan, ms, "none")
    results = networks.measure([pair], ["rescnn"], Path(folder), ["--adapt-steps", "10"])
    for result in results:
        positive([result.run.wall, result.run.cpu, result.run.peak])
        reduced = result.card["reduced"]
        positive([reduced["rho"], reduced["model"]["ergas"], result.card["full"]["HQNR"]])
    return networks.report(results)


def _adaptation(folder: str) -> str:
    from pansharp.readers import open_scene

    pan, ms = common.scene(Path(folder), 384)
    scene = open_scene(pan=pan, ms=ms)
    row = adaptation.part_of_steps(scene, "rescnn-tiny", 0.05)
    positive(row[key] for key in ("ergas", "sam", "best_ergas", "best_sam", "minutes"))
    return adaptation.report([{"pair": "generated", "model": "rescnn-tiny", "share": 0.05, **row}])


def _rfridge(folder: str) -> str:
    import numpy as np

    from pansharp.scene import Scene

    rng = np.random.default_rng(0)
    maps = np.kron(rng.uniform(0.2, 1.0, (3, 16, 16)), np.ones((4, 4)))
    cube = np.tensordot(rng.uniform(100.0, 900.0, (12, 3)), maps, 1)
    low = cube.reshape(12, 16, 4, 16, 4).mean(axis=(2, 4))
    guide = np.stack([cube[:6].mean(axis=0), cube[6:].mean(axis=0)])
    scene = Scene.from_arrays(guide.astype(np.float32), low.astype(np.float32), ratio=4)
    methods = ["gsa-hs", "rfridge", "rescnn-tiny"]
    results = rfridge.measure("generated", scene, cube, methods, 5)
    for result in results:
        positive([result.ergas, result.sam, result.psnr, result.seconds])
    return rfridge.report(results)


def main() -> None:
    """Run all; the tables appear only in an error."""
    steps: dict[str, Callable[[str], str]] = {
        "gdal": _gdal,
        "memory": _memory,
        "networks": _networks,
        "vendors": _vendors,
        "batch": _batch,
        "indices": _indices,
        # Last: they load torch into this process, and memory of children counts from its size.
        "engine_overhead": _engine,
        "adaptation": _adaptation,
        "rfridge": _rfridge,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, step in steps.items():
            begin = time.perf_counter()
            quiet = io.StringIO()
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                text = step(folder)
            if text.count("\n") < 2:
                raise SystemExit(f"{name} printed no table")
            print(f"{name}: {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
