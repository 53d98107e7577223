"""Whether weights fit a scene: what cannot work is an error, what may is a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import PansharpError, WeightsError
from pansharp.sensors import get_sensor
from pansharp.weights.order import bands_of, compare, described, selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.weights.card import WeightsCard

__all__ = ["ANCHORED_FACTOR", "PUBLISHED_SHARE", "check_fits"]

#: Ratios may differ by this share in the form "published": their networks know one ratio.
PUBLISHED_SHARE = 0.02
#: Ratios may differ by this factor in the form "anchored": within it two thirds of the gain over
#: the anchor stay or more, at a factor of 2 none may be left (docs/weights.md).
ANCHORED_FACTOR = 1.5
#: Values below this share of the scale are of another kind: reflectance instead of counts.
_LEAST_SHARE = 0.01
#: MTF gains are published with an uncertainty of about this.
_GAIN_STEP = 0.05
_KINDS = {"pan": "PAN and MS", "hsi": "hyperspectral cubes"}


def check_fits(
    card: WeightsCard,
    *,
    bands: int,
    ratio: float,
    network: str | None = None,
    task: str | None = None,
    pan_bands: int | None = None,
    band_names: Sequence[str] = (),
    wavelengths_nm: Sequence[float | None] = (),
    sensor: str | None = None,
    largest: float | None = None,
    mtf_gains: Sequence[float] = (),
) -> list[str]:
    """Compare the card of weights with a scene.

    Parameters
    ----------
    card : WeightsCard
        Of the weights.
    bands : int
        Bands of the scene's low-resolution image.
    ratio : float
        Ratio of its pixel sizes, as measured.
    network : str, optional
        Network that was asked for.
    task : {"pan", "hsi"}, optional
        What the scene is.
    pan_bands : int, optional
        Channels of the guide that the network would be fed.
    band_names : sequence of str
        In the order of the scene; ``b1``, ``b2`` and so on tell nothing.
    wavelengths_nm : sequence of float or None
        Centre of each band, nanometres.
    sensor : str, optional
        Name of the sensor.
    largest : float, optional
        Largest valid value of the scene, in the units that are fused.
    mtf_gains : sequence of float
        Amplitude at Nyquist of each band.

    Returns
    -------
    list of str
        What may lower the quality, or could not be checked: a sentence each.

    Raises
    ------
    WeightsError
        The weights cannot be right for this scene. One line: what they are for, what the scene is,
        and what would fit.

    Notes
    -----
    Bands are compared by name, then by wavelength: each must be nearest to the one in its own
    place, and within 30 nm or 5 %.
    """
    _check_kind(card, network, task, pan_bands)
    notes = _check_order(card, bands, band_names, wavelengths_nm, sensor)
    notes += _check_ratio(card, ratio)
    notes += _check_range(card, largest)
    notes += _compare_sensors(card, sensor)
    notes += _compare_gains(card, mtf_gains)
    return notes


def _check_kind(
    card: WeightsCard, network: str | None, task: str | None, pan_bands: int | None
) -> None:
    if network is not None and network.lower() != card.network:
        raise WeightsError(
            f"the weights are of the network '{card.network}', not of '{network.lower()}'; use "
            f"-m {card.network}, or weights of '{network.lower()}'"
        )
    if task is not None and task != card.task:
        raise WeightsError(
            f"the weights are for {_KINDS[card.task]}, the scene is for {_KINDS.get(task, task)}; "
            "use weights for that, or none"
        )
    if pan_bands is not None and pan_bands != card.pan_bands:
        raise WeightsError(
            f"the weights read a guide of {card.pan_bands} channels, that of the scene has "
            f"{pan_bands}; use weights for such a guide, or none"
        )


def _check_order(
    card: WeightsCard,
    bands: int,
    band_names: Sequence[str],
    wavelengths_nm: Sequence[float | None],
    sensor: str | None,
) -> list[str]:
    for what, given in (("band names", band_names), ("wavelengths", wavelengths_nm)):
        if len(given) not in (0, bands):
            raise WeightsError(
                f"{len(given)} {what} for a scene of {bands} bands; name all or none"
            )
    theirs = bands_of(card.ms_bands, card.band_names, card.wavelengths_nm, card.sensor)
    scene = bands_of(bands, band_names, wavelengths_nm, sensor)
    chosen = selection(theirs, scene)
    hint = (
        f"take them with --bands {','.join(str(i + 1) for i in chosen)}"
        if chosen
        else "use weights for these bands, or none"
    )
    if bands != card.ms_bands:
        raise WeightsError(
            f"the weights are for {card.ms_bands} bands ({described(theirs)}), the scene has "
            f"{bands} ({described(scene)}); {hint}"
        )
    wrong, checked, shifted = compare(theirs, scene)
    if wrong:
        raise WeightsError(
            f"band {wrong[0] + 1} of the weights is {theirs.names[wrong[0]]}, that of the scene is "
            f"{scene.names[wrong[0]]}; the weights need {described(theirs)}; {hint}"
        )
    notes = []
    if not checked:
        notes.append(
            "the order of the bands could not be checked, for the names and wavelengths of "
            f"{_whose(theirs.known, scene.known)} do not tell it; the weights need "
            f"{described(theirs)}"
        )
    elif None in (*theirs.centres, *scene.centres):
        known = [None not in order.centres for order in (theirs, scene)]
        notes.append(
            f"the wavelengths of {_whose(*known)} are not known; bands were compared by name"
        )
    if shifted:
        at = shifted[0]
        notes.append(
            f"{theirs.names[at]} of the weights lies at {theirs.centres[at]:g} nm, that of the "
            f"scene at {scene.centres[at]:g} nm"
        )
    return notes


def _whose(theirs: bool, scene: bool) -> str:
    if theirs == scene:
        return "weights and scene"
    return "the scene" if theirs else "the weights"


def _check_ratio(card: WeightsCard, ratio: float) -> list[str]:
    if not ratio > 0:
        raise WeightsError(f"the scene has a ratio of {ratio:g}; it must be above 0")
    factor = max(ratio, card.ratio) / min(ratio, card.ratio)
    if factor <= 1 + PUBLISHED_SHARE:
        return []
    if card.form == "published":
        raise WeightsError(
            f"the weights are for a ratio of {card.ratio:g}, the scene has {ratio:.4g}; use "
            "weights for that ratio, or none"
        )
    if factor > ANCHORED_FACTOR:
        low, high = card.ratio / ANCHORED_FACTOR, card.ratio * ANCHORED_FACTOR
        raise WeightsError(
            f"the weights are for a ratio of {card.ratio:g} and serve from {low:.3g} to "
            f"{high:.3g}, the scene has {ratio:.4g}; use weights for that ratio, or none"
        )
    return [f"the weights were trained for a ratio of {card.ratio:g}, the scene has {ratio:.4g}"]


def _check_range(card: WeightsCard, largest: float | None) -> list[str]:
    if card.form != "published" or card.value_scale is None:
        return []
    if largest is None:
        return ["the range of values was not checked"]
    scale = card.value_scale
    # Written so that NaN is refused too.
    if not largest <= scale:
        raise WeightsError(
            f"the scene has values up to {largest:g}, the weights are for 0 to {scale:g}; use "
            "weights for that range, or bring the scene to the units they were trained in"
        )
    if largest < _LEAST_SHARE * scale:
        raise WeightsError(
            f"no value of the scene is above {largest:g}, the weights are for 0 to {scale:g}: "
            "these are other units; bring the scene to the units they were trained in, or use "
            "other weights"
        )
    return []


def _compare_sensors(card: WeightsCard, sensor: str | None) -> list[str]:
    trained, own = _canonical(card.sensor), _canonical(sensor)
    if trained == own and trained is not None:
        return []
    if trained is None or own is None:
        whose = "the weights" if trained is None else "the scene"
        both = "weights and scene" if trained is None and own is None else whose
        return [f"the sensor of {both} is not known"]
    return [f"the weights were trained on {trained}, the scene is of {own}"]


def _canonical(sensor: str | None) -> str | None:
    if not sensor:
        return None
    try:
        name = get_sensor(sensor).name
    except PansharpError:
        return sensor
    return None if name == "none" else name


def _compare_gains(card: WeightsCard, gains: Sequence[float]) -> list[str]:
    if not card.mtf_gains or len(gains) != len(card.mtf_gains):
        return []
    pairs = list(zip(card.mtf_gains, gains, strict=True))
    trained, own = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    if abs(trained - own) <= _GAIN_STEP:
        return []
    return [
        f"the weights were trained with an MTF gain of {trained:.2f} where the scene has {own:.2f}"
    ]
