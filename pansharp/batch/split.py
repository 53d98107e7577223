"""One scene on many workers: row bands to one store, and the store to the product.

Statistics, adaptation and judging are done once, by the caller. What costs by the pixel is dealt
out in row bands as Dask tasks; pixels go through files, never through the scheduler. The product
is that of :func:`pansharp.pipeline.fuse_to_file`, byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pansharp.batch.rows import (
    ALIVE,
    Assembly,
    Failure,
    FuseRows,
    Opening,
    PredictRows,
    RowsSource,
    assemble,
    create_store,
    emitted_rows,
    fuse_rows,
    guarded,
    predict_rows,
    settle,
)
from pansharp.card import build_card, card_path, card_tags, card_text, write_card
from pansharp.engine import FromSource, prepare
from pansharp.errors import ModelError, WriteError
from pansharp.outcome import decide, is_cube
from pansharp.outcome.base import workers_of
from pansharp.pipeline import Product, plain_card, product_block, product_profile, work_tile
from pansharp.tiling import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pansharp.options import FuseOptions
    from pansharp.outcome import Outcome
    from pansharp.scene import Scene

    Progress = Callable[[float, float, str], None]

__all__ = ["can_split", "fuse_split"]

#: Tasks a thread of the cluster, so that a slow one is not waited for long.
_TASKS = 4
#: Tasks under way a thread of the cluster: results are small, but a store fills with the rest.
_AHEAD = 2
_RETRIES = 3


def can_split(scene: Scene, options: FuseOptions) -> bool:
    """Whether a scene can be fused in row bands.

    Parameters
    ----------
    scene : Scene
        The scene.
    options : FuseOptions
        What to do with it.

    Returns
    -------
    bool
        False for hyperspectral fusion, whose fitted state is as large as the scene, and for
        `gdal-brovey`, whose pixels GDAL makes.
    """
    return not is_cube(scene) and options.model not in ("gdal-brovey", "rfridge")


def fuse_split(
    client: Any,
    path: str | os.PathLike[str] | None,
    scene_options: Mapping[str, Any],
    options: FuseOptions,
    target: str | os.PathLike[str],
    *,
    work: str | os.PathLike[str],
    rows: int | None = None,
    threads: int = 1,
    resources: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Product:
    """Fuse a scene on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster; within a task, that of ``worker_client()``.
    path : path or None
        What :func:`pansharp.open_scene` takes; None where `scene_options` names the files. All
        workers must see them under these names.
    scene_options : mapping
        Keywords of `open_scene`.
    options : FuseOptions
        What to do; ``workers`` are the threads of what runs here (statistics, training).
    target : path
        The product. Its folder must be one that this process can rename into from `work`.
    work : path
        Existing folder, seen by all workers, for what lies between tasks: for classical methods
        about the product, for networks 4 bytes a pixel and band more. Nothing is left in it.
    rows : int, optional
        Rows of tiles a task; default: so many that each thread of the cluster has about four
        tasks.
    threads : int
        Threads of each task.
    resources : mapping, optional
        Dask resources that a prediction needs, such as ``{"GPU": 1}``.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Product

    Raises
    ------
    ModelError
        The scene or the model cannot be split.
    PansharpError
        Whatever is wrong with the scene, or a task that failed on several workers.
    """
    from pansharp.readers import open_scene

    target = Path(target)
    if target.exists() and not options.overwrite:
        raise WriteError(f"{target} exists; pass overwrite=True (--overwrite) or another name")
    given = {key: _plain(value) for key, value in scene_options.items()}
    begin = time.perf_counter()
    scene = open_scene(path, **given)
    if not can_split(scene, options):
        raise ModelError(
            f"'{scene.name}' cannot be fused by '{options.model}' in row bands; give a worker "
            "more memory, or choose another model"
        )
    try:
        folder = Path(tempfile.mkdtemp(prefix="split-", dir=work))
        (folder / ALIVE).touch()
    except OSError as problem:
        raise WriteError(f"cannot write to '{work}': {problem.strerror or problem}") from problem
    name = None if path is None else os.fspath(path)
    job = _Split(client, folder, name, tuple(sorted(given.items())), options, rows, threads)
    job.resources, job.progress = dict(resources or {}), progress
    try:
        return job.run(scene, target, begin)
    finally:
        (folder / ALIVE).unlink(missing_ok=True)
        # Tasks that run cannot be cancelled; a cluster that is gone has none.
        with contextlib.suppress(OSError):
            client.run(settle, str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _plain(value: Any) -> Any:
    """Hashable: lists and paths as tuples and text."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return tuple(_plain(one) for one in value) if isinstance(value, list | tuple) else value


