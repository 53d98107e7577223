"""What the tile engine adds to the forwards of a network: `predict` against raw calls, in pairs.

    python benchmarks/engine_overhead.py                    rescnn and ssft-small on 2048 x 2048
    python benchmarks/engine_overhead.py --size 4096 --models rescnn

Three things are timed in turn, in one process, with the same threads and the same tiles:

* forwards: the network alone, on inputs that lie ready in memory;
* inputs: reading the tiles, interpolation, low-pass and anchor, in the same worker threads;
* predict: what `pansharp fuse` runs, all of it, into a scratch image.

Engine = predict - forwards - inputs: dispatch, adding the anchor, blending, writing the scratch
image. Weights are fresh ones; they take the same time as fitted ones.
"""

from __future__ import annotations

import resource
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import common
from common import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pansharp.adaptation.anchored import AnchoredNetwork, Inputs
    from pansharp.models.networks import NetworkSpec
    from pansharp.scene import Scene
    from pansharp.tiling import Tile, TileGrid

_STAGES = ("forwards", "inputs", "predict")


@dataclass
class Overhead:
    """Seconds of the stages, pair by pair, and pixels that the network sees per product pixel."""

    model: str
    tile: int
    overlap: int
    halo: int
    pixels: float
    wall: dict[str, list[float]] = field(default_factory=lambda: {s: [] for s in _STAGES})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {s: [] for s in _STAGES})

    def share(self, clock: str, *, with_inputs: bool) -> Spread:
        """Seconds on top of the forwards, per cent of them."""
        seconds = getattr(self, clock)
        rows = zip(*(seconds[stage] for stage in _STAGES), strict=True)
        return Spread.of([100 * (p - f - (0 if with_inputs else i)) / f for f, i, p in rows])


class _Bench:
    """One network, prepared on one scene as `pansharp fuse` prepares it."""

    def __init__(self, name: str, scene: Scene, workers: int) -> None:
        from pansharp.engine import facts_of, prepare
        from pansharp.models import create_model
        from pansharp.models.networks import get_network
        from pansharp.options import FuseOptions
        from pansharp.outcome import Outcome
        from pansharp.outcome.network import lattice
        from pansharp.tiling import TileGrid

        self.scene, self.workers = scene, workers
        self.spec: NetworkSpec = get_network(name)
        facts = facts_of(scene)
        anchor = prepare(create_model("mtf-glp-fs"), scene, facts, workers=workers)
        self.fuser: AnchoredNetwork = _network(self.spec, scene, anchor)
        outcome = Outcome(scene, facts, name, name, self.fuser)
        self.tile, self.overlap, self.kind = lattice(self.spec, FuseOptions(), outcome)
        self.grid: TileGrid = TileGrid(
            scene.shape[1:],
            tile=self.tile,
            overlap=self.overlap,
            multiple_of=self.spec.multiple_of,
        )

    def inputs_of(self, tile: Tile) -> Inputs:
        """What `AnchoredNetwork` makes of one tile before it calls the network."""
        from pansharp.chips import read_chip

        chip = read_chip(self.scene, tile.window, self.fuser.halo)
        return self.fuser.form.inputs(chip, self.fuser.context)

    def inputs(self) -> None:
        from pansharp.tiling import ordered_map

        deque(ordered_map(self.inputs_of, self.grid, workers=self.workers), maxlen=0)

    def forwards(self, ready: Sequence[Inputs]) -> None:
        from pansharp.adaptation.anchored import predict
        from pansharp.tiling import ordered_map

        def one(inputs: Inputs) -> object:
            return predict(self.fuser.network, inputs)

        deque(ordered_map(one, ready, workers=self.workers), maxlen=0)

    def predict(self, folder: Path) -> None:
        from pansharp.engine import blend_tiles
        from pansharp.source.spool import Spool

        spool = Spool(self.scene.shape, folder)
        try:
            for window, piece in blend_tiles(
                self.scene,
                self.fuser,
                tile=self.tile,
                overlap=self.overlap,
                kind=self.kind,
                multiple=self.spec.multiple_of,
                workers=self.workers,
            ):
                spool.write(window, piece)
        finally:
            spool.close()


