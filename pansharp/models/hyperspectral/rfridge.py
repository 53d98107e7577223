"""Random-feature ridge: a nonlinear map from pixel to spectrum, learnt through the blur."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.resample import sample
from pansharp.models import register_model
from pansharp.models.base import ModelSpec, NextPass
from pansharp.models.hyperspectral.anchors import ANCHORS, AnchorPlanes, Anchors, Scales
from pansharp.models.hyperspectral.operators import add_detail, own_mask, part_of
from pansharp.models.hyperspectral.ridge import RidgeFit, gcv_ridge
from pansharp.models.hyperspectral.sampling import Lattice, guide_window
from pansharp.models.hyperspectral.statistics import (
    PairStatistics,
    Subspace,
    measure_pair,
    pair_halo,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["NOISY", "Half", "RfRidge", "RidgeFuser", "expand", "random_weights", "rfridge"]

#: Signal-to-noise ratio of the HSI, decibel, below which it is not copied into the product.
NOISY = 35.0
#: HSI pixels of the fit.
_PIXELS = 5000
#: Guide pixels up to which four draws are averaged; beyond, one.
_FEW, _DRAWS = 50_000, 4
#: Weight of the scene's covariances in the windows of LOC.
_SHRINK = 0.1
#: Features that are blurred at once, and guide pixels that are predicted at once.
_GROUP, _CHUNK = 32, 4096
#: Back-projections that complete the product of a clean scene.
_PASSES = 2


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
    return weights.astype(np.float32)


def _activate(weights: NDArray[np.float32], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (feature, pixel) of inputs (input, pixel)."""
    hidden: NDArray[np.float32] = weights[:, :-1] @ inputs
    hidden += weights[:, -1:]
    return np.maximum(hidden, 0.0, out=hidden)


