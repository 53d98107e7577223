"""What all benchmarks share: child processes measured by the kernel, scenes, statistics, tables.

This module imports nothing heavy on purpose: on Linux the peak memory of a child counts from the
size that its parent had when it was started.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    # This checkout is measured, here and in the child processes, whatever else is installed.
    sys.path.insert(1, str(ROOT))
#: Scenes and products; git ignores it.
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Run:
    """One child process: wall seconds, user + system seconds, peak MiB, and its stdout."""

    wall: float
    cpu: float
    peak: float
    output: str = ""


@dataclass(frozen=True)
class Spread:
    """Median and range of repeated figures."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        if self.low == self.high:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def run(command: Sequence[str], *, environment: dict[str, str] | None = None) -> Run:
    """Run a program to its end and measure it; a failure ends the benchmark with its message."""
    extra = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(extra), **(environment or {})}
    # An installed program finds its modules compiled; the warm-up may leave them so.
    surroundings.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        child = subprocess.Popen([*command], stdout=out, stderr=err, env=surroundings)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        # Popen must not wait again for a process that is gone.
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text, complaint = (file.read().decode(errors="replace") for file in (out, err))
    if child.returncode:
        last = complaint.strip().splitlines()[-5:]
        raise SystemExit(f"{' '.join(command)}\nexit code {child.returncode}: " + "\n".join(last))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, text)


def pansharp(*arguments: object) -> list[str]:
    """Command line of pansharp in this interpreter."""
    return [sys.executable, "-m", "pansharp", *map(str, arguments)]


def scene(folder: Path, size: int, bands: int = 4) -> tuple[Path, Path]:
    """The generated PAN and MS of a size; made once, in a process of its own."""
    pan, ms = (
        folder / f"scene_{size}_{bands}" / f"large_{size}_{part}.tif" for part in ("pan", "ms")
    )
    if not (pan.exists() and ms.exists()):
        script = "import sys; from pansharp.large_scene import write_large_scene as write; "
        script += "write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"
        # A scene that was not finished must not be taken for one.
        part = Path(tempfile.mkdtemp(prefix="part-", dir=_made(folder)))
        try:
            run([sys.executable, "-c", script, str(part), str(size), str(bands)])
            shutil.rmtree(pan.parent, ignore_errors=True)
            part.rename(pan.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return pan, ms


def paired(
    first: Callable[[], Run], second: Callable[[], Run], *, pairs: int, warm_up: int
) -> tuple[list[Run], list[Run]]:
    """Run two programs in turn, the other one first in every second pair; warm-ups are dropped."""
    ours: list[Run] = []
    theirs: list[Run] = []
    for number in range(-warm_up, pairs):
        order = [(first, ours), (second, theirs)]
        for program, kept in order if number % 2 == 0 else reversed(order):
            result = program()
            # Pages that the one left to be written would otherwise be charged to the other.
            os.sync()
            if number >= 0:
                kept.append(result)
    return ours, theirs


def remove(path: Path) -> None:
    """Delete a product, its card and its scratch, whether a file or a folder."""
    for found in path.parent.glob(path.name + "*"):
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine() -> str:
    """One line on where this was measured."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [s for s in info.read_text().splitlines() if s.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    versions = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "rasterio", "torch"))
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"note: load is {load:.1f} before the start; figures will scatter", file=sys.stderr)
    return (
        f"{cores()} cores of {cpu}; Python {platform.python_version()}, {versions}; "
        f"load {load:.1f} before the start."
    )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def emit(title: str, body: str, options: argparse.Namespace) -> None:
    """Print a section; append it to the file of --markdown."""
    text = f"## {title}\n\n{options.machine}\n\n{body}\n"
    print(text)
    if options.markdown:
        with options.markdown.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--folder", type=Path, default=RESULTS, help="scenes and products [%(default)s]"
    )
    made.add_argument("--markdown", type=Path, metavar="FILE", help="append the result to FILE")
    return made


def parse(made: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and note the state of the machine before any work."""
    options = made.parse_args(arguments)
    _made(options.folder)
    options.machine = machine()
    return options


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def card(path: Path) -> dict[str, object]:
    """The score card of a product."""
    loaded = json.loads(path.with_name(path.name + ".card.json").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded
