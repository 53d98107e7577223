"""What a scene will cost: seconds, memory and bytes, reckoned from figures that were measured.

The figures are those of benchmarks/README.md and docs/methods.md (two cores of an Intel Xeon, COG
with ZSTD); docs/batch.md says which of them were measured and what is extrapolated. Nothing is
timed here: a plan is the same every time. How the machine at hand compares is learnt from scenes
that are done (:func:`calibration`), because a second of trial work says less than one of them.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from pansharp.models import is_network
from pansharp.models.facts import AdaptationRecipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pansharp.models.networks import NetworkSpec
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene

__all__ = [
    "Cost",
    "SceneSize",
    "Stage",
    "calibration",
    "estimate",
    "fits",
    "scenes_per_worker",
]

_MIB = 2**20
#: What the facts of a network say where nobody has measured it.
_DEFAULT_MPIXEL = AdaptationRecipe.__dataclass_fields__["mpixel_seconds"].default

#: Starting Python and its libraries, opening and checking files; PyTorch on top.
_START, _TORCH_START = 0.5, 2.0
#: Share of a stage that threads divide among them: 7.82 CPU s of `mtf-glp-fs` took 4.29 s of two
#: threads; trainings gain 1.6 times by a second thread; scoring runs in one.
_FUSING, _TRAINING, _PREDICTING, _SCORING = 0.9, 0.75, 0.95, 0.0
#: CPU seconds of a million PAN pixels with four bands, statistics and writing included. From
#: 8192 x 8192 pixels: the first five; the rest from 2048 x 2048 (`tv`: 1024), less 0.5 s of start.
_PIXELS = {
    "brovey": 0.100, "gsa": 0.102, "mtf-glp-fs": 0.110, "bdsd-pc": 0.111, "mtf-glp-hpm": 0.100,
    "exp": 0.08, "wbrovey": 0.19, "ihs": 0.10, "pca": 0.10, "gs": 0.14, "cgsa": 0.31,
    "bth": 0.17, "bdsd": 0.14, "pracs": 0.29, "hpf": 0.17, "sfim": 0.12, "indusion": 0.14,
    "atwt": 0.12, "awlp": 0.19, "mtf-glp": 0.14, "mtf-glp-cbd": 0.14, "mtf-glp-hpm-r": 0.17,
    "mtf-glp-hpm-h": 0.26, "mf-hg": 0.19, "tv": 10.0,
}  # fmt: skip
#: For methods that nobody has timed at this size (the hyperspectral ones): a guess.
_UNTIMED = 1.0
#: Bands of the figures above; costs are taken as proportional to the bands.
_BANDS = 4
#: One back-projection over a million PAN pixels of four bands; a guess.
_BACKPROJECTION = 0.15
#: Scoring for the card, seconds a band: 8 to 10 s with four bands, 18 to 23 with eight (busy
#: machine), on the sample that every large scene is scored on.
_SCORE = 2.4
_SAMPLE = 110_000
#: Registering on a sample, once a network or a delivery is fused; a guess.
_REGISTER = 1.0
#: Unpacking, bytes a second, and orthorectifying, seconds a million PAN pixels and band; guesses.
_UNPACK, _ORTHO = 80e6, 0.08

#: Peak MiB: what a process holds before tiles (with PyTorch), a tile of one thread with four bands,
#: and what grows with the width: an 8192 wide scene takes 20 MiB more than one of 4096.
_BASE, _TORCH_BASE, _TILE, _COLUMN = 120.0, 560.0, 65.0, 0.005
#: Scoring for the card on top.
_SCORE_MEMORY = 60.0
#: Peak MiB of networks with two threads, by family: measured for the first two.
_NETWORK_MEMORY = {"rescnn": 980.0, "ssft": 1570.0}
_OTHER_NETWORK_MEMORY = 1800.0
#: A further tile side by side, MiB.
_NETWORK_TILE = 170.0
#: A float32 image between two passes stays in memory up to this, and is a file beyond.
_SPOOL = 96.0

#: Product over raw pixels, overviews included: ZSTD on a noisy generated scene; real ones are
#: mostly smaller. Uncompressed, overviews add a third.
_SHARE = {"zstd": 0.7, "deflate": 0.75, "lzw": 0.9, "none": 4 / 3}
#: Share of a worker's memory that may be planned with: the rest is the system's cache and surprise.
_USABLE = 0.8


@dataclass(frozen=True, slots=True)
class SceneSize:
    """What the cost of a scene depends on.

    Parameters
    ----------
    rows, cols : int
        PAN pixels.
    bands : int
        Of the MS.
    ratio : float
        MS pixel over PAN pixel.
    itemsize : int
        Bytes of a number of the product.
    packed : int
        Bytes of the archive that the scene must be unpacked from; 0 for a folder.
    ortho : bool
        Whether it is orthorectified on reading.
    """

    rows: int
    cols: int
    bands: int
    ratio: float = 4.0
    itemsize: int = 2
    packed: int = 0
    ortho: bool = False

    @classmethod
    def of(cls, scene: Scene, *, packed: int = 0) -> SceneSize:
        """Of an open scene."""
        bands, rows, cols = scene.shape
        return cls(
            *(rows, cols, bands, scene.ratio, scene.dtype.itemsize, packed),
            ortho=scene.ortho is not None,
        )

    @property
    def mpixel(self) -> float:
        """Millions of PAN pixels."""
        return self.rows * self.cols / 1e6

    @property
    def ms_pixels(self) -> int:
        """Pixels of the MS."""
        return int(self.rows / self.ratio) * int(self.cols / self.ratio)

    @property
    def raw_bytes(self) -> int:
        """Bytes of the product before compression."""
        return self.rows * self.cols * self.bands * self.itemsize


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the work: CPU seconds, and the share of it that threads divide among them."""

    name: str
    cpu: float
    parallel: float

    def wall(self, threads: int) -> float:
        """Seconds with some threads (Amdahl's law)."""
        return self.cpu * (1 - self.parallel + self.parallel / threads)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one scene takes.

    Parameters
    ----------
    stages : tuple of Stage
        In the order of the work.
    peak_mib : float
        Largest resident memory of the process that fuses it, MiB.
    product_bytes, scratch_bytes : int
        On disk, at the end and on the way (spool of the writer, image between two passes,
        unpacked archive).
    measured : bool
        Whether the model's own time was measured; otherwise it is a guess of its order.
    """

    stages: tuple[Stage, ...]
    peak_mib: float
    product_bytes: int
    scratch_bytes: int
    measured: bool

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds."""
        return sum(stage.cpu for stage in self.stages)

    def wall_seconds(self, threads: int = 1) -> float:
        """Seconds from start to product with some threads.

        Parameters
        ----------
        threads : int
            At least 1.
        """
        return sum(stage.wall(threads) for stage in self.stages)


