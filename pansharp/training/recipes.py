"""Which recipe a run follows: that of the network's page, a short one, or that of adaptation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pansharp.errors import OptionError
from pansharp.models.facts import TrainingRecipe

if TYPE_CHECKING:
    from pansharp.models.facts import NetworkSpec
    from pansharp.training.options import TrainOptions

__all__ = ["PRESETS", "adaptation_recipe", "choose_recipe"]

PRESETS = ("published", "quick")
#: Steps of a training in the anchored form: that of one scene needs a few hundred.
_LONG, _SHORT = 20_000, 2000


def adaptation_recipe(spec: NetworkSpec, steps: int, loss: str) -> TrainingRecipe:
    """The recipe of adaptation to one scene, prolonged.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    steps : int
        Length.
    loss : str
        See :mod:`pansharp.training.losses`.
    """
    recipe = spec.adaptation
    return TrainingRecipe(
        source="adaptation to one scene, prolonged",
        loss=loss,
        rate=recipe.peak_lr,
        batch=recipe.batch,
        patch=recipe.patch,
        steps=steps,
        optimiser="adamw",
        weight_decay=0.01,
        schedule="onecycle",
        clip=recipe.clip,
        ema=0.99,
    )


def choose_recipe(spec: NetworkSpec, options: TrainOptions) -> TrainingRecipe:
    """The recipe that the options name, with what they change.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    options : TrainOptions
        ``form``, ``preset``, ``epochs``, ``steps``, ``batch``, ``patch``, ``rate``.

    Returns
    -------
    TrainingRecipe

    Raises
    ------
    OptionError
        The preset ``published`` together with the form ``anchored``, which no paper has.
    """
    if options.form == "anchored":
        if options.preset == "published":
            raise OptionError(
                "--preset published is a recipe for --form published; leave it off for the "
                "recipe of adaptation, or take --preset quick"
            )
        steps = _SHORT if options.preset == "quick" else _LONG
        recipe = adaptation_recipe(spec, steps, "residual-l1")
    else:
        quick = options.preset == "quick"
        known = spec.quick if quick else spec.training
        recipe = known or adaptation_recipe(spec, _SHORT if quick else _LONG, "l1")
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs, steps=None)
    if options.steps is not None:
        recipe = replace(recipe, steps=options.steps, epochs=None)
    changed = {
        key: value
        for key in ("batch", "patch", "rate")
        if (value := getattr(options, key)) is not None
    }
    return replace(recipe, **changed)
