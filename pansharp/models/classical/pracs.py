"""PRACS: partial replacement of each band's own high-resolution component."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pansharp.chips import CYCLE_HALO
from pansharp.models import register_model
from pansharp.models.base import ModelSpec, NextPass
from pansharp.models.classical._moments import covariance, deviation, gram, mean, quick_gram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["Pracs", "PracsFuser", "PracsRegression", "pracs"]

_BETA = 0.95


def _matched(
    up: NDArray[np.float32], scale: tuple[float, ...], shift: tuple[float, ...]
) -> NDArray[np.float32]:
    """M^: the bands matched to the PAN, negative values set to 0."""
    out = np.empty_like(up)
    for plane, band, a, c in zip(out, up, scale, shift, strict=True):
        np.multiply(band, band.dtype.type(a), out=plane)
        plane += band.dtype.type(c)
        np.maximum(plane, band.dtype.type(0.0), out=plane)
    return out


@dataclass(frozen=True, slots=True)
class PracsFuser:
    """``y_b = M~_b + w_b L_b (c_b P + (1 - c_b) M^_b - I'_b - mean)``.

    Parameters
    ----------
    scale, shift : tuple of float
        Match of the bands to the PAN: M^.
    share : tuple of float
        c_b, correlation of M^_b with the low-resolution intensity.
    coarse : tuple of tuple of float
        I'_b as a constant and one coefficient a band of M^.
    level : tuple of float
        Mean of the detail, which is taken off.
    gain : tuple of float
        w_b.
    instability : tuple of float
        Correlation of the low-resolution intensity with M~_b, for L_b.
    """

    scale: tuple[float, ...]
    shift: tuple[float, ...]
    share: tuple[float, ...]
    coarse: tuple[tuple[float, ...], ...]
    level: tuple[float, ...]
    gain: tuple[float, ...]
    instability: tuple[float, ...]
    mode: str = "default"
    halo = 0

    def __call__(self, chip: Chip) -> NDArray[np.float32]:
        """Fuse one chip."""
        fused = chip.up()
        kind = fused.dtype.type
        pan = chip.guide()[0]
        matched = _matched(fused, self.scale, self.shift)
        for band, plane in enumerate(fused):
            share, table = self.share[band], self.coarse[band]
            low = np.full_like(pan, table[0])
            for part, weight in zip(matched, table[1:], strict=True):
                low += part * kind(weight)
            detail = pan * kind(share) + matched[band] * kind(1.0 - share)
            detail -= low
            detail -= kind(self.level[band])
            if self.mode == "default":
                # The adjustment compares brightnesses: it means nothing where I' is not positive.
                sound = low > 0
                factor = np.divide(plane, low, out=np.zeros_like(low), where=sound)
            else:
                factor = plane / low
            factor *= kind(self.instability[band])
            np.subtract(kind(1.0), factor, out=factor)
            np.subtract(kind(1.0), np.abs(factor), out=factor)
            if self.mode == "default":
                # Beyond twice the expected brightness the published factor turns negative.
                np.maximum(factor, kind(-1.0), out=factor)
            factor *= kind(self.gain[band])
            factor *= detail
            plane += factor
        return fused


@dataclass(frozen=True, slots=True)
class PracsRegression:
    """Second pass: regressions on the matched bands.

    Parameters
    ----------
    scale, shift : tuple of float
        Match of the bands to the PAN, from the first pass.
    """

    spec: ModelSpec
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    mode: str

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return math.ceil(CYCLE_HALO * facts.alignment.ratio)

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Cross products of P, its coarse version, M^, its coarse version, and M~."""
        halo = self.measure_halo(facts)
        wide = _matched(chip.up(halo), self.scale, self.shift)
        up = chip.up()
        matched = _matched(up, self.scale, self.shift)
        coarse = chip.cycle(np.concatenate([chip.guide(halo), wide]), halo)
        planes = [chip.guide()[0], coarse[0], *matched, *coarse[1:], *up]
        return {"planes": gram(planes, chip.valid)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> PracsFuser:
        """All regressions and correlations from one table of cross products."""
        assert moments is not None
        means, table = mean(moments["planes"]), covariance(moments["planes"])
        count = (len(means) - 2) // 3
        at = np.arange(count)
        fine, coarse, bands = at + 2, at + 2 + count, at + 2 + 2 * count
        pan, low = 0, 1
        inverse = np.linalg.pinv(table[np.ix_(fine, fine)], rcond=1e-12, hermitian=True)

        spreads = np.sqrt(np.maximum(np.diag(table), 0.0))
        weights = inverse @ table[fine, low]
        inner = table[np.ix_(fine, fine)]
        total = deviation(weights, inner)

        def with_intensity(index: NDArray[np.intp]) -> NDArray[np.float64]:
            """Correlation of I_l with some planes."""
            cross = weights @ table[np.ix_(fine, index)]
            norm = total * spreads[index]
            return np.asarray(np.divide(cross, norm, out=np.zeros(count), where=norm > 0))

        share, instability = with_intensity(fine), with_intensity(bands)
        gains, rows, level = [], [], []
        typical = float(spreads[bands].mean())
        for b in range(count):
            target = share[b] * table[fine, low] + (1.0 - share[b]) * table[fine, coarse[b]]
            own = inverse @ target
            middle = share[b] * means[low] + (1.0 - share[b]) * means[coarse[b]]
            constant = float(middle - own @ means[fine])
            rows.append((constant, *own.tolist()))
            spread = deviation(own, inner)
            cross = float(own @ table[fine, bands[b]])
            norm = spread * spreads[bands[b]]
            likeness = cross / norm if norm > 0 else 0.0
            gains.append(_BETA * likeness * spreads[bands[b]] / typical if typical > 0 else 0.0)
            sharp = share[b] * means[pan] + (1.0 - share[b]) * means[fine[b]]
            level.append(float(sharp - constant - own @ means[fine]))
        return PracsFuser(
            self.scale,
            self.shift,
            tuple(share.tolist()),
            tuple(rows),
            tuple(level),
            tuple(map(float, gains)),
            tuple(instability.tolist()),
            self.mode,
        )


@dataclass(frozen=True, slots=True)
class Pracs:
    """Partial replacement adaptive component substitution.

    Source: Choi, Yu, Kim, IEEE TGRS 49(1), 2011, doi 10.1109/TGRS.2010.2051674.
    """

    mode: str = "default"
    spec = ModelSpec(
        "pracs",
        "classical",
        "Choi, Yu, Kim, IEEE TGRS 49(1), 2011",
        "a high-resolution component per band, replaced in part and with local care",
        bands=(2, None),
    )

    def measure_halo(self, facts: SceneFacts) -> int:
        """PAN pixels around a chip that :meth:`measure` reads."""
        return 0

    def measure(self, chip: Chip, facts: SceneFacts) -> Moments | None:
        """Sums and squares of PAN and M~."""
        return {"high": quick_gram([chip.guide()[0], *chip.up()], chip.valid)}

    def finish(self, moments: Moments | None, facts: SceneFacts) -> NextPass:
        """Match the bands to the PAN; the rest needs the matched bands."""
        assert moments is not None
        means = mean(moments["high"])
        spread = np.sqrt(np.maximum(np.diag(covariance(moments["high"])), 0.0))
        # A flat band matches the mean of the PAN, gets gain 0, and stays as it is.
        flat = ~(spread[1:] > 1e-9 * np.maximum(1.0, np.abs(means[1:])))
        scale = np.where(flat, 0.0, spread[0] / np.where(flat, 1.0, spread[1:]))
        shift = means[0] - scale * means[1:]
        return NextPass(
            PracsRegression(self.spec, tuple(scale.tolist()), tuple(shift.tolist()), self.mode)
        )


@register_model("pracs")
def pracs(mode: str = "default") -> Pracs:
    """Partial replacement adaptive component substitution; two passes.

    Parameters
    ----------
    mode : {"default", "reference"}
        ``default`` bounds the local adjustment where the coarse component is not positive.
    """
    return Pracs(mode)
