"""Images that a user names one by one: archives, folders and deliveries stand for an image."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.errors import AmbiguousReaderError, PansharpError, ReaderError, UnknownFormatError
from pansharp.readers._archive import is_archive, unpack
from pansharp.readers._base import SURE, readers
from pansharp.readers._half import HalfReader
from pansharp.readers._resolve import INSIDE, deliveries_in
from pansharp.readers._scan import files_below, is_store, remembered
from pansharp.readers._siblings import find_pairs, is_raster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pansharp.readers._base import Found
    from pansharp.scene import Scene
    from pansharp.scratch import Scratch

__all__ = ["Named"]

#: Names that a message lists, and levels of folders that are looked through.
_SHOWN, _DEPTH = 6, 4
#: Options, by the key of `Scene.files`.
_OPTIONS = {"pan": ("--pan", "--msi"), "ms": ("--ms", "--hsi")}


@dataclass
class Named:
    """Paths that the user named, and the archives among them, unpacked.

    Parameters
    ----------
    archives : dict of str to Scratch
        Unpacked archives by their path; they live as long as this object or a source in them.
    """

    archives: dict[str, Scratch] = field(default_factory=dict)

    def image(self, path: str, role: str) -> tuple[str, ...]:
        """Files of one image.

        Parameters
        ----------
        path : str
            What the user gave.
        role : str
            ``"pan"`` or ``"ms"``.

        Returns
        -------
        tuple of str
            The path itself, or what it holds of that role; several for bands in files.

        Raises
        ------
        AmbiguousReaderError
            It holds several scenes or images.
        UnknownFormatError
            It holds none.
        ReaderError
            The archive is damaged, or the file holds both images.
        """
        archive, mark, member = path.partition(INSIDE)
        if is_archive(archive):
            if archive not in self.archives:
                self.archives[archive] = unpack(archive)
            folder = str(self.archives[archive].folder)
            path = os.path.join(folder, member) if mark else folder
        if os.path.isdir(path) and not is_store(path):
            with remembered():
                return _of_folder(path, role)
        _check_both(path, role)
        return (path,)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Speak of archives, not of the scratch folders that they were unpacked to."""
        try:
            yield
        except PansharpError as problem:
            text = self._renamed(str(problem))
            for scratch in self.archives.values():
                scratch.close()
            if text == str(problem):
                raise
            raise type(problem)(text) from problem

    def described(self, scene: Scene) -> Scene:
        """The scene with the archives that it came from."""
        if not self.archives:
            return scene
        notes = tuple(map(self._renamed, scene.notes))
        return replace(scene, files={**scene.files, "archive": tuple(self.archives)}, notes=notes)

    def _renamed(self, text: str) -> str:
        for archive, scratch in self.archives.items():
            folder = str(scratch.folder)
            text = text.replace(f"{folder}/", f"{archive}{INSIDE}").replace(folder, archive)
        return text


def _check_both(path: str, role: str) -> None:
    """Refuse files that hold both images: neither can be named without the other."""
    reader = readers.get("prisma")
    if os.path.isfile(path) and reader.matches(path) >= SURE:
        raise ReaderError(
            f"'{path}' holds a cube and its PAN; give it alone as SCENE, without "
            f"{' or '.join(_OPTIONS['pan' if role == 'ms' else 'ms'])}"
        )


def _of_folder(folder: str, role: str) -> tuple[str, ...]:
    """The image of a role in a folder."""
    if any(
        isinstance(reader, HalfReader) and reader.matches(folder) >= SURE
        for key in ("ahsi", "desis", "enmap", "hyperion", "sentinel2")
        for reader in (readers.get(key),)
    ):
        return (folder,)  # the reader of these finds the one image itself
    scenes = deliveries_in(folder, depth=_DEPTH)
    option = _OPTIONS[role][0]
    if len(scenes) > 1:
        raise AmbiguousReaderError(
            f"'{folder}' holds {len(scenes)} scenes ({_listed([s.path for s in scenes])}); name "
            f"the image itself with {option} FILE"
        )
    if scenes:
        return _of_scene(scenes[0], role)
    pairs = find_pairs(folder)
    if len(pairs) == 1:
        return (pairs[0].pan,) if role == "pan" else pairs[0].ms
    rasters = [str(file) for file in files_below(folder, depth=_DEPTH) if is_raster(file)]
    if len(rasters) == 1:
        return (rasters[0],)
    if not rasters:
        raise UnknownFormatError(f"'{folder}' holds no raster; name the image with {option} FILE")
    raise AmbiguousReaderError(
        f"'{folder}' holds {len(rasters)} rasters ({_listed(rasters)}); name one with {option} FILE"
    )


def _of_scene(found: Found, role: str) -> tuple[str, ...]:
    """Files of one role of the scene; of a lone half its own."""
    _check_both(found.path, role)
    try:
        scene = readers.get(found.reader).open(found.path)
    except PansharpError:
        # A half without its partner, which the user names as well; opening it will tell the rest.
        return (found.path,)
    scene.close()
    files = scene.files[role]
    # Tiles, and halves of eight bands, lead to their whole product.
    return files if found.reader == "landsat" else files[:1]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{Path(name).name}'" for name in names[:_SHOWN]) + more
