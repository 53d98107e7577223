"""A PAN/MS pair on its two grids: what readers return and models fuse."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

from pansharp.attach import attach
from pansharp.errors import BandMismatchError, GridMismatchError, OptionError
from pansharp.geometry.grids import Alignment, AxisMap, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import xarray as xr
    from numpy.typing import ArrayLike

    from pansharp.acquisition import Delivery, Radiometry
    from pansharp.geometry.ortho import Ortho
    from pansharp.sensors import SensorProfile
    from pansharp.source import Source, SourceView

__all__ = ["IDENTITY", "MS_MARGIN", "Affine6", "Scene", "default_names", "scene_behind"]

#: a b c d e f of the map from (column, row) of pixel corners to coordinates.
Affine6 = tuple[float, float, float, float, float, float]

#: The transform of an image without georeference.
IDENTITY: Affine6 = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

#: MS pixels kept around what a cut scene needs, where they exist.
MS_MARGIN = 16

#: Side and bytes that one dask block of `pan` and `ms` does not exceed.
_CHUNK_SIDE = 2048
_CHUNK_BYTES = 32 * 2**20
#: Lazy arrays of scenes by the name of their graph, as long as they live.
_VIEWS: WeakValueDictionary[str, SourceView] = WeakValueDictionary()


def default_names(count: int) -> tuple[str, ...]:
    """Names for bands that have none: ``b1``, ``b2`` and so on."""
    return tuple(f"b{index}" for index in range(1, count + 1))


@dataclass(frozen=True, eq=False)
class Scene:
    """A PAN (or MSI) and an MS (or HSI) image of the same ground, unread.

    Parameters
    ----------
    pan_source : Source
        High-resolution guide, cut to the ground that both images cover.
    ms_source : Source
        Low-resolution image with the bands of the product.
    alignment : Alignment
        Map between their pixel indices.
    crs : str or None
        Coordinate system as WKT.
    transform : tuple of float
        a b c d e f of the PAN grid (`IDENTITY` without georeference), in units of `crs`.
    sensor : SensorProfile or None
        Sensor; None means unknown.
    band_names : tuple of str
        One name per MS band; ``b1``… where the file has none.
    nodata : float or None
        Value that the product stores where a pixel is invalid.
    scales, offsets : tuple of float
        Per MS band: physical value = scale * count + offset. Carried, never applied.
    name : str
        Short name for file names and cards.
    files : mapping of str to tuple of str
        Paths by role (``"pan"``, ``"ms"``).
    acquired : str or None
        Acquisition date or time, ISO 8601.
    notes : tuple of str
        What was decided while opening, one sentence each.
    tags : mapping of str to str
        Metadata of the MS file.
    wavelengths : tuple of float
        Centre wavelength per MS band in nanometres, or empty.
    widths : tuple of float
        Full width at half maximum per MS band in nanometres, or empty.
    guide_wavelengths, guide_widths : tuple of float
        The same of the guide's bands.
    delivery : Delivery or None
        What a vendor's delivery said about the two images; None for plain rasters.
    ortho : Ortho or None
        How both images were orthorectified; None where they lie as the files have them.
    radiometry : Radiometry or None
        What the MS counts were turned into; None for counts as stored.
    """

    pan_source: Source
    ms_source: Source
    alignment: Alignment
    crs: str | None = None
    transform: Affine6 = IDENTITY
    sensor: SensorProfile | None = None
    band_names: tuple[str, ...] = ()
    nodata: float | None = None
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    name: str = "scene"
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    acquired: str | None = None
    notes: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    wavelengths: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()
    guide_wavelengths: tuple[float, ...] = ()
    guide_widths: tuple[float, ...] = ()
    delivery: Delivery | None = None
    ortho: Ortho | None = None
    radiometry: Radiometry | None = None

    def __post_init__(self) -> None:
        count = self.ms_source.bands
        filled = {
            "band_names": self.band_names or default_names(count),
            "scales": self.scales or (1.0,) * count,
            "offsets": self.offsets or (0.0,) * count,
        }
        for key, values in filled.items():
            if len(values) != count:
                raise BandMismatchError(
                    f"{len(values)} {key.replace('_', ' ')} for an image of {count} bands"
                )
            object.__setattr__(self, key, values)

    @classmethod
    def from_arrays(
        cls,
        pan: ArrayLike,
        ms: ArrayLike,
        *,
        ratio: float = 4,
        alignment: Alignment | None = None,
        nodata: float | None = None,
        sensor: SensorProfile | str | None = None,
        band_names: Sequence[str] | None = None,
        pan_mask: ArrayLike | None = None,
        ms_mask: ArrayLike | None = None,
        name: str = "scene",
    ) -> Scene:
        """Make a scene of arrays, without georeference.

        Parameters
        ----------
        pan : array, shape (y, x) or (guide band, y, x)
            High-resolution image, counts. numpy, or anything that slices (dask, xarray).
        ms : array, shape (band, y, x)
            Low-resolution image, counts.
        ratio : float
            MS pixel size in PAN pixels.
        alignment : Alignment, optional
            Map between the grids; default: they share their first corner. Overrides `ratio`.
        nodata : float, optional
            Value of pixels without data, in both images.
        sensor : SensorProfile or str, optional
            Sensor or its name.
        band_names : sequence of str, optional
            Names of the MS bands.
        pan_mask, ms_mask : array, shape (y, x), bool, optional
            True where a pixel is valid.
        name : str
            Name of the scene.

        Returns
        -------
        Scene
            The whole PAN grid is the product's grid.

        Raises
        ------
        SceneError
            When an array has no pixels, other dimensions, or complex numbers.
        GridMismatchError
            When the images do not overlap, or a mask has another shape than its image.
        BandMismatchError
            When the number of names is not that of the bands.
        UnknownSensorError
            When no sensor has that name.
        """
        from pansharp.source import ArraySource

        if alignment is None and not ratio > 0:
            raise OptionError(f"ratio is {ratio}; it must be positive")
        if isinstance(sensor, str):
            from pansharp.sensors import get_sensor

            sensor = get_sensor(sensor)
        names = tuple(band_names or ())
        pan_source = ArraySource(pan, nodata=nodata, mask=pan_mask, label="the PAN array")
        ms_source = ArraySource(
            ms, nodata=nodata, mask=ms_mask, band_names=names, label="the MS array"
        )
        scene = cls(
            pan_source=pan_source,
            ms_source=ms_source,
            alignment=alignment or Alignment.corner(float(ratio)),
            sensor=sensor,
            band_names=names,
            nodata=nodata,
            name=name,
        )
        needed = scene.alignment.ms_window(_full(pan_source))
        if 0 in needed.intersect(_full(ms_source)).shape:
            raise GridMismatchError("the PAN and MS arrays do not overlap; check the alignment")
        return scene

    @property
    def ratio(self) -> float:
        """MS pixel size over PAN pixel size."""
        return self.alignment.ratio

    @property
    def rounding(self) -> Literal["uint16", "none"]:
        """How indices round its values: counts to whole numbers, physical values not at all."""
        return "uint16" if self.radiometry is None else "none"

    @property
    def bands(self) -> int:
        """Number of MS bands."""
        return self.ms_source.bands

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the product: bands, rows, columns."""
        return self.ms_source.bands, self.pan_source.height, self.pan_source.width

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Number type of the MS image."""
        return self.ms_source.dtype

    @property
    def ms_transform(self) -> Affine6:
        """The six affine numbers a b c d e f of the MS grid."""
        return _compose(self.transform, self.alignment)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest and largest coordinates of the product: (min x, min y, max x, max y)."""
        a, b, c, d, e, f = self.transform
        height, width = self.shape[1:]
        corners = [(col, row) for col in (0, width) for row in (0, height)]
        xs = [a * col + b * row + c for col, row in corners]
        ys = [d * col + e * row + f for col, row in corners]
        return min(xs), min(ys), max(xs), max(ys)

    @cached_property
    def pan(self) -> xr.DataArray:
        """The PAN as a lazy array, dims (band, y, x), stored counts."""
        bands = self.pan_source.bands
        names = self.pan_source.band_names or (("pan",) if bands == 1 else default_names(bands))
        return self._lazy(self.pan_source, self.transform, names, "pan")

    @cached_property
    def ms(self) -> xr.DataArray:
        """The MS as a lazy array, dims (band, y, x), stored counts."""
        return self._lazy(self.ms_source, self.ms_transform, self.band_names, "ms")

    def to_dataset(self) -> xr.Dataset:
        """Both images as one lazy dataset; the MS has its own dimensions ``y_ms``, ``x_ms``.

        Returns
        -------
        xarray.Dataset
            Variables ``pan`` (guide, y, x) and ``ms`` (band, y_ms, x_ms).
        """
        import xarray as xr

        pan = self.pan.rename(band="guide")
        ms = self.ms.rename(y="y_ms", x="x_ms")
        attrs: dict[str, object] = {
            "name": self.name,
            "crs": self.crs,
            "transform": self.transform,
        }
        if self.sensor is not None:
            attrs["sensor"] = self.sensor.name
        return xr.Dataset({"pan": pan, "ms": ms}, attrs=attrs)

    def crop(self, window: Window) -> Scene:
        """Cut a part out of the product.

        Parameters
        ----------
        window : Window
            Product (PAN) pixels; what lies outside is left off.

        Returns
        -------
        Scene
            The MS keeps the pixels below the window and 16 more on each side where they exist.

        Raises
        ------
        GridMismatchError
            When the window holds no pixel of the product.
        """
        pan = window.intersect(_full(self.pan_source))
        if 0 in pan.shape:
            raise GridMismatchError(
                f"rows {window.row}:{window.row_end}, columns {window.col}:{window.col_end} hold "
                f"no pixel of the scene, which has {self.shape[1]} x {self.shape[2]}"
            )
        ms_full = _full(self.ms_source)
        ms = self.alignment.ms_window(pan, MS_MARGIN).intersect(ms_full)
        if 0 in ms.shape:
            raise GridMismatchError(
                f"rows {window.row}:{window.row_end}, columns {window.col}:{window.col_end} lie "
                "where the MS image has no pixels"
            )
        whole = pan == _full(self.pan_source)
        a, b, c, d, e, f = self.transform
        moved = (a, b, c + a * pan.col + b * pan.row, d, e, f + d * pan.col + e * pan.row)
        return replace(
            self,
            pan_source=self.pan_source if whole else self.pan_source.cut(pan),
            ms_source=self.ms_source if ms == ms_full else self.ms_source.cut(ms),
            alignment=self.alignment.from_windows(pan, ms),
            transform=moved,
        )

    def crop_bounds(self, bounds: tuple[float, float, float, float]) -> Scene:
        """Cut the pixels whose centres lie in a box.

        Parameters
        ----------
        bounds : tuple of float
            (min x, min y, max x, max y) in units of the scene's coordinate system.

        Returns
        -------
        Scene
            See :meth:`crop`.

        Raises
        ------
        OptionError
            When the box has no area.
        GridMismatchError
            When it holds no pixel of the scene.
        """
        left, bottom, right, top = bounds
        if not (left < right and bottom < top):
            raise OptionError(f"bbox {bounds} has no area; give MINX MINY MAXX MAXY")
        a, b, c, d, e, f = self.transform
        det = a * e - b * d
        points = [(x - c, y - f) for x in (left, right) for y in (bottom, top)]
        cols = [(e * x - b * y) / det for x, y in points]
        rows = [(a * y - d * x) / det for x, y in points]
        row, col = _half_up(min(rows)), _half_up(min(cols))
        window = Window(row, col, _half_up(max(rows)) - row, _half_up(max(cols)) - col)
        if 0 in window.intersect(_full(self.pan_source)).shape:
            own = ", ".join(f"{value:.10g}" for value in self.bounds)
            raise GridMismatchError(
                f"bbox {', '.join(f'{v:.10g}' for v in bounds)} holds no pixel of the scene, "
                f"whose bounds are {own}"
            )
        return self.crop(window)

    def select_bands(self, bands: Sequence[str | int]) -> Scene:
        """Keep some MS bands, in the order given.

        Parameters
        ----------
        bands : sequence of str or int
            Names (case does not matter; one word of a longer name will do when only one band
            has it), or indices counted from 0.

        Returns
        -------
        Scene
            Scene of those bands.

        Raises
        ------
        BandMismatchError
            When no band is chosen, or one does not exist.
        """
        if not bands:
            raise BandMismatchError(f"no bands chosen; choose from {', '.join(self.band_names)}")
        chosen = [self._band_index(band) for band in bands]
        pick = tuple(chosen)
        return replace(
            self,
            ms_source=self.ms_source.select(pick),
            band_names=tuple(self.band_names[i] for i in pick),
            scales=tuple(self.scales[i] for i in pick),
            offsets=tuple(self.offsets[i] for i in pick),
            wavelengths=tuple(self.wavelengths[i] for i in pick) if self.wavelengths else (),
            widths=tuple(self.widths[i] for i in pick) if self.widths else (),
            delivery=None if self.delivery is None else self.delivery.select_bands(pick),
            radiometry=None if self.radiometry is None else self.radiometry.select(pick),
        )

    def shifted(self, rows: float, cols: float) -> Scene:
        """Move the MS against the PAN.

        Parameters
        ----------
        rows, cols : float
            Shift in PAN pixels; positive moves the MS down and right.

        Returns
        -------
        Scene
            The same pixels with another alignment.
        """
        return replace(self, alignment=self.alignment.shifted(rows, cols))

    def describe(self) -> dict[str, object]:
        """Facts about the scene as JSON types, for ``pansharp info --json``.

        Returns
        -------
        dict
            Keys ``name, files, sensor, acquired, crs, transform, bounds, ratio, alignment, pan,
            ms, product, delivery, ortho, radiometry, notes``.
        """
        y, x = self.alignment.y, self.alignment.x
        ms: dict[str, object] = {
            "bands": list(self.band_names),
            "scales": list(self.scales),
            "offsets": list(self.offsets),
            "wavelengths_nm": list(self.wavelengths),
            **_source_facts(self.ms_source),
        }
        return {
            "name": self.name,
            "files": {role: list(paths) for role, paths in self.files.items()},
            "sensor": self.sensor.name if self.sensor else None,
            "acquired": self.acquired,
            "crs": self.crs,
            "transform": list(self.transform),
            "bounds": list(self.bounds),
            "ratio": self.ratio,
            "alignment": {
                "rows": {"scale": y.scale, "offset": y.offset},
                "columns": {"scale": x.scale, "offset": x.offset},
            },
            "pan": {"bands": list(self.pan_source.band_names), **_source_facts(self.pan_source)},
            "ms": ms,
            "product": {
                "shape": list(self.shape),
                "dtype": str(self.dtype),
                "nodata": _json_number(self.nodata),
            },
            "delivery": None if self.delivery is None else self.delivery.describe(),
            "ortho": None if self.ortho is None else self.ortho.describe(),
            "radiometry": None if self.radiometry is None else self.radiometry.describe(),
            "notes": list(self.notes),
        }

    def close(self) -> None:
        """Close open files; reading again opens them again."""
        self.pan_source.close()
        self.ms_source.close()

    def __getstate__(self) -> dict[str, object]:
        # The lazy arrays are rebuilt on demand; sources drop their file handles themselves.
        return {k: v for k, v in self.__dict__.items() if k not in ("pan", "ms")}

    def _band_index(self, band: str | int) -> int:
        if not isinstance(band, str):
            if 0 <= int(band) < self.bands:
                return int(band)
            raise BandMismatchError(
                f"there is no band number {int(band) + 1}: the scene has {self.bands} "
                f"({', '.join(self.band_names)})"
            )
        names = [name.lower() for name in self.band_names]
        key = band.strip().lower()
        if key in names:
            return names.index(key)
        words = [re.split(r"[^a-z0-9.]+", name) for name in names]
        having = [index for index, parts in enumerate(words) if key in parts]
        if len(having) == 1:
            return having[0]
        from pansharp.registry import nearest

        raise BandMismatchError(f"the scene has no band '{band}'; {nearest(band, names)}")

    def _lazy(
        self, source: Source, transform: Affine6, names: Sequence[str], label: str
    ) -> xr.DataArray:
        import dask.array as da
        import numpy as np
        import xarray as xr

        from pansharp.source import SourceView

        side = _CHUNK_SIDE
        while side > 256 and source.bands * side * side * source.dtype.itemsize > _CHUNK_BYTES:
            side //= 2
        chunks = (source.bands, min(side, source.height), min(side, source.width))
        meta = np.empty((0, 0, 0), dtype=source.dtype)
        view = SourceView(source)
        data = da.from_array(view, chunks=chunks, name=False, meta=meta)  # type: ignore[no-untyped-call]
        view.owner = self
        _VIEWS[data.name] = view
        a, b, c, d, e, f = transform
        coords: dict[str, object] = {"band": list(names)}
        if b == 0 and d == 0:
            coords["x"] = c + a * (np.arange(source.width) + 0.5)
            coords["y"] = f + e * (np.arange(source.height) + 0.5)
        attrs: dict[str, object] = {
            "crs": self.crs,
            "transform": transform,
            "nodata": source.nodata,
            "long_name": tuple(names),
        }
        waves = self.wavelengths if label == "ms" else self.guide_wavelengths
        if waves:
            attrs["wavelengths"] = tuple(waves)
        if self.sensor is not None:
            attrs["sensor"] = self.sensor.name
        attach()
        return xr.DataArray(data, dims=("band", "y", "x"), coords=coords, attrs=attrs, name=label)


