"""The frame of every page: templates, style, scripts and the policy that forbids the network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

__all__ = ["Cell", "Section", "Table", "fragment", "page", "render"]

_HOME = Path(__file__).parent


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Parameters
    ----------
    text : str
        What stands there; plain text, escaped by the page.
    small : str
        Set smaller behind it, such as a spread.
    tone : {"", "good", "fair", "bad"}
        Shown by a mark and a colour.
    rank : int
        1 is set bold (best), 2 underlined (second), 0 plain.
    href : str
        Relative address of a page or file that the text links to; anything with a scheme or a
        host is shown as text alone.
    """

    text: str
    small: str = ""
    tone: str = ""
    rank: int = 0
    href: str = ""

    @property
    def link(self) -> str:
        """`href` where it is relative, percent-encoded; empty otherwise."""
        from urllib.parse import quote, urlsplit

        parts = urlsplit(self.href)
        if parts.scheme or parts.netloc or self.href.startswith(("/", "\\")):
            return ""
        return quote(self.href)


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    heads : sequence of Cell or str
        Column titles.
    rows : sequence of sequences of Cell or str
        The first cell of a row names it.
    caption : str
        What the table shows, for people who do not see it; shown to all.
    """

    heads: Sequence[Cell | str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str = ""

    @property
    def titles(self) -> list[Cell]:
        """Column titles as `Cell`."""
        return _cells(self.heads)

    @property
    def cells(self) -> list[list[Cell]]:
        """All cells as `Cell`."""
        return [_cells(row) for row in self.rows]


def _cells(row: Sequence[Cell | str]) -> list[Cell]:
    return [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Parameters
    ----------
    title : str
        Its heading.
    notes : sequence of str
        Sentences, as a list.
    table : Table, optional
        A table below them.
    folded : bool
        Whether it opens on demand only.
    """

    title: str
    notes: Sequence[str] = ()
    table: Table | None = None
    folded: bool = False


@cache
def _environment() -> Environment:
    # Late: templates are needed by pages only.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HOME / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # JSON in the page: no letter that could end the script element.
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": True, "allow_nan": False}
    return environment


def _asset(names: Sequence[str], ending: str) -> str:
    texts = [(_HOME / "static" / f"{name}.{ending}").read_text("utf-8") for name in names]
    return "\n".join(texts)


def _hash(text: str) -> str:
    """The source expression of the policy that allows just this text."""
    import hashlib

    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def render(
    template: str,
    *,
    styles: Sequence[str] = ("base",),
    scripts: Sequence[str] = ("theme",),
    **context: Any,
) -> str:
    """Fill a template.

    Parameters
    ----------
    template : str
        File in ``templates``.
    styles, scripts : sequence of str
        Names of files in ``static``; they become part of the page.
    **context
        Values of the template; every text is escaped.

    Returns
    -------
    str
        The page. Its policy allows the style and the script that it holds and pictures in the
        page itself, and nothing else.
    """
    from markupsafe import Markup

    from pansharp import __version__

    style, script = _asset(styles, "css"), _asset(scripts, "js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(template)
        .render(
            policy=policy,
            # Files of the package, no one's input.
            style=Markup(style),
            script=Markup(script),
            version=__version__,
            **context,
        )
    )


def page(
    title: str, *, lead: Sequence[str] = (), sections: Sequence[Section] = (), kind: str = ""
) -> str:
    """A page of texts and tables in the dress of the reports.

    Parameters
    ----------
    title : str
        Heading and title of the page.
    lead : sequence of str
        Sentences below it.
    sections : sequence of Section
        Its parts.
    kind : str
        Word above the heading.

    Returns
    -------
    str
        One HTML document that loads nothing from elsewhere; every text is escaped.
    """
    return render("plain.html", title=title, lead=lead, sections=sections, kind=kind)


def fragment(sections: Sequence[Section]) -> str:
    """Sections alone, without style, as notebooks show them.

    Parameters
    ----------
    sections : sequence of Section
        What is shown.

    Returns
    -------
    str
        HTML elements; every text is escaped.
    """
    return _environment().get_template("sections.html").render(sections=sections)
