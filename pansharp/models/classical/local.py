"""MTF-GLP-CBD with gains from a sliding window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.models.classical._lowpass import Glp
from pansharp.models.classical._moments import gram, mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import ModelSpec, Moments, SceneFacts

__all__ = ["LocalGlpFuser", "MtfGlpLocal"]


@dataclass(frozen=True, slots=True)
class LocalGlpFuser:
    """``y_b = M~_b + g_b (P - P_L,b)`` with ``g_b = std(M~_b) / std(P_L,b)`` in a window.

    Parameters
    ----------
    lowpass : Glp
        Makes P_L,b.
    size : int
        Side of the window, PAN pixels.
    pan_mean : float
        Subtracted from P_L before it is squared; cancels, but keeps float32 exact enough.
    ms_means : tuple of float
        The same of the bands.
    halo : int
        PAN pixels of context.
    """

    lowpass: Glp
    size: int
    pan_mean: float
    ms_means: tuple[float, ...]
    halo: int

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        margin = self.size // 2 + 1
        wide = chip.up(margin)
        low = chip.glp(self.lowpass.mtf, margin, legacy=self.lowpass.legacy)
        kind = wide.dtype.type
        pan = chip.guide()[0]
        cut = slice(None) if wide.shape[1:] == pan.shape else slice(margin, -margin)
        out = np.ascontiguousarray(wide[:, cut, cut])
        same = self._deviation(chip, low[0] - kind(self.pan_mean)) if self.lowpass.shared else None
        for band, plane in enumerate(out):
            above = self._deviation(chip, wide[band] - kind(self.ms_means[band]))
            below = same
            if below is None:
                below = self._deviation(chip, low[band] - kind(self.pan_mean))
            gain = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
            plane += gain * (pan - low[band, cut, cut])
        return out

    def _deviation(self, chip: Chip, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        first, second = chip.local_mean(np.stack([plane, plane * plane]), self.size)
        variance = np.maximum(second - first * first, plane.dtype.type(0.0))
        return np.asarray(np.sqrt(variance))


@dataclass(frozen=True, slots=True)
class MtfGlpLocal:
    """MTF-GLP-CBD, local form of the 2015 edition (correlation threshold minus infinity).

    Source: Alparone et al., IEEE TGRS 45(10), 2007; Vivone et al., IEEE TGRS 53(5), 2015.

    Parameters
    ----------
    spec : ModelSpec
        Facts about the method.
    size : int
        Side of the window, PAN pixels, odd.
    mode : {"default", "reference"}
        ``reference`` uses the kernel width of the 2015 edition.
    """

    spec: ModelSpec
    size: int
    mode: str = "default"

    def __post_init__(self) -> None:
        if int(self.size) != self.size or self.size < 3 or self.size % 2 == 0:
            raise OptionError(f"window is {self.size}; give an odd number of PAN pixels from 3")

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums of PAN and M~: only their means are needed."""
        return {"high": gram([chip.guide()[0], *chip.up()], chip.valid)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> LocalGlpFuser:
        """Bind means and filters."""
        assert moments is not None
        means = mean(moments["high"])
        lowpass = Glp(facts.ms_gains, legacy=self.mode == "reference")
        halo = lowpass.halo(facts.alignment.ratio) + self.size // 2 + 1
        return LocalGlpFuser(lowpass, self.size, float(means[0]), tuple(means[1:].tolist()), halo)
