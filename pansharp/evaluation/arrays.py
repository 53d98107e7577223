"""`evaluate`: every index that the given images allow, in one report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import MetricError, OptionError
from pansharp.evaluation import _views as views
from pansharp.evaluation._fullscene import FullResolution
from pansharp.evaluation.report import Report
from pansharp.evaluation.similarity import ssim_bands
from pansharp.evaluation.sums import reference_sums
from pansharp.evaluation.windowed import Q_WINDOW, q_bands, scc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pansharp.evaluation._views import Mask, Raster
    from pansharp.sensors import SensorProfile

__all__ = ["clip_dn", "cut_border", "evaluate"]


def cut_border(image: Raster, cut: int) -> Raster:
    """Cut the border as the toolbox does before scoring: ``[cut - 1 : size - cut]``.

    One pixel less at the top and left than at the bottom and right; published tables use 21
    (2021 edition) or 11 (2015).

    Parameters
    ----------
    image : array, dask array or view
        Shape (band, y, x) or (y, x).
    cut : int
        0 cuts nothing.

    Returns
    -------
    array or view
        The middle, a slice of the input.

    Raises
    ------
    MetricError
        Nothing would be left, or `cut` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> cut_border(np.zeros((4, 128, 128)), 21).shape
    (4, 87, 87)
    """
    height, width = image.shape[-2:]
    if cut < 0 or 2 * cut - 1 >= min(height, width):
        raise MetricError(f"cutting {cut} pixels off {height}x{width} is impossible; cut less")
    if cut == 0:
        return image
    rows, cols = slice(cut - 1, height - cut), slice(cut - 1, width - cut)
    if len(image.shape) == 2:
        return image[rows, cols]  # type: ignore[return-value]
    return image[:, rows, cols]  # type: ignore[return-value]


def clip_dn(image: NDArray[np.generic], bits: int) -> NDArray[np.generic]:
    """Limit digital numbers to 0 ... 2^bits, the toolbox's optional step before scoring.

    The upper limit is 2^bits (2048 for 11 bits), not 2^bits - 1, as in the reference code.

    Parameters
    ----------
    image : ndarray
        Any shape.
    bits : int
        Radiometric resolution.

    Returns
    -------
    ndarray
        Same shape; float64 where the limit does not fit the type.

    Examples
    --------
    >>> import numpy as np
    >>> clip_dn(np.array([-5.0, 3000.0]), 11)
    array([   0., 2048.])
    """
    if image.dtype.kind in "iu" and 2**bits > np.iinfo(image.dtype.str).max:
        image = image.astype(np.float64)
    return np.asarray(np.clip(image, 0, 2**bits))


def evaluate(
    *,
    reference: Raster | None = None,
    fused: Raster | None = None,
    pan: Raster | None = None,
    ms: Raster | None = None,
    ratio: float = 4,
    sensor: str | SensorProfile | float | None = None,
    mask: Mask | None = None,
    block_size: int = 32,
    data_range: float | None = None,
) -> Report:
    """Score a fused image with every index that the given images allow.

    With `reference`: ERGAS, SAM, Q2n, Q, SCC, RMSE, CC, and PSNR and SSIM where `data_range` is
    given. Without: D_lambda, D_s, QNR, D_lambda_K and HQNR from `ms` and `pan`.

    Parameters
    ----------
    reference : array, dask array or view, optional
        Truth, shape (band, y, x), digital numbers.
    fused : array, dask array or view
        Image to score, shape (band, y, x), digital numbers.
    pan : array, dask array or view, optional
        Shape (y, x) or (1, y, x).
    ms : array, dask array or view, optional
        Low-resolution MS, shape (band, y / ratio, x / ratio).
    ratio : float
        MS pixel over PAN pixel.
    sensor : str, SensorProfile or float, optional
        Whose MTF gains D_lambda_K uses; None takes 0.30 for every band and says so.
    mask : array or view, optional
        Shape (y, x) of `fused`, True where valid; the scores are then not comparable with
        published tables.
    block_size : int
        Side of the blocks of Q2n and of the indices without a reference.
    data_range : float, optional
        Largest value possible, 2^bits - 1.

    Returns
    -------
    Report
        Scores, conventions and notes.

    Raises
    ------
    OptionError
        Neither form is complete.
    MetricError
        An index is not defined for these images.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(100, 2000, (4, 64, 64))
    >>> evaluate(reference=image, fused=image).scores["ergas"]
    0.0
    """
    if fused is None:
        raise OptionError("nothing to score; pass fused")
    if reference is not None:
        if pan is not None or ms is not None:
            raise OptionError(
                "reference and pan or ms were given; pass reference to compare with a truth, "
                "or pan and ms to score without one"
            )
        return _with_reference(reference, fused, ratio, mask, block_size, data_range)
    if ms is None or pan is None:
        missing = " and ".join(n for n, given in (("pan", pan), ("ms", ms)) if given is None)
        raise OptionError(f"no reference, so the score needs {missing} as well")
    return _without_reference(fused, ms, pan, ratio, sensor, mask, block_size)


def _mask_note(mask: views.View | None) -> tuple[str, ...]:
    if mask is None:
        return ()
    valid = sum(
        int(np.count_nonzero(mask.inside(rect)))
        for rect in views.pieces(mask.height, mask.width, 1, 1)
    )
    share = 100.0 * valid / (mask.height * mask.width)
    return (f"{share:.1f} % of the pixels are valid; not comparable with published tables",)


def _with_reference(
    reference: Raster,
    fused: Raster,
    ratio: float,
    mask: Mask | None,
    block_size: int,
    data_range: float | None,
) -> Report:
    views.check_ratio(ratio)
    block = views.check_block(block_size)
    first, second = views.pair(reference, fused)
    validity = views.mask_view(mask, first.size)
    sums = reference_sums(first, second, validity, block=block, stacklevel=4)
    scores = sums.scores(ratio)
    per_band = {
        "rmse": tuple(float(value) for value in np.sqrt(sums.mse())),
        "cc": tuple(float(value) for value in sums.cc_bands()),
    }
    notes = list(_mask_note(validity))

    def attempt(name: str, compute: Callable[[], float]) -> None:
        try:
            scores[name] = compute()
        except MetricError as reason:
            notes.append(f"{name} left out: {reason}")

    def quality() -> float:
        bands = q_bands(reference, fused, mask=mask)
        per_band["q"] = tuple(float(value) for value in bands)
        return float(bands.mean())

    def similarity(top: float) -> float:
        bands = ssim_bands(reference, fused, data_range=top, mask=mask)
        per_band["ssim"] = tuple(float(value) for value in bands)
        return float(bands.mean())

    for name in ("q2n", "cc"):
        if name not in scores:
            attempt(name, sums.q2n if name == "q2n" else sums.cc)
    attempt("q", quality)
    attempt("scc", lambda: scc(reference, fused, mask=mask))
    if data_range is not None:
        scores["psnr"] = sums.psnr(data_range)
        per_band["psnr"] = tuple(float(value) for value in sums.psnr_bands(data_range))
        attempt("ssim", lambda: similarity(data_range))
    return Report(
        scores,
        protocol="reference",
        per_band=per_band,
        conventions={
            "ratio": float(ratio),
            "q2n_block": block,
            "q2n_shift": block,
            "q_window": Q_WINDOW,
            "scc": "2021",
            "data_range": data_range,
            "masked": validity is not None,
        },
        notes=tuple(notes),
    )


def _without_reference(
    fused: Raster,
    ms: Raster,
    pan: Raster,
    ratio: float,
    sensor: str | SensorProfile | float | None,
    mask: Mask | None,
    block_size: int,
) -> Report:
    from pansharp.sensors import get_sensor

    scene = FullResolution(fused, ms, pan, ratio, mask, block_size, "default")
    bands = scene.fused.bands
    notes = list(_mask_note(scene.mask))
    gains: tuple[float, ...]
    if isinstance(sensor, (int, float)):
        label, gains, assumed = None, (float(sensor),) * bands, False
    else:
        profile = sensor
        if profile is None or isinstance(profile, str):
            profile = get_sensor(profile or "none")
        label = profile.name
        gains, assumed = profile.mtf_gains(None, bands)
    if assumed:
        notes.append("the MTF gains behind D_lambda_K are assumed, not published for this sensor")
    if bands < 2:
        notes.append("d_lambda and qnr left out: they need at least two bands")
    sums = scene.sums(
        spectral="toolbox" if bands > 1 else None,
        spatial="toolbox",
        khan="none" if sensor is None else sensor,
        stacklevel=4,
    )
    scores = sums.scores()
    notes.extend(
        f"{name} left out: no block is at least half valid and has texture"
        for name in ("d_s", "d_lambda_k", *(("d_lambda",) if bands > 1 else ()))
        if name not in scores
    )
    if not scores:
        raise MetricError(
            "no block is at least half valid and has texture; "
            "check the mask (True means valid) or use smaller blocks"
        )
    return Report(
        scores,
        protocol="full",
        sensor=label,
        conventions={
            "ratio": scene.ratio,
            "block": scene.block,
            "d_lambda": "toolbox",
            "d_s": "toolbox",
            "mtf_gains": list(gains),
            "mtf_assumed": assumed,
            "masked": scene.mask is not None,
        },
        notes=tuple(notes),
    )
