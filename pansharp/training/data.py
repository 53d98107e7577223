"""Cells of all sites, which of them train, and the batches of a step.

Nothing here has a state: the patches of a step follow from the seed and its number, whatever ran
before, so that a resumed run sees what an undisturbed one would have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from pansharp.errors import OptionError, SceneError
from pansharp.geometry.kernels import glp_halo
from pansharp.training.examples import grain_of, lattice
from pansharp.training.forms import Cell, anchored_cell, fit_anchor, published_cell
from pansharp.training.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from pansharp.geometry.grids import Window
    from pansharp.models.facts import TrainingRecipe
    from pansharp.training.examples import Site, Traits
    from pansharp.training.forms import AnchorFit

    Floats = NDArray[np.float32]
    Patch = tuple[Floats, Floats, Floats, NDArray[np.bool_] | None]

__all__ = ["Batch", "Collection", "Layout", "Place", "Sampler", "lay_out"]

S = TypeVar("S", bound=np.generic)

#: Values of a cell (all its bands), and its longest side.
_CELL_VALUES, _CELL_SIDE = 131_072, 128
#: Share of the cells that is held out where no validation data is named, as one in so many.
_HELD = 10
#: Cells whose patches are mixed before others are read: what must fit into memory.
_GROUP = 16
#: Bytes of cells kept ready.
_CACHE = 512 << 20
#: Share of a cell that must be valid, and tries at a patch of it whose pixels are mostly valid.
_FILLED, _TRIES = 0.1, 8
#: Smallest side of a patch, guide pixels.
_LEAST_PATCH = 8


@dataclass(frozen=True)
class Place:
    """One cell: a window of a site."""

    site: int
    window: Window


@dataclass(frozen=True)
class Batch:
    """What one step sees, on the CPU.

    Parameters
    ----------
    guide, image, target : Tensor, float32
        See :class:`Cell`, with a first axis of patches.
    valid : Tensor, shape (patch, 1, y, x), bool, or None
        Pixels that count; None means all.
    """

    guide: Tensor
    image: Tensor
    target: Tensor
    valid: Tensor | None


@dataclass(frozen=True)
class Layout:
    """Cells of the data.

    Parameters
    ----------
    train, held : tuple of Place
        For training and for validation; `held` is empty where validation data is named.
    patch : int
        Side of a patch that fits all cells.
    """

    train: tuple[Place, ...]
    held: tuple[Place, ...]
    patch: int


def lay_out(sites: Sequence[Site], traits: Traits, patch: int, *, hold_out: bool) -> Layout:
    """Divide sites into cells, and hold some of them out.

    Parameters
    ----------
    sites : sequence of Site
        Where from.
    traits : Traits
        What they have in common.
    patch : int
        Wanted side of a patch, guide pixels.
    hold_out : bool
        Keep one cell in ten, evenly spread, for validation.

    Returns
    -------
    Layout

    Raises
    ------
    OptionError
        There is but one cell and it is needed twice, or the patch is too small for the ratio.
    """
    grain = grain_of(traits.ratio)
    smallest = min(min(site.area.shape) for site in sites)
    side = min(patch, smallest) // grain * grain
    least = max(_LEAST_PATCH, 2 * grain)
    if side < least:
        raise OptionError(
            f"a patch of {min(patch, smallest)} pixels is too small at ratio {traits.ratio:g}; "
            f"give --patch {math.ceil(least / grain) * grain} or more, and data of that size"
        )
    wanted = max(side, min(_CELL_SIDE, math.isqrt(_CELL_VALUES // traits.ms_bands)))
    places = _places(sites, wanted, grain)
    if hold_out and len(places) < _HELD:
        # A single scene: smaller cells, so that a few can be spared.
        area = sum(site.area.height * site.area.width for site in sites)
        places = _places(sites, max(side, math.isqrt(area // _HELD)), grain)
    if not hold_out:
        return Layout(tuple(places), (), side)
    if len(places) < 2:
        raise OptionError(
            f"'{sites[0].path}' is one patch of {side} pixels: nothing can be held out to judge "
            "the training on; name other data with --validation, or take a smaller --patch"
        )
    phase = min(_HELD, len(places)) - 1
    held = [p for n, p in enumerate(places) if n % _HELD == phase]
    return Layout(tuple(p for p in places if p not in set(held)), tuple(held), side)


def _places(sites: Sequence[Site], side: int, grain: int) -> list[Place]:
    return [
        Place(index, window)
        for index, site in enumerate(sites)
        for window in lattice(site.area, side, grain)
    ]


class Collection:
    """Cells made ready, and batches of patches.

    Parameters
    ----------
    sites : sequence of Site
        Where cells come from.
    places : sequence of Place
        The cells.
    form : {"published", "anchored"}
        How the network is fed.
    value_scale : float
        Counts that are 1 to the network; not used when anchored.
    """

    def __init__(
        self, sites: Sequence[Site], places: Sequence[Place], form: str, value_scale: float
    ) -> None:
        self.sites, self.places, self.form = sites, places, form
        self.value_scale = value_scale
        self.ratio = sites[0].traits.ratio
        self._fits: Memo[int, AnchorFit] = Memo(
            lambda site: fit_anchor(self.sites[site]), lambda fit: 1, 1 << 20
        )
        self._cells: Memo[int, Cell] = Memo(self._make, lambda cell: cell.nbytes, _CACHE)
        #: Cells with too few valid pixels; they are found out one by one.
        self._empty: set[int] = set()

    def __len__(self) -> int:
        return len(self.places)

    def cell(self, index: int) -> Cell:
        """One cell."""
        return self._cells[index]

    def filled(self, index: int, least: float) -> int:
        """Number of a cell, or of the next one, of which a share of `least` is valid.

        Raises
        ------
        SceneError
            There is none.
        """
        for further in range(len(self)):
            found = (index + further) % len(self)
            if found not in self._empty:
                valid = self.cell(found).valid
                if valid is None or valid.mean() >= least:
                    return found
                self._empty.add(found)
        raise SceneError(
            f"'{self.sites[0].path}' has no part with valid pixels enough; check its nodata value"
        )

    def _make(self, index: int) -> Cell:
        place = self.places[index]
        site = self.sites[place.site]
        if self.form == "published":
            return published_cell(site.example(place.window, 0), self.value_scale)
        context = glp_halo(site.traits.ratio, site.traits.gains)
        return anchored_cell(site.example(place.window, context), self._fits[place.site])


class Sampler:
    """Which patches a step takes.

    Parameters
    ----------
    collection : Collection
        Training cells.
    recipe : TrainingRecipe
        Batch, augmentation, noise.
    patch : int
        Side of a patch, guide pixels.
    seed : int
        Of everything that is drawn.
    flips : bool
        Whether the symmetries of the square are drawn.
    """

    def __init__(
        self, collection: Collection, recipe: TrainingRecipe, patch: int, seed: int, *, flips: bool
    ) -> None:
        self.collection, self.recipe, self.patch, self.seed = collection, recipe, patch, seed
        self.flips = flips
        self._counts = [
            max(1, (p.window.height // patch) * (p.window.width // patch))
            for p in collection.places
        ]
        total = recipe.epoch_patches or sum(self._counts)
        self.steps_per_epoch = max(1, total // recipe.batch)
        self._orders = Memo(self._order, lambda order: order.nbytes, 64 << 20)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Cells of the patches of an epoch; a cell comes up in one stretch, mixed with others."""
        rng = np.random.default_rng([self.seed, 1, epoch])
        wanted = self.steps_per_epoch * self.recipe.batch
        order: list[NDArray[np.int64]] = []
        while sum(map(len, order)) < wanted:
            cells = rng.permutation(len(self._counts))
            for start in range(0, len(cells), _GROUP):
                group = cells[start : start + _GROUP]
                order.append(rng.permutation(np.repeat(group, [self._counts[c] for c in group])))
        return np.concatenate(order)[:wanted]

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The patches of a step, or the share of one process.

        Parameters
        ----------
        step : int
            Counted from 0.
        rank, world : int
            Which process of how many.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._orders[epoch]
        first = place * self.recipe.batch
        parts = [
            self._patch(int(order[n]), np.random.default_rng([self.seed, 2, epoch, n]))
            for n in range(first + rank, first + self.recipe.batch, world)
        ]
        guides, images, targets, masks = zip(*parts, strict=True)
        guide, image, target = (
            torch.from_numpy(np.stack(planes)) for planes in (guides, images, targets)
        )
        valid = None
        if any(mask is not None for mask in masks):
            whole = np.ones((1, self.patch, self.patch), dtype=bool)
            valid = torch.from_numpy(np.stack([whole if m is None else m for m in masks]))
        return Batch(guide, image, target, valid)

    def _patch(self, index: int, rng: np.random.Generator) -> Patch:
        cell = self.collection.cell(self.collection.filled(index, _FILLED))
        side, zoom = self.patch, cell.zoom
        rows, cols = ((size - side) // zoom + 1 for size in cell.shape)
        best: tuple[float, tuple[slice, slice]] = (-1.0, (slice(0, side), slice(0, side)))
        for _ in range(_TRIES):
            row, col = (zoom * int(rng.integers(count)) for count in (rows, cols))
            fine = (slice(row, row + side), slice(col, col + side))
            share = 1.0 if cell.valid is None else float(cell.valid[fine].mean())
            best = max(best, (share, fine), key=lambda pair: pair[0])
            if share >= 0.5:
                break
        fine = best[1]
        coarse = tuple(slice(s.start // zoom, s.stop // zoom) for s in fine)
        image = cell.image[:, *coarse]
        if self.recipe.noise_db is not None:
            power = (image.astype(np.float64) ** 2).mean(axis=(1, 2), keepdims=True)
            level = np.sqrt(power / 10.0 ** (self.recipe.noise_db / 10.0)).astype(np.float32)
            image = image + level * rng.standard_normal(image.shape, dtype=np.float32)
        turn = int(rng.integers(8)) if self.flips else 0
        valid = None if cell.valid is None else cell.valid[None, *fine]
        return (
            _turned(cell.guide[:, *fine], turn),
            _turned(image, turn),
            _turned(cell.target[:, *fine], turn),
            None if valid is None else _turned(valid, turn),
        )


def _turned(plane: NDArray[S], turn: int) -> NDArray[S]:
    """One of the eight symmetries of the square."""
    result = np.rot90(plane, turn % 4, axes=(1, 2))
    return np.ascontiguousarray(result[:, :, ::-1] if turn >= 4 else result)
