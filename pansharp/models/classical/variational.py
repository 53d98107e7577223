"""TV: pansharpening as an inverse problem with total variation (Palsson)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.kernels import Triangle
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._moments import covariance, mean
from pansharp.models.classical._weights import (
    Given,
    check_weights,
    fit_weights,
    given_weights,
    weight_moments,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.geometry.grids import AxisMap, Window
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Constants", "Tv", "TvFuser", "tv"]


@dataclass(frozen=True, slots=True)
class Constants:
    """What the toolbox sets per sensor.

    Parameters
    ----------
    alpha : float
        Step of the majorisation.
    strength : float
        Weight of the total variation (lambda).
    c : float
        Bound of the dual majorisation, 8 for forward differences in two directions.
    iterations : int
        Steps.
    weights : tuple of float, or of (name, float)
        How the bands add up to the PAN; empty: fitted on the scene.
    pan_gain, pan_offset : float
        Bring the PAN to the level of the bands where the weights are fitted.
    """

    alpha: float = 0.75
    strength: float = 1e-3
    c: float = 8.0
    iterations: int = 50
    weights: Given = ()
    pan_gain: float = 1.0
    pan_offset: float = 0.0


_GEOEYE = Constants(0.75, 157.8954, 8.0, 50, (0.1552, 0.3959, 0.2902, 0.1587))
#: By name of the sensor table; every other sensor gets those of WorldView-3 with fitted weights.
_TABLE = {
    "ikonos": Constants(1.064, 0.47106, 8.0, 10, (0.1091, 0.2127, 0.2928, 0.3854)),
    "geoeye1": _GEOEYE,
    "worldview4": _GEOEYE,
    "worldview3": Constants(
        weights=(0.0657, 0.1012, 0.1537, 0.1473, 0.1245, 0.1545, 0.1338, 0.1192)
    ),
}
#: Context of a tile, MS pixels: beyond it two tilings differ by less than 1e-3 of the detail.
_CONTEXT = 24
#: Pull of fitted weights towards equal ones: the smallest that leaves no coloured edges.
_SHRINK = 0.3
#: Bands up to which the reference addresses its planes rightly.
_SLIP = 4


class _Observation(Protocol):
    """The two directions between the scales, on one region."""

    def down(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        """PAN grid to MS pixels."""
        ...

    def up(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        """MS pixels to PAN grid."""
        ...


class _Toolbox:
    """Bilinear imresize of the whole image, both ways."""

    def __init__(self, ratio: int) -> None:
        self._ratio = ratio

    def down(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        """Antialiased shrink."""
        from pansharp.filters import imresize

        return imresize(image, 1.0 / self._ratio, method="bilinear")

    def up(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        """Enlargement."""
        from pansharp.filters import imresize

        return imresize(image, self._ratio, method="bilinear")


class _Sampling:
    """The same kernels at the true positions of the MS pixels, as sparse matrices."""

    def __init__(self, chip: Chip, region: Window, ms: Window) -> None:
        y, x = chip.alignment.y, chip.alignment.x
        self._rows = _pair(y, (ms.row, ms.row_end), (region.row, region.row_end))
        self._cols = _pair(x, (ms.col, ms.col_end), (region.col, region.col_end))

    def down(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        """Antialiased shrink."""
        return _apply(self._rows[0], self._cols[0], image)

    def up(self, image: NDArray[np.floating]) -> NDArray[np.floating]:
        """Enlargement."""
        return _apply(self._rows[1], self._cols[1], image)


class _Sparse(Protocol):
    shape: tuple[int, int]

    def __matmul__(self, other: NDArray[np.floating]) -> NDArray[np.floating]: ...


def _pair(axis: AxisMap, ms: tuple[int, int], pan: tuple[int, int]) -> tuple[_Sparse, _Sparse]:
    from scipy.sparse import csr_array

    from pansharp.geometry.resample import axis_matrix

    shrink = axis_matrix(axis, "down", Triangle(axis.scale), ms, pan, border="edge")
    enlarge = axis_matrix(axis, "up", Triangle(), pan, ms, border="edge")
    return csr_array(shrink.astype(np.float32)), csr_array(enlarge.astype(np.float32))


def _apply(rows: _Sparse, cols: _Sparse, image: NDArray[np.floating]) -> NDArray[np.floating]:
    bands, height, width = image.shape
    tall = rows @ np.ascontiguousarray(image.transpose(1, 0, 2)).reshape(height, bands * width)
    part = tall.reshape(rows.shape[0] * bands, width)
    wide = (cols @ np.ascontiguousarray(part.T)).T
    return np.ascontiguousarray(
        wide.reshape(rows.shape[0], bands, cols.shape[0]).transpose(1, 0, 2)
    )


def _gradient(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Forward differences, horizontal planes first, 0 at the last column and row."""
    bands = len(x)
    out = np.zeros((2 * bands, *x.shape[1:]), dtype=x.dtype)
    np.subtract(x[:, :, 1:], x[:, :, :-1], out=out[:bands, :, :-1])
    np.subtract(x[:, 1:], x[:, :-1], out=out[bands:, :-1])
    return out


