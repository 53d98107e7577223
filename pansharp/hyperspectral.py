"""Hyperspectral pairs: what is measured before they are fused, and how the product is judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pansharp.chips import Chip, read_chip
from pansharp.errors import BandMismatchError
from pansharp.models.base import SceneFacts
from pansharp.models.hyperspectral.operators import gain_of_sigma, psf_of, sigma_of_gain
from pansharp.models.hyperspectral.response import Response, fit_response
from pansharp.models.hyperspectral.scan import CubeScan, Found, scan_halo, scan_reach
from pansharp.models.hyperspectral.statistics import PairStatistics, measure_pair, pair_halo
from pansharp.registration import check_shift
from pansharp.source import ScreenedSource, empty_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pansharp.models.base import Moments
    from pansharp.options import FuseOptions
    from pansharp.scene import Scene
    from pansharp.sensors import Band

__all__ = [
    "PreparedPair",
    "conventions",
    "prepare_pair",
    "response_facts",
]

#: Width of the point-spread function that is assumed where none is measured, HSI pixels.
ASSUMED_SIGMA = 0.5
#: HSI pixels on which pairs are measured.
_SAMPLE = 40_000
#: A scan that explains less of the guide than this cannot be trusted.
_TRUSTED = 0.9
#: Share of a guide band's response that the cube must cover to know the band from the table.
_COVERED = 0.8


@dataclass(frozen=True)
class PreparedPair:
    """A hyperspectral pair as it shall be fused.

    Parameters
    ----------
    scene : Scene
        All bands, with the shift that was applied; unusable bands and pixels are screened.
    usable : Scene
        The same without the unusable bands.
    facts : SceneFacts
        Of `usable`; ``extra`` has ``psf_sigma_hsi_px``, ``psf_source``, ``wavelengths`` and
        ``guide_curves``.
    found : Found or None
        What the scan found.
    applied : tuple of float
        Rows and columns by which the HSI was moved, guide pixels.
    warnings : tuple of str
        What a reader of the product must know.
    """

    scene: Scene
    usable: Scene
    facts: SceneFacts
    found: Found | None = None
    applied: tuple[float, float] = (0.0, 0.0)
    warnings: tuple[str, ...] = field(default=())


def prepare_pair(scene: Scene, options: FuseOptions) -> PreparedPair:
    """Screen bands, measure point-spread function and shift, and look the guide's bands up.

    Parameters
    ----------
    scene : Scene
        HSI as its MS, guide (PAN or MSI) as its PAN.
    options : FuseOptions
        ``coregister``: ``auto`` applies the shift that is found; ``mtf``: ``auto`` measures the
        point-spread function, ``table`` assumes a sigma of half a pixel, a number is its gain.

    Returns
    -------
    PreparedPair

    Raises
    ------
    BandMismatchError
        No guide band lies in the spectral range of the HSI.
    GridMismatchError
        With ``strict``: the shift is large.
    """
    notes: list[str] = []
    if not isinstance(scene.ms_source, ScreenedSource):
        empty = empty_bands(scene.ms_source)
        scene = replace(scene, ms_source=ScreenedSource(scene.ms_source, empty))
        if empty:
            numbers = ", ".join(str(band + 1) for band in empty)
            notes.append(f"{len(empty)} bands hold no data and are set aside: {numbers}")
    screened = scene.ms_source
    assert isinstance(screened, ScreenedSource)
    if screened.unusable:
        notes.append(
            f"the product holds nodata in the {len(screened.unusable)} bands that are set aside"
        )
    usable = scene.select_bands(screened.usable) if screened.unusable else scene
    curves, more = _guide_curves(usable)
    notes += more
    given = options.shift()
    gain = options.gain()
    sigma = ASSUMED_SIGMA if gain is None else sigma_of_gain(gain)
    found: Found | None = None
    scans = given is None and options.coregister == "auto"
    measures = options.mtf == "auto"
    if scans or measures:
        start = usable if given is None else usable.shifted(*given)
        scan = _scan(start)
        if scan is None:
            notes.append(
                "the scene is too small to measure the point-spread function and the shift: a "
                f"sigma of {sigma:g} HSI pixels is assumed"
            )
        else:
            found = scan.find(psf=measures, shift=scans, sigma=sigma)
            notes += _doubts(found)
            if scans and options.strict:
                check_shift(scene, found.as_shift(), patches=False)
    applied = given or (0.0, 0.0)
    if found is not None:
        sigma = found.sigma
        applied = (applied[0] + found.rows, applied[1] + found.cols)
    if any(applied):
        scene, usable = scene.shifted(*applied), usable.shifted(*applied)
    measured = measures and found is not None
    source = "measured" if measured else "assumed" if gain is None else "given"
    extra: dict[str, object] = {
        "gains_assumed": source == "assumed",
        "gains_source": source,
        "pan_gain_assumed": True,
        "psf_sigma_hsi_px": sigma,
        "wavelengths": usable.wavelengths,
        "guide_curves": curves,
    }
    facts = SceneFacts(
        alignment=usable.alignment,
        ms_gains=(gain_of_sigma(sigma),) * usable.bands,
        pan_gain=0.15,
        sensor=scene.sensor,
        band_names=usable.band_names,
        shape=usable.shape[1:],
        extra=extra,
    )
    return PreparedPair(scene, usable, facts, found, applied, tuple(notes))


def _doubts(found: Found) -> list[str]:
    notes = []
    if found.r2_after < _TRUSTED:
        notes.append(
            f"the HSI explains only {100 * found.r2_after:.0f} % of the guide (R2): another date, "
            "parallax, or guide bands outside the HSI's range"
        )
    if found.edge:
        notes.append(
            f"the point-spread function that fits best ({found.sigma:g} HSI pixels) lies at the "
            "end of the range that is tried; give --mtf if it is known"
        )
    if max(abs(found.rows), abs(found.cols)) > 1.0:
        notes.append(
            f"guide and HSI are {found.rows:+.2f}, {found.cols:+.2f} guide pixels (rows, columns) "
            "apart; the HSI is moved by that"
        )
    return notes


def _samples(scene: Scene, halo: int, margin: int = 0) -> list[Chip]:
    """Chips of windows that stand for the scene."""
    from pansharp.adaptation.level import pan_window, sample_windows

    windows = [pan_window(scene, w).expand(-margin) for w in sample_windows(scene, _SAMPLE)]
    return [read_chip(scene, w, halo) for w in windows if min(w.shape) > scene.ratio]


def _scan(scene: Scene) -> CubeScan | None:
    reach = scan_reach(scene.ratio)
    chips = _samples(scene, scan_halo(scene.ratio) + reach, reach)
    if sum(c.own_ms().height * c.own_ms().width for c in chips) < 64:
        return None
    scan = CubeScan(chips)
    return scan if scan.pixels >= 64 else None


def _guide_bands(scene: Scene) -> tuple[tuple[float, float] | None, ...]:
    """Centre and width of each guide band in nanometres, None where unknown."""
    count = scene.pan_source.bands
    waves, widths = scene.guide_wavelengths, scene.guide_widths
    if len(waves) == count == len(widths):
        return tuple(zip(waves, widths, strict=True))
    if scene.sensor is None:
        return (None,) * count
    if count == 1 and scene.sensor.pan is not None:
        return (_place(scene.sensor.pan),)
    found = scene.sensor.match(scene.pan_source.band_names, count)
    return tuple(_place(band) for band in found) or (None,) * count


def _place(band: Band) -> tuple[float, float] | None:
    if band.range_nm is not None:
        low, high = band.range_nm
        return (low + high) / 2.0, high - low
    if band.centre_nm is None or band.width_nm is None:
        return None
    return band.centre_nm, band.width_nm


def _guide_curves(scene: Scene) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Nominal responses on the bands of the HSI, (guide, band), NaN where unknown."""
    from pansharp.simulate import band_response

    if not scene.wavelengths or scene.bands < 2:
        text = "the HSI has no wavelengths: the guide's response is estimated from the pair alone"
        return None, [text]
    places = _guide_bands(scene)
    curves = np.full((len(places), scene.bands), np.nan)
    outside = []
    covered = np.zeros(len(places))
    for index, place in enumerate(places):
        if place is None:
            continue
        flat = len(places) == 1 and place[1] > 200.0
        weights, covered[index] = band_response(scene.wavelengths, *place, flat=flat)
        if covered[index] >= _COVERED:
            curves[index] = weights
        if covered[index] < 0.05:
            outside.append(f"{place[0]:.0f} nm")
    first, last = min(scene.wavelengths), max(scene.wavelengths)
    if outside and len(outside) == len(places):
        raise BandMismatchError(
            f"the guide of scene '{scene.name}' ({', '.join(outside)}) lies outside the range of "
            f"the HSI ({first:.0f} to {last:.0f} nm); give a guide that sees the same light"
        )
    notes = []
    if outside:
        notes.append(
            f"{len(outside)} guide bands ({', '.join(outside)}) lie outside the range of the HSI "
            f"({first:.0f} to {last:.0f} nm): what they say of it is correlation only"
        )
    return curves, notes