def expand(
    space: Subspace, chip: Chip, coded: NDArray[np.float32], residual: bool
) -> NDArray[np.float32]:
    """Spectra of components.

    Parameters
    ----------
    space : Subspace
        Of the scene.
    chip : Chip
        The window.
    coded : ndarray, shape (component, y, x), float32
        Components of the window.
    residual : bool
        Add what lies outside the subspace, interpolated.

    Returns
    -------
    ndarray, shape (band, y, x), float32
        Counts.
    """
    if residual:
        fused = chip.up()
        reach = chip.up_window()
        own = space.project(chip.ms_pixels(reach)).astype(np.float32)
        coded = coded - chip.up_from(own, (reach.row, reach.col))
    else:
        level = (space.scale * space.mean).astype(np.float32)[:, None, None]
        # The components count from the mean spectrum.
        fused = np.broadcast_to(level, (len(level), *coded.shape[1:])).copy()
    add_detail(fused, space.weights, coded)
    return fused


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
    anchors : Anchors
        GSA and LOC.
    scales : Scales
        Of the inputs f.
    halves : tuple of Half
        The maps in use.
    rejected : tuple of Half
        Maps whose estimated error is not below that of their anchor.
    snr : float or None
        Signal-to-noise ratio of the HSI, decibel.
    pixels : int
        HSI pixels of the fit.
    """

    anchors: Anchors
    scales: Scales
    halves: tuple[Half, ...]
    rejected: tuple[Half, ...]
    snr: float | None
    pixels: int

    @property
    def halo(self) -> int:
        """Guide pixels of context."""
        return self.anchors.halo

    @property
    def space(self) -> Subspace:
        """Components of the spectra."""
        return self.anchors.space

    @property
    def noisy(self) -> bool:
        """Whether the HSI is too noisy to be copied: no residual, no back-projection."""
        return self.snr is not None and self.snr < NOISY

    @property
    def passes(self) -> int:
        """Back-projections that complete the product."""
        return 0 if self.noisy else _PASSES

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        return expand(self.space, chip, self.coded(chip), not self.noisy)

    def coded(self, chip: Chip) -> NDArray[np.float32]:
        """Components of the product: (component, y, x), float32."""
        planes = self.anchors.planes(chip, tuple(half.anchor for half in self.halves))
        total = np.zeros_like(planes.start)
        for half in self.halves:
            total += planes.anchors[half.anchor]
            total += half.correction(self.scales.inputs(planes, half.anchor))
        total /= np.float32(len(self.halves))
        return total

    def facts(self) -> dict[str, object]:
        """What the card says of the fit."""
        space = self.space
        return {
            "components": space.size,
            "variance_outside_subspace": round(space.share, 8),
            "snr_db": None if self.snr is None else round(self.snr, 2),
            "noisy": self.noisy,
            "fitted_pixels": self.pixels,
            "features": len(self.halves[0].weights[0]),
            "draws": len(self.halves[0].fits),
            "anchors": {
                half.anchor: {
                    "gcv_ratio": round(half.ratio, 5),
                    "ridge": [fit.relative for fit in half.fits],
                    "used": half in self.halves,
                }
                for half in (*self.halves, *self.rejected)
            },
        }


@dataclass(frozen=True)
class RfRidge:
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
    spec = ModelSpec(
        "rfridge",
        "classical",
        "no paper: random features after Rahimi, Recht, NIPS 2007, fitted through the blur",
        "nonlinear map from guide and anchor to spectra, fitted to the scene in closed form",
        tasks=("hsi",),
        note="fitted to the scene; wants a measured point-spread function",
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """Guide pixels around a chip that :meth:`measure` reads."""
        return pair_halo(facts)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Statistics of the pair, and where its valid pixels are."""
        lattice = Lattice.of(facts)
        counts = np.zeros(1) if lattice is None else lattice.count(chip)
        return measure_pair(chip, facts) | {"places": counts}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> NextPass:
        """Subspace and anchors; their detail is measured next."""
        assert moments is not None
        pair = PairStatistics.of(moments, len(facts.ms_gains))
        anchors = Anchors.of(moments, pair, facts, _SHRINK)
        lattice = Lattice.of(facts)
        if lattice is not None:
            lattice = lattice.draw(moments["places"], _PIXELS, self.seed)
        draws = self.draws
        if draws is None:
            small = facts.shape is None or facts.shape[0] * facts.shape[1] <= _FEW
            draws = _DRAWS if small else 1
        plan = replace(self, draws=draws)
        return NextPass(_Details(plan, anchors, lattice, pair.snr()))


@dataclass(frozen=True)
class _Details:
    """Second pass: the spread of what the anchors add."""

    plan: RfRidge
    anchors: Anchors
    lattice: Lattice | None
    snr: float | None

    @property
    def spec(self) -> ModelSpec:
        return self.plan.spec

    def measure_halo(self, facts: SceneFacts) -> int:
        return self.anchors.halo

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        size = self.anchors.space.size
        total = {name: np.zeros((2, size)) for name in ANCHORS}
        count = 0.0
        for window in _windows(self.lattice, chip):
            part = part_of(chip, guide_window(chip, window), self.anchors.halo)
            planes = self.anchors.planes(part)
            keep = slice(None) if part.valid is None else part.valid.ravel()
            for name in ANCHORS:
                added = (planes.anchors[name] - planes.start).reshape(size, -1)[:, keep]
                wide = added.astype(np.float64)
                total[name] += wide.sum(axis=1), (wide**2).sum(axis=1)
            count += wide.shape[1]
        return {**total, "count": np.array([count])}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> NextPass:
        assert moments is not None
        count = max(float(moments["count"][0]), 1.0)
        details = {}
        for name in ANCHORS:
            first, second = moments[name] / count
            details[name] = np.sqrt(np.maximum(second - first**2, 0.0))
        scales = self.anchors.scales(details)
        return NextPass(_Design(self.plan, self.anchors, scales, self.lattice, self.snr))


