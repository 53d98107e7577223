"""Orthorectification by RPC: nested map grids of a pair, and the text by which GDAL warps to them.

GDAL does the work while windows are read: an image is the text of a warped virtual raster. Its
transformer is spelled out because ``WarpedVRT`` of rasterio turns the path of a height model to
upper case, and because the one that ``reproject`` builds is off by up to a tenth of a pixel.
"""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from pansharp.errors import GridMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "GEOGRAPHIC",
    "HeightSource",
    "NestedGrid",
    "Ortho",
    "RpcImage",
    "gdal_errors",
    "nested_grid",
    "quiet",
    "warped",
]

#: Longitude and latitude, in which RPC see the ground.
GEOGRAPHIC = "EPSG:4326"
#: Source pixels by which GDAL may interpolate between exactly transformed ones, with one height.
_APPROXIMATION = 0.01
#: How closely GDAL's inverse of the RPC is solved, pixels.
_EXACT = {"RPC_PIXEL_ERROR_THRESHOLD": "0.0001", "RPC_MAX_ITERATIONS": "50"}
#: Side of the blocks that are warped at a time, pixels: tiles and their halos begin anywhere, and
#: large blocks would be warped for a few of their pixels.
_BLOCK = 128
#: Points along each side of an image at which its outline is looked up.
_POINTS = 33
#: Times the pixels of the raw image that its map grid may have: a turned square needs 2.
_LARGEST = 16
#: Sides of raw pixels on the ground that a satellite may have, metres.
_FINEST, _COARSEST = 1e-3, 1e5
#: Latitudes that UTM covers.
_UTM = (-80.0, 84.0)
_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}


