"""Row bands of one scene, as tasks: each opens the scene itself and writes what is its own.

The tasks are pure: they read files that do not change, take numbers and small objects, and put
pixels under names or into regions that no other task touches. Run twice, on two hosts, or after
their worker was lost, they write the same bytes to the same place.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from pansharp.engine import blend_tiles, fuse_tiles
from pansharp.errors import PansharpError, WriteError
from pansharp.source.base import BaseSource
from pansharp.tiling import TileGrid, ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from pansharp.adaptation.carried import CarriedNetwork
    from pansharp.geometry.grids import Alignment, Window
    from pansharp.models.base import Fuser
    from pansharp.scene import Scene
    from pansharp.writers import RasterProfile

__all__ = [
    "ALIVE",
    "Assembly",
    "Failure",
    "FuseRows",
    "Opening",
    "PredictRows",
    "RowsSource",
    "assemble",
    "check_alive",
    "create_store",
    "emitted_rows",
    "fuse_rows",
    "guarded",
    "predict_rows",
    "settle",
]

#: Bytes of a chunk of the store between tasks: readers fetch whole chunks.
_CHUNK = 4 << 20
_STORE = "fused.zarr"
#: A file that is there as long as tasks of a split may write.
ALIVE = "alive"
#: Tenths of a second that a split waits for tasks it has cancelled: they end after their tile.
_PATIENCE = 600
_scenes: dict[Opening, Scene] = {}
_running: Counter[str] = Counter()
_guard = threading.Lock()


@dataclass(frozen=True)
class Opening:
    """How a task opens the scene, and where what lies between tasks is kept.

    Parameters
    ----------
    path : str or None
        What `open_scene` takes.
    options : tuple of (str, object)
        Its keywords, hashable.
    alignment : Alignment
        PAN/MS map with the shift that was found.
    folder : str
        Folder of this split; once it is gone, no task writes any more.
    """

    path: str | None
    options: tuple[tuple[str, Any], ...]
    alignment: Alignment
    folder: str

    def scene(self) -> Scene:
        """The scene, opened once a process: an archive is unpacked once a worker."""
        with _guard:
            check_alive(Path(self.folder))
            if self not in _scenes:
                from pansharp.readers import open_scene

                opened = open_scene(self.path, **dict(self.options))
                _scenes[self] = replace(opened, alignment=self.alignment)
            return _scenes[self]


@dataclass(frozen=True)
class Failure:
    """An error of the user's on its way back: what caused it stays where it happened."""

    kind: type[PansharpError]
    text: str


def guarded(function: Callable[[Any], Any], task: Any) -> Any:
    """What a task gives; a :class:`Failure` where trying it again would not help."""
    folder = task.folder if isinstance(task, Assembly) else task.opening.folder
    with _guard:
        _running[folder] += 1
    try:
        return function(task)
    except PansharpError as problem:
        # Not as an exception: its causes may be objects of libraries that do not travel.
        return Failure(type(problem), str(problem))
    finally:
        with _guard:
            _running[folder] -= 1


def check_alive(folder: Path) -> None:
    """Stop a task whose split has ended.

    Raises
    ------
    WriteError
        It has.
    """
    if not (folder / ALIVE).exists():
        raise WriteError(f"the split of a scene in '{folder}' has ended")


async def settle(folder: str) -> int:
    """Wait for the tasks of a split that has ended, and close its scenes; for ``client.run``.

    Parameters
    ----------
    folder : str
        Of the split, whose mark of life has been removed.

    Returns
    -------
    int
        Scenes that were closed.
    """
    import asyncio

    for _ in range(_PATIENCE):
        if not _running[folder]:
            break
        await asyncio.sleep(0.1)
    with _guard:
        _running.pop(folder, None)
        mine = [opening for opening in _scenes if opening.folder == folder]
        for opening in mine:
            scene = _scenes.pop(opening)
            scene.pan_source.close()
            scene.ms_source.close()
    return len(mine)