class _Split:
    """The state of one split."""

    def __init__(
        self,
        client: Any,
        folder: Path,
        path: str | None,
        given: tuple[tuple[str, Any], ...],
        options: FuseOptions,
        rows: int | None,
        threads: int,
    ) -> None:
        self.client, self.folder, self.path, self.given = client, folder, path, given
        self.options, self.rows, self.threads = options, rows, threads
        self.resources: dict[str, float] = {}
        self.progress: Progress | None = None
        self._label = uuid4().hex[:12]

    def run(self, scene: Scene, target: Path, begin: float) -> Product:
        options = self.options
        profile = product_profile(scene, options)
        outcome = decide(
            scene, options, folder=self.folder, progress=self.progress, predict=self.predict
        )
        try:
            started = time.perf_counter()
            block = product_block(profile)
            tile = work_tile(outcome, options, block)
            create_store(self.folder, profile, tile, block)
            opening = self._opening(outcome)
            bands = self._bands(len(TileGrid(scene.shape[1:], tile=tile).rows))
            fusing = [
                FuseRows(opening, outcome.fuser, profile, tile, band, self.threads)
                for band in bands
            ]
            self._map(fuse_rows, fusing, "fusing")
            outcome.timings["writing"] = time.perf_counter() - started
            outcome.timings["total"] = time.perf_counter() - begin
        finally:
            outcome.close()
        card = build_card(outcome) if options.card else plain_card(outcome)
        # Before the product appears: a card that cannot be written must not leave it alone.
        text = card_text(card)
        work = Assembly(
            *(str(self.folder), target.name, profile, card_tags(card), tile, block),
            *(max(self.threads, 1), options.format, options.compress),
        )
        (made,) = self._map(assemble, [work], "writing")
        self._rename(Path(made), target)
        saved = None
        if options.card:
            saved = card_path(target)
            write_card(text, saved)
        return Product(target, card, saved)

    def predict(
        self, outcome: Outcome, options: FuseOptions, folder: Path | None, progress: Progress | None
    ) -> None:
        """Run a fitted network over the scene in row bands."""
        from pansharp.adaptation.carried import CarriedNetwork
        from pansharp.models import create_model
        from pansharp.outcome.network import lattice

        scene, adapted = outcome.scene, outcome.adapted
        assert adapted is not None
        anchor = prepare(
            create_model("mtf-glp-fs"), scene, outcome.facts, workers=workers_of(options)
        )
        network = CarriedNetwork.of(adapted, anchor, scene.ratio, options.precision)
        tile, overlap, kind = lattice(adapted.spec, options, outcome.warn)
        step = adapted.spec.multiple_of
        grid = TileGrid(scene.shape[1:], tile=tile, overlap=overlap, multiple_of=step)
        opening = self._opening(outcome)
        tasks = [
            PredictRows(
                opening, network, (tile, overlap, kind, step), band, self.threads, options.device
            )
            for band in self._bands(len(grid.rows))
        ]
        parts = self._map(predict_rows, tasks, "predicting", self.resources)
        assert [part[:2] for part in parts] == [emitted_rows(grid, kind, t.rows) for t in tasks]
        outcome.fuser = FromSource(RowsSource(scene.shape, tuple(parts)))

    def _opening(self, outcome: Outcome) -> Opening:
        return Opening(self.path, self.given, outcome.scene.alignment, str(self.folder))

    def _bands(self, count: int) -> list[tuple[int, int]]:
        """Rows of tiles, as many a task as asked for."""
        threads = sum(self.client.nthreads().values()) or 1
        each = self.rows or max(1, count // (_TASKS * threads))
        return [(first, min(first + each, count)) for first in range(0, count, each)]

    def _map(
        self,
        function: Callable[[Any], Any],
        tasks: Sequence[Any],
        label: str,
        resources: Mapping[str, float] | None = None,
    ) -> list[Any]:
        """Run tasks, a bounded number at a time; results in the order of the tasks.

        Raises
        ------
        PansharpError
            The first failure; what has not run is cancelled.
        """
        from distributed import as_completed

        results: dict[int, Any] = {}
        places: dict[Any, int] = {}
        left = iter(enumerate(tasks))

        def submit() -> Any:
            for index, task in left:
                future = self.client.submit(
                    *(guarded, function, task),
                    key=f"{function.__name__}-{self._label}-{index}",
                    retries=_RETRIES,
                    resources=dict(resources or {}) or None,
                )
                places[future.key] = index
                return future
            return None

        ahead = _AHEAD * (sum(self.client.nthreads().values()) or 1)
        futures = [future for future in (submit() for _ in range(ahead)) if future is not None]
        window: Any = as_completed(futures, loop=self.client.loop)  # type: ignore[no-untyped-call]
        try:
            for future in window:
                results[places[future.key]] = _result(future)
                if self.progress:
                    self.progress(len(results), len(tasks), label)
                following = submit()
                if following is not None:
                    futures.append(following)
                    window.add(following)
        except BaseException:
            self.client.cancel(futures)
            raise
        return [results[index] for index in range(len(tasks))]

    def _rename(self, made: Path, target: Path) -> None:
        """Give the product its name."""
        try:
            if made.is_dir() and target.exists():
                # A folder cannot be replaced at once: the old store is set aside.
                os.rename(target, self.folder / "old")
            os.replace(made, target)
        except OSError as problem:
            raise WriteError(f"cannot write {target}: {problem.strerror or problem}") from problem


def _result(future: Any) -> Any:
    """What a task gave; its failure as one line."""
    from distributed import KilledWorker

    try:
        result = future.result()
    except KilledWorker as problem:
        raise WriteError(
            "several workers died while they fused rows of a split scene, most likely for want of "
            "memory; give them more, or smaller tiles (--tile)"
        ) from problem
    if isinstance(result, Failure):
        raise result.kind(result.text)
    return result
