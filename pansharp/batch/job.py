"""What runs in a worker: one scene to one product, in a folder of its own.

Nothing gets a final name here: the process that holds the lock of the output folder does that. A
worker that has lost its batch can therefore do no harm, and two attempts never meet.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import shutil
import socket
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pansharp.batch.content import product_facts, stamps, with_digests
from pansharp.batch.records import JobError, one_line
from pansharp.errors import PansharpError, PansharpWarning, WriteError
from pansharp.readers._archive import archive_stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pansharp.batch.records import Job
    from pansharp.scene import Scene

__all__ = ["run_job", "sensor_key", "versions"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_VERSIONS = ("numpy", "rasterio", "distributed", "torch")


def versions() -> dict[str, str]:
    """Versions of what makes the pixels; nothing is imported for it."""
    from importlib.metadata import PackageNotFoundError, version

    from pansharp import __version__

    found = {"pansharp": __version__}
    for name in _VERSIONS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def sensor_key(scene: Scene) -> str:
    """What scenes share that can share weights: sensor, bands, ratio."""
    sensor = scene.sensor.name if scene.sensor else "unknown"
    return f"{sensor}|{','.join(scene.band_names)}|{scene.bands}|{scene.ratio:.3g}"


def run_job(job: Job) -> dict[str, Any]:
    """Do a job.

    Parameters
    ----------
    job : Job
        The scene and how to fuse it.

    Returns
    -------
    dict
        ``status`` (``done``, ``probed``, ``failed``, ``several``); of a product its folder,
        digests, card and facts; of a failure ``reason``, and ``passing`` where it lay in the
        surroundings and not in the scene.

    Raises
    ------
    JobError
        Something unexpected: the engine may try again.
    """
    begin = time.perf_counter()
    common: dict[str, Any] = {"host": socket.gethostname(), "versions": versions()}
    with _logged(job) as log:
        try:
            result = _done(job)
        except PansharpError as problem:
            log.error("failed: %s", one_line(problem))
            log.debug("%s", traceback.format_exc())
            result = {
                "status": "failed",
                "reason": one_line(problem),
                "passing": _passing(problem),
            }
            traceback.clear_frames(problem.__traceback__)
            several = _several(job, problem)
            if several:
                result = {"status": "several", "entries": several}
            if isinstance(problem, JobError):
                raise
        except MemoryError as problem:
            log.error("out of memory\n%s", traceback.format_exc())
            traceback.clear_frames(problem.__traceback__)
            raise JobError(f"out of memory {one_line(problem)}".strip()) from None
        except Exception as problem:  # noqa: BLE001 - one scene must not end the others
            log.error("failed unexpectedly\n%s", traceback.format_exc())
            traceback.clear_frames(problem.__traceback__)
            if _full(problem):
                reason = f"disk full: {one_line(problem)}"
                result = {"status": "failed", "reason": reason, "passing": True}
            else:
                raise JobError(
                    one_line(f"{type(problem).__name__}: {problem} (traceback in {job.log})")
                ) from None
        finally:
            # The scratch copy of an archive lives as long as a frame or a circle holds it.
            if archive_stem(job.path.partition("!/")[0]) is not None:
                gc.collect()
        result["seconds"] = time.perf_counter() - begin
        log.info("%s after %.2f s", result["status"], result["seconds"])
    return {**common, **result}


def _done(job: Job) -> dict[str, Any]:
    from pansharp import __version__

    if job.pansharp != __version__:
        raise WriteError(
            f"the worker on {socket.gethostname()} has pansharp {__version__}, the batch "
            f"{job.pansharp}; install the same version on all hosts"
        )
    before = stamps(job.files)
    scene = _open(job)
    try:
        facts = {
            "sensor": scene.sensor.name if scene.sensor else None,
            "bands": scene.bands,
            "height": scene.shape[1],
            "width": scene.shape[2],
            "ratio": scene.ratio,
            "acquired": scene.acquired,
            "group": sensor_key(scene),
        }
        if job.task == "probe":
            return {"status": "probed", "facts": facts}
        return {"status": "done", "facts": facts, **_fuse(job, scene, before)}
    finally:
        scene.close()


def _open(job: Job) -> Scene:
    from pansharp.readers import open_scene

    options = dict(job.scene)
    for key in ("bbox", "window", "bands"):
        if key in options:
            options[key] = tuple(options[key])
    return open_scene(job.path or None, **options)


def _fuse(job: Job, scene: Scene, before: dict[str, list[Any]]) -> dict[str, Any]:
    from pansharp.card import card_path
    from pansharp.engine import default_workers
    from pansharp.options import FuseOptions
    from pansharp.pipeline import fuse_to_file

    files = with_digests(before)
    threads = job.threads or max(1, default_workers() // max(1, job.slots))
    folder = Path(job.work) / f"{job.name}-{uuid4().hex[:12]}"
    try:
        # Not its parents: once the batch has ended, nothing may appear in its folder again.
        folder.mkdir()
    except FileNotFoundError:
        raise JobError("the batch that gave out this job has ended") from None
    try:
        more: dict[str, Any] = {"workers": threads, "overwrite": False}
        weights = folder / "weights.safetensors"
        if job.fuse.get("save_weights"):
            more["save_weights"] = str(weights)
        options = FuseOptions.checked(**{**job.fuse, **more})
        product = fuse_to_file(scene, folder / job.product, options)
        if stamps(job.files) != before:
            raise JobError("its files were changed while they were read")
        made = {
            "folder": folder.name,
            "files": files,
            "product": product_facts(product.path, job.product),
            "card": None,
            "scores": product.card,
            "summary": product.summary() if product.card_path else "",
            "weights": weights.name if weights.is_file() else None,
            "threads": threads,
        }
        if product.card_path is not None:
            name = card_path(Path(job.product)).name
            made["card"] = product_facts(product.card_path, name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return made


def _several(job: Job, problem: PansharpError) -> list[dict[str, Any]]:
    """The scenes of an archive that holds more than one, which only opening it shows."""
    from pansharp.errors import AmbiguousReaderError
    from pansharp.readers import find_scenes
    from pansharp.readers._archive import is_archive

    if not isinstance(problem, AmbiguousReaderError) or not is_archive(job.path):
        return []
    with contextlib.suppress(PansharpError):
        found = find_scenes(job.path)
        if len(found) > 1:
            return [{"path": f.path, "name": f.name, "reader": f.reader} for f in found]
    return []


def _full(problem: BaseException | None) -> bool:
    """Whether a full disk is behind an error, however far."""
    while problem is not None:
        if isinstance(problem, OSError) and problem.errno in _FULL:
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _passing(problem: PansharpError) -> bool:
    """Whether the surroundings are to blame: the scene is tried again by the next run."""
    return (
        isinstance(problem, WriteError | JobError)
        or str(problem).startswith("no room to unpack")
        or _full(problem)
    )


@contextlib.contextmanager
def _logged(job: Job) -> Iterator[logging.Logger]:
    """Send the library's log and warnings to the scene's own file."""
    log = logging.getLogger("pansharp.batch.job")
    root = logging.getLogger("pansharp")
    handler: logging.Handler
    try:
        handler = logging.FileHandler(job.log, encoding="utf-8")
    except OSError:  # a full disk costs the log first, not the scene
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = root.level, root.propagate
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    root.propagate = False
    before = logging.raiseExceptions
    logging.raiseExceptions = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", PansharpWarning)
            warnings.showwarning = lambda message, *_, **__: log.warning("%s", one_line(message))
            log.info("%s of '%s' on %s, process %d", job.task, job.path, _host(), os.getpid())
            yield log
    finally:
        logging.raiseExceptions = before
        root.removeHandler(handler)
        root.setLevel(level)
        root.propagate = propagate
        with contextlib.suppress(OSError):
            handler.close()


def _host() -> str:
    return socket.gethostname()
