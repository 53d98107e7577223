"""How far images lie off the ground that they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from deliveries.ground import Ground
    from pansharp.scene import Scene
    from pansharp.source import Source


def whole(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """All pixels (band, y, x) in float64, and their validity."""
    from pansharp.geometry.grids import Window

    window = Window(0, 0, source.height, source.width)
    data = source.read(window)
    valid = source.valid(window, data)
    return data.astype(float), np.ones(window.shape, bool) if valid is None else valid


def truth(ground: Ground, transform: tuple[float, ...], shape: tuple[int, int]) -> np.ndarray:
    """What a north-up grid shows of the ground, (band, y, x)."""
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    x, y = transform[2] + transform[0] * cols, transform[5] + transform[4] * rows
    return ground.sample(x, y, transform[0])


def shrunk(valid: np.ndarray, pixels: int) -> np.ndarray:
    """Valid pixels at least so far from the others and from the rim."""
    out = np.pad(valid, pixels)
    for _ in range(pixels):
        inner = out[1:-1, 1:-1] & out[:-2, 1:-1] & out[2:, 1:-1] & out[1:-1, :-2] & out[1:-1, 2:]
        out = np.pad(inner, 1)
    return out[pixels:-pixels, pixels:-pixels]


def off(image: np.ndarray, true: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Rows and columns by which an image (y, x) shows the truth displaced, in its pixels."""
    down, right = np.gradient(true)
    design = np.stack([down[where], right[where], np.ones(where.sum())], axis=1)
    found, *_ = np.linalg.lstsq(design, (true - image)[where], rcond=None)
    return np.asarray(found[:2])


def worst(image: np.ndarray, true: np.ndarray, valid: np.ndarray, margin: int = 4) -> float:
    """Largest displacement of an image (y, x) among its whole and its four corners, its pixels."""
    where = shrunk(valid, margin)
    rows, cols = (size // 2 for size in image.shape)
    parts = [(slice(None), slice(None))]
    parts += [
        (r, c) for r in (slice(rows), slice(rows, None)) for c in (slice(cols), slice(cols, None))
    ]
    found = []
    for part in parts:
        chosen = np.zeros_like(where)
        chosen[part] = where[part]
        found.append(np.abs(off(image, true, chosen)).max())
    return float(max(found))


def errors(scene: Scene, ground: Ground) -> tuple[float, float]:
    """Largest displacement of PAN and of MS against the ground, each in its own pixels."""
    pan, pan_valid = whole(scene.pan_source)
    ms, ms_valid = whole(scene.ms_source)
    true = truth(ground, scene.transform, pan.shape[1:]).mean(axis=0)
    low = truth(ground, scene.ms_transform, ms.shape[1:])
    return (
        worst(pan[0], true, pan_valid),
        max(worst(band, want, ms_valid, 2) for band, want in zip(ms, low, strict=True)),
    )
