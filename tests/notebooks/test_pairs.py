"""Every notebook exists twice, as percent script and as ipynb without outputs, and both agree."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest

import pansharp as ps

FOLDER = Path(__file__).parents[2] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
NAMES = [
    "01_first_fusion",
    "02_spectral_fidelity",
    "03_full_resolution_quality",
    "04_hyperspectral_fusion",
    "05_archive",
]


def _cells(path: Path) -> list[dict[str, Any]]:
    """Cells of an ipynb file."""
    cells: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return cells


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_all_are_there() -> None:
    assert [path.stem for path in SCRIPTS] == NAMES
    assert [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] == NAMES


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_pairs_are_in_step(script: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(script)
    stored = _cells(script.with_suffix(".ipynb"))
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c["cell_type"], _source(c)) for c in stored
    ], f"run: jupytext --sync notebooks/{script.name}"
    tags = [c.metadata.get("tags", []) for c in notebook.cells]
    assert tags == [c["metadata"].get("tags", []) for c in stored]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_outputs_are_stored(script: Path) -> None:
    for cell in _cells(script.with_suffix(".ipynb")):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_one_variable_chooses_the_scene(script: Path) -> None:
    cells = _cells(script.with_suffix(".ipynb"))
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert _source(code[0]) == "SCENE = None"
    assert code[0]["metadata"]["tags"] == ["parameters"]
    assigned = [
        node
        for node in ast.walk(ast.parse(script.read_text("utf-8")))
        if isinstance(node, ast.Name) and node.id == "SCENE" and isinstance(node.ctx, ast.Store)
    ]
    assert len(assigned) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_only_public_names(script: Path) -> None:
    text = script.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
            if isinstance(node.value, ast.Name) and node.value.id == "ps":
                assert node.attr in dir(ps), f"ps.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module and "pansharp" in node.module:
            assert not any(part.startswith("_") for part in node.module.split("."))
            assert not any(name.name.startswith("_") for name in node.names)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_cells_are_short_and_read(script: Path) -> None:
    cells = _cells(script.with_suffix(".ipynb"))
    assert "**Question.**" in _source(cells[0])
    words = [_source(cell) for cell in cells if cell["cell_type"] == "markdown"]
    readings = sum("*Reading.*" in text for text in words)
    assert readings >= 3
    assert max(len(_source(c).splitlines()) for c in cells if c["cell_type"] == "code") <= 45


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_paths_of_a_machine(script: Path) -> None:
    strings = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(script.read_text("utf-8")).readline)
        if token.type in (tokenize.STRING, tokenize.COMMENT)
    ]
    assert not [text for text in strings if re.search(r"(?<!\w)/(home|tmp|work|root|mnt)/", text)]


def test_docs_name_every_notebook() -> None:
    page = (FOLDER.parent / "docs" / "notebooks.md").read_text("utf-8")
    for name in NAMES:
        assert name in page
