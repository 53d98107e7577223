"""Real scenes degraded by their own ratio after Wald's protocol, window by window."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pansharp.adaptation.level import BORDER, reduce_window, sample_windows
from pansharp.card import scene_digests
from pansharp.errors import GridMismatchError, SceneError
from pansharp.geometry.grids import Window
from pansharp.geometry.kernels import MtfGaussian
from pansharp.training.examples import LEAST_SIDE, Example, Traits, grain_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pansharp.models.base import SceneFacts
    from pansharp.scene import Scene

__all__ = ["WaldSite", "reach_of", "wald_site"]

#: MS pixels of a scene that its anchor is fitted to.
_SAMPLE = 110_000


def reach_of(ratio: float, gains: tuple[float, ...]) -> int:
    """Fine pixels that the blur of the coarse image looks at on either side."""
    return math.ceil(MtfGaussian(ratio, min(gains)).radius) + 1


@dataclass(frozen=True)
class WaldSite:
    """A scene whose MS is the truth of a coarser pair.

    Parameters
    ----------
    name, path : str
        See :class:`Site`.
    traits : Traits
        See :class:`Site`.
    whole, area : Window
        MS pixels that may be read, and those that patches may lie in.
    read : callable
        Gives the scene, with open files of its own if any.
    """

    name: str
    path: str
    traits: Traits
    whole: Window
    area: Window
    read: Callable[[], Scene] = field(repr=False)

    def example(self, window: Window, context: int) -> Example:
        """Degrade a window of MS pixels; only it and its surroundings are read."""
        ratio, gains = self.traits.ratio, self.traits.gains
        grain = grain_of(ratio)
        margin = math.ceil(max(context, reach_of(ratio, gains)) / grain) * grain
        # Both begin at the same phase of the coarse grid, so the cut does too.
        grown = window.expand(margin).intersect(self.whole)
        scene = self.read()
        try:
            reduced = reduce_window(scene, grown, gains)
        finally:
            # An archive has more files than a process may hold open.
            scene.close()
        if reduced.reference.shape[1:] != grown.shape:
            raise SceneError(
                f"'{self.path}': PAN and MS of '{self.name}' do not cover the same ground in rows "
                f"{grown.row} to {grown.row_end} of the MS; cut the scene with its window option"
            )
        valid = None if reduced.valid.all() else reduced.valid
        return Example(reduced.scene, reduced.reference, valid, window.relative_to(grown))

    def digests(self) -> list[str]:
        """Digests of the files that it is read from."""
        scene = self.read()
        try:
            return scene_digests(scene)
        finally:
            scene.close()

    def overview(self) -> list[Example]:
        """Give windows spread over the scene."""
        scene = self.read()
        windows = [w.intersect(self.area) for w in sample_windows(scene, _SAMPLE)]
        kept = [w for w in windows if min(w.shape) >= LEAST_SIDE] or [self.area]
        return [self.example(w, 0) for w in kept]


def wald_site(
    name: str,
    path: str,
    shape: tuple[Window, SceneFacts],
    traits: Traits,
    read: Callable[[], Scene],
    hint: str = "",
) -> WaldSite:
    """Make a site of a scene.

    Parameters
    ----------
    name, path : str
        See :class:`Site`.
    shape : (Window, SceneFacts)
        MS pixels under the PAN, and the facts of the scene.
    traits : Traits
        Of the degraded pair.
    read : callable
        Gives the scene.
    hint : str
        What to add to the message where the scene is too small.

    Raises
    ------
    GridMismatchError
        The scene is too small.
    """
    inside, facts = shape
    grain = grain_of(facts.alignment.ratio)
    # A border of the scene is neither trained on nor scored, as in adaptation; a first coarse pixel
    # is left out altogether, because a shift may have moved it off the PAN.
    border = math.ceil(BORDER / grain) * grain
    area = inside.expand(-border)
    area = Window(
        area.row, area.col, *(max(0, size) // grain * grain for size in (area.height, area.width))
    )
    if min(area.shape) < LEAST_SIDE:
        least = LEAST_SIDE + 2 * border
        raise GridMismatchError(
            f"'{name}' of '{path}' has {inside.height} x {inside.width} MS pixels; degrading it by "
            f"its own ratio needs {least} x {least} at least{hint}"
        )
    return WaldSite(name, path, traits, inside.expand(-grain), area, read)