def _divergence(across: NDArray[np.floating], down: NDArray[np.floating]) -> NDArray[np.floating]:
    """Adjoint of :func:`_gradient` (minus the divergence)."""
    out = np.zeros_like(across)
    out[:, :, :-1] -= across[:, :, :-1]
    out[:, :, 1:] += across[:, :, :-1]
    out[:, :-1] -= down[:, :-1]
    out[:, 1:] += down[:, :-1]
    return out


def _solve(
    pan: NDArray[np.floating],
    ms: NDArray[np.floating],
    observe: _Observation,
    constants: Constants,
    *,
    slips: bool,
) -> NDArray[np.floating]:
    """Majorise-minimise from a black image.

    `slips` repeats two slips of the reference: the dual step loses its first term, and with more
    than four bands the vertical planes are looked for behind the fourth.
    """
    kind = ms.dtype.type
    bands = len(ms)
    alpha, c = kind(constants.alpha), kind(constants.c)
    bound = kind(2.0 * constants.alpha / constants.strength)
    weights = np.asarray(constants.weights, dtype=ms.dtype)[:, None, None]
    second = slice(_SLIP, _SLIP + bands) if slips else slice(bands, 2 * bands)
    x = np.zeros((bands, *pan.shape), dtype=ms.dtype)
    z = np.zeros((2 * bands, *pan.shape), dtype=ms.dtype)
    for _ in range(constants.iterations):
        b = alpha * x
        b += observe.up(ms - observe.down(x))
        b += weights * (pan - (weights * x).sum(axis=0))
        slope = _gradient(x)
        size = np.sqrt(slope[:bands] ** 2 + slope[bands:] ** 2)
        size *= bound
        size += c
        step = _gradient(_divergence(z[:bands], z[second]))
        if not slips:
            np.subtract(c * z, step, out=step)
        step += _gradient(b)
        step[:bands] /= size
        step[bands:] /= size
        z = step
        x = (b - _divergence(z[:bands], z[second])) / alpha
    return x


@dataclass(frozen=True, slots=True)
class TvFuser:
    """``x = argmin |M - D x|^2 + |P - sum w_b x_b|^2 + lambda TV(x)`` on the chip and its context.

    Parameters
    ----------
    constants : Constants
        With weights.
    halo : int
        PAN pixels of context.
    mode : {"default", "reference"}
        ``reference`` repeats the slips of the toolbox.
    """

    constants: Constants
    halo: int
    mode: str = "default"

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        if self.mode == "reference":
            ratio = round(chip.alignment.ratio)
            return np.asarray(
                _solve(chip.guide()[0], chip.ms, _Toolbox(ratio), self.constants, slips=True)
            )
        region = chip.window.expand(self.halo)
        inside = chip.grown(self.halo).own_ms()
        ms = chip.ms_pixels(inside)
        pan = chip.guide(self.halo)[0] * np.float32(self.constants.pan_gain)
        pan += np.float32(self.constants.pan_offset)
        observe = _Sampling(chip, region, inside)
        x = _solve(pan, ms, observe, self.constants, slips=False)
        rows, cols = chip.window.relative_to(region).slices
        return np.ascontiguousarray(x[:, rows, cols])


