"""A network on a classical anchor: ``y = A + s f(u, p, d)``.

``u = (U/s - 1)/t`` is the interpolated MS, ``p = (P/s_P - 1)/t_P`` the PAN and
``d = 4 (P - P_L)/(s_P t_P)`` its detail. Taking the mean out matters: with inputs near 1 the
constant part drowns the rest in every normalising layer, and a transformer hardly learns
(docs/adaptation.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from pansharp.adaptation.forms import InputForm
    from pansharp.chips import Chip
    from pansharp.models.classical.glp import GlpFuser

__all__ = ["AnchoredNetwork", "Inputs", "Scaling", "guide_bands", "network_inputs"]

#: Detail is small beside the PAN itself; this brings both to the same size.
_DETAIL = 4.0


def guide_bands() -> int:
    """Guide channels of an adapted network: the PAN and its detail."""
    return 2


@dataclass(frozen=True, slots=True)
class Scaling:
    """Numbers that bring the inputs to mean 0 and spread 1.

    Parameters
    ----------
    bands : tuple of float
        Mean s of each MS band (its spread where the mean is near 0), counts.
    pan : float
        Mean s_P of the PAN, counts.
    spread : float
        Spread t of the MS over its means, one number for all bands.
    pan_spread : float
        Spread t_P of the PAN over its mean.
    """

    bands: tuple[float, ...]
    pan: float
    spread: float = 1.0
    pan_spread: float = 1.0

    @classmethod
    def of(cls, ms: NDArray[np.float32], pan: NDArray[np.float32]) -> Scaling:
        """Measure on pixels (band, n) of the MS and (n,) of the PAN, counts."""

        def measure(values: NDArray[np.float32]) -> tuple[float, float]:
            wide = values.astype(np.float64)
            scale = float(max(abs(wide.mean()), wide.std(), 1e-6))
            return scale, float(wide.std()) / scale

        bands = [measure(band) for band in ms]
        spread = float(np.sqrt(np.mean([t**2 for _, t in bands])))
        pan_scale, pan_spread = measure(pan)
        return cls(tuple(s for s, _ in bands), pan_scale, max(spread, 1e-3), max(pan_spread, 1e-3))


@dataclass(frozen=True)
class Inputs:
    """Network inputs of one window, all on the PAN grid and normalised.

    Parameters
    ----------
    anchor : ndarray, shape (band, y, x), float32
        Classical product, counts.
    up : ndarray, shape (band, y, x), float32
        Interpolated MS, centred and scaled.
    guide : ndarray, shape (2, y, x), float32
        PAN, centred and scaled, and four times its detail.
    """

    anchor: NDArray[np.float32]
    up: NDArray[np.float32]
    guide: NDArray[np.float32]


def network_inputs(chip: Chip, halo: int, anchor: GlpFuser, scaling: Scaling) -> Inputs:
    """Build the inputs of an adapted network.

    Parameters
    ----------
    chip : Chip
        Needs a halo of `halo` plus the GLP low-pass.
    halo : int
        Pixels of network context around the chip's window.
    anchor : GlpFuser
        MTF-GLP-FS prepared for this level.
    scaling : Scaling
        Divisors.

    Returns
    -------
    Inputs
        For the window grown by `halo`.
    """
    up = chip.up(halo)
    pan = chip.guide(halo)[0]
    low = chip.glp(anchor.mtf, halo)
    product = np.empty_like(up)
    for band, gain in enumerate(anchor.gains):
        np.subtract(pan, low[band], out=product[band])
        product[band] *= np.float32(gain)
        product[band] += up[band]
    # Equal gains share one plane: its mean over bands is the plane itself.
    mean_low = low[0] if len(set(anchor.mtf)) == 1 else low.mean(axis=0, dtype=np.float32)
    guide = np.stack([pan - np.float32(scaling.pan), np.float32(_DETAIL) * (pan - mean_low)])
    guide *= np.float32(1.0 / (scaling.pan * scaling.pan_spread))
    scale = np.asarray(scaling.bands, dtype=np.float32)[:, None, None]
    up -= scale
    up /= scale * np.float32(scaling.spread)
    return Inputs(product, up, guide)


@dataclass(frozen=True)
class AnchoredNetwork:
    """A fitted network as a fuser.

    Parameters
    ----------
    network : torch.nn.Module
        With ``residual(guide, up)``.
    form : InputForm
        What it sees and corrects, at the level that is fused.
    context : int
        PAN pixels around a window that the network sees and that are discarded.
    device, precision : str
        Where and how it runs.
    """

    network: nn.Module
    form: InputForm
    context: int
    device: str = "cpu"
    precision: str = "float32"

    @property
    def halo(self) -> int:
        """Context of the network plus that of its inputs."""
        return self.context + self.form.halo

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        inputs = self.form.inputs(chip, self.context)
        detail = predict(self.network, inputs, self.device, self.precision)
        cut = slice(self.context, -self.context) if self.context else slice(None)
        result: NDArray[np.float32] = detail[:, cut, cut] * self.form.scale[:, None, None]
        result += inputs.anchor[:, cut, cut]
        return result


def predict(
    network: nn.Module, inputs: Inputs, device: str = "cpu", precision: str = "float32"
) -> NDArray[np.float32]:
    """Run a network once, without gradients.

    Returns
    -------
    ndarray, shape (band, y, x), float32
        Normalised residual.
    """
    with torch.inference_mode():
        guide = torch.from_numpy(np.ascontiguousarray(inputs.guide))[None].to(device)
        up = torch.from_numpy(np.ascontiguousarray(inputs.up))[None].to(device)
        kind = torch.device(device).type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16"):
            residual = network.residual(guide, up)  # type: ignore[operator]
        return np.asarray(residual[0].float().cpu().numpy(), dtype=np.float32)
