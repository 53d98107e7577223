"""Proof of a hyperspectral product: the same fusion one ratio coarser, where the truth is known."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.backproject import back_project, backprojection_halo, consistency
from pansharp.adaptation.guard import BlockScores, Verdict, compare, score_blocks
from pansharp.adaptation.level import ReducedScene, reduce_window, sample_windows
from pansharp.adaptation.split import Split
from pansharp.chips import read_chip
from pansharp.errors import MetricError, ModelError
from pansharp.evaluation import psnr, q, ssim
from pansharp.geometry.grids import Window
from pansharp.models import create_model
from pansharp.models.base import prepare_with
from pansharp.models.hyperspectral.operators import BLOCK, inner_pixels, psf_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from pansharp.hyperspectral import PreparedPair
    from pansharp.models.base import Fuser, FusionModel, Moments, SceneFacts

__all__ = [
    "YARDSTICKS",
    "CubeTrial",
    "Judged",
    "judge",
    "note_scores",
    "rmse_to_hsi",
    "score_all",
    "trial_of",
]

#: Quick methods that every hyperspectral product is compared with.
YARDSTICKS = ("exp", "glp-hs", "gsa-hs", "loc-hs")
#: HSI pixels that are scored.
_BUDGET = 16_000
#: Fewest HSI pixels a side: two coarse pixels and one block are left.
_LEAST = 16
#: Windows of the consistency check.
_WINDOWS = 4


class CubeTrial:
    """Windows of a pair, degraded by its own ratio, and what methods reach on them.

    Nothing is held out: a method sees the degraded images of a block, never its reference.

    Parameters
    ----------
    pair : PreparedPair
        The pair.
    """

    def __init__(self, pair: PreparedPair) -> None:
        scene, facts = pair.usable, pair.facts
        windows = sample_windows(scene, _BUDGET)
        # The truth is the HSI: the guide of its level must be as blurred as it is.
        psf = psf_of(facts)
        every = [reduce_window(scene, w, facts.ms_gains, guide=psf) for w in windows]
        self.reduced: list[ReducedScene] = [r for r in every if r.valid.mean() > 0.25]
        self.splits = [_blocks(r.valid) for r in self.reduced]
        shapes = {r.scene.shape[1:] for r in self.reduced}
        shape = shapes.pop() if len(shapes) == 1 else None
        self.ratio = scene.ratio
        self.facts: SceneFacts = facts
        if self.reduced:
            alignment = self.reduced[0].scene.alignment
            self.facts = replace(facts, alignment=alignment, shape=shape)

    @property
    def blocks(self) -> int:
        """Number of score blocks."""
        return sum(len(split.score) for split in self.splits)

    @property
    def block_size(self) -> int:
        """Side of the blocks, HSI pixels."""
        return self.splits[0].size

    @property
    def coarse_pixels(self) -> int:
        """Pixels of the degraded HSI that hold data."""
        return sum(
            r.scene.ms_source.height * r.scene.ms_source.width
            if r.valid.all()
            else int(r.valid.sum() / self.ratio**2)
            for r in self.reduced
        )

    def score(
        self, name: str, passes: int, given: Mapping[str, object] | None = None
    ) -> BlockScores:
        """Fit a method, with its own options, to the degraded pair and score it."""
        return self.score_fuser(self.fit(name, given), passes)

    def score_fuser(self, fuser: Fuser, passes: int) -> BlockScores:
        """Score what was fitted to the degraded pair, back-projected `passes` times."""
        gains, inside = self.facts.ms_gains, inner_pixels(self.facts)
        margin = backprojection_halo(self.ratio, gains, passes)
        pad = ((0, 0), (margin, margin), (margin, margin))
        products = []
        for r in self.reduced:
            chip = read_chip(r.scene, Window(0, 0, *r.scene.shape[1:]), max(fuser.halo, margin))
            fused = fuser(chip)
            if passes:
                wide = np.pad(fused, pad, mode="edge")
                fused = back_project(wide, chip, gains, passes, inside)
            products.append(fused)

        def cut(index: int, window: Window) -> NDArray[np.float32]:
            return products[index][:, *window.slices]

        scores = score_blocks(self.reduced, self.splits, cut, self.ratio)
        return replace(scores, whole=_whole(self.reduced, products))

    def fit(self, name: str, given: Mapping[str, object] | None = None) -> Fuser:
        """Prepare a method on the degraded pair."""
        return self.fit_model(create_model(name, **(given or {})))

    def fit_model(self, model: FusionModel) -> Fuser:
        """Prepare a model on the degraded pair."""

        def measures(model: FusionModel) -> Iterator[Moments | None]:
            halo = model.measure_halo(self.facts)
            for r in self.reduced:
                chip = read_chip(r.scene, Window(0, 0, *r.scene.shape[1:]), halo)
                yield model.measure(chip, self.facts)

        return prepare_with(model, self.facts, measures)


def _whole(reduced: list[ReducedScene], products: list[NDArray[np.float32]]) -> dict[str, float]:
    """PSNR (dB), SSIM and Q of the valid pixels, windows weighted by their number of pixels.

    SSIM needs 11 and Q 32 pixels a side; what does not fit any window is left out.
    """
    top = max(float(r.reference[:, r.valid].max(initial=0.0)) for r in reduced)
    sums: dict[str, list[float]] = {}
    for r, product in zip(reduced, products, strict=True):
        pair = r.reference.astype(np.float64), product.astype(np.float64)
        mask = None if r.valid.all() else r.valid
        found = {}
        # An image smaller than the index' window, or of nothing but 0, has no such index.
        with suppress(MetricError):
            found["psnr"] = psnr(*pair, data_range=top, mask=mask)
        with suppress(MetricError):
            found["ssim"] = ssim(*pair, data_range=top, mask=mask)
        with suppress(MetricError):
            found["q"] = q(*pair, mask=mask)
        for key, value in found.items():
            total = sums.setdefault(key, [0.0, 0.0])
            total[0] += value * float(r.valid.sum())
            total[1] += float(r.valid.sum())
    return {key: value / weight for key, (value, weight) in sums.items()}


def _blocks(valid: NDArray[np.bool_]) -> Split:
    """All whole blocks inside a border, those with half of their pixels valid."""
    height, width = valid.shape
    border = 8 if min(height, width) >= 48 else 4
    rows, cols = height - 2 * border, width - 2 * border
    size = 16 if (rows // 16) * (cols // 16) >= 8 else 8
    found = [
        Window(row, col, size, size)
        for row in range(border, border + rows - size + 1, size)
        for col in range(border, border + cols - size + 1, size)
    ]
    kept = tuple(w for w in found if valid[w.slices].mean() >= 0.5)
    return Split(size, valid, (), kept)


@dataclass
class Judged:
    """What is known of a product's quality.

    Parameters
    ----------
    reduced, full : dict
        Parts of the card.
    verdict : Verdict or None
        Against the best other method.
    warnings : list of str
        Why something is missing.
    """

    reduced: dict[str, object] = field(default_factory=dict)
    full: dict[str, dict[str, float]] = field(default_factory=dict)
    verdict: Verdict | None = None
    warnings: list[str] = field(default_factory=list)


def judge(
    pair: PreparedPair,
    name: str,
    fuser: Fuser,
    *,
    passes: int,
    seed: int,
    given: Mapping[str, object] | None = None,
) -> Judged:
    """Score a method at reduced resolution beside the yardsticks, and its consistency at full.

    Parameters
    ----------
    pair : PreparedPair
        The pair.
    name : str
        The method.
    fuser : Fuser
        The product, for chips of the usable bands.
    passes : int
        Back-projections of product and yardsticks.
    seed : int
        Of the bootstrap.
    given : mapping, optional
        Options of the method.

    Returns
    -------
    Judged
        Empty parts, with the reason among the warnings, where the scene does not admit them.
    """
    judged = Judged()
    trial = trial_of(pair, judged.warnings)
    if trial is not None:
        scores = score_all(trial, YARDSTICKS, passes, judged.warnings)
        if name not in scores:
            own = score_all(trial, (name,), passes, judged.warnings, given)
            scores |= own
        if name in scores and len(scores) > 1:
            note_scores(judged, trial, scores, name, seed)
    gap = rmse_to_hsi(pair, fuser)
    if gap is not None:
        judged.full = {"model": {"rmse_to_ms": gap}}
    return judged


def trial_of(pair: PreparedPair, notes: list[str]) -> CubeTrial | None:
    """The trial of a pair; None, and the reason in `notes`, where the pair is too small."""
    source = pair.usable.ms_source
    if min(source.height, source.width) < max(_LEAST, 2 * pair.usable.ratio):
        notes.append(
            f"the HSI has {source.height} x {source.width} pixels: too few to degrade it once more "
            "and score the result; there are no reduced-resolution scores"
        )
        return None
    trial = CubeTrial(pair)
    if not trial.reduced or not trial.blocks:
        notes.append("the scene has no valid score blocks: there are no reduced-resolution scores")
        return None
    return trial


def score_all(
    trial: CubeTrial,
    names: tuple[str, ...],
    passes: int,
    notes: list[str],
    given: Mapping[str, object] | None = None,
) -> dict[str, BlockScores]:
    """Scores of several methods; those that cannot be scored are told in `notes`."""
    scores: dict[str, BlockScores] = {}
    for each in names:
        try:
            scores[each] = trial.score(each, 0 if each == "exp" else passes, given)
        except ModelError as problem:
            notes.append(f"'{each}' cannot be scored at reduced resolution: {problem}")
    return scores


def note_scores(
    judged: Judged, trial: CubeTrial, scores: dict[str, BlockScores], name: str, seed: int
) -> None:
    """Compare one of several scored products with the best other; fill the card's part."""
    best = min((n for n in scores if n != name), key=lambda n: scores[n].ergas)
    verdict = compare(scores[name], scores[best], seed)
    judged.verdict = verdict
    judged.reduced = {
        "model": scores[name].as_dict(),
        "best_classical": scores[best].as_dict(),
        "classical_name": best,
        "exp": scores["exp"].as_dict(),
        "rho": round(verdict.rho, 5),
        "rho_interval": [round(verdict.low, 5), round(verdict.high, 5)],
        "win_rate": round(verdict.wins, 4),
        "blocks": verdict.blocks,
        "block_size": trial.block_size,
        "coarse_pixels": trial.coarse_pixels,
        "candidates": {n: s.as_dict() for n, s in scores.items() if n != name or n in YARDSTICKS},
    }
    if best == "exp" and name != "exp":
        judged.warnings.append(
            "no quick method beats plain interpolation at reduced resolution: the guide brings "
            "little (misregistration, another date, or too few HSI pixels to learn from)"
        )


