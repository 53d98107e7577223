"""Randomly damaged sidecars: a scene or one line that says what is wrong, never anything else.

`PANSHARP_FUZZ=400` damages each of them 10,000 times instead of 25.
"""

from __future__ import annotations

import json
import os
import resource
import time
import warnings
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries.families import CASES, spoiled
from pansharp.errors import PansharpError
from pansharp.readers import find_scenes, open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from pansharp.scene import Scene

TIMES = max(1, int(os.environ.get("PANSHARP_FUZZ", "1")))
#: Seconds that one damaged delivery may take, and MiB by which the process may grow.
_LONGEST, _GROWTH = 20.0, 400.0


def opened(*, guide: Path | None, path: Path) -> Scene:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_scene(path) if guide is None else open_scene(hsi=path, msi=guide)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize("family", CASES)
def test_damaged_sidecars(family: str, tmp_path: Path) -> None:
    case = CASES[family](tmp_path)
    opened(guide=case.guide, path=case.path).close()
    whole = case.sidecar.read_bytes()
    before, start = _peak(), time.monotonic()
    ends = {"scene": 0, "refused": 0}
    slowest = 0.0

    @settings(
        max_examples=25 * TIMES, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(seed=st.integers(0, 2**32), steps=st.integers(1, 6))
    def run(seed: int, steps: int) -> None:
        nonlocal slowest
        spoiled(case, whole, seed, steps)
        began = time.monotonic()
        try:
            if seed % 4 == 0:  # looking through folders reads less of a sidecar than opening does
                found = find_scenes(case.path if case.guide is None else case.path.parent)
                assert all("\n" not in scene.path for scene in found)
            scene = opened(guide=case.guide, path=case.path)
            said = json.dumps(scene.describe())
            scene.close()
            ends["scene"] += 1
        except PansharpError as problem:
            said = str(problem)
            assert said.isprintable()
            assert len(said) < 2000
            ends["refused"] += 1
        finally:
            case.sidecar.write_bytes(whole)
        assert said
        assert "\n" not in said
        slowest = max(slowest, time.monotonic() - began)
        assert slowest < _LONGEST

    run()
    print(
        f"{family}: {ends}, {time.monotonic() - start:.0f} s, slowest {slowest:.2f} s, "
        f"{_peak() - before:.0f} MiB more"
    )
    assert ends["scene"] + ends["refused"] >= 25
    assert _peak() - before < _GROWTH
