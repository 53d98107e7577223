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
    from collections.abc import Iterator
    from pathlib import Path

SCENES = ("synth4", "synth8", "landsat8", "wv2_rr", "wv2_fr")
#: Label in the table to our name and options.
MODELS: dict[str, tuple[str, dict[str, object]]] = {
    "EXP": ("exp", {}),
    "Brovey": ("brovey", {}),
    "IHS": ("ihs", {}),
    "PCA": ("pca", {}),
    "GS": ("gs", {}),
    "GSA": ("gsa", {}),
    "C_GSA_quadrants": ("cgsa", {}),
    "BT_H": ("bth", {}),
    "PRACS": ("pracs", {}),
    "HPF": ("hpf", {}),
    "SFIM": ("sfim", {}),
    "Indusion": ("indusion", {}),
    "ATWT": ("atwt", {}),
    "AWLP": ("awlp", {}),
    "MF_HG": ("mf-hg", {}),
    "TV_IKONOS": ("tv", {"sensor": "IKONOS"}),
    "TV_GeoEye1": ("tv", {"sensor": "GeoEye1"}),
    "TV_WV3": ("tv", {"sensor": "WV3"}),
    "MTF_GLP": ("mtf-glp", {}),
    "MTF_GLP_HPM": ("mtf-glp-hpm", {}),
    "MTF_GLP_HPM_R": ("mtf-glp-hpm-r", {}),
    "MTF_GLP_HPM_H": ("mtf-glp-hpm-h", {}),
    "MTF_GLP_FS": ("mtf-glp-fs", {}),
    "MTF_GLP_CBD_global": ("mtf-glp-cbd", {}),
    "MTF_GLP_CBD_local55": ("mtf-glp-cbd", {"window": 55}),
    "BDSD_global": ("bdsd", {}),
    "BDSD_block64": ("bdsd", {"block_size": 64}),
    "BDSD_PC": ("bdsd-pc", {}),
}
#: Relative tolerance of numbers and indices; 1e-9 for the rest. The toolbox solves BDSD by normal
#: equations, which leaves noise in its own numbers; its HPM divides by nearly nothing on synth8.
LOOSE = {"BDSD_global": 1e-7, "BDSD_block64": 2e-6, "MTF_GLP_HPM": 1e-8}


@pytest.fixture(scope="module")
def table(golden: Path) -> dict:
    return json.loads((golden / "golden.json").read_text())