@dataclass(frozen=True)
class HeightSource:
    """The heights at which both images of a pair are projected.

    Parameters
    ----------
    metres : float
        Height above the ellipsoid; with `dem` what is added to it.
    dem : str or None
        File of a height model.
    given : bool
        Whether the user gave the constant; False: the offset of the PAN's RPC.
    limits : tuple of float or None
        Lowest and highest ground of the height model below the scene, `metres` added.
    """

    metres: float
    dem: str | None = None
    given: bool = True
    limits: tuple[float, float] | None = None

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest height of the scene, metres."""
        return self.limits or (self.metres, self.metres)

    def __str__(self) -> str:
        if self.dem is not None:
            added = f" and {self.metres:g} m added" if self.metres else ""
            return f"heights of '{self.dem}'{added}"
        why = "as given" if self.given else "RPC height offset of the PAN"
        return f"a constant height of {self.metres:g} m ({why})"

    def describe(self) -> dict[str, object]:
        """JSON types."""
        kind = "dem" if self.dem is not None else "constant" if self.given else "rpc"
        return {"kind": kind, "metres": self.metres, "dem": self.dem}


@dataclass(frozen=True)
class RpcImage:
    """A raw image that RPC place.

    Parameters
    ----------
    rpc : mapping of str to str
        GDAL's items, the centre of the first pixel at (0, 0).
    shape : tuple of int
        Rows and columns of the whole image.
    label : str
        Name in messages.
    """

    rpc: Mapping[str, str]
    shape: tuple[int, int]
    label: str

    def ground(
        self, rows: Sequence[float], cols: Sequence[float], height: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes of points at one height.

        Parameters
        ----------
        rows, cols : sequence of float
            Counted from the upper-left corner of the first pixel.
        height : float
            Metres above the ellipsoid.

        Raises
        ------
        GridMismatchError
            The RPC do not reach the ground there.
        """
        import numpy as np
        from rasterio.rpc import RPC
        from rasterio.transform import RPCTransformer

        try:
            with quiet(), RPCTransformer(RPC.from_gdal(dict(self.rpc)), **_EXACT) as camera:
                # GDAL counts from the corner of the first pixel.
                found = camera.xy(list(rows), list(cols), zs=[height] * len(rows), offset="ul")
        except gdal_errors() as problem:
            raise GridMismatchError(
                f"the RPC of {self.label} cannot be evaluated ({' '.join(str(problem).split())}); "
                "check the file with the RPC"
            ) from problem
        lon, lat = (np.asarray(values, dtype=np.float64) for values in found)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all() and np.abs(lat).max() <= 90):
            raise GridMismatchError(
                f"the RPC of {self.label} do not reach the ground at a height of {height:g} m; "
                "check the RPC, --height and --dem"
            )
        return lon, lat

    def middle(self, height: float) -> tuple[float, float]:
        """Longitude and latitude of the middle of the image."""
        lon, lat = self.ground([self.shape[0] / 2], [self.shape[1] / 2], height)
        return float(lon[0]), float(lat[0])

    def outline(self, height: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes of points along the rim."""
        import numpy as np

        steps = np.linspace(0.0, 1.0, _POINTS)
        edge = [(u, v) for u in (0.0, 1.0) for v in steps]
        edge += [(u, v) for v in (0.0, 1.0) for u in steps]
        return self.ground(
            [u * self.shape[0] for u, _ in edge], [v * self.shape[1] for _, v in edge], height
        )

    def pixel(self, height: float, crs: str) -> float:
        """Side of a pixel in the middle of the image (root of its area on the ground), metres."""
        import numpy as np

        row, col = self.shape[0] / 2, self.shape[1] / 2
        down, across = (min(50.0, size / 4) for size in self.shape)
        lon, lat = self.ground(
            [row - down, row + down, row, row], [col, col, col - across, col + across], height
        )
        x, y = project(lon, lat, crs)
        first = np.array([x[1] - x[0], y[1] - y[0]]) / (2 * down)
        second = np.array([x[3] - x[2], y[3] - y[2]]) / (2 * across)
        return math.sqrt(abs(float(first[0] * second[1] - first[1] * second[0])))


@dataclass(frozen=True)
class NestedGrid:
    """A PAN grid and an MS grid that share their upper-left corner.

    Parameters
    ----------
    crs : str
        UTM zone, WKT.
    zone : str
        ``"EPSG:32632"``.
    pixel : float
        Side of a PAN pixel, metres.
    ratio : float
        Side of an MS pixel in PAN pixels.
    corner : tuple of float
        Easting and northing of the upper-left corner, multiples of the MS pixel.
    pan_shape, ms_shape : tuple of int
        Rows and columns.
    """

    crs: str
    zone: str
    pixel: float
    ratio: float
    corner: tuple[float, float]
    pan_shape: tuple[int, int]
    ms_shape: tuple[int, int]

    def transform(self, *, ms: bool = False) -> tuple[float, float, float, float, float, float]:
        """The six affine numbers a b c d e f of one of the grids."""
        side = self.pixel * self.ratio if ms else self.pixel
        return side, 0.0, self.corner[0], 0.0, -side, self.corner[1]


@dataclass(frozen=True)
class Ortho:
    """How a scene was orthorectified.

    Parameters
    ----------
    grid : NestedGrid
        The two grids.
    heights : HeightSource
        What both images were projected with.
    derived : bool
        Whether the camera of the MS was derived from that of the PAN.
    """

    grid: NestedGrid
    heights: HeightSource
    derived: bool = False

    def describe(self) -> dict[str, object]:
        """JSON types."""
        return {
            "crs": self.grid.zone,
            "pixel_m": self.grid.pixel,
            "ratio": self.grid.ratio,
            "height": self.heights.describe(),
            "ms_camera": "derived from the PAN's" if self.derived else "its own RPC",
            "resampling": "cubic",
        }


def gdal_errors() -> tuple[type[Exception], ...]:
    """What rasterio raises where GDAL cannot work with absurd numbers."""
    # GDAL's own errors come through unwrapped from some functions, and have no public name.
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    return RasterioError, CPLE_BaseError, ValueError, KeyError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep rasterio from warning of points that the caller finds not finite."""
    from rasterio.errors import TransformWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransformWarning)
        yield


