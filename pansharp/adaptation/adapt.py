"""Fitting one network to one scene: from fresh or trained weights to a judged fuser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pansharp.adaptation.anchored import AnchoredNetwork
from pansharp.adaptation.trainings import Adaptation
from pansharp.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.adaptation.settings import Adapted, AdaptSettings
    from pansharp.adaptation.trial import Trial
    from pansharp.models.base import Fuser

__all__ = ["adapt", "anchored", "gpu_count", "resolve_device", "use_threads"]


def adapt(
    name: str,
    trial: Trial,
    settings: AdaptSettings,
    progress: Callable[[float, float, str], None] | None = None,
) -> Adapted:
    """Train a network on the reduced scenes of a trial and score it on the printed blocks.

    Parameters
    ----------
    name : str
        Network.
    trial : Trial
        Reduced scenes, splits, classical anchor.
    settings : AdaptSettings
        Steps, seed, device, start.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Adapted

    Raises
    ------
    ModelError
        Nothing to train on, the loss diverged from the start, or a checkpoint that does not fit.
    WeightsError
        The start weights are not those of this network.
    """
    if settings.steps is not None and settings.steps < 1:
        raise ModelError(f"--adapt-steps is {settings.steps}; it must be 1 or more")
    return Adaptation(name, trial, settings, progress).run()


def resolve_device(name: str) -> str:
    """Turn ``auto`` into what there is, and check the rest.

    Raises
    ------
    ModelError
        The device is unknown or absent.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelError(f"--device is '{name}'; choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"--device is '{name}'; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"--device {name} needs a CUDA device and there is none; use cpu")
    return name


def gpu_count() -> int:
    """Number of CUDA devices that this process sees."""
    return int(torch.cuda.device_count())


def use_threads(count: int) -> None:
    """Set the threads inside one torch operation (1 while tiles run side by side)."""
    torch.set_num_threads(count)


def anchored(adapted: Adapted, anchor: Fuser, device: str, precision: str) -> AnchoredNetwork:
    """The adapted network as a fuser of the full-resolution scene."""
    form = adapted.form.at(anchor)
    return AnchoredNetwork(adapted.network, form, adapted.spec.practical_halo, device, precision)
