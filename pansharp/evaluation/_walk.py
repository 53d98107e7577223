"""One walk over two images for many indices: every pixel is read once, whatever is asked.

The images are cut into rectangles; each is read with the margin that the indices need, worked on
in a thread, and its results are added up in the order of the rectangles, so that neither threads
nor the way of storing an image change a score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pansharp.evaluation import _views as views
from pansharp.evaluation._blocks import block_count
from pansharp.tiling import ordered_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pansharp.evaluation._views import Rect, View

    Floats = NDArray[np.float64]

__all__ = ["BlockSink", "Held", "Part", "walk"]

T = TypeVar("T")

BlockSink = Callable[[int, int, "dict[str, Floats]"], object]
"""Takes maps of blocks: first block row, first block column, name to values ``(row, col)``."""


class Held(views.View):
    """An image of which one window is in memory; the rest is read when somebody asks for it."""

    def __init__(self, base: View, rect: Rect) -> None:
        super().__init__(base.bands, base.height, base.width)
        r0, r1, c0, c1 = rect
        self._base = base
        self._rect = (max(r0, 0), min(r1, base.height), max(c0, 0), min(c1, base.width))
        self._pixels = base.inside(self._rect)

    def inside(self, rect: Rect) -> NDArray[np.generic]:
        """Pixels of a window that lies inside the image; not to be changed."""
        top, bottom, left, right = self._rect
        r0, r1, c0, c1 = rect
        if r0 >= top and r1 <= bottom and c0 >= left and c1 <= right:
            return self._pixels[:, r0 - top : r1 - top, c0 - left : c1 - left]
        return self._base.inside(rect)


class Part(Protocol[T]):
    """One index, or several that need the same sums.

    Attributes
    ----------
    reach : (int, int)
        Pixels that it needs before and behind a rectangle.
    """

    reach: tuple[int, int]

    def over(self, first: View, second: View, mask: View | None, rect: Rect) -> T:
        """Sums over a rectangle, which may reach beyond the right and bottom edge; in threads."""

    def take(self, sums: T) -> dict[str, Floats]:
        """Add the sums of the next rectangle; give what they say of single blocks, by name."""


def walk(
    first: View,
    second: View,
    mask: View | None,
    parts: Iterable[Part[Any]],
    *,
    step: int = 1,
    workers: int = 1,
    sink: BlockSink | None = None,
) -> None:
    """Show every part all rectangles, whose corners lie on multiples of `step`."""
    shown = list(parts)
    before = max(part.reach[0] for part in shown)
    after = max(part.reach[1] for part in shown)

    def over(rect: Rect) -> list[object]:
        r0, r1, c0, c1 = rect
        wide = (r0 - before, r1 + after, c0 - before, c1 + after)
        one, two = Held(first, wide), Held(second, wide)
        valid = None if mask is None else Held(mask, wide)
        return [part.over(one, two, valid, rect) for part in shown]

    _, height = block_count(first.height, step, step)
    _, width = block_count(first.width, step, step)
    rects = list(views.pieces(height, width, first.bands, step))
    for rect, results in zip(
        rects, ordered_map(over, rects, workers=workers if len(rects) > 1 else 1), strict=True
    ):
        blocks: dict[str, Floats] = {}
        for part, result in zip(shown, results, strict=True):
            blocks |= part.take(result)
        if sink is not None and blocks:
            sink(rect[0] // step, rect[2] // step, blocks)
