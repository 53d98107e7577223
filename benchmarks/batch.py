"""`pansharp batch` at work: how it scales, what it redoes, and what it survives.

python benchmarks/batch.py scaling      two worker processes against one, in pairs
python benchmarks/batch.py archive      200 deliveries, 6 of them broken; again; with another option
python benchmarks/batch.py kills        fifty batches with a process killed at a random moment
python benchmarks/batch.py host         a worker in a network of its own (root, Linux)
python benchmarks/batch.py full-disk    a disk that fills up meanwhile (root, Linux)

Everything goes through the command line. A check that fails ends the benchmark with its message.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import common
from common import Run, Spread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

sys.path.insert(1, str(common.ROOT / "tests"))

#: Files that may lie in a folder of products when no batch runs.
_SUMMARY = ("summary.csv", "summary.json", "summary.html", "catalog.json", "collection.json")
_KINDS = (".tif", ".zarr")


@dataclass(frozen=True)
class Batch:
    """A batch that has ended: exit code, events, wall seconds, stderr."""

    code: int
    wall: float
    stderr: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def only(self, kind: str) -> list[dict[str, Any]]:
        """Events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    def scenes(self, status: str) -> list[dict[str, Any]]:
        """Scenes that ended so in this run."""
        return [event for event in self.only("scene") if event["status"] == status]

    @property
    def counts(self) -> dict[str, int]:
        """Counts of the summary."""
        (summary,) = self.only("summary")
        found: dict[str, int] = summary["counts"]
        return found


def need(fact: object, text: str) -> None:
    """End the benchmark where a promise is not kept."""
    if not fact:
        raise SystemExit(f"FAILED: {text}")


