"""Toolbox filters on whole arrays: MTF kernels, 23-tap interpolation, resampling, degradation.

Everything here follows the arithmetic of the reference MATLAB toolbox that the published tables
rest on, so that indices and methods can be compared with those tables. Arrays are
``(band, y, x)`` or ``(y, x)``; float32 stays float32, every other type is computed in float64.
"""

from __future__ import annotations

from pansharp.filters.kernels import (
    KERNEL_SIZE,
    gaussian_kernel,
    mtf_kernel,
    mtf_kernel_from_gain,
    mtf_kernels,
)
from pansharp.filters.lowpass import (
    atrous_lp,
    correlate_replicate,
    correlate_valid,
    degrade,
    gauss_lp,
)
from pansharp.filters.pyramids import (
    box_lp,
    half_gradient,
    half_gradient_lp,
    indusion_lp,
    interp7,
)
from pansharp.filters.resample import (
    INTERP23_MARGIN,
    AxisWeights,
    decimate,
    imresize,
    interp23,
    resize_weights,
)

__all__ = [
    "INTERP23_MARGIN",
    "KERNEL_SIZE",
    "AxisWeights",
    "atrous_lp",
    "box_lp",
    "correlate_replicate",
    "correlate_valid",
    "decimate",
    "degrade",
    "gauss_lp",
    "gaussian_kernel",
    "half_gradient",
    "half_gradient_lp",
    "imresize",
    "indusion_lp",
    "interp7",
    "interp23",
    "mtf_kernel",
    "mtf_kernel_from_gain",
    "mtf_kernels",
    "resize_weights",
]