class RowsSource(BaseSource):
    """A float32 image in files of whole rows, as tasks have written them.

    Parameters
    ----------
    shape : tuple of int
        Bands, rows, columns.
    parts : tuple of (int, int, str)
        First row, the one behind the last, and the file (NumPy's format), from top to bottom.
    """

    def __init__(self, shape: tuple[int, int, int], parts: tuple[tuple[int, int, str], ...]):
        self.bands, self.height, self.width = shape
        self.dtype = np.dtype(np.float32)
        self.nodata = None
        self.band_names = ()
        self._parts = parts

    @property
    def label(self) -> str:
        """Name for messages."""
        return "the image between two passes"

    @property
    def may_be_invalid(self) -> bool:
        """Validity is the scene's business."""
        return False

    def read(self, window: Window) -> NDArray[np.generic]:
        """Read a window, (band, y, x) float32."""
        self._check(window)
        out = np.empty((self.bands, window.height, window.width), np.float32)
        for first, end, name in self._parts:
            top, bottom = max(first, window.row), min(end, window.row_end)
            if top < bottom:
                part = np.load(name, mmap_mode="r", allow_pickle=False)
                cols = slice(window.col, window.col_end)
                out[:, top - window.row : bottom - window.row] = part[
                    :, top - first : bottom - first, cols
                ]
        return out

    def cut(self, window: Window) -> BaseSource:
        """Not offered: the image belongs to one product."""
        raise TypeError("the image between two passes cannot be cut")


@dataclass(frozen=True)
class PredictRows:
    """A network over some rows of tiles.

    Parameters
    ----------
    opening : Opening
        The scene.
    network : CarriedNetwork
        What predicts.
    lattice : tuple
        Tile, overlap, blend, and the multiple that tiles start at.
    rows : tuple of int
        First row of tiles, and the one behind the last.
    threads : int
        Of this task.
    device : str
        Where the network runs.
    """

    opening: Opening
    network: CarriedNetwork
    lattice: tuple[int, int, str, int]
    rows: tuple[int, int]
    threads: int
    device: str


def emitted_rows(grid: TileGrid, kind: str, rows: tuple[int, int]) -> tuple[int, int]:
    """Pixel rows that some rows of tiles finish: first, and the one behind the last."""
    first, end = rows
    if kind == "crop" or grid.overlap == 0:
        return grid.rows.core(first)[0], grid.rows.core(end - 1)[1]
    top = 0 if first == 0 else grid.rows.ramp_start(first - 1)
    return top, grid.rows.ramp_start(end - 1)


def predict_rows(task: PredictRows) -> tuple[int, int, str]:
    """Predict row bands into a file of their own.

    Parameters
    ----------
    task : PredictRows
        What to do.

    Returns
    -------
    tuple
        First pixel row, the one behind the last, and the file.
    """
    from pansharp.adaptation.adapt import resolve_device, use_threads
    from pansharp.models.networks import get_network

    scene = task.opening.scene()
    tile, overlap, kind, multiple = task.lattice
    grid = TileGrid(scene.shape[1:], tile=tile, overlap=overlap, multiple_of=multiple)
    top, bottom = emitted_rows(grid, kind, task.rows)
    device = resolve_device(task.device)
    side_by_side = device == "cpu" and not get_network(task.network.name).threads_inside
    use_threads(1 if side_by_side else task.threads)
    pieces = blend_tiles(
        scene,
        task.network.fuser(device),
        tile=tile,
        overlap=overlap,
        kind=kind,
        multiple=multiple,
        workers=task.threads if side_by_side else 1,
        rows=task.rows,
    )
    folder = Path(task.opening.folder)
    final = folder / f"rows-{top}.npy"
    part = folder / f"rows-{top}.part-{uuid4().hex[:12]}"
    shape = (scene.bands, bottom - top, scene.shape[2])
    try:
        # Its own file for each attempt; whichever is renamed last holds the same bytes.
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
        _reserve(part)
        for window, piece in pieces:
            check_alive(folder)
            rows = slice(window.row - top, window.row_end - top)
            out[:, rows, window.col : window.col_end] = piece
        out.flush()
        del out
        os.replace(part, final)
    except OSError as problem:
        raise _failed(folder, problem) from problem
    finally:
        part.unlink(missing_ok=True)
    return top, bottom, str(final)


def _reserve(path: Path) -> None:
    """Give a mapped file its room now: a page without room would kill the process later."""
    if hasattr(os, "posix_fallocate"):
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class FuseRows:
    """A prepared fuser over some rows of tiles.

    Parameters
    ----------
    opening : Opening
        The scene.
    fuser : Fuser
        What makes the product's pixels.
    profile : RasterProfile
        Number type and nodata of the product.
    tile : int
        Side of a tile, which is a shard of the store.
    rows : tuple of int
        First row of tiles, and the one behind the last.
    threads : int
        Of this task.
    """

    opening: Opening
    fuser: Fuser
    profile: RasterProfile
    tile: int
    rows: tuple[int, int]
    threads: int


