"""A cube fused by trained weights: as they are, judged, replaced where they do not win."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import torch

from pansharp.errors import ModelError, WeightsError
from pansharp.geometry.grids import Window
from pansharp.models.networks import build_network
from pansharp.options import FuseOptions
from pansharp.outcome import decide, learned
from pansharp.pipeline import fuse_to_file
from pansharp.weights import WeightsCard, load_weights, save_weights

if TYPE_CHECKING:
    from pathlib import Path

    from pansharp.scene import Scene
    from pansharp.source import Source

pytestmark = [
    pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


@pytest.fixture(scope="module")
def scene(new_cube) -> Scene:
    return new_cube(size=32, members=6, guides=2, seed=5).scene


def _whole(source: Source) -> np.ndarray:
    return source.read(Window(0, 0, source.height, source.width)).astype(np.float32)


def _weights(scene: Scene, path: Path, noise: float = 0.0, **changes: object) -> Path:
    torch.manual_seed(0)
    arch = {"ms_bands": scene.bands, "pan_bands": scene.pan_source.bands, "ratio": scene.ratio}
    network = build_network("rescnn-tiny", **arch)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(noise * torch.randn(parameter.shape))
    told = {
        "network": "rescnn-tiny", "task": "hsi", "form": "published", "value_scale": 2.0**16,
        "data": "nothing", "recipe": {"grid": "corner"}, **arch, **changes,
    }  # fmt: skip
    save_weights(path, network.state_dict(), WeightsCard(**told))
    return path


def test_the_product_is_what_the_network_gives(scene: Scene, tmp_path: Path) -> None:
    weights = _weights(scene, tmp_path / "w.safetensors", noise=0.02)
    options = FuseOptions.checked(
        model="auto", weights=weights, adapt="never", backproject=0, force=True, card=False,
        dtype="float32", workers=1,
    )  # fmt: skip
    product = fuse_to_file(scene, tmp_path / "out.tif", options)
    assert product.card["model"]["used"] == "rescnn-tiny"
    with rasterio.open(product.path) as file:
        ours = file.read()
    inner = build_network(
        "rescnn-tiny", ms_bands=scene.bands, pan_bands=scene.pan_source.bands, ratio=scene.ratio
    )
    inner.load_state_dict(load_weights(weights)[1])
    guide, low = (torch.tensor(_whole(s)[None] / 2.0**16)
                  for s in (scene.pan_source, scene.ms_source))  # fmt: skip
    with torch.no_grad():
        theirs = inner.eval()(guide, low)[0].numpy() * 2.0**16
    cut = (slice(None), slice(24, -24), slice(24, -24))
    error = np.sqrt(np.mean((ours - theirs)[cut] ** 2))
    # Half-way sampling between pixels, and the measured shift of the pair.
    assert error < 0.05 * theirs[cut].std()


def test_weights_that_do_not_win_make_no_product(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "CANDIDATES", ("exp", "gsa-hs"))
    weights = _weights(scene, tmp_path / "w.safetensors")
    options = FuseOptions.checked(model="rescnn-tiny", weights=weights, workers=1)
    product = fuse_to_file(scene, tmp_path / "out.tif", options)
    assert product.card["model"]["used"] == "gsa-hs"
    assert any("'rescnn-tiny' is not used" in text for text in product.card["warnings"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": "pan"}, "for PAN and MS"),
        ({"form": "anchored", "value_scale": None}, "anchored form"),
        ({"value_scale": 10.0}, "values up to"),
        ({"ratio": 2.0}, "ratio of 2"),
    ],
)
def test_weights_for_something_else(
    scene: Scene, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    weights = _weights(scene, tmp_path / "w.safetensors", **changes)
    with pytest.raises(WeightsError, match=told) as caught:
        decide(scene, FuseOptions.checked(model="auto", weights=weights), folder=None)
    assert str(caught.value).startswith(f"'{weights}': ")


def test_what_cannot_be_done_is_said(scene: Scene, tmp_path: Path) -> None:
    weights = _weights(scene, tmp_path / "w.safetensors")
    for options, told in (
        ({"model": "rfridge", "weights": weights}, "fitted to it alone"),
        ({"model": "rescnn-tiny", "weights": weights, "adapt": "always"}, "fitted to it alone"),
        ({"model": "rescnn-tiny", "save_weights": tmp_path / "x"}, "fitted to it alone"),
        ({"model": "auto", "checkpoint": tmp_path / "x"}, "fitted to it alone"),
        ({"model": "rfridge", "adapt_minutes": 1}, "'rfridge' is fitted in one step"),
        ({"model": "rescnn-tiny", "weights": weights, "adapt_minutes": 1}, "as they are"),
    ):
        with pytest.raises(ModelError, match=told):
            decide(scene, FuseOptions.checked(**options), folder=None)
