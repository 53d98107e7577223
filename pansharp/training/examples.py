"""What every kind of training data comes down to: sites that give pairs with their truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from pansharp.geometry.grids import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

__all__ = ["LEAST_SIDE", "Example", "Site", "Traits", "grain_of", "lattice"]

#: Fewest pixels a side that a site must have on the grid of its truth.
LEAST_SIDE = 16


@dataclass(frozen=True)
class Traits:
    """What weights trained on a site are for.

    Parameters
    ----------
    task : {"pan", "hsi"}
        PAN and MS, or a guide and a hyperspectral cube.
    ms_bands, guide_bands : int
        Bands of the low-resolution image and of the guide.
    ratio : float
        Ratio of pixel sizes.
    grid : {"toolbox", "corner"}
        Where coarse pixels lie on the fine grid: as in the MATLAB toolboxes, or with a common
        corner.
    gains : tuple of float
        MTF gains at Nyquist of the bands.
    sensor : SensorProfile or None
        Of the low-resolution image.
    band_names : tuple of str
        Empty where they are unknown.
    wavelengths : tuple of float
        Nanometres; empty where they are unknown.
    """

    task: str
    ms_bands: int
    guide_bands: int
    ratio: float
    grid: str
    gains: tuple[float, ...]
    sensor: SensorProfile | None = None
    band_names: tuple[str, ...] = ()
    wavelengths: tuple[float, ...] = ()


@dataclass(frozen=True)
class Example:
    """A pair in memory with its truth.

    Parameters
    ----------
    scene : Scene
        The degraded pair; its product lies on the grid of `reference`.
    reference : ndarray, shape (band, y, x), float32
        Truth, counts.
    valid : ndarray, shape (y, x), bool, or None
        Pixels whose truth is real; None means all.
    inner : Window
        The pixels that were asked for; what lies around them is context.
    """

    scene: Scene
    reference: NDArray[np.float32]
    valid: NDArray[np.bool_] | None
    inner: Window


class Site(Protocol):
    """Ground with a truth, read window by window; thread-safe."""

    @property
    def name(self) -> str:
        """For messages and cards."""
        ...

    @property
    def path(self) -> str:
        """What the user named."""
        ...

    @property
    def traits(self) -> Traits:
        """What it is."""
        ...

    @property
    def area(self) -> Window:
        """Usable pixels of the truth."""
        ...

    def example(self, window: Window, context: int) -> Example:
        """Give a window of :attr:`area` with up to `context` pixels around it where there are."""
        ...

    def overview(self) -> list[Example]:
        """Give windows that stand for the whole site."""
        ...


def grain_of(ratio: float) -> int:
    """Step of windows that hold whole coarse pixels; 1 where the ratio is not whole."""
    whole = round(ratio)
    return whole if abs(ratio - whole) <= 1e-3 * whole else 1


def lattice(area: Window, side: int, grain: int) -> list[Window]:
    """Divide an area into windows of about the same size.

    Parameters
    ----------
    area : Window
        What to divide; up to `grain` - 1 pixels at its end are left over.
    side : int
        Wanted side.
    grain : int
        Windows begin and end at multiples of it, counted from the area's first pixel.

    Returns
    -------
    list of Window
        Row by row.
    """

    def cuts(size: int) -> Sequence[int]:
        whole = size // grain
        count = max(1, min(whole, math.floor(size / side + 0.5)))
        return [grain * (whole * i // count) for i in range(count + 1)]

    rows, cols = cuts(area.height), cuts(area.width)
    return [
        Window(area.row + top, area.col + left, bottom - top, right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(cols)
    ]
