"""How a scene becomes the inputs of a network, and its output a product: two forms.

``anchored``: the network corrects MTF-GLP-FS, its inputs are centred and scaled by the scene, so
that a change of sensor or value range means little. ``published``: the form of the papers, the
network corrects the interpolated MS, and everything is divided by one number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pansharp.adaptation.anchored import Inputs, Scaling, guide_bands, network_inputs
from pansharp.geometry.kernels import glp_halo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Fuser
    from pansharp.models.classical.glp import GlpFuser

__all__ = ["AnchoredForm", "InputForm", "PublishedForm"]


class InputForm(Protocol):
    """What turns a chip into inputs of a network."""

    @property
    def name(self) -> str:
        """``anchored`` or ``published``."""

    @property
    def guide_bands(self) -> int:
        """Channels of the guide."""

    @property
    def halo(self) -> int:
        """PAN pixels around a window that the inputs look at."""

    @property
    def scale(self) -> NDArray[np.float32]:
        """What the residual of each band is multiplied by, counts, (band,) float32."""

    def inputs(self, chip: Chip, halo: int) -> Inputs:
        """Inputs of the chip's window grown by `halo` PAN pixels."""

    def at(self, anchor: Fuser) -> InputForm:
        """The same at another level, whose classical anchor is given."""


@dataclass(frozen=True)
class AnchoredForm:
    """A correction of MTF-GLP-FS on centred and scaled inputs.

    Parameters
    ----------
    anchor : GlpFuser
        MTF-GLP-FS, prepared for the level in hand.
    scaling : Scaling
        Of the scene.
    ratio : float
        MS pixel over PAN pixel.
    """

    anchor: GlpFuser
    scaling: Scaling
    ratio: float

    name = "anchored"

    @property
    def guide_bands(self) -> int:
        """PAN and its detail."""
        return guide_bands()

    @property
    def halo(self) -> int:
        """Reach of the GLP low-pass, PAN pixels."""
        return glp_halo(self.ratio, self.anchor.mtf)

    @property
    def scale(self) -> NDArray[np.float32]:
        """Mean of each band, counts, (band,) float32."""
        return np.asarray(self.scaling.bands, dtype=np.float32)

    def inputs(self, chip: Chip, halo: int) -> Inputs:
        """Inputs of the chip's window grown by `halo` PAN pixels."""
        return network_inputs(chip, halo, self.anchor, self.scaling)

    def at(self, anchor: Fuser) -> AnchoredForm:
        """The same with the anchor of another level."""
        from pansharp.models.classical.glp import GlpFuser

        assert isinstance(anchor, GlpFuser)
        return replace(self, anchor=anchor)


@dataclass(frozen=True)
class PublishedForm:
    """A correction of the interpolated MS; PAN and MS are divided by one number.

    The interpolator is the project's own at the true sub-pixel positions, where the papers take the
    grid of their training set.

    Parameters
    ----------
    value_scale : float
        Divisor, counts: what was 1 in training.
    bands : int
        Bands of the MS.
    """

    value_scale: float
    bands: int

    name = "published"
    guide_bands = 1
    halo = 0

    @property
    def scale(self) -> NDArray[np.float32]:
        """The divisor for every band, counts, (band,) float32."""
        return np.full(self.bands, self.value_scale, dtype=np.float32)

    def inputs(self, chip: Chip, halo: int) -> Inputs:
        """Inputs of the chip's window grown by `halo` PAN pixels."""
        up = chip.up(halo)
        inverse = np.float32(1.0 / self.value_scale)
        return Inputs(up, up * inverse, chip.guide(halo) * inverse)

    def at(self, anchor: Fuser) -> PublishedForm:
        """Itself: there is no anchor to prepare."""
        return self
