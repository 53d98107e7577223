"""Several products of one window side by side, with their scores underneath."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pansharp.errors import MetricError, OptionError
from pansharp.geometry.grids import Window
from pansharp.plotting.figure import caption, draw, label_axes, new_figure, spare
from pansharp.plotting.layers import gather
from pansharp.plotting.pairs import mask_of, pair_of
from pansharp.plotting.panels import _colours_told, _figure_size, _limit, joint_panels
from pansharp.plotting.samples import degraded_pairs
from pansharp.source import SourceView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from pansharp.evaluation import Report
    from pansharp.plotting.layers import Layer
    from pansharp.plotting.places import Frame

__all__ = ["compare", "score_with_reference", "score_without_reference", "window_scores"]

#: Side of the window that is compared where none is given, product pixels.
_SIDE = 256


def compare(
    products: object,
    *,
    scene: Any = None,
    pan: object | None = None,
    ms: object | None = None,
    reference: object | None = None,
    window: Window | str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    combination: str | Sequence[int | str] = "rgb",
    percent: tuple[float, float] = (1.0, 99.0),
    gamma: float = 1.0,
    size: int = 1024,
    columns: int = 4,
    scores: bool = True,
    rounding: Any = "uint16",
) -> Figure:
    """Compare products on one window: pictures with one stretch, scores underneath.

    Parameters
    ----------
    products : mapping of str to image, or image
        Products by name of the method.
    scene : Scene, optional
        Gives PAN, MS and the sensor.
    pan, ms, reference : image, optional
        Shown first and last; what products are scored against.
    window : Window or ``"all"``, optional
        Product pixels; without, 256 x 256 in the centre.
    bounds : tuple of float, optional
        (min x, min y, max x, max y) instead.
    combination, percent, gamma, size, columns
        As :func:`pansharp.plotting.rgb`.
    scores : bool
        Whether to score.
    rounding : {"uint16", "none"}
        As :func:`pansharp.evaluation.q2n`.

    Returns
    -------
    matplotlib.figure.Figure
        With a reference ERGAS, SAM and Q2n. Without: RMSE between the product, degraded at true
        sub-pixel positions, and the MS; and QNR and HQNR by the toolbox's rules where the ratio is
        a power of two. Scores hold for the window alone; the best of each is marked.

    Raises
    ------
    OptionError, GridMismatchError, BandMismatchError
        As :func:`pansharp.plotting.rgb`.
    """
    layers, frame = gather(products, scene=scene, pan=pan, ms=ms, reference=reference)
    if window == "all":
        chosen: Window = frame.full
    else:
        if isinstance(window, str):
            raise OptionError(f"window is '{window}'; give a Window, 'all' or nothing")
        full = frame.full
        high, wide = min(_SIDE, full.height), min(_SIDE, full.width)
        centre = Window((full.height - high) // 2, (full.width - wide) // 2, high, wide)
        chosen = frame.window(window, bounds) or centre
    options: dict[str, Any] = {"combination": combination, "percent": percent, "gamma": gamma}
    panels = joint_panels(layers, frame, chosen, size=size, **options)
    told = window_scores(layers, frame, chosen, rounding=rounding) if scores else {}
    best = _best(told)
    cols = min(len(panels), columns)
    rows = -(-len(panels) // cols)
    width, height = _figure_size(frame, chosen, rows, cols, side=3.0)
    lines = max((len(values) for values in told.values()), default=0)
    height += 0.32 * lines * rows
    figure, axes = new_figure(rows, cols, width=width, height=height, pictures=True)
    # The layout leaves no room for further lines of a label between rows of pictures.
    engine: Any = figure.get_layout_engine()
    engine.set(h_pad=0.04 + 0.08 * lines)
    for number, (ax, panel) in enumerate(zip(spare(axes, len(panels)), panels, strict=True)):
        draw(ax, panel.picture, panel.extent)
        _limit(ax, frame, chosen)
        label_axes(ax, frame, outer=number % cols == 0)
        ax.set_title(panel.title, fontsize=10)
        values = told.get(panel.layer.label, {}) if panel.layer.role == "fused" else {}
        if values:
            text = "\n".join(
                f"{name} {value:.4g}{' *' if best.get(name) == value and len(told) > 1 else ''}"
                for name, value in values.items()
            )
            across = ax.get_xlabel()
            ax.set_xlabel(f"{across}\n\n{text}" if across else text, fontsize=8)
    part = f"rows {chosen.row}-{chosen.row_end}, columns {chosen.col}-{chosen.col_end}"
    coloured = next(layer for layer in layers if layer.role != "pan")
    figure.suptitle(
        caption(
            " | ".join(layer.label for layer in layers),
            f"{_colours_told(coloured, combination)}, one stretch; {part}",
            "scores of this window; * best" if len(told) > 1 else "",
        ),
        fontsize=11,
    )
    return figure


def window_scores(
    layers: Sequence[Layer], frame: Frame, window: Window, *, rounding: Any = "uint16"
) -> dict[str, dict[str, float]]:
    """Scores of products on a window.

    Parameters
    ----------
    layers : sequence of Layer
        Products, and what they are scored against.
    frame : Frame
        Their ground.
    window : Window
        Pixels of the frame's base.
    rounding : {"uint16", "none"}
        As :func:`pansharp.evaluation.q2n`.

    Returns
    -------
    dict
        Product name to score name to value; empty where there is nothing to score against.
        Scores that are not defined on the window are left out.
    """
    by_role = {layer.role: layer for layer in layers if layer.role != "fused"}
    low = by_role.get("ms")
    ratio = frame.alignment(low).ratio if low is not None else 4.0
    found: dict[str, dict[str, float]] = {}
    for layer in (one for one in layers if one.role == "fused"):
        scores: dict[str, float] = {}
        if "reference" in by_role:
            report = score_with_reference(
                layer, by_role["reference"], frame, window, ratio=ratio, rounding=rounding
            )
            names = {"ergas": "ERGAS", "sam": "SAM (°)", "q2n": "Q2n"}
            scores |= {t: report.scores[n] for n, t in names.items() if n in report.scores}
        elif low is not None:
            x, y = degraded_pairs(layer, low, window=_own_window(layer, frame, window))
            gap = float(np.sqrt(np.mean((y.astype(np.float64) - x) ** 2)))
            mean = float(np.mean(x, dtype=np.float64))
            if mean > 0:
                scores["RMSE to MS (%)"] = 100.0 * gap / mean
            if "pan" in by_role:
                try:
                    report = score_without_reference(
                        layer, by_role["pan"], low, frame, window, rounding=rounding
                    )
                except MetricError:
                    # Ratio or texture do not allow it there; the RMSE stands alone.
                    pass
                else:
                    names = {"qnr": "QNR", "hqnr": "HQNR"}
                    scores |= {t: report.scores[n] for n, t in names.items() if n in report.scores}
        if scores:
            found[layer.label] = scores
    return found


def score_with_reference(
    fused: Layer,
    reference: Layer,
    frame: Frame,
    window: Window,
    *,
    ratio: float,
    rounding: Any = "uint16",
    **options: Any,
) -> Report:
    """Score a product on a window against a reference on the same grid.

    Parameters
    ----------
    fused, reference : Layer
        Images.
    frame : Frame
        Their ground.
    window : Window
        Pixels of the frame's base.
    ratio : float
        MS pixel over PAN pixel, for ERGAS.
    rounding : {"uint16", "none"}
        As :func:`pansharp.evaluation.q2n`.
    **options
        Of :func:`pansharp.evaluation.evaluate`.

    Returns
    -------
    Report

    Raises
    ------
    GridMismatchError, BandMismatchError, MetricError
        The images are not on one grid, or an index is not defined.
    """
    from pansharp.evaluation import evaluate

    pair = pair_of(frame, reference, fused, window)
    first, second = pair.images
    return evaluate(
        reference=first, fused=second, mask=pair.mask, ratio=ratio, rounding=rounding, **options
    )


def score_without_reference(
    fused: Layer,
    pan: Layer,
    ms: Layer,
    frame: Frame,
    window: Window,
    *,
    rounding: Any = "uint16",
    **options: Any,
) -> Report:
    """Score a product on a window against PAN and MS by the rules of the toolbox.

    The window is cut to whole MS pixels. The toolbox's interpolator assumes MS pixel i on PAN pixel
    ``ratio * i + ratio // 2``; grids that share their corner lie half a PAN pixel off that.

    Parameters
    ----------
    fused, pan, ms : Layer
        Images; product and PAN on one grid.
    frame : Frame
        Their ground.
    window : Window
        Pixels of the frame's base.
    rounding : {"uint16", "none"}
        As :func:`pansharp.evaluation.q2n`.
    **options
        Of :func:`pansharp.evaluation.evaluate`.

    Returns
    -------
    Report

    Raises
    ------
    MetricError
        The ratio is no whole number, or the MS lies off by more than half a PAN pixel.
    GridMismatchError
        Product and PAN are not on one grid.
    """
    from pansharp.evaluation import evaluate

    a, _, c, _, e, f = frame.to_base(ms)
    ratio = round(a)
    if max(abs(a - ratio), abs(e - ratio)) * max(ms.source.width, ms.source.height) > 0.5:
        raise MetricError(
            f"the ratio of {ms.label} to {fused.label} is {a:.6g} x {e:.6g}, no whole number; "
            "indices without reference need one"
        )
    # First MS pixels whose ground begins inside the window, and as many whole ones as fit.
    rows = [-(-(window.row - round(f)) // ratio), (window.row_end - round(f)) // ratio]
    cols = [-(-(window.col - round(c)) // ratio), (window.col_end - round(c)) // ratio]
    low = Window(rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0])
    low = low.intersect(Window(0, 0, ms.source.height, ms.source.width))
    fine = Window(
        round(f) + low.row * ratio,
        round(c) + low.col * ratio,
        low.height * ratio,
        low.width * ratio,
    )
    if 0 in low.shape or fine.intersect(frame.full) != fine:
        raise MetricError(f"no whole pixel of {ms.label} lies in the window")
    sources = [_cut(layer, frame, fine) for layer in (fused, pan)]
    return evaluate(
        fused=SourceView(sources[0]),
        pan=SourceView(sources[1]),
        ms=SourceView(ms.source.cut(low)),
        ratio=ratio,
        sensor=options.pop("sensor", ms.sensor),
        mask=mask_of(sources),
        rounding=rounding,
        **options,
    )


def _cut(layer: Layer, frame: Frame, window: Window) -> Any:
    """The source of a product or PAN on the base's grid, cut to a window of the base."""
    from pansharp.errors import GridMismatchError

    a, _, c, _, e, f = frame.to_base(layer)
    row, col = round(f), round(c)
    if max(abs(a - 1) * layer.source.width, abs(e - 1) * layer.source.height) > 0.01 or (
        max(abs(f - row), abs(c - col)) > 0.01
    ):
        raise GridMismatchError(
            f"{layer.label} does not lie on the pixel grid of {frame.base.label}"
        )
    return layer.source.cut(Window(window.row - row, window.col - col, *window.shape))


def _own_window(layer: Layer, frame: Frame, window: Window) -> Window:
    return frame.covering(layer, window)


def _best(told: dict[str, dict[str, float]]) -> dict[str, float]:
    """Best value of each score."""
    best: dict[str, float] = {}
    for values in told.values():
        for name, value in values.items():
            better = max if name in ("Q2n", "QNR", "HQNR") else min
            best[name] = better(best.get(name, value), value)
    return best