def rmse_to_hsi(pair: PreparedPair, fuser: Fuser) -> float | None:
    """RMSE between the HSI and the product blurred back to it, per cent of the mean.

    Parameters
    ----------
    pair : PreparedPair
        The pair.
    fuser : Fuser
        For chips of the usable bands.

    Returns
    -------
    float or None
        None where the scene is too small, or its mean is not positive.
    """
    scene, gains = pair.usable, pair.facts.ms_gains
    total = np.zeros((3, scene.bands))
    for window in _windows(*scene.shape[1:]):
        chip = read_chip(scene, window, fuser.halo)
        total += consistency(fuser(chip), chip, gains)
    count, squares, level = total.sum(axis=1)
    if not count or level <= 0:
        return None
    return float(100.0 * np.sqrt(squares / count) / (level / count))


def _windows(height: int, width: int) -> list[Window]:
    """At most four of the blocks that iterative methods solve, spread over the scene."""
    every = [
        Window(row, col, min(BLOCK, height - row), min(BLOCK, width - col))
        for row in range(0, height, BLOCK)
        for col in range(0, width, BLOCK)
    ]
    large = [w for w in every if min(w.shape) >= BLOCK // 2] or every[:1]
    step = -(-len(large) // _WINDOWS)
    return large[step // 2 :: step]
