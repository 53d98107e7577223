from __future__ import annotations

import errno
import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
from click.testing import Result

from pansharp.cli import COMMANDS
from pansharp.errors import AlignmentWarning, WriteError

Run = Callable[..., Result]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"pansharp {command}" in result.stdout.split("Example")[1]
    assert "--json" in result.stdout
    assert "--verbose" in result.stdout


def test_help_lists_all_commands(run: Run) -> None:
    text = run("--help").stdout
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["fuse", "--help"], ["evaluate", "--help"]])
def test_help_of_a_command_is_light(arguments: list[str]) -> None:
    script = (
        "import sys; from pansharp.cli import main\n"
        f"code = 0\ntry: main({arguments!r})\nexcept SystemExit as end: code = end.code\n"
        "heavy = {'numpy', 'torch', 'rich', 'rasterio'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version(run: Run) -> None:
    import pansharp

    assert run("--version").stdout.split()[-1] == pansharp.__version__


def test_unknown_command_is_usage_with_the_nearest(run: Run) -> None:
    result = run("fus", "x")
    assert result.exit_code == 2
    assert "Did you mean 'fuse'?" in result.stderr
    assert result.stdout == ""


def test_unknown_option_is_usage(run: Run) -> None:
    assert run("fuse", "--tilee", "3").exit_code == 2


@pytest.mark.parametrize(
    ("problem", "code", "text"),
    [
        (WriteError("the disk\nis full"), 1, "error: the disk is full"),
        (OSError(errno.ENOSPC, "No space left on device", "f.tif"), 1, "error: f.tif: No space"),
        (MemoryError("9 GiB wanted"), 1, "error: out of memory (9 GiB wanted)"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_one_line(
    run: Run, calls: object, problem: BaseException, code: int, text: str
) -> None:
    calls.fail = problem
    result = run("fuse", "x")
    assert result.exit_code == code
    assert result.stderr.strip().splitlines()[-1].startswith(text)
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_traceback_only_with_two_v(run: Run, calls: object) -> None:
    calls.fail = WriteError("no")
    assert "Traceback" not in run("-v", "fuse", "x").stderr
    for arguments in (["-vv", "fuse", "x"], ["-v", "fuse", "x", "-v"], ["fuse", "x", "-vv"]):
        result = run(*arguments)
        assert "Traceback" in result.stderr
        assert result.stderr.strip().endswith("error: no")
    # The level of one run does not stay for the next.
    assert "Traceback" not in run("fuse", "x").stderr


def test_a_bug_is_not_hidden(run: Run, calls: object) -> None:
    calls.fail = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        run("fuse", "x")


def test_progress_lines_follow_v(run: Run, calls: object) -> None:
    assert run("fuse", "x", "-o", "a.tif").stderr == ""
    assert run("fuse", "x", "-o", "b.tif", "-v").stderr == "fuse: 0 %\nfuse: 100 %\n"


def test_warnings_are_one_line_and_quiet_with_q(
    run: Run, calls: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = sys.modules["pansharp.pipeline"]
    plain = pipeline.fuse_to_file

    def fuse(*arguments: object, **options: object) -> object:
        warnings.warn("PAN and MS differ\nby 2 pixels", AlignmentWarning, stacklevel=1)
        return plain(*arguments, **options)

    monkeypatch.setattr(pipeline, "fuse_to_file", fuse)
    before = warnings.showwarning
    assert run("fuse", "x", "-o", "a.tif").stderr == "warning: PAN and MS differ by 2 pixels\n"
    assert run("fuse", "x", "-o", "b.tif", "-q").stderr == ""
    assert warnings.showwarning is before


def test_broken_pipe_is_silent() -> None:
    script = (
        f"{sys.executable} -c \"from pansharp.cli import main; main(['sensors', '--json'])\""
        " | head -c 10"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert len(done.stdout) == 10
