"""What the shell offers after TAB, through the scripts that `pansharp completion` prints."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete

import pansharp
from pansharp.cli import _complete, main
from pansharp.models import list_models
from pansharp.models.networks import list_networks
from pansharp.readers import list_readers
from pansharp.sensors import list_sensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    Run = Callable[..., Result]

HOME = str(Path(pansharp.__file__).parents[1])


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[tuple[str, str]]]:
    """Type and value of what is offered at the end of a line."""
    monkeypatch.setenv(_complete.VARIABLE, "bash_complete")

    def complete(line: str) -> list[tuple[str, str]]:
        *words, incomplete = line.split(" ")[1:]
        shell = ShellComplete(main, {}, "pansharp", _complete.VARIABLE)
        return [(item.type, item.value) for item in shell.get_completions(words, incomplete)]

    return complete


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("pansharp fuse -m ", list_models()),
        ("pansharp fuse scene.tif --model mtf-glp-f", ["mtf-glp-fs"]),
        ("pansharp evaluate x -m MTF-GLP-F", ["mtf-glp-fs"]),
        ("pansharp benchmark x -m exp -m brov", ["brovey"]),
        ("pansharp models rf", ["rfridge"]),
        ("pansharp train -m ", list_networks()),
        ("pansharp weights import x.pth -m bugpan-s", ["bugpan-small", "bugpan-static"]),
        ("pansharp fuse --reader ", list_readers()),
        ("pansharp fuse --format ", ["cog", "gtiff", "zarr"]),
        ("pansharp fuse --dtype u", ["uint16"]),
        ("pansharp fuse --device c", ["cpu"]),
        ("pansharp completion ", ["bash", "zsh", "fish"]),
        ("pansharp comp", ["completion"]),
        ("pansharp fuse --radio", ["--radiometry"]),
        ("pansharp fuse --seed ", []),
    ],
)
def test_names_and_words(
    offered: Callable[[str], list[tuple[str, str]]], line: str, names: list[str]
) -> None:
    assert sorted(offered(line)) == sorted(("plain", name) for name in names)


def test_sensors_by_name_and_alias(offered: Callable[[str], list[tuple[str, str]]]) -> None:
    found = [value for _, value in offered("pansharp fuse --sensor ")]
    assert set(list_sensors()) <= set(found)
    assert offered("pansharp sensors wv3") == [("plain", "wv3")]


@pytest.mark.parametrize(
    "line",
    [
        "pansharp fuse ",
        "pansharp fuse deliv",
        "pansharp fuse --pan ",
        "pansharp fuse -o ",
        "pansharp info x",
        "pansharp evaluate --reference ",
        "pansharp weights import ",
        "pansharp train --data ",
        "pansharp fuse --config ",
        "pansharp fuse --weights ./mine",
    ],
)
def test_files_where_a_path_may_stand(
    offered: Callable[[str], list[tuple[str, str]]], line: str
) -> None:
    assert offered(line) == [("file", line.rpartition(" ")[2])]


def test_weights_in_the_cache(
    offered: Callable[[str], list[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PANSHARP_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine-wv3.safetensors").write_bytes(b"not really")
    assert offered("pansharp fuse --weights mi") == [("plain", "mine-wv3")]
    assert offered("pansharp weights inspect mi") == [("plain", "mine-wv3")]


def test_an_unreadable_cache_offers_nothing(
    offered: Callable[[str], list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANSHARP_CACHE", "~nobody-of-that-name/x")
    assert offered("pansharp fuse --weights ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_say_how_to_install_them(run: Run, shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("no bash, whose version the script depends on")
    result = run("completion", shell)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1].startswith(f"# Install: pansharp completion {shell} > ")
    document = json.loads(run("completion", shell, "--json").stdout)
    assert document["script"].splitlines() == lines[:-1]
    assert document["install"] in lines[-1]
    assert "_PANSHARP_COMPLETE" in document["script"]


def test_an_unknown_shell_is_one_line(run: Run) -> None:
    result = run("completion", "bsh")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean 'bash'" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_bash_quickly_and_without_torch(tmp_path: Path) -> None:
    program = tmp_path / "pansharp"
    # What the completion imports is told on another stream.
    program.write_text(
        f"#!{sys.executable} -P\n"
        "import atexit, sys\n"
        f"sys.path.insert(0, {HOME!r})\n"
        "heavy = ('torch', 'scipy', 'xarray', 'dask', 'rasterio')\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules], file=sys.stderr))\n"
        "from pansharp.cli import main\n"
        "main()\n"
    )
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = (
        'eval "$(pansharp completion bash 2>/dev/null)"\n'
        "COMP_WORDS=(pansharp fuse -m mtf-glp-h)\nCOMP_CWORD=3\n"
        "_pansharp_completion pansharp mtf-glp-h -m\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.stdout.split() == ["mtf-glp-hpm", "mtf-glp-hpm-h", "mtf-glp-hpm-r"]
    assert result.stderr.split("\n")[0] == "[]"

    environment |= {"COMP_WORDS": "pansharp fuse -m mtf", "COMP_CWORD": "3"}
    environment[_complete.VARIABLE] = "bash_complete"
    best = float("inf")
    for _ in range(3):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([str(program)], capture_output=True, env=environment, timeout=60)
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # On a busy machine the wall clock tells of the others; processor time is ours.
        best = min(best, cpu, wall)
    assert best < 0.3
