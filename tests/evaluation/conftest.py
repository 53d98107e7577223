"""Images, views and the table of all indices for the tests of the indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from pansharp import evaluation as ev
from pansharp.filters import imresize, interp23

Score = Callable[..., float]


class Scene(NamedTuple):
    """A truth, a flawed image of it, and the MS and PAN the image could come from."""

    reference: np.ndarray
    fused: np.ndarray
    ms: np.ndarray
    pan: np.ndarray


@pytest.fixture(scope="session")
def build_scene() -> Callable[..., Scene]:
    """Make a scene of textured fields, sides multiples of 4."""

    def build(bands: int = 4, height: int = 128, width: int = 160, seed: int = 5) -> Scene:
        rng = np.random.default_rng(seed)
        coarse = rng.uniform(300, 1500, (bands, -(-height // 8), -(-width // 8)))
        fine = rng.normal(0, 60, (1, height, width))
        gain = np.linspace(0.6, 1.2, bands)[:, None, None]
        truth = np.rint(np.clip(imresize(coarse, 8)[:, :height, :width] + fine * gain, 1, 2047))
        ms = np.rint(imresize(truth, 0.25))
        return Scene(truth, interp23(ms, 4) + 0.7 * fine, ms, np.rint(truth.mean(axis=0)))

    return build


@pytest.fixture(scope="session")
def scene(build_scene: Callable[..., Scene]) -> Scene:
    return build_scene()


class Lazy:
    """A view that refuses to be read whole, or by anything but contiguous inner windows."""

    def __init__(self, array: np.ndarray, limit: int) -> None:
        self._array = array
        self._limit = limit
        self.largest = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        assert len(key) == self._array.ndim
        for part, side in zip(key, self._array.shape, strict=True):
            assert part.step in (None, 1)
            assert part.start is None or 0 <= part.start < part.stop <= side
        window = self._array[key]
        assert window.size <= self._limit, f"{window.size} numbers were read at once"
        self.largest = max(self.largest, window.size)
        return window

    def __array__(self, *args: object, **kwargs: object) -> np.ndarray:
        raise AssertionError("the whole image was read")


@pytest.fixture(scope="session")
def lazy() -> type[Lazy]:
    return Lazy


#: Every index as a function of (reference, fused, ms, pan, mask).
SCORES: dict[str, Score] = {
    "ergas": lambda r, f, m, p, k: ev.ergas(r, f, mask=k),
    "sam": lambda r, f, m, p, k: ev.sam(r, f, mask=k),
    "rmse": lambda r, f, m, p, k: ev.rmse(r, f, mask=k),
    "cc": lambda r, f, m, p, k: ev.cc(r, f, mask=k),
    "psnr": lambda r, f, m, p, k: ev.psnr(r, f, data_range=2047, mask=k),
    "psnr_bands": lambda r, f, m, p, k: ev.psnr(r, f, data_range=2047, pooled=False, mask=k),
    "q2n": lambda r, f, m, p, k: ev.q2n(r, f, mask=k),
    "q2n_overlap": lambda r, f, m, p, k: ev.q2n(r, f, shift=16, mask=k),
    "q": lambda r, f, m, p, k: ev.q(r, f, mask=k),
    "scc": lambda r, f, m, p, k: ev.scc(r, f, mask=k),
    "scc_2015": lambda r, f, m, p, k: ev.scc(r, f, variant="2015", mask=k),
    "ssim": lambda r, f, m, p, k: ev.ssim(r, f, data_range=2047, mask=k),
    "d_lambda": lambda r, f, m, p, k: ev.d_lambda(f, m, mask=k),
    "d_lambda_paper": lambda r, f, m, p, k: ev.d_lambda(f, m, variant="paper", mask=k),
    "d_s": lambda r, f, m, p, k: ev.d_s(f, m, p, mask=k),
    "d_s_2015": lambda r, f, m, p, k: ev.d_s(f, m, p, variant="2015", sensor="QB", mask=k),
    "d_s_paper": lambda r, f, m, p, k: ev.d_s(f, m, p, variant="paper", mask=k),
    "qnr": lambda r, f, m, p, k: ev.qnr(f, m, p, mask=k),
    "d_lambda_k": lambda r, f, m, p, k: ev.d_lambda_k(f, m, sensor="QB", mask=k),
    "hqnr": lambda r, f, m, p, k: ev.hqnr(f, m, p, sensor="QB", mask=k),
}


@pytest.fixture(scope="session")
def scores() -> dict[str, Score]:
    """All indices by name."""
    return SCORES


@pytest.fixture(params=SCORES)
def score(request: pytest.FixtureRequest) -> Score:
    """Each index in turn."""
    return SCORES[request.param]
