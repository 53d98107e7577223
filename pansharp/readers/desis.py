"""DESIS L1C and L2A: the cube, with wavelengths of the ENVI header beside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pansharp.acquisition import ImageFacts
from pansharp.errors import MissingSidecarError, ReaderError, SceneError
from pansharp.readers._base import readers
from pansharp.readers._cubes import CubeReader
from pansharp.readers._envi import header_lists
from pansharp.readers._half import Half
from pansharp.readers._sidecar import beside
from pansharp.readers._virtual import Image
from pansharp.sensors import get_sensor
from pansharp.source import open_raster

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DesisReader"]

_NAME = re.compile(
    r"^(?P<product>DESIS-HSI-L(?P<level>1B|1C|2A)-DT\d+_\d{3}-(?P<time>\d{8}T\d{6})-V\d{4})"
    r"-(?P<kind>METADATA|SPECTRAL_IMAGE)\.(xml|tiff?|hdr)$",
    re.IGNORECASE,
)


class DesisReader(CubeReader):
    """Opens DESIS products as the low-resolution image of a pair."""

    summary = "DESIS L1C and L2A (SPECTRAL_IMAGE.tif with its .hdr), fused with a guide"
    label = "DESIS"

    def belongs(self, file: Path) -> bool:
        """Whether a file is the image, header or metadata of a product."""
        return _NAME.match(file.name) is not None

    def main(self, file: Path) -> bool:
        """The image stands for the product."""
        return file.suffix.lower() in (".tif", ".tiff")

    def half(self, path: str) -> Half:
        """The cube of a product.

        Raises
        ------
        SceneError
            It is level 1B, in sensor geometry.
        MissingSidecarError
            The image or its header is missing.
        ReaderError
            One is damaged, or they do not fit each other.
        """
        file = self.only(path)
        match = _NAME.match(file.name)
        if match is None:
            raise ReaderError(f"'{path}' is no file of a DESIS product")
        if match.group("level").upper() == "1B":
            raise SceneError(f"'{file}' is level 1B, without a map; order L1C or L2A")
        stem = f"{match.group('product')}-SPECTRAL_IMAGE"
        image = beside(file, ".tif", ".tiff", stem=stem)
        header = beside(file, ".hdr", stem=stem)
        if image is None or header is None:
            lacking = ".tif" if image is None else ".hdr"
            raise MissingSidecarError(f"'{stem}{lacking}' is not beside '{file}'; put it there")
        with open_raster(image) as dataset:
            count = int(dataset.count)
            placed = dataset.crs is not None
            shape = (int(dataset.height), int(dataset.width))
        waves, widths, good = header_lists(header, count)
        if not waves:
            raise ReaderError(
                f"'{header}' lists no wavelengths for the {count} bands of '{image.name}'; they "
                "are of different products, or damaged"
            )
        level = match.group("level").upper()
        try:
            time = datetime.strptime(match.group("time"), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            time = None
        keep = tuple(sorted((b for b in range(count) if good[b]), key=lambda band: waves[band]))
        if not keep:
            raise ReaderError(f"'{header}' flags all its bands as bad; nothing can be fused")
        notes = ("the gains of the header are not used: their unit is not confirmed",)
        return Half(
            images=(Image.of(str(image)),),
            family="desis",
            names=tuple(f"{wave:.1f} nm" for wave in waves),
            keep=keep,
            wavelengths=waves,
            widths=widths,
            facts=ImageFacts(
                acquired=time,
                level=f"L{level}",
                identifier=match.group("product"),
                corrected="atmospherically corrected (L2A)" if level == "2A" else None,
                placed=placed,
                notes=notes if level == "1C" else (),
            ),
            shape=shape,
            sensor=get_sensor("desis"),
            evidence=(f"wavelengths of '{header.name}'",),
            cube=True,
        )


readers.register("desis")(DesisReader())
