"""One product of the family, opened as far as its sidecars and headers tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pansharp.errors import MissingSidecarError, PansharpError
from pansharp.readers._rpc import misfit, rpc_items
from pansharp.readers._virtual import Image
from pansharp.readers.maxar import _tiles
from pansharp.readers.maxar._pvl import read_pvl
from pansharp.source import open_raster

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pansharp.acquisition import ImageFacts
    from pansharp.readers.maxar._imd import Imd
    from pansharp.readers.maxar._products import Product
    from pansharp.sensors import SensorProfile

__all__ = ["Opened", "open_product"]


@dataclass(frozen=True)
class Opened:
    """A product whose pixels can be read.

    Parameters
    ----------
    product : Product
        Its files.
    image : Image
        What is read.
    shape : tuple of int
        Rows and columns.
    bands : int
        Bands of the image.
    placed : bool
        Whether it has a map projection.
    rpc : mapping of str to str or None
        RPC in GDAL's items.
    notes : tuple of str
        Oddities.
    """

    product: Product
    image: Image
    shape: tuple[int, int]
    bands: int
    placed: bool
    rpc: Mapping[str, str] | None
    notes: tuple[str, ...]

    @property
    def imd(self) -> Imd | None:
        """Its IMD."""
        return self.product.imd

    @property
    def codes(self) -> tuple[str, ...]:
        """Vendor's codes of its bands; empty when the IMD does not fit the image."""
        codes = () if self.imd is None else self.imd.codes
        return codes if len(codes) == self.bands else ()

    def facts(self, sensor: SensorProfile | None) -> ImageFacts:
        """Facts for the delivery."""
        from dataclasses import replace

        from pansharp.acquisition import ImageFacts

        if self.imd is None:
            return ImageFacts(
                acquired=self.product.time, rpc=self.rpc, placed=self.placed, notes=self.notes
            )
        facts = self.imd.facts(sensor, self.rpc, placed=self.placed)
        constants = facts.constants if self.codes else ()
        notes = (*self.notes, *(note for note in facts.notes if note not in self.notes))
        acquired = facts.acquired or self.product.time
        return replace(facts, constants=constants, notes=notes, acquired=acquired)


def open_product(product: Product) -> Opened:
    """Find out what a product's image is, and how its sidecars agree with it.

    Parameters
    ----------
    product : Product
        Files.

    Returns
    -------
    Opened
        Image, georeference and RPC.

    Raises
    ------
    ReaderError
        A sidecar that is needed is damaged, or tiles do not make an image.
    MissingSidecarError
        Tiles are missing, or have no tile map.
    """
    imd, unreadable = _readable(product)
    image, shape, notes = _image(product, imd)
    with open_raster(image.source) as dataset:
        placed = dataset.crs is not None
        bands = int(dataset.count)
        own = dict(dataset.rpcs.to_gdal()) if dataset.rpcs is not None else None
    rpc, more = _rpc(product, own, placed=placed)
    notes += (*unreadable, *more)
    if imd is not None and imd.codes and len(imd.codes) != bands:
        notes += (
            f"the IMD lists {len(imd.codes)} bands and the image has {bands}: "
            "bands are left without names and radiometry",
        )
    wrong = None if rpc is None else misfit(rpc, shape)
    if wrong is not None and placed:
        notes += (wrong,)
    return Opened(product, image, shape, bands, placed, rpc, notes)


def _readable(product: Product) -> tuple[Imd | None, tuple[str, ...]]:
    """The IMD; a damaged one is replaced by the ISD's where that tells the same."""
    try:
        return product.imd, ()
    except PansharpError as problem:
        from pansharp.readers.maxar._imd import Imd

        part = None if product.isd is None else product.isd.first("IMD")
        if part is None or not (part.values or part.groups):
            raise
        product.__dict__["imd"] = Imd(part)
        return product.imd, (f"{str(problem).partition(';')[0]}: the ISD XML is used",)


def _image(product: Product, imd: Imd | None) -> tuple[Image, tuple[int, int], tuple[str, ...]]:
    if product.tiled:
        listed, til = _listed(product)
        if len(listed) > 1 or imd is not None:
            laid = _tiles.build(listed, til, imd)
            return laid.image, laid.shape, laid.notes
    file = product.rasters[0]
    with open_raster(file) as dataset:
        shape = (int(dataset.height), int(dataset.width))
        bare = dataset.crs is None
    if bare and imd is not None and _tiles.map_grid(imd) is not None:
        laid = _tiles.build([_tiles.Entry(file, (0, 0), None)], str(file), imd)
        return laid.image, laid.shape, laid.notes
    notes: tuple[str, ...] = ()
    if imd is not None and imd.shape is not None and imd.shape != shape:
        notes = (
            f"IMD says {imd.shape[0]} x {imd.shape[1]} pixels, the image has {shape[0]} x "
            f"{shape[1]}: using the image",
        )
    return Image.of(str(file)), shape, notes


def _listed(product: Product) -> tuple[list[_tiles.Entry], str]:
    """Tiles of a product by its tile map, TIL or part of the ISD."""
    path = product.sidecars.get(".til")
    if path is not None:
        node = read_pvl(path)
    else:
        node_of_isd = None if product.isd is None else product.isd.first("TIL")
        if node_of_isd is None or not node_of_isd.groups:
            raise MissingSidecarError(_lone(product.rasters))
        node, path = node_of_isd, product.sidecars[".xml"]
    return _tiles.entries(node, product.folder), str(path)


def _lone(rasters: list[Path]) -> str:
    file = rasters[0]
    row, col = _tiles.tile_place(file.name) or (1, 1)
    seen = f"{len(rasters)} of them are here" if len(rasters) > 1 else "it is alone here"
    return (
        f"'{file}' is tile R{row}C{col} of a product of several tiles ({seen}), whose tile map is "
        "missing. Give the .TIL or the product folder"
    )


def _rpc(
    product: Product, own: dict[str, str] | None, *, placed: bool
) -> tuple[Mapping[str, str] | None, tuple[str, ...]]:
    """RPC from RPB, ISD, or what GDAL finds (tag, ``_RPC.TXT``); notes on damaged ones.

    An image without projection needs them: there a damaged file is an error.
    """
    try:
        if ".rpb" in product.sidecars:
            return rpc_items(read_pvl(product.sidecars[".rpb"]).first("IMAGE").fields), ()
        part = None if product.isd is None else product.isd.first("RPB")
        if part is not None and part.groups:
            return rpc_items(part.first("IMAGE").fields), ()
    except PansharpError as problem:
        if not placed:
            raise
        return None, (f"{str(problem).partition(';')[0]}: RPC left out",)
    return own, ()
