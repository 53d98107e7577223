"""`Report`: scores together with everything that gives them a meaning."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

from pansharp.errors import OptionError
from pansharp.evaluation import _tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from pansharp.evaluation.comparison import Comparison

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

#: Scores that tables show besides the indices.
_OTHERS = {"rho": 0.0, "rmse_to_ms_percent": 0.0}

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
    "rho": "rho",
    "rmse_to_ms_percent": "RMSE to MS (%)",
}


def label_of(name: str) -> str:
    """How tables call a score; cards write some names in capitals."""
    return _LABELS.get(name.lower(), name)


def best_of(name: str) -> float | None:
    """Value of a score for a perfect image, None where there is no such thing."""
    return {**BEST, **_OTHERS}.get(name.lower())


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


def _score(name: str, value: object) -> float:
    """A score out of JSON; null is infinity for what is perfect there, else NaN."""
    if value is None:
        return math.inf if best_of(name) == math.inf else math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OptionError(f"the report's score '{name}' is {value!r}, not a number")
    return float(value)


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
    >>> report = Report({"ergas": 1.5}, protocol="reference", conventions={"ratio": 4.0})
    >>> print(report)
    index  value   best
    ERGAS  1.5000  0
    ratio: 4
    >>> Report.from_json(report.to_json()) == report
    True
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

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote, such as the output of ``pansharp evaluate --json``.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        Report
            With null in the place of a score as infinity (PSNR of equal images) or NaN.

        Raises
        ------
        OptionError
            The text is no report.
        """
        try:
            data = json.loads(text)
        except ValueError as problem:
            raise OptionError(f"the text is not a report in JSON: {problem}") from problem
        known = {item.name for item in fields(cls)}
        if not isinstance(data, dict) or not {"scores", "protocol"} <= data.keys() <= known:
            raise OptionError(
                f"the JSON is not a report: it needs scores and protocol, and may have "
                f"{', '.join(sorted(known - {'scores', 'protocol'}))}"
            )
        try:
            scores = {name: _score(name, value) for name, value in data.pop("scores").items()}
            bands = {
                name: tuple(_score(name, value) for value in values)
                for name, values in data.pop("per_band", {}).items()
            }
            notes = tuple(str(note) for note in data.pop("notes", ()))
        except (AttributeError, TypeError) as problem:
            raise OptionError(f"the JSON is not a report: {problem}") from problem
        return cls(scores=scores, per_band=bands, notes=notes, **data)

    def to_frame(self) -> pd.DataFrame:
        """One row, one column per index, the protocol as row label.

        Raises
        ------
        OptionError
            pandas is not installed.
        """
        pandas = _tables.pandas()
        return pandas.DataFrame([self.scores], index=pandas.Index([self.protocol], name="protocol"))

    @staticmethod
    def concat(reports: Mapping[str, Report] | Sequence[Report]) -> pd.DataFrame:
        """Several reports as one frame: one row each, one column per index.

        Parameters
        ----------
        reports : mapping of str to Report, or sequence of Report
            A mapping labels the rows; a sequence numbers them.

        Returns
        -------
        pandas.DataFrame
            NaN where a report lacks an index; a first column names the protocol.

        Raises
        ------
        OptionError
            pandas is not installed.
        """
        return Report.compare(reports).to_frame()

    @staticmethod
    def compare(reports: Mapping[str, Report] | Sequence[Report]) -> Comparison:
        """Several reports as a table with best and second of every index marked.

        Parameters
        ----------
        reports : mapping of str to Report, or sequence of Report
            A mapping labels the rows; a sequence numbers them.

        Returns
        -------
        Comparison
            Prints as text and as Markdown, and shows itself in Jupyter.

        Raises
        ------
        OptionError
            No report was given.
        """
        from pansharp.evaluation.comparison import Comparison

        return Comparison.of(reports)

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            (
                label_of(name),
                _tables.number(value),
                "" if (best := best_of(name)) is None else f"{best:g}",
            )
            for name, value in self.scores.items()
        ]

    def _told(self) -> list[str]:
        """The conventions as text, lists in short."""
        return [
            f"{name.replace('_', ' ')}: {_tables.plain(value)}"
            for name, value in self.conventions.items()
            if value is not None
        ]

    def __str__(self) -> str:
        lines = _tables.aligned([("index", "value", "best"), *self._rows()])
        told = ["; ".join(self._told())] if self.conventions else []
        return "\n".join([*lines, *told, *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return _tables.html(
            self.protocol + (f", {self.sensor}" if self.sensor else ""),
            ("index", "value", "best"),
            self._rows(),
            [*self._told(), *self.notes],
        )
