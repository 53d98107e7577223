"""Scores of a fused image under named conventions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.evaluation import clip_dn, cut_border, d_lambda, d_s, evaluate, scc
from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pansharp.benchmarking.conventions import Conventions
    from pansharp.chips import Chip
    from pansharp.models.base import Fuser, SceneFacts
    from pansharp.scene import Scene
    from pansharp.source import Source

    Scores = tuple[dict[str, float], list[str]]

__all__ = [
    "Clipped",
    "against_reference",
    "data_range",
    "mean_scores",
    "on_toolbox_grid",
    "true_grids",
    "whole",
]

_PAPER = ("paper", "paper")
_TOOLBOX = ("toolbox", "toolbox")


@dataclass(frozen=True)
class Clipped:
    """A fuser whose output is limited to 0 ... 2^bits.

    Parameters
    ----------
    inner : Fuser
        Any prepared model.
    bits : int
        Radiometric resolution.
    """

    inner: Fuser
    bits: int

    @property
    def halo(self) -> int:
        """That of the model."""
        return self.inner.halo

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse and limit."""
        return np.clip(self.inner(chip), 0.0, float(2**self.bits))


def whole(source: Source) -> NDArray[np.generic]:
    """All pixels of an image that fits in memory."""
    return source.read(Window(0, 0, source.height, source.width))


def data_range(scene: Scene, rules: Conventions) -> float | None:
    """Largest value possible: by ``--bits``, else that of the sensor; None where unknown."""
    if rules.bits is not None:
        return float(2**rules.bits - 1)
    # The largest count means nothing for radiance and reflectance.
    top = scene.sensor.max_dn if scene.sensor and scene.radiometry is None else None
    return None if top is None else float(top)


def _limited(fused: NDArray[np.float32], rules: Conventions) -> NDArray[np.generic]:
    return fused if rules.bits is None else clip_dn(fused, rules.bits)


def against_reference(
    reference: NDArray[np.generic],
    fused: NDArray[np.float32],
    rules: Conventions,
    *,
    ratio: float,
    top: float | None,
    valid: NDArray[np.bool_] | None = None,
    rounding: Literal["uint16", "none"] = "uint16",
) -> Scores:
    """Indices with a reference, the border left out.

    Parameters
    ----------
    reference, fused : ndarray, shape (band, y, x)
        Counts.
    rules : Conventions
        Border, limits, variant of SCC.
    ratio : float
        MS pixel over PAN pixel.
    top : float or None
        Largest value possible; None leaves PSNR and SSIM out.
    valid : ndarray, shape (y, x), bool, optional
        True where valid.
    rounding : {"uint16", "none"}
        `Scene.rounding`.

    Returns
    -------
    scores : dict
        Index to value; PSNR both over all bands together and as the mean of the bands'.
    notes : list of str
    """
    truth = cut_border(reference, rules.cut)
    product = cut_border(_limited(fused, rules), rules.cut)
    mask = None if valid is None else cut_border(valid, rules.cut)
    report = evaluate(
        reference=truth,
        fused=product,
        ratio=ratio,
        mask=mask,
        data_range=top,
        rounding=rounding,
    )
    scores = dict(report.scores)
    if rules.scc != "2021" and "scc" in scores:
        scores["scc"] = scc(truth, product, variant=rules.scc, mask=mask)
    if "psnr" in report.per_band:
        scores["psnr_bands"] = float(np.mean(report.per_band["psnr"]))
    notes = list(report.notes)
    if top is None:
        notes.append("psnr and ssim left out: no --bits and no sensor with a known range")
    return scores, notes


def mean_scores(parts: Sequence[Scores]) -> Scores:
    """Mean over the windows that stand for a large scene, of the indices that all of them have."""
    keys = [key for key in parts[0][0] if all(key in scores for scores, _ in parts)]
    notes = list(dict.fromkeys(note for _, more in parts for note in more))
    return {key: float(np.mean([scores[key] for scores, _ in parts])) for key in keys}, notes


