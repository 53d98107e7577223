"""CPU seconds of the quality indices, beside torchmetrics and sewar on the same arrays.

    python benchmarks/indices.py                         the three sizes that have a target
    python benchmarks/indices.py --scale 8 --repeats 1   sides divided by 8

torchmetrics and sewar are measured where they return the same index (ERGAS, SAM) and are
installed; pansharp needs neither of them. One thread, arrays in memory, the best of the repeats.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import common

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: Target in CPU seconds of each set, on the sizes of the default.
TARGETS = {"reduced": 1.0, "q2n": 6.0, "full": 10.0}


@dataclass(frozen=True)
class Timed:
    """One set of indices by one library."""

    name: str
    package: str
    shape: tuple[int, ...]
    seconds: float
    values: dict[str, float] = field(default_factory=dict)
    target: float | None = None


def images(bands: int, side: int, seed: int = 0) -> tuple[Image, Image]:
    """A smooth truth in counts, and the same with noise."""
    import numpy as np

    rng = np.random.default_rng(seed)
    coarse = rng.uniform(300, 1500, (bands, side // 8, side // 8)).astype(np.float32)
    truth = coarse.repeat(8, axis=1).repeat(8, axis=2)
    truth += rng.normal(0, 40, (1, side, side)).astype(np.float32)
    return truth, truth + rng.normal(0, 20, truth.shape).astype(np.float32)


def best(work: Callable[[], dict[str, float]], repeats: int) -> tuple[float, dict[str, float]]:
    """CPU seconds of the fastest run, and what it returned."""
    seconds, values = math.inf, {}
    for _ in range(repeats):
        begin = time.process_time()
        values = work()
        seconds = min(seconds, time.process_time() - begin)
    return seconds, values


def _torchmetrics(truth: Image, fused: Image) -> dict[str, Callable[[], float]]:
    import torch
    from torchmetrics.functional.image import (
        error_relative_global_dimensionless_synthesis,
        spectral_angle_mapper,
    )

    torch.set_num_threads(1)
    first, second = (torch.from_numpy(image)[None] for image in (truth, fused))
    return {
        "ergas": lambda: float(error_relative_global_dimensionless_synthesis(second, first, 4)),
        "sam": lambda: math.degrees(float(spectral_angle_mapper(second, first))),
    }


def _sewar(truth: Image, fused: Image) -> dict[str, Callable[[], float]]:
    import numpy as np
    from sewar.full_ref import ergas, sam

    first, second = (
        np.ascontiguousarray(image.transpose(1, 2, 0)).astype(np.float64)
        for image in (truth, fused)
    )
    return {
        "ergas": lambda: float(ergas(first, second, r=1 / 4)),
        "sam": lambda: math.degrees(float(sam(first, second))),
    }


def peers(truth: Image, fused: Image, repeats: int) -> list[Timed]:
    """ERGAS and SAM alone, by pansharp and by whoever else is installed."""
    from pansharp import evaluation

    libraries: dict[str, Callable[[Image, Image], dict[str, Callable[[], float]]]] = {
        "pansharp": lambda x, y: {
            "ergas": lambda: evaluation.ergas(x, y),
            "sam": lambda: evaluation.sam(x, y),
        },
        "torchmetrics": _torchmetrics,
        "sewar": _sewar,
    }
    results = []
    for library, make in libraries.items():
        try:
            indices = make(truth, fused)
        except ImportError as problem:
            print(f"{library} is left out: {problem}")
            continue
        for name, index in indices.items():

            def work(name: str = name, index: Callable[[], float] = index) -> dict[str, float]:
                return {name: index()}

            seconds, values = best(work, repeats)
            results.append(Timed(name, library, truth.shape, seconds, values))
    return results


def measure(scale: int, repeats: int) -> list[Timed]:
    """All sets; sides are divided by `scale`."""
    from pansharp.evaluation import evaluate, q2n

    results = []
    truth, fused = images(4, 1024 // scale)
    seconds, values = best(
        lambda: evaluate(reference=truth, fused=fused, data_range=2047).scores, repeats
    )
    results.append(Timed("reduced", "pansharp", truth.shape, seconds, values, TARGETS["reduced"]))
    results += peers(truth, fused, repeats)
    truth, fused = images(8, 4096 // scale)
    seconds, values = best(lambda: {"q2n": q2n(truth, fused)}, repeats)
    results.append(Timed("q2n", "pansharp", truth.shape, seconds, values, TARGETS["q2n"]))
    fused, pan = fused[:4].copy(), truth.mean(axis=0)
    ms = truth[:4, 2::4, 2::4].copy()
    seconds, values = best(
        lambda: evaluate(fused=fused, ms=ms, pan=pan, sensor="wv3").scores, repeats
    )
    results.append(Timed("full", "pansharp", fused.shape, seconds, values, TARGETS["full"]))
    return results


def report(results: Sequence[Timed]) -> str:
    """Markdown table of times and values."""
    rows = []
    for r in results:
        figures = ", ".join(f"{name} {value:.7g}" for name, value in r.values.items())
        shape = " x ".join(map(str, r.shape))
        target = "-" if r.target is None else f"{r.target:g}"
        rows.append([r.name, r.package, shape, f"{r.seconds:.3f}", target, figures])
    return common.table(["set", "library", "image", "CPU s", "target", "values"], rows)


def main(arguments: Sequence[str] | None = None) -> list[Timed]:
    """Run the benchmark as the command line says."""
    parser = common.parser("CPU seconds of the quality indices, beside other libraries.")
    parser.add_argument("--scale", type=int, default=1, help="divides the sides [%(default)s]")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts [%(default)s]")
    options = common.parse(parser, arguments)
    # Read when NumPy is first imported: threads would share the seconds, not save them.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    results = measure(options.scale, options.repeats)
    common.emit("Quality indices", report(results), options)
    return results


if __name__ == "__main__":
    main()
