"""From what the user names to sites: research sets, scenes and cubes, told apart by themselves."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.adaptation.level import sample_windows
from pansharp.benchmarking.sources import find_scenes
from pansharp.engine import facts_of
from pansharp.errors import BandMismatchError, GridMismatchError, OptionError, PansharpError
from pansharp.geometry.grids import Window
from pansharp.hyperspectral import prepare_pair
from pansharp.options import FuseOptions
from pansharp.readers._containers import is_container
from pansharp.readers.patches import open_patches
from pansharp.registration import register
from pansharp.sensors import get_sensor
from pansharp.training.cubes import CUBE_BANDS, cube_site, is_cube
from pansharp.training.examples import Traits
from pansharp.training.truth import Items, item_site, scene_site
from pansharp.training.wald import wald_site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack

    from pansharp.benchmarking.sources import SceneRef
    from pansharp.models.base import SceneFacts
    from pansharp.scene import Scene
    from pansharp.training.examples import Site

__all__ = ["Opening", "agreed", "open_sites"]

_SUFFIXES = (".tif", ".tiff", ".img", ".dat", ".bsq", ".bil", ".bip", ".vrt", ".raw", ".hdr")
#: Folders below a folder that are looked into for cubes.
_DEPTH = 3


@dataclass(frozen=True)
class Opening:
    """How data is opened.

    Parameters
    ----------
    sensor : str or None
        Instead of what files say.
    guide : str
        Whose bands the guide of a cube has, see :func:`pansharp.training.cubes.guide_of`.
    ratio : float or None
        Ratio of pixel sizes: to simulate from cubes (default 4), and instead of what the grids of
        scenes say.
    coregister, mtf : str
        For scenes, as in `fuse`.
    nodata : float or None
        Value of pixels without data, instead of the files' own.
    """

    sensor: str | None = None
    guide: str = "worldview3"
    ratio: float | None = None
    coregister: str = "auto"
    mtf: str = "auto"
    nodata: float | None = None
    notes: list[str] = field(default_factory=list)


def open_sites(
    paths: Sequence[str],
    opening: Opening,
    closing: ExitStack,
    progress: Callable[[float, float, str], None] | None = None,
) -> list[Site]:
    """Open everything that can be trained on.

    Parameters
    ----------
    paths : sequence of str
        PanCollection `.h5` and toolbox `.mat` files; scenes (one of their files, a delivery, a
        folder of them, a TOML list); rasters of 16 bands or more without a partner are cubes.
    opening : Opening
        Options; what was decided is added to its `notes`.
    closing : ExitStack
        Closes the files that stay open.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    list of Site

    Raises
    ------
    PansharpError
        Whatever is wrong with a file, or with the whole of them.
    """
    sites: list[Site] = []
    for number, path in enumerate(paths):
        if progress:
            progress(number, len(paths), "opening data")
        found = list(_sites(path, opening, closing))
        if not found:
            raise OptionError(f"'{path}' holds nothing to train on")
        sites += found
    if progress:
        progress(len(paths), len(paths), "opening data")
    return sites


def agreed(sites: Sequence[Site], task: str | None = None) -> Traits:
    """What all sites have in common, or an error that names the two that differ.

    Parameters
    ----------
    sites : sequence of Site
        At least one.
    task : str, optional
        What they must be for.

    Returns
    -------
    Traits
        Of the first; sensor, band names, wavelengths and MTF gains are left empty where they
        differ from site to site.

    Raises
    ------
    BandMismatchError, GridMismatchError
        Bands, their order, or the ratio differ.
    """
    first = sites[0]
    mine = first.traits
    same = {"sensor": True, "wavelengths": True, "gains": True}
    names = mine.band_names
    for site in sites[1:]:
        other = site.traits
        here = f"'{site.path}'" + ("" if site.path == first.path else f" and '{first.path}'")
        for what, a, b in (
            ("bands", other.ms_bands, mine.ms_bands),
            ("guide bands", other.guide_bands, mine.guide_bands),
        ):
            if a != b:
                raise BandMismatchError(
                    f"{here} differ: {a} and {b} {what}; train a network for each"
                )
        if other.task != mine.task:
            raise BandMismatchError(
                f"{here} differ: PAN and MS, and a cube; train a network for each"
            )
        if abs(other.ratio - mine.ratio) > 1e-3 * mine.ratio:
            raise GridMismatchError(
                f"{here} differ: ratio {other.ratio:.4g} and {mine.ratio:.4g}; train a network "
                "for each"
            )
        if other.grid != mine.grid:
            raise GridMismatchError(
                f"{here} differ: a set on the toolbox's grid, whose MS lies half a PAN pixel "
                "further, and data whose grids share their corner; train a network for each"
            )
        theirs = other.band_names
        if _telling(theirs) and _telling(names) and theirs != names:
            raise BandMismatchError(
                f"{here} differ: bands {', '.join(theirs)} and {', '.join(names)}; give the same "
                "bands in the same order"
            )
        names = names if _telling(names) else theirs
        same["sensor"] &= other.sensor == mine.sensor
        same["wavelengths"] &= other.wavelengths == mine.wavelengths
        same["gains"] &= other.gains == mine.gains
    return Traits(
        task=mine.task,
        ms_bands=mine.ms_bands,
        guide_bands=mine.guide_bands,
        ratio=mine.ratio,
        grid=mine.grid,
        gains=mine.gains if same["gains"] else (),
        sensor=mine.sensor if same["sensor"] else None,
        band_names=names,
        wavelengths=mine.wavelengths if same["wavelengths"] else (),
    )


def _telling(names: Sequence[str]) -> bool:
    """Whether names say more than the place of a band: b1, b2 are what a scene makes up."""
    return bool(names) and not all(name == f"b{i}" for i, name in enumerate(names, 1))


def _sites(path: str, opening: Opening, closing: ExitStack) -> Iterator[Site]:
    if is_container(path):
        yield from _set(path, opening, closing)
        return
    options = {
        key: value
        for key, value in (("sensor", opening.sensor), ("ratio", opening.ratio))
        if value is not None
    }
    if opening.nodata is not None:
        options["nodata"] = opening.nodata
    try:
        refs = find_scenes([path], options)
        single = refs[0].open().scene if len(refs) == 1 and refs[0].item is None else None
    except PansharpError:
        cubes = _cubes(path)
        if not cubes:
            raise
        for cube in cubes:
            yield _cube(cube, opening)
        return
    for container in dict.fromkeys(r.path for r in refs if r.item is not None and r.path):
        yield from _set(container, opening, closing)
    for ref in refs:
        if ref.item is None:
            yield _scene(path, ref, opening, single)


def _set(path: str, opening: Opening, closing: ExitStack) -> Iterator[Site]:
    opened = closing.enter_context(open_patches(path, sensor=opening.sensor))
    if opening.ratio is not None and opening.ratio != opened.ratio:
        raise GridMismatchError(
            f"--ratio is {opening.ratio:g}, but the images of '{path}' have the ratio "
            f"{opened.ratio}"
        )
    items = Items(opened)
    if opened.has_reference:
        for index in range(len(opened)):
            yield item_site(items, index)
        return
    opening.notes.append(f"'{path}' has no 'gt': its items are degraded after Wald's protocol")
    bands, height, width = opened.shape
    for index in range(len(opened)):
        # The first item of a set stands for all: they have one shape.
        facts = facts_of(items[0].scene(nodata=opening.nodata))
        traits = Traits(
            task="pan",
            ms_bands=bands,
            guide_bands=1,
            ratio=float(opened.ratio),
            grid="corner",
            gains=facts.ms_gains,
            sensor=opened.sensor,
        )
        inside = Window(0, 0, height // opened.ratio, width // opened.ratio)
        yield wald_site(
            opened.name(index),
            path,
            (inside, facts),
            traits,
            partial(_item_scene, items, index, opening.nodata),
            "; the set has no 'gt', give one that has",
        )


def _item_scene(items: Items, index: int, nodata: float | None) -> Scene:
    return items[index].scene(nodata=nodata)


def _scene(path: str, ref: SceneRef, opening: Opening, opened: Scene | None) -> Site:
    if ref.truth is not None:
        both = ref.open()
        assert both.reference is not None
        return scene_site(path, both.scene, both.reference, _task(both.scene))
    scene = opened or ref.open().scene
    scene, facts = _prepared(scene, opening)
    traits = Traits(
        task=_task(scene),
        ms_bands=scene.bands,
        guide_bands=scene.pan_source.bands,
        ratio=scene.ratio,
        grid="corner",
        gains=facts.ms_gains,
        sensor=scene.sensor,
        band_names=scene.band_names,
        wavelengths=scene.wavelengths,
    )
    inside = sample_windows(scene, scene.ms_source.height * scene.ms_source.width)[0]
    scene.close()
    # A copy has no open files: each window is read through one of its own.
    return wald_site(scene.name, path, (inside, facts), traits, partial(copy.deepcopy, scene))


def _task(scene: Scene) -> str:
    many = scene.pan_source.bands > 1 or scene.bands >= CUBE_BANDS
    return "hsi" if many else "pan"


def _prepared(scene: Scene, opening: Opening) -> tuple[Scene, SceneFacts]:
    """Register a scene and measure its sharpness, as before a fusion."""
    options = FuseOptions(coregister=opening.coregister, mtf=opening.mtf)
    if _task(scene) == "hsi":
        pair = prepare_pair(scene, options)
        opening.notes.extend(f"'{scene.name}': {text}" for text in pair.warnings)
        return pair.usable, pair.facts
    found = register(scene, options, apply=True)
    rows, cols = found.applied
    if (rows, cols) != (0.0, 0.0):
        opening.notes.append(
            f"'{scene.name}': the MS is moved by {rows:+.2f} rows and {cols:+.2f} columns (PAN "
            "pixels)"
        )
    return found.scene, found.facts


def _cubes(path: str) -> list[str]:
    """Rasters of many bands at a path."""
    place = Path(path)
    if not place.is_dir():
        return [path] if place.exists() and is_cube(path) else []
    files = [
        file
        for depth in range(_DEPTH)
        for file in place.glob("/".join(["*"] * (depth + 1)))
        if file.is_file() and file.suffix.lower() in _SUFFIXES and file.suffix.lower() != ".hdr"
    ]
    return [str(file) for file in sorted(files) if is_cube(str(file))]


def _cube(path: str, opening: Opening) -> Site:
    from pansharp.readers._envi import data_of_header

    ratio = 4.0 if opening.ratio is None else opening.ratio
    if ratio != round(ratio) or ratio < 2:
        raise OptionError(f"--ratio is {ratio:g}; for a cube give a whole number of at least 2")
    gain = FuseOptions.checked(mtf=opening.mtf).gain() or 0.30
    sensor = None if opening.sensor is None else get_sensor(opening.sensor)
    site = cube_site(
        data_of_header(path),
        guide=opening.guide,
        ratio=round(ratio),
        gain=gain,
        sensor=sensor,
        nodata=opening.nodata,
    )
    opening.notes.append(f"'{path}' is a cube: its guide is simulated by {site.guide.label}")
    return site
