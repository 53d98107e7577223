"""Weights that a fusion starts from, and weights that it leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.card import scene_digests
from pansharp.errors import WeightsError
from pansharp.weights import WeightsCard, check_fits, find_weights, load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from pansharp.adaptation.settings import Start
    from pansharp.adaptation.trial import Trial
    from pansharp.options import FuseOptions
    from pansharp.outcome.base import Outcome
    from pansharp.scene import Scene

__all__ = ["GivenWeights", "keep_weights"]

#: Characters of a digest that name weights on a card.
_SHORT = 12
#: Grid of published weights that do not say theirs: that of the research sets.
_GRID = "toolbox"
#: Facts of the adaptation that the weights' own card repeats.
_TOLD = ("steps", "peak_rate", "flips", "weights", "retrained_on_all")


class GivenWeights:
    """The weights that ``--weights`` names.

    Parameters
    ----------
    source : str
        File, or name of shipped or kept weights.

    Raises
    ------
    WeightsError
        There are none of that name, or the file is not sound.
    """

    def __init__(self, source: str) -> None:
        self.card: WeightsCard
        self.state: Mapping[str, Tensor]
        self.path = find_weights(source)
        self.card, self.state = load_weights(self.path)

    @property
    def label(self) -> str:
        """What the score card calls them: name of the file and start of the digest."""
        return f"{self.path.stem} ({self.card.digest[:_SHORT]})"

    @property
    def grid(self) -> str:
        """How the grids of the training lay."""
        return str(self.card.recipe.get("grid", _GRID))

    def trained_on(self, scene: Scene) -> bool:
        """Whether files of the scene were among those that the weights were trained on."""
        known = self.card.recipe.get("scene_digests", ())
        return not set(known).isdisjoint(scene_digests(scene))

    def start(self, trial: Trial, network: str) -> tuple[Start, list[str]]:
        """Check the weights against a scene.

        Parameters
        ----------
        trial : Trial
            The scene, and samples of its values.
        network : str
            That was asked for.

        Returns
        -------
        Start
            For the adaptation.
        list of str
            What could not be checked, or may lower the quality.

        Raises
        ------
        WeightsError
            They are for other bands, another ratio or another range of values.
        """
        from pansharp.adaptation.settings import Start

        scene, card = trial.scene, self.card
        try:
            notes = check_fits(
                card,
                network=network,
                task="pan",
                bands=scene.bands,
                ratio=scene.ratio,
                band_names=scene.band_names,
                wavelengths_nm=scene.wavelengths,
                sensor=scene.sensor.name if scene.sensor else None,
                largest=_largest(trial),
                mtf_gains=trial.facts.ms_gains,
            )
        except WeightsError as problem:
            raise WeightsError(f"'{self.path}': {problem}") from problem
        scale = card.value_scale if card.form == "published" else None
        return Start(self.label, card.arch, self.state, scale, self.grid), notes


def _largest(trial: Trial) -> float:
    """Largest valid value of MS and PAN in the windows of a trial, counts.

    The PAN of a trial has been shrunk by a cubic that overshoots at edges: its topmost thousandth
    says nothing of the file.
    """
    found = [0.0]
    for reduced, chip in zip(trial.reduced, trial.chips, strict=True):
        if reduced.valid.any():
            found.append(float(reduced.reference[:, reduced.valid].max()))
            found.append(float(np.quantile(chip.guide()[0][reduced.valid], 0.999)))
    return float(np.max(found))


def keep_weights(outcome: Outcome, options: FuseOptions, given: GivenWeights | None = None) -> None:
    """Write the weights of the product where ``--save-weights`` says.

    Raises
    ------
    WeightsError
        The file cannot be written.
    """
    if options.save_weights is None:
        return
    adapted, scene = outcome.adapted, outcome.scene
    if adapted is None or outcome.used != adapted.facts["name"]:
        outcome.warn(
            f"no weights are kept in '{options.save_weights}': the product is made by "
            f"'{outcome.used}'"
        )
        return
    facts, trial = adapted.facts, outcome.trial
    assert trial is not None
    # Weights remember every scene that they have seen, through any number of starts.
    earlier = [] if given is None else list(given.card.recipe.get("scene_digests", ()))
    name = trial.best_classical(outcome.passes)
    best = {"name": name, **trial.classical(name, outcome.passes).as_dict()}
    published = adapted.form.name == "published"
    card = WeightsCard(
        network=outcome.used,
        arch=adapted.arch,
        task="pan",
        form=adapted.form.name,
        ms_bands=scene.bands,
        pan_bands=adapted.form.guide_bands,
        ratio=scene.ratio,
        sensor=scene.sensor.name if scene.sensor else None,
        band_names=scene.band_names,
        wavelengths_nm=scene.wavelengths or (),
        value_scale=float(adapted.form.scale[0]) if published else None,
        mtf_gains=outcome.facts.ms_gains,
        data=f"scene '{scene.name}', degraded by its ratio",
        terms="those of the scene",
        recipe={
            **{key: facts[key] for key in _TOLD},
            **({"grid": given.grid} if published and given else {}),
            "scene_digests": scene_digests(scene) + earlier,
        },
        seed=options.seed,
        scores={
            "on unseen blocks of this scene": adapted.scores[outcome.passes].as_dict(),
            "best classical method there": best,
        },
    )
    save_weights(options.save_weights, adapted.weights, card)