def _windows(lattice: Lattice | None, chip: Chip) -> list[Any]:
    own = chip.own_ms()
    if own.height <= 0 or own.width <= 0:
        return []
    return [own] if lattice is None else lattice.windows(chip)


@dataclass(frozen=True)
class _Design:
    """Third pass: the features as the HSI sees them, and what the anchors leave to explain."""

    plan: RfRidge
    anchors: Anchors
    scales: Scales
    lattice: Lattice | None
    snr: float | None

    @property
    def spec(self) -> ModelSpec:
        return self.plan.spec

    def _reach(self) -> int:
        return int(self.anchors.psf.radius) + 1

    def measure_halo(self, facts: SceneFacts) -> int:
        return self.anchors.halo + self._reach()

    def _weights(self, name: str) -> list[NDArray[np.float32]]:
        draws = self.plan.draws
        assert draws is not None
        inputs = 2 * (self.anchors.space.size + len(self.scales.level))
        which = ANCHORS.index(name)
        return [
            random_weights(self.plan.features, inputs, (self.plan.seed, draw, which))
            for draw in range(draws)
        ]

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        size, features = self.anchors.space.size, self.plan.features
        weights = {name: self._weights(name) for name in ANCHORS}
        rows: dict[str, list[NDArray[Any]]] = {"list:index": [np.empty(0)]}
        for name in ANCHORS:
            rows[f"list:{name}"] = [np.empty((0, size))]
            for draw in range(len(weights[name])):
                rows[f"list:{name}:{draw}"] = [np.empty((0, features), dtype=np.float32)]
        for window in _windows(self.lattice, chip):
            part = part_of(chip, guide_window(chip, window), chip.halo)
            mask = own_mask(part, window)
            keep = slice(None) if mask is None else mask.ravel()
            number = self.lattice.index(window) if self.lattice else np.zeros(window.shape)
            rows["list:index"].append(number.ravel()[keep])
            wide = part.grown(self._reach())
            planes = self.anchors.planes(wide)
            coded = self.anchors.space.project(chip.ms_pixels(window)).reshape(size, -1)
            origin = (wide.window.row, wide.window.col)

            def low(
                image: NDArray[np.float32],
                at: tuple[Any, tuple[int, int]] = (window, origin),
                keep: Any = keep,
            ) -> NDArray[np.float32]:
                seen = sample(image, at[1], at[0], chip.alignment, "down", self.anchors.psf)
                return seen.reshape(len(image), -1)[:, keep].T

            for name in ANCHORS:
                left = coded[:, keep].T - low(planes.anchors[name])
                rows[f"list:{name}"].append(left)
                inputs = self.scales.inputs(planes, name)
                for draw, matrix in enumerate(weights[name]):
                    rows[f"list:{name}:{draw}"].append(_blurred(matrix, inputs, low))
        return cast("Moments", {key: np.concatenate(parts) for key, parts in rows.items()})

    def finish(self, moments: Moments | None, facts: SceneFacts) -> RidgeFuser:
        assert moments is not None
        order = np.argsort(moments["list:index"], kind="stable")
        halves = []
        for name in ANCHORS:
            weights = self._weights(name)
            left = moments[f"list:{name}"][order]
            fits = [
                gcv_ridge(moments[f"list:{name}:{draw}"][order], left)
                for draw in range(len(weights))
            ]
            halves.append(Half(name, tuple(weights), tuple(fits)))
        # A map that cross-validation expects to be no better than its anchor is left out.
        used = [half for half in halves if half.anchor == "gsa" or half.ratio < 1.0]
        return RidgeFuser(
            self.anchors,
            self.scales,
            tuple(used),
            tuple(half for half in halves if half not in used),
            self.snr,
            len(order),
        )


def _blurred(weights: NDArray[np.float32], inputs: NDArray[np.float32], low: Any) -> Any:
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
