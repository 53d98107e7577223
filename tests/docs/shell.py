"""Runs the command lines of the documentation, in this process where it can."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from unittest import mock

import click
from click.testing import CliRunner

from docs.blocks import ROOT, Command
from pansharp.cli import main
from pansharp.options import FuseOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Shell", "check_line", "names_of", "parse", "shortened"]

#: Trainings are cut to so few steps, whatever the page says: that they run is tested here, what
#: they reach is measured by the benchmarks.
_STEPS = {"--adapt-steps": "3", "--adapt-minutes": "0.05", "--steps": "4", "--epochs": "1"}
#: What is added where the page does not say it.
_FEW = ["--adapt-steps", "3", "--workers", "1"]
_ADDED = {
    "fuse": _FEW,
    "evaluate": _FEW,
    "benchmark": _FEW,
    "batch": _FEW[:2],
    "train": ["--steps", "4", "--batch", "2", "--workers", "1"],
}


def is_automatic(words: list[str]) -> bool:
    """Whether a fusion looks for the best method itself."""
    return words[0] in ("fuse", "batch") and not {"-m", "--config", "--weights"} & {*words}


def shortened(words: list[str]) -> list[str]:
    """A command with few steps of training, and few methods where all are meant."""
    out = list(words)
    for option, value in _STEPS.items():
        for index, word in enumerate(out[:-1]):
            if word == option:
                out[index + 1] = value
    added = _ADDED.get(out[0], [])
    if out[0] == "evaluate" and "--fused" in out:
        added = []
    for option, value in zip(added[::2], added[1::2], strict=True):
        if option not in out and not (option == "--steps" and "--epochs" in out):
            out += [option, value]
    if out[0] == "benchmark" and "-m" not in out:
        out += ["-m", "exp", "-m", "brovey"]
    if out[0] == "fuse":
        # Several forms of a command on a page make the same product.
        out += [] if "--overwrite" in out else ["--overwrite"]
        # After so few steps no network wins, and only that of the product is kept.
        out += ["--force"] if "--save-weights" in out and "--force" not in out else []
    if is_automatic(out) and "--adapt-minutes" not in out:
        # Automatic choice tries as many networks as fit the time.
        out += ["--adapt-minutes", "0.05"]
    return out


@contextmanager
def few_steps() -> Iterator[None]:
    """Let a command that has no option for it train a few steps only."""
    checked = FuseOptions.checked.__func__

    def fewer(cls: type[FuseOptions], **values: Any) -> FuseOptions:
        return checked(cls, **{"adapt_steps": 3, **values})

    with mock.patch.object(FuseOptions, "checked", classmethod(fewer)):
        yield


def parse(words: list[str]) -> None:
    """Let click parse a command without running it."""
    group: click.Command = main
    context = main.make_context("pansharp", list(words))
    while isinstance(group, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, found, rest = group.resolve_command(context, rest)
        assert found is not None
        context = found.make_context(name, rest, parent=context)
        group = found


def _pip(words: list[str]) -> None:
    """`pip install`: the extras exist, and the pinned torch is that of the Makefile."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pin = re.search(r"^TORCH +\?= (\S+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert pin is not None
    assert words[0] == "install"
    for word in words[1:]:
        if word.startswith("-"):
            continue
        name, _, extras = word.rstrip("]").partition("[")
        for extra in filter(None, extras.split(",")):
            assert extra in project["optional-dependencies"], f"there is no extra '{extra}'"
        if name.startswith("torch"):
            assert name in ("torch", pin[1]), f"'{name}' is not what the Makefile installs"
        else:
            assert name in (".", "pansharp"), f"'{name}' is not ours"


def _make(words: list[str]) -> None:
    """`make`: it knows what to do, without doing it."""
    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def _split(command: Command) -> tuple[str, list[str], str | None]:
    words = command.words
    target = None
    if len(words) > 2 and words[-2] == ">":
        words, target = words[:-2], words[-1]
    return words[0], words[1:], target


class Shell:
    """Runs the command lines of one page in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.automatic = False

    def run(self, command: Command) -> None:
        """Run a command line as the page shows it; it must end as the page says."""
        program, words, target = _split(command)
        if program == "pip":
            _pip(words)
        elif program == "make":
            _make(words)
        elif program in ("cd", "mkdir", "ls"):
            assert subprocess.run([program, *words], cwd=self.folder, timeout=20).returncode == 0
        elif program == "pansharp":
            self._pansharp(command, words, self.folder / target if target else None)
        else:
            raise AssertionError(f"nobody knows how to run '{program}': mark the block as not run")

    def _pansharp(self, command: Command, words: list[str], target: Path | None) -> None:
        if is_automatic(words) and "--hsi" not in words:
            # The search for the best method is the same on a page: once is enough.
            words = [*words, "-m", "gsa"] if self.automatic else words
            self.automatic = True
        words = shortened(words)
        with few_steps() if words[0] == "demo" else nullcontext():
            result = CliRunner().invoke(main, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if target is not None:
            target.write_text(result.stdout)
        if command.error is not None:
            assert result.exit_code == 1
            assert command.error in result.stderr.splitlines()
            return
        said = f"$ pansharp {shlex.join(words)}\n{result.stdout}{result.stderr}"
        assert result.exit_code == 0, said


def check_line(command: Command) -> None:
    """Parse a command that is not run, as far as it is ours."""
    program, words, _ = _split(command)
    if program == "pansharp":
        parse(words)
        return
    for index, word in enumerate(words):
        if word == "pansharp" and words[index - 1] == "-m":
            parse(words[index + 1 :])


def names_of(code: Any) -> set[str]:
    """Every name that compiled code asks for, in its functions too."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            found |= names_of(constant)
    return found
