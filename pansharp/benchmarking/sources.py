"""From what the user names to a list of scenes that a child process can open by itself."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.errors import (
    GridMismatchError,
    OptionError,
    ReaderError,
    SceneError,
    UnknownFormatError,
)
from pansharp.readers import open_scene, readers
from pansharp.readers._containers import is_container
from pansharp.readers._siblings import find_pairs
from pansharp.readers.patches import open_patches
from pansharp.registry import nearest

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
#: Keys of a scene in a list.
_LISTED = (
    *("name", "path", "pan", "ms", "hsi", "msi", "reference", "sensor", "ratio"),
    *("bands", "bbox", "window", "nodata", "reader"),
)


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
        Whether there is a reference.
    truth : str or None
        File of the reference, where it is one of its own.
    """

    name: str
    path: str | None = None
    item: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    reference: bool = False
    truth: str | None = None

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
            scene = replace(open_scene(self.path, **given), name=self.name)
            return Opened(scene) if self.truth is None else _with_truth(scene, self.truth)
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


def _with_truth(scene: Scene, path: str) -> Opened:
    """Add a reference file, which must lie on the grid of the PAN."""
    from pansharp.source import RasterSource

    source = RasterSource(path)
    shape = (source.bands, source.height, source.width)
    if shape != scene.shape:
        raise GridMismatchError(
            f"the reference '{path}' has {shape[0]} bands of {shape[1]} x {shape[2]} pixels and "
            f"the product of scene '{scene.name}' {scene.shape[0]} of {scene.shape[1]} x "
            f"{scene.shape[2]}; cut or reorder it so that they agree"
        )
    files = {**scene.files, "reference": (path,)}
    return Opened(replace(scene, files=files), source.read(source.full))


def _listed(path: str, options: dict[str, Any]) -> list[SceneRef]:
    """The scenes of a TOML list; each may have options of its own."""
    try:
        with open(path, "rb") as file:
            entries = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise OptionError(f"the list '{path}' is not TOML: {problem}") from problem
    scenes = entries.pop("scene", None)
    if entries or not isinstance(scenes, list) or not scenes:
        raise OptionError(f"the list '{path}' needs tables [[scene]] and nothing else")
    found = []
    for number, entry in enumerate(scenes, 1):
        given = {key.replace("-", "_"): value for key, value in entry.items()}
        for key in given:
            if key not in _LISTED:
                raise OptionError(
                    f"unknown key '{key}' in scene {number} of '{path}'; "
                    f"{nearest(key, list(_LISTED))}"
                )
        folder = Path(path).parent
        for key in ("path", "pan", "ms", "hsi", "msi", "reference"):
            if key in given:
                many = isinstance(given[key], list)
                names = [str(folder / name) for name in (given[key] if many else [given[key]])]
                given[key] = names if many else names[0]
        truth, place = given.pop("reference", None), given.pop("path", None)
        named = given.get("pan") or given.get("msi") or place
        if named is None:
            raise OptionError(f"scene {number} of '{path}' names no file; give path, or pan and ms")
        name = str(given.pop("name", _name_of(named)))
        found.append(SceneRef(name, place, None, {**options, **given}, truth is not None, truth))
    return found


def _name_of(path: object) -> str:
    first = path[0] if isinstance(path, list | tuple) else path
    return Path(str(first)).stem


def _expand(path: str, options: dict[str, Any], depth: int) -> list[SceneRef]:
    if path.lower().endswith(".toml"):
        return _listed(path, options)
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
