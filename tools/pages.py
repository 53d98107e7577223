"""Hooks of mkdocs: pages made from other files, and links that hold there and on a code host.

The Markdown files link as a code host needs it (``../README.md``). Files outside docs/ that
readers need become pages of the site, the Python reference is one page for each public module,
and links are turned to wherever their target lies. No text exists twice.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

#: File of the repository to its page.
INCLUDED = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "LICENSE": "licence.md",
}
#: Public modules, one page each: the contract that tests/test_public_surface.py holds.
MODULES = (
    "pansharp",
    "pansharp.evaluation",
    "pansharp.filters",
    "pansharp.models",
    "pansharp.sensors",
    "pansharp.readers",
    "pansharp.writers",
    "pansharp.weights",
    "pansharp.training",
    "pansharp.simulate",
    "pansharp.large_scene",
    "pansharp.batch",
    "pansharp.report",
    "pansharp.quicklook",
    "pansharp.plotting",
    "pansharp.pictures",
    "pansharp.doctor",
    "pansharp.errors",
)
_LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")
#: Roles of Sphinx in docstrings, as HTML.
_ROLE = re.compile(r":(?:func|class|mod|meth|attr|data|exc|obj):<code>~?([\w.]+)</code>")
#: Inline code that no line should end in, such as -m or mtf-glp-fs.
_SHORT = re.compile(r"<code>([^<\s]{1,16})</code>")
_FENCE = re.compile(r"^\s*(```|~~~)")


def module_file(module: str) -> Path:
    """The file of a module."""
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def public_names(module: str) -> list[str]:
    """The names in ``__all__`` of a module, read without importing it."""
    tree = ast.parse(module_file(module).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [name for name in ast.literal_eval(node.value) if not name.startswith("__")]
    raise ValueError(f"{module} has no __all__")


def _reference(module: str) -> str:
    """The page of a module: what it is for, then every public name."""
    purpose = ast.get_docstring(ast.parse(module_file(module).read_text("utf-8"))) or ""
    parts = [f"# {module}", purpose.strip().replace("`", "``").replace("````", "``")]
    # Functions first, then classes, then constants.
    names = sorted(public_names(module), key=lambda name: (name.isupper(), not name.islower()))
    parts += [f"::: {module}.{name}" for name in names]
    return "\n\n".join(parts) + "\n"


def _commands() -> str:
    """The page of the commands: what `--help` prints."""
    import click

    from pansharp.cli import COMMANDS, main

    parts = [
        "# Commands",
        "What `pansharp COMMAND --help` prints. Results go to stdout, messages to stderr. "
        "Options that several commands share have the same names everywhere.",
    ]

    def add(command: click.Command, name: str, depth: int) -> None:
        context = click.Context(command, info_name=name, terminal_width=88, max_content_width=88)
        parts.append(f"{'#' * depth} {name}\n\n```text\n{command.get_help(context).rstrip()}\n```")
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                if found is not None:
                    add(found, f"{name} {child}", depth + 1)

    context = click.Context(main, info_name="pansharp")
    for name in COMMANDS:
        found = main.get_command(context, name)
        if found is not None:
            add(found, f"pansharp {name}", 2)
    return "\n\n".join(parts) + "\n"


def _generated() -> Iterator[tuple[str, str]]:
    for source, page in INCLUDED.items():
        text = (ROOT / source).read_text("utf-8")
        yield page, f"# Licence\n\n```text\n{text}```\n" if source == "LICENSE" else text
    yield "cli.md", _commands()
    for module in MODULES:
        yield f"api/{module}.md", _reference(module)


def _outside_code(markdown: str, change: Any) -> str:
    """Apply `change` to the lines that are no code."""
    inside, lines = False, []
    for line in markdown.splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            line = change(line)
        lines.append(line)
    return "\n".join(lines) + "\n"


def site_link(source: str, page: str, target: str) -> str | None:
    """Where a link of a file leads in the site.

    Parameters
    ----------
    source : str
        File that holds the link, below the repository.
    page : str
        Its page.
    target : str
        The link as written, relative to `source`.

    Returns
    -------
    str or None
        The link relative to `page`; None where the target is a file that is no page.
    """
    path, sign, anchor = target.partition("#")
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    found = INCLUDED.get(wanted)
    if found is None and wanted.startswith("docs/"):
        found = wanted.removeprefix("docs/")
    if found is None:
        # A wrong link stays as it is, for mkdocs to complain about.
        return None if (ROOT / wanted).exists() else target
    return posixpath.relpath(found, posixpath.dirname(page) or ".") + sign + anchor


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the modules where the navigation says ``api/``."""

    def fill(items: list[Any]) -> list[Any]:
        filled: list[Any] = []
        for item in items:
            for title, value in item.items() if isinstance(item, dict) else [("", item)]:
                if value == "api/":
                    value = [{module: f"api/{module}.md"} for module in MODULES]
                elif isinstance(value, list):
                    value = fill(value)
                filled.append({title: value} if title else value)
        return filled

    config.nav = fill(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for page, text in _generated():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Keep short names and options whole; link what docstrings refer to."""
    if not page.file.src_uri.startswith("api/"):
        return _SHORT.sub(r'<code class="whole">\1</code>', html)
    known = {f"{module}.{name}": module for module in MODULES for name in public_names(module)}

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        code = f"<code>{name}</code>"
        return f'<a href="{known[name]}.html#{name}">{code}</a>' if name in known else code

    return _ROLE.sub(replace, html)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn the links of a page to where their targets lie in the site."""
    uri = page.file.src_uri
    sources = {made: source for source, made in INCLUDED.items()}
    source = sources.get(uri, f"docs/{uri}")

    def replace(match: re.Match[str]) -> str:
        text, target = match.groups()
        if target.startswith("#") or re.match(r"[a-z]+:", target):
            return match[0]
        link = site_link(source, uri, target)
        return text.strip("[]") if link is None else f"{text}({link})"

    return _outside_code(markdown, lambda line: _LINK.sub(replace, line))
