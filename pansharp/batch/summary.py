"""The summary of a batch: one table as CSV, JSON and a page."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING, Any

from pansharp.batch.page import page
from pansharp.batch.records import DONE, FAILED
from pansharp.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["COLUMNS", "summary_of", "write_summary"]

COLUMNS = (
    *("scene", "status", "verdict", "used", "rho", "ergas", "sam", "hqnr", "qnr", "sensor"),
    *("acquired", "bands", "height", "width", "ratio", "seconds", "megapixels_per_s", "attempts"),
    *("donor", "steps", "warnings", "product", "sha256", "reason", "path"),
)


def summary_of(rows: Iterable[Mapping[str, Any]], *, model: str, seconds: float) -> dict[str, Any]:
    """The summary as one JSON-ready document.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of the state.
    model : str
        The method.
    seconds : float
        Wall time of this run.

    Returns
    -------
    dict
        ``model``, ``pansharp``, ``counts``, ``seconds``, ``scenes`` (keys: `COLUMNS`).
    """
    from pansharp.batch.job import versions

    # An archive that turned out to hold several scenes is none itself.
    lines = [_line(row) for row in rows if not (row["status"] == DONE and not row["product"])]
    counts = {
        "scenes": len(lines),
        "done": sum(line["status"] == DONE for line in lines),
        "failed": sum(line["status"] == FAILED for line in lines),
    }
    counts["waiting"] = counts["scenes"] - counts["done"] - counts["failed"]
    return {
        "model": model,
        "versions": versions(),
        "counts": counts,
        "seconds": round(seconds, 3),
        "scenes": lines,
    }


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    facts = row.get("facts") or {}
    done = row["status"] == DONE
    pixels = facts.get("height", 0) * facts.get("width", 0) / 1e6
    line: dict[str, Any] = {key: facts.get(key) for key in COLUMNS} if done else {}
    line = {**dict.fromkeys(COLUMNS), **line}
    line |= {
        "scene": row["name"],
        "status": "waiting" if row["status"] not in (DONE, FAILED) else row["status"],
        "reason": row["reason"],
        "path": row["path"],
        "attempts": row["attempts"],
        "sensor": facts.get("sensor"),
    }
    if done and row["product"]:
        seconds = row["seconds"] or 0.0
        line |= {
            "seconds": round(seconds, 3),
            "megapixels_per_s": round(pixels / seconds, 4) if seconds else None,
            "product": row["product"]["name"],
            "sha256": row["product"]["sha256"],
        }
    return line


def write_summary(folder: Path, document: Mapping[str, Any], work: Path) -> None:
    """Write ``summary.csv``, ``summary.json`` and ``summary.html``, each at once.

    Raises
    ------
    WriteError
        The disk is full, or the folder is closed.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _safe(v) for k, v in line.items()} for line in document["scenes"])
    texts = {
        "summary.csv": text.getvalue(),
        "summary.json": json.dumps(document, indent=1, ensure_ascii=False) + "\n",
        "summary.html": page(document),
    }
    for name, content in texts.items():
        part = work / name
        try:
            part.write_text(content, encoding="utf-8")
            os.replace(part, folder / name)
        except OSError as problem:
            raise WriteError(
                f"cannot write '{folder / name}': {problem.strerror or problem}; the products and "
                "the state are safe: run the same command again"
            ) from problem


def _safe(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return value
