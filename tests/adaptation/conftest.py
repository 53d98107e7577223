"""A small scene with texture that the PAN and the bands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable


def textured(
    size: int | tuple[int, int] = 80, *, ratio: float = 4, bands: int = 3, seed: int = 6
) -> Scene:
    """A PAN/MS pair of `size` MS pixels whose truth is known at PAN resolution."""
    high, wide = (size, size) if isinstance(size, int) else size
    rows, cols = round(high * ratio), round(wide * ratio)
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None])
    fall = 1.0 / np.maximum(f, 1.0 / 60) ** 1.4

    def field() -> np.ndarray:
        wave = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(rows, cols))) * fall, s=(rows, cols))
        return (wave - wave.mean()) / wave.std()

    shared = field()
    truth = np.stack([600 + 90 * (b + 1) * shared + 30 * field() for b in range(bands)])
    pan = truth.mean(axis=0) + rng.normal(0, 1, (rows, cols))
    step = int(ratio)
    ms = truth[:, : high * step, : wide * step].reshape(bands, high, step, wide, step)
    return Scene.from_arrays(
        pan.astype(np.float32), ms.mean(axis=(2, 4)).astype(np.float32), ratio=ratio, name="small"
    )


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    return textured
