"""Jobs in this process: the protocols, against the toolbox's numbers where there are some."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pansharp import evaluation as ev
from pansharp.benchmarking import classical_methods
from pansharp.benchmarking.execute import run_job
from pansharp.benchmarking.job import Job
from pansharp.benchmarking.plan import make_plan
from pansharp.benchmarking.reduced import grid_kind, reduce_scene
from pansharp.errors import ModelError, OptionError, UnknownModelError
from pansharp.filters import degrade
from pansharp.models import get_spec, list_models
from pansharp.readers import open_scene
from pansharp.registration import assumed_facts
from pansharp.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Golden label to our name; the toolbox has no SSIM and PSNR in its tables.
GOLDEN = {"EXP": "exp", "Brovey": "brovey", "GSA": "gsa", "MTF_GLP_FS": "mtf-glp-fs"}
REDUCED = {"ergas": "ERGAS", "sam": "SAM_deg", "q2n": "Q2n", "q": "Q", "scc": "SCC"}
FULL = {
    "d_lambda": "D_lambda", "d_s": "D_s", "qnr": "QNR", "d_lambda_k": "D_lambda_K", "hqnr": "HQNR",
}  # fmt: skip


def plan(scenes: list[str], models: list[str], **changed: Any) -> list[Job]:
    given: dict[str, Any] = {
        "scene_options": {}, "options": {}, "protocol": "both", "conventions": "toolbox2021",
        "cut": None, "bits": None, "mode": "default",
    }  # fmt: skip
    return make_plan(scenes, models, **{**given, **changed})[0]


@pytest.fixture
def expected(golden: Path) -> Callable[[str, str], dict[str, float]]:
    scenes = json.loads((golden / "golden.json").read_text())["scenes"]

    def find(scene: str, label: str) -> dict[str, float]:
        methods = scenes[scene]["methods"]
        name = label if label in methods else f"{label}__{scenes[scene]['primary_sensor']}"
        return methods[name]["indices"]

    return find


@pytest.mark.parametrize("label", GOLDEN)
@pytest.mark.parametrize("cut", [21, 0])
def test_reference_mode_gives_the_toolbox_numbers(
    label: str, cut: int, golden_set: Any, expected: Any
) -> None:
    (job,) = plan(
        [str(golden_set("wv2_rr"))],
        [GOLDEN[label]],
        scene_options={"sensor": "wv2"},
        mode="reference",
        cut=cut,
    )
    (row,) = run_job(job)
    assert row["status"] == "ok", row
    assert (row["protocol"], row["cut"]) == ("reference", cut)
    ending = "_cut" if cut else ""
    truth = expected("wv2_rr", label)
    for ours, theirs in REDUCED.items():
        assert row[ours] == pytest.approx(truth[theirs + ending], rel=1e-7), ours


@pytest.mark.parametrize(
    ("conventions", "variants"),
    [
        ("toolbox2021", ("", "")),
        ("toolbox2015", ("", "_2015")),
        ("paper-qnr", ("_paper", "_paper")),
    ],
)
def test_full_resolution_variants(
    conventions: str, variants: tuple[str, str], golden_set: Any, expected: Any
) -> None:
    (job,) = plan(
        [str(golden_set("wv2_fr"))],
        ["gsa"],
        scene_options={"sensor": "wv2"},
        mode="reference",
        protocol="full",
        conventions=conventions,
    )
    (row,) = run_job(job)
    assert row["status"] == "ok", row
    truth = expected("wv2_fr", "GSA")
    d_lambda, d_s = truth["D_lambda" + variants[0]], truth["D_s" + variants[1]]
    assert row["d_lambda"] == pytest.approx(d_lambda, rel=1e-7)
    assert row["d_s"] == pytest.approx(d_s, rel=1e-7)
    assert row["d_lambda_k"] == pytest.approx(truth["D_lambda_K"], rel=1e-7)
    assert row["qnr"] == pytest.approx((1 - d_lambda) * (1 - d_s), rel=1e-7)
    assert row["hqnr"] == pytest.approx((1 - truth["D_lambda_K"]) * (1 - d_s), rel=1e-7)


def test_default_mode_is_near_the_toolbox(golden_set: Any, expected: Any) -> None:
    """The products that users get, on the same scene: other borders, other interpolator."""
    (job,) = plan([str(golden_set("synth4"))], ["mtf-glp-fs"], scene_options={"sensor": "qb"})
    (row,) = run_job(job)
    truth = expected("synth4", "MTF_GLP_FS")
    for ours, theirs in REDUCED.items():
        assert row[ours] == pytest.approx(truth[theirs + "_cut"], rel=0.02), ours


def test_2015_scc(golden_set: Any, expected: Any) -> None:
    (job,) = plan(
        [str(golden_set("wv2_rr"))],
        ["gsa"],
        scene_options={"sensor": "wv2"},
        mode="reference",
        conventions="toolbox2015",
        cut=0,
    )
    (row,) = run_job(job)
    assert row["scc"] == pytest.approx(expected("wv2_rr", "GSA")["SCC_2015"], rel=1e-7)


def test_a_native_pair_is_degraded_as_the_toolbox_does(make_pair: Any) -> None:
    """Two corner-sharing grids of ratio 4: the figures of an experiment made by hand."""
    from pansharp import fuse_arrays

    pair = make_pair(shape=(256, 256))
    (job,) = plan([str(pair.pan)], ["gsa"], scene_options={"sensor": "qb"}, bits=11, cut=5)
    reduced, full = run_job(job)
    scene = open_scene(pair.pan, sensor="qb")
    ms, pan = scene.ms.values.astype(np.float32), scene.pan.values[0].astype(np.float32)
    ms_low, pan_low = degrade(ms, pan, ratio=4, sensor="qb")
    fused = fuse_arrays(pan_low, ms_low, "gsa", ratio=4, sensor="qb")
    cut = np.s_[:, 4:-5, 4:-5]
    limited = ev.clip_dn(fused, 11)
    assert reduced["ergas"] == pytest.approx(ev.ergas(ms[cut], limited[cut]), rel=1e-6)
    assert reduced["q2n"] == pytest.approx(ev.q2n(ms[cut], limited[cut]), rel=1e-6)
    psnr = ev.psnr(ms[cut], limited[cut], data_range=2047)
    assert reduced["psnr"] == pytest.approx(psnr, rel=1e-6)
    bands = [
        ev.psnr(ms[cut][b : b + 1], limited[cut][b : b + 1], data_range=2047) for b in range(4)
    ]
    assert reduced["psnr_bands"] == pytest.approx(np.mean(bands), rel=1e-6)
    assert reduced["degradation"].startswith("toolbox")
    assert (reduced["gains_source"], reduced["ms_gains"]) == ("table", "0.34 0.32 0.3 0.22")
    assert full["protocol"] == "full"
    assert 0 < full["hqnr"] < 1
    assert full["rmse_to_ms"] < 5


def test_gains_given_by_the_user_are_those_of_the_degradation(make_pair: Any) -> None:
    pair = make_pair(shape=(256, 256))
    soft, sharp = (
        run_job(plan([str(pair.pan)], ["exp"], protocol="reduced", options={"mtf": gain}, cut=0)[0])
        for gain in ("0.1", "0.6")
    )
    assert (soft[0]["gains_source"], soft[0]["ms_gains"]) == ("given", "0.1 0.1 0.1 0.1")
    assert soft[0]["ergas"] > sharp[0]["ergas"]


def test_grids() -> None:
    from pansharp.geometry.grids import Alignment

    pan, ms = np.ones((32, 32)), np.ones((2, 8, 8))
    assert grid_kind(Scene.from_arrays(pan, ms)) == "corner"
    assert grid_kind(Scene.from_arrays(pan, ms, alignment=Alignment.toolbox(4))) == "toolbox"
    assert grid_kind(Scene.from_arrays(pan, ms).shifted(0.5, 0.0)) is None
    assert grid_kind(Scene.from_arrays(np.ones((33, 32)), ms)) is None
    assert grid_kind(Scene.from_arrays(np.ones((24, 24)), ms, ratio=3)) is None


@pytest.mark.parametrize("case", ["ratio", "nodata"])
def test_other_grids_and_holes_use_true_positions(case: str, make_pair: Any) -> None:
    pair = make_pair(
        shape=(288, 288),
        ratio=3 if case == "ratio" else 4,
        nodata=0 if case == "nodata" else None,
    )
    from pansharp.options import FuseOptions

    scene = open_scene(pair.pan)
    (level,) = reduce_scene(scene, assumed_facts(scene, FuseOptions()))
    assert level.rule.startswith("true grids")
    assert (level.valid is None) == (case == "ratio")
    (job,) = plan([str(pair.pan)], ["brovey"], protocol="reduced", cut=5)
    (row,) = run_job(job)
    assert row["status"] == "ok", row
    assert np.isfinite(row["ergas"])
    if case == "nodata":
        assert any("not comparable with published tables" in note for note in row["notes"])


def test_variants_that_a_grid_cannot_have_are_left_out(make_pair: Any) -> None:
    pair = make_pair()
    form = {"protocol": "full", "conventions": "toolbox2015"}
    (row,) = run_job(plan([str(pair.pan)], ["exp"], **form)[0])
    assert "d_s" not in row
    assert "d_lambda_k" in row
    assert any("variant 2015 needs the toolbox's grid" in note for note in row["notes"])
    form["conventions"] = "paper-qnr"
    (row,) = run_job(plan([str(pair.pan)], ["gsa"], **form)[0])
    assert row["qnr"] == pytest.approx((1 - row["d_lambda"]) * (1 - row["d_s"]))


def test_failures_are_rows(make_pair: Any, make_research: Any, write_h5: Any) -> None:
    pair = make_pair()
    rows = run_job(plan([str(pair.pan)], ["exp"])[0])
    assert [row["status"] for row in rows] == ["failed", "ok"]
    assert "cutting 21 pixels off" in rows[0]["reason"]
    (row,) = run_job(plan([str(write_h5("a.h5", make_research()))], ["rescnn-tiny"])[0])
    assert row["status"] == "failed"
    assert "too small" in row["reason"]


def test_an_unexpected_error_is_a_row_too(make_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pansharp.benchmarking import execute

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero\nin two lines")

    monkeypatch.setattr(execute, "decide", broken)
    (row,) = run_job(plan([str(make_pair().pan)], ["exp"], protocol="full")[0])
    assert row["reason"] == "ZeroDivisionError: division by zero in two lines"


def test_networks_and_classical_methods_share_unseen_blocks(make_pair: Any) -> None:
    """All are scored on the blocks that the adaptation did not see, with one shift and gain."""
    pair = make_pair(shape=(576, 576), shift=(0.0, 1.0))
    jobs = plan([str(pair.pan)], ["exp", "mtf-glp-fs", "rescnn-tiny"], options={"adapt_steps": 2})
    assert {job.budget for job in jobs} == {400_000}
    rows = [run_job(job) for job in jobs]
    reduced, full = zip(*rows, strict=True)
    assert all(row["status"] == "ok" for row in (*reduced, *full))
    shared = ("blocks", "block_size", "windows", "ms_gains", "shift_rows", "shift_cols")
    for key in shared:
        assert len({row[key] for row in reduced}) == 1, key
    assert reduced[0]["blocks"] >= 8
    assert reduced[0]["shift_cols"] == pytest.approx(1.0, abs=0.3)
    assert {row["shift_cols"] for row in full} == {reduced[0]["shift_cols"]}
    assert len({row["gains_source"] for row in (*reduced, *full)}) == 1
    assert all({"ergas", "sam", "q2n"} <= row.keys() for row in reduced)
    # Two steps make no better network: it is kept all the same, as it was asked for.
    assert reduced[2]["used"] == "rescnn-tiny"


def test_networks_never_see_the_reference_of_a_set(make_research: Any, write_mat: Any) -> None:
    """Another truth, the same product: its indices without a reference are equal to the bit."""
    images = make_research(side=288)
    spoilt = images._replace(gt=images.gt[:, :, ::-1].copy())
    found = []
    for name, one in (("a.mat", images), ("b.mat", spoilt)):
        path = str(write_mat(name, one))
        (job,) = plan([path], ["rescnn-tiny"], options={"adapt_steps": 1}, protocol="full")
        (row,) = run_job(job)
        assert row["status"] == "ok", row
        found.append({key: row[key] for key in (*FULL, "rmse_to_ms")})
    assert found[0] == found[1]
    # And the test can tell: the classical products do differ by what they are compared with.
    first, second = (
        run_job(plan([str(write_mat("c.mat", one))], ["gsa"])[0])[0] for one in (images, spoilt)
    )
    assert second["ergas"] > 2 * first["ergas"]


def test_default_methods_are_the_classical_ones_of_the_registry() -> None:
    names = classical_methods()
    assert names[0] == "exp"
    kinds = {name: get_spec(name).kind for name in list_models()}
    assert set(names) == {
        name
        for name, kind in kinds.items()
        if kind == "classical" and "pan" in get_spec(name).tasks
    }


def test_the_plan_checks_before_any_work(make_pair: Any) -> None:
    pair = [str(make_pair().pan)]
    with pytest.raises(UnknownModelError, match="did you mean 'brovey'"):
        plan(pair, ["exp", "brovy"])
    with pytest.raises(OptionError, match="--protocol is 'reduce'; did you mean 'reduced'"):
        plan(pair, ["exp"], protocol="reduce")
    with pytest.raises(OptionError, match="--mode is 'exact'"):
        plan(pair, ["exp"], mode="exact")
    with pytest.raises(ModelError, match="'rescnn' has no reference mode"):
        plan(pair, ["exp", "rescnn"], mode="reference")
    assert [job.method for job in plan(pair, ["GSA", "gsa"])] == ["gsa"]


def test_a_job_survives_json_and_its_key_tells_what_matters(make_pair: Any) -> None:
    (job,) = plan([str(make_pair().pan)], ["exp"], options={"mtf": "0.3"})
    assert Job.from_json(job.to_json()) == job
    digests: list[dict[str, object]] = [{"sha256": "1"}]
    key = job.key(digests)
    assert key == Job.from_json(job.to_json()).key(digests)
    moved = replace(job, scene=replace(job.scene, name="other", path="elsewhere"))
    assert moved.key(digests) == key
    others = [
        job.key([{"sha256": "2"}]),
        replace(job, options=replace(job.options, mtf="0.4")).key(digests),
        replace(job, conventions=replace(job.conventions, cut=3)).key(digests),
        replace(job, scene=replace(job.scene, item=1)).key(digests),
        replace(job, protocols=("full",)).key(digests),
        replace(job, budget=1).key(digests),
        replace(job, mode="reference").key(digests),
    ]
    assert len({key, *others}) == 8
    assert replace(job, named=False).key(digests) == key