@lru_cache(maxsize=8)
def _inputs(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def _fused(inputs: dict[str, np.ndarray], label: str) -> np.ndarray:
    key, _, sensor = label.partition("__")
    name, given = MODELS[key]
    options = dict(given)
    height, width = inputs["pan"].shape
    if key == "C_GSA_quadrants":
        lower = np.arange(1, height + 1)[:, None] > height / 2
        options["segments"] = lower + 2 * (np.arange(1, width + 1)[None] > width / 2)
    # In fuse_arrays `sensor` is the scene's, for TV it chooses the constants.
    sensor = str(options.pop("sensor", sensor)) or None
    return fuse_arrays(
        inputs["pan"],
        inputs["ms_lr"].transpose(2, 0, 1),
        name,
        sensor=sensor,
        mode="reference",
        dtype="float64",
        **options,
    )


def _gap(ours: object, theirs: object) -> float:
    """Largest relative deviation; absolute below 1e-3 of one, where a quotient says nothing."""
    x, y = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    return float(np.max(np.abs(x - y) / np.maximum(np.abs(y), 1e-3)))


def deviations(folder: Path, scene: str) -> Iterator[tuple[str, str, float]]:
    """Every number of a scene's methods as (label, name of the number, deviation from it)."""
    inputs = _inputs(folder / f"{scene}.npz")
    entry = json.loads((folder / "golden.json").read_text())["scenes"][scene]
    for label, expected in entry["methods"].items():
        fused = _fused(inputs, label)
        flat = fused.reshape(len(fused), -1)
        numbers: dict[str, object] = {
            "mean": flat.mean(axis=1),
            "std": flat.std(axis=1, ddof=1),
            "min": flat.min(),
            "max": flat.max(),
        }
        for key, value in numbers.items():
            yield label, key, _gap(value, expected[key])
        stored = "exp" if label == "EXP" else f"out/{label}"
        if stored in inputs:
            rows, cols = ((n - 32) // 2 for n in fused.shape[1:])
            ours = fused[:, rows : rows + 32, cols : cols + 32]
            yield label, "crop", _gap(ours, inputs[stored].transpose(2, 0, 1))
        indices = _indices(inputs, entry, expected, fused)
        unknown = expected["indices"].keys() - indices.keys()
        assert not unknown, f"indices {unknown} of the table are not walked"
        for key, value in expected["indices"].items():
            yield label, key, _gap(indices[key], value)


def test_the_table_is_what_is_walked(table: dict) -> None:
    assert set(table["scenes"]) == set(SCENES)
    labels = [label for s in SCENES for label in table["scenes"][s]["methods"]]
    assert {label.partition("__")[0] for label in labels} == set(MODELS)
    known = {"mean", "std", "min", "max", "indices", "method", "sensor", "index_sensor"}
    for scene in SCENES:
        for expected in table["scenes"][scene]["methods"].values():
            assert set(expected) <= known


@pytest.mark.parametrize("scene", SCENES)
def test_every_number_is_reproduced(golden: Path, scene: str) -> None:
    count = 0
    wrong = []
    for label, key, gap in deviations(golden, scene):
        count += 1
        limit = _limit(label.partition("__")[0], key)
        if not gap <= limit:
            wrong.append(f"{label} {key}: off by {gap:.1e}, allowed {limit:.0e}")
    assert not wrong, "\n".join(wrong)
    assert count > 300


def _limit(method: str, key: str) -> float:
    if key == "crop":
        # Stored as float32.
        return 1e-6
    loose = LOOSE.get(method, 1e-9)
    return max(loose, 1e-8) if key in ("min", "max") else loose


@pytest.mark.parametrize("name", [s for s in SCENES if s != "wv2_fr"])
def test_every_label_of_the_primary_sensor_has_its_crop(
    golden: Path, table: dict, name: str
) -> None:
    inputs = _inputs(golden / f"{name}.npz")
    entry = table["scenes"][name]
    primary = entry["primary_sensor"]
    wanted = {
        f"out/{label}"
        for label in entry["methods"]
        if label != "EXP" and label.partition("__")[2] in ("", primary)
    }
    assert wanted == {key for key in inputs if key.startswith("out/")}


def _indices(
    inputs: dict[str, np.ndarray], entry: dict, expected: dict, fused: np.ndarray
) -> dict[str, float]:
    """All indices that the table has, by its names."""
    pan, ms = inputs["pan"].astype(float), inputs["ms_lr"].transpose(2, 0, 1).astype(float)
    sensor = expected["index_sensor"]
    wanted = expected["indices"]
    ours: dict[str, float] = {}
    if "gt" in inputs:
        truth = inputs["gt"].transpose(2, 0, 1).astype(float)
        pairs = {"": (truth, fused), "_cut": (ev.cut_border(truth, 21), ev.cut_border(fused, 21))}
        for tail, (x, y) in pairs.items():
            ours |= {
                f"ERGAS{tail}": ev.ergas(x, y),
                f"SAM_deg{tail}": ev.sam(x, y),
                f"Q2n{tail}": ev.q2n(x, y),
            }
            if f"Q{tail}" in wanted:
                ours |= {f"Q{tail}": ev.q(x, y), f"SCC{tail}": ev.scc(x, y)}
        if "SSIM" in wanted:
            top = 2 ** entry["L"] - 1
            ours["SSIM"] = ev.ssim(truth, fused, data_range=top)
            ours["SCC_2015"] = ev.scc(truth, fused, variant="2015")
            ours["PSNR_numpy"] = ev.psnr(truth, fused, data_range=top)
    if "HQNR" in wanted:
        scores = ev.evaluate(fused=fused, ms=ms, pan=pan, sensor=sensor).scores
        ours |= {
            "D_lambda": scores["d_lambda"],
            "D_s": scores["d_s"],
            "QNR": scores["qnr"],
            "D_lambda_K": scores["d_lambda_k"],
            "HQNR": scores["hqnr"],
            "D_s_hqnr": scores["d_s"],
        }
    if "D_lambda_paper" in wanted:
        ours["D_lambda_paper"] = ev.d_lambda(fused, ms, variant="paper")
        ours["D_s_paper"] = ev.d_s(fused, ms, pan, variant="paper")
    if "D_s_2015" in wanted:
        ours["D_s_2015"] = ev.d_s(fused, ms, pan, variant="2015", sensor=sensor)
    return ours


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


if __name__ == "__main__":
    import sys
    from pathlib import Path

    # python tests/models/test_golden.py FOLDER: the worst deviations, for the documentation.
    methods: dict[str, dict[str, float]] = {}
    indices: dict[str, tuple[float, int]] = {}
    for each in SCENES:
        for label, key, gap in deviations(Path(sys.argv[1]), each):
            method = label.partition("__")[0]
            row = methods.setdefault(method, {})
            column = key if key in ("mean", "std", "min", "max", "crop") else "indices"
            row[column] = max(row.get(column, 0.0), gap)
            if column == "indices" and method not in LOOSE:
                worst, count = indices.get(key, (0.0, 0))
                indices[key] = max(worst, gap), count + 1
    for method, row in methods.items():
        print(method, *(f"{k} {v:.0e}" for k, v in row.items()), sep="  ")
    for key, (worst, count) in indices.items():
        print(f"{key}: {worst:.1e} over {count} products")
