"""What a run tells of itself: a table, events for TensorBoard, and a picture of the curves."""

from __future__ import annotations

import csv
import importlib
import io
import logging
from typing import TYPE_CHECKING, Any

from pansharp.training.state import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Log", "draw_curves"]

log = logging.getLogger(__name__)

Row = dict[str, float]
#: Columns that come first, in this order.
_FIRST = ("step", "epoch", "seconds", "rate", "loss")


class Log:
    """The table ``log.csv``, and events in ``events/`` where the package tensorboard is installed.

    Parameters
    ----------
    folder : Path
        Of the run.
    rows : sequence of dict
        Rows of an earlier part of the run.
    """

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self.folder = folder
        self.rows = list(rows)
        self._events: Any = None
        try:
            module = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            log.info("no TensorBoard events: pip install 'pansharp[train]' adds what they need")
        else:
            # Events of steps that a killed run did beyond its last state are hidden.
            last = int(self.rows[-1]["step"]) if self.rows else -1
            self._events = module.SummaryWriter(str(folder / "events"), purge_step=last + 1)

    def add(self, row: Row) -> None:
        """Take a row in and write the table anew."""
        self.rows.append(row)
        self.write()
        if self._events is not None:
            for key, value in row.items():
                if key != "step":
                    self._events.add_scalar(key, value, int(row["step"]))
            self._events.flush()

    def write(self) -> None:
        """Write the table.

        Raises
        ------
        WriteError
            It cannot be written.
        """
        seen = {key: None for row in self.rows for key in row}
        columns = [*_FIRST, *(key for key in seen if key not in _FIRST)]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow({key: _short(value) for key, value in row.items()})
        write_atomic(self.folder / "log.csv", text.getvalue().encode())

    def close(self) -> None:
        """Close the events."""
        if self._events is not None:
            self._events.close()


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.7g}"


def draw_curves(
    folder: Path, rows: Sequence[Row], lines: Mapping[str, float], title: str
) -> Path | None:
    """Draw loss and ERGAS over the steps as ``curves.png``.

    Parameters
    ----------
    folder : Path
        Of the run.
    rows : sequence of dict
        With ``step``, ``loss``, ``ergas`` and ``rate``.
    lines : mapping of str to float
        ERGAS of other methods, by name.
    title : str
        Of the picture.

    Returns
    -------
    Path or None
        None where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    trained = [row for row in rows if "loss" in row]
    left.plot([r["step"] for r in trained], [r["loss"] for r in trained], color="tab:blue")
    if trained and min(r["loss"] for r in trained) > 0:
        left.set_yscale("log")
    left.set_xlabel("step")
    left.set_ylabel("training loss")
    judged = [row for row in rows if "ergas" in row]
    right.plot([r["step"] for r in judged], [r["ergas"] for r in judged], color="tab:red")
    for name, value in lines.items():
        right.axhline(value, color="0.5", linestyle="--", linewidth=1)
        right.annotate(name, (0.99, value), xycoords=("axes fraction", "data"), ha="right")
    right.set_xlabel("step")
    right.set_ylabel("ERGAS of unseen cells")
    figure.suptitle(title, fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    target = folder / "curves.png"
    write_atomic(target, buffer.getvalue())
    return target
