"""The two ways a network is fed, and what a window of a site becomes in each.

``published``: the network sees counts divided by one number and gives the product,
``y = v forward(P / v, M / v)``. ``anchored``: as in per-scene adaptation, it sees what
:func:`pansharp.adaptation.anchored.network_inputs` makes of a pair and gives what is missing in
MTF-GLP-FS, ``y = A + s residual(p, u)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.anchored import Scaling, network_inputs
from pansharp.adaptation.trial import fit_classical
from pansharp.chips import read_chip
from pansharp.errors import SceneError
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import glp_halo
from pansharp.models.base import SceneFacts
from pansharp.models.classical.glp import GlpFuser
from pansharp.source import read_padded
from pansharp.training.examples import grain_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.training.examples import Example, Site

__all__ = ["AnchorFit", "Cell", "anchored_cell", "fit_anchor", "published_cell"]


@dataclass(frozen=True)
class Cell:
    """One window made ready for a network; patches are cut from it.

    Parameters
    ----------
    guide : ndarray, shape (guide band, y, x), float32
        Normalised guide.
    image : ndarray, shape (band, y / zoom, x / zoom), float32
        Normalised low-resolution image (published), or the same interpolated (anchored).
    target : ndarray, shape (band, y, x), float32
        What the network shall return.
    valid : ndarray, shape (y, x), bool, or None
        Pixels that count; None means all.
    zoom : int
        Pixels of the guide per pixel of `image`.
    scale : ndarray, shape (band,), float32
        Counts per unit of `target`.
    base : ndarray, shape (band, y, x), float32, or None
        Counts to which the network's result is added; None means none.
    """

    guide: NDArray[np.float32]
    image: NDArray[np.float32]
    target: NDArray[np.float32]
    valid: NDArray[np.bool_] | None
    zoom: int
    scale: NDArray[np.float32]
    base: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.guide, self.image, self.target, self.valid, self.base)
        return sum(a.nbytes for a in arrays if a is not None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the truth."""
        return self.target.shape[1], self.target.shape[2]

    def counts(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn the network's result for the whole cell into counts, (band, y, x)."""
        product = output * self.scale[:, None, None]
        return product if self.base is None else product + self.base


@dataclass(frozen=True)
class AnchorFit:
    """What the anchored form knows of a site.

    Parameters
    ----------
    anchor : GlpFuser
        MTF-GLP-FS fitted to the degraded pair.
    scaling : Scaling
        Means and spreads.
    """

    anchor: GlpFuser
    scaling: Scaling


def published_cell(example: Example, value_scale: float) -> Cell:
    """Make a cell of the form ``published``.

    Parameters
    ----------
    example : Example
        Its inner window must begin and end at whole coarse pixels.
    value_scale : float
        Counts that are 1 to the network.
    """
    scene, window = example.scene, example.inner
    zoom = grain_of(scene.ratio)
    low_window = Window(
        window.row // zoom, window.col // zoom, window.height // zoom, window.width // zoom
    )
    guide, of_guide = read_padded(scene.pan_source, window)
    low, _ = read_padded(scene.ms_source, low_window)
    by = np.float32(1.0 / value_scale)
    target = example.reference[:, *window.slices]
    return Cell(
        guide=guide * by,
        image=low * by,
        target=target * by,
        valid=_both(_cut(example.valid, window), of_guide),
        zoom=zoom,
        scale=np.full(len(target), value_scale, dtype=np.float32),
    )


def fit_anchor(site: Site) -> AnchorFit:
    """Fit the anchor and measure the scaling on the degraded pair alone, without its truth.

    Parameters
    ----------
    site : Site
        A pair of PAN and MS.

    Raises
    ------
    SceneError
        No pixel is valid.
    """
    examples = site.overview()
    facts = [_facts(site, example) for example in examples]
    halo = glp_halo(site.traits.ratio, site.traits.gains)
    chips = [read_chip(e.scene, e.inner, halo) for e in examples]
    anchor = fit_classical("mtf-glp-fs", chips, facts[0])
    assert isinstance(anchor, GlpFuser)
    ms, pan = [], []
    for chip in chips:
        keep = np.ones(chip.window.shape, bool) if chip.valid is None else chip.valid
        ms.append(chip.up()[:, keep])
        pan.append(chip.guide()[0][keep])
    if not sum(p.size for p in pan):
        raise SceneError(f"'{site.name}' of '{site.path}' has no valid pixel; leave it out")
    return AnchorFit(anchor, Scaling.of(np.concatenate(ms, axis=1), np.concatenate(pan)))


def anchored_cell(example: Example, fit: AnchorFit) -> Cell:
    """Make a cell of the form ``anchored``.

    Parameters
    ----------
    example : Example
        With the context that the anchor's low-pass looks at.
    fit : AnchorFit
        Of its site.
    """
    halo = glp_halo(example.scene.ratio, fit.anchor.mtf)
    chip = read_chip(example.scene, example.inner, halo)
    inputs = network_inputs(chip, 0, fit.anchor, fit.scaling)
    scale = np.asarray(fit.scaling.bands, dtype=np.float32)
    reference = example.reference[:, *example.inner.slices]
    return Cell(
        guide=inputs.guide,
        image=inputs.up,
        target=(reference - inputs.anchor) / scale[:, None, None],
        valid=_both(_cut(example.valid, example.inner), chip.valid),
        zoom=1,
        scale=scale,
        base=inputs.anchor,
    )


def _facts(site: Site, example: Example) -> SceneFacts:
    traits = site.traits
    gain = 0.15 if traits.sensor is None else traits.sensor.pan_gain[0]
    return SceneFacts(
        example.scene.alignment, traits.gains, gain, traits.sensor, example.scene.band_names
    )


def _cut(mask: NDArray[np.bool_] | None, window: Window) -> NDArray[np.bool_] | None:
    return None if mask is None else mask[window.slices]


def _both(*masks: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    given: Sequence[NDArray[np.bool_]] = [m for m in masks if m is not None]
    if not given:
        return None
    both = np.logical_and.reduce(given)
    return None if both.all() else both
