"""From values to brightness: one stretch for all pictures that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pansharp.pictures.view import View

__all__ = ["Stretch"]

#: Pixels of each view that percentiles are taken of.
_SAMPLE = 1_000_000
#: Share of pixels that may be clipped at an end, and of the range that must be used.
_CLIPPED, _FLAT = 0.05, 0.4


@dataclass(frozen=True)
class Stretch:
    """What becomes black and what white, per band.

    Parameters
    ----------
    low, high : tuple of float
        Values that become 0 and 255, one a band.
    gamma : float
        Exponent of the brightness is 1 / gamma; above 1 lifts the dark parts.

    Raises
    ------
    OptionError
        `gamma` is not positive.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise OptionError(f"gamma is {self.gamma}; it must be above 0")

    @classmethod
    def joint(
        cls,
        views: Iterable[View],
        *,
        percent: tuple[float, float] = (1.0, 99.0),
        gamma: float = 1.0,
    ) -> Stretch:
        """Find the stretch that fits several views together.

        Parameters
        ----------
        views : iterable of View
            All with the same bands. Each counts alike, however large it is.
        percent : tuple of float
            Percentiles of the valid pixels that become black and white.
        gamma : float
            As above.

        Returns
        -------
        Stretch
            Bands without a valid pixel get 0 to 1, flat ones a range of one.

        Raises
        ------
        OptionError
            Percentiles out of order, views of different numbers of bands, or none.
        """
        low_percent, high_percent = percent
        if not 0 <= low_percent < high_percent <= 100:
            raise OptionError(f"percentiles {low_percent:g} to {high_percent:g} are not in order")
        samples = [_sample(view) for view in views]
        if not samples or len({len(sample) for sample in samples}) > 1:
            raise OptionError("one stretch needs views of the same bands")
        limits = [
            _limits([sample[band] for sample in samples], percent)
            for band in range(len(samples[0]))
        ]
        return cls(tuple(low for low, _ in limits), tuple(high for _, high in limits), gamma)

    def grey(self) -> Stretch:
        """The same for one band in the units of all: the mean of their limits, for a PAN."""
        return Stretch((float(np.mean(self.low)),), (float(np.mean(self.high)),), self.gamma)

    def suits(self, view: View) -> bool:
        """Whether a view can be shown so: most of it neither clipped nor flat.

        Parameters
        ----------
        view : View
            With the bands of the stretch.

        Returns
        -------
        bool
            False where more than 5 % of the valid pixels of a band are clipped at one end, or
            where the middle 98 % of them take less than two fifths of the range.
        """
        for values, low, high in zip(_sample(view), self.low, self.high, strict=True):
            if not values.size:
                continue
            if max((values < low).mean(), (values > high).mean()) > _CLIPPED:
                return False
            first, last = np.percentile(values, (1.0, 99.0))
            if last - first < _FLAT * (high - low):
                return False
        return True

    def __call__(self, view: View) -> NDArray[np.uint8]:
        """Turn a view into RGBA.

        Parameters
        ----------
        view : View
            Of one or three bands, as many as the stretch has.

        Returns
        -------
        ndarray, shape (y, x, 4), uint8
            Transparent where there is no data: black is a colour of the scene.

        Raises
        ------
        OptionError
            The view has another number of bands.
        """
        if len(view.data) != len(self.low) or len(self.low) not in (1, 3):
            raise OptionError(f"a picture of {len(view.data)} bands; one or three can be shown")
        low = np.asarray(self.low, dtype=np.float32)[:, None, None]
        high = np.asarray(self.high, dtype=np.float32)[:, None, None]
        valid = view.valid
        shade = np.clip((np.where(valid, view.data, low) - low) / (high - low), 0.0, 1.0)
        if self.gamma != 1.0:
            shade **= np.float32(1.0 / self.gamma)
        picture = np.empty((*valid.shape, 4), dtype=np.uint8)
        picture[..., :3] = np.moveaxis(np.rint(shade * 255.0), 0, 2)
        picture[..., 3] = np.where(valid, 255, 0)
        return picture


def _sample(view: View) -> NDArray[np.float32]:
    """Valid pixels (band, pixel), thinned evenly."""
    pixels = view.data[:, view.valid]
    return pixels[:, :: max(1, pixels.shape[1] // _SAMPLE)]


def _limits(
    samples: Sequence[NDArray[np.float32]], percent: tuple[float, float]
) -> tuple[float, float]:
    known = [sample for sample in samples if sample.size]
    if not known:
        return 0.0, 1.0
    values = np.concatenate(known).astype(np.float64)
    weights = np.concatenate([np.full(sample.size, 1.0 / sample.size) for sample in known])
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    low, high = (
        float(values[order[min(np.searchsorted(share, share[-1] * q / 100.0), values.size - 1)]])
        for q in percent
    )
    return (low, high) if high > low else (low - 0.5, low + 0.5)
