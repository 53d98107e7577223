"""The classical product that the report shows beside the product, for single windows."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pansharp.chips import read_chip
from pansharp.engine import default_workers, facts_of, prepare
from pansharp.errors import GridMismatchError, ModelError
from pansharp.models import create_model, get_spec, is_model
from pansharp.options import FuseOptions
from pansharp.report.inputs import number, part
from pansharp.source import RasterSource, read_padded

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from pansharp.geometry.grids import Window
    from pansharp.models.base import Fuser
    from pansharp.report.inputs import Inputs
    from pansharp.scene import Scene

__all__ = ["FileRival", "FusedRival", "Rival", "find_rival"]


class Rival(Protocol):
    """Another product of the same scene, made window by window."""

    @property
    def label(self) -> str:
        """What it is called."""
        ...

    def read(self, window: Window) -> NDArray[np.float32]:
        """Pixels (band, y, x) of a window inside the scene."""
        ...


@dataclass(frozen=True)
class FileRival:
    """A product in a file.

    Parameters
    ----------
    label : str
        Its name.
    source : RasterSource
        On the grid of the product.
    """

    label: str
    source: RasterSource

    def read(self, window: Window) -> NDArray[np.float32]:
        """Pixels (band, y, x) of a window; invalid ones are filled."""
        return read_padded(self.source, window)[0]


@dataclass(frozen=True)
class FusedRival:
    """A classical method, fused where it is looked at.

    Parameters
    ----------
    label : str
        Its name.
    scene : Scene
        The whole scene.
    fuser : Fuser
        With the statistics of the whole scene.
    """

    label: str
    scene: Scene
    fuser: Fuser

    def read(self, window: Window) -> NDArray[np.float32]:
        """Pixels (band, y, x) of a window."""
        return self.fuser(read_chip(self.scene, window, self.fuser.halo))


def _best_classical(inputs: Inputs) -> str | None:
    """The best classical method of the card that did not make the product itself."""
    reduced, used = part(inputs.card, "reduced"), part(inputs.card, "model").get("used")
    name = reduced.get("classical_name")
    if isinstance(name, str) and name != used and _usable(name):
        return name
    scores = {
        key: number(part(part(reduced, "candidates"), key).get("ergas"))
        for key in part(reduced, "candidates")
        if key not in (used, "exp") and _usable(key)
    }
    known = {key: value for key, value in scores.items() if value is not None}
    return min(known, key=lambda key: known[key]) if known else None


def _usable(name: str) -> bool:
    return is_model(name) and get_spec(name).kind == "classical"


def find_rival(
    inputs: Inputs,
    classical: str | None = None,
    *,
    progress: Callable[[float, float, str], None] | None = None,
) -> Rival | None:
    """The other product to show.

    Parameters
    ----------
    inputs : Inputs
        The product with its scene.
    classical : str, optional
        A file, or a classical method; default the best one of the card.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Rival or None
        None where there is no scene, or the card names no other method.

    Raises
    ------
    GridMismatchError
        A file of another shape.
    ModelError
        Neither a file nor a classical method.
    """
    if classical is not None and (os.path.exists(classical) or not is_model(classical.lower())):
        source = RasterSource(classical)
        own = inputs.product
        if (source.bands, source.height, source.width) != (own.bands, own.height, own.width):
            raise GridMismatchError(
                f"'{classical}' has {source.bands} x {source.height} x {source.width} (bands, "
                f"rows, columns), the product {own.bands} x {own.height} x {own.width}; give a "
                "product of the same scene"
            )
        return FileRival(Path(classical).name, source)
    if classical is not None and not _usable(classical.lower()):
        raise ModelError(
            f"'{classical}' is no classical method; give one of `pansharp models`, or a file"
        )
    scene = inputs.scene
    name = classical.lower() if classical is not None else _best_classical(inputs)
    if scene is None or name is None:
        return None
    passes = number(part(inputs.card, "model").get("backprojections")) or 0
    fuser, scene = _fuser(inputs, scene, name, min(2, max(0, int(passes))), progress)
    return FusedRival(name, scene, fuser)


def _fuser(
    inputs: Inputs,
    scene: Scene,
    name: str,
    passes: int,
    progress: Callable[[float, float, str], None] | None,
) -> tuple[Fuser, Scene]:
    from pansharp.outcome import check_model

    check_model(scene, name)
    workers = default_workers()
    gains = inputs.gains
    if "hsi" in get_spec(name).tasks:
        from pansharp.hyperspectral import prepare_pair
        from pansharp.outcome.cube_fusers import prepare_fuser

        # The shift of the card is in the scene already.
        mtf = f"{gains[0]!r}" if gains is not None else "table"
        options = FuseOptions.checked(model=name, coregister="off", mtf=mtf)
        pair = prepare_pair(scene, options)
        fuser, _ = prepare_fuser(pair, name, passes=passes, workers=workers, progress=progress)
        return fuser, pair.scene
    from pansharp.outcome.base import with_passes

    facts = facts_of(scene)
    if gains is not None:
        facts = replace(facts, ms_gains=gains)
    fuser = prepare(create_model(name), scene, facts, workers=workers, progress=progress)
    return with_passes(fuser, facts, passes), scene
