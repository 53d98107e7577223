"""What an adaptation is told, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import Tensor

    from pansharp.adaptation.forms import InputForm
    from pansharp.adaptation.guard import BlockScores
    from pansharp.models.networks import NetworkSpec

__all__ = ["AdaptSettings", "Adapted", "Start"]


@dataclass(frozen=True)
class Start:
    """Trained weights that a scene starts from.

    Parameters
    ----------
    label : str
        What the card calls them.
    arch : mapping
        Architecture arguments.
    state : mapping of str to Tensor
        Weights of the network.
    value_scale : float or None
        Divisor of the published form, counts; None for weights of the anchored form.
    grid : {"toolbox", "corner"}
        How the grids of the training lay (published form).
    """

    label: str
    arch: Mapping[str, object]
    state: Mapping[str, Tensor]
    value_scale: float | None = None
    grid: str = "toolbox"


@dataclass(frozen=True)
class AdaptSettings:
    """How a network is brought to a scene.

    Parameters
    ----------
    steps : int or None
        Optimiser steps; None takes the network's own number.
    minutes : float or None
        Wall time that all trainings together may take; the steps are cut down to it. Steps then
        depend on the machine: the card tells their number, which repeats the product.
    seed : int
        Of weights, patches and augmentation.
    device : str
        Torch device.
    threads : int
        Trainings that may run side by side.
    start : Start or None
        Weights to start from; None: fresh ones.
    frozen : bool
        Take the start weights as they are and only judge them.
    checkpoint : Path or None
        Folder that keeps the state of the training; a killed one goes on from there.
    """

    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    start: Start | None = None
    frozen: bool = False
    checkpoint: Path | None = None


@dataclass
class Adapted:
    """A network fitted to a scene.

    Parameters
    ----------
    network : torch.nn.Module
        The network for the product (trained on everything where that was done).
    form : InputForm
        What it sees, at reduced level.
    scores : dict of int to BlockScores
        Printed blocks after 0, 1 and 2 back-projections, by the network that never saw them.
    arch : mapping
        Architecture arguments that were given.
    chosen : float or None
        Error on the blocks that choose (see :func:`pansharp.adaptation.ground.choosing_error`);
        None where there are none.
    facts : dict
        What the card says of the training.
    spec : NetworkSpec
        Tiles that it was judged with.
    warnings : list of str
        What the reader of the product must know.
    """

    network: torch.nn.Module
    form: InputForm
    scores: dict[int, BlockScores]
    arch: Mapping[str, object]
    chosen: float | None
    facts: dict[str, object]
    spec: NetworkSpec
    warnings: list[str] = field(default_factory=list)

    @property
    def weights(self) -> dict[str, Tensor]:
        """State of the network itself, on the processor, without what wraps it."""
        inner = getattr(self.network, "network", self.network)
        return {k: v.detach().cpu().contiguous() for k, v in inner.state_dict().items()}
