"""The card of trained weights: what they are for, what they were made of, what they reach."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.weights import WeightsCard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pansharp.models.facts import TrainingRecipe
    from pansharp.training.examples import Site, Traits
    from pansharp.training.loop import Course
    from pansharp.training.options import TrainOptions

__all__ = ["Story", "describe_data"]


def describe_data(sites: Sequence[Site], places: int, held: int) -> str:
    """Name the files with the number of their sites, and how many cells they gave.

    Parameters
    ----------
    sites : sequence of Site
        What was trained on.
    places, held : int
        Cells for training, and held out of them.
    """
    counts = Counter(Path(site.path).name for site in sites)
    files = ", ".join(name if n == 1 else f"{name} ({n} items)" for name, n in counts.items())
    return f"{files}: {places} cells" + (f", {held} more held out" if held else "")


@dataclass(frozen=True)
class Story:
    """Everything a card tells but the scores.

    Parameters
    ----------
    options : TrainOptions
        What was asked for.
    traits : Traits
        Of the data.
    pan_bands : int
        Channels of the guide that the network is fed.
    scale : float or None
        Counts that are 1 to the network.
    course : Course
        Recipe and length.
    data, validation : str
        What the weights were trained and judged on.
    more : mapping
        Further entries of the card's recipe.
    """

    options: TrainOptions
    traits: Traits
    pan_bands: int
    scale: float | None
    course: Course
    data: str
    validation: str
    more: Mapping[str, Any]

    def card(self, scores: Mapping[str, Any]) -> WeightsCard:
        """The card of weights that reached `scores`."""
        traits, options = self.traits, self.options
        return WeightsCard(
            network=options.model,
            arch=dict(options.arch),
            task=traits.task,
            form=options.form,
            ms_bands=traits.ms_bands,
            pan_bands=self.pan_bands,
            ratio=traits.ratio,
            sensor=None if traits.sensor is None else traits.sensor.name,
            band_names=_names(traits),
            wavelengths_nm=_waves(traits),
            value_scale=self.scale,
            mtf_gains=traits.gains,
            data=self.data,
            terms=options.terms,
            recipe=self._recipe(self.course.recipe),
            seed=options.seed,
            scores=scores,
        )

    def _recipe(self, recipe: TrainingRecipe) -> dict[str, Any]:
        told = {key: value for key, value in asdict(recipe).items() if value is not None}
        return {
            **told,
            "steps": self.course.steps,
            "steps_per_epoch": self.course.epoch,
            "preset": options_preset(self.options),
            "precision": self.course.precision,
            "grid": self.traits.grid,
            **self.more,
        }


def options_preset(options: TrainOptions) -> str:
    """Name of the preset that was used."""
    return options.preset or ("published" if options.form == "published" else "adaptation")


def _names(traits: Traits) -> tuple[str, ...]:
    """Names of the bands: the data's own, else those of a sensor with as many bands."""
    if traits.band_names:
        return traits.band_names
    found = () if traits.sensor is None else traits.sensor.match(None, traits.ms_bands)
    return tuple(band.name for band in found)


def _waves(traits: Traits) -> tuple[float | None, ...]:
    if traits.wavelengths:
        return traits.wavelengths
    if traits.sensor is None:
        return ()
    found = traits.sensor.match(traits.band_names or None, traits.ms_bands)
    return tuple(band.centre_nm for band in found)
