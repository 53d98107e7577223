"""Several reports side by side, with the best and the second of every index marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pansharp.errors import OptionError
from pansharp.evaluation import _tables
from pansharp.evaluation.report import best_of, label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from pansharp.evaluation.report import Report

__all__ = ["Comparison"]

#: Conventions without which two figures are not the same figure.
_DECISIVE = ("ratio", "q2n_block", "q2n_rounding", "block", "mtf_gains", "data_range", "masked")


@dataclass(frozen=True)
class Comparison:
    """Reports by name, in a table with ranks.

    Parameters
    ----------
    reports : dict of str to Report
        Row label to report.

    Examples
    --------
    >>> from pansharp.evaluation import Report
    >>> made = {"a": Report({"sam": 2.0}, "reference"), "b": Report({"sam": 1.5}, "reference")}
    >>> print(Comparison(made))
    name  SAM (deg)
    a     2.0000 (2)
    b     1.5000 (1)
    """

    reports: dict[str, Report]

    @classmethod
    def of(cls, reports: Mapping[str, Report] | Sequence[Report]) -> Comparison:
        """Take a mapping, or a sequence whose members are numbered from 0."""
        named: dict[str, Report] = (
            dict(reports)
            if isinstance(reports, Mapping)
            else {str(number): report for number, report in enumerate(reports)}
        )
        if not named:
            raise OptionError("there is no report to compare; give at least one")
        return cls(named)

    @property
    def names(self) -> list[str]:
        """Scores that any report has, in the order in which they appear, in small letters."""
        return list(dict.fromkeys(name.lower() for r in self.reports.values() for name in r.scores))

    def values(self, name: str) -> list[float]:
        """A score of every report; NaN where it is missing."""
        return [
            {key.lower(): value for key, value in report.scores.items()}.get(name, math.nan)
            for report in self.reports.values()
        ]

    def ranks(self, name: str) -> list[int | None]:
        """Place of every report by a score: 1 is nearest to the best value; equals share it."""
        best = best_of(name)
        values = self.values(name)
        if best is None:
            return [None] * len(values)
        gaps = [-value if best == math.inf else abs(value - best) for value in values]
        known = sorted({gap for gap in gaps if not math.isnan(gap)})
        return [None if math.isnan(gap) else known.index(gap) + 1 for gap in gaps]

    @property
    def notes(self) -> list[str]:
        """What keeps the figures from being comparable with each other."""
        out = []
        protocols = {report.protocol for report in self.reports.values()}
        if len(protocols) > 1:
            out.append(f"protocols differ: {', '.join(sorted(protocols))}")
        for name in _DECISIVE:
            told = {
                _tables.plain(report.conventions[name])
                for report in self.reports.values()
                if report.conventions.get(name) is not None
            }
            if len(told) > 1:
                out.append(f"{name} differs: {', '.join(sorted(told))}")
        return out

    def to_frame(self) -> pd.DataFrame:
        """One row a report, one column a score, a first column for the protocol.

        Raises
        ------
        OptionError
            pandas is not installed.
        """
        pandas = _tables.pandas()
        rows: list[dict[str, Any]] = [
            {"protocol": report.protocol, **report.scores} for report in self.reports.values()
        ]
        return pandas.DataFrame(rows, index=pandas.Index(list(self.reports), name="name"))

    def to_markdown(self) -> str:
        """A Markdown table: the best value in bold, the second in italics."""
        marks = {1: "**", 2: "*"}
        rows = self._cells(lambda text, rank: f"{marks.get(rank, '')}{text}{marks.get(rank, '')}")
        head = self._headers()
        lines = [head, ["---"] * len(head), *rows]
        escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        return "\n".join(["| " + " | ".join(line) + " |" for line in escaped])

    def _headers(self) -> list[str]:
        return ["name", *(label_of(name) for name in self.names)]

    def _cells(self, mark: Any) -> list[list[str]]:
        columns = [
            [
                "" if math.isnan(value) else mark(_tables.number(value), self._shown(rank))
                for value, rank in zip(self.values(name), self.ranks(name), strict=True)
            ]
            for name in self.names
        ]
        return [[label, *cells] for label, *cells in zip(self.reports, *columns, strict=True)]

    def _shown(self, rank: int | None) -> int:
        """Rank that is marked: there is no first among one."""
        return rank if rank is not None and rank <= 2 and len(self.reports) > 1 else 0

    def __str__(self) -> str:
        rows = self._cells(lambda text, rank: f"{text} ({rank})" if rank else text)
        lines = _tables.aligned([self._headers(), *rows])
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = self._cells(lambda text, rank: text)
        elements = {1: "b", 2: "u"}
        marks = [[""] for _ in rows]
        for name in self.names:
            for line, rank in zip(marks, self.ranks(name), strict=True):
                line.append(elements.get(self._shown(rank), ""))
        return _tables.html(
            "best in bold, second underlined", self._headers(), rows, self.notes, marks=marks
        )
