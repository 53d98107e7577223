"""A model on a cube, before it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.hyperspectral_trial import CubeTrial
    from pansharp.models.base import Fuser
    from pansharp.models.hyperspectral.basis import Basis
    from pansharp.outcome.cube_fusers import FromComponents
    from pansharp.outcome.given_cube import FromProduct
    from pansharp.source.spool import Spool

__all__ = ["LEARNED", "Learnt"]

#: The closed form, what `auto` tries for cubes.
LEARNED = "rfridge"


@dataclass
class Learnt:
    """A model fitted to the scene.

    Parameters
    ----------
    fuser : FromComponents or FromProduct
        The product without back-projection, for chips of the usable bands.
    basis : Basis
        Anchors, noise.
    facts : dict
        For the card.
    on_trial : callable
        Fits the same to a trial.
    doubt : str
        Why the fit itself says that it is no good; empty when it does not.
    alone : bool
        Whether the fit's own sign suffices where no rehearsal is possible.
    spool : Spool or None
        Scratch of the product.
    timings : dict of str to float
        Seconds.
    notes : list of str
        What the reader of the product must know.
    """

    fuser: FromComponents | FromProduct
    basis: Basis
    facts: dict[str, object]
    on_trial: Callable[[CubeTrial], Fuser]
    doubt: str = ""
    alone: bool = False
    spool: Spool | None = None
    timings: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
