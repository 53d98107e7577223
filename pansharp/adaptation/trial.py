"""A trial: the scene at reduced resolution, and what the classical methods reach there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.backproject import BackProjected, back_project, backprojection_halo
from pansharp.adaptation.guard import MIN_BLOCKS, BlockScores, score_blocks
from pansharp.adaptation.level import BORDER, ReducedScene, reduce_window, sample_windows
from pansharp.adaptation.split import Split, make_split, share_blocks
from pansharp.chips import Chip, read_chip
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import glp_halo
from pansharp.models import create_model
from pansharp.models.base import SceneFacts, prepare_with

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pansharp.models.base import Fuser
    from pansharp.scene import Scene

__all__ = ["YARDSTICKS", "Trial", "fit_classical"]

#: The classical methods that every product is compared with.
YARDSTICKS = ("exp", "brovey", "gsa", "bdsd-pc", "mtf-glp-fs")
#: Back-projection passes that may be chosen.
PASSES = (0, 1, 2)


def fit_classical(
    name: str,
    chips: Sequence[Chip],
    facts: SceneFacts,
    given: Mapping[str, object] | None = None,
) -> Fuser:
    """Prepare a classical method, with its own options, on the statistics of several chips."""
    return prepare_with(
        create_model(name, **(given or {})),
        facts,
        lambda model: (model.measure(chip, facts) for chip in chips),
    )


@dataclass
class Trial:
    """Reduced scenes of one scene, their blocks, and the classical methods on them.

    Parameters
    ----------
    scene : Scene
        The scene, with the shift that shall hold.
    facts : SceneFacts
        Its MTF gains.
    budget : int
        MS pixels to work on.
    given : mapping of str to mapping
        Options of single methods, by name.
    """

    scene: Scene
    facts: SceneFacts
    budget: int
    given: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    reduced: list[ReducedScene] = field(init=False)
    folds: list[list[Split]] = field(init=False)
    chips: list[Chip] = field(init=False)
    _facts: SceneFacts = field(init=False)
    _fusers: dict[str, Fuser] = field(init=False, default_factory=dict)
    _scores: dict[tuple[str, int], BlockScores] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        gains = self.facts.ms_gains
        windows = sample_windows(self.scene, self.budget)
        every = [reduce_window(self.scene, window, gains) for window in windows]
        # Windows in the empty part of a scene have nothing to say.
        self.reduced = [r for r in every if r.valid.mean() > 0.25] or every[:1]
        self.folds = [self._fold(1)]
        held = _count(self.folds[0])
        if held >= 2 * MIN_BLOCKS:
            self.folds = [share_blocks(self.folds[0])]
        elif held < MIN_BLOCKS:
            self.folds.append(self._fold(0))
        ratio = self.scene.ratio
        halo = glp_halo(ratio, gains) + backprojection_halo(ratio, gains, max(PASSES))
        self.chips = self._read(max(halo, int(np.ceil(ratio * 28))))
        alignment = self.reduced[0].scene.alignment
        self._facts = SceneFacts(
            alignment, gains, self.facts.pan_gain, self.facts.sensor, self.facts.band_names
        )

    def _fold(self, phase: int) -> list[Split]:
        return [make_split(r.valid, border=BORDER, phase=phase) for r in self.reduced]

    def _read(self, halo: int) -> list[Chip]:
        return [read_chip(r.scene, Window(0, 0, *r.scene.shape[1:]), halo) for r in self.reduced]

    def _with_halo(self, halo: int) -> list[Chip]:
        """The chips, read again where a method looks farther than usual."""
        return self.chips if halo <= self.chips[0].halo else self._read(halo)

    @property
    def score_count(self) -> int:
        """Number of printed blocks, over all folds."""
        return sum(_count(fold) for fold in self.folds)

    @property
    def selects(self) -> bool:
        """Whether there are blocks to choose among states with."""
        return any(split.choose for split in self.folds[0])

    @property
    def block_size(self) -> int:
        """Side of the blocks, MS pixels."""
        return self.folds[0][0].size

    @property
    def train_pixels(self) -> int:
        """Pixels that the loss may use, in the smallest fold."""
        return min(int(sum(s.train.sum() for s in fold)) for fold in self.folds)

    @property
    def pixels(self) -> int:
        """All pixels of the reduced scenes."""
        return sum(r.valid.size for r in self.reduced)

    def fuser(self, name: str) -> Fuser:
        """A classical method, prepared at the reduced level."""
        if name not in self._fusers:
            given = self.given.get(name, {})
            halo = create_model(name, **given).measure_halo(self._facts)
            self._fusers[name] = fit_classical(name, self._with_halo(halo), self._facts, given)
        return self._fusers[name]

    def classical(self, name: str, passes: int) -> BlockScores:
        """Scores of a classical method with `passes` back-projections."""
        key = (name, passes)
        if key not in self._scores:
            inner = self.fuser(name)
            gains = self.facts.ms_gains
            fuser: Fuser = (
                BackProjected(inner, gains, passes, self.scene.ratio) if passes else inner
            )
            self._scores[key] = self.score(self.products(fuser))
        return self._scores[key]

    def products(self, fuser: Fuser) -> list[NDArray[np.float32]]:
        """Whole products of a fuser, one a reduced scene, counts (band, y, x) float32."""
        return [fuser(chip) for chip in self._with_halo(fuser.halo)]

    def best_classical(self, passes: int, but: str | None = None) -> str:
        """Classical method of the smallest ERGAS on the printed blocks, `but` left out."""
        others = [name for name in YARDSTICKS if name != but]
        return min(others, key=lambda name: self.classical(name, passes).ergas)

    def score(
        self, products: Sequence[NDArray[np.float32]], fold: int | None = None
    ) -> BlockScores:
        """Score whole products, one a reduced scene, on the blocks of one fold or of all."""

        def cut(index: int, window: Window) -> NDArray[np.float32]:
            return products[index][:, *window.slices]

        folds = self.folds if fold is None else [self.folds[fold]]
        return BlockScores.merge(
            [score_blocks(self.reduced, splits, cut, self.scene.ratio) for splits in folds]
        )

    def back_projected(
        self, products: Sequence[NDArray[np.float32]], passes: int
    ) -> list[NDArray[np.float32]]:
        """Back-project whole products; beyond the border they are replicated."""
        margin = backprojection_halo(self.scene.ratio, self.facts.ms_gains, passes)
        pad = ((0, 0), (margin, margin), (margin, margin))
        return [
            back_project(np.pad(p, pad, mode="edge"), chip, self.facts.ms_gains, passes)
            if passes
            else p
            for p, chip in zip(products, self.chips, strict=True)
        ]

    def score_passes(
        self, products: Sequence[NDArray[np.float32]], fold: int
    ) -> dict[int, BlockScores]:
        """Scores of a product on one fold after 0, 1 and 2 back-projections."""
        return {k: self.score(self.back_projected(products, k), fold) for k in PASSES}


def _count(splits: Sequence[Split]) -> int:
    return sum(len(split.score) for split in splits)
