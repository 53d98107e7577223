"""Image pairs with a known truth: from a real hyperspectral cube, or from a seed at any size.

A simulated pair is the only case in which the sharp multispectral image exists, so that a fusion
can be judged at full resolution. It is kinder than reality: PAN and MS are seen at the same
moment, through the same air, without parallax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError, WriteError
from pansharp.geometry.grids import Alignment, Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.geometry.resample import input_window, sample
from pansharp.large_scene import write_large_scene
from pansharp.sensors import get_sensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.sensors import Band, SensorProfile

__all__ = [
    "SimulatedCube",
    "SimulatedPair",
    "band_response",
    "load_indian_pines",
    "simulate_hsi_msi",
    "simulate_pair",
    "write_hsi_msi",
    "write_large_scene",
    "write_pair",
]

#: Share of a band's response that the cube must cover for the band to be simulated.
MIN_COVERAGE = 0.8
#: Signal-to-noise ratio of the simulated detectors at the mean signal of a band.
SNR = {"pan": 150.0, "ms": 300.0, "msi": 200.0, "hsi": 400.0}
#: MTF gain at Nyquist of the point-spread function of a coarse cube.
_PSF_GAIN = 0.30

_FWHM_TO_SIGMA = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))


@dataclass(frozen=True)
class SimulatedPair:
    """A PAN/MS pair and the image that a perfect fusion would return.

    Parameters
    ----------
    pan : ndarray, shape (y, x)
        Panchromatic counts, in the dtype of the cube.
    ms : ndarray, shape (band, y, x)
        Multispectral counts at `ratio` times the pixel size.
    reference : ndarray, shape (band, y, x)
        The noise-free MS bands at the pixel size of the PAN.
    wavelengths : tuple of float
        Band centres in nanometres.
    band_names : tuple of str
        Names of the MS bands.
    alignment : Alignment
        PAN/MS map of the pixels (upper-left corners agree).
    sensor : str
        Sensor whose responses and MTF were used.
    ratio : int
        MS pixel size over PAN pixel size.
    dropped : tuple of str
        Bands of the sensor that the cube does not cover.
    """

    pan: NDArray[np.generic]
    ms: NDArray[np.generic]
    reference: NDArray[np.generic]
    wavelengths: tuple[float, ...]
    band_names: tuple[str, ...]
    alignment: Alignment
    sensor: str
    ratio: int
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class SimulatedCube:
    """A blurred hyperspectral cube, its sharp multispectral guide, and the sharp cube.

    Parameters
    ----------
    msi : ndarray, shape (band, y, x)
        Multispectral guide at full resolution.
    hsi : ndarray, shape (channel, y, x)
        Cube at `ratio` times the pixel size.
    reference : ndarray, shape (channel, y, x)
        The cube itself, cut to a multiple of `ratio`.
    wavelengths : tuple of float
        Channel centres in nanometres.
    band_names : tuple of str
        Names of the guide's bands.
    alignment : Alignment
        Guide/cube map of the pixels (upper-left corners agree).
    sensor : str
        Sensor of the guide.
    ratio : int
        Pixel size of the cube over that of the guide.
    dropped : tuple of str
        Bands of the sensor that the cube does not cover.
    """

    msi: NDArray[np.generic]
    hsi: NDArray[np.generic]
    reference: NDArray[np.generic]
    wavelengths: tuple[float, ...]
    band_names: tuple[str, ...]
    alignment: Alignment
    sensor: str
    ratio: int
    dropped: tuple[str, ...] = ()


def load_indian_pines() -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """Indian Pines, a real AVIRIS cube that the package tensorly carries (no download).

    145 x 145 pixels of about 20 m, 12 June 1992, Indiana; 200 of 220 channels between 400 and
    2500 nm (the water-vapour channels 104-108, 150-163 and 220 are removed). Counts are scaled
    radiance with an offset of about 1000. Baumgardner, Biehl, Landgrebe (2015),
    doi:10.4231/R7RX991C, CC BY 3.0. The wavelengths are tensorly's; where two spectrometers of
    the instrument overlap they are not in ascending order.

    Returns
    -------
    cube : ndarray, shape (200, 145, 145), uint16
        Counts, 955 to 9604.
    wavelengths : ndarray, shape (200,), float64
        Channel centres in nanometres.

    Raises
    ------
    OptionError
        If tensorly is not installed, or its copy lacks wavelengths.
    """
    try:
        from tensorly import datasets
    except ImportError as problem:
        raise OptionError(
            "the cube of the demo is in the package tensorly, which is not installed; "
            "run: pip install 'pansharp[demo]'"
        ) from problem
    data = datasets.load_indian_pines()
    cube = np.moveaxis(np.asarray(data["tensor"]), 2, 0).astype(np.uint16)
    wavelengths = np.asarray(data["ticks"][-1], dtype=np.float64)
    if wavelengths.shape != cube.shape[:1]:
        raise OptionError(
            f"this tensorly gives {wavelengths.size} wavelengths for {cube.shape[0]} channels of "
            "Indian Pines; run: pip install 'tensorly>=0.10'"
        )
    return np.ascontiguousarray(cube), wavelengths


def _channel_edges(
    wavelengths: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limit of the interval that each channel stands for, in nanometres."""
    order = np.argsort(wavelengths, kind="stable")
    centres = wavelengths[order]
    gaps = np.diff(centres)
    # A channel beside a gap (removed water bands) must not stand for the whole gap.
    half = np.minimum(gaps, 1.5 * np.median(gaps)) / 2.0
    low, high = np.empty_like(centres), np.empty_like(centres)
    low[order] = centres - np.concatenate([half[:1], half])
    high[order] = centres + np.concatenate([half, half[-1:]])
    return low, high


