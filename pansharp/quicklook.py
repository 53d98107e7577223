"""Quicklooks: PAN, MS and product side by side in one picture, one stretch for all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pansharp.errors import OptionError, WriteError
from pansharp.pictures import Stretch, View, any_bands, encode, look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pansharp.geometry.grids import AxisMap
    from pansharp.scene import Scene

__all__ = ["check_target", "quicklook", "write_quicklook"]

_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
#: Pixels between the pictures, transparent (white in JPEG).
_GAP = 8
#: A picture this many times as wide as high goes below the others, not beside them.
_WIDE = 2.0


def check_target(path: str | Path, *, overwrite: bool = False) -> Path:
    """Refuse a file that could not be written, before any work.

    Parameters
    ----------
    path : str or Path
        The picture.
    overwrite : bool
        Whether it may exist.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        Its ending names no format for pictures.
    WriteError
        The folder does not exist, or the file does.
    """
    target = Path(path)
    if target.suffix.lower() not in _FORMATS:
        raise OptionError(f"'{target}' is no picture file; end it with .png, .jpg or .webp")
    if not target.parent.is_dir():
        raise WriteError(
            f"the folder '{target.parent}' does not exist; create it or change the file"
        )
    if target.exists() and not overwrite:
        raise WriteError(f"'{target}' exists already; pass --overwrite to replace it")
    return target


def quicklook(scene: Scene, fused: object = None, *, size: int = 1024) -> NDArray[np.uint8]:
    """PAN, MS and, if given, the product side by side; very wide ones one below the other.

    Parameters
    ----------
    scene : Scene
        The pair; it is read through overviews or strip by strip.
    fused : path, Source or array, shape (band, y, x), optional
        The product on the grid of the PAN.
    size : int
        Longest side of each of the pictures, pixels.

    Returns
    -------
    ndarray, shape (y, x, 4), uint8
        RGBA, transparent where there is no data. Red, green and blue where the bands are known,
        else false colour, else three bands. The stretch is 1 to 99 % of MS and product together;
        the PAN has it too where that suits its values, else one of its own. MS pixels are
        squares at their true places.

    Raises
    ------
    OptionError
        `size` below 1, or a product of another shape.
    """
    bands, _ = any_bands(scene.band_names, scene.wavelengths)
    low = look(scene.ms_source, bands=bands, size=size)
    views = [low]
    if fused is not None:
        product = look(fused, bands=bands, size=size)
        if (product.window.height, product.window.width) != scene.shape[1:]:
            raise OptionError(
                f"the product has {product.window.height} x {product.window.width} pixels, the "
                f"scene {scene.shape[1]} x {scene.shape[2]}; give the product of this scene"
            )
        views.append(product)
    stretch = Stretch.joint(views)
    guide = _guide(scene, size)
    pictures = [_guide_stretch(guide, stretch)(guide), _on_grid(stretch(low), low, guide, scene)]
    pictures += [stretch(view) for view in views[1:]]
    return _joined(pictures)


def write_quicklook(
    scene: Scene,
    path: str | Path,
    fused: object = None,
    *,
    size: int = 1024,
    overwrite: bool = False,
) -> Path:
    """Write a quicklook; the ending of `path` decides between PNG, JPEG and WebP.

    Parameters
    ----------
    scene, fused, size
        See :func:`quicklook`.
    path : str or Path
        The picture; it appears whole or not at all.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        No picture file.
    WriteError
        The file cannot be written.
    """
    target = check_target(path, overwrite=overwrite)
    data = encode(quicklook(scene, fused, size=size), _FORMATS[target.suffix.lower()], quality=90)
    part = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        part.write_bytes(data)
        os.replace(part, target)
    except OSError as problem:
        raise WriteError(f"cannot write '{target}': {problem.strerror}") from problem
    finally:
        part.unlink(missing_ok=True)
    return target


def _guide(scene: Scene, size: int) -> View:
    """The image that gives the detail, in colour where it has any."""
    source = scene.pan_source
    bands: tuple[int, ...] = (0,)
    if source.bands >= 3:
        names = source.band_names or tuple(f"b{i + 1}" for i in range(source.bands))
        bands, _ = any_bands(names, scene.guide_wavelengths)
    return look(source, bands=bands, size=size)


def _guide_stretch(guide: View, shared: Stretch) -> Stretch:
    """The shared stretch where it suits the guide, else one of its own."""
    wanted = shared if len(guide.data) == len(shared.low) else shared.grey()
    return wanted if wanted.suits(guide) else Stretch.joint([guide])


def _on_grid(
    picture: NDArray[np.uint8], view: View, guide: View, scene: Scene
) -> NDArray[np.uint8]:
    """The MS on the pixels of the guide's view, nearest neighbour; transparent beyond its edge."""

    def places(axis: AxisMap, count: int, size: int) -> NDArray[np.intp]:
        centres = (np.arange(count) + 0.5) * guide.step - 0.5
        index = np.floor((centres - axis.offset) / axis.scale + 0.5) // view.step
        found: NDArray[np.intp] = index.clip(-1, size).astype(np.intp)
        return found

    height, width = guide.valid.shape
    rows = places(scene.alignment.y, height, picture.shape[0])
    cols = places(scene.alignment.x, width, picture.shape[1])
    out: NDArray[np.uint8] = picture[
        np.ix_(rows.clip(0, picture.shape[0] - 1), cols.clip(0, picture.shape[1] - 1))
    ]
    outside = ((rows < 0) | (rows >= picture.shape[0]))[:, None]
    outside = outside | ((cols < 0) | (cols >= picture.shape[1]))
    out[outside] = 0
    return out


def _joined(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    below = width > _WIDE * height
    count = len(pictures)
    rows = count * height + (count - 1) * _GAP if below else height
    cols = width if below else count * width + (count - 1) * _GAP
    sheet = np.zeros((rows, cols, 4), dtype=np.uint8)
    for index, picture in enumerate(pictures):
        row = index * (height + _GAP) if below else 0
        col = 0 if below else index * (width + _GAP)
        sheet[row : row + picture.shape[0], col : col + picture.shape[1]] = picture
    return sheet
