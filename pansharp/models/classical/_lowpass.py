"""The low-pass images of the PAN that multiresolution methods subtract or divide by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import Binomial, glp_halo, halvings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip

__all__ = ["Atrous", "BoxMean", "Glp", "HalfGradient", "Lowpass"]


class Lowpass(Protocol):
    """A low-pass of the PAN."""

    @property
    def shared(self) -> bool:
        """Whether all bands have the same one."""
        ...

    def halo(self, ratio: float) -> int:
        """PAN pixels around a window that it reads."""
        ...

    def planes(self, chip: Chip) -> NDArray[np.float32]:
        """Low-pass PAN of the chip's window, (1 or band, y, x) float32."""
        ...

    def level(self, chip: Chip) -> NDArray[np.float32] | None:
        """What a constant 1 becomes, per band; None where it stays 1."""
        ...


@dataclass(frozen=True, slots=True)
class Glp:
    """Blur by the band's MTF, decimate to the MS grid, interpolate.

    Parameters
    ----------
    mtf : tuple of float
        MTF gain at Nyquist of each band.
    legacy : bool
        The kernel of the 2015 edition.
    """

    mtf: tuple[float, ...]
    legacy: bool = False

    @property
    def shared(self) -> bool:
        """Whether all bands have the same gain."""
        return len(set(self.mtf)) == 1

    def halo(self, ratio: float) -> int:
        """PAN pixels around a window that it reads."""
        return glp_halo(ratio, self.mtf)

    def planes(self, chip: Chip) -> NDArray[np.float32]:
        """Low-pass PAN of the chip's window, (band, y, x) float32."""
        return chip.glp(self.mtf, legacy=self.legacy)

    def level(self, chip: Chip) -> NDArray[np.float32]:
        """What a constant 1 becomes: a little less, (band, 1, 1) or (band, y, x)."""
        return chip.glp_level(self.mtf, legacy=self.legacy)


@dataclass(frozen=True, slots=True)
class Atrous:
    """Undecimated B3-spline low-pass."""

    shared = True

    def halo(self, ratio: float) -> int:
        """PAN pixels around a window that it reads."""
        return math.ceil(Binomial.for_ratio(ratio).radius) + 1

    def planes(self, chip: Chip) -> NDArray[np.float32]:
        """Low-pass PAN of the chip's window, (1, y, x) float32."""
        return chip.atrous()[None]

    def level(self, chip: Chip) -> None:
        """A constant stays as it is."""
        return


@dataclass(frozen=True, slots=True)
class BoxMean:
    """Mean over a square of about one MS pixel, odd."""

    shared = True

    def size(self, ratio: float) -> int:
        """Side in PAN pixels: the ratio, made odd upwards."""
        side = round(ratio)
        return side + 1 if side % 2 == 0 else side

    def halo(self, ratio: float) -> int:
        """PAN pixels around a window that it reads."""
        return self.size(ratio) // 2 + 1

    def planes(self, chip: Chip) -> NDArray[np.float32]:
        """Low-pass PAN of the chip's window, (1, y, x) float32."""
        return chip.box(self.size(chip.alignment.ratio))[None]

    def level(self, chip: Chip) -> None:
        """A constant stays as it is."""
        return


@dataclass(frozen=True, slots=True)
class HalfGradient:
    """Pyramid of morphological half gradients, on the lattice of the PAN."""

    shared = True

    def halo(self, ratio: float) -> int:
        """PAN pixels around a window that it reads: three coarse pixels, and the lattice."""
        return int(5 * 2 ** halvings(ratio))

    def planes(self, chip: Chip) -> NDArray[np.float32]:
        """Low-pass PAN of the chip's window, (1, y, x) float32."""
        from pansharp.filters import half_gradient_lp

        step = 2 ** halvings(chip.alignment.ratio)
        start = chip.window.expand(chip.halo)
        area = chip.window.expand(min(chip.halo, 4 * step))
        # Whole coarse pixels of the scene, so that tiles agree.
        row, col = area.row // step * step, area.col // step * step
        row_end, col_end = (-(-end // step) * step for end in (area.row_end, area.col_end))
        rows = slice(row - start.row, row_end - start.row)
        low = half_gradient_lp(chip.pan[0, rows, col - start.col : col_end - start.col], step)
        inside = chip.window.relative_to(Window(row, col, 0, 0)).slices
        return np.asarray(low[inside])[None]

    def level(self, chip: Chip) -> None:
        """A constant stays as it is."""
        return
