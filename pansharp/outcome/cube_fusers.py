"""Fusers of hyperspectral cubes: fitted, restored to all bands, completed by back-projection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.backproject import BackProjected, back_project, backprojection_halo
from pansharp.engine import blend_tiles, cube_workers, prepare
from pansharp.models import create_model
from pansharp.models.hyperspectral.operators import GROUP, add_detail, inner_pixels
from pansharp.source import ScreenedSource, read_padded
from pansharp.source.spool import Spool
from pansharp.tiling import TileGrid, ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Protocol

    from numpy.typing import NDArray

    from pansharp.adaptation.cube import CubeNetwork
    from pansharp.chips import Chip
    from pansharp.hyperspectral import PreparedPair
    from pansharp.models.base import Fuser, SceneFacts
    from pansharp.models.hyperspectral.statistics import Subspace
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene
    from pansharp.source import Source
    from pansharp.tiling import Tile

    class Coding(Protocol):
        """A fitted model that gives components of spectra."""

        @property
        def halo(self) -> int:
            """Context."""
            ...

        def coded(self, chip: Chip) -> NDArray[np.float32]:
            """Components of a chip's window."""
            ...


__all__ = [
    "FromComponents",
    "Restored",
    "complete",
    "prepare_fuser",
    "restored",
    "spool_components",
    "spool_network",
]

#: Work tile of maps from pixel to spectrum, guide pixels.
_TILE = 256


