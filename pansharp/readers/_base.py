"""What a reader promises, and the registry of readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pansharp.errors import AmbiguousReaderError, UnknownFormatError
from pansharp.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["SURE", "FileOpener", "Finder", "Found", "Reader", "only_scene", "readers"]

#: What `matches` returns for a name or sidecar that no other vendor has.
SURE = 0.9
#: Scenes that a message names.
_SHOWN = 6


@dataclass(frozen=True)
class Found:
    """A scene that was found and not opened.

    Parameters
    ----------
    path : str
        What `open_scene` takes to open this scene and no other.
    name : str
        Short name.
    reader : str
        Name of the reader that found it.
    files : tuple of str
        Images that belong to it.
    why : str
        What it was recognised by, one sentence.
    """

    path: str
    name: str
    reader: str
    files: tuple[str, ...] = ()
    why: str = ""


def only_scene(found: Sequence[Found], path: str) -> Found:
    """The only scene of a folder or archive.

    Raises
    ------
    AmbiguousReaderError
        There are several; the message lists them.
    UnknownFormatError
        There is none.
    """
    if not found:
        raise UnknownFormatError(
            f"no scene found in '{path}'; name the files with --pan FILE and --ms FILE"
        )
    if len(found) > 1:
        shown = ", ".join(f"'{scene.path}'" for scene in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise AmbiguousReaderError(
            f"{len(found)} scenes match in '{path}': {shown}{more}. "
            f"Name one, or run 'pansharp batch {path}'"
        )
    return found[0]


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


@runtime_checkable
class Finder(Protocol):
    """What a reader of vendors' deliveries has besides: it knows its scenes in a tree of folders.

    Offering `find` puts the reader in front of plain pairs where a folder is given.
    """

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Scenes at a path: those below a folder, or the one that a file belongs to.

        Looks at names and sidecars alone, opens no image (those of an archive are not there
        yet), and never raises for damaged ones: opening the scene tells.

        Parameters
        ----------
        path : str
            Folder or file.
        depth : int
            Levels of folders below `path` that are looked through.
        """
        ...


@runtime_checkable
class FileOpener(Protocol):
    """What a reader has that wants to open files of its family also where the user names both."""

    def open_files(
        self,
        pan: str,
        ms: Sequence[str],
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene | None:
        """Open a named pair, or return None where the files are not all of the family."""
        ...


#: Readers by name; third parties add theirs under the entry-point group ``pansharp.readers``.
readers: Registry[Reader] = Registry(
    "reader",
    {
        "ahsi": "pansharp.readers.ahsi",
        "archive": "pansharp.readers.archive",
        "desis": "pansharp.readers.desis",
        "dimap": "pansharp.readers.dimap",
        "enmap": "pansharp.readers.enmap",
        "gaofen": "pansharp.readers.gaofen",
        "hyperion": "pansharp.readers.hyperion",
        "landsat": "pansharp.readers.landsat",
        "maxar": "pansharp.readers.maxar",
        "pair": "pansharp.readers.pair",
        "patches": "pansharp.readers.patches",
        "prisma": "pansharp.readers.prisma",
        "sentinel2": "pansharp.readers.sentinel2",
        "stac": "pansharp.readers.stac",
        "zarr": "pansharp.readers.zarr",
    },
    "pansharp.readers",
    UnknownFormatError,
)
