"""`pansharp train` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pansharp
from pansharp.weights import read_card

HOME = str(Path(pansharp.__file__).parents[1])
SHORT = ("--preset", "quick", "--steps", 4, "--batch", 2, "--patch", 16, "--workers", 0)


def command(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "pansharp", *(str(a) for a in arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": HOME, "PANSHARP_NO_MALLOC_TUNING": "1"},
    )


def test_from_a_set_to_weights_and_scores(
    tmp_path: Path, make_research: Any, write_h5: Any
) -> None:
    write_h5("train_qb.h5", make_research(items=4, side=64))
    write_h5("test_qb.h5", make_research(items=1, side=128))
    ended = command(
        "train", "-m", "rescnn-tiny", "--data", "train_qb.h5", "--validation", "test_qb.h5",
        "-o", "out", "--json", *SHORT, folder=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["steps"] == 4
    assert set(document["scores"]) == {"best", "last", "before", "mtf-glp-fs"}
    card = read_card(tmp_path / document["last"])
    assert (card.network, card.sensor, card.value_scale) == ("rescnn-tiny", "quickbird2", 2047.0)
    assert (tmp_path / "out" / "curves.png").exists()
    # The same set serves the benchmark.
    ended = command(
        "benchmark", "test_qb.h5", "-m", "exp", "-m", "mtf-glp-fs", "-o", "table", folder=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "table" / "results.csv").exists()


def test_a_config_and_a_resumed_run(run: Any, tmp_path: Path, small: Path) -> None:
    (tmp_path / "run.toml").write_text(
        f'model = "rescnn-tiny"\ndata = ["{small.name}"]\npreset = "quick"\nsteps = 2\nbatch = 2\n'
        'patch = 16\narch = ["width=8"]\nsave-every = 5\nworkers = 0\n'
    )
    ended = run("train", "--config", "run.toml", "-o", "out")
    assert ended.exit_code == 0, ended.output
    assert "best weights (step" in ended.output
    assert "mtf-glp-fs" in ended.output
    assert read_card(tmp_path / "out" / "best.safetensors").arch["width"] == 8
    again = run("train", "-o", "out", "--resume", "-v")
    assert again.exit_code == 0, again.output
    assert again.stdout == ended.stdout


@pytest.fixture
def small(tmp_path: Path, make_research: Any, write_h5: Any) -> Path:
    return write_h5("train_qb.h5", make_research(items=3, side=32))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("-m", "gsa", "--data", "train_qb.h5"), "'gsa' is no network"),
        (("-m", "rescn", "--data", "train_qb.h5"), "did you mean 'rescnn'"),
        (("-m", "rescnn", "--data", "absent.h5"), "'absent.h5' does not exist"),
        (("-m", "rescnn", "--data", "train_qb.h5", "--patch", "many"), "give a whole number"),
        (("-m", "rescnn", "--data", "train_qb.h5", "--precision", "fp4"), "--precision is 'fp4'"),
        (("-m", "rescnn", "--data", "train_qb.h5", "-O", "widht=3"), "has no option 'widht'"),
        (("-m", "rescnn", "--data", "train_qb.h5", "--device", "gpu"), "--device is 'gpu'"),
        (("-m", "rescnn", "--data", "train_qb.h5", "--scale", "3"), "above the scale of 3 (given)"),
        (("-m", "rescnn", "--data", "train_qb.h5", "--sensor", "qb9"), "unknown sensor 'qb9'"),
        (("--resume",), "holds no training that could be resumed"),
    ],
)
def test_errors_are_one_line(
    arguments: tuple[str, ...], text: str, run: Any, small: Path, tmp_path: Path
) -> None:
    ended = run("train", *arguments, "-o", "out")
    assert ended.exit_code == 1
    assert text in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "out").exists()


def test_usage(run: Any) -> None:
    for arguments in (("-m", "rescnn", "-o", "out"), ("--data", "x.h5", "-o", "out")):
        ended = run("train", *arguments)
        assert ended.exit_code == 2
        assert "-m and data with --data" in ended.stderr
    ended = run("train", "-o", "out", "--resume", "--overwrite")
    assert ended.exit_code == 2
    ended = run("train", "--help")
    assert ended.exit_code == 0
    assert "torchrun" in ended.output
