"""From paths to scenes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from pansharp.errors import BandMismatchError, OptionError
from pansharp.geometry.grids import Window
from pansharp.readers._base import Found, Reader, readers
from pansharp.readers._envi import data_of_header
from pansharp.readers._ortho import orthorectify
from pansharp.readers._radiometry import calibrate
from pansharp.readers._resolve import choose, find_scenes, open_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pansharp.scene import Scene
    from pansharp.sensors import SensorProfile

    PathLike: TypeAlias = str | os.PathLike[str]
    Paths: TypeAlias = PathLike | Sequence[PathLike]

__all__ = ["Found", "Reader", "find_scenes", "list_readers", "open_scene", "readers"]


def list_readers() -> list[str]:
    """Names of all readers, sorted."""
    return readers.names()


def open_scene(
    path: PathLike | None = None,
    *,
    pan: PathLike | None = None,
    ms: Paths | None = None,
    hsi: Paths | None = None,
    msi: PathLike | None = None,
    sensor: str | SensorProfile | None = None,
    reader: str | None = None,
    nodata: float | None = None,
    ratio: float | None = None,
    bands: Sequence[str | int] | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    window: Window | tuple[int, int, int, int] | None = None,
    ortho: str = "auto",
    dem: PathLike | None = None,
    height: float | None = None,
    radiometry: str = "dn",
    esun: Sequence[float] | float | None = None,
) -> Scene:
    """Open a PAN/MS pair as a scene; pixels are read later, window by window.

    Parameters
    ----------
    path : path, optional
        A PAN, an MS (the partner is found), a folder with one pair, a vendor's delivery as folder
        or archive, or any of its files. Beside `pan` or `ms` it is the other half.
    pan, msi : path, optional
        High-resolution file: one band (`pan`), or any number (`msi`).
    ms, hsi : path or sequence of paths, optional
        Low-resolution file, or single-band files of one grid.
    sensor : str or SensorProfile, optional
        Sensor; default: what the files say for certain.
    reader : str, optional
        Name of the reader (:func:`list_readers`); default: the surest one.
    nodata : float, optional
        Value of pixels without data, instead of the files' own.
    ratio : float, optional
        MS pixel size over PAN pixel size, instead of what the grids say.
    bands : sequence of str or int, optional
        MS bands to keep: names, or indices counted from 0.
    bbox : tuple of float, optional
        Ground to keep, (min x, min y, max x, max y) in the scene's coordinate system.
    window : Window or tuple of int, optional
        Pixels of the product to keep, (row, column, height, width).
    ortho : {"auto", "rpc", "none"}
        Orthorectification by RPC: of images without a map projection, of all that have RPC, or
        none (docs/geometry.md).
    dem : path, optional
        Height model for it, metres above the ellipsoid; default: one height, `height` or the
        height offset of the PAN's RPC.
    height : float, optional
        Height of the ground, metres above the ellipsoid; with `dem` it is added to that.
    radiometry : {"dn", "radiance", "reflectance"}
        Counts as stored, or what they mean at the top of the atmosphere (docs/radiometry.md).
    esun : sequence of float, optional
        Solar irradiance of the MS bands (or of PAN and MS) where nobody knows it, W m-2 um-1.

    Returns
    -------
    Scene
        The scene, after checks that end with an error before any work is done.

    Raises
    ------
    ReaderError
        When files are missing, incomplete, or not understood.
    SceneError
        When they do not make a scene: grids, bands, no data.
    OptionError
        When options contradict each other.
    """
    if isinstance(sensor, str):
        from pansharp.sensors import get_sensor

        sensor = get_sensor(sensor)
    if ratio is not None and not ratio > 0:
        raise OptionError(f"ratio is {ratio}; it must be positive")
    if bands is not None and not bands:
        raise BandMismatchError("no bands chosen; name at least one, or leave the option off")
    if pan is not None and msi is not None:
        raise OptionError("pan and msi both name the high-resolution image; give one of them")
    if ms is not None and hsi is not None:
        raise OptionError("ms and hsi both name the low-resolution image; give one of them")
    path = None if path is None else data_of_header(os.fspath(path))
    guide = pan if msi is None else msi
    high = None if guide is None else data_of_header(os.fspath(guide))
    low = _paths(ms if hsi is None else hsi)
    if high is not None and low:
        if path is not None:
            raise OptionError(f"'{path}' is a third image; give two of path, pan and ms")
    elif path is not None and high is not None:
        low = (path,)
    elif path is not None and low:
        high = path
    if high is not None and low:
        if reader not in (None, "pair"):
            raise OptionError(f"reader '{reader}' finds its files itself; leave off pan and ms")
        scene = _open_both(
            high,
            low,
            guide=msi is not None,
            cube=hsi is not None,
            known=reader is None,
            sensor=sensor,
            nodata=nodata,
            ratio=ratio,
        )
    else:
        if len(low) > 1:
            raise OptionError(f"{len(low)} MS files need their PAN; give it with --pan FILE")
        given = path if path is not None else (high if high is not None else (low or (None,))[0])
        if given is None:
            raise OptionError("no image given; name a file or folder, or pan and ms")
        chosen, given = choose(given, reader)
        scene = chosen.open(given, sensor=sensor, nodata=nodata, ratio=ratio)
    scene = orthorectify(scene, ortho=str(ortho).lower(), dem=dem, height=height, ratio=ratio)
    scene = calibrate(scene, str(radiometry).lower(), esun=esun)
    if bands is not None:
        scene = scene.select_bands(bands)
    if bbox is not None:
        scene = scene.crop_bounds(bbox)
    if window is not None:
        scene = scene.crop(window if isinstance(window, Window) else Window(*window))
    return scene


def _open_both(
    high: str,
    low: tuple[str, ...],
    *,
    guide: bool,
    cube: bool,
    known: bool,
    sensor: SensorProfile | None,
    nodata: float | None,
    ratio: float | None,
) -> Scene:
    """Open two images that the user named: through the family that knows them, else as rasters."""
    from pansharp.readers._half import open_named
    from pansharp.readers._named import Named
    from pansharp.readers.pair import open_pair

    named = Named()
    with named.told():
        pans = named.image(high, "pan")
        low = tuple(file for path in low for file in named.image(path, "ms"))
        scene = None
        if known and not guide and not cube:
            scene = open_known(pans[0], low, sensor=sensor, nodata=nodata, ratio=ratio)
        for opener in (open_named, open_pair) if known else (open_pair,):
            scene = scene or opener(
                pans[0],
                low,
                guide=guide,
                cube=cube,
                sensor=sensor,
                nodata=nodata,
                ratio=ratio,
            )
    assert scene is not None
    return named.described(scene)


def _paths(given: Paths | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str | os.PathLike):
        return (data_of_header(os.fspath(given)),)
    paths = tuple(data_of_header(os.fspath(path)) for path in given)
    if not paths:
        raise BandMismatchError("no MS files given; name at least one")
    return paths
