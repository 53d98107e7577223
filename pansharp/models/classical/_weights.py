"""How the bands add up to the PAN: non-negative weights, fitted on the scene or from the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import BandMismatchError
from pansharp.models.classical._moments import gram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = ["fit_weights", "spectral_weights", "weight_moments"]


def weight_moments(chip: Chip) -> Moments:
    """Cross products of the B3-spline low-pass PAN and the MS at MS pixels: key ``low``."""
    own = chip.own_ms()
    return {"low": gram([chip.atrous_at_ms(own), *chip.ms_pixels(own)], chip.ms_mask(own))}


def fit_weights(low: NDArray[np.float64], *, normalize: bool) -> NDArray[np.float64]:
    """Non-negative least squares of the PAN on the bands, through their cross products.

    Parameters
    ----------
    low : ndarray
        From :func:`weight_moments`.
    normalize : bool
        Scale the weights to sum 1.

    Returns
    -------
    ndarray, shape (band,), float64

    Raises
    ------
    BandMismatchError
        The PAN is related to no band.
    """
    from scipy.optimize import nnls

    cross = low[2:, 2:]
    target = low[2:, 1]
    # The normal equations of NNLS: any square root of the Gram matrix has the same solution.
    values, vectors = np.linalg.eigh(cross)
    keep = values > 1e-12 * values[-1]
    root = (vectors[:, keep] * np.sqrt(values[keep])).T
    right = (vectors[:, keep] / np.sqrt(values[keep])).T @ target
    weights, _ = nnls(root, right)
    if weights.sum() <= 0:
        raise BandMismatchError(
            "non-negative weights cannot be fitted: the PAN is not related to any MS band; "
            "give weights or use another method"
        )
    return np.asarray(weights / weights.sum() if normalize else weights)


def spectral_weights(facts: SceneFacts) -> tuple[float, ...]:
    """Weights from the sensor table: the part of the PAN's range that each band covers.

    Parameters
    ----------
    facts : SceneFacts
        Sensor and band names of the scene.

    Returns
    -------
    tuple of float
        Sum 1.

    Raises
    ------
    BandMismatchError
        The sensor is unknown, has no spectral ranges, or no band lies in the range of the PAN.
    """
    sensor = facts.sensor
    if sensor is None or sensor.pan is None:
        raise BandMismatchError(
            "weights 'sensor' need a sensor with a PAN; name it with --sensor, or fit the weights"
        )
    bands = sensor.match_bands(facts.band_names)
    if bands is None:
        raise BandMismatchError(
            f"the bands {', '.join(facts.band_names)} are not those of {sensor.name}, so its "
            "spectral weights do not apply; name the bands, or fit the weights"
        )
    pan = sensor.pan.range_nm
    shares = []
    for band in bands:
        own = band.range_nm
        if pan is None or own is None:
            raise BandMismatchError(
                f"the table of {sensor.name} has no spectral range of every band; fit the weights"
            )
        shares.append(max(0.0, min(own[1], pan[1]) - max(own[0], pan[0])))
    if not sum(shares) > 0:
        raise BandMismatchError(f"no band of {sensor.name} lies in the range of its PAN")
    return tuple(share / sum(shares) for share in shares)
