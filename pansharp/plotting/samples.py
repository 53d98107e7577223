"""Products brought down to the MS grid: what Wald's first property compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import BandMismatchError, OptionError
from pansharp.geometry.kernels import MtfGaussian
from pansharp.geometry.resample import input_window, sample
from pansharp.plotting.pairs import spread_windows
from pansharp.plotting.places import Frame
from pansharp.sensors import mtf_gains
from pansharp.source import read_padded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.geometry.grids import Alignment, Window
    from pansharp.plotting.layers import Layer

    Floats = NDArray[np.float32]

__all__ = ["degraded", "degraded_pairs", "gains_of"]

#: Side of a sample, MS pixels, and how many there are at most.
_SIDE = 128
_COUNT = 16


def gains_of(layer: Layer) -> tuple[tuple[float, ...], bool]:
    """MTF gains at the MS Nyquist frequency, one a band, and whether any is assumed."""
    return mtf_gains(layer.sensor, layer.names if layer.sensor else None, layer.bands)


def degraded(
    fused: Layer, alignment: Alignment, window: Window, gains: tuple[float, ...]
) -> tuple[Floats, NDArray[np.bool_]]:
    """A product as the MS sensor would have seen it.

    Parameters
    ----------
    fused : Layer
        Product.
    alignment : Alignment
        Where the MS pixels lie on the product's grid; any ratio and offset.
    window : Window
        MS pixels wanted.
    gains : tuple of float
        Amplitudes of the MTF at the MS Nyquist frequency, one a band.

    Returns
    -------
    values : ndarray, shape (band, y, x), float32
        Blurred by the Gaussian of the gains and sampled at the centres of the MS pixels.
    valid : ndarray, shape (y, x), bool
        Where all product pixels below the kernel exist.
    """
    widest = MtfGaussian(alignment.ratio, min(gains), normalize=True)
    needed = input_window(alignment, "down", widest, window)
    pixels, known = read_padded(fused.source, needed)
    origin = needed.row, needed.col
    out = np.empty((fused.bands, *window.shape), dtype=np.float32)
    for gain in sorted(set(gains)):
        bands = [band for band, own in enumerate(gains) if own == gain]
        kernel = MtfGaussian(alignment.ratio, gain, normalize=True)
        out[bands] = sample(pixels[bands], origin, window, alignment, "down", kernel)
    rows = np.arange(needed.row, needed.row_end)
    cols = np.arange(needed.col, needed.col_end)
    inside = ((rows >= 0) & (rows < fused.source.height))[:, None] & (
        (cols >= 0) & (cols < fused.source.width)
    )[None, :]
    if known is not None:
        inside &= known
    share = sample(inside[None].astype(np.float32), origin, window, alignment, "down", widest)
    return out, share[0] > 0.995


def degraded_pairs(
    fused: Layer, ms: Layer, *, window: Window | None = None, count: int = _COUNT
) -> tuple[Floats, Floats]:
    """Values of an MS and of a product brought down to its grid, pixel by pixel.

    Parameters
    ----------
    fused, ms : Layer
        Of the same bands.
    window : Window, optional
        Product pixels to stay in.
    count : int
        Samples of 128 x 128 MS pixels, spread evenly.

    Returns
    -------
    ms, fused : ndarray, shape (band, pixel), float32
        Pixels that are valid in both.

    Raises
    ------
    BandMismatchError
        Numbers of bands differ.
    OptionError
        No pixel is valid in both.
    """
    if fused.bands != ms.bands:
        raise BandMismatchError(
            f"{fused.label} has {fused.bands} bands and {ms.label} {ms.bands}; "
            "select the same bands of both"
        )
    frame = Frame(fused)
    alignment = frame.alignment(ms)
    ground = frame.covering(ms, frame.full if window is None else window)
    gains, _ = gains_of(ms)
    lows, highs = [], []
    for part in spread_windows(ground, _SIDE, count):
        high, valid = degraded(fused, alignment, part, gains)
        stored = ms.source.read(part)
        known = ms.source.valid(part, stored)
        if known is not None:
            valid &= known
        lows.append(stored[:, valid].astype(np.float32))
        highs.append(high[:, valid])
    low, high = np.concatenate(lows, axis=1), np.concatenate(highs, axis=1)
    if not low.shape[1]:
        raise OptionError(f"no pixel is valid in both {fused.label} and {ms.label}")
    return low, high