@dataclass(frozen=True)
class Restored:
    """A fuser of the usable bands that gives all bands, NaN in those that were set aside.

    Parameters
    ----------
    inner : Fuser
        Of the usable bands.
    usable : tuple of int
        Their places.
    bands : int
        Number of all bands.
    """

    inner: Fuser
    usable: tuple[int, ...]
    bands: int

    @property
    def halo(self) -> int:
        """Context of the inner fuser."""
        return self.inner.halo

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse the usable bands of a chip."""
        fused = self.inner(replace(chip, ms=chip.ms[list(self.usable)]))
        out = np.full((self.bands, *fused.shape[1:]), np.nan, dtype=np.float32)
        out[list(self.usable)] = fused
        return out


def restored(pair: PreparedPair, inner: Fuser) -> Fuser:
    """A fuser for chips of all bands."""
    if pair.usable is pair.scene or pair.usable.bands == pair.scene.bands:
        return inner
    screened = pair.scene.ms_source
    assert isinstance(screened, ScreenedSource)
    return Restored(inner, screened.usable, pair.scene.bands)


def complete(facts: SceneFacts, inner: Fuser, passes: int) -> Fuser:
    """A fuser followed by back-projections that end at the border of the scene."""
    if not passes:
        return inner
    ratio, inside = facts.alignment.ratio, inner_pixels(facts)
    return BackProjected(inner, facts.ms_gains, passes, ratio, inside)


def prepare_fuser(
    pair: PreparedPair,
    name: str,
    *,
    passes: int = 0,
    given: Mapping[str, object] | None = None,
    workers: int = 1,
    progress: Callable[[float, float, str], None] | None = None,
) -> tuple[Fuser, Fuser]:
    """Fit a method to a pair.

    Parameters
    ----------
    pair : PreparedPair
        The pair.
    name : str
        Model.
    passes : int
        Back-projections.
    given : mapping, optional
        Options of the method.
    workers : int
        Threads.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    tuple of Fuser
        For chips of all bands, and for chips of the usable ones.
    """
    model = create_model(name, **(given or {}))
    inner = prepare(model, pair.usable, pair.facts, workers=workers, progress=progress)
    inner = complete(pair.facts, inner, passes)
    return restored(pair, inner), inner


@dataclass(frozen=True)
class FromComponents:
    """Spectra of components that were computed before, back-projected a group of bands at a time.

    Parameters
    ----------
    source : Source
        Components on the grid of the product; replicated beyond its border.
    space : Subspace
        Of the scene.
    residual : bool
        Add what lies outside the subspace, interpolated.
    facts : SceneFacts
        Blur and size of the scene.
    passes : int
        Back-projections.
    """

    source: Source
    space: Subspace
    residual: bool
    facts: SceneFacts
    passes: int = 0

    @property
    def halo(self) -> int:
        """Context of the back-projection."""
        return backprojection_halo(self.facts.alignment.ratio, self.facts.ms_gains, self.passes)

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        wide = chip.grown(self.halo)
        coded = read_padded(self.source, wide.window)[0]
        if self.residual:
            reach = wide.up_window()
            own = self.space.project(wide.ms_pixels(reach)).astype(np.float32)
            coded -= wide.up_from(own, (reach.row, reach.col))
        out = np.empty((chip.bands, *chip.window.shape), dtype=np.float32)
        inside = inner_pixels(self.facts)
        level = (self.space.scale * self.space.mean).astype(np.float32)
        for start in range(0, chip.bands, GROUP):
            part = slice(start, start + GROUP)
            few = replace(wide, ms=wide.ms[part])
            if self.residual:
                fused = few.up()
            else:
                # The components count from the mean spectrum.
                fused = np.empty((len(few.ms), *coded.shape[1:]), dtype=np.float32)
                fused[:] = level[part, None, None]
            add_detail(fused, self.space.weights[part], coded)
            few = replace(chip, ms=chip.ms[part])
            gains = self.facts.ms_gains[part]
            out[part] = back_project(fused, few, gains, self.passes, inside)
        return out


def spool_components(
    scene: Scene,
    fuser: Coding,
    size: int,
    folder: Path | None,
    *,
    workers: int,
    progress: Callable[[float, float, str], None] | None = None,
) -> Spool:
    """Compute components once, tile by tile: back-projection reads every pixel many times.

    Parameters
    ----------
    scene : Scene
        Of the usable bands.
    fuser : Coding
        Fitted.
    size : int
        Number of components.
    folder : Path or None
        Where scratch may be made.
    workers : int
        Threads.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Spool
    """
    from pansharp.chips import read_chip

    spool = Spool((size, *scene.shape[1:]), folder)
    grid = TileGrid(scene.shape[1:], tile=_TILE)

    def one(tile: Tile) -> NDArray[np.float32]:
        return fuser.coded(read_chip(scene, tile.core, fuser.halo))

    results = ordered_map(one, grid, workers=cube_workers(scene, workers))
    for done, (tile, coded) in enumerate(zip(grid, results, strict=True), 1):
        spool.write(tile.core, coded)
        if progress:
            progress(done, len(grid), "predicting")
    return spool


@dataclass(frozen=True)
class _Coded:
    """Components as the product of a fuser."""

    inner: Coding

    @property
    def halo(self) -> int:
        return self.inner.halo

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        return self.inner.coded(chip)


def spool_network(
    scene: Scene,
    network: CubeNetwork,
    name: str,
    options: FuseOptions,
    folder: Path | None,
    workers: int,
    notes: list[str],
    *,
    progress: Callable[[float, float, str], None] | None = None,
) -> Spool:
    """Components that a network gives, in the tiles that it wants, blended.

    Parameters
    ----------
    scene : Scene
        Of the usable bands.
    network : CubeNetwork
        Fitted.
    name : str
        Its name.
    options : FuseOptions
        Tile, overlap, blend.
    folder : Path or None
        Where scratch may be made.
    workers : int
        Threads.
    notes : list of str
        Takes a warning where the tile cannot be chosen.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Spool
    """
    from pansharp.adaptation.adapt import use_threads
    from pansharp.models.networks import get_network
    from pansharp.outcome.network import lattice

    spec = get_network(name)
    tile, overlap, kind = lattice(spec, options, notes.append)
    size = network.basis.anchors.space.size
    spool = Spool((size, *scene.shape[1:]), folder)
    side_by_side = network.device == "cpu" and not spec.threads_inside
    use_threads(1 if side_by_side else workers)
    pieces = blend_tiles(
        scene,
        _Coded(network),
        tile=tile,
        overlap=overlap,
        kind=kind,
        multiple=spec.multiple_of,
        workers=cube_workers(scene, workers) if side_by_side else 1,
        progress=progress,
        label="predicting",
        bands=size,
    )
    for window, piece in pieces:
        spool.write(window, piece)
    return spool
