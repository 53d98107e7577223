"""Faults that a batch must survive; the command line is that of batch.py.

Processes are killed by their numbers, which come from /proc: Linux only.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import batch as tools
import common
from batch import need
from common import Spread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

_VICTIMS = ("driver", "worker", "scheduler")
#: Seconds for processes to notice that another one is gone.
_PATIENCE = 60.0
_NET, _HERE, _THERE = "pansharp-host", "10.77.83.1", "10.77.83.2"
_FAR = "far-host"


# Killed processes --------------------------------------------------------------------------


def kills(options: argparse.Namespace) -> str:
    """Kill the batch, a worker or the scheduler at a random moment, and run it again."""
    archive = tools.copies(options.folder, options.size, options.scenes)
    out = options.folder / "kills_out"
    scratch = tools.fresh(options.folder / "kills_scratch")
    shutil.rmtree(out, ignore_errors=True)
    whole = tools.batch(archive, out, options.model, "--workers", 2, scratch=scratch)
    need(whole.code == 0, f"the undisturbed run ended with {whole.code}: {whole.stderr}")
    expected = tools.products(out)
    need(len(expected) == options.scenes, f"{len(expected)} products")
    need(not tools.remains(out, scratch), f"left behind: {tools.remains(out, scratch)}")
    rng = random.Random(options.seed)
    finished: dict[str, list[int]] = {victim: [] for victim in _VICTIMS}
    seconds = []
    for number in range(options.runs):
        victim = _VICTIMS[number % len(_VICTIMS)]
        shutil.rmtree(out, ignore_errors=True)
        moment = rng.uniform(0.2, whole.wall)
        where = f"run {number + 1} ({victim} killed after {moment:.2f} s)"
        with _scheduler(victim == "scheduler", scratch) as address:
            _disturbed(victim, moment, archive, out, options.model, scratch, address)
        before = tools.products(out)
        wrong = [name for name in before if before[name] != expected.get(name)]
        need(not wrong, f"{where}: partial or wrong under a final name: {wrong}")
        finished[victim].append(len(before))
        again = tools.batch(archive, out, options.model, "--workers", 2, scratch=scratch)
        need(again.code == 0, f"{where}: the rerun ended with {again.code}: {again.stderr}")
        need(tools.products(out) == expected, f"{where}: the products differ")
        left = tools.remains(out, scratch)
        need(not left, f"{where}: left behind {left}")
        tools.check_database(out)
        seconds.append(again.wall)
        print(f"{where}: {len(before)} done before, rerun {again.wall:.1f} s", file=sys.stderr)
    rows = [
        [victim, len(counts), Spread.of(counts).text(0) if counts else "-"]
        for victim, counts in finished.items()
    ]
    told = f"{options.runs} runs of {options.scenes} scenes, all byte-identical after the rerun "
    told += f"({Spread.of(seconds).text(1)} s; undisturbed {whole.wall:.1f} s), nothing left\n\n"
    return told + common.table(["killed", "runs", "products there before the rerun"], rows)


def _disturbed(
    victim: str,
    moment: float,
    archive: Path,
    out: Path,
    model: str,
    scratch: Path,
    cluster: tuple[str, int] | None,
) -> None:
    """Run a batch and kill one of its processes; returns when all of it has ended."""
    more = ("--workers", 2) if cluster is None else ("--scheduler", cluster[0])
    begin = time.perf_counter()
    child = tools.start(tools.command(archive, out, model, *more), scratch)
    # Read meanwhile: a full pipe would stop it.
    result: list[tools.Batch] = []
    reader = threading.Thread(target=lambda: result.append(tools.finish(child, begin)))
    reader.start()
    family: set[int] = set()
    while time.perf_counter() - begin < moment and child.poll() is None:
        family |= set(_descendants(child.pid))
        time.sleep(0.02)
    family |= set(_descendants(child.pid))
    if victim == "driver":
        _kill(child.pid)
    elif victim == "scheduler":
        assert cluster is not None
        _kill(cluster[1])
    elif workers := [pid for pid in _descendants(child.pid) if _is_worker(pid)]:
        _kill(random.Random(moment).choice(workers))
    reader.join(_PATIENCE * 4)
    need(not reader.is_alive(), f"the batch still runs after its {victim} was killed")
    if victim == "worker":
        need(result[0].code == 0, f"the loss of a worker ended the batch: {result[0].stderr}")
    if victim == "scheduler" and result[0].code:
        lines = [line for line in result[0].stderr.splitlines() if line.startswith("error")]
        need(len(lines) <= 1, f"more than one line about a lost scheduler: {result[0].stderr}")
        need("Traceback" not in result[0].stderr, result[0].stderr)
    deadline = time.monotonic() + _PATIENCE
    while alive := [pid for pid in family if _alive(pid)]:
        need(time.monotonic() < deadline, f"processes outlive the batch: {alive}")
        time.sleep(0.1)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Processes below one, from /proc."""
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(entry.path, "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found, fresh = [], [pid]
    while fresh:
        fresh = [child for child, parent in parents.items() if parent in fresh]
        found += fresh
    return found


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# A cluster that runs already ---------------------------------------------------------------


@contextlib.contextmanager
def _scheduler(wanted: bool, scratch: Path) -> Iterator[tuple[str, int] | None]:
    """A scheduler and two workers in processes of their own: address and scheduler's number."""
    if not wanted:
        yield None
        return
    with contextlib.ExitStack() as stack:
        address, pid = _start_scheduler(stack, "127.0.0.1", scratch)
        for _ in range(2):
            _start(stack, _worker(address, scratch), scratch)
        yield address, pid


def _start_scheduler(stack: contextlib.ExitStack, host: str, scratch: Path) -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", host]
    child = _start(stack, [*words, "--port", str(port), "--no-dashboard"], scratch)
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return f"tcp://{host}:{port}", child.pid
        need(time.monotonic() < deadline, "the scheduler does not start")
        time.sleep(0.1)


def _worker(address: str, scratch: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    words += [
        "--no-dashboard",
        "--death-timeout",
        "10",
        "--local-directory",
        str(scratch.parent / "dask"),
    ]
    return [*words, *more]


def _start(
    stack: contextlib.ExitStack, words: Sequence[str], scratch: Path
) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=tools.surroundings(scratch),
        start_new_session=True,
    )
    stack.callback(_end, child)
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    below = _descendants(child.pid)
    child.terminate()
    try:
        child.wait(15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pid in below:
        _kill(pid)


# Another host ------------------------------------------------------------------------------


def host(options: argparse.Namespace) -> str:
    """A worker with its own network, host name and /tmp; it shares TCP and a folder."""
    _need_root("ip", "unshare")
    folder = options.folder.resolve()
    if folder.is_relative_to("/tmp"):
        raise SystemExit("give a --folder outside /tmp: the other host has a /tmp of its own")
    archive = tools.copies(folder, options.size, options.scenes)
    scratch = tools.fresh(folder / "host_scratch")
    plain, out = folder / "host_plain", folder / "host_out"
    for path in (plain, out):
        shutil.rmtree(path, ignore_errors=True)
    need(tools.batch(archive, plain, options.model, "--workers", 1).code == 0, "the plain run")
    with contextlib.ExitStack() as stack:
        _network(stack)
        address, _ = _start_scheduler(stack, _HERE, scratch)
        inside = (
            'mount -t tmpfs none /tmp && mount -t tmpfs none /dev/shm && hostname "$1" && shift'
        )
        words = [
            *("ip", "netns", "exec", _NET, "unshare", "--mount", "--uts", "--ipc"),
            *("sh", "-c", f'{inside} && exec "$@"', "sh", _FAR),
            *_worker(address, Path("/tmp/scratch"), "--host", _THERE),
        ]
        child = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Its own scratch: a folder that this side cannot see.
            env={**tools.surroundings(), "PANSHARP_SCRATCH": "/tmp"},
            start_new_session=True,
        )
        stack.callback(_end, child)
        result = tools.batch(archive, out, options.model, "--scheduler", address)
    need(result.code == 0, f"exit code {result.code}: {result.stderr}")
    need(tools.products(out) == tools.products(plain), "the products differ from those made here")
    logs = sorted((out / "logs").glob("*.log"))
    need(len(logs) == options.scenes, f"{len(logs)} logs of {options.scenes} scenes")
    elsewhere = [log.name for log in logs if _FAR not in log.read_text("utf-8")]
    need(not elsewhere, f"not made on the other host: {elsewhere}")
    need(not tools.remains(out), f"left behind: {tools.remains(out)}")
    rows = [[options.scenes, f"{result.wall:.1f}", "byte-identical to those made here"]]
    return common.table(["scenes on the other host", "wall s", "products"], rows)


def _network(stack: contextlib.ExitStack) -> None:
    """A network namespace joined to this one by a cable."""
    subprocess.run(["ip", "netns", "del", _NET], check=False, capture_output=True)
    for words in (
        ["ip", "netns", "add", _NET],
        ["ip", "link", "add", "psh-here", "type", "veth", "peer", "name", "psh-there"],
        ["ip", "link", "set", "psh-there", "netns", _NET],
        ["ip", "addr", "add", f"{_HERE}/24", "dev", "psh-here"],
        ["ip", "link", "set", "psh-here", "up"],
        ["ip", "-n", _NET, "addr", "add", f"{_THERE}/24", "dev", "psh-there"],
        ["ip", "-n", _NET, "link", "set", "psh-there", "up"],
        ["ip", "-n", _NET, "link", "set", "lo", "up"],
    ):
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if words[:3] == ["ip", "netns", "add"] and not done.returncode:
            # The cable goes with the namespace.
            stack.callback(subprocess.run, ["ip", "netns", "del", _NET], check=False)
        need(not done.returncode, f"{' '.join(words)}: {done.stderr.strip()}")


def _need_root(*programs: str) -> None:
    if os.geteuid() or not sys.platform.startswith("linux"):
        raise SystemExit("this needs root on Linux: it makes namespaces or mounts")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} not found; install iproute2 and util-linux")


