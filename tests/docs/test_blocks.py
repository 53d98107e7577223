"""What counts as a command in the documentation, and that nothing is skipped in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docs import blocks, shell
from docs.blocks import COMMANDS, INERT, blocks_of, commands_of, pages
from docs.test_commands import play
from pansharp.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

CHECKED = {*COMMANDS, *INERT, "python", "toml", "json"}


def _page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> list[blocks.Block]:
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text(text)
    return blocks_of(path)


def test_markers_hold_for_the_next_block_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _page(
        tmp_path,
        monkeypatch,
        "<!-- not run: needs a cluster -->\n\n```\na\n```\n\n```bash\nb\n```\n"
        "<!-- not run: too far away -->\nwords\n```\nc\n```\n"
        "<!-- not run: -->\n```\nd\n```\n"
        "1. x\n\n   ```python\n   if e:\n       pass\n   ```\n",
    )
    assert [block.reason for block in found] == ["needs a cluster", "", "", "", ""]
    assert [block.language for block in found] == ["", "bash", "", "", "python"]
    assert found[4].text == "if e:\n    pass"
    assert found[0].place == "page.md:3"


def test_a_block_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="has no end"):
        _page(tmp_path, monkeypatch, "```\na\n")


def test_commands_and_their_output() -> None:
    plain = commands_of("# first\npansharp models   # all\n\npansharp \\\n  sensors wv3\n")
    assert [command.words for command in plain] == [
        ["pansharp", "models"],
        ["pansharp", "sensors", "wv3"],
    ]
    told = commands_of("$ pansharp models x\nerror: no\n\n$ ls\n")
    assert [command.line for command in told] == ["pansharp models x", "ls"]
    assert told[0].error == "error: no"
    assert told[1].error is None
    with pytest.raises(ValueError, match="before the first command"):
        commands_of("x\n$ ls")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```\nrm -rf x\n```", "nobody knows how to run 'rm'"),
        ("```\npansharp models no-such-model\n```", "no-such-model"),
        ("```\npansharp fuse --no-such-option\n```", "No such option"),
        ("```\npip install 'pansharp[nothing]'\n```", "there is no extra 'nothing'"),
        ("```\npip install something-else\n```", "is not ours"),
        ("```\nmake nonsense\n```", "nonsense"),
        ("```yaml\na: 1\n```", "is no language that is checked"),
        ("```python\n1 / 0\n```", "division by zero"),
        ("```python\n>>> 1 + 1\n3\n```", "== 0"),
        ("```toml\na = \n```", "Invalid value"),
        ("<!-- not run: why -->\n```\npansharp fuse --no-such-option\n```", "No such option"),
        ("<!-- not run: why -->\n```\ntorchrun -m pansharp no-such\n```", "no command 'no-such'"),
        ("<!-- not run: why -->\n```\npansharp train -o x --steps few\n```", "whole number"),
        ("<!-- not run: why -->\n```python\nif:\n```", "invalid syntax"),
    ],
)
def test_what_is_wrong_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = _page(tmp_path, monkeypatch, text + "\n")
    with pytest.raises((Exception, AssertionError), match=problem):
        play(block, shell.Shell(tmp_path), {})


def test_trainings_are_cut_and_nothing_else_is_changed() -> None:
    assert shell.shortened(["models", "rescnn"]) == ["models", "rescnn"]
    assert shell.shortened(["fuse", "x", "--adapt-steps", "1000"])[:4] == [
        *("fuse", "x", "--adapt-steps", "3"),
    ]
    evaluate = ["evaluate", "--fused", "a", "--reference", "b"]
    assert shell.shortened(evaluate) == evaluate


def test_parsing_runs_nothing() -> None:
    shell.parse(["fuse", "no such file", "-m", "gsa"])
    shell.parse(["weights", "inspect", "no such file"])
    with pytest.raises(OptionError):
        shell.parse(["fuse", "x", "--tile", "many"])


def test_the_documentation_has_commands_and_says_why_some_are_not_run() -> None:
    found = [block for page in pages() for block in blocks_of(page)]
    assert {block.language for block in found} <= CHECKED
    run = [b for b in found if not b.reason and b.language in {*COMMANDS, "python"}]
    left = [b for b in found if b.reason]
    assert len(run) > 60
    # Reasons are the exception.
    assert len(left) < len(run) / 4
