"""A small generated scene, fused with a classical method and a network, written and read back."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.doctor.finding import Finding
from pansharp.errors import PansharpError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from pansharp.scene import Scene

__all__ = ["run"]

_GROUP = "self-test"
_SIDE, _RATIO, _SEED = 256, 4, 7
_NAMES = ("blue", "green", "red", "nir")
_CLASSICAL, _NETWORK, _STEPS = "mtf-glp-fs", "rescnn", 12


class _Failure(PansharpError):
    """A product without the properties that it must have."""


def run() -> list[Finding]:
    """Fuse, write, read, compare.

    Returns
    -------
    list of Finding
        One a step; the steps after a broken one are left out.
    """
    from pansharp.scratch import Scratch

    findings: list[Finding] = []
    try:
        scratch = Scratch()
    except PansharpError as problem:
        return [Finding(_GROUP, "scratch", str(problem), "broken")]
    state: dict[str, Any] = {"folder": scratch.folder}
    steps: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("a scene of 4 bands", _scene),
        (f"{_CLASSICAL} to COG", _classical),
        (f"{_CLASSICAL} to Zarr", _zarr),
        (f"{_NETWORK}, {_STEPS} steps", _network),
    ]
    try:
        for name, step in steps:
            start = time.perf_counter()
            try:
                text = step(state)
            except Exception as problem:  # noqa: BLE001 - whatever goes wrong is the finding
                why = " ".join(str(problem).split()) or type(problem).__name__
                if not isinstance(problem, PansharpError):
                    why = f"{type(problem).__name__}: {why}"
                advice = "run `pansharp -vv doctor` and report this"
                findings.append(Finding(_GROUP, name, why, "broken", advice))
                break
            seconds = time.perf_counter() - start
            findings.append(Finding(_GROUP, name, f"{text} ({seconds:.1f} s)"))
    finally:
        scratch.close()
    return findings


def _truth() -> NDArray[np.float32]:
    """Smooth waves shared by all bands, fields with sharp borders: (band, y, x), counts."""
    rng = np.random.default_rng(_SEED)
    y, x = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32)
    image = np.zeros((len(_NAMES), _SIDE, _SIDE), np.float32)
    for wavelength in np.geomspace(4.0, 160.0, 20):
        angle, phase = rng.uniform(0, math.pi), rng.uniform(0, 2 * math.pi)
        across = x * math.cos(angle) + y * math.sin(angle)
        wave = np.sin(2 * math.pi * across / wavelength + phase)
        image += rng.uniform(0.6, 1.4, (len(_NAMES), 1, 1)) * wavelength**0.6 * wave
    image *= 60.0 / image.std()
    for _ in range(40):
        top, left = rng.integers(0, _SIDE - 8, 2)
        height, width = rng.integers(6, 48, 2)
        field = (slice(top, top + height), slice(left, left + width))
        image[:, *field] += rng.normal(0, 60, (len(_NAMES), 1, 1))
    counts: NDArray[np.float32] = np.clip(image + 600.0, 1, 2047).astype(np.float32)
    return counts


def _scene(state: dict[str, Any]) -> str:
    """Degrade the truth with the sensor's MTF, so that the right answer is known."""
    from pansharp.filters import degrade
    from pansharp.scene import Scene

    truth = np.rint(_truth())
    pan = np.rint(truth.mean(axis=0))
    low, _ = degrade(truth, pan, ratio=_RATIO, sensor="worldview2")
    scene = Scene.from_arrays(
        pan.astype(np.uint16),
        np.clip(np.rint(low), 0, 2047).astype(np.uint16),
        ratio=_RATIO,
        band_names=_NAMES,
        name="selftest",
    )
    state.update(truth=truth, scene=scene)
    return f"{_SIDE} x {_SIDE} pixels at ratio {_RATIO}"


def _fuse(scene: Scene, path: Path, model: str, **options: object) -> dict[str, Any]:
    from pansharp.pipeline import FuseOptions, fuse_to_file

    chosen = FuseOptions.checked(model=model, device="cpu", seed=0, mtf="0.3", **options)
    return dict(fuse_to_file(scene, path, chosen).card)


def _error(state: dict[str, Any], image: NDArray[Any]) -> float:
    """ERGAS against the truth, after the shape and the numbers were looked at."""
    from pansharp.evaluation import ergas

    truth = state["truth"]
    if image.shape != truth.shape:
        raise _Failure(f"the product has the shape {image.shape} instead of {truth.shape}")
    if not np.isfinite(image).all():
        raise _Failure("the product holds numbers that are not finite")
    return float(ergas(truth, image.astype(np.float64), ratio=_RATIO))


def _read(path: Path) -> NDArray[Any]:
    """Every pixel, as pansharp would read it."""
    from pansharp.geometry.grids import Window
    from pansharp.source import RasterSource

    source = RasterSource(str(path))
    try:
        image: NDArray[Any] = source.read(Window(0, 0, source.height, source.width))
    finally:
        source.close()
    return image


def _classical(state: dict[str, Any]) -> str:
    folder, scene = state["folder"], state["scene"]
    plain = folder / "exp.tif"
    _fuse(scene, plain, "exp", card=False)
    before = _error(state, _read(plain))
    path = folder / "classical.tif"
    card = _fuse(scene, path, _CLASSICAL)
    image = _read(path)
    after = _error(state, image)
    state.update(plain=before, image=image)
    # Interpolation alone is what every method must beat, by far on a scene this kind.
    if not after < 0.8 * before:
        raise _Failure(f"ERGAS {after:.3f} is no better than that of interpolation, {before:.3f}")
    if not card["full"]:
        raise _Failure("the score card holds no figures")
    return f"ERGAS {after:.2f}, interpolation {before:.2f}"


def _zarr(state: dict[str, Any]) -> str:
    import zarr

    path = state["folder"] / "classical.zarr"
    _fuse(state["scene"], path, _CLASSICAL, format="zarr", card=False)
    root = zarr.open_group(str(path), mode="r")
    arrays = [array for _, array in root.arrays() if array.ndim == 3]
    if len(arrays) != 1 or not np.array_equal(np.asarray(arrays[0]), state["image"]):
        raise _Failure("the Zarr store does not hold the pixels of the GeoTIFF")
    return "holds the same pixels as the COG"


def _network(state: dict[str, Any]) -> str:
    path = state["folder"] / "network.tif"
    card = _fuse(
        state["scene"], path, _NETWORK, adapt="always", adapt_steps=_STEPS, force=True, workers=1
    )
    after, before = _error(state, _read(path)), state["plain"]
    if not after < 0.8 * before:
        raise _Failure(f"ERGAS {after:.3f} is no better than that of interpolation, {before:.3f}")
    if card["model"]["used"] != _NETWORK or card["verdict"] is None:
        raise _Failure("the score card does not tell how the network was judged")
    return f"ERGAS {after:.2f}, judged on blocks that it had not seen"
