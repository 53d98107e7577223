"""Small collections with structure that PAN and bands share, and a short way to train on them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pansharp.errors import PansharpWarning

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small_set(make_research: Any, write_h5: Any) -> Any:
    """Write a PanCollection-like file; its name tells the sensor."""

    def make(name: str = "train_qb.h5", *, items: int = 12, **options: Any) -> Path:
        changed = {k: options.pop(k) for k in ("gt", "ms", "pan", "lms") if k in options}
        reference = options.pop("reference", True)
        images = make_research(items=items, **options)
        return write_h5(name, images, reference=reference, **changed)

    return make


@pytest.fixture
def run_short(tmp_path: Path) -> Any:
    """Train a few steps of the smallest network; warnings about its quality are expected.

    Without `picture` no curves are drawn, which takes longer than the training.
    """
    import pansharp.training.run as place
    from pansharp.training import train

    def run(
        data: Any = (),
        *,
        output: str = "run",
        model: str | None = "rescnn-tiny",
        picture: bool = False,
        **options: Any,
    ) -> Any:
        given = {"preset": "quick", "steps": 4, "batch": 2, "patch": 16, "workers": 0, **options}
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            if not picture:
                patch.setattr(place, "draw_curves", lambda *_: tmp_path)
            warnings.filterwarnings("ignore", "the training did not improve", PansharpWarning)
            warnings.filterwarnings("ignore", "on unseen cells the network", PansharpWarning)
            return train(model, data, output=tmp_path / output, **given)

    return run


@pytest.fixture
def write_cube(tmp_path: Path) -> Any:
    """Write a smooth cube of 20 channels from 450 to 900 nm as GeoTIFF."""
    import rasterio
    from rasterio.transform import Affine

    def write(
        name: str = "cube.tif", *, side: int = 72, tagged: bool = True, seed: int = 3
    ) -> Path:
        rng = np.random.default_rng(seed)
        f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
        fall = 1.0 / np.maximum(f, 1.0 / 30) ** 1.3
        waves = np.linspace(450.0, 900.0, 20)

        def field() -> np.ndarray:
            found = np.fft.irfft2(
                np.fft.rfft2(rng.normal(size=(side, side))) * fall, s=(side, side)
            )
            return found / found.std()

        parts = [field() for _ in range(3)]
        spectra = [np.exp(-(((waves - c) / 150.0) ** 2)) for c in (500.0, 650.0, 850.0)]
        cube = 1500 + 250 * sum(s[:, None, None] * p for s, p in zip(spectra, parts, strict=True))
        path = tmp_path / name
        with rasterio.open(
            path, "w", driver="GTiff", dtype="uint16", count=20, height=side, width=side,
            crs="EPSG:32633", transform=Affine(10, 0, 500_000, 0, -10, 5_800_000),
        ) as file:  # fmt: skip
            file.write(np.rint(cube).astype(np.uint16))
            for band, wave in enumerate(waves, 1):
                if tagged:
                    file.update_tags(band, wavelength=f"{wave:.1f}", wavelength_units="nm")
        return path

    return write
