"""The streaming engine: measure a scene, then fuse it tile by tile in bounded memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pansharp.chips import Chip, read_chip
from pansharp.geometry.grids import Window
from pansharp.models.base import SceneFacts, prepare_with
from pansharp.sensors import mtf_gains
from pansharp.source import read_padded
from pansharp.tiling import Blender, TileGrid, ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from numpy.typing import NDArray

    from pansharp.models.base import Fuser, FusionModel, Moments
    from pansharp.scene import Scene
    from pansharp.source import Source
    from pansharp.tiling import Tile

__all__ = [
    "CLASSICAL_TILE",
    "FromSource",
    "blend_tiles",
    "cube_workers",
    "default_workers",
    "facts_of",
    "fuse_array",
    "fuse_tiles",
    "prepare",
]

T = TypeVar("T")

#: Work tile of the classical methods, PAN pixels.
CLASSICAL_TILE = 1024
#: Statistics are summed over this fixed lattice, so that no option of the user changes them.
_MEASURE_TILE = 1024
#: The same for images of more bands than :data:`_FEW_BANDS`, of which no more than
#: :data:`_CUBE_WORKERS` tiles are in memory at a time.
_CUBE_TILE = 512
_FEW_BANDS, _CUBE_WORKERS = 16, 4


def default_workers() -> int:
    """Number of processors this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


def cube_workers(scene: Scene, workers: int) -> int:
    """Threads that may hold a tile of all bands at a time.

    Parameters
    ----------
    scene : Scene
        The scene.
    workers : int
        Threads asked for.

    Returns
    -------
    int
        At most 4 for hyperspectral cubes: memory counts by tiles of all bands.
    """
    return workers if scene.bands <= _FEW_BANDS else min(workers, _CUBE_WORKERS)


def facts_of(scene: Scene) -> SceneFacts:
    """What models may know of a scene besides its pixels.

    Parameters
    ----------
    scene : Scene
        A scene.

    Returns
    -------
    SceneFacts
        MTF gains come from the sensor table; unknown ones are 0.30 (MS) and 0.15 (PAN).
    """
    gains, assumed = mtf_gains(scene.sensor, scene.band_names, scene.bands)
    pan_gain, pan_assumed = scene.sensor.pan_gain if scene.sensor else (0.15, True)
    return SceneFacts(
        alignment=scene.alignment,
        ms_gains=gains,
        pan_gain=pan_gain,
        sensor=scene.sensor,
        band_names=scene.band_names,
        shape=scene.shape[1:],
        extra={"gains_assumed": assumed, "pan_gain_assumed": pan_assumed},
    )


def prepare(
    model: FusionModel,
    scene: Scene,
    facts: SceneFacts,
    *,
    workers: int = 1,
    progress: Callable[[float, float, str], None] | None = None,
) -> Fuser:
    """Gather a model's global statistics in one or two passes over the scene.

    Parameters
    ----------
    model : FusionModel
        The method.
    scene : Scene
        The scene, read tile by tile.
    facts : SceneFacts
        From :func:`facts_of`.
    workers : int
        Threads.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Fuser
        Sums are taken tile by tile in float64 and added in tile order: the result does not
        depend on the number of workers.
    """
    side = _MEASURE_TILE if scene.bands <= _FEW_BANDS else min(_CUBE_TILE, _MEASURE_TILE)
    grid = TileGrid(scene.shape[1:], tile=side)
    workers = cube_workers(scene, workers)

    def passes(model: FusionModel) -> Iterator[Moments | None]:
        halo = model.measure_halo(facts)
        if model.measure(_probe(scene, halo), facts) is None:
            return

        def one(tile: Tile) -> Moments | None:
            return model.measure(read_chip(scene, tile.core, halo), facts)

        for done, moments in enumerate(ordered_map(one, grid, workers=workers), 1):
            yield moments
            if progress:
                progress(done, len(grid), "statistics")

    return prepare_with(model, facts, passes)


def _probe(scene: Scene, halo: int) -> Chip:
    """The smallest chip of the scene: tells whether a model measures anything at all."""
    side = int(np.ceil(scene.ratio)) * 2
    height, width = min(side, scene.shape[1]), min(side, scene.shape[2])
    return read_chip(scene, Window(0, 0, height, width), halo)


