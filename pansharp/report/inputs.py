"""A product, its card, and the scene that it was made from, found again."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.card import card_path, digest
from pansharp.errors import GridMismatchError, PansharpError, ReaderError, SceneError
from pansharp.geometry.grids import Window
from pansharp.source import RasterSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pansharp.scene import Affine6, Scene

__all__ = ["Inputs", "load", "number", "numbers", "part", "read_product_card"]

#: Cards are a few kilobytes; what is larger is none.
_LARGEST_CARD = 2 * 2**20
_SECTIONS = ("scene", "model", "alignment", "reduced", "full", "conventions", "timings")
_FILES = ("pan", "ms", "hsi", "msi")


@dataclass(frozen=True)
class Inputs:
    """What a report is made of.

    Parameters
    ----------
    path : Path
        The product.
    product : RasterSource
        Its pixels.
    card : dict
        Its card; empty without one.
    scene : Scene or None
        The pair on the grid of the product, with the shift that the fusion applied.
    notes : tuple of str
        What a reader must know of how they were found.
    """

    path: Path
    product: RasterSource
    card: dict[str, Any]
    scene: Scene | None
    notes: tuple[str, ...] = ()

    @property
    def full(self) -> Window:
        """All pixels of the product."""
        return Window(0, 0, self.product.height, self.product.width)

    @property
    def gains(self) -> tuple[float, ...] | None:
        """MTF gain at Nyquist of each band that the card names; None where it names none."""
        conventions = part(self.card, "conventions")
        psf = part(conventions, "psf").get("mtf_gain")
        found = [psf] * self.product.bands if psf is not None else conventions.get("mtf_gains")
        values = numbers(found, self.product.bands)
        return None if values is None or not all(0 < v < 1 for v in values) else values

    @property
    def is_cube(self) -> bool:
        """Whether the card is one of a hyperspectral fusion."""
        return "guide_response" in part(self.card, "conventions")


def part(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A mapping inside a mapping; empty where there is none."""
    value = mapping.get(key)
    return value if isinstance(value, dict) else {}