def project(
    lon: NDArray[np.float64], lat: NDArray[np.float64], crs: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of longitudes and latitudes.

    Raises
    ------
    GridMismatchError
        They lie outside the system.
    """
    import numpy as np
    from rasterio.warp import transform

    try:
        x, y = (np.asarray(v) for v in transform(GEOGRAPHIC, crs, lon.tolist(), lat.tolist()))
    except gdal_errors() as problem:
        raise GridMismatchError(
            f"the ground of the image cannot be expressed in {crs} "
            f"({' '.join(str(problem).split())}); check the RPC"
        ) from problem
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise GridMismatchError(f"the ground of the image cannot be expressed in {crs}")
    return x, y


def nested_grid(
    pan: RpcImage, ms: RpcImage, heights: HeightSource, ratio: float | None = None
) -> NestedGrid:
    """Lay two nested grids over the ground that both images see.

    The PAN pixel is the root of the area of a raw pixel in the middle of the image, rounded to
    three digits; the MS pixel is `ratio` of them. The corner lies at multiples of the MS pixel in
    the UTM zone of the middle of the PAN.

    Parameters
    ----------
    pan, ms : RpcImage
        Raw images.
    heights : HeightSource
        Heights of the ground.
    ratio : float, optional
        MS pixel over PAN pixel; default: that of the raw pixels, made whole within 5 %.

    Returns
    -------
    NestedGrid

    Raises
    ------
    GridMismatchError
        The images do not overlap, UTM does not cover them, or the RPC are absurd.
    """
    from rasterio.crs import CRS

    low, high = heights.span
    level = (low + high) / 2
    lon, lat = pan.middle(level)
    if not _UTM[0] <= lat <= _UTM[1]:
        raise GridMismatchError(
            f"the middle of {pan.label} lies at latitude {lat:.4g}, which UTM does not cover; "
            "use --ortho none"
        )
    number = math.floor((lon + 180.0) % 360.0 / 6.0) + 1
    zone = f"EPSG:{(32600 if lat >= 0 else 32700) + number}"
    pixel, coarse = pan.pixel(level, zone), ms.pixel(level, zone)
    if not (_FINEST <= pixel < coarse <= _COARSEST):
        raise GridMismatchError(
            f"raw pixels of {ms.label} cover {coarse:.3g} m on the ground and those of {pan.label} "
            f"{pixel:.3g} m; check that the RPC belong to the images"
        )
    if ratio is None:
        found = coarse / pixel
        whole = round(found)
        ratio = float(whole) if abs(found - whole) <= 0.05 * whole else found
    pixel = _rounded(pixel)
    step = pixel * ratio
    left, bottom, right, top = _common(pan, ms, (low, high), zone)
    first_col, last_col = math.floor(left / step), math.ceil(right / step)
    first_row, last_row = math.floor(-top / step), math.ceil(-bottom / step)
    shape = (last_row - first_row, last_col - first_col)
    fine = (math.floor(shape[0] * ratio + 1e-6), math.floor(shape[1] * ratio + 1e-6))
    if fine[0] * fine[1] > _LARGEST * pan.shape[0] * pan.shape[1]:
        raise GridMismatchError(
            f"the RPC of {pan.label} spread {pan.shape[0]} x {pan.shape[1]} pixels over {fine[0]} "
            f"x {fine[1]} on the map; check that they belong to the image"
        )
    crs = str(CRS.from_string(zone).to_wkt())
    corner = (first_col * step, -first_row * step)
    return NestedGrid(crs, zone, pixel, ratio, corner, fine, shape)


def _rounded(value: float) -> float:
    """The number with three digits that count."""
    return float(f"{value:.3g}")


def _common(
    pan: RpcImage, ms: RpcImage, heights: tuple[float, float], crs: str
) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of the ground that both images may see."""
    boxes = []
    for image in (pan, ms):
        seen = [project(*image.outline(height), crs) for height in sorted(set(heights))]
        xs = [float(v) for x, _ in seen for v in (x.min(), x.max())]
        ys = [float(v) for _, y in seen for v in (y.min(), y.max())]
        boxes.append((min(xs), min(ys), max(xs), max(ys)))
    left, bottom = (max(box[i] for box in boxes) for i in (0, 1))
    right, top = (min(box[i] for box in boxes) for i in (2, 3))
    if left >= right or bottom >= top:
        raise GridMismatchError(
            f"{pan.label} and {ms.label} overlap in 0 % of the MS area by their RPC; check that "
            "both belong to the same acquisition"
        )
    return left, bottom, right, top


def warped(
    source: str,
    *,
    bands: Sequence[int],
    dtype: str,
    nodata: Sequence[float | None],
    alpha: int | None,
    rpc: Mapping[str, str],
    heights: HeightSource,
    crs: str,
    transform: tuple[float, ...],
    shape: tuple[int, int],
) -> str:
    """Text of a virtual raster that is a raw image on a map grid; its last band is an alpha.

    Parameters
    ----------
    source : str
        Path of the raw image, or the text of a virtual raster; a georeference in it is ignored.
    bands : sequence of int
        Its bands to take, counted from 1.
    dtype : str
        Number type of the result.
    nodata : sequence of float or None
        Per band of `bands`.
    alpha : int or None
        Alpha band of the raw image, counted from 1.
    rpc : mapping of str to str
        GDAL's items.
    heights : HeightSource
        Heights of the ground.
    crs : str
        System of the grid, WKT.
    transform : tuple of float
        a b c d e f of the grid.
    shape : tuple of int
        Its rows and columns.

    Returns
    -------
    str
        XML that rasterio opens. Nothing is read before its pixels are.
    """
    from rasterio.transform import Affine

    forward = Affine(*transform)
    place, back = (_numbers(grid.to_gdal()) for grid in (forward, ~forward))
    last = len(bands) + 1
    kind = _TYPES[dtype]
    layers = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{index}" subClass="VRTWarpedRasterBand">'
        f"{'<ColorInterp>Alpha</ColorInterp>' if index == last else ''}</VRTRasterBand>"
        for index in range(1, last + 1)
    )
    mapping = "".join(
        f'<BandMapping src="{band}" dst="{index}">'
        + ("" if value is None else f"<SrcNoDataReal>{value!r}</SrcNoDataReal>")
        + "</BandMapping>"
        for index, (band, value) in enumerate(zip(bands, nodata, strict=True), start=1)
    )
    masked = "" if alpha is None else f"<SrcAlphaBand>{alpha}</SrcAlphaBand>"
    name = os.path.abspath(source) if os.path.exists(source) else source
    return (
        f'<VRTDataset rasterXSize="{shape[1]}" rasterYSize="{shape[0]}" '
        f'subClass="VRTWarpedDataset"><SRS>{escape(crs)}</SRS><GeoTransform>{place}</GeoTransform>'
        f"{layers}<BlockXSize>{min(_BLOCK, shape[1])}</BlockXSize>"
        f"<BlockYSize>{min(_BLOCK, shape[0])}</BlockYSize><GDALWarpOptions>"
        "<WarpMemoryLimit>67108864</WarpMemoryLimit><ResampleAlg>Cubic</ResampleAlg>"
        "<WorkingDataType>Float32</WorkingDataType>"
        '<Option name="INIT_DEST">0</Option><Option name="UNIFIED_SRC_NODATA">YES</Option>'
        f'<SourceDataset relativeToVRT="0">{escape(name)}</SourceDataset>'
        f"<Transformer>{_transformer(rpc, heights, crs, (place, back))}</Transformer>"
        f"<BandList>{mapping}</BandList>{masked}<DstAlphaBand>{last}</DstAlphaBand>"
        "</GDALWarpOptions></VRTDataset>"
    )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(repr(float(value)) for value in values)


