"""What is to be done: scenes against what the state knows of them."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pansharp.batch.content import same_files, same_product, stamps
from pansharp.batch.records import DONE, FAILED, PENDING
from pansharp.errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pansharp.batch.records import Entry
    from pansharp.batch.settings import BatchSettings

__all__ = ["Plan", "make_plan", "product_name", "unique_names"]

_LONGEST = 120
#: Columns that come from the scene as it is now, whatever the state says.
_FRESH = ("position", "reader", "problem", "options", "files")


@dataclass
class Plan:
    """Scenes of a batch in their order, each with what becomes of it.

    Parameters
    ----------
    rows : dict
        By path: rows of the state as they are to be.
    changed : list of str
        Paths whose row differs from the state.
    why : dict
        By path: why a scene is done or done again, one or two words.
    left : list of str
        Paths of failed scenes that a plain run leaves alone.
    sizes : dict
        By path: bytes of the files of a scene.
    """

    rows: dict[str, dict[str, Any]]
    changed: list[str] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def todo(self) -> list[str]:
        """Paths of the scenes to do, in order."""
        return list(self.why)


def unique_names(entries: Sequence[Entry], taken: Mapping[str, str]) -> dict[str, str]:
    """A name for each scene that no other has, the same whenever it is asked.

    Parameters
    ----------
    entries : sequence of Entry
        All scenes.
    taken : mapping
        Path to name of scenes that have one already; they keep it.

    Returns
    -------
    dict
        Path to name: the reader's own, where that is not enough with the folders before it, and a
        digest of the path as the last resort.
    """
    names = dict(taken)
    used = {name.casefold() for name in taken.values()}
    fresh = [entry for entry in entries if entry.path not in names]
    wanted = {entry.path: _clean(entry.name) for entry in fresh}
    counts: dict[str, int] = {}
    for name in wanted.values():
        counts[name.casefold()] = counts.get(name.casefold(), 0) + 1
    for entry in fresh:
        name = wanted[entry.path]
        if counts[name.casefold()] > 1 or name.casefold() in used:
            parents = os.path.dirname(entry.path).split(os.sep)
            name = _clean(f"{parents[-1]}-{name}")
            clash = [
                other
                for other in fresh
                if other is not entry
                and wanted[other.path].casefold() == wanted[entry.path].casefold()
                and os.path.basename(os.path.dirname(other.path)) == parents[-1]
            ]
            if clash or name.casefold() in used or name.casefold() in counts:
                name = f"{name}-{hashlib.sha256(entry.path.encode()).hexdigest()[:8]}"
        used.add(name.casefold())
        names[entry.path] = name
    return names


def _clean(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._-")
    return plain[:_LONGEST] or "scene"


def make_plan(
    entries: Sequence[Entry],
    known: Mapping[str, Mapping[str, Any]],
    settings: BatchSettings,
    *,
    digest: str,
) -> Plan:
    """Compare the scenes with the state.

    Parameters
    ----------
    entries : sequence of Entry
        Scenes, sorted.
    known : mapping
        Rows of the state by path.
    settings : BatchSettings
        Options.
    digest : str
        Of the options that decide a product.

    Returns
    -------
    Plan

    Raises
    ------
    BatchError
        A product would replace a file that no batch of this folder wrote.
    """
    names = unique_names(entries, {path: str(row["name"]) for path, row in known.items()})
    plan = Plan({})
    strangers = []
    for position, entry in enumerate(entries):
        now = stamps(entry.files)
        plan.sizes[entry.path] = sum(size for size, _, _ in now.values())
        old = known.get(entry.path)
        row = {
            "path": entry.path,
            "model": settings.model,
            "name": names[entry.path],
            "position": position,
            "reader": entry.reader,
            "problem": entry.problem,
            "options": digest,
            "files": now,
            **dict.fromkeys(("reason", "product", "card", "facts", "seconds")),
            "status": PENDING,
            "passing": 0,
            "attempts": 0,
        }
        if old is None:
            why: str | None = "new"
            target = settings.output / product_name(names[entry.path], settings)
            if not settings.overwrite and target.exists():
                strangers.append(target)
        else:
            kept = {k: old[k] for k in row if k not in _FRESH}
            why, files = _judged(old, now, settings, digest)
            row |= {**kept, "files": files or now}
            if why is None:
                if old["status"] == FAILED:
                    plan.left.append(entry.path)
            else:
                row["status"] = PENDING
                if why not in ("unfinished", "failed before"):
                    row["facts"] = None
        plan.rows[entry.path] = row
        if old is None or any(old[key] != value for key, value in row.items()):
            plan.changed.append(entry.path)
        if why is not None:
            plan.why[entry.path] = why
    if strangers:
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        raise BatchError(
            f"'{strangers[0]}'{more} exists already and is of no batch in this folder; pass "
            "--overwrite to replace it, or choose another -o"
        )
    return plan


def _judged(
    old: Mapping[str, Any],
    now: dict[str, list[Any]],
    settings: BatchSettings,
    digest: str,
) -> tuple[str | None, dict[str, list[Any]] | None]:
    """Why a known scene is done again, or None; and the stamps of its files."""
    if settings.overwrite:
        return "--overwrite", None
    # An archive that holds several scenes has no product of its own.
    container = old["status"] == DONE and not old["product"]
    if old["options"] != digest and not container:
        return "other options", None
    if old["status"] not in (DONE, FAILED):
        return "unfinished", None
    files = same_files(old["files"], now)
    if files is None:
        return "other files", None
    if old["status"] == FAILED:
        if settings.retry_failed or old["passing"]:
            return "failed before", files
        return None, files
    if container:
        return None, files
    if not same_product(settings.output, old["product"], read=settings.verify):
        return "product changed or gone", files
    if old["card"] and not same_product(settings.output, old["card"], read=settings.verify):
        return "card changed or gone", files
    return None, files


def product_name(name: str, settings: BatchSettings) -> str:
    """File name of a product."""
    return f"{name}_{settings.model}{settings.suffix}"
