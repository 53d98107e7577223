"""The rooms of docs/architecture.md: who imports whom, where heavy packages live, file sizes."""

from __future__ import annotations

import ast
import resource
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    RunPython = Callable[[str], subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pansharp"

# Room: the rooms it may import, at the top or inside functions. Every room may use the floor.
# Names used only for type checking are free: they cost nothing and make no cycle.
_FLOOR = {"attach", "errors", "registry"}
_LAYERS: dict[str, set[str]] = {
    "attach": set(),
    "errors": set(),
    "registry": set(),
    "geometry": set(),
    "acquisition": set(),
    "scratch": set(),
    "sensors": set(),
    "filters": {"sensors", "geometry"},
    "source": {"geometry", "scratch"},
    "scene": {"sensors", "geometry", "source", "acquisition"},
    "readers": {"sensors", "geometry", "source", "scene", "acquisition", "scratch"},
    "tiling": {"geometry/grids"},
    "chips": {"scene", "source", "geometry"},
    "models": {"filters", "sensors", "geometry", "chips"},
    "weights": {"models", "sensors"},
    "evaluation": {"filters", "sensors", "tiling"},
    "writers": {"geometry/grids", "tiling"},
    "pictures": {"sensors", "geometry", "source"},
    "plotting": {
        *("pictures", "evaluation", "readers/_metadata", "scene", "source", "sensors", "geometry"),
    },
    "engine": {"models", "chips", "geometry", "sensors", "tiling", "scene", "source"},
    "adaptation": {
        *("models", "filters", "evaluation", "tiling", "engine"),
        *("chips", "scene", "source", "sensors", "geometry"),
    },
    "training": {
        *("models", "weights", "evaluation", "tiling", "engine", "adaptation"),
        *("chips", "scene", "source", "sensors", "geometry", "readers"),
        # What it takes from the conductors: finding, registering and simulating scenes.
        *("benchmarking/sources", "registration", "hyperspectral", "options", "simulate", "card"),
    },
}
# The conductors may call every layer and one another; `cli` may call all, and nobody calls it.
_CONDUCTORS = {
    *("pipeline", "options", "registration", "outcome", "card", "lazy", "external"),
    *("demo", "simulate", "large_scene", "blockmaps", "benchmarking"),
    *("hyperspectral", "hyperspectral_trial", "batch"),
    *("accessor", "product"),
}
_TOP = {"cli", "__main__"}

_TORCH = ("models/", "adaptation/", "training/", "weights/tensors", "weights/checkpoint")
_TORCH_FREE = ("models/__init__", "models/base", "models/classical/", "models/hyperspectral/")
_RASTERIO = (
    *("readers/", "source", "pictures/encode", "plotting/", "writers"),
    *("geometry/ortho", "demo", "simulate", "large_scene"),
)
_LATE_ONLY = {"torch", "xarray", "dask", "scipy", "rasterio"}
_LONGEST = 600


class Child(NamedTuple):
    seconds: float
    lines: list[str]


class Import(NamedTuple):
    package: str
    module: str
    top: bool


@cache
def _modules() -> dict[str, ast.Module]:
    """Path below pansharp/ without suffix ("models/__init__") to its syntax tree."""
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _imports(name: str) -> list[Import]:
    """What a module imports when it runs: not what it names for type checkers."""
    found: list[Import] = []

    def visit(node: ast.AST, top: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child, top)
            return
        if isinstance(node, ast.Import):
            found.extend(_split(alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.extend(_import_from(name, node, top))
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, top and not inside)

    visit(_modules()[name], top=True)
    return found


def _split(dotted: str, top: bool) -> Import:
    package, _, rest = dotted.partition(".")
    return Import(package, rest.replace(".", "/"), top)


def _import_from(name: str, node: ast.ImportFrom, top: bool) -> list[Import]:
    assert node.level == 0, f"pansharp/{name}.py: import by full name, not relatively"
    assert node.module is not None
    return [_split(_target(node.module, alias.name), top) for alias in node.names]


def _target(module: str, member: str) -> str:
    """The member itself where it is a module of ours, else the module it comes from."""
    path = f"{module}.{member}".removeprefix("pansharp.").replace(".", "/")
    is_module = path in _modules() or f"{path}/__init__" in _modules()
    return f"{module}.{member}" if is_module and module.startswith("pansharp") else module


def _room(module: str) -> str:
    return module.split("/")[0]


def _ours(name: str) -> set[str]:
    """Modules of pansharp that a module imports from other rooms."""
    found = {i.module for i in _imports(name) if i.package == "pansharp" and i.module}
    return {module for module in found if _room(module) != _room(name)}


def _allowed(room: str) -> set[str]:
    if room in _TOP:
        return {*_FLOOR, *_LAYERS, *_CONDUCTORS, *_TOP}
    if room in _CONDUCTORS:
        return {*_FLOOR, *_LAYERS, *_CONDUCTORS}
    # `errors` is the ground on which `registry` stands.
    return {"registry": {"errors"}, "errors": set(), "attach": set()}.get(
        room, _FLOOR | _LAYERS.get(room, set())
    )


def test_every_module_has_a_room() -> None:
    rooms = {_room(name) for name in _modules()}
    assert rooms <= {*_LAYERS, *_CONDUCTORS, *_TOP, "__init__"}, (
        "give the new room a row in docs/architecture.md and a line here"
    )


def test_rooms_are_in_the_document() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    unwritten = {r for r in {*_LAYERS, *_CONDUCTORS} if f"`{r}`" not in text}
    assert unwritten - {"geometry"} == set(), "give these a row in docs/architecture.md"
    assert "`geometry/grids`" in text


@pytest.mark.parametrize("name", _modules())
def test_direction_of_imports(name: str) -> None:
    if name == "__init__":
        assert _ours(name) == set(), "public names are loaded on first use"
        return
    allowed = _allowed(_room(name))
    wrong = {m for m in _ours(name) if m not in allowed and _room(m) not in allowed}
    assert not wrong, f"pansharp/{name}.py imports {sorted(wrong)}"


def test_no_cycles_between_rooms() -> None:
    graph: dict[str, set[str]] = {}
    for name in _modules():
        room = _room(name)
        if room not in _TOP:
            graph.setdefault(room, set()).update(_room(module) for module in _ours(name))
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as cycle:
        pytest.fail(f"rooms import one another in a circle: {' -> '.join(cycle.args[1])}")
    assert order.index("errors") < order.index("registry")


@pytest.mark.parametrize("name", _modules())
def test_heavy_packages_stay_in_their_places(name: str) -> None:
    packages = {i.package for i in _imports(name)}
    if not name.startswith(_TORCH) or name.startswith(_TORCH_FREE):
        assert "torch" not in packages, f"pansharp/{name}.py imports torch"
    if not name.startswith(_RASTERIO):
        assert "rasterio" not in packages, f"pansharp/{name}.py imports rasterio"
    at_top = {i.package for i in _imports(name) if i.top} & _LATE_ONLY
    if name.startswith(_TORCH) and not name.startswith(_TORCH_FREE):
        at_top -= {"torch"}
    if name.startswith(_RASTERIO):
        at_top -= {"rasterio"}
    assert not at_top, f"pansharp/{name}.py imports {sorted(at_top)} before it is needed"


@pytest.mark.parametrize("name", _modules())
def test_modules_are_short_and_say_what_they_offer(name: str) -> None:
    path = PACKAGE / f"{name}.py"
    lines = path.read_text("utf-8").count("\n")
    assert lines <= _LONGEST, f"pansharp/{name}.py has {lines} lines: split it by purpose"
    tree = _modules()[name]
    assert ast.get_docstring(tree), f"pansharp/{name}.py does not say what it is for"
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    public = [n for n in names if not n.startswith("_")]
    private_module = path.stem.startswith("_") and path.stem != "__init__"
    if public and not private_module:
        targets = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "__all__" in targets, f"pansharp/{name}.py has no __all__"


def _child(run_python: RunPython, script: str) -> Child:
    """Run a script three times: CPU seconds (user + system) of the best, and its output."""
    best, output = float("inf"), ""
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = run_python(script).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Child(best, output.splitlines())


_LOADED = (
    "print([m for m in ('torch','xarray','dask','scipy','rasterio','numpy') if m in sys.modules])"
)


def test_import_is_light(run_python: RunPython) -> None:
    child = _child(run_python, f"import sys, pansharp; {_LOADED}")
    assert child.lines == ["[]"]
    assert child.seconds < 0.5


def test_help_is_light(run_python: RunPython) -> None:
    child = _child(
        run_python,
        "import atexit, runpy, sys\n"
        f"atexit.register(lambda: {_LOADED})\n"
        "sys.argv = ['pansharp', '--help']\n"
        "runpy.run_module('pansharp', run_name='__main__')\n",
    )
    assert child.lines[0].startswith("Usage: pansharp")
    assert child.lines[-1] == "[]"
    assert child.seconds < 0.5
