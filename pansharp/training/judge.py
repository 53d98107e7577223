"""Scores of a network on cells that it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from pansharp.adaptation.split import GUARD
from pansharp.errors import MetricError, SceneError
from pansharp.evaluation import ergas, psnr, q2n, sam
from pansharp.geometry.kernels import glp_halo
from pansharp.training.forms import anchored_cell, fit_anchor
from pansharp.training.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import nn

    from pansharp.training.data import Collection
    from pansharp.training.forms import AnchorFit, Cell
    from pansharp.training.parallel import Processes

__all__ = ["INDICES", "Judge", "autocast"]

#: Columns of the scores: cubes have PSNR where others have Q2n.
INDICES = ("ergas", "sam", "q2n", "psnr")
#: Bands up to which Q2n is computed.
_FEW_BANDS = 16
#: Cells that are scored at most, evenly spread.
_MOST = 256
#: Share of a cell that must be valid.
_FILLED = 0.25
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: str, precision: str) -> torch.autocast:
    """Context in which a network computes in `precision` (float32, bf16 or fp16)."""
    kind = _TYPES.get(precision)
    return torch.autocast(torch.device(device).type, dtype=kind, enabled=kind is not None)


class Judge:
    """Validation cells and how they are scored.

    Parameters
    ----------
    collection : Collection
        The cells.
    form : {"published", "anchored"}
        How the network is fed.
    guarded : set of int
        Sites on which the network is trained elsewhere: their cells lose a rim of 4 pixels.
    """

    def __init__(self, collection: Collection, form: str, guarded: set[int]) -> None:
        self.collection, self.form, self.guarded = collection, form, guarded
        spread = np.linspace(0, len(collection) - 1, min(_MOST, len(collection)))
        self.chosen = sorted({round(float(place)) for place in spread})
        #: Name of the quality index.
        self.quality = "q2n" if collection.sites[0].traits.ms_bands <= _FEW_BANDS else "psnr"

    def score(self, network: nn.Module, processes: Processes, precision: str) -> dict[str, float]:
        """Mean scores of the network over the cells, counts.

        Parameters
        ----------
        network : torch.nn.Module
            In evaluation mode.
        processes : Processes
            They share the cells.
        precision : str
            See :func:`autocast`.

        Returns
        -------
        dict
            ``ergas``, ``sam`` and ``q2n`` (``psnr`` for cubes), and ``cells``.

        Raises
        ------
        SceneError
            No cell has valid pixels enough.
        """
        device = processes.device

        def product(cell: Cell) -> NDArray[np.float32]:
            guide = torch.from_numpy(cell.guide)[None].to(device)
            image = torch.from_numpy(cell.image)[None].to(device)
            with torch.inference_mode(), autocast(device, precision):
                if self.form == "published":
                    output = network(guide, image)
                else:
                    output = network.residual(guide, image)  # type: ignore[operator]
            return cell.counts(np.asarray(output[0].float().cpu().numpy(), dtype=np.float32))

        mine = self.chosen[processes.rank :: processes.world]
        return self._mean(((n, self.collection.cell(n)) for n in mine), product, processes)

    def classical(self, processes: Processes) -> dict[str, float]:
        """Mean scores of MTF-GLP-FS over the same cells (PAN and MS only)."""
        sites, places = self.collection.sites, self.collection.places
        fits: Memo[int, AnchorFit] = Memo(
            lambda site: fit_anchor(sites[site]), lambda fit: 1, 1 << 16
        )

        def cells() -> Iterator[tuple[int, Cell]]:
            for n in self.chosen[processes.rank :: processes.world]:
                site = sites[places[n].site]
                context = glp_halo(site.traits.ratio, site.traits.gains)
                example = site.example(places[n].window, context)
                yield n, anchored_cell(example, fits[places[n].site])

        def anchor(cell: Cell) -> NDArray[np.float32]:
            assert cell.base is not None
            return cell.base

        return self._mean(cells(), anchor, processes)

    def _mean(
        self,
        cells: Iterator[tuple[int, Cell]],
        product: Callable[[Cell], NDArray[np.float32]],
        processes: Processes,
    ) -> dict[str, float]:
        names = ("ergas", "sam", self.quality)
        sums = dict.fromkeys(("cells", *names), 0.0)
        for index, cell in cells:
            if cell.valid is not None and cell.valid.mean() < _FILLED:
                continue
            try:
                values = self._scores(cell, product(cell), index)
            except MetricError:
                # A part without contrast or light has no score.
                continue
            sums["cells"] += 1
            for name, value in zip(names, values, strict=True):
                sums[name] += value
        total = processes.total(sums)
        if not total["cells"]:
            raise SceneError(
                "no validation cell has valid pixels enough to be scored; name other data with "
                "--validation"
            )
        return {key: total[key] / (total["cells"] if key != "cells" else 1.0) for key in total}

    def _scores(
        self, cell: Cell, product: NDArray[np.float32], index: int
    ) -> tuple[float, float, float]:
        reference = cell.counts(cell.target)
        rim = GUARD if self.collection.places[index].site in self.guarded else 0
        if min(cell.shape) <= 4 * rim:
            rim = 0
        inner = slice(rim, -rim or None)
        reference, product = reference[:, inner, inner], product[:, inner, inner]
        mask = None if cell.valid is None else cell.valid[inner, inner]
        ratio = self.collection.ratio
        # Rounding to whole counts would leave nothing of fractions.
        rounding: Literal["uint16", "none"] = (
            "uint16" if float(np.abs(reference).max()) >= 64 else "none"
        )
        block = min(32, *reference.shape[1:])
        if self.quality == "q2n":
            quality = q2n(
                reference, product, block_size=block, shift=block, rounding=rounding, mask=mask
            )
        else:
            peak = float(reference.max() if mask is None else reference[:, mask].max())
            quality = psnr(reference, product, data_range=peak, mask=mask)
        error = ergas(reference, product, ratio=ratio, mask=mask)
        return error, sam(reference, product, mask=mask), quality
