"""Quality indices with the conventions of the reference toolbox, for images of any size.

Images are ``(band, y, x)`` NumPy or dask arrays, xarray objects, or any view with ``shape``,
``dtype`` and contiguous slicing; they are read window by window. ``mask`` is ``(y, x)``, True
where valid. See docs/metrics.md for formulas, ranges and blind spots.
"""

from __future__ import annotations

from pansharp.evaluation.arrays import clip_dn, cut_border
from pansharp.evaluation.comparison import Comparison
from pansharp.evaluation.fullres import FullResolutionAccumulator, FullResolutionSums
from pansharp.evaluation.noreference import d_lambda, d_lambda_k, d_s, hqnr, qnr
from pansharp.evaluation.q2n import q2n, q2n_map
from pansharp.evaluation.reference import cc, ergas, psnr, rmse, sam
from pansharp.evaluation.report import BEST, Report
from pansharp.evaluation.scoring import block_maps, evaluate
from pansharp.evaluation.similarity import ssim, ssim_bands
from pansharp.evaluation.sums import ReferenceAccumulator, ReferenceSums
from pansharp.evaluation.windowed import q, q_bands, scc

__all__ = [
    "BEST",
    "Comparison",
    "FullResolutionAccumulator",
    "FullResolutionSums",
    "ReferenceAccumulator",
    "ReferenceSums",
    "Report",
    "block_maps",
    "cc",
    "clip_dn",
    "cut_border",
    "d_lambda",
    "d_lambda_k",
    "d_s",
    "ergas",
    "evaluate",
    "hqnr",
    "psnr",
    "q",
    "q2n",
    "q2n_map",
    "q_bands",
    "qnr",
    "rmse",
    "sam",
    "scc",
    "ssim",
    "ssim_bands",
]
