"""pansharp's Brovey against GDAL's on a generated scene: time, CPU and memory, in pairs.

    python benchmarks/gdal.py                       8192 x 8192 x 4 bands, 5 pairs
    python benchmarks/gdal.py --size 16384 --pairs 3 --cases cog

The two formulas differ (pansharp matches the PAN to the intensity first, which costs a pass over
the scene, and interpolates with 23 taps against 4); layout, block size and compression of the
files are the same. Neither program waits for the disk.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import common
from common import Run, Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: Name to (what pansharp writes, GDAL driver and its creation options).
CASES: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "plain": (
        ("--format", "gtiff", "--compress", "none"),
        "GTiff",
        ("TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "BIGTIFF=IF_SAFER"),
    ),
    "cog": (
        ("--format", "cog", "--compress", "zstd"),
        "COG",
        (
            *("COMPRESS=ZSTD", "LEVEL=1", "PREDICTOR=2", "BLOCKSIZE=512"),
            *("OVERVIEW_RESAMPLING=AVERAGE", "BIGTIFF=IF_SAFER"),
        ),
    ),
}
_TITLES = {"plain": "GeoTIFF, uncompressed", "cog": "COG, ZSTD 1, average overviews"}
SCRIPT = "gdal_pansharpen.py"

# GDAL's VRT driver inside the rasterio wheel, written by GDAL's own drivers.
_THROUGH_RASTERIO = """
import sys
from rasterio import Env
from rasterio.shutil import copy
from pansharp.readers import open_scene
from pansharp.source.pansharpened import pansharpened_vrt
pan, ms, target, driver, threads, *options = sys.argv[1:]
scene = open_scene(pan=pan, ms=ms)
vrt = pansharpened_vrt(scene.pan_source, scene.ms_source, scene.alignment)
vrt = vrt.replace("<NumThreads>1<", f"<NumThreads>{threads}<")
with Env(GDAL_CACHEMAX=64):
    copy(vrt, target, driver=driver, **dict(o.split("=", 1) for o in options))
"""


@dataclass(frozen=True)
class Comparison:
    """Pairs of one case."""

    case: str
    threads: int
    ours: list[Run]
    theirs: list[Run]
    sizes: tuple[int, int]

    def ratio(self, name: str) -> Spread:
        """Ours over theirs, pair by pair."""
        return Spread.of(
            [
                getattr(a, name) / getattr(b, name)
                for a, b in zip(self.ours, self.theirs, strict=True)
            ]
        )


def gdal_command(
    yardstick: str, case: str, pan: Path, ms: Path, target: Path, threads: int, bands: int
) -> list[str]:
    """Command of the yardstick: the script of GDAL's own utilities, or the wheel of rasterio."""
    _, driver, options = CASES[case]
    if driver == "COG":
        options = (*options, f"NUM_THREADS={threads}")
    if yardstick == "rasterio":
        names = [str(p) for p in (pan, ms, target)]
        return [sys.executable, "-c", _THROUGH_RASTERIO, *names, driver, str(threads), *options]
    script = shutil.which(SCRIPT)
    if script is None:
        raise SystemExit(f"{SCRIPT} is not installed; use --yardstick rasterio")
    weights = [word for _ in range(bands) for word in ("-w", repr(1 / bands))]
    creation = [word for option in options for word in ("-co", option)]
    head = [script, "-q", "-threads", str(threads), *weights, "-of", driver, *creation]
    return [*head, str(pan), str(ms), str(target)]


def compare(
    pan: Path,
    ms: Path,
    folder: Path,
    *,
    case: str,
    threads: int,
    yardstick: str,
    pairs: int,
    warm_up: int,
    bands: int = 4,
) -> Comparison:
    """Measure pairs of pansharp and GDAL on one scene."""
    product, rival = folder / f"ours_{case}.tif", folder / f"gdal_{case}.tif"
    ours = common.pansharp(
        *("fuse", "--pan", pan, "--ms", ms, "-m", "brovey", "--no-card", "--workers", threads),
        *(*CASES[case][0], "-q", "-o", product),
    )
    theirs = gdal_command(yardstick, case, pan, ms, rival, threads, bands)
    sizes = {}

    def once(command: list[str], target: Path, surroundings: dict[str, str]) -> Callable[[], Run]:
        def measured() -> Run:
            common.remove(target)
            result = common.run(command, environment=surroundings)
            sizes[target] = target.stat().st_size
            common.remove(target)
            return result

        return measured

    runs = common.paired(
        once(ours, product, {}),
        once(theirs, rival, {"GDAL_CACHEMAX": "64"}),
        pairs=pairs,
        warm_up=warm_up,
    )
    return Comparison(case, threads, *runs, (sizes[product], sizes[rival]))


def report(comparisons: Sequence[Comparison], yardstick: str) -> str:
    """Markdown table: medians, and ratios with their range over the pairs."""

    def figures(runs: Sequence[Run], size: int) -> str:
        wall, cpu, peak = (
            Spread.of([getattr(r, k) for r in runs]) for k in ("wall", "cpu", "peak")
        )
        return f"{wall.median:.2f}, {cpu.median:.2f}, {peak.median:.0f}, {size / 1e6:.0f}"

    unit = "wall s, CPU s, MiB, file MB"
    return common.table(
        [
            *("output", "threads", "pairs", f"pansharp: {unit}", f"{yardstick}: {unit}"),
            *("wall ratio", "CPU ratio", "memory ratio"),
        ],
        [
            [
                *(_TITLES[c.case], c.threads, len(c.ours)),
                *(figures(c.ours, c.sizes[0]), figures(c.theirs, c.sizes[1])),
                *(c.ratio(name).text() for name in ("wall", "cpu", "peak")),
            ]
            for c in comparisons
        ],
    )


def main(arguments: Sequence[str] | None = None) -> list[Comparison]:
    """Run the benchmark as the command line says."""
    parser = common.parser("pansharp's Brovey against GDAL's on a generated scene, in pairs.")
    parser.add_argument("--size", type=int, default=8192, help="PAN rows and columns [%(default)s]")
    parser.add_argument("--bands", type=int, default=4, help="MS bands [%(default)s]")
    parser.add_argument("--pairs", type=int, default=5, help="measured pairs [%(default)s]")
    parser.add_argument("--warm-up", type=int, default=1, help="pairs before them [%(default)s]")
    parser.add_argument("--cases", nargs="+", choices=[*CASES], default=[*CASES], help="[all]")
    parser.add_argument("--threads", nargs="+", type=int, help="of both programs [1 and all cores]")
    parser.add_argument(
        "--yardstick",
        choices=[SCRIPT, "rasterio"],
        default=SCRIPT if shutil.which(SCRIPT) else "rasterio",
        help="GDAL's script, or the GDAL inside rasterio [%(default)s]",
    )
    options = common.parse(parser, arguments)
    pan, ms = common.scene(options.folder, options.size, options.bands)
    results = [
        compare(
            *(pan, ms, options.folder),
            case=case,
            threads=threads,
            yardstick=options.yardstick,
            pairs=options.pairs,
            warm_up=options.warm_up,
            bands=options.bands,
        )
        for case in options.cases
        for threads in options.threads or sorted({1, common.cores()})
    ]
    title = f"Brovey, {options.size} x {options.size} x {options.bands} uint16"
    common.emit(title, report(results, options.yardstick), options)
    return results


if __name__ == "__main__":
    main()