def fuse_tiles(
    scene: Scene,
    fuser: Fuser,
    finish: Callable[[Window, NDArray[np.float32], NDArray[np.bool_] | None], T],
    *,
    tile: int = CLASSICAL_TILE,
    workers: int = 1,
    rows: tuple[int, int] | None = None,
) -> Generator[T, None, None]:
    """Fuse a scene tile by tile; results come in row-major order.

    Parameters
    ----------
    scene : Scene
        The scene.
    fuser : Fuser
        A prepared model.
    finish : callable
        Called in the worker thread with (window, fused (band, y, x) float32, valid (y, x) or
        None); its return value is yielded.
    tile : int
        Work tile in PAN pixels.
    workers : int
        Threads.
    rows : tuple of int, optional
        First row of tiles, and the one behind the last; default all.

    Yields
    ------
    object
        What `finish` returned.
    """
    grid = TileGrid(scene.shape[1:], tile=tile)
    tiles = grid if rows is None else _tiles(grid, *rows)
    halo = fuser.halo
    workers = cube_workers(scene, workers)

    def one(item: Tile) -> T:
        chip = read_chip(scene, item.core, halo)
        return finish(chip.window, fuser(chip), chip.valid)

    yield from ordered_map(one, tiles, workers=workers)


def _tiles(grid: TileGrid, first: int, end: int) -> list[Tile]:
    """The tiles of some rows of tiles."""
    across = len(grid.cols)
    return [grid[index] for index in range(first * across, end * across)]


def blend_tiles(
    scene: Scene,
    fuser: Fuser,
    *,
    tile: int,
    overlap: int,
    kind: str,
    multiple: int = 1,
    workers: int = 1,
    progress: Callable[[float, float, str], None] | None = None,
    label: str = "",
    bands: int | None = None,
    rows: tuple[int, int] | None = None,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Fuse in overlapping tiles and blend them; pieces partition the scene in row-major bands.

    Parameters
    ----------
    scene : Scene
        The scene.
    fuser : Fuser
        A prepared model.
    tile, overlap : int
        PAN pixels.
    kind : {"hann", "linear", "crop"}
        How neighbours are joined.
    multiple : int
        Tile origins are multiples of it.
    workers : int
        Threads.
    progress : callable, optional
        Called with (done, total, label).
    label : str
        For progress.
    bands : int, optional
        What the fuser gives; default the bands of the scene.
    rows : tuple of int, optional
        First row of tiles, and the one behind the last; default all. The pieces are those that a
        run over all rows gives, bit for bit: where tiles are blended, the row above is computed
        too.

    Yields
    ------
    tuple of Window and ndarray (band, y, x) float32
    """
    grid = TileGrid(scene.shape[1:], tile=tile, overlap=overlap, multiple_of=multiple)
    halo = fuser.halo
    first, end = rows or (0, len(grid.rows))
    lead = first - 1 if first and grid.overlap and kind != "crop" else first
    blender = Blender(grid, bands or scene.bands, kind, first=lead * len(grid.cols))
    tiles = _tiles(grid, lead, end)

    def one(item: Tile) -> NDArray[np.float32]:
        return fuser(read_chip(scene, item.window, halo))

    results = ordered_map(one, tiles, workers=workers)
    for done, (item, fused) in enumerate(zip(tiles, results, strict=True), 1):
        pieces = blender.add(item, fused)
        if item.row_index >= first:
            yield from pieces
        if progress:
            progress(done, len(tiles), label)
    if end == len(grid.rows):
        blender.finish()


@dataclass(frozen=True)
class FromSource:
    """A fuser that only reads an image on the PAN grid, such as a network's scratch image.

    Parameters
    ----------
    source : Source
        Image of the product's shape.
    """

    source: Source
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """The image at the chip's window; beyond its border it is replicated."""
        return read_padded(self.source, chip.window)[0]


def fuse_array(
    scene: Scene, fuser: Fuser, *, tile: int = CLASSICAL_TILE, workers: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Fuse a scene that fits in memory.

    Returns
    -------
    tuple
        Fused counts (band, y, x) float32, and the valid pixels (y, x) or None for all.
    """
    out = np.empty(scene.shape, dtype=np.float32)
    valid: NDArray[np.bool_] | None = None

    def keep(
        window: Window, fused: NDArray[np.float32], mask: NDArray[np.bool_] | None
    ) -> tuple[Window, NDArray[np.bool_] | None]:
        rows, cols = window.slices
        out[:, rows, cols] = fused
        return window, mask

    for window, mask in fuse_tiles(scene, fuser, keep, tile=tile, workers=workers):
        if mask is not None:
            if valid is None:
                valid = np.ones(scene.shape[1:], dtype=bool)
            valid[window.slices] = mask
    return out, valid
