"""Band-dependent spatial detail: BDSD over the scene or in blocks, and BDSD-PC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.models import register_model
from pansharp.models.base import ModelSpec
from pansharp.models.classical._moments import gram

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import FusionModel, Moments, SceneFacts

    Solve = Callable[[NDArray[np.float64], int], tuple[tuple[float, ...], ...]]

__all__ = ["BdsdBlocks", "BdsdFuser", "BdsdGlobal", "bdsd", "bdsd_pc"]


def _halo(facts: SceneFacts) -> int:
    """PAN pixels around a chip: blur, cubic shrink and interpolation of the MS, in turn."""
    ratio = facts.alignment.ratio
    blur = max(MtfGaussian(ratio, g).radius for g in (*facts.ms_gains, facts.pan_gain))
    # The blur acts on MS pixels here; shrink and interpolation add 2 and 12 of them.
    return math.ceil(ratio * (blur + 15.0))


@dataclass(frozen=True, slots=True)
class BdsdFuser:
    """``y_b = M~_b + gamma_b,0 P + sum_k gamma_b,k M~_k``.

    Parameters
    ----------
    gamma : tuple of tuple of float
        One row a band: the PAN coefficient, then one coefficient a MS band.
    """

    gamma: tuple[tuple[float, ...], ...]
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        return inject(chip.up(), chip.guide()[0], self.gamma)


def inject(
    up: NDArray[np.float32],
    pan: NDArray[np.float32],
    gamma: tuple[tuple[float, ...], ...],
) -> NDArray[np.float32]:
    """Add the combination of PAN and bands that the coefficients say, (band, y, x)."""
    bands, height, width = up.shape
    table = np.asarray(gamma, dtype=up.dtype)
    mix = table[:, 1:] + np.eye(bands, dtype=up.dtype)
    fused = (mix @ up.reshape(bands, -1)).reshape(bands, height, width)
    scratch = np.empty_like(pan)
    for plane, weight in zip(fused, table[:, 0], strict=True):
        np.multiply(pan, weight, out=scratch)
        plane += scratch
    return np.asarray(fused)


@dataclass(frozen=True, slots=True)
class BdsdGlobal:
    """One set of coefficients for the scene.

    Parameters
    ----------
    spec : ModelSpec
        Facts about the method.
    solve : callable
        Takes the cross products of [p_L | m_L | m - m_L] and the number of bands.
    """

    spec: ModelSpec
    solve: Solve

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return _halo(facts)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of [p_L | m_L] and m - m_L at MS pixels."""
        fine, low, pan = chip.bdsd_planes(facts.ms_gains, facts.pan_gain)
        mask = chip.ms_mask(chip.own_ms())
        return {"planes": gram([pan, *low, *(fine - low)], mask)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> BdsdFuser:
        """Solve the least squares of every band."""
        assert moments is not None
        cross = moments["planes"][1:, 1:]
        return BdsdFuser(self.solve(cross, (cross.shape[0] - 1) // 2))


def least_squares(cross: NDArray[np.float64], bands: int) -> tuple[tuple[float, ...], ...]:
    """Unconstrained coefficients; the shortest solution where bands are not independent."""
    count = 1 + bands
    matrix = cross[:count, :count]
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix / np.outer(scale, scale)
    right = cross[:count, count:] / scale[:, None]
    solution = np.linalg.lstsq(scaled, right, rcond=1e-13)[0] / scale[:, None]
    return tuple(tuple(float(v) for v in row) for row in solution.T)


def constrained(cross: NDArray[np.float64], bands: int) -> tuple[tuple[float, ...], ...]:
    """Coefficients with PAN >= 0 and bands <= 0, exact (active set)."""
    from scipy.optimize import nnls

    count = 1 + bands
    sign = np.concatenate([[1.0], -np.ones(bands)])
    matrix = cross[:count, :count] * np.outer(sign, sign)
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    # Cholesky of the scaled Gram matrix keeps the problem at the conditioning of the data.
    root = _square_root(matrix / np.outer(scale, scale))
    gamma = []
    for band in range(bands):
        target = cross[:count, count + band] * sign / scale
        right = np.linalg.lstsq(root.T, target, rcond=None)[0]
        solution, _ = nnls(root, right)
        gamma.append(tuple(float(v) for v in solution / scale * sign))
    return tuple(gamma)


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangular R with R^T R = matrix; eigenvalues when it is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(matrix).T)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        return np.asarray((vectors * np.sqrt(np.maximum(values, 1e-14 * values[-1]))).T)


@dataclass(frozen=True, slots=True)
class BdsdBlocks:
    """Coefficients of its own for every block of PAN pixels; needs no pass over the scene.

    Parameters
    ----------
    spec : ModelSpec
        Facts about the method.
    size : int
        Side of a block, PAN pixels; blocks begin at the scene's corner, and the last ones take
        what is left over.
    mode : {"default", "reference"}
        ``reference`` sees the whole image as one chip.
    """

    spec: ModelSpec
    size: int
    mode: str = "default"

    def measure_halo(self, facts: SceneFacts) -> int:
        """Nothing is measured."""
        return 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Nothing to measure."""
        return None

    def finish(self, moments: Moments | None, facts: SceneFacts) -> _BlockFuser:
        """Bind the facts of the scene.

        Raises
        ------
        OptionError
            Blocks that hold too few MS pixels for the regression.
        """
        pixels = int(self.size / facts.alignment.ratio) ** 2
        needed = 2 * (len(facts.ms_gains) + 1)
        if pixels < needed:
            raise OptionError(
                f"block_size {self.size} holds {pixels} MS pixels and the regression of "
                f"{len(facts.ms_gains)} bands needs {needed}; use a larger block_size"
            )
        return _BlockFuser(facts, self.size, 2 * self.size + _halo(facts), self.mode)


@dataclass(frozen=True, slots=True)
class _BlockFuser:
    facts: SceneFacts
    size: int
    halo: int
    mode: str

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip: all blocks that its window touches, each from its own MS pixels."""
        up, pan = chip.up(), chip.guide()[0]
        wide = chip if self.mode == "reference" else chip.grown(2 * self.size)
        own = wide.own_ms()
        fine, low, p_low = wide.bdsd_planes(self.facts.ms_gains, self.facts.pan_gain)
        valid = wide.ms_mask(own)
        detail = fine - low
        out = np.empty_like(up)
        window = chip.window
        shape = self.facts.shape or (window.row_end, window.col_end)
        for rows, down in self._spans(window.row, window.row_end, shape[0]):
            for cols, across in self._spans(window.col, window.col_end, shape[1]):
                block = Window(rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0])
                at = _ms_inside(wide, block).relative_to(own).slices
                mask = None if valid is None else valid[at]
                planes = [p_low[at], *low[:, *at], *detail[:, *at]]
                gamma = self._solve(planes, mask)
                part = down, across
                out[:, *part] = inject(up[:, *part], pan[part], gamma)
        return out

    def _solve(
        self, planes: list[NDArray[np.float32]], mask: NDArray[np.bool_] | None
    ) -> tuple[tuple[float, ...], ...]:
        bands = (len(planes) - 1) // 2
        count = planes[0].size if mask is None else np.count_nonzero(mask)
        if count < 2 * (bands + 1):
            return ((0.0,) * (bands + 1),) * bands
        return least_squares(gram(planes, mask)[1:, 1:], bands)

    def _spans(self, start: int, stop: int, length: int) -> list[tuple[tuple[int, int], slice]]:
        """Blocks that pixels [start, stop) touch, and the part of those pixels that is theirs.

        Pixels beyond the scene belong to the outermost blocks.
        """
        count = max(1, length // self.size)
        first, last = (min(max(pixel, 0) // self.size, count - 1) for pixel in (start, stop - 1))
        spans = []
        for i in range(first, last + 1):
            begin, end = i * self.size, length if i == count - 1 else (i + 1) * self.size
            own = slice(
                0 if i == first else begin - start, stop - start if i == last else end - start
            )
            spans.append(((begin, end), own))
        return spans


def _ms_inside(chip: Chip, block: Window) -> Window:
    """MS pixels whose centre lies in a block of PAN pixels."""
    y, x = chip.alignment.y, chip.alignment.x
    row, row_end = (math.ceil(y.to_ms(r - 0.5) - 1e-9) for r in (block.row, block.row_end))
    col, col_end = (math.ceil(x.to_ms(c - 0.5) - 1e-9) for c in (block.col, block.col_end))
    return Window(row, col, row_end - row, col_end - col)


@register_model("bdsd")
def bdsd(mode: str = "default", block_size: int | None = None) -> FusionModel:
    """Band-dependent spatial detail, coefficients by least squares.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    block_size : int, optional
        Side of the blocks that get coefficients of their own, PAN pixels; None: one set for the
        scene. Blocks leave visible borders where their coefficients differ.

    Raises
    ------
    OptionError
        `block_size` is below 8.
    """
    spec = ModelSpec(
        "bdsd",
        "classical",
        "Garzelli, Nencini, Capobianco, IEEE TGRS 46(1), 2008",
        "regression of MS detail on PAN and MS, over the scene or in blocks",
        bands=(1, None),
    )
    if block_size is None:
        return BdsdGlobal(spec, least_squares)
    if int(block_size) != block_size or block_size < 8:
        raise OptionError(f"block_size is {block_size}; give a whole number of PAN pixels from 8")
    return BdsdBlocks(spec, int(block_size), mode)


@register_model("bdsd-pc")
def bdsd_pc(mode: str = "default") -> BdsdGlobal:
    """Band-dependent spatial detail with physical constraints.

    Parameters
    ----------
    mode : {"default", "reference"}
        The formula is the same; the engine chooses grids and borders.
    """
    spec = ModelSpec(
        "bdsd-pc",
        "classical",
        "Vivone, IEEE TGRS 57(9), 2019",
        "regression of MS detail on PAN and MS, PAN weight >= 0, MS weights <= 0",
        bands=(1, None),
    )
    return BdsdGlobal(spec, constrained)
