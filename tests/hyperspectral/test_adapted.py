"""Learned products from end to end: networks through the blur, the guard, the fall-back, `auto`."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pansharp import fuse_arrays
from pansharp.adaptation import cube as cube_module
from pansharp.adaptation import cube_fit as fit_module
from pansharp.adaptation.backproject import consistency
from pansharp.adaptation.cube import adapt_cube, cut_patches
from pansharp.chips import read_chip
from pansharp.cli import main
from pansharp.engine import fuse_array, prepare
from pansharp.errors import ModelError, PansharpWarning
from pansharp.evaluation import ergas
from pansharp.geometry.grids import Alignment, Window
from pansharp.geometry.resample import sample
from pansharp.models.hyperspectral.basis import GsaBasis
from pansharp.models.networks import get_network
from pansharp.options import FuseOptions
from pansharp.outcome import decide, learned
from pansharp.outcome.cube_fusers import complete
from pansharp.pipeline import evaluate_scene, fuse_to_file
from pansharp.scene import Scene
from pansharp.simulate import SimulatedCube, write_hsi_msi

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore::pansharp.errors.PansharpWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]

#: Rehearsed methods of the tests: enough to be compared with.
FEW = ("exp", "gsa-hs", "fuse-sylvester")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "CANDIDATES", FEW)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def curved(new_cube):
    """Two guide bands of six materials: the spectra are no linear map of the guide."""
    return new_cube(size=32, members=6, guides=2, seed=5)


@pytest.fixture(scope="module")
def basis(curved):
    return prepare(GsaBasis(), curved.scene, curved.facts)


def options(**values) -> FuseOptions:
    chosen = {"model": "rfridge", "dtype": "float32", "workers": 1, **values}
    if chosen["model"] == "rfridge":
        chosen = {"features": 150, "draws": 1, **chosen}
    return FuseOptions.checked(**chosen)


# -- networks ------------------------------------------------------------------------------------


def fit(curved, basis, name: str = "rescnn-tiny", steps: int = 60, seed: int = 0):
    return adapt_cube(
        name, [curved.scene], curved.facts, basis, steps=steps, seed=seed, device="cpu"
    )


def test_a_network_learns_through_the_blur(curved, basis) -> None:
    network, told = fit(curved, basis, steps=150)
    first, last = told["loss_first_last"]
    assert last < 0.75 * first
    out = fuse_array(curved.scene, network)[0]
    plain = fuse_array(curved.scene, basis)[0]
    assert ergas(curved.truth, out, ratio=4) < 0.9 * ergas(curved.truth, plain, ratio=4)
    assert told["arch"] == "rescnn-tiny"
    assert told["training_pixels"] == 1024


def test_no_step_is_the_anchor(curved, basis) -> None:
    network, _ = fit(curved, basis, steps=1)
    with torch.no_grad():
        for parameter in network.network.tail.parameters():
            parameter.zero_()
    chip = read_chip(curved.scene, Window(0, 0, *curved.scene.shape[1:]), network.halo)
    planes = basis.anchors.planes(chip)
    mean = 0.5 * (planes.anchors["gsa"] + planes.anchors["loc"])
    np.testing.assert_allclose(network(chip), basis.expand(chip, mean), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["rescnn", "ssft-small"])
def test_other_networks_learn_too(name: str, curved, basis) -> None:
    _, told = fit(curved, basis, name, steps=15)
    assert np.isfinite(told["loss_first_last"]).all()
    assert told["loss_first_last"][1] < told["loss_first_last"][0]


def test_same_seed_same_weights(curved, basis) -> None:
    states = [fit(curved, basis, steps=5, seed=s)[0].network.state_dict() for s in (1, 1, 2)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not all(torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_tiles_of_a_network_do_not_matter(curved, basis) -> None:
    network, _ = fit(curved, basis, steps=20)
    whole, tiled = (fuse_array(curved.scene, network, tile=t)[0] for t in (1024, 48))
    spread = whole.std(axis=(1, 2), keepdims=True)
    assert np.abs((whole - tiled) / spread).max() < 1e-4
    assert network.halo == basis.halo + get_network("rescnn-tiny").practical_halo


def test_patches_hold_what_the_hsi_sees(curved, basis) -> None:
    patches = cut_patches([curved.scene], curved.facts, basis, get_network("rescnn"), 0)
    assert patches.pixels == 32 * 32
    np.testing.assert_allclose(patches.rows.sum(axis=2), 1.0, atol=1e-5)
    # The blur of a patch is the blur of the scene.
    chip = read_chip(curved.scene, Window(0, 0, 128, 128), basis.halo)
    planes = basis.anchors.planes(chip)
    anchor = 0.5 * (planes.anchors["gsa"] + planes.anchors["loc"])
    own = Window(3, 3, 4, 4)
    low = sample(anchor, (0, 0), own, chip.alignment, "down", basis.anchors.psf)
    left = basis.anchors.space.project(chip.ms_pixels(own)) - low
    np.testing.assert_allclose(patches.target[0][:, 3:7, 3:7], left, atol=1e-4)


def test_masked_pixels_are_not_in_the_loss(curved, basis) -> None:
    source = curved.scene.ms_source.read(Window(0, 0, 32, 32)).copy()
    guide = curved.scene.pan_source.read(Window(0, 0, 128, 128))
    mask = np.ones((32, 32), bool)
    mask[4:9, 20:30] = False
    source[:, ~mask] = 7e3
    scene = Scene.from_arrays(guide, source, alignment=curved.scene.alignment, ms_mask=mask)
    patches = cut_patches([scene], curved.facts, basis, get_network("rescnn"), 0)
    assert patches.pixels == mask.sum()
    empty = Scene.from_arrays(
        guide, source, alignment=curved.scene.alignment, ms_mask=np.zeros((32, 32), bool)
    )
    with pytest.raises(ModelError, match="no part of the scene"):
        cut_patches([empty], curved.facts, basis, get_network("rescnn"), 0)


def test_a_large_scene_gives_a_sample(curved, basis, monkeypatch) -> None:
    monkeypatch.setattr(cube_module, "_BUDGET", 10_000)
    spec = get_network("rescnn")
    patches = cut_patches([curved.scene], curved.facts, basis, spec, 0)
    assert 2 <= len(patches.guide) <= 4
    assert patches.guide.shape[-1] ** 2 * (len(patches.guide) - 1) <= 10_000


def test_a_loss_that_is_not_finite_is_an_error(curved, basis, monkeypatch) -> None:
    real = fit_module._distance
    monkeypatch.setattr(fit_module, "_distance", lambda *a: real(*a) * float("nan"))
    with pytest.raises(ModelError, match="became NaN"):
        fit(curved, basis, steps=3)


# -- the guard -----------------------------------------------------------------------------------


def test_the_learned_product_is_kept_where_it_wins(curved, tmp_path: Path) -> None:
    product = fuse_to_file(curved.scene, tmp_path / "x.tif", options(features=500))
    card = product.card
    model, reduced = card["model"], card["reduced"]
    assert (model["name"], model["used"], model["backprojections"]) == ("rfridge",) * 2 + (2,)
    assert model["anchors"]["gsa"]["gcv_ratio"] < 0.8
    assert model["components"] == 5
    assert reduced["rho"] < 1
    assert set(reduced["candidates"]) == set(FEW)
    assert reduced["coarse_pixels"] == 64
    assert card["verdict"] in ("better", "equal")
    assert card["full"]["rmse_to_ms_percent"] < 1
    assert set(card["timings"]) >= {"registering", "prepare", "predicting", "scoring"}
    json.dumps(card, allow_nan=False)
    import rasterio

    with rasterio.open(tmp_path / "x.tif") as file:
        out = file.read().astype(np.float64)
    gsa = fuse_array(curved.scene, prepare(GsaBasis(), curved.scene, curved.facts))[0]
    assert ergas(curved.truth, out, ratio=4) < ergas(curved.truth, gsa, ratio=4)


def test_cross_validation_rejects(curved, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(learned, "_GCV_LIMIT", 0.0)
    with pytest.warns(PansharpWarning, match="'rfridge' is not used: cross-validation") as caught:
        product = fuse_to_file(curved.scene, tmp_path / "x.tif", options())
    told = [str(w.message) for w in caught if "is not used" in str(w.message)]
    assert len(told) == 1
    assert "--force keeps it" in told[0]
    card = product.card
    assert card["model"]["used"] in ("gsa-hs", "fuse-sylvester")
    assert card["model"]["used"] == card["reduced"]["classical_name"]
    assert card["verdict"] == "worse"
    import rasterio

    with rasterio.open(tmp_path / "x.tif") as file:
        tags = file.tags()
    # The tags speak of the product, which is the classical one.
    assert float(tags["PANSHARP_ERGAS"]) == pytest.approx(
        card["reduced"]["best_classical"]["ergas"], rel=1e-4
    )


def test_the_rehearsal_rejects(curved, monkeypatch) -> None:
    real = learned.note_scores

    def pessimistic(judged, trial, scores, name, seed):
        worst = dict(scores)
        worst[name] = scores["exp"]
        real(judged, trial, worst, name, seed)

    monkeypatch.setattr(learned, "note_scores", pessimistic)
    with pytest.warns(PansharpWarning, match="one ratio coarser it is no better"):
        outcome = decide(curved.scene, options(), folder=None)
    assert outcome.used in FEW
    assert outcome.verdict.word == "worse"
    with pytest.warns(PansharpWarning, match="kept by --force"):
        kept = decide(curved.scene, options(force=True), folder=None)
    assert kept.used == "rfridge"


def test_a_poor_registration_forbids_learning(curved, monkeypatch) -> None:
    monkeypatch.setattr(learned, "_EXPLAINED", 1.1)
    with pytest.warns(PansharpWarning, match="the HSI explains only"):
        outcome = decide(curved.scene, options(), folder=None)
    assert outcome.used in FEW
    assert outcome.model_facts == {}
    assert outcome.reduced["classical_name"] in FEW


def test_a_small_scene_is_not_verified(new_cube) -> None:
    made = new_cube(size=12, members=6, guides=2, seed=5)
    with pytest.warns(PansharpWarning) as caught:
        outcome = decide(made.scene, options(features=500), folder=None)
    texts = " ".join(str(w.message) for w in caught)
    assert outcome.verdict is None
    assert ("is not verified" in texts) == (outcome.used == "rfridge")
    with pytest.warns(PansharpWarning, match="too small to rehearse"):
        other = decide(made.scene, options(model="rescnn-tiny", adapt_steps=3), folder=None)
    assert other.used == "loc-hs"
    assert other.passes == 2


def test_noise_forbids_copying_the_hsi(new_cube) -> None:
    made = new_cube(size=24, guides=4, members=6)
    cube = made.scene.ms_source.read(Window(0, 0, 24, 24)).astype(np.float64)
    rng = np.random.default_rng(1)
    cube += rng.normal(size=cube.shape) * 0.03 * cube.mean(axis=(1, 2), keepdims=True)
    guide = made.scene.pan_source.read(Window(0, 0, 96, 96))
    scene = Scene.from_arrays(guide, cube.astype(np.float32), alignment=made.scene.alignment)
    outcome = decide(scene, options(force=True), folder=None)
    assert outcome.passes == 0
    assert outcome.model_facts["noisy"] is True
    assert decide(scene, options(force=True, backproject="1"), folder=None).passes == 1


def test_never_adapting_is_refused(curved) -> None:
    for model in ("rfridge", "auto", "rescnn"):
        with pytest.raises(ModelError, match="--adapt is never"):
            decide(curved.scene, options(model=model, adapt="never"), folder=None)


def test_options_of_a_method_reach_it(curved) -> None:
    # Once through the conductor: fewer components leave more of the scene out.
    chosen = FuseOptions.checked(model="fuse-sylvester", components=2, card=False)
    outcome = decide(curved.scene, chosen, folder=None)
    assert outcome.fuser.space.size == 2


def test_the_product_is_the_same_in_any_tile(curved) -> None:
    outcome = decide(curved.scene, options(force=True, card=False), folder=None)
    whole, tiled = (fuse_array(curved.scene, outcome.fuser, tile=t)[0] for t in (1024, 64))
    spread = whole.std(axis=(1, 2), keepdims=True)
    assert np.abs((whole - tiled) / spread).max() < 1e-5
    # In groups of bands it is what the general back-projection makes of it.
    facts, inner = outcome.facts, replace(outcome.fuser, passes=0)
    other = fuse_array(curved.scene, complete(facts, inner, 2))[0]
    assert outcome.fuser.passes == 2
    assert np.abs((whole - other) / spread).max() < 1e-5


def test_plain_arrays_get_the_whole_method(curved) -> None:
    guide = curved.scene.pan_source.read(Window(0, 0, 128, 128))
    source = curved.scene.ms_source.read(Window(0, 0, 32, 32))
    out = fuse_arrays(guide, source, "rfridge", ratio=4, features=100, draws=1)
    gsa = fuse_arrays(guide, source, "gsa-hs", ratio=4)
    assert out.shape == gsa.shape
    # Back-projected: seen through the blur it is the HSI.
    scene = Scene.from_arrays(guide, source, alignment=Alignment.toolbox(4))
    chip = read_chip(scene, Window(0, 0, 128, 128), 0)
    gaps = [consistency(image, chip, (0.3,) * 30) for image in (out, gsa)]
    assert gaps[0][1].sum() < 0.3 * gaps[1][1].sum()


# -- the command line ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, new_cube) -> dict[str, str]:
    """HSI with MSI and with PAN as GeoTIFFs, 20 x 20 HSI pixels of ratio 4."""
    folder = tmp_path_factory.mktemp("pair")
    made = new_cube(size=20, members=6, guides=2, seed=5)
    guide = made.scene.pan_source.read(Window(0, 0, 80, 80)).astype(np.uint16)
    source = made.scene.ms_source.read(Window(0, 0, 20, 20)).astype(np.uint16)
    waves = tuple(np.linspace(400.0, 980.0, 30))
    common = {"alignment": Alignment.corner(4), "sensor": "worldview3", "ratio": 4}
    found = {}
    for key, image, names in (("msi", guide, ("blue", "green")), ("pan", guide[:1], ("pan",))):
        home = folder / key
        home.mkdir()
        paths = write_hsi_msi(
            SimulatedCube(image, source, made.truth, waves, names, **common), home
        )
        found["hsi"], found[key] = str(paths[0]), str(paths[1])
    return {**found, "folder": str(folder)}


@pytest.mark.parametrize("guide", ["msi", "pan"])
@pytest.mark.parametrize("model", ["auto", "rfridge", "rescnn-tiny"])
def test_the_command_line_learns(guide: str, model: str, files: dict[str, str]) -> None:
    import rasterio

    out = f"{files['folder']}/{model}_{guide}.tif"
    arguments = ["fuse", "--hsi", files["hsi"], f"--{guide}", files[guide], "-m", model]
    steps = ["--adapt-steps", "8"] if model == "rescnn-tiny" else []
    more = ["--force", "--seed", "3", "--workers", "1", "-o", out, "--json"]
    result = CliRunner().invoke(main, [*arguments, *steps, *more])
    assert result.exit_code == 0, result.output
    card = json.loads(result.stdout)
    assert card["model"]["name"] == model
    assert card["model"]["used"] == ("rfridge" if model == "auto" else model)
    if model == "rescnn-tiny":
        assert (card["model"]["arch"], card["model"]["steps"]) == (model, 8)
        assert card["model"]["weights"] == "adapted"
        assert card["model"]["seed"] == 3
    else:
        assert card["model"]["features"] == 1000
    assert card["conventions"]["psf"]["source"] in ("measured", "assumed")
    with rasterio.open(out) as file:
        assert (file.count, file.height, file.width) == (30, 80, 80)
        assert file.tags()["PANSHARP_MODEL"] == model


def test_evaluating_and_lazy_products(files: dict[str, str]) -> None:
    import pansharp

    scene = pansharp.open_scene(hsi=files["hsi"], msi=files["msi"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = evaluate_scene(scene, options(force=True))
        lazy = pansharp.fuse(scene, "rfridge", features=60, draws=1, force=True, workers=1)
    assert report.scores["ergas"] > 0
    assert lazy.shape == (30, 80, 80)
    assert np.isfinite(lazy.values).all()
