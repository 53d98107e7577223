"""Peak memory and time of `pansharp fuse` for growing scenes: memory must not grow with the area.

python benchmarks/memory.py                               brovey, gsa, mtf-glp-fs; 4096 to 16384
python benchmarks/memory.py --models gsa --sizes 2048 4096 --base 2048
python benchmarks/memory.py --models all --sizes 2048 --base 2048 --repeats 1    what each costs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import common
from common import Run, Spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """Runs of one model on one size."""

    model: str
    size: int
    runs: list[Run]

    def median(self, name: str) -> float:
        """Median of wall, cpu or peak."""
        return Spread.of([getattr(run, name) for run in self.runs]).median


def measure(model: str, pan: Path, ms: Path, target: Path, *, repeats: int, size: int) -> Measured:
    """Fuse a scene to a cloud-optimised file `repeats` times after one warm-up."""
    command = common.pansharp(
        *("fuse", "--pan", pan, "--ms", ms, "-m", model, "--no-card", "-q", "-o", target)
    )
    runs = []
    for number in range(repeats + 1):
        common.remove(target)
        result = common.run(command)
        common.remove(target)
        if number:
            runs.append(result)
    return Measured(model, size, runs)


def report(results: Sequence[Measured], base: int) -> str:
    """Markdown table with ratios to the size `base`."""
    reference = {r.model: r for r in results if r.size == base}
    rows = []
    for r in results:
        row = [r.model, f"{r.size} x {r.size}", f"{r.median('wall'):.2f}", f"{r.median('cpu'):.2f}"]
        row.append(f"{r.median('peak'):.0f}")
        row.append(f"{r.size**2 / 1e6 / r.median('cpu'):.1f}")
        if r.model in reference:
            own = reference[r.model]
            pixels = (r.size / base) ** 2
            row += [
                f"{r.median('peak') / own.median('peak'):.2f}",
                f"{r.median('cpu') / own.median('cpu') / pixels:.2f}",
            ]
        else:
            row += ["-", "-"]
        rows.append(row)
    return common.table(
        [
            *("model", "PAN", "wall s", "CPU s", "peak MiB"),
            "PAN Mpixel per CPU s",
            *(f"peak over that of {base}", f"CPU per pixel over that of {base}"),
        ],
        rows,
    )


def main(arguments: Sequence[str] | None = None) -> list[Measured]:
    """Run the benchmark as the command line says."""
    parser = common.parser("Peak memory and time of `pansharp fuse` for growing scenes.")
    parser.add_argument("--sizes", nargs="+", type=int, default=[4096, 8192, 16384])
    parser.add_argument("--base", type=int, default=8192, help="size of the ratios [%(default)s]")
    parser.add_argument(
        "--models", nargs="+", default=["brovey", "gsa", "mtf-glp-fs"], help="methods, or all"
    )
    parser.add_argument("--repeats", type=int, default=3, help="after one warm-up [%(default)s]")
    options = common.parse(parser, arguments)
    if options.models == ["all"]:
        from pansharp.models import list_models

        options.models = list_models("classical", "pan")
    results = []
    for size in options.sizes:
        pan, ms = common.scene(options.folder, size)
        target = options.folder / f"memory_{size}.tif"
        results += [
            measure(model, pan, ms, target, repeats=options.repeats, size=size)
            for model in options.models
        ]
    results.sort(key=lambda r: (options.models.index(r.model), r.size))
    common.emit("Memory and time by size of the scene", report(results, options.base), options)
    return results


if __name__ == "__main__":
    main()
