"""The card: its keys, its file, its tags."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from pathlib import Path

import pytest
import rasterio

import pansharp as ps
from pansharp import card as card_module
from pansharp.card import card_path, card_tags, card_text, summary, write_card
from pansharp.errors import PansharpWarning
from pansharp.options import FuseOptions
from pansharp.pipeline import Product, fuse_to_file

TOP = [
    "pansharp",
    "scene",
    "model",
    "alignment",
    "reduced",
    "full",
    "verdict",
    "conventions",
    "timings",
    "warnings",
]
SCORES = {"ergas", "sam", "q2n"}
INDICES = {"D_lambda", "D_s", "QNR", "D_lambda_K", "HQNR"}


def _fuse(make_pair, tmp_path: Path, **values: object) -> Product:
    pair = make_pair(shape=(320, 320))
    scene = ps.open_scene(pan=pair.pan, ms=pair.ms)
    options = FuseOptions.checked(**{"workers": 1, "device": "cpu", **values})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PansharpWarning)
        return fuse_to_file(scene, tmp_path / "fused.tif", options)


@pytest.fixture
def classical(make_pair, tmp_path: Path) -> Product:
    return _fuse(make_pair, tmp_path, model="brovey")


def test_keys_of_a_classical_card(classical: Product) -> None:
    card = classical.card
    assert list(card) == TOP
    assert card["pansharp"] == ps.__version__
    assert card["model"] == {
        "name": "brovey",
        "used": "brovey",
        "backprojections": 0,
        "weights": None,
        "reference": "Gillespie et al., Remote Sens. Environ. 22, 1987",
    }
    reduced = card["reduced"]
    for key in ("model", "best_classical", "exp"):
        assert set(reduced[key]) == SCORES
    assert set(reduced["before_backprojection"]) == {"model", "best_classical", "classical_name"}
    low, high = reduced["rho_interval"]
    assert low <= reduced["rho"] <= high
    assert reduced["rho"] == pytest.approx(
        reduced["model"]["ergas"] / reduced["best_classical"]["ergas"], abs=1e-5
    )
    assert reduced["blocks"] == 8
    assert card["verdict"] in ("better", "equal", "worse")
    assert set(card["full"]) > INDICES
    full = card["full"]
    assert full["QNR"] == pytest.approx((1 - full["D_lambda"]) * (1 - full["D_s"]), abs=1e-5)
    assert full["HQNR"] == pytest.approx((1 - full["D_lambda_K"]) * (1 - full["D_s"]), abs=1e-5)
    assert set(full["products"]) == {"model", "exp"}
    assert full["products"]["exp"]["d_lambda"] == 0.0
    assert card["conventions"]["mtf_gains"] == [0.3] * 4
    assert card["conventions"]["mtf_gains_assumed"] is True
    assert {"prepare", "scoring", "writing", "total"} == set(card["timings"])


def test_keys_of_a_network_card(make_pair, tmp_path: Path) -> None:
    product = _fuse(make_pair, tmp_path, model="rescnn-tiny", adapt_steps=2, force=True, seed=7)
    card = product.card
    assert list(card) == TOP
    model = card["model"]
    assert model["name"] == model["used"] == model["arch"] == "rescnn-tiny"
    assert model["reference"].startswith("no paper")
    assert model["note"] == "most of the gain of rescnn at 40 % of its cost"
    assert model["weights"] == "adapted"
    assert (model["steps"], model["seed"]) == (2, 7)
    assert model["parameters"] > 10_000
    assert {"applied_rows_cols_pan_px", "found_rows_cols_pan_px", "r2_before", "r2_after"} <= set(
        card["alignment"]
    )
    tried = card["reduced"]["candidates"]
    assert set(tried) == {"exp", "brovey", "gsa", "bdsd-pc", "mtf-glp-fs", "rescnn-tiny"}
    assert {"ergas", "sam", "q2n", "steps", "best_step", "seconds"} <= set(tried["rescnn-tiny"])
    best = card["reduced"]["candidates"][card["reduced"]["classical_name"]]
    assert best == card["reduced"]["best_classical"]
    passes = model["backprojections"]
    assert card["full"]["products"][f"model+bp{passes}"]["hqnr"] == card["full"]["HQNR"]
    assert {"model+bp0", "model+bp1", "model+bp2", "exp"} < set(card["full"]["products"])
    assert "fused.tif" in str(product.path)
    assert product.summary() == summary(card)


def test_scene_is_identified(classical: Product) -> None:
    scene = classical.card["scene"]
    assert set(scene) == {
        *("name", "files", "sensor", "acquired", "shape", "ratio", "bands"),
        *("ortho", "radiometry"),
    }
    for role in ("pan", "ms"):
        entry = scene["files"][role][0]
        path = classical.path.parent / "pair" / entry["name"]
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["bytes"] == path.stat().st_size
    assert scene["shape"] == [4, 320, 320]


def test_card_survives_its_file(classical: Product) -> None:
    assert classical.card_path == card_path(classical.path)
    assert classical.card_path.name == "fused.tif.card.json"
    text = classical.card_path.read_text(encoding="utf-8")
    assert json.loads(text) == classical.card
    assert text == card_text(classical.card)
    assert sorted(p.name for p in classical.path.parent.glob("fused*")) == [
        "fused.tif",
        "fused.tif.card.json",
    ]


def test_main_figures_are_tags_of_the_raster(classical: Product) -> None:
    with rasterio.open(classical.path) as file:
        tags = file.tags()
    for key, value in card_tags(classical.card).items():
        assert tags[key] == value
    card = classical.card
    assert tags["PANSHARP_MODEL"] == tags["PANSHARP_MODEL_USED"] == "brovey"
    assert float(tags["PANSHARP_ERGAS"]) == pytest.approx(
        card["reduced"]["model"]["ergas"], rel=1e-5
    )
    assert float(tags["PANSHARP_HQNR"]) == pytest.approx(card["full"]["HQNR"], rel=1e-5)
    assert tags["PANSHARP_VERDICT"] == card["verdict"]
    assert tags["PANSHARP_BEST_CLASSICAL"] == card["reduced"]["classical_name"]


def test_no_card_when_none_is_wanted(make_pair, tmp_path: Path) -> None:
    product = _fuse(make_pair, tmp_path, model="gsa", card=False)
    assert product.card_path is None
    assert not list(tmp_path.glob("*.card.json"))
    with rasterio.open(product.path) as file:
        tags = file.tags()
    assert tags["PANSHARP_MODEL_USED"] == "gsa"
    assert "PANSHARP_HQNR" not in tags
    assert "not scored" in product.summary()


def test_large_files_are_digested_in_parts(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "big.bin"
    content = bytes(range(256)) * 40
    path.write_bytes(content)
    monkeypatch.setattr(card_module, "_WHOLE", 1000)
    monkeypatch.setattr(card_module, "_PIECE", 64)
    found = card_module.digest(path)
    size = len(content)
    parts = content[:64] + content[size // 2 : size // 2 + 64] + content[-64:]
    expected = hashlib.sha256(str(size).encode() + parts).hexdigest()
    assert found == {"sha256_of_parts": expected, "bytes": size}
    assert card_module.digest(tmp_path / "absent") == {"sha256": None}


def test_cards_are_json_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        card_text({"rho": float("nan")})
    write_card('{"a": "ü"}\n', tmp_path / "c.json")
    assert (tmp_path / "c.json").read_text(encoding="utf-8") == '{"a": "ü"}\n'
    with pytest.raises(OSError, match="absent"):
        write_card("x", tmp_path / "absent" / "c.json")
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


def _keys(value: object, at: str = "") -> set[str]:
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, inner in value.items():
        found |= {key} | _keys(inner, key)
    return found


def test_every_key_is_explained(make_pair, tmp_path: Path) -> None:
    """docs/card.md names every key that a network's card has."""
    product = _fuse(make_pair, tmp_path, model="rescnn-tiny", adapt_steps=2, force=True)
    text = (Path(__file__).parents[1] / "docs" / "card.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([A-Za-z0-9_+-]+)`", text))
    card = dict(product.card)
    card["full"] = {k: v for k, v in card["full"].items() if k != "products"}
    # The candidate is named after the network.
    assert _keys(card) - explained == {"rescnn-tiny"}