@dataclass(frozen=True, slots=True)
class Tv:
    """Total variation.

    Source: Palsson, Sveinsson, Ulfarsson, "A new pansharpening algorithm based on total
    variation", IEEE GRSL 11(1), 2014. The blur of the MS is that of a bilinear shrink.

    Parameters
    ----------
    constants : Constants or None
        None takes those of the scene's sensor.
    mode : {"default", "reference"}
        See :class:`TvFuser`.
    """

    constants: Constants | None = None
    mode: str = "default"
    spec = ModelSpec(
        "tv",
        "classical",
        "Palsson, Sveinsson, Ulfarsson, IEEE GRSL 11(1), 2014",
        "inverse problem with total variation, solved in overlapping tiles",
        bands=(1, None),
        note="slow: 50 iterations; constants are published for IKONOS, GeoEye-1, WorldView-3 and 4",
    )

    def _of(self, facts: SceneFacts) -> Constants:
        if self.constants is not None:
            return self.constants
        found = _TABLE.get(facts.sensor.name if facts.sensor else "", Constants())
        # A subset or another order of bands has no published weights.
        if len(found.weights) != len(facts.ms_gains):
            return Constants()
        return found

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 32

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of low-pass PAN and MS, where the weights must be fitted."""
        return None if self._of(facts).weights else weight_moments(chip)

    def finish(self, moments: Moments | None, facts: SceneFacts) -> TvFuser:
        """Fit the weights where none are published.

        Raises
        ------
        BandMismatchError
            Weights that are not one a band, or a PAN that the bands cannot add up to.
        """
        constants = self._of(facts)
        if moments is not None:
            constants = _fitted(constants, moments["low"])
        given = given_weights(constants.weights, facts, self.spec.name)
        # The iteration needs a step above half the norm of what it inverts: 1 for the shrink and
        # enlargement, and the squares of the weights. Published weights leave alpha as it is.
        norm = 1.0 + sum(w * w for w in given)
        constants = replace(constants, weights=given, alpha=max(constants.alpha, 0.55 * norm))
        halo = int(np.ceil(_CONTEXT * facts.alignment.ratio))
        return TvFuser(constants, halo, self.mode)


def _fitted(constants: Constants, low: NDArray[np.float64]) -> Constants:
    """Weights from the scene, and the PAN regressed on what they make of the bands.

    Plain least squares leaves bands out that look like others, and a band without weight gets no
    detail: coloured edges. Weights that sum to 1 suit the step size whatever the units of the PAN.
    """
    weights = fit_weights(low, normalize=True, shrink=_SHRINK)
    means, table = mean(low), covariance(low)
    spread = float(table[0, 0])
    gain = float(weights @ table[1:, 0]) / spread if spread > 0 else 0.0
    return replace(
        constants,
        weights=tuple(weights.tolist()),
        pan_gain=gain,
        pan_offset=float(weights @ means[1:]) - gain * float(means[0]),
    )


@register_model("tv")
def tv(
    mode: str = "default",
    sensor: str | None = None,
    weights: Sequence[float] | Mapping[str, float] | None = None,
    strength: float | None = None,
    iterations: int | None = None,
) -> Tv:
    """Total variation.

    Parameters
    ----------
    mode : {"default", "reference"}
        ``reference`` repeats two slips of the toolbox; the default is what the paper says.
    sensor : str, optional
        Whose constants to take (ikonos, geoeye1, worldview3, worldview4); default: the scene's.
    weights : sequence of float or mapping of str to float, optional
        How the bands add up to the PAN, in their order or by name; default: the sensor's, else
        fitted on the scene.
    strength : float, optional
        Weight of the total variation.
    iterations : int, optional
        Steps.

    Raises
    ------
    OptionError
        A sensor without constants, or numbers that are not positive.
    BandMismatchError
        Weights that are negative, not finite, or sum to 0; when the scene is known also weights
        that are not those of its bands.
    """
    given = {"strength": strength, "iterations": iterations}
    for key, value in given.items():
        if value is not None and not value > 0:
            raise OptionError(f"{key} is {value}; it must be positive")
    if sensor is None and weights is None and strength is None and iterations is None:
        return Tv(None, mode)
    constants = Constants()
    if sensor is not None:
        from pansharp.sensors import get_sensor

        name = get_sensor(sensor).name
        if name not in _TABLE:
            raise OptionError(f"tv has no constants for '{sensor}'; choose {', '.join(_TABLE)}")
        constants = _TABLE[name]
    changes: dict[str, object] = {k: v for k, v in given.items() if v is not None}
    if weights is not None:
        changes["weights"] = check_weights(weights)
    return Tv(replace(constants, **changes), mode)  # type: ignore[arg-type]
