"""MS images that were brought to the PAN's grid before: back to a grid of their own."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from pansharp.errors import GridMismatchError, OptionError, PansharpWarning
from pansharp.geometry.grids import Alignment
from pansharp.readers._repeated import repetition
from pansharp.readers._virtual import Image, Tile, mosaic
from pansharp.source import ThinnedSource, open_raster
from pansharp.source.averaged import AveragedSource
from pansharp.source.raster import band_texts

if TYPE_CHECKING:
    from pansharp.readers._grids import Grid
    from pansharp.source import BaseSource

__all__ = ["own_grid", "same_grid", "stack_halves"]

_PAN = re.compile(r"(?<![a-z])pan(chromatic)?(?![a-z])", re.IGNORECASE)
#: Bands of a stack that are not the PAN.
_FEWEST = 2


def stack_halves(path: str) -> tuple[Image, Image] | None:
    """PAN and MS of a stack: one file with a band that is called "pan" among others.

    Parameters
    ----------
    path : str
        Raster.

    Returns
    -------
    tuple of Image or None
        Virtual rasters of the bands; None for other files.

    Raises
    ------
    ReaderError
        It is no raster.
    """
    with open_raster(path) as dataset:
        names = band_texts(dataset)
        pan = [i for i, name in enumerate(names, start=1) if name and _PAN.search(name)]
        others = [i for i in range(1, len(names) + 1) if i not in pan]
        if len(pan) != 1 or len(others) < _FEWEST:
            return None
        shape = (int(dataset.height), int(dataset.width))
        a, b, c, d, e, f = (float(number) for number in tuple(dataset.transform)[:6])
        system = None if dataset.crs is None else str(dataset.crs.to_wkt())
        whole = [Tile(path, 0, 0, *shape)]
        place = {"shape": shape, "transform": (a, b, c, d, e, f), "crs": system}
        texts = [mosaic(whole, dataset, bands=chosen, **place) for chosen in (pan, others)]  # type: ignore[arg-type]
    return Image(texts[0], (path,), path), Image(texts[1], (path,), path)


def same_grid(pan: Grid, ms: Grid) -> bool:
    """Whether two rasters have the same pixels on the same ground."""
    if pan.shape != ms.shape:
        return False
    if not (pan.placed and ms.placed):
        return True
    off = 1e-3 * pan.pixel
    return all(abs(p - q) <= off for p, q in zip(pan.transform, ms.transform, strict=True))


def own_grid(
    source: BaseSource, ratio: float, label: str
) -> tuple[BaseSource, Alignment, tuple[str, ...]]:
    """Undo an upsampling: exactly where pixels were repeated, else by means of blocks.

    Parameters
    ----------
    source : BaseSource
        MS on the PAN's grid.
    ratio : float
        Ratio that the user gave; must be whole.
    label : str
        Its name in messages.

    Returns
    -------
    source : BaseSource
        MS on its own grid, which begins where the PAN's does (after a first block that is cut,
        where pixels were repeated).
    alignment : Alignment
        The map that belongs to it.
    notes : tuple of str
        What was done; also given as a warning.

    Raises
    ------
    OptionError
        The ratio is not whole, or the pixels are repeated more often than it says.
    GridMismatchError
        The image has no whole block.
    """
    step = round(ratio)
    if step < 2 or abs(ratio - step) > 1e-6:
        raise OptionError(
            f"the MS '{label}' lies on the PAN's grid already; bringing it back to its own takes "
            f"a whole --ratio of 2 or more, not {ratio:g}"
        )
    if min(source.height, source.width) < 2 * step:
        raise GridMismatchError(f"'{label}' is smaller than two MS pixels at --ratio {step}")
    found = repetition(source)
    if found is not None and found[0] % step == 0 and found[0] != step:
        raise OptionError(
            f"the MS '{label}' holds every pixel {found[0]} x {found[0]} times, which is more than "
            f"--ratio {step} says; give --ratio {found[0]}"
        )
    head = f"the MS '{label}' was upsampled to the PAN's grid before it came here"
    back: BaseSource
    if found is not None and found[0] == step:
        back = ThinnedSource(source, *found)
        alignment = Alignment.corner(float(step)).shifted(float(found[1]), float(found[2]))
        how = f"one of each {step} x {step} equal pixels is taken, which loses nothing"
    else:
        back = AveragedSource(source, step)
        alignment = Alignment.corner(float(step))
        how = (
            f"means of {step} x {step} pixels are taken, on a grid that begins with the PAN's: "
            "what the upsampling blurred stays blurred, the MS before it would be better"
        )
    text = f"{head}: {how} ({back.height} x {back.width} pixels)"
    warnings.warn(text, PansharpWarning, stacklevel=4)
    return back, alignment, (text,)
