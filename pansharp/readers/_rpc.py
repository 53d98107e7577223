"""Rational polynomial coefficients: from sidecars to GDAL's items, and one image on another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pansharp.errors import GridMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pansharp.readers._sidecar import Fields
    from pansharp.scene import Affine6

__all__ = [
    "IN_SENSOR_GEOMETRY",
    "LAID_BY_RPC",
    "LAID_BY_SIZE",
    "misfit",
    "ms_on_pan",
    "rpc_items",
]

#: Notes of readers on raw images, which do not hold any more once they are orthorectified.
IN_SENSOR_GEOMETRY = (
    "no orthorectification: the product stays in the sensor's geometry, without a map"
)
LAID_BY_RPC = "MS laid on the PAN through both RPC"
LAID_BY_SIZE = "MS laid on the PAN by its size"

#: GDAL's item, the names of the field in sidecars, smallest and largest sane value.
_SCALARS: tuple[tuple[str, tuple[str, ...], float, float], ...] = (
    ("LINE_OFF", ("lineOffset", "LINE_OFF"), -1e7, 1e7),
    ("SAMP_OFF", ("sampOffset", "SAMP_OFF"), -1e7, 1e7),
    ("LAT_OFF", ("latOffset", "LAT_OFF"), -90, 90),
    ("LONG_OFF", ("longOffset", "LONG_OFF"), -360, 360),
    ("HEIGHT_OFF", ("heightOffset", "HEIGHT_OFF"), -12_000, 12_000),
    ("LINE_SCALE", ("lineScale", "LINE_SCALE"), 1e-3, 1e7),
    ("SAMP_SCALE", ("sampScale", "SAMP_SCALE"), 1e-3, 1e7),
    ("LAT_SCALE", ("latScale", "LAT_SCALE"), 1e-9, 90),
    ("LONG_SCALE", ("longScale", "LONG_SCALE"), 1e-9, 360),
    ("HEIGHT_SCALE", ("heightScale", "HEIGHT_SCALE"), 1e-6, 1e5),
)
_LISTS = (
    ("LINE_NUM_COEFF", "lineNumCoef"),
    ("LINE_DEN_COEFF", "lineDenCoef"),
    ("SAMP_NUM_COEFF", "sampNumCoef"),
    ("SAMP_DEN_COEFF", "sampDenCoef"),
)
#: Share of the image's size by which the RPC's centre may lie off the image's.
_OFF_CENTRE = 0.10
#: Points along each side of the image at which two RPC are compared.
_POINTS = 7


def rpc_items(fields: Fields) -> dict[str, str]:
    """RPC of a sidecar in RPC00B (Maxar's and the Chinese ``.rpb``) as GDAL's metadata items.

    Parameters
    ----------
    fields : Fields
        Fields of the group ``IMAGE``.

    Returns
    -------
    dict of str to str
        ``LINE_OFF`` to ``SAMP_DEN_COEFF``; pixel (0, 0) is the centre of the first pixel.

    Raises
    ------
    ReaderError
        A value is no number or absurd.
    MissingSidecarError
        One is missing.
    """
    items: dict[str, str] = {}
    for item, names, low, high in _SCALARS:
        value = fields.number(*names, low=low, high=high, needed=True)
        items[item] = repr(value)
    for item, name in _LISTS:
        values = fields.numbers(name, item, count=20, needed=True) or ()
        items[item] = " ".join(repr(value) for value in values)
    for item, name in (("ERR_BIAS", "errBias"), ("ERR_RAND", "errRand")):
        value = fields.number(name, item)
        if value is not None:
            items[item] = repr(value)
    return items


def misfit(rpc: Mapping[str, str], shape: tuple[int, int]) -> str | None:
    """Say how RPC do not belong to a raster of that shape (rows, columns), or None.

    The centre of the RPC is that of the image for which they were made; a crop keeps the old one.
    """
    row, col = float(rpc["LINE_OFF"]), float(rpc["SAMP_OFF"])
    height, width = shape
    far = max(abs(2 * row - height) / height, abs(2 * col - width) / width)
    if far <= _OFF_CENTRE:
        return None
    return (
        f"RPC offsets (row {row:g}, column {col:g}) do not fit a {height} x {width} raster; "
        "was it cropped?"
    )


def ms_on_pan(
    pan: Mapping[str, str], ms: Mapping[str, str], shape: tuple[int, int], height: float
) -> tuple[Affine6, float]:
    """Where the pixels of an MS fall in its PAN, through the ground at one height.

    Parameters
    ----------
    pan, ms : mapping of str to str
        RPC of the two whole images.
    shape : tuple of int
        Rows and columns of the MS.
    height : float
        Metres above the ellipsoid.

    Returns
    -------
    transform : tuple of float
        a b c d e f from MS pixel corners (column, row) to PAN pixel corners.
    residual : float
        Largest deviation of the two cameras from it, PAN pixels.

    Raises
    ------
    GridMismatchError
        The RPC do not map the one image onto the other.
    """
    import numpy as np
    from rasterio.rpc import RPC
    from rasterio.transform import RPCTransformer

    from pansharp.geometry.ortho import gdal_errors, quiet

    rows, cols = (
        grid.ravel()
        for grid in np.meshgrid(
            np.linspace(0, shape[0], _POINTS), np.linspace(0, shape[1], _POINTS)
        )
    )
    heights = [height] * rows.size
    exact = {"RPC_PIXEL_ERROR_THRESHOLD": "0.0001", "RPC_MAX_ITERATIONS": "50"}
    try:
        with quiet(), RPCTransformer(RPC.from_gdal(dict(ms)), **exact) as camera:
            # GDAL's RPC transformer counts from the corner of the first pixel, and so do `xy` with
            # "ul" and `rowcol`, while the offsets in the RPC count from its centre.
            lon, lat = camera.xy(rows.tolist(), cols.tolist(), zs=heights, offset="ul")
        with quiet(), RPCTransformer(RPC.from_gdal(dict(pan)), **exact) as camera:
            there = camera.rowcol(lon, lat, zs=heights, op=lambda value: value)
    except gdal_errors() as problem:
        raise GridMismatchError(
            f"the RPC of PAN and MS cannot be evaluated ({' '.join(str(problem).split())})"
        ) from problem
    found_row, found_col = (np.asarray(values, dtype=np.float64) for values in there)
    design = np.stack([cols, rows, np.ones_like(cols)], axis=1)
    if not (np.isfinite(found_row).all() and np.isfinite(found_col).all()):
        raise GridMismatchError("the RPC of PAN and MS do not see the same ground")
    col_fit, *_ = np.linalg.lstsq(design, found_col, rcond=None)
    row_fit, *_ = np.linalg.lstsq(design, found_row, rcond=None)
    residual = math.hypot(
        float(np.abs(design @ col_fit - found_col).max()),
        float(np.abs(design @ row_fit - found_row).max()),
    )
    a, b, c = (float(value) for value in col_fit)
    d, e, f = (float(value) for value in row_fit)
    return (a, b, c, d, e, f), residual