def on_toolbox_grid(
    fused: NDArray[np.float32], scene: Scene, facts: SceneFacts, rules: Conventions
) -> Scores:
    """Indices without a reference exactly as the toolbox has them, for pairs on its grid.

    Parameters
    ----------
    fused : ndarray, shape (band, y, x)
        Counts.
    scene : Scene
        The pair, every pixel valid.
    facts : SceneFacts
        Its MTF gains.
    rules : Conventions
        Variants.

    Returns
    -------
    scores, notes
    """
    from pansharp.adaptation.backproject import consistency
    from pansharp.chips import read_chip

    ratio = scene.alignment.integer_ratio
    assert ratio is not None
    chip = read_chip(scene, Window(0, 0, *scene.shape[1:]), 0)
    ms, pan = whole(scene.ms_source), chip.guide()[0]
    product = _limited(fused, rules)
    given = facts.extra.get("gains_source") in ("given", "measured")
    sensor = facts.ms_gains[0] if given else (scene.sensor or "none")
    report = evaluate(
        fused=product, pan=pan, ms=ms, ratio=ratio, sensor=sensor, rounding=scene.rounding
    )
    scores, notes = dict(report.scores), list(report.notes)
    variants = (rules.d_lambda, rules.d_s)
    if variants != _TOOLBOX:
        if "d_lambda" in scores:
            scores["d_lambda"] = d_lambda(product, ms, ratio=ratio, variant=rules.d_lambda)
        scores["d_s"] = d_s(product, ms, pan, ratio=ratio, variant=rules.d_s, sensor=sensor)
    gap = consistency(np.asarray(product, dtype=np.float32), chip, facts.ms_gains)
    return {**_products(scores), **_relative(gap)}, notes


def true_grids(
    fuser: Fuser,
    scene: Scene,
    facts: SceneFacts,
    rules: Conventions,
    fused: NDArray[np.float32] | None = None,
) -> Scores:
    """Indices without a reference on any grid: M~ and the shrunk PAN at their true positions.

    Parameters
    ----------
    fuser : Fuser
        The product, read window by window.
    scene : Scene
        The pair.
    facts : SceneFacts
        MTF gains.
    rules : Conventions
        Variants.
    fused : ndarray, shape (band, y, x), optional
        The whole product, where the grids share their corner: the variants of the QNR paper need
        no interpolation and are then exact.

    Returns
    -------
    scores, notes
        Empty when the scene is smaller than one block.
    """
    from pansharp.adaptation.fullscale import full_scores, full_windows

    windows = full_windows(scene)
    if not windows:
        return {}, ["smaller than one block of 32 PAN pixels: no indices without reference"]
    product = fuser if rules.bits is None else Clipped(fuser, rules.bits)
    scores = full_scores(scene, {"product": product}, windows, facts)["product"]
    variants = (rules.d_lambda, rules.d_s)
    if variants == _TOOLBOX:
        return scores, []
    if variants == _PAPER and fused is not None:
        ratio = scene.alignment.integer_ratio
        assert ratio is not None
        ms = whole(scene.ms_source)
        pan = whole(scene.pan_source)
        image = _limited(fused, rules)
        scores["d_lambda"] = d_lambda(image, ms, ratio=ratio, variant="paper")
        scores["d_s"] = d_s(image, ms, pan, ratio=ratio, variant="paper")
        return _products(scores), []
    kept: dict[str, float] = {
        key: scores[key] for key in scores if key in ("d_lambda_k", "rmse_to_ms")
    }
    names = " and ".join(sorted({name for name in variants if name != "toolbox"}))
    return kept, [f"D_lambda, D_s, QNR and HQNR left out: variant {names} needs the toolbox's grid"]


def _products(scores: Mapping[str, float]) -> dict[str, float]:
    """QNR and HQNR of the variants chosen."""
    result = dict(scores)
    if "d_lambda" in scores and "d_s" in scores:
        result["qnr"] = (1 - scores["d_lambda"]) * (1 - scores["d_s"])
    if "d_lambda_k" in scores and "d_s" in scores:
        result["hqnr"] = (1 - scores["d_lambda_k"]) * (1 - scores["d_s"])
    return result


def _relative(gap: NDArray[np.float64]) -> dict[str, float]:
    """RMSE between the degraded product and the MS, per cent of the mean MS."""
    count, squares, total = gap.sum(axis=1)
    if not count or total <= 0:
        return {}
    return {"rmse_to_ms": float(100.0 * math.sqrt(squares / count) / (total / count))}
