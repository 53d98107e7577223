"""From a scene and a model's name to a fuser that has been judged: what every command builds on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import BandMismatchError, ModelError
from pansharp.models import get_spec, is_network
from pansharp.outcome.base import Outcome, refuse_weights
from pansharp.registration import assumed_facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pansharp.options import FuseOptions
    from pansharp.outcome.network import Predict
    from pansharp.scene import Scene

__all__ = ["Outcome", "check_model", "decide", "is_cube"]

#: An image with more bands is a cube.
_MANY_BANDS = 16


def check_model(scene: Scene, name: str) -> None:
    """Refuse a model that cannot take this scene.

    Raises
    ------
    BandMismatchError
        Too few or too many bands.
    ModelError
        A ratio that the model cannot do.
    """
    spec = get_spec(name)
    guides = scene.pan_source.bands
    if guides > 1 and "hsi" not in spec.tasks:
        raise ModelError(
            f"model '{name}' takes one panchromatic band, the guide of scene '{scene.name}' has "
            f"{guides}: give one with --pan, or take a hyperspectral method such as 'gsa-hs'"
        )
    if spec.bands is not None:
        low, high = spec.bands
        if scene.bands < low or (high is not None and scene.bands > high):
            limits = (
                f"{low}" if high == low else f"{low} or more" if high is None else f"{low}-{high}"
            )
            raise BandMismatchError(
                f"model '{name}' needs {limits} bands, scene '{scene.name}' has {scene.bands}; "
                "choose another model or --bands"
            )
    if spec.ratio is not None:
        least, most = spec.ratio
        if scene.ratio < least or (most is not None and scene.ratio > most):
            raise ModelError(
                f"model '{name}' works for ratios {least:g} to {most or 'any'}, scene "
                f"'{scene.name}' has {scene.ratio:.3f}; choose another model"
            )


def decide(
    scene: Scene,
    options: FuseOptions,
    *,
    folder: Path | None,
    budget: int | None = None,
    progress: Callable[[float, float, str], None] | None = None,
    predict: Predict | None = None,
) -> Outcome:
    """Prepare a model on a scene; fit and judge it where that is asked for.

    Parameters
    ----------
    scene : Scene
        The scene.
    options : FuseOptions
        What to do.
    folder : Path or None
        Where scratch files may be made; None keeps everything in memory.
    budget : int, optional
        MS pixels that a network is trained and judged on; default: its own. Networks with the same
        budget are judged on the same blocks.
    progress : callable, optional
        Called with (done, total, label).
    predict : callable, optional
        Runs a fitted network over the scene and leaves a fuser that reads its image in the
        outcome, instead of this process (row bands on a cluster).

    Returns
    -------
    Outcome

    Raises
    ------
    PansharpError
        The scene does not fit the model.
    """
    name = options.model
    check_model(scene, name)
    if name == "gdal-brovey":
        return _external(scene, options)
    if _learns_cube(scene, name):
        from pansharp.outcome.learned import fuse_learned

        return fuse_learned(scene, options, folder, progress)
    if name == "auto" or is_network(name):
        from pansharp.outcome.network import fuse_network

        return fuse_network(scene, options, folder, budget, progress, predict)
    if get_spec(name).tasks == ("hsi",):
        from pansharp.outcome.cube import fuse_cube

        return fuse_cube(scene, options, progress)
    from pansharp.outcome.classical import fuse_classical

    return fuse_classical(scene, options, progress)


def _learns_cube(scene: Scene, name: str) -> bool:
    """Whether a model is fitted to this scene as to a cube.

    `rfridge` always is; networks and `auto` are where the guide has several bands, or the image to
    sharpen more than any multispectral sensor.
    """
    if name == "rfridge":
        return True
    if name != "auto" and not (is_network(name) and "hsi" in get_spec(name).tasks):
        return False
    return is_cube(scene)


def is_cube(scene: Scene) -> bool:
    """Whether a pair is one of hyperspectral fusion.

    The guide has several bands, or the image to sharpen more than any multispectral sensor.
    """
    return scene.pan_source.bands > 1 or scene.bands > _MANY_BANDS


def _external(scene: Scene, options: FuseOptions) -> Outcome:
    from pansharp import external

    external.check_options(options)
    refuse_weights(options, f"'{options.model}' is not a network")
    shift = options.shift() or (0.0, 0.0)
    scene = scene.shifted(*shift)
    fuser = external.gdal_brovey(scene)
    outcome = Outcome(
        scene,
        assumed_facts(scene, options),
        options.model,
        options.model,
        fuser,
        shift_applied=shift,
    )
    return external.score(outcome) if options.card else outcome