def create_store(folder: Path, profile: RasterProfile, tile: int, block: int) -> None:
    """Make the Zarr array that row bands are written to; a shard is one tile.

    Parameters
    ----------
    folder : Path
        Where.
    profile : RasterProfile
        Shape and number type.
    tile, block : int
        Sides of shards and of chunks; `tile` is a multiple of `block`.

    Raises
    ------
    WriteError
        The disk is full or closed.
    """
    import zarr
    from zarr.codecs import BloscCodec

    item = np.dtype(profile.dtype).itemsize
    bands = max(1, min(profile.count, _CHUNK // (block * block * item)))
    try:
        zarr.create_array(
            folder / _STORE,
            shape=profile.shape,
            dtype=profile.dtype,
            chunks=(bands, block, block),
            shards=(-(-profile.count // bands) * bands, tile, tile),
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
            fill_value=0,
            zarr_format=3,
        )
    except OSError as problem:
        raise _failed(folder, problem) from problem


def fuse_rows(task: FuseRows) -> int:
    """Fuse row bands into their regions of the store.

    Parameters
    ----------
    task : FuseRows
        What to do.

    Returns
    -------
    int
        Pixels written.
    """
    import zarr

    from pansharp.writers import quantize

    scene, profile = task.opening.scene(), task.profile
    folder = Path(task.opening.folder)
    array: Any = zarr.open_array(folder / _STORE, mode="r+")
    dtype = np.dtype(profile.dtype)

    def finish(window: Window, fused: NDArray[np.float32], valid: NDArray[np.bool_] | None) -> int:
        # The store makes its folders anew where they are missing.
        check_alive(folder)
        rows, cols = window.slices
        array[:, rows, cols] = quantize(fused, dtype, valid=valid, nodata=profile.nodata)
        return window.height * window.width

    try:
        return sum(
            fuse_tiles(
                scene, task.fuser, finish, tile=task.tile, workers=task.threads, rows=task.rows
            )
        )
    except OSError as problem:
        if isinstance(problem, WriteError) or problem.errno is None:
            raise
        raise _failed(folder, problem) from problem


@dataclass(frozen=True)
class Assembly:
    """From the store to the product.

    Parameters
    ----------
    folder : str
        Where the store lies.
    name : str
        File name of the product.
    profile : RasterProfile
        What it contains.
    tags : mapping
        Of the product, besides those of the profile.
    tile, block, threads : int
        Side of tiles and of the file's blocks; threads that compress.
    format, compress : str
        Container and compression.
    """

    folder: str
    name: str
    profile: RasterProfile
    tags: Mapping[str, str]
    tile: int
    block: int
    threads: int
    format: str
    compress: str


def assemble(task: Assembly) -> str:
    """Turn the store into the product, by the writer that unsplit scenes go through.

    Parameters
    ----------
    task : Assembly
        What to do.

    Returns
    -------
    str
        The file, in a folder of this attempt: the one who asked gives it its final name.
    """
    import zarr

    from pansharp.writers import open_writer

    folder = Path(task.folder)
    home = folder / f"product-{uuid4().hex[:12]}"
    array: Any = zarr.open_array(folder / _STORE, mode="r")
    try:
        home.mkdir()
    except OSError as problem:
        raise _failed(folder, problem) from problem
    target = home / task.name
    grid = TileGrid(task.profile.shape[1:], tile=task.tile)
    with open_writer(
        target, task.profile, format=task.format, compress=task.compress, block=task.block
    ) as writer:

        def one(window: Window) -> object:
            rows, cols = window.slices
            return writer.encode(window, np.ascontiguousarray(array[:, rows, cols]))

        stream = ordered_map(one, (tile.core for tile in grid), workers=task.threads)
        try:
            for encoded in stream:
                writer.append(encoded)
        finally:
            stream.close()
        writer.set_tags(task.tags)
    return str(target)


def _failed(folder: Path, problem: OSError) -> WriteError:
    return WriteError(
        f"cannot write to '{folder}', where parts of a split scene lie: "
        f"{problem.strerror or problem}; free some space or choose another folder (-o)"
    )
