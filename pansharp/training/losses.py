"""What is made small: the losses of the recipes, each as named terms whose sum it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import OptionError
from pansharp.models.layers.cube_losses import hyfusion_loss, sam_loss
from pansharp.models.layers.fusion import upsample_bicubic
from pansharp.models.layers.spectral import reflect_to_multiple
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    Terms = dict[str, Tensor]
    Loss = Callable[[nn.Module, Tensor, Tensor, Tensor, Tensor | None], Terms]

__all__ = ["LOSSES", "Objective"]

#: Weight of the Fourier term beside the mean absolute error, and of BUGPan's.
_FFT, _FFT_BUGPAN = 0.05, 0.01
#: Rounding of the corner in BUGPan's pixel term; weight of its coarse scales.
_CORNER, _COARSE = 1e-3, 0.01
#: Weight of HetSSNet's contrastive term, of the spectral angle.
_CONTRASTIVE, _ANGLE = 0.01, 0.1


def _l1(
    network: nn.Module, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Terms:
    """Mean absolute error."""
    return {"l1": (_product(network, guide, image, target, valid) - target).abs().mean()}


def _l1_fft(
    network: nn.Module, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Terms:
    """Mean absolute error and 0.05 mean modulus of the unitary Fourier transform of the error."""
    error = _product(network, guide, image, target, valid) - target
    modulus = torch.fft.fft2(error, norm="ortho").abs().mean()
    return {"l1": error.abs().mean(), "fft": _FFT * modulus}


def _l1_sam(
    network: nn.Module, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Terms:
    """Mean absolute error and 0.1 spectral angle (one minus the mean cosine)."""
    output = _product(network, guide, image, target, valid)
    return {"l1": (output - target).abs().mean(), "sam": _ANGLE * sam_loss(output, target)}


def _hyfusion(
    network: nn.Module, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Terms:
    """HyFusion's sum, on values in [0, 1]."""
    output = _product(network, guide, image, target, valid)
    return {"hyfusion": hyfusion_loss(output, target, value_range=(0.0, 1.0))}


def _bugpan(
    network: Any, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Terms:
    """Charbonnier and Fourier error of the last scale, and 0.01 of the same of the coarser ones."""
    estimates = [estimate.float() for estimate in network.pyramid(guide, image)]
    terms = {"fine": _charbonnier(_filled(estimates[-1], target, valid), target)}
    coarse = []
    for estimate in estimates[:-1]:
        size = estimate.shape[-2:]
        wanted = F.interpolate(target, size=size, mode="bicubic", align_corners=False)
        known = None
        if valid is not None:
            known = F.interpolate(valid.float(), size=size, mode="area") > 0.999
        coarse.append(_charbonnier(_filled(estimate, wanted, known), wanted))
    if coarse:
        terms["coarse"] = _COARSE * torch.stack(coarse).sum()
    return terms


def _charbonnier(output: Tensor, target: Tensor) -> Tensor:
    error = output - target
    # Not unitary, as in the authors' code: its weight belongs to patches of 64 x 64.
    modulus = torch.fft.rfft2(error).abs().mean()
    total: Tensor = _FFT_BUGPAN * modulus + (error.square() + _CORNER**2).sqrt().mean()
    return total


def _hetssnet(
    network: Any, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Terms:
    """Mean absolute error, and 0.01 of the contrastive term where there is a global branch."""
    terms = _l1(network, guide, image, target, valid)
    if network.global_branch is not None:
        up = upsample_bicubic(image, (guide.shape[-2], guide.shape[-1]))
        both = reflect_to_multiple(network.multiple_of, guide, up)
        terms["contrastive"] = _CONTRASTIVE * network.contrastive_loss(*both)
    return terms


def _residual(
    network: Any, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Terms:
    """Mean absolute error of what is added to the anchor."""
    output = _filled(network.residual(guide, image).float(), target, valid)
    return {"l1": (output - target).abs().mean()}


#: Name in a recipe to the function.
LOSSES: dict[str, Loss] = {
    "l1": _l1,
    "l1-fft": _l1_fft,
    "l1-sam": _l1_sam,
    "bugpan": _bugpan,
    "hetssnet": _hetssnet,
    "hyfusion": _hyfusion,
    "residual-l1": _residual,
}


def _product(
    network: nn.Module, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
) -> Tensor:
    return _filled(network(guide, image).float(), target, valid)


def _filled(output: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """The output with the target where there is no truth: every loss then ignores it."""
    return output if valid is None else torch.where(valid, output, target)


class Objective(nn.Module):
    """A network with its loss, so that one call does all that needs gradients.

    Parameters
    ----------
    network : torch.nn.Module
        What is trained.
    loss : str
        One of `LOSSES`.

    Raises
    ------
    OptionError
        There is no such loss, or the network lacks what it needs.
    """

    def __init__(self, network: nn.Module, loss: str) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise OptionError(f"there is no loss '{loss}'; {nearest(loss, list(LOSSES))}")
        needs = {"bugpan": "pyramid", "hetssnet": "global_branch"}.get(loss)
        if needs is not None and not hasattr(network, needs):
            raise OptionError(f"the loss '{loss}' does not fit {type(network).__name__}")
        self.network = network
        self.loss = loss

    def forward(
        self, guide: Tensor, image: Tensor, target: Tensor, valid: Tensor | None
    ) -> dict[str, Tensor]:
        """Terms of the loss.

        Parameters
        ----------
        guide, image, target : Tensor
            As :class:`pansharp.training.forms.Cell`, with a first axis of patches.
        valid : Tensor, shape (N, 1, y, x), bool, or None
            Pixels that count; None means all.

        Returns
        -------
        dict of str to Tensor
            Scalars, float32; the loss is their sum.
        """
        return LOSSES[self.loss](self.network, guide, image, target, valid)