def _network(spec: NetworkSpec, scene: Scene, anchor: object) -> AnchoredNetwork:
    import torch

    from pansharp.adaptation.anchored import AnchoredNetwork, Scaling, guide_bands
    from pansharp.adaptation.forms import AnchoredForm
    from pansharp.models.classical.glp import GlpFuser
    from pansharp.models.networks import build_network

    assert isinstance(anchor, GlpFuser)
    torch.manual_seed(0)
    network = build_network(
        spec.name, ms_bands=scene.bands, pan_bands=guide_bands(), ratio=scene.ratio
    ).eval()
    if spec.name.startswith("rescnn"):
        network = network.to(memory_format=torch.channels_last)
    scaling = Scaling((500.0,) * scene.bands, 500.0)
    form = AnchoredForm(anchor, scaling, scene.ratio)
    return AnchoredNetwork(network, form, spec.practical_halo)


def measure(
    name: str, scene: Scene, folder: Path, *, pairs: int, warm_up: int, workers: int
) -> Overhead:
    """Time the three stages in turn; the order changes from pair to pair."""
    bench = _Bench(name, scene, workers)
    ready = [bench.inputs_of(tile) for tile in bench.grid]
    seen = sum(item.up.shape[1] * item.up.shape[2] for item in ready)
    _, height, width = scene.shape
    result = Overhead(name, bench.tile, bench.overlap, bench.fuser.halo, seen / (height * width))
    stages: dict[str, Callable[[], None]] = {
        "forwards": lambda: bench.forwards(ready),
        "inputs": bench.inputs,
        "predict": lambda: bench.predict(folder),
    }
    for number in range(-warm_up, pairs):
        turn = number % len(_STAGES)
        for stage in (*_STAGES[turn:], *_STAGES[:turn]):
            wall, cpu = time.perf_counter(), _cpu()
            stages[stage]()
            wall, cpu = time.perf_counter() - wall, _cpu() - cpu
            if number >= 0:
                result.wall[stage].append(wall)
                result.cpu[stage].append(cpu)
    return result


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def report(results: Sequence[Overhead]) -> str:
    """Markdown table: median seconds, and what comes on top of the forwards."""
    rows = []
    for r in results:
        for clock in ("wall", "cpu"):
            seconds = [f"{Spread.of(getattr(r, clock)[stage]).median:.2f}" for stage in _STAGES]
            rows.append(
                [
                    *(r.model, f"{r.tile} / {r.overlap} / {r.halo}", f"{r.pixels:.2f}", clock),
                    *(*seconds, r.share(clock, with_inputs=False).text(1)),
                    r.share(clock, with_inputs=True).text(1),
                ]
            )
    return common.table(
        [
            *("network", "tile / overlap / halo", "pixels computed per product pixel", "clock"),
            *("forwards s", "inputs s", "predict s"),
            *("engine, % of forwards", "engine and inputs, % of forwards"),
        ],
        rows,
    )


def main(arguments: Sequence[str] | None = None) -> list[Overhead]:
    """Run the benchmark as the command line says."""
    parser = common.parser("What the tile engine adds to the forwards of a network.")
    parser.add_argument("--size", type=int, default=2048, help="PAN rows and columns [%(default)s]")
    parser.add_argument("--models", nargs="+", default=["rescnn", "ssft-small"])
    parser.add_argument("--pairs", type=int, default=5, help="measured rounds [%(default)s]")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before them [%(default)s]")
    parser.add_argument("--workers", type=int, default=common.cores(), help="threads [all cores]")
    options = common.parse(parser, arguments)
    pan, ms = common.scene(options.folder, options.size)

    from pansharp.cli._allocator import tune_malloc

    tune_malloc()  # as the command line does
    import torch

    from pansharp.readers import open_scene

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        scene = open_scene(pan=pan, ms=ms)
        results = [
            measure(
                *(model, scene, options.folder),
                pairs=options.pairs,
                warm_up=options.warm_up,
                workers=options.workers,
            )
            for model in options.models
        ]
        scene.close()
    finally:
        torch.set_num_threads(before)
    title = f"Tile engine over raw forwards, {options.size} x {options.size} x 4, "
    common.emit(title + f"{options.workers} workers", report(results), options)
    return results


if __name__ == "__main__":
    main()
