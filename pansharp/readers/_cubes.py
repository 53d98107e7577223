"""What readers of cubes without a PAN of their own share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.errors import UnknownFormatError
from pansharp.readers._base import SURE
from pansharp.readers._scan import files_below

if TYPE_CHECKING:
    from pansharp.readers._half import Half
    from pansharp.scene import Scene

__all__ = ["CubeReader"]


class CubeReader:
    """A reader of one image of a delivery, which needs a partner that the user names."""

    #: What messages call the sensor.
    label = "the cube"

    def belongs(self, file: Path) -> bool:
        """Whether a file is one of this product, by its name."""
        raise NotImplementedError

    def half(self, path: str) -> Half:
        """The image that a file or folder of the product stands for."""
        raise NotImplementedError

    def matches(self, path: str) -> float:
        """Sure of names that no other sensor has, and of folders that hold such files."""
        place = Path(path)
        if place.is_dir():
            return SURE if any(map(self.belongs, files_below(place, depth=1))) else 0.0
        return SURE if place.is_file() and self.belongs(place) else 0.0

    def open(self, path: str, **_: Any) -> Scene:
        """Say that the cube needs a guide.

        Raises
        ------
        UnknownFormatError
            Always: there is no PAN in these products.
        """
        self.half(path)  # a damaged product says so first
        raise UnknownFormatError(
            f"{self.label} has no panchromatic image; '{path}' needs a guide: "
            f"--hsi '{path}' with --msi FILE (or --pan FILE)"
        )

    def only(self, path: str) -> Path:
        """The one file of the product below a folder, or the file itself.

        Raises
        ------
        UnknownFormatError
            There is none, or there are several.
        """
        place = Path(path)
        if not place.is_dir():
            return place
        found = [file for file in files_below(place, depth=4) if self.belongs(file)]
        found = [file for file in found if self.main(file)]
        if len(found) != 1:
            names = ", ".join(f"'{file}'" for file in found[:4]) or "none"
            raise UnknownFormatError(
                f"'{path}' holds {len(found)} products of {self.label} ({names}); name one"
            )
        return found[0]

    def main(self, file: Path) -> bool:
        """Whether a file stands for its product, so that each is counted once."""
        return self.belongs(file)
