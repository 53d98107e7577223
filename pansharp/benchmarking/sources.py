"""From what the user names to a list of scenes that a child process can open by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.errors import OptionError, ReaderError, SceneError, UnknownFormatError
from pansharp.readers import open_scene, readers
from pansharp.readers._containers import is_container
from pansharp.readers._siblings import find_pairs
from pansharp.readers.patches import open_patches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pansharp.readers._siblings import Pair
    from pansharp.scene import Scene

__all__ = ["Opened", "SceneRef", "find_scenes"]

#: Folders below a folder that are looked into.
_DEPTH = 3
#: Names that say nothing without their folder.
_BARE = re.compile(r"(?:pan|ms|msi|hsi)([_-]?\d*)", re.IGNORECASE)
#: Options of `open_scene` that research sets take too.
_FOR_SETS = ("sensor", "nodata", "ratio")


@dataclass(frozen=True)
class Opened:
    """A scene with its reference, if it has one.

    Parameters
    ----------
    scene : Scene
        The pair.
    reference : ndarray, shape (band, y, x), or None
        Truth on the PAN grid.
    """

    scene: Scene
    reference: NDArray[np.generic] | None = None


@dataclass(frozen=True)
class SceneRef:
    """Where a scene is, in JSON types.

    Parameters
    ----------
    name : str
        Unique within a run.
    path : str or None
        What `open_scene` takes; None where `options` names the files.
    item : int or None
        Item of a research set.
    options : dict
        Keywords of `open_scene`.
    reference : bool
        Whether the set has a reference.
    """

    name: str
    path: str | None = None
    item: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    reference: bool = False

    def open(self) -> Opened:
        """Open the scene.

        Raises
        ------
        PansharpError
            Whatever the reader finds wrong.
        """
        if self.item is None:
            given = dict(self.options)
            for key in ("bbox", "window", "bands"):
                # JSON has no tuples.
                if key in given:
                    given[key] = tuple(given[key])
            return Opened(replace(open_scene(self.path, **given), name=self.name))
        assert self.path is not None
        with open_patches(self.path, sensor=self.options.get("sensor")) as items:
            patch = items[self.item]
        scene = patch.scene(nodata=self.options.get("nodata"))
        return Opened(replace(scene, name=self.name), patch.gt)


def find_scenes(paths: Sequence[str], options: dict[str, Any]) -> list[SceneRef]:
    """List the scenes that files, folders and research sets hold.

    Parameters
    ----------
    paths : sequence of str
        Files and folders; none of them when `options` names PAN and MS.
    options : dict
        Keywords of `open_scene`, valid for all.

    Returns
    -------
    list of SceneRef
        In the order given; names are unique.

    Raises
    ------
    PansharpError
        A path that does not exist or holds no scene, or options that do not apply.
    """
    files = [key for key in ("pan", "ms", "hsi", "msi") if options.get(key)]
    if files and paths:
        raise OptionError(
            f"--{files[0]} names the files of one scene; give either that or SCENE arguments"
        )
    if files:
        return list(_unique([SceneRef(_name_of(options[files[0]]), options=options)]))
    found: list[SceneRef] = []
    for path in paths:
        if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
            raise ReaderError(f"'{path}' does not exist; check the path")
        found += _expand(path, options, 0)
    if not found:
        raise OptionError("no scenes; name files or folders, or PAN and MS")
    return list(_unique(found))


def _name_of(path: object) -> str:
    first = path[0] if isinstance(path, list | tuple) else path
    return Path(str(first)).stem


def _expand(path: str, options: dict[str, Any], depth: int) -> list[SceneRef]:
    if not Path(path).is_dir():
        return _set(path, options) if is_container(path) else [_single(path, options)]
    if _special(path) or options.get("reader") is not None:
        return [_single(path, options)]
    children = sorted(Path(path).iterdir())
    found = [_pair(pair, options) for pair in find_pairs(path)]
    for child in children:
        if child.is_file() and is_container(str(child)):
            found += _set(str(child), options)
    if depth < _DEPTH:
        for child in children:
            if child.is_dir() and not child.name.startswith("."):
                # Halves in two component folders are found from above, and must not come twice.
                found += [
                    ref for ref in _expand(str(child), options, depth + 1) if ref not in found
                ]
    if not found and depth == 0:
        # Says what was looked for.
        open_scene(path, **options)
    return found


def _pair(pair: Pair, options: dict[str, Any]) -> SceneRef:
    low = list(pair.ms) if len(pair.ms) > 1 else pair.ms[0]
    named = {"msi" if pair.guide else "pan": pair.pan, "ms": low}
    return SceneRef(Path(pair.pan).stem, options={**options, **named})


def _single(path: str, options: dict[str, Any]) -> SceneRef:
    return SceneRef(
        Path(path).name if Path(path).is_dir() else Path(path).stem, path, None, options
    )


def _special(path: str) -> bool:
    """Whether a reader of its own claims a folder, as a delivery."""
    return any(readers.get(name).matches(path) > 0 for name in readers.names() if name != "pair")


def _set(path: str, options: dict[str, Any]) -> list[SceneRef]:
    unfit = [key for key in options if key not in _FOR_SETS and key != "reader"]
    if unfit:
        raise OptionError(f"--{unfit[0]} does not apply to the research set '{path}'; leave it off")
    with open_patches(path, sensor=options.get("sensor")) as items:
        if options.get("ratio") not in (None, items.ratio):
            raise SceneError(
                f"--ratio is {options['ratio']:g}, but the images of '{path}' have the ratio "
                f"{items.ratio}"
            )
        if not len(items):
            raise UnknownFormatError(f"'{path}' holds no items")
        return [
            SceneRef(items.name(index), path, index, options, items.has_reference)
            for index in range(len(items))
        ]


def _unique(found: Sequence[SceneRef]) -> Iterator[SceneRef]:
    """Add folder names, and at last numbers, to names that come twice."""
    names = [ref.name for ref in found]
    taken: set[str] = set()
    for ref in found:
        name = ref.name
        bare = _BARE.fullmatch(name)
        if names.count(name) > 1 or bare:
            given = ref.path or ref.options.get("pan") or ref.options.get("msi") or ""
            folder = Path(str(given)).resolve().parent.name
            # pan.tif in the folder north is the scene north.
            name = (folder + bare.group(1)) if bare else f"{folder}_{name}"
            name = name or ref.name
        number, plain = 2, name
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        yield replace(ref, name=name)
