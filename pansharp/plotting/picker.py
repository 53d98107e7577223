"""Spectra of places that are clicked in a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pansharp.errors import OptionError
from pansharp.plotting.figure import draw, label_axes, legend, new_figure
from pansharp.plotting.layers import common_window, gather
from pansharp.plotting.panels import _limit, joint_panels
from pansharp.plotting.spectral import (
    Spectrum,
    _broken,
    _name_bands,
    from_axes,
    marker_colour,
    spectra,
    wavelength_axis,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from pansharp.sensors import SensorProfile

__all__ = ["SpectrumPicker"]

_STYLES: dict[str, Any] = {"ms": ":", "reference": "--"}
_PRODUCT_STYLES: tuple[Any, ...] = ("-", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)))


class SpectrumPicker:
    """A picture in which a click shows the spectrum of the place in every image.

    Needs a backend with windows or widgets (``%matplotlib widget`` of ipympl in notebooks). Left
    button: add a place; right button or the key ``backspace``: take the last one away; ``c``: all.
    Keep a reference to the picker as long as it is used: matplotlib holds it only weakly.

    Parameters
    ----------
    fused : image, mapping of str to image, or Scene, optional
        Products; the first one is the picture.
    scene : Scene, optional
        Gives the MS and the sensor.
    ms, reference : image, optional
        Further images of the same bands.
    sensor : SensorProfile or str, optional
        Whose table gives wavelengths.
    combination : str or sequence of int or str
        Colours of the picture.
    window, bounds, size
        What the picture shows, as :func:`pansharp.plotting.rgb`.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        Picture and spectra.
    spectra : list of Spectrum
        Those that were picked, place by place.
    """

    def __init__(
        self,
        fused: object | None = None,
        *,
        scene: Any = None,
        ms: object | None = None,
        reference: object | None = None,
        sensor: SensorProfile | str | None = None,
        combination: str | Sequence[int | str] = "rgb",
        window: Any = None,
        bounds: tuple[float, float, float, float] | None = None,
        size: int = 1024,
    ) -> None:
        every, self._frame = gather(fused, scene=scene, ms=ms, reference=reference, sensor=sensor)
        self._layers = [layer for layer in every if layer.role != "pan"]
        if not self._layers:
            raise OptionError("no image with a spectrum; give a product, an MS or a reference")
        base = self._frame.base
        chosen, note = common_window(self._frame, [base], window, bounds, size=size)
        panel = joint_panels([base], self._frame, chosen, combination=combination, size=size)[0]
        self.spectra: list[Spectrum] = []
        self._places: list[tuple[str, tuple[float, float], Any]] = []
        figure, axes = new_figure(1, 2, width=11.0, height=4.8)
        self.figure: Figure = figure
        self._picture, self._plot = axes[0]
        draw(self._picture, panel.picture, panel.extent)
        _limit(self._picture, self._frame, chosen)
        label_axes(self._picture, self._frame)
        self._picture.set_title("\n".join(filter(None, ["click for a spectrum", note])))
        self._connections = [
            figure.canvas.mpl_connect("button_press_event", self._clicked),
            figure.canvas.mpl_connect("key_press_event", self._typed),
        ]
        self._redraw()

    def pick(self, x: float, y: float) -> list[Spectrum]:
        """Add the place at axis coordinates, as a click does.

        Parameters
        ----------
        x, y : float
            Coordinates on the axes of the picture.

        Returns
        -------
        list of Spectrum
            One an image.

        Raises
        ------
        OptionError
            The place lies outside an image.
        """
        col, row = from_axes(self._frame, (x, y))
        number = 1 + max((int(name) for name, _, _ in self._places), default=0)
        name = str(number)
        # In the frame's own count of pixel centres.
        found = spectra(
            self._layers, self._frame, points={name: (col - 0.5, row - 0.5)}, coords="pixel"
        )
        colour = marker_colour(number - 1)
        mark = self._picture.plot(
            x, y, marker="o", color=colour, markeredgecolor="white", markersize=8
        )
        self._places.append((name, (x, y), mark[0]))
        self.spectra += found
        self._redraw()
        return found

    def undo(self) -> None:
        """Take the last place away; without any, nothing happens."""
        if self._places:
            name, _, mark = self._places.pop()
            mark.remove()
            self.spectra = [one for one in self.spectra if one.place != name]
            self._redraw()

    def clear(self) -> None:
        """Take all places away."""
        while self._places:
            self.undo()

    def disconnect(self) -> None:
        """Stop listening to clicks."""
        for connection in self._connections:
            self.figure.canvas.mpl_disconnect(connection)
        self._connections = []

    def _clicked(self, event: Any) -> None:
        if event.inaxes is not self._picture or _tool_is_active(self.figure):
            return
        if event.button == 3:
            self.undo()
        elif event.button == 1:
            try:
                self.pick(event.xdata, event.ydata)
            except OptionError as problem:
                self._picture.set_title(str(problem), fontsize=8, wrap=True)
                self.figure.canvas.draw_idle()

    def _typed(self, event: Any) -> None:
        if event.key == "c":
            self.clear()
        elif event.key == "backspace":
            self.undo()

    def _style(self, one: Spectrum) -> Any:
        products = [layer.label for layer in self._layers if layer.role == "fused"]
        if one.layer.role != "fused":
            return _STYLES[one.layer.role]
        return _PRODUCT_STYLES[products.index(one.layer.label) % len(_PRODUCT_STYLES)]

    def _redraw(self) -> None:
        ax = self._plot
        ax.clear()
        x, names, label = wavelength_axis(self._layers)
        order = x.argsort(kind="stable")
        for one in self.spectra:
            across, values = _broken(x[order], one.values[order])
            ax.plot(
                *(across, values),
                color=marker_colour(int(one.place) - 1),
                linestyle=self._style(one),
                marker=None if len(x) > 20 else ".",
                label=f"{one.place}: {one.layer.label}",
            )
        _name_bands(ax, x, names, label)
        ax.set_xlabel(label)
        ax.set_ylabel(f"value ({self._layers[0].units})")
        ax.set_title("spectra: " + " | ".join(layer.label for layer in self._layers))
        ax.grid(alpha=0.25)
        legend(ax)
        self.figure.canvas.draw_idle()


def _tool_is_active(figure: Any) -> bool:
    """Whether a click means panning or zooming."""
    return bool(getattr(getattr(figure.canvas, "toolbar", None), "mode", ""))
