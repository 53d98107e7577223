"""Reference mode: the methods on whole float64 arrays with the toolbox's own filters and borders.

The formulas are those of the default mode; only the primitives (interpolation, low-pass filters,
decimation) are the toolbox's, circular and replicated borders included. In memory, whole ratio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from pansharp import filters
from pansharp.errors import ModelError
from pansharp.geometry.grids import Alignment, Window
from pansharp.models.base import prepare_with

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import FusionModel, SceneFacts

__all__ = ["ToolboxChip", "fuse_reference"]


class ToolboxChip:
    """A whole scene seen as one chip, with the toolbox's primitives in float64.

    Parameters
    ----------
    pan : ndarray, shape (y, x), float64
        PAN counts.
    ms : ndarray, shape (band, y, x), float64
        Low-resolution MS counts.
    ratio : int
        Power of two.
    """

    valid = None
    halo = 0

    def __init__(self, pan: NDArray[np.floating], ms: NDArray[np.floating], ratio: int) -> None:
        self.pan = pan[None]
        self.ms = ms
        self.ratio = ratio
        self.window = Window(0, 0, *pan.shape)
        self.alignment = Alignment.toolbox(ratio)
        self.bands = ms.shape[0]

    def guide(self, halo: int = 0) -> NDArray[np.floating]:
        """PAN, (1, y, x)."""
        return self.pan

    def up(self, halo: int = 0, ms: NDArray[np.floating] | None = None) -> NDArray[np.floating]:
        """M~ with circular borders."""
        return filters.interp23(self.ms if ms is None else ms, self.ratio)

    def own_ms(self) -> Window:
        """All MS pixels."""
        return Window(0, 0, *self.ms.shape[1:])

    def ms_pixels(self, window: Window) -> NDArray[np.floating]:
        """All MS pixels."""
        return self.ms

    def ms_mask(self, window: Window) -> None:
        """Everything is valid."""
        return

    def atrous_at_ms(self, window: Window) -> NDArray[np.floating]:
        """B3-spline low-pass, decimated."""
        low = filters.atrous_lp(self.pan[0], self.ratio)
        return np.asarray(filters.decimate(low, self.ratio), dtype=np.float64)

    def gauss(self) -> NDArray[np.floating]:
        """The toolbox's Gaussian low-pass of the PAN."""
        return filters.gauss_lp(self.pan[0], self.ratio)

    def gauss_at_ms(self, window: Window) -> NDArray[np.floating]:
        """The same, decimated."""
        return np.asarray(filters.decimate(self.gauss(), self.ratio), dtype=np.float64)

    def atrous(self) -> NDArray[np.floating]:
        """B3-spline low-pass of the PAN."""
        return filters.atrous_lp(self.pan[0], self.ratio)

    def box(self, size: int) -> NDArray[np.floating]:
        """Mean of the PAN over a square."""
        return filters.box_lp(self.pan[0], size)

    def glp_level(self, gains: tuple[float, ...], *, legacy: bool = False) -> NDArray[np.floating]:
        """GLP low-pass of a constant 1."""
        plain = self.pan
        self.pan = np.ones_like(plain)
        try:
            return self.glp(gains, legacy=legacy)
        finally:
            self.pan = plain

    def indusion_at_ms(self, window: Window) -> NDArray[np.floating]:
        """PAN low-passed and halved by the 9-tap filter."""
        return filters.indusion_lp(self.pan[0], self.ratio)

    def indusion(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """MS and low-resolution PAN interpolated by the 7-tap filter, circular."""
        low = self.indusion_at_ms(self.own_ms())
        return filters.interp7(self.ms, self.ratio), filters.interp7(low, self.ratio)

    def local_mean(self, planes: NDArray[np.floating], size: int) -> NDArray[np.floating]:
        """Means over a window that is cropped at the borders."""
        from scipy.ndimage import uniform_filter

        def window_sum(image: NDArray[np.floating]) -> NDArray[np.floating]:
            padded = np.pad(image, size // 2)
            inner = slice(size // 2, -(size // 2))
            return np.asarray(uniform_filter(padded, size, mode="constant")[inner, inner])

        share = window_sum(np.ones(planes.shape[1:]))
        return np.stack([window_sum(plane) / share for plane in planes])

    def cycle(self, images: NDArray[np.floating], halo: int) -> NDArray[np.floating]:
        """Bicubic shrink and enlargement."""
        return filters.imresize(filters.imresize(images, 1.0 / self.ratio), self.ratio)

    def glp(
        self, gains: tuple[float, ...], halo: int = 0, *, legacy: bool = False
    ) -> NDArray[np.floating]:
        """GLP low-pass of each band."""
        planes = {}
        for gain in set(gains):
            kernel = filters.mtf_kernel_from_gain(gain, self.ratio, legacy=legacy)
            low = filters.decimate(filters.correlate_replicate(self.pan[0], kernel), self.ratio)
            planes[gain] = filters.interp23(low, self.ratio)
        return np.stack([planes[g] for g in gains])

    def bdsd_planes(
        self, gains: tuple[float, ...], pan_gain: float
    ) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
        """Shrunk M~, its MTF low-pass, and the decimated MTF low-pass of the PAN."""
        fine = filters.imresize(self.up(), 1.0 / self.ratio)
        low = np.stack(
            [
                filters.correlate_replicate(p, filters.mtf_kernel_from_gain(g, self.ratio))
                for p, g in zip(fine, gains, strict=True)
            ]
        )
        kernel = filters.mtf_kernel_from_gain(pan_gain, self.ratio)
        pan = filters.decimate(filters.correlate_replicate(self.pan[0], kernel), self.ratio)
        return fine, low, np.asarray(pan, dtype=np.float64)


def fuse_reference(
    model: FusionModel,
    pan: NDArray[np.floating],
    ms: NDArray[np.floating],
    facts: SceneFacts,
    ratio: int,
) -> NDArray[np.floating]:
    """Fuse whole arrays as the MATLAB toolbox does.

    Parameters
    ----------
    model : FusionModel
        A classical method.
    pan : ndarray, shape (y, x)
        PAN counts.
    ms : ndarray, shape (band, y / ratio, x / ratio)
        MS counts.
    facts : SceneFacts
        MTF gains.
    ratio : int
        2, 4, 8, …

    Returns
    -------
    ndarray, shape (band, y, x), float64

    Raises
    ------
    ModelError
        Sizes that are not exact multiples, or a ratio that is no power of two.
    """
    height, width = ms.shape[1] * ratio, ms.shape[2] * ratio
    if pan.shape != (height, width) or ratio < 2 or ratio & (ratio - 1):
        raise ModelError(
            f"reference mode needs a ratio 2, 4 or 8 and PAN exactly that many times the MS; "
            f"got PAN {pan.shape}, MS {ms.shape[1:]}, ratio {ratio}; use mode='default'"
        )
    whole = ToolboxChip(pan.astype(np.float64), ms.astype(np.float64), ratio)
    # It stands in for a chip: the methods only use what both have.
    chip = cast("Chip", whole)
    fuser = prepare_with(model, facts, lambda step: [step.measure(chip, facts)])
    return np.asarray(fuser(chip), dtype=np.float64)
