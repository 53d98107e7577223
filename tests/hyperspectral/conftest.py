"""Cubes with a known truth: few endmembers, known blur, known response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.geometry.grids import Alignment, AxisMap, Window
from pansharp.geometry.resample import input_window, sample
from pansharp.models.base import SceneFacts
from pansharp.models.hyperspectral.operators import Psf, gain_of_sigma
from pansharp.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

SIGMA = 0.5


@dataclass(frozen=True)
class Cube:
    """A pair and its truth; `weights` is the response of the guide, (guide, band)."""

    scene: Scene
    truth: np.ndarray
    weights: np.ndarray
    facts: SceneFacts


def alignment_of(ratio: float, offset: float = 0.0) -> Alignment:
    axis = AxisMap(ratio, (ratio - 1) / 2 + offset)
    return Alignment(axis, axis)


def degrade(image: np.ndarray, alignment: Alignment, shape: tuple[int, int]) -> np.ndarray:
    """The image as the cube's instrument sees it: Gaussian blur, borders replicated."""
    psf = Psf(SIGMA * alignment.ratio)
    window = Window(0, 0, *shape)
    need = input_window(alignment, "down", psf, window)
    pad = max(0, -need.row, -need.col, need.row_end - image.shape[1], need.col_end - image.shape[2])
    wide = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="edge").astype(np.float32)
    return sample(wide, (-pad, -pad), window, alignment, "down", psf)


def make_cube(
    *,
    ratio: float = 4,
    size: int = 24,
    bands: int = 30,
    guides: int = 4,
    members: int = 4,
    noise: float = 0.0,
    offset: float = 0.0,
    seed: int = 3,
) -> Cube:
    """A scene of `members` spectra mixed by smooth abundances with sharp edges."""
    rng = np.random.default_rng(seed)
    high = int(size * ratio)
    x = np.linspace(0, 1, bands)
    spectra = np.stack(
        [
            300 + 900 * np.exp(-(((x - c) / w) ** 2)) + 400 * s * x
            for c, w, s in zip(
                rng.uniform(0, 1, members),
                rng.uniform(0.15, 0.5, members),
                rng.uniform(-0.5, 1, members),
                strict=True,
            )
        ]
    )
    f = np.hypot(np.fft.fftfreq(high)[:, None], np.fft.rfftfreq(high)[None])
    fall = 1.0 / np.maximum(f, 1.0 / 40) ** 1.3
    fields = np.fft.irfft2(
        np.fft.rfft2(rng.normal(size=(members, high, high))) * fall, s=(high,) * 2
    )
    fields /= fields.std(axis=(1, 2), keepdims=True)
    shares = np.exp(1.2 * fields)
    shares /= shares.sum(axis=0)
    truth = np.tensordot(spectra.T, shares, 1)
    centres = np.linspace(0.1, 0.9, guides) if guides > 1 else np.array([0.4])
    weights = np.exp(-(((x - centres[:, None]) / (0.08 if guides > 1 else 0.3)) ** 2))
    weights /= weights.sum(axis=1, keepdims=True)
    alignment = alignment_of(ratio, offset)
    cube = degrade(truth, alignment, (size, size))
    guide = np.tensordot(weights, truth, 1)
    cube = cube + rng.normal(0, noise, cube.shape) if noise else cube
    guide = guide + rng.normal(0, noise, guide.shape) if noise else guide
    scene = Scene.from_arrays(
        guide.astype(np.float32), cube.astype(np.float32), alignment=alignment, name="cube"
    )
    return Cube(scene, truth, weights, facts_for(scene))


def facts_for(scene: Scene, sigma: float = SIGMA) -> SceneFacts:
    return SceneFacts(
        scene.alignment,
        (gain_of_sigma(sigma),) * scene.bands,
        0.15,
        band_names=scene.band_names,
        shape=scene.shape[1:],
    )


@pytest.fixture(scope="session")
def cube() -> Cube:
    return make_cube()


@pytest.fixture(scope="session")
def new_cube() -> Callable[..., Cube]:
    return make_cube
