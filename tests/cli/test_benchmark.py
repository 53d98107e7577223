"""`pansharp benchmark` on real files, each method in a child process."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pansharp

HOME = str(Path(pansharp.__file__).parents[1])


def command(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "pansharp", "benchmark", *(str(a) for a in arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": HOME, "PANSHARP_NO_MALLOC_TUNING": "1"},
    )


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_set_of_each_kind(
    tmp_path: Path, make_research: Any, write_h5: Any, write_mat: Any
) -> None:
    pytest.importorskip("h5py")
    images = make_research(items=2, side=128)
    write_h5("test_qb_multiExm1.h5", images)
    write_mat("NY1_QB_RR.mat", images)
    ended = command(
        "test_qb_multiExm1.h5", "NY1_QB_RR.mat", "-m", "exp", "-m", "gsa", "--conventions",
        "pancollection", "-o", "out", "--json", folder=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert document["conventions"]["cut"] == 30
    table = {m["method"]: m for m in document["tables"]["reference"]["methods"]}
    assert table["gsa"]["n"] == 3
    assert table["gsa"]["indices"]["ergas"]["rank"] == "best"
    assert table["exp"]["indices"]["ergas"]["rank"] == "second"
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 6
    assert {row["sensor"] for row in rows} == {"quickbird2"}
    # The same item in two containers, the same scores.
    first, third = (r for r in rows if r["method"] == "gsa" and not r["scene"].endswith("_1"))
    assert first["q2n"] == third["q2n"]
    again = command(
        "test_qb_multiExm1.h5", "-m", "exp", "--conventions", "pancollection", "-o", "out",
        folder=tmp_path,
    )  # fmt: skip
    assert again.returncode == 0
    assert "Against the reference of the set" in again.stdout
    assert "border cut 30" in again.stdout


def test_a_real_pair(tmp_path: Path, shared_data: Path) -> None:
    home = shared_data / "ikonos_grip"
    ended = command(
        "--pan", home / "pan.tif", "--ms", home / "ms.tif", "--sensor", "ikonos", "-m", "exp",
        "-m", "brovey", "-o", "out", folder=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    rows = {(row["method"], row["protocol"]): row for row in rows_of(tmp_path / "out")}
    assert len(rows) == 4
    assert float(rows["brovey", "reduced"]["ergas"]) < float(rows["exp", "reduced"]["ergas"])
    assert float(rows["exp", "full"]["d_lambda"]) == 0.0
    assert rows["exp", "reduced"]["ms_gains"] == "0.26 0.28 0.29 0.28"
    assert all(30 < float(row["peak_mib"]) < 600 for row in rows.values())
    assert "0.26 0.28 0.29 0.28 (table)" in (tmp_path / "out" / "results.md").read_text()


def test_help_names_every_preset(tmp_path: Path) -> None:
    from pansharp.benchmarking import list_conventions

    ended = command("--help", folder=tmp_path)
    assert ended.returncode == 0
    words = ended.stdout.replace(",", " ").split()
    assert set(list_conventions()) <= {word.rstrip(".") for word in words}


def test_some_failures_leave_with_3(tmp_path: Path, make_pair: Any) -> None:
    pair = make_pair(shape=(224, 224))
    form = (pair.pan, "-m", "exp", "-m", "gdal-brovey", "-o", "out")
    ended = command(*form, folder=tmp_path)
    assert ended.returncode == 3
    assert ended.stderr.splitlines() == [
        "failed: gdal-brovey on pair (reduced): GDAL computes 'gdal-brovey' from the files: it "
        "cannot be run at reduced resolution"
    ]


def test_errors_are_one_line(tmp_path: Path, make_pair: Any) -> None:
    pair = make_pair()
    cases: list[tuple[list[object], str]] = [
        (["absent.tif"], "'absent.tif' does not exist"),
        ([pair.pan, "-m", "brovy"], "did you mean 'brovey'"),
        ([pair.pan, "--conventions", "toolbox21"], "did you mean 'toolbox2021'"),
        ([pair.pan, "--protocol", "ful"], "did you mean 'full'"),
        ([pair.pan, "--bits", "eleven"], "give a whole number"),
        ([pair.pan, "-m", "exp", "--protocol", "reduced"], "no method gave scores on any scene"),
    ]
    for arguments, text in cases:
        ended = command(*arguments, "-o", "out", folder=tmp_path)
        assert ended.returncode == 1, arguments
        assert text in ended.stderr
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert ended.stdout == ""
    usage = command("-o", "out", folder=tmp_path)
    assert usage.returncode == 2
    assert "SCENE" in usage.stderr
