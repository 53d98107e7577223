"""Random-feature ridge: a nonlinear map from pixel to spectrum, learnt through the blur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.resample import sample
from pansharp.models import register_model
from pansharp.models.base import ModelSpec, NextPass
from pansharp.models.hyperspectral.anchors import ANCHORS
from pansharp.models.hyperspectral.basis import Basis, MeasuresBasis
from pansharp.models.hyperspectral.operators import own_mask, part_of
from pansharp.models.hyperspectral.ridge import RidgeFit, gcv_ridge
from pansharp.models.hyperspectral.sampling import guide_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.geometry.grids import Window
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Half", "RfRidge", "RidgeFuser", "random_weights", "rfridge"]

_SPEC = ModelSpec(
    "rfridge",
    "classical",
    "no paper: random features after Rahimi, Recht, NIPS 2007, fitted through the blur",
    "nonlinear map from guide and anchor to spectra, fitted to the scene in closed form",
    tasks=("hsi",),
    note="fitted to the scene; wants a measured point-spread function",
)
#: Guide pixels up to which four draws are averaged; beyond, one.
_FEW, _DRAWS = 50_000, 4
#: Features that are blurred at once, and guide pixels that are predicted at once.
_GROUP, _CHUNK = 32, 4096


def random_weights(features: int, inputs: int, key: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights of random features ``max(0, W (x, 1))``.

    Parameters
    ----------
    features : int
        Rows.
    inputs : int
        Inputs without the constant.
    key : tuple of int
        Seed and what tells this draw from others.

    Returns
    -------
    ndarray, shape (features, inputs + 1), float32
        Gaussian of variance 1 / (inputs + 1); the last column, that of the constant, is larger by
        the fourth root of their number.
    """
    size = inputs + 1
    weights = np.random.default_rng(key).standard_normal((features, size)) / np.sqrt(size)
    weights[:, -1] *= size**0.25
    return np.asarray(weights, dtype=np.float32)


