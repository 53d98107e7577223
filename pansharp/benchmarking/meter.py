"""Wall time and peak memory of one piece of work."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Meter", "peak_mib"]

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def peak_mib() -> float:
    """Highest resident memory of this process, MiB.

    On Linux since the program started or since the last :class:`Meter` began; elsewhere since the
    program started.
    """
    # ru_maxrss of a fresh process begins with what its parent had; VmHWM does not.
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    top = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return top / 1024**2 if sys.platform == "darwin" else top / 1024


class Meter:
    """Context manager: `seconds` of wall time and `peak_mib` of the block."""

    seconds = 0.0
    peak_mib = 0.0

    def __enter__(self) -> Meter:
        # 5 sets the high-water mark back; a kernel without it gives an upper bound.
        with contextlib.suppress(OSError):
            _RESET.write_text("5")
        self._begin = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds += time.perf_counter() - self._begin
        self.peak_mib = max(self.peak_mib, peak_mib())
