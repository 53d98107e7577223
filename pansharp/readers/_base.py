"""What a reader promises, and the registry of readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pansharp.errors import UnknownFormatError
from pansharp.registry import Registry

if TYPE_CHECKING:
    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["Reader", "readers"]


class Reader(Protocol):
    """Turns one path into a scene; opens files, reads no more pixels than checks need."""

    @property
    def summary(self) -> str:
        """One line for listings."""
        ...

    def matches(self, path: str) -> float:
        """How surely this reader understands `path`: 0 not at all, 1 certainly.

        Called for every path, so it looks at names and first bytes alone. The surest reader
        opens the scene.
        """
        ...

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Open the scene that `path` belongs to.

        Parameters
        ----------
        path : str
            What the user gave: a file or a folder.
        sensor : SensorProfile, optional
            Sensor that the user named.
        nodata : float, optional
            Value of pixels without data, instead of the files' own.
        ratio : float, optional
            MS pixel size over PAN pixel size, instead of what the grids say.
        """
        ...


#: Readers by name; third parties add theirs under the entry-point group ``pansharp.readers``.
readers: Registry[Reader] = Registry(
    "reader",
    {"pair": "pansharp.readers.pair", "patches": "pansharp.readers.patches"},
    "pansharp.readers",
    UnknownFormatError,
)
