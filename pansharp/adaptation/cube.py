"""Fitting a network to a hyperspectral scene through the blur: no reference, no coarser level.

The network adds to the mean of GSA and LOC in the subspace of the spectra, ``z = A + t f``. Blurred
and sampled as the HSI is, z must be the components of the HSI: that is all the supervision, at the
true scale.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pansharp.adaptation.anchored import Inputs, predict
from pansharp.adaptation.cube_fit import CubeFit
from pansharp.adaptation.resume import Store
from pansharp.chips import read_chip
from pansharp.errors import ModelError
from pansharp.geometry.grids import Window
from pansharp.geometry.resample import axis_matrix
from pansharp.models.hyperspectral.operators import inner_pixels, own_mask
from pansharp.models.networks import build_network, get_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from pansharp.chips import Chip
    from pansharp.models.base import SceneFacts
    from pansharp.models.hyperspectral.basis import Basis
    from pansharp.models.networks import NetworkSpec
    from pansharp.scene import Scene

__all__ = ["CubeNetwork", "Patches", "adapt_cube", "cut_patches", "network_inputs"]

#: Side of a patch that is aimed at, guide pixels; fewest HSI pixels a side.
_SIDE, _LEAST = 64, 4
#: Guide pixels of all patches together.
_BUDGET = 600_000
#: Share of the HSI pixels of a patch that must be valid.
_SHARE = 0.25
#: A training that is kept to a time has at least so many steps.
_FEWEST = 25


@dataclass(frozen=True)
class Patches:
    """Windows of a scene cut on the grid of its HSI, ready for training.

    Parameters
    ----------
    guide, up : ndarray, shape (patch, plane, y, x), float32
        Inputs of the network.
    target : ndarray, shape (patch, component, low y, low x), float32
        What the blurred anchor leaves of the HSI.
    mask : ndarray, shape (patch, low y, low x), float32
        1 where the HSI is valid.
    rows, cols : ndarray, shape (patch, low, high), float32
        Blur and decimation along the two axes.
    """

    guide: NDArray[np.float32]
    up: NDArray[np.float32]
    target: NDArray[np.float32]
    mask: NDArray[np.float32]
    rows: NDArray[np.float32]
    cols: NDArray[np.float32]

    @property
    def pixels(self) -> int:
        """HSI pixels that the loss uses."""
        return int(self.mask.sum())

    @property
    def scale(self) -> NDArray[np.float32]:
        """Root mean square of the targets of each component, (component,)."""
        weight = self.mask[:, None]
        total = ((self.target**2) * weight).sum(axis=(0, 2, 3), dtype=np.float64)
        level = np.sqrt(total / max(self.pixels, 1))
        # A component that the anchor explains to rounding needs no correction of its own.
        least = max(1e-3 * float(level.max()), 1e-12)
        return np.asarray(np.maximum(level, least), dtype=np.float32)


def network_inputs(basis: Basis, chip: Chip) -> Inputs:
    """Inputs of a network, and the anchor that it corrects.

    The anchor is the mean of GSA and LOC: LOC follows the ground where there are HSI pixels enough,
    GSA does not fail where there are not (docs/hyperspectral.md has the errors of each).

    Parameters
    ----------
    basis : Basis
        Of the scene.
    chip : Chip
        With the basis' halo.

    Returns
    -------
    Inputs
        Anchor (component, y, x); `up` the image of GSA over its spread; `guide` the centred guide,
        twice its detail and half of what GSA adds to interpolation, each over its spread.
    """
    planes = basis.anchors.planes(chip)
    stacked = basis.scales.inputs(planes, "gsa")
    size = len(planes.start)
    anchor = planes.anchors["gsa"] + planes.anchors["loc"]
    anchor *= np.float32(0.5)
    return Inputs(anchor, stacked[:size], stacked[size:])


def cut_patches(
    scenes: Sequence[Scene], facts: SceneFacts, basis: Basis, spec: NetworkSpec, seed: int
) -> Patches:
    """Cut patches of all of a small scene, or at random places of a large one.

    Parameters
    ----------
    scenes : sequence of Scene
        One scene, or the windows of a reduced one.
    facts : SceneFacts
        Of them all.
    basis : Basis
        Anchor and inputs.
    spec : NetworkSpec
        Alignment of its tiles.
    seed : int
        Of the places.

    Returns
    -------
    Patches

    Raises
    ------
    ModelError
        No patch has valid pixels enough.
    """
    psf, ratio, step = basis.anchors.psf, facts.alignment.ratio, spec.multiple_of
    margin = int(psf.radius) + 1
    side = max(_LEAST, round((_SIDE - 2 * margin) / ratio))
    high = math.ceil((side * ratio + 2 * margin + step) / step) * step
    places = [
        (scene, row, col)
        for scene in scenes
        for row, col in _corners(scene, inner_pixels(facts), side)
    ]
    if len(places) * high * high > _BUDGET:
        order = np.random.default_rng(seed).permutation(len(places))
        places = [places[i] for i in order]
    parts: list[tuple[NDArray[np.float32], ...]] = []
    for scene, row, col in places:
        if len(parts) * high * high > _BUDGET:
            break
        part = _patch(scene, facts, basis, Window(row, col, side, side), high, step)
        if part is not None:
            parts.append(part)
    if not parts:
        raise ModelError(
            "no part of the scene has valid pixels enough to fit a network; use 'fuse-sylvester'"
        )
    return Patches(*(np.stack(planes) for planes in zip(*parts, strict=True)))


def _corners(
    scene: Scene, inside: tuple[int, int, int, int] | None, side: int
) -> list[tuple[int, int]]:
    if inside is None:
        inside = (0, scene.ms_source.height, 0, scene.ms_source.width)
    return [
        (row, col)
        for row in range(inside[0], inside[1], side)
        for col in range(inside[2], inside[3], side)
    ]


def _patch(
    scene: Scene, facts: SceneFacts, basis: Basis, low: Window, high: int, step: int
) -> tuple[NDArray[np.float32], ...] | None:
    y, x = facts.alignment.y, facts.alignment.x
    psf = basis.anchors.psf
    top = math.floor((y.to_pan(low.row) - psf.radius) / step) * step
    left = math.floor((x.to_pan(low.col) - psf.radius) / step) * step
    chip = read_chip(scene, Window(top, left, high, high), basis.halo)
    known = own_mask(chip, low)
    mask = np.ones(low.shape) if known is None else known.astype(np.float64)
    inside = inner_pixels(facts)
    if inside is not None:
        mask *= ((low.row + np.arange(low.height)) < inside[1])[:, None]
        mask *= (low.col + np.arange(low.width)) < inside[3]
    if mask.mean() < _SHARE and mask.sum() < _LEAST**2:
        return None
    inputs = network_inputs(basis, chip)
    rows = axis_matrix(y, "down", psf, (low.row, low.row_end), (top, top + high))
    cols = axis_matrix(x, "down", psf, (low.col, low.col_end), (left, left + high))
    coded = basis.anchors.space.project(chip.ms_pixels(low))
    target = coded - rows @ inputs.anchor.astype(np.float64) @ cols.T
    return (
        inputs.guide,
        inputs.up,
        target.astype(np.float32),
        mask.astype(np.float32),
        rows.astype(np.float32),
        cols.astype(np.float32),
    )


@dataclass(frozen=True)
class CubeNetwork:
    """A fitted network as a fuser of components.

    Parameters
    ----------
    network : torch.nn.Module
        With ``residual(guide, up)``.
    basis : Basis
        Anchor and inputs.
    scale : ndarray, shape (component,), float32
        What its output is multiplied by.
    context : int
        Guide pixels around a window that the network sees and that are discarded.
    device, precision : str
        Where and how it runs.
    """

    network: nn.Module
    basis: Basis
    scale: NDArray[np.float32]
    context: int
    device: str = "cpu"
    precision: str = "float32"

    @property
    def halo(self) -> int:
        """Context of the network plus that of its inputs."""
        return self.context + self.basis.halo

    def coded(self, chip: Chip) -> NDArray[np.float32]:
        """Components of the product: (component, y, x), float32."""
        inputs = network_inputs(self.basis, chip.grown(self.context))
        detail = predict(self.network, inputs, self.device, self.precision)
        cut = slice(self.context, -self.context) if self.context else slice(None)
        result: NDArray[np.float32] = detail[:, cut, cut] * self.scale[:, None, None]
        result += inputs.anchor[:, cut, cut]
        return result

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        return self.basis.expand(chip, self.coded(chip))


def adapt_cube(
    name: str,
    scenes: Sequence[Scene],
    facts: SceneFacts,
    basis: Basis,
    *,
    steps: int | None,
    seed: int,
    device: str,
    precision: str = "float32",
    minutes: float | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[float, float, str], None] | None = None,
) -> tuple[CubeNetwork, dict[str, object]]:
    """Fit a fresh network to a scene.

    AdamW with weight decay 0.01, one cycle with 20 % warm-up, gradient norm at most 1, exponential
    average of the weights; mean over HSI pixels of the rounded distance between the blurred product
    and the HSI in the subspace.

    Parameters
    ----------
    name : str
        Network.
    scenes : sequence of Scene
        One scene, or the windows of a reduced one.
    facts : SceneFacts
        Of them all.
    basis : Basis
        Anchor and inputs.
    steps : int or None
        Optimiser steps; None takes the network's number for cubes.
    seed : int
        Of weights and patches.
    device, precision : str
        Where to train, and how to predict.
    minutes : float, optional
        Wall time of the training; the steps are cut down to it, and the card tells their number.
    checkpoint : Path, optional
        File that keeps the state of the training; a killed one goes on from there.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    CubeNetwork
    dict
        What the card says of the training.

    Raises
    ------
    ModelError
        Nothing to train on, or the loss diverged from the start at two rates. Where it diverges
        later at the halved rate, the last good state is kept: ``best_step`` is below ``steps``.
    """
    spec = get_network(name)
    begin = time.perf_counter()
    wanted = steps or spec.adaptation.cube_steps
    patches = cut_patches(scenes, facts, basis, spec, seed)
    if patches.pixels < _LEAST**2:
        raise ModelError(
            f"only {patches.pixels} HSI pixels are left to fit a network to; use 'fuse-sylvester'"
        )

    def fresh() -> nn.Module:
        torch.manual_seed(seed)
        return build_network(
            name,
            ms_bands=patches.up.shape[1],
            pan_bands=patches.guide.shape[1],
            ratio=facts.alignment.ratio,
        )

    store = None
    if checkpoint is not None:
        store = Store(checkpoint, _identity(patches, (name, seed, steps, minutes, device)))
    saved = store.load() if store is not None else None
    if saved is not None:
        wanted = int(saved["planned"])
    elif minutes is not None:
        pace = CubeFit(fresh(), patches, spec, wanted, seed, device, 1).seconds_per_step()
        wanted = min(wanted, max(_FEWEST, int(60.0 * minutes / pace)))
    for attempt in range(int(saved["attempt"]) if saved else 1, 3):
        network = fresh()
        run = CubeFit(network, patches, spec, wanted, seed, device, attempt)
        if saved is not None and attempt == saved["attempt"]:
            run.restore(saved)
        best = wanted
        if run.train(progress, store) or (attempt == 2 and (best := run.fall_back())):
            break
    else:
        raise ModelError(
            "the training loss became NaN at two learning rates; check the scene for extreme "
            "values (nodata that is not declared: --nodata) or use 'rfridge'"
        )
    fitted = run.finish()
    told: dict[str, object] = {
        "arch": name,
        "weights": "adapted",
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": wanted,
        "steps_planned": steps or spec.adaptation.cube_steps,
        "best_step": best,
        "curve": [],
        "seconds": round(time.perf_counter() - begin, 2),
        "seed": seed,
        "flips": False,
        "training_pixels": patches.pixels,
        "loss_first_last": [round(v, 5) for v in fitted],
    }
    context = spec.practical_halo
    return CubeNetwork(network, basis, patches.scale, context, device, precision), told


def _identity(patches: Patches, words: tuple[object, ...]) -> str:
    """Digest of all that decides what the training gives."""
    digest = hashlib.sha256(repr(words).encode())
    for part in (patches.guide, patches.up, patches.target, patches.mask):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
