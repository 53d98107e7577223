"""Many methods on many scenes, after both protocols: `pansharp.benchmark`."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pansharp.benchmarking.conventions import Conventions, get_conventions, list_conventions
from pansharp.benchmarking.journal import Journal
from pansharp.benchmarking.plan import classical_methods, make_plan
from pansharp.benchmarking.results import Benchmark
from pansharp.benchmarking.run import run_jobs
from pansharp.errors import OptionError, WriteError
from pansharp.options import FuseOptions
from pansharp.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Benchmark",
    "Conventions",
    "benchmark",
    "classical_methods",
    "get_conventions",
    "list_conventions",
]

#: Keywords of `open_scene` that hold for all scenes.
_SCENE_KEYS = (
    *("pan", "ms", "hsi", "msi", "sensor", "ratio"),
    *("bands", "bbox", "window", "nodata", "reader"),
    *("ortho", "dem", "height", "radiometry", "esun"),
)
_JOURNAL = "results.jsonl"
_FILES = ("results.csv", "results.md", "results.html", "results.tex")


def benchmark(
    scenes: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    models: str | Sequence[str] = (),
    *,
    output: str | os.PathLike[str] | None = None,
    protocol: str = "both",
    conventions: str = "toolbox2021",
    cut: int | None = None,
    bits: int | None = None,
    mode: str = "default",
    overwrite: bool = False,
    progress: Callable[[float, float, str], None] | None = None,
    **options: Any,
) -> Benchmark:
    """Run methods on scenes, each in a process of its own, and score the products.

    Parameters
    ----------
    scenes : path or sequence of paths
        Files, folders (every scene in them), research sets (every item).
    models : str or sequence of str
        Methods; none takes all classical ones.
    output : path, optional
        Folder for the tables and the journal. What the journal has is not computed again.
    protocol : {"both", "reduced", "full"}
        Sets with a reference are scored against it instead of ``reduced``.
    conventions : str
        Rules of scoring, see :func:`list_conventions`.
    cut : int, optional
        Border left out at reduced resolution, instead of the preset's.
    bits : int, optional
        Limit products to 0 ... 2^bits; range of PSNR and SSIM.
    mode : {"default", "reference"}
        ``reference``: classical methods exactly as the toolboxes compute them, for pairs on the
        toolbox's grid.
    overwrite : bool
        Begin anew.
    progress : callable, optional
        Called with (done, total, label).
    **options
        Keywords of :func:`pansharp.open_scene` and fields of `FuseOptions`, for all.

    Returns
    -------
    Benchmark
        Rows, tables of means; also where methods failed on scenes (``failures``).

    Raises
    ------
    PansharpError
        A name, path or option that is wrong, or files that cannot be written.

    Examples
    --------
    >>> import pansharp as ps
    >>> found = ps.benchmark("scenes/", ["exp", "gsa"], output="out")  # doctest: +SKIP
    >>> found.to_frame().groupby("method")["hqnr"].mean()  # doctest: +SKIP
    """
    scene_options, fuse_options = _split(options)
    jobs, rules = make_plan(
        _texts(scenes),
        [models] if isinstance(models, str) else list(models),
        scene_options=scene_options,
        options=fuse_options,
        protocol=protocol,
        conventions=conventions,
        cut=cut,
        bits=bits,
        mode=mode,
    )
    folder = None if output is None else _folder(Path(output), overwrite)
    journal = Journal(None if folder is None else folder / _JOURNAL)
    from pansharp import __version__

    common = {
        "conventions": rules.name,
        "bits": rules.bits,
        "mode": mode.lower(),
        "pansharp": __version__,
    }
    rows: list[dict[str, Any]] = []
    try:
        for part in run_jobs(jobs, journal, progress=progress):
            rows += [{**row, **common} for row in part]
    finally:
        # An interrupted run leaves the tables of what it has done.
        result = Benchmark(tuple(rows), rules, mode.lower(), folder)
        if folder is not None and rows:
            result.write(folder)
    return result


def _texts(scenes: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    if isinstance(scenes, str | os.PathLike):
        return [os.fspath(scenes)]
    return [os.fspath(scene) for scene in scenes]


def _split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    known = {field.name for field in fields(FuseOptions)} - {"model", "card", "overwrite"}
    scene, fuse = {}, {}
    for key, value in options.items():
        if value is None:
            continue
        if key in _SCENE_KEYS:
            scene[key] = _json_ready(key, value)
        elif key in known:
            fuse[key] = value
        else:
            raise OptionError(f"unknown option '{key}'; {nearest(key, [*_SCENE_KEYS, *known])}")
    return scene, fuse


def _json_ready(key: str, value: Any) -> Any:
    """Options travel to child processes as JSON: paths and sensors by name."""
    if key == "sensor":
        from pansharp.sensors import get_sensor

        return get_sensor(value if isinstance(value, str) else value.name).name
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [os.fspath(item) if isinstance(item, os.PathLike) else item for item in value]
    return value


def _folder(folder: Path, overwrite: bool) -> Path:
    """The output folder; what is in it belongs to this benchmark or is replaced on request."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise WriteError(f"cannot make the folder '{folder}': {problem.strerror}") from problem
    journal = folder / _JOURNAL
    if overwrite:
        journal.unlink(missing_ok=True)
    elif not journal.exists():
        there = [name for name in _FILES if (folder / name).exists()]
        if there:
            raise WriteError(
                f"'{folder / there[0]}' exists already and is not of a run that could go on; pass "
                "--overwrite to replace it"
            )
    return folder
