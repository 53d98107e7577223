"""A fitted network on its way to another process: tensors as safetensors bytes, no pickled code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save

from pansharp.adaptation.anchored import AnchoredNetwork
from pansharp.adaptation.published import PublishedNetwork
from pansharp.models.networks import build_network

if TYPE_CHECKING:
    from pansharp.adaptation.forms import InputForm
    from pansharp.adaptation.settings import Adapted
    from pansharp.models.base import Fuser

__all__ = ["CarriedNetwork"]


@dataclass(frozen=True)
class CarriedNetwork:
    """What a network's fuser is made of, picklable.

    Parameters
    ----------
    name : str
        Network.
    sizes : dict
        MS bands, guide bands and ratio that it is built for.
    arch : dict
        Architecture arguments that were given.
    tensors : bytes
        Its state as safetensors.
    wrap : tuple of (int, str) or None
        Ratio and grid of a network in the form of the papers that was trained elsewhere.
    form : InputForm
        What it sees, at the level of the product.
    context : int
        PAN pixels around a window that it sees and that are discarded.
    precision : {"float32", "bf16"}
        Arithmetic.
    """

    name: str
    sizes: dict[str, float]
    arch: dict[str, object]
    tensors: bytes
    wrap: tuple[int, str] | None
    form: InputForm
    context: int
    precision: str

    @classmethod
    def of(cls, adapted: Adapted, anchor: Fuser, ratio: float, precision: str) -> CarriedNetwork:
        """Pack a fitted network.

        Parameters
        ----------
        adapted : Adapted
            The network.
        anchor : Fuser
            MTF-GLP-FS prepared on the scene at full resolution.
        ratio : float
            MS pixel over PAN pixel.
        precision : {"float32", "bf16"}
            Arithmetic of the prediction.
        """
        form = adapted.form.at(anchor)
        network = adapted.network
        wrap = None
        if isinstance(network, PublishedNetwork):
            wrap = (network.ratio, network.grid)
        return cls(
            name=str(adapted.spec.name),
            sizes={"ms_bands": len(form.scale), "pan_bands": form.guide_bands, "ratio": ratio},
            arch=dict(adapted.arch),
            tensors=save(adapted.weights),
            wrap=wrap,
            form=form,
            context=adapted.spec.practical_halo,
            precision=precision,
        )

    def fuser(self, device: str) -> AnchoredNetwork:
        """Build the network anew and load its state."""
        with torch.random.fork_rng(devices=[]):
            network = build_network(self.name, **self.sizes, **self.arch)  # type: ignore[arg-type]
        if self.name.startswith("rescnn"):
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.load_state_dict(load(self.tensors), strict=True)
        if self.wrap is not None:
            network = PublishedNetwork(network, *self.wrap)
        network = network.to(device).eval()
        return AnchoredNetwork(network, self.form, self.context, device, self.precision)
