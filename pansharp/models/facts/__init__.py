"""What is known of each network without importing torch: one module a network.

A module here holds ``SPECS``, a tuple of :class:`NetworkSpec`; being in this folder is all it
takes to be listed. The network itself is the module of the same name one folder up, imported when
it is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["AdaptationRecipe", "NetworkSpec", "TrainingRecipe", "whole_number"]


@dataclass(frozen=True, slots=True)
class AdaptationRecipe:
    """How a network is fitted to one scene unless the user says otherwise.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    steps_unselected : int
        Steps on scenes with too few held-out blocks to stop by score.
    patch : int
        Side of a training patch, in pixels of the reduced PAN (= native MS pixels).
    batch : int
        Patches per step.
    peak_lr : float
        Peak of the one-cycle schedule of AdamW.
    clip : float or None
        Largest gradient norm; None where clipping is not needed.
    budget : int
        MS pixels of a scene that the network is trained and judged on. The heavier the network,
        the fewer: its predictions there are a good part of the cost.
    step_seconds : float
        Processor seconds of one step with four bands, as measured (benchmarks/README.md); only
        their order of magnitude matters.
    mpixel_seconds : float
        Processor seconds to predict a million PAN pixels of four bands.
    rank : int or None
        Place among the networks that `auto` tries when there is time, best on the public pairs
        first; None: not tried.
    cube_steps : int
        Optimiser steps on a hyperspectral scene, fitted through the blur.
    cube_rate : float
        Peak rate there. Detail is never supervised at full scale, so networks that look around
        need a gentler one than with PAN and MS (docs/hyperspectral.md).
    """

    steps: int
    patch: int
    batch: int
    steps_unselected: int = 200
    peak_lr: float = 2e-3
    clip: float | None = None
    budget: int = 110_000
    step_seconds: float = 1.0
    mpixel_seconds: float = 60.0
    rank: int | None = None
    cube_steps: int = 400
    cube_rate: float = 5e-4


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """How a network is trained on a collection unless the user says otherwise (docs/training.md).

    Parameters
    ----------
    source : str
        Whose recipe it is, and which of its figures are ours.
    loss : str
        Name in :mod:`pansharp.training.losses`.
    rate : float
        Learning rate; the peak where the schedule has one.
    batch : int
        Patches per step, over all processes.
    patch : int
        Side of a patch, PAN pixels; limited to what the data has.
    epochs, steps : int or None
        Length; exactly one of them.
    epoch_patches : int or None
        Patches in an epoch; None: as many as the data has.
    optimiser : {"adam", "adamw"}
        With PyTorch's defaults but for the rate and `weight_decay`.
    weight_decay : float
        Of the optimiser.
    schedule : {"decay", "cosine", "onecycle"}
        Rate over the run: times `gamma` every `every_epochs` or `every_steps`, at most `drops`
        times; half a cosine down to `final_rate`; PyTorch's one cycle with 20 % warm-up.
    gamma, every_epochs, every_steps, drops, final_rate
        Of the schedule; without an interval ``decay`` is a constant rate.
    clip : float or None
        Largest gradient norm.
    ema : float or None
        Decay of the exponential average of the weights, which then is what is kept.
    flips : bool
        The eight symmetries of the square, at random.
    noise_db : float or None
        White noise on the low-resolution image of training patches, decibel below its mean square.
    gate_offset : (float, float) or None
        First and last value of the network's attribute of that name, which falls from epoch to
        epoch, towards zero at half of the run, and stays at the last value from there on.
    """

    source: str
    loss: str
    rate: float
    batch: int
    patch: int
    epochs: int | None = None
    steps: int | None = None
    epoch_patches: int | None = None
    optimiser: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "decay"
    gamma: float = 1.0
    every_epochs: int | None = None
    every_steps: int | None = None
    drops: int | None = None
    final_rate: float = 0.0
    clip: float | None = None
    ema: float | None = None
    flips: bool = False
    noise_db: float | None = None
    gate_offset: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Facts about a network.

    Parameters
    ----------
    name : str
        Name users type.
    factory : str
        ``"module:class"``; called with ms_bands, pan_bands, ratio and the architecture arguments.
    reference : str
        Citation; says so where there is no paper.
    summary : str
        One line.
    note : str
        What a user must know of its relation to the paper.
    arch : mapping
        Architecture arguments that differ from the factory's defaults.
    reach : callable
        Architecture arguments to the exact reach of ``residual`` in PAN pixels; None: unbounded.
    multiple_of : int
        PAN pixels; origins and sides of tiles, halo included, must be multiples of it.
    local : bool
        Whether discarding the exact reach around each tile is affordable.
    practical_halo : int
        PAN pixels to discard around each tile in ordinary use; equals the reach if `local`.
    tile : int
        Recommended side of a tile in PAN pixels, halo included.
    adaptation : AdaptationRecipe
        Per-scene fitting.
    threads_inside : bool
        Whether tiles are so heavy that torch's own threads are used instead of tiles side by side:
        about as fast, the same bits, and one tile less in memory.
    tasks : tuple of str
        ``"pan"``, ``"hsi"``.
    importer : str or None
        ``"module:function"`` that turns an authors' state dict into a network, called with the
        state dict and the architecture arguments; None where no official weights can exist.
    training, quick : TrainingRecipe or None
        Training on a collection: the published recipe, and a short one for a few processor cores.
        None: that of adaptation, prolonged.
    """

    name: str
    factory: str
    reference: str
    summary: str
    note: str
    reach: Callable[[Mapping[str, object]], int | None]
    multiple_of: int
    local: bool
    practical_halo: int
    tile: int
    adaptation: AdaptationRecipe
    arch: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    tasks: tuple[str, ...] = ("pan",)
    threads_inside: bool = False
    importer: str | None = None
    training: TrainingRecipe | None = None
    quick: TrainingRecipe | None = None

    def halo(self, arch: Mapping[str, object] | None = None) -> int | None:
        """Return the reach of ``residual``: PAN pixels beyond which input cannot matter.

        Parameters
        ----------
        arch : mapping, optional
            Architecture arguments given on top of the ones of this entry.

        Returns
        -------
        int or None
            Exact for tiles whose origin and side are multiples of the network's ``multiple_of``.
            None if every output depends on the whole tile. ``forward`` upsamples too, which adds
            two low-resolution pixels (``2 * ratio``) before the first layer.
        """
        return self.reach({**self.arch, **(arch or {})})


def whole_number(arch: Mapping[str, object], key: str, default: int) -> int:
    """Return an architecture argument that must be an int.

    Raises
    ------
    OptionError
        It is something else.
    """
    value = arch.get(key, default)
    if not isinstance(value, int):
        raise OptionError(f"{key}={value!r}: must be a whole number")
    return value