def band_response(
    wavelengths_nm: Sequence[float] | NDArray[np.float64],
    centre_nm: float,
    width_nm: float,
    *,
    flat: bool = False,
) -> tuple[NDArray[np.float64], float]:
    """Weights with which a broad band sees narrow channels.

    The response is a Gaussian of full width `width_nm` at half maximum, or with `flat` a box of
    that width: a PAN is nearly flat over its range, and a Gaussian as wide would see far beyond.

    Parameters
    ----------
    wavelengths_nm : array_like, shape (channel,)
        Channel centres in nanometres, in any order.
    centre_nm, width_nm : float
        The band.
    flat : bool
        Box instead of Gaussian.

    Returns
    -------
    weights : ndarray, shape (channel,), float64
        Non-negative, sum 1 (all 0 where nothing is covered).
    coverage : float
        Share of the response that falls on channels, 0 to 1.

    Examples
    --------
    >>> weights, coverage = band_response([500.0, 510.0, 520.0], 510.0, 5.0)
    >>> int(weights.argmax()), round(coverage, 2)
    (1, 1.0)
    """
    low, high = _channel_edges(np.asarray(wavelengths_nm, dtype=np.float64))
    if flat:
        start, stop = centre_nm - width_nm / 2.0, centre_nm + width_nm / 2.0
        mass = np.clip(np.minimum(high, stop) - np.maximum(low, start), 0.0, None) / width_nm
    else:
        scale = 1.0 / (width_nm * _FWHM_TO_SIGMA * math.sqrt(2.0))
        mass = np.array(
            [
                0.5 * (math.erf((b - centre_nm) * scale) - math.erf((a - centre_nm) * scale))
                for a, b in zip(low, high, strict=True)
            ]
        )
    total = float(mass.sum())
    # Channels of two spectrometers may overlap, which counts ground twice.
    return (mass / total if total > 0.0 else mass), min(total, 1.0)


def _check_cube(
    cube: NDArray[np.generic], wavelengths: NDArray[np.float64], ratio: int
) -> NDArray[np.float32]:
    """Cube as float32, cut to a multiple of the ratio."""
    if cube.ndim != 3 or wavelengths.shape != cube.shape[:1]:
        raise OptionError(
            f"the cube has shape {cube.shape} and {wavelengths.size} wavelengths; "
            "give (band, y, x) and one wavelength per band"
        )
    if wavelengths.size < 2:
        raise OptionError("the cube has 1 band; give at least 2")
    if ratio < 2:
        raise OptionError(f"ratio is {ratio}; give a whole number of at least 2")
    height, width = (size - size % ratio for size in cube.shape[1:])
    if min(height, width) < 2 * ratio:
        raise OptionError(f"the cube is {cube.shape[1]} x {cube.shape[2]}: too small for {ratio}")
    return cube[:, :height, :width].astype(np.float32)


