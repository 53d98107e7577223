"""GDAL's own pansharpening as a source: what other people's tools make of the same two images.

The images go to GDAL as virtual rasters in one text, so nothing is written to disk. Both are placed
in PAN pixels by the scene's alignment, not by the georeference of the files: sub-pixel offsets,
shifts that were measured, and images without any georeference are all the same to it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from pansharp.errors import BandMismatchError, OptionError, ReaderError
from pansharp.registry import nearest
from pansharp.source.arrays import StackSource
from pansharp.source.raster import DatasetSource, RasterSource, open_raster

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from rasterio.io import DatasetReader

    from pansharp.geometry.grids import Alignment, AxisMap

__all__ = ["RESAMPLING", "PansharpenedSource", "pansharpened_vrt"]

#: GDAL's resampling methods for the MS.
RESAMPLING = ("Nearest", "Bilinear", "Cubic", "CubicSpline", "Lanczos", "Average")

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


class PansharpenedSource(DatasetSource):
    """GDAL's weighted Brovey product of two rasters, computed window by window.

    ``y_b = M~_b P / sum_b w_b M~_b``, rounded by GDAL to the type of the MS; no histogram is
    matched. GDAL rounds the interpolated MS too where the PAN is of type uint8 or uint16, which
    moves about one value in five by one count against exact arithmetic. Pixels where any
    interpolated band, or the PAN, equals `nodata` become nodata in all bands.

    Parameters
    ----------
    pan : RasterSource
        One band; its window is the grid of the product.
    ms : RasterSource or StackSource of RasterSource
        Low-resolution bands, in the order of the product.
    alignment : Alignment
        Map between the pixel indices of the two sources.
    weights : sequence of float, optional
        Intensity weights, one a band, as they are; default 1 / bands each.
    nodata : float, optional
        Value of pixels without data, in both images; None for no such value.
    resampling : str
        One of `RESAMPLING`; how GDAL interpolates the MS.

    Raises
    ------
    BandMismatchError
        The PAN has several bands, or the weights are not one a band.
    OptionError
        Weights that are negative or without a positive sum, or an unknown resampling.
    ReaderError
        `ms` holds something else than raster files, or GDAL cannot open the files as a pair.
    """

    def __init__(
        self,
        pan: RasterSource,
        ms: RasterSource | StackSource,
        alignment: Alignment,
        *,
        weights: Sequence[float] | None = None,
        nodata: float | None = None,
        resampling: str = "Cubic",
    ) -> None:
        self._names = (pan.label, ms.label)
        xml = pansharpened_vrt(
            pan, ms, alignment, weights=weights, nodata=nodata, resampling=resampling
        )
        super().__init__(xml, bands=None, nodata=nodata, window=None)
        self.band_names = ms.band_names

    @property
    def label(self) -> str:
        """Name of the source in messages."""
        return f"GDAL's pansharpening of {self._names[0]} and {self._names[1]}"

    def _open(self) -> DatasetReader:
        try:
            return open_raster(self.path)
        except ReaderError as problem:
            why = " ".join(str(problem.__cause__ or problem).split())
            raise ReaderError(
                f"{self.label} failed: {why}; choose the model 'wbrovey' instead"
            ) from problem


def pansharpened_vrt(
    pan: RasterSource,
    ms: RasterSource | StackSource,
    alignment: Alignment,
    *,
    weights: Sequence[float] | None = None,
    nodata: float | None = None,
    resampling: str = "Cubic",
) -> str:
    """The virtual raster that GDAL pansharpens, as XML text that rasterio opens.

    Parameters
    ----------
    pan, ms, alignment, weights, nodata, resampling
        As :class:`PansharpenedSource`.

    Returns
    -------
    str
        A ``VRTPansharpenedDataset`` of the size of `pan`.

    Raises
    ------
    BandMismatchError, OptionError, ReaderError
        As :class:`PansharpenedSource`.
    """
    if pan.bands != 1:
        raise BandMismatchError(
            f"GDAL pansharpens with one PAN band, {pan.label} has {pan.bands}; choose one band"
        )
    known = {name.lower(): name for name in RESAMPLING}
    if resampling.lower() not in known:
        raise OptionError(f"resampling is '{resampling}'; {nearest(resampling, [*RESAMPLING])}")
    shares = ",".join(f"{w:.17g}" for w in _weights(weights, ms.bands))
    high = _image([pan], (0.0, 1.0, 0.0, 1.0), ((0, 0), (0, 0)), nodata)
    above_below = _overhang(alignment.y, pan.height, ms.height)
    left_right = _overhang(alignment.x, pan.width, ms.width)
    files = _files(ms)
    place = (
        _corner(alignment.x) - left_right[0] * alignment.x.scale,
        alignment.x.scale,
        _corner(alignment.y) - above_below[0] * alignment.y.scale,
        alignment.y.scale,
    )
    low = escape(_image(files, place, (above_below, left_right), nodata))
    numbers = range(1, ms.bands + 1)
    outputs = "".join(
        f'<VRTRasterBand dataType="{_gdal_type(ms.dtype)}" band="{number}" '
        f'subClass="VRTPansharpenedRasterBand">{_nodata(nodata)}</VRTRasterBand>'
        for number in numbers
    )
    inputs = "".join(
        f'<SpectralBand dstBand="{number}"><SourceFilename relativeToVRT="0">{low}'
        f"</SourceFilename><SourceBand>{number}</SourceBand></SpectralBand>"
        for number in numbers
    )
    empty = "None" if nodata is None else f"{nodata:.17g}"
    return (
        f'<VRTDataset subClass="VRTPansharpenedDataset">{outputs}<PansharpeningOptions>'
        "<Algorithm>WeightedBrovey</Algorithm>"
        f"<AlgorithmOptions><Weights>{shares}</Weights></AlgorithmOptions>"
        f"<Resampling>{known[resampling.lower()]}</Resampling><NumThreads>1</NumThreads>"
        # The MS of a cut scene reaches beyond the PAN on purpose: the kernel needs it.
        f"<NoData>{empty}</NoData>"
        "<SpatialExtentAdjustment>NoneWithoutWarning</SpatialExtentAdjustment>"
        f'<PanchroBand><SourceFilename relativeToVRT="0">{escape(high)}</SourceFilename>'
        f"<SourceBand>1</SourceBand></PanchroBand>{inputs}</PansharpeningOptions></VRTDataset>"
    )


def _files(ms: RasterSource | StackSource) -> list[RasterSource]:
    members = list(ms.sources) if isinstance(ms, StackSource) else [ms]
    files = [member for member in members if isinstance(member, RasterSource)]
    if len(files) < len(members):
        raise ReaderError(f"{ms.label} is not made of plain raster files, which GDAL needs")
    return files


def _weights(weights: Sequence[float] | None, bands: int) -> tuple[float, ...]:
    if weights is None:
        return (1.0 / bands,) * bands
    given = tuple(float(weight) for weight in weights)
    if len(given) != bands:
        raise BandMismatchError(f"{len(given)} weights for {bands} bands; give one a band")
    if not all(math.isfinite(w) and w >= 0 for w in given) or sum(given) <= 0:
        raise OptionError(f"weights {list(given)} must be finite and >= 0 with a positive sum")
    return given


def _corner(axis: AxisMap) -> float:
    """Corner coordinate, in PAN pixels, of the first MS pixel."""
    return axis.to_pan(-0.5) + 0.5


def _overhang(axis: AxisMap, pan: int, ms: int) -> tuple[int, int]:
    """Whole MS pixels by which the PAN reaches beyond the MS, before and after."""
    first, last = axis.to_ms(-0.5) + 0.5, axis.to_ms(pan - 0.5) + 0.5
    # Coordinates are sums of decimal fractions: a millionth of a pixel is none.
    return max(0, math.ceil(-first - 1e-6)), max(0, math.ceil(last - ms - 1e-6))


def _image(
    files: Sequence[RasterSource],
    place: tuple[float, float, float, float],
    pads: tuple[tuple[int, int], tuple[int, int]],
    nodata: float | None,
) -> str:
    """Virtual raster of the windows of some files, its edge repeated by `pads` pixels.

    GDAL moves a window that reaches beyond the MS back inside, and with it every pixel of the
    window; with a repeated edge there is nothing to move.
    """
    (above, below), (left, right) = pads
    x, step_x, y, step_y = place
    bands: list[str] = []
    for file in files:
        window = file.window
        rows = _spans(window.row, window.height, above, below)
        cols = _spans(window.col, window.width, left, right)
        # Not shared: GDAL would hand one file handle to the virtual rasters of all threads.
        name = escape(_gdal_name(file))
        for index in file._indexes:
            sources = "".join(
                f'<SimpleSource><SourceFilename relativeToVRT="0" shared="0">{name}'
                f"</SourceFilename><SourceBand>{index}</SourceBand>"
                f"{_rectangle('SrcRect', row[0], col[0])}{_rectangle('DstRect', row[1], col[1])}"
                "</SimpleSource>"
                for row in rows
                for col in cols
            )
            bands.append(
                f'<VRTRasterBand dataType="{_gdal_type(file.dtype)}" band="{len(bands) + 1}">'
                f"{_nodata(nodata)}{sources}</VRTRasterBand>"
            )
    return (
        f'<VRTDataset rasterXSize="{left + files[0].width + right}" '
        f'rasterYSize="{above + files[0].height + below}">'
        f"<GeoTransform>{x!r},{step_x!r},0,{y!r},0,{step_y!r}</GeoTransform>"
        f"{''.join(bands)}</VRTDataset>"
    )


_Span = tuple[int, int]


def _spans(start: int, size: int, before: int, after: int) -> list[tuple[_Span, _Span]]:
    """(first pixel, length) in the file and in the virtual raster: body and repeated edges."""
    spans = [((start, size), (before, size))]
    if before:
        spans.append(((start, 1), (0, before)))
    if after:
        spans.append(((start + size - 1, 1), (before + size, after)))
    return spans


def _rectangle(name: str, rows: _Span, cols: _Span) -> str:
    return f'<{name} xOff="{cols[0]}" yOff="{rows[0]}" xSize="{cols[1]}" ySize="{rows[1]}"/>'


def _gdal_name(file: RasterSource) -> str:
    """The file as GDAL names it; rasterio's own addresses (``zip://…``) are translated."""
    return str(file.dataset().files[0]) if "://" in file.path else file.path


def _gdal_type(dtype: np.dtype[np.generic]) -> str:
    try:
        return _TYPES[dtype.name]
    except KeyError:
        raise OptionError(f"GDAL's pansharpening does not write {dtype.name}; convert it") from None


def _nodata(value: float | None) -> str:
    return "" if value is None else f"<NoDataValue>{value:.17g}</NoDataValue>"
