"""`fuse` with weights: kept, started from, refused; and what `auto` tries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from pansharp.errors import ModelError, OptionError, WeightsError
from pansharp.models.networks import get_network
from pansharp.options import FuseOptions
from pansharp.outcome import decide
from pansharp.outcome.candidates import candidates
from pansharp.pipeline import fuse_to_file
from pansharp.readers import open_scene
from pansharp.weights import load_weights, read_card

if TYPE_CHECKING:
    from pathlib import Path

    from pansharp.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning")


def _write(path: Path, image: np.ndarray, pixel: float) -> None:
    place = {"crs": "EPSG:32633", "transform": Affine(pixel, 0, 5e5, 0, -pixel, 5.8e6)}
    bands, height, width = image.shape
    profile = {"count": bands, "height": height, "width": width, "dtype": "uint16", **place}
    with rasterio.open(path, "w", driver="GTiff", **profile) as file:
        file.write(np.rint(image).astype(np.uint16))


def _write_pair(folder: Path, seed: int, size: int = 96) -> tuple[Path, Path]:
    """Rough ground that the PAN and three bands share."""
    rng = np.random.default_rng(seed)
    side = 4 * size
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    fall = 1.0 / np.maximum(f, 1.0 / 60) ** 1.4

    def field() -> np.ndarray:
        wave = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * fall, s=(side, side))
        return (wave - wave.mean()) / wave.std()

    shared = field()
    truth = np.stack([800 + 80 * (b + 1) * shared + 30 * field() for b in range(3)])
    folder.mkdir()
    _write(folder / "pan.tif", truth.mean(axis=0, keepdims=True), 1.0)
    _write(folder / "ms.tif", truth.reshape(3, size, 4, size, 4).mean(axis=(2, 4)), 4.0)
    return folder / "pan.tif", folder / "ms.tif"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Scene:
    pan, ms = _write_pair(folder / "one", seed=1)
    return open_scene(pan=pan, ms=ms)


@pytest.fixture(scope="module")
def other(folder: Path) -> Scene:
    pan, ms = _write_pair(folder / "two", seed=2)
    return open_scene(pan=pan, ms=ms)


@pytest.fixture(scope="module")
def kept(folder: Path, pair: Scene) -> Path:
    path = folder / "kept.safetensors"
    options = FuseOptions.checked(
        model="rescnn-tiny", adapt_steps=60, save_weights=path, workers=1, force=True
    )
    fuse_to_file(pair, folder / "kept.tif", options)
    return path


def test_kept_weights_tell_what_they_are(kept: Path, pair: Scene) -> None:
    card, state = load_weights(kept)
    assert (card.network, card.form, card.task, card.ms_bands) == (
        "rescnn-tiny", "anchored", "pan", pair.bands,
    )  # fmt: skip
    assert card.band_names == pair.band_names
    assert card.recipe["steps"] == 60
    assert len(card.recipe["scene_digests"]) == 2
    assert set(card.scores) == {"on unseen blocks of this scene", "best classical method there"}
    assert state


def test_another_scene_starts_from_them(kept: Path, other: Scene, folder: Path) -> None:
    product = fuse_to_file(
        other,
        folder / "frozen.tif",
        FuseOptions.checked(model="auto", weights=kept, adapt="never", workers=1, force=True),
    )
    model = product.card["model"]
    assert (model["used"], model["adapted"], model["steps"]) == ("rescnn-tiny", False, 0)
    assert model["weights"] == f"kept ({read_card(kept).digest[:12]})"
    assert product.card["verdict"]
    again = folder / "again.safetensors"
    options = FuseOptions.checked(
        model="rescnn-tiny", weights=kept, adapt_steps=5, save_weights=again, workers=1, force=True
    )
    fuse_to_file(other, folder / "warm.tif", options)
    # The new ones remember both scenes.
    assert len(read_card(again).recipe["scene_digests"]) == 4


def test_the_scene_they_were_trained_on_is_not_proof(kept: Path, pair: Scene, folder: Path) -> None:
    product = fuse_to_file(
        pair,
        folder / "same.tif",
        FuseOptions.checked(model="auto", weights=kept, adapt="never", workers=1, force=True),
    )
    assert product.card["verdict"] is None
    assert product.card["reduced"] == {}
    assert any("trained on this very scene" in text for text in product.card["warnings"])


def test_weights_for_something_else_are_refused(kept: Path, other: Scene, folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"kept\.safetensors'.*'rescnn-tiny', not of 'rescnn'"):
        decide(other, FuseOptions.checked(model="rescnn", weights=kept), folder=None)
    small = open_scene(pan=other.files["pan"][0], ms=other.files["ms"][0], bands=(0, 1))
    with pytest.raises(WeightsError, match="bands"):
        decide(small, FuseOptions.checked(model="rescnn-tiny", weights=kept), folder=None)
    broken = folder / "broken.safetensors"
    broken.write_bytes(kept.read_bytes()[:-10])
    with pytest.raises(WeightsError, match=r"broken\.safetensors"):
        decide(other, FuseOptions.checked(model="rescnn-tiny", weights=broken), folder=None)


@pytest.mark.parametrize("flag", ["weights", "save_weights", "checkpoint"])
def test_classical_methods_have_no_use_for_weights(other: Scene, flag: str, folder: Path) -> None:
    options = FuseOptions.checked(model="mtf-glp-fs", **{flag: str(folder / "x")})
    with pytest.raises(ModelError, match=f"--{flag.replace('_', '-')} is given, but 'mtf-glp-fs'"):
        decide(other, options, folder=None)


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_a_time_must_be_a_time(minutes: float) -> None:
    with pytest.raises(OptionError, match="--adapt-minutes"):
        FuseOptions.checked(adapt_minutes=minutes)


def test_auto_tries_what_fits_the_time(other: Scene) -> None:
    short = candidates(other, FuseOptions.checked(adapt_minutes=0.01), None)
    assert short == ("rescnn",)
    long = candidates(other, FuseOptions.checked(adapt_minutes=1e4), None)
    ranks = [get_network(name).adaptation.rank for name in long]
    assert ranks == sorted(ranks)
    assert len(long) > len(candidates(other, FuseOptions(), None)) > 1
    assert candidates(other, FuseOptions(), "ssft-small") == ("ssft-small",)
    assert candidates(other, FuseOptions.checked(model="bugpan"), None) == ("bugpan",)


def test_the_card_lists_every_candidate(
    other: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pansharp.outcome.candidates.candidates", lambda *_: ("rescnn-tiny", "smgunet-small")
    )
    options = FuseOptions.checked(adapt_steps=30, workers=1, force=True)
    card = json.loads(fuse_to_file(other, folder / "auto.tif", options).card_path.read_text())
    listed = card["reduced"]["candidates"]
    tried = {name: listed[name]["ergas"] for name in ("rescnn-tiny", "smgunet-small")}
    assert card["model"]["used"] == min(tried, key=tried.__getitem__)
    assert card["model"]["name"] == "auto"
    assert {"exp", "brovey", "gsa", "bdsd-pc", "mtf-glp-fs"} < set(listed)
