"""Writing a labelled array, lazy or not, window by window."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.grids import Window
from pansharp.registry import nearest
from pansharp.writers.profile import RasterProfile, check_dtype
from pansharp.writers.rounding import quantize

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Stream", "profile_of", "register_stream", "write"]


class Stream(Protocol):
    """How a lazy product writes itself without its task graph."""

    def __call__(self, fused: xr.DataArray, path: Path, **options: object) -> None:
        """Write `fused` (whose attributes may have been edited) to `path`."""
        ...


# Name of a dask array -> how to write it. The name changes with any computation on the array, so
# it is only found while the product is untouched. Old entries give way: their products are still
# written, from the graph.
_STREAMS: OrderedDict[str, Stream] = OrderedDict()
_KEPT = 256
_OPTIONS = ("compress", "overwrite", "block", "level", "overviews")


def register_stream(name: str, stream: Stream) -> None:
    """Let `write` use `stream` for the dask array called `name`.

    Parameters
    ----------
    name : str
        ``fused.data.name`` of the untouched product.
    stream : callable
        Called as ``stream(fused, path, **options)`` with the options given to `write`.
    """
    _STREAMS[name] = stream
    _STREAMS.move_to_end(name)
    while len(_STREAMS) > _KEPT:
        _STREAMS.popitem(last=False)


def write(
    fused: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    dtype: str | None = None,
    workers: int | None = None,
    **options: object,
) -> Path:
    """Write a product to a file, in bounded memory, and only show it when it is complete.

    Parameters
    ----------
    fused : xarray.DataArray, dims (band, y, x) or (y, x)
        The product, lazy or not. Georeference is taken from the attributes ``crs`` (WKT) and
        ``transform`` (a to f), corrected by the coordinates ``x`` and ``y`` if the array was cut;
        ``nodata`` from the attributes, band names from the coordinate ``band``.
    path : path
        The file, or the folder of a Zarr store.
    format : {"cog", "gtiff", "zarr"}, optional
        By default from the suffix: ``.zarr`` is Zarr, ``.tif`` a cloud-optimised GeoTIFF.
    dtype : str, optional
        Type of the file; by default that of the MS image the product came from (attribute
        ``source_dtype``), else that of the array. See `quantize` for the rounding.
    workers : int, optional
        Threads that compress; by default one per core.
    **options
        ``compress``, ``overwrite``, ``block``, ``level``, ``overviews`` of `open_writer`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    WriteError
        If the file exists, the folder is missing or the disk is full. Nothing is left behind.
    OptionError
        For an unknown format, compression or type.
    """
    from pansharp.tiling import ordered_map, recut
    from pansharp.writers import format_of, open_writer

    for name in options:
        if name not in _OPTIONS:
            raise OptionError(f"unknown option '{name}'; {nearest(name, [*_OPTIONS])}")
    target = Path(path)
    kind = format_of(target, format)
    stream = _STREAMS.get(str(getattr(fused.data, "name", "")))
    if stream is not None:
        named = {"format": kind, "dtype": dtype, "workers": workers}
        given = {key: value for key, value in named.items() if value is not None}
        stream(fused, target, **given, **options)
        return target
    cube = _cube(fused)
    profile = profile_of(cube, dtype)
    count = _cores() if workers is None else workers
    with open_writer(target, profile, format=kind, **options) as writer:  # type: ignore[arg-type]
        pieces = recut(
            _pieces(cube, profile), profile.width, profile.height, writer.block, profile.count
        )
        # Closing waits for the workers, so that none writes any more when the writer cleans up.
        with closing(
            ordered_map(lambda piece: writer.encode(*piece), pieces, workers=count)
        ) as results:
            for encoded in results:
                writer.append(encoded)
    return target


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cube(fused: xr.DataArray) -> xr.DataArray:
    """The product with dimensions in the order of files."""
    if set(fused.dims) == {"y", "x"}:
        fused = fused.expand_dims("band")
    if set(fused.dims) != {"band", "y", "x"}:
        raise OptionError(
            f"the product has the dimensions {', '.join(map(str, fused.dims))}; "
            "expected band, y, x: rename them"
        )
    return fused.transpose("band", "y", "x")


def _pieces(
    cube: xr.DataArray, profile: RasterProfile
) -> Iterator[tuple[Window, NDArray[np.generic]]]:
    """Compute the product chunk by chunk (each chunk once), rounded."""
    chunks = cube.chunksizes
    heights = chunks.get("y") or _steps(profile.height, 512)
    widths = chunks.get("x") or _steps(profile.width, 2048)
    row = 0
    for height in heights:
        col = 0
        for width in widths:
            part = cube[:, row : row + height, col : col + width]
            pixels = np.asarray(part.compute().values)
            yield Window(row, col, height, width), _fit(pixels, profile)
            col += width
        row += height


def _fit(pixels: NDArray[np.generic], profile: RasterProfile) -> NDArray[np.generic]:
    kind = np.dtype(profile.dtype)
    if pixels.dtype == kind and kind.kind != "f":
        return pixels
    work = np.asarray(pixels, kind if kind.kind == "f" else np.float32)
    return quantize(work, kind, nodata=profile.nodata)


def _steps(size: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, size - start) for start in range(0, size, step))


def profile_of(cube: xr.DataArray, dtype: str | None = None) -> RasterProfile:
    """What a product of dimensions (band, y, x) says about itself.

    Parameters
    ----------
    cube : xarray.DataArray, dims (band, y, x)
        The product.
    dtype : str, optional
        Type of the file; by default the attribute ``source_dtype``, else that of the array.

    Returns
    -------
    RasterProfile
        Shape, type, georeference, nodata, band names, and the attributes that are plain text or
        numbers as tags.

    Raises
    ------
    OptionError
        If the type or nodata value cannot be written.
    """
    count, height, width = cube.shape
    names = tuple(str(v) for v in cube.coords["band"].values) if "band" in cube.coords else ()
    nodata = cube.attrs.get("nodata")
    used = {"crs", "transform", "nodata", "scales", "offsets", "tags", "source_dtype"}
    tags = {
        str(key): str(value)
        for key, value in cube.attrs.items()
        if key not in used and isinstance(value, str | int | float | bool)
    }
    return RasterProfile(
        height=height,
        width=width,
        count=count,
        dtype=check_dtype(dtype or cube.attrs.get("source_dtype") or cube.dtype).name,
        crs=str(cube.attrs["crs"]) if cube.attrs.get("crs") else None,
        transform=_transform(cube),
        nodata=None if nodata is None else float(nodata),
        band_names=names,
        scales=tuple(float(v) for v in cube.attrs.get("scales") or ()),
        offsets=tuple(float(v) for v in cube.attrs.get("offsets") or ()),
        tags=tags | {str(k): str(v) for k, v in (cube.attrs.get("tags") or {}).items()},
    )


def _transform(cube: xr.DataArray) -> tuple[float, float, float, float, float, float] | None:
    """The affine numbers; None for the identity, which stands for no georeference."""
    found = _placed(cube)
    return None if found == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0) else found


def _placed(cube: xr.DataArray) -> tuple[float, float, float, float, float, float] | None:
    """The affine numbers; where ``x`` and ``y`` are there, they know about cuts and strides."""
    given = cube.attrs.get("transform")
    numbers = None if given is None else tuple(float(v) for v in tuple(given)[:6])
    if numbers is not None and len(numbers) != 6:
        raise OptionError(f"transform has {len(numbers)} numbers, expected 6: a to f")
    a, b, c, d, e, f = numbers or (0.0,) * 6
    if b or d or not all(axis in cube.coords and cube.coords[axis].ndim == 1 for axis in "xy"):
        return None if numbers is None else (a, b, c, d, e, f)
    x, y = (np.asarray(cube.coords[axis].values, np.float64) for axis in "xy")
    step_x = (x[-1] - x[0]) / (len(x) - 1) if len(x) > 1 else a
    step_y = (y[-1] - y[0]) / (len(y) - 1) if len(y) > 1 else e
    if not step_x or not step_y:
        return None
    left, top = x[0] - step_x / 2, y[0] - step_y / 2
    # Keep the exact numbers where the coordinates agree with them to a thousandth of a pixel.
    same = (
        abs(left - c) <= 1e-3 * abs(step_x)
        and abs(top - f) <= 1e-3 * abs(step_y)
        and abs(step_x - a) * len(x) <= 1e-3 * abs(step_x)
        and abs(step_y - e) * len(y) <= 1e-3 * abs(step_y)
    )
    return (a, b, c, d, e, f) if same else (step_x, 0.0, left, 0.0, step_y, top)
