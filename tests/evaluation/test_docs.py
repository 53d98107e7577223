"""The examples of docs/metrics.md and of the docstrings run, and no index lacks one."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from pansharp import evaluation
from pansharp.evaluation.report import BEST

DOCS = Path(__file__).resolve().parents[2] / "docs"
MODULES = sorted(m.name for m in pkgutil.iter_modules(evaluation.__path__, "pansharp.evaluation."))


def test_examples_of_the_page() -> None:
    failed, tried = doctest.testfile(str(DOCS / "metrics.md"), module_relative=False)
    assert tried > 20
    assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_index_has_a_section_with_all_that_it_needs() -> None:
    text = (DOCS / "metrics.md").read_text("utf-8")
    sections = {
        re.split(r"[ (]", title)[0].lower(): body
        for title, body in re.findall(r"^### (.+?)\n(.*?)(?=^##)", text, re.M | re.S)
    }
    assert set(sections) == set(BEST)
    for name, body in sections.items():
        for part in ("Formula", "Range", "best", "Blind", ">>>"):
            assert part in body, f"{name} lacks {part}"
        assert getattr(evaluation, name).__doc__.count(">>>"), name
