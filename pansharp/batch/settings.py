"""All options of a batch in one checked record, and the digest of those that decide pixels."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pansharp.errors import OptionError
from pansharp.options import FuseOptions
from pansharp.registry import nearest

__all__ = ["SCENE_KEYS", "BatchSettings"]

#: Keywords of `open_scene`.
SCENE_KEYS = (
    *("pan", "ms", "hsi", "msi", "sensor", "ratio"),
    *("bands", "bbox", "window", "nodata", "reader"),
    *("ortho", "dem", "height", "radiometry", "esun"),
)
_FILES = ("pan", "ms", "hsi", "msi")
_ADAPT = ("per-scene", "once-per-sensor", "auto", "always", "never")
#: Fields of `FuseOptions` that change no pixel, no tag and no verdict, or that the batch sets.
_WITHOUT_TRACE = ("workers", "overwrite", "checkpoint", "save_weights")
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class BatchSettings:
    """What to do with an archive; make it with :meth:`checked`.

    Parameters
    ----------
    output : Path
        Folder of the products.
    fuse : dict
        Fields of `FuseOptions`, those that the user gave.
    scene : dict
        Keywords of `open_scene`, for all scenes.
    adapt : {"per-scene", "once-per-sensor", "never", "always"}
        How networks are fitted.
    workers : int or None
        Worker processes; None takes what cores and memory allow.
    threads : int or None
        Threads of one job.
    memory : int or None
        Bytes that one worker may use.
    scheduler : str or None
        Address of a running Dask scheduler.
    dashboard : str or None
        Address of the dashboard of the embedded cluster.
    retries : int
        Times that the engine repeats a job that ended unexpectedly.
    max_failures : int or None
        Failed scenes of this run that end it.
    retry_failed, overwrite, verify : bool
        Try failed scenes again; do everything anew; read every finished product again.
    """

    output: Path
    fuse: dict[str, Any] = field(default_factory=dict)
    scene: dict[str, Any] = field(default_factory=dict)
    adapt: str = "per-scene"
    workers: int | None = None
    threads: int | None = None
    memory: int | None = None
    scheduler: str | None = None
    dashboard: str | None = None
    retries: int = 1
    max_failures: int | None = None
    retry_failed: bool = False
    overwrite: bool = False
    verify: bool = False

    @classmethod
    def checked(cls, output: str | os.PathLike[str], **options: Any) -> BatchSettings:
        """Sort options into those of scenes, of the fusion and of the batch itself.

        Raises
        ------
        OptionError
            An unknown name, or a value that cannot be.
        PansharpError
            An unknown model or sensor.
        """
        given = {key: value for key, value in options.items() if value not in (None, ())}
        own = {key: given.pop(key) for key in list(given) if key in cls._own()}
        adapt = str(own.get("adapt", "per-scene")).lower()
        if adapt not in _ADAPT:
            raise OptionError(f"--adapt is '{adapt}'; {nearest(adapt, list(_ADAPT))}")
        for key, least in (("workers", 1), ("threads", 1), ("retries", 0), ("max_failures", 1)):
            if key in own and (not isinstance(own[key], int) or own[key] < least):
                raise OptionError(
                    f"--{key.replace('_', '-')} is {own[key]}; it must be {least} or more"
                )
        if own.pop("fail_fast", False):
            own["max_failures"] = 1
        if "memory" in own:
            own["memory"] = _bytes(own["memory"])
        if own.get("scheduler") and (own.get("workers") or own.get("memory")):
            raise OptionError(
                "--workers and --memory are of the batch's own workers; those of --scheduler are "
                "started elsewhere"
            )
        scene = {key: _plain(key, given.pop(key)) for key in SCENE_KEYS if key in given}
        fuse = given
        for key in ("checkpoint", "save_weights"):
            if key in fuse:
                raise OptionError(f"--{key.replace('_', '-')} is of one scene; leave it off")
        if "weights" in fuse:
            fuse["weights"] = _weights(str(fuse["weights"]))
        adapt = {"auto": "per-scene"}.get(adapt, adapt)
        settings = cls(Path(output), fuse, scene, **{**own, "adapt": adapt})
        settings.options()
        settings._check_adapt()
        return settings

    @staticmethod
    def _own() -> tuple[str, ...]:
        return (
            *("adapt", "workers", "threads", "memory", "scheduler", "dashboard", "retries"),
            *("max_failures", "fail_fast", "retry_failed", "overwrite", "verify"),
        )

    def options(self, **more: Any) -> FuseOptions:
        """Options of a fusion."""
        adapt = self.adapt if self.adapt in ("always", "never") else "auto"
        return FuseOptions.checked(**{"adapt": adapt, **self.fuse, **more})

    @property
    def model(self) -> str:
        """Name of the method."""
        return self.options().model

    @property
    def suffix(self) -> str:
        """Ending of the products."""
        return ".zarr" if self.options().format == "zarr" else ".tif"

    @property
    def named(self) -> str | None:
        """The PAN or other file of the one scene whose files the options name."""
        files = self.scene.get("pan") or self.scene.get("msi") or self.scene.get("ms")
        files = files or self.scene.get("hsi")
        return None if files is None else str(files[0] if isinstance(files, list) else files)

    def _check_adapt(self) -> None:
        from pansharp.models import is_network

        network = self.model == "auto" or is_network(self.model)
        if self.adapt == "once-per-sensor":
            if not network:
                raise OptionError(
                    f"'{self.model}' is not adapted; --adapt once-per-sensor is for networks"
                )
            if "weights" in self.fuse:
                raise OptionError(
                    "--adapt once-per-sensor takes its weights from the first scene of each "
                    "sensor; leave off --weights or use --adapt per-scene"
                )
        if self.adapt == "never" and is_network(self.model) and "weights" not in self.fuse:
            raise OptionError(
                f"'{self.model}' without adaptation needs weights; give --weights, or another "
                "--adapt"
            )

    def digest(self) -> str:
        """Digest of everything that decides a product, but for its scene.

        Raises
        ------
        OptionError
            A file that an option names is not there.
        """
        from dataclasses import asdict

        from pansharp import __version__
        from pansharp.card import digest

        fuse = {k: v for k, v in asdict(self.options()).items() if k not in _WITHOUT_TRACE}
        files = {}
        for key, name in (("weights", fuse["weights"]), ("dem", self.scene.get("dem"))):
            if name is not None and "://" not in str(name):
                if not os.path.isfile(name):
                    raise OptionError(f"--{key} '{name}' does not exist; check the path")
                files[key] = digest(Path(name))
        parts = [__version__, fuse, self.scene, self.adapt, files]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _bytes(text: object) -> int:
    """Bytes of ``4GiB``, ``800M`` or a number."""
    found = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?)(i?b)?\s*", str(text), re.IGNORECASE)
    try:
        size = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    except ValueError:
        size = 0
    if size < 64 * 2**20:
        raise OptionError(f"--memory is '{text}'; give bytes for one worker, such as 4GiB")
    return size


def _weights(name: str) -> str:
    """The weights file by its full path: workers may run in another folder."""
    from pansharp.weights import find_weights

    return os.path.abspath(find_weights(name))


def _plain(key: str, value: Any) -> Any:
    """Options in types that travel and that JSON knows: paths absolute, sensors by name."""
    if key == "sensor":
        from pansharp.sensors import get_sensor

        return get_sensor(value if isinstance(value, str) else value.name).name
    if key in (*_FILES, "dem"):
        if isinstance(value, str | os.PathLike):
            return _absolute(os.fspath(value))
        paths = [_absolute(os.fspath(one)) for one in value]
        return paths[0] if len(paths) == 1 else paths
    return list(value) if isinstance(value, tuple) else value


def _absolute(path: str) -> str:
    return path if "://" in path or path.startswith("/vsi") else os.path.abspath(path)
