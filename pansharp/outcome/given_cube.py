"""A cube fused by weights that were trained elsewhere: taken as they are, and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pansharp.adaptation.backproject import back_project, backprojection_halo
from pansharp.adaptation.level import pan_window, sample_windows
from pansharp.chips import read_chip
from pansharp.engine import blend_tiles, prepare
from pansharp.errors import WeightsError
from pansharp.models import is_network
from pansharp.models.hyperspectral.operators import inner_pixels
from pansharp.outcome.base import Clock, refuse_weights, workers_of
from pansharp.outcome.learnt import LEARNED, Learnt
from pansharp.source import read_padded
from pansharp.source.spool import Spool
from pansharp.weights import check_fits, restore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from pansharp.adaptation.anchored import AnchoredNetwork
    from pansharp.chips import Chip
    from pansharp.hyperspectral import PreparedPair
    from pansharp.models.base import SceneFacts
    from pansharp.models.networks import NetworkSpec
    from pansharp.options import FuseOptions
    from pansharp.outcome.start import GivenWeights
    from pansharp.source.base import Source

__all__ = ["FromProduct", "given_weights", "take_given"]

#: HSI pixels a side of the windows that are looked at for the largest value.
_SIDE, _BUDGET = 64, 65_536


@dataclass(frozen=True)
class FromProduct:
    """A product that lies in scratch, back-projected, as a fuser.

    Parameters
    ----------
    source : Source
        The product, counts; replicated beyond its border.
    facts : SceneFacts
        Blur and size of the scene.
    passes : int
        Back-projections.
    """

    source: Source
    facts: SceneFacts
    passes: int = 0

    @property
    def halo(self) -> int:
        """Context of the back-projection."""
        return backprojection_halo(self.facts.alignment.ratio, self.facts.ms_gains, self.passes)

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = read_padded(self.source, chip.window.expand(self.halo))[0]
        gains = self.facts.ms_gains
        return back_project(fused, chip, gains, self.passes, inner_pixels(self.facts))


@dataclass(frozen=True)
class GivenNetwork:
    """Weights on a pair.

    Parameters
    ----------
    fuser : AnchoredNetwork
        For chips of the usable bands, without back-projection.
    spec : NetworkSpec
        Tiles that the network wants.
    facts : dict
        For the card.
    notes : list of str
        What could not be checked, or may lower the quality.
    """

    fuser: AnchoredNetwork
    spec: NetworkSpec
    facts: dict[str, object]
    notes: list[str]


def largest_value(pair: PreparedPair) -> float:
    """Largest valid value of cube and guide in windows spread over the pair, counts."""
    scene = pair.usable
    found = [0.0]
    for window in sample_windows(scene, _BUDGET, _SIDE):
        chip = read_chip(scene, pan_window(scene, window), 0)
        for image, mask in ((chip.ms, chip.ms_valid), (chip.pan, chip.valid)):
            values = image if mask is None else image[:, mask]
            found.append(float(values.max(initial=0.0)))
    return max(found)


def given_network(
    pair: PreparedPair, given: GivenWeights, options: FuseOptions, largest: float | None
) -> GivenNetwork:
    """Check weights against a cube and its guide, and build the network.

    Parameters
    ----------
    pair : PreparedPair
        The pair; bands that were set aside are not asked of the weights.
    given : GivenWeights
        The weights.
    options : FuseOptions
        Device and precision.
    largest : float or None
        Largest value that was seen.

    Returns
    -------
    GivenNetwork

    Raises
    ------
    WeightsError
        They are for other bands, another guide, ratio or range, or not for cubes.
    """
    from pansharp.adaptation.adapt import resolve_device
    from pansharp.adaptation.anchored import AnchoredNetwork
    from pansharp.adaptation.forms import PublishedForm
    from pansharp.adaptation.published import PublishedNetwork, published_spec, whole_ratio

    scene, card = pair.usable, given.card
    try:
        notes = check_fits(
            card,
            network=None if options.model == "auto" else options.model,
            task="hsi",
            bands=scene.bands,
            pan_bands=scene.pan_source.bands,
            ratio=scene.ratio,
            band_names=scene.band_names,
            wavelengths_nm=scene.wavelengths,
            largest=largest,
            mtf_gains=pair.facts.ms_gains,
        )
        if card.value_scale is None:
            raise WeightsError(
                "the weights are of the anchored form, which cubes do not have: a network is "
                "fitted to the spectra of each cube; drop --weights"
            )
        ratio = whole_ratio(scene.ratio)
    except WeightsError as problem:
        raise WeightsError(f"'{given.path}': {problem}") from problem
    spec = published_spec(card.network, ratio)
    device = resolve_device(options.device)
    network = PublishedNetwork(restore(card, given.state), ratio, given.grid).to(device).eval()
    form = PublishedForm(card.value_scale, scene.bands)
    fuser = AnchoredNetwork(network, form, spec.practical_halo, device, options.precision)
    facts: dict[str, object] = {
        "arch": card.network,
        "weights": given.label,
        "form": card.form,
        "adapted": False,
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": 0,
    }
    return GivenNetwork(fuser, spec, facts, notes)


def spool_product(
    pair: PreparedPair,
    network: GivenNetwork,
    options: FuseOptions,
    folder: Path | None,
    workers: int,
    progress: Callable[[float, float, str], None] | None,
) -> Spool:
    """Run the network over the pair, in the tiles that it wants, into scratch."""
    from pansharp.adaptation.adapt import use_threads
    from pansharp.outcome.network import lattice

    scene, spec = pair.usable, network.spec
    tile, overlap, kind = lattice(spec, options, network.notes.append)
    spool = Spool(scene.shape, folder)
    side_by_side = network.fuser.device == "cpu" and not spec.threads_inside
    use_threads(1 if side_by_side else workers)
    pieces = blend_tiles(
        scene,
        network.fuser,
        tile=tile,
        overlap=overlap,
        kind=kind,
        multiple=spec.multiple_of,
        workers=workers if side_by_side else 1,
        progress=progress,
        label="predicting",
    )
    for window, piece in pieces:
        spool.write(window, piece)
    return spool


def given_weights(options: FuseOptions) -> GivenWeights | None:
    """The weights that were named; what else concerns weights is refused.

    Raises
    ------
    ModelError
        Weights shall be kept, or the model has none.
    WeightsError
        The file is not sound.
    """
    from pansharp.outcome.start import GivenWeights

    why = "what is fitted to a cube is fitted to it alone"
    if options.weights is not None:
        if options.model == LEARNED or options.adapt == "always":
            refuse_weights(options, why)
        refuse_weights(replace(options, weights=None), "weights of cubes are taken as they are")
        return GivenWeights(options.weights)
    if is_network(options.model):
        refuse_weights(replace(options, checkpoint=None, adapt_minutes=None), why)
    elif options.model == LEARNED:
        refuse_weights(options, f"'{LEARNED}' is fitted in one step")
    else:
        # `auto` keeps to any time: the closed form takes seconds.
        refuse_weights(replace(options, adapt_minutes=None), why)
    return None


def take_given(
    pair: PreparedPair,
    given: GivenWeights,
    options: FuseOptions,
    folder: Path | None,
    progress: Callable[[float, float, str], None] | None,
) -> Learnt:
    """Weights as they are: nothing is fitted to a cube but what they are compared with."""
    from pansharp.models.hyperspectral.basis import Basis, GsaBasis

    clock, workers = Clock(), workers_of(options)
    network = given_network(pair, given, options, largest_value(pair))
    basis = prepare(GsaBasis(options.seed), pair.usable, pair.facts, workers=workers)
    assert isinstance(basis, Basis)
    timings = {"prepare": clock.lap()}
    spool = spool_product(pair, network, options, folder, workers, progress)
    timings["predicting"] = clock.lap()
    return Learnt(
        FromProduct(spool, pair.facts),
        basis,
        network.facts,
        lambda trial: network.fuser,
        spool=spool,
        timings=timings,
        notes=network.notes,
    )