def _transformer(
    rpc: Mapping[str, str], heights: HeightSource, crs: str, places: tuple[str, str]
) -> str:
    """From map pixels to raw pixels: map grid, longitude and latitude, RPC."""
    items = "".join(
        f"<MDI key={quoteattr(key)}>{escape(value)}</MDI>" for key, value in rpc.items()
    )
    model = ""
    if heights.dem is not None:
        model = (
            f"<DEMPath>{escape(os.path.abspath(heights.dem))}</DEMPath>"
            "<DEMInterpolation>bilinear</DEMInterpolation>"
        )
    place, back = places
    text = (
        "<GenImgProjTransformer><SrcRPCTransformer><RPCTransformer><Reversed>0</Reversed>"
        f"<HeightOffset>{heights.metres!r}</HeightOffset><HeightScale>1</HeightScale>{model}"
        "<PixErrThreshold>0.0001</PixErrThreshold>"
        f"<Metadata>{items}</Metadata></RPCTransformer></SrcRPCTransformer>"
        f"<DstGeoTransform>{place}</DstGeoTransform><DstInvGeoTransform>{back}</DstInvGeoTransform>"
        "<ReprojectTransformer><ReprojectionTransformer>"
        f"<SourceSRS>{GEOGRAPHIC}</SourceSRS><TargetSRS>{escape(crs)}</TargetSRS>"
        "<SourceAxisMapping>2,1</SourceAxisMapping>"
        "</ReprojectionTransformer></ReprojectTransformer></GenImgProjTransformer>"
    )
    if heights.dem is not None:
        # Relief between two pixels would escape an interpolation along the row.
        return text
    return (
        f"<ApproxTransformer><MaxError>{_APPROXIMATION}</MaxError>"
        f"<BaseTransformer>{text}</BaseTransformer></ApproxTransformer>"
    )
