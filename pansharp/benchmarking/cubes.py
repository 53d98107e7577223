"""Scores of hyperspectral methods at reduced resolution, as their cards have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import MetricError, ModelError

if TYPE_CHECKING:
    from pansharp.outcome import Outcome

__all__ = ["cube_scores", "no_blocks"]


def no_blocks(name: str) -> str:
    """What is said of a scene without blocks."""
    return (
        f"scene '{name}' is too small for blocks that no adaptation sees; leave the networks out "
        "to score it as a whole"
    )


def cube_scores(
    outcome: Outcome, method: str, scene: str
) -> tuple[dict[str, float], dict[str, object]]:
    """ERGAS, SAM, Q2n, PSNR, SSIM and Q of a method, one ratio coarser.

    All methods see the degraded pair and none of them the truth, so networks and classical methods
    are compared on the same blocks.

    Parameters
    ----------
    outcome : Outcome
        Of :func:`pansharp.outcome.decide` with ``card=True``.
    method : str
        That was asked for.
    scene : str
        Name, for messages.

    Returns
    -------
    dict of str to float
        Scores of what made the product.
    dict
        How the pair was degraded, and the blocks.

    Raises
    ------
    MetricError
        The scene has no blocks.
    ModelError
        The method was not used, for a reason that stands in the message.
    """
    part = outcome.reduced
    if not part:
        told = [text for text in outcome.warnings if "reduced-resolution" in text]
        raise MetricError((told or [no_blocks(scene)])[0])
    if outcome.used != method and method != "auto":
        raise ModelError(outcome.warnings[-1])
    scores = part["best_classical" if outcome.used == part["classical_name"] else "model"]
    assert isinstance(scores, dict)
    return scores, {
        "degradation": "true grids: HSI and guide blurred by the PSF, sampled at HSI centres",
        "blocks": part["blocks"],
        "block_size": part["block_size"],
    }