def response_facts(pair: PreparedPair) -> dict[str, object]:
    """How the guide sees the spectra of this pair, for the card.

    Parameters
    ----------
    pair : PreparedPair
        The pair.

    Returns
    -------
    dict
        ``bands``: per guide band ``name``, ``source`` (``table`` or ``estimated``), ``r2`` of the
        blurred guide on the curve, and where the HSI has wavelengths ``centre_nm`` and
        ``width_nm`` of the curve; empty without valid pixels.
    """
    facts = pair.facts
    chips = _samples(pair.usable, pair_halo(facts))
    total: Moments | None = None
    for chip in chips:
        part = measure_pair(chip, facts)
        total = part if total is None else {"pair": total["pair"] + part["pair"]}
    if total is None or total["pair"][0, 0] < 4:
        return {}
    response = fit_response(PairStatistics.of(total, pair.usable.bands), facts)
    names = pair.usable.pan_source.band_names
    waves = np.asarray(pair.usable.wavelengths)
    return {
        "bands": [
            _curve(names[i] if names else f"g{i + 1}", response, i, waves)
            for i in range(len(response.r2))
        ]
    }


def _curve(
    name: str, response: Response, index: int, waves: NDArray[np.float64]
) -> dict[str, object]:
    weights = response.weights[index]
    facts: dict[str, object] = {
        "name": name,
        "source": response.sources[index],
        "r2": round(float(response.r2[index]), 5),
    }
    if waves.size and weights.sum() > 0:
        share = weights / weights.sum()
        centre = float(share @ waves)
        spread = float(np.sqrt(share @ (waves - centre) ** 2))
        facts |= {"centre_nm": round(centre, 1), "width_nm": round(2.3548 * spread, 1)}
    return facts


def conventions(pair: PreparedPair) -> dict[str, object]:
    """What the figures of a hyperspectral product rest on, for the card.

    Parameters
    ----------
    pair : PreparedPair
        The pair.

    Returns
    -------
    dict
        ``psf``, ``guide_response``, ``bands_set_aside`` (counted from 1) and the rest of
        docs/card.md.
    """
    facts, found = pair.facts, pair.found
    psf: dict[str, object] = {
        "sigma_hsi_px": facts.extra["psf_sigma_hsi_px"],
        "sigma_guide_px": round(psf_of(facts).sigma, 4),
        "mtf_gain": round(facts.ms_gains[0], 5),
        "source": facts.extra["gains_source"],
    }
    if found is not None:
        psf |= {"r2_before": round(found.r2_before, 5), "r2_after": round(found.r2_after, 5)}
    screened = pair.scene.ms_source
    assert isinstance(screened, ScreenedSource)
    return {
        "psf": psf,
        "guide_response": response_facts(pair),
        "bands_set_aside": [band + 1 for band in screened.unusable],
        "interpolator": "limit of the 23-tap half-band filter, true sub-pixel positions",
        "note": "reduced-scale scores assume the same behaviour at R times finer scale",
    }
