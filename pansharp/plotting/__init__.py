"""Plots for notebooks and reports: images on common ground, maps, spectra, statistics.

All functions return a matplotlib Figure. They read overviews, windows and samples, never a whole
large image unless told so with ``window="all"``. matplotlib is imported by the first plot; it
comes with ``pip install 'pansharp[plot]'``.
"""

from __future__ import annotations

from pansharp.plotting.comparing import compare
from pansharp.plotting.frequency import power_spectrum, radial_power, spatial_frequency
from pansharp.plotting.layers import Layer, gather, layer_of
from pansharp.plotting.maps import block_scores, difference, sam_map
from pansharp.plotting.panels import rgb, show, zoom
from pansharp.plotting.picker import SpectrumPicker
from pansharp.plotting.places import Frame
from pansharp.plotting.spectral import Spectrum, spectra, spectrum
from pansharp.plotting.statistics import band_bars, band_errors, histograms, scatter

__all__ = [
    "Frame",
    "Layer",
    "Spectrum",
    "SpectrumPicker",
    "band_bars",
    "band_errors",
    "block_scores",
    "compare",
    "difference",
    "gather",
    "histograms",
    "layer_of",
    "power_spectrum",
    "radial_power",
    "rgb",
    "sam_map",
    "scatter",
    "show",
    "spatial_frequency",
    "spectra",
    "spectrum",
    "zoom",
]
