"""Fenced blocks of Markdown, and what is to be done with each.

``bash``, ``console`` and untagged blocks are commands, ``python`` blocks are run, ``toml`` and
``json`` are read, ``text`` is anything else: output, drawings. A comment before a block,
``<!-- not run: REASON -->``, says that it cannot be run; then it must parse at least.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COMMANDS", "INERT", "ROOT", "Block", "Command", "blocks_of", "commands_of", "pages"]

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = {"", "bash", "console", "sh"}
INERT = {"text"}
_FENCE = re.compile(r"^(?P<indent>\s*)(?P<ticks>`{3,})(?P<language>[\w-]*)\s*$")
_MARKER = re.compile(r"^\s*<!-- not run: (?P<reason>\S.*?) -->\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Parameters
    ----------
    page : Path
        The file.
    line : int
        Line of its fence, from 1.
    language : str
        Its tag; empty for none.
    text : str
        Its lines without the fence's indent.
    reason : str
        Why it is not run; empty if it is.
    """

    page: Path
    line: int
    language: str
    text: str
    reason: str = ""

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command line of a block, with what the page shows below it."""

    line: str
    output: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """The command line as a shell splits it, without its comment."""
        return shlex.split(self.line, comments=True)

    @property
    def error(self) -> str | None:
        """The error that the page says will come, or None."""
        return next((line for line in self.output if line.startswith("error: ")), None)


def pages() -> list[Path]:
    """README and everything below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    lines = page.read_text("utf-8").splitlines()
    found = []
    index, reason = 0, ""
    while index < len(lines):
        fence = _FENCE.match(lines[index])
        if fence is None:
            marker = _MARKER.match(lines[index])
            if marker is not None:
                reason = marker["reason"]
            elif lines[index].strip():
                reason = ""
            index += 1
            continue
        end = index + 1
        while end < len(lines) and lines[end].strip() != fence["ticks"]:
            end += 1
        if end == len(lines):
            raise ValueError(f"{page}:{index + 1}: the block has no end")
        indent = len(fence["indent"])
        text = "\n".join(line[indent:] for line in lines[index + 1 : end])
        found.append(Block(page, index + 1, fence["language"], text, reason))
        index, reason = end + 1, ""
    return found


def commands_of(text: str) -> list[Command]:
    """The command lines of a block.

    With a ``$`` before the commands the other lines are output; without any, every line is a
    command. A backslash at the end joins lines.
    """
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    prompt = any(line.startswith("$ ") for line in lines)
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if prompt and not line.startswith("$ "):
            if not found:
                raise ValueError(f"output before the first command: {line}")
            found[-1][1].append(line)
        elif line.strip() and not line.lstrip().startswith("#"):
            found.append((line.removeprefix("$ "), []))
    return [Command(line, tuple(output)) for line, output in found]
