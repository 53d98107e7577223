"""Registry: built-ins on first use, third parties by entry point, helpful errors."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from pansharp.errors import PansharpError, PluginWarning, UnknownModelError
from pansharp.registry import Registry, nearest


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points that the registry will see."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [p for p in points if p.group == group]
    )
    return points


@pytest.fixture
def shapes(plugins: list[EntryPoint]) -> Registry[str]:
    return Registry("shape", {"circle": "shapes_builtin"}, "test.shapes", UnknownModelError)


def _install(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    fake = ModuleType(name)
    vars(fake).update(members)
    monkeypatch.setitem(sys.modules, name, fake)


def test_names_import_nothing(shapes: Registry[str]) -> None:
    assert shapes.names() == ["circle"]
    assert "shapes_builtin" not in sys.modules


def test_registered_items_come_back_whatever_the_case(shapes: Registry[str]) -> None:
    assert shapes.register("square")("a square") == "a square"
    assert shapes.get("Square") == "a square"
    assert shapes.names() == ["circle", "square"]


def test_builtin_module_registers_itself_on_first_use(
    shapes: Registry[str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shapes_builtin.py").write_text(
        "import shapes_home\nshapes_home.shapes.register('circle')('round')\n"
    )
    _install(monkeypatch, "shapes_home", shapes=shapes)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shapes_builtin", raising=False)
    assert shapes.get("circle") == "round"
    monkeypatch.delitem(sys.modules, "shapes_builtin")


def test_two_items_of_one_name_are_an_error(shapes: Registry[str]) -> None:
    shapes.register("square")("one")
    shapes.register("square")("one")
    with pytest.raises(PansharpError, match="'square' is registered twice"):
        shapes.register("square")("another")


def test_names_are_lower_case(shapes: Registry[str]) -> None:
    with pytest.raises(PansharpError, match="must be lower case"):
        shapes.register("Square")


def test_unknown_name_offers_near_ones(shapes: Registry[str]) -> None:
    with pytest.raises(UnknownModelError, match=r"unknown shape 'cirle'; did you mean 'circle'\?"):
        shapes.get("cirle")


def test_plugin_is_loaded_once_and_listed(
    shapes: Registry[str], plugins: list[EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(monkeypatch, "shapes_plugin", star="a star")
    plugins.append(EntryPoint("star", "shapes_plugin:star", "test.shapes"))
    plugins.append(EntryPoint("moon", "shapes_plugin:moon", "another.group"))
    assert shapes.get("star") == "a star"
    assert shapes.names() == ["circle", "star"]


def test_broken_plugin_warns_and_is_skipped(
    shapes: Registry[str], plugins: list[EntryPoint]
) -> None:
    plugins.append(EntryPoint("bad", "no_such_module_anywhere:thing", "test.shapes"))
    with pytest.warns(PluginWarning, match="shape 'bad' of package 'no_such_module_anywhere"):
        names = shapes.names()
    assert names == ["circle"]
    with pytest.raises(UnknownModelError):
        shapes.get("bad")


def test_nearest_lists_everything_when_nothing_is_close() -> None:
    assert nearest("zzz", ["brovey", "exp"]) == "choose one of: brovey, exp"
    assert nearest("Brovy", ["brovey", "exp"]) == "did you mean 'brovey'?"