def scene_behind(*arrays: xr.DataArray) -> Scene | None:
    """The scene whose `pan` and `ms` these arrays are, untouched; None where there is none.

    Parameters
    ----------
    *arrays : xarray.DataArray
        Renamed dimensions do not matter.
    """
    views = [_VIEWS.get(str(getattr(array.data, "name", ""))) for array in arrays]
    owners = {id(view.owner): view.owner for view in views if view is not None}
    if None in views or len(owners) != 1:
        return None
    owner = next(iter(owners.values()))
    return owner if isinstance(owner, Scene) else None


def _full(source: Source) -> Window:
    return Window(0, 0, source.height, source.width)


def _half_up(value: float) -> int:
    """First pixel whose centre does not lie before a corner coordinate (in pixels)."""
    from math import ceil

    return ceil(value - 0.5 - 1e-6)


def _compose(pan: Affine6, alignment: Alignment) -> Affine6:
    """Transform of the MS grid from that of the PAN grid and the alignment."""

    def first_corner(axis: AxisMap) -> float:
        # Index -1/2 of the MS is its first corner; corner coordinates are indices plus 1/2.
        return axis.to_pan(-0.5) + 0.5

    a, b, c, d, e, f = pan
    row, col = first_corner(alignment.y), first_corner(alignment.x)
    sy, sx = alignment.y.scale, alignment.x.scale
    return a * sx, b * sy, c + a * col + b * row, d * sx, e * sy, f + d * col + e * row


def _source_facts(source: Source) -> dict[str, object]:
    return {
        "shape": [source.bands, source.height, source.width],
        "dtype": str(source.dtype),
        "nodata": _json_number(source.nodata),
    }


def _json_number(value: float | None) -> float | str | None:
    """A number as JSON has it: NaN and infinity become text."""
    from math import isfinite

    if value is None or isfinite(value):
        return value
    return str(value)
