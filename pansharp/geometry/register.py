"""Shift between PAN and MS, and sharpness of the MS, measured on the pixels themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pansharp.geometry.kernels import MtfGaussian
from pansharp.geometry.resample import sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.geometry.grids import Alignment, Window

__all__ = ["REACH", "Patch", "Scan", "Sharpness", "Shift"]

#: Largest shift that the scan can find, PAN pixels.
REACH = 4
#: A rise of R2 below this is noise: the georeference, or the table of gains, is believed.
_NOISE = 1e-3
#: Largest MTF gain at Nyquist that is looked for.
_SHARPEST = 0.85


class Patch(Protocol):
    """What the scan needs of a chip."""

    @property
    def pan(self) -> NDArray[np.float32]:
        """PAN with its halo."""
        ...

    @property
    def window(self) -> Window:
        """PAN pixels of the chip."""
        ...

    @property
    def halo(self) -> int:
        """Context around the window."""
        ...

    @property
    def alignment(self) -> Alignment:
        """PAN/MS map."""
        ...

    def own_ms(self) -> Window:
        """MS pixels of the window."""
        ...

    def ms_pixels(self, window: Window) -> NDArray[np.float32]:
        """MS counts."""
        ...

    def ms_mask(self, window: Window) -> NDArray[np.bool_] | None:
        """MS validity."""
        ...


@dataclass(frozen=True, slots=True)
class Shift:
    """Result of a scan.

    Parameters
    ----------
    rows, cols : float
        How far the MS must move on the PAN grid, PAN pixels.
    r2_before, r2_after : float
        Variance of the blurred PAN that the MS bands explain, as georeferenced and shifted.
    patches : int
        Textured patches that were asked one by one and could tell.
    spread : float or None
        How they scatter, PAN pixels; None without any.
    residual : tuple of float or None
        What their median finds beyond the shift, PAN pixels.
    """

    rows: float
    cols: float
    r2_before: float
    r2_after: float
    patches: int = 0
    spread: float | None = None
    residual: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Sharpness:
    """An MTF gain that explains the pair better than the one assumed.

    Parameters
    ----------
    gain : float
        Amplitude of the MS relative to the PAN at the MS Nyquist frequency, 0 to 1.
    r2_before, r2_after : float
        Variance of the blurred PAN that the MS bands explain with the gain assumed, and with
        this one.
    """

    gain: float
    r2_before: float
    r2_after: float


class Scan:
    """How well the MS bands explain the PAN, as a function of shift and blur.

    The PAN is blurred to MS resolution and sampled at shifted MS centres, then regressed on all
    MS bands and a constant; R2 is the share of its variance that they explain.

    Parameters
    ----------
    patches : sequence of Patch
        Chips with a halo of at least the blur radius plus :data:`REACH` pixels.
    """

    def __init__(self, patches: Sequence[Patch]) -> None:
        self._patches = patches
        self._regressors = [_design(patch) for patch in patches]
        normal = sum((x.T @ x for x, _ in self._regressors), np.zeros((1, 1)))
        self._inverse = np.asarray(np.linalg.pinv(normal, rcond=1e-10), dtype=np.float64)
        self._seen: dict[tuple[float, float, float], float] = {}

    def r2(self, rows: float, cols: float, gain: float) -> float:
        """Explained variance of the PAN blurred with `gain` at a shift in PAN pixels."""
        key = (rows, cols, gain)
        if key not in self._seen:
            self._seen[key] = _r2(self._patches, self._regressors, self._inverse, gain, rows, cols)
        return self._seen[key]

    def climb(
        self, gain: float, start: tuple[float, float], steps: Sequence[float]
    ) -> tuple[float, float]:
        """Go from a shift to neighbours of larger R2, with each of the steps in turn.

        Parameters
        ----------
        gain : float
            MTF gain at Nyquist of the blur.
        start : tuple of float
            Rows and columns, PAN pixels, within :data:`REACH`.
        steps : sequence of float
            PAN pixels.

        Returns
        -------
        tuple of float
            A shift whose neighbours are no better.
        """
        best = start
        for step in steps:
            moved = True
            while moved:
                moved = False
                around = [
                    (best[0] + i * step, best[1] + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1)
                ]
                inside = [p for p in around if max(abs(p[0]), abs(p[1])) <= REACH]
                top = max(inside, key=lambda p: self.r2(p[0], p[1], gain))
                if self.r2(top[0], top[1], gain) > self.r2(best[0], best[1], gain) + 1e-9:
                    best, moved = top, True
        return best

    def shift(self, gain: float) -> Shift:
        """Find the shift of the largest R2 with steps of 1, 1/2 and 1/4 PAN pixel.

        Parameters
        ----------
        gain : float
            MTF gain at Nyquist of the blur.

        Returns
        -------
        Shift
            (0, 0) when the rise in R2 is below 0.001.
        """
        best = self.climb(gain, (0.0, 0.0), (1.0, 0.5, 0.25))
        before, after = self.r2(0.0, 0.0, gain), self.r2(best[0], best[1], gain)
        if after - before < _NOISE:
            return Shift(0.0, 0.0, before, before)
        return Shift(*best, before, after)

    def sharpness(self, rows: float, cols: float, gain: float) -> Sharpness | None:
        """Find a gain above the assumed one that explains the pair better.

        Only larger gains are looked for: parallax, noise and a shift that is left make an MS look
        softer than it is, but nothing makes it look sharper.

        Parameters
        ----------
        rows, cols : float
            Shift at which to look, PAN pixels.
        gain : float
            MTF gain at Nyquist that is assumed.

        Returns
        -------
        Sharpness or None
            In steps of 0.05; None when the rise in R2 is below 0.001.
        """
        best = gain
        # R2 has one maximum over the gain: go on while it rises.
        for next_gain in np.arange(np.floor(gain * 20 + 1) / 20, _SHARPEST + 1e-9, 0.05):
            candidate = round(float(next_gain), 2)
            if self.r2(rows, cols, candidate) <= self.r2(rows, cols, best):
                break
            best = candidate
        before, after = self.r2(rows, cols, gain), self.r2(rows, cols, best)
        return Sharpness(best, before, after) if after - before >= _NOISE else None


def _design(patch: Patch) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    own = patch.own_ms()
    mask = patch.ms_mask(own)
    planes = patch.ms_pixels(own).astype(np.float64)
    rows = planes.reshape(len(planes), -1) if mask is None else planes[:, mask]
    return np.vstack([np.ones((1, rows.shape[1])), rows]).T, mask


def _r2(
    patches: Sequence[Patch],
    regressors: list[tuple[NDArray[np.float64], NDArray[np.bool_] | None]],
    inverse: NDArray[np.float64],
    gain: float,
    rows: float,
    cols: float,
) -> float:
    cross = np.zeros(inverse.shape[0])
    square = 0.0
    count = 0
    for patch, (design, mask) in zip(patches, regressors, strict=True):
        alignment = patch.alignment.shifted(rows, cols)
        start = patch.window.expand(patch.halo)
        kernel = MtfGaussian(alignment.ratio, gain, normalize=True)
        blurred = sample(
            patch.pan[:1], (start.row, start.col), patch.own_ms(), alignment, "down", kernel
        )[0].astype(np.float64)
        target = blurred.ravel() if mask is None else blurred[mask]
        cross += design.T @ target
        square += float(target @ target)
        count += target.size
    if count == 0:
        return 0.0
    # The first regressor is the constant, so cross[0] is the sum of the target.
    total = square - cross[0] ** 2 / count
    rest = square - float(cross @ inverse @ cross)
    return float(1.0 - max(rest, 0.0) / total) if total > 0 else 0.0
