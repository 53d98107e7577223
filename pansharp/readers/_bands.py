"""Files that hold one band each, as the bands of one virtual raster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from pansharp.errors import GridMismatchError
from pansharp.readers._virtual import Image
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["stacked"]

_TYPES = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "float32": "Float32"}


def stacked(files: Sequence[Path], name: str) -> Image:
    """One image of single-band files on one grid; GDAL opens each when its pixels are wanted.

    Parameters
    ----------
    files : sequence of Path
        Files in the order of the bands.
    name : str
        What messages call the image.

    Returns
    -------
    Image
        Virtual raster.

    Raises
    ------
    GridMismatchError
        Sizes, places or number types differ.
    ReaderError
        A file cannot be read.
    """
    bands = ""
    first: tuple[object, ...] | None = None
    head = ""
    for index, file in enumerate(files, start=1):
        with open_raster(file) as dataset:
            kind = _TYPES.get(dataset.dtypes[0], "Float32")
            transform = tuple(dataset.transform)[:6]
            own = (dataset.shape, transform, kind, dataset.crs)
            rows, cols = dataset.block_shapes[0]
            height, width = dataset.shape
            nodata = dataset.nodatavals[0]
        if first is None:
            first = own
            a, b, c, d, e, f = (repr(float(value)) for value in transform)
            system = f"<SRS>{escape(own[3].to_wkt())}</SRS>" if own[3] is not None else ""
            head = (
                f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{system}'
                f"<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>"
            )
        elif own != first:
            raise GridMismatchError(
                f"'{file}' and '{files[0]}' do not share one grid and number type; they are not "
                "bands of one product"
            )
        inside = f"<NoDataValue>{nodata!r}</NoDataValue>" if nodata is not None else ""
        size = f'xSize="{width}" ySize="{height}"'
        bands += (
            f'<VRTRasterBand dataType="{kind}" band="{index}">{inside}<SimpleSource>'
            f'<SourceFilename relativeToVRT="0" shared="0">{escape(os.path.abspath(file))}'
            f"</SourceFilename><SourceBand>1</SourceBand>"
            f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}" DataType="{kind}" '
            f'BlockXSize="{cols}" BlockYSize="{rows}"/><SrcRect xOff="0" yOff="0" {size}/>'
            f'<DstRect xOff="0" yOff="0" {size}/></SimpleSource></VRTRasterBand>'
        )
    return Image(f"{head}{bands}</VRTDataset>", tuple(str(file) for file in files), name)
