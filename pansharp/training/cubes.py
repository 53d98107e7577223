"""Hyperspectral cubes as truth: a guide seen by the bands of a sensor, a cube seen by a blur."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pansharp.adaptation.level import blur_to_ms
from pansharp.errors import BandMismatchError, GridMismatchError, OptionError, SceneError
from pansharp.geometry.grids import Alignment, Window
from pansharp.readers import _metadata as metadata
from pansharp.scene import Scene
from pansharp.sensors import get_sensor
from pansharp.simulate import MIN_COVERAGE, band_response
from pansharp.source import RasterSource, ScreenedSource, empty_bands, read_padded
from pansharp.training.examples import LEAST_SIDE, Example, Traits
from pansharp.training.wald import reach_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.sensors import SensorProfile
    from pansharp.source import Source

__all__ = ["CUBE_BANDS", "CubeSite", "Guide", "cube_site", "guide_of", "is_cube"]

#: Bands from which on a raster without a partner is taken as a cube.
CUBE_BANDS = 16


@dataclass(frozen=True)
class Guide:
    """How a guide sees the channels of a cube.

    Parameters
    ----------
    label : str
        Sensor and bands, for the card.
    weights : ndarray, shape (guide band, channel), float32
        Response, each row with the sum 1.
    """

    label: str
    weights: NDArray[np.float32]


def guide_of(name: str, wavelengths: Sequence[float], path: str) -> Guide:
    """Responses of a sensor's bands to the channels of a cube.

    Parameters
    ----------
    name : str
        Sensor, whose multispectral bands are the guide; ``SENSOR:pan`` takes its PAN.
    wavelengths : sequence of float
        Centres of the channels, nanometres.
    path : str
        Of the cube, for messages.

    Returns
    -------
    Guide
        Gaussians of the table's centres and widths; a PAN is flat over its range. Bands of which
        the cube covers less than 80 % are left out.

    Raises
    ------
    OptionError
        The table lacks what is needed, or the cube covers none of it.
    UnknownSensorError
        There is no such sensor.
    """
    word, _, part = name.partition(":")
    profile = get_sensor(word)
    if part not in ("", "pan"):
        raise OptionError(f"--guide is '{name}'; give a sensor, or SENSOR:pan for its PAN")
    rows, names = _pan_row(profile, wavelengths) if part else _rows(profile, wavelengths)
    if not rows:
        raise OptionError(
            f"'{path}' ({min(wavelengths):.0f} to {max(wavelengths):.0f} nm) covers no band of "
            f"{profile.label} whose wavelength and width are known; choose another --guide"
        )
    return Guide(f"{profile.name} ({', '.join(names)})", np.stack(rows).astype(np.float32))


def _rows(
    profile: SensorProfile, wavelengths: Sequence[float]
) -> tuple[list[NDArray[np.float64]], list[str]]:
    rows, names = [], []
    for band in profile.bands:
        if band.centre_nm is None or band.width_nm is None:
            continue
        weights, coverage = band_response(wavelengths, band.centre_nm, band.width_nm)
        if coverage >= MIN_COVERAGE:
            rows.append(weights)
            names.append(band.name)
    return rows, names


def _pan_row(
    profile: SensorProfile, wavelengths: Sequence[float]
) -> tuple[list[NDArray[np.float64]], list[str]]:
    if profile.pan is None or profile.pan.range_nm is None:
        raise OptionError(f"the PAN range of {profile.label} is not known; choose another --guide")
    low, high = profile.pan.range_nm
    weights, coverage = band_response(wavelengths, (low + high) / 2.0, high - low, flat=True)
    return ([weights], ["pan"]) if coverage >= MIN_COVERAGE else ([], [])


@dataclass(frozen=True)
class CubeSite:
    """A cube that is its own truth.

    Parameters
    ----------
    name, path : str
        See :class:`Site`.
    traits : Traits
        See :class:`Site`.
    area : Window
        All its pixels, up to a whole number of coarse ones.
    source : Source
        Its usable bands.
    guide : Guide
        Of its channels.
    """

    name: str
    path: str
    traits: Traits
    area: Window
    source: Source = field(repr=False)
    guide: Guide = field(repr=False)

    def example(self, window: Window, context: int) -> Example:
        """Simulate the pair of a window; only it and its surroundings are read."""
        ratio, gains = round(self.traits.ratio), self.traits.gains
        reach = math.ceil(reach_of(ratio, gains) / ratio) * ratio
        grown = window.expand(max(context, reach)).intersect(self.area)
        inside = window.relative_to(grown)
        source = copy.deepcopy(self.source)
        try:
            cube, valid = read_padded(source, grown)
        finally:
            # A copy has open files of its own, and an archive more than a process may have.
            source.close()
        if not cube.size or not np.isfinite(cube).all():
            raise SceneError(f"'{self.path}' holds values that are not finite; declare its nodata")
        guide = np.tensordot(self.guide.weights, cube, axes=1)
        pad = ((0, 0), (reach, reach), (reach, reach))
        alignment = Alignment.corner(float(ratio))
        coarse = Window(0, 0, grown.height // ratio, grown.width // ratio)
        padded = np.pad(cube, pad, mode="edge")
        low = blur_to_ms(padded, (-reach, -reach), coarse, alignment, gains)
        scene = Scene.from_arrays(guide, low, alignment=alignment, name=self.name)
        return Example(scene, cube, valid, inside)

    def overview(self) -> list[Example]:
        """Cubes have no anchor to fit."""
        return []


def is_cube(path: str) -> bool:
    """Whether a file is a raster of many bands."""
    try:
        return RasterSource(path).bands >= CUBE_BANDS
    except OSError:
        return False


def cube_site(
    path: str,
    *,
    guide: str,
    ratio: int,
    gain: float,
    sensor: SensorProfile | None = None,
    nodata: float | None = None,
) -> CubeSite:
    """Open a cube.

    Parameters
    ----------
    path : str
        Raster whose bands carry wavelengths as tags, or ENVI header values.
    guide : str
        See :func:`guide_of`.
    ratio : int
        Ratio of pixel sizes to simulate.
    gain : float
        MTF at Nyquist of the simulated cube.
    sensor : SensorProfile, optional
        Of the cube; default: what tags and name say.
    nodata : float, optional
        Instead of the file's own.

    Raises
    ------
    BandMismatchError
        The bands have no wavelengths.
    GridMismatchError
        The cube is too small.
    OptionError
        See :func:`guide_of`.
    """
    from pathlib import Path

    whole = RasterSource(path) if nodata is None else RasterSource(path, nodata=nodata)
    dataset = whole.dataset()
    aside = {*empty_bands(whole), *metadata.flagged_bands(dataset)}
    kept = [band for band in range(whole.bands) if band not in aside]
    # A pixel that lacks one of its bands is no truth.
    source = ScreenedSource(whole, sorted(aside)).select(kept)
    waves = metadata.wavelengths(dataset, [band + 1 for band in kept])
    if not waves:
        raise BandMismatchError(
            f"the bands of '{path}' carry no wavelengths, so no guide can be simulated; give them "
            "as band tags 'wavelength' with 'wavelength_units', or in an ENVI header"
        )
    area = Window(0, 0, whole.height // ratio * ratio, whole.width // ratio * ratio)
    if min(area.shape) < max(LEAST_SIDE, 2 * ratio):
        raise GridMismatchError(
            f"'{path}' has {whole.height} x {whole.width} pixels; training at ratio {ratio} needs "
            f"{max(LEAST_SIDE, 2 * ratio)} x {max(LEAST_SIDE, 2 * ratio)} at least"
        )
    seen = guide_of(guide, waves, path)
    whole.close()
    sensor = sensor or metadata.sniff_sensor([dataset], [path], len(kept))
    names = whole.band_names
    traits = Traits(
        task="hsi",
        ms_bands=len(kept),
        guide_bands=len(seen.weights),
        ratio=float(ratio),
        grid="corner",
        gains=(gain,) * len(kept),
        sensor=sensor,
        band_names=tuple(names[band] for band in kept) if names else (),
        wavelengths=waves,
    )
    return CubeSite(Path(path).stem, path, traits, area, source, seen)
