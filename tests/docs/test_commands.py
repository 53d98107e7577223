"""Every command and every Python example of the documentation runs.

A page is played from top to bottom in one folder that holds, small, the files it names. What
cannot be run carries a comment that says why, and must parse.
"""

from __future__ import annotations

import doctest
import json
import re
import tomllib
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from docs.blocks import COMMANDS, INERT, ROOT, Block, blocks_of, commands_of, pages
from docs.shell import Shell, check_line, names_of
from docs.stage import arrays, set_up
from pansharp.errors import PansharpWarning

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [page for page in pages() if any(b.language not in INERT for b in blocks_of(page))]


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # The settings of whoever runs the tests stay out, and nothing changes for later tests.
    monkeypatch.setenv("PANSHARP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PANSHARP_NO_MALLOC_TUNING", "1")
    blocks = blocks_of(page)
    run = [block for block in blocks if not block.reason and block.language in COMMANDS]
    python = [block for block in blocks if not block.reason and block.language == "python"]
    set_up(tmp_path, "\n".join(block.text for block in [*run, *python]))
    names: dict[str, Any] = {"__name__": "__example__"}
    shell = Shell(tmp_path)
    for block in blocks:
        try:
            play(block, shell, names)
        except BaseException as problem:
            problem.add_note(f"in {block.place}")
            raise


def play(block: Block, shell: Shell, names: dict[str, Any]) -> None:
    """Run a block, or see that it parses."""
    if block.language in COMMANDS:
        for command in commands_of(block.text):
            if block.reason:
                check_line(command)
            else:
                shell.run(command)
    elif block.language == "python":
        python(block, shell.folder, names)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language not in INERT:
        raise AssertionError(f"'{block.language}' is no language that is checked: use text")


def python(block: Block, folder: Path, names: dict[str, Any]) -> None:
    """Run Python: a session with prompts by doctest, anything else as it stands."""
    if ">>>" in block.text:
        test = doctest.DocTestParser().get_doctest(
            block.text, names, block.place, str(block.page), block.line
        )
        runner = doctest.DocTestRunner(verbose=False)
        assert runner.run(test, clear_globs=False).failed == 0
        names.update(test.globs)
        return
    code = compile(block.text, block.place, "exec")
    if not block.reason:
        wanted = names_of(code) - names.keys()
        names.update(arrays(folder, wanted))
        # A product of the same name may be there from the command line.
        for product in re.findall(r"ps\.write\(\w+, \"([^\"]+)\"", block.text):
            (folder / product).unlink(missing_ok=True)
        with warnings.catch_warnings():
            # Warnings are for readers; the command line prints them, too.
            warnings.simplefilter("ignore", PansharpWarning)
            exec(code, names)
