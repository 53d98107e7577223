"""Indusion: wavelet filters in place of the interpolation, and the PAN's own detail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pansharp.geometry.kernels import wavelet_down, wavelet_up
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._moments import gram, match, quick_gram

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Indusion", "IndusionFuser", "indusion"]


@dataclass(frozen=True, slots=True)
class IndusionFuser:
    """``y_b = M7_b + (a_b P + c_b) - up7(d_b p_L + e_b)``.

    Parameters
    ----------
    scale, shift : tuple of float
        a and c: match of the PAN to the interpolated band.
    low_scale, low_shift : tuple of float
        d and e: match of the low-resolution PAN to the band.
    halo : int
        PAN pixels of context.
    """

    scale: tuple[float, ...]
    shift: tuple[float, ...]
    low_scale: tuple[float, ...]
    low_shift: tuple[float, ...]
    halo: int

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused, low = chip.indusion()
        kind = fused.dtype.type
        pan = chip.guide()[0]
        for band, plane in enumerate(fused):
            plane += pan * kind(self.scale[band])
            plane -= low * kind(self.low_scale[band])
            plane += kind(self.shift[band] - self.low_shift[band])
        return fused


@dataclass(frozen=True, slots=True)
class Indusion:
    """Fusion by the induction scaling technique.

    Source: Khan, Chanussot, Condat, Montanvert, IEEE GRSL 5(1), 2008. The
    low-resolution PAN is taken at the centres of the MS pixels; on its own grid the toolbox takes
    it one PAN pixel up and left of them. Between powers of two the wavelet is stretched.
    """

    mode: str = "default"
    spec = ModelSpec(
        "indusion",
        "classical",
        "Khan et al., IEEE GRSL 5(1), 2008",
        "wavelet interpolation of the MS plus detail of the matched PAN",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        ratio = facts.alignment.ratio
        return math.ceil((wavelet_up(ratio).radius + 1) * ratio + wavelet_down(ratio).radius) + 1

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Moments of the low-resolution PAN and MS, and of PAN and interpolated MS."""
        own = chip.own_ms()
        low = chip.indusion_at_ms(own)
        return {
            "low": gram([low, *chip.ms_pixels(own)], chip.ms_mask(own)),
            "high": quick_gram([chip.guide()[0], *chip.indusion()[0]], chip.valid),
        }

    def finish(self, moments: Moments | None, facts: SceneFacts) -> IndusionFuser:
        """Match the PAN to the bands on both grids."""
        assert moments is not None
        (scale, shift), (low_scale, low_shift) = (match(moments[key]) for key in ("high", "low"))
        return IndusionFuser(scale, shift, low_scale, low_shift, self.measure_halo(facts))


@register_model("indusion")
def indusion(mode: str = "default") -> Indusion:
    """Induction scaling.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    return Indusion(mode)
