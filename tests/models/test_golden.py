"""Reference mode of the classical methods against all numbers of the MATLAB toolboxes."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp import evaluation as ev
from pansharp.errors import ModelError, OptionError
from pansharp.pipeline import fuse_arrays

if TYPE_CHECKING:
    from pathlib import Path

SCENES = ("synth4", "synth8", "landsat8", "wv2_rr", "wv2_fr")
MODELS = {
    "EXP": "exp",
    "Brovey": "brovey",
    "GSA": "gsa",
    "MTF_GLP_FS": "mtf-glp-fs",
    "BDSD_PC": "bdsd-pc",
}
#: Labels of the five methods, counted over all scenes and sensor settings.
LABELS = {"synth4": 13, "synth8": 9, "landsat8": 5, "wv2_rr": 9, "wv2_fr": 5}


@pytest.fixture(scope="module")
def table(golden: Path) -> dict:
    return json.loads((golden / "golden.json").read_text())


@lru_cache(maxsize=8)
def _inputs(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def _fused(inputs: dict[str, np.ndarray], label: str, sensor: str | None) -> np.ndarray:
    return fuse_arrays(
        inputs["pan"],
        inputs["ms_lr"].transpose(2, 0, 1),
        MODELS[label.split("__")[0]],
        sensor=sensor,
        mode="reference",
        dtype="float64",
    )


def _walk(table: dict, scene: str) -> list[tuple[str, str | None, dict]]:
    """(label, sensor or None where none enters, expected) of the methods offered here."""
    found = []
    for label, expected in table["scenes"][scene]["methods"].items():
        name, _, sensor = label.partition("__")
        if name in MODELS:
            found.append((label, sensor or None, expected))
    return found


@pytest.mark.parametrize("scene", SCENES)
def test_every_label_is_reproduced(golden: Path, table: dict, scene: str) -> None:
    inputs = _inputs(golden / f"{scene}.npz")
    entries = _walk(table, scene)
    assert len(entries) == LABELS[scene]
    for label, sensor, expected in entries:
        fused = _fused(inputs, label, sensor)
        assert fused.dtype == np.float64
        flat = fused.reshape(len(fused), -1)
        for value, key, tolerance in (
            (flat.mean(axis=1), "mean", 1e-9),
            (flat.std(axis=1, ddof=1), "std", 1e-9),
            (flat.min(), "min", 1e-8),
            (flat.max(), "max", 1e-8),
        ):
            np.testing.assert_allclose(
                value, expected[key], rtol=tolerance, err_msg=f"{scene} {label} {key}"
            )
        stored = "exp" if label == "EXP" else f"out/{label}"
        if stored in inputs:
            crop = inputs[stored].transpose(2, 0, 1)
            rows, cols = ((n - 32) // 2 for n in fused.shape[1:])
            ours = fused[:, rows : rows + 32, cols : cols + 32]
            np.testing.assert_allclose(ours, crop, rtol=1e-6, err_msg=f"{scene} {label} crop")


@pytest.mark.parametrize("scene", [s for s in SCENES if s != "wv2_fr"])
def test_every_label_with_an_image_has_its_crop(golden: Path, table: dict, scene: str) -> None:
    inputs = _inputs(golden / f"{scene}.npz")
    primary = table["scenes"][scene]["primary_sensor"]
    stored = {key for key in inputs if key.startswith("out/")}
    assert {"out/Brovey", "out/GSA", f"out/MTF_GLP_FS__{primary}"} <= stored
    assert f"out/BDSD_PC__{primary}" in stored


@pytest.mark.parametrize("scene", SCENES)
def test_indices_of_every_label(golden: Path, table: dict, scene: str) -> None:
    inputs = _inputs(golden / f"{scene}.npz")
    pan, ms = inputs["pan"].astype(float), inputs["ms_lr"].transpose(2, 0, 1).astype(float)
    truth = inputs["gt"].transpose(2, 0, 1).astype(float) if "gt" in inputs else None
    checked = 0
    for label, sensor, expected in _walk(table, scene):
        fused = _fused(inputs, label, sensor)
        ours = {}
        if truth is not None:
            ours |= {
                "ERGAS": ev.ergas(truth, fused),
                "SAM_deg": ev.sam(truth, fused),
                "Q2n": ev.q2n(truth, fused),
            }
        if "D_s" in expected["indices"] or "HQNR" in expected["indices"]:
            report = ev.evaluate(fused=fused, ms=ms, pan=pan, sensor=expected["index_sensor"])
            names = {"qnr": "QNR", "d_lambda": "D_lambda", "d_s": "D_s", "hqnr": "HQNR"}
            names["d_lambda_k"] = "D_lambda_K"
            ours |= {theirs: report.scores[own] for own, theirs in names.items()}
            if "D_s_hqnr" in expected["indices"]:
                assert report.scores["d_s"] == pytest.approx(
                    expected["indices"]["D_s_hqnr"], rel=1e-9
                )
        for key, value in ours.items():
            if key in expected["indices"]:
                wanted = expected["indices"][key]
                assert value == pytest.approx(wanted, rel=1e-9, abs=1e-12), f"{label} {key}"
                checked += 1
    assert checked >= 3 * LABELS[scene]


@pytest.mark.parametrize(
    ("shape", "ratio"), [((64, 60), 4), ((64, 64), 3), ((48, 48), 3), ((65, 64), 4)]
)
def test_reference_mode_refuses_other_grids(shape: tuple[int, int], ratio: int) -> None:
    with pytest.raises(ModelError, match="reference mode needs"):
        fuse_arrays(np.ones(shape), np.ones((3, 16, 16)), "exp", ratio=ratio, mode="reference")


def test_wrong_words_are_named() -> None:
    pan, ms = np.ones((16, 16)), np.ones((2, 4, 4))
    with pytest.raises(OptionError, match="dtype"):
        fuse_arrays(pan, ms, "exp", dtype="int8")
    with pytest.raises(OptionError, match="mode"):
        fuse_arrays(pan, ms, "exp", mode="matlab")
    with pytest.raises(OptionError, match="shape"):
        fuse_arrays(ms, ms, "exp")
