"""Means over scenes, and which method is best and second."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pansharp.evaluation import BEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["INDICES", "LABELS", "Cell", "Line", "Table", "ranks", "summarize"]

#: Indices in the order of the tables: name, heading, decimals printed.
INDICES: tuple[tuple[str, str, int], ...] = (
    ("q2n", "Q2n", 4),
    ("q", "Q", 4),
    ("sam", "SAM (deg)", 4),
    ("ergas", "ERGAS", 4),
    ("scc", "SCC", 4),
    ("ssim", "SSIM", 4),
    ("psnr", "PSNR (dB)", 3),
    ("psnr_bands", "PSNR, mean of bands (dB)", 3),
    ("rmse", "RMSE", 3),
    ("cc", "CC", 4),
    ("d_lambda", "D_lambda", 4),
    ("d_s", "D_s", 4),
    ("qnr", "QNR", 4),
    ("d_lambda_k", "D_lambda_K", 4),
    ("hqnr", "HQNR", 4),
    ("rmse_to_ms", "RMSE to MS (%)", 3),
)
LABELS = {name: label for name, label, _ in INDICES}
_DECIMALS = {name: decimals for name, _, decimals in INDICES}
#: Perfect values of what the indices' own table does not have.
_BEST = {**BEST, "psnr_bands": math.inf, "rmse_to_ms": 0.0}

#: Protocols in the order of the tables, with a heading.
TITLES = {
    "reference": "Against the reference of the set",
    "reduced": "Reduced resolution (Wald's protocol)",
    "full": "Full resolution (no reference)",
}


@dataclass(frozen=True)
class Cell:
    """One index of one method over the scenes.

    Parameters
    ----------
    mean : float
        Mean.
    sd : float or None
        Standard deviation with N - 1; None for one scene.
    n : int
        Scenes.
    rank : int
        1 best, 2 second, 0 any other.
    decimals : int
        To print.
    """

    mean: float
    sd: float | None
    n: int
    rank: int = 0
    decimals: int = 4

    @property
    def text(self) -> str:
        """The mean as it is printed."""
        return f"{self.mean:.{self.decimals}f}"

    @property
    def spread(self) -> str:
        """The standard deviation as it is printed; empty for one scene."""
        return "" if self.sd is None else f"{self.sd:.{self.decimals}f}"


@dataclass(frozen=True)
class Line:
    """One method.

    Parameters
    ----------
    method : str
        Name.
    n, of : int
        Scenes with scores, and scenes that any method has scores on.
    cells : dict
        Index to its cell.
    seconds, peak_mib : float
        Mean wall time, and largest peak of memory, over the scenes.
    backprojections : str
        Passes that the products had.
    """

    method: str
    n: int
    of: int
    cells: dict[str, Cell]
    seconds: float
    peak_mib: float
    backprojections: str


@dataclass(frozen=True)
class Table:
    """All methods after one protocol.

    Parameters
    ----------
    protocol : str
        Name.
    indices : tuple of str
        Columns.
    lines : tuple of Line
        Methods with scores, in the order they were named.
    rules : tuple of str
        How the scenes were scored, one sentence for each distinct set of rules.
    """

    protocol: str
    indices: tuple[str, ...]
    lines: tuple[Line, ...]
    rules: tuple[str, ...]

    @property
    def title(self) -> str:
        """Heading."""
        return TITLES[self.protocol]


def ranks(values: dict[str, float], index: str) -> dict[str, int]:
    """Rank of each method by one index: 1 for the best, 2 for the second.

    Values that print alike are equal: they share a rank, and the next value is second.

    Parameters
    ----------
    values : dict
        Method to mean; NaN is never ranked.
    index : str
        Index, whose perfect value decides what is better.

    Returns
    -------
    dict
        Method to 1 or 2; others are left out.

    Examples
    --------
    >>> ranks({"a": 2.0, "b": 1.0, "c": 1.00001}, "ergas")
    {'b': 1, 'c': 1, 'a': 2}
    """
    perfect, decimals = _BEST[index], _DECIMALS[index]
    distance = {
        name: -round(value, decimals)
        if math.isinf(perfect)
        else abs(round(value, decimals) - perfect)
        for name, value in values.items()
        if not math.isnan(value)
    }
    steps = sorted(set(distance.values()))[:2]
    order = sorted(distance, key=lambda name: distance[name])
    return {name: 1 + steps.index(distance[name]) for name in order if distance[name] in steps}


def summarize(rows: Iterable[dict[str, Any]]) -> list[Table]:
    """Tables of means, one a protocol.

    Parameters
    ----------
    rows : iterable of dict
        One a scene, method and protocol.

    Returns
    -------
    list of Table
        Only methods that have scores on every scene that any method has are ranked: a mean over
        other scenes cannot be compared.
    """
    listed = list(rows)
    tables = []
    for protocol in TITLES:
        part = [row for row in listed if row["protocol"] == protocol]
        if any(row["status"] == "ok" for row in part):
            tables.append(_table(protocol, part))
    return tables


def _table(protocol: str, rows: Sequence[dict[str, Any]]) -> Table:
    done = [row for row in rows if row["status"] == "ok"]
    # A scene that no method could do says nothing of the methods.
    scenes = {row["scene"] for row in done}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    indices = tuple(name for name, *_ in INDICES if any(name in row for row in done))
    cells: dict[str, dict[str, Cell]] = {method: {} for method in methods}
    for index in indices:
        values = {
            m: [row[index] for row in done if row["method"] == m and index in row] for m in methods
        }
        means = {m: statistics.fmean(v) for m, v in values.items() if len(v) == len(scenes)}
        places = ranks(means, index) if len(means) > 1 else {}
        for method, numbers in values.items():
            if numbers:
                spread = _sd(numbers)
                cells[method][index] = Cell(
                    statistics.fmean(numbers),
                    spread,
                    len(numbers),
                    places.get(method, 0),
                    _DECIMALS[index],
                )
    lines = []
    for method in methods:
        own = [row for row in done if row["method"] == method]
        if own:
            passes = sorted({row["backprojections"] for row in own})
            lines.append(
                Line(
                    method,
                    len(own),
                    len(scenes),
                    cells[method],
                    statistics.fmean(row["seconds"] for row in own),
                    max(row["peak_mib"] for row in own),
                    "-".join(str(p) for p in (passes[0], passes[-1])[: len(passes)]),
                )
            )
    return Table(protocol, indices, tuple(lines), _rules(done))


def _sd(numbers: Sequence[float]) -> float | None:
    if len(numbers) < 2:
        return None
    if not all(math.isfinite(number) for number in numbers):
        return math.nan
    return statistics.stdev(numbers)


def _rules(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """How scenes were scored, with the scenes that each set of rules holds for."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(_rule(row), []).append(row["scene"])
    texts = []
    total = len({row["scene"] for row in rows})
    for rule, scenes in groups.items():
        names = list(dict.fromkeys(scenes))
        if len(names) == total:
            texts.append(rule)
        else:
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            texts.append(f"{rule} [{shown}]")
    return tuple(texts)


def _rule(row: dict[str, Any]) -> str:
    gains = str(row["ms_gains"]).split()
    shown = " ".join(gains) if len(set(gains)) > 1 else f"{gains[0]} in all bands"
    parts = [f"ratio {row['ratio']:.4g}", f"MS gains {shown} ({row['gains_source']})"]
    if row.get("degradation"):
        parts.append(str(row["degradation"]))
    if row.get("cut") is not None:
        parts.append(f"border cut {row['cut']}")
    if row.get("blocks"):
        parts.append(
            f"scored on {row['blocks']} blocks of {row['block_size']} x {row['block_size']} MS "
            "pixels that no adaptation saw"
        )
    if row.get("windows", 1) > 1:
        parts.append(f"{row['windows']} windows stand for the scene")
    if row.get("interpolator"):
        parts.append(f"interpolated MS and PAN: {row['interpolator']}")
    if row["shift_rows"] or row["shift_cols"]:
        parts.append(
            f"MS moved by {row['shift_rows']:+.2f}, {row['shift_cols']:+.2f} PAN pixels "
            "(rows, columns)"
        )
    if "psnr" in row and row.get("data_range") is not None:
        parts.append(f"largest value {row['data_range']:g}")
    return "; ".join(parts)