def _activate(weights: NDArray[np.float32], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (feature, pixel) of inputs (input, pixel)."""
    hidden: NDArray[np.float32] = weights[:, :-1] @ inputs
    hidden += weights[:, -1:]
    np.maximum(hidden, np.float32(0.0), out=hidden)
    return hidden


@dataclass(frozen=True)
class Half:
    """The map on one anchor.

    Parameters
    ----------
    anchor : {"gsa", "loc"}
        What it corrects.
    weights : tuple of ndarray, shape (feature, input + 1), float32
        Of the features, one a draw.
    fits : tuple of RidgeFit
        One a draw.
    """

    anchor: str
    weights: tuple[NDArray[np.float32], ...]
    fits: tuple[RidgeFit, ...]

    @property
    def ratio(self) -> float:
        """Estimated error on unseen pixels over that of the anchor, mean of the draws."""
        return float(np.mean([fit.ratio for fit in self.fits]))

    def correction(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean over the draws of what is added to the anchor, (component, y, x)."""
        flat = inputs.reshape(len(inputs), -1)
        out = np.zeros((self.fits[0].coefficients.shape[1], flat.shape[1]), dtype=np.float32)
        turns = [(fit.coefficients / len(self.fits)).T.astype(np.float32) for fit in self.fits]
        for start in range(0, flat.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            for weights, turn in zip(self.weights, turns, strict=True):
                out[:, part] += turn @ _activate(weights, flat[:, part])
        return out.reshape(-1, *inputs.shape[1:])


@dataclass(frozen=True)
class RidgeFuser:
    """``y = E (A + C phi(f))``, mean over anchors and draws, plus the rest of the HSI if clean.

    Parameters
    ----------
    basis : Basis
        Anchors, inputs, noise.
    halves : tuple of Half
        The maps in use.
    rejected : tuple of Half
        Maps whose estimated error is not below that of their anchor.
    pixels : int
        HSI pixels of the fit.
    """

    basis: Basis
    halves: tuple[Half, ...]
    rejected: tuple[Half, ...]
    pixels: int

    @property
    def halo(self) -> int:
        """Guide pixels of context."""
        return self.basis.halo

    @property
    def passes(self) -> int:
        """Back-projections that complete the product."""
        return self.basis.passes

    @property
    def gcv_ratio(self) -> float:
        """That of the map on GSA, the first sign of whether the fit is any good."""
        every = (*self.halves, *self.rejected)
        return next(half.ratio for half in every if half.anchor == "gsa")

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        return self.basis.expand(chip, self.coded(chip))

    def coded(self, chip: Chip) -> NDArray[np.float32]:
        """Components of the product: (component, y, x), float32."""
        anchors, scales = self.basis.anchors, self.basis.scales
        planes = anchors.planes(chip, tuple(half.anchor for half in self.halves))
        total = np.zeros_like(planes.start)
        for half in self.halves:
            total += planes.anchors[half.anchor]
            total += half.correction(scales.inputs(planes, half.anchor))
        total /= np.float32(len(self.halves))
        return total

    def facts(self) -> dict[str, object]:
        """What the card says of the fit."""
        return {
            **self.basis.facts(),
            "fitted_pixels": self.pixels,
            "features": len(self.halves[0].weights[0]),
            "draws": len(self.halves[0].fits),
            "anchors": {
                half.anchor: {
                    "gcv_ratio": round(half.ratio, 5),
                    "ridge": [fit.relative for fit in half.fits],
                    "used": used,
                }
                for used, halves in ((True, self.halves), (False, self.rejected))
                for half in halves
            },
        }


@dataclass(frozen=True)
class RfRidge(MeasuresBasis):
    """Random-feature ridge regression through the known blur.

    Parameters
    ----------
    features : int
        Random features of a draw.
    draws : int or None
        Draws that are averaged; None: 4 up to 50 000 guide pixels, else 1.
    seed : int
        Of features and of the sample.
    """

    features: int = 1000
    draws: int | None = None
    seed: int = 0

    @property
    def spec(self) -> ModelSpec:
        """Facts about the method."""
        return _SPEC

    @property
    def sample_seed(self) -> int:
        """Seed of the sample of a large scene."""
        return self.seed

    def begin(self, basis: Basis, facts: SceneFacts) -> NextPass:
        """Draw the features; what they look like through the blur is gathered next."""
        draws = self.draws
        if draws is None:
            small = facts.shape is None or facts.shape[0] * facts.shape[1] <= _FEW
            draws = _DRAWS if small else 1
        inputs = 2 * (basis.anchors.space.size + len(basis.scales.level))
        weights = {
            name: tuple(
                random_weights(self.features, inputs, (self.seed, draw, number))
                for draw in range(draws)
            )
            for number, name in enumerate(ANCHORS)
        }
        return NextPass(_Design(basis, weights))


@dataclass(frozen=True)
class _Design:
    """Third pass: the features as the HSI sees them, and what the anchors leave to explain."""

    basis: Basis
    weights: dict[str, tuple[NDArray[np.float32], ...]]
    spec = _SPEC

    def _reach(self) -> int:
        return int(self.basis.anchors.psf.radius) + 1

    def measure_halo(self, facts: SceneFacts) -> int:
        return self.basis.halo + self._reach()

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        parts = [self._rows(chip, window) for window in self.basis.windows(chip)]
        parts = [self._empty(), *parts]
        joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        # Blurred features are kept in float32: they are many, and were computed in it.
        return cast("Moments", joined)

    def _empty(self) -> dict[str, NDArray[Any]]:
        rows: dict[str, NDArray[Any]] = {"list:index": np.empty(0)}
        for name, draws in self.weights.items():
            rows[f"list:{name}"] = np.empty((0, self.basis.anchors.space.size))
            for number, matrix in enumerate(draws):
                rows[f"list:{name}:{number}"] = np.empty((0, len(matrix)), dtype=np.float32)
        return rows

    def _rows(self, chip: Chip, window: Window) -> dict[str, NDArray[Any]]:
        """Index, what is left to explain, and blurred features of the pixels of one window."""
        basis, anchors = self.basis, self.basis.anchors
        part = part_of(chip, guide_window(chip, window), chip.halo)
        mask = own_mask(part, window)
        keep = slice(None) if mask is None else mask.ravel()
        wide = part.grown(self._reach())
        planes = anchors.planes(wide)

        def low(image: NDArray[np.float32]) -> NDArray[np.float32]:
            origin = (wide.window.row, wide.window.col)
            seen = sample(image, origin, window, chip.alignment, "down", anchors.psf)
            return seen.reshape(len(image), -1)[:, keep].T

        coded = anchors.space.project(chip.ms_pixels(window)).reshape(anchors.space.size, -1)
        rows: dict[str, NDArray[Any]] = {"list:index": basis.index(window).ravel()[keep]}
        for name, draws in self.weights.items():
            rows[f"list:{name}"] = coded[:, keep].T - low(planes.anchors[name])
            inputs = basis.scales.inputs(planes, name)
            for number, matrix in enumerate(draws):
                rows[f"list:{name}:{number}"] = _blurred(matrix, inputs, low)
        return rows

    def finish(self, moments: Moments | None, facts: SceneFacts) -> RidgeFuser:
        assert moments is not None
        order = np.argsort(moments["list:index"], kind="stable")
        halves = []
        for name, weights in self.weights.items():
            left = moments[f"list:{name}"][order]
            fits = [
                gcv_ridge(moments[f"list:{name}:{number}"][order], left)
                for number in range(len(weights))
            ]
            halves.append(Half(name, weights, tuple(fits)))
        # A map that cross-validation expects to be no better than its anchor is left out.
        used = [half for half in halves if half.anchor == "gsa" or half.ratio < 1.0]
        rejected = [half for half in halves if not any(half is other for other in used)]
        return RidgeFuser(self.basis, tuple(used), tuple(rejected), len(order))


def _blurred(
    weights: NDArray[np.float32],
    inputs: NDArray[np.float32],
    low: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Blurred and sampled features, (HSI pixel, feature) float32, a group at a time."""
    flat = inputs.reshape(len(inputs), -1)
    parts = []
    for start in range(0, len(weights), _GROUP):
        hidden = _activate(weights[start : start + _GROUP], flat)
        parts.append(low(hidden.reshape(-1, *inputs.shape[1:])))
    return np.concatenate(parts, axis=1)


@register_model("rfridge")
def rfridge(features: int = 1000, draws: int | None = None, seed: int = 0) -> RfRidge:
    """Random-feature ridge, fitted to the scene through the blur of the HSI.

    Parameters
    ----------
    features : int
        Random features of a draw, 1 or more.
    draws : int, optional
        Draws that are averaged, 1 or more; default 4 up to 50 000 guide pixels, else 1.
    seed : int
        Of features and of the sample of a large scene.

    Raises
    ------
    OptionError
        No features, no draws, or a seed below 0.
    """
    if features < 1:
        raise OptionError(f"features is {features}; give 1 or more (1000 is usual)")
    if draws is not None and draws < 1:
        raise OptionError(f"draws is {draws}; give 1 or more")
    if seed < 0:
        raise OptionError(f"seed is {seed}; give 0 or more")
    return RfRidge(features, draws, seed)
