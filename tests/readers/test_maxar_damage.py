"""Randomly damaged sidecars: a scene or one line, never a traceback, never a hang.

`PANSHARP_FUZZ=N` runs N times as many examples.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries.damage import damaged
from deliveries.maxar import write_delivery
from pansharp.errors import PansharpError
from pansharp.readers import find_scenes, open_scene
from pansharp.readers._rpc import misfit, rpc_items
from pansharp.readers.maxar._imd import Imd
from pansharp.readers.maxar._pvl import Node, read_isd, read_pvl
from pansharp.readers.maxar._tiles import entries, map_grid
from pansharp.sensors import get_sensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deliveries.maxar import Made

TIMES = max(1, int(os.environ.get("PANSHARP_FUZZ", "1")))
PARSED = settings(
    max_examples=500 * TIMES, deadline=5000, suppress_health_check=list(HealthCheck),
    print_blob=False, database=None,
)  # fmt: skip
OPENED = settings(PARSED, max_examples=25 * TIMES, deadline=20_000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("delivery")
    return write_delivery(root, ms_shape=(24, 24), level="OR2A", tiles=(1, 2))


def _understand(node: Node, folder: Path) -> None:
    """Everything that is ever made of a sidecar's content."""
    imd = Imd(node.first("IMD") if node.name == "ISD" else node)
    facts = imd.facts(get_sensor("WV03"), None, placed=True)
    facts.describe()
    map_grid(imd)
    _ = (imd.is_pan, imd.sharpened, imd.shape, imd.sensor(), imd.order, imd.level, facts)
    for step in (
        lambda: misfit(rpc_items(node.first("IMAGE").fields), (96, 96)),
        lambda: entries(node, folder),
    ):
        try:
            step()
        except PansharpError as problem:
            _check(problem)


def _check(problem: PansharpError) -> None:
    text = str(problem)
    assert text
    assert "\n" not in text
    assert len(text) < 2000
    assert text.isprintable()


@pytest.mark.parametrize("ending", [".IMD", ".RPB", ".TIL", ".XML"])
def test_parsing_never_breaks(made: Made, tmp_path: Path, ending: str) -> None:
    folder = made.ms[0].parent
    original = next(folder.glob(f"*{ending}")).read_bytes()
    target = tmp_path / f"a{ending}"
    seen = [0, 0]

    @PARSED
    @given(damaged(original))
    def run(data: bytes) -> None:
        target.write_bytes(data)
        try:
            node = read_isd(target) if ending == ".XML" else read_pvl(target)
        except PansharpError as problem:
            _check(problem)
            seen[0] += 1
            return
        _understand(node, folder)
        seen[1] += 1

    run()
    assert min(seen) > 0  # both ends were reached


@pytest.fixture
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("level", ["OR2A", "1B"])
@pytest.mark.parametrize("sidecars", ["imd", "xml"])
def test_opening_never_breaks(tmp_path: Path, level: str, sidecars: str) -> None:
    made = write_delivery(tmp_path, ms_shape=(24, 24), level=level, tiles=(1, 2), sidecars=sidecars)
    files = [
        file
        for folder in (made.pan[0].parent, made.ms[0].parent)
        for file in sorted(folder.iterdir())
        if file.suffix in (".IMD", ".RPB", ".TIL", ".XML")
    ]
    originals = [file.read_bytes() for file in files]
    choice = st.integers(0, len(files) - 1).flatmap(
        lambda i: st.tuples(st.just(i), damaged(originals[i]))
    )

    @OPENED
    @given(choice)
    def run(case: tuple[int, bytes]) -> None:
        index, data = case
        files[index].write_bytes(data)
        try:
            for scene in find_scenes(tmp_path):
                open_scene(scene.path).describe()
            open_scene(tmp_path)
        except PansharpError as problem:
            _check(problem)
        finally:
            files[index].write_bytes(originals[index])

    run()
