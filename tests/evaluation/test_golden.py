"""Every index against the reference toolboxes' numbers, without sampling.

    python tests/evaluation/test_golden.py FOLDER

prints the largest deviation of every index from the numbers in FOLDER (docs/metrics.md).
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from pansharp import evaluation as ev
from pansharp import filters
from pansharp.errors import PansharpWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCENES = ("synth4", "synth8", "landsat8", "wv2_rr", "wv2_fr")
METHODS = ("EXP", "Brovey", "IHS", "HPF", "ATWT", "MTF_GLP_FS")
EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def table(golden: Path) -> dict:
    return json.loads((golden / "golden.json").read_text())


def same(value: float, expected: float, tolerance: float = 1e-9) -> None:
    assert value == pytest.approx(expected, rel=tolerance, abs=1e-12)


class Figure(NamedTuple):
    """A stored number: where it stands, its index, our value, the toolbox's, and what counts 1."""

    where: str
    index: str
    ours: float
    theirs: float
    scale: float

    @property
    def deviation(self) -> float:
        """Relative deviation; absolute where the toolbox has 0 (identical images)."""
        same = self.ours == self.theirs
        return 0.0 if same else abs(self.ours - self.theirs) / (self.scale or 1.0)


def _leaves(entry: object, path: str = "") -> dict[str, float]:
    """Every number below an entry of golden.json, by its path; null is infinity."""
    if isinstance(entry, dict):
        items = [(f"{path}/{key}", value) for key, value in entry.items()]
    elif isinstance(entry, list):
        items = [(f"{path}/{number}", value) for number, value in enumerate(entry)]
    else:
        return {path: np.inf if entry is None else float(entry)}
    return {key: value for where, item in items for key, value in _leaves(item, where).items()}


def pair_values(golden: Path, entry: dict, name: str) -> dict[str, object]:
    """Our value for every key of a pair."""
    with np.load(golden / "metric_pairs.npz") as file:
        x, y = (file[f"{name}/{part}"].transpose(2, 0, 1) for part in ("ref", "fus"))
    top = entry["L"]
    psnr = ev.psnr(x, y, data_range=top)
    with warnings.catch_warnings():
        if name.startswith("k_"):
            warnings.simplefilter("ignore", PansharpWarning)
        return {
            "shape": [*x.shape[1:], x.shape[0]],
            "L": top,
            "ERGAS": ev.ergas(x, y, ratio=4),
            "ERGAS_ratio2": ev.ergas(x, y, ratio=2),
            "SAM_deg": ev.sam(x, y),
            "Q": ev.q(x, y),
            "Q_per_band": ev.q_bands(x, y).tolist(),
            "SCC": ev.scc(x, y),
            "SCC_2015": ev.scc(x, y, variant="2015"),
            "SSIM": ev.ssim(x, y, data_range=top),
            "PSNR_numpy": psnr,
            "Q2n": ev.q2n(x, y),
            "Q2n_shift16": ev.q2n(x, y, shift=16),
            "Q2n_block16": ev.q2n(x, y, block_size=16, shift=16),
            "Q2n_map": ev.q2n_map(x, y).tolist(),
        }


def mtf_values(sensor: str, count: int) -> dict[str, object]:
    """Our value for every key of a sensor's kernels."""
    from pansharp.sensors import get_sensor

    profile = get_sensor(sensor)
    kernels = filters.mtf_kernels(sensor, 4, count)
    pan = filters.mtf_kernel(sensor, 4, "pan")
    return {
        "ms_gains": list(profile.mtf_gains(None, count)[0]),
        "pan_gain": profile.pan_gain[0],
        "kernel_sum": kernels.sum(axis=(1, 2)).tolist(),
        "centre_row": kernels[:, 20].tolist(),
        "pan_kernel_sum": float(pan.sum()),
        "pan_centre_row": pan[20].tolist(),
        "diagonal_sum": np.trace(kernels, axis1=1, axis2=2).tolist(),
    }


