"""Pairs that come with their truth: items of research sets, and scenes with a reference file."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import GridMismatchError
from pansharp.geometry.grids import AxisMap, Window
from pansharp.sensors import mtf_gains
from pansharp.training.examples import LEAST_SIDE, Example, Traits, grain_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.readers.patches import Patch, PatchSet
    from pansharp.scene import Scene

__all__ = ["Items", "TruthSite", "item_site", "scene_site"]

#: Items of a set that are held in memory.
_HELD = 4


class Items:
    """The items of an open set, a few of them kept; h5py lets one thread read at a time.

    Parameters
    ----------
    opened : PatchSet
        Stays open as long as items are read.
    """

    def __init__(self, opened: PatchSet) -> None:
        self.opened = opened
        self._held: OrderedDict[int, Patch] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, index: int) -> Patch:
        with self._lock:
            if index not in self._held:
                self._held[index] = self.opened[index]
                if len(self._held) > _HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(index)
            return self._held[index]


@dataclass(frozen=True)
class TruthSite:
    """A pair whose product is known.

    Parameters
    ----------
    name, path : str
        See :class:`Site`.
    traits : Traits
        See :class:`Site`.
    area : Window
        All pixels of the PAN grid.
    read : callable
        Gives the pair and the truth (band, y, x) in counts.
    """

    name: str
    path: str
    traits: Traits
    area: Window
    read: Callable[[], tuple[Scene, NDArray[np.generic]]] = field(repr=False)

    def example(self, window: Window, context: int) -> Example:
        """Give a window; `context` is there in any case, up to the border of the item."""
        scene, truth = self.read()
        reference = np.asarray(truth, dtype=np.float32)
        if truth.dtype.kind != "f":
            return Example(scene, reference, None, window)
        whole = np.asarray(np.isfinite(reference).all(axis=0))
        if whole.all():
            return Example(scene, reference, None, window)
        return Example(scene, np.where(whole, reference, np.float32(0)), whole, window)

    def overview(self) -> list[Example]:
        """Give all of it."""
        return [self.example(self.area, 0)]


def item_site(items: Items, index: int) -> TruthSite:
    """An item with `gt` as a site.

    Parameters
    ----------
    items : Items
        Of an open set.
    index : int
        Which.

    Raises
    ------
    GridMismatchError
        The items are smaller than 16 pixels.
    """
    opened = items.opened
    bands, height, width = opened.shape
    if min(height, width) < LEAST_SIDE:
        raise GridMismatchError(
            f"the items of '{opened.path}' have {height} x {width} PAN pixels; training needs "
            f"{LEAST_SIDE} x {LEAST_SIDE} at least"
        )

    def read() -> tuple[Scene, NDArray[np.generic]]:
        patch = items[index]
        assert patch.gt is not None
        return patch.scene(), patch.gt

    traits = Traits(
        task="pan",
        ms_bands=bands,
        guide_bands=1,
        ratio=float(opened.ratio),
        grid="toolbox",
        gains=mtf_gains(opened.sensor, None, bands)[0],
        sensor=opened.sensor,
    )
    return TruthSite(opened.name(index), opened.path, traits, Window(0, 0, height, width), read)


def scene_site(path: str, scene: Scene, truth: NDArray[np.generic], task: str) -> TruthSite:
    """A scene with a reference of its own as a site.

    Parameters
    ----------
    path : str
        What the user named.
    scene : Scene
        The pair.
    truth : ndarray, shape (band, y, x)
        On the PAN grid.
    task : {"pan", "hsi"}
        What it is.

    Raises
    ------
    GridMismatchError
        The grids do not share their corner, or the ratio is not whole.
    """
    ratio = scene.alignment.integer_ratio
    corner = None if ratio is None else AxisMap.corner(ratio)
    near = corner is not None and all(
        abs(axis.offset - corner.offset) < 0.01 for axis in (scene.alignment.y, scene.alignment.x)
    )
    if ratio is None or not near:
        raise GridMismatchError(
            f"scene '{scene.name}' has a reference, so it must have a whole ratio and grids that "
            f"share their corner; its ratio is {scene.ratio:.4g}. Leave the reference off: the "
            "scene is degraded after Wald then"
        )
    height, width = (size // ratio * ratio for size in scene.shape[1:])
    traits = Traits(
        task=task,
        ms_bands=scene.bands,
        guide_bands=scene.pan_source.bands,
        ratio=float(ratio),
        grid="corner",
        gains=mtf_gains(scene.sensor, scene.band_names, scene.bands)[0],
        sensor=scene.sensor,
        band_names=scene.band_names,
        wavelengths=scene.wavelengths,
    )
    assert grain_of(ratio) == ratio
    area = Window(0, 0, height, width)
    return TruthSite(scene.name, path, traits, area, lambda: (scene, truth))
