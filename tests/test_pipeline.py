"""Scenes through the conductor: adaptation, guard, tiles, lazy arrays, scratch."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning

import pansharp as ps
from pansharp.adaptation.adapt import anchored
from pansharp.adaptation.fit import FitResult
from pansharp.adaptation.guard import Verdict
from pansharp.card import build_card, card_text, summary
from pansharp.chips import read_chip
from pansharp.engine import FromSource, blend_tiles, fuse_array, prepare
from pansharp.errors import AlignmentWarning, BandMismatchError, ModelError, PansharpWarning
from pansharp.geometry.grids import Window
from pansharp.models import create_model
from pansharp.models.networks import get_network
from pansharp.options import FuseOptions
from pansharp.outcome import Outcome, decide
from pansharp.outcome.network import lattice
from pansharp.pipeline import evaluate_scene, fuse, fuse_to_file
from pansharp.scene import Scene
from pansharp.source import spool as spool_module
from pansharp.source.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Enough to move every weight.
STEPS = 8


def _field(rng: np.random.Generator, size: int) -> np.ndarray:
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    fall = 1.0 / np.maximum(f, 1.0 / 60) ** 1.4
    wave = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * fall, s=(size, size))
    return (wave - wave.mean()) / wave.std()


def scene_of(size: int = 80, seed: int = 6, shape: tuple[int, int] | None = None) -> Scene:
    """Three bands of `size` MS pixels a side at ratio 4; `shape` cuts the PAN."""
    rng = np.random.default_rng(seed)
    shared = _field(rng, 4 * size)
    truth = np.stack([600 + 90 * (b + 1) * shared + 30 * _field(rng, 4 * size) for b in range(3)])
    ms = truth.reshape(3, size, 4, size, 4).mean(axis=(2, 4))
    pan = truth.mean(axis=0) + rng.normal(0, 1, truth.shape[1:])
    rows, cols = shape or pan.shape
    return Scene.from_arrays(
        pan[:rows, :cols].astype(np.float32), ms.astype(np.float32), ratio=4, name="small"
    )


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scene_of(shape=(315, 301))


def options(**values: object) -> FuseOptions:
    return FuseOptions.checked(**{"workers": 1, "device": "cpu", **values})


def _read(path: Path) -> tuple[np.ndarray, float | None]:
    with warnings.catch_warnings():
        # These scenes have no georeference.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.read(), file.nodata


def _decide(scene: Scene, chosen: FuseOptions, folder: Path | None = None) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PansharpWarning)
        return decide(scene, chosen, folder=folder)


@pytest.fixture(scope="module")
def adapted(scene: Scene) -> Iterator[Outcome]:
    outcome = _decide(scene, options(model="rescnn", adapt_steps=STEPS, force=True))
    yield outcome
    outcome.close()


@pytest.fixture
def skip_training(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Replace the training by weights that add noise of a given size."""

    def use(size: float) -> None:
        def spoil(network: torch.nn.Module, *_: object) -> FitResult:
            generator = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.add_(size * torch.randn(parameter.shape, generator=generator))
            network.eval()
            return FitResult(steps=1, best_step=1)

        monkeypatch.setattr("pansharp.adaptation.trainings.fit", spoil)

    return use


def _predicted(outcome: Outcome, chosen: FuseOptions, workers: int = 1) -> np.ndarray:
    """The network's plain prediction of the whole scene with some tiling."""
    assert outcome.adapted is not None
    scene = outcome.scene
    anchor = prepare(create_model("mtf-glp-fs"), scene, outcome.facts)
    fuser = anchored(outcome.adapted, anchor, "cpu", "float32")
    spec = get_network("rescnn")
    tile, overlap, kind = lattice(spec, chosen, outcome.warn)
    out = np.empty(scene.shape, np.float32)
    pieces = blend_tiles(
        scene,
        fuser,
        tile=tile,
        overlap=overlap,
        kind=kind,
        multiple=spec.multiple_of,
        workers=workers,
    )
    torch.set_num_threads(1)
    for window, piece in pieces:
        out[:, *window.slices] = piece
    return out


def test_adapted_product_is_not_the_anchor(scene: Scene, adapted: Outcome) -> None:
    network = _predicted(adapted, options())
    anchor, _ = fuse_array(
        adapted.scene, prepare(create_model("mtf-glp-fs"), adapted.scene, adapted.facts)
    )
    assert np.abs(network - anchor).max() > 1.0
    assert np.isfinite(network).all()


