"""GeoTIFF and cloud-optimised GeoTIFF, assembled here so that overviews cost no second pass.

Layout of a cloud-optimised file: header, all directories (full size first), overviews from the
smallest to the largest, full-size pixels; blocks in row-major order whatever order they were made
in, so the bytes depend on the pixels alone.
"""

from __future__ import annotations

import os
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import WriteError
from pansharp.geometry.grids import Window
from pansharp.writers._blocks import SCHEMES, Codec, halve
from pansharp.writers._tags import (
    GDAL_METADATA,
    GDAL_NODATA,
    LONG,
    LONG8,
    SHORT,
    Tag,
    directory,
    gdal_tags,
    numbers,
)
from pansharp.writers.base import Writer, copy_runs, pwrite

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pansharp.writers.profile import RasterProfile

__all__ = ["TiffWriter"]

#: More bands than this are stored apart: interleaved blocks grow large and gain nothing.
_INTERLEAVED_BANDS = 16
#: Raw size from which on offsets of 64 bits are used.
_BIG = 2 << 30
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class _Level:
    """One resolution of the image and its blocks."""

    index: int
    height: int
    width: int
    block: int

    @property
    def rows(self) -> int:
        return -(-self.height // self.block)

    @property
    def cols(self) -> int:
        return -(-self.width // self.block)

    def window(self, full: Window) -> Window:
        """The part of this level that a block-aligned window of the full size makes."""
        step = 1 << self.index
        row, col = full.row // step, full.col // step
        row_end = min(self.height, -(-full.row_end // step))
        col_end = min(self.width, -(-full.col_end // step))
        return Window(row, col, row_end - row, col_end - col)

    def covered(self, window: Window) -> bool:
        """Whether the window consists of whole blocks."""
        return (
            window.row % self.block == 0
            and window.col % self.block == 0
            and (window.row_end % self.block == 0 or window.row_end == self.height)
            and (window.col_end % self.block == 0 or window.col_end == self.width)
        )


@dataclass(slots=True)
class _Encoded:
    """What a worker hands over: finished blocks, and what is left for coarser levels."""

    window: Window
    #: Level, block number (band-major, row-major) and bytes; None when they are in place already.
    blocks: list[tuple[int, int, bytes | None]]
    #: Level and pixels that do not fill blocks of that level yet.
    rest: tuple[int, Window, NDArray[np.generic]] | None


@dataclass(slots=True)
class _Pending:
    """A block of an overview that waits for its other parts."""

    pixels: NDArray[np.generic]
    missing: int


def pick_block(block: int, width: int) -> int:
    """Block edge for an image: readers take a block as wide as the image for a strip."""
    if width <= 512:
        block = min(block, 256)
    while block == width and block > 16:
        block //= 2
    return block


class TiffWriter(Writer):
    """Writes tiled GeoTIFF, with overviews for a cloud-optimised one.

    Compressed blocks go to one spool per level as they come and are put in order at the end.
    Without compression every block has its place from the start and workers write there directly.

    Parameters
    ----------
    path : Path
        The product.
    profile : RasterProfile
        What it contains.
    overwrite : bool
        Whether an existing file may be replaced.
    compress : str
        ``"zstd"``, ``"deflate"``, ``"lzw"`` or ``"none"``.
    level : int, optional
        Effort of the compression.
    block : int
        Edge of a block, a multiple of 16; images up to 512 pixels wide get 256.
    overviews : bool
        Whether to add halved images down to one block.
    """

    def __init__(
        self,
        path: Path,
        profile: RasterProfile,
        *,
        overwrite: bool,
        compress: str,
        level: int | None,
        block: int,
        overviews: bool,
    ) -> None:
        super().__init__(path, profile, overwrite=overwrite)
        if path.is_dir():
            raise WriteError(f"cannot write {path}: it is a folder")
        self.block = pick_block(block, profile.width)
        # Interleaving serves the compressor; without one it only costs a transposition.
        apart = profile.count > _INTERLEAVED_BANDS or compress == "none"
        self._planes = profile.count if apart else 1
        kind = np.dtype(profile.dtype)
        self._codec = Codec(kind, profile.count // self._planes, self.block, compress, level)
        self._levels = [_Level(0, profile.height, profile.width, self.block)]
        while overviews and max(self._levels[-1].height, self._levels[-1].width) > self.block:
            last = self._levels[-1]
            self._levels.append(
                _Level(last.index + 1, -(-last.height // 2), -(-last.width // 2), self.block)
            )
        self._offsets = [np.zeros(self._count(lv), np.uint64) for lv in self._levels]
        self._lengths = [np.zeros(self._count(lv), np.uint32) for lv in self._levels]
        self._pending: dict[tuple[int, int, int], _Pending] = {}
        raw = sum(self._count(lv) for lv in self._levels) * self._codec.nbytes
        self._big = raw > _BIG
        self._direct = compress == "none"
        self._gdal = gdal_tags(profile, self._tags)  # also finds mistakes before any work is done
        self._fds: list[int] = []
        self._turn = threading.Lock()
        self._ends: list[int] = [0] * len(self._levels)
        try:
            with self._messages():
                if self._direct:
                    self._need(raw)
                    self._open_direct()
                else:
                    for lv in self._levels:
                        self._create(f"-{lv.index}")
        except BaseException:
            self.abort()
            raise

    # Encoding, in worker threads ------------------------------------------------------------

    def _encode(self, window: Window, array: NDArray[np.generic]) -> _Encoded:
        blocks: list[tuple[int, int, bytes | None]] = []
        pixels = array
        for level in self._levels:
            if level.index:
                pixels = halve(pixels, self.profile.nodata)
            part = level.window(window)
            if not level.covered(part):
                return _Encoded(window, blocks, (level.index, part, pixels))
            for top in range(0, part.height, self.block):
                for left in range(0, part.width, self.block):
                    cut = pixels[:, top : top + self.block, left : left + self.block]
                    row, col = (part.row + top) // self.block, (part.col + left) // self.block
                    blocks += self._block(level, row, col, cut)
        return _Encoded(window, blocks, None)

    def _block(
        self, level: _Level, row: int, col: int, pixels: NDArray[np.generic]
    ) -> list[tuple[int, int, bytes | None]]:
        out: list[tuple[int, int, bytes | None]] = []
        for plane in range(self._planes):
            number = (plane * level.rows + row) * level.cols + col
            cut = pixels if self._planes == 1 else pixels[plane : plane + 1]
            if self._direct:
                data = self._codec.pack(cut)
                # The system lets one writer per file in anyway; the lock also keeps the number of
                # a closed file, which may belong to another one by then, from being used.
                with self._turn:
                    pwrite(self._fds[0], data.data, int(self._offsets[level.index][number]))
                out.append((level.index, number, None))
            else:
                out.append((level.index, number, self._codec.encode(cut)))
        return out

    # Collecting, in one thread --------------------------------------------------------------

    def _append(self, encoded: object) -> Window:
        if not isinstance(encoded, _Encoded):
            raise TypeError(f"append() takes what encode() returned, not {type(encoded).__name__}")
        self._store(encoded.blocks)
        if encoded.rest is not None:
            self._paste(*encoded.rest)
        return encoded.window

    def _store(self, blocks: list[tuple[int, int, bytes | None]]) -> None:
        for level, number, data in blocks:
            if data is None:
                continue
            pwrite(self._fds[level], data, self._ends[level])
            self._offsets[level][number] = self._ends[level]
            self._lengths[level][number] = len(data)
            self._ends[level] += len(data)

    def _paste(self, index: int, window: Window, pixels: NDArray[np.generic]) -> None:
        """Put pixels of an overview into their waiting blocks; complete blocks move on."""
        level = self._levels[index]
        for row in range(window.row // self.block, -(-window.row_end // self.block)):
            for col in range(window.col // self.block, -(-window.col_end // self.block)):
                area = Window(row * self.block, col * self.block, self.block, self.block).intersect(
                    Window(0, 0, level.height, level.width)
                )
                part = area.intersect(window)
                waiting = self._pending.get((index, row, col))
                if waiting is None:
                    waiting = _Pending(
                        np.empty((self.profile.count, *area.shape), pixels.dtype),
                        area.height * area.width,
                    )
                    self._pending[index, row, col] = waiting
                to, source = part.relative_to(area).slices, part.relative_to(window).slices
                waiting.pixels[:, to[0], to[1]] = pixels[:, source[0], source[1]]
                waiting.missing -= part.height * part.width
                if waiting.missing == 0:
                    del self._pending[index, row, col]
                    self._store(self._block(level, row, col, waiting.pixels))
                    if index + 1 < len(self._levels):
                        coarse = Window(
                            area.row // 2,
                            area.col // 2,
                            -(-area.height // 2),
                            -(-area.width // 2),
                        )
                        self._paste(index + 1, coarse, halve(waiting.pixels, self.profile.nodata))

    # Assembling -----------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._tags != dict(self.profile.tags):
            self._gdal = gdal_tags(self.profile, self._tags)
        if self._direct:
            self._finish_direct()
        else:
            self._assemble()

    def _assemble(self) -> None:
        """Header and directories, then the spools, coarsest first, block by block."""
        spools = list(self._fds)
        target = self._create("")
        starts = [offsets.copy() for offsets in self._offsets]
        place = len(self._header(self._gdal))
        for level in reversed(self._levels):
            lengths = self._lengths[level.index].astype(np.uint64)
            self._offsets[level.index] = place + np.cumsum(lengths) - lengths
            place += int(lengths.sum())
        pwrite(target, self._header(self._gdal), 0)
        for level in reversed(self._levels):
            i = level.index
            copy_runs(spools[i], target, starts[i], self._offsets[i], self._lengths[i])

    def _open_direct(self) -> None:
        """Give every block its place; metadata that may still grow goes behind the pixels."""
        for lengths in self._lengths:
            lengths[:] = self._codec.nbytes
        room = len(self._header({**self._gdal, GDAL_METADATA: Tag(2, 1, b"\0")}))
        place = -(-room // _PAGE) * _PAGE
        for level in reversed(self._levels):
            count = self._count(level)
            self._offsets[level.index] = place + self._codec.nbytes * np.arange(
                count, dtype=np.uint64
            )
            place += count * self._codec.nbytes
        self._ends[0] = place
        fd = self._create("")
        os.ftruncate(fd, place)

    def _finish_direct(self) -> None:
        tags = dict(self._gdal)
        text = tags.get(GDAL_METADATA)
        fd = self._fds[0]
        if text is not None:
            tags[GDAL_METADATA] = Tag(text.kind, text.count, text.data, self._ends[0])
            pwrite(fd, text.data, self._ends[0])
        pwrite(fd, self._header(tags), 0)

    def _header(self, gdal: dict[int, Tag]) -> bytes:
        """File header and all directories, for the offsets as they are now."""
        start = 16 if self._big else 8
        if self._big:
            head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start)
        else:
            head = struct.pack("<2sHI", b"II", 42, start)
        parts = [head]
        for level in self._levels:
            tags = self._directory(level, gdal)
            size = len(directory(tags, start, 0, self._big))
            following = 0 if level is self._levels[-1] else start + size
            parts.append(directory(tags, start, following, self._big))
            start += size
        return b"".join(parts)

    def _directory(self, level: _Level, gdal: dict[int, Tag]) -> dict[int, Tag]:
        kind, count = self._codec.dtype, self.profile.count
        form = {"u": 1, "i": 2, "f": 3}[kind.kind]
        tags = {
            256: numbers(LONG, level.width),
            257: numbers(LONG, level.height),
            258: numbers(SHORT, [8 * kind.itemsize] * count),
            259: numbers(SHORT, SCHEMES[self._codec.compress]),
            277: numbers(SHORT, count),
            284: numbers(SHORT, 1 if self._planes == 1 else 2),
            322: numbers(SHORT, self.block),
            323: numbers(SHORT, self.block),
            324: numbers(LONG8 if self._big else LONG, self._offsets[level.index]),
            325: numbers(LONG, self._lengths[level.index]),
            339: numbers(SHORT, [form] * count),
        }
        if self._codec.predictor != 1:
            tags[317] = numbers(SHORT, self._codec.predictor)
        if level.index:
            tags[254] = numbers(LONG, 1)
            # Colours and nodata hold at every size; place and metadata are said once.
            return tags | {code: gdal[code] for code in (262, 338, GDAL_NODATA) if code in gdal}
        return tags | gdal

    # Files ----------------------------------------------------------------------------------

    def _count(self, level: _Level) -> int:
        return self._planes * level.rows * level.cols

    def _create(self, suffix: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        fd = os.open(self._part(suffix), flags, 0o666)
        self._fds.append(fd)
        return fd

    def _close(self) -> None:
        with self._turn:
            while self._fds:
                os.close(self._fds.pop())
        self._pending.clear()

    def _replace(self) -> None:
        super()._replace()
        for part in self._parts:
            part.unlink(missing_ok=True)