def estimate(
    size: SceneSize, options: FuseOptions, *, threads: int = 1, factor: float = 1.0
) -> Cost:
    """Reckon what a scene costs.

    Parameters
    ----------
    size : SceneSize
        The scene.
    options : FuseOptions
        Model, adaptation, card and format.
    threads : int
        Threads of the fusion: more of them hold more tiles.
    factor : float
        Seconds of this machine over those of the reference, from :func:`calibration`.

    Returns
    -------
    Cost
        Networks are reckoned with all their steps, on processors: a GPU's time was measured for
        trainings only (benchmarks/README.md), so plans for GPUs need scenes that are done.
    """
    networks = _networks(options, size)
    stages = [Stage("starting", _START + (_TORCH_START if networks else 0.0), 0.0)]
    if size.packed:
        stages.append(Stage("unpacking", size.packed / _UNPACK, 0.0))
    if size.ortho:
        passes = 2 if networks or options.card else 1
        stages.append(Stage("orthorectifying", passes * _ORTHO * size.mpixel * size.bands, _FUSING))
    width = size.bands / _BANDS
    if networks or size.packed or size.ortho:
        stages.append(Stage("registering", _REGISTER * width, 0.0))
    model = "mtf-glp-fs" if networks else options.model
    for spec in networks:
        stages += _learnt(spec, size, options, width)
    passes = 2 if networks and options.backproject == "auto" else _passes(options)
    if passes:
        stages.append(
            Stage("back-projecting", passes * _BACKPROJECTION * size.mpixel * width, _FUSING)
        )
    stages.append(Stage("fusing", _PIXELS.get(model, _UNTIMED) * size.mpixel * width, _FUSING))
    if options.card or networks:
        # Networks cannot be chosen without scores.
        sample = min(1.0, size.ms_pixels / _SAMPLE)
        stages.append(Stage("scoring", _SCORE * size.bands * sample, _SCORING))
    product = int(size.raw_bytes * _share(options))
    spool = 4 * size.rows * size.cols * size.bands if networks else 0
    scratch = product + 2 * size.packed + (spool if spool > _SPOOL * _MIB else 0)
    return Cost(
        stages=tuple(Stage(s.name, s.cpu * factor, s.parallel) for s in stages),
        peak_mib=_memory(size, options, networks, threads, width),
        product_bytes=product,
        scratch_bytes=scratch,
        measured=_measured(options, networks),
    )