def surroundings(scratch: Path | None = None) -> dict[str, str]:
    """Environment of a child: this checkout, one thread for each matrix product."""
    paths = [str(common.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        found["PANSHARP_SCRATCH"] = str(scratch)
    return found


def command(archive: Path, out: Path, model: str, *more: object) -> list[str]:
    """Command line of a batch that prints its events."""
    return common.pansharp("batch", archive, "-m", model, "-o", out, "--json", *more)


def start(words: Sequence[str], scratch: Path | None = None) -> subprocess.Popen[str]:
    """Start a batch."""
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings(scratch),
    )


def finish(child: subprocess.Popen[str], begin: float, limit: float = 3600) -> Batch:
    """Wait for a batch, and read what it said; a line cut by a kill is left out."""
    out, err = child.communicate(timeout=limit)
    events = []
    for line in out.splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            need(child.returncode < 0, f"a line of --json is no JSON: {line[:200]}")
    return Batch(child.returncode, time.perf_counter() - begin, err, events)


def batch(
    archive: Path, out: Path, model: str, *more: object, scratch: Path | None = None
) -> Batch:
    """Run a batch to its end."""
    begin = time.perf_counter()
    return finish(start(command(archive, out, model, *more), scratch), begin)


def products(out: Path) -> dict[str, str]:
    """Products under final names with the digest of their bytes."""
    found = {}
    for path in sorted(out.iterdir()) if out.is_dir() else []:
        if path.suffix not in _KINDS:
            continue
        digest = hashlib.sha256()
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(file.read_bytes())
        found[path.name] = digest.hexdigest()
    return found


def remains(out: Path, scratch: Path | None = None) -> list[str]:
    """What a batch should not leave behind: parts, work, scratch, and files nobody expects."""
    made = set(products(out))
    found = []
    for path in sorted(out.iterdir()):
        owner = next((name for name in made if path.name.startswith(f"{name}.")), None)
        known = path.name in made or path.name in _SUMMARY or path.name in ("logs", ".pansharp")
        if ".part" in path.name or not (known or owner):
            found.append(path.name)
    work = out / ".pansharp" / "work"
    found += [str(path.relative_to(out)) for path in sorted(work.rglob("*")) if path.is_file()]
    if scratch is not None:
        found += [path.name for path in sorted(scratch.iterdir())]
    return found


def check_database(out: Path) -> None:
    """Let SQLite look through the state."""
    place = f"file:{out / '.pansharp' / 'batch.sqlite'}?mode=ro"
    # Leaving a connection's own context does not close it, and an open file holds its disk.
    with contextlib.closing(sqlite3.connect(place, uri=True)) as state:
        (told,) = state.execute("PRAGMA integrity_check").fetchone()
    need(told == "ok", f"the state is damaged: {told}")


def copies(folder: Path, size: int, count: int) -> Path:
    """An archive of `count` generated scenes of one size, each a folder of its own."""
    pan, ms = common.scene(folder, size)
    archive = folder / f"archive_{size}_{count}"
    for number in range(count):
        home = archive / f"scene{number:03d}"
        if home.is_dir():
            continue
        part = archive / f".part-{number}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for path, role in ((pan, "pan"), (ms, "ms")):
            shutil.copyfile(path, part / f"scene{number:03d}_{role}.tif")
        part.rename(home)
    return archive


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# Scaling -----------------------------------------------------------------------------------


def scaling(options: argparse.Namespace) -> str:
    """One worker process against two, one thread each, in pairs."""
    archive = copies(options.folder, options.size, options.scenes)
    more = ["--no-card"] if options.no_card else []
    made: dict[int, dict[str, str]] = {}

    def runner(workers: int) -> Callable[[], Run]:
        def run() -> Run:
            out = options.folder / f"scaling_{workers}"
            shutil.rmtree(out, ignore_errors=True)
            words = command(archive, out, options.model, "--workers", workers, "--threads", 1)
            result = common.run([*words, *more], environment={"OMP_NUM_THREADS": "1"})
            made[workers] = products(out)
            shutil.rmtree(out)
            return result

        return run

    one, two = common.paired(runner(1), runner(2), pairs=options.pairs, warm_up=options.warm_up)
    need(len(made[1]) == options.scenes, f"{len(made[1])} products of {options.scenes}")
    need(made[1] == made[2], "the products depend on the number of workers")
    ratios = [first.wall / second.wall for first, second in zip(one, two, strict=True)]
    inside = [_seconds(a) / _seconds(b) for a, b in zip(one, two, strict=True)]
    rows = [
        [name, Spread.of([r.wall for r in runs]).text(), Spread.of([r.cpu for r in runs]).text(1)]
        for name, runs in (("1 worker", one), ("2 workers", two))
    ]
    rows.append(["ratio", Spread.of(ratios).text(), ""])
    rows.append(["ratio, by the batch's own clock", Spread.of(inside).text(), ""])
    title = f"{options.scenes} scenes of {options.size}² x 4 with `{options.model}`"
    return f"{title}, {options.pairs} pairs\n\n" + common.table(["", "wall s", "CPU s"], rows)


def _seconds(run: Run) -> float:
    summary = json.loads(run.output.splitlines()[-1])
    return float(summary["seconds"])


# Archive -----------------------------------------------------------------------------------


def archive(options: argparse.Namespace) -> str:
    """Deliveries of two vendors, some broken: right, explained, not redone, all redone."""
    import rasterio

    from archive_of_scenes import write_archive

    root = fresh(options.folder / "deliveries")
    begin = time.perf_counter()
    truth = write_archive(root, options.scenes, broken=options.broken, pan_side=options.side)
    rows = [["written", f"{time.perf_counter() - begin:.1f}", f"{options.scenes} deliveries"]]
    out = options.folder / "deliveries_out"
    shutil.rmtree(out, ignore_errors=True)
    more = ("--workers", options.workers)
    right = options.scenes - options.broken

    first = batch(root, out, options.model, *more)
    need(first.code == (3 if options.broken else 0), f"exit code {first.code}: {first.stderr}")
    need(first.counts["done"] == right, f"{first.counts} instead of {right} done")
    need(first.counts["failed"] == options.broken, f"{first.counts}: {options.broken} are broken")
    (summary,) = first.only("summary")
    for line in summary["scenes"]:
        delivery = truth.of(line["path"])
        if line["status"] == "done":
            need(delivery.broken is None, f"{line['scene']} is broken ({delivery.broken})")
            with rasterio.open(out / line["product"]) as image:
                shape = (image.count, image.height >= options.side, image.crs is not None)
            need(shape == (delivery.bands, True, True), f"{line['product']} is {shape}")
        else:
            need(delivery.broken, f"{line['scene']} failed: {line['reason']}")
            need(delivery.explained(line["reason"]), f"{delivery.broken}: {line['reason']}")
    made = products(out)
    need(len(made) == right, f"{len(made)} products")
    need(not remains(out), f"left behind: {remains(out)}")
    rows.append(["first run", f"{first.wall:.1f}", f"{right} right, {options.broken} explained"])

    again = batch(root, out, options.model, *more)
    need(again.only("plan")[0]["todo"] == 0, f"{again.only('plan')} instead of nothing to do")
    need(not again.only("scene"), "scenes were done again")
    need(products(out) == made, "products changed though nothing was to do")
    need(again.wall < options.limit, f"the rerun took {again.wall:.1f} s")
    rows.append(["again", f"{again.wall:.1f}", "nothing redone"])

    changed = batch(root, out, options.model, *more, "--dtype", "float32")
    need(len(changed.scenes("done")) == right, f"{len(changed.scenes('done'))} of {right} redone")
    now = products(out)
    need(now.keys() == made.keys(), "other products than before")
    need(all(now[name] != made[name] for name in made), "a product was not made anew")
    need(not remains(out), f"left behind: {remains(out)}")
    rows.append(["with --dtype float32", f"{changed.wall:.1f}", f"all {right} redone"])

    retried = batch(root, out, options.model, *more, "--dtype", "float32", "--retry-failed")
    need(len(retried.scenes("failed")) == options.broken, "--retry-failed did not try them again")
    need(not retried.scenes("done"), "--retry-failed did finished scenes again")
    rows.append(["--retry-failed", f"{retried.wall:.1f}", f"{options.broken} tried again"])
    return common.table(["run", "wall s", "result"], rows)


def main(arguments: Sequence[str] | None = None) -> str:
    """Run what the command line says."""
    import batch_faults

    parser = common.parser("`pansharp batch` at work.")
    parts = parser.add_subparsers(dest="what", required=True)
    told = {
        "scaling": (scaling, {"scenes": 20, "size": 2048, "pairs": 5, "warm_up": 1}),
        "archive": (archive, {"scenes": 200, "broken": 6, "side": 128, "workers": 2}),
        "kills": (batch_faults.kills, {"runs": 50, "scenes": 8, "size": 1024, "seed": 1}),
        "host": (batch_faults.host, {"scenes": 6, "size": 1024}),
        "full-disk": (batch_faults.full_disk, {"scenes": 8, "size": 1024}),
    }
    for name, (function, numbers) in told.items():
        part = parts.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        part.set_defaults(run=function)
        part.add_argument("--model", default="mtf-glp-fs", help="method [%(default)s]")
        for key, value in numbers.items():
            flag = f"--{key.replace('_', '-')}"
            part.add_argument(flag, type=int, default=value, help="[%(default)s]")
    parts.choices["scaling"].add_argument("--no-card", action="store_true", help="no scores")
    parts.choices["archive"].add_argument(
        "--limit", type=float, default=10.0, help="seconds that a rerun may take [%(default)s]"
    )
    options = common.parse(parser, arguments)
    report: str = options.run(options)
    common.emit(f"Batch: {options.what}", report, options)
    return report


if __name__ == "__main__":
    main()
