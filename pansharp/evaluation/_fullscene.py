"""A fused image with its MS and PAN: the checks and walks behind the full-resolution indices."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from pansharp.errors import MetricError, OptionError
from pansharp.evaluation import _views as views
from pansharp.evaluation._prepare import ShrunkView, filtered, interpolated
from pansharp.evaluation._walk import Held
from pansharp.evaluation.fullres import FullResolutionSums, Piece, khan_sums, piece_sums
from pansharp.evaluation.q2n import RangeGuard
from pansharp.filters import mtf_kernel, mtf_kernels
from pansharp.tiling import ordered_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Mask, Raster, Rect, View
    from pansharp.evaluation._walk import BlockSink, Floats
    from pansharp.evaluation.q2n import Rounding
    from pansharp.sensors import SensorProfile

    Sensor = str | SensorProfile | float

__all__ = ["FullResolution"]

SpectralVariant = Literal["toolbox", "paper"]
SpatialVariant = Literal["toolbox", "2015", "paper"]
Mode = Literal["default", "reference"]


class FullResolution:
    """Fused image, MS and PAN of one scene after the checks, and the walks over them."""

    def __init__(
        self,
        fused: Raster,
        ms: Raster,
        pan: Raster | None,
        ratio: float,
        mask: Mask | None,
        block_size: int,
        mode: str,
        *,
        workers: int = 1,
    ) -> None:
        if mode not in ("default", "reference"):
            raise OptionError(f"mode '{mode}' is unknown; choose 'default' or 'reference'")
        number = views.check_ratio(ratio)
        if number != int(number) or int(number) & (int(number) - 1):
            raise MetricError(
                f"ratio {ratio:g} is not a power of two, as the toolbox's interpolator needs; "
                "use FullResolutionAccumulator with an interpolator of your own"
            )
        self.ratio = int(number)
        self.block = views.check_block(block_size)
        self.drop = mode == "default"
        self.fused: View = views.ArrayView(fused, "fused")
        self.ms: View = views.ArrayView(ms, "ms")
        height, width = self.fused.size
        wanted = (self.fused.bands, height, width)
        got = (self.ms.bands, self.ms.height * self.ratio, self.ms.width * self.ratio)
        if wanted != got:
            raise MetricError(
                f"fused is {wanted[0]}x{height}x{width} and ms {self.ms.bands}x{self.ms.height}x"
                f"{self.ms.width} (band, y, x); at ratio {self.ratio} fused must be "
                f"{got[0]}x{got[1]}x{got[2]}"
            )
        self._pan: View | None = None
        if pan is not None:
            self._pan = views.ArrayView(pan, "pan")
            if self._pan.bands != 1 or self._pan.size != self.fused.size:
                raise MetricError(
                    f"pan is {self._pan.bands}x{self._pan.height}x{self._pan.width} (band, y, x) "
                    f"and should be 1x{height}x{width}, the size of fused"
                )
        if not self.drop and (height % self.block or width % self.block):
            raise MetricError(
                f"fused of {height}x{width} pixels is not a multiple of the block, {self.block}, "
                "as mode 'reference' needs; crop it or use mode 'default'"
            )
        self.workers = workers
        self.valid_pixels = 0
        self.mask = views.mask_view(mask, self.fused.size)
        self.low_mask = None if self.mask is None else views.LowMaskView(self.mask, self.ratio)

    @property
    def pan(self) -> View:
        """The PAN, which this index needs."""
        if self._pan is None:
            raise MetricError("this index compares with the PAN and there is none; pass pan")
        return self._pan

    @cached_property
    def shrunk(self) -> View:
        """The PAN on the grid of the MS."""
        return ShrunkView(self.pan, self.ratio, self.mask, "pan")

    def _low_block(self) -> int:
        side, rest = divmod(self.block, self.ratio)
        if rest or side < 2:
            raise MetricError(
                f"block_size {self.block} over ratio {self.ratio} must be a whole number of at "
                "least 2 pixels for variant 'paper'"
            )
        return side

    def _valid(self, rect: Rect) -> NDArray[np.bool_] | None:
        """Fine pixels whose low-resolution pixel is valid as a whole."""
        if self.low_mask is None:
            return None
        r0, r1, c0, c1 = rect
        ratio = self.ratio
        top, left = r0 // ratio, c0 // ratio
        low = views.read_mask(self.low_mask, (top, -(-r1 // ratio), left, -(-c1 // ratio)))
        if low is None:
            return None
        fine = low.repeat(ratio, axis=0).repeat(ratio, axis=1)
        return fine[r0 - top * ratio :, c0 - left * ratio :][: r1 - r0, : c1 - c0]

    def _rects(self) -> list[Rect]:
        """Rectangles of blocks, cut to the image."""
        height = -(-self.fused.height // self.block) * self.block
        width = -(-self.fused.width // self.block) * self.block
        return [
            (r0, min(r1, self.fused.height), c0, min(c1, self.fused.width))
            for r0, r1, c0, c1 in views.pieces(height, width, self.fused.bands, self.block)
        ]

    def _up(self, rect: Rect) -> NDArray[np.float64]:
        return interpolated(self.ms, self.ratio, rect, self.low_mask, "ms")

    def sums(
        self,
        *,
        spectral: SpectralVariant | None = None,
        spatial: SpatialVariant | None = None,
        khan: Sensor | None = None,
        sensor: Sensor | None = None,
        rounding: Rounding = "uint16",
        normalised: bool = False,
        sink: BlockSink | None = None,
        stacklevel: int = 3,
    ) -> FullResolutionSums:
        """Walk over the scene once and collect the sums of the indices asked for."""
        if spectral not in (None, "toolbox", "paper"):
            raise OptionError(
                f"variant '{spectral}' of D_lambda is unknown; choose 'toolbox' or 'paper'"
            )
        if spatial not in (None, "toolbox", "2015", "paper"):
            raise OptionError(
                f"variant '{spatial}' of D_s is unknown; choose 'toolbox', '2015' or 'paper'"
            )
        low_block = self._low_block() if "paper" in (spectral, spatial) else self.block
        bands = self.fused.bands
        kernels = None if khan is None else mtf_kernels(khan, self.ratio, bands)
        if kernels is not None and normalised:
            kernels = kernels / kernels.sum(axis=(1, 2), keepdims=True)
        guard = RangeGuard()
        wants_up = khan is not None or "toolbox" in (spectral, spatial) or spatial == "2015"
        # Several indices filter what lies around a rectangle: read it once for all.
        halo = 0 if kernels is None else kernels.shape[-1] // 2

        def over(rect: Rect) -> tuple[FullResolutionSums, dict[str, Floats], int]:
            wide = (rect[0] - halo, rect[1] + halo, rect[2] - halo, rect[3] + halo)
            fused = Held(self.fused, wide)
            mask = None if self.mask is None else Held(self.mask, wide)
            valid = self._valid(rect)
            up = self._up(rect) if wants_up else None
            total = FullResolutionSums.zero(bands)
            blocks: dict[str, Floats] = {}
            for variant_spectral, variant_spatial in _merge(spectral, spatial):
                piece = self._piece(
                    fused, rect, valid, up, variant_spectral, variant_spatial, sensor
                )
                paper = "paper" in (variant_spectral, variant_spatial)
                part, found = piece_sums(
                    piece,
                    self.block,
                    low_block if paper else self.block,
                    spectral=variant_spectral is not None,
                    drop=self.drop,
                )
                total += part
                blocks |= found
            if kernels is not None and up is not None:
                low = filtered(fused, kernels, rect, mask, "fused")
                part, values = khan_sums(up, low, valid, self.block, guard, rounding)
                total += part
                blocks["d_lambda_k"] = 1.0 - values
            own = None if mask is None else views.read_mask(mask, rect)
            size = (rect[1] - rect[0]) * (rect[3] - rect[2])
            return total, blocks, size if own is None else int(np.count_nonzero(own))

        total = FullResolutionSums.zero(bands)
        self.valid_pixels = 0
        rects = self._rects()
        for rect, (part, blocks, pixels) in zip(
            rects,
            ordered_map(over, rects, workers=self.workers if len(rects) > 1 else 1),
            strict=True,
        ):
            total += part
            self.valid_pixels += pixels
            if sink is not None and blocks:
                sink(rect[0] // self.block, rect[2] // self.block, blocks)
        guard.warn(stacklevel)
        return total

    def _piece(
        self,
        image: View,
        rect: Rect,
        valid: NDArray[np.bool_] | None,
        up: NDArray[np.float64] | None,
        spectral: SpectralVariant | None,
        spatial: SpatialVariant | None,
        sensor: Sensor | None,
    ) -> Piece:
        fused = views.clean(image.read(rect), valid, "fused")
        pan = pan_low = None
        if spatial is not None:
            pan = views.clean(self.pan.read(rect), valid, "pan")
        if "paper" in (spectral, spatial):
            r0, r1, c0, c1 = (side // self.ratio for side in rect)
            low_rect = (r0, r1, c0, c1)
            low_valid = views.read_mask(self.low_mask, low_rect)
            low = views.clean(self.ms.read(low_rect), low_valid, "ms")
            if pan is not None:
                pan_low = views.clean(self.shrunk.read(low_rect), low_valid, "pan")
            return Piece(fused, low, pan, pan_low, valid, low_valid)
        assert up is not None
        if spatial == "2015":
            if sensor is None:
                raise OptionError("variant '2015' of D_s filters the PAN; pass sensor")
            kernel = mtf_kernel(sensor, self.ratio, "pan", legacy=True)[None]
            pan_low = filtered(self.pan, kernel, rect, self.mask, "pan")
        elif pan is not None:
            pan_low = interpolated(self.shrunk, self.ratio, rect, self.low_mask, "pan")
        up = np.asarray(views.clean(up, valid, "ms"), dtype=np.float64)
        if pan_low is not None:
            pan_low = views.clean(pan_low, valid, "pan")
        return Piece(fused, up, pan, pan_low, valid, valid)


def _merge(
    spectral: SpectralVariant | None, spatial: SpatialVariant | None
) -> list[tuple[SpectralVariant | None, SpatialVariant | None]]:
    """Do both terms in one go where they look at the same low image."""
    if spectral is None and spatial is None:
        return []
    if spectral is None or spatial is None or (spectral == "paper") == (spatial == "paper"):
        return [(spectral, spatial)]
    return [(spectral, None), (None, spatial)]