def primitive_values(image: np.ndarray) -> dict[str, np.ndarray]:
    """Our arrays for every array of primitives.npz but the input."""
    kernels = {
        f"mtf_{name}": filters.mtf_kernels(name, 4, n) for name, n in (("QB", 4), ("WV3", 8))
    }
    low = filters.atrous_lp(image[0], 4)
    return {
        **kernels,
        **{f"interp23_x{ratio}": filters.interp23(image, ratio) for ratio in (2, 4)},
        **{
            f"imresize_{method}_{name}": filters.imresize(image, scale, method)
            for method, name, scale in (
                ("bicubic", "div4", 0.25),
                ("bicubic", "x4", 4),
                ("bilinear", "div4", 0.25),
                ("bilinear", "x4", 4),
                ("nearest", "div4", 0.25),
            )
        },
        "atrous_lp_band0": low,
        "atrous_lp_dec4_band0": filters.decimate(low, 4),
        "gauss_lp_band0": filters.gauss_lp(image[0], 4),
    }


def figures(golden: Path, table: dict) -> Iterator[Figure]:
    """Every number of the pairs, kernels and primitives; a key that we lack is an error."""
    parts: list[tuple[str, dict, dict]] = [
        *(
            (f"metric_pairs/{n}", e, pair_values(golden, e, n))
            for n, e in table["metric_pairs"].items()
        ),
        *(
            (f"mtf/{name}", entry, mtf_values(name, len(entry["ms_gains"])))
            for name, entry in table["mtf"].items()
        ),
    ]
    kernel = filters.mtf_kernel_from_gain(0.3, 2)
    ours = {"sum": float(kernel.sum()), "centre_row": kernel[20].tolist()}
    parts.append(("mtf_ratio2_gain0.3", table["mtf_ratio2_gain0.3"], ours))
    for part, expected, values in parts:
        assert set(values) == set(expected), part
        for key in expected:
            theirs, mine = _leaves(expected[key], key), _leaves(values[key], key)
            assert set(mine) == set(theirs), f"{part}/{key}"
            # Small taps of a kernel count against its largest one.
            top = max(map(abs, theirs.values()))
            for where, value in theirs.items():
                scale = top if key.endswith("_row") else abs(value)
                yield Figure(f"{part}/{where}", key, mine[where], value, scale)
    with np.load(golden / "primitives.npz") as file:
        arrays = {
            key: file[key].transpose(2, 0, 1) if file[key].ndim == 3 else file[key]
            for key in file.files
        }
    results = primitive_values(arrays.pop("input"))
    assert set(results) == set(arrays)
    for key, expected in arrays.items():
        assert results[key].shape == expected.shape
        scale = float(np.abs(expected).max())
        for mine, value in zip(results[key].ravel(), expected.ravel(), strict=True):
            yield Figure(f"primitives/{key}", key, float(mine), float(value), scale)


def worst(found: Iterable[Figure]) -> dict[str, tuple[int, float]]:
    """Index to the numbers compared and the largest deviation."""
    out: dict[str, tuple[int, float]] = {}
    for figure in found:
        count, largest = out.get(figure.index, (0, 0.0))
        out[figure.index] = count + 1, max(largest, figure.deviation)
    return out


def test_every_number_of_pairs_kernels_and_primitives(golden: Path, table: dict) -> None:
    found = list(figures(golden, table))
    stored = {"metric_pairs", "mtf", "mtf_ratio2_gain0.3"}
    leaves = sum(len(_leaves(table[part])) for part in stored)
    assert sum(not figure.where.startswith("primitives") for figure in found) == leaves
    for figure in found:
        assert figure.deviation <= 1e-9, figure
    assert len(worst(found)) > 30


def _matched(pan: np.ndarray, target: np.ndarray) -> np.ndarray:
    return (pan - pan.mean()) * (target.std(ddof=1) / pan.std(ddof=1)) + target.mean()


