"""`pansharp doctor`: healthy here, and every kind of damage is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pansharp
from pansharp.doctor import Examination, Finding, devices, environment, examine, selftest

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from click.testing import Result

    Run = Callable[..., Result]

HOME = str(Path(pansharp.__file__).parents[1])


def test_a_healthy_installation(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    result = subprocess.run(
        [sys.executable, "-P", "-m", "pansharp", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": HOME, "PANSHARP_SCRATCH": str(scratch)},
    )
    document = json.loads(result.stdout)
    broken = [f for f in document["findings"] if f["state"] == "broken"]
    assert (result.returncode, broken, document["ok"]) == (0, [], True), result.stderr
    named = {(f["group"], f["name"]): f for f in document["findings"]}
    assert named["environment", "pansharp"]["value"].startswith(pansharp.__version__)
    assert "GDAL" in named["GDAL", "rasterio"]["value"]
    assert "COG" in named["GDAL", "drivers needed"]["value"]
    assert "GiB free" in named["resources", "scratch"]["value"]
    tests = [f for f in document["findings"] if f["group"] == "self-test"]
    assert len(tests) == 4
    # Nothing is left behind.
    assert list(scratch.iterdir()) == []
    assert list(tmp_path.iterdir()) == [scratch]


def test_the_table_names_groups_and_ends_with_the_verdict(run: Run) -> None:
    result = run("doctor", "--no-self-test")
    assert result.exit_code == 0, result.stderr
    lines = [line.strip() for line in result.stdout.splitlines()]
    for group in ("environment", "packages", "GDAL", "torch", "resources", "caches"):
        assert group in lines
    assert "self-test" not in lines
    assert "nothing is broken" in lines[-1]
    assert all(len(line) == len(line.rstrip()) for line in result.stdout.splitlines())


def test_what_is_broken_is_one_line_and_exit_code_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PANSHARP_SCRATCH", str(tmp_path / "absent"))
    result = run("doctor")
    assert result.exit_code == 1
    assert "BROKEN" in result.stdout
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "absent" in lines[0]
    assert "PANSHARP_SCRATCH" in lines[0]
    document = json.loads(run("doctor", "--json", "--no-self-test").stdout)
    assert document["ok"] is False


def test_a_missing_package_is_broken_and_a_missing_extra_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda _: [
            "numpy>=2",
            "no-such-package>=3",
            "rich>=99",
            'nothing-of-this[all]>=1; extra == "train"',
            'whatever; extra == "dev"',
        ],
    )
    found = {finding.name: finding for finding in environment.packages()}
    assert found["numpy"].state == "ok"
    assert found["no-such-package"].state == "broken"
    assert found["no-such-package"].advice == "pip install 'no-such-package>=3'"
    assert found["rich"].state == "broken"
    assert ">=99 is needed" in found["rich"].value
    (extra,) = environment.extras()
    assert (extra.name, extra.state) == ("train", "note")
    assert extra.advice == "pip install 'pansharp[train]'"


def test_not_installed_but_run_from_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert [finding.state for finding in environment.packages()] == ["note"]
    assert environment.extras() == []


class _Torch:
    """What the examination asks of torch."""

    __version__ = "2.9"
    version = SimpleNamespace(cuda="12.8", hip=None)

    def __init__(self, cards: int, total: float = 8.0) -> None:
        facts = SimpleNamespace(name="Example 100", total_memory=80 << 30)
        self.cuda = SimpleNamespace(
            is_available=lambda: cards > 0,
            device_count=lambda: cards,
            get_device_properties=lambda index: facts,
            mem_get_info=lambda index: (40 << 30, 80 << 30),
        )
        self.total = total

    def ones(self, count: int, device: str) -> SimpleNamespace:
        if self.total < 0:
            raise RuntimeError("no kernel image\nis available")
        return SimpleNamespace(sum=lambda: self.total)


def test_cards_and_why_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (card,) = devices._gpus(_Torch(1))
    assert (card.state, card.name) == ("ok", "GPU cuda:0")
    assert card.value == "Example 100, 80.0 GiB, CUDA 12.8, 40.0 GiB free"
    (card,) = devices._gpus(_Torch(1, total=-1.0))
    assert card.state == "broken"
    assert "no kernel image is available" in card.value
    (card,) = devices._gpus(_Torch(1, total=7.0))
    assert card.state == "broken"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (none,) = devices._gpus(_Torch(0))
    assert none.state == "note"
    assert "CUDA_VISIBLE_DEVICES is ''" in none.value
    plain = _Torch(0)
    plain.version = SimpleNamespace(cuda=None, hip=None)
    (none,) = devices._gpus(plain)
    assert "knows no CUDA" in none.value


def test_a_product_without_its_properties_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # Interpolation in place of the classical method: it sharpens nothing, and must not pass.
    monkeypatch.setattr(selftest, "_CLASSICAL", "exp")
    findings = selftest.run()
    assert [finding.state for finding in findings] == ["ok", "broken"]
    assert "no better than that of interpolation" in findings[1].value


def test_an_unexpected_failure_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr(selftest, "_fuse", fail)
    last = selftest.run()[-1]
    assert last.state == "broken"
    assert last.value == "ZeroDivisionError: by nothing"
    monkeypatch.setattr(environment, "rasters", fail)
    found = examine(self_test=False)
    assert [finding.name for finding in found.broken] == ["examination"]


def test_the_summary_counts_and_names() -> None:
    good = Finding("a", "b", "fine")
    bad = Finding("a", "c", "gone", "broken", "get it")
    assert Examination((good,), 1.0).summary() == "1 checks, nothing is broken (1.0 s)"
    assert Examination((good, bad), 1.0).summary() == "1 of 2 checks failed: c: gone (get it)"
