"""Virtual rasters (GDAL's VRT) as text: mosaics of tiles, and images with another georeference."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from pansharp.source.raster import band_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rasterio.io import DatasetReader

    from pansharp.scene import Affine6

__all__ = ["Image", "Tile", "mosaic", "placed_at"]

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
class Image:
    """One image that may consist of several files.

    Parameters
    ----------
    source : str
        What rasterio opens: a path, or the text of a virtual raster.
    files : tuple of str
        Files with its pixels.
    name : str
        What messages call it: a path.
    known : bool
        Whether its transform is meant even where it is the identity.
    """

    source: str
    files: tuple[str, ...]
    name: str
    known: bool = False

    @classmethod
    def of(cls, given: str | Image) -> Image:
        """An image, from a path too."""
        return given if isinstance(given, Image) else cls(given, (given,), given)

    @property
    def label(self) -> str:
        """Name in messages."""
        return f"'{self.name}'"

    @property
    def virtual(self) -> bool:
        """Whether `source` is the text of a virtual raster."""
        return self.source.startswith("<VRTDataset")


@dataclass(frozen=True)
class Tile:
    """Where one file lies in a mosaic.

    Parameters
    ----------
    file : str
        Path.
    row, col : int
        Its first pixel in the mosaic.
    height, width : int
        Its size.
    """

    file: str
    row: int
    col: int
    height: int
    width: int


def mosaic(
    tiles: Sequence[Tile],
    pattern: DatasetReader,
    *,
    shape: tuple[int, int],
    transform: Affine6 | None,
    crs: str | None,
    bands: Sequence[int] | None = None,
) -> str:
    """Text of a virtual raster over tiles of one kind; nothing is read.

    Parameters
    ----------
    tiles : sequence of Tile
        Tiles; later ones lie above earlier ones.
    pattern : DatasetReader
        One of them, open: bands, number type, nodata.
    shape : tuple of int
        Rows and columns of the mosaic.
    transform : tuple of float or None
        a b c d e f of the mosaic.
    crs : str or None
        Coordinate system, WKT.
    bands : sequence of int, optional
        Bands of the tiles, counted from 1, in the order of the mosaic's; default all.

    Returns
    -------
    str
        XML that rasterio opens.
    """
    chosen = range(1, pattern.count + 1) if bands is None else bands
    content = "".join(
        _band(tiles, pattern, index, number) for number, index in enumerate(chosen, start=1)
    )
    place = f"<SRS>{escape(crs)}</SRS>" if crs else ""
    if transform is not None:
        a, b, c, d, e, f = (repr(float(value)) for value in transform)
        place += f"<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>"
    head = f'<VRTDataset rasterXSize="{shape[1]}" rasterYSize="{shape[0]}">'
    return f"{head}{place}{content}</VRTDataset>"


def _band(tiles: Sequence[Tile], pattern: DatasetReader, index: int, number: int) -> str:
    kind = _TYPES[pattern.dtypes[index - 1]]
    nodata, name = pattern.nodatavals[index - 1], band_texts(pattern)[index - 1]
    inside = f"<NoDataValue>{nodata!r}</NoDataValue>" if nodata is not None else ""
    inside += f"<Description>{escape(name)}</Description>" if name else ""
    rows, cols = pattern.block_shapes[index - 1]
    for tile in tiles:
        size = f"xSize={quoteattr(str(tile.width))} ySize={quoteattr(str(tile.height))}"
        # With size, type and blocks told, GDAL opens a file when its pixels are wanted.
        inside += (
            f'<SimpleSource><SourceFilename relativeToVRT="0" shared="0">'
            f"{escape(os.path.abspath(tile.file))}</SourceFilename><SourceBand>{index}</SourceBand>"
            f'<SourceProperties RasterXSize="{tile.width}" RasterYSize="{tile.height}" '
            f'DataType="{kind}" BlockXSize="{cols}" BlockYSize="{rows}"/>'
            f'<SrcRect xOff="0" yOff="0" {size}/>'
            f'<DstRect xOff="{tile.col}" yOff="{tile.row}" {size}/></SimpleSource>'
        )
    return f'<VRTRasterBand dataType="{kind}" band="{number}">{inside}</VRTRasterBand>'


def placed_at(image: Image, transform: Affine6) -> Image:
    """An image without georeference, with a transform; its pixels are the same.

    Parameters
    ----------
    image : Image
        Image.
    transform : tuple of float
        a b c d e f from pixel corners to whatever the caller counts in.

    Returns
    -------
    Image
        Virtual raster over it.
    """
    from pansharp.source import open_raster

    if image.virtual:
        a, b, c, d, e, f = (repr(float(value)) for value in transform)
        place = f"<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>"
        bare = re.sub(r"<(SRS|GeoTransform)>[^<]*</\1>", "", image.source)
        text = bare.replace(">", f">{place}", 1)
    else:
        with open_raster(image.source) as dataset:
            tile = Tile(image.source, 0, 0, dataset.height, dataset.width)
            shape = (dataset.height, dataset.width)
            text = mosaic([tile], dataset, shape=shape, transform=transform, crs=None)
    return Image(text, image.files, image.name, known=True)
