"""Deliveries that are still packed: opened from a scratch copy that goes when the scene does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import PansharpError, ReaderError
from pansharp.readers import _archive
from pansharp.readers._base import SURE, Found, readers
from pansharp.readers._resolve import INSIDE, choose, find_scenes
from pansharp.readers._scan import files_below
from pansharp.scratch import holder

if TYPE_CHECKING:
    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["ArchiveReader"]

#: Members up to this size may be sidecars: they are unpacked to look for scenes.
_SIDECAR = 4 * 2**20
_IMAGES = (".tif", ".tiff", ".jp2", ".ntf", ".jpg", ".png", ".he5", ".h5", ".bsq", ".img", ".dat")


class ArchiveReader:
    """Unpacks an archive once and hands the folder to the reader of its content."""

    summary = "tar, tar.gz, tar.bz2, tar.xz and zip archives with a delivery of any kind"

    def matches(self, path: str) -> float:
        """Sure of archives by name and first bytes, and of ``ARCHIVE!/file in it``."""
        return SURE if _archive.is_archive(path.partition(INSIDE)[0]) else 0.0

    def find(self, path: str, *, depth: int = 4) -> list[Found]:
        """Archives below a folder, unread; or the scenes inside one archive."""
        if not Path(path).is_dir():
            return _inside(path)
        return [
            Found(str(file), str(_archive.archive_stem(file)), "archive", (), "an archive")
            for file in files_below(path, depth=depth)
            if _archive.is_archive(file)
        ]

    def open(
        self,
        path: str,
        *,
        sensor: SensorProfile | None = None,
        nodata: float | None = None,
        ratio: float | None = None,
    ) -> Scene:
        """Unpack an archive and open the scene in it.

        Raises
        ------
        ReaderError
            The archive is damaged, unsafe, or does not fit the disk.
        AmbiguousReaderError
            It holds several scenes.
        PansharpError
            Whatever the reader of its content finds wrong.
        """
        archive, _, member = path.partition(INSIDE)
        if holder(archive) is not None:
            raise ReaderError(
                f"'{Path(archive).name}' is an archive inside an archive; unpack the outer one "
                "and name the inner one"
            )
        scratch = _archive.unpack(archive)
        folder = str(scratch.folder)
        target = str(scratch.folder / member) if member else folder
        try:
            reader, inner = choose(target)
            scene = reader.open(inner, sensor=sensor, nodata=nodata, ratio=ratio)
        except PansharpError as problem:
            scratch.close()
            # What the user gave is the archive; the scratch folder is gone when this is read.
            raise type(problem)(_renamed(str(problem), folder, archive)) from problem
        notes = tuple(_renamed(note, folder, archive) for note in scene.notes)
        name = scene.name
        if Path(name).name == scratch.folder.name:
            name = str(_archive.archive_stem(archive))
        return replace(scene, name=name, files={**scene.files, "archive": (archive,)}, notes=notes)


def _renamed(text: str, folder: str, archive: str) -> str:
    return text.replace(f"{folder}/", f"{archive}{INSIDE}").replace(folder, archive)


def _inside(archive: str) -> list[Found]:
    """Scenes of an archive by its names and sidecars; images are stood in for by empty files."""
    small = {
        member.name
        for member in _archive.list_members(archive)
        if member.size <= _SIDECAR and not member.name.lower().endswith(_IMAGES)
    }
    scratch = _archive.unpack(archive, small.__contains__)
    try:
        for member in _archive.list_members(archive):
            target = scratch.folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        folder = str(scratch.folder)
        found = find_scenes(folder)
    finally:
        scratch.close()
    if len(found) <= 1:
        name = str(_archive.archive_stem(archive))
        return [Found(archive, name, "archive", (), "an archive")]
    return [
        replace(
            scene,
            path=_renamed(scene.path, folder, archive),
            reader="archive",
            files=tuple(_renamed(file, folder, archive) for file in scene.files),
        )
        for scene in found
    ]


readers.register("archive")(ArchiveReader())
