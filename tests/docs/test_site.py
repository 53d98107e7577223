"""The site builds without a warning, knows every public name, and loads nothing from elsewhere."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from docs.blocks import ROOT
from pansharp.cli import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings_handlers.python")


def _pages() -> ModuleType:
    """The hooks of the site."""
    spec = importlib.util.spec_from_file_location("pages", ROOT / "tools" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = _pages()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning fails the build."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return folder


class _Page(HTMLParser):
    """Identifiers, and what a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.ids.add(found.get("id", ""))
        if "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") != "canonical":
            self.loaded.append(found.get("href", ""))


def _read(path: Path) -> _Page:
    return _Page(path.read_text("utf-8"))


@pytest.mark.parametrize("module", PAGES.MODULES)
def test_every_public_name_is_there(site: Path, module: str) -> None:
    page = _read(site / "api" / f"{module}.html")
    names = [n for n in importlib.import_module(module).__all__ if not n.startswith("__")]
    assert names
    missing = [name for name in names if f"{module}.{name}" not in page.ids]
    assert missing == []


def test_every_module_of_the_contract_has_a_page() -> None:
    surface = ast.parse((ROOT / "tests" / "test_public_surface.py").read_text("utf-8"))
    named = {
        node.value
        for node in ast.walk(surface)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"pansharp(\.\w+)*", node.value)
    }
    assert "pansharp.evaluation" in named
    assert named <= set(PAGES.MODULES), "add the module to MODULES in tools/pages.py"


def test_functions_have_their_parameters(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "api" / "pansharp.html").read_text("utf-8"))
    assert "Parameters:" in text
    assert "fuse_arrays(" in text
    assert "A PAN, an MS (the partner is found), a folder with one pair" in text


def test_every_command_is_there(site: Path) -> None:
    page = _read(site / "cli.html")
    assert {f"pansharp-{name}" for name in COMMANDS} <= page.ids


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 30
    for path in found:
        elsewhere = [url for url in _read(path).loaded if re.match(r"(https?:)?//", url)]
        assert elsewhere == [], path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", path.read_text("utf-8")), path.name


def test_pages_of_other_files_hold_all_of_them(site: Path) -> None:
    for source, page in PAGES.INCLUDED.items():
        html = (site / page).with_suffix(".html").read_text("utf-8")
        for title in re.findall(r"^## ([\w ]+)$", (ROOT / source).read_text("utf-8"), re.MULTILINE):
            assert title in html, (source, title)
    assert "Apache License" in (site / "licence.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "target", "link"),
    [
        ("docs/index.md", "../README.md", "overview.md"),
        ("docs/index.md", "card.md", "card.md"),
        ("docs/networks/ssft.md", "../../benchmarks/README.md", "../benchmarks.md"),
        ("docs/networks/ssft.md", "../adaptation.md#auto", "../adaptation.md#auto"),
        ("benchmarks/README.md", "../docs/comparability.md", "comparability.md"),
        ("README.md", "docs/methods.md#cost", "methods.md#cost"),
        ("README.md", "LICENSE", "licence.md"),
        # A file that is no page, and one that does not exist.
        ("docs/engine.md", "../pansharp/engine.py", None),
        ("docs/engine.md", "../nowhere.py", "../nowhere.py"),
    ],
)
def test_links_lead_to_pages(source: str, target: str, link: str | None) -> None:
    page = PAGES.INCLUDED.get(source, source.removeprefix("docs/"))
    assert PAGES.site_link(source, page, target) == link


def test_a_wrong_link_breaks_the_build(tmp_path: Path) -> None:
    for name in ("README.md", "CHANGELOG.md", "LICENSE"):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"))
    settings = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[0]
    settings = settings.replace("  - tools/pages.py\n", f"  - {ROOT}/tools/pages.py\n")
    settings = settings.replace("  - mkdocstrings:", "  - mkdocstrings:\n      enabled: false")
    (tmp_path / "mkdocs.yml").write_text(settings + "\nnav:\n  - index.md\n")
    (tmp_path / "docs" / "assets").mkdir(parents=True)
    (tmp_path / "docs" / "assets" / "site.css").touch()
    (tmp_path / "docs" / "index.md").write_text("# x\n\n[gone](no_such_page.md)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 1
    assert "no_such_page.md" in done.stderr


def test_the_pages_that_readers_look_for_are_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text("utf-8")
    for page in ("quickstart", "choosing", "sensors", "metrics", "methods", "weights", "training",
                 "faq", "benchmarks", "comparison", "architecture", "writing-a-reader", "cli",
                 "tutorials/delivery", "tutorials/archive", "tutorials/research",
                 "api/pansharp"):  # fmt: skip
        assert f'href="{page}.html"' in home, page