def _fuse(method: str, pan: np.ndarray, up: np.ndarray, sensor: str) -> np.ndarray:
    """Plain transcriptions of methods that need nothing but filters."""
    intensity = up.mean(axis=0)
    if method == "EXP":
        return up
    if method == "Brovey":
        return up * (_matched(pan, intensity) / (intensity + EPS))
    if method == "IHS":
        return up + (_matched(pan, intensity) - intensity)
    out = np.empty_like(up)
    kernels = filters.mtf_kernels(sensor, 4, len(up))
    for band, low in enumerate(up):
        guide = _matched(pan, low)
        if method == "HPF":
            out[band] = low + guide - filters.correlate_replicate(guide, np.full((5, 5), 1 / 25))
        elif method == "ATWT":
            out[band] = low + guide - filters.atrous_lp(guide, 4)
        else:
            blurred = filters.correlate_replicate(pan, kernels[band])
            smooth = filters.interp23(filters.decimate(blurred, 4), 4)
            gain = (
                np.cov(low.ravel(), pan.ravel())[0, 1] / np.cov(smooth.ravel(), pan.ravel())[0, 1]
            )
            out[band] = low + gain * (pan - smooth)
    return out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scene", SCENES)
def test_scenes(golden: Path, table: dict, scene: str, method: str) -> None:
    entry = table["scenes"][scene]
    with np.load(golden / f"{scene}.npz") as file:
        pan, ms = file["pan"].astype(float), file["ms_lr"].transpose(2, 0, 1).astype(float)
        truth = file["gt"].transpose(2, 0, 1) if "gt" in file.files else None
    sensor = entry["primary_sensor"]
    label = f"{method}__{sensor}" if method.startswith("MTF") else method
    expected = entry["methods"][label]["indices"]
    index_sensor = entry["methods"][label]["index_sensor"]
    fused = _fuse(method, pan, filters.interp23(ms, 4), sensor)

    strict = {"mode": "reference"}
    same(ev.d_lambda(fused, ms, **strict), expected["D_lambda"])
    same(ev.d_lambda(fused, ms, variant="paper"), expected["D_lambda_paper"])
    same(ev.d_s(fused, ms, pan, **strict), expected["D_s"])
    same(ev.d_s(fused, ms, pan), expected["D_s_hqnr"])
    same(ev.d_s(fused, ms, pan, variant="paper"), expected["D_s_paper"])
    if "D_s_2015" in expected:
        value = ev.d_s(fused, ms, pan, variant="2015", sensor=index_sensor)
        same(value, expected["D_s_2015"])
    report = ev.evaluate(fused=fused, ms=ms, pan=pan, sensor=index_sensor)
    for ours, theirs in (
        ("d_lambda", "D_lambda"),
        ("d_s", "D_s"),
        ("qnr", "QNR"),
        ("d_lambda_k", "D_lambda_K"),
        ("hqnr", "HQNR"),
    ):
        same(report.scores[ours], expected[theirs])
    same(ev.qnr(fused, ms, pan, **strict), expected["QNR"])
    same(ev.hqnr(fused, ms, pan, sensor=index_sensor, **strict), expected["HQNR"])
    same(ev.d_lambda_k(fused, ms, sensor=index_sensor), expected["D_lambda_K"])
    if truth is None:
        return
    top = 2 ** entry["L"] - 1
    report = ev.evaluate(reference=truth, fused=fused, data_range=top)
    for ours, theirs in (
        ("ergas", "ERGAS"),
        ("sam", "SAM_deg"),
        ("q2n", "Q2n"),
        ("q", "Q"),
        ("scc", "SCC"),
        ("ssim", "SSIM"),
        ("psnr", "PSNR_numpy"),
    ):
        same(report.scores[ours], expected[theirs])
    same(ev.scc(truth, fused, variant="2015"), expected["SCC_2015"])
    inner = (ev.cut_border(truth, 21), ev.cut_border(fused, 21))
    same(ev.ergas(*inner), expected["ERGAS_cut"])
    same(ev.sam(*inner), expected["SAM_deg_cut"])
    same(ev.q2n(*inner), expected["Q2n_cut"])
    same(ev.q(*inner), expected["Q_cut"])
    same(ev.scc(*inner), expected["SCC_cut"])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    numbers = json.loads((folder / "golden.json").read_text())
    for index, (count, largest) in worst(figures(folder, numbers)).items():
        print(f"{index:26s} {count:6d} numbers  {largest:.1e}")
