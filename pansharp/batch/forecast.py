"""What a batch will take before it is run: time, memory and space, from a few opened scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pansharp.batch.cost import Cost, SceneSize, calibration, estimate, fits
from pansharp.batch.records import DONE
from pansharp.errors import PansharpError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pansharp.batch.plan import Plan
    from pansharp.batch.settings import BatchSettings

__all__ = ["Forecast", "forecast"]

#: Scenes that are opened for it, and packed ones among them, which must be unpacked for that.
_OPENED, _UNPACKED = 16, 2
#: Endings of packed deliveries.
_PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".gz")


@dataclass(frozen=True)
class Forecast:
    """What is reckoned.

    Parameters
    ----------
    scenes, opened : int
        Scenes to do, and those of them whose size was read; the rest is taken as like them, pixel
        for byte.
    cpu_seconds, wall_seconds : float
        Processor time of all, and time until the last product with the workers asked for.
    workers : int
        Workers that the wall time is reckoned with.
    peak_mib : float
        Memory of the heaviest scene, one worker.
    product_bytes, free_bytes : int
        Space of the products with what lies beside them while they are made, and what is free.
    split : int
        Scenes that are too large for a worker.
    factor : float
        How slow this machine is against the one that the figures come from, by finished scenes.
    """

    scenes: int
    opened: int
    cpu_seconds: float
    wall_seconds: float
    workers: int
    peak_mib: float
    product_bytes: int
    free_bytes: int
    split: int
    factor: float

    def text(self) -> str:
        """Two lines for people."""
        lines = [
            f"about {_span(self.wall_seconds)} with {self.workers} worker(s), "
            f"{_span(self.cpu_seconds)} of processor time; {self.peak_mib / 1024:.1f} GiB of "
            f"memory for the heaviest scene; {self.product_bytes / 1e9:.2f} GB to write, "
            f"{self.free_bytes / 1e9:.1f} GB free",
            f"reckoned from {self.opened} opened scene(s)"
            + (f", {self.split} to be split among the workers" if self.split else "")
            + ("; a guess until a few scenes are done" if self.factor == 1.0 else ""),
        ]
        if self.product_bytes > self.free_bytes:
            lines.append("not enough space: free some, or choose another -o")
        return "\n".join(lines)


def forecast(plan: Plan, settings: BatchSettings) -> Forecast | None:
    """Reckon a plan.

    Parameters
    ----------
    plan : Plan
        What is to be done.
    settings : BatchSettings
        Options.

    Returns
    -------
    Forecast or None
        None when nothing is to be done, or no scene could be opened.
    """
    from pansharp.batch.cluster import default_processes, usable_memory
    from pansharp.engine import default_workers
    from pansharp.scratch import free_bytes

    sizes = {path: size for path in plan.todo if (size := _known(plan.rows[path])) is not None}
    sizes |= _opened(plan, settings, sizes)
    if not sizes:
        return None
    workers = max(1, min(settings.workers or default_processes(), len(plan.todo)))
    threads = settings.threads or max(1, default_workers() // workers)
    memory = settings.memory or usable_memory() // workers
    options = settings.options()

    def cost(size: SceneSize) -> Cost:
        return estimate(size, options, threads=threads)

    finished = [
        (cost(size).wall_seconds(row["facts"].get("threads") or threads), float(row["seconds"]))
        for row in plan.rows.values()
        if row["status"] == DONE and row["seconds"] and (size := _known(row)) is not None
    ]
    factor = calibration(finished)
    costs = [
        cost(sizes.get(path) or _like(plan, path, sizes))
        for path in plan.todo
        if not plan.rows[path]["problem"]
    ]
    wall = [one.wall_seconds(threads) * factor for one in costs]
    folder = next(f for f in (settings.output, *settings.output.absolute().parents) if f.is_dir())
    return Forecast(
        scenes=len(plan.todo),
        opened=len(sizes),
        cpu_seconds=factor * sum(one.cpu_seconds for one in costs),
        wall_seconds=max([sum(wall) / workers, *wall]),
        workers=workers,
        peak_mib=max(one.peak_mib for one in costs),
        product_bytes=sum(one.product_bytes for one in costs)
        + workers * max(one.scratch_bytes for one in costs),
        free_bytes=free_bytes(folder),
        split=sum(not fits(one, memory) for one in costs) if settings.split == "auto" else 0,
        factor=factor,
    )


def _known(row: Mapping[str, Any]) -> SceneSize | None:
    """Size of a scene that has been opened before."""
    facts = row.get("facts") or {}
    if not all(facts.get(key) for key in ("height", "width", "bands", "ratio")):
        return None
    return SceneSize(
        *(facts["height"], facts["width"], facts["bands"], facts["ratio"]),
        facts.get("itemsize") or 2,
    )


def _opened(
    plan: Plan, settings: BatchSettings, known: Mapping[str, SceneSize]
) -> dict[str, SceneSize]:
    """Sizes of some scenes, spread over the plan."""
    from pansharp.readers import open_scene

    todo = [path for path in plan.todo if path not in known and not plan.rows[path]["problem"]]
    plain = [path for path in todo if not path.lower().endswith(_PACKED)]
    packed = sorted(set(todo) - set(plain), key=lambda path: (plan.sizes[path], path))
    found = {}
    given: dict[str, Any] = {
        key: tuple(value) if key in ("bbox", "window", "bands") else value
        for key, value in settings.scene.items()
    }
    for path in [*plain[:: math.ceil(len(plain) / _OPENED) or 1], *packed[:_UNPACKED]]:
        try:
            scene = open_scene(None if settings.named is not None else path, **given)
        except PansharpError:
            continue  # it will fail, and cost nothing
        packed_bytes = plan.sizes[path] if path in packed else 0
        found[path] = SceneSize.of(scene, packed=packed_bytes)
        scene.close()
    return found


def _like(plan: Plan, path: str, sizes: Mapping[str, SceneSize]) -> SceneSize:
    """Size of a scene that was not opened: pixels by the bytes of one of its kind."""
    packed = path.lower().endswith(_PACKED)
    reader = plan.rows[path]["reader"]

    def strangeness(other: str) -> tuple[bool, bool, int]:
        return (
            plan.rows[other]["reader"] != reader,
            other.lower().endswith(_PACKED) != packed,
            abs(plan.sizes[other] - plan.sizes[path]),
        )

    nearest = min(sizes, key=strangeness)
    size = sizes[nearest]
    share = plan.sizes[path] / max(1, plan.sizes[nearest])
    return replace(
        size,
        rows=max(1, round(size.rows * share)),
        packed=plan.sizes[path] if packed else 0,
    )


def _span(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} days"
