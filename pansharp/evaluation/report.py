"""`Report`: scores together with everything that gives them a meaning."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["BEST", "Report", "versions"]

BEST: dict[str, float] = {
    "ergas": 0.0,
    "sam": 0.0,
    "q2n": 1.0,
    "q": 1.0,
    "scc": 1.0,
    "ssim": 1.0,
    "psnr": math.inf,
    "rmse": 0.0,
    "cc": 1.0,
    "d_lambda": 0.0,
    "d_s": 0.0,
    "qnr": 1.0,
    "d_lambda_k": 0.0,
    "hqnr": 1.0,
}
"""Value of each index for a perfect image."""

_LABELS = {
    "ergas": "ERGAS",
    "sam": "SAM (deg)",
    "q2n": "Q2n",
    "q": "Q",
    "scc": "SCC",
    "ssim": "SSIM",
    "psnr": "PSNR (dB)",
    "rmse": "RMSE",
    "cc": "CC",
    "d_lambda": "D_lambda",
    "d_s": "D_s",
    "qnr": "QNR",
    "d_lambda_k": "D_lambda_K",
    "hqnr": "HQNR",
}


def versions() -> dict[str, str]:
    """Versions of what computed the numbers."""
    import numpy

    import pansharp

    return {"pansharp": pansharp.__version__, "numpy": numpy.__version__}


def _plain(value: object) -> object:
    """JSON knows no infinity and no NaN: both become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Report:
    """Scores of one image, with the conventions they were computed under.

    Parameters
    ----------
    scores : dict of str to float
        Index name (``"ergas"``) to value.
    protocol : str
        ``"reference"`` (compared with a reference), ``"full"`` (no reference), ``"reduced"``
        (Wald's protocol).
    sensor : str or None
        Sensor whose MTF gains were used.
    versions : dict of str to str
        Package versions.
    per_band : dict of str to tuple of float
        Index name to one value per band, where the index has one.
    conventions : dict of str to object
        Block sizes, ratio, gains, masks: what else decides the numbers.
    notes : tuple of str
        What a reader of the numbers should know, such as an index left out and why.

    Examples
    --------
    >>> report = Report({"ergas": 1.5}, protocol="reference")
    >>> print(report)
    index  value   best
    ERGAS  1.5000  0
    """

    scores: dict[str, float]
    protocol: str
    sensor: str | None = None
    versions: dict[str, str] = field(default_factory=versions)
    per_band: dict[str, tuple[float, ...]] = field(default_factory=dict)
    conventions: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self, *, indent: int | None = 2) -> str:
        """JSON text; values that are not finite become null."""
        return json.dumps(_plain(asdict(self)), indent=indent, allow_nan=False)

    def to_frame(self) -> pd.DataFrame:
        """One row, one column per index, the protocol as row label."""
        import pandas as pd

        return pd.DataFrame([self.scores], index=pd.Index([self.protocol], name="protocol"))

    @staticmethod
    def concat(reports: Mapping[str, Report] | Sequence[Report]) -> pd.DataFrame:
        """Compare reports: one row each, one column per index.

        Parameters
        ----------
        reports : mapping of str to Report, or sequence of Report
            A mapping labels the rows; a sequence numbers them.

        Returns
        -------
        pandas.DataFrame
            NaN where a report lacks an index; a first column names the protocol.
        """
        import pandas as pd

        named = (
            dict(reports)
            if hasattr(reports, "keys")
            else {str(number): report for number, report in enumerate(reports)}
        )
        rows = [{"protocol": report.protocol, **report.scores} for report in named.values()]
        return pd.DataFrame(rows, index=pd.Index(list(named), name="name"))

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            (
                _LABELS.get(name, name),
                f"{value:.4f}",
                f"{BEST[name]:g}" if name in BEST else "",
            )
            for name, value in self.scores.items()
        ]

    def __str__(self) -> str:
        rows = [("index", "value", "best"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        head = "<tr><th>index</th><th>value</th><th>best</th></tr>"
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        title = escape(self.protocol + (f", {self.sensor}" if self.sensor else ""))
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table><caption>{title}</caption>{head}{body}</table>{notes}"
