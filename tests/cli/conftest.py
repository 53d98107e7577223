"""Stand-ins for the pipeline and the readers, so that the command line is tested by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pansharp.cli import main
from pansharp.errors import OptionError
from pansharp.scene import Scene

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@dataclass(frozen=True)
class FakeOptions:
    """Takes what the real options take, and checks one of them."""

    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def checked(cls, **values: Any) -> FakeOptions:
        if values.get("compress", "zstd") not in ("zstd", "none"):
            raise OptionError(f"compress is '{values['compress']}'; did you mean 'zstd'?")
        return cls(values)

    def __getattr__(self, name: str) -> Any:
        defaults = {"model": "auto", "format": "cog", "overwrite": False}
        return self.values.get(name, defaults.get(name))


@dataclass(frozen=True)
class FakeProduct:
    path: Path
    card: dict[str, Any]
    card_path: Path | None = None

    def summary(self) -> str:
        return f"verdict: {self.card['verdict']}"


class FakeReport:
    def to_json(self) -> str:
        return '{"ERGAS": 1.5}'

    def __str__(self) -> str:
        return "ERGAS 1.5"


@dataclass
class Calls:
    """What the command line asked for; `fail` is raised by the next fusion."""

    opened: tuple[str | None, dict[str, Any]] | None = None
    options: FakeOptions | None = None
    target: Path | None = None
    protocol: str | None = None
    fail: BaseException | None = None
    scene: Scene = field(
        default_factory=lambda: Scene.from_arrays(
            np.ones((16, 16), np.uint16), np.ones((4, 4, 4), np.uint16), name="site"
        )
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Put the stand-ins in place and record what reaches them."""
    record = Calls()

    def open_scene(path: str | None = None, **options: Any) -> Scene:
        record.opened = (path, options)
        return replace(record.scene)

    def fuse_to_file(
        scene: Scene, path: Path, options: FakeOptions, progress: Callable[..., None]
    ) -> FakeProduct:
        progress(0, 4, "fuse")
        progress(4, 4, "fuse")
        if record.fail is not None:
            raise record.fail
        record.options, record.target = options, Path(path)
        return FakeProduct(Path(path), {"verdict": "better", "rho": float("nan")})

    def evaluate_scene(
        scene: Scene, options: FakeOptions, *, protocol: str, progress: Callable[..., None]
    ) -> FakeReport:
        record.options, record.protocol = options, protocol
        return FakeReport()

    readers = ModuleType("pansharp.readers")
    readers.open_scene = open_scene
    pipeline = ModuleType("pansharp.pipeline")
    pipeline.FuseOptions = FakeOptions
    pipeline.fuse_to_file = fuse_to_file
    pipeline.evaluate_scene = evaluate_scene
    monkeypatch.setitem(sys.modules, "pansharp.readers", readers)
    monkeypatch.setitem(sys.modules, "pansharp.pipeline", pipeline)
    # The allocator of the test process stays as it is.
    monkeypatch.setenv("PANSHARP_NO_MALLOC_TUNING", "1")
    return record
