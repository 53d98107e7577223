"""Full-resolution indices without a reference: D_lambda, D_s, QNR, D_lambda_K, HQNR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import MetricError
from pansharp.evaluation._fullscene import FullResolution
from pansharp.evaluation.q2n import check_rounding

if TYPE_CHECKING:
    from pansharp.evaluation._fullscene import Mode, Sensor, SpatialVariant, SpectralVariant
    from pansharp.evaluation._views import Mask, Raster
    from pansharp.evaluation.q2n import Rounding

__all__ = ["d_lambda", "d_lambda_k", "d_s", "hqnr", "qnr"]


def d_lambda(
    fused: Raster,
    ms: Raster,
    *,
    ratio: int = 4,
    variant: SpectralVariant = "toolbox",
    block_size: int = 32,
    p: float = 1.0,
    mask: Mask | None = None,
    mode: Mode = "default",
) -> float:
    """Spectral distortion of QNR; ideal 0.

    Mean over band pairs of ``|Q(fused_i, fused_j) - Q(low_i, low_j)|^p``, to the power 1 / p,
    with Q the universal index on blocks that do not overlap. ``"toolbox"``: low is the MS
    interpolated to the PAN grid; ``"paper"``: the MS itself on blocks smaller by the ratio.

    Parameters
    ----------
    fused : array, dask array or view
        Shape (band, y, x), counts.
    ms : array, dask array or view
        Low-resolution MS, shape (band, y / ratio, x / ratio), counts.
    ratio : int
        MS pixel over PAN pixel, a power of two.
    variant : {"toolbox", "paper"}
        What the fused image is compared with.
    block_size : int
        Side of a block on the PAN grid.
    p : float
        Exponent, positive.
    mask : array or view, optional
        PAN grid (y, x), True where valid. A low pixel is valid where all its fine pixels are. A
        block uses its valid pixels only and is dropped when fewer than half are valid.
    mode : {"default", "reference"}
        ``"default"`` drops constant blocks and takes ragged edges as partly valid blocks;
        ``"reference"`` gives NaN for constant blocks and refuses ragged edges.

    Returns
    -------
    float
        0 to 2, in practice below 1.

    Raises
    ------
    MetricError
        Shapes do not fit, fewer than two bands, no block left, values not finite.
    OptionError
        Unknown variant or mode.

    References
    ----------
    Alparone et al., "Multispectral and panchromatic data fusion assessment without reference",
    PE&RS 74(2), 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from pansharp.filters import interp23
    >>> ms = np.random.default_rng(0).integers(100, 2000, (4, 16, 16))
    >>> d_lambda(interp23(ms, 4), ms)
    0.0
    """
    scene = FullResolution(fused, ms, None, ratio, mask, block_size, mode)
    if scene.fused.bands < 2:
        raise MetricError("D_lambda compares bands with each other and needs at least two")
    return scene.sums(spectral=variant).d_lambda(p)


def d_s(
    fused: Raster,
    ms: Raster,
    pan: Raster,
    *,
    ratio: int = 4,
    variant: SpatialVariant = "toolbox",
    sensor: Sensor | None = None,
    block_size: int = 32,
    q: float = 1.0,
    mask: Mask | None = None,
    mode: Mode = "default",
) -> float:
    """Spatial distortion of QNR and HQNR; ideal 0.

    Mean over bands of ``|Q(fused_b, pan) - Q(low_b, pan_low)|^q``, to the power 1 / q.
    ``"toolbox"``: interpolated MS against the PAN shrunk (bicubic) and interpolated again;
    ``"2015"``: interpolated MS against the PAN filtered with the sensor's PAN MTF;
    ``"paper"``: the MS itself against the shrunk PAN on blocks smaller by the ratio.

    Parameters
    ----------
    fused, ms : array, dask array or view
        As in `d_lambda`.
    pan : array, dask array or view
        Shape (y, x) or (1, y, x), counts.
    ratio : int
        MS pixel over PAN pixel, a power of two.
    variant : {"toolbox", "2015", "paper"}
        How the low-resolution PAN is made; always name it with the number.
    sensor : str, SensorProfile or float, optional
        Needed by ``"2015"`` only: sensor, or gain of its PAN at Nyquist.
    block_size : int
        Side of a block on the PAN grid.
    q : float
        Exponent, positive.
    mask, mode
        As in `d_lambda`.

    Returns
    -------
    float
        0 to 2, in practice below 1.

    Raises
    ------
    MetricError
        Shapes do not fit, no block left, values not finite.
    OptionError
        Unknown variant or mode, or ``"2015"`` without a sensor.

    References
    ----------
    Alparone et al., PE&RS 74(2), 2008; Vivone et al., IEEE TGRS 53(5), 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from pansharp.filters import interp23
    >>> rng = np.random.default_rng(0)
    >>> ms, pan = rng.integers(100, 2000, (4, 16, 16)), rng.integers(100, 2000, (64, 64))
    >>> 0.0 < d_s(interp23(ms, 4), ms, pan) < 0.5
    True
    """
    scene = FullResolution(fused, ms, pan, ratio, mask, block_size, mode)
    return scene.sums(spatial=variant, sensor=sensor).d_s(q)


def qnr(
    fused: Raster,
    ms: Raster,
    pan: Raster,
    *,
    ratio: int = 4,
    alpha: float = 1.0,
    beta: float = 1.0,
    block_size: int = 32,
    mask: Mask | None = None,
    mode: Mode = "default",
) -> float:
    """Quality with no reference, ``(1 - D_lambda)^alpha (1 - D_s)^beta``; ideal 1.

    Both distortions in their toolbox variants. Depends on the 23-tap interpolator, not on the
    sensor.

    Parameters
    ----------
    fused, ms, pan, ratio, block_size, mask, mode
        As in `d_s`.
    alpha, beta : float
        Exponents.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    MetricError
        As `d_lambda`.

    References
    ----------
    Alparone et al., PE&RS 74(2), 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from pansharp.filters import interp23
    >>> ms = np.random.default_rng(0).integers(100, 2000, (4, 32, 32))
    >>> up = interp23(ms, 4)
    >>> round(qnr(up, ms, up.mean(axis=0)), 3) == round(1 - d_s(up, ms, up.mean(axis=0)), 3)
    True
    """
    scene = FullResolution(fused, ms, pan, ratio, mask, block_size, mode)
    if scene.fused.bands < 2:
        raise MetricError("QNR contains D_lambda, which needs at least two bands")
    sums = scene.sums(spectral="toolbox", spatial="toolbox")
    return float((1.0 - sums.d_lambda()) ** alpha * (1.0 - sums.d_s()) ** beta)


def d_lambda_k(
    fused: Raster,
    ms: Raster,
    *,
    sensor: Sensor,
    ratio: int = 4,
    block_size: int = 32,
    rounding: Rounding = "uint16",
    normalised: bool = False,
    mask: Mask | None = None,
) -> float:
    """Khan's spectral distortion, ``1 - Q2n(interpolated MS, MTF-filtered fused)``; ideal 0.

    The fused image is filtered with the sensor's MS kernels, without decimation. Q2n rounds both
    to uint16: pass digital numbers.

    Parameters
    ----------
    fused, ms, ratio, mask
        As in `d_lambda`; the filter uses valid pixels only.
    sensor : str, SensorProfile or float
        Sensor, or one gain at Nyquist for all bands; ``"none"`` is 0.30.
    block_size : int
        Side of the Q2n blocks.
    rounding : {"uint16", "none"}
        As in `q2n`.
    normalised : bool
        Divide the kernels by their sum. The toolbox does not, so its filter darkens the image by
        0.1 %; with True the value is not comparable with published tables.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    MetricError
        Shapes do not fit, no block left, values not finite.
    OptionError
        Unknown rounding.
    UnknownSensorError, BandMismatchError
        The sensor is unknown or has fewer bands than the image.

    Warns
    -----
    PansharpWarning
        The MS has values in 0 ... 1 only.

    References
    ----------
    Khan, Alparone, Chanussot, "Pansharpening quality assessment using the modulation transfer
    functions of instruments", IEEE TGRS 47(11), 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from pansharp.filters import interp23
    >>> ms = np.random.default_rng(0).integers(100, 2000, (4, 32, 32))
    >>> 0.0 < d_lambda_k(interp23(ms, 4), ms, sensor="wv3") < 0.5
    True
    """
    check_rounding(rounding)
    scene = FullResolution(fused, ms, None, ratio, mask, block_size, "default")
    return scene.sums(khan=sensor, rounding=rounding, normalised=normalised).d_lambda_k()


def hqnr(
    fused: Raster,
    ms: Raster,
    pan: Raster,
    *,
    sensor: Sensor,
    ratio: int = 4,
    block_size: int = 32,
    rounding: Rounding = "uint16",
    normalised: bool = False,
    mask: Mask | None = None,
    mode: Mode = "default",
) -> float:
    """Hybrid quality with no reference, ``(1 - D_lambda_K)(1 - D_s)``; ideal 1.

    What the benchmark tables of 2021 and 2022 call HQNR: D_s in its toolbox variant.

    Parameters
    ----------
    fused, ms, pan, ratio, block_size, mask, mode
        As in `d_s`.
    sensor, rounding, normalised
        As in `d_lambda_k`.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    MetricError
        As `d_s` and `d_lambda_k`.

    References
    ----------
    Aiazzi et al., "Full-scale assessment of pansharpening methods and data products", SPIE 9244,
    2014; Vivone et al., IEEE GRSM 9(1), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from pansharp.filters import interp23
    >>> ms = np.random.default_rng(0).integers(100, 2000, (4, 32, 32))
    >>> up = interp23(ms, 4)
    >>> 0.5 < hqnr(up, ms, up.mean(axis=0), sensor="wv3") < 1.0
    True
    """
    check_rounding(rounding)
    scene = FullResolution(fused, ms, pan, ratio, mask, block_size, mode)
    sums = scene.sums(spatial="toolbox", khan=sensor, rounding=rounding, normalised=normalised)
    return (1.0 - sums.d_lambda_k()) * (1.0 - sums.d_s())
