"""Maps of block scores as GeoTIFFs: one pixel a block, written while the images are scored."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import WriteError
from pansharp.geometry.grids import Window
from pansharp.scene import IDENTITY
from pansharp.writers import RasterProfile, Writer, open_writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Affine6 = tuple[float, float, float, float, float, float]

__all__ = ["FULL_MAPS", "REFERENCE_MAPS", "BlockMapFiles"]

#: Names of the maps with a reference, and without one.
REFERENCE_MAPS = ("ergas", "sam", "q2n")
FULL_MAPS = ("d_lambda_k", "d_s")


class BlockMapFiles:
    """Takes the scores of blocks as `evaluate` finds them and writes one file per index.

    As a context manager: left normally, all files appear; left by an error, none does.

    Parameters
    ----------
    folder : str or Path
        Created if need be; gets ``<name>.tif``.
    names : sequence of str
        Names of the maps.
    shape : tuple of int
        Rows and columns of the image that is scored.
    block : int
        Side of a block, pixels.
    crs : str, optional
        Coordinate system of the image.
    transform : tuple of float
        The six affine numbers of the image.
    overwrite : bool
        Whether existing maps may be replaced.

    Raises
    ------
    WriteError
        A map exists, or the folder cannot be written to.
    """

    def __init__(
        self,
        folder: str | Path,
        names: Sequence[str],
        shape: tuple[int, int],
        *,
        block: int = 32,
        crs: str | None = None,
        transform: Affine6 = IDENTITY,
        overwrite: bool = False,
    ) -> None:
        self._folder = Path(folder)
        self._made = not self._folder.exists()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise WriteError(
                f"cannot make the folder '{folder}' for the maps: {problem.strerror or problem}"
            ) from problem
        self._shape = -(-shape[0] // block), -(-shape[1] // block)
        a, b, c, d, e, f = transform
        place = None if transform == IDENTITY else (*(a * block, b * block, c),
                                                    *(d * block, e * block, f))  # fmt: skip
        self._lines = {name: _Lines(self._shape) for name in names}
        self._stack = ExitStack()
        self._writers: dict[str, Writer] = {}
        try:
            for name in names:
                profile = RasterProfile(
                    height=self._shape[0],
                    width=self._shape[1],
                    count=1,
                    dtype="float32",
                    crs=crs,
                    transform=place,
                    nodata=float("nan"),
                    band_names=(name,),
                    tags={"PANSHARP_INDEX": name, "PANSHARP_BLOCK": str(block)},
                )
                writer = open_writer(
                    self._folder / f"{name}.tif",
                    profile,
                    format="gtiff",
                    compress="deflate",
                    overwrite=overwrite,
                )
                self._writers[name] = self._stack.enter_context(writer)
        except BaseException as problem:
            self.__exit__(type(problem), problem, None)
            raise

    def __call__(self, row: int, col: int, blocks: Mapping[str, Floats]) -> None:
        """Take the values (row, col) of the blocks of a piece; pieces come in row-major order."""
        for name, values in blocks.items():
            writer, lines = self._writers[name], self._lines[name]
            lines.put(row, col, values)
            while (ready := lines.take(writer.block)) is not None:
                window, pixels = ready
                writer.append(writer.encode(window, pixels))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                # All or none: a map that lacks blocks must not leave the others behind.
                for name, lines in self._lines.items():
                    lines.check(name)
            self._stack.__exit__(kind, problem, trace)
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, None)
            raise
        finally:
            if self._made and not any(self._folder.iterdir()):
                self._folder.rmdir()


class _Lines:
    """Rows of a map that wait until a row of file blocks is complete."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._first = 0
        self._done = 0
        self._rows = np.empty((0, shape[1]), dtype=np.float32)

    def put(self, row: int, col: int, values: Floats) -> None:
        height, width = values.shape
        end = row + height - self._first
        if end > len(self._rows):
            more = np.full((end - len(self._rows), self._shape[1]), np.nan, dtype=np.float32)
            self._rows = np.concatenate([self._rows, more])
        self._rows[row - self._first : end, col : col + width] = values
        if col + width == self._shape[1]:
            self._done = row + height

    def take(self, block: int) -> tuple[Window, NDArray[np.float32]] | None:
        """The next complete row of file blocks, if there is one."""
        stop = min(self._first + block, self._shape[0])
        if self._done < stop or stop == self._first:
            return None
        count = stop - self._first
        window = Window(self._first, 0, count, self._shape[1])
        pixels = self._rows[:count]
        self._rows, self._first = self._rows[count:], stop
        return window, pixels[None]

    def check(self, name: str) -> None:
        """Refuse a map that lacks rows."""
        if self._done != self._shape[0]:
            raise WriteError(
                f"the map '{name}' is incomplete: {self._done} of {self._shape[0]} rows came"
            )
