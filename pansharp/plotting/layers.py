"""Images that are plotted: pixels with place, band names, wavelengths and a label."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import BandMismatchError, OptionError, UnknownSensorError
from pansharp.geometry.grids import Window
from pansharp.pictures import as_source
from pansharp.plotting.places import Frame
from pansharp.scene import IDENTITY, Scene, default_names
from pansharp.sensors import SensorProfile, get_sensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pansharp.scene import Affine6
    from pansharp.source import Source

__all__ = ["BUDGET", "COMPUTED_BUDGET", "Layer", "common_window", "gather", "layer_of"]

#: Pixels of an image without overviews that a picture reads; of larger ones it shows the centre.
BUDGET = 64_000_000
#: The same for arrays whose pixels have to be computed first, such as an unwritten fusion.
COMPUTED_BUDGET = 16_000_000

#: Names of the roles in legends and titles.
ROLES = {"pan": "PAN", "ms": "MS", "fused": "fused", "reference": "reference"}


@dataclass(frozen=True)
class Layer:
    """One image.

    Parameters
    ----------
    source : Source
        Pixels.
    label : str
        What titles and legends call it.
    role : str
        ``pan``, ``ms``, ``fused`` or ``reference``: decides its colour.
    transform : tuple of float or None
        a b c d e f of its pixel corners; None without georeference.
    crs : str or None
        Coordinate system.
    names : tuple of str
        Band names.
    wavelengths : tuple of float
        Centres in nanometres, or empty.
    sensor : SensorProfile or None
        Sensor.
    card : mapping or None
        Score card of a product.
    computed : bool
        Whether reading pixels means computing them.
    units : str
        Unit of the values.
    """

    source: Source
    label: str
    role: str
    transform: Affine6 | None
    crs: str | None
    names: tuple[str, ...]
    wavelengths: tuple[float, ...] = ()
    sensor: SensorProfile | None = None
    card: Mapping[str, Any] | None = None
    computed: bool = False
    units: str = "DN"

    @property
    def bands(self) -> int:
        """Number of bands."""
        return self.source.bands

    def band(self, band: int | str) -> int:
        """Index of a band given by name or by number from 0.

        Raises
        ------
        BandMismatchError
            There is no such band.
        """
        from pansharp.pictures import band_choice

        return band_choice(self.names, self.wavelengths, [band])[0]


def layer_of(
    image: object,
    role: str = "fused",
    *,
    label: str | None = None,
    sensor: SensorProfile | str | None = None,
) -> Layer:
    """Make a layer of anything that holds pixels.

    Parameters
    ----------
    image : path, xarray.DataArray, Source, Layer, or array (band, y, x) or (y, x)
        DataArrays of pansharp, rioxarray and xarray know their place; arrays have none.
    role : str
        ``pan``, ``ms``, ``fused`` or ``reference``.
    label : str, optional
        What titles call it; by default the role.
    sensor : SensorProfile or str, optional
        Sensor, whose table gives wavelengths where the image has none, and names to bands without
        one where there are as many as the sensor has.

    Returns
    -------
    Layer

    Raises
    ------
    ReaderError, SceneError
        As :func:`pansharp.pictures.as_source`.
    UnknownSensorError
        When no sensor has that name.
    """
    given = get_sensor(sensor) if isinstance(sensor, str) else sensor
    name = label or ROLES.get(role, role)
    if isinstance(image, Layer):
        return replace(image, role=role, label=name, sensor=given or image.sensor)
    if hasattr(image, "dims") and hasattr(image, "coords"):
        image = _ordered(image)
    source = as_source(image)
    transform, crs = _place_of_file(source)
    names: tuple[str, ...] = source.band_names
    waves = _waves_of_file(source)
    card = None
    computed = False
    units = "DN"
    if hasattr(image, "dims") and hasattr(image, "coords"):
        array: Any = image
        found = _place_of_array(array)
        if found == IDENTITY and "transform" not in array.attrs:
            # How rioxarray tells that a file has no georeference.
            found = None
        if found is not None or transform is None:
            transform = found
        crs = _crs_of_array(array) or crs
        names = _names_of_array(array, source.bands) or names
        waves = tuple(float(v) for v in array.attrs.get("wavelengths", ())) or waves
        card = array.attrs.get("pansharp_card")
        given = given or _sensor_called(array.attrs.get("sensor"))
        computed = array.chunks is not None and _is_computed(array)
        units = str(array.attrs.get("units", units))
    names = names if len(names) == source.bands else default_names(source.bands)
    if len(waves) != source.bands:
        waves = ()
    if given is not None and role != "pan":
        unnamed = names == default_names(len(names))
        bands = given.match(() if unnamed else names, len(names))
        if unnamed and bands:
            names = tuple(band.name for band in bands)
    if not waves and given is not None and role != "pan":
        centres = [band.centre_nm for band in bands]
        if centres and None not in centres:
            waves = tuple(float(centre) for centre in centres if centre is not None)
    return Layer(source, name, role, transform, crs, names, waves, given, card, computed, units)


def gather(
    fused: object | None = None,
    *,
    scene: Scene | None = None,
    pan: object | None = None,
    ms: object | None = None,
    reference: object | None = None,
    sensor: SensorProfile | str | None = None,
) -> tuple[list[Layer], Frame]:
    """Layers of what was given, in the order of panels, and the frame that they share.

    Parameters
    ----------
    fused : image, or mapping of str to image, optional
        A product, or several by name.
    scene : Scene, optional
        Gives PAN and MS where these are not given, and the sensor.
    pan, ms, reference : image, optional
        What :func:`layer_of` takes.
    sensor : SensorProfile or str, optional
        As :func:`layer_of`.

    Returns
    -------
    layers : list of Layer
        PAN, MS, fused (in the order of the mapping), reference.
    frame : Frame
        Its base is the first fused image, else the PAN, the reference, the MS.

    Raises
    ------
    OptionError
        There is nothing to show.
    """
    if isinstance(fused, Scene):
        fused, scene = None, fused
    if scene is not None:
        pan = scene.pan if pan is None else pan
        ms = scene.ms if ms is None else ms
        sensor = sensor or scene.sensor
    products: dict[str, object] = {}
    if fused is not None:
        products = dict(fused) if isinstance(fused, dict) else {ROLES["fused"]: fused}
    layers: list[Layer] = []
    if pan is not None:
        layers.append(layer_of(pan, "pan"))
    if ms is not None:
        layers.append(layer_of(ms, "ms", sensor=sensor))
    layers += [
        layer_of(image, "fused", label=str(name), sensor=sensor) for name, image in products.items()
    ]
    if reference is not None:
        layers.append(layer_of(reference, "reference", sensor=sensor))
    if not layers:
        raise OptionError("nothing to plot; give a product, a scene, or pan and ms")
    for role in ("fused", "pan", "reference", "ms"):
        for layer in layers:
            if layer.role == role:
                return _told(layers), Frame(_told(layers)[layers.index(layer)])
    raise AssertionError("every layer has a role")


def _told(layers: list[Layer]) -> list[Layer]:
    """Band names and wavelengths that one image knows hold for all of as many bands."""
    known = next((x for x in layers if x.role != "pan" and x.names != default_names(x.bands)), None)
    waves = next((x for x in layers if x.role != "pan" and x.wavelengths), None)
    result = []
    for layer in layers:
        told = layer
        if layer.role != "pan":
            unnamed = layer.names == default_names(layer.bands)
            if unnamed and known is not None and known.bands == layer.bands:
                told = replace(told, names=known.names)
            if not layer.wavelengths and waves is not None and waves.bands == layer.bands:
                told = replace(told, wavelengths=waves.wavelengths)
        result.append(told)
    return result


def common_window(
    frame: Frame,
    layers: Sequence[Layer],
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    *,
    size: int | None = 1024,
) -> tuple[Window, str]:
    """The base's pixels to show, and a word on them for the title.

    Parameters
    ----------
    frame : Frame
        The shared ground.
    layers : sequence of Layer
        All that is shown.
    window : Window, ``"all"`` or None
        Pixels of the base. None: all, if every image has overviews or is small enough, else the
        largest square around the centre that may be read. ``"all"``: all, whatever it costs.
    bounds : tuple of float, optional
        (min x, min y, max x, max y) instead.
    size : int or None
        Longest side of the views; None when full resolution is needed, so overviews do not help.

    Returns
    -------
    window : Window
    note : str
        Empty where all is shown.

    Raises
    ------
    OptionError
        Another word than ``"all"``, or a window outside.
    """
    if isinstance(window, str):
        if window != "all":
            raise OptionError(f"window is '{window}'; give a Window, 'all' or nothing")
        return frame.full, ""
    chosen = frame.window(window, bounds)
    if chosen is not None:
        rows, cols = f"{chosen.row}-{chosen.row_end}", f"{chosen.col}-{chosen.col_end}"
        return chosen, "" if chosen == frame.full else f"rows {rows}, columns {cols}"
    shrink = 1.0
    for layer in layers:
        pixels = layer.source.height * layer.source.width
        allowed = COMPUTED_BUDGET if layer.computed else BUDGET
        if pixels > allowed and not (size is not None and _has_overviews(layer, size)):
            shrink = min(shrink, allowed / pixels)
    if shrink == 1.0:
        return frame.full, ""
    full = frame.full
    side = int((shrink * full.height * full.width) ** 0.5)
    height, width = min(side, full.height), min(side, full.width)
    centre = Window((full.height - height) // 2, (full.width - width) // 2, height, width)
    return centre, f"centre, {height} x {width} of {full.height} x {full.width} pixels"


def _has_overviews(layer: Layer, size: int) -> bool:
    from pansharp.source import RasterSource

    source = layer.source
    if not isinstance(source, RasterSource):
        return False
    step = max(1, -(-max(source.height, source.width) // size))
    factors = source.dataset().overviews(source.indexes[0])
    best = max((factor for factor in factors if factor <= step), default=1)
    return source.height * source.width <= BUDGET * best * best


def _ordered(image: Any) -> Any:
    """A DataArray with dims named and ordered as files have them."""
    spatial = [d for d in image.dims if str(d) in ("y", "x", "y_ms", "x_ms", "lat", "lon")]
    names = {str(d) for d in image.dims}
    if {"y_ms", "x_ms"} <= names:
        image = image.rename(y_ms="y", x_ms="x")
    others = [d for d in image.dims if str(d) not in ("y", "x")]
    if len(image.dims) == 3 and {"y", "x"} <= {str(d) for d in image.dims}:
        wanted = (others[0], "y", "x")
        return image if tuple(image.dims) == wanted else image.transpose(*wanted)
    if len(image.dims) in (2, 3) and not spatial:
        return image
    if len(image.dims) == 2 and set(image.dims) == {"y", "x"}:
        return image.transpose("y", "x")
    raise BandMismatchError(
        f"the array has the dimensions {', '.join(map(str, image.dims))}; "
        "expected band, y, x: rename them"
    )


def _is_computed(array: Any) -> bool:
    """Whether a dask array is more than a file that is read."""
    return not str(array.data.name).startswith(("open_rasterio-", "open_dataset-", "pansharp-file"))


def _place_of_file(source: Source) -> tuple[Affine6 | None, str | None]:
    from pansharp.source.raster import DatasetSource

    if not isinstance(source, DatasetSource):
        return None, None
    dataset = source.dataset()
    a, b, c, d, e, f = (float(v) for v in tuple(dataset.transform)[:6])
    crs = dataset.crs.to_wkt() if dataset.crs else None
    if (a, b, c, d, e, f) == IDENTITY:
        return None, crs
    part = source.window
    return (a, b, c + a * part.col + b * part.row, d, e, f + d * part.col + e * part.row), crs


def _waves_of_file(source: Source) -> tuple[float, ...]:
    from pansharp.readers._metadata import wavelengths
    from pansharp.source.raster import DatasetSource

    if not isinstance(source, DatasetSource):
        return ()
    return wavelengths(source.dataset(), source.indexes)


def _place_of_array(array: Any) -> Affine6 | None:
    """From ``x`` and ``y``, which know about cuts and strides, else from what the array tells."""
    told = _told_transform(array)
    # Not `coords.get`, which makes up numbers for dimensions without coordinates.
    if (told is not None and (told[1] or told[3])) or not {"x", "y"} <= set(array.coords):
        return told
    x, y = array.coords["x"], array.coords["y"]
    if x.ndim != 1 or y.ndim != 1:
        return told
    axes = []
    for axis, at in ((x, 0), (y, 4)):
        values = np.asarray(axis.values[[0, -1]], dtype=np.float64)
        if axis.size > 1:
            step = float(values[1] - values[0]) / (axis.size - 1)
        elif told is not None:
            step = told[at]
        else:
            return told
        first = float(values[0]) - step / 2
        # The exact numbers where the coordinates agree with them.
        if told is not None:
            exact, origin = told[at], told[2 if at == 0 else 5]
            drift = abs(step - exact) * axis.size + abs(first - origin)
            if drift <= 1e-3 * abs(exact):
                step, first = exact, origin
        axes.append((step, first))
    (a, c), (e, f) = axes
    return None if a == 0 or e == 0 else (a, 0.0, c, 0.0, e, f)


def _told_transform(array: Any) -> Affine6 | None:
    given = array.attrs.get("transform")
    if given is not None:
        a, b, c, d, e, f = (float(v) for v in tuple(given)[:6])
        return a, b, c, d, e, f
    about = array.coords["spatial_ref"].attrs if "spatial_ref" in array.coords else {}
    if "GeoTransform" in about:
        c, a, b, f, d, e = (float(v) for v in str(about["GeoTransform"]).split())
        return a, b, c, d, e, f
    return None


def _crs_of_array(array: Any) -> str | None:
    given = array.attrs.get("crs")
    if given:
        return str(given)
    about = array.coords["spatial_ref"].attrs if "spatial_ref" in array.coords else {}
    found = about.get("crs_wkt") or about.get("spatial_ref")
    return str(found) if found else None


def _names_of_array(array: Any, bands: int) -> tuple[str, ...]:
    if array.ndim == 3 and array.dims[0] in array.coords:
        values = array.coords[array.dims[0]]
        if values.ndim == 1 and values.dtype.kind in "UO" and values.size == bands:
            return tuple(str(value) for value in values.values)
    given = array.attrs.get("long_name", ())
    names = (given,) if isinstance(given, str) else tuple(str(name) for name in given or ())
    return names if len(names) == bands else ()


def _sensor_called(name: object) -> SensorProfile | None:
    """A sensor of the table; what other software writes there may be any text."""
    if not isinstance(name, str | os.PathLike):
        return None
    try:
        return get_sensor(str(name))
    except UnknownSensorError:
        return None
