"""Figures: matplotlib when it is needed, colours that all can tell apart, common furniture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pansharp.plotting.places import Frame

__all__ = [
    "DIVERGING",
    "NO_DATA",
    "PALETTE",
    "ROLE_COLOURS",
    "SEQUENTIAL",
    "axes_of",
    "bar_beside",
    "caption",
    "colours_of",
    "draw",
    "label_axes",
    "legend",
    "new_figure",
    "spare",
]

#: Okabe and Ito's colours, told apart with every kind of colour blindness (Color Universal
#: Design, 2008), without the yellow that vanishes on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: Colour of what an image is, the same in every plot.
ROLE_COLOURS = {"ms": "#0072B2", "fused": "#D55E00", "reference": "#009E73", "pan": "#000000"}
#: Errors about 0: white in the middle, brown and teal at the ends.
DIVERGING = "BrBG_r"
#: Values from 0: dark to bright with even steps, also in grey.
SEQUENTIAL = "cividis"
#: Behind transparent pixels: neither black, as shadows are, nor white, as clouds are.
NO_DATA = "#d8d2c8"
#: Backends that draw into files.
_FILES = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as problem:
        raise OptionError(
            "plots need matplotlib, which is not installed; pip install 'pansharp[plot]'"
        ) from problem
    return plt


def new_figure(
    rows: int = 1,
    cols: int = 1,
    *,
    width: float,
    height: float,
    pictures: bool = False,
    **options: Any,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a grid of axes.

    Parameters
    ----------
    rows, cols : int
        Axes.
    width, height : float
        Size in inches.
    pictures : bool
        Whether the axes have the shape of pictures, not that of the figure.
    **options
        For ``pyplot.subplots``.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Where figures are no windows (notebooks' inline backend,
        scripts) pyplot forgets it at once: it is shown once, by being the result of a cell, and a
        loop does not pile figures up.
    axes : list of list of Axes

    Raises
    ------
    OptionError
        matplotlib is not installed.
    """
    plt = _pyplot()
    figure, axes = plt.subplots(
        rows,
        cols,
        figsize=(width, height),
        layout="compressed" if pictures else "constrained",
        squeeze=False,
        **options,
    )
    import matplotlib

    backend = str(matplotlib.get_backend()).lower()
    if backend in _FILES or "inline" in backend:
        plt.close(figure)
    return figure, [list(row) for row in axes]


def axes_of(ax: Any, *, width: float = 6.4, height: float = 4.6) -> tuple[Figure, Axes]:
    """The axes to draw on, and their figure; new ones for None."""
    if ax is None:
        figure, axes = new_figure(width=width, height=height)
        return figure, axes[0][0]
    return ax.figure, ax


def draw(
    ax: Axes,
    picture: Any,
    extent: tuple[float, float, float, float],
    **options: Any,
) -> Any:
    """Show pixels as squares on their ground: nothing is smoothed."""
    ax.set_facecolor(NO_DATA)
    return ax.imshow(picture, extent=extent, interpolation="nearest", aspect="equal", **options)


def label_axes(ax: Axes, frame: Frame, *, outer: bool = True) -> None:
    """Name the axes with units; few ticks, and coordinates in full."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    across, down = frame.units()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(3, min_n_ticks=2))
        plain = ScalarFormatter(useOffset=False)
        plain.set_scientific(False)
        axis.set_major_formatter(plain)
    ax.tick_params(labelsize=7)
    ax.tick_params(axis="y", labelrotation=90 if frame.on_ground else 0)
    for text in ax.get_yticklabels():
        text.set_verticalalignment("center")
    ax.set_xlabel(across, fontsize=8)
    if outer:
        ax.set_ylabel(down, fontsize=8)
    else:
        ax.tick_params(axis="y", labelleft=False)


def bar_beside(
    figure: Figure, image: Any, axes: Any, label: str, *, extend: str = "neither"
) -> Any:
    """A colour bar with its unit."""
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02, extend=extend)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return bar


def caption(*parts: str) -> str:
    """Parts of a title that are there, one under the other."""
    return "\n".join(part for part in parts if part)


def legend(ax: Axes, **options: Any) -> None:
    """A legend where there is something to tell apart."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, frameon=False, **options)


def colours_of(layers: Sequence[Any]) -> list[str]:
    """A colour for each layer: that of its role, and further ones for several products."""
    products = sum(layer.role == "fused" for layer in layers)
    free = [colour for colour in PALETTE if colour not in ROLE_COLOURS.values()]
    result = []
    seen = 0
    for layer in layers:
        if layer.role == "fused" and products > 1:
            result.append((ROLE_COLOURS["fused"], *free)[seen % (len(free) + 1)])
            seen += 1
        else:
            result.append(ROLE_COLOURS.get(layer.role, PALETTE[-1]))
    return result


def spare(axes: Sequence[Sequence[Axes]], used: int) -> list[Axes]:
    """The first `used` axes row by row; the others are hidden."""
    flat = [ax for row in axes for ax in row]
    for ax in flat[used:]:
        ax.set_axis_off()
    return flat[:used]