def test_tiles_and_workers_leave_no_trace_in_a_network(adapted: Outcome) -> None:
    whole = _predicted(adapted, options(tile=512))
    for tile, workers in ((512, 2), (256, 1), (256, 2), (128, 2)):
        tiled = _predicted(adapted, options(tile=tile), workers)
        np.testing.assert_array_equal(tiled, whole)


def test_workers_do_not_change_a_bit(adapted: Outcome) -> None:
    one, two = (_predicted(adapted, options(tile=128), n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_blending_a_local_network_changes_nothing(adapted: Outcome) -> None:
    crop = _predicted(adapted, options(tile=256))
    hann = _predicted(adapted, options(tile=256, overlap=64, blend="hann"))
    np.testing.assert_allclose(hann, crop, rtol=1e-5)


def test_scratch_holds_the_prediction(adapted: Outcome) -> None:
    assert adapted.spool is not None
    plain = fuse_array(adapted.scene, FromSource(adapted.spool))[0]
    again = _predicted(adapted, options())
    np.testing.assert_array_equal(plain, again)


def test_same_seed_same_product_other_seed_another(scene: Scene, adapted: Outcome) -> None:
    first, _ = fuse_array(adapted.scene, adapted.fuser)
    chosen = options(model="rescnn", adapt_steps=STEPS, force=True)
    again = _decide(scene, chosen)
    np.testing.assert_array_equal(fuse_array(again.scene, again.fuser)[0], first)
    other = _decide(scene, replace(chosen, seed=1))
    assert (fuse_array(other.scene, other.fuser)[0] != first).any()


def test_a_worse_network_gives_way_to_the_best_classical(
    scene: Scene, skip_training: Callable[[float], None]
) -> None:
    skip_training(0.3)
    with pytest.warns(PansharpWarning, match="no better than"):
        outcome = decide(scene, options(model="rescnn"), folder=None)
    assert outcome.verdict is not None
    assert outcome.verdict.word == "worse"
    assert outcome.verdict.rho > 1
    assert outcome.trial is not None
    assert outcome.used == outcome.trial.best_classical(outcome.passes)
    card = build_card(outcome)
    assert card["model"]["name"] == "rescnn"
    assert card["model"]["used"] == outcome.used
    assert (
        card["full"]["HQNR"]
        == (card["full"]["products"][f"best_classical+bp{outcome.passes}"]["hqnr"])
    )
    assert f"the product is made by {outcome.used}" in summary(card)
    # Pixel by pixel it is what the classical method makes on the registered scene.
    classical = _decide(
        outcome.scene,
        options(
            model=outcome.used,
            backproject=outcome.passes,
            card=False,
            mtf=outcome.facts.ms_gains[0],
        ),
    )
    np.testing.assert_array_equal(
        fuse_array(outcome.scene, outcome.fuser)[0],
        fuse_array(outcome.scene, classical.fuser)[0],
    )


def test_auto_says_so_too(scene: Scene, skip_training: Callable[[float], None]) -> None:
    skip_training(0.3)
    outcome = _decide(scene, options(model="auto"))
    card = build_card(outcome)
    assert card["verdict"] == "worse"
    assert card["model"]["name"] == "auto"
    assert card["model"]["used"] == outcome.used != "rescnn"
    assert card["full"]["HQNR"] > 0
    assert f"made by {outcome.used}" in summary(card)


def test_the_verdict_is_that_of_the_passes_in_the_product(
    scene: Scene, skip_training: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good enough without back-projection, but worse with as many as HQNR asks for."""
    skip_training(0.0)
    words = iter(["equal", "worse", "worse"])

    def judged(*_: object) -> Verdict:
        word = next(words)
        return Verdict(0.9 if word == "equal" else 1.1, 0.8, 1.2, 0.5, 12, word)

    monkeypatch.setattr("pansharp.adaptation.guard.compare", judged)
    monkeypatch.setattr("pansharp.outcome.network._HQNR_SLACK", 10.0)
    outcome = _decide(scene, options(model="rescnn-tiny", coregister="off"))
    assert outcome.passes == 2
    assert outcome.verdict is not None
    assert outcome.verdict.word == "worse"
    assert outcome.trial is not None
    assert outcome.used == outcome.trial.best_classical(2)


def test_force_keeps_the_network(scene: Scene, skip_training: Callable[[float], None]) -> None:
    skip_training(0.3)
    outcome = _decide(scene, options(model="rescnn", force=True))
    assert outcome.verdict is not None
    assert outcome.verdict.word == "worse"
    assert outcome.used == "rescnn"
    assert outcome.spool is not None
    card = build_card(outcome)
    assert card["full"]["HQNR"] == card["full"]["products"][f"model+bp{outcome.passes}"]["hqnr"]


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_back_projections_that_were_asked_for_are_made(
    scene: Scene, skip_training: Callable[[float], None], passes: int
) -> None:
    skip_training(0.0)
    chosen = options(
        model="rescnn-tiny", force=True, backproject=passes, coregister="off", mtf="table"
    )
    outcome = _decide(scene, chosen)
    assert outcome.passes == passes
    card = build_card(outcome)
    assert card["model"]["backprojections"] == passes
    # A network that adds nothing is its anchor, and so is its score.
    anchor = outcome.trial.classical("mtf-glp-fs", passes)
    assert card["reduced"]["model"] == pytest.approx(anchor.as_dict(), rel=2e-3)


def test_never_adapting_is_an_error(scene: Scene) -> None:
    with pytest.raises(ModelError, match="no weights for this scene and --adapt is never"):
        decide(scene, options(model="rescnn", adapt="never"), folder=None)


def test_adapting_a_classical_method_is_an_error(scene: Scene) -> None:
    with pytest.raises(ModelError, match="nothing to adapt"):
        decide(scene, options(model="gsa", adapt="always"), folder=None)


def test_small_scenes_fall_back_with_a_warning() -> None:
    small = scene_of(30)
    with pytest.warns(PansharpWarning, match="too small or too empty to fit 'rescnn'"):
        outcome = decide(small, options(model="rescnn"), folder=None)
    assert (outcome.asked, outcome.used) == ("rescnn", "mtf-glp-fs")
    card = build_card(outcome)
    assert card["model"]["used"] == "mtf-glp-fs"
    assert any("too small" in text for text in card["warnings"])
    plain = _decide(outcome.scene, options(model="mtf-glp-fs", card=False, coregister="off"))
    np.testing.assert_array_equal(
        fuse_array(outcome.scene, outcome.fuser)[0], fuse_array(plain.scene, plain.fuser)[0]
    )


def test_a_given_shift_is_applied_once_even_on_small_scenes() -> None:
    small = scene_of(30)
    for model in ("rescnn", "mtf-glp-fs"):
        outcome = _decide(small, options(model=model, coregister="1.5,-0.5"))
        assert outcome.shift_applied == (-0.5, 1.5)
        assert outcome.scene.alignment == small.alignment.shifted(-0.5, 1.5)


@pytest.mark.filterwarnings("ignore:blurred back to the MS grid")
def test_a_misregistered_scene_is_moved_and_said(skip_training: Callable[[float], None]) -> None:
    skip_training(0.0)
    true = scene_of(80)
    moved = true.shifted(-1.5, 1.25)
    with pytest.warns(AlignmentWarning, match=r"\+1\.50, -1\.25 PAN pixels"):
        outcome = decide(moved, options(model="rescnn-tiny", force=True), folder=None)
    assert outcome.shift_applied == (1.5, -1.25)
    assert outcome.scene.alignment.y.offset == pytest.approx(true.alignment.y.offset)
    card = build_card(outcome)
    assert card["alignment"]["applied_rows_cols_pan_px"] == [1.5, -1.25]
    assert card["alignment"]["r2_after"] > card["alignment"]["r2_before"]
    stay = _decide(moved, options(model="rescnn-tiny", force=True, coregister="off"))
    assert stay.shift_applied == (0.0, 0.0)
    assert stay.scene.alignment == moved.alignment


def test_classical_products_are_measured_but_not_moved() -> None:
    moved = scene_of(80).shifted(-1.5, 1.25)
    outcome = _decide(moved, options(model="gsa"))
    assert outcome.scene.alignment == moved.alignment
    card = build_card(outcome)
    assert card["alignment"]["found_rows_cols_pan_px"] == [1.5, -1.25]
    assert card["alignment"]["applied_rows_cols_pan_px"] == [0.0, 0.0]
    assert card["reduced"]["classical_name"] != "gsa"


def test_models_that_cannot_take_the_scene_are_refused() -> None:
    pan, ms = np.ones((1, 64, 64)), np.ones((3, 16, 16))
    scene = Scene.from_arrays(pan, ms)
    with pytest.raises(BandMismatchError, match="2 weights for 3 bands"):
        prepare(create_model("wbrovey", weights=[1, 1]), scene, ps.engine.facts_of(scene))


def test_a_guide_of_several_bands_is_refused_not_cut() -> None:
    guided = Scene.from_arrays(np.ones((3, 64, 64)), np.ones((4, 16, 16)), ratio=4)
    for model in ("mtf-glp-fs", "ssft-tilefft"):
        with pytest.raises(ModelError, match=r"takes one panchromatic band, the guide .* has 3"):
            decide(guided, options(model=model), folder=None)


def test_constant_scenes_have_a_card_too() -> None:
    scene = Scene.from_arrays(np.full((320, 320), 7.0), np.full((2, 80, 80), 5.0))
    outcome = _decide(scene, options(model="gsa", coregister="off"))
    fused, _ = fuse_array(outcome.scene, outcome.fuser)
    np.testing.assert_allclose(fused, 5.0, rtol=1e-5)
    assert "NaN" not in card_text(build_card(outcome))


def test_lazy_product_is_the_written_one(scene: Scene, tmp_path: Path) -> None:
    chosen = {"workers": 1, "card": False}
    lazy = fuse(scene, "mtf-glp-fs", **chosen)
    assert lazy.dims == ("band", "y", "x")
    assert lazy.shape == scene.shape
    assert lazy.dtype == np.float32
    product = fuse_to_file(
        scene, tmp_path / "a.tif", options(model="mtf-glp-fs", card=False, dtype="uint16")
    )
    written, _ = _read(product.path)
    np.testing.assert_array_equal(np.clip(np.floor(lazy.values + 0.5), 0, 65535), written)
    ps.write(lazy, tmp_path / "b.tif", dtype="uint16")
    np.testing.assert_array_equal(_read(tmp_path / "b.tif")[0], written)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_changed_lazy_products_are_written_from_their_graph(scene: Scene, tmp_path: Path) -> None:
    lazy = fuse(scene, "exp", card=False, workers=1)
    ps.write(lazy + 1000.0, tmp_path / "c.tif", dtype="float32")
    np.testing.assert_allclose(_read(tmp_path / "c.tif")[0], lazy.values + 1000.0, rtol=1e-6)


def test_nodata_comes_out_as_nodata(tmp_path: Path) -> None:
    plain = scene_of(40)
    pan = np.rint(plain.pan_source.read(Window(0, 0, 160, 160))).astype(np.uint16)
    ms = np.rint(np.maximum(plain.ms_source.read(Window(0, 0, 40, 40)), 1)).astype(np.uint16)
    pan[:, 20:60, 30:50] = 0
    ms[:, 30:, 30:] = 0
    scene = Scene.from_arrays(pan, ms, nodata=0)
    product = fuse_to_file(scene, tmp_path / "n.tif", options(model="gsa", card=False))
    written, nodata = _read(product.path)
    assert nodata == 0
    assert not written[:, 20:60, 30:50].any()
    assert not written[:, 122:, 122:].any()
    lazy = fuse(scene, "gsa", card=False).values
    np.testing.assert_array_equal(np.isnan(lazy), written == 0)


def test_nothing_is_left_after_a_failure(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModelError("the card cannot be made")

    monkeypatch.setattr("pansharp.pipeline.build_card", fail)
    with pytest.raises(ModelError):
        fuse_to_file(scene, tmp_path / "x.tif", options(model="exp", coregister="off"))
    assert list(tmp_path.iterdir()) == []


def test_evaluate_scene_reports_both_protocols(scene: Scene) -> None:
    reduced = evaluate_scene(scene, options(model="gsa", coregister="off"))
    assert set(reduced.scores) == {"ergas", "sam", "q2n", "rho"}
    full = evaluate_scene(scene, options(model="gsa", coregister="off"), protocol="full")
    names = {"D_lambda", "D_s", "QNR", "D_lambda_K", "HQNR", "rmse_to_ms_percent"}
    assert set(full.scores) == names
    assert 0 < full.scores["rmse_to_ms_percent"] < 10
    for report in (reduced, full):
        told = report.conventions
        assert told["mtf_gains_assumed"] is True
        assert told["mtf_gains_source"] == "assumed"
        assert told["mtf_gains"] == [0.3] * 3
        assert told["ratio"] == 4
        assert told["consistency_rmse_percent"] == full.scores["rmse_to_ms_percent"]
        assert "ratio: 4" in str(report)
    assert "not with its MTF" in reduced.conventions["pan_rule"]
    assert "interpolated again" in full.conventions["pan_rule"]
    with pytest.raises(ps.errors.OptionError, match="protocol"):
        evaluate_scene(scene, options(model="gsa"), protocol="none")


@pytest.mark.parametrize("in_memory", [True, False])
def test_spool_keeps_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.setattr(spool_module, "_IN_MEMORY", 0)
    rng = np.random.default_rng(0)
    image = rng.uniform(size=(3, 70, 61)).astype(np.float32)
    spool = Spool(image.shape, tmp_path)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    for row in range(0, 70, 32):
        for col in range(0, 61, 40):
            window = Window(row, col, 32, 40).intersect(Window(0, 0, 70, 61))
            spool.write(window, image[:, *window.slices])
    # The file has no name from the start, so no end of the process leaves it behind.
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(spool.read(Window(0, 0, 70, 61)), image)
    np.testing.assert_array_equal(spool.read(Window(13, 50, 40, 11)), image[:, 13:53, 50:])
    chip = read_chip(Scene.from_arrays(image[:1], image), Window(0, 0, 8, 8), 0)
    np.testing.assert_array_equal(FromSource(spool)(chip), image[:, :8, :8])
    spool.close()
    spool.close()
    if not in_memory and before:
        assert len(os.listdir("/proc/self/fd")) == before - 1
    with pytest.raises(TypeError, match="cannot be cut"):
        spool.cut(Window(0, 0, 1, 1))


def test_a_file_backed_product_equals_the_one_in_memory(
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    skip_training: Callable[[float], None],
) -> None:
    skip_training(0.001)
    chosen = options(model="rescnn-tiny", force=True, coregister="off", card=False)
    products = []
    for limit in (10**9, 0):
        monkeypatch.setattr(spool_module, "_IN_MEMORY", limit)
        target = tmp_path / f"{limit}.tif"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PansharpWarning)
            fuse_to_file(scene, target, chosen)
        products.append(_read(target)[0])
    np.testing.assert_array_equal(products[0], products[1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.tif", "1000000000.tif"]


def test_no_room_for_scratch_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_IN_MEMORY", 0)
    with pytest.raises(ps.errors.WriteError, match="no room for"):
        Spool((1, 10, 10), tmp_path / "absent")


@pytest.mark.parametrize("mtf", ["auto", "table", "0.5"])
def test_gains_are_measured_only_where_the_table_knows_none(
    scene: Scene, skip_training: Callable[[float], None], mtf: str
) -> None:
    """The MS of this scene is a mean of 4 x 4 pixels, whose gain at Nyquist is 0.64."""
    skip_training(0.0)
    outcome = _decide(scene, options(model="rescnn-tiny", mtf=mtf, force=True))
    found = build_card(outcome)["conventions"]
    expected = {"auto": (0.65, "measured"), "table": (0.3, "assumed"), "0.5": (0.5, "given")}[mtf]
    assert (found["mtf_gains"], found["mtf_gains_source"]) == ([expected[0]] * 3, expected[1])
    assert found["mtf_gains_assumed"] is (mtf == "table")
    assert ("mtf_gain_of_pair" in found) is (mtf == "auto")
    published = replace(
        scene, sensor=ps.sensors.get_sensor("ikonos"), band_names=("blue", "green", "red")
    )
    card = build_card(_decide(published, options(model="rescnn-tiny", mtf=mtf, force=True)))
    found = card["conventions"]
    assert found["mtf_gains_source"] == ("given" if mtf == "0.5" else "table")
    assert ("mtf_gain_of_pair" in found) is (mtf == "auto")


def test_classical_products_keep_to_the_assumed_gain(scene: Scene) -> None:
    outcome = _decide(scene, options(model="mtf-glp-fs"))
    found = build_card(outcome)["conventions"]
    assert found["mtf_gains"] == [0.3] * 3
    assert found["mtf_gain_of_pair"]["gain"] == 0.65
    same = _decide(scene, options(model="mtf-glp-fs", mtf="table", card=False))
    np.testing.assert_array_equal(
        fuse_array(outcome.scene, outcome.fuser)[0], fuse_array(same.scene, same.fuser)[0]
    )
