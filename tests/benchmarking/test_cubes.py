"""Hyperspectral methods, fitted ones among them, on one cube."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

import pansharp as ps
from pansharp.benchmarking import run as run_module
from pansharp.benchmarking.execute import run_job
from pansharp.outcome import learned

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning")


def _write(path: Path, image: np.ndarray, pixel: float) -> None:
    place = {"crs": "EPSG:32633", "transform": Affine(pixel, 0, 5e5, 0, -pixel, 5.8e6)}
    bands, height, width = image.shape
    profile = {"count": bands, "height": height, "width": width, "dtype": "float32", **place}
    with rasterio.open(path, "w", driver="GTiff", **profile) as file:
        file.write(image.astype(np.float32))


@pytest.fixture
def cube(tmp_path: Path) -> dict[str, Path]:
    """Mixtures of four spectra on rough ground; the guide sees three sums of bands."""
    rng = np.random.default_rng(4)
    side, ratio = 128, 4
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    fall = 1.0 / np.maximum(f, 1.0 / 40) ** 1.3
    fields = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(4, side, side))) * fall, s=(side, side))
    shares = np.exp(fields / fields.std())
    shares /= shares.sum(axis=0)
    spectra = np.cumsum(rng.uniform(0, 40, (4, 20)), axis=1) + 100
    truth = np.einsum("mb,myx->byx", spectra, shares)
    low = truth.reshape(20, side // ratio, ratio, side // ratio, ratio).mean(axis=(2, 4))
    guide = np.stack([truth[:6].mean(0), truth[6:13].mean(0), truth[13:].mean(0)])
    paths = {"hsi": tmp_path / "hsi.tif", "msi": tmp_path / "msi.tif"}
    _write(paths["hsi"], low, 4.0)
    _write(paths["msi"], guide, 1.0)
    return paths


def test_fitted_and_classical_methods_share_their_blocks(
    cube: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_run", run_job)
    monkeypatch.setattr(learned, "CANDIDATES", ("exp", "gsa-hs"))
    result = ps.benchmark(
        models=["gfpca", "gsa-hs", "rescnn-tiny", "auto"],
        output=tmp_path / "out",
        protocol="reduced",
        adapt_steps=40,
        **cube,
    )
    rows: dict[str, Any] = {row["method"]: row for row in result.rows}
    assert {m: r["status"] for m, r in rows.items() if m != "rescnn-tiny"} == dict.fromkeys(
        ("gfpca", "gsa-hs", "auto"), "ok"
    )
    told = {(r["blocks"], r["block_size"]) for r in rows.values() if r["status"] == "ok"}
    assert len(told) == 1
    assert rows["gsa-hs"]["ergas"] < rows["gfpca"]["ergas"]
    network = rows["rescnn-tiny"]
    # Either it was kept, or the reason stands there; never that the scene is too small.
    assert network["status"] == "ok"
    assert "psnr" in network
    assert network["ergas"] < rows["gfpca"]["ergas"]
    assert "rescnn-tiny" in (tmp_path / "out" / "results.md").read_text()
