"""Torch, threads, GPU, memory and disk."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

from pansharp.doctor.finding import Finding
from pansharp.scratch import free_bytes, scratch_root

__all__ = ["resources", "torch"]

_GIB = 1 << 30
#: Below these a scene of ordinary size may not get through.
_LITTLE_MEMORY, _LITTLE_DISK = 1.5, 2.0


def torch() -> list[Finding]:
    """Version, threads, and the GPU or why there is none."""
    try:
        import torch as library
    except (ImportError, OSError) as problem:
        advice = "pip install --force-reinstall torch; classical methods work without it"
        text = f"cannot be imported: {' '.join(str(problem).split())}"
        return [Finding("torch", "torch", text, "broken", advice)]
    findings = [
        Finding("torch", "torch", str(library.__version__)),
        Finding(
            "torch", "threads",
            f"{library.get_num_threads()} of {_cores()} cores that this process may use",
        ),
    ]  # fmt: skip
    return [*findings, *_gpus(library)]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus(library: Any) -> list[Finding]:
    built = library.version.cuda or library.version.hip
    if built is None:
        text = f"none: this build of torch ({library.__version__}) knows no CUDA"
        advice = "install the CUDA build of torch if there is an NVIDIA card"
        return [Finding("torch", "GPU", text, "note", advice)]
    # Torch says why a card cannot be used in a warning (a driver that is too old).
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        usable = library.cuda.is_available()
        count = library.cuda.device_count() if usable else 0
    if count:
        return [_card(library, index, built) for index in range(count)]
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said:
        why = " ".join(str(said[0].message).split())
    elif hidden is not None:
        why = f"CUDA_VISIBLE_DEVICES is '{hidden}'"
    elif not Path("/dev/nvidiactl").exists():
        why = "no NVIDIA driver is loaded (no /dev/nvidiactl)"
    else:
        why = "the driver shows no card"
    text = f"none: {why}; torch is built for CUDA {built}"
    return [Finding("torch", "GPU", text, "note", "everything runs on the processor")]


def _card(library: Any, index: int, built: str) -> Finding:
    facts = library.cuda.get_device_properties(index)
    name = f"GPU cuda:{index}"
    text = f"{facts.name}, {facts.total_memory / _GIB:.1f} GiB, CUDA {built}"
    try:
        free, _ = library.cuda.mem_get_info(index)
        # A card that is listed may still refuse to compute: too new or too old for this build.
        total = float(library.ones(8, device=f"cuda:{index}").sum())
    except RuntimeError as problem:
        why = " ".join(str(problem).split())[:200]
        advice = "use --device cpu, or another build of torch"
        return Finding("torch", name, f"{text}: does not compute: {why}", "broken", advice)
    if total != 8.0:
        return Finding("torch", name, f"{text}: adds eight ones to {total}", "broken")
    return Finding("torch", name, f"{text}, {free / _GIB:.1f} GiB free")


def resources() -> list[Finding]:
    """Memory that is left, and room for scratch files and products."""
    findings = []
    available = _available()
    if available is None:
        findings.append(Finding("resources", "memory", "unknown on this platform"))
    else:
        little = available < _LITTLE_MEMORY * _GIB
        findings.append(
            Finding(
                "resources", "memory", f"{available / _GIB:.1f} GiB available",
                "note" if little else "ok",
                "use --workers 1 and a smaller --tile" if little else "",
            )
        )  # fmt: skip
    findings.append(_folder("scratch", scratch_root(), "PANSHARP_SCRATCH names another folder"))
    findings.append(_folder("working folder", Path.cwd(), "give -o in a folder that you may write"))
    return findings


def _available() -> int | None:
    """Bytes that may still be taken: what the system or the control group leaves."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        left = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):
        return None
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return left
    return left if limit == "max" else min(left, max(0, int(limit) - used))


def _folder(name: str, folder: Path, advice: str) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"pansharp")
        free = free_bytes(folder) / _GIB
    except OSError as problem:
        # Only scratch files are needed for everything: a product may lie elsewhere.
        state = "broken" if name == "scratch" else "note"
        text = f"{folder} cannot be written: {problem.strerror}"
        return Finding("resources", name, text, state, advice)
    state = "note" if free < _LITTLE_DISK else "ok"
    text = f"{folder}, {free:.1f} GiB free"
    return Finding("resources", name, text, state, advice if state == "note" else "")
