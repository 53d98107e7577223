"""Where on the Earth a product has data: a polygon in longitude and latitude."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import ReaderError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["Placed", "RasterFacts", "lonlat_geometry", "raster_facts"]

#: Side of the thinned image in which pixels without data are looked for.
_THIN = 512
#: Points along an edge: straight lines of a map projection bend in longitude and latitude.
_POINTS = 9
#: Decimals of degrees: a centimetre.
_DIGITS = 7


@dataclass(frozen=True)
class RasterFacts:
    """What the catalogue says of a raster.

    Parameters
    ----------
    shape : tuple of int
        Bands, rows, columns.
    dtype : str
        Number type.
    nodata : float or None
        Value of pixels without data.
    transform : tuple of float or None
        a b c d e f of pixel corners; None without georeference.
    wkt : str or None
        Coordinate system.
    epsg : int or None
        Its number, where it is one of the register.
    metres : float or None
        Unit of the map in metres; None where the units are degrees or unknown.
    band_names : tuple of str
        One a band.
    scales, offsets : tuple of float
        Physical value = scale * count + offset, one a band.
    statistics : tuple of dict
        GDAL's ``STATISTICS_*`` items, one mapping a band.
    ring : ndarray, shape (point, 2), float64, or None
        Columns and rows (pixel corners) of the convex outline of pixels with data.
    """

    shape: tuple[int, int, int]
    dtype: str
    nodata: float | None
    transform: tuple[float, ...] | None
    wkt: str | None
    epsg: int | None
    metres: float | None
    band_names: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    statistics: tuple[dict[str, str], ...]
    ring: NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """A GeoJSON geometry in WGS 84 and its box.

    Parameters
    ----------
    geometry : dict
        ``Polygon``, or ``MultiPolygon`` across the antimeridian (RFC 7946, section 3.1.9).
    bbox : list of float
        West, south, east, north; west is the larger number across the antimeridian.
    """

    geometry: dict[str, Any]
    bbox: list[float]


def raster_facts(product: Path) -> RasterFacts:
    """Read what the catalogue needs of a GeoTIFF or Zarr product.

    Parameters
    ----------
    product : Path
        A file of :func:`pansharp.write`.

    Returns
    -------
    RasterFacts
        The outline of a Zarr store is that of all its pixels: it has no overview to look at.

    Raises
    ------
    ReaderError
        The product is not there or not readable.
    """
    return _of_store(product) if product.is_dir() else _of_file(product)


def _of_file(product: Path) -> RasterFacts:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            image = rasterio.open(product)
        with image:
            crs = image.crs
            shape = (image.count, image.height, image.width)
            placed = not image.transform.is_identity
            return RasterFacts(
                shape=shape,
                dtype=image.dtypes[0],
                nodata=image.nodata,
                transform=tuple(image.transform)[:6] if placed else None,
                wkt=crs.to_wkt() if crs else None,
                epsg=crs.to_epsg() if crs else None,
                metres=_metres(crs),
                band_names=tuple(
                    name or f"b{index}" for index, name in enumerate(image.descriptions, 1)
                ),
                scales=tuple(image.scales),
                offsets=tuple(image.offsets),
                statistics=tuple(image.tags(index) for index in image.indexes),
                ring=_outline(image),
            )
    except RasterioError as problem:
        raise ReaderError(f"the product '{product}' cannot be read: {problem}") from problem


def _outline(image: Any) -> NDArray[np.float64]:
    """Convex outline of the pixels with data, columns and rows."""
    height, width = image.height, image.width
    if image.nodata is None:
        return _corners(height, width)
    step = max(1, -(-max(height, width) // _THIN))
    rows, cols = -(-height // step), -(-width // step)
    mask = image.dataset_mask(out_shape=(rows, cols)) > 0
    if not mask.any():
        return _corners(height, width)
    # First and last pixel with data of each row hold the whole outline.
    found = np.flatnonzero(mask.any(axis=1))
    first = mask[found].argmax(axis=1)
    last = cols - mask[found][:, ::-1].argmax(axis=1)
    across, down = width / cols, height / rows
    points = np.array(
        [
            (col * across, row * down)
            for top, left, right in zip(found, first, last, strict=True)
            for row in (top, top + 1)
            for col in (left, right)
        ]
    )
    from scipy.spatial import ConvexHull

    hull: NDArray[np.float64] = points[ConvexHull(points).vertices]
    return hull


def _corners(height: int, width: int) -> NDArray[np.float64]:
    return np.array([(0, 0), (0, height), (width, height), (width, 0)], dtype=np.float64)


def _of_store(product: Path) -> RasterFacts:
    try:
        about = json.loads((product / "fused" / "zarr.json").read_text("utf-8"))
        place = json.loads((product / "spatial_ref" / "zarr.json").read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise ReaderError(f"the product '{product}' cannot be read: {problem}") from problem
    attributes, reference = about.get("attributes", {}), place.get("attributes", {})
    count, height, width = about["shape"]
    transform = None
    if "GeoTransform" in reference:
        c, a, b, f, d, e = (float(number) for number in reference["GeoTransform"].split())
        transform = (a, b, c, d, e, f)
    wkt = reference.get("crs_wkt")
    crs = _crs(wkt)
    return RasterFacts(
        shape=(count, height, width),
        dtype=str(about["data_type"]),
        nodata=attributes.get("_FillValue"),
        transform=transform,
        wkt=wkt,
        epsg=crs.to_epsg() if crs else None,
        metres=_metres(crs),
        band_names=tuple(attributes.get("long_name") or (f"b{i + 1}" for i in range(count))),
        scales=tuple(attributes.get("band_scales") or (1.0,) * count),
        offsets=tuple(attributes.get("band_offsets") or (0.0,) * count),
        statistics=tuple(attributes.get("band_tags") or ({},) * count),
        ring=_corners(height, width),
    )


def _crs(wkt: str | None) -> Any:
    if not wkt:
        return None
    from rasterio.crs import CRS

    return CRS.from_wkt(wkt)


def _metres(crs: Any) -> float | None:
    return float(crs.linear_units_factor[1]) if crs and crs.is_projected else None


def lonlat_geometry(facts: RasterFacts) -> Placed | None:
    """The outline in longitude and latitude.

    Parameters
    ----------
    facts : RasterFacts
        Of the product.

    Returns
    -------
    Placed or None
        None without georeference, and where the projection does not reach the outline.
    """
    if facts.transform is None or facts.wkt is None:
        return None
    from rasterio.crs import CRS
    from rasterio.errors import RasterioError
    from rasterio.warp import transform as project

    a, b, c, d, e, f = facts.transform
    ring = _dense(facts.ring)
    x, y = a * ring[:, 0] + b * ring[:, 1] + c, d * ring[:, 0] + e * ring[:, 1] + f
    try:
        lon, lat = project(CRS.from_wkt(facts.wkt), "EPSG:4326", x.tolist(), y.tolist())
    except RasterioError:
        return None
    points = np.stack([lon, lat], axis=1)
    if not np.isfinite(points).all():
        return None
    return _on_globe(points)


def _dense(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring with points along its edges; not closed."""
    ends = np.roll(ring, -1, axis=0)
    steps = np.arange(_POINTS)[:, None] / _POINTS
    return np.concatenate(
        [start + steps * (end - start) for start, end in zip(ring, ends, strict=True)]
    )