def _bands(
    cube: NDArray[np.float32], wavelengths: NDArray[np.float64], bands: Sequence[Band]
) -> tuple[NDArray[np.float32], list[Band], tuple[str, ...]]:
    """Broad bands that the cube covers, as (band, y, x), with the names of those it does not."""
    seen, kept, dropped = [], [], []
    for band in bands:
        if band.centre_nm is None or band.width_nm is None:
            dropped.append(band.name)
            continue
        weights, coverage = band_response(wavelengths, band.centre_nm, band.width_nm)
        if coverage < MIN_COVERAGE:
            dropped.append(band.name)
            continue
        kept.append(band)
        seen.append(np.tensordot(weights.astype(np.float32), cube, axes=1))
    if not seen:
        raise OptionError(
            f"the cube ({wavelengths.min():.0f} to {wavelengths.max():.0f} nm) covers no band of "
            "this sensor whose wavelength and width are known; choose another sensor"
        )
    return np.stack(seen), kept, tuple(dropped)


def _degrade(
    image: NDArray[np.float32], gains: Sequence[float], alignment: Alignment
) -> NDArray[np.float32]:
    """Blur every band by its MTF and sample it at the centres of the coarse pixels."""
    ratio = alignment.integer_ratio or 1
    window = Window(0, 0, image.shape[1] // ratio, image.shape[2] // ratio)
    planes = []
    for plane, gain in zip(image, gains, strict=True):
        # A real sensor keeps the mean, so the kernel is normalised (the toolbox's is not).
        kernel = MtfGaussian(float(ratio), gain, normalize=True)
        need = input_window(alignment, "down", kernel, window)
        pad = (
            (max(0, -need.row), max(0, need.row_end - image.shape[1])),
            (max(0, -need.col), max(0, need.col_end - image.shape[2])),
        )
        padded = np.pad(plane, pad, mode="edge")[None]
        origin = (-pad[0][0], -pad[1][0])
        planes.append(sample(padded, origin, window, alignment, "down", kernel)[0])
    return np.stack(planes)


def _detect(
    image: NDArray[np.float32], snr: float, rng: np.random.Generator, *, noise: bool
) -> NDArray[np.float32]:
    """Add photon-like noise: its variance is proportional to the signal."""
    if not noise:
        return image
    mean = image.mean(axis=(-2, -1), keepdims=True, dtype=np.float64)
    sigma = np.sqrt(np.clip(image, 0.0, None) * mean) / snr
    noise = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(image + noise, dtype=np.float32)


def _quantize(image: NDArray[np.float32], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Round to the dtype of the cube; float images stay float32."""
    if not np.issubdtype(dtype, np.integer):
        return image
    limits = np.iinfo(dtype.name)
    return np.clip(np.rint(image), limits.min, limits.max).astype(dtype)


def _pan(
    cube: NDArray[np.float32], wavelengths: NDArray[np.float64], profile: SensorProfile
) -> NDArray[np.float32]:
    """The panchromatic image of the cube, (y, x)."""
    band = profile.pan
    if band is None:
        raise OptionError(f"{profile.label} has no panchromatic band; choose another sensor")
    if band.range_nm is not None:
        low, high = band.range_nm
    elif band.centre_nm is not None and band.width_nm is not None:
        low, high = band.centre_nm - band.width_nm / 2.0, band.centre_nm + band.width_nm / 2.0
    else:
        raise OptionError(f"the PAN range of {profile.label} is not known; choose another sensor")
    weights, coverage = band_response(wavelengths, (low + high) / 2.0, high - low, flat=True)
    if coverage < MIN_COVERAGE:
        raise OptionError(
            f"the cube covers {100 * coverage:.0f} % of the PAN range of {profile.label}, "
            f"{low:.0f} to {high:.0f} nm; at least {100 * MIN_COVERAGE:.0f} % is needed"
        )
    return np.asarray(np.tensordot(weights, cube, axes=1), dtype=np.float32)


def simulate_pair(
    cube: NDArray[np.generic],
    wavelengths_nm: Sequence[float] | NDArray[np.float64],
    *,
    sensor: str = "worldview3",
    ratio: int = 4,
    seed: int = 0,
    noise: bool = True,
) -> SimulatedPair:
    """PAN and MS as a sensor would have seen a hyperspectral cube.

    The reference is the cube seen through the MS bands (Gaussians of the table's centre and full
    width), the MS is the reference through the MTF of each band, sampled on a grid with the same
    upper-left corner, the PAN is the cube through a flat response over the PAN range, at full
    resolution. Detector noise is Gaussian with a variance proportional to the signal and a ratio
    of 150 (PAN) and 300 (MS) to the mean signal.

    Parameters
    ----------
    cube : ndarray, shape (band, y, x)
        Radiance or counts; integers give integers of the same dtype, floats give float32.
    wavelengths_nm : array_like, shape (band,)
        Channel centres in nanometres.
    sensor : str
        Name from `pansharp.sensors`.
    ratio : int
        MS pixel size over PAN pixel size; rows and columns beyond a multiple of it are cut.
    seed : int
        Seed of the noise.
    noise : bool
        Whether detectors are noisy.

    Returns
    -------
    SimulatedPair

    Raises
    ------
    OptionError
        If shapes do not fit or the cube covers neither PAN nor any MS band.
    UnknownSensorError
        If the sensor is not in the table.
    """
    profile = get_sensor(sensor)
    wavelengths = np.asarray(wavelengths_nm, dtype=np.float64)
    sharp = _check_cube(cube, wavelengths, ratio)
    reference, bands, dropped = _bands(sharp, wavelengths, profile.bands)
    names = tuple(band.name for band in bands)
    gains, _ = profile.mtf_gains(names, len(names))
    alignment = Alignment.corner(float(ratio))
    rng = np.random.default_rng(seed)
    pan = _detect(_pan(sharp, wavelengths, profile), SNR["pan"], rng, noise=noise)
    ms = _detect(_degrade(reference, gains, alignment), SNR["ms"], rng, noise=noise)
    return SimulatedPair(
        pan=_quantize(pan, cube.dtype),
        ms=_quantize(ms, cube.dtype),
        reference=_quantize(reference, cube.dtype),
        wavelengths=tuple(band.centre_nm or 0.0 for band in bands),
        band_names=names,
        alignment=alignment,
        sensor=profile.name,
        ratio=ratio,
        dropped=dropped,
    )


def simulate_hsi_msi(
    cube: NDArray[np.generic],
    wavelengths_nm: Sequence[float] | NDArray[np.float64],
    *,
    sensor: str = "worldview3",
    ratio: int = 4,
    psf_gain: float = _PSF_GAIN,
    seed: int = 0,
    noise: bool = True,
) -> SimulatedCube:
    """A coarse hyperspectral cube and a sharp multispectral guide of the same ground.

    Parameters
    ----------
    cube : ndarray, shape (band, y, x)
        The sharp cube; it becomes the reference.
    wavelengths_nm : array_like, shape (band,)
        Channel centres in nanometres.
    sensor : str
        Sensor whose MS bands make the guide.
    ratio : int
        Pixel size of the coarse cube over that of the guide.
    psf_gain : float
        MTF of the coarse cube at its Nyquist frequency, between 0 and 1 (exclusive).
    seed : int
        Seed of the noise.
    noise : bool
        Whether detectors are noisy (ratio to the mean signal: guide 200, cube 400).

    Returns
    -------
    SimulatedCube

    Raises
    ------
    OptionError
        If shapes do not fit, the gain is out of range or the cube covers no band.
    UnknownSensorError
        If the sensor is not in the table.
    """
    if not 0.0 < psf_gain < 1.0:
        raise OptionError(f"psf_gain is {psf_gain}; give a number between 0 and 1")
    profile = get_sensor(sensor)
    wavelengths = np.asarray(wavelengths_nm, dtype=np.float64)
    sharp = _check_cube(cube, wavelengths, ratio)
    guide, bands, dropped = _bands(sharp, wavelengths, profile.bands)
    alignment = Alignment.corner(float(ratio))
    rng = np.random.default_rng(seed)
    msi = _detect(guide, SNR["msi"], rng, noise=noise)
    hsi = _detect(_degrade(sharp, [psf_gain] * len(sharp), alignment), SNR["hsi"], rng, noise=noise)
    return SimulatedCube(
        msi=_quantize(msi, cube.dtype),
        hsi=_quantize(hsi, cube.dtype),
        reference=_quantize(sharp, cube.dtype),
        wavelengths=tuple(float(value) for value in wavelengths),
        band_names=tuple(band.name for band in bands),
        alignment=alignment,
        sensor=profile.name,
        ratio=ratio,
        dropped=dropped,
    )


def write_pair(
    pair: SimulatedPair,
    folder: str | Path,
    *,
    name: str = "simulated",
    crs: str = "EPSG:32616",
    origin: tuple[float, float] = (500_000.0, 4_480_000.0),
    pixel: float = 20.0,
) -> tuple[Path, Path, Path]:
    """Write a simulated pair and its reference as GeoTIFFs.

    The grid is a plausible one near the Indian Pines test site, not the true position: every
    file says so in the tag ``PANSHARP_SIMULATED``.

    Parameters
    ----------
    pair : SimulatedPair
        What `simulate_pair` returned.
    folder : str or Path
        Existing folder.
    name : str
        Beginning of the file names: ``<name>_pan.tif``, ``<name>_ms.tif``,
        ``<name>_reference.tif``; existing files are replaced.
    crs : str
        Coordinate system.
    origin : tuple of float
        Easting and northing of the upper-left corner of all three, metres.
    pixel : float
        PAN pixel size, metres.

    Returns
    -------
    pan, ms, reference : Path

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    target = Path(folder)
    paths = tuple(target / f"{name}_{part}.tif" for part in ("pan", "ms", "reference"))
    images = (pair.pan[None], pair.ms, pair.reference)
    names = (("pan",), pair.band_names, pair.band_names)
    sizes = (pixel, pixel * pair.ratio, pixel)
    for path, image, bands, size in zip(paths, images, names, sizes, strict=True):
        _write_image(path, image, bands, crs, (size, 0.0, origin[0], 0.0, -size, origin[1]), pair)
    return paths[0], paths[1], paths[2]


def write_hsi_msi(
    cube: SimulatedCube,
    folder: str | Path,
    *,
    name: str = "simulated",
    crs: str = "EPSG:32616",
    origin: tuple[float, float] = (500_000.0, 4_480_000.0),
    pixel: float = 20.0,
) -> tuple[Path, Path]:
    """Write a simulated hyperspectral cube and its multispectral guide as GeoTIFFs.

    Parameters
    ----------
    cube : SimulatedCube
        What `simulate_hsi_msi` returned.
    folder : str or Path
        Existing folder.
    name : str
        Beginning of the file names: ``<name>_hsi.tif``, ``<name>_msi.tif``; existing files are
        replaced.
    crs, origin, pixel
        As in `write_pair`; `pixel` is that of the guide.

    Returns
    -------
    hsi, msi : Path
        Channels of the cube carry their wavelength as a band tag.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    target = Path(folder)
    hsi, msi = (target / f"{name}_{part}.tif" for part in ("hsi", "msi"))
    coarse = pixel * cube.ratio
    channels = tuple(f"{value:.1f} nm" for value in cube.wavelengths)
    for path, image, bands, size in (
        (hsi, cube.hsi, channels, coarse),
        (msi, cube.msi, cube.band_names, pixel),
    ):
        place = (size, 0.0, origin[0], 0.0, -size, origin[1])
        tags = cube.wavelengths if path == hsi else ()
        _write_image(path, image, bands, crs, place, cube, tags)
    return hsi, msi


def _write_image(
    path: Path,
    image: NDArray[np.generic],
    names: tuple[str, ...],
    crs: str,
    transform: tuple[float, float, float, float, float, float],
    pair: SimulatedPair | SimulatedCube,
    wavelengths: tuple[float, ...] = (),
) -> None:
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.transform import Affine

    profile = {
        "driver": "GTiff",
        "count": image.shape[0],
        "height": image.shape[1],
        "width": image.shape[2],
        "dtype": image.dtype.name,
        "crs": crs,
        "transform": Affine(*transform),
        "compress": "deflate",
    }
    try:
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(image)
            raster.descriptions = names
            raster.update_tags(
                PANSHARP_SIMULATED=f"{pair.sensor} responses and MTF, ratio {pair.ratio}; "
                "the georeference is a placeholder"
            )
            for index, value in enumerate(wavelengths, 1):
                raster.update_tags(index, wavelength=f"{value:g}", wavelength_units="nm")
    except (RasterioError, OSError) as problem:
        raise WriteError(f"cannot write '{path}': {problem}") from problem
