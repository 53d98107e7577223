"""Every index against the reference toolboxes' numbers, without sampling."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pansharp import evaluation as ev
from pansharp import filters
from pansharp.errors import PansharpWarning

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = (
    "a_4band_noise",
    "b_8band_blur_float",
    "c_3band",
    "d_1band",
    "e_5band",
    "f_100x90",
    "g_const_and_zero",
    "h_out_of_range_fraction",
    "i_identical",
    "j_landsat16",
    "k_reflectance01",
)
SCENES = ("synth4", "synth8", "landsat8", "wv2_rr", "wv2_fr")
METHODS = ("EXP", "Brovey", "IHS", "HPF", "ATWT", "MTF_GLP_FS")
EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def table(golden: Path) -> dict:
    return json.loads((golden / "golden.json").read_text())


def same(value: float, expected: float, tolerance: float = 1e-9) -> None:
    assert value == pytest.approx(expected, rel=tolerance, abs=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(golden: Path, table: dict, name: str) -> None:
    expected = table["metric_pairs"][name]
    with np.load(golden / "metric_pairs.npz") as file:
        reference = file[f"{name}/ref"].transpose(2, 0, 1)
        fused = file[f"{name}/fus"].transpose(2, 0, 1)
    same(ev.ergas(reference, fused, ratio=4), expected["ERGAS"])
    same(ev.ergas(reference, fused, ratio=2), expected["ERGAS_ratio2"])
    same(ev.sam(reference, fused), expected["SAM_deg"])
    same(ev.q(reference, fused), expected["Q"])
    np.testing.assert_allclose(ev.q_bands(reference, fused), expected["Q_per_band"], rtol=1e-9)
    same(ev.scc(reference, fused), expected["SCC"])
    same(ev.scc(reference, fused, variant="2015"), expected["SCC_2015"])
    same(ev.ssim(reference, fused, data_range=expected["L"]), expected["SSIM"])
    psnr = ev.psnr(reference, fused, data_range=expected["L"])
    same(psnr, np.inf if expected["PSNR_numpy"] is None else expected["PSNR_numpy"])
    with warnings.catch_warnings():
        if name.startswith("k_"):
            warnings.simplefilter("ignore", PansharpWarning)
        same(ev.q2n(reference, fused), expected["Q2n"])
        same(ev.q2n(reference, fused, shift=16), expected["Q2n_shift16"])
        same(ev.q2n(reference, fused, block_size=16, shift=16), expected["Q2n_block16"])
        blocks = ev.q2n_map(reference, fused)
    np.testing.assert_allclose(blocks, expected["Q2n_map"], rtol=1e-9, atol=1e-12)


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