def _networks(options: FuseOptions, size: SceneSize) -> tuple[NetworkSpec, ...]:
    """Networks that are tried."""
    from pansharp.models.networks import get_network

    if is_network(options.model):
        return (get_network(options.model),)
    if options.model != "auto":
        return ()
    from pansharp.outcome.candidates import candidates

    # The rule of `auto` itself, which looks at nothing but the sizes.
    seen = SimpleNamespace(
        ms_source=SimpleNamespace(
            height=int(size.rows / size.ratio), width=int(size.cols / size.ratio)
        ),
        shape=(size.bands, size.rows, size.cols),
    )
    return tuple(get_network(name) for name in candidates(cast("Scene", seen), options, None))


def _measured(options: FuseOptions, networks: Sequence[NetworkSpec]) -> bool:
    """Whether figures of the model were measured: those of networks that `auto` knows were."""
    if networks:
        return all(spec.adaptation.mpixel_seconds != _DEFAULT_MPIXEL for spec in networks)
    return options.model in _PIXELS


def _passes(options: FuseOptions) -> int:
    return 0 if options.backproject == "auto" else int(options.backproject)


def _learnt(spec: NetworkSpec, size: SceneSize, options: FuseOptions, width: float) -> list[Stage]:
    """Fitting and predicting of one network."""
    recipe = spec.adaptation
    small = size.ms_pixels < recipe.budget
    trained = min(size.ms_pixels, recipe.budget)
    fits = 0 if options.adapt == "never" else 2 if small else 1
    steps = fits * (options.adapt_steps or recipe.steps)
    judging = max(fits, 1) * trained / 1e6 * recipe.mpixel_seconds * width
    training = steps * recipe.step_seconds * width
    if options.adapt_minutes is not None:
        # A limit of wall time, shared by the fits; two threads are taken for it.
        training = min(training, 60 * 1.6 * options.adapt_minutes)
    predicting = size.mpixel * recipe.mpixel_seconds * width
    return [
        Stage("training", training + judging, _TRAINING),
        Stage("predicting", predicting, _PREDICTING),
    ]


def _share(options: FuseOptions) -> float:
    share = _SHARE[options.compress]
    # Only cloud-optimised files have overviews, a quarter more of what is compressed.
    return share if options.format == "cog" else share * 3 / 4


def _memory(
    size: SceneSize,
    options: FuseOptions,
    networks: Sequence[NetworkSpec],
    threads: int,
    width: float,
) -> float:
    rows = _COLUMN * size.cols * width * size.itemsize / 2
    if networks:
        family = max(
            _NETWORK_MEMORY.get(spec.name.partition("-")[0], _OTHER_NETWORK_MEMORY)
            for spec in networks
        )
        beside = max(0, threads - 2) if not all(s.threads_inside for s in networks) else 0
        tiles = _NETWORK_TILE * beside * max(1.0, width)
        return max(_TORCH_BASE, family) * max(1.0, math.sqrt(width)) + tiles + rows
    tile = _TILE * width
    scores = _SCORE_MEMORY if options.card else 0.0
    return _BASE + threads * tile + rows + scores


def fits(cost: Cost, memory: int) -> bool:
    """Whether a scene can be fused in one piece by a worker.

    Parameters
    ----------
    cost : Cost
        Of the scene, with the threads that the worker gives it.
    memory : int
        The worker's memory limit, bytes.

    Returns
    -------
    bool
        A fifth of the limit is kept free: Dask pauses a worker at 80 % of it.
    """
    return cost.peak_mib * _MIB <= _USABLE * memory


def scenes_per_worker(costs: Sequence[Cost], memory: int) -> int:
    """How many of the heaviest scenes a worker can hold at a time.

    Parameters
    ----------
    costs : sequence of Cost
        All scenes.
    memory : int
        The worker's memory limit, bytes.

    Returns
    -------
    int
        0: there are scenes that must be split, or need a larger worker.
    """
    heaviest = max((cost.peak_mib for cost in costs), default=1.0)
    return int(_USABLE * memory // (heaviest * _MIB))


def calibration(pairs: Iterable[tuple[float, float]]) -> float:
    """How slow this machine is against the reference.

    Parameters
    ----------
    pairs : iterable of (float, float)
        Reckoned and measured wall seconds of scenes that are done.

    Returns
    -------
    float
        Median of the ratios; 1.0 without any.
    """
    ratios = [measured / reckoned for reckoned, measured in pairs if reckoned > 0 and measured > 0]
    return statistics.median(ratios) if ratios else 1.0
