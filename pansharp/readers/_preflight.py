"""Checks that end a run before any work: incomplete files, and images without data."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import ReaderError, SceneError
from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

    from pansharp.source import BaseSource, RasterSource
    from pansharp.source.zarr import ZarrSource

__all__ = ["check_complete", "check_not_empty", "has_fill"]

#: Drivers of plain numbers beside a header file.
_RAW = ("ENVI", "EHdr", "GenBin", "ISCE", "ROI_PAC")
#: Block addresses that are looked up per file.
_LOOKUPS = 4096
#: Side of the windows that are sampled, and of those of a full check, pixels.
_SAMPLE, _SWEEP = 64, 1024
#: Side of a square of 0 that is fill, pixels.
_FILL = 16


def check_complete(source: RasterSource | ZarrSource) -> None:
    """Make sure that a file holds all the blocks that its header promises.

    Parameters
    ----------
    source : RasterSource or ZarrSource
        File, or array of a store.

    Raises
    ------
    ReaderError
        When blocks lie past the end of the file, or the last rows cannot be read.
    """
    dataset = source.dataset()
    if os.path.isfile(source.path):
        if dataset.driver == "GTiff":
            _check_blocks(dataset, source.path)
        elif dataset.driver in _RAW:
            _check_length(dataset, source.path)
    depth = int(dataset.block_shapes[0][0])
    wide = min(int(dataset.block_shapes[0][1]), source.width)
    row = max(0, source.height - min(depth, 8))
    # Left, middle and right block of the last row of blocks: a cut file lacks at least the last.
    for col in {0, (source.width - wide) // 2, source.width - wide}:
        source.read(Window(row, col, source.height - row, wide))


def _check_length(dataset: DatasetReader, path: str) -> None:
    """Compare the length of a raw file with what its header promises: GDAL reads on as zeros."""
    pixel = sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
    need, size = dataset.height * dataset.width * pixel, os.path.getsize(path)
    if size < need and "COMPRESSION" not in dataset.tags(ns="IMAGE_STRUCTURE"):
        row = dataset.height * size // need
        raise ReaderError(
            f"'{path}' is incomplete: its header promises {dataset.height} x {dataset.width} "
            f"pixels in {need} bytes, the file has {size} (about {row} rows); copy or download it "
            "again"
        )


def _check_blocks(dataset: DatasetReader, path: str) -> None:
    """Compare the addresses of the blocks with the file's length; absent blocks are legal."""
    size = os.path.getsize(path)
    block_height, block_width = dataset.block_shapes[0]
    down, across = -(-dataset.height // block_height), -(-dataset.width // block_width)
    separate = dataset.count > 1 and dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "BAND"
    planes = range(1, dataset.count + 1) if separate else range(1, 2)
    total = down * across * len(planes)
    step = max(1, total // _LOOKUPS)
    blocks = {*range(0, total, step), *range(max(0, total - across), total)}
    for index in sorted(blocks):
        plane, place = divmod(index, down * across)
        row, col = divmod(place, across)
        found = [
            dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=planes[plane])
            for what in ("OFFSET", "SIZE")
        ]
        if None not in found and sum(int(value) for value in found) > size:
            raise ReaderError(
                f"'{path}' is incomplete: its header promises {dataset.height} x {dataset.width} "
                f"pixels, the data end near row {row * block_height} of band {planes[plane]} "
                f"({size} bytes); copy or download it again"
            )


def has_fill(source: BaseSource) -> bool:
    """Whether an image without nodata value has corners, edges or inner parts of nothing but 0.

    Footprints are cut out of scenes, and mosaics padded, with 0 that no header declares. Whole
    squares of 0 in every band do not occur in images of the ground.

    Parameters
    ----------
    source : BaseSource
        Image.

    Returns
    -------
    bool
        False for images of floating-point numbers or with a nodata value.
    """
    if source.nodata is not None or source.dtype.kind not in "iu":
        return False
    side = min(_FILL, source.height, source.width)
    # Corners, middles of the edges, middle: what a turned footprint leaves empty.
    rows = {(source.height - side) * i // 2 for i in range(3)}
    cols = {(source.width - side) * i // 2 for i in range(3)}
    return any(not source.read(Window(r, c, side, side)).any() for r in rows for c in cols)


def check_not_empty(source: BaseSource, role: str) -> None:
    """Make sure that an image holds at least one pixel with data.

    A few windows are looked at first; only when none has data, the whole image is.

    Parameters
    ----------
    source : BaseSource
        Image.
    role : str
        ``"PAN"`` or ``"MS"``, for the message.

    Raises
    ------
    SceneError
        When every pixel is invalid, or 0 in an image without nodata value.
    """
    for windows in (_samples(source), _sweep(source)):
        if any(_has_data(source, window) for window in windows):
            return
    what = "0" if not source.may_be_invalid else f"nodata ({source.nodata})"
    raise SceneError(
        f"every pixel of the {role} image {source.label} is {what}; check the file and --nodata"
    )


def _has_data(source: BaseSource, window: Window) -> bool:
    data = source.read(window)
    valid = source.valid(window, data)
    if valid is not None and not valid.any():
        return False
    return bool(data.any() if valid is None else data[:, valid].any())


def _samples(source: BaseSource) -> Iterator[Window]:
    height, width = min(_SAMPLE, source.height), min(_SAMPLE, source.width)
    # The middle first: it has data in nearly every image.
    for tenths in ((5, 5), (2, 2), (2, 8), (8, 2), (8, 8)):
        row = (source.height - height) * tenths[0] // 10
        col = (source.width - width) * tenths[1] // 10
        yield Window(row, col, height, width)


def _sweep(source: BaseSource) -> Iterator[Window]:
    for row in range(0, source.height, _SWEEP):
        for col in range(0, source.width, _SWEEP):
            yield Window(row, col, _SWEEP, _SWEEP).intersect(source.full)
