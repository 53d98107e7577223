"""The command line on real files through the real library: no stand-ins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import Result

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _keep_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANSHARP_NO_MALLOC_TUNING", "1")


def test_fuse_evaluate_and_info(run: Run, make_pair: Any) -> None:
    pair = make_pair(shape=(256, 256))
    form = ("--pan", pair.pan, "--ms", pair.ms)
    result = run("fuse", *form, "-m", "mtf-glp-fs", "-o", "f.tif", "--workers", "1")
    assert result.exit_code == 0, result.stderr
    path, verdict = result.stdout.splitlines()
    assert path == "f.tif"
    assert "mtf-glp-fs" in verdict
    card = json.loads(Path("f.tif.card.json").read_text())
    assert card["model"]["used"] == "mtf-glp-fs"
    with rasterio.open("f.tif") as product, rasterio.open(pair.pan) as pan:
        assert product.bounds == pan.bounds
        assert product.count == 4
        assert product.dtypes[0] == "uint16"
        assert product.tags()["PANSHARP_MODEL"] == "mtf-glp-fs"

    again = run("fuse", *form, "-m", "mtf-glp-fs", "-o", "f.tif")
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr

    same = json.loads(run("evaluate", "--reference", "f.tif", "--fused", "f.tif", "--json").stdout)
    assert same["scores"]["ergas"] == 0
    scores = json.loads(run("evaluate", "--fused", "f.tif", *form, "--json").stdout)["scores"]
    assert 0.5 < scores["hqnr"] <= 1

    facts = json.loads(run("info", *form, "--json").stdout)
    assert facts["ratio"] == 4
    assert facts["product"]["shape"] == [4, 256, 256]


def test_a_window_of_some_bands(run: Run, make_pair: Any) -> None:
    pair = make_pair()
    result = run(
        "fuse", "--pan", pair.pan, "--ms", pair.ms, "-m", "exp", "--no-card", "-o", "f.tif",
        "--window", "8,16,32,48", "--bands", "3,blue", "--dtype", "float32",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert not Path("f.tif.card.json").exists()
    with rasterio.open("f.tif") as product, rasterio.open(pair.pan) as pan:
        assert product.descriptions == ("red", "blue")
        assert product.shape == (32, 48)
        assert product.transform.c - pan.transform.c == pytest.approx(16 * pan.transform.a)
        assert np.isfinite(product.read()).all()


@pytest.mark.parametrize("model", ["exp", "brovey"])
def test_interruption_leaves_nothing(
    run: Run, make_pair: Any, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    from pansharp.cli._output import ProgressDisplay

    pair = make_pair()

    def interrupt(self: ProgressDisplay, done: float, total: float, label: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressDisplay, "__call__", interrupt)
    before = set(Path().rglob("*"))
    result = run("fuse", "--pan", pair.pan, "--ms", pair.ms, "-m", model, "-o", "f.tif")
    assert (result.exit_code, result.stderr.strip()) == (130, "interrupted")
    assert set(Path().rglob("*")) == before


def test_scores_of_a_scene(run: Run, make_pair: Any) -> None:
    pair = make_pair(shape=(512, 512))
    for protocol, key in (("reduced", "ergas"), ("full", "HQNR")):
        result = run(
            "evaluate", "--pan", pair.pan, "--ms", pair.ms, "-m", "mtf-glp-fs",
            "--protocol", protocol, "--json",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert document["protocol"] == protocol
        assert key in document["scores"]


def test_unknown_names_are_errors(run: Run, make_pair: Any) -> None:
    pair = make_pair()
    form = ("fuse", "--pan", pair.pan, "--ms", pair.ms)
    for more, text in (
        (["-m", "rescn"], "did you mean 'rescnn'"),
        (["--sensor", "wv33"], "did you mean 'wv3'"),
        (["--blend", "han"], "did you mean 'hann'"),
        (["--format", "tif"], "'gtiff'"),
        (["--compress", "zst"], "did you mean 'zstd'"),
        (["--dtype", "unit16"], "did you mean 'uint16'"),
        (["--adapt", "alway"], "did you mean 'always'"),
        (["--bands", "blu"], "blue"),
        (["--workers", "0"], "--workers"),
    ):
        result = run(*form, *more)
        assert result.exit_code == 1, more
        assert text in result.stderr
        assert len(result.stderr.splitlines()) == 1
