"""The accessor ``.pansharp`` of xarray's Dataset and DataArray.

Importing this module registers it; so does everything in pansharp that makes xarray objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pansharp.attach import attach
from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from matplotlib.figure import Figure

    from pansharp.evaluation import Report
    from pansharp.geometry.grids import Window
    from pansharp.scene import Scene

__all__ = ["ArrayAccessor", "DatasetAccessor"]


class DatasetAccessor:
    """``ds.pansharp``: a PAN and its MS, or a product that was opened as a dataset.

    Parameters
    ----------
    dataset : xarray.Dataset
        With ``pan`` (guide, y, x) and ``ms`` (band, y_ms, x_ms), as `Scene.to_dataset` makes it,
        also cut or read back from a file; or with one image of three dimensions, such as ``fused``.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def is_scene(self) -> bool:
        """Whether the dataset holds a PAN and an MS."""
        return {"pan", "ms"} <= set(self._dataset.data_vars)

    @property
    def product(self) -> xr.DataArray:
        """The product of a dataset that is no scene.

        Raises
        ------
        OptionError
            It has no such image, or several.
        """
        dataset = self._dataset
        cubes = [str(name) for name, array in dataset.data_vars.items() if array.ndim == 3]
        if "fused" not in cubes and len(cubes) != 1:
            raise OptionError(
                "the dataset has neither pan and ms nor one image of three dimensions; its "
                f"variables are {', '.join(map(str, dataset.data_vars)) or 'none'}"
            )
        array = dataset["fused" if "fused" in cubes else cubes[0]]
        # Without decode_coords="all" xarray leaves the georeference beside the array.
        if "spatial_ref" in dataset.data_vars:
            array = array.assign_coords(spatial_ref=dataset["spatial_ref"])
        return array

    @property
    def scene(self) -> Scene:
        """The scene: the very one that the dataset was made of, or one rebuilt from its arrays.

        A rebuilt one knows place, bands, nodata, wavelengths and sensor, not what a delivery said.

        Raises
        ------
        OptionError
            The dataset is no scene.
        GridMismatchError
            PAN and MS do not overlap.
        """
        from pansharp.scene import scene_behind

        if not self.is_scene:
            raise OptionError(
                "the dataset has no pan and ms to fuse; make it with open_scene(...).to_dataset()"
            )
        pan, ms = self._dataset["pan"], self._dataset["ms"]
        return scene_behind(pan, ms) or scene_of(
            pan, ms, name=str(self._dataset.attrs.get("name", "scene"))
        )

    def fuse(self, model: str = "auto", **options: Any) -> xr.DataArray:
        """Fuse PAN and MS: :func:`pansharp.fuse`.

        Parameters
        ----------
        model : str
            Name of a model.
        **options
            As :func:`pansharp.fuse`.

        Returns
        -------
        xarray.DataArray
            The lazy product.

        Raises
        ------
        PansharpError
            The dataset is no scene, or the scene does not fit the model.
        """
        from pansharp.pipeline import fuse

        return fuse(self.scene, model, **options)

    def rgb(self, fused: object | None = None, **options: Any) -> Figure:
        """PAN, MS and products side by side: :func:`pansharp.plotting.rgb`.

        Parameters
        ----------
        fused : image, or mapping of str to image, optional
            Products.
        **options
            As there: ``reference, combination, window, bounds, size, percent, gamma``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting

        if self.is_scene:
            return plotting.rgb(fused, scene=self.scene, **options)
        return self._array.rgb(**options)

    def spectrum(
        self, points: Any = (), polygons: Any = (), *, fused: object | None = None, **options: Any
    ) -> Figure:
        """Spectra of points and polygons: :func:`pansharp.plotting.spectrum`.

        Parameters
        ----------
        points, polygons
            Places.
        fused : image, or mapping of str to image, optional
            Products beside the MS.
        **options
            As there: ``reference, coords, sensor, ax``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting

        if self.is_scene:
            return plotting.spectrum(
                fused, points=points, polygons=polygons, scene=self.scene, **options
            )
        return self._array.spectrum(points, polygons, **options)

    def evaluate(
        self,
        fused: object | None = None,
        *,
        model: str | None = None,
        protocol: str = "reduced",
        **options: Any,
    ) -> Report:
        """Score a product, or a model on this scene.

        Parameters
        ----------
        fused : image, optional
            A product of the scene, scored against PAN and MS (or against ``reference=``).
        model : str, optional
            Instead: fuse with this model and score that.
        protocol : {"reduced", "full"}
            How to score a model.
        **options
            For a product those of :meth:`ArrayAccessor.evaluate`; for a model those of
            :func:`pansharp.fuse`.

        Returns
        -------
        Report

        Raises
        ------
        OptionError
            Neither or both of `fused` and `model`.
        PansharpError
            The scene does not fit the model, or an index is not defined.
        """
        if not self.is_scene:
            return self._array.evaluate(**options)
        if (fused is None) == (model is None):
            raise OptionError("give a product to score, or model= to fuse and score")
        if model is not None:
            from pansharp.options import FuseOptions
            from pansharp.pipeline import evaluate_scene

            chosen = FuseOptions.checked(model=model, **options)
            return evaluate_scene(self.scene, chosen, protocol=protocol)
        return _evaluate(fused, scene=None if "reference" in options else self.scene, **options)

    def compare(
        self, models: Sequence[str] | Mapping[str, object], *, fuse: Any = None, **options: Any
    ) -> Figure:
        """Compare methods or products on one window: :func:`pansharp.plotting.compare`.

        Parameters
        ----------
        models : sequence of str, or mapping of str to image
            Names of models, each fused lazily; or products by name.
        fuse : mapping, optional
            Options of :func:`pansharp.fuse` for all models.
        **options
            As there: ``reference, window, bounds, combination, scores``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting
        from pansharp.pipeline import fuse as run

        scene = self.scene
        products: dict[str, object]
        if hasattr(models, "items"):
            products = dict(models.items())
        else:
            # Scores of the window are computed anyway, so no card is made unless asked for.
            told = {"card": False, **(fuse or {})}
            products = {name: run(scene, name, **told) for name in models}
        return plotting.compare(products, scene=scene, **options)

    def view(self, name: str | None = None, **options: Any) -> Figure:
        """Show one image of the dataset: :func:`pansharp.plotting.show`.

        Parameters
        ----------
        name : str, optional
            Variable; by default ``ms`` of a scene, else the product.
        **options
            As there.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        OptionError
            No such variable.
        """
        if name is not None and name not in self._dataset:
            have = ", ".join(map(str, self._dataset.data_vars))
            raise OptionError(f"the dataset has no variable '{name}'; it has {have}")
        if name is None and not self.is_scene:
            return self._array.view(**options)
        return ArrayAccessor(self._dataset[name or "ms"]).view(**options)

    @property
    def _array(self) -> ArrayAccessor:
        return ArrayAccessor(self.product)


class ArrayAccessor:
    """``array.pansharp``: a product, or any image (band, y, x).

    Parameters
    ----------
    array : xarray.DataArray
        From `fuse`, `open_product`, rioxarray, xarray, or `Scene.ms`.
    """

    def __init__(self, array: xr.DataArray) -> None:
        self._data = array

    def fuse(self, pan: xr.DataArray, model: str = "auto", **options: Any) -> xr.DataArray:
        """Take this array as MS and fuse it with a PAN.

        Parameters
        ----------
        pan : xarray.DataArray
            PAN (y, x) or (guide, y, x), placed by its own georeference; without one both images
            cover the same ground.
        model : str
            Name of a model.
        **options
            As :func:`pansharp.fuse`.

        Returns
        -------
        xarray.DataArray
            The lazy product.

        Raises
        ------
        PansharpError
            The images do not overlap, or do not fit the model.
        """
        from pansharp.pipeline import fuse
        from pansharp.scene import scene_behind

        scene = scene_behind(pan, self._data) or scene_of(pan, self._data)
        return fuse(scene, model, **options)

    def rgb(self, **options: Any) -> Figure:
        """Show it beside ``scene=`` or ``pan=``, ``ms=``, ``reference=``.

        Parameters
        ----------
        **options
            As :func:`pansharp.plotting.rgb`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting

        return plotting.rgb(self._data, **options)

    def spectrum(self, points: Any = (), polygons: Any = (), **options: Any) -> Figure:
        """Spectra of points and polygons: :func:`pansharp.plotting.spectrum`.

        Parameters
        ----------
        points, polygons
            Places.
        **options
            As there: ``scene, ms, reference, coords, sensor, ax``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting

        return plotting.spectrum(self._data, points=points, polygons=polygons, **options)

    def evaluate(
        self,
        *,
        reference: object | None = None,
        scene: Scene | None = None,
        pan: object | None = None,
        ms: object | None = None,
        window: Window | None = None,
        **options: Any,
    ) -> Report:
        """Score it: against a reference, or against PAN and MS.

        Parameters
        ----------
        reference : image, optional
            Truth on the same grid.
        scene : Scene, optional
            Gives PAN and MS, the sensor and whether values are counts.
        pan, ms : image, optional
            Instead of a scene.
        window : Window, optional
            Pixels of the product to score; all without, read piece by piece.
        **options
            As :func:`pansharp.evaluation.evaluate`: ``ratio`` (4, with a reference), ``sensor``,
            ``block_size``, ``data_range``, ``rounding``, ``workers``.

        Returns
        -------
        Report

        Raises
        ------
        OptionError
            Nothing to score against.
        GridMismatchError, BandMismatchError, MetricError
            The images do not fit, or an index is not defined.
        """
        return _evaluate(
            self._data,
            reference=reference,
            scene=scene,
            pan=pan,
            ms=ms,
            window=window,
            **options,
        )

    def compare(
        self, others: Mapping[str, object], *, name: str = "fused", **options: Any
    ) -> Figure:
        """Compare it with other products on one window: :func:`pansharp.plotting.compare`.

        Parameters
        ----------
        others : mapping of str to image
            Products.
        name : str
            What this one is called.
        **options
            As there: ``scene, pan, ms, reference, window``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting

        return plotting.compare({name: self._data, **others}, **options)

    def difference(self, reference: object, **options: Any) -> Figure:
        """Map of its difference to a reference: :func:`pansharp.plotting.difference`.

        Parameters
        ----------
        reference : image
            On the same grid.
        **options
            As there: ``band, window, bounds, size, limit``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting

        return plotting.difference(self._data, reference, **options)

    def view(self, **options: Any) -> Figure:
        """Show it: :func:`pansharp.plotting.show`.

        Parameters
        ----------
        **options
            As there: ``combination, window, bounds, size, percent, gamma, label, ax``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PansharpError
            As there.
        """
        from pansharp import plotting

        return plotting.show(self._data, **options)


def scene_of(pan: xr.DataArray, ms: xr.DataArray, *, name: str = "scene") -> Scene:
    """A scene of two arrays, placed by what they know of their pixels.

    Parameters
    ----------
    pan, ms : xarray.DataArray
        Images; coordinates ``x``, ``y`` (``x_ms``, ``y_ms``) or the attribute ``transform`` place
        them.
    name : str
        Name of the scene.

    Returns
    -------
    Scene
        Cut to the ground that both cover.

    Raises
    ------
    GridMismatchError
        Coordinate systems differ, or the images do not overlap.
    """
    import math

    from pansharp.geometry.grids import Window
    from pansharp.plotting.layers import layer_of
    from pansharp.plotting.places import Frame
    from pansharp.scene import IDENTITY, Scene

    high, low = layer_of(pan, "pan"), layer_of(ms, "ms")
    frame = Frame(high)
    scene = Scene(
        pan_source=high.source,
        ms_source=low.source,
        alignment=frame.alignment(low),
        crs=high.crs or low.crs,
        transform=high.transform or IDENTITY,
        sensor=low.sensor,
        band_names=low.names,
        nodata=low.source.nodata,
        name=name,
        wavelengths=low.wavelengths,
        guide_wavelengths=high.wavelengths,
    )
    a, _, c, _, e, f = frame.to_base(low)
    # PAN pixels whose centres lie on the MS.
    row, col = math.ceil(f - 0.5 - 1e-6), math.ceil(c - 0.5 - 1e-6)
    row_end = math.ceil(f + e * low.source.height - 0.5 - 1e-6)
    col_end = math.ceil(c + a * low.source.width - 0.5 - 1e-6)
    return scene.crop(Window(row, col, row_end - row, col_end - col))


def _evaluate(
    fused: object,
    *,
    reference: object | None = None,
    scene: Scene | None = None,
    pan: object | None = None,
    ms: object | None = None,
    window: Window | None = None,
    ratio: float | None = None,
    **options: Any,
) -> Report:
    from pansharp.plotting.comparing import score_with_reference, score_without_reference
    from pansharp.plotting.layers import gather

    sensor = options.get("sensor")
    named = None if isinstance(sensor, int | float) else sensor
    layers, frame = gather(fused, scene=scene, pan=pan, ms=ms, reference=reference, sensor=named)
    by_role = {layer.role: layer for layer in layers}
    chosen = frame.window(window, None) or frame.full
    if scene is not None:
        options.setdefault("rounding", scene.rounding)
    if reference is not None:
        low = by_role.get("ms")
        number = ratio or (frame.alignment(low).ratio if low is not None else 4.0)
        return score_with_reference(
            by_role["fused"], by_role["reference"], frame, chosen, ratio=number, **options
        )
    if not {"pan", "ms"} <= by_role.keys():
        raise OptionError("nothing to score against; give reference=, scene=, or pan= and ms=")
    return score_without_reference(
        by_role["fused"], by_role["pan"], by_role["ms"], frame, chosen, **options
    )


attach()
