"""How the bands add up to the PAN: non-negative weights, fitted on the scene or from the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import BandMismatchError
from pansharp.models.classical._moments import gram
from pansharp.registry import nearest
from pansharp.sensors import band_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.chips import Chip
    from pansharp.models.base import Moments, SceneFacts

__all__ = [
    "Given",
    "check_weights",
    "fit_weights",
    "given_weights",
    "spectral_weights",
    "weight_moments",
]

#: Weights as a user gave them: in the order of the bands, or (name, weight) for each.
Given = tuple[float, ...] | tuple[tuple[str, float], ...]


def check_weights(weights: Sequence[float] | Mapping[str, float]) -> Given:
    """Check weights that a user gave, before there is a scene.

    Parameters
    ----------
    weights : sequence of float, or mapping of band name to float
        Finite, none below 0, sum above 0.

    Returns
    -------
    tuple
        What :func:`given_weights` takes, not scaled.

    Raises
    ------
    BandMismatchError
        They are not such numbers.
    """
    table = dict(weights) if isinstance(weights, Mapping) else None
    numbers = list(weights) if table is None else list(table.values())
    try:
        values = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.asarray([np.nan])
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.sum():
        shown = numbers if table is None else ", ".join(f"{k}={v}" for k, v in table.items())
        raise BandMismatchError(
            f"weights {shown} must be numbers >= 0 with a positive sum, one a band"
        )
    if table is not None:
        return tuple((str(name), float(v)) for name, v in zip(table, values, strict=True))
    return tuple(float(v) for v in values)


def given_weights(weights: Given, facts: SceneFacts, method: str) -> tuple[float, ...]:
    """Put weights into the order of a scene's bands.

    Parameters
    ----------
    weights : tuple
        From :func:`check_weights`.
    facts : SceneFacts
        Bands of the scene, and its sensor, whose codes and names count as well.
    method : str
        For messages.

    Returns
    -------
    tuple of float
        One a band.

    Raises
    ------
    BandMismatchError
        A band without a weight, a weight without a band, or a wrong number of them.
    """
    bands = len(facts.ms_gains)
    names = facts.band_names
    listing = ", ".join(names)
    if len(weights) != bands:
        raise BandMismatchError(
            f"{method} got {len(weights)} weights for {bands} bands"
            + (f" ({listing})" if names else "")
            + "; give one a band"
        )
    named = [entry for entry in weights if isinstance(entry, tuple)]
    if not named:
        return tuple(float(w) for w in weights if not isinstance(w, tuple))
    if not names:
        raise BandMismatchError(
            f"{method} got weights by name, and the bands of this scene have no names; "
            "give the weights in the order of the bands"
        )
    place = {band_key(name): i for i, name in enumerate(names)}
    for i, band in enumerate((facts.sensor and facts.sensor.match_bands(names)) or ()):
        place.setdefault(band_key(band.name), i)
        place.setdefault(band_key(band.code), i)
    found: dict[int, float] = {}
    for name, weight in named:
        index = place.get(band_key(name))
        if index is None:
            raise BandMismatchError(
                f"{method} got a weight for '{name}', which is no band of this scene "
                f"({listing}); {nearest(name, list(names))}"
            )
        if index in found:
            raise BandMismatchError(f"{method} got two weights for the band '{names[index]}'")
        found[index] = weight
    return tuple(found[i] for i in range(bands))


def weight_moments(chip: Chip) -> Moments:
    """Cross products of the B3-spline low-pass PAN and the MS at MS pixels: key ``low``."""
    own = chip.own_ms()
    return {"low": gram([chip.atrous_at_ms(own), *chip.ms_pixels(own)], chip.ms_mask(own))}


def fit_weights(
    low: NDArray[np.float64], *, normalize: bool, shrink: float = 0.0
) -> NDArray[np.float64]:
    """Non-negative least squares of the PAN on the bands, through their cross products.

    Parameters
    ----------
    low : ndarray
        From :func:`weight_moments`.
    normalize : bool
        Scale the weights to sum 1.
    shrink : float
        Weight of a pull towards equal weights, in units of the bands' mean square. Bands that
        look alike then share what plain least squares gives to one of them.

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
    if shrink:
        equal = target.sum() / max(float(cross.sum()), 1e-300)
        pull = shrink * float(np.trace(cross)) / len(cross)
        cross = cross + pull * np.eye(len(cross))
        target = target + pull * equal
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
