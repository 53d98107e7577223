"""Figures of the report as numbers for its templates: curves for SVG, maps as small pictures."""

from __future__ import annotations

import base64
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.pictures import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.report.fidelity import BlockMaps, Spectrum

    Floats = NDArray[np.float64]

__all__ = ["map_figures", "spectrum_chart"]

#: Sides of a chart and its margins, SVG units.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 260, 62, 14, 12, 44
#: Gap between bands that a curve does not cross, times the usual one.
_GAP = 4.0
#: From dark to bright in even steps of lightness (the anchors of matplotlib's viridis).
_RAMP = np.array(
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], dtype=np.float64
)


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two limits."""
    step = 10.0 ** math.floor(math.log10((high - low) / count))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= count:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def spectrum_chart(
    spectrum: Spectrum, names: Sequence[str], waves: Sequence[float]
) -> dict[str, Any]:
    """Curves of a place.

    Parameters
    ----------
    spectrum : Spectrum
        What was found.
    names : sequence of str
        Bands.
    waves : sequence of float
        Wavelengths in nanometres, or empty: then bands are counted.

    Returns
    -------
    dict
        What the template draws, with the largest difference in words.
    """
    known = np.flatnonzero(
        np.isfinite(spectrum.ms).all(axis=0) & np.isfinite(spectrum.fused).all(axis=0)
    )
    at_waves = len(waves) == len(names)
    x = np.asarray(waves, dtype=np.float64) if at_waves else np.arange(1.0, len(names) + 1)
    order = known[np.argsort(x[known], kind="stable")]
    x, ms, fused = x[order], spectrum.ms[:, order], spectrum.fused[:, order]
    low, high = float(min(ms.min(), fused.min())), float(max(ms.max(), fused.max()))
    low = min(0.0, low) if low < 0.3 * high else low
    pad = 0.05 * (high - low) or 1.0
    low, high = (0.0 if low == 0 else low - pad), high + pad
    left, right = float(x.min()), float(x.max())
    side = 0.04 * (right - left) or 1.0
    left, right = left - side, right + side

    def px(value: float) -> float:
        return round(_LEFT + (value - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT), 1)

    def py(value: float) -> float:
        return round(
            _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1
        )

    runs = _runs(x)
    difference = 100.0 * (fused[1] - ms[1]) / np.where(ms[1] == 0, np.nan, ms[1])
    worst = int(np.nanargmax(np.abs(difference))) if np.isfinite(difference).any() else 0
    return {
        "title": spectrum.title,
        "pixels": spectrum.pixels,
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _WIDTH - _RIGHT,
        "top": _TOP,
        "bottom": _HEIGHT - _BOTTOM,
        "xlabel": "wavelength, nm" if at_waves else "band",
        "xticks": [(px(v), f"{v:g}") for v in _xticks(x, at_waves)],
        "yticks": [(py(v), f"{v:.6g}") for v in _ticks(low, high)],
        "curves": [
            {
                "name": name,
                "lines": [_line(x, values[1], run, px, py) for run in runs],
                "areas": [_area(x, values, run, px, py) for run in runs],
                "dots": [(px(a), py(b)) for a, b in zip(x, values[1], strict=True)]
                if len(x) <= 16
                else [],
            }
            for name, values in (("ms", ms), ("fused", fused))
        ],
        "worst": f"{difference[worst]:+.2f} % at {names[order[worst]]}",
        "typical": f"{np.nanmedian(np.abs(difference)):.2f} %",
        "rows": [
            (names[band], x[i], ms[1, i], fused[1, i], difference[i])
            for i, band in enumerate(order)
        ],
        "at_waves": at_waves,
    }


def _xticks(x: Floats, at_waves: bool) -> list[float]:
    if not at_waves and len(x) <= 12:
        return [float(value) for value in x]
    return _ticks(float(x.min()), float(x.max()) + 1e-9 + (x.max() == x.min()), 6)


def _runs(x: Floats) -> list[slice]:
    """Pieces of a spectrum without large gaps (absorption bands that were left out)."""
    if len(x) < 3 or len(x) <= 16:
        return [slice(0, len(x))]
    steps = np.diff(x)
    cuts = [0, *(np.flatnonzero(steps > _GAP * np.median(steps)) + 1), len(x)]
    return [slice(int(a), int(b)) for a, b in pairwise(cuts)]


def _line(x: Floats, y: Floats, run: slice, px: Any, py: Any) -> str:
    return " ".join(f"{px(a)},{py(b)}" for a, b in zip(x[run], y[run], strict=True))


def _area(x: Floats, values: Floats, run: slice, px: Any, py: Any) -> str:
    there = [f"{px(a)},{py(b)}" for a, b in zip(x[run], values[2][run], strict=True)]
    back = [f"{px(a)},{py(b)}" for a, b in zip(x[run], values[0][run], strict=True)]
    return " ".join([*there, *reversed(back)])


def map_figures(maps: BlockMaps) -> list[dict[str, Any]]:
    """Maps as pictures with their scale.

    Parameters
    ----------
    maps : BlockMaps
        From :func:`block_maps`.

    Returns
    -------
    list of dict
        ``title``, ``src``, ``bar`` (data addresses), ``low``, ``high``, ``text``, ``width`` and
        ``height`` (cells).
    """
    figures = []
    for title, values, unit in (("ERGAS", maps.ergas, ""), ("SAM", maps.sam, "°")):
        known = values[np.isfinite(values)]
        high = float(np.percentile(known, 98)) or 1.0
        row, col = np.unravel_index(np.nanargmax(values), values.shape)
        figures.append(
            {
                "title": title,
                "src": _address(_coloured(values / high)),
                "bar": _address(_coloured(np.linspace(0, 1, 64)[None])),
                "low": "0",
                "high": f"{high:.3g}{unit}",
                "text": (
                    f"median {np.median(known):.3g}{unit}, 95 % below "
                    f"{np.percentile(known, 95):.3g}{unit}, largest {known.max():.3g}{unit} in row "
                    f"{row + 1}, column {col + 1} of {values.shape[0]} x {values.shape[1]} cells"
                ),
                "height": values.shape[0] * maps.cell[0] / max(maps.cell),
                "width": values.shape[1] * maps.cell[1] / max(maps.cell),
            }
        )
    return figures


def _coloured(share: Floats) -> NDArray[np.uint8]:
    known = np.isfinite(share)
    place = np.clip(np.where(known, share, 0.0), 0.0, 1.0) * (len(_RAMP) - 1)
    first = np.minimum(place.astype(int), len(_RAMP) - 2)
    weight = (place - first)[..., None]
    colour = _RAMP[first] * (1 - weight) + _RAMP[first + 1] * weight
    picture = np.empty((*share.shape, 4), dtype=np.uint8)
    picture[..., :3] = np.rint(colour)
    picture[..., 3] = np.where(known, 255, 0)
    return picture


def _address(picture: NDArray[np.uint8]) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode(picture, 'png')).decode('ascii')}"