def _on_globe(points: NDArray[np.float64]) -> Placed:
    """A ring of (lon, lat) as GeoJSON: cut at the antimeridian, filled up around a pole."""
    lon, lat = points[:, 0], points[:, 1]
    # Neighbours are near: a jump of more than half the globe is the antimeridian.
    jumps = np.diff(np.concatenate([lon, lon[:1]]))
    turns = np.cumsum(np.where(jumps > 180, -360.0, np.where(jumps < -180, 360.0, 0.0)))
    if abs(turns[-1]) > 180:
        north = lat.mean() > 0
        low, high = (float(lat.min()), 90.0) if north else (-90.0, float(lat.max()))
        box = [-180.0, _rounded(low), 180.0, _rounded(high)]
        return Placed({"type": "Polygon", "coordinates": [_box_ring(box)]}, box)
    whole = lon + np.concatenate([[0.0], turns[:-1]])
    whole -= 360.0 * np.round(whole.mean() / 360.0)
    south, north_edge = _rounded(lat.min()), _rounded(lat.max())
    west, east = whole.min(), whole.max()
    if west >= -180 and east <= 180:
        ring = _closed(np.stack([whole, lat], axis=1))
        box = [_rounded(west), south, _rounded(east), north_edge]
        return Placed({"type": "Polygon", "coordinates": [ring]}, box)
    # Part of it lies beyond one end of the map.
    border = 180.0 if east > 180 else -180.0
    inside = _half(whole, lat, border, keep_below=border > 0)
    outside = _half(whole, lat, border, keep_below=border < 0)
    outside[:, 0] -= 2 * border
    # The one that ends at 180 degrees east first.
    parts = (inside, outside) if border > 0 else (outside, inside)
    rings = [[_closed(part)] for part in parts if len(part) >= 3]
    box = [_rounded(west % 360 if west % 360 <= 180 else west % 360 - 360), south]
    box += [_rounded(east % 360 if east % 360 <= 180 else east % 360 - 360), north_edge]
    return Placed({"type": "MultiPolygon", "coordinates": rings}, box)


def _half(
    lon: NDArray[np.float64], lat: NDArray[np.float64], border: float, *, keep_below: bool
) -> NDArray[np.float64]:
    """The part of a ring on one side of a meridian (Sutherland and Hodgman, 1974)."""
    out: list[tuple[float, float]] = []
    points = list(zip(lon.tolist(), lat.tolist(), strict=True))
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        first, second = ((x <= border) == keep_below or x == border for x in (x0, x1))
        if first:
            out.append((x0, y0))
        if first != second:
            out.append((border, y0 + (y1 - y0) * (border - x0) / (x1 - x0)))
    return np.array(out).reshape(-1, 2)


def _closed(ring: NDArray[np.float64]) -> list[list[float]]:
    """Counter-clockwise, rounded, its first point repeated; points that fell together once."""
    x, y = ring[:, 0], ring[:, 1]
    area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    points = [[_rounded(px), _rounded(py)] for px, py in (ring if area > 0 else ring[::-1])]
    kept = [p for p, before in zip(points, [points[-1], *points[:-1]], strict=True) if p != before]
    return [*kept, kept[0]]


def _box_ring(box: list[float]) -> list[list[float]]:
    west, south, east, north = box
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)