# A full disk -------------------------------------------------------------------------------


def full_disk(options: argparse.Namespace) -> str:
    """Fill the disk after the first product, free it, and run the batch again."""
    _need_root("mount", "umount")
    archive = tools.copies(options.folder, options.size, options.scenes)
    scratch = tools.fresh(options.folder / "full_scratch")
    plain = options.folder / "full_plain"
    shutil.rmtree(plain, ignore_errors=True)
    need(tools.batch(archive, plain, options.model, "--workers", 2).code == 0, "the plain run")
    expected = tools.products(plain)
    size = sum((plain / name).stat().st_size for name in expected)
    disk = tools.fresh(options.folder / "full_disk")
    limit = f"size={2 * size + (64 << 20)}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", limit, "pansharp", str(disk)], check=True)
    try:
        return _filled(options, archive, disk, scratch, expected, size // len(expected))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _filled(
    options: argparse.Namespace,
    archive: Path,
    disk: Path,
    scratch: Path,
    expected: dict[str, str],
    one: int,
) -> str:
    out, filler = disk / "out", disk / "filler"
    stop = threading.Event()

    def fill() -> None:
        # Room for half a product more, held that small whatever is freed meanwhile.
        while not stop.is_set():
            if len(tools.products(out)) >= 1:
                free = shutil.disk_usage(disk).free - one // 2
                if free > 0:
                    with contextlib.suppress(OSError), filler.open("ab") as file:
                        os.posix_fallocate(file.fileno(), file.tell(), free)
            time.sleep(0.02)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        first = tools.batch(archive, out, options.model, "--workers", 2, scratch=scratch)
    finally:
        stop.set()
        thread.join()
    before = tools.products(out)
    need(before.items() <= expected.items(), "a product is wrong under its final name")
    need(len(before) < options.scenes, "the disk was not full in time; take more scenes")
    need(first.code in (1, 3), f"exit code {first.code} on a full disk: {first.stderr}")
    need("Traceback" not in first.stderr, first.stderr)
    reasons = {str(scene["reason"]) for scene in first.scenes("failed")}
    told = [first.stderr] if first.code == 1 else sorted(reasons)
    need(all("space" in text or "disk" in text or "full" in text for text in told), str(told))
    need(not [name for name in tools.remains(out, scratch) if "ballast" not in name], "remains")
    tools.check_database(out)
    filler.unlink(missing_ok=True)
    again = tools.batch(archive, out, options.model, "--workers", 2, scratch=scratch)
    need(again.code == 0, f"exit code {again.code} with space again: {again.stderr}")
    need(tools.products(out) == expected, "the products differ")
    need(not tools.remains(out, scratch), f"left behind: {tools.remains(out, scratch)}")
    tools.check_database(out)
    rows = [
        ["disk filled", first.code, len(before), len(first.scenes("failed")), f"{first.wall:.1f}"],
        ["space freed", again.code, len(expected), 0, f"{again.wall:.1f}"],
    ]
    return common.table(["run", "exit code", "products", "failed cleanly", "wall s"], rows)
