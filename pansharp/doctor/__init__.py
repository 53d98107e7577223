"""What `pansharp doctor` finds: the environment, and whether a small fusion comes out right."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from pansharp.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Examination", "Finding", "examine"]

#: Module and function; each is imported when its turn comes: one that needs a missing package
#: must not silence the others.
_PARTS = (
    "environment.system",
    "environment.packages",
    "environment.extras",
    "environment.rasters",
    "devices.torch",
    "devices.resources",
    "environment.caches",
    "selftest.run",
)


@dataclass(frozen=True)
class Examination:
    """All findings.

    Parameters
    ----------
    findings : tuple of Finding
        In the order in which they were made.
    seconds : float
        How long it took.
    """

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def broken(self) -> tuple[Finding, ...]:
        """What keeps pansharp from working."""
        return tuple(finding for finding in self.findings if finding.state == "broken")

    def summary(self) -> str:
        """One line: everything works, or what does not."""
        if not self.broken:
            return f"{len(self.findings)} checks, nothing is broken ({self.seconds:.1f} s)"
        problems = "; ".join(
            f"{finding.name}: {finding.value}" + (f" ({finding.advice})" if finding.advice else "")
            for finding in self.broken
        )
        return f"{len(self.broken)} of {len(self.findings)} checks failed: {problems}"

    def to_dict(self) -> dict[str, object]:
        """Everything as a document for JSON."""
        return {
            "ok": not self.broken,
            "seconds": round(self.seconds, 2),
            "findings": [finding.to_dict() for finding in self.findings],
        }


def examine(
    *, self_test: bool = True, progress: Callable[[float, float, str], None] | None = None
) -> Examination:
    """Look at the environment, and fuse a small generated scene.

    Parameters
    ----------
    self_test : bool
        Fuse a scene with a classical method and a network, write and read the products; under
        20 s on two cores. Its files lie in the scratch folder and are removed.
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    Examination
        Nothing is raised: what goes wrong is a finding with the state ``broken``.
    """
    start = time.perf_counter()
    parts = [part for part in _PARTS if self_test or part != "selftest.run"]
    findings: list[Finding] = []
    for index, part in enumerate(parts):
        module, _, look = part.partition(".")
        if progress is not None:
            progress(index, len(parts), "checks")
        try:
            findings += getattr(import_module(f"pansharp.doctor.{module}"), look)()
        except Exception as problem:  # noqa: BLE001 - a part that cannot even be looked at is broken
            why = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
            findings.append(Finding(look, "examination", why, "broken"))
    if progress is not None:
        progress(len(parts), len(parts), "checks")
    return Examination(tuple(findings), time.perf_counter() - start)
