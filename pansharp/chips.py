"""The pixels of one tile with the context that a model needs, and how to resample inside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.kernels import (
    UP,
    Binomial,
    Box,
    Cubic,
    MtfGaussian,
    wavelet_down,
    wavelet_up,
)
from pansharp.geometry.resample import axis_matrix, input_range, input_window, sample
from pansharp.source import read_padded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.geometry.kernels import Kernel
    from pansharp.scene import Scene

__all__ = ["CYCLE_HALO", "Chip", "read_chip", "valid_pixels"]

#: The map of a grid to itself.
_SAME = Alignment(AxisMap(1.0, 0.0), AxisMap(1.0, 0.0))
#: MS pixels around a window that :meth:`Chip.cycle` reads.
CYCLE_HALO = 5


@dataclass(frozen=True)
class Chip:
    """One tile: PAN and MS pixels around a window of the product.

    Parameters
    ----------
    pan : ndarray, shape (guide band, y, x), float32
        PAN (or MSI) counts for `window` grown by `halo`.
    ms : ndarray, shape (band, y, x), float32
        Low-resolution counts with the margin that interpolation needs.
    window : Window
        Product pixels that this chip stands for.
    halo : int
        PAN pixels of context on every side of `window`.
    ms_window : Window
        Position of `ms` on the MS grid.
    alignment : Alignment
        PAN/MS map of the whole scene.
    valid : ndarray, shape (y, x), bool, or None
        Valid product pixels of `window`; None means all.
    ms_valid : ndarray, shape (y, x), bool, or None
        Valid pixels of `ms`; None means all.
    """

    pan: NDArray[np.float32]
    ms: NDArray[np.float32]
    window: Window
    halo: int
    ms_window: Window
    alignment: Alignment
    valid: NDArray[np.bool_] | None = None
    ms_valid: NDArray[np.bool_] | None = None

    @property
    def bands(self) -> int:
        """Number of MS bands."""
        return int(self.ms.shape[0])

    def guide(self, halo: int = 0) -> NDArray[np.float32]:
        """PAN (or MSI) of the window grown by `halo`, shape (guide band, y, x), float32."""
        cut = self.halo - halo
        end = -cut if cut else None
        return self.pan[:, cut:end, cut:end]

    def up(self, halo: int = 0, ms: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """MS interpolated to PAN pixels of the window grown by `halo`, (band, y, x), float32."""
        image = self.ms if ms is None else ms
        window = self.window.expand(halo)
        origin = (self.ms_window.row, self.ms_window.col)
        return sample(image, origin, window, self.alignment, "up", UP)

    def up_from(
        self, image: NDArray[np.float32], origin: tuple[int, int], halo: int = 0
    ) -> NDArray[np.float32]:
        """Interpolate an image on the MS grid (first pixel at `origin`) to the window."""
        return sample(image, origin, self.window.expand(halo), self.alignment, "up", UP)

    def up_window(self, halo: int = 0) -> Window:
        """MS pixels that interpolation to the window grown by `halo` reads."""
        return input_window(self.alignment, "up", UP, self.window.expand(halo))

    def down(
        self, kernel: Kernel, ms_window: Window, image: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """PAN-grid `image` (default: the PAN with its halo) sampled at MS pixel centres."""
        source = self.pan if image is None else image
        start = self.window.expand(self.halo)
        return sample(source, (start.row, start.col), ms_window, self.alignment, "down", kernel)

    def own_ms(self) -> Window:
        """MS pixels whose centre falls into the window: chips of a grid share none."""
        y, x = self.alignment.y, self.alignment.x
        row = math.ceil(y.to_ms(self.window.row - 0.5) - 1e-9)
        row_end = math.ceil(y.to_ms(self.window.row_end - 0.5) - 1e-9)
        col = math.ceil(x.to_ms(self.window.col - 0.5) - 1e-9)
        col_end = math.ceil(x.to_ms(self.window.col_end - 0.5) - 1e-9)
        return Window(row, col, row_end - row, col_end - col)

    def ms_pixels(self, window: Window) -> NDArray[np.float32]:
        """Low-resolution counts of an MS window, (band, y, x), float32."""
        rows, cols = window.relative_to(self.ms_window).slices
        return self.ms[:, rows, cols]

    def ms_mask(self, window: Window) -> NDArray[np.bool_] | None:
        """Valid pixels of an MS window, or None for all."""
        if self.ms_valid is None:
            return None
        rows, cols = window.relative_to(self.ms_window).slices
        return self.ms_valid[rows, cols]

    def glp(
        self, gains: tuple[float, ...], halo: int = 0, *, legacy: bool = False
    ) -> NDArray[np.float32]:
        """GLP low-pass of the PAN for every band: blur by the band's MTF, decimate, interpolate.

        Parameters
        ----------
        gains : tuple of float
            MTF gain at Nyquist of each band; bands of equal gain are computed once.
        halo : int
            Grow the window by this many pixels.
        legacy : bool
            The kernel of the 2015 edition (N in place of N - 1).

        Returns
        -------
        ndarray, shape (band, y, x), float32
        """
        reach = self.up_window(halo)
        distinct = sorted(set(gains))
        planes = {}
        for gain in distinct:
            blur = MtfGaussian(self.alignment.ratio, gain, legacy=legacy)
            low = self.down(blur, reach, self.pan[:1])
            planes[gain] = self.up_from(low, (reach.row, reach.col), halo)[0]
        if len(distinct) == 1:
            only = planes[distinct[0]]
            shared: NDArray[np.float32] = np.broadcast_to(only, (len(gains), *only.shape))
            return shared
        return np.stack([planes[g] for g in gains])

    def glp_level(self, gains: tuple[float, ...], *, legacy: bool = False) -> NDArray[np.float32]:
        """What :meth:`glp` makes of a constant 1, per band, (band, 1, 1) float32."""
        taps = np.arange(-20.0, 21.0)
        ratio = self.alignment.ratio
        rows = [MtfGaussian(ratio, g, legacy=legacy)(taps).sum() for g in gains]
        return np.array([row**2 for row in rows], dtype=np.float32)[:, None, None]

    def blurred(
        self, kernel: Kernel, halo: int = 0, image: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Low-pass of the PAN (or of a plane with the chip's halo) on its own grid, (y, x)."""
        start = self.window.expand(self.halo)
        source = self.pan[:1] if image is None else image[None]
        out = self.window.expand(halo)
        plane: NDArray[np.float32] = sample(
            source, (start.row, start.col), out, _SAME, "down", kernel
        )[0]
        return plane

    def gauss(self) -> NDArray[np.float32]:
        """The toolbox's Gaussian low-pass of the PAN (gain 0.30, legacy width), (y, x) float32."""
        return self.blurred(MtfGaussian(self.alignment.ratio, 0.30, legacy=True))

    def gauss_at_ms(self, ms_window: Window) -> NDArray[np.float32]:
        """The same at MS pixel centres, (y, x) float32."""
        blur = MtfGaussian(self.alignment.ratio, 0.30, legacy=True)
        plane: NDArray[np.float32] = self.down(blur, ms_window, self.pan[:1])[0]
        return plane

    def atrous(self) -> NDArray[np.float32]:
        """B3-spline low-pass of the PAN, (y, x) float32."""
        return self.blurred(Binomial.for_ratio(self.alignment.ratio))

    def box(self, size: int) -> NDArray[np.float32]:
        """Mean of the PAN over ``size x size`` pixels, (y, x) float32."""
        return self.blurred(Box(size))

    def indusion_at_ms(self, ms_window: Window) -> NDArray[np.float32]:
        """PAN low-passed by the 9-tap wavelet at MS pixel centres, (y, x) float32."""
        kernel = wavelet_down(self.alignment.ratio)
        at = Alignment(_halved(self.alignment.y), _halved(self.alignment.x))
        start = self.window.expand(self.halo)
        plane: NDArray[np.float32] = sample(
            self.pan[:1], (start.row, start.col), ms_window, at, "down", kernel
        )[0]
        return plane

    def indusion(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """MS, and low-passed PAN, brought to the window by the 7-tap wavelet.

        Returns
        -------
        tuple of ndarray
            (band, y, x) and (y, x), float32.
        """
        kernel = wavelet_up(self.alignment.ratio)
        reach = input_window(self.alignment, "up", kernel, self.window)
        low = self.indusion_at_ms(reach)
        both = np.concatenate([self.ms_pixels(reach), low[None]])
        origin = (reach.row, reach.col)
        fine = sample(both, origin, self.window, self.alignment, "up", kernel)
        return fine[:-1], fine[-1]

    def local_mean(self, planes: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Means over ``size x size`` pixels of planes that reach ``size // 2`` beyond the window.

        Parameters
        ----------
        planes : ndarray, shape (plane, y, x), float32
            For the window grown by ``size // 2 + 1``.
        size : int
            Odd.

        Returns
        -------
        ndarray, shape (plane, y, x), float32
        """
        start = self.window.expand(size // 2 + 1)
        return sample(planes, (start.row, start.col), self.window, _SAME, "down", Box(size))

    def cycle(self, images: NDArray[np.float32], halo: int) -> NDArray[np.float32]:
        """Shrink by the ratio with an antialiased cubic and enlarge again with a cubic.

        The coarse grid shares its corner with the PAN, as in the toolbox, wherever the MS lies.

        Parameters
        ----------
        images : ndarray, shape (band, y, x), float32
            On the PAN grid, for the window grown by `halo`.
        halo : int
            At least `CYCLE_HALO` MS pixels.

        Returns
        -------
        ndarray, shape (band, y, x), float32
            For the window.
        """
        corner = Alignment(
            AxisMap.corner(self.alignment.y.scale), AxisMap.corner(self.alignment.x.scale)
        )
        start = self.window.expand(halo)
        reach = input_window(corner, "up", Cubic(), self.window)
        shrink = Cubic(self.alignment.ratio)
        low = sample(images, (start.row, start.col), reach, corner, "down", shrink)
        return sample(low, (reach.row, reach.col), self.window, corner, "up", Cubic())

    def atrous_at_ms(self, ms_window: Window) -> NDArray[np.float32]:
        """B3-spline low-pass of the PAN at MS pixel centres, shape (y, x)."""
        kernel = Binomial.for_ratio(self.alignment.ratio)
        plane: NDArray[np.float32] = self.down(kernel, ms_window, self.pan[:1])[0]
        return plane

    def bdsd_planes(
        self, gains: tuple[float, ...], pan_gain: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """What BDSD regresses, at the chip's own MS pixels.

        Parameters
        ----------
        gains : tuple of float
            MTF gain of each MS band.
        pan_gain : float
            MTF gain of the PAN.

        Returns
        -------
        tuple of ndarray
            The bicubic shrink ``m`` of M~ and its MTF low-pass ``m_L``, each (band, y, x), and the
            MTF low-pass ``p_L`` of the PAN, (y, x); float32 counts.
        """
        own = self.own_ms()
        ratio = self.alignment.ratio
        shrink = Cubic(ratio)
        fine = np.empty((self.bands, own.height, own.width), dtype=np.float32)
        low = np.empty_like(fine)
        for gain in sorted(set(gains)):
            blur = MtfGaussian(ratio, gain)
            rows = self._shrink_blur(self.alignment.y, own.row, own.row_end, shrink, blur, 0)
            cols = self._shrink_blur(self.alignment.x, own.col, own.col_end, shrink, blur, 1)
            for band in (b for b, g in enumerate(gains) if g == gain):
                fine[band] = rows[0] @ self.ms[band] @ cols[0].T
                low[band] = rows[1] @ self.ms[band] @ cols[1].T
        pan = self.down(MtfGaussian(ratio, pan_gain), own, self.pan[:1])[0]
        return fine, low, pan

    def _shrink_blur(
        self, axis: AxisMap, start: int, stop: int, shrink: Kernel, blur: Kernel, side: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """MS-to-MS matrices of one axis: interpolate + shrink, and the same blurred."""
        first = (self.ms_window.row, self.ms_window.col)[side] - start
        # Counted from the first output and from a PAN pixel near it, most tiles are alike.
        origin = axis.to_pan(start)
        near = AxisMap(axis.scale, round(origin - math.floor(origin), 9))
        held = (first, first + self.ms.shape[1 + side])
        moved = _shrunk(axis).offset - axis.offset
        return _shrink_blur(near, moved, stop - start, held, shrink, blur)

    def grown(self, margin: int) -> Chip:
        """The same pixels seen as a chip of a window that is larger by `margin`."""
        return replace(self, window=self.window.expand(margin), halo=self.halo - margin, valid=None)


@lru_cache(maxsize=64)
def _shrink_blur(
    axis: AxisMap,
    moved: float,
    count: int,
    held: tuple[int, int],
    shrink: Kernel,
    blur: Kernel,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrices from `held` MS pixels to outputs 0 ... count - 1; the shrink is off by `moved`."""
    same = AxisMap(1.0, 0.0)
    at = AxisMap(axis.scale, axis.offset + moved)
    wide = input_range(same, "down", blur, 0, count)
    fine = input_range(at, "down", shrink, *wide)
    up = axis_matrix(axis, "up", UP, fine, held, border="edge")
    both = axis_matrix(at, "down", shrink, wide, fine) @ up
    blurred = axis_matrix(same, "down", blur, (0, count), wide) @ both
    return both[-wide[0] : count - wide[0]], blurred


def _shrunk(axis: AxisMap) -> AxisMap:
    """Where BDSD shrinks the interpolated MS: at the MS pixels, or as the toolbox on its grid.

    The toolbox's cubic shrink aligns corners and its interpolator does not, so on its own grid it
    samples half a PAN pixel before the MS centres. Published figures contain that.
    """
    return AxisMap(axis.scale, axis.offset - 0.5) if _is_toolbox(axis) else axis


def _halved(axis: AxisMap) -> AxisMap:
    """Where Indusion halves the PAN: at the MS pixels, or as the toolbox on its grid.

    The toolbox keeps odd samples first and even ones after, so it ends on ratio * i + 1, and takes
    that for the MS pixel at ratio * i + ratio / 2.
    """
    if not _is_toolbox(axis):
        return axis
    return AxisMap(axis.scale, axis.offset + 1.0 - round(axis.scale) // 2)


def _is_toolbox(axis: AxisMap) -> bool:
    """Whether MS pixel i lies on PAN pixel ratio * i + ratio / 2, whatever was cut off before."""
    whole = round(axis.scale)
    return axis.scale == whole and whole % 2 == 0 and (axis.offset - whole // 2) % whole == 0


def read_chip(scene: Scene, window: Window, halo: int) -> Chip:
    """Read one tile of a scene.

    Parameters
    ----------
    scene : Scene
        Where to read.
    window : Window
        Product pixels; may reach outside the scene (edges are replicated).
    halo : int
        PAN pixels of context on every side.

    Returns
    -------
    Chip
    """
    outer = window.expand(halo)
    pan, pan_valid = read_padded(scene.pan_source, outer)
    ms_window = input_window(scene.alignment, "up", UP, outer)
    ms, ms_valid = read_padded(scene.ms_source, ms_window)
    inner = (
        None
        if pan_valid is None
        else pan_valid[halo : halo + window.height, halo : halo + window.width]
    )
    return Chip(
        pan=pan,
        ms=ms,
        window=window,
        halo=halo,
        ms_window=ms_window,
        alignment=scene.alignment,
        valid=valid_pixels(inner, ms_valid, window, ms_window, scene.alignment),
        ms_valid=ms_valid,
    )


def valid_pixels(
    pan_valid: NDArray[np.bool_] | None,
    ms_valid: NDArray[np.bool_] | None,
    window: Window,
    ms_window: Window,
    alignment: Alignment,
) -> NDArray[np.bool_] | None:
    """Product pixels that have both a valid PAN pixel and a valid MS pixel under their centre.

    Parameters
    ----------
    pan_valid : ndarray, shape (y, x), bool, or None
        PAN validity of `window`.
    ms_valid : ndarray, shape (y, x), bool, or None
        MS validity of `ms_window`.
    window, ms_window : Window
        Product pixels and MS pixels.
    alignment : Alignment
        PAN/MS map.

    Returns
    -------
    ndarray, shape (y, x), bool, or None
        None when every pixel is valid.
    """
    if ms_valid is None:
        return pan_valid
    rows = [alignment.y.nearest_ms(r) - ms_window.row for r in range(window.row, window.row_end)]
    cols = [alignment.x.nearest_ms(c) - ms_window.col for c in range(window.col, window.col_end)]
    mask = ms_valid[np.ix_(rows, cols)]
    return mask if pan_valid is None else mask & pan_valid
