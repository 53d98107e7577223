"""The report of one product."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.errors import WriteError
from pansharp.report import words
from pansharp.report.inputs import load, number, part
from pansharp.report.pages import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.report.inputs import Inputs

    Progress = Callable[[float, float, str], None]

__all__ = ["product_report", "report_html", "report_path"]


def report_path(product: Path) -> Path:
    """Where the report of a product lies: ``fused.tif`` has ``fused.report.html``."""
    return product.with_name(product.stem + ".report.html")


def product_report(
    product: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    scene: str | os.PathLike[str] | None = None,
    classical: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Write the report of a product: one HTML file that loads nothing from elsewhere.

    Parameters
    ----------
    product : path
        A product with its card beside it (``fused.tif`` and ``fused.tif.card.json``).
    output : path, optional
        The page; default ``<product>.report.html`` beside the product.
    scene : path, optional
        The delivery, where the files of the scene lie neither beside the product nor in the
        working folder.
    classical : str, optional
        What the product is compared with: a file, or a classical method; default the best one of
        the card, fused on the fly where it is looked at.
    overwrite : bool
        Replace an existing page.
    progress : callable, optional
        Called with (done, total, label).
    **options
        Keywords of :func:`pansharp.open_scene`, such as ``pan`` and ``ms``.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    PansharpError
        The product, its card or its scene cannot be read, or the page cannot be written.

    Examples
    --------
    >>> import pansharp as ps
    >>> ps.report.product_report("fused.tif")  # doctest: +SKIP
    """
    target = report_path(Path(product)) if output is None else Path(output)
    if target.exists() and not overwrite:
        raise WriteError(f"'{target}' exists already; pass --overwrite to replace it")
    if not target.parent.is_dir():
        raise WriteError(f"the folder '{target.parent}' does not exist; create it or change -o")
    inputs = load(product, scene, **options)
    text = report_html(inputs, classical=classical, progress=progress)
    part_file = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        part_file.write_text(text, encoding="utf-8")
        os.replace(part_file, target)
    except OSError as problem:
        raise WriteError(f"cannot write '{target}': {problem.strerror}") from problem
    finally:
        part_file.unlink(missing_ok=True)
    return target


def report_html(
    inputs: Inputs, *, classical: str | None = None, progress: Progress | None = None
) -> str:
    """The page of a product as text.

    Parameters
    ----------
    inputs : Inputs
        From :func:`pansharp.report.inputs.load`.
    classical : str, optional
        As above.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    str
        The same bytes for the same files.
    """
    from pansharp.report.charts import map_figures, spectrum_chart
    from pansharp.report.fidelity import block_maps, spectra
    from pansharp.report.layers import bands_of, draw, embed, wavelengths_of
    from pansharp.report.places import choose_places
    from pansharp.report.rivals import find_rival

    rival = find_rival(inputs, classical, progress=progress)
    places = choose_places(inputs, rival, progress=progress)
    drawing = draw(inputs, rival, places)
    pictures, packed = embed(drawing.pictures)
    gains = inputs.gains if inputs.scene is not None else None
    charts, maps, found = [], [], None
    if gains is not None:
        names, waves = bands_of(inputs), wavelengths_of(inputs)
        charts = [spectrum_chart(one, names, waves) for one in spectra(inputs, gains, places)]
        found = block_maps(inputs, gains, progress=progress)
        maps = [] if found is None else map_figures(found)
    card = inputs.card
    warnings = card.get("warnings")
    return render(
        "product.html",
        styles=("base", "swipe", "product"),
        scripts=("theme", "swipe"),
        kind="Report of a fused image",
        title=inputs.path.name,
        subtitle=_subtitle(inputs),
        verdict=words.verdict_words(card),
        notes=inputs.notes,
        places=[
            {
                "title": place.title,
                "why": place.why,
                "rows": place.window.height,
                "cols": place.window.width,
                "row": place.window.row,
                "col": place.window.col,
                "overview": place.overview,
                "pictures": [one for one in pictures if one["place"] == index],
            }
            for index, place in enumerate(places)
        ],
        picture_notes=[
            *drawing.notes,
            *([packed] if packed else []),
            *_rival_notes(inputs, rival is not None and rival.label, places[0].overview),
        ],
        reduced=words.reduced_table(card),
        full=words.full_table(card),
        alignment=words.alignment_words(card),
        conventions=words.convention_words(card),
        warnings=[str(text) for text in warnings] if isinstance(warnings, list) else [],
        charts=charts,
        maps=maps,
        map_note=None if found is None else _map_note(found.block, found.cell, found.sampled),
        provenance=words.provenance(card),
        flat=words.flat_card(card),
    )


def _subtitle(inputs: Inputs) -> str:
    product, scene = inputs.product, part(inputs.card, "scene")
    texts = [f"{product.bands} bands, {product.height} x {product.width} pixels"]
    if inputs.card:
        texts.insert(0, f"{scene.get('name')}, {scene.get('sensor') or 'unknown sensor'}")
        texts.append(f"made by {part(inputs.card, 'model').get('used')}")
    return "; ".join(texts)


def _rival_notes(inputs: Inputs, label: str | bool, overview: bool) -> list[str]:
    if not label:
        if inputs.scene is None:
            return ["PAN and MS are not shown: without a card, name them with --pan and --ms."]
        return ["No classical product is shown: the card names none but the product itself."]
    passes = number(part(inputs.card, "model").get("backprojections"))
    text = f"{label} is the other product"
    if passes:
        text += f", with the back-projections of the product ({passes:.0f}) where it is fused here"
    text += "; statistics are those of the whole scene."
    if overview:
        text += " It is made for the windows only, not for the overview."
    return [text]


def _map_note(block: int, cell: tuple[float, float], sampled: bool) -> str:
    how = (
        f"one block of {block} x {block} MS pixels from the middle of every {cell[0]:.0f} x "
        f"{cell[1]:.0f}"
        if sampled
        else f"blocks of {block} x {block} MS pixels"
    )
    return (
        f"The product blurred to MS pixels against the MS, {how}. Dark is good. This shows whether "
        "colours were kept, not whether the detail is right: a plain enlargement would pass, too."
    )