def number(value: object) -> float | None:
    """A finite number, or None for anything else that a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def numbers(values: object, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, or None."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    found = [number(value) for value in values]
    known = tuple(value for value in found if value is not None)
    return known if len(known) == count else None


def read_product_card(path: Path) -> dict[str, Any]:
    """Read the card beside a product.

    Parameters
    ----------
    path : Path
        The product.

    Returns
    -------
    dict
        Empty where there is no card.

    Raises
    ------
    ReaderError
        The file is no card.
    """
    place = card_path(path)
    try:
        if place.stat().st_size > _LARGEST_CARD:
            raise ReaderError(f"'{place}' is too large for a score card; move it away")
        card = json.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as problem:
        raise ReaderError(f"'{place}' cannot be read as a score card: {problem}") from problem
    wrong = (
        _SECTIONS[:1]
        if not isinstance(card, dict)
        else [key for key in _SECTIONS if key in card and not isinstance(card[key], dict)]
    )
    if wrong or "pansharp" not in card:
        raise ReaderError(
            f"'{place}' is no score card (keys as in docs/card.md are missing or of another kind); "
            "fuse again, or move it away for a report without figures"
        )
    return dict(card)


def load(
    path: str | os.PathLike[str],
    scene: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Inputs:
    """Open a product, its card, and its scene.

    Parameters
    ----------
    path : path
        The product.
    scene : path, optional
        What :func:`pansharp.open_scene` takes: the delivery, where the files have been moved.
    **options
        Keywords of :func:`pansharp.open_scene`: ``pan`` and ``ms`` (or ``msi`` and ``hsi``) where
        files have been moved, and what a fusion of a part was given.

    Returns
    -------
    Inputs

    Raises
    ------
    ReaderError
        The product, the card or the files of the scene cannot be found or read.
    GridMismatchError
        The files are not those of the product.
    """
    target = Path(path)
    if target.suffix.lower() == ".zarr":
        raise ReaderError(
            f"'{target}' is a Zarr store, which reports do not read; fuse with --format cog"
        )
    product = RasterSource(os.fspath(target))
    card = read_product_card(target)
    given = {key: value for key, value in options.items() if value not in (None, ())}
    notes: list[str] = []
    named = scene is not None or any(given.get(key) for key in _FILES)
    if not card and not named:
        return Inputs(target, product, {}, None)
    if not named:
        scene, found = _search(target, card, notes)
        given |= found
    told = part(card, "scene")
    if isinstance(told.get("sensor"), str):
        given.setdefault("sensor", told["sensor"])
    if kind := part(told, "radiometry").get("kind"):
        given.setdefault("radiometry", str(kind))
    from pansharp.readers import open_scene

    opened = open_scene(scene, **given)
    opened = _on_grid(_with_bands(opened, told, product), product, target)
    shift = numbers(part(card, "alignment").get("applied_rows_cols_pan_px"), 2)
    if shift is not None and any(shift):
        opened = opened.shifted(*shift)
    if card:
        notes += _strangers(opened, told)
    return Inputs(target, product, card, opened, tuple(notes))


def _search(
    path: Path, card: Mapping[str, Any], notes: list[str]
) -> tuple[str | None, dict[str, Any]]:
    """The files that the card names, beside the product or in the working folder."""
    files = part(part(card, "scene"), "files")
    paths: dict[str, list[str]] = {}
    for role, entries in files.items():
        for entry in entries if isinstance(entries, list) else []:
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
                raise ReaderError(
                    f"the card of '{path}' names no file for {role}; give the files with --pan "
                    "and --ms"
                )
            paths.setdefault(role, []).append(_beside(path, name, entry, card))
    if not paths:
        raise ReaderError(
            f"the card of '{path}' names no files (a fusion of arrays); give them with --pan and "
            "--ms"
        )
    for role in ("archive", "item"):
        if role in paths:
            return paths[role][0], {}
    if not {"pan", "ms"} <= paths.keys():
        raise ReaderError(
            f"the card of '{path}' names files for {', '.join(paths)}; give them with --pan and "
            "--ms"
        )
    low: str | Sequence[str] = paths["ms"][0] if len(paths["ms"]) == 1 else paths["ms"]
    response = part(part(card, "conventions"), "guide_response").get("bands")
    if isinstance(response, list):
        return None, {"msi" if len(response) > 1 else "pan": paths["pan"][0], "hsi": low}
    return None, {"pan": paths["pan"][0], "ms": low}


def _beside(path: Path, name: str, entry: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    folders = list(dict.fromkeys([path.absolute().parent, Path.cwd()]))
    found = [folder / name for folder in folders if (folder / name).exists()]
    if not found:
        told = part(card, "scene").get("name")
        raise ReaderError(
            f"'{name}' of scene '{told}' lies neither beside '{path}' nor here; give the files "
            "with --pan and --ms (--msi and --hsi), or the delivery behind the product"
        )
    same = [place for place in found if _matches(place, entry)]
    return str((same or found)[0])


def _matches(place: Path, entry: Mapping[str, Any]) -> bool:
    own = digest(place)
    keys = [key for key in ("sha256", "sha256_of_parts") if own.get(key)]
    return any(own[key] == entry.get(key) for key in keys)


def _strangers(scene: Scene, told: Mapping[str, Any]) -> list[str]:
    """A sentence for each file whose bytes are not those that were fused."""
    known = {
        entry.get(key)
        for entries in part(told, "files").values()
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict)
        for key in ("sha256", "sha256_of_parts")
        if isinstance(entry.get(key), str)
    }
    if not known:
        return []
    notes = []
    for paths in scene.files.values():
        for path in paths:
            own = digest(Path(path))
            value = own.get("sha256") or own.get("sha256_of_parts")
            if value is not None and value not in known:
                notes.append(
                    f"'{Path(path).name}' is not the file that was fused (another digest): "
                    "pictures and spectra of the input show the file of today"
                )
    return notes


def _with_bands(scene: Scene, told: Mapping[str, Any], product: RasterSource) -> Scene:
    names = told.get("bands")
    if isinstance(names, list) and names and tuple(map(str, names)) != scene.band_names:
        try:
            scene = scene.select_bands([str(name) for name in names])
        except PansharpError as problem:
            raise SceneError(f"the scene is not that of the product: {problem}") from problem
    if scene.bands != product.bands:
        raise GridMismatchError(
            f"the product has {product.bands} bands, the scene {scene.bands}; give the files that "
            "were fused, or --bands as for the fusion"
        )
    return scene


def _on_grid(scene: Scene, product: RasterSource, path: Path) -> Scene:
    """The part of the scene that the product covers."""
    own: Affine6 = tuple(product.dataset().transform)[:6]
    theirs = scene.transform
    height, width = product.height, product.width
    a, b, c, d, e, f = theirs
    size = math.hypot(a, d)
    same = all(math.isclose(own[i], theirs[i], abs_tol=1e-6 * size) for i in (0, 1, 3, 4))
    det = a * e - b * d
    dx, dy = own[2] - c, own[5] - f
    col, row = (e * dx - b * dy) / det, (a * dy - d * dx) / det
    window = Window(round(row), round(col), height, width)
    full = Window(0, 0, *scene.shape[1:])
    close = abs(row - window.row) < 1e-2 and abs(col - window.col) < 1e-2
    if not (same and close and window.intersect(full) == window):
        raise GridMismatchError(
            f"'{path}' has {height} x {width} pixels on another grid than the scene of "
            f"{scene.shape[1]} x {scene.shape[2]}; give the files that were fused, and --bbox, "
            "--window or --ortho as for the fusion"
        )
    return scene if window == full else scene.crop(window)
