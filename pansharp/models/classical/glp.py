"""MTF-GLP-FS: detail of the generalised Laplacian pyramid with full-scale regression gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.kernels import glp_halo
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._moments import gram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["GlpFuser", "MtfGlpFs", "mtf_glp_fs"]


@dataclass(frozen=True, slots=True)
class GlpFuser:
    """``y_b = M~_b + g_b (P - P_L,b)``.

    Parameters
    ----------
    gains : tuple of float
        Injection gains.
    mtf : tuple of float
        MTF gains at Nyquist that shape the low-pass of each band.
    halo : int
        PAN pixels of context.
    """

    gains: tuple[float, ...]
    mtf: tuple[float, ...]
    halo: int

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        pan = chip.guide()[0]
        kind = fused.dtype.type
        low = chip.glp(self.mtf)
        same = len(set(self.mtf)) == 1
        detail = pan - low[0]
        scratch = np.empty_like(detail)
        for band, plane in enumerate(fused):
            if not same and band:
                np.subtract(pan, low[band], out=detail)
            np.multiply(detail, kind(self.gains[band]), out=scratch)
            plane += scratch
        return fused


@dataclass(frozen=True, slots=True)
class MtfGlpFs:
    """MTF-GLP with full-scale (FS) regression-based injection.

    Source: Vivone, Restaino, Chanussot, IEEE TIP 27(7), 2018, doi 10.1109/TIP.2018.2819501.
    """

    mode: str = "default"
    spec = ModelSpec(
        "mtf-glp-fs",
        "classical",
        "Vivone, Restaino, Chanussot, IEEE TIP 27(7), 2018",
        "MTF-matched multiresolution detail, gains regressed at full scale",
        bands=(1, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return glp_halo(facts.alignment.ratio, facts.ms_gains)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of M~_b, P and P_L,b."""
        pan = chip.guide()[0]
        low = chip.glp(facts.ms_gains)
        totals = [gram([pan, plane, low[band]], chip.valid) for band, plane in enumerate(chip.up())]
        return {"pan_ms_low": np.stack(totals)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> GlpFuser:
        """Gains ``cov(M~_b, P) / cov(P_L,b, P)``."""
        assert moments is not None
        gains = []
        for total in moments["pan_ms_low"]:
            count = total[0, 0]
            with_ms = total[1, 2] - total[0, 1] * total[0, 2] / count
            with_low = total[1, 3] - total[0, 1] * total[0, 3] / count
            spread = total[1, 1] - total[0, 1] ** 2 / count
            # A PAN without any contrast has no detail to inject.
            gains.append(float(with_ms / with_low) if abs(with_low) > 1e-9 * spread > 0 else 0.0)
        halo = glp_halo(facts.alignment.ratio, facts.ms_gains)
        return GlpFuser(tuple(gains), facts.ms_gains, halo)


@register_model("mtf-glp-fs")
def mtf_glp_fs(mode: str = "default") -> MtfGlpFs:
    """MTF-GLP with full-scale gains.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    return MtfGlpFs(mode)
