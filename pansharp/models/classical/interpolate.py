"""EXP: the interpolated MS itself, the yardstick that adds no PAN detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pansharp.models import register_model
from pansharp.models.base import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Exp", "exp"]


@dataclass(frozen=True, slots=True)
class Exp:
    """Interpolation of the MS to the PAN grid with the 23-tap kernel.

    Source: Aiazzi et al., IEEE TGRS 40(10), 2002 (the interpolator of the toolbox).
    """

    mode: str = "default"
    spec = ModelSpec(
        "exp",
        "classical",
        "Aiazzi et al., IEEE TGRS 40(10), 2002",
        "MS interpolated to the PAN grid, no detail added",
    )
    halo = 0

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Nothing to measure."""
        return None

    def finish(self, moments: Moments | None, facts: SceneFacts) -> Exp:
        """The method is its own fuser."""
        return self

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Interpolated MS, (band, y, x) float32 counts."""
        return chip.up()


@register_model("exp")
def exp(mode: str = "default") -> Exp:
    """Interpolated MS.

    Parameters
    ----------
    mode : {"default", "reference"}
        The two do the same; the engine chooses the border rule.
    """
    return Exp(mode)
